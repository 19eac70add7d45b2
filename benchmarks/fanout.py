"""
Fan-out: how fast one call reaches 10, 100 and 1000 hotspots, against a C program with sendmmsg.

The node gets its frames from a real socket, all at once, and the time runs from the first read to
the last frame routed. Node and C program are on CPU 0, whoever drains and counts on CPU 1; they
take turns, and the medians of the rounds are compared.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen, run
from tempfile import TemporaryDirectory

from benchmarks._node import TALKGROUP, compileReference, freePorts, logIn, runningNode
from benchmarks._report import Report, arguments
from bmff.dmr.frame import Frame
from bmff.dmr.voice import voiceCall
from bmff.wire.homebrew import encodeFrame, packID

BATCH = 4000  # frames; as many as a socket's queue takes
PACKETS = 200_000
TALKER = 2_340_001


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


def endlessCall() -> Iterator[Frame]:
    """
    The voice frames of a call, again and again, with numbers that go on.
    """
    frames = list(voiceCall(source=TALKER, destination=TALKGROUP, stream=1, superframes=14))
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
    with runningNode("talk_limit = 0\npeer_timeout = 600") as node:
        for number in range(count):
            options = f"TS2={TALKGROUP}"
            logIn(node.master, node.password, 3_000_000 + number, base + number, options).close()
        talker = logIn(node.master, node.password, TALKER)
        call = endlessCall()
        wireID = packID(TALKER)

        def send(frames: int) -> int:
            for _ in range(frames):
                talker.send(encodeFrame(next(call), wireID))
            return frames

        for turn in range(rounds + 1):
            each = max(1, packets // count)
            with sink(programs / "sink", base, count) as stop:
                command = [str(programs / "fan"), "mmsg3", *map(str, (base, count, count, each))]
                output = run(command, capture_output=True, text=True, check=True).stdout
                pace = float(re.search(r"pps=(\d+)", output)[1])  # type: ignore[index]
                theirs.append(pace * share(stop(), each * count))
            with sink(programs / "sink", base, count) as stop:
                left, seconds = each, 0.0
                while left:
                    batch = min(left, BATCH)
                    seconds += node.drain(lambda batch=batch: send(batch))  # type: ignore[misc]
                    left -= batch
                ours.append(each * count / seconds * share(stop(), each * count))
            if turn == 0:
                theirs.clear()
                ours.clear()
    return theirs, ours


def main() -> None:
    """
    Measure and print.
    """
    asked = arguments(__doc__.strip().splitlines()[0], rounds=7)
    ratios, figures = {}, {}
    with TemporaryDirectory() as folder:
        for name in ("fan", "sink"):
            compileReference(name, Path(folder))
        for count in (10, 100, 1000):
            theirs, ours = measure(count, asked.rounds, Path(folder))
            ratios[str(count)] = median(ours) / median(theirs)
            figures[f"{count}: packets a second, node"] = round(median(ours))
            figures[f"{count}: packets a second, C"] = round(median(theirs))
    reference = "reference/fan.c mmsg3 (sendmmsg, three pieces a packet)"
    Report("fanout", ratios, figures, reference).show(asked.json)


if __name__ == "__main__":
    main()
