"""
The packets of one session that have not come: what is asked for again, when, and for how long.
"""

from __future__ import annotations

from math import inf
from typing import Final

from bmff.wire.fastforward.messages import MISSING_SPAN, Missing

LIFE: Final = 0.18  # seconds that a missing packet is worth asking for
ASK_AGAIN: Final = 0.005  # seconds beyond a round trip until it is asked for again
SHORTEST_ROUND_TRIP: Final = 0.01  # seconds that an answer is given at the least


class Gaps:
    """
    What is missing of one session.

    @ivar missing: counters, each with when it was found missing, monotonic seconds; in order of
        that time.
    @ivar lost: how many were given up.
    """

    __slots__ = ("_askAt", "lost", "missing")

    def __init__(self) -> None:
        self.missing: dict[int, float] = {}
        self.lost = 0
        self._askAt = inf

    def opened(self, first: int, end: int, now: float, wait: float) -> None:
        """
        The counters from L{first} up to L{end}, which is not one of them, were skipped.

        @param wait: seconds until they are asked for, as they may only have been overtaken.
        """
        begin = max(first, end - MISSING_SPAN)
        self.lost += begin - first
        for counter in range(begin, end):
            self.missing[counter] = now
        while len(self.missing) > MISSING_SPAN:
            del self.missing[next(iter(self.missing))]
            self.lost += 1
        self._askAt = min(self._askAt, now + wait)

    def came(self, counter: int) -> float | None:
        """
        A packet has come, or the frames in it have.

        @return: when it was found missing; L{None} when it was not, or no longer.
        """
        return self.missing.pop(counter, None)

    def expire(self, now: float) -> None:
        """
        Give up what is not worth asking for any more.
        """
        for counter, seen in tuple(self.missing.items()):
            if now < seen + LIFE:
                return
            del self.missing[counter]
            self.lost += 1

    def deadline(self) -> float:
        """
        When L{question} has something at the latest.
        """
        return self._askAt

    def question(self, session: int, now: float, roundTrip: float) -> Missing | None:
        """
        What is to be asked for now.

        @param session: its index here.
        @param roundTrip: seconds, as far as it is known.
        """
        if now < self._askAt:
            return None
        self.expire(now)
        if not self.missing:
            self._askAt = inf
            return None
        self._askAt = now + max(roundTrip, SHORTEST_ROUND_TRIP) + ASK_AGAIN
        first = min(self.missing)
        return Missing(
            session, tuple(sorted(each for each in self.missing if each < first + MISSING_SPAN))
        )
