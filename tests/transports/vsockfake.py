"""
Stand-ins for vSockets: their address family on abstract UNIX sockets, and a monitor that has a
guest.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.address import UNIXAddress
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from bmff.transports.vsockfamily import VSocketFamily

reactor: Any = anyReactor  # mypy does not know which reactor there is


class FakeFamily(VSocketFamily):
    """
    One machine's vSockets, as UNIX sockets.

    @ivar missing: kinds that this kernel does not have.
    """

    def __init__(self, name: str, missing: Iterable[int] = (), cid: int = 1) -> None:
        """
        @param name: of the hypervisor, which nobody else has.
        """
        self.missing = set(missing)
        self._name = f"bmff {name}"
        self._cid = cid

    def make(self, kind: int) -> socket.socket:
        """
        @see: L{VSocketFamily.make}
        """
        if kind in self.missing:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return socket.socket(socket.AF_UNIX, kind)

    def address(self, kind: int, cid: int, port: int) -> bytes:
        """
        @see: L{VSocketFamily.address}
        """
        return f"\0{self._name} {cid} {kind:d} {port}".encode()

    def bind(self, sock: socket.socket, port: int) -> None:
        """
        @see: L{VSocketFamily.bind}
        """
        sock.bind(self.address(sock.type, self._cid, port))

    def owns(self, sock: socket.socket) -> bool:
        """
        @see: L{VSocketFamily.owns}
        """
        names = (sock.getsockname(), sock.getpeername())
        return any(isinstance(name, bytes) and name[1:5] == b"bmff" for name in names)

    def peer(self, sock: socket.socket) -> tuple[int, int]:
        """
        @see: L{VSocketFamily.peer}
        """
        name = sock.getpeername()
        if isinstance(name, bytes) and name:
            return self.source(name), int(name.split()[-1])
        # The socket that has connected has no name.
        return self._cid, sock.fileno()

    def source(self, name: Any) -> int:
        """
        @see: L{VSocketFamily.source}
        """
        return int(name.split()[-3])

    def cid(self) -> int:
        """
        @see: L{VSocketFamily.cid}
        """
        return self._cid


class Relay(Protocol):
    """
    One end of a connection through a monitor; what comes goes to the other end.

    @ivar other: that end, when it is there.
    """

    other: Relay | None = None

    def dataReceived(self, data: bytes) -> None:
        """
        Pass it on.
        """
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Close the other end as well.
        """
        other, self.other = self.other, None
        if other is not None and other.transport is not None:
            other.transport.loseConnection()


class Client(Relay):
    """
    Somebody on the host who wants a port of the guest.
    """

    transport: Any = None
    _words = b""

    def __init__(self, family: FakeFamily) -> None:
        self._family = family

    def dataReceived(self, data: bytes) -> None:
        """
        Take the first line for what is wanted.
        """
        if self.other is not None:
            super().dataReceived(data)
            return
        self._words += data
        if b"\n" in self._words:
            line, _, rest = self._words.partition(b"\n")
            word, _, port = line.partition(b" ")
            if word != b"CONNECT" or rest:
                raise ValueError(self._words)
            self.transport.pauseProducing()
            name = self._family.address(socket.SOCK_STREAM, 1, int(port)).decode()
            end = UNIXClientEndpoint(reactor, name)
            end.connect(Factory.forProtocol(Relay)).addCallbacks(self._reached, self._refused)

    def _reached(self, other: Relay) -> None:
        if not self.connected:
            other.transport.loseConnection()  # type: ignore[union-attr]
            return
        self.other, other.other = other, self
        self.transport.write(b"OK 1073741824\n")
        self.transport.resumeProducing()

    def _refused(self, failure: Failure) -> None:
        self.transport.loseConnection()


class Monitor(Factory):
    """
    A monitor, whose guest is a machine of a family.
    """

    noisy = False

    def __init__(self, family: FakeFamily, path: str) -> None:
        """
        @param path: of its socket.
        """
        self._family = family
        self._port = reactor.listenUNIX(path, self)

    def buildProtocol(self, address: IAddress | UNIXAddress | None) -> Client:
        """
        Serve one who has connected.
        """
        return Client(self._family)

    def stop(self) -> Any:
        """
        Take no more.
        """
        return self._port.stopListening()
