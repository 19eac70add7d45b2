"""
Tests of L{bmff.dmr.ranges}.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.ranges import Ranges

ends = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


def numbers(ranges: list[tuple[int, int]]) -> set[int]:
    return {each for first, last in ranges for each in range(first, last + 1)}


class RangesTests(SynchronousTestCase):
    """
    Ranges are the set of the numbers in them.
    """

    @given(ends)
    def test_holdsItsNumbers(self, ranges: list[tuple[int, int]]) -> None:
        """
        A number is in it if it is in one of the ranges, whatever their order.
        """
        wanted = numbers(ranges)
        self.assertEqual({each for each in range(-2, 63) if each in Ranges(ranges)}, wanted)

    @given(ends)
    def test_rangesDoNotTouch(self, ranges: list[tuple[int, int]]) -> None:
        """
        Between two of its ranges at least one number is missing, so equal sets are equal.
        """
        found = list(Ranges(ranges))
        self.assertTrue(all(a[1] + 1 < b[0] for a, b in pairwise(found)))
        self.assertEqual(Ranges(found), Ranges(ranges))
        self.assertEqual(hash(Ranges(found)), hash(Ranges(ranges)))

    @given(ends, ends)
    def test_unionAndDifference(self, a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
        """
        C{|} and C{-} are those of sets.
        """
        self.assertEqual(numbers(list(Ranges(a) | Ranges(b))), numbers(a) | numbers(b))
        self.assertEqual(numbers(list(Ranges(a) - Ranges(b))), numbers(a) - numbers(b))

    def test_saysWhatItHolds(self) -> None:
        """
        Its text names the ranges.
        """
        self.assertEqual(repr(Ranges([(91, 91), (262, 270)])), "<Ranges 91, 262-270>")
        self.assertEqual(repr(Ranges()), "<Ranges none>")
