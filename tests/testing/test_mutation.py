"""
Tests of L{bmff.testing.mutation}.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bmff.testing.mutation import MUTATIONS, mutate, mutations

MESSAGES = [b"MSTPONG\x00\x23\xb4\xa2", bytes(range(55)), b"x"]


class MutationTests(SynchronousTestCase):
    """
    Changed messages.
    """

    def test_repeatable(self) -> None:
        """
        A seed gives the same mutations each time, another seed others.
        """
        first = list(mutations(1, MESSAGES, 200))
        self.assertEqual(list(mutations(1, MESSAGES, 200)), first)
        self.assertNotEqual(list(mutations(2, MESSAGES, 200)), first)

    def test_count(self) -> None:
        """
        There are as many as asked for, and enough when nobody says how many.
        """
        self.assertEqual(len(list(mutations(1, MESSAGES, 7))), 7)
        self.assertGreaterEqual(MUTATIONS, 50_000)

    def test_changed(self) -> None:
        """
        Nearly all differ from what they were made of, yet begin as it does more often than not.
        """
        made = list(mutations(1, MESSAGES[1:2], 2000))
        self.assertLess(made.count(MESSAGES[1]), 200)
        self.assertGreater(sum(data[:4] == MESSAGES[1][:4] for data in made), 1000)

    def test_kinds(self) -> None:
        """
        There are shorter and longer ones, some of the same length, and parts of other messages.
        """
        message, other = bytes(30), b"\xaa" * 30
        random = Random(1)
        made = [mutate(random, message, [other]) for _ in range(2000)]
        sizes = [len(data) for data in made]
        self.assertGreater(sum(size < 30 for size in sizes), 200)
        self.assertGreater(sum(size > 30 for size in sizes), 200)
        self.assertGreater(sizes.count(30), 200)
        self.assertGreater(sum(b"\xaa" * 8 in data for data in made), 100)

    def test_slight(self) -> None:
        """
        Some differ in a single bit.
        """
        message = bytes(8)
        random = Random(1)
        made = {mutate(random, message) for _ in range(10_000)}
        single = {data for data in made if len(data) == 8 and sum(map(int.bit_count, data)) == 1}
        self.assertEqual(len(single), 64)

    def test_empty(self) -> None:
        """
        An empty message can be mutated, alone and among others.
        """
        made = list(mutations(1, [b"", b"abc"], 5000))
        self.assertIn(b"", made)
        self.assertGreater(max(map(len, made)), 3)
        self.assertGreater(len(set(mutations(1, [b""], 100))), 10)
