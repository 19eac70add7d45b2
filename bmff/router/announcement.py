"""
Calls that the node itself makes, such as what a parrot says again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from bmff.dmr.frame import FRAME_PERIOD, Frame
from bmff.dmr.ranges import Ranges
from bmff.router.call import Routes, Slot
from bmff.router.deadlines import Deadlines
from bmff.router.trunk import Trunk

LARGEST: Final = 256  # announcements at once


class Announcement(Trunk):
    """
    Where a call of the node's own comes from.

    @ivar slot: the only one that is to hear it; L{None} when it goes to whom it is for, as if a
        peer had sent it.
    """

    def __init__(self, slot: Slot | None = None) -> None:
        super().__init__(0, "", Ranges())
        self.slot = slot


class Announcer:
    """
    Routes frames that no socket has brought, one each 60 ms.

    @ivar busy: announcements that have not been made to their end.
    """

    def __init__(self, routes: Routes, deadlines: Deadlines) -> None:
        """
        @param deadlines: rings for each frame.
        """
        self.busy = 0
        self._routes = routes
        self._deadlines = deadlines

    def announce(
        self,
        frames: Iterator[Frame],
        slot: Slot | None,
        due: float,
        ended: Callable[[], object] = lambda: None,
    ) -> bool:
        """
        Make a call.

        @param frames: its frames; each is asked for when it is due.
        @param slot: the only one that is to hear it, if it is not for somebody.
        @param due: when the first one is, monotonic seconds.
        @param ended: called when all are routed.
        @return: whether it is made; not when there are too many others.
        """
        if self.busy >= LARGEST:
            return False
        self.busy += 1
        self._deadlines.schedule(due, self._next, (Announcement(slot), frames, due, ended))
        return True

    def _next(
        self,
        subject: tuple[Announcement, Iterator[Frame], float, Callable[[], object]],
        now: float,
    ) -> None:
        announcement, frames, due, ended = subject
        frame = next(frames, None)
        if frame is None:
            self.busy -= 1
            ended()
            return
        self._routes.route(announcement, frame, now)
        # From when it was due, not from now, so that the pitch does not drift; after a standstill
        # of the process it does not hurry, either.
        later = max(due + FRAME_PERIOD, now)
        self._deadlines.schedule(later, self._next, (announcement, frames, later, ended))
