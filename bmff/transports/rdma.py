"""
FastForward over RDMA, on InfiniBand and on Ethernet (RoCE): reliable connections that rdma_cm makes
between IP addresses (rdma_cm(7), InfiniBand Architecture Specification 1.2.1 Annex A11 and A17).
"""

from __future__ import annotations

import errno
from functools import partial
from pathlib import Path
from typing import Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from bmff.errors import ProtocolError, TransportUnavailable
from bmff.ibmff import (
    IAcceptor,
    IPathReceiver,
    IPathTransport,
    ITransport,
    TransportSettings,
)
from bmff.sockets.addresses import formatAddress, packAddress
from bmff.sockets.names import lookUp
from bmff.transports.connected import TransportReactor
from bmff.transports.lifetime import Lifetime
from bmff.transports.rdmaaddress import DEVICES, NO_GID, hostOf, isGID, sockaddrOf
from bmff.transports.rdmaconnection import RDMAConnection
from bmff.transports.rdmadevice import Device
from bmff.transports.rdmahello import Hello, decodeHello, encodeRefusal
from bmff.transports.rdmaidentifier import Channel, Happening, Identifier
from bmff.transports.rdmapool import SLOT_SIZE
from bmff.transports.rdmaqueue import RECEIVES, QueuePair
from bmff.transports.rdmaverbs import CONNECT_REQUEST, Verbs, openVerbs, unavailable
from bmff.transports.strangers import Reception, Stranger

# Fewer than elsewhere: each holds half a megabyte that is locked into memory.
MOST_STRANGERS: Final = 32

RETURN_TIME: Final = 2.0  # seconds between two looks whether a device is back

# An address that no RDMA device has, or of a family that the host does not have.
_NOT_HERE: Final = (errno.ENODEV, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def make(reactor: object, settings: TransportSettings) -> ITransport:
    """
    @see: L{bmff.ibmff.ITransportMaker.make}
    """
    return RDMATransport(cast(TransportReactor, reactor), settings, openVerbs())


@implementer(ITransport)
class RDMATransport(Reception):
    """
    Connections of RDMA, at all the node's hosts that an RDMA device has.

    @ivar refused: connections that were asked for and not taken.
    """

    name = "rdma"
    _reactor: TransportReactor
    _log = Logger()

    def __init__(
        self,
        reactor: TransportReactor,
        settings: TransportSettings,
        verbs: Verbs,
        devices: Path = DEVICES,
    ) -> None:
        """
        @param devices: the folder in which the kernel shows its RDMA devices.
        @raise TransportUnavailable: there is no RDMA here.
        """
        super().__init__(reactor)
        self.refused = 0
        self._settings = settings
        self._verbs = verbs
        self._shown = devices
        self._devices: list[Device] = []
        self._listeners: dict[str, Identifier] = {}
        self._returns: dict[str, IDelayedCall] = {}
        self._life = Lifetime()
        self._channel = Channel(reactor, verbs)
        self._hello = Hello(RECEIVES, SLOT_SIZE)

    # Those who connect to us.

    def listen(self, acceptor: IAcceptor) -> None:
        """
        @see: L{ITransport.listen}
        """
        if self._life.stopped:
            raise TransportUnavailable("stopped")
        port, missing = self._settings.port, ""
        for host in self._settings.hosts:
            try:
                self._listenOn(host, port, acceptor)
            except (OSError, ValueError) as error:
                missing = f"cannot listen on {host} port {port}: {error}"
                if isinstance(error, OSError) and error.errno in _NOT_HERE:
                    continue
                self._closeListeners()
                raise TransportUnavailable(missing) from error
        if not self._listeners:
            raise TransportUnavailable(missing or "no host to listen on")

    def _listenOn(self, host: str, port: int, acceptor: IAcceptor) -> None:
        """
        @raise OSError: the address is not to be had.
        @raise ValueError: it is not numeric.
        """
        key = packAddress(host, port)
        listener = Identifier(self._channel)
        listener.watcher = partial(self._asked, acceptor)
        try:
            listener.listen(sockaddrOf(key), only=":" in host)
        except OSError:
            listener.close()
            raise
        self._listeners[host] = listener

    def _asked(self, acceptor: IAcceptor, happening: Happening) -> None:
        """
        Somebody wants to connect.
        """
        if happening.kind != CONNECT_REQUEST:  # its device is taken away
            self._lost(acceptor, happening)
            return
        identifier = Identifier(self._channel, happening.identifier)
        try:
            self._accept(acceptor, identifier, decodeHello(happening.data))
        except ProtocolError as error:
            self._refuse(identifier, error.reason)
        except OSError as error:
            self._refuse(identifier, unavailable(error))

    def _lost(self, acceptor: IAcceptor, happening: Happening) -> None:
        """
        A listener at an address of its own goes with its device, and comes back with it.
        """
        for host, listener in list(self._listeners.items()):
            if listener.address == happening.identifier:
                del self._listeners[host]
                listener.close()
                self._log.warn("rdma at {host}: {reason}", host=host, reason=happening.reason)
                self._returns[host] = self._reactor.callLater(
                    RETURN_TIME, self._return, host, acceptor
                )

    def _return(self, host: str, acceptor: IAcceptor) -> None:
        del self._returns[host]
        try:
            self._listenOn(host, self._settings.port, acceptor)
        except OSError as error:
            self._log.debug("not yet rdma at {host}: {error}", host=host, error=error)
            again = self._reactor.callLater(RETURN_TIME, self._return, host, acceptor)
            self._returns[host] = again
        else:
            self._log.info("rdma listens at {host} again", host=host)

    def _refuse(self, identifier: Identifier, reason: str) -> None:
        self.refused += 1
        identifier.reject(encodeRefusal(reason))

    def _accept(self, acceptor: IAcceptor, identifier: Identifier, hello: Hello) -> None:
        """
        @raise ProtocolError: the other end has too little room.
        @raise OSError: this one has, or the other is gone.
        """
        if len(self.strangers) >= MOST_STRANGERS:
            self.dropOldest()
        key = identifier.remote
        stranger = Stranger(self, acceptor, key)
        queue = self._queueFor(identifier)
        try:
            connection = self._connection(identifier, queue, hello, stranger, key)
            identifier.accept(self._hello.encode())
        except (OSError, ProtocolError):
            queue.close()
            raise
        self.greet(stranger, connection)
        self._start(connection)

    def _queueFor(self, identifier: Identifier) -> QueuePair:
        """
        Queues on the device that an identifier has found.

        @raise OSError: the device has no room for them.
        """
        for device in self._devices:
            if device.context == identifier.context and not device.removed:
                break
        else:
            device = Device(self._channel, identifier)
            self._devices = [one for one in self._devices if not one.removed] + [device]
        return QueuePair(self._verbs, device, identifier.address)

    def _connection(
        self,
        identifier: Identifier,
        queue: QueuePair,
        hello: Hello,
        receiver: IPathReceiver,
        key: bytes,
    ) -> RDMAConnection:
        return RDMAConnection(self._reactor, identifier, queue, hello, receiver, formatAddress(key))

    def _start(self, connection: RDMAConnection) -> None:
        connection.lost = self._life.ended
        self._life.paths.add(connection)
        connection.start()

    # Those that we connect to.

    def connect(self, address: str, port: int, receiver: IPathReceiver) -> Deferred[IPathTransport]:
        """
        @see: L{ITransport.connect}
        """
        return self._life.attempt(self._connect(address, port, receiver))

    async def _connect(self, address: str, port: int, receiver: IPathReceiver) -> IPathTransport:
        reason = ""
        for key in await lookUp(self._reactor, hostOf(address, self._shown), port):
            try:
                return await self._reach(key, receiver)
            except TransportUnavailable as error:
                reason = f"{formatAddress(key)}: {error.reason}"
        raise TransportUnavailable(reason + NO_GID if isGID(address) else reason)

    async def _reach(self, key: bytes, receiver: IPathReceiver) -> IPathTransport:
        """
        @raise TransportUnavailable: nobody can be reached there.
        """
        identifier = queue = connection = None
        try:
            identifier = Identifier(self._channel)
            await identifier.resolve(sockaddrOf(key))
            queue = self._queueFor(identifier)
            answer = await identifier.connect(self._hello.encode())
            connection = self._connection(identifier, queue, decodeHello(answer), receiver, key)
        except OSError as error:
            raise TransportUnavailable(unavailable(error)) from error
        except ProtocolError as error:
            raise TransportUnavailable(error.reason) from error
        finally:
            if connection is None:  # it has failed, or was cancelled
                if queue is not None:
                    queue.close()
                if identifier is not None:
                    identifier.close()
        self._start(connection)
        return connection

    # The end.

    def stopListening(self) -> Deferred[None]:
        """
        @see: L{ITransport.stopListening}
        """
        self._closeListeners()
        return self._life.stop().addCallback(self._stopped)

    def _stopped(self, _: None) -> None:
        for device in self._devices:
            device.close()
        self._channel.close()

    def _closeListeners(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        for call in self._returns.values():
            call.cancel()
        self._returns.clear()
