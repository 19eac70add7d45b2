"""
Tests of L{bmff.dmr.embedded}.
"""

from __future__ import annotations

from itertools import combinations
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import embedded
from bmff.dmr.embedded import EMB, LCSS
from bmff.dmr.lc import FullLinkControl
from bmff.errors import ProtocolError
from tests.captures import PACKETS
from tests.dmr.test_lc import linkControls

LC = FullLinkControl(0, 0x10, 0x20, 3120, 3120101)

# The two calls of the capture, by stream, and whom they are from and to.
RADIO = 0x42B108C1
NETWORK = 0xD0690259
LINK_CONTROLS = {
    RADIO: FullLinkControl.group(91, 3120009),
    NETWORK: FullLinkControl.group(91, 3120001),
}
PLACES = [LCSS.FIRST, LCSS.CONTINUATION, LCSS.CONTINUATION, LCSS.LAST, LCSS.SINGLE]

nibbles = st.integers(0, 15)
words = st.integers(0, (1 << 32) - 1)
embs = st.builds(EMB, nibbles, st.sampled_from(LCSS), st.booleans())


def superframes(stream: int) -> list[list[bytes]]:
    """
    The bursts A to F of each superframe of a call in the capture.
    """
    frames = [
        packet.data[20:53]
        for packet in PACKETS
        if packet.data[:4] == b"DMRD" and packet.data[16:20] == stream.to_bytes(4, "big")
    ]
    voice = frames[1:-1]
    return [voice[first : first + 6] for first in range(0, len(voice), 6)]


def centre(burst: bytes) -> int:
    """
    The 48 bits in the middle of a burst.
    """
    return int.from_bytes(burst, "big") >> 108 & (1 << 48) - 1


def burstAround(bits: int) -> bytes:
    """
    A burst with these 48 bits in its middle, and all others set.
    """
    return ((1 << 264) - 1 ^ ((1 << 48) - 1 ^ bits) << 108).to_bytes(33, "big")


def damaged(lc: FullLinkControl, errors: int) -> list[int]:
    """
    The fragments of a Link Control.

    @param errors: which of their 128 bits are wrong, the first as the highest.
    """
    bits = errors
    for place, part in enumerate(embedded.encode(lc)):
        bits ^= part << 96 - 32 * place
    return [bits >> shift & 0xFFFFFFFF for shift in (96, 64, 32, 0)]


class RealBurstTests(SynchronousTestCase):
    """
    Tests with the voice bursts of real calls.
    """

    def test_complete(self) -> None:
        """
        Each call of the capture has four superframes.
        """
        for stream in LINK_CONTROLS:
            self.assertEqual([len(bursts) for bursts in superframes(stream)], [6] * 4)

    def test_emb(self) -> None:
        """
        Their colour code is 1, and they tell which fragment each of them carries.
        """
        for stream in LINK_CONTROLS:
            for bursts in superframes(stream):
                fields = [EMB.fromBurst(burst) for burst in bursts[1:]]
                self.assertEqual(fields, [EMB(1, place) for place in PLACES])

    def test_decoded(self) -> None:
        """
        Every superframe tells who calls whom.
        """
        for stream, lc in LINK_CONTROLS.items():
            for bursts in superframes(stream):
                fragments = [embedded.fragment(burst) for burst in bursts[1:5]]
                self.assertEqual(embedded.decode(fragments), lc)

    def test_made(self) -> None:
        """
        What is embedded in them is made bit by bit of their Link Control.
        """
        for stream, lc in LINK_CONTROLS.items():
            fragments = [*embedded.encode(lc), 0]
            made = [
                EMB(1, place).toCentre(part) for place, part in zip(PLACES, fragments, strict=True)
            ]
            for bursts in superframes(stream):
                self.assertEqual([centre(burst) for burst in bursts[1:]], made)


class EMBTests(SynchronousTestCase):
    """
    Tests of L{EMB}.
    """

    @given(embs, words)
    def test_roundTrip(self, emb: EMB, part: int) -> None:
        """
        What was put into the middle of a burst is found there, whatever is around it.
        """
        bits = emb.toCentre(part)
        for burst in (burstAround(bits), (bits << 108).to_bytes(33, "big")):
            self.assertEqual(EMB.fromBurst(burst), emb)
            self.assertEqual(embedded.fragment(burst), part)

    def test_errors(self) -> None:
        """
        The field is read with any two of its bits wrong, and with three it is a peer's fault.
        """
        emb = EMB(11, LCSS.LAST, pi=True)
        bits = [1 << place for place in (*range(8), *range(40, 48))]
        for pair in combinations(bits, 2):
            self.assertEqual(EMB.fromBurst(burstAround(emb.toCentre() ^ sum(pair))), emb)
        for three in combinations(bits, 3):
            burst = burstAround(emb.toCentre() ^ sum(three))
            self.assertRaises(ProtocolError, EMB.fromBurst, burst)

    def test_size(self) -> None:
        """
        What has not 33 bytes is a peer's fault.
        """
        burst = burstAround(EMB(1, LCSS.FIRST).toCentre())
        for size in (*range(33), 34):
            for read in (EMB.fromBurst, embedded.fragment):
                self.assertRaises(ProtocolError, read, (burst + b"\0")[:size])


class LinkControlTests(SynchronousTestCase):
    """
    Tests of the embedded Link Control.
    """

    @given(linkControls)
    def test_roundTrip(self, lc: FullLinkControl) -> None:
        """
        Every Link Control is read from the four fragments that were made of it.
        """
        fragments = embedded.encode(lc)
        self.assertEqual(len(fragments), 4)
        self.assertEqual(embedded.decode(fragments), lc)

    def test_rows(self) -> None:
        """
        In each row, the first bit of every eighth, any three wrong bits are put right, and four
        are never taken for something else.
        """
        places = range(0, 128, 8)
        for row in range(8):
            for count in range(4):
                for wrong in combinations(places, count):
                    errors = sum(1 << place + row for place in wrong)
                    self.assertEqual(embedded.decode(damaged(LC, errors)), LC)
            for wrong in combinations(places, 4):
                errors = sum(1 << place + row for place in wrong)
                self.assertRaises(ProtocolError, embedded.decode, damaged(LC, errors))

    def test_oneErrorInEachRow(self) -> None:
        """
        One wrong bit in every row is put right, and so is a second in one of them.
        """
        random = Random(16)
        for _ in range(1000):
            places = [8 * random.randrange(16) + row for row in range(8)]
            errors = sum(1 << place for place in places)
            self.assertEqual(embedded.decode(damaged(LC, errors)), LC)
            second = (places[0] + 8 * random.randrange(1, 16)) % 128
            self.assertEqual(embedded.decode(damaged(LC, errors | 1 << second)), LC)

    def test_twoErrors(self) -> None:
        """
        Any two wrong bits are put right.
        """
        for pair in combinations(range(128), 2):
            errors = sum(1 << place for place in pair)
            self.assertEqual(embedded.decode(damaged(LC, errors)), LC)

    @given(linkControls, st.sets(st.integers(0, 127), min_size=3, max_size=3))
    def test_threeErrors(self, lc: FullLinkControl, wrong: set[int]) -> None:
        """
        Three wrong bits of any Link Control are put right, wherever they are.
        """
        errors = sum(1 << place for place in wrong)
        self.assertEqual(embedded.decode(damaged(lc, errors)), lc)

    def test_fourErrors(self) -> None:
        """
        Two rows with two wrong bits each are a peer's fault, even when their errors cancel out.
        """
        for columns in ((0, 1, 2, 3), (0, 1, 0, 1)):
            first, second, third, fourth = (8 * column for column in columns)
            errors = 1 << first | 1 << second | 1 << third + 1 | 1 << fourth + 1
            self.assertRaises(ProtocolError, embedded.decode, damaged(LC, errors))

    def test_mixed(self) -> None:
        """
        Fragments of two Link Controls are no Link Control.
        """
        one = embedded.encode(LC)
        other = embedded.encode(LINK_CONTROLS[RADIO])
        self.assertRaises(ProtocolError, embedded.decode, [*one[:2], *other[2:]])

    def test_checksum(self) -> None:
        """
        A matrix without errors whose checksum does not fit is a peer's fault.
        """
        # The sum of these two comes from 15 ^ 16 = 31, whose checksum is 0, with the checksum 31.
        parts = [embedded.encode(FullLinkControl(0, 0, 0, 0, source)) for source in (15, 16)]
        fragments = [one ^ other for one, other in zip(*parts, strict=True)]
        error = self.assertRaises(ProtocolError, embedded.decode, fragments)
        self.assertEqual(error.reason, "wrong checksum of an embedded Link Control")

    @given(st.lists(words, min_size=4, max_size=4))
    def test_noise(self, fragments: list[int]) -> None:
        """
        Any four fragments give a Link Control or are a peer's fault, never anything else.
        """
        try:
            lc = embedded.decode(fragments)
        except ProtocolError:
            return
        self.assertIsInstance(lc, FullLinkControl)

    def test_muchNoise(self) -> None:
        """
        Of ten thousand superframes of noise at most a few are taken for a Link Control.
        """
        random = Random(128)
        read = 0
        for _ in range(10000):
            try:
                embedded.decode([random.getrandbits(32) for _ in range(4)])
            except ProtocolError:
                continue
            read += 1
        self.assertLessEqual(read, 3)
