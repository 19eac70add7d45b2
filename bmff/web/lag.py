"""
How late the reactor's turns come: a look ten times a second, as a frame that comes meanwhile waits
for as long.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

PERIOD: Final = 0.1  # seconds
BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)  # seconds
MEMORY: Final = 100  # looks after which a bad one is forgotten: 10 s


class Lag:
    """
    Looks.

    @ivar counts: how many looks were as late as each bound and later than the one before; the last
        one is for those that were later than all.
    @ivar total: seconds by which all looks were late.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        self._clock = clock
        self._due = 0.0
        self._looking: IDelayedCall | None = None
        self._worst = self._before = 0.0
        self._looks = 0

    @property
    def worst(self) -> float:
        """
        The latest of the last 10 to 20 seconds, seconds.
        """
        return max(self._worst, self._before)

    def start(self) -> None:
        """
        Begin.
        """
        self._due = self._clock.seconds() + PERIOD
        self._looking = self._clock.callLater(PERIOD, self._look)

    def stop(self) -> None:
        """
        End.
        """
        if self._looking is not None and self._looking.active():
            self._looking.cancel()
        self._looking = None

    def _look(self) -> None:
        now = self._clock.seconds()
        late = max(0.0, now - self._due)
        self.counts[bisect_left(BOUNDS, late)] += 1
        self.total += late
        self._worst = max(self._worst, late)
        self._looks += 1
        if self._looks >= MEMORY:
            self._before, self._worst, self._looks = self._worst, 0.0, 0
        self._due = now + PERIOD
        self._looking = self._clock.callLater(PERIOD, self._look)
