"""
Sets of numbers that are said as ranges, such as the talkgroups that a bridge carries.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """
    A set of whole numbers, kept as ranges that do not touch, so that one is found in a bisection.
    It is never changed after it is made.
    """

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """
        @param ranges: each the first and the last number; in any order, they may overlap.
        """
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(ranges):
            if last < first:
                continue
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(last, self._lasts[-1])
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number)
        return place > 0 and number <= self._lasts[place - 1]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """
        The ranges, the lowest first, each as its first and its last number.
        """
        return zip(self._firsts, self._lasts, strict=True)

    def __len__(self) -> int:
        """
        How many ranges there are, not how many numbers.
        """
        return len(self._firsts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranges):
            return NotImplemented
        return self._firsts == other._firsts and self._lasts == other._lasts

    def __hash__(self) -> int:
        return hash((tuple(self._firsts), tuple(self._lasts)))

    def __or__(self, other: Ranges) -> Ranges:
        """
        The numbers that are in one of both.
        """
        return Ranges((*self, *other))

    def __sub__(self, other: Ranges) -> Ranges:
        """
        The numbers that are not in the other.
        """
        left = []
        for first, last in self:
            begin = first
            for start, end in other:
                if begin <= end and start <= last:
                    left.append((begin, start - 1))
                    begin = end + 1
            left.append((begin, last))
        return Ranges(left)

    def __repr__(self) -> str:
        said = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in self)
        return f"<Ranges {said or 'none'}>"
