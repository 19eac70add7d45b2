"""
Whether the other end of a path lives: what was heard of it, and the probes that ask.
"""

from __future__ import annotations

from math import inf
from typing import Final

from bmff.wire.fastforward.messages import Answer, Challenge

# A burst of losses must not swallow all probes, nor all answers: they are many, and spread out.
SILENCE: Final = 1.6  # seconds without a packet after which an idle path is probed
BUSY_SILENCE: Final = 0.6  # seconds after which a busy one is
PROBES: Final = 16  # that go unanswered until a path is dead
PROBE_INTERVAL: Final = 0.1  # seconds between two probes of an idle path
BUSY_PROBE_INTERVAL: Final = 0.035  # seconds between two probes of a busy one
EXPECTED: Final = 3.0  # seconds that a first packet may take
STILL_BUSY: Final = 1.0  # seconds after the last frame that a path counts as busy
DOUBTS: Final = 3  # probes, once another path to the same process has ended
DOUBT_INTERVAL: Final = 0.01  # seconds between two of these; two round trips, if that is more
PROBE: Final = Challenge(0)  # who lives answers it in the same turn
ALIVE: Final = Answer(PROBE.value)


class Pulse:
    """
    The signs of life of one path's other end.

    @ivar heard: when the last authentic packet came, monotonic seconds.
    @ivar lastFrame: when the last frame was sent or came.
    @ivar probes: how many were sent since something was heard.
    """

    __slots__ = ("_doubts", "_probeAt", "heard", "lastFrame", "probes")

    def __init__(self, now: float) -> None:
        self.heard = now
        self.lastFrame = -inf
        self.probes = 0
        self._probeAt = -inf
        self._doubts = 0  # probes sent of which the answer counts, and nothing else

    def isBusy(self, now: float) -> bool:
        """
        Whether a call is on.
        """
        return now < self.lastFrame + STILL_BUSY

    def _silence(self) -> float:
        return BUSY_SILENCE if self.heard < self.lastFrame + STILL_BUSY else SILENCE

    def deadline(self, established: bool) -> float:
        """
        When a probe is due, or the other end has been silent for too long.

        @param established: whether there is a session to send in.
        """
        if not established:
            return self.heard + EXPECTED
        return max(-inf if self._doubts else self.heard + self._silence(), self._probeAt)

    def isDead(self, established: bool) -> bool:
        """
        Whether the other end is to be given up; to be asked at the deadline.
        """
        return not established or self.probes >= PROBES or self._doubts >= DOUBTS

    def probed(self, now: float, roundTrip: float, lag: float) -> None:
        """
        A probe is sent.

        @param roundTrip: seconds.
        @param lag: seconds by which the other end's turns come late.
        """
        self.probes += 1
        if self._doubts:
            self._doubts += 1
            interval = max(DOUBT_INTERVAL, lag, 2 * roundTrip)
        else:
            busy = self._silence() == BUSY_SILENCE
            interval = BUSY_PROBE_INTERVAL if busy else PROBE_INTERVAL
            if self.probes >= PROBES:  # the last answer needs its time, those before have it
                interval = max(interval, 2 * roundTrip)
        self._probeAt = now + interval

    def doubt(self, now: float, roundTrip: float, lag: float) -> None:
        """
        Another path to the same process has ended: a first probe is sent, and only answers to
        probes count. What is still on its way from there proves nothing.
        """
        self._doubts = 1
        self.probes += 1
        self._probeAt = now + max(DOUBT_INTERVAL, lag, 2 * roundTrip)

    def answered(self) -> None:
        """
        A probe was answered.
        """
        self._doubts = 0

    def stalled(self, now: float) -> None:
        """
        This end has not looked for a while: what it has not heard says nothing.
        """
        self.heard = now
        self.probes = self._doubts = 0
