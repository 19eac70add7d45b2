"""
The UNIX sockets that a virtual machine monitor has on its host for the vSockets of its guest:
that of Firecracker, which Cloud Hypervisor and vhost-device-vsock have too (docs/vsock.md of
Firecracker).

To reach a port of the guest one connects to the monitor's socket and says C{CONNECT 54000}; the
answer is C{OK} and a number, or the end. What the guest sends to a port of its host comes to the
socket that has the port in its name.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NoAnswer
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import TransportUnavailable
from bmff.sockets.connector import Connector
from bmff.sockets.descriptor import CLOSED_THERE, ConnectionReactor

LONGEST: Final = 32  # bytes of an answer
MODE: Final = 0o666  # the monitor may be another user's; what comes is sealed

_ANSWER: Final = b"OK "


@implementer(IReadDescriptor)
class Answer:
    """
    Reads a monitor's answer, and not a byte of what follows.
    """

    def __init__(self, reactor: ConnectionReactor, sock: socket.socket) -> None:
        self._reactor = reactor
        self._socket = sock
        self._read = b""
        self._waiting: Deferred[None] | None = None

    def wait(self) -> Deferred[None]:
        """
        Wait for the answer, once.

        @return: a C{Deferred} that fires when it is good; it fails with L{TransportUnavailable}.
        """
        waiting: Deferred[None] = Deferred(self._cancelled)
        self._waiting = waiting
        self._reactor.addReader(self)
        return waiting

    def fileno(self) -> int:
        """
        The socket's file descriptor.
        """
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """
        What Twisted puts before messages about this descriptor.
        """
        return "Answer"

    def doRead(self) -> None:
        """
        Read byte by byte, as what follows is for another.
        """
        while not self._read.endswith(b"\n"):
            if len(self._read) == LONGEST:
                self._fail("the answer is none")
                return
            try:
                byte = self._socket.recv(1)
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(error.strerror or str(error))
                return
            if not byte:
                self._fail("nobody listens there" if not self._read else CLOSED_THERE)
                return
            self._read += byte
        number = self._read[len(_ANSWER) : -1]
        if not self._read.startswith(_ANSWER) or not number.isdigit():
            self._fail("the answer is none")
            return
        waiting = self._end()
        if waiting is not None:
            waiting.callback(None)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has let go of the socket.
        """
        self._fail(CLOSED_THERE)

    def _end(self) -> Deferred[None] | None:
        self._reactor.removeReader(self)
        waiting, self._waiting = self._waiting, None
        return waiting

    def _cancelled(self, waiting: Deferred[None]) -> None:
        self._end()

    def _fail(self, reason: str) -> None:
        waiting = self._end()
        if waiting is not None:
            waiting.errback(TransportUnavailable(reason))


async def reachGuest(
    reactor: ConnectionReactor, path: str, port: int, timeout: float
) -> socket.socket:
    """
    Connect to a port of a monitor's guest.

    @param path: the monitor's socket.
    @param timeout: seconds to connect to it, and again until it answers.
    @return: a stream to the guest.
    @raise TransportUnavailable: there is no monitor, or nobody at this port of its guest.
    """
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise TransportUnavailable(error.strerror or str(error)) from error
    try:
        await Connector(reactor, sock).connect(path, timeout)
    except TransportUnavailable as error:
        raise TransportUnavailable(f"{path}: {error.reason}") from error
    try:
        sock.send(b"CONNECT %d\n" % port)
        await Answer(reactor, sock).wait().addTimeout(timeout, reactor)  # type: ignore[arg-type]
    except NoAnswer as error:
        sock.close()
        raise TransportUnavailable(f"{path}: no answer in {timeout:g} s") from error
    except TransportUnavailable as error:
        sock.close()
        raise TransportUnavailable(f"{path} port {port}: {error.reason}") from error
    except OSError as error:
        sock.close()
        raise TransportUnavailable(f"{path}: {error.strerror or error}") from error
    except BaseException:  # it was cancelled
        sock.close()
        raise
    return sock


class GuestSocket:
    """
    The file that a monitor connects to when its guest wants a port of the host.

    @ivar path: its name, C{/run/guest.vsock_54000} for the monitor's C{/run/guest.vsock}.
    """

    def __init__(self, monitor: str, port: int) -> None:
        """
        @param monitor: the monitor's socket, which need not be there yet.
        """
        self.path = f"{monitor}_{port}"
        self._bound: os.stat_result | None = None

    def bind(self) -> socket.socket:
        """
        Make it.

        @raise TransportUnavailable: another has it, or it cannot be made.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            try:
                sock.bind(self.path)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                self._removeDead()
                sock.bind(self.path)
            self._bound = os.lstat(self.path)
            os.chmod(self.path, MODE)
        except OSError as error:
            sock.close()
            self.unbind()
            raise TransportUnavailable(f"{self.path}: {error.strerror or error}") from error
        except TransportUnavailable:
            sock.close()
            raise
        return sock

    def _removeDead(self) -> None:
        """
        Remove what a process of ours left behind.

        @raise TransportUnavailable: it is something else, or somebody listens there.
        """
        found = os.lstat(self.path)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
            raise TransportUnavailable(f"{self.path} is there, and is not ours")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            if probe.connect_ex(self.path) != errno.ECONNREFUSED:
                raise TransportUnavailable(f"{self.path} is in use")
        if os.path.samestat(found, os.lstat(self.path)):
            os.unlink(self.path)

    def unbind(self) -> None:
        """
        Remove it, unless another has taken its place.
        """
        bound, self._bound = self._bound, None
        if bound is not None:
            try:
                if os.path.samestat(bound, os.lstat(self.path)):
                    os.unlink(self.path)
            except OSError:
                return  # it is gone, or is not ours to remove any more
