"""
What the other end's measurements say of a path: how far it is, and how much is lost on it.
"""

from __future__ import annotations

from math import inf
from typing import Final

from bmff.wire.fastforward.messages import Measurement

REDUNDANT_ABOVE: Final = 0.01  # share of loss above which every frame is sent twice
REDUNDANT_BELOW: Final = 0.003  # share below which that ends
REDUNDANT_TIME: Final = 10.0  # seconds that the loss has to be below it
_LONGEST: Final = 60_000_000  # microseconds; a round trip above this is a mistake
_MASK: Final = 0xFFFFFFFF


class Quality:
    """
    How good a path is, towards the other end.

    @ivar roundTrip: smoothed, seconds, without the time that the other end held what it answers;
        L{None} before it is known.
    @ivar loss: the share of our packets that the other end misses, 0 to 1, smoothed.
    @ivar remoteLag: seconds by which the other end's turns come late.
    @ivar redundant: whether every frame is to be sent twice.
    """

    __slots__ = ("_echo", "_highLossAt", "_reported", "loss", "redundant", "remoteLag", "roundTrip")

    def __init__(self) -> None:
        self.roundTrip: float | None = None
        self.loss = 0.0
        self.remoteLag = 0.0
        self.redundant = False
        self._echo: tuple[int, float] | None = None
        self._reported = (0, 0)
        self._highLossAt = -inf

    def sessionChanged(self) -> None:
        """
        Counters begin anew.
        """
        self._reported = (0, 0)

    def echo(self, now: float) -> tuple[int, int]:
        """
        The time in the last measurement of the other end, as it said it, and the microseconds
        since it came.
        """
        time, at = self._echo or (0, now)
        return time, int((now - at) * 1e6)

    def learn(self, measurement: Measurement, sent: int, now: float) -> None:
        """
        Take a measurement of the other end.

        @param sent: packets that were sent in the current session.
        """
        self._echo = (measurement.time, now)
        if measurement.echo:
            gone = (int(now * 1e6) - measurement.echo & _MASK) - measurement.hold
            if 0 <= gone < _LONGEST:
                sample = gone / 1e6
                before = self.roundTrip
                self.roundTrip = sample if before is None else before + (sample - before) / 8
        self.remoteLag = measurement.lag / 1e6
        highest, received = measurement.highest, measurement.received
        passed, arrived = highest - self._reported[0], received - self._reported[1]
        if passed > 0 and highest < sent:
            share = min(1.0, max(0.0, 1 - arrived / passed))
            self.loss += (share - self.loss) / 16
            self._reported = (highest, received)
        if self.loss >= REDUNDANT_BELOW:
            self._highLossAt = now
        if self.loss > REDUNDANT_ABOVE:
            self.redundant = True
        elif now >= self._highLossAt + REDUNDANT_TIME:
            self.redundant = False
