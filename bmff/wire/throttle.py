"""
How often something may be answered or said, by source, in bounded space.
"""

from __future__ import annotations

from collections.abc import Hashable


class Throttle:
    """
    Lets each key pass once in an interval; the interval may grow while a key keeps coming.

    The table holds C{capacity} keys. When it is full the key that passed longest ago is forgotten.

    @ivar suppressed: how often a key was held back.
    """

    def __init__(
        self, interval: float, *, longest: float | None = None, capacity: int = 4096
    ) -> None:
        """
        @param interval: seconds between two passes of one key, at first.
        @param longest: seconds that the interval doubles up to with each pass, until the key has
            been away for that long; it stays the same when absent.
        @param capacity: keys.
        """
        self.suppressed = 0
        self._interval = interval
        self._longest = interval if longest is None else longest
        self._capacity = capacity
        self._keys: dict[Hashable, tuple[float, float]] = {}  # passed at, next interval

    def __len__(self) -> int:
        return len(self._keys)

    def passes(self, key: Hashable, now: float) -> bool:
        """
        Whether L{key} may pass now; if so it has.
        """
        entry = self._keys.get(key)
        following = self._interval
        if entry is not None:
            passedAt, interval = entry
            if now < passedAt + interval:
                self.suppressed += 1
                return False
            if now < passedAt + interval + self._longest:
                following = min(interval * 2, self._longest)
            del self._keys[key]  # so that it goes to the end, as the one that passed last
        elif len(self._keys) >= self._capacity:
            del self._keys[next(iter(self._keys))]
        self._keys[key] = (now, following)
        return True

    def forget(self, key: Hashable) -> None:
        """
        L{key} may pass at once.
        """
        self._keys.pop(key, None)
