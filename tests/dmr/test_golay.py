"""
Tests of L{bmff.dmr.golay}.
"""

from __future__ import annotations

from itertools import combinations

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import golay
from bmff.errors import ProtocolError

# The generator matrix of ETSI TS 102 361-1, as the parity of each data bit, the highest first.
PARITIES = [0x3DA, 0xD99, 0x6CD, 0x367, 0xDC6, 0xA97, 0x93E, 0x8EB]


def patterns(count: int) -> list[int]:
    """
    Every word with that many of its 20 bits set.
    """
    return [sum(bits) for bits in combinations([1 << place for place in range(20)], count)]


class GolayTests(SynchronousTestCase):
    """
    Tests of the Golay(20,8,7) code.
    """

    def test_generator(self) -> None:
        """
        The word of each single bit is its row of the published matrix.
        """
        words = [golay.encode(0x80 >> row) for row in range(8)]
        self.assertEqual(words, [0x80 >> row << 12 | PARITIES[row] for row in range(8)])

    def test_linear(self) -> None:
        """
        The word of every value is the sum of the words of its bits.
        """
        for value in range(256):
            word = 0
            for row in range(8):
                if value & 0x80 >> row:
                    word ^= golay.encode(0x80 >> row)
            self.assertEqual(golay.encode(value), word)

    def test_threeErrors(self) -> None:
        """
        Every word is decoded with every pattern of up to three errors.
        """
        errors = [error for count in range(4) for error in patterns(count)]
        wrong = 0
        for value in range(256):
            word = golay.encode(value)
            wrong += sum(golay.decode(word ^ error) != value for error in errors)
        self.assertEqual((wrong, len(errors)), (0, 1351))

    def test_fourErrors(self) -> None:
        """
        Four errors are seen, whichever they are.
        """
        word = golay.encode(0x5A)
        for error in patterns(4):
            self.assertRaises(ProtocolError, golay.decode, word ^ error)
