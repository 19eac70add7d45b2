"""
Notices on the reactor that the process at the other end of a UNIX socket has ended, also when
another holds a copy of the socket (pidfd_open(2) and SO_PEERPIDFD of Linux).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from select import POLLIN, poll
from typing import Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.sockets.descriptor import ConnectionReactor

_SO_PEERPIDFD: Final = 77  # since Linux 6.5; the socket module does not have it yet


def openPeer(sock: socket.socket, process: int) -> int:
    """
    The process at the other end of a UNIX socket.

    @param process: its number, as SO_PEERCRED has told; asked for where the kernel does not tell by
        itself.
    @return: a file descriptor of it, -1 when there is none to be had.
    """
    try:
        return sock.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError:
        pass  # an older kernel, or the process is gone already: the socket tells
    try:
        return os.pidfd_open(process)
    except (OSError, OverflowError):
        return -1


@implementer(IReadDescriptor)
class ProcessEnd:
    """
    Waits for the end of a process.
    """

    def __init__(
        self, reactor: ConnectionReactor, descriptor: int, ended: Callable[[], object]
    ) -> None:
        """
        @param descriptor: of the process, owned from now on; -1 for one that nothing is known of.
        @param ended: called once, when the process has ended.
        """
        self._reactor = reactor
        self._descriptor = descriptor
        self._ended = ended

    def start(self) -> None:
        """
        Wait from now on.
        """
        if self._descriptor >= 0:
            self._reactor.addReader(self)

    def stop(self) -> None:
        """
        Wait no more.
        """
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1

    def fileno(self) -> int:
        """
        The process's file descriptor, -1 when closed.
        """
        return self._descriptor

    def logPrefix(self) -> str:
        """
        What Twisted puts before messages about this descriptor.
        """
        return "ProcessEnd"

    def doRead(self) -> None:
        """
        The process has ended.
        """
        look = poll()
        look.register(self._descriptor, POLLIN)
        if look.poll(0):  # the reactor may mean another, closed in this turn, of the same number
            self.stop()
            self._ended()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has let go of it.
        """
        self.stop()
