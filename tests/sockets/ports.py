"""
What the tests of C{bmff.sockets} share: ports on a reactor that only keeps time, and sockets that
stand for other programs.
"""

from __future__ import annotations

import errno
import select
import socket
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import Clock

from bmff.sockets.addresses import packAddress
from bmff.sockets.datagrams import DatagramPort

PATIENCE = 5.0  # seconds until a datagram on this host counts as lost


IP_RECVERR = 11  # linux/in.h
IPV6_RECVERR = 25  # linux/in6.h


def hasIPv6() -> bool:
    """
    Whether C{::1} can be bound.
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


class ReadingClock(Clock):
    """
    A clock that knows what is read.

    @ivar readers: the descriptors added and not removed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[IReadDescriptor] = []

    def addReader(self, reader: IReadDescriptor) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:
        if reader in self.readers:
            self.readers.remove(reader)


class Inbox:
    """
    A receiver that keeps what it is given.

    @ivar datagrams: (data, address, now) of each.
    @ivar turns: how many datagrams each turn had.
    """

    def __init__(self) -> None:
        self.datagrams: list[tuple[bytes, bytes, float]] = []
        self.turns: list[int] = []
        self._turn = 0

    @property
    def data(self) -> list[bytes]:
        """
        The data alone.
        """
        return [data for data, _, _ in self.datagrams]

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        self._turn += 1
        self.datagrams.append((data, address, now))

    def flush(self) -> None:
        self.turns.append(self._turn)
        self._turn = 0


class Sink:
    """
    Another program's UDP socket.

    @ivar address: where it is, as a key.
    """

    def __init__(self, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind((host, 0))
        self.name = self.socket.getsockname()[:2]
        self.address = packAddress(*self.name)

    def receive(self, count: int) -> list[bytes]:
        """
        The next datagrams.

        @raise TimeoutError: there are fewer.
        """
        return [self.socket.recv(4096) for _ in range(count)]

    def wait(self) -> bool:
        """
        Wait until there is something to read.

        @return: whether there is.
        """
        return bool(select.select([self.socket], [], [], PATIENCE)[0])

    def empty(self) -> bool:
        """
        Whether nothing is there.
        """
        return not select.select([self.socket], [], [], 0)[0]

    def send(self, data: bytes, port: DatagramPort) -> None:
        """
        Send to the port.
        """
        self.socket.sendto(data, (port.host, port.port))

    def close(self) -> None:
        self.socket.close()


class FullSocket(socket.socket):
    """
    A socket whose send buffer becomes full.

    @ivar room: datagrams that it still takes.
    @ivar reason: the C{errno} after that.
    """

    room = 0
    reason = errno.EAGAIN

    def sendto(self, data: bytes, name: Any) -> int:  # type: ignore[override]
        if not self.room:
            raise OSError(self.reason, "full")
        self.room -= 1
        return super().sendto(data, name)


def reportErrors(sock: socket.socket) -> None:
    """
    Have the kernel report ICMP errors on an unconnected socket, which it does not by itself.
    """
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)


def waitFor(port: DatagramPort, timeout: float = PATIENCE) -> bool:
    """
    Wait until there is something to read.

    @param timeout: seconds.
    @return: whether there is.
    """
    return bool(select.select([port], [], [], timeout)[0])


def drain(port: DatagramPort, count: int) -> None:
    """
    Let the port read until it has received so many datagrams in all.
    """
    while port.received < count and waitFor(port):
        port.doRead()
