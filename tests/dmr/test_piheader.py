"""
Tests of L{bmff.dmr.piheader}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import crc
from bmff.dmr.piheader import PrivacyHeader
from bmff.errors import ProtocolError

octets = st.integers(0, 255)
headers = st.builds(
    PrivacyHeader,
    octets,
    octets,
    octets,
    st.binary(min_size=4, max_size=4),
    st.integers(0, 0xFFFFFF),
)


class PrivacyHeaderTests(SynchronousTestCase):
    """
    Tests of the header of an encrypted call.
    """

    @given(headers)
    def test_roundTrip(self, header: PrivacyHeader) -> None:
        """
        What was encoded is decoded, under its own mask alone.
        """
        block = header.encode()
        self.assertEqual(PrivacyHeader.decode(block), header)
        self.assertRaises(ProtocolError, crc.unseal, block, crc.CSBK_MASK)

    def test_layout(self) -> None:
        """
        Cipher, maker, key, vector and destination follow one another.
        """
        block = PrivacyHeader(0x21, 0x10, 5, b"abcd", 91).encode()
        self.assertEqual(block[:10], b"\x21\x10\x05abcd\x00\x00\x5b")
