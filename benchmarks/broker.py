"""
What becomes of the calls of a node when its MQTT broker dies, hangs or is started anew.

The node runs as twistd runs it and tells a mosquitto what happens. In each round hotspots make
short calls until there were C{--events} events, C{--pace} of them a second: a call begins, its
hotspot hears another talkgroup, the call ends. In C{killed} and C{frozen} the broker is away for
all of them (SIGKILL before, started after; SIGSTOP before, SIGCONT after), in C{restarted} it is
ended in order and started anew, at once, when half of them are made. These rounds take turns with
C{control}, in which it is left alone with the same events, and C{quiet}, without events too.

How late frames are is counted apart while there are events and after them, until the broker has the
right states again and a while longer, each against the same part of C{control}. States are right
when whoever asks the broker is told that the node is there and, of each hotspot, the very
talkgroups that the node's own API tells, and that stays so.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks._calls import EVENTS, Calls, runningCalls
from benchmarks._late import (
    OTHERS,
    SHARES,
    Heard,
    busy,
    middle,
    milliseconds,
    processorSeconds,
    resident,
)
from benchmarks._node import CLIENT_CPU, HOST, NODE_CPU
from benchmarks._report import Report, arguments
from benchmarks._twistd import NETWORK, LoneNode, loneNode
from bmff.wire.brandmeister.services import ONLINE
from bmff.wire.brandmeister.topics import Topics
from tests.mosquitto import Mosquitto

CONTROL: Final = "control"
QUIET: Final = "quiet"
AWAY: Final = ("killed", "frozen", "restarted")
PARTS: Final = ("away", "back")  # of a round: while there are events, and after
CALLERS: Final = 50  # hotspots that make short calls
LONGEST: Final = 0.005  # seconds that p99.9 may grow by: the bar
SETTLING: Final = 0.5  # seconds from the beginning of the calls
AFTER: Final = 5.0  # seconds that the part after the events takes at least
PROVEN: Final = 2.5  # seconds that states must stay right; a wrong one is put right within 1 s
PATIENCE: Final = 60.0  # seconds until states must be right
ASKING: Final = 2.0  # seconds between two questions to the node, which take its time
LOOK: Final = 0.02  # seconds between two looks

Slots = dict[str, dict[str, list[int]]]


class Reader:
    """
    Somebody who asks the broker for the states of a node, and hears what becomes of them.
    """

    def __init__(self, port: int) -> None:
        self._topics = Topics(NETWORK)
        self._states: dict[str, bytes] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._connected
        self._client.on_message = self._heard
        self._client.connect(HOST, port)
        self._client.loop_start()

    def _connected(self, client: paho.Client, *more: object) -> None:
        client.subscribe([(self._topics.state, 1), (f"{self._topics.repeaters}+", 1)])

    def _heard(self, client: object, data: object, message: paho.MQTTMessage) -> None:
        self._states[message.topic] = bytes(message.payload)

    def wrong(self, wanted: Mapping[int, Slots]) -> set[str]:
        """
        The topics whose state is not as it should be.

        @param wanted: the talkgroups of each hotspot.
        """
        states = {topic: json.loads(said) for topic, said in self._states.copy().items() if said}
        node = states.pop(self._topics.state, {})
        found = {topic: said["Slots"] for topic, said in states.items()}
        right = {self._topics.repeaterState(peer): slots for peer, slots in wanted.items()}
        wrong = {topic for topic in found | right if found.get(topic) != right.get(topic)}
        return wrong if node.get("State") == ONLINE else wrong | {self._topics.state}

    def close(self) -> None:
        """
        Leave.
        """
        self._client.disconnect()
        self._client.loop_stop()


@dataclass(frozen=True, slots=True)
class Round:
    """
    What was seen in one round.

    @ivar parts: how late frames were, by part.
    @ivar lost: frames that were not heard, of the whole round.
    @ivar pause: what all but a thousandth of the frames were sent too late by at most, seconds.
    @ivar events: how many were made.
    @ivar pace: events a second that were reached.
    @ivar right: seconds from the broker's return until states were right.
    @ivar memory: the node's, MiB: before, the most that was seen, and after.
    @ivar outbox: by how much what the node counts of its messages has grown.
    @ivar processor: the share of its processor that the node used.
    @ivar others: the share that other programs used.
    """

    parts: Mapping[str, Heard]
    lost: int
    pause: float
    events: int
    pace: float
    right: float
    memory: tuple[float, float, float]
    outbox: Mapping[str, int]
    processor: float
    others: float


class Bench:
    """
    The node, its broker, and the calls.
    """

    def __init__(self, node: LoneNode, broker: Mosquitto, calls: Calls) -> None:
        self._node = node
        self._broker = broker
        self._calls = calls

    def round(self, case: str, events: int, pace: int) -> Round:
        """
        Let all calls go on while something happens to the broker.

        @param case: what.
        @param events: how many there are to be, at least.
        @param pace: how many a second.
        """
        shorts = 0 if case == QUIET else max(2, -(-events // EVENTS))
        memory = [resident(self._node.pid)]
        counts = self._counts()
        self._calls.begin()
        time.sleep(SETTLING)
        begin, worked, used = time.time(), busy(NODE_CPU), processorSeconds(self._node.pid)
        broker = self._broker
        {"killed": broker.kill, "frozen": broker.pause}.get(case, _nothing)()
        half = shorts // 2
        self._make(half, pace, memory)
        back = time.time()
        if case == "restarted":
            broker.end()
            broker.start()
            back = time.time()
        self._make(shorts - half, pace, memory)
        made = time.time()
        if shorts == 0:
            time.sleep(AFTER)
            made = time.time()
        elif case != "restarted":
            {"killed": broker.start, "frozen": broker.resume}.get(case, _nothing)()
            back = time.time()
        right = self._right(back, memory)
        time.sleep(max(0.0, made + AFTER - time.time()))
        end = time.time()
        worked, used = busy(NODE_CPU) - worked, processorSeconds(self._node.pid) - used
        told = self._calls.end()
        whole = told.heard()
        memory.append(resident(self._node.pid))
        after = self._counts()
        own = used / (end - begin)
        return Round(
            {"away": told.heard(begin, made), "back": told.heard(made, end)},
            whole.lost,
            told.pause(0.999),
            EVENTS * told.shorts,
            EVENTS * told.shorts / (made - begin),
            right,
            (memory[0], max(memory), memory[-1]),
            {name: after[name] - counts[name] for name in after},
            own,
            worked / (end - begin) - own,
        )

    def _make(self, shorts: int, pace: int, memory: list[float]) -> None:
        """
        Have short calls made, and wait for the last.
        """
        if shorts:
            self._calls.callShortly(shorts, pace / EVENTS)
            self._calls.awaitShort(30.0 + 3 * shorts * EVENTS / pace)
            memory.append(resident(self._node.pid))

    def _counts(self) -> dict[str, int]:
        told = self._node.ask("mqtt")["mqtt"]
        return {
            name: int(told[name]) for name in ("published", "dropped", "waiting", "connections")
        }

    def _right(self, since: float, memory: list[float]) -> float:
        """
        Wait until the broker's states are right.

        @param since: seconds since 1970.
        @return: seconds from then on.
        """
        reader = Reader(self._broker.port)
        try:
            wanted, asked = self._wanted(), time.time()
            end = asked + PATIENCE
            first: float | None = None
            while first is None or time.time() < first + PROVEN:
                now = time.time()
                if first is None and now > asked + ASKING:
                    # It had not dealt with all that was sent to it.
                    wanted, asked = self._wanted(), now
                wrong = reader.wrong(wanted)
                if wrong:
                    first = None
                    if now > end:
                        raise SystemExit(f"broker: states stay wrong: {sorted(wrong)[:10]}")
                elif first is None:
                    first = now
                memory.append(resident(self._node.pid))
                time.sleep(LOOK)
            return first - since
        finally:
            reader.close()

    def _wanted(self) -> dict[int, Slots]:
        """
        What each hotspot hears, as the node tells it.
        """
        return {
            peer["id"]: {
                slot: {"Static": told["static"], "Dynamic": told["dynamic"]}
                for slot, told in peer["slots"].items()
                if told["static"] or told["dynamic"]
            }
            for peer in self._node.ask("peers")["peers"]
        }


def _nothing() -> None: ...


@contextmanager
def bench(calls: int) -> Iterator[Bench]:
    """
    Start the node, the broker and the calls, and end them.
    """
    with ExitStack() as ending:
        broker = Mosquitto(tcp=True)
        ending.callback(broker.remove)
        broker.start()
        os.sched_setaffinity(broker.process.pid, {CLIENT_CPU})
        settings = f'[mqtt]\nbroker = "{HOST}:{broker.port}"\n'
        node = ending.enter_context(loneNode(settings))
        talking = ending.enter_context(runningCalls(node.master, node.password, calls, CALLERS))
        yield Bench(node, broker, talking)


def main() -> None:
    """
    Measure and print.
    """
    asked = arguments(
        __doc__.strip().splitlines()[0],
        dict.fromkeys(AWAY, "have these rounds alone, beside control"),
        rounds=1,
        calls=20,
        events=20_000,
        pace=800,
    )
    os.sched_setaffinity(0, {CLIENT_CPU})  # and of the broker, each time that it is started
    chosen = [case for case in AWAY if getattr(asked, case)]
    cases = (CONTROL, *chosen) if chosen else (CONTROL, QUIET, *AWAY)
    found: dict[str, list[Round]] = {case: [] for case in cases}
    with bench(asked.calls) as running:
        # The node's memory has its size once the outbox was full.
        running.round("killed", min(asked.events, 1_000), asked.pace)
        for _ in range(asked.rounds):
            for case, rounds in found.items():
                rounds.append(running.round(case, asked.events, asked.pace))
    show(found, asked.json)


def show(found: Mapping[str, Sequence[Round]], asJSON: bool) -> None:
    """
    Print what has been found.

    @param found: the rounds by case.
    """
    away = [case for case in AWAY if case in found]
    numbers = range(len(found[CONTROL]))
    clean = [
        number
        for number in numbers
        if max(rounds[number].others for rounds in found.values()) < OTHERS
    ]

    def tail(case: str, part: str) -> float:
        heard = [each.parts[part] for each in found[case]]
        return middle(heard, SHARES["p99.9"], clean or numbers)

    def each(tell: Callable[[Round], Any]) -> dict[str, list[Any]]:
        return {case: [tell(one) for one in rounds] for case, rounds in found.items()}

    extra = {
        f"{case}, {part}": round(tail(case, part) - tail(CONTROL, part), 2)
        for case in away
        for part in PARTS
    }
    Report(
        "broker",
        {case: max(tail(case, part) / tail(CONTROL, part) for part in PARTS) for case in away},
        {
            f"extra p99.9, ms (bar: {LONGEST * 1000:.0f})": extra,
            "rounds that others left alone": f"{len(clean)} of {len(numbers)}",
            **{
                f"{name} of {part}, ms": {
                    case: milliseconds([one.parts[part] for one in rounds], SHARES[name])
                    for case, rounds in found.items()
                }
                for part in PARTS
                for name in SHARES
            },
            "frames lost (bar: 0)": each(lambda one: one.lost),
            "frames sent too late, p99.9, ms": each(lambda one: round(1000 * one.pause, 1)),
            "states right after the return, s": {
                case: [round(one.right, 2) for one in found[case]] for case in away
            },
            "the node's memory before, at most and after, MiB": each(
                lambda one: [round(size, 1) for size in one.memory]
            ),
            "memory that it grew by at most, MiB": round(
                max(one.memory[1] - one.memory[0] for rounds in found.values() for one in rounds),
                1,
            ),
            "events": each(lambda one: one.events),
            "events a second": each(lambda one: round(one.pace)),
            "messages": each(lambda one: dict(one.outbox)),
            "processor of the node, %": each(lambda one: round(100 * one.processor, 1)),
            "processor of others, %": each(lambda one: round(100 * one.others, 1)),
            "states right, median s": round(
                median(one.right for case in away for one in found[case]), 2
            ),
        },
        "the same calls and events with the broker left alone, in turn",
    ).show(asJSON)


if __name__ == "__main__":
    main()
