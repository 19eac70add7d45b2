"""
Tests of L{bmff.dmr.datamessage}.
"""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import dataheader
from bmff.dmr.datablock import SIZES, encodeBlock
from bmff.dmr.dataheader import (
    ConfirmedHeader,
    DefinedShortHeader,
    MessageHeader,
    StatusHeader,
    UDTHeader,
    UnconfirmedHeader,
)
from bmff.dmr.datamessage import MOST_BLOCKS, Assembly, blocksOf, unconfirmedHeader
from bmff.dmr.frame import RATE_1, RATE_12, RATE_34
from bmff.errors import ProtocolError
from tests.dmr.test_crc import HEADERS, MESSAGE

rates = st.sampled_from([RATE_12, RATE_34, RATE_1])


def confirmedHeader(payload: bytes, rate: int) -> ConfirmedHeader:
    """
    The header of a confirmed message.
    """
    step = SIZES[rate] - 2
    blocks = -(-(len(payload) + 4) // step)
    return ConfirmedHeader(
        destination=1,
        source=2,
        responseRequested=True,
        blocks=blocks,
        padOctets=blocks * step - 4 - len(payload),
    )


def bursts(header: MessageHeader, payload: bytes, rate: int) -> list[int]:
    """
    What the bursts of a message carry.
    """
    return [encodeBlock(rate, block) for block in blocksOf(header, payload, rate)]


class RealMessageTests(SynchronousTestCase):
    """
    Tests with a message that a radio sent.
    """

    def setUp(self) -> None:
        header = dataheader.decode(bytes.fromhex(HEADERS[0]))
        assert isinstance(header, UnconfirmedHeader)
        self.header = header
        self.blocks = tuple(MESSAGE[place : place + 12] for place in range(0, len(MESSAGE), 12))

    def test_assembled(self) -> None:
        """
        Its blocks give its payload, without padding and check.
        """
        assembly = Assembly(self.header)
        for block in self.blocks:
            self.assertFalse(assembly.complete)
            assembly.add(RATE_12, encodeBlock(RATE_12, block))
        self.assertTrue(assembly.complete)
        self.assertEqual(assembly.payload(), MESSAGE[:58])

    def test_made(self) -> None:
        """
        Its header and blocks are made again bit for bit.
        """
        header = unconfirmedHeader(MESSAGE[:58], destination=0x036717, source=0x21EE03)
        self.assertEqual(header, self.header)
        self.assertEqual(blocksOf(header, MESSAGE[:58]), self.blocks)


class AssemblyTests(SynchronousTestCase):
    """
    Tests of messages that come whole or in part.
    """

    @given(st.binary(max_size=300), rates)
    def test_unconfirmed(self, payload: bytes, rate: int) -> None:
        """
        An unconfirmed message of any length comes through at each rate.
        """
        header = unconfirmedHeader(payload, destination=1, source=2, dataType=rate)
        assembly = Assembly(header)
        for bits in bursts(header, payload, rate):
            assembly.add(rate, bits)
        self.assertEqual(assembly.payload(), payload)

    @given(st.binary(max_size=300), rates, st.randoms(use_true_random=False))
    def test_confirmed(self, payload: bytes, rate: int, random: Random) -> None:
        """
        The blocks of a confirmed message may come in any order, and twice.
        """
        header = confirmedHeader(payload, rate)
        parts = bursts(header, payload, rate)
        random.shuffle(parts)
        assembly = Assembly(header)
        for bits in parts + parts[:1]:
            assembly.add(rate, bits)
        self.assertEqual(assembly.payload(), payload)

    @given(st.binary(min_size=20, max_size=100), st.booleans(), st.data())
    def test_missing(self, payload: bytes, confirmed: bool, draw: st.DataObject) -> None:
        """
        Which blocks are missing is known, and they may come later.
        """
        header: MessageHeader = unconfirmedHeader(payload, destination=1, source=2)
        if confirmed:
            header = confirmedHeader(payload, RATE_12)
        parts = bursts(header, payload, RATE_12)
        lost = draw.draw(st.sets(st.integers(0, len(parts) - 1), min_size=1))
        assembly = Assembly(header)
        for place, bits in enumerate(parts):
            if place not in lost:
                assembly.add(RATE_12, bits, place)
        self.assertEqual(assembly.missing, tuple(sorted(lost)))
        self.assertRaises(ProtocolError, assembly.payload)
        for place in lost:
            assembly.add(RATE_12, parts[place], place)
        self.assertEqual(assembly.payload(), payload)

    def test_unreadable(self) -> None:
        """
        A block that cannot be read leaves its place missing; the next takes the next place.
        """
        payload = bytes(range(40))
        header = unconfirmedHeader(payload, destination=1, source=2)
        parts = bursts(header, payload, RATE_12)
        assembly = Assembly(header)
        noise = Random(13).getrandbits(196)
        self.assertRaises(ProtocolError, assembly.add, RATE_12, noise)
        for bits in parts[1:]:
            assembly.add(RATE_12, bits)
        self.assertEqual(assembly.missing, (0,))

    def test_tooMany(self) -> None:
        """
        A block behind the last one that was announced is refused, and so is another rate.
        """
        payload = bytes(range(40))
        header = unconfirmedHeader(payload, destination=1, source=2)
        assembly = Assembly(header)
        for bits in bursts(header, payload, RATE_12):
            assembly.add(RATE_12, bits)
        self.assertRaises(ProtocolError, assembly.add, RATE_12, encodeBlock(RATE_12, bytes(12)))
        self.assertRaises(ProtocolError, assembly.add, RATE_1, 0, 0)
        self.assertEqual(assembly.payload(), payload)

    def test_wrongCheck(self) -> None:
        """
        A message with a block of another one is seen by its check.
        """
        payload = bytes(range(40))
        header = unconfirmedHeader(payload, destination=1, source=2)
        parts = bursts(header, payload, RATE_12)
        assembly = Assembly(header)
        assembly.add(RATE_12, encodeBlock(RATE_12, bytes(12)))
        for bits in parts[1:]:
            assembly.add(RATE_12, bits)
        error = self.assertRaises(ProtocolError, assembly.payload)
        self.assertEqual(error.reason, "wrong CRC of a message")

    def test_padding(self) -> None:
        """
        A header that announces more padding than there is room for is a peer's fault.
        """
        header = UnconfirmedHeader(destination=1, source=2, blocks=1, padOctets=31)
        assembly = Assembly(header)
        (bits,) = bursts(unconfirmedHeader(b"abc", destination=1, source=2), b"abc", RATE_12)
        assembly.add(RATE_12, bits)
        self.assertRaises(ProtocolError, assembly.payload)

    def test_nothing(self) -> None:
        """
        A message without blocks, such as a status, is complete and carries nothing to be read.
        """
        assembly = Assembly(StatusHeader(destination=1, source=2, status=5))
        self.assertTrue(assembly.complete)
        self.assertRaises(ProtocolError, assembly.payload)
        self.assertRaises(ProtocolError, assembly.add, RATE_12, 0)

    def test_short(self) -> None:
        """
        A short message is confirmed when an answer is wanted.
        """
        header = DefinedShortHeader(
            destination=1, source=2, responseRequested=True, blocks=2, padBits=32
        )
        payload = b"twelve bytes"
        assembly = Assembly(header)
        for bits in reversed(bursts(header, payload, RATE_12)):
            assembly.add(RATE_12, bits)
        self.assertEqual(assembly.payload(), payload)

    def test_unified(self) -> None:
        """
        The blocks of unified data have two bytes of check at their end.
        """
        header = UDTHeader(destination=1, source=2, form=0, blocks=2, padNibbles=4)
        payload = bytes(range(20))
        blocks = blocksOf(header, payload)
        self.assertEqual(b"".join(blocks)[:20], payload)
        assembly = Assembly(header)
        for block in blocks:
            assembly.add(RATE_12, encodeBlock(RATE_12, block))
        self.assertEqual(assembly.payload(), payload)


class LimitTests(SynchronousTestCase):
    """
    Tests of messages that are too long.
    """

    def test_longest(self) -> None:
        """
        The longest message takes all blocks; with one byte more it is refused.
        """
        for rate, size in SIZES.items():
            longest = bytes(MOST_BLOCKS * size - 4)
            header = unconfirmedHeader(longest, destination=1, source=2, dataType=rate)
            self.assertEqual((header.blocks, header.padOctets), (MOST_BLOCKS, 0))
            with self.assertRaises(ValueError):
                unconfirmedHeader(longest + b"\0", destination=1, source=2, dataType=rate)

    def test_otherHeader(self) -> None:
        """
        A payload that does not fill the blocks of a header, or not into them, is refused.
        """
        header = unconfirmedHeader(bytes(30), destination=1, source=2)
        self.assertRaises(ValueError, blocksOf, header, bytes(33))
        self.assertRaises(ValueError, blocksOf, header, bytes(3))
