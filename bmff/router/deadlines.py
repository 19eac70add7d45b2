"""
What is to be done later, in order of time.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import Any


class Deadlines:
    """
    Actions with a time. One that has become needless finds so by itself when it is run.

    @ivar earlier: whether the first one is due earlier than when this was last set to false.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[Any, float], None], Any]] = []
        self._serial = 0
        self.earlier = False

    def schedule(self, due: float, action: Callable[[Any, float], None], subject: Any) -> None:
        """
        Call L{action} with L{subject} and the time when L{due} has come.
        """
        if due < self.next():
            self.earlier = True
        self._serial += 1  # so that equal times are never decided by comparing actions
        heappush(self._heap, (due, self._serial, action, subject))

    def next(self) -> float:
        """
        When the first one is due; infinity when there is none.
        """
        return self._heap[0][0] if self._heap else inf

    def run(self, now: float) -> None:
        """
        Do what has become due, also what that schedules for now.
        """
        while self._heap and self._heap[0][0] <= now:
            _, _, action, subject = heappop(self._heap)
            action(subject, now)
