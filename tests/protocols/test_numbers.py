"""
Tests of numbers at which the node itself does something, and of numbers that are others at a
hotspot, over the wire.
"""

from __future__ import annotations

from bmff.dmr.burst import decodeVoiceHeader
from bmff.dmr.voice import voiceCall
from bmff.router.announcement import Announcer
from bmff.router.dialling import Dialling
from bmff.router.parrot import Parrot
from bmff.router.translation import Form, Rule, Translation
from bmff.testing.everybody import SomeSettings
from bmff.testing.hotspots import VirtualHotspot
from tests.protocols.test_homebrew import HomeBrewTestCase


class NumberTests(HomeBrewTestCase):
    """
    What a hotspot's user can do with numbers alone.
    """

    def setUp(self) -> None:
        super().setUp()
        self.router.services += (
            Parrot(Announcer(self.router, self.router.deadlines)),
            Dialling(self.router.subscriptions),
        )

    def destinations(self, hotspot: VirtualHotspot) -> set[int]:
        """
        The destinations of what a hotspot heard, which its bursts agree with.
        """
        headers = [frame for frame in hotspot.heard if frame.dataType == 1]
        for frame in headers:
            self.assertEqual(decodeVoiceHeader(frame.burst).destination, frame.destination)
        return {frame.destination for frame in hotspot.heard}

    def test_parrot(self) -> None:
        """
        A call to the parrot is heard again, burst for burst, by who made it.
        """
        hotspot, other = self.hotspot(1), self.hotspot(2, "TS2=9990,91")
        frames = self.talk(hotspot, destination=9990)
        self.assertEqual(hotspot.heard, [])
        self.advance(1.0 + len(frames) * 0.06 + 0.2)
        self.assertEqual([one.burst for one in hotspot.heard], [one.burst for one in frames])
        self.assertEqual(other.heard, [])

    def test_parrotKeepsTime(self) -> None:
        """
        While the parrot speaks, calls of others go on without a delay.
        """
        hotspot = self.hotspot(1)
        talker, listener = self.hotspot(2), self.hotspot(3, "TS2=91")
        self.talk(hotspot, destination=9990)
        self.advance(1.0)
        frames = self.talk(talker, destination=91, stream=78, source=2340002)
        self.assertEqual(len(listener.heard), len(frames))
        self.assertGreater(len(hotspot.heard), 50)

    def test_dial(self) -> None:
        """
        A hotspot dials a talkgroup, hears it under 9, speaks on 9 to it, and leaves it with 4000.
        """
        self.access.peers[1] = SomeSettings(dial=True)
        hotspot, other = self.hotspot(1), self.hotspot(2, "TS2=26200")
        self.talk(hotspot, destination=26200, private=1, stream=1)
        self.talk(other, destination=26200, stream=2)
        self.assertEqual(self.destinations(hotspot), {9})
        self.advance(6.0)
        self.talk(hotspot, destination=9, stream=3)
        self.assertEqual(self.destinations(other), {26200})
        self.talk(hotspot, destination=4000, stream=4)
        self.advance(6.0)
        hotspot.heard.clear()
        self.talk(other, destination=26200, stream=5)
        self.assertEqual(hotspot.heard, [])

    def test_dialOption(self) -> None:
        """
        C{DIAL=} links a talkgroup from the start; another one is dialled over it, and 4000 brings
        it back.
        """
        self.access.peers[1] = SomeSettings(dial=True)
        hotspot, other = self.hotspot(1, "DIAL=26200"), self.hotspot(2, "TS2=26200")
        self.talk(other, destination=26200, stream=2)
        self.assertEqual(self.destinations(hotspot), {9})
        self.advance(6.0)
        self.talk(hotspot, destination=262, private=1, stream=3)
        peer = self.homebrew.peer(1)
        assert peer is not None
        self.assertEqual(peer.linked, 262)
        self.talk(hotspot, destination=4000, stream=4)
        self.assertEqual(peer.linked, 26200)

    def test_translated(self) -> None:
        """
        A hotspot whose 8 is 26208 here speaks and hears under its own number.
        """
        rules = Translation([Rule(Form(8), Form(26208), 2)])
        self.access.peers[1] = SomeSettings({2: (26208,)}, translation=rules)
        hotspot, other = self.hotspot(1), self.hotspot(2, "TS2=26208")
        self.talk(hotspot, destination=8, stream=2)
        self.assertEqual(self.destinations(other), {26208})
        self.advance(6.0)
        self.talk(other, destination=26208, stream=3)
        self.assertEqual(self.destinations(hotspot), {8})

    def test_translationGone(self) -> None:
        """
        A translation that the operator takes away counts no longer.
        """
        rules = Translation([Rule(Form(8), Form(26208), 2)])
        self.access.peers[1] = SomeSettings(translation=rules)
        hotspot = self.hotspot(1)
        self.access.peers[1] = SomeSettings()
        self.homebrew.reviewAccess()
        self.hotspot(2, "TS2=26208")
        frames = list(voiceCall(source=5, destination=8, stream=3, slot=2))
        hotspot.talk(frames)
        self.advance(10.0)
        peer = self.homebrew.peer(1)
        assert peer is not None
        self.assertEqual(list(peer.slot(2).dynamic), [8])

    def test_autoStatic(self) -> None:
        """
        A simplex hotspot stays on the talkgroup keyed last, for ever; a repeater does not.
        """
        common = SomeSettings(autoStatic=True, dynamicTimeout=60.0)
        self.access.peers = {1: common, 2: common}
        for peerID, slots in ((1, 4), (2, 3)):
            hotspot = self.hotspot(peerID, slots=slots)
            self.talk(hotspot, destination=91, stream=peerID, source=peerID)
            self.talk(hotspot, destination=92, stream=peerID + 10, source=peerID)
        for _ in range(20):
            self.advance(5.0)
        simplex, repeater = self.homebrew.peer(1), self.homebrew.peer(2)
        assert simplex is not None
        assert repeater is not None
        self.assertEqual(list(simplex.slot(2).dynamic), [92])
        self.assertEqual(list(repeater.slot(2).dynamic), [])
