"""
Tests of L{bmff.dmr.datablock}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.datablock import SIZES, ConfirmedBlock, decodeBlock, encodeBlock
from bmff.dmr.frame import CSBK, IDLE, RATE_1, RATE_12, RATE_34
from bmff.errors import ProtocolError

rates = st.sampled_from([RATE_12, RATE_34, RATE_1])
serials = st.integers(0, 127)


class BlockTests(SynchronousTestCase):
    """
    Tests of what bursts of the three rates carry.
    """

    @given(rates, st.data())
    def test_roundTrip(self, rate: int, draw: st.DataObject) -> None:
        """
        What was encoded is decoded, and fits into a burst.
        """
        data = draw.draw(st.binary(min_size=SIZES[rate], max_size=SIZES[rate]))
        bits = encodeBlock(rate, data)
        self.assertLess(bits, 1 << 196)
        self.assertEqual(decodeBlock(rate, bits), data)

    def test_rate1(self) -> None:
        """
        A burst of rate 1 carries its bits as they are, around four that mean nothing.
        """
        data = bytes(range(24))
        bits = encodeBlock(RATE_1, data)
        self.assertEqual(bits >> 100, int.from_bytes(data[:12], "big"))
        self.assertEqual(bits & (1 << 96) - 1, int.from_bytes(data[12:], "big"))
        self.assertEqual(decodeBlock(RATE_1, bits | 0xF << 96), data)

    def test_others(self) -> None:
        """
        Bursts of other data types have no block.
        """
        for dataType in (CSBK, IDLE):
            self.assertRaises(ProtocolError, decodeBlock, dataType, 0)

    @given(rates, st.integers(0, (1 << 196) - 1))
    def test_anything(self, rate: int, bits: int) -> None:
        """
        Any bits are a block, or a peer's fault.
        """
        try:
            data = decodeBlock(rate, bits)
        except ProtocolError:
            return
        self.assertEqual(len(data), SIZES[rate])


class ConfirmedBlockTests(SynchronousTestCase):
    """
    Tests of blocks with serial number and check.
    """

    @given(rates, serials, st.data())
    def test_roundTrip(self, rate: int, serial: int, draw: st.DataObject) -> None:
        """
        What was encoded is decoded, at its own rate alone.
        """
        size = SIZES[rate] - 2
        block = ConfirmedBlock(serial, draw.draw(st.binary(min_size=size, max_size=size)))
        encoded = block.encode(rate)
        self.assertEqual(ConfirmedBlock.decode(rate, encoded), block)
        other = RATE_34 if rate == RATE_12 else RATE_12
        self.assertRaises(ProtocolError, ConfirmedBlock.decode, other, encoded)

    @given(rates, serials, st.data())
    def test_errors(self, rate: int, serial: int, draw: st.DataObject) -> None:
        """
        Up to nine wrong bits in a row are seen, wherever they are.
        """
        size = SIZES[rate]
        encoded = ConfirmedBlock(serial, bytes(size - 2)).encode(rate)
        error = draw.draw(st.integers(1, 511)) << draw.draw(st.integers(0, 8 * size - 9))
        wrong = (int.from_bytes(encoded, "big") ^ error).to_bytes(size, "big")
        # What spans serial number and check is not in a row for the code.
        if error >> 8 * size - 16 == 0 or error.bit_count() == 1:
            self.assertRaises(ProtocolError, ConfirmedBlock.decode, rate, wrong)

    def test_layout(self) -> None:
        """
        Seven bits of serial number and nine of check stand before the data.
        """
        encoded = ConfirmedBlock(0x55, bytes(10)).encode(RATE_12)
        self.assertEqual(encoded[0] >> 1, 0x55)
        self.assertEqual(encoded[2:], bytes(10))

    def test_masks(self) -> None:
        """
        The check of nothing is all ones under the mask of its rate.
        """
        checks = {
            rate: int.from_bytes(ConfirmedBlock(0, bytes(size - 2)).encode(rate)[:2], "big")
            for rate, size in SIZES.items()
        }
        self.assertEqual(checks, {RATE_12: 0x1FF ^ 0x0F0, RATE_34: 0, RATE_1: 0x1FF ^ 0x10F})
