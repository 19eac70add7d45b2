"""
The cookies of browsers (RFC 6265bis): each stands for a token that was shown once.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from secrets import token_urlsafe
from typing import Final, NamedTuple

LIFETIME: Final = 12 * 3600.0  # seconds
MOST: Final = 1024  # the oldest one is forgotten


class _Login(NamedTuple):
    name: str
    digest: bytes
    until: float


class Cookies:
    """
    Those that are good. None outlives its token or the process.

    @ivar name: what they are called: cookies of all ports of a host are in one jar.
    """

    def __init__(self, network: int, now: Callable[[], float]) -> None:
        """
        @param network: the node ID.
        @param now: monotonic seconds.
        """
        self.name = f"bmff-{network}"
        self._now = now
        self._logins: dict[bytes, _Login] = {}

    def __len__(self) -> int:
        return len(self._logins)

    def make(self, name: str, digest: bytes) -> str:
        """
        A new one.

        @param name: of the token.
        @param digest: of the token.
        @return: its value.
        """
        now = self._now()
        for key in [key for key, login in self._logins.items() if login.until <= now]:
            del self._logins[key]
        if len(self._logins) >= MOST:
            del self._logins[next(iter(self._logins))]
        value = token_urlsafe(32)
        self._logins[_key(value)] = _Login(name, digest, now + LIFETIME)
        return value

    def find(self, value: str) -> tuple[str, bytes] | None:
        """
        The token that a cookie stands for: its name and digest; L{None} when there is none.
        """
        login = self._logins.get(_key(value))
        if login is None or login.until <= self._now():
            return None
        return login.name, login.digest

    def end(self, value: str) -> None:
        """
        A cookie is good no longer.
        """
        self._logins.pop(_key(value), None)


def _key(value: str) -> bytes:
    """
    What is kept of a value, so that comparing takes no longer the more of it is right.
    """
    return sha256(value.encode("utf-8", "replace")).digest()
