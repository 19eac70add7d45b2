"""
Tests of L{bmff.dmr.udt}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import dataheader
from bmff.dmr.datablock import encodeBlock
from bmff.dmr.dataheader import UDTHeader
from bmff.dmr.datamessage import Assembly, blocksOf
from bmff.dmr.frame import RATE_12
from bmff.dmr.udt import Form, decodeText, encodeText
from bmff.errors import ProtocolError

plain = st.characters(min_codepoint=1, max_codepoint=127)
latin = st.characters(min_codepoint=1, max_codepoint=255)
any16 = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


class TextTests(SynchronousTestCase):
    """
    Tests of texts.
    """

    def comesThrough(self, text: str, form: Form) -> None:
        """
        A text is read again from header and blocks.
        """
        header, payload = encodeText(text, destination=91, source=2, group=True, form=form)
        assembly = Assembly(header)
        for block in blocksOf(header, payload):
            assembly.add(RATE_12, encodeBlock(RATE_12, block))
        decoded = dataheader.decode(header.encode())
        assert isinstance(decoded, UDTHeader)
        self.assertEqual(decodeText(decoded, assembly.payload()), text)

    @given(st.text(plain, max_size=52))
    def test_sevenBits(self, text: str) -> None:
        """
        A text of 7-bit characters comes through.
        """
        self.comesThrough(text, Form.ISO_7_BIT)

    @given(st.text(latin, max_size=46))
    def test_eightBits(self, text: str) -> None:
        """
        A text of 8-bit characters comes through.
        """
        self.comesThrough(text, Form.ISO_8_BIT)

    @given(st.text(any16, max_size=11))
    def test_sixteenBits(self, text: str) -> None:
        """
        A text of any characters comes through.
        """
        self.comesThrough(text, Form.UTF_16)

    def test_digits(self) -> None:
        """
        Digits of four bits are read.
        """
        header = UDTHeader(destination=1, source=2, form=Form.BCD, padNibbles=15)
        self.assertEqual(decodeText(header, b"\x12\xa4\x50"), "12*45")

    def test_afterAddress(self) -> None:
        """
        A text may follow an address.
        """
        header = UDTHeader(destination=1, source=2, form=Form.ADDRESS_AND_UTF_16)
        self.assertEqual(decodeText(header, b"\0\0\x5b" + "Hi".encode("utf-16-be")), "Hi")

    def test_others(self) -> None:
        """
        What is no text is a peer's fault to read as one, and ours to write.
        """
        header = UDTHeader(destination=1, source=2, form=Form.NMEA)
        self.assertRaises(ProtocolError, decodeText, header, bytes(10))
        with self.assertRaises(ValueError):
            encodeText("a", destination=1, source=2, form=Form.BCD)

    def test_tooLong(self) -> None:
        """
        A text that takes more than four blocks is refused.
        """
        with self.assertRaises(ValueError):
            encodeText("a" * 24, destination=1, source=2)

    @given(st.integers(0, 15), st.integers(0, 31), st.binary(max_size=46))
    def test_anything(self, form: int, padding: int, payload: bytes) -> None:
        """
        Any blocks are a text without an end in it, or a peer's fault.
        """
        header = UDTHeader(destination=1, source=2, form=form, padNibbles=padding)
        try:
            text = decodeText(header, payload)
        except ProtocolError:
            return
        self.assertNotIn("\0", text)
