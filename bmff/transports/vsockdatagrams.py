"""
A node's socket for vSocket datagrams, C{SOCK_DGRAM}, which all its paths share (vsock(7) of Linux:
only VMware's VMCI has them).

Each datagram has four bytes in front, the number under which the receiver hears it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import count
from struct import Struct
from typing import Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.sockets.descriptor import LARGEST, TURN, ConnectionReactor
from bmff.transports.vsockconnection import AgreeingConnection
from bmff.transports.vsockfamily import VSocketFamily

_NUMBER: Final = Struct("!I")


@implementer(IReadDescriptor)
class DatagramSocket:
    """
    A bound socket; it is owned.

    @ivar port: its port.
    @ivar strays: datagrams that were for nobody.
    @ivar refused: datagrams that the kernel did not take.
    """

    def __init__(
        self, reactor: ConnectionReactor, family: VSocketFamily, sock: socket.socket, port: int
    ) -> None:
        sock.setblocking(False)
        self.port = port
        self.strays = 0
        self.refused = 0
        self._reactor = reactor
        self._family = family
        self._socket: socket.socket | None = sock
        self._buffer = memoryview(bytearray(_NUMBER.size + LARGEST + 1))
        self._numbers = count(1)
        self._hearers: dict[int, tuple[AgreeingConnection, int]] = {}

    def start(self) -> None:
        """
        Read from now on.
        """
        self._reactor.addReader(self)

    def stop(self) -> None:
        """
        Close it.
        """
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has let go of it.
        """
        self.stop()

    def fileno(self) -> int:
        """
        The socket's file descriptor, -1 when closed.
        """
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """
        What Twisted puts before messages about this descriptor.
        """
        return "DatagramSocket"

    def register(self, hearer: AgreeingConnection, cid: int) -> int:
        """
        Have a connection hear what comes from a context ID under a number of its own.

        @return: the number.
        """
        number = next(self._numbers)
        self._hearers[number] = hearer, cid
        return number

    def forget(self, number: int) -> None:
        """
        Nobody hears under this number any more.
        """
        self._hearers.pop(number, None)

    def sender(self, cid: int, port: int, number: int) -> Callable[[bytes], bool]:
        """
        What sends packets to a place.

        @param number: under which they are heard there.
        @return: takes a packet, and says whether the kernel took it.
        """
        address = self._family.address(socket.SOCK_DGRAM, cid, port)
        head = _NUMBER.pack(number)

        def send(data: bytes) -> bool:
            if self._socket is None:
                return False
            try:
                self._socket.sendto(head + data, address)
            except OSError:  # full, or nobody there: the stream beside it tells which
                self.refused += 1
                return False
            return True

        return send

    def doRead(self) -> None:
        """
        Read and hand over at most L{TURN} datagrams, then flush whoever was given some.
        """
        now = self._reactor.seconds()
        heard: set[AgreeingConnection] = set()
        for _ in range(TURN):
            if self._socket is None:  # a receiver has stopped it all
                break
            try:
                size, name = self._socket.recvfrom_into(self._buffer)
            except BlockingIOError:
                break
            except OSError:  # of one that was sent
                self.refused += 1
                break
            found = None
            if _NUMBER.size < size < len(self._buffer):
                found = self._hearers.get(_NUMBER.unpack_from(self._buffer)[0])
            if found is None or found[1] != self._family.source(name):
                self.strays += 1
                continue
            hearer = found[0]
            hearer.datagramReceived(self._buffer[_NUMBER.size : size].tobytes(), now)
            heard.add(hearer)
        for hearer in heard:
            hearer.datagramsRead(now)
