"""
Tests of L{bmff.dmr.voice}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import embedded
from bmff.dmr.burst import Sync, colourCode, decodeVoiceHeader, sync
from bmff.dmr.embedded import EMB
from bmff.dmr.frame import Frame
from bmff.dmr.lc import FullLinkControl
from bmff.dmr.voice import SILENCE, superframe, voiceBurst, voiceCall
from tests.captures import PACKETS
from tests.dmr.test_lc import addresses, linkControls

RADIO = 0x42B108C1  # the stream of the capture's call from a radio
NETWORK = 0xD0690259  # that of its call from the network

vocoders = st.binary(min_size=27, max_size=27)
nibbles = st.integers(0, 15)


def captured(stream: int) -> list[Frame]:
    """
    The frames of a call in the capture.
    """
    frames = [
        Frame(packet.data[4:11], packet.data[15:55])
        for packet in PACKETS
        if packet.data[:4] == b"DMRD"
    ]
    return [frame for frame in frames if frame.stream == stream]


def carried(frame: Frame) -> tuple[bytes, bytes]:
    """
    All that a frame says.
    """
    return frame.addressing, frame.body


class RealCallTests(SynchronousTestCase):
    """
    Tests against the calls of real equipment, which were silent.
    """

    def test_network(self) -> None:
        """
        The very frames are made that came from the network.
        """
        made = voiceCall(source=3120001, destination=91, stream=NETWORK, superframes=4)
        self.assertEqual(list(map(carried, made)), list(map(carried, captured(NETWORK))))

    def test_radio(self) -> None:
        """
        What an MMDVMHost made of its radio's call differs in nothing but the radio's syncs.
        """
        syncs = {Sync.MS_DATA: Sync.BS_DATA, Sync.MS_VOICE: Sync.BS_VOICE, None: None}
        made = list(voiceCall(source=3120009, destination=91, stream=RADIO, superframes=4))
        sent = captured(RADIO)
        self.assertEqual([frame.addressing for frame in made], [frame.addressing for frame in sent])
        self.assertEqual([frame.flags for frame in made], [frame.flags for frame in sent])
        for one, other in zip(made, sent, strict=True):
            self.assertIs(sync(one.burst), syncs[sync(other.burst)])
            middle = 0 if sync(one.burst) is None else (1 << 48) - 1 << 108
            difference = int.from_bytes(one.burst, "big") ^ int.from_bytes(other.burst, "big")
            self.assertEqual(difference & ~middle, 0)


class VoiceBurstTests(SynchronousTestCase):
    """
    Tests of L{voiceBurst} and L{superframe}.
    """

    @given(vocoders, st.integers(0, (1 << 48) - 1))
    def test_layout(self, vocoder: bytes, centre: int) -> None:
        """
        The sound is around the middle, its first half before it.
        """
        bits = f"{int.from_bytes(voiceBurst(vocoder, centre), 'big'):0264b}"
        sound = f"{int.from_bytes(vocoder, 'big'):0216b}"
        self.assertEqual(bits, sound[:108] + f"{centre:048b}" + sound[108:])

    @given(linkControls, vocoders, nibbles)
    def test_superframe(self, lc: FullLinkControl, vocoder: bytes, colour: int) -> None:
        """
        A superframe has a sync, then the fragments of its Link Control, then the null message.
        """
        bursts = superframe(lc, vocoder, colour)
        self.assertEqual([len(burst) for burst in bursts], [33] * 6)
        self.assertIs(sync(bursts[0]), Sync.BS_VOICE)
        self.assertEqual({EMB.fromBurst(burst).colourCode for burst in bursts[1:]}, {colour})
        fragments = [embedded.fragment(burst) for burst in bursts[1:]]
        self.assertEqual(embedded.decode(fragments[:4]), lc)
        self.assertEqual(fragments[4], 0)


class VoiceCallTests(SynchronousTestCase):
    """
    Tests of L{voiceCall}.
    """

    def test_flags(self) -> None:
        """
        Each frame tells its slot, the kind of call and its place in the superframe.
        """
        voice = [0x10, 0x01, 0x02, 0x03, 0x04, 0x05] * 2
        for slot, private, call in ((1, False, 0), (2, False, 0x80), (1, True, 0x40)):
            frames = list(
                voiceCall(
                    source=1, destination=2, stream=3, superframes=2, slot=slot, private=private
                )
            )
            self.assertEqual(
                [frame.flags for frame in frames],
                [call | 0x21, *(call | kind for kind in voice), call | 0x22],
            )
            self.assertEqual({(frame.slot, frame.private) for frame in frames}, {(slot, private)})

    @given(addresses, addresses, st.booleans(), nibbles)
    def test_linkControl(self, source: int, destination: int, private: bool, colour: int) -> None:
        """
        Header, superframe and terminator say whom the frames are from and to.
        """
        lc = (FullLinkControl.private if private else FullLinkControl.group)(destination, source)
        header, *voice, end = voiceCall(
            source=source,
            destination=destination,
            stream=9,
            superframes=1,
            private=private,
            colourCode=colour,
        )
        fragments = [embedded.fragment(frame.burst) for frame in voice[1:5]]
        self.assertEqual(decodeVoiceHeader(header.burst), lc)
        self.assertEqual(embedded.decode(fragments), lc)
        self.assertEqual(decodeVoiceHeader(end.burst), lc)
        self.assertEqual((colourCode(header.burst), colourCode(end.burst)), (colour, colour))
        told = {(frame.source, frame.destination, frame.stream) for frame in (header, *voice, end)}
        self.assertEqual(told, {(source, destination, 9)})

    def test_sequence(self) -> None:
        """
        The sequence counts from 0 and wraps after 255.
        """
        frames = voiceCall(source=1, destination=2, stream=3, superframes=50)
        sequences = [frame.sequence for frame in frames]
        self.assertEqual(sequences, [number % 256 for number in range(302)])

    def test_length(self) -> None:
        """
        A call without superframes is a header and a terminator; by default it lasts five seconds.
        """
        for superframes, count in ((0, 2), (1, 8), (14, 86)):
            frames = voiceCall(source=1, destination=2, stream=3, superframes=superframes)
            self.assertEqual(len(list(frames)), count)
        self.assertEqual(len(list(voiceCall(source=1, destination=2, stream=3))), 86)

    def test_vocoder(self) -> None:
        """
        Every voice burst sounds as asked, silent by default.
        """
        for vocoder, frames in (
            (SILENCE, voiceCall(source=1, destination=2, stream=3)),
            (bytes(27), voiceCall(source=1, destination=2, stream=3, vocoder=bytes(27))),
        ):
            _, *voice, _ = frames
            self.assertEqual({frame.burst[:13] for frame in voice}, {vocoder[:13]})
            self.assertEqual({frame.burst[20:] for frame in voice}, {vocoder[14:]})
