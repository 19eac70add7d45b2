"""
What is left of streams that are over, or never became calls: they are ignored for a while.
"""

from __future__ import annotations

from typing import Final

from bmff.router.deadlines import Deadlines

OWNED: Final = 10.0  # seconds that a stream must be silent for until it may be a new one
LARGEST: Final = 20_000  # streams; the one buried first is forgotten


class Remains:
    """
    Streams, by stream ID and source, each until it has been silent for long enough.
    """

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._buried: dict[tuple[int, int], float] = {}

    def __contains__(self, stream: tuple[int, int]) -> bool:
        return stream in self._buried

    def __len__(self) -> int:
        return len(self._buried)

    def bury(self, stream: tuple[int, int], now: float) -> None:
        """
        Ignore a stream from now on; once more, if it has stirred.
        """
        if stream not in self._buried:
            if len(self._buried) >= LARGEST:
                del self._buried[next(iter(self._buried))]
            self._deadlines.schedule(now + OWNED, self._look, stream)
        self._buried[stream] = now

    def _look(self, stream: tuple[int, int], now: float) -> None:
        stirred = self._buried.get(stream)
        if stirred is None:
            return
        if now < stirred + OWNED:
            self._deadlines.schedule(stirred + OWNED, self._look, stream)
        else:
            del self._buried[stream]
