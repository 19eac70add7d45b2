"""
FastForward on UDP (RFC 768), IPv4 and IPv6: one socket for each of the node's addresses, and all
paths on it.

A packet that the kernel has no room for is lost like any other. Nobody is told when there is room
again: the link repairs what is lost on the way, and this with it.
"""

from __future__ import annotations

import socket
from typing import Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
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
from bmff.sockets.addresses import IPV6_SIZE, formatAddress, unpackAddress
from bmff.sockets.datagrams import DatagramPort
from bmff.sockets.descriptor import CLOSED_HERE, NOBODY
from bmff.sockets.names import lookUp
from bmff.transports.connected import TransportReactor
from bmff.transports.lifetime import Lifetime

NAME: Final = "udp"
LARGEST: Final = 1500  # bytes of a datagram that is received
MOST_PATHS: Final = 4096
MOST_STRAYS: Final = 16  # packets from unknown addresses that are heard in one turn

_WILDCARDS: Final = ("0.0.0.0", "::")
_LOG_INTERVAL: Final = 1.0  # seconds between two reports of receivers' failures


def make(reactor: object, settings: TransportSettings) -> ITransport:
    """
    @see: L{bmff.ibmff.ITransportMaker.make}
    """
    return UDPTransport(cast(TransportReactor, reactor), settings)


class Host:
    """
    One address of the node: its socket, and who is heard there.

    @ivar port: the socket.
    @ivar paths: what is open, by the other end's address.
    @ivar failed: times that a receiver raised at the end of a turn.
    @ivar straysDropped: packets from unknown addresses that were too many for their turn.
    """

    _log = Logger()

    def __init__(self, transport: UDPTransport, acceptor: IAcceptor, host: str, port: int) -> None:
        """
        @raise ValueError: the host is not a numeric address.
        @raise CannotListenError: it is not to be had.
        """
        self.paths: dict[bytes, DatagramPath] = {}
        self.failed = 0
        self.straysDropped = 0
        self.transport = transport
        self._acceptor = acceptor
        self._heard: list[DatagramPath] = []  # in this turn
        self._strays: list[tuple[bytes, bytes]] = []  # in this turn
        self._nextReport = float("-inf")
        self.port = DatagramPort(transport.reactor, host, port, self, size=LARGEST)

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        """
        Hand it to whom it is for.
        """
        if not data:
            return
        path = self.paths.get(address)
        if path is None:
            if len(self._strays) < MOST_STRAYS:
                self._strays.append((data, address))
            else:
                self.straysDropped += 1
            return
        if not path.heard:
            path.heard = True
            self._heard.append(path)
        path.packetsReceived += 1
        path.receiver.packetReceived(data, now)

    def _hearStrays(self) -> None:
        """
        Hand strangers' packets to the acceptor, and what a stranger sends after it was let in to
        its path.
        """
        strays, self._strays = self._strays, []
        now = self.transport.reactor.seconds()
        for data, address in strays:
            try:
                if address in self.paths:
                    self.datagramReceived(data, address, now)
                else:
                    self._acceptor.strayReceived(data, DatagramConversation(self, address), now)
            except Exception:
                self._receiverFailed()

    def flush(self) -> None:
        """
        End the turn for everybody who was given something in it, and only then hear strangers: a
        flood of them is not to hold up calls.
        """
        self._flushHeard()
        if self._strays:
            self._hearStrays()
            self._flushHeard()
            self._acceptor.flush()  # the port counts and logs what it raises

    def _flushHeard(self) -> None:
        heard, self._heard = self._heard, []
        for path in heard:
            path.heard = False
            try:
                path.receiver.flush()
            except Exception:
                self._receiverFailed()

    def _receiverFailed(self) -> None:
        """
        Count the exception at hand, and log it unless another was logged within the last second.
        """
        self.failed += 1
        now = self.transport.reactor.seconds()
        if now >= self._nextReport:
            self._nextReport = now + _LOG_INTERVAL
            self._log.failure("udp: a receiver failed, {failed} times so far", failed=self.failed)


@implementer(IConversation)
class DatagramConversation:
    """
    An address that something came from; nothing else is kept of it.

    @ivar host: which of the node's addresses it came to.
    @ivar key: the address, a key of L{bmff.sockets.addresses}.
    """

    __slots__ = ("host", "key")
    name = NAME

    def __init__(self, host: Host, key: bytes) -> None:
        self.host = host
        self.key = key

    @property
    def remote(self) -> str:
        """
        @see: L{IConversation}
        """
        return formatAddress(self.key)

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{IConversation.sendPacket}
        """
        return bool(data) and self.host.port.sendTo(data, self.key)

    def open(self, receiver: IPathReceiver) -> IPathTransport:
        """
        @see: L{IConversation.open}
        """
        return self.host.transport.open(self.host, self.key, receiver)

    def close(self) -> None:
        """
        There is nothing to close.
        """


@implementer(IPathTransport)
class DatagramPath:
    """
    The way to one address, from one of the node's own.

    @ivar receiver: takes what comes from there.
    @ivar address: the other end's, a key of L{bmff.sockets.addresses}.
    @ivar heard: whether something has come in this turn.
    @ivar packetsReceived: packets handed to the receiver.
    @ivar packetsSent: packets that the kernel took.
    @ivar refused: packets that it did not take.
    """

    name = NAME
    reliable = False
    ordered = False
    trusted = False

    def __init__(self, host: Host, address: bytes, receiver: IPathReceiver) -> None:
        self.receiver = receiver
        self.address = address
        self.heard = False
        self.packetsReceived = 0
        self.packetsSent = 0
        self.refused = 0
        self._host = host
        self._send = host.port.sender(address)
        self._open = True
        host.paths[address] = self

    @property
    def remote(self) -> str:
        """
        @see: L{IPathTransport}
        """
        return formatAddress(self.address)

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{IPathTransport.sendPacket}
        """
        if self._open and data and self._send(data):
            self.packetsSent += 1
            return True
        self.refused += 1
        return False

    def moveTo(self, conversation: object) -> None:
        """
        @see: L{IPathTransport.moveTo}
        """
        if not (self._open and isinstance(conversation, DatagramConversation)):
            return
        host, address = conversation.host, conversation.key
        other = host.paths.get(address)
        if other is self:
            return
        if other is not None:
            other.lose("another node has its address now")
        del self._host.paths[self.address]
        self._host, self.address = host, address
        self._send = host.port.sender(address)
        host.paths[address] = self

    def loseConnection(self) -> None:
        """
        @see: L{IPathTransport.loseConnection}
        """
        self.lose(CLOSED_HERE)

    def lose(self, reason: str) -> None:
        """
        Forget the address; the receiver is told in a later turn.

        @param reason: for people.
        """
        if self._open:
            self._open = False
            del self._host.paths[self.address]
            receiver, self.receiver = self.receiver, NOBODY
            self._host.transport.reactor.callLater(0, self._tell, receiver, reason)

    def _tell(self, receiver: IPathReceiver, reason: str) -> None:
        self._host.transport.ended(self)
        receiver.connectionLost(reason)


@implementer(ITransport)
class UDPTransport:
    """
    All paths of a node on UDP.

    @ivar reactor: the node's.
    @ivar hosts: the addresses that it listens at.
    """

    name = NAME

    def __init__(self, reactor: TransportReactor, settings: TransportSettings) -> None:
        self.reactor = reactor
        self.hosts: list[Host] = []
        self._settings = settings
        self._life = Lifetime()

    def listen(self, acceptor: IAcceptor) -> None:
        """
        @see: L{ITransport.listen}
        """
        for host in self._settings.hosts:
            if ":" in host and not socket.has_dualstack_ipv6():
                continue
            try:
                self.hosts.append(Host(self, acceptor, host, self._settings.port))
            except (ValueError, CannotListenError) as error:
                self._closePorts()
                reason = getattr(error, "socketError", error)
                raise TransportUnavailable(
                    f"cannot listen on {host} port {self._settings.port}: {reason}"
                ) from error
        if not self.hosts:
            raise TransportUnavailable("no host to listen on")
        for one in self.hosts:
            one.port.startListening()

    def connect(self, address: str, port: int, receiver: IPathReceiver) -> Deferred[IPathTransport]:
        """
        @see: L{ITransport.connect}
        """
        return self._life.attempt(self._connect(address, port, receiver))

    async def _connect(self, address: str, port: int, receiver: IPathReceiver) -> IPathTransport:
        """
        Nothing is sent: whether somebody is there shows when the link speaks.
        """
        for key in await lookUp(self.reactor, address, port):
            host = self._hostFor(key)
            if host is not None:
                return self.open(host, key, receiver)
        raise TransportUnavailable(f"no way to {address} from the addresses of this node")

    def _hostFor(self, key: bytes) -> Host | None:
        """
        The host whose packets reach this address.
        """
        family = socket.AF_INET6 if len(key) == IPV6_SIZE else socket.AF_INET
        hosts = [host for host in self.hosts if host.port.family == family]
        if len(hosts) < 2:
            return hosts[0] if hosts else None
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(unpackAddress(key))  # sends nothing, but the kernel picks the way
                source = probe.getsockname()[0]
        except OSError:
            return None
        fitting = [host for host in hosts if host.port.host in (source, *_WILDCARDS)]
        return fitting[0] if fitting else None

    def open(self, host: Host, key: bytes, receiver: IPathReceiver) -> IPathTransport:
        """
        The path from one of our addresses to another node's.

        @raise TransportUnavailable: there is one already, or there are too many.
        """
        if self._life.stopped:
            raise TransportUnavailable("stopped")
        if key in host.paths:
            raise TransportUnavailable(f"a path to {formatAddress(key)} is open")
        if len(self._life.paths) >= MOST_PATHS:
            raise TransportUnavailable(f"{MOST_PATHS} paths are open")
        path = DatagramPath(host, key, receiver)
        self._life.paths.add(path)
        return path

    def ended(self, path: DatagramPath) -> None:
        """
        A path is gone, and its receiver is told now.
        """
        self._life.ended(path)

    def stopListening(self) -> Deferred[None]:
        """
        @see: L{ITransport.stopListening}
        """
        self._closePorts()
        return self._life.stop()

    def _closePorts(self) -> None:
        for host in self.hosts:
            host.port.stopListening()
        self.hosts.clear()
