"""
A node's side of all handshakes: those that it begins, those that it lets in, and the session
indexes that tell them apart.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from bmff.protocols.connection import Connection
from bmff.wire.fastforward.handshake import (
    Accepted,
    Admitted,
    CookieDemanded,
    HandshakeResponder,
    InitiatorHandshake,
    PreSharedKey,
)
from bmff.wire.fastforward.prologue import Prologue


class KeyRing(Protocol):
    """
    The keys of links.
    """

    def fastForwardKey(self, keyID: str) -> PreSharedKey | None:
        """
        The key under an id.
        """


class Handshakes:
    """
    Makes handshakes, answers those of others, and knows which connection reads which session.

    @ivar bootID: this process's, 64 random bits.
    """

    def __init__(
        self, nodeID: int, environment: str, keys: KeyRing, wallClock: Callable[[], float]
    ) -> None:
        """
        @param wallClock: seconds since 1970, for the time stamps of handshakes alone.
        """
        self.bootID = int.from_bytes(os.urandom(8), "big")
        self._nodeID = nodeID
        self._environment = environment
        self._wallClock = wallClock
        self._lastWall = 0
        self._byIndex: dict[int, Connection] = {}
        self._responder = HandshakeResponder(
            nodeID=nodeID,
            environment=environment,
            keys=keys.fastForwardKey,
            bootID=self.bootID,
            secret=os.urandom(32),
        )

    @property
    def refused(self) -> Counter[str]:
        """
        Initiations that were refused, by reason.
        """
        return self._responder.dropped

    def begin(self, connection: Connection, keyID: str, key: PreSharedKey) -> InitiatorHandshake:
        """
        A handshake that this end begins on a connection.
        """
        transport = connection.transport
        return InitiatorHandshake(
            Prologue(self._environment, self._nodeID, connection.node, keyID, transport.name),
            key,
            index=self._newIndex(),
            bootID=self.bootID,
            wall=self._wall(),
            ephemeral=os.urandom(32),
            trusts=transport.trusted,
        )

    def renew(self, handshake: InitiatorHandshake) -> InitiatorHandshake:
        """
        The same begun anew, as its response may be lost.
        """
        return handshake.renewed(
            index=self._newIndex(), wall=self._wall(), ephemeral=os.urandom(32)
        )

    def admit(
        self, data: bytes, addressKey: bytes, now: float, transport: str
    ) -> Admitted | CookieDemanded:
        """
        See L{HandshakeResponder.admit}.

        @raise ProtocolError: it is refused, and counted.
        """
        return self._responder.admit(data, addressKey, now, transport)

    def respond(self, admitted: Admitted, trusts: bool) -> Accepted:
        """
        See L{HandshakeResponder.respond}.

        @raise ProtocolError: it is refused, and counted.
        """
        return self._responder.respond(admitted, self._newIndex(), os.urandom(32), trusts)

    # Sessions.

    def find(self, index: int) -> Connection | None:
        """
        The connection that reads a session.
        """
        return self._byIndex.get(index)

    def index(self, connection: Connection) -> None:
        """
        Find a connection by the sessions that it reads, and by no others.
        """
        indexes: frozenset[int] = frozenset()
        if not connection.closed:
            for path in (connection.path, connection.pending):
                indexes |= frozenset(path.indexes if path is not None else ())
        for index in connection.indexes - indexes:
            self._byIndex.pop(index, None)
        for index in indexes:
            self._byIndex[index] = connection
        connection.indexes = indexes

    def _wall(self) -> int:
        """
        A time stamp for a handshake, greater than any before.
        """
        self._lastWall = max(int(self._wallClock() * 1e6), self._lastWall + 1)
        return self._lastWall

    def _newIndex(self) -> int:
        while True:
            index = int.from_bytes(os.urandom(4), "big")
            if index not in self._byIndex:
                return index
