"""
The sessions of one path: the one that is used, the one that is expected, and those that were
replaced and are still read.
"""

from __future__ import annotations

from typing import Final

from bmff.errors import ProtocolError
from bmff.wire.fastforward.session import READ_AFTER, Session, indexOf

MOST_OLD: Final = 3  # sessions that were replaced and are still read


class Sessions:
    """
    Finds the session that a packet names.

    @ivar current: what packets are sent in.
    @ivar following: what the other end has begun: current from its first packet on.
    """

    __slots__ = ("_old", "current", "following")

    def __init__(self) -> None:
        self.current: Session | None = None
        self.following: Session | None = None
        self._old: list[tuple[Session, float]] = []  # each with when it is not read any more

    def read(self) -> tuple[Session, ...]:
        """
        Those that are read.
        """
        every = (self.current, self.following, *(old for old, _ in self._old))
        return tuple(session for session in every if session is not None)

    def promote(self, session: Session, now: float) -> None:
        """
        A session is the current one from now on.
        """
        for old in (self.current, self.following):
            if old is not None and old is not session:
                self._old.append((old, now + READ_AFTER))
        del self._old[:-MOST_OLD]
        self.current = session
        self.following = None

    def find(self, packet: bytes, now: float) -> Session:
        """
        The session that a packet names.

        @raise ProtocolError: there is none.
        """
        index = indexOf(packet)
        for session in (self.current, self.following):
            if session is not None and session.localIndex == index:
                return session
        for old, until in self._old:
            if old.localIndex == index and now < until:
                return old
        raise ProtocolError("unknown session")
