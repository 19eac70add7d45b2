"""
What transports on sockets with connections share: how those who connect and those who are connected
to become paths, and how all of it ends.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet
from zope.interface import implementer

from bmff.errors import TransportUnavailable
from bmff.ibmff import (
    IAcceptor,
    IPathReceiver,
    IPathTransport,
    ITransport,
    TransportSettings,
)
from bmff.sockets.descriptor import Connection
from bmff.sockets.listener import Listener
from bmff.sockets.names import NamingReactor
from bmff.transports.lifetime import Lifetime
from bmff.transports.strangers import Reception, Stranger

CONNECT_TIME: Final = 5.0  # seconds for one attempt to connect


class TransportReactor(IReactorFDSet, NamingReactor):
    """
    What a transport needs of the reactor.
    """


@implementer(ITransport)
class ConnectedTransport(Reception, ABC):
    """
    A transport on connections. A subclass says how its sockets are bound and connected, and which
    L{Connection} is made of one.
    """

    _reactor: TransportReactor

    def __init__(self, reactor: TransportReactor, settings: TransportSettings) -> None:
        super().__init__(reactor)
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
        self.greet(stranger, connection)
        self._start(connection)

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
