"""
Calls through a node, in a process of their own: hotspots that talk at the true pitch of 60 ms, one
that hears each of them, and others that make short calls so that the node has something to tell.

A frame is counted from the moment at which it is sent. Whoever sends is at times held up by what
else its processor does, which is no fault of the node; how late it was is told apart.
"""

from __future__ import annotations

import os
import socket
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from select import POLLIN, poll
from typing import Any, Final

from benchmarks._late import Heard, nextArrival, noteArrivals, stamped
from benchmarks._node import CLIENT_CPU, logIn
from bmff.dmr.frame import DATA_SYNC, FRAME_PERIOD, SLOT_2, TERMINATOR

FIRST_TALKER: Final = 2_000_000  # the IDs of hotspots, with the radio of each
FIRST_LISTENER: Final = 2_100_000
FIRST_CALLER: Final = 2_200_000
FIRST_TALKGROUP: Final = 100_000  # one for each call that is listened to
FIRST_SHORT: Final = 200_000  # those of short calls, which nobody hears
SHORT_TALKGROUPS: Final = 1_000
EVENTS: Final = 3  # of a short call: it begins, who makes it hears another talkgroup, it ends
LATEST: Final = 5.0  # seconds after a round until what was not heard is lost
LONGEST_WAIT: Final = 0.02  # seconds between two looks for an order
_BUFFER: Final = 1 << 20  # bytes; a listener is read late at times
_END: Final = SLOT_2 | DATA_SYNC | TERMINATOR


@dataclass(frozen=True, slots=True)
class Told:
    """
    What became of the calls of a round.

    @ivar stamps: when each frame was sent that was heard, nanoseconds since 1970.
    @ivar lateness: how long each was on its way, seconds.
    @ivar sent: when each frame was sent, nanoseconds since 1970.
    @ivar pauses: how much too late each frame was sent, seconds.
    @ivar shorts: how many short calls were made.
    """

    stamps: array[int]
    lateness: array[float]
    sent: array[int]
    pauses: array[float]
    shorts: int

    def heard(self, begin: float = 0.0, end: float = float("inf")) -> Heard:
        """
        How late the frames were that were sent in some time.

        @param begin: seconds since 1970.
        @param end: the same.
        """
        first, last = begin * 1e9, end * 1e9
        pairs = zip(self.stamps, self.lateness, strict=True)
        late = sorted(late for stamp, late in pairs if first <= stamp < last)
        return Heard(late, sum(first <= stamp < last for stamp in self.sent))

    def pause(self, share: float) -> float:
        """
        What a share of the frames was sent too late by at most, seconds.
        """
        return Heard(sorted(self.pauses), len(self.pauses)).late(share)


class _Crew:
    """
    The hotspots.
    """

    def __init__(
        self, control: Pipe, master: tuple[str, int], password: bytes, calls: int, callers: int
    ) -> None:
        self._control = control
        self._talkers = [logIn(master, password, FIRST_TALKER + each) for each in range(calls)]
        self._listeners: dict[int, socket.socket] = {}
        self._poll = poll()
        self._poll.register(control.fileno(), POLLIN)
        for each in range(calls):
            options = f"TS2={FIRST_TALKGROUP + each}"
            listener = logIn(master, password, FIRST_LISTENER + each, options=options)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            noteArrivals(listener)
            self._listeners[listener.fileno()] = listener
            self._poll.register(listener, POLLIN)
        self._callers = [logIn(master, password, FIRST_CALLER + each) for each in range(callers)]
        self._round = 0
        self._short = 0  # of all rounds
        # Of this round.
        self._stamps = array("q")
        self._lateness = array("d")
        self._sent = array("q")
        self._pauses = array("d")

    def work(self) -> None:
        """
        Do what is ordered until nobody is left to order.
        """
        self._control.send("ready")
        while True:
            try:
                self._control.recv()
                told = self._talk()
            except EOFError:
                return
            self._control.send(told)

    def _talk(self) -> Told:
        """
        Talk until told to end. Meanwhile short calls are ordered: a pace and how many.
        """
        self._round += 1
        for each in (self._stamps, self._lateness, self._sent, self._pauses):
            del each[:]
        calls = len(self._talkers)
        pitch = FRAME_PERIOD / calls  # the calls are spread evenly
        begin = time.monotonic()
        pace, first = 0.0, begin
        most = made = 0
        before, ending = 0, False
        while not ending:
            now = time.monotonic()
            number = len(self._sent)
            if now >= begin + number * pitch:
                self._pauses.append(now - begin - number * pitch)
                self._send(number % calls, number // calls)
                number += 1
            if made < most and now >= first + made / pace:
                self._callShortly()
                made += 1
                if made == most:
                    self._control.send("made")
            due = begin + number * pitch
            if made < most:
                due = min(due, first + made / pace)
            wait = min(LONGEST_WAIT, max(0.0, due - time.monotonic()))
            for descriptor, _ in self._poll.poll(wait * 1000):
                if descriptor != self._control.fileno():
                    self._hear(descriptor)
                    continue
                order = self._control.recv()
                if order is None:
                    ending = True
                else:
                    before += made
                    pace, most = order
                    made, first = 0, time.monotonic()
        sequence = len(self._sent) // calls + 1
        for call in range(calls):
            self._send(call, sequence, SLOT_2 | DATA_SYNC | TERMINATOR)
        self._await()
        told = (self._stamps[:], self._lateness[:], self._sent[:], self._pauses[:])
        return Told(*told, before + made)

    def _stream(self, call: int) -> int:
        return self._round << 12 | call + 1

    def _send(self, call: int, sequence: int, flags: int | None = None) -> None:
        more = {} if flags is None else {"flags": flags}
        stamp, stream = time.time_ns(), self._stream(call)
        number, talkgroup = FIRST_TALKER + call, FIRST_TALKGROUP + call
        self._talkers[call].send(stamped(number, talkgroup, sequence, stamp, stream=stream, **more))
        self._sent.append(stamp)

    def _callShortly(self) -> None:
        """
        Key a talkgroup and let go.
        """
        self._short += 1
        caller = self._short % len(self._callers)
        number, stream = FIRST_CALLER + caller, 1 << 31 | self._short
        talkgroup = FIRST_SHORT + self._short // len(self._callers) % SHORT_TALKGROUPS
        for sequence, more in enumerate(({}, {"flags": _END})):
            data = stamped(number, talkgroup, sequence, 0, stream=stream, **more)
            self._callers[caller].send(data)

    def _hear(self, descriptor: int) -> None:
        listener = self._listeners[descriptor]
        while True:
            try:
                arrival = nextArrival(listener)
            except BlockingIOError:
                return
            if arrival.stream >> 12 == self._round:
                self._stamps.append(arrival.stamp)
                self._lateness.append(arrival.late)

    def _await(self) -> None:
        """
        Hear the rest.
        """
        end = time.monotonic() + LATEST
        while len(self._stamps) < len(self._sent) and time.monotonic() < end:
            for descriptor, _ in self._poll.poll(100):
                if descriptor != self._control.fileno():
                    self._hear(descriptor)


def _work(
    control: Pipe, master: tuple[str, int], password: bytes, calls: int, callers: int
) -> None:
    """
    The process.
    """
    os.sched_setaffinity(0, {CLIENT_CPU})
    _Crew(control, master, password, calls, callers).work()


class Calls:
    """
    The calls, as whoever orders them sees them.
    """

    def __init__(self, control: Pipe) -> None:
        self._control = control
        self._expect(30.0)

    def begin(self) -> None:
        """
        Begin the calls of a round.
        """
        self._control.send("begin")

    def callShortly(self, count: int, pace: float) -> None:
        """
        Have short calls made, beside the others; C{awaitShort} must follow, unless they shall go
        on until the round ends.

        @param pace: how many a second.
        """
        self._control.send((pace, count))

    def awaitShort(self, patience: float) -> None:
        """
        Wait until all short calls were made.

        @param patience: seconds.
        """
        self._expect(patience)

    def end(self) -> Told:
        """
        End the calls of the round.
        """
        self._control.send(None)
        while not isinstance(told := self._expect(LATEST + 30.0), Told):
            pass  # that short calls were made
        return told

    def _expect(self, patience: float) -> Any:
        if not self._control.poll(patience):
            raise SystemExit("the calls do not go on")
        try:
            return self._control.recv()
        except EOFError:
            raise SystemExit("the calls have ended") from None


@contextmanager
def runningCalls(
    master: tuple[str, int], password: bytes, calls: int, callers: int
) -> Iterator[Calls]:
    """
    Log the hotspots in, and end their process.

    @param calls: how many, each with one hotspot that talks and one that hears it.
    @param callers: how many hotspots make short calls.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, master, password, calls, callers)
    process = context.Process(target=_work, args=arguments, daemon=True)
    process.start()
    theirs.close()
    try:
        yield Calls(ours)
    finally:
        process.kill()
        process.join()
