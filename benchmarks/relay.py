"""
Latency of real-time calls through a node that is half loaded, against a bare relay.

Eight calls at the true pitch of 60 ms go to 1 or 100 listeners each while another stream fills half
of what the node can do. The same is done with a loop of recvfrom and sendto in the node's place,
loaded to half of what that can do. Times of arrival are the kernel's. What counts is how the tail
(p99) stands to the median, the node's over the relay's.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from select import POLLIN, poll
from statistics import median

from benchmarks._late import nextArrival, noteArrivals, stamped
from benchmarks._node import CLIENT_CPU, HOST, NODE_CPU, logIn, runningNode
from benchmarks._report import Report, arguments
from bmff.dmr.frame import FRAME_PERIOD

CALLS = 8
LOAD_TALKGROUP = 900
PILE = 4000  # frames that are sent at once to learn a capacity
TICK = 0.0005  # seconds between two bursts of the load


@dataclass
class Party:
    """
    Who sends and who hears.

    @ivar talkers: each with its number.
    @ivar listeners: by talker; of many only the last is looked at.
    @ivar loadTalker: fills the other half.
    @ivar loadListener: hears that.
    @ivar pid: the process under test.
    """

    talkers: list[socket.socket]
    listeners: list[list[socket.socket]]
    loadTalker: socket.socket
    loadListener: socket.socket
    pid: int


@contextmanager
def throughNode(listeners: int) -> Iterator[Party]:
    """
    Hotspots of a node.
    """
    with runningNode("talk_limit = 0\npeer_timeout = 600") as node:

        def hotspot(number: int, options: str = "") -> socket.socket:
            return logIn(node.master, node.password, number, options=options)

        yield Party(
            [hotspot(1 + call) for call in range(CALLS)],
            [
                [
                    hotspot(10_000 + 1000 * call + number, f"TS2={100 + call}")
                    for number in range(listeners)
                ]
                for call in range(CALLS)
            ],
            hotspot(99),
            hotspot(98, f"TS2={LOAD_TALKGROUP}"),
            node.pid,
        )


@contextmanager
def throughRelay(listeners: int) -> Iterator[Party]:
    """
    The same sockets around a bare relay.
    """
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_relay, args=(theirs,), daemon=True)
    process.start()
    relay = ours.recv()

    def plain() -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((HOST, 0))
        one.connect(relay)
        return one

    party = Party(
        [plain() for _ in range(CALLS)],
        [[plain() for _ in range(listeners)] for _ in range(CALLS)],
        plain(),
        plain(),
        process.pid or 0,
    )
    targets = {
        talker.getsockname(): [listener.getsockname() for listener in group]
        for talker, group in zip(party.talkers, party.listeners, strict=True)
    }
    targets[party.loadTalker.getsockname()] = [party.loadListener.getsockname()]
    ours.send(targets)
    ours.recv()
    try:
        yield party
    finally:
        process.kill()
        process.join()


def _relay(control: Connection) -> None:
    os.sched_setaffinity(0, {NODE_CPU})
    relay = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    relay.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    relay.bind((HOST, 0))
    control.send(relay.getsockname())
    targets = control.recv()
    control.send("ready")
    receive, send = relay.recvfrom, relay.sendto
    while True:
        data, sender = receive(512)
        for target in targets[sender]:
            send(data, target)


def capacity(party: Party) -> float:
    """
    Frames a second from one talker to one listener.
    """
    party.loadListener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    party.loadListener.settimeout(5)
    rates = []
    for turn in range(5):
        os.kill(party.pid, signal.SIGSTOP)
        for number in range(PILE):
            party.loadTalker.send(stamped(99, LOAD_TALKGROUP, (turn * PILE + number) & 255, 0))
        begin = time.perf_counter()
        os.kill(party.pid, signal.SIGCONT)
        for _ in range(PILE):
            party.loadListener.recv(512)
        rates.append(PILE / (time.perf_counter() - begin))
    return median(rates)


def _load(descriptor: socket.socket, rate: float, first: int) -> None:
    """
    Another process: sends frames evenly until it is killed.
    """
    os.sched_setaffinity(0, {CLIENT_CPU})
    begin = time.perf_counter()
    sent = 0
    while True:
        due = int((time.perf_counter() - begin) * rate)
        for _ in range(due - sent):
            descriptor.send(stamped(99, LOAD_TALKGROUP, (first + sent) & 255, 0))
            sent += 1
        time.sleep(TICK)


def latencies(party: Party, seconds: float, rate: float) -> list[float]:
    """
    Milliseconds from sending a call's frame until it has arrived at its last listener.
    """
    context = get_context("fork")
    load = context.Process(target=_load, args=(party.loadTalker, rate, 5 * PILE), daemon=True)
    load.start()
    watched = {group[-1].fileno(): group[-1] for group in party.listeners}
    arrivals = poll()
    for listener in watched.values():
        noteArrivals(listener)
        arrivals.register(listener, POLLIN)
    found = []
    begin = time.monotonic()
    sent = 0
    pitch = FRAME_PERIOD / CALLS  # the calls are spread evenly
    try:
        while (now := time.monotonic()) < begin + seconds:
            if now >= begin + sent * pitch:
                call, sequence = sent % CALLS, sent // CALLS
                data = stamped(1 + call, 100 + call, sequence & 255, time.time_ns())
                party.talkers[call].send(data)
                sent += 1
            wait = max(0.0, begin + sent * pitch - time.monotonic())
            for descriptor, _ in arrivals.poll(wait * 1000):
                found.append(1000 * nextArrival(watched[descriptor]).late)
    finally:
        load.kill()
        load.join()
    if len(found) < 0.99 * sent - CALLS:
        raise SystemExit(f"only {len(found)} of {sent} frames arrived")
    return sorted(found[len(found) // 10 :])


def main() -> None:
    """
    Measure and print.
    """
    asked = arguments(__doc__.strip().splitlines()[0], rounds=5, seconds=8)
    os.sched_setaffinity(0, {CLIENT_CPU})
    ratios, figures = {}, {}
    for count in (1, 100):
        tails: dict[str, list[float]] = {"node": [], "relay": []}
        medians: dict[str, list[float]] = {"node": [], "relay": []}
        for _ in range(asked.rounds):
            for name, through in (("node", throughNode), ("relay", throughRelay)):
                with through(count) as party:
                    found = latencies(party, asked.seconds, capacity(party) / 2)
                medians[name].append(median(found))
                tails[name].append(found[int(len(found) * 0.99)] / median(found))
        ratios[str(count)] = median(tails["node"]) / median(tails["relay"])
        for name in ("node", "relay"):
            figures[f"{count}: {name}, median ms"] = round(median(medians[name]), 4)
            figures[f"{count}: {name}, p99 / median"] = round(median(tails[name]), 2)
    Report("relay", ratios, figures, "a loop of recvfrom and sendto").show(asked.json)


if __name__ == "__main__":
    main()
