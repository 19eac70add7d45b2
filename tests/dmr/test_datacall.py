"""
Tests of L{bmff.dmr.datacall}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import bptc, dataheader
from bmff.dmr.applications import decodeApplication
from bmff.dmr.burst import Sync, information, slotType, sync
from bmff.dmr.csbk import Preamble
from bmff.dmr.datacall import dataBursts, textCall
from bmff.dmr.datagram import Datagram
from bmff.dmr.dataheader import ProprietaryHeader, UnconfirmedHeader
from bmff.dmr.datamessage import Assembly, unconfirmedHeader
from bmff.dmr.frame import CSBK, DATA_HEADER, DATA_SYNC, KIND, RATE_1, RATE_12, RATE_34, Frame
from bmff.dmr.tms import TextMessage
from tests.dmr.test_crc import MESSAGE

# What a radio sent before a text message "Hello": two preambles, the header, the first block.
REAL = [
    "4642042d816038e414d94f9204cdff57d75df5dac84e659097183ec03e9d2992f2",
    "460204af807c3afc16e8c3d204cdff57d75df5dac83e45a0d7f83d603b5d2092c4",
    "40262710108e20e81291d04bc58dff57d75df5d338941cf033142226858601b49f",
    "14aaa94d12ac10ac22f00a6005edff57d75df5d0952c415482f10420128152804a",
]


def received(frames: list[Frame]) -> Assembly:
    """
    The message in some frames.
    """
    assembly = None
    for frame in frames:
        bits = information(frame.burst)
        if frame.dataType == DATA_HEADER:
            header = dataheader.decode(bptc.decode(bits))
            assert not isinstance(header, ProprietaryHeader)
            assembly = Assembly(header)
        elif assembly is not None and frame.dataType is not None:
            assembly.add(frame.dataType, bits)
    assert assembly is not None
    return assembly


class TextCallTests(SynchronousTestCase):
    """
    Tests of text messages as frames.
    """

    def test_likeARadio(self) -> None:
        """
        Preambles and header are those of a radio that sends the same, bit for bit.
        """
        frames = list(textCall("Hello", source=3191868, destination=9990, stream=1, preambles=2))
        self.assertEqual([frame.burst.hex() for frame in frames[:3]], REAL[:3])
        self.assertEqual(len(frames), 8)
        # The block differs only in the identification of the datagram, and its checksum.
        real = bptc.decode(information(bytes.fromhex(REAL[3])))
        ours = bptc.decode(information(frames[3].burst))
        self.assertEqual((ours[:4], ours[6:10]), (real[:4], real[6:10]))

    @given(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=140),
        st.integers(1, 0xFFFFFE),
        st.integers(1, 0xFFFFFE),
        st.booleans(),
        st.integers(0, 127),
    )
    def test_roundTrip(
        self, text: str, source: int, destination: int, group: bool, sequence: int
    ) -> None:
        """
        Any text comes through, from and to whom it was sent.
        """
        frames = list(
            textCall(
                text,
                source=source,
                destination=destination,
                stream=9,
                group=group,
                sequence=sequence,
            )
        )
        assembly = received(frames)
        header = assembly.header
        self.assertEqual(
            (header.source, header.destination, header.group), (source, destination, group)
        )
        said = decodeApplication(Datagram.decode(assembly.payload()))
        self.assertEqual(said, TextMessage(text, sequence))
        for place, frame in enumerate(frames):
            self.assertEqual((frame.sequence, frame.stream), (place & 0xFF, 9))
            self.assertEqual((frame.source, frame.destination), (source, destination))
            self.assertEqual((frame.private, frame.slot), (not group, 2))
            self.assertEqual(frame.flags & KIND, DATA_SYNC)

    def test_preambles(self) -> None:
        """
        Preambles count down to the last block; slot types and sync say what each burst is.
        """
        frames = list(
            textCall("Hi", source=1, destination=2, stream=3, preambles=3, colourCode=7, slot=1)
        )
        left = [
            Preamble.decode(bptc.decode(information(frame.burst))).following
            for frame in frames
            if frame.dataType == CSBK
        ]
        self.assertEqual(left, [len(frames) - 1, len(frames) - 2, len(frames) - 3])
        for frame in frames:
            self.assertEqual(slotType(frame.burst).dataType, frame.dataType)
            self.assertEqual(slotType(frame.burst).colourCode, 7)
            self.assertIs(sync(frame.burst), Sync.BS_DATA)
            self.assertEqual(frame.slot, 1)

    def test_tooLong(self) -> None:
        """
        A text that no message holds is refused before a frame is made.
        """
        with self.assertRaises(ValueError):
            textCall("a" * 1000, source=1, destination=2, stream=3)


class DataBurstTests(SynchronousTestCase):
    """
    Tests of messages as bursts.
    """

    def test_rates(self) -> None:
        """
        A message comes through at each rate.
        """
        payload = MESSAGE[:58]
        for rate in (RATE_12, RATE_34, RATE_1):
            header = unconfirmedHeader(payload, destination=1, source=2, dataType=rate)
            bursts = list(dataBursts(header, payload, dataType=rate, preambles=1))
            self.assertEqual(
                [kind for kind, _ in bursts], [CSBK, DATA_HEADER, *[rate] * header.blocks]
            )
            assembly = Assembly(header)
            for kind, burst in bursts[2:]:
                assembly.add(kind, information(burst))
            self.assertEqual(assembly.payload(), payload)

    def test_otherHeader(self) -> None:
        """
        A header that announces something else than the payload is refused.
        """
        header = UnconfirmedHeader(destination=1, source=2, blocks=9)
        with self.assertRaises(ValueError):
            list(dataBursts(header, b"abc"))
