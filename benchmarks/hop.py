"""
One hop of a link: how long a frame takes from one router to the other, against a socket in C.

A frame goes through router, link, transport, link, router to a listener that answers with a frame
of another call; half of the round trip is a hop. Both ends are on one processor, so that it is
the cost that is measured and not the waking of processors; references and links take turns.
"""

from __future__ import annotations

import re
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import median
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._links import CPU, End, pinned
from benchmarks._node import compileReference, freePorts
from benchmarks._report import Report, arguments
from bmff.dmr.frame import SLOT_2, VOICE_SYNC, Frame
from bmff.router.call import Peer

THERE, BACK = 91, 92  # talkgroups
NODES = (1001, 1002)
WARM = 300  # round trips that are not counted


class Ball:
    """
    Sends a frame of its call whenever it hears one of the other's.
    """

    def __init__(self, end: End, peer: Peer, talkgroup: int) -> None:
        self._end = end
        self._peer = peer
        self._talkgroup = talkgroup
        self._sequence = 0

    def throw(self) -> None:
        """
        Send the next frame.
        """
        frame = Frame.make(
            sequence=self._sequence & 0xFF,
            source=self._talkgroup,
            destination=self._talkgroup,
            flags=SLOT_2 | VOICE_SYNC,
            stream=self._talkgroup,
            burst=bytes(33),
        )
        self._sequence += 1
        self._end.router.route(self._peer, frame, time.monotonic())


class Ear:
    """
    An outlet and its only sink: calls back for each frame.
    """

    def __init__(self, heard: Any) -> None:
        self._heard = heard

    def openSink(self, slot: int) -> Ear:
        return self

    def add(self, peer: Peer) -> None: ...

    def remove(self, peer: Peer) -> None: ...

    def close(self) -> None: ...

    def sendFrame(self, frame: Frame) -> None:
        self._heard()


def _end(
    control: Pipe, mine: int, ports: dict[int, int], transport: str, count: int, folder: str
) -> None:
    """
    One process.
    """
    reactor = pinned(control)
    first = mine == NODES[0]
    found: list[int] = []
    began = [0]

    def heard() -> None:
        if not first:
            ball.throw()
            return
        now = time.perf_counter_ns()
        found.append(now - began[0])
        if len(found) < count + WARM:
            began[0] = time.perf_counter_ns()
            ball.throw()
        else:
            found.sort()
            control.send(sorted(found[WARM:])[count // 2] / 2000)
            reactor.callLater(0.2, reactor.stop)

    def start() -> None:
        began[0] = time.perf_counter_ns()
        ball.throw()
        end.turn.ended()

    def up() -> None:
        if first:
            reactor.callLater(1.0, start)

    end = End(reactor, mine, NODES[1] if first else NODES[0], transport, ports, up, folder)
    peer = Peer(mine, Ear(heard), dynamicTimeout=0.0)
    end.router.addPeer(peer, time.monotonic())
    # One slot hears, the other talks: a slot has one call at a time.
    end.router.setStatic(peer, {1: [BACK if first else THERE]}, time.monotonic())
    end.turn.ended()
    ball = Ball(end, peer, THERE if first else BACK)
    control.send("ready")
    reactor.callLater(60, reactor.stop)
    reactor.run()


def hop(transport: str, count: int) -> float:
    """
    Microseconds of one hop, median.
    """
    context = get_context("spawn")
    base = freePorts(2)
    ports = {node: base + place for place, node in enumerate(NODES)}
    ends = []
    folder = TemporaryDirectory()  # a process that is killed leaves its sockets behind
    for node in reversed(NODES):
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_end,
            args=(theirs, node, ports, transport, count, folder.name),
            daemon=True,
        )
        process.start()
        ours.recv()
        ends.append((process, ours))
    process, ours = ends[-1]
    try:
        if not ours.poll(60):
            raise SystemExit(f"hop: nothing came back over {transport}")
        return float(ours.recv())
    finally:
        for process, _ in ends:
            process.kill()
            process.join()
        folder.cleanup()


def reference(program: Path, mode: str, count: int) -> float:
    """
    Microseconds of one way in C, median.
    """
    command = ["taskset", "-c", str(CPU), str(program), mode, str(count)]
    output = run(command, capture_output=True, text=True, check=True).stdout
    return float(re.search(r"p50=([0-9.]+)", output)[1])  # type: ignore[index]


def main() -> None:
    """
    Measure and print.
    """
    asked = arguments(__doc__.strip().splitlines()[0], rounds=5, count=5000)
    links: dict[str, list[float]] = {"udp": [], "unix": [], "tcp": [], "shm": []}
    sockets: dict[str, list[float]] = {"udp": [], "seqpacket": [], "shmefd": []}
    with TemporaryDirectory() as folder:
        program = compileReference("pp", Path(folder))
        for _ in range(asked.rounds):
            for mode, figures in sockets.items():
                figures.append(reference(program, mode, asked.count * 4))
            for transport, figures in links.items():
                figures.append(hop(transport, asked.count))
    hops = {name: median(figures) for name, figures in links.items()}
    bare = {name: median(figures) for name, figures in sockets.items()}
    Report(
        "hop",
        {
            "udp": hops["udp"] / bare["udp"],
            "unix": hops["unix"] / bare["seqpacket"],
            "tcp": hops["tcp"] / hops["udp"],
            "shm": hops["shm"] / bare["shmefd"],
            "shm/unix": hops["shm"] / hops["unix"],
        },
        {f"{name}, us": round(figure, 2) for name, figure in hops.items()}
        | {f"{name} in C, us": round(figure, 2) for name, figure in bare.items()},
        "reference/pp.c: sendto and recvfrom (udp), SEQPACKET (unix), shared memory and an eventfd"
        " (shm); the sealed UDP link (tcp), the UNIX link (shm/unix)",
    ).show(asked.json)


if __name__ == "__main__":
    main()
