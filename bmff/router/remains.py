"""
What is left of streams that are over, or never became calls: they are ignored for a while.
"""

from __future__ import annotations

from typing import Final

from bmff.router.deadlines import Deadlines

TICK: Final = 0.25  # seconds between two looks at which have been silent for long enough
OWNED: Final = 10.0  # seconds that a stream must be silent for until it may be a new one
LARGEST: Final = 20_000  # streams; the one that has been silent for longest is forgotten


class Remains:
    """
    Streams, by stream ID and source, each until it has been silent for long enough.
    """

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._buried: dict[tuple[int, int], float] = {}  # when each stirred last, in this order
        self._watched = False

    def __contains__(self, stream: tuple[int, int]) -> bool:
        return stream in self._buried

    def __len__(self) -> int:
        return len(self._buried)

    def bury(self, stream: tuple[int, int], now: float) -> None:
        """
        Ignore a stream from now on; once more, if it has stirred.
        """
        if self._buried.pop(stream, None) is None and len(self._buried) >= LARGEST:
            del self._buried[next(iter(self._buried))]
        self._buried[stream] = now
        if not self._watched:
            self._watched = True
            self._deadlines.schedule(now + OWNED, self._look, None)

    def _look(self, _: None, now: float) -> None:
        """
        Forget those that have been silent for long enough; one deadline serves all of them.
        """
        silent = []
        due = 0.0
        for stream, stirred in self._buried.items():
            due = stirred + OWNED
            if now < due:
                break
            silent.append(stream)
        for stream in silent:
            del self._buried[stream]
        self._watched = bool(self._buried)
        if self._watched:
            self._deadlines.schedule(max(due, now + TICK), self._look, None)
