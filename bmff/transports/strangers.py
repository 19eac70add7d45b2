"""
Who has connected to a transport and is not known yet: in limited number, and for a limited time.

Anybody can connect and say nothing, or not enough. What comes from such a one goes to the acceptor,
until it proves who it is and is opened for a receiver (docs/fastforward.md, section 3).
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from bmff.errors import TransportUnavailable
from bmff.ibmff import IAcceptor, IConversation, IPathReceiver, IPathTransport

MOST_STRANGERS: Final = 256  # connections whose other end is not known; the oldest is closed
STRANGER_TIME: Final = 10.0  # seconds until such a one is closed


class Line(Protocol):
    """
    What a connection has to be for a stranger to be at its other end: an L{IPathTransport}, and
    this.

    @ivar receiver: takes the packets; the stranger's own until it is opened, another's after its
        end has begun.
    @ivar remote: the other end's address, for people.
    """

    receiver: Any
    remote: str

    def sendPacket(self, data: bytes) -> bool: ...

    def loseConnection(self) -> None: ...


@implementer(IPathReceiver, IConversation)
class Stranger:
    """
    The other end of a connection that was accepted, until it is known.

    @ivar name: the transport's name.
    @ivar key: the address as bytes.
    @ivar connection: the connection, which has the address for people as well.
    """

    connection: Line

    def __init__(self, reception: Reception, acceptor: IAcceptor, key: bytes) -> None:
        """
        @param reception: where it has connected to, and waits to be known.
        """
        self.name = reception.name
        self.key = key
        self._reception = reception
        self._acceptor = acceptor
        self._limit: IDelayedCall | None = None

    def begin(self, connection: Line, limit: IDelayedCall | None) -> None:
        """
        Speak on this connection.

        @param limit: closes it if nobody opens it.
        """
        self.connection = connection
        self._limit = limit

    @property
    def remote(self) -> str:
        """
        @see: L{IConversation}
        """
        return self.connection.remote

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{IConversation.sendPacket}
        """
        return self.connection.sendPacket(data)

    def open(self, receiver: IPathReceiver) -> IPathTransport:
        """
        @see: L{IConversation.open}
        """
        connection: Any = self.connection
        if connection.receiver is not self:
            raise TransportUnavailable(f"{self.remote} is gone, or known already")
        self._forget()
        connection.receiver = receiver
        path: IPathTransport = connection
        return path

    def close(self) -> None:
        """
        @see: L{IConversation.close}
        """
        if self.connection.receiver is self:
            self.connection.loseConnection()

    def packetReceived(self, data: bytes, now: float) -> None:
        """
        @see: L{IPathReceiver.packetReceived}
        """
        self._acceptor.strayReceived(data, self, now)

    def flush(self) -> None:
        """
        @see: L{IPathReceiver.flush}
        """
        self._acceptor.flush()

    def writable(self) -> None:
        """
        An answer that was refused is lost; whoever wants it asks again.
        """

    def connectionLost(self, reason: str) -> None:
        """
        @see: L{IPathReceiver.connectionLost}
        """
        self._forget()

    def _forget(self) -> None:
        self._reception.strangers.pop(self.connection, None)
        if self._limit is not None and self._limit.active():
            self._limit.cancel()


class Reception:
    """
    The side of a transport that others connect to: a transport derives from it, makes a L{Stranger}
    the receiver of each connection that it accepts, and has it greeted.

    @cvar name: the transport's name.
    @ivar strangers: by connection, the ones not known yet, oldest first.
    @ivar strangersDropped: how many of them were closed because there were too many.
    """

    name = ""

    def __init__(self, reactor: IReactorTime) -> None:
        self.strangers: dict[Line, Stranger] = {}
        self.strangersDropped = 0
        self._reactor = reactor

    def greet(self, stranger: Stranger, connection: Line) -> None:
        """
        Somebody has connected: listen to them for L{STRANGER_TIME}, as one of no more than
        L{MOST_STRANGERS}.
        """
        stranger.begin(connection, self._reactor.callLater(STRANGER_TIME, stranger.close))
        self.strangers[connection] = stranger
        if len(self.strangers) > MOST_STRANGERS:
            self.dropOldest()

    def dropOldest(self) -> None:
        """
        Close the one that has been a stranger for longest.
        """
        self.strangersDropped += 1
        self.strangers.pop(next(iter(self.strangers))).close()
