"""
What transports on connections share: who has connected and is not known yet, who is, and how all
of it ends.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet
from zope.interface import implementer

from bmff.errors import TransportUnavailable
from bmff.ibmff import (
    IAcceptor,
    IConversation,
    IPathReceiver,
    IPathTransport,
    ITransport,
    TransportSettings,
)
from bmff.sockets.descriptor import Connection
from bmff.sockets.listener import Listener
from bmff.sockets.names import NamingReactor
from bmff.transports.lifetime import Lifetime

MOST_STRANGERS: Final = 256  # connections whose other end is not known; the oldest is closed
STRANGER_TIME: Final = 10.0  # seconds until such a one is closed
CONNECT_TIME: Final = 5.0  # seconds for one attempt to connect


class TransportReactor(IReactorFDSet, NamingReactor):
    """
    What a transport needs of the reactor.
    """


@implementer(IPathReceiver, IConversation)
class Stranger:
    """
    The other end of a connection that was accepted, until it is known.

    @ivar name: the transport's name.
    @ivar key: the address as bytes.
    @ivar connection: the connection, which has the address for people as well.
    """

    connection: Connection

    def __init__(self, transport: ConnectedTransport, acceptor: IAcceptor, key: bytes) -> None:
        self.name = transport.name
        self.key = key
        self._transport = transport
        self._acceptor = acceptor
        self._limit: IDelayedCall | None = None

    def begin(self, connection: Connection, limit: IDelayedCall) -> None:
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
        if self.connection.receiver is not self:
            raise TransportUnavailable(f"{self.remote} is gone, or known already")
        self._forget()
        self.connection.receiver = receiver
        return self.connection

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
        self._transport.strangers.pop(self.connection, None)
        if self._limit is not None and self._limit.active():
            self._limit.cancel()


@implementer(ITransport)
class ConnectedTransport(ABC):
    """
    A transport on connections. A subclass says how its sockets are bound and connected, and which
    L{Connection} is made of one.

    @cvar name: the transport's name.
    @ivar strangers: by connection, the ones not known yet, oldest first.
    @ivar strangersDropped: how many of them were closed because there were too many.
    """

    name = ""

    def __init__(self, reactor: TransportReactor, settings: TransportSettings) -> None:
        self.strangers: dict[Connection, Stranger] = {}
        self.strangersDropped = 0
        self._reactor = reactor
        self._settings = settings
        self._listeners: list[Listener] = []
        self._life = Lifetime()

    @abstractmethod
    def bind(self) -> list[socket.socket]:
        """
        The sockets to accept connections on.

        @raise TransportUnavailable: there is none to be had.
        """

    @abstractmethod
    def unbind(self) -> None:
        """
        The sockets of L{bind} are closed: remove what they have left.
        """

    @abstractmethod
    async def reach(self, address: str, port: int) -> socket.socket:
        """
        A socket connected to another node.

        @raise TransportUnavailable: there is none to be had.
        """

    @abstractmethod
    def keyOf(self, sock: socket.socket) -> bytes:
        """
        The other end's address as bytes.

        @raise OSError: it is gone.
        """

    @abstractmethod
    def makeConnection(self, sock: socket.socket, receiver: IPathReceiver) -> Connection:
        """
        A connection on a connected socket.

        @raise OSError: the other end is gone.
        """

    def listen(self, acceptor: IAcceptor) -> None:
        """
        @see: L{ITransport.listen}
        """

        def accepted(sock: socket.socket) -> None:
            self._accepted(sock, acceptor)

        for sock in self.bind():
            self._listeners.append(Listener(self._reactor, sock, accepted))
        try:
            for listener in self._listeners:
                listener.start()
        except OSError as error:  # another has begun to listen since
            self._closeListeners()
            raise TransportUnavailable(error.strerror or str(error)) from error

    def _accepted(self, sock: socket.socket, acceptor: IAcceptor) -> None:
        """
        Somebody has connected.
        """
        try:
            stranger = Stranger(self, acceptor, self.keyOf(sock))
            connection = self.makeConnection(sock, stranger)
        except OSError:  # gone again
            sock.close()
            return
        stranger.begin(connection, self._reactor.callLater(STRANGER_TIME, stranger.close))
        self.strangers[connection] = stranger
        self._start(connection)
        if len(self.strangers) > MOST_STRANGERS:
            self.strangersDropped += 1
            oldest = self.strangers.pop(next(iter(self.strangers)))
            oldest.close()

    def _start(self, connection: Connection) -> None:
        connection.lost = self._life.ended
        self._life.paths.add(connection)
        connection.start()

    def connect(self, address: str, port: int, receiver: IPathReceiver) -> Deferred[IPathTransport]:
        """
        @see: L{ITransport.connect}
        """
        return self._life.attempt(self._connect(address, port, receiver))

    async def _connect(self, address: str, port: int, receiver: IPathReceiver) -> IPathTransport:
        sock = await self.reach(address, port)
        try:
            connection = self.makeConnection(sock, receiver)
        except OSError as error:  # gone again
            sock.close()
            raise TransportUnavailable(error.strerror or str(error)) from error
        self._start(connection)
        return connection

    def stopListening(self) -> Deferred[None]:
        """
        @see: L{ITransport.stopListening}
        """
        self._closeListeners()
        return self._life.stop()

    def _closeListeners(self) -> None:
        if self._listeners:
            for listener in self._listeners:
                listener.stop()
            self._listeners.clear()
            self.unbind()
