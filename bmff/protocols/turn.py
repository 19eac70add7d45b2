"""
The end of a turn: everything that was read at once has been dealt with.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from bmff.protocols.alarm import Alarm
from bmff.router.router import Router

CALL_TICK: Final = 0.02  # seconds


class Turn:
    """
    Sends at the end of each turn what it has gathered for other nodes, and wakes the router when
    something of it is due.

    @ivar router: the node's.
    """

    def __init__(self, clock: IReactorTime, router: Router) -> None:
        """
        @param clock: monotonic.
        """
        self.router = router
        self._clock = clock
        self._deadlines = router.deadlines
        self._alarm = Alarm(clock, router.deadline, self._due, CALL_TICK)

    def ended(self) -> None:
        """
        The turn is over. On the path of a frame.
        """
        if self.router.dirty:
            self.router.flush(self._clock.seconds())
        if self._deadlines.earlier:
            self._deadlines.earlier = False
            self._alarm.rearm()

    def stop(self) -> None:
        """
        Wake the router no more.
        """
        self._alarm.stop()

    def _due(self, now: float) -> None:
        self.router.timeout(now)
        self.router.flush(now)
