"""
The frames of calls as they come over a link: each once, and in the order in which they were sent.

A frame that continues its call passes at once. Only where a call jumps while something is known to
be missing it is held for a moment, so that what is sent again can come before it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from bmff.dmr.frame import Frame

SWEEP: Final = 5.0  # seconds; a call without a frame for one to two of these is forgotten
MOST_CALLS: Final = 4096  # known at once; the one that began first is forgotten
LONGEST: Final = 0.18  # seconds that a frame is held


class Heard:
    """
    One call.

    @ivar next: the number of the frame that continues it.
    @ivar held: frames that wait for those before them, by number.
    @ivar until: when they wait no longer, monotonic seconds.
    @ivar mark: what L{next} was when it was last looked at.
    """

    __slots__ = ("held", "mark", "next", "until")

    def __init__(self, following: int) -> None:
        self.next = following
        self.held: dict[int, Frame] = {}
        self.until = inf
        self.mark = -1


class Order:
    """
    The calls of one link.

    @ivar calls: by stream ID.
    @ivar framesLate: frames that came after a later one had passed, or a second time.
    @ivar framesHeld: frames that had to wait.
    """

    __slots__ = ("_deliver", "_holding", "_sweepAt", "calls", "framesHeld", "framesLate")

    def __init__(self, deliver: Callable[[Frame, float], None]) -> None:
        """
        @param deliver: called with each frame that passes, and the time.
        """
        self.calls: dict[int, Heard] = {}
        self.framesLate = 0
        self.framesHeld = 0
        self._deliver = deliver
        self._holding: dict[int, Heard] = {}
        self._sweepAt = -inf

    def frameReceived(self, index: int, frame: Frame, now: float, holdUntil: float) -> None:
        """
        Take a frame that does not simply continue its call.

        @param index: its number in its call.
        @param holdUntil: until when something that is missing may still come.
        """
        call = self.calls.get(frame.stream)
        if call is None:
            if now >= self._sweepAt:
                self._sweep(now)
            if len(self.calls) >= MOST_CALLS:
                self._forget(next(iter(self.calls)))
            # What is missing may be the beginning of this call.
            call = self.calls[frame.stream] = Heard(0 if now < holdUntil else index)
        if index < call.next or index in call.held:
            self.framesLate += 1
        elif index == call.next:
            self._pass(index, call, frame, now)
            if call.held:
                self._continue(frame.stream, call, now)
        else:
            call.held[index] = frame
            if now < holdUntil:
                self.framesHeld += 1
                call.until = min(call.until, holdUntil, now + LONGEST)
                self._holding[frame.stream] = call
            else:
                self._release(frame.stream, call, now)

    def deadline(self) -> float:
        """
        When L{release} is to be called at the latest.
        """
        return min((call.until for call in self._holding.values()), default=inf)

    def release(self, now: float) -> None:
        """
        Let pass what has waited long enough.
        """
        for stream, call in tuple(self._holding.items()):
            if now >= call.until:
                self._release(stream, call, now)

    def releaseAll(self, now: float) -> None:
        """
        Nothing is missing any more: let pass what waits.
        """
        for stream, call in tuple(self._holding.items()):
            self._release(stream, call, now)

    def _pass(self, index: int, call: Heard, frame: Frame, now: float) -> None:
        call.next = index + 1
        self._deliver(frame, now)

    def _continue(self, stream: int, call: Heard, now: float) -> None:
        """
        Let pass what waits for nothing any more.
        """
        while (frame := call.held.pop(call.next, None)) is not None:
            self._pass(call.next, call, frame, now)
        if not call.held:
            call.until = inf
            self._holding.pop(stream, None)

    def _release(self, stream: int, call: Heard, now: float) -> None:
        """
        Let pass all that waits, whatever is missing before it.
        """
        held, call.held = call.held, {}
        call.until = inf
        self._holding.pop(stream, None)
        for index in sorted(held):
            self._pass(index, call, held[index], now)

    def _sweep(self, now: float) -> None:
        """
        Forget the calls that have had no frame since the last look.
        """
        self._sweepAt = now + SWEEP
        for stream, call in tuple(self.calls.items()):
            if call.next == call.mark and not call.held:
                self._forget(stream)
            call.mark = call.next

    def _forget(self, stream: int) -> None:
        self.calls.pop(stream, None)
        self._holding.pop(stream, None)
