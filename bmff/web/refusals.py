"""
What the API has refused: counted by reason, and written to the log once a minute for each source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

from bmff.wire.throttle import Throttle

INTERVAL: Final = 60.0  # seconds
MOST_SOURCES: Final = 1024


class Refusals:
    """
    Takes note of what is refused.

    @ivar counts: how often, by reason.
    """

    _log = Logger()

    def __init__(self, now: Callable[[], float]) -> None:
        """
        @param now: monotonic seconds.
        """
        self.counts: Counter[str] = Counter()
        self._now = now
        self._throttle = Throttle(INTERVAL, capacity=MOST_SOURCES)

    def note(self, source: str, reason: str) -> None:
        """
        Something was refused.

        @param reason: one of a few, for people.
        """
        self.counts[reason] += 1
        if self._throttle.passes(source, self._now()):
            self._log.warn("the API refuses {source}: {reason}", source=source, reason=reason)
