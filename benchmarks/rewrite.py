"""
Rewriting: what it costs to send one call under three other numbers to 100 hotspots each, against
sending it to 300 as it is.

In the case C{rewrite} the hotspots have other numbers for the call's talkgroup; in the case C{rule}
a rule sends the call to three other talkgroups, which makes three more calls of it. The nodes deal
in turn with frames that wait in their sockets, and what counts is the time that their processes had
the processor for, as other programs want it too. Medians of the rounds are compared.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks._node import TALKGROUP, RunningNode, compileReference, freePorts, logIn, runningNode
from benchmarks._report import Report, arguments
from benchmarks.fanout import TALKER, share, sink
from bmff.dmr.frame import Frame
from bmff.dmr.voice import voiceCall
from bmff.wire.homebrew import encodeFrame, packID

TARGETS = 3
LISTENERS = 100  # of each target
FRAMES = 200  # of a round; what a listener's socket holds, whenever the sink comes to read it
ATTEMPTS = 3  # at a round
COUNTED = 0.98  # of what was sent, at least
FIRST = 3_000_000  # the first listener's ID
_HOMEBREW = "talk_limit = 0\npeer_timeout = 600\n"
_RULE = "benchmark-of-rewriting"
_PLUGIN = f"""\
from twisted.plugin import IPlugin
from zope.interface import implementer
from bmff.ibmff import IRouting
from bmff.routing import Decision, Destination

@implementer(IPlugin, IRouting)
class Targets:
    name = {_RULE!r}
    also = tuple(Destination({TALKGROUP} + 1 + number) for number in range({TARGETS}))

    def decide(self, request):
        return Decision(stay=False, also=self.also)

targets = Targets()
"""


@dataclass
class Bench:
    """
    One node with its listeners.

    @ivar node: the node.
    @ivar counted: how many frames its router counts for one that comes.
    """

    node: RunningNode
    counted: int
    _stream: int = 0

    def __post_init__(self) -> None:
        self._talker = logIn(self.node.master, self.node.password, TALKER)

    def round(self, frames: int) -> float:
        """
        Seconds of the processor that it takes to deal with a new call. One that the node took for
        over, because the machine let it stand still for two seconds, is made again.
        """
        for _ in range(ATTEMPTS):
            cost = self._call(frames)
            if cost is not None:
                return cost
        raise SystemExit("frames were lost on their way to the node; is the machine busy?")

    def _call(self, frames: int) -> float | None:
        self._stream += 1
        call = [encodeFrame(frame, packID(TALKER)) for frame in someCall(self._stream, frames)]

        def send() -> int:
            for data in call:
                self._talker.send(data)
            return len(call) * self.counted

        before = self.node.cpuSeconds()
        if self.node.drain(send) < 0:
            return None
        return self.node.cpuSeconds() - before


def someCall(stream: int, frames: int) -> Iterator[Frame]:
    """
    The first frames of a long call.
    """
    once = list(voiceCall(source=TALKER, destination=TALKGROUP, stream=stream, superframes=14))
    endless = cycle(once[1:-1])
    yield once[0]
    for sequence, frame in enumerate(islice(endless, frames - 1), 1):
        yield Frame(bytes((sequence & 0xFF,)) + frame.addressing[1:], frame.body)


@contextmanager
def benches(base: int, listeners: int) -> Iterator[Mapping[str, Bench]]:
    """
    The nodes, by case; what is to be compared with is C{plain}.

    @param base: the first of the listeners' ports.
    @param listeners: how many each target has.
    """
    count = TARGETS * listeners
    peers = "".join(
        f"[homebrew.peer.{FIRST + each}]\n"
        f"translate = [{{ there = {TALKGROUP + 1 + each // listeners}, here = {TALKGROUP} }}]\n"
        for each in range(count)
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        plugins = folder / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "rewrite_benchmark.py").write_text(_PLUGIN)
        sys.path.append(str(folder))  # a process that is spawned has it too
        stack.callback(sys.path.remove, str(folder))
        found = {}
        for case, settings, counted in (
            ("plain", _HOMEBREW, 1),
            ("rewrite", _HOMEBREW + peers, 1),
            ("rule", f'{_HOMEBREW}[routing]\nrules = ["{_RULE}"]\n', 1 + TARGETS),
        ):
            node = stack.enter_context(runningNode(settings))
            for each in range(count):
                number = TALKGROUP + 1 + each // listeners if case == "rule" else TALKGROUP
                peerID, port = FIRST + each, base + each
                logIn(node.master, node.password, peerID, port, f"TS2={number}").close()
            found[case] = Bench(node, counted)
        yield found


def measure(
    rounds: int, program: Path, frames: int = FRAMES, listeners: int = LISTENERS
) -> dict[str, list[float]]:
    """
    Seconds of the processor for each frame, by case and round.

    @param program: the compiled sink.
    """
    count = TARGETS * listeners
    base = freePorts(count)
    found: dict[str, list[float]] = {}
    with benches(base, listeners) as nodes, sink(program, base, count) as stop:
        for turn in range(rounds + 1):
            for case, bench in nodes.items():
                cost = bench.round(frames) / frames
                if turn:  # the first one warms up
                    found.setdefault(case, []).append(cost)
        sent = frames * count * (rounds + 1) * len(nodes)
        if share(stop(), sent) < COUNTED:
            raise SystemExit("datagrams were lost; is the machine busy?")
    return found


def main() -> None:
    """
    Measure and print.
    """
    asked = arguments(__doc__.strip().splitlines()[0], rounds=40)
    with TemporaryDirectory() as folder:
        costs = measure(asked.rounds, compileReference("sink", Path(folder)))
    plain = median(costs["plain"])
    ratios = {case: median(costs[case]) / plain for case in costs if case != "plain"}
    figures = {
        f"{case}: us of the processor a frame": round(median(each) * 1e6, 1)
        for case, each in costs.items()
    }
    Report("rewrite", ratios, figures, "the same call to as many hotspots as it is").show(
        asked.json
    )


if __name__ == "__main__":
    main()
