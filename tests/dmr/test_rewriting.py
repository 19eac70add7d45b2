"""
Tests of L{bmff.dmr.rewriting}.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import bptc, crc, dataheader, embedded, reedsolomon
from bmff.dmr.burst import (
    SlotType,
    Sync,
    dataBurst,
    decodeVoiceHeader,
    information,
    terminator,
    voiceHeader,
)
from bmff.dmr.csbk import CSBK as ControlBlock
from bmff.dmr.datacall import textCall
from bmff.dmr.dataheader import ProprietaryHeader, ResponseHeader
from bmff.dmr.datamessage import unconfirmedHeader
from bmff.dmr.embedded import EMB, LCSS, fragment
from bmff.dmr.frame import (
    CSBK,
    DATA_HEADER,
    DATA_SYNC,
    DATA_TYPE,
    IDLE,
    KIND,
    MBC_CONTINUATION,
    MBC_HEADER,
    PI_HEADER,
    RATE_1,
    RATE_12,
    RATE_34,
    TERMINATOR,
    VOICE_HEADER,
    VOICE_SYNC,
    Frame,
)
from bmff.dmr.lc import FullLinkControl
from bmff.dmr.piheader import PrivacyHeader
from bmff.dmr.rewriting import Rewriting
from bmff.dmr.voice import SILENCE, superframe, voiceBurst, voiceCall
from tests.dmr.test_embedded import LINK_CONTROLS, RADIO, superframes

ORIGINAL = FullLinkControl.group(91, 2623266)
TARGET = FullLinkControl.private(2621370, 2623266)
ALIAS = FullLinkControl(4, 0, 0x0A, 0x444C31, 0x414243)

# All between the halves of the information: slot type and sync.
MIDDLE = (1 << 68) - 1 << 98

numbers = st.integers(0, 0xFFFFFF)
octets = st.integers(0, 255)
calls = st.builds(
    FullLinkControl, st.sampled_from([0, 3]), octets, octets, numbers, numbers, st.booleans()
)


def kindOf(frame: Frame) -> int:
    """
    What the rewriting is told of a frame.
    """
    kind: int = frame.flags & (KIND | DATA_TYPE)
    return kind


def readdressed(lc: FullLinkControl, target: FullLinkControl) -> FullLinkControl:
    """
    A Link Control with the addresses of another one.
    """
    return replace(lc, flco=target.flco, destination=target.destination, source=target.source)


def carrying(block: bytes, dataType: int, colourCode: int = 3) -> bytes:
    """
    A burst with a block of 12 bytes.
    """
    return dataBurst(bptc.encode(block), SlotType(colourCode, dataType), Sync.MS_DATA)


def carried(burst: bytes) -> bytes:
    """
    The block of 12 bytes in a burst.
    """
    return bptc.decode(information(burst))


def damaged(burst: bytes, *places: int) -> bytes:
    """
    A burst with wrong bits.
    """
    bits = int.from_bytes(burst, "big")
    for place in places:
        bits ^= 1 << 263 - place
    return bits.to_bytes(33, "big")


class VoiceTests(SynchronousTestCase):
    """
    Tests of voice calls.
    """

    def test_wholeCall(self) -> None:
        """
        A call comes out as if it had been made to the other destination, bit for bit.
        """
        rewriting = Rewriting(ORIGINAL, TARGET)
        before = voiceCall(source=2623266, destination=91, stream=1, superframes=3)
        after = voiceCall(
            source=2623266, destination=2621370, stream=1, superframes=3, private=True
        )
        for frame, expected in zip(before, after, strict=True):
            self.assertEqual(rewriting.rewrite(kindOf(frame), frame.burst), expected.burst)
        self.assertEqual(rewriting.unread, 0)

    @given(calls, calls, st.integers(0, 15))
    def test_optionsKept(
        self, lc: FullLinkControl, target: FullLinkControl, colourCode: int
    ) -> None:
        """
        Feature set, options and protect flag of a call are kept in all its bursts, though only the
        header has told them, and so is the colour code.
        """
        plain = FullLinkControl(lc.flco, 0, 0, lc.destination, lc.source)
        rewriting = Rewriting(plain, target)
        expected = readdressed(lc, target)
        self.assertEqual(
            rewriting.rewrite(DATA_SYNC | VOICE_HEADER, voiceHeader(lc, colourCode)),
            voiceHeader(expected, colourCode),
        )
        letters = superframe(lc, colourCode=colourCode)
        for kind, burst in enumerate(superframe(expected, colourCode=colourCode)[1:], 1):
            self.assertEqual(rewriting.rewrite(kind, letters[kind]), burst)
        self.assertEqual(
            rewriting.rewrite(DATA_SYNC | TERMINATOR, terminator(lc, colourCode)),
            terminator(expected, colourCode),
        )

    @given(calls, calls, st.randoms(use_true_random=False))
    def test_lateEntry(self, lc: FullLinkControl, target: FullLinkControl, random: Random) -> None:
        """
        Without a header, options are learnt from the first superframe that has all fragments.
        """
        rewriting = Rewriting(FullLinkControl(lc.flco, 0, 0, lc.destination, lc.source), target)
        before = superframe(lc)
        for kind in range(random.randrange(1, 5), 5):
            rewriting.rewrite(kind, before[kind])
        for kind in range(1, 6):
            rewriting.rewrite(kind, before[kind])
        for kind, burst in enumerate(superframe(readdressed(lc, target))[1:], 1):
            self.assertEqual(rewriting.rewrite(kind, before[kind]), burst)

    def test_real(self) -> None:
        """
        The superframes of a radio's call say the other destination, and sound the same.
        """
        lc = LINK_CONTROLS[RADIO]
        target = FullLinkControl.group(3100, lc.source)
        rewriting = Rewriting(lc, target)
        for letters in superframes(RADIO):
            bursts = [rewriting.rewrite(kind, burst) for kind, burst in enumerate(letters)]
            if len(bursts) == 6:
                self.assertEqual(embedded.decode([fragment(one) for one in bursts[1:5]]), target)
            for before, after in zip(letters, bursts, strict=True):
                self.assertEqual((after[:14], after[19:]), (before[:14], before[19:]))

    def test_aliasKept(self) -> None:
        """
        Superframes with a talker alias or a position pass as they are, in whatever order.
        """
        rewriting = Rewriting(ORIGINAL, TARGET)
        for flco in (4, 5, 6, 7, 8) * 2:
            for kind, burst in enumerate(superframe(replace(ALIAS, flco=flco))):
                self.assertEqual(rewriting.rewrite(kind, burst), burst)
            bursts = [rewriting.rewrite(*one) for one in enumerate(superframe(ORIGINAL))]
            self.assertEqual(tuple(bursts), superframe(TARGET))

    def test_randomAliases(self) -> None:
        """
        Of random talker aliases nearly all pass as they are, and what is changed in the others is
        one fragment that looks as the call's does.
        """
        random = Random(4)
        rewriting = Rewriting(ORIGINAL, TARGET)
        rewriting.rewrite(DATA_SYNC | VOICE_HEADER, voiceHeader(ORIGINAL))
        changed = 0
        for _ in range(2000):
            alias = FullLinkControl.fromBytes(
                bytes((random.randrange(4, 8), 0)) + random.randbytes(7)
            )
            for kind, burst in enumerate(superframe(alias)):
                changed += rewriting.rewrite(kind, burst) != burst
        self.assertLess(changed, 3)

    def test_oneError(self) -> None:
        """
        A fragment with a wrong bit is rewritten, and the bit is as wrong as it was.
        """
        rewriting = Rewriting(ORIGINAL, TARGET)
        before, after = superframe(ORIGINAL), superframe(TARGET)
        for kind in range(1, 5):
            for place in range(116, 148):
                self.assertEqual(
                    rewriting.rewrite(kind, damaged(before[kind], place)),
                    damaged(after[kind], place),
                )

    def test_elsewhere(self) -> None:
        """
        Errors in the sound, and another EMB, change nothing about it.
        """
        rewriting = Rewriting(ORIGINAL, TARGET)
        rewriting.rewrite(DATA_SYNC | VOICE_HEADER, voiceHeader(ORIGINAL))
        before, after = embedded.encode(ORIGINAL), embedded.encode(TARGET)
        random = Random(5)
        for _ in range(200):
            kind = random.randrange(1, 5)
            emb = EMB(random.randrange(16), LCSS.CONTINUATION)
            sound = random.randbytes(27)
            self.assertEqual(
                rewriting.rewrite(kind, voiceBurst(sound, emb.toCentre(before[kind - 1]))),
                voiceBurst(sound, emb.toCentre(after[kind - 1])),
            )

    def test_others(self) -> None:
        """
        Bursts A and F pass as they are, even when F looks like another one.
        """
        rewriting = Rewriting(ORIGINAL, TARGET)
        letters = superframe(ORIGINAL)
        for kind, burst in ((0, letters[0]), (VOICE_SYNC, letters[0]), (5, letters[1])):
            self.assertEqual(rewriting.rewrite(kind, burst), burst)

    def test_otherControl(self) -> None:
        """
        The Link Control of a header that is no call's passes as it is.
        """
        lc = FullLinkControl(4, 0x10, 1, 2, 3)
        rewriting = Rewriting(lc, TARGET)
        for kind, burst in (
            (DATA_SYNC | VOICE_HEADER, voiceHeader(lc)),
            (DATA_SYNC | TERMINATOR, terminator(lc)),
            *enumerate(superframe(lc)),
        ):
            self.assertEqual(rewriting.rewrite(kind, burst), burst)

    def test_unreadableHeader(self) -> None:
        """
        A header that cannot be read becomes what it should have been; its middle is kept.
        """
        rewriting = Rewriting(ORIGINAL, TARGET)
        noise = Random(1).randbytes(33)
        burst = rewriting.rewrite(DATA_SYNC | VOICE_HEADER, noise)
        self.assertEqual(bptc.encode(carried(burst)), information(burst))
        word = carried(burst)
        self.assertEqual(reedsolomon.decode(word, reedsolomon.HEADER_MASK), TARGET.toBytes())
        middles = [int.from_bytes(one, "big") & MIDDLE for one in (burst, noise)]
        self.assertEqual(middles[0], middles[1])
        self.assertEqual(rewriting.unread, 1)

    def test_errorsKept(self) -> None:
        """
        A header with errors says the other destination with the same errors.
        """
        places = (0, 50, 97, 166, 200, 263)
        rewriting = Rewriting(ORIGINAL, TARGET)
        burst = rewriting.rewrite(
            DATA_SYNC | VOICE_HEADER, damaged(voiceHeader(ORIGINAL), *places[:3])
        )
        self.assertEqual(burst, damaged(voiceHeader(TARGET), *places[:3]))
        self.assertEqual(decodeVoiceHeader(burst), TARGET)

    def test_reservedBit(self) -> None:
        """
        The reserved bit of a header is kept.
        """
        data = bytes((ORIGINAL.toBytes()[0] | 0x40,)) + ORIGINAL.toBytes()[1:]
        burst = carrying(reedsolomon.encode(data, reedsolomon.HEADER_MASK), VOICE_HEADER)
        word = carried(Rewriting(ORIGINAL, TARGET).rewrite(DATA_SYNC | VOICE_HEADER, burst))
        expected = bytes((TARGET.toBytes()[0] | 0x40,)) + TARGET.toBytes()[1:]
        self.assertEqual(reedsolomon.decode(word, reedsolomon.HEADER_MASK), expected)


class DataTests(SynchronousTestCase):
    """
    Tests of data and signalling.
    """

    @given(numbers, numbers, st.booleans())
    def test_textMessage(self, destination: int, source: int, group: bool) -> None:
        """
        Preambles and header of a message come out as if it had been sent to the other destination;
        its blocks pass as they are.
        """
        make = FullLinkControl.group if group else FullLinkControl.private
        rewriting = Rewriting(ORIGINAL, make(destination, source))
        before = textCall("Hi", source=2623266, destination=91, stream=1, group=True)
        after = list(textCall("Hi", source=source, destination=destination, stream=1, group=group))
        for frame, expected in zip(before, after, strict=True):
            burst = rewriting.rewrite(kindOf(frame), frame.burst)
            if frame.dataType in {CSBK, DATA_HEADER}:
                self.assertEqual(burst, expected.burst)
            else:
                self.assertEqual(burst, frame.burst)

    @given(st.sampled_from(range(16)), st.binary(min_size=33, max_size=33))
    def test_middleKept(self, dataType: int, burst: bytes) -> None:
        """
        Whatever a data burst is, its slot type and sync are never touched.
        """
        after = Rewriting(ORIGINAL, TARGET).rewrite(DATA_SYNC | dataType, burst)
        self.assertEqual(
            int.from_bytes(after, "big") & MIDDLE, int.from_bytes(burst, "big") & MIDDLE
        )

    def test_groupControlBlock(self) -> None:
        """
        A CSBK of a group, whose data type is 3 as the fragment in burst D is, keeps its middle and
        is readdressed inside.
        """
        block = ControlBlock(0x3D, bytes.fromhex("c00500005b280722"))
        burst = Rewriting(ORIGINAL, TARGET).rewrite(
            DATA_SYNC | CSBK, carrying(block.encode(), CSBK)
        )
        after = ControlBlock.decode(carried(burst))
        self.assertEqual((after.destination, after.source), (2621370, 2623266))
        self.assertEqual(after.data[:2], b"\x80\x05")
        self.assertEqual(burst, carrying(after.encode(), CSBK))

    @given(st.integers(0, 63), octets, st.binary(min_size=8, max_size=8))
    def test_controlBlocks(self, opcode: int, fid: int, data: bytes) -> None:
        """
        Blocks that carry addresses get the others, all others pass as they are.
        """
        block = ControlBlock(opcode, data, fid)
        for dataType, mask in ((CSBK, crc.CSBK_MASK), (MBC_HEADER, crc.MBC_HEADER_MASK)):
            burst = carrying(block.encode(mask), dataType)
            after = Rewriting(ORIGINAL, TARGET).rewrite(DATA_SYNC | dataType, burst)
            if block.addressed:
                csbk = ControlBlock.decode(carried(after), mask)
                self.assertEqual((csbk.destination, csbk.source), (2621370, 2623266))
                self.assertEqual((csbk.opcode, csbk.fid), (opcode, fid))
            else:
                self.assertEqual(after, burst)

    def test_unknownControlBlock(self) -> None:
        """
        A manufacturer's block that has the addresses of the call where others do gets the others.
        """
        block = ControlBlock(0x2A, bytes.fromhex("123400005b280722"), fid=0x68)
        after = Rewriting(ORIGINAL, TARGET).rewrite(
            DATA_SYNC | CSBK, carrying(block.encode(), CSBK)
        )
        expected = replace(block, data=bytes.fromhex("123427ffba280722"))
        self.assertEqual(ControlBlock.decode(carried(after)), expected)

    def test_answer(self) -> None:
        """
        The answer to a confirmed message gets other addresses and nothing else.
        """
        header = ResponseHeader(destination=91, source=2623266, blocks=1, responseClass=2)
        burst = carrying(header.encode(), DATA_HEADER)
        after = Rewriting(ORIGINAL, TARGET).rewrite(DATA_SYNC | DATA_HEADER, burst)
        self.assertEqual(dataheader.decode(carried(after)), replace(header, destination=2621370))

    def test_kept(self) -> None:
        """
        Proprietary headers, blocks and idle bursts pass as they are.
        """
        rewriting = Rewriting(ORIGINAL, TARGET)
        header = ProprietaryHeader(9, 0x10, ORIGINAL.toBytes()[:8]).encode()
        burst = carrying(header, DATA_HEADER)
        self.assertEqual(rewriting.rewrite(DATA_SYNC | DATA_HEADER, burst), burst)
        noise = Random(3).randbytes(33)
        for dataType in (MBC_CONTINUATION, RATE_12, RATE_34, RATE_1, IDLE):
            self.assertEqual(rewriting.rewrite(DATA_SYNC | dataType, noise), noise)

    def test_privacyHeader(self) -> None:
        """
        The header of an encrypted call gets the other destination when it names the call's.
        """
        rewriting = Rewriting(ORIGINAL, TARGET)
        for destination, expected in ((91, 2621370), (92, 92)):
            header = PrivacyHeader(0x21, 0x10, 5, b"abcd", destination)
            burst = carrying(header.encode(), PI_HEADER)
            after = PrivacyHeader.decode(carried(rewriting.rewrite(DATA_SYNC | PI_HEADER, burst)))
            self.assertEqual(after, replace(header, destination=expected))

    def test_endOfData(self) -> None:
        """
        The terminator of data gets the other addresses and kind of call.
        """
        data = bytes.fromhex("3000" + "00005b" + "280722" + "e5")
        word = reedsolomon.encode(data, reedsolomon.TERMINATOR_MASK)
        burst = carrying(word, TERMINATOR)
        after = Rewriting(ORIGINAL, TARGET).rewrite(DATA_SYNC | TERMINATOR, burst)
        self.assertEqual(
            reedsolomon.decode(carried(after), reedsolomon.TERMINATOR_MASK),
            bytes.fromhex("3000" + "27ffba" + "280722" + "65"),
        )

    @given(
        calls,
        st.sampled_from([PI_HEADER, VOICE_HEADER, TERMINATOR, CSBK, MBC_HEADER, DATA_HEADER]),
        st.integers(0, 97),
    )
    def test_exact(self, lc: FullLinkControl, dataType: int, place: int) -> None:
        """
        To rewrite a burst to the addresses that it has leaves it as it is, with its error, and so
        does to rewrite it there and back.
        """
        kind = DATA_SYNC | dataType
        burst = damaged(self.burstOf(lc, dataType), place)
        self.assertEqual(Rewriting(lc, lc).rewrite(kind, burst), burst)
        there = Rewriting(lc, TARGET).rewrite(kind, burst)
        self.assertEqual(Rewriting(readdressed(lc, TARGET), lc).rewrite(kind, there), burst)

    def burstOf(self, lc: FullLinkControl, dataType: int) -> bytes:
        """
        A burst of this data type with the addresses of a call.
        """
        to = lc.destination.to_bytes(3, "big")
        source = lc.source.to_bytes(3, "big")
        group = lc.flco == 0
        if dataType == VOICE_HEADER:
            return voiceHeader(lc)
        if dataType == TERMINATOR:
            return terminator(lc)
        if dataType == PI_HEADER:
            block = PrivacyHeader(0x21, 0x10, 5, b"abcd", lc.destination).encode()
        elif dataType == DATA_HEADER:
            block = unconfirmedHeader(
                b"abc", destination=lc.destination, source=lc.source, group=group
            ).encode()
        else:
            csbk = ControlBlock(0x3D, bytes((0xC0 if group else 0x80, 5)) + to + source)
            block = csbk.encode(crc.CSBK_MASK if dataType == CSBK else crc.MBC_HEADER_MASK)
        return carrying(block, dataType)


class HostileTests(SynchronousTestCase):
    """
    Tests of bursts that nobody would send.
    """

    @given(st.lists(st.tuples(st.integers(0, 63), st.binary(min_size=33, max_size=33))))
    def test_anything(self, bursts: list[tuple[int, bytes]]) -> None:
        """
        Any bursts are rewritten or pass; none raises, and each stays one of 33 bytes.
        """
        rewriting = Rewriting(ORIGINAL, TARGET)
        for kind, burst in bursts:
            self.assertEqual(len(rewriting.rewrite(kind, burst)), 33)

    def test_noiseInFragments(self) -> None:
        """
        Superframes of noise are counted, and the call is rewritten after them as before.
        """
        random = Random(6)
        rewriting = Rewriting(ORIGINAL, TARGET)
        for _ in range(20):
            for kind in range(1, 5):
                emb = EMB(1, LCSS.CONTINUATION)
                burst = voiceBurst(SILENCE, emb.toCentre(random.getrandbits(32)))
                self.assertEqual(rewriting.rewrite(kind, burst), burst)
        self.assertGreater(rewriting.unread, 15)
        bursts = [rewriting.rewrite(*one) for one in enumerate(superframe(ORIGINAL))]
        self.assertEqual(tuple(bursts), superframe(TARGET))
