"""
What paho-mqtt takes for its socket: bytes that have come, and a way out that may be full.
"""

from __future__ import annotations

from collections.abc import Callable


class Stream:
    """
    Stands in for a socket that never blocks.

    @ivar full: whether the way out takes nothing at the moment.
    @ivar closed: whether there is none any more.
    """

    def __init__(self, write: Callable[[bytes], object], close: Callable[[], object]) -> None:
        """
        @param write: the way out.
        @param close: called once, when paho closes it.
        """
        self.full = False
        self.closed = False
        self._write = write
        self._close = close
        self._incoming = b""
        self._place = 0

    def put(self, data: bytes) -> None:
        """
        Bytes have come; those before must have been read.
        """
        self._incoming = self._incoming[self._place :] + data
        self._place = 0

    def recv(self, size: int) -> bytes:
        """
        What has come, L{size} bytes at most; nothing when the stream has ended.

        @raise BlockingIOError: nothing has come.
        """
        start = self._place
        taken = self._incoming[start : start + size]
        if not taken and not self.closed:
            raise BlockingIOError
        self._place += len(taken)
        return taken

    def send(self, data: bytes | bytearray) -> int:
        """
        Hand bytes to the way out.

        @return: how many it takes, which is all.
        @raise BlockingIOError: it is full.
        @raise ConnectionError: there is none any more.
        """
        if self.closed:
            raise ConnectionError("closed")
        if self.full:
            raise BlockingIOError
        self._write(bytes(data))
        return len(data)

    def end(self) -> None:
        """
        The connection has ended: nothing comes any more.
        """
        self.closed = True

    def close(self) -> None:
        """
        Paho wants no more of it.
        """
        if not self.closed:
            self.closed = True
            self._close()

    def fileno(self) -> int:
        """
        There is no descriptor to wait for.
        """
        return -1

    def setblocking(self, flag: bool) -> None:
        """
        It never blocks.
        """
