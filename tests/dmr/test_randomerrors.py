"""
Tests of all codes of data and Link Control with random data and random errors, as many as each code
is to put right, in many more cases in a soak.
"""

from __future__ import annotations

from random import Random
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import bptc, embedded, reedsolomon, trellis
from bmff.dmr.lc import FullLinkControl
from bmff.testing.mutation import SOAK

CASES: Final = 1_000_000 if SOAK else 20_000


class RandomErrorTests(SynchronousTestCase):
    """
    Tests of each code.
    """

    def test_bptc(self) -> None:
        """
        BPTC(196,96) puts right three wrong bits, wherever they are.
        """
        random = Random(19696)
        bits = [1 << place for place in range(196)]
        wrong = 0
        for _ in range(CASES):
            data = random.randbytes(12)
            errors = sum(random.sample(bits, random.randrange(4)))
            wrong += bptc.decode(bptc.encode(data) ^ errors) != data
        self.assertEqual(wrong, 0)

    def test_reedSolomon(self) -> None:
        """
        RS(12,9) puts right one wrong byte, whatever is in its place.
        """
        random = Random(129)
        masks = (reedsolomon.HEADER_MASK, reedsolomon.TERMINATOR_MASK)
        wrong = 0
        for case in range(CASES):
            data = random.randbytes(9)
            mask = masks[case % 2]
            word = bytearray(reedsolomon.encode(data, mask))
            word[random.randrange(12)] = random.randrange(256)
            wrong += reedsolomon.decode(bytes(word), mask) != data
        self.assertEqual(wrong, 0)

    def test_trellis(self) -> None:
        """
        The trellis of rate 3/4 puts right one wrong bit, wherever it is.
        """
        random = Random(34)
        wrong = 0
        for _ in range(CASES):
            data = random.randbytes(18)
            error = 1 << random.randrange(196)
            wrong += trellis.decode(trellis.encode(data) ^ error) != data
        self.assertEqual(wrong, 0)

    def test_embedded(self) -> None:
        """
        The embedded Link Control comes right with three wrong bits, wherever they are.
        """
        random = Random(1611)
        bits = [1 << place for place in range(128)]
        wrong = 0
        for _ in range(CASES):
            lc = FullLinkControl.fromBytes(bytes((random.choice((0, 3)),)) + random.randbytes(8))
            matrix = 0
            for part in embedded.encode(lc):
                matrix = matrix << 32 | part
            matrix ^= sum(random.sample(bits, random.randrange(4)))
            parts = [matrix >> shift & 0xFFFFFFFF for shift in (96, 64, 32, 0)]
            wrong += embedded.decode(parts) != lc
        self.assertEqual(wrong, 0)
