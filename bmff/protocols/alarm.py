"""
Wakes a state machine when its deadline has come, with one delayed call of the reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Alarm:
    """
    Calls back when a machine's deadline has come.

    A deadline is a promise not to sleep past it: the delayed call is moved only when the deadline
    has become earlier. One that rings too early finds nothing to do, and the next one is set.
    """

    def __init__(
        self,
        clock: IReactorTime,
        deadline: Callable[[], float],
        ring: Callable[[float], None],
        tick: float,
    ) -> None:
        """
        @param deadline: says when to ring at the latest, monotonic seconds; infinity for never.
        @param ring: called with the time.
        @param tick: seconds between two rings at the least.
        """
        self._clock = clock
        self._deadline = deadline
        self._ring = ring
        self._tick = tick
        self._due = inf
        self._delayed: IDelayedCall | None = None

    def rearm(self) -> None:
        """
        The deadline may have moved. To be called at the end of each turn; cheap.
        """
        due = self._deadline()
        if due >= self._due:
            return
        self._due = due
        delay = max(self._tick, due - self._clock.seconds())
        if self._delayed is None:
            self._delayed = self._clock.callLater(delay, self._rung)
        else:
            self._delayed.reset(delay)

    def stop(self) -> None:
        """
        Ring no more.
        """
        self._due = inf
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None

    def _rung(self) -> None:
        self._delayed = None
        self._due = inf
        try:
            self._ring(self._clock.seconds())
        finally:
            self.rearm()
