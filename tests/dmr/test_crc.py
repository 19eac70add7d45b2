"""
Tests of L{bmff.dmr.crc}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import crc
from bmff.errors import ProtocolError

# What radios sent: preambles, headers of data, and a whole text message with its CRC-32.
PREAMBLES = ["bd0080031f29661f2ca4667e", "bd00800400238b27fd790bbd", "bd00800700238b27fd79d33f"]
HEADERS = [
    "024a03671721ee038600812d",
    "433f00238b27fd7982286ae4",
    "024a0009c5262d778500f909",
    "8da30009c52648c901504307",
    "023a2337fc2337fe820081a3",
]
MESSAGE = bytes.fromhex(
    "4500003a0000000040110d750c21ee030c0367170fa70fa7002670f1001ca00081040d000a0040004d004800"
    "20004a004e00360036006f00620000000000000000000000349351b0"
)

data = st.binary(min_size=10, max_size=10)
masks = st.sampled_from(
    [crc.PI_HEADER_MASK, crc.CSBK_MASK, crc.MBC_HEADER_MASK, crc.DATA_HEADER_MASK]
)


def remainder(bits: str, generator: str) -> int:
    """
    What is left of a polynomial, times x^degree, after long division by another one.
    """
    degree = len(generator) - 1
    row = [int(bit) for bit in bits + "0" * degree]
    for place in range(len(bits)):
        if row[place]:
            for offset, bit in enumerate(generator):
                row[place + offset] ^= int(bit)
    return int("".join(map(str, row[-degree:])), 2)


def binary(value: bytes) -> str:
    """
    The bits of some bytes.
    """
    return "".join(f"{byte:08b}" for byte in value)


class VectorTests(SynchronousTestCase):
    """
    Tests with what radios sent.
    """

    def test_preambles(self) -> None:
        """
        The check of a preamble is right under the mask of a CSBK, and under no other.
        """
        for block in map(bytes.fromhex, PREAMBLES):
            self.assertEqual(crc.unseal(block, crc.CSBK_MASK), block[:10])
            self.assertEqual(crc.seal(block[:10], crc.CSBK_MASK), block)
            self.assertRaises(ProtocolError, crc.unseal, block, crc.DATA_HEADER_MASK)

    def test_headers(self) -> None:
        """
        The check of a data header is right under its mask.
        """
        for block in map(bytes.fromhex, HEADERS):
            self.assertEqual(crc.unseal(block, crc.DATA_HEADER_MASK), block[:10])

    def test_message(self) -> None:
        """
        The CRC-32 of a message is the one that stands behind it.
        """
        self.assertEqual(crc.crc32(MESSAGE[:-4]), MESSAGE[-4:])


class DivisionTests(SynchronousTestCase):
    """
    Tests against division by hand.
    """

    @given(st.binary(max_size=40))
    def test_ccitt(self, value: bytes) -> None:
        """
        CRC-CCITT is the inverted remainder by x^16 + x^12 + x^5 + 1.
        """
        left = remainder(binary(value), "10001000000100001")
        self.assertEqual(crc.ccitt(value), left ^ 0xFFFF)

    @given(st.binary(max_size=24), st.integers(0, 127))
    def test_crc9(self, value: bytes, serial: int) -> None:
        """
        CRC-9 is the inverted remainder of data and serial number by x^9 + x^6 + x^4 + x^3 + 1.
        """
        left = remainder(binary(value) + f"{serial:07b}", "1001011001")
        self.assertEqual(crc.crc9(value, serial), left ^ 0x1FF)

    @given(st.lists(st.binary(min_size=2, max_size=2), max_size=40))
    def test_crc32(self, pairs: list[bytes]) -> None:
        """
        CRC-32 is the remainder of the swapped pairs, its lowest byte first.
        """
        swapped = b"".join(pair[::-1] for pair in pairs)
        left = remainder(binary(swapped), "100000100110000010001110110110111")
        self.assertEqual(crc.crc32(b"".join(pairs)), left.to_bytes(4, "little"))


class SealTests(SynchronousTestCase):
    """
    Tests of blocks with a CRC-CCITT.
    """

    @given(data, masks)
    def test_roundTrip(self, value: bytes, mask: int) -> None:
        """
        What was sealed is unsealed under the same mask.
        """
        self.assertEqual(crc.unseal(crc.seal(value, mask), mask), value)

    @given(data, masks, st.integers(1, (1 << 96) - 1))
    def test_errors(self, value: bytes, mask: int, error: int) -> None:
        """
        An error of up to sixteen bits in a row, or of three anywhere, is seen.
        """
        block = int.from_bytes(crc.seal(value, mask), "big")
        width = error.bit_length() - (error & -error).bit_length() + 1
        if width <= 16 or error.bit_count() <= 3:
            wrong = (block ^ error).to_bytes(12, "big")
            self.assertRaises(ProtocolError, crc.unseal, wrong, mask)

    def test_masks(self) -> None:
        """
        The check of nothing is all ones under the published mask.
        """
        masks = {
            crc.PI_HEADER_MASK: 0x9696,
            crc.CSBK_MASK: 0x5A5A,
            crc.MBC_HEADER_MASK: 0x5555,
            crc.DATA_HEADER_MASK: 0x3333,
        }
        for mask, check in masks.items():
            block = crc.seal(bytes(10), mask)
            self.assertEqual(int.from_bytes(block[10:], "big"), check)

    def test_size(self) -> None:
        """
        A block of another size is a peer's fault.
        """
        block = crc.seal(bytes(10), crc.CSBK_MASK)
        for wrong in (b"", block[:-1], block + b"\0"):
            self.assertRaises(ProtocolError, crc.unseal, wrong, crc.CSBK_MASK)
