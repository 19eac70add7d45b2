"""
What whoever asks the API may do, and who that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from twisted.web.server import Request


class Right(IntEnum):
    """
    What may be done; each holds those before it.
    """

    NOTHING = 0
    LOOK = 1  # all that can be read, but texts of messages, exact positions and peers' addresses
    READ = 2  # those too
    CONTROL = 3  # and change things


RIGHTS = {"read": Right.READ, "control": Right.CONTROL}


@dataclass(frozen=True, slots=True)
class Visitor:
    """
    Who asks.

    @ivar right: what is allowed.
    @ivar source: where from, for people: an address, or a user of this host.
    @ivar token: the name of the token that was shown; empty when none was.
    @ivar digest: SHA-256 of that token.
    @ivar byCookie: whether a browser has shown it unasked, by its cookie.
    """

    right: Right
    source: str
    token: str = ""
    digest: bytes = b""
    byCookie: bool = False

    @property
    def known(self) -> bool:
        """
        Whether it has said who it is.
        """
        return bool(self.token) or self.right is Right.CONTROL


NOBODY = Visitor(Right.NOTHING, "?")


class Token(Protocol):
    """
    A row of the table of tokens in the secrets file.
    """

    @property
    def right(self) -> str:
        """
        C{"read"} or C{"control"}.
        """

    @property
    def digest(self) -> bytes:
        """
        SHA-256 of the token.
        """


def visitorOf(request: Request) -> Visitor:
    """
    Who makes a request, as the gate has found.
    """
    visitor = getattr(request, "visitor", NOBODY)
    assert isinstance(visitor, Visitor)
    return visitor


def refused(request: Request, reason: str) -> None:
    """
    Note that a request is refused; see L{bmff.web.site.ApiRequest.refused}.
    """
    note = getattr(request, "refused", None)
    if note is not None:
        note(reason)
