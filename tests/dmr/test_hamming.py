"""
Tests of L{bmff.dmr.hamming}.
"""

from __future__ import annotations

from itertools import combinations

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import hamming

# The generator matrices of ETSI TS 102 361-1, as the parity of each data bit, the highest first.
ROW_PARITIES = [0b1001, 0b1101, 0b1111, 0b1110, 0b0111, 0b1010, 0b0101, 0b1011, 0b1100, 0b0110, 3]
COLUMN_PARITIES = [0b1111, 0b1110, 0b0111, 0b1010, 0b0101, 0b1011, 0b1100, 0b0110, 0b0011]


class HammingTests(SynchronousTestCase):
    """
    Tests of both codes; a word of the shorter one has 13 bits.
    """

    def test_generators(self) -> None:
        """
        The word of each single bit is its row of the published matrix.
        """
        for parities in (ROW_PARITIES, COLUMN_PARITIES):
            bits = [1 << place for place in reversed(range(len(parities)))]
            words = [bit << 4 | parity for bit, parity in zip(bits, parities, strict=True)]
            self.assertEqual([hamming.encode(bit) for bit in bits], words)

    def test_oneError(self) -> None:
        """
        Every word of either code is put right, whichever of its bits is wrong, or none.
        """
        for length in (15, 13):
            errors = [0] + [1 << bit for bit in range(length)]
            for data in range(1 << length - 4):
                word = hamming.encode(data)
                self.assertEqual(word >> 4, data)
                self.assertEqual(
                    {hamming.correct(word ^ error, length) for error in errors}, {word}
                )

    def test_syndrome(self) -> None:
        """
        A word without errors has no syndrome, one with one or two errors has.
        """
        for length in (15, 13):
            bits = [1 << bit for bit in range(length)]
            word = hamming.encode(0x155)
            self.assertEqual(hamming.syndrome(word), 0)
            for error in bits + [sum(pair) for pair in combinations(bits, 2)]:
                self.assertNotEqual(hamming.syndrome(word ^ error), 0)

    def test_length(self) -> None:
        """
        Whatever is wrong with a word, none of its bits above its length is set to put it right.
        """
        for length in (15, 13):
            for word in range(1 << length):
                self.assertEqual(hamming.correct(word, length) >> length, 0)
