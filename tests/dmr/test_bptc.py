"""
Tests of L{bmff.dmr.bptc}.
"""

from __future__ import annotations

from itertools import combinations
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import bptc
from bmff.errors import ProtocolError

DATA = bytes.fromhex("001020000c302f9be5a1b2c3")
BITS = [1 << place for place in range(196)]

blocks = st.binary(min_size=12, max_size=12)


class BPTCTests(SynchronousTestCase):
    """
    Tests of BPTC(196,96).
    """

    @given(blocks)
    def test_roundTrip(self, data: bytes) -> None:
        """
        What was encoded is decoded.
        """
        block = bptc.encode(data)
        self.assertLess(block, 1 << 196)
        self.assertEqual(bptc.decode(block), data)

    @given(blocks, blocks)
    def test_linear(self, left: bytes, right: bytes) -> None:
        """
        The block of a sum is the sum of the blocks.
        """
        total = bytes(a ^ b for a, b in zip(left, right, strict=True))
        self.assertEqual(bptc.encode(total), bptc.encode(left) ^ bptc.encode(right))

    def test_weight(self) -> None:
        """
        The block of any single bit of data has nine bits set or more, and some have just nine.
        """
        weights = [bptc.encode((1 << bit).to_bytes(12, "big")).bit_count() for bit in range(96)]
        self.assertEqual(min(weights), 9)

    def test_oneError(self) -> None:
        """
        One wrong bit is put right, whichever it is.
        """
        block = bptc.encode(DATA)
        for bit in BITS:
            self.assertEqual(bptc.decode(block ^ bit), DATA)

    def test_twoErrors(self) -> None:
        """
        Two wrong bits are put right, wherever they are.
        """
        block = bptc.encode(DATA)
        for pair in list(combinations(BITS, 2))[::11]:
            self.assertEqual(bptc.decode(block ^ sum(pair)), DATA)

    def test_threeErrors(self) -> None:
        """
        Three wrong bits are put right, wherever they are.
        """
        random = Random(3)
        block = bptc.encode(DATA)
        for _ in range(2000):
            self.assertEqual(bptc.decode(block ^ sum(random.sample(BITS, 3))), DATA)

    def test_fade(self) -> None:
        """
        Eight wrong bits in a row are put right, wherever they begin.
        """
        block = bptc.encode(DATA)
        for first in range(196 - 7):
            self.assertEqual(bptc.decode(block ^ 0xFF << first), DATA)

    def test_manyErrors(self) -> None:
        """
        Of blocks with eight wrong bits at random most are put right, and few are taken for others.
        """
        random = Random(8)
        right = wrong = 0
        for _ in range(500):
            data = random.randbytes(12)
            try:
                decoded = bptc.decode(bptc.encode(data) ^ sum(random.sample(BITS, 8)))
            except ProtocolError:
                continue
            right += decoded == data
            wrong += decoded != data
        self.assertGreater(right, 350, (right, wrong))
        self.assertLess(wrong, 25, (right, wrong))

    @given(st.integers(0, (1 << 196) - 1))
    def test_noise(self, bits: int) -> None:
        """
        Any 196 bits are decoded to 12 bytes, or are a peer's fault.
        """
        try:
            data = bptc.decode(bits)
        except ProtocolError as error:
            self.assertEqual(error.reason, "uncorrectable BPTC block")
        else:
            self.assertEqual(len(data), 12)
