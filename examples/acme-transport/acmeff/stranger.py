"""
Who has connected and is not known yet.
"""

from __future__ import annotations

from typing import Any, Final

from zope.interface import implementer

from acmeff.connection import EndpointConnection
from bmff.errors import TransportUnavailable
from bmff.ibmff import IAcceptor, IConversation, IPathReceiver

MOST_STRANGERS: Final = 256  # of one transport; the oldest is closed
STRANGER_TIME: Final = 10.0  # seconds until one is closed


@implementer(IConversation, IPathReceiver)
class Stranger:
    """
    Whoever has connected, until it is known: what comes from there goes to the acceptor.

    @ivar connection: the connection from there.
    """

    name = EndpointConnection.name
    connection: EndpointConnection

    def __init__(self, strangers: dict[Stranger, Any], acceptor: IAcceptor) -> None:
        """
        @param strangers: all of one transport, the oldest first, each with what closes it in time.
        """
        self._strangers, self._acceptor = strangers, acceptor

    def limit(self, reactor: Any) -> None:
        """
        Be one of not too many, and not for long.
        """
        self._strangers[self] = reactor.callLater(STRANGER_TIME, self.close)
        if len(self._strangers) > MOST_STRANGERS:
            next(iter(self._strangers)).close()

    @property
    def remote(self) -> str:
        """@see: L{IConversation}"""
        return self.connection.remote

    @property
    def key(self) -> bytes:
        """@see: L{IConversation}"""
        return self.remote.encode()

    def sendPacket(self, data: bytes) -> bool:
        """@see: L{IConversation.sendPacket}"""
        return self.connection.sendPacket(data)

    def open(self, receiver: IPathReceiver) -> EndpointConnection:
        """@see: L{IConversation.open}"""
        if not self._forget():
            raise TransportUnavailable(f"{self.remote} is gone, or known already")
        self.connection.receiver = receiver
        return self.connection

    def close(self) -> None:
        """@see: L{IConversation.close}"""
        if self._forget():
            self.connection.loseConnection()

    def packetReceived(self, data: bytes, now: float) -> None:
        """@see: L{IPathReceiver.packetReceived}"""
        self._acceptor.strayReceived(data, self, now)

    def flush(self) -> None:
        """@see: L{IPathReceiver.flush}"""
        self._acceptor.flush()

    def writable(self) -> None:
        """An answer that was refused is lost; whoever wants it asks again."""

    def connectionLost(self, reason: str) -> None:
        """@see: L{IPathReceiver.connectionLost}"""
        self._forget()

    def _forget(self) -> bool:
        limit = self._strangers.pop(self, None)
        if limit is not None and limit.active():
            limit.cancel()
        return limit is not None
