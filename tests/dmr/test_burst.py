"""
Tests of L{bmff.dmr.burst}.
"""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import bptc
from bmff.dmr.burst import (
    SlotType,
    Sync,
    colourCode,
    dataBurst,
    decodeVoiceHeader,
    information,
    slotType,
    sync,
    terminator,
    voiceHeader,
)
from bmff.dmr.frame import CSBK, IDLE, TERMINATOR, VOICE_HEADER
from bmff.dmr.lc import FullLinkControl
from bmff.errors import ProtocolError
from tests.dmr.test_lc import linkControls

# Sent by real equipment: a header of a Motorola radio; header and terminator of a call through
# MMDVMHost, once from its radio's side, once as they came from the network.
MOTOROLA = bytes.fromhex("2b6004101f842dd00df07d41046dff57d75df5de30152e2070b20f803f88c695e2")
MOTOROLA_LC = FullLinkControl(0, 0x10, 0x20, 3120, 3120101)
RADIO_HEADER = bytes.fromhex("039c0d141c681d984b803660046d5d7f77fd757e31340a083b600e4005819c03d6")
RADIO_TERMINATOR = bytes.fromhex(
    "03f30dc01cd81de04bf036c004ad5d7f77fd7579642009303c0002000d818503e5"
)
RADIO_LC = FullLinkControl.group(91, 3120009)
NETWORK_HEADER = bytes.fromhex("03f40d981fb418884d003f80046dff57d75df5de310c0b0033700be01b81af03b3")
NETWORK_TERMINATOR = bytes.fromhex(
    "039b0d4c1f0418f04d703f2004adff57d75df5d964180838341007a01381b60380"
)
NETWORK_LC = FullLinkControl.group(91, 3120001)

nibbles = st.integers(0, 15)
bursts = st.binary(min_size=33, max_size=33)


def damaged(burst: bytes, errors: int, random: Random) -> bytes:
    """
    The burst with that many of its bits wrong.
    """
    bits = int.from_bytes(burst, "big")
    for bit in random.sample(range(264), errors):
        bits ^= 1 << bit
    return bits.to_bytes(33, "big")


class RealBurstTests(SynchronousTestCase):
    """
    Tests with bursts of real equipment.
    """

    def test_decoded(self) -> None:
        """
        The Link Control of real headers and terminators is read.
        """
        self.assertEqual(decodeVoiceHeader(MOTOROLA), MOTOROLA_LC)
        self.assertEqual(decodeVoiceHeader(RADIO_HEADER), RADIO_LC)
        self.assertEqual(decodeVoiceHeader(RADIO_TERMINATOR), RADIO_LC)
        self.assertEqual(decodeVoiceHeader(NETWORK_HEADER), NETWORK_LC)
        self.assertEqual(decodeVoiceHeader(NETWORK_TERMINATOR), NETWORK_LC)

    def test_made(self) -> None:
        """
        From their Link Control the very bursts are made that real base stations sent.
        """
        self.assertEqual(voiceHeader(MOTOROLA_LC, colourCode=1), MOTOROLA)
        self.assertEqual(voiceHeader(NETWORK_LC), NETWORK_HEADER)
        self.assertEqual(terminator(NETWORK_LC), NETWORK_TERMINATOR)

    def test_radio(self) -> None:
        """
        A radio's bursts differ from ours in nothing but the sync.
        """
        for made, sent in (
            (voiceHeader(RADIO_LC), RADIO_HEADER),
            (terminator(RADIO_LC), RADIO_TERMINATOR),
        ):
            self.assertEqual(information(sent), information(made))
            self.assertEqual(dataBurst(information(made), slotType(made), Sync.MS_DATA), sent)

    def test_sync(self) -> None:
        """
        The sync tells base stations from radios.
        """
        self.assertIs(sync(NETWORK_HEADER), Sync.BS_DATA)
        self.assertIs(sync(RADIO_TERMINATOR), Sync.MS_DATA)

    def test_slotType(self) -> None:
        """
        The slot type tells the colour code and what a burst is.
        """
        self.assertEqual(slotType(RADIO_HEADER), SlotType(1, VOICE_HEADER))
        self.assertEqual(slotType(NETWORK_TERMINATOR), SlotType(1, TERMINATOR))


class DataBurstTests(SynchronousTestCase):
    """
    Tests of bursts that are made and taken apart.
    """

    @given(st.integers(0, (1 << 196) - 1), nibbles, nibbles, st.sampled_from(Sync))
    def test_roundTrip(self, bits: int, colour: int, dataType: int, pattern: Sync) -> None:
        """
        What a burst was made of is found in it.
        """
        burst = dataBurst(bits, SlotType(colour, dataType), pattern)
        self.assertEqual(len(burst), 33)
        self.assertEqual(information(burst), bits)
        self.assertEqual(slotType(burst), SlotType(colour, dataType))
        self.assertEqual(colourCode(burst), colour)
        self.assertIs(sync(burst), pattern)

    def test_slotTypeErrors(self) -> None:
        """
        A slot type is read with three errors in it, and with four it is a peer's fault.
        """
        bits = int.from_bytes(MOTOROLA, "big")
        three = bits ^ (0b1001 << 156 | 1 << 107)
        four = three ^ 1 << 98
        self.assertEqual(slotType(three.to_bytes(33, "big")), SlotType(1, VOICE_HEADER))
        self.assertRaises(ProtocolError, slotType, four.to_bytes(33, "big"))

    def test_noSync(self) -> None:
        """
        A burst without one of the patterns has no sync.
        """
        self.assertIsNone(sync(bytes(33)))

    def test_size(self) -> None:
        """
        What has not 33 bytes is a peer's fault.
        """
        for size in (*range(33), 34):
            for read in (slotType, information, sync, colourCode, decodeVoiceHeader):
                self.assertRaises(ProtocolError, read, (MOTOROLA + b"\0")[:size])


class VoiceHeaderTests(SynchronousTestCase):
    """
    Tests of voice headers and terminators.
    """

    @given(linkControls, nibbles)
    def test_roundTrip(self, lc: FullLinkControl, colour: int) -> None:
        """
        Every Link Control is read from the header and from the terminator that were made of it.
        """
        for make, dataType in ((voiceHeader, VOICE_HEADER), (terminator, TERMINATOR)):
            burst = make(lc, colour)
            self.assertEqual(decodeVoiceHeader(burst), lc)
            self.assertEqual(slotType(burst), SlotType(colour, dataType))
            self.assertIs(sync(burst), Sync.BS_DATA)

    def test_errors(self) -> None:
        """
        A header with any three bits wrong is read.
        """
        random = Random(33)
        for _ in range(1000):
            self.assertEqual(decodeVoiceHeader(damaged(MOTOROLA, 3, random)), MOTOROLA_LC)

    def test_manyErrors(self) -> None:
        """
        Of headers with one bit of twelve wrong some are read, the others are a peer's fault; none
        is taken for another.
        """
        random = Random(22)
        read: set[FullLinkControl] = set()
        lost = 0
        for _ in range(1000):
            try:
                read.add(decodeVoiceHeader(damaged(MOTOROLA, 22, random)))
            except ProtocolError:
                lost += 1
        self.assertEqual(read, {MOTOROLA_LC})
        self.assertGreater(lost, 0)

    def test_otherDataType(self) -> None:
        """
        A burst that is neither a header nor a terminator has no Link Control.
        """
        for dataType in (CSBK, IDLE):
            burst = dataBurst(information(MOTOROLA), SlotType(1, dataType))
            self.assertRaises(ProtocolError, decodeVoiceHeader, burst)

    def test_headerMarkedTerminator(self) -> None:
        """
        The parity of a header is not accepted in a terminator.
        """
        burst = dataBurst(information(MOTOROLA), SlotType(1, TERMINATOR))
        self.assertRaises(ProtocolError, decodeVoiceHeader, burst)

    def test_wrongParity(self) -> None:
        """
        A block without errors whose Link Control does not fit its parity is a peer's fault.
        """
        burst = dataBurst(bptc.encode(bytes(range(12))), SlotType(1, VOICE_HEADER))
        self.assertRaises(ProtocolError, decodeVoiceHeader, burst)

    @given(bursts)
    def test_noise(self, burst: bytes) -> None:
        """
        Any 33 bytes give a Link Control or are a peer's fault, never anything else.
        """
        try:
            lc = decodeVoiceHeader(burst)
        except ProtocolError:
            return
        self.assertIsInstance(lc, FullLinkControl)
