"""
Fan-out: how fast one call reaches 10, 100 and 1000 hotspots, against a C program with sendmmsg.

The node gets its frames from a real socket, all at once, and the time runs from the first read to
the last frame routed. Node and C program are on CPU 0, whoever drains and counts on CPU 1; they
take turns, and the medians of the rounds are compared.

With C{--everything} a node with all of it on (HTTP API with a live stream open, metrics read each
second, MQTT to a mosquitto, the journal in a file) takes turns with one that has all of it off.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen, run
from tempfile import TemporaryDirectory

from benchmarks._node import (
    CLIENT_CPU,
    HOST,
    TALKGROUP,
    RunningNode,
    compileReference,
    freePorts,
    logIn,
    runningNode,
)
from benchmarks._report import Report, arguments
from benchmarks._web import Visit, runningVisitors
from bmff.dmr.frame import Frame
from bmff.dmr.voice import voiceCall
from bmff.wire.homebrew import encodeFrame, packID
from tests.mosquitto import Mosquitto

BATCH = 4000  # frames; as many as a socket's queue takes
PACKETS = 200_000
TALKER = 2_340_001
LISTENERS = 100  # with everything on or off
LASTING = 5  # times as many packets then, as metrics are read but once a second
LEAST = 0.97  # of what a node without everything carries: the bar
SETTINGS = "talk_limit = 0\npeer_timeout = 600\n"


@contextmanager
def sink(program: Path, base: int, count: int) -> Iterator[Callable[[], int]]:
    """
    The C program that drains and counts.

    @return: a callable that stops it and says how many datagrams it has had.
    """
    process = Popen([program, str(base), str(count)], stdout=PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()

        def stop() -> int:
            time.sleep(0.3)  # until it has drained its sockets
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=10)
            return int(re.search(r"counted=(\d+)", output)[1])  # type: ignore[index]

        yield stop
    finally:
        process.kill()
        process.wait()


def share(arrived: int, sent: int) -> float:
    """
    The part of what was sent that was counted, since only that is worth anything.
    """
    if arrived < 0.5 * sent:
        raise SystemExit(f"only {arrived} of {sent} datagrams arrived; is the machine busy?")
    return arrived / sent


def endlessCall(stream: int = 1) -> Iterator[Frame]:
    """
    The voice frames of a call, again and again, with numbers that go on.
    """
    frames = list(voiceCall(source=TALKER, destination=TALKGROUP, stream=stream, superframes=14))
    yield frames[0]
    for sequence, frame in enumerate(cycle(frames[1:-1]), 1):
        yield Frame(bytes((sequence & 0xFF,)) + frame.addressing[1:], frame.body)


def measure(
    count: int, rounds: int, programs: Path, packets: int = PACKETS
) -> tuple[list[float], list[float]]:
    """
    Packets a second to L{count} hotspots: the C program's and the node's, by round.

    @param programs: the folder of the compiled references.
    @param packets: how many each sends in a round.
    """
    base = freePorts(count)
    theirs, ours = [], []
    with runningNode(SETTINGS) as node:
        crowd = Crowd(node, base, count)
        for turn in range(rounds + 1):
            each = max(1, packets // count)
            with sink(programs / "sink", base, count) as stop:
                command = [str(programs / "fan"), "mmsg3", *map(str, (base, count, count, each))]
                output = run(command, capture_output=True, text=True, check=True).stdout
                pace = float(re.search(r"pps=(\d+)", output)[1])  # type: ignore[index]
                theirs.append(pace * share(stop(), each * count))
            ours.append(crowd.pace(programs, each))
            if turn == 0:
                theirs.clear()
                ours.clear()
    return theirs, ours


class Crowd:
    """
    One who talks at a node and many who hear.
    """

    def __init__(self, node: RunningNode, base: int, count: int) -> None:
        """
        @param base: the first port of those who hear.
        @param count: how many they are.
        """
        for number in range(count):
            options = f"TS2={TALKGROUP}"
            logIn(node.master, node.password, 3_000_000 + number, base + number, options).close()
        self._talker = logIn(node.master, node.password, TALKER)
        self._node = node
        self._base = base
        self._count = count
        self._stream = 1
        self._call = endlessCall(self._stream)

    def callAnew(self) -> None:
        """
        Begin another call, as one that was silent meanwhile is over.
        """
        self._stream += 1
        self._call = endlessCall(self._stream)
        self._node.drain(lambda: self._send(1))

    def pace(self, programs: Path, frames: int) -> float:
        """
        Have so many frames of the call sent to all.

        @param programs: the folder of the compiled references.
        @return: packets a second.
        """
        with sink(programs / "sink", self._base, self._count) as stop:
            left, seconds = frames, 0.0
            while left:
                batch = min(left, BATCH)
                seconds += self._node.drain(lambda batch=batch: self._send(batch))  # type: ignore[misc]
                left -= batch
            sent = frames * self._count
            return sent / seconds * share(stop(), sent)

    def _send(self, frames: int) -> int:
        wireID = packID(TALKER)
        for _ in range(frames):
            self._talker.send(encodeFrame(next(self._call), wireID))
        return frames


def measureEverything(
    count: int, rounds: int, programs: Path, packets: int
) -> tuple[dict[str, list[float]], dict[str, list[float]], int]:
    """
    A node with everything on beside one with everything off, in turn.

    @param programs: the folder of the compiled references.
    @param packets: how many each sends in a round.
    @return: packets a second and packets a second of processor time, by case (C{on}, C{off}) and
        round; and how often metrics were read.
    """
    frames = max(1, packets // count)
    paces: dict[str, list[float]] = {"on": [], "off": []}
    worth: dict[str, list[float]] = {"on": [], "off": []}
    read = 0
    with ExitStack() as ending:
        broker = Mosquitto(tcp=True)
        ending.callback(broker.remove)
        broker.start()
        os.sched_setaffinity(broker.process.pid, {CLIENT_CPU})
        on = f'[web]\nlisten = ["{HOST}:0"]\n[mqtt]\nbroker = "{HOST}:{broker.port}"\n'
        base = freePorts(count)
        nodes = {
            "on": ending.enter_context(runningNode(SETTINGS + on, journal=True)),
            "off": ending.enter_context(runningNode(f"{SETTINGS}[web]\nenabled = false\n")),
        }
        crowds = {case: Crowd(node, base, count) for case, node in nodes.items()}
        web = nodes["on"].web
        if web is None:
            raise SystemExit("fanout: the API has no port")
        visitors = ending.enter_context(runningVisitors(web))
        for turn in range(rounds + 1):
            # Who begins changes, too: what the machine gives may change from one to the next.
            for case in ("on", "off") if turn % 2 else ("off", "on"):
                node = nodes[case]
                if case == "on":
                    visitors.begin(Visit(("/metrics",), 1.0, 1))
                crowds[case].callAnew()
                begun = node.cpuSeconds()
                pace = crowds[case].pace(programs, frames)
                used = node.cpuSeconds() - begun
                visited = visitors.end() if case == "on" else None
                if turn == 0:
                    continue
                paces[case].append(pace)
                worth[case].append(frames * count / used)
                if visited is not None:
                    if visited.refused or visited.answered < visited.sent or visited.broken:
                        raise SystemExit(f"fanout: the API does not serve: {visited}")
                    read += visited.answered
    return paces, worth, read


def everything(rounds: int, packets: int, asJSON: bool) -> None:
    """
    Measure a node with everything on, and print.
    """
    with TemporaryDirectory() as folder:
        program = compileReference("sink", Path(folder)).parent
        paces, worth, read = measureEverything(LISTENERS, rounds, program, packets)
    ratios = [on / off for on, off in zip(paces["on"], paces["off"], strict=True)]
    Report(
        "fanout",
        {"everything": median(paces["on"]) / median(paces["off"])},
        {
            "bar": LEAST,
            "ratio by processor time": round(median(worth["on"]) / median(worth["off"]), 3),
            "ratio, median of the rounds": round(median(ratios), 3),
            "ratio of each round": [round(each, 3) for each in ratios],
            "packets a second, everything on": round(median(paces["on"])),
            "packets a second, everything off": round(median(paces["off"])),
            "hotspots": LISTENERS,
            "metrics read": read,
        },
        "the same node without API, MQTT and journal",
    ).show(asJSON)


def main() -> None:
    """
    Measure and print.
    """
    flags = {"everything": "compare a node with everything on to one with everything off"}
    asked = arguments(__doc__.strip().splitlines()[0], flags, rounds=7, packets=PACKETS)
    if asked.everything:
        everything(asked.rounds, LASTING * asked.packets, asked.json)
        return
    ratios, figures = {}, {}
    with TemporaryDirectory() as folder:
        for name in ("fan", "sink"):
            compileReference(name, Path(folder))
        for count in (10, 100, 1000):
            theirs, ours = measure(count, asked.rounds, Path(folder), asked.packets)
            ratios[str(count)] = median(ours) / median(theirs)
            figures[f"{count}: packets a second, node"] = round(median(ours))
            figures[f"{count}: packets a second, C"] = round(median(theirs))
    reference = "reference/fan.c mmsg3 (sendmmsg, three pieces a packet)"
    Report("fanout", ratios, figures, reference).show(asked.json)


if __name__ == "__main__":
    main()
