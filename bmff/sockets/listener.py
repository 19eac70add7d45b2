"""
Listening sockets on the reactor: a bounded number of connections is accepted a turn, and a process
without free descriptors rests a while (accept(2) of Linux).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.sockets.descriptor import ConnectionReactor

TURN: Final = 16  # connections that one turn accepts at most
BACKLOG: Final = 64  # connections that the kernel keeps until they are accepted
REST: Final = 1.0  # seconds without accepting when there are no free descriptors

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@implementer(IReadDescriptor)
class Listener:
    """
    A bound socket that connections are accepted on; the listener owns it.

    @ivar accepted: connections accepted.
    @ivar exhausted: times that the process or the host had no room for one more.
    @ivar failed: connections that were lost because the callable raised.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: ConnectionReactor,
        sock: socket.socket,
        connected: Callable[[socket.socket], object],
    ) -> None:
        """
        @param connected: takes each accepted socket, and owns it then.
        """
        self.accepted = 0
        self.exhausted = 0
        self.failed = 0
        self._reactor = reactor
        self._connected = connected
        self._socket: socket.socket | None = sock
        self._rest: IDelayedCall | None = None
        sock.setblocking(False)

    def start(self) -> None:
        """
        Listen and accept from now on.

        @raise OSError: the kernel refuses.
        """
        if self._socket is not None:
            self._socket.listen(BACKLOG)
            self._reactor.addReader(self)

    def stop(self) -> None:
        """
        Close the socket.
        """
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has let go of the socket, as it does when it stops.
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
        return "Listener"

    def doRead(self) -> None:
        """
        Accept at most L{TURN} connections.
        """
        for _ in range(TURN):
            if self._socket is None:  # stopped by whom a connection was given to
                return
            try:
                sock, _name = self._socket.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                if error.errno == errno.EAGAIN:
                    return
                continue  # that connection ended while it waited, see accept(2)
            self.accepted += 1
            try:
                self._connected(sock)
            except Exception:
                self.failed += 1
                sock.close()
                self._log.failure("an accepted connection failed")

    def _pause(self, error: OSError) -> None:
        """
        Leave the waiting connections where they are for a while: the socket stays readable, so the
        reactor would do nothing else.
        """
        self.exhausted += 1
        self._log.warn("cannot accept connections: {error}", error=error)
        self._reactor.removeReader(self)
        self._rest = self._reactor.callLater(REST, self._resume)

    def _resume(self) -> None:
        self._rest = None
        self._reactor.addReader(self)
