"""
How evenly the packets of a path come: jitter, lateness, and whether they overtake one another.
"""

from __future__ import annotations

from math import inf
from typing import Final

WINDOW: Final = 1.0  # seconds; the fastest packet of one to two windows is what others are late by
STEP: Final = 0.005  # seconds that the quantile moves by
QUANTILE: Final = 0.95
LATEST: Final = 0.18  # seconds; nothing is waited for longer
LONGEST_WAIT: Final = 0.03  # seconds that a packet which was perhaps overtaken is waited for
OFTEN: Final = 0.5  # share of gaps that have closed by themselves
_MASK: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31


class Arrivals:
    """
    What is known of the packets' delay, without knowing the other end's clock.

    @ivar jitter: smoothed mean deviation of the delay, seconds (RFC 3550 §6.4.1).
    @ivar late: 95 % of packets are not later than this after the fastest one, seconds.
    @ivar healed: share of the gaps that closed by themselves, 0 to 1, smoothed.
    """

    __slots__ = (
        "_before",
        "_fastest",
        "_lastTransit",
        "_overtaken",
        "_windowEnd",
        "healed",
        "jitter",
        "late",
    )

    def __init__(self) -> None:
        self.jitter = 0.0
        self.late = 0.0
        self.healed = 0.0
        self._fastest = self._before = inf
        self._windowEnd = -inf
        self._lastTransit: float | None = None
        self._overtaken = 0.0  # seconds by which packets were overtaken, smoothed

    def packetReceived(self, sent: int, now: float) -> None:
        """
        Take the times of one packet.

        @param sent: the sender's clock, microseconds modulo 2**32.
        @param now: monotonic seconds.
        """
        # The clocks begin anywhere and wrap; only differences count.
        transit = (int(now * 1e6) - sent) & _MASK
        seconds = (transit - (1 << 32) if transit >= _HALF else transit) / 1e6
        last, self._lastTransit = self._lastTransit, seconds
        if last is None or abs(seconds - last) > 60.0:  # the beginning, or where the number wraps
            self._fastest = self._before = seconds
            self._windowEnd = now + WINDOW
            return
        self.jitter += (abs(seconds - last) - self.jitter) / 16
        if now >= self._windowEnd:
            self._before, self._fastest = self._fastest, seconds
            self._windowEnd = now + WINDOW
        elif seconds < self._fastest:
            self._fastest = seconds
        late = seconds - min(self._fastest, self._before)
        if late > self.late:
            self.late = min(self.late + STEP * QUANTILE, late, LATEST)
        else:
            self.late = max(self.late - STEP * (1 - QUANTILE), late, 0.0)

    def closedItself(self, after: float) -> None:
        """
        A packet that was found missing has come, and nothing had to be sent again.

        @param after: seconds since it was found missing.
        """
        self.healed += (1.0 - self.healed) / 16
        self._overtaken += (after - self._overtaken) / 8

    def lost(self) -> None:
        """
        A packet that was found missing had to be sent again.
        """
        self.healed -= self.healed / 16

    @property
    def wait(self) -> float:
        """
        Seconds until something that is missing is asked for: where packets overtake one another
        and hardly any are lost, most of what is missing only comes later.
        """
        return min(2 * self._overtaken, LONGEST_WAIT) if self.healed > OFTEN else 0.0

    def patience(self, roundTrip: float) -> float:
        """
        Seconds that a call waits for what is missing.

        @param roundTrip: seconds.
        """
        return min(LATEST, max(self.late, self.wait + 1.5 * roundTrip + 0.005))
