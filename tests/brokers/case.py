"""
What the tests of C{bmff.brokers} have in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twisted.internet.defer import Deferred

from bmff.errors import CommandRefused


@dataclass(frozen=True)
class Place:
    """
    Where a broker is.
    """

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """
    The section C{[mqtt]} of a configuration.
    """

    broker: Place = Place("127.0.0.1", 1)
    user: str = ""
    password: str = "mqtt"
    keepalive: int = 5
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    privateKey: Path | None = None
    root: str = "Master"
    commands: tuple[str, ...] = ()


class Doer:
    """
    Does commands by writing them down.

    @ivar did: what was asked for, in turn.
    @ivar refusal: raised in place of that, if any.
    @ivar waiting: returned, if any.
    """

    def __init__(self) -> None:
        self.did: list[tuple[object, ...]] = []
        self.refusal: Exception | None = None
        self.waiting: Deferred[None] | None = None

    def _do(self, *order: object) -> Deferred[None] | None:
        if self.refusal is not None:
            raise self.refusal
        self.did.append(order)
        return self.waiting

    def sendMessage(
        self, source: int, destination: int, private: bool, text: str
    ) -> Deferred[None] | None:
        """
        A text.
        """
        return self._do("message", source, destination, private, text)

    def dropCall(self, source: int, stream: int) -> Deferred[None] | None:
        """
        The end of a call.
        """
        return self._do("drop", source, stream)

    def linkTalkgroup(self, peer: int, slot: int, talkgroup: int) -> Deferred[None] | None:
        """
        A talkgroup more.
        """
        return self._do("link", peer, slot, talkgroup)

    def unlinkTalkgroup(self, peer: int, slot: int, talkgroup: int) -> Deferred[None] | None:
        """
        A talkgroup less.
        """
        return self._do("unlink", peer, slot, talkgroup)


REFUSED = CommandRefused("no such peer")
