"""
Visitors of a node's HTTP API, in a process of their own: requests at a steady pace on connections
that stay open (RFC 9112), and live streams (server-sent events, HTML section 9.2).

A request whose time has come waits while all connections wait for answers, so a node that cannot
answer as many is asked fewer, and it shows.
"""

from __future__ import annotations

import os
import re
import select
import socket
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final

from benchmarks._late import Heard
from benchmarks._node import CLIENT_CPU

CONNECTIONS: Final = 32  # for requests
PATIENCE: Final = 10.0  # seconds for an answer, and for a stream to begin
_LONGEST_WAIT: Final = 0.02  # seconds between two looks for an order
_READ: Final = 1 << 18  # bytes
_LENGTH: Final = re.compile(rb"\r\nContent-Length: *(\d+)\r\n", re.IGNORECASE)
_HEAD_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Visit:
    """
    What visitors shall do.

    @ivar paths: what is asked for in turn.
    @ivar pace: requests a second.
    @ivar streams: how many live streams are open.
    @ivar stream: the path of them.
    """

    paths: tuple[str, ...]
    pace: float
    streams: int
    stream: str = "/events"


@dataclass(frozen=True, slots=True)
class Visited:
    """
    What they saw.

    @ivar seconds: from the first request on.
    @ivar due: requests that the pace would have had.
    @ivar sent: requests.
    @ivar statuses: how many answers had each status, by path.
    @ivar waits: seconds for each answer, from when it was asked for.
    @ivar told: events on all streams.
    @ivar streams: how many were open at the end.
    @ivar broken: connections and streams that the node has ended.
    """

    seconds: float
    due: int
    sent: int
    statuses: Counter[tuple[str, int]]
    waits: array[float]
    told: int
    streams: int
    broken: int

    @property
    def answered(self) -> int:
        """
        How many requests were answered.
        """
        return self.statuses.total()

    @property
    def refused(self) -> dict[str, int]:
        """
        The answers that were not 200, by path and status.
        """
        return {
            f"{path} {status}": count
            for (path, status), count in sorted(self.statuses.items())
            if status != 200
        }

    def wait(self, share: float) -> float:
        """
        What a share of the answers took at most, seconds.
        """
        return Heard(sorted(self.waits), self.sent).late(share) if self.waits else 0.0


class _Asking:
    """
    A connection for requests, one at a time.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setblocking(False)
        self.path = ""
        self.since = 0.0
        self._data = b""
        self._whole = -1  # bytes of head and body, once that is known

    def ask(self, path: str, request: bytes, now: float) -> None:
        """
        Send a request, which any socket has room for.
        """
        self.path, self.since = path, now
        self._data, self._whole = b"", -1
        self.socket.send(request)

    def read(self) -> int | None:
        """
        Take what has come.

        @return: the status of an answer that is whole; L{None} before.
        @raise ConnectionError: the node has ended the connection.
        """
        data = self.socket.recv(_READ)
        if not data:
            raise ConnectionResetError
        self._data += data
        if self._whole < 0:
            head = self._data.find(_HEAD_END)
            if head < 0:
                return None
            found = _LENGTH.search(self._data, 0, head + 2)
            if found is None:
                raise SystemExit(f"{self.path} does not say how long it is")
            self._whole = head + len(_HEAD_END) + int(found[1])
        if len(self._data) < self._whole:
            return None
        return int(self._data[9:12])


class _Crowd:
    """
    All visitors.
    """

    def __init__(self, address: tuple[str, int], visit: Visit) -> None:
        """
        Open all connections, and wait until each stream has begun.
        """
        self._address = address
        self._visit = visit
        self._poll = select.epoll()
        self._statuses: Counter[tuple[str, int]] = Counter()
        self._waits = array("d")
        self._told = self._broken = self._sent = 0
        self._streams: dict[int, socket.socket] = {}
        for _ in range(visit.streams):
            self._openStream()
        self._asking: dict[int, _Asking] = {}
        self._free: deque[_Asking] = deque()
        for _ in range(min(CONNECTIONS, max(1, int(visit.pace)))):
            self._open()
        self._paths = cycle([(path, self._request(path)) for path in visit.paths])

    def _request(self, path: str) -> bytes:
        host, port = self._address
        return f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()

    def _openStream(self) -> None:
        one = socket.create_connection(self._address, PATIENCE)
        one.sendall(self._request(self._visit.stream))
        first = one.recv(_READ)
        if not first.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"a stream does not begin: {first[:200]!r}")
        one.setblocking(False)
        self._streams[one.fileno()] = one
        self._poll.register(one, select.EPOLLIN)

    def _open(self) -> None:
        one = _Asking(self._address)
        self._asking[one.socket.fileno()] = one
        self._poll.register(one.socket, select.EPOLLIN)
        self._free.append(one)

    def go(self, control: Pipe) -> Visited:
        """
        Ask and listen until there is another order.
        """
        self._poll.register(control.fileno(), select.EPOLLIN)
        begin = time.monotonic()
        ordered = False
        while not ordered:
            now = time.monotonic()
            due = 1 + int((now - begin) * self._visit.pace)
            while self._sent < due and self._free:
                self._free.popleft().ask(*next(self._paths), time.monotonic())
                self._sent += 1
            wait = begin + due / self._visit.pace - time.monotonic()
            ready = self._poll.poll(min(_LONGEST_WAIT, max(0.0, wait)))
            ordered = self._take(ready)
        seconds = time.monotonic() - begin
        streams = len(self._streams)
        end = time.monotonic() + PATIENCE
        while len(self._free) < len(self._asking) and time.monotonic() < end:
            self._take(self._poll.poll(0.1))
        self._close()
        return Visited(
            seconds,
            int(seconds * self._visit.pace),
            self._sent,
            self._statuses,
            self._waits,
            self._told,
            streams,
            self._broken,
        )

    def _take(self, ready: Sequence[tuple[int, int]]) -> bool:
        """
        @return: whether something else is there, an order.
        """
        other = False
        for descriptor, _ in ready:
            if descriptor in self._asking:
                self._takeAnswer(descriptor)
            elif descriptor in self._streams:
                self._takeEvents(descriptor)
            else:
                other = True
        return other

    def _takeAnswer(self, descriptor: int) -> None:
        one = self._asking[descriptor]
        try:
            status = one.read()
        except ConnectionError:
            self._broken += 1
            del self._asking[descriptor]
            self._poll.unregister(descriptor)
            one.socket.close()
            if one in self._free:
                self._free.remove(one)
            self._open()
            return
        if status is not None:
            self._statuses[one.path, status] += 1
            self._waits.append(time.monotonic() - one.since)
            self._free.append(one)

    def _takeEvents(self, descriptor: int) -> None:
        try:
            data = self._streams[descriptor].recv(_READ)
        except ConnectionError:
            data = b""
        if data:
            self._told += data.count(b"\nevent: ")
            return
        self._broken += 1
        self._poll.unregister(descriptor)
        self._streams.pop(descriptor).close()

    def _close(self) -> None:
        self._poll.close()
        for one in (*self._streams.values(), *(each.socket for each in self._asking.values())):
            one.close()


def _work(control: Pipe, address: tuple[str, int]) -> None:
    """
    The process.
    """
    os.sched_setaffinity(0, {CLIENT_CPU})
    while True:
        try:
            crowd = _Crowd(address, control.recv())
            control.send("ready")
            visited = crowd.go(control)
            control.recv()
        except EOFError:
            return  # nobody is left to report to
        control.send(visited)


class Visitors:
    """
    The visitors, as whoever orders them sees them.
    """

    def __init__(self, control: Pipe) -> None:
        self._control = control

    def begin(self, visit: Visit) -> None:
        """
        Have them come; they are there when this returns.
        """
        self._control.send(visit)
        self._expect(2 * PATIENCE)

    def end(self) -> Visited:
        """
        Have them go.
        """
        self._control.send("end")
        found: Visited = self._expect(2 * PATIENCE)
        return found

    def _expect(self, patience: float) -> Any:
        if not self._control.poll(patience):
            raise SystemExit("the visitors do not go on")
        try:
            return self._control.recv()
        except EOFError:
            raise SystemExit("the visitors have ended") from None


@contextmanager
def runningVisitors(address: tuple[str, int]) -> Iterator[Visitors]:
    """
    Start their process, and end it.

    @param address: of the API.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, address), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Visitors(ours)
    finally:
        process.kill()
        process.join()
