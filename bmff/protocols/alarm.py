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
        self._due = inf  # when the delayed call is
        self._delayed: IDelayedCall | None = None
        self._stopped = False  # since it began to ring

    def rearm(self) -> None:
        """
        The deadline may have moved. To be called at the end of each turn; cheap.
        """
        due = self._deadline()
        if due >= self._due:
            return
        now = self._clock.seconds()
        delay = max(self._tick, due - now)
        if now + delay >= self._due:
            return  # it rings as soon as it may
        self._due = now + delay
        if self._delayed is None:
            self._delayed = self._clock.callLater(delay, self._rung)
        else:
            self._delayed.reset(delay)

    def stop(self) -> None:
        """
        Ring no more, until L{rearm} is called again.
        """
        self._stopped = True
        self._due = inf
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None

    def _rung(self) -> None:
        self._delayed = None
        self._due = inf
        self._stopped = False
        try:
            self._ring(self._clock.seconds())
        finally:
            if not self._stopped:
                self.rearm()
