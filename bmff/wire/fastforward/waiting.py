"""
The frames that a transport which is full has not taken yet.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from bmff.dmr.frame import DATA_SYNC, DATA_TYPE, KIND, TERMINATOR

LONGEST_WAIT: Final = 0.12  # seconds that a frame waits
MOST_WAITING: Final = 64  # frames
LONGEST_END: Final = 3.0  # seconds that a terminator waits: it is worth more than what it ends
MOST_ENDS: Final = 64  # terminators that wait in addition
_KIND: Final = 11  # offset of a frame's flags in its message
_END: Final = DATA_SYNC | TERMINATOR


class Waiting:
    """
    Keeps the newest frames for a moment, and the ends of calls for longer.
    """

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames: deque[tuple[float, bytes]] = deque()

    def __bool__(self) -> bool:
        return bool(self._frames)

    def put(self, frames: list[tuple[float, bytes]], now: float) -> int:
        """
        Keep frames behind those that wait already.

        @param frames: each with when it was first refused, monotonic seconds.
        @return: how many there was no room for, the oldest.
        """
        self._frames.extend(frames)
        surplus = len(self._frames) - MOST_WAITING
        if surplus <= 0 and (not self._frames or now <= self._frames[0][0] + LONGEST_WAIT):
            return 0
        dropped = ends = 0
        kept: deque[tuple[float, bytes]] = deque()
        for at, message in reversed(self._frames):
            if len(kept) - ends < MOST_WAITING and now <= at + LONGEST_WAIT:
                kept.appendleft((at, message))
            elif _isEnd(message) and now <= at + LONGEST_END and ends < MOST_ENDS:
                kept.appendleft((at, message))
                ends += 1
            else:
                dropped += 1
        self._frames = kept
        return dropped

    def take(self) -> list[tuple[float, bytes]]:
        """
        All that waits, to be sent or put back.
        """
        taken, self._frames = list(self._frames), deque()
        return taken


def _isEnd(message: bytes) -> bool:
    """
    Whether a frame's message ends its call.
    """
    return message[_KIND] & (KIND | DATA_TYPE) == _END
