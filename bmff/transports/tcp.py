"""
FastForward on TCP (RFC 9293), IPv4 and IPv6: for networks that let no UDP through.
"""

from __future__ import annotations

import socket
from typing import Any, Final, cast

from bmff.errors import TransportUnavailable
from bmff.ibmff import IPathReceiver, ITransport, TransportSettings
from bmff.sockets.addresses import IPV6_SIZE, formatAddress, packAddress, unpackAddress
from bmff.sockets.connector import Connector
from bmff.sockets.descriptor import Connection, StreamConnection
from bmff.sockets.names import lookUp
from bmff.transports.connected import CONNECT_TIME, ConnectedTransport, TransportReactor

# What waits here instead of going out is late already, so more is refused.
UNSENT: Final = 16 << 10  # bytes

_TCP_NOTSENT_LOWAT: Final[int] = getattr(socket, "TCP_NOTSENT_LOWAT", 25)  # linux/tcp.h


def make(reactor: object, settings: TransportSettings) -> ITransport:
    """
    @see: L{bmff.ibmff.ITransportMaker.make}
    """
    return TCPTransport(cast(TransportReactor, reactor), settings)


class TCPTransport(ConnectedTransport):
    """
    Connections of TCP, at all the node's hosts.
    """

    name = "tcp"

    def bind(self) -> list[socket.socket]:
        """
        @see: L{ConnectedTransport.bind}
        """
        bound: list[socket.socket] = []
        for host in self._settings.hosts:
            if ":" in host and not socket.has_dualstack_ipv6():
                continue
            try:
                bound.append(self._bindTo(host))
            except (OSError, ValueError) as error:
                for sock in bound:
                    sock.close()
                reason = f"cannot listen on {host} port {self._settings.port}: {error}"
                raise TransportUnavailable(reason) from error
        if not bound:
            raise TransportUnavailable("no host to listen on")
        return bound

    def _bindTo(self, host: str) -> socket.socket:
        """
        @raise OSError: the address is not to be had.
        @raise ValueError: it is not numeric.
        """
        key = packAddress(host, self._settings.port)
        sock = _streamFor(key)
        try:
            # A port whose last connections are still in TIME_WAIT is free.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(unpackAddress(key))
        except OSError:
            sock.close()
            raise
        return sock

    def unbind(self) -> None:
        """
        They leave nothing.
        """

    async def reach(self, address: str, port: int) -> socket.socket:
        """
        @see: L{ConnectedTransport.reach}
        """
        reason = ""
        for key in await lookUp(self._reactor, address, port):
            try:
                connector = Connector(self._reactor, _streamFor(key))
                return await connector.connect(unpackAddress(key), CONNECT_TIME)
            except OSError as error:
                reason = f"{formatAddress(key)}: {error.strerror}"
            except TransportUnavailable as error:
                reason = f"{formatAddress(key)}: {error.reason}"
        raise TransportUnavailable(reason)

    def keyOf(self, sock: socket.socket) -> bytes:
        """
        @see: L{ConnectedTransport.keyOf}
        """
        name: tuple[Any, ...] = sock.getpeername()
        return packAddress(name[0], name[1], name[3] if len(name) == 4 else 0)

    def makeConnection(self, sock: socket.socket, receiver: IPathReceiver) -> Connection:
        """
        @see: L{ConnectedTransport.makeConnection}
        """
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, UNSENT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        remote = formatAddress(self.keyOf(sock))
        return StreamConnection(self._reactor, sock, receiver, name=self.name, remote=remote)


def _streamFor(key: bytes) -> socket.socket:
    """
    A socket of the family of an address.

    @raise OSError: there is none to be had.
    """
    family = socket.AF_INET6 if len(key) == IPV6_SIZE else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM)
