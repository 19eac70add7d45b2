"""
FastForward between a hypervisor's host and its guests on vSockets, which need no network (vsock(7)
of Linux).

A node has one number, and the kernel has one namespace of ports for all kinds of connections. So a
node listens at its number for streams (C{SOCK_STREAM}), where a datagram socket of the same number
has room beside them (C{SOCK_DGRAM}), and at its number + 65536 for records (C{SOCK_SEQPACKET}): on
each of them that the kernel has. Who connects tries, in this order:

 1. datagrams, where there are any (VMware's VMCI): offered on a stream, and agreed on when the
    other end answers. The stream stays, as the sign of life;
 2. records, which keep the boundaries of packets themselves (virtio);
 3. a stream, on which each packet has its length in front (Hyper-V, Firecracker).

A kind that this kernel, the hypervisor or the other end does not have gives way to the next.

An address C{unix:/path} is the socket of a monitor on the host, see L{bmff.transports.vmm}; on the
way through it there are streams only.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from struct import Struct
from typing import Final, cast

from twisted.internet.defer import TimeoutError as NoAnswer

from bmff.errors import TransportUnavailable
from bmff.ibmff import IAcceptor, IPathReceiver, IPathTransport, ITransport, TransportSettings
from bmff.sockets.connector import Connector
from bmff.sockets.descriptor import NOBODY, Connection, StreamConnection
from bmff.transports.connected import CONNECT_TIME, ConnectedTransport, TransportReactor
from bmff.transports.strangers import Stranger
from bmff.transports.vmm import GuestSocket, reachGuest
from bmff.transports.vsockaddress import VSocketAddress, formatPeer, packKey
from bmff.transports.vsockconnection import AgreeingConnection, RecordConnection
from bmff.transports.vsockdatagrams import DatagramSocket
from bmff.transports.vsockfamily import VSOCK, VSocketFamily

RECORDS: Final = 0x10000  # what the port of records is above the node's number
AGREE_TIME: Final = 2.0  # seconds until the other end has taken datagrams or does not get any
OFF: Final = "it is off: no hypervisor is named ([fastforward] hypervisor)"

# This kernel, or what lies between, does not have the kind.
_MISSING: Final = frozenset(
    (
        errno.EAFNOSUPPORT,
        errno.ENODEV,
        errno.EOPNOTSUPP,
        errno.EPROTONOSUPPORT,
        errno.EPROTOTYPE,
        errno.ESOCKTNOSUPPORT,
    )
)
# The other end does not.
_ELSEWHERE: Final = frozenset((errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOENT))
_KINDS: Final = ((socket.SOCK_SEQPACKET, RECORDS), (socket.SOCK_STREAM, 0))
_CREDENTIALS: Final = Struct("=iII")  # struct ucred: process, user, group


def make(reactor: object, settings: TransportSettings) -> ITransport:
    """
    @see: L{bmff.ibmff.ITransportMaker.make}
    """
    if settings.vsock is None:
        raise TransportUnavailable(OFF)
    return VSocketTransport(cast(TransportReactor, reactor), settings, settings.vsock.monitors)


class VSocketTransport(ConnectedTransport):
    """
    Connections of vSockets, and through the sockets of monitors on this host.

    @ivar datagrams: the socket for those; L{None} where there are none, and before L{listen}.
    """

    name = "vsock"

    def __init__(
        self,
        reactor: TransportReactor,
        settings: TransportSettings,
        monitors: Sequence[str] = (),
        family: VSocketFamily = VSOCK,
    ) -> None:
        """
        @param monitors: the sockets of those whose guests may connect.
        @param family: where sockets come from.
        """
        super().__init__(reactor, settings)
        self.datagrams: DatagramSocket | None = None
        self._family = family
        self._guests = [GuestSocket(path, settings.port) for path in monitors]

    @property
    def cid(self) -> int:
        """
        This machine's context ID, by which its host or guests reach it; 0 when it has none.
        """
        return self._family.cid()

    def bind(self) -> list[socket.socket]:
        """
        @see: L{ConnectedTransport.bind}
        """
        with ExitStack() as undo:
            bound: list[socket.socket] = []
            reason = ""
            for kind, above in _KINDS:
                try:
                    bound.append(undo.enter_context(self._bindTo(kind, above)))
                except OSError as error:
                    reason = error.strerror or str(error)
                    if error.errno not in _MISSING:
                        raise TransportUnavailable(
                            f"vSocket port {self._settings.port + above}: {reason}"
                        ) from error
            for guest in self._guests:
                bound.append(undo.enter_context(guest.bind()))
                undo.callback(guest.unbind)
            if not bound:
                raise TransportUnavailable(reason)
            self._bindDatagrams()
            undo.pop_all()
        return bound

    def _bindTo(self, kind: int, above: int) -> socket.socket:
        """
        @raise OSError: it is not to be had.
        """
        sock = self._family.make(kind)
        try:
            self._family.bind(sock, self._settings.port + above)
        except OSError:
            sock.close()
            raise
        return sock

    def _bindDatagrams(self) -> None:
        """
        @raise TransportUnavailable: another has the port.
        """
        port = self._settings.port
        try:
            sock = self._bindTo(socket.SOCK_DGRAM, 0)
        except OSError as error:
            if error.errno in _MISSING:
                return
            raise TransportUnavailable(f"vSocket port {port}: {error.strerror or error}") from error
        self.datagrams = DatagramSocket(self._reactor, self._family, sock, port)

    def listen(self, acceptor: IAcceptor) -> None:
        """
        @see: L{ITransport.listen}
        """
        super().listen(acceptor)
        if self.datagrams is not None:
            self.datagrams.start()

    def unbind(self) -> None:
        """
        @see: L{ConnectedTransport.unbind}
        """
        for guest in self._guests:
            guest.unbind()
        if self.datagrams is not None:
            self.datagrams.stop()
            self.datagrams = None

    async def _connect(self, address: str, port: int, receiver: IPathReceiver) -> IPathTransport:
        """
        @see: L{ConnectedTransport.connect}
        """
        place = VSocketAddress.parse(address)
        if self.datagrams is not None and not place.path:
            path = await self._agree(self.datagrams, place.cid, port, receiver)
            if path is not None:
                return path
        return await super()._connect(address, port, receiver)

    async def _agree(
        self, datagrams: DatagramSocket, cid: int, port: int, receiver: IPathReceiver
    ) -> IPathTransport | None:
        """
        Connect with datagrams.

        @return: L{None} if the other end does not take them.
        """
        try:
            sock = await self._reachKind(socket.SOCK_STREAM, cid, port)
        except OSError:
            return None
        connection = self._makeStream(sock, NOBODY, cid, datagrams)
        self._start(connection)
        try:
            await connection.offer().addTimeout(AGREE_TIME, self._reactor)
        except NoAnswer:
            return None
        except TransportUnavailable:
            if self._life.stopped:
                raise
            return None
        connection.receiver = receiver
        return connection

    async def reach(self, address: str, port: int) -> socket.socket:
        """
        @see: L{ConnectedTransport.reach}
        """
        place = VSocketAddress.parse(address)
        if place.path:
            return await reachGuest(self._reactor, place.path, port, CONNECT_TIME)
        reason = ""
        for kind, above in _KINDS:
            try:
                return await self._reachKind(kind, place.cid, port + above)
            except OSError as error:
                reason = error.strerror or str(error)
        raise TransportUnavailable(f"{formatPeer(place.cid, port)}: {reason}")

    async def _reachKind(self, kind: int, cid: int, port: int) -> socket.socket:
        """
        Connect with one kind of socket.

        @raise OSError: it is not to be had, here or there, but another may be.
        @raise TransportUnavailable: no other would do better.
        """
        try:
            sock = self._family.make(kind)
        except OSError as error:
            if error.errno in _MISSING:
                raise
            raise TransportUnavailable(error.strerror or str(error)) from error
        connector = Connector(self._reactor, sock)
        try:
            return await connector.connect(self._family.address(kind, cid, port), CONNECT_TIME)
        except TransportUnavailable as error:
            if connector.error in _MISSING | _ELSEWHERE:
                raise OSError(connector.error, error.reason) from error
            raise TransportUnavailable(f"{formatPeer(cid, port)}: {error.reason}") from error

    def keyOf(self, sock: socket.socket) -> bytes:
        """
        Context ID and port, or the monitor's process, user and group.
        """
        if self._family.owns(sock):
            return packKey(*self._family.peer(sock))
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)

    def makeConnection(self, sock: socket.socket, receiver: IPathReceiver) -> Connection:
        """
        @see: L{ConnectedTransport.makeConnection}
        """
        if not self._family.owns(sock):
            process, user, _group = _CREDENTIALS.unpack(self.keyOf(sock))
            remote = f"guest of process {process} of user {user}"
            return StreamConnection(self._reactor, sock, receiver, name=self.name, remote=remote)
        cid, port = self._family.peer(sock)
        if sock.type == socket.SOCK_SEQPACKET:
            remote = formatPeer(cid, port)
            return RecordConnection(self._reactor, sock, receiver, name=self.name, remote=remote)
        # Whoever connects has offered datagrams before, or does not want any.
        datagrams = self.datagrams if isinstance(receiver, Stranger) else None
        return self._makeStream(sock, receiver, cid, datagrams)

    def _makeStream(
        self,
        sock: socket.socket,
        receiver: IPathReceiver,
        cid: int,
        datagrams: DatagramSocket | None,
    ) -> AgreeingConnection:
        remote = formatPeer(*self._family.peer(sock))
        return AgreeingConnection(
            self._reactor,
            sock,
            receiver,
            name=self.name,
            remote=remote,
            cid=cid,
            datagrams=datagrams,
        )
