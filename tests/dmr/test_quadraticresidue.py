"""
Tests of L{bmff.dmr.quadraticresidue}.
"""

from __future__ import annotations

from itertools import combinations

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import quadraticresidue
from bmff.errors import ProtocolError

# The EMB fields of a real call: colour code 1, and each LCSS.
SENT = {0b0001_0_00: 0x11E2, 0b0001_0_01: 0x1391, 0b0001_0_10: 0x1507, 0b0001_0_11: 0x1774}


def patterns(count: int) -> list[int]:
    """
    Every word with that many of its 16 bits set.
    """
    return [sum(bits) for bits in combinations([1 << place for place in range(16)], count)]


class QuadraticResidueTests(SynchronousTestCase):
    """
    Tests of the QR(16,7,6) code.
    """

    def test_sent(self) -> None:
        """
        The words are those of real equipment.
        """
        self.assertEqual({value: quadraticresidue.encode(value) for value in SENT}, SENT)

    def test_systematic(self) -> None:
        """
        A word begins with its value and has an even number of bits set.
        """
        for value in range(128):
            word = quadraticresidue.encode(value)
            self.assertEqual((word >> 9, word.bit_count() % 2), (value, 0))

    def test_distance(self) -> None:
        """
        The nearest of any two words differ in six bits.
        """
        words = [quadraticresidue.encode(value) for value in range(128)]
        distances = {(one ^ other).bit_count() for one, other in combinations(words, 2)}
        self.assertEqual(min(distances), 6)

    def test_twoErrors(self) -> None:
        """
        Every word is decoded with every pattern of up to two errors.
        """
        errors = [error for count in range(3) for error in patterns(count)]
        self.assertEqual(len(errors), 137)
        for value in range(128):
            word = quadraticresidue.encode(value)
            self.assertEqual({quadraticresidue.decode(word ^ error) for error in errors}, {value})

    def test_threeErrors(self) -> None:
        """
        Three errors are seen, whichever they are.
        """
        word = quadraticresidue.encode(0x5A)
        for error in patterns(3):
            self.assertRaises(ProtocolError, quadraticresidue.decode, word ^ error)
