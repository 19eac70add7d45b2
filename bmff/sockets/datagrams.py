"""
UDP (RFC 768) on the reactor: a port that drains up to 64 datagrams a turn with one system call
and sends one datagram to many with another (recvmmsg(2), sendmmsg(2), udp(7) of Linux).

Where the C library or a sandbox lacks these calls, the same is done one by one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.sockets import mmsg
from bmff.sockets.addresses import formatAddress, packAddress, unpackAddress
from bmff.sockets.fanout import FULL, FanOut, PlainFanOut, TableFanOut

__all__ = ["DatagramPort", "DatagramReactor", "DatagramReceiver", "FanOut", "PlainFanOut"]

TURN: Final = 64  # datagrams that one turn drains at most
SEND_BUFFER: Final = 4 << 20  # bytes asked of the kernel

_SO_SNDBUFFORCE: Final = 32  # asm-generic/socket.h; neither is in Python's socket module
_SO_RCVBUFFORCE: Final = 33
_LOG_INTERVAL: Final = 1.0  # seconds between two reports of a receiver's failures


class DatagramReceiver(Protocol):
    """
    What a port hands its datagrams to.
    """

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        """
        @param address: the sender, as a key of L{bmff.sockets.addresses}.
        @param now: the reactor's seconds at the start of the turn.
        """

    def flush(self) -> None:
        """
        The turn's last datagram has been received.
        """


class DatagramReactor(Protocol):
    """
    What a port needs of the reactor.
    """

    def addReader(self, reader: IReadDescriptor) -> None: ...

    def removeReader(self, reader: IReadDescriptor) -> None: ...

    def seconds(self) -> float: ...


class _PlainReceive:
    """
    What L{mmsg.ReceiveTable} does, one datagram a system call; the kernel's drops are not told.

    @ivar tooLong: datagrams dropped because they were longer than the size.
    @ivar drops: always 0.
    @ivar errors: receive calls that failed for another reason than that nothing was there.
    """

    def __init__(self, size: int) -> None:
        self.tooLong = 0
        self.drops = 0
        self.errors = 0
        self._size = size
        self._socket: socket.socket | None = None

    def attach(self, sock: socket.socket | None) -> None:
        """
        Receive from this socket from now on; L{None} for none.
        """
        self._socket = sock

    def receive(self) -> Sequence[tuple[bytes, bytes]]:
        """
        What is there, at most L{TURN} datagrams, without waiting.
        """
        received: list[tuple[bytes, bytes]] = []
        if self._socket is None:
            return received
        for _ in range(TURN):
            try:
                data, name = self._socket.recvfrom(self._size + 1, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.errors += 1
                break
            if len(data) > self._size:
                self.tooLong += 1
            else:
                received.append((data, _packName(name)))
        return received


def _packName(name: tuple[str, int] | tuple[str, int, int, int]) -> bytes:
    """
    The key of what Python's socket module calls an address.
    """
    return packAddress(name[0].partition("%")[0], name[1], name[3] if len(name) == 4 else 0)


def _raiseBuffer(sock: socket.socket, option: int, force: int, size: int) -> int:
    """
    Ask for a larger socket buffer, above the system's limit where that is allowed.

    @return: the buffer's size now, bytes, with what the kernel adds for its own use.
    """
    # The kernel doubles what it is asked for, see socket(7).
    if sock.getsockopt(socket.SOL_SOCKET, option) < 2 * size:
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, size)
        except OSError:  # not root
            sock.setsockopt(socket.SOL_SOCKET, option, size)
    return sock.getsockopt(socket.SOL_SOCKET, option)


@implementer(IReadDescriptor)
class DatagramPort:
    """
    A UDP port, IPv4 or IPv6 but never both.

    @ivar receiver: what the datagrams are handed to.
    @ivar family: C{AF_INET} or C{AF_INET6}.
    @ivar descriptor: the socket's file descriptor, -1 when closed.
    @ivar receiveBuffer: bytes that the kernel really gave, its own overhead included.
    @ivar sendBuffer: the same for sending.
    @ivar received: datagrams handed to the receiver.
    @ivar failed: datagrams, and flushes, at which the receiver raised.
    @ivar sent: datagrams that the kernel took.
    @ivar sendDrops: datagrams that it did not take because a buffer was full.
    @ivar sendErrors: datagrams that it refused for another reason.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: DatagramReactor,
        host: str,
        port: int,
        receiver: DatagramReceiver,
        *,
        size: int = 512,
        receiveBuffer: int = 4 << 20,
        bound: socket.socket | None = None,
    ) -> None:
        """
        Bind.

        @param host: the numeric address to bind; C{0.0.0.0} or C{::} for all of a family.
        @param port: 0 for one that the kernel chooses.
        @param size: the longest datagram, bytes; longer ones are dropped and counted.
        @param receiveBuffer: bytes to ask of the kernel.
        @param bound: the socket of L{adopt}.
        @raise ValueError: the host is not a numeric address, or the port is not one.
        @raise CannotListenError: the address is in use, or not this host's.
        """
        self._address = packAddress(host, port)
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.receiver = receiver
        self.descriptor = -1
        self.receiveBuffer = 0
        self.sendBuffer = 0
        self.received = 0
        self.failed = 0
        self.sent = 0
        self.sendDrops = 0
        self.sendErrors = 0
        self._reactor = reactor
        self._wantedBuffer = receiveBuffer
        self._socket: socket.socket | None = None
        self._nextReport = float("-inf")
        self._incoming: mmsg.ReceiveTable | _PlainReceive = (
            mmsg.ReceiveTable(self.family, TURN, size) if mmsg.available else _PlainReceive(size)
        )
        self._open(bound if bound is not None else self._bind())

    @classmethod
    def adopt(
        cls,
        reactor: DatagramReactor,
        sock: socket.socket,
        receiver: DatagramReceiver,
        *,
        size: int = 512,
        receiveBuffer: int = 4 << 20,
    ) -> DatagramPort:
        """
        A port on a socket that is bound already, as systemd passes one; the port owns it now.

        @raise ValueError: it is not a UDP socket.
        """
        if sock.type != socket.SOCK_DGRAM or sock.family not in (socket.AF_INET, socket.AF_INET6):
            raise ValueError(f"{sock!r} is not a UDP socket")
        host, port = sock.getsockname()[:2]
        return cls(
            reactor, host, port, receiver, size=size, receiveBuffer=receiveBuffer, bound=sock
        )

    @property
    def address(self) -> bytes:
        """
        The address as bound, a key of L{bmff.sockets.addresses}.
        """
        return self._address

    @property
    def host(self) -> str:
        """
        The numeric address as bound.
        """
        return unpackAddress(self._address)[0]

    @property
    def port(self) -> int:
        """
        The port as bound.
        """
        return unpackAddress(self._address)[1]

    @property
    def tooLong(self) -> int:
        """
        Datagrams dropped because they were longer than the size.
        """
        return self._incoming.tooLong

    @property
    def kernelDrops(self) -> int:
        """
        Datagrams that the kernel dropped because the receive buffer was full, as far as it told:
        the count comes with the first datagram of a turn.
        """
        return self._incoming.drops

    @property
    def receiveErrors(self) -> int:
        """
        Receive calls that failed for another reason than that nothing was there.
        """
        return self._incoming.errors

    def startListening(self) -> None:
        """
        Read from now on; bind again if the port was stopped.

        @raise CannotListenError: the address is in use, or not this host's.
        """
        if self._socket is None:
            self._open(self._bind())
        self._reactor.addReader(self)

    def _bind(self) -> socket.socket:
        """
        A socket at the address.
        """
        try:
            sock = socket.socket(self.family, socket.SOCK_DGRAM)
        except OSError as error:
            raise CannotListenError(self.host, self.port, error) from error
        try:
            if self.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(unpackAddress(self._address))
        except OSError as error:
            sock.close()
            raise CannotListenError(self.host, self.port, error) from error
        return sock

    def _open(self, sock: socket.socket) -> None:
        """
        Take a bound socket into use.
        """
        sock.setblocking(False)
        self.receiveBuffer = _raiseBuffer(
            sock, socket.SO_RCVBUF, _SO_RCVBUFFORCE, self._wantedBuffer
        )
        self.sendBuffer = _raiseBuffer(sock, socket.SO_SNDBUF, _SO_SNDBUFFORCE, SEND_BUFFER)
        self._address = _packName(sock.getsockname())
        self._socket = sock
        self._sendto = sock.sendto  # it says EBADF after the socket is closed
        self.descriptor = sock.fileno()
        self._incoming.attach(sock)

    def stopListening(self) -> None:
        """
        Close the socket. Nothing more is received; what is sent counts as an error.
        """
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._incoming.attach(None)
            self.descriptor = -1
            self._socket.close()
            self._socket = None

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has let go of the socket, as it does when it stops.
        """
        self._close()

    def fileno(self) -> int:
        """
        The socket's file descriptor, -1 when closed.
        """
        return self.descriptor

    def logPrefix(self) -> str:
        """
        What Twisted puts before messages about this descriptor.
        """
        return "DatagramPort"  # Twisted asks in every turn

    def doRead(self) -> None:
        """
        Drain at most 64 datagrams to the receiver, then flush it, also when it raised.
        """
        now = self._reactor.seconds()
        receiver = self.receiver
        datagrams = self._incoming.receive()
        for data, address in datagrams:
            try:
                receiver.datagramReceived(data, address, now)
            except Exception:
                self._receiverFailed(now)
            if self._socket is None:  # the receiver stopped the port
                break
        self.received += len(datagrams)
        try:
            receiver.flush()
        except Exception:
            self._receiverFailed(now)

    def _receiverFailed(self, now: float) -> None:
        """
        Count the exception at hand, and log it unless another was logged within the last second:
        a peer may be able to cause one for each datagram.
        """
        self.failed += 1
        if now >= self._nextReport:
            self._nextReport = now + _LOG_INTERVAL
            self._log.failure(
                "{port}: the receiver failed, {failed} times so far",
                port=formatAddress(self._address),
                failed=self.failed,
            )

    def sendTo(self, data: bytes, address: bytes) -> bool:
        """
        Send one datagram without waiting.

        @param address: a key of the port's family.
        @return: whether the kernel took it; if not, it is counted.
        """
        name = unpackAddress(address)
        try:
            self._sendto(data, name)
        except OSError:
            return self._sendAgain(data, name)
        self.sent += 1
        return True

    def sender(self, address: bytes) -> Callable[[bytes], bool]:
        """
        What L{sendTo} does, for one address, sooner.

        @param address: a key of the port's family.
        """
        name = unpackAddress(address)

        def send(data: bytes) -> bool:
            try:
                self._sendto(data, name)
            except OSError:
                return self._sendAgain(data, name)
            self.sent += 1
            return True

        return send

    def _sendAgain(self, data: bytes, name: tuple[str, int] | tuple[str, int, int, int]) -> bool:
        """
        Send a second and last time: the error may have been an earlier datagram's ICMP error.
        """
        try:
            self._sendto(data, name)
        except OSError as error:
            if error.errno in FULL:
                self.sendDrops += 1
            else:
                self.sendErrors += 1
            return False
        self.sent += 1
        return True

    def fanOut(self, prefixSize: int, middleSize: int, suffixSize: int) -> FanOut:
        """
        A fan-out from this port, empty.

        @param prefixSize: bytes that all its datagrams begin with.
        @param middleSize: bytes of each row's own piece.
        @param suffixSize: bytes that all its datagrams end with.
        """
        if mmsg.available:
            return TableFanOut(self, prefixSize, middleSize, suffixSize)
        return PlainFanOut(self.sendTo)
