"""
Which data messages came a moment ago: a radio that hears no answer sends the same one again, and
two hotspots may hear it at once.
"""

from __future__ import annotations

from typing import Final

WINDOW: Final = 10.0  # seconds in which a message that comes again is the same one
LARGEST: Final = 1000  # messages; the one that came longest ago is forgotten


class Repeats:
    """
    The messages of a short while, from all radios.
    """

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}  # when each was new, in this order

    def __len__(self) -> int:
        """
        How many are remembered.
        """
        return len(self._seen)

    def isNew(self, source: int, destination: int, payload: bytes, now: float) -> bool:
        """
        Whether a message has not come a moment ago; from now on it has.

        @param source: the radio ID that it is from.
        @param destination: the talkgroup or radio ID that it is for.
        @param payload: all that it carries.
        @param now: monotonic seconds.
        """
        # No more than a number is kept, however long messages are.
        key = hash((source, destination, payload))
        before = self._seen.get(key)
        if before is not None:
            # What is said again and again, as by a radio that stands still, is told again.
            if now < before + WINDOW:
                return False
            del self._seen[key]
        elif len(self._seen) >= LARGEST:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = now
        return True
