"""
Another program that speaks TLS, for the tests: a thread with Python's own blocking C{ssl}, which
passes on what comes through a pair of sockets, in both directions.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from select import select
from threading import Thread
from typing import Final

PATIENCE: Final = 10.0  # seconds
_CHUNK: Final = 1 << 14  # bytes
_ROOM: Final = 1 << 20  # bytes, for many single ones


class Tunnel(Thread):
    """
    One connection; it ends when either side does.

    @ivar inner: what to read and write in the clear.
    """

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext) -> None:
        """
        @param address: where the server is.
        @param context: a client's.
        """
        super().__init__(daemon=True)
        self.inner, self._outer = socket.socketpair()
        self.inner.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        self._connection = context.wrap_socket(
            socket.create_connection(address), do_handshake_on_connect=False
        )

    def run(self) -> None:
        """
        Pass on until one side ends.
        """
        with self._connection, self._outer, suppress(OSError):
            self._connection.settimeout(PATIENCE)
            self._connection.do_handshake()
            while self._outwards() and self._inwards():
                select([self._connection, self._outer], [], [])

    def _outwards(self) -> bool:
        """
        @return: whether the program goes on.
        """
        try:
            data = self._outer.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        if data:
            self._connection.settimeout(PATIENCE)
            self._connection.sendall(data)
        return bool(data)

    def _inwards(self) -> bool:
        """
        @return: whether the server goes on.
        """
        self._connection.setblocking(False)
        try:
            data = self._connection.recv(_CHUNK)
        except ssl.SSLWantReadError:
            return True
        with suppress(BrokenPipeError):  # what it has sent before is still to be passed on
            self._outer.sendall(data)
        return bool(data)
