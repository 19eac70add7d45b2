"""
Connects a socket of any family on the reactor (connect(2) of Linux).
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import TransportUnavailable
from bmff.sockets.descriptor import ConnectionReactor

_UNDER_WAY: Final = (0, errno.EINPROGRESS)


@implementer(IWriteDescriptor)
class Connector:
    """
    One attempt to connect a socket; the socket is closed when it fails.

    @ivar error: what the kernel said when it failed (C{errno}); 0 when it was not the kernel.
    """

    def __init__(self, reactor: ConnectionReactor, sock: socket.socket) -> None:
        self.error = 0
        self._reactor = reactor
        self._socket = sock
        self._waiting: Deferred[socket.socket] | None = None
        self._limit: IDelayedCall | None = None
        sock.setblocking(False)

    def connect(self, address: Any, timeout: float) -> Deferred[socket.socket]:
        """
        Connect, once.

        @param address: as C{socket.connect} takes it for this family, numeric.
        @param timeout: seconds until the attempt is given up.
        @return: a C{Deferred} of the socket, connected and not blocking; it fails with
            L{TransportUnavailable}, and cancelling it closes the socket.
        """
        waiting = self._waiting = Deferred(self._cancelled)
        try:
            reason = self._socket.connect_ex(address)
        except (OSError, OverflowError) as error:  # it is no address
            self._fail(str(error))
            return waiting
        if reason not in _UNDER_WAY:
            self._refused(reason)
            return waiting
        self._limit = self._reactor.callLater(timeout, self._fail, f"no answer in {timeout:g} s")
        # A socket that is connected already is writable at once.
        self._reactor.addWriter(self)
        return waiting

    def fileno(self) -> int:
        """
        The socket's file descriptor, -1 when closed.
        """
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """
        What Twisted puts before messages about this descriptor.
        """
        return "Connector"

    def doWrite(self) -> None:
        """
        The attempt has come to an end, good or bad.
        """
        reason = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if reason:
            self._refused(reason)
            return
        waiting = self._end()
        if waiting is not None:
            waiting.callback(self._socket)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has let go of the socket: some of its kinds say so when an attempt fails.
        """
        if self._waiting is not None:
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._refused(error or errno.ECONNABORTED)

    def _end(self) -> Deferred[socket.socket] | None:
        """
        Let go of the reactor.

        @return: who waits, if anybody still does.
        """
        if self._limit is not None:
            self._reactor.removeWriter(self)
            if self._limit.active():
                self._limit.cancel()
            self._limit = None
        waiting, self._waiting = self._waiting, None
        return waiting

    def _refused(self, error: int) -> None:
        self.error = error
        self._fail(os.strerror(error))

    def _fail(self, reason: str) -> None:
        waiting = self._end()
        self._socket.close()
        if waiting is not None:
            waiting.errback(TransportUnavailable(reason))

    def _cancelled(self, waiting: Deferred[socket.socket]) -> None:
        self._end()
        self._socket.close()
