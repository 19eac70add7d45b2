"""
Ten thousand hotspots: how fast they log in, what each one takes, what they cost while idle.

These are figures for planning, of this machine; the ratio is the node's share of a processor while
all hotspots do nothing but ping.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from pathlib import Path

from benchmarks._node import CLIENT_CPU, HOST, TALKGROUP, logIn, runningNode
from benchmarks._report import Report, arguments
from bmff.wire import homebrew
from bmff.wire.homebrew import Acknowledge, Key, Login, OptionsText, Ping, Station

WINDOW = 64  # logins under way at once
PING = 10.0  # seconds


def memoryOf(pid: int) -> int:
    """
    What a process has in memory, bytes.
    """
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Hotspots:
    """
    Many hotspots on few sockets' worth of code: each has its own socket, all one loop.
    """

    def __init__(self, master: tuple[str, int], password: bytes, count: int) -> None:
        self._password = password
        self._selector = selectors.DefaultSelector()
        self.sockets: list[socket.socket] = []
        for number in range(count):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.bind((HOST, 0))
            client.connect(master)
            self._selector.register(client, selectors.EVENT_READ, number)
            self.sockets.append(client)

    def logIn(self) -> float:
        """
        Log all of them in.

        @return: logins a second.
        """
        steps = [0] * len(self.sockets)
        begin = time.perf_counter()
        begun = done = 0
        while done < len(self.sockets):
            while begun < len(self.sockets) and begun - done < WINDOW:
                self.sockets[begun].send(Login(self._id(begun)).encode())
                begun += 1
            for key, _ in self._selector.select(5):
                number = int(key.data)
                answer = homebrew.decode(self.sockets[number].recv(512))
                assert isinstance(answer, Acknowledge)
                steps[number] += 1
                if steps[number] == 4:
                    done += 1
                else:
                    self.sockets[number].send(self._step(number, steps[number], answer).encode())
        return len(self.sockets) / (time.perf_counter() - begin)

    def idle(self, seconds: float) -> None:
        """
        Ping from each every 10 s, evenly spread.
        """
        begin = time.monotonic()
        sent = 0
        pitch = PING / len(self.sockets)
        while time.monotonic() < begin + seconds:
            while begin + sent * pitch <= time.monotonic():
                number = sent % len(self.sockets)
                self.sockets[number].send(Ping(self._id(number)).encode())
                sent += 1
            for key, _ in self._selector.select(pitch):
                self.sockets[int(key.data)].recv(512)

    def _id(self, number: int) -> int:
        return 2_000_000 + number

    def _step(self, number: int, step: int, answer: Acknowledge) -> homebrew.Message:
        peerID = self._id(number)
        if step == 1:
            return Key(peerID, homebrew.keyDigest(answer.value, self._password))
        if step == 2:
            return Station(peerID, "BENCH", 435_000_000, 435_000_000, slots=4, software="20260713")
        return OptionsText(peerID, f"TS2={TALKGROUP + number % 500},{number % 300 + 5001}")


def main() -> None:
    """
    Measure and print.
    """
    asked = arguments(__doc__.strip().splitlines()[0], hotspots=10_000, seconds=20)
    os.sched_setaffinity(0, {CLIENT_CPU})
    with runningNode() as node:
        logIn(node.master, node.password, 1).close()
        before = memoryOf(node.pid)
        hotspots = Hotspots(node.master, node.password, asked.hotspots)
        rate = hotspots.logIn()
        memory = (memoryOf(node.pid) - before) / asked.hotspots / 1024
        used, begin = node.cpuSeconds(), time.monotonic()
        hotspots.idle(asked.seconds)
        share = (node.cpuSeconds() - used) / (time.monotonic() - begin)
    Report(
        "peers",
        {str(asked.hotspots): share},
        {
            "logins a second": round(rate),
            "KiB each": round(memory, 2),
            "share of a processor while idle": round(share, 4),
        },
        "one processor",
    ).show(asked.json)


if __name__ == "__main__":
    main()
