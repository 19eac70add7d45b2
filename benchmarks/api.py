"""
What a thousand requests a second and 200 live streams do to the calls of a node.

The node runs as twistd runs it. In every second round visitors read its API: status, links, calls,
who was heard last, metrics and health in turn, on connections that stay open, while others listen
to everything that happens. In all rounds hotspots make short calls, so that there is something to
tell. The node has one processor, and calls and visitors have the other one.

The ratios are made from those rounds alone in which other programs left the node's processor to it;
where there are none, from all, and it says so.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks._calls import EVENTS, Calls, Told, runningCalls
from benchmarks._late import (
    SHARES,
    Heard,
    busy,
    leftAlone,
    middle,
    milliseconds,
    processorSeconds,
)
from benchmarks._node import CLIENT_CPU, NODE_CPU
from benchmarks._report import Report, arguments
from benchmarks._twistd import LoneNode, loneNode
from benchmarks._web import Visit, Visited, Visitors, runningVisitors

PATHS: Final = ("/status/status.json", "/links", "/calls", "/lastheard", "/metrics", "/health")
CALLERS: Final = 10  # hotspots that make short calls
LONGEST: Final = 0.020  # seconds that p99.9 may grow by: the bar
SETTLING: Final = 0.5  # seconds after visitors have come or gone


@dataclass(frozen=True, slots=True)
class Round:
    """
    What was seen in one round.

    @ivar heard: how late the frames were.
    @ivar told: more of the calls.
    @ivar visited: what visitors saw; L{None} without.
    @ivar processor: the share of its processor that the node used.
    @ivar others: the share that other programs used.
    """

    heard: Heard
    told: Told
    visited: Visited | None
    processor: float
    others: float


class Bench:
    """
    The three processes.
    """

    def __init__(self, node: LoneNode, calls: Calls, visitors: Visitors) -> None:
        self._node = node
        self._calls = calls
        self._visitors = visitors

    def round(self, seconds: float, shorts: int, visit: Visit | None) -> Round:
        """
        Let all calls go on for some time.

        @param shorts: short calls a second.
        """
        self._calls.begin()
        if shorts:
            self._calls.callShortly(1 << 30, shorts)
        if visit is not None:
            self._visitors.begin(visit)
        time.sleep(SETTLING)
        begin, worked, used = time.time(), busy(NODE_CPU), processorSeconds(self._node.pid)
        time.sleep(seconds)
        end = time.time()
        worked, used = busy(NODE_CPU) - worked, processorSeconds(self._node.pid) - used
        visited = self._visitors.end() if visit is not None else None
        told = self._calls.end()
        time.sleep(SETTLING)
        own = used / (end - begin)
        others = worked / (end - begin) - own
        return Round(told.heard(begin, end), told, visited, own, others)


@contextmanager
def bench(calls: int, streams: int) -> Iterator[Bench]:
    """
    Start the processes, and end them.

    @param streams: how many the node allows.
    """
    with (
        loneNode(f"streams = {streams}\nconnections = {streams + 100}") as node,
        runningCalls(node.master, node.password, calls, CALLERS) as talking,
        runningVisitors(node.web) as visitors,
    ):
        yield Bench(node, talking, visitors)


def main() -> None:
    """
    Measure and print.
    """
    asked = arguments(
        __doc__.strip().splitlines()[0],
        rounds=5,
        seconds=15,
        calls=20,
        shorts=10,
        requests=1_000,
        streams=200,
    )
    os.sched_setaffinity(0, {CLIENT_CPU})
    visit = Visit(PATHS, asked.requests, asked.streams)
    control: list[Round] = []
    visited: list[Round] = []
    with bench(asked.calls, asked.streams) as running:
        for warm in (None, visit):
            running.round(1.0, asked.shorts, warm)
        for _ in range(asked.rounds):
            control.append(running.round(asked.seconds, asked.shorts, None))
            visited.append(running.round(asked.seconds, asked.shorts, visit))
    show(control, visited, asked.json)


def show(control: list[Round], visited: list[Round], asJSON: bool) -> None:
    """
    Print what has been found.

    @param control: the rounds without visitors.
    @param visited: those with them.
    """
    clean = leftAlone(*([each.others for each in kind] for kind in (control, visited)))
    counting = clean or list(range(len(control)))
    quiet, loud = [each.heard for each in control], [each.heard for each in visited]
    middles = {
        name: (middle(quiet, share, counting), middle(loud, share, counting))
        for name, share in SHARES.items()
    }
    before, after = middles["p99.9"]
    seen = [each.visited for each in visited if each.visited is not None]
    refused: Counter[str] = Counter()
    for one in seen:
        refused.update(one.refused)
    Report(
        "api",
        {name: late / early for name, (early, late) in middles.items()},
        {
            f"extra p99.9, ms (bar: {LONGEST * 1000:.0f})": round(after - before, 2),
            "rounds that others left alone": f"{len(clean)} of {len(control)}",
            **{f"{name} without, ms": milliseconds(quiet, SHARES[name]) for name in SHARES},
            **{f"{name} visited, ms": milliseconds(loud, SHARES[name]) for name in SHARES},
            "latest frame without, ms": milliseconds(quiet, 1.0),
            "latest frame visited, ms": milliseconds(loud, 1.0),
            "frames a round": [each.sent for each in loud],
            "frames lost without": [each.lost for each in quiet],
            "frames lost visited (bar: 0)": [each.lost for each in loud],
            "requests a second, wanted": [round(one.due / one.seconds) for one in seen],
            "requests a second, sent": [round(one.sent / one.seconds) for one in seen],
            "requests a second, answered": [round(one.answered / one.seconds) for one in seen],
            "answers that were not 200 (bar: 0)": sum(refused.values()),
            "of these": dict(refused),
            "requests without an answer": [one.sent - one.answered for one in seen],
            "answers took, p50, ms": [round(1000 * one.wait(0.5), 1) for one in seen],
            "answers took, p99, ms": [round(1000 * one.wait(0.99), 1) for one in seen],
            "streams open": [one.streams for one in seen],
            "connections and streams that the node ended": [one.broken for one in seen],
            "events a second on all streams": [round(one.told / one.seconds) for one in seen],
            "events of a round": [EVENTS * each.told.shorts for each in visited],
            "frames sent too late without, p99.9, ms": [
                round(1000 * each.told.pause(0.999), 1) for each in control
            ],
            "frames sent too late visited, p99.9, ms": [
                round(1000 * each.told.pause(0.999), 1) for each in visited
            ],
            "processor of the node without, %": [
                round(100 * each.processor, 1) for each in control
            ],
            "processor of the node visited, %": [
                round(100 * each.processor, 1) for each in visited
            ],
            "processor of others without, %": [round(100 * each.others, 1) for each in control],
            "processor of others visited, %": [round(100 * each.others, 1) for each in visited],
        },
        "the same calls without visitors, in turn",
    ).show(asJSON)


if __name__ == "__main__":
    main()
