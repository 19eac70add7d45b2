"""
Tests of L{bmff.dmr.dataheader}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import crc, dataheader
from bmff.dmr.dataheader import (
    ConfirmedHeader,
    DataHeader,
    DefinedShortHeader,
    ProprietaryHeader,
    RawShortHeader,
    ResponseHeader,
    StatusHeader,
    UDTHeader,
    UnconfirmedHeader,
)
from bmff.errors import ProtocolError
from bmff.testing.mutation import mutations
from tests.dmr.test_crc import HEADERS

numbers = st.integers(0, 0xFFFFFF)
flags = st.booleans()
beginning = {
    "destination": numbers,
    "source": numbers,
    "group": flags,
    "responseRequested": flags,
    "sap": st.integers(0, 15),
}


def upTo(bits: int) -> st.SearchStrategy[int]:
    """
    The numbers of so many bits.
    """
    return st.integers(0, (1 << bits) - 1)


unconfirmed = st.builds(
    UnconfirmedHeader, **beginning, blocks=upTo(7), padOctets=upTo(5), full=flags, fragment=upTo(4)
)
confirmed = st.builds(
    ConfirmedHeader,
    **beginning,
    blocks=upTo(7),
    padOctets=upTo(5),
    full=flags,
    resynchronize=flags,
    sequence=upTo(3),
    fragment=upTo(4),
)
responses = st.builds(
    ResponseHeader,
    **beginning,
    blocks=upTo(7),
    responseClass=upTo(2),
    responseType=upTo(3),
    status=upTo(3),
)
statuses = st.builds(
    StatusHeader, **beginning, sourcePort=upTo(3), destinationPort=upTo(3), status=upTo(10)
)
raw = st.builds(
    RawShortHeader,
    **beginning,
    blocks=st.integers(1, 63),
    sourcePort=upTo(3),
    destinationPort=upTo(3),
    resynchronize=flags,
    full=flags,
    padBits=upTo(8),
)
defined = st.builds(
    DefinedShortHeader,
    **beginning,
    blocks=upTo(6),
    form=upTo(6),
    resynchronize=flags,
    full=flags,
    padBits=upTo(8),
)
udt = st.builds(
    UDTHeader,
    **beginning,
    form=upTo(4),
    blocks=st.integers(1, 4),
    padNibbles=upTo(5),
    supplementary=flags,
    protected=flags,
    opcode=upTo(6),
    flags=upTo(2),
)
proprietary = st.builds(ProprietaryHeader, upTo(4), upTo(8), st.binary(min_size=8, max_size=8))
headers: st.SearchStrategy[DataHeader] = st.one_of(
    unconfirmed, confirmed, responses, statuses, raw, defined, udt, proprietary
)


class RealHeaderTests(SynchronousTestCase):
    """
    Tests with headers that radios sent.
    """

    def test_read(self) -> None:
        """
        Each is what it is, and is made again bit for bit.
        """
        expected: list[DataHeader] = [
            UnconfirmedHeader(destination=222999, source=2223619, blocks=6, padOctets=10),
            ConfirmedHeader(
                destination=9099,
                source=2620793,
                responseRequested=True,
                sap=dataheader.SAP.UDP_COMPRESSED,
                blocks=2,
                padOctets=15,
                sequence=2,
            ),
            UnconfirmedHeader(destination=2501, source=2502007, blocks=5, padOctets=10),
            DefinedShortHeader(
                destination=2501, source=2509001, group=True, blocks=3, padBits=0x50
            ),
            UnconfirmedHeader(
                destination=0x2337FC,
                source=0x2337FE,
                sap=dataheader.SAP.UDP_COMPRESSED,
                blocks=2,
                padOctets=10,
            ),
        ]
        blocks = [bytes.fromhex(block) for block in HEADERS]
        self.assertEqual([dataheader.decode(block) for block in blocks], expected)
        self.assertEqual([header.encode() for header in expected], blocks)


class DataHeaderTests(SynchronousTestCase):
    """
    Tests of all formats.
    """

    @given(headers)
    def test_roundTrip(self, header: DataHeader) -> None:
        """
        What was encoded is decoded.
        """
        self.assertEqual(dataheader.decode(header.encode()), header)

    @given(st.binary(min_size=10, max_size=10))
    def test_anything(self, data: bytes) -> None:
        """
        Any ten bytes under a right check are a header, or of an unknown format.
        """
        block = crc.seal(data, crc.DATA_HEADER_MASK)
        try:
            header = dataheader.decode(block)
        except ProtocolError as error:
            self.assertEqual(error.reason, "data header of an unknown format")
            self.assertIn(data[0] & 0x0F, range(4, 13))
        else:
            # Bits without a meaning are ignored, all others are kept.
            self.assertEqual(dataheader.decode(header.encode()), header)

    def test_mutations(self) -> None:
        """
        A damaged header is a peer's fault.
        """
        blocks = [bytes.fromhex(block) for block in HEADERS]
        for block in mutations(10, blocks, 5000):
            if block not in blocks:
                try:
                    dataheader.decode(block)
                except ProtocolError:
                    continue
                self.assertEqual(crc.seal(block[:10], crc.DATA_HEADER_MASK), block)

    def test_padding(self) -> None:
        """
        The padding is in bytes, in whatever the format counts it.
        """
        self.assertEqual(
            UnconfirmedHeader(destination=1, source=2, blocks=1, padOctets=7).padding, 7
        )
        self.assertEqual(ConfirmedHeader(destination=1, source=2, blocks=1, padOctets=7).padding, 7)
        self.assertEqual(
            DefinedShortHeader(destination=1, source=2, blocks=1, padBits=56).padding, 7
        )
        self.assertEqual(RawShortHeader(destination=1, source=2, blocks=1, padBits=56).padding, 7)
        self.assertEqual(UDTHeader(destination=1, source=2, form=0, padNibbles=14).padding, 7)
        self.assertEqual(ResponseHeader(destination=1, source=2).padding, 0)

    def test_confirmed(self) -> None:
        """
        The blocks of a confirmed message have checks of their own, and those of a short one whose
        sender wants an answer.
        """
        self.assertTrue(ConfirmedHeader(destination=1, source=2, blocks=1).confirmed)
        self.assertFalse(UnconfirmedHeader(destination=1, source=2, blocks=1).confirmed)
        for wanted in (True, False):
            short = DefinedShortHeader(destination=1, source=2, blocks=1, responseRequested=wanted)
            self.assertEqual(short.confirmed, wanted)
            rawShort = RawShortHeader(destination=1, source=2, blocks=1, responseRequested=wanted)
            self.assertEqual(rawShort.confirmed, wanted)
