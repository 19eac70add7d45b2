"""
Tests of L{bmff.dmr.reedsolomon}.
"""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import reedsolomon
from bmff.dmr.reedsolomon import HEADER_MASK, TERMINATOR_MASK
from bmff.errors import ProtocolError

DATA = bytes.fromhex("001020000c302f9be5")

messages = st.binary(min_size=9, max_size=9)
masks = st.sampled_from([HEADER_MASK, TERMINATOR_MASK, bytes(3)])


class ReedSolomonTests(SynchronousTestCase):
    """
    Tests of the Reed-Solomon(12,9) code.
    """

    def test_generator(self) -> None:
        """
        The parity of a lone 1 at the end is the generator's coefficients, and that of nothing none.
        """
        self.assertEqual(reedsolomon.parity(bytes(8) + b"\x01"), b"\x0e\x38\x40")
        self.assertEqual(reedsolomon.parity(bytes(9)), bytes(3))

    @given(messages, messages)
    def test_linear(self, left: bytes, right: bytes) -> None:
        """
        The parity of a sum is the sum of the parities.
        """

        def add(one: bytes, other: bytes) -> bytes:
            return bytes(a ^ b for a, b in zip(one, other, strict=True))

        self.assertEqual(
            reedsolomon.parity(add(left, right)),
            add(reedsolomon.parity(left), reedsolomon.parity(right)),
        )

    @given(messages, masks)
    def test_roundTrip(self, data: bytes, mask: bytes) -> None:
        """
        What was encoded is decoded under the same mask, and stands in clear in the word.
        """
        word = reedsolomon.encode(data, mask)
        self.assertEqual((len(word), word[:9]), (12, data))
        self.assertEqual(reedsolomon.decode(word, mask), data)

    def test_oneByte(self) -> None:
        """
        One wrong byte is put right, whichever it is and whatever is in its place.
        """
        word = reedsolomon.encode(DATA, HEADER_MASK)
        for place in range(12):
            for error in range(1, 256):
                wrong = bytearray(word)
                wrong[place] ^= error
                self.assertEqual(reedsolomon.decode(bytes(wrong), HEADER_MASK), DATA)

    def test_twoBytes(self) -> None:
        """
        Two wrong bytes are seen.
        """
        random = Random(12)
        word = reedsolomon.encode(DATA, TERMINATOR_MASK)
        for _ in range(2000):
            wrong = bytearray(word)
            for place in random.sample(range(12), 2):
                wrong[place] ^= random.randrange(1, 256)
            self.assertRaises(ProtocolError, reedsolomon.decode, bytes(wrong), TERMINATOR_MASK)

    def test_otherMask(self) -> None:
        """
        The data of a header is not taken for that of a terminator.
        """
        word = reedsolomon.encode(DATA, HEADER_MASK)
        self.assertRaises(ProtocolError, reedsolomon.decode, word, TERMINATOR_MASK)
