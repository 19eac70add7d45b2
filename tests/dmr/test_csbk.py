"""
Tests of L{bmff.dmr.csbk}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.csbk import CSBK, PREAMBLE, Preamble
from bmff.errors import ProtocolError

BLOCK = bytes.fromhex("bd0080031f29661f2ca4667e")

numbers = st.integers(0, 0xFFFFFF)
csbks = st.builds(
    CSBK,
    opcode=st.integers(0, 63),
    data=st.binary(min_size=8, max_size=8),
    fid=st.integers(0, 255),
    last=st.booleans(),
    protected=st.booleans(),
)
preambles = st.builds(Preamble, numbers, numbers, st.integers(0, 255), st.booleans(), st.booleans())


class CSBKTests(SynchronousTestCase):
    """
    Tests of any block.
    """

    def test_real(self) -> None:
        """
        A preamble that a radio sent is what it is.
        """
        csbk = CSBK.decode(BLOCK)
        self.assertEqual((csbk.opcode, csbk.fid, csbk.last), (PREAMBLE, 0, True))
        self.assertEqual((csbk.destination, csbk.source), (0x1F2966, 0x1F2CA4))
        self.assertTrue(csbk.addressed)
        self.assertEqual(csbk.encode(), BLOCK)

    @given(csbks)
    def test_roundTrip(self, csbk: CSBK) -> None:
        """
        What was encoded is decoded.
        """
        self.assertEqual(CSBK.decode(csbk.encode()), csbk)

    @given(csbks, numbers, numbers, st.booleans())
    def test_readdressed(self, csbk: CSBK, destination: int, source: int, group: bool) -> None:
        """
        Other addresses change nothing but addresses, and in a preamble the kind of call.
        """
        other = csbk.readdressed(destination, source, group)
        self.assertEqual((other.destination, other.source), (destination, source))
        back = other.readdressed(csbk.destination, csbk.source, bool(csbk.data[0] & 0x40))
        self.assertEqual(back, csbk)

    @given(st.binary(max_size=14))
    def test_anything(self, block: bytes) -> None:
        """
        Any bytes are a block, or a peer's fault.
        """
        for decode in (CSBK.decode, Preamble.decode):
            try:
                value = decode(block)
            except ProtocolError:
                continue
            self.assertEqual(len(value.encode()), 12)


class PreambleTests(SynchronousTestCase):
    """
    Tests of preambles.
    """

    def test_real(self) -> None:
        """
        A preamble that a radio sent is read, and made again bit for bit.
        """
        preamble = Preamble(0x1F2966, 0x1F2CA4, 3)
        self.assertEqual(Preamble.decode(BLOCK), preamble)
        self.assertEqual(preamble.encode(), BLOCK)

    @given(preambles)
    def test_roundTrip(self, preamble: Preamble) -> None:
        """
        What was encoded is decoded.
        """
        self.assertEqual(Preamble.decode(preamble.encode()), preamble)

    def test_other(self) -> None:
        """
        Another block is no preamble, nor is a manufacturer's with the same opcode.
        """
        for csbk in (CSBK(4, bytes(8)), CSBK(PREAMBLE, bytes(8), fid=0x10)):
            self.assertRaises(ProtocolError, Preamble.decode, csbk.encode())
