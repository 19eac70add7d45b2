"""
A listening port that plain streams and TLS share: the first byte of a connection tells whose it is.

TLS begins with a record of the handshake, 22 (RFC 8446 §5.1). A packet of 5,632 bytes would begin
with the same byte of its length, and no packet that begins a conversation is so long.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.sockets.descriptor import ConnectionReactor
from bmff.sockets.listener import Listener

HANDSHAKE: Final = b"\x16"
MOST_WAITING: Final = 256  # connections that have sent nothing yet; the oldest is closed
WAITING_TIME: Final = 10.0  # seconds until such a one is closed

Taker = Callable[[socket.socket], object]


@implementer(IReadDescriptor)
class Arrival:
    """
    A connection that has sent nothing yet.
    """

    def __init__(self, reactor: ConnectionReactor, sock: socket.socket, port: SharedPort) -> None:
        self._reactor = reactor
        self._socket = sock
        self._port = port
        self._limit: IDelayedCall = reactor.callLater(WAITING_TIME, self.close)
        sock.setblocking(False)
        reactor.addReader(self)

    def fileno(self) -> int:
        """
        The socket's file descriptor, -1 when closed.
        """
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """
        What Twisted puts before messages about this descriptor.
        """
        return "Arrival"

    def doRead(self) -> None:
        """
        It has sent something, or is gone.
        """
        try:
            first = self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:  # gone, with an error
            first = b""
        if first:
            self.release()
            self._port.hand(self._socket, first == HANDSHAKE)
        else:
            self.close()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has let go of the socket, as it does when it stops.
        """
        self.close()

    def close(self) -> None:
        """
        Wait no longer.
        """
        self.release()
        self._socket.close()

    def release(self) -> None:
        """
        Let go of the reactor.
        """
        self._reactor.removeReader(self)
        if self._limit.active():
            self._limit.cancel()
        self._port.arrivals.pop(self, None)


class SharedPort:
    """
    Bound sockets of one port, and who takes the connections that come in at them. Where only one
    does it is handed all of them, at once.

    @ivar arrivals: connections that have sent nothing yet, oldest first.
    @ivar dropped: how many of them were closed because there were too many.
    """

    def __init__(self, reactor: ConnectionReactor, sockets: Iterable[socket.socket]) -> None:
        self.arrivals: dict[Arrival, None] = {}
        self.dropped = 0
        self._reactor = reactor
        self._takers: dict[bool, Taker] = {}
        self._listeners = [Listener(reactor, sock, self._accepted) for sock in sockets]

    def start(self) -> None:
        """
        Listen and accept from now on.

        @raise OSError: the kernel refuses; all sockets are closed.
        """
        try:
            for listener in self._listeners:
                listener.start()
        except OSError:
            self.stop()
            raise

    def takes(self, secure: bool) -> bool:
        """
        Whether somebody takes connections of a kind.

        @param secure: TLS.
        """
        return secure in self._takers

    def give(self, secure: bool, taker: Taker) -> None:
        """
        Give connections of a kind to somebody from now on.

        @param secure: TLS.
        @param taker: is handed each socket, and owns it then.
        """
        self._takers[secure] = taker

    def leave(self, secure: bool) -> bool:
        """
        Give nobody connections of a kind any more.

        @return: whether anybody is left; if not, the port is closed.
        """
        self._takers.pop(secure, None)
        if not self._takers:
            self.stop()
        return bool(self._takers)

    def stop(self) -> None:
        """
        Close the port, and what has sent nothing yet.
        """
        for listener in self._listeners:
            listener.stop()
        for arrival in list(self.arrivals):
            arrival.close()

    def _accepted(self, sock: socket.socket) -> None:
        if len(self._takers) == 1:
            self.hand(sock, next(iter(self._takers)))
            return
        self.arrivals[Arrival(self._reactor, sock, self)] = None
        if len(self.arrivals) > MOST_WAITING:
            self.dropped += 1
            next(iter(self.arrivals)).close()

    def hand(self, sock: socket.socket, secure: bool) -> None:
        """
        Hand over a connection.

        @param secure: whether it is one of TLS.
        """
        taker = self._takers.get(secure)
        if taker is None:
            sock.close()
        else:
            taker(sock)
