"""
Tests of what L{bmff.router} keeps through long days, and of calls in which something changes.
"""

from __future__ import annotations

from bmff.dmr.burst import decodeVoiceHeader, voiceHeader
from bmff.dmr.frame import CSBK, DATA_SYNC, TERMINATOR, VOICE_HEADER, VOICE_SYNC, Frame
from bmff.dmr.lc import FullLinkControl
from bmff.dmr.voice import voiceCall
from bmff.router.announcement import Announcer
from bmff.router.call import Peer
from bmff.router.dialling import Dialling
from bmff.router.inward import Inward
from bmff.router.parrot import Parrot
from bmff.router.remains import LARGEST
from bmff.router.translation import Form, Rule, Translation
from bmff.testing.everybody import SomeSettings
from tests.protocols.test_homebrew import HomeBrewTestCase
from tests.router.case import RouterTestCase


class DeadlineTests(RouterTestCase):
    """
    What is due later is noted once.
    """

    @property
    def due(self) -> int:
        """
        How much is noted.
        """
        return len(self.router.deadlines._heap)

    def test_keyedInTurns(self) -> None:
        """
        However often a user keys two talkgroups in turns, each is looked at once when its time is
        over, and both are left then.
        """
        peer = self.peer(1, single=True, dynamicTimeout=900.0)
        for number in range(1, 400):
            self.call(peer, destination=91 + number % 2, stream=number)
            self.advance(5.0)
        self.assertLess(self.due, 10)
        self.advance(900.0)
        self.assertEqual((peer.slot(2).dynamic, self.due), ({}, 0))

    def test_keyedAll(self) -> None:
        """
        However many talkgroups a user keys, one look at the slot serves all of them, and each is
        left in its time.
        """
        peer = self.peer(1, dynamicTimeout=900.0)
        for number in range(1, 400):
            self.call(peer, destination=1000 + number, stream=number)
            self.advance(3.0)
        self.assertLess(self.due, 10)
        self.assertEqual(list(peer.slot(2).dynamic), list(range(1336, 1400)))
        self.advance(900.0 - 32 * 3.0)
        left = peer.slot(2).dynamic
        self.assertIn(len(left), range(20, 50))
        self.assertGreater(min(left.values()), self.now)
        self.advance(900.0)
        self.assertEqual((peer.slot(2).dynamic, self.due), ({}, 0))

    def test_shorterTime(self) -> None:
        """
        A talkgroup that is keyed again when its time has been made shorter is left that early.
        """
        peer = self.peer(1, dynamicTimeout=900.0)
        self.call(peer, stream=1)
        peer.dynamicTimeout = 60.0
        self.call(peer, stream=2)
        self.advance(61.0)
        self.assertEqual(peer.slot(2).dynamic, {})

    def test_longerTime(self) -> None:
        """
        One whose time has been made longer stays that long.
        """
        peer = self.peer(1, dynamicTimeout=60.0)
        self.call(peer, stream=1)
        peer.dynamicTimeout = 900.0
        self.call(peer, stream=2)
        self.advance(890.0)
        self.assertEqual(list(peer.slot(2).dynamic), [91])
        self.advance(20.0)
        self.assertEqual((peer.slot(2).dynamic, self.due), ({}, 0))

    def test_remains(self) -> None:
        """
        However many streams stir again and again, one deadline serves all of them, and those that
        have been silent for 10 s may come anew.
        """
        peer = self.peer(1)
        for _ in range(3):
            for stream in range(1, LARGEST + 100):
                self.send(peer, 0, flags=DATA_SYNC | TERMINATOR, stream=stream)
            self.advance(3.0)
        self.assertEqual((len(self.router._remains), self.due), (LARGEST, 1))
        self.advance(6.5)
        self.assertEqual(len(self.router._remains), LARGEST)
        self.advance(1.0)
        self.assertEqual((len(self.router._remains), self.due), (0, 0))

    def test_waiting(self) -> None:
        """
        However many calls wait for a slot that is held back for one talkgroup, it is looked at
        once, and then hears the call that is on.
        """
        talker, listener = self.peer(1), self.peer(2, {2: (91, 92)})
        listener.holdOff = 300.0
        self.call(listener, destination=91, stream=1)
        for number in range(2, 300):
            self.call(talker, destination=92, stream=number)
            self.advance(0.4)
        self.assertLess(self.due, 20)
        self.assertEqual(self.streamsHeardBy(2), [])
        while self.now < listener.slot(2).heldUntil:
            self.advance(0.06)
        self.call(talker, destination=92, stream=1000)
        self.assertEqual(self.streamsHeardBy(2), [1000])


class ChangeTests(RouterTestCase):
    """
    Something changes while a call is on.
    """

    def test_unlinked(self) -> None:
        """
        A call that is heard under 9 ends under 9 when its talkgroup is unlinked from the other
        slot.
        """
        self.router.services.append(Dialling(self.router.subscriptions))
        talker, listener = self.peer(1), self.peer(2)
        listener.dials = True
        self.call(listener, destination=262, private=True, stream=1)
        frames = voiceCall(source=5, destination=262, stream=2)
        for frame, _ in zip(frames, range(4), strict=False):
            self.router.route(talker, frame, self.now)
        self.call(listener, destination=4000, slot=1, stream=3)
        heard = [frame for _, frame in self.heardBy(2)]
        self.assertEqual({frame.destination for frame in heard}, {9})
        self.assertEqual(heard[-1].dataType, TERMINATOR)
        self.assertEqual(decodeVoiceHeader(heard[-1].burst).destination, 9)

    def test_dataLeft(self) -> None:
        """
        Who leaves a talkgroup while data is on it is sent no end of a voice call.
        """
        talker, listener = self.peer(1), self.peer(2, {2: (91,)})
        self.send(talker, 0, flags=DATA_SYNC | CSBK)
        self.router.setStatic(listener, {}, self.now)
        self.send(talker, 0, flags=DATA_SYNC | CSBK, stream=78)
        self.assertEqual([frame.dataType for _, frame in self.heardBy(2)], [CSBK])
        self.assertIsNone(listener.slot(2).call)

    def test_parrotOfThePast(self) -> None:
        """
        What the parrot has to say to a peer that is gone is sent to nobody.
        """
        announcer = Announcer(self.router, self.router.deadlines)
        self.router.services.append(Parrot(announcer))
        peer = self.peer(1)
        self.call(peer, destination=9990)
        self.router.removePeer(peer, self.now)
        self.advance(10.0)
        self.assertEqual((self.outlet.heard, announcer.busy), ([], 0))
        self.assertIsNone(peer.slot(2).call)


class SourceTests(RouterTestCase):
    """
    A header that names another radio than the network does.
    """

    def setUp(self) -> None:
        super().setUp()
        self.talker = self.peer(1)
        rules = [Rule(theirs=Form(9), ours=Form(91))]
        self.talker.translation = Translation(rules)
        self.inward = Inward(self.router, self.talker)
        self.header = voiceHeader(FullLinkControl.group(9, 777))

    def bring(self, peer: Peer, sequence: int, flags: int) -> None:
        """
        A frame of radio 5 to talkgroup 9.
        """
        frame = Frame.make(
            sequence=sequence,
            source=5,
            destination=9,
            flags=flags | 0x80,
            stream=7,
            burst=self.header,
        )
        self.inward.frameReceived(frame, self.now)

    def test_networkCounts(self) -> None:
        """
        A call under another number is of whom the network says, in its bursts, too; what comes of
        it after its end begins no other call.
        """
        self.peer(2, {2: (91,)})
        for sequence, flags in enumerate(
            (DATA_SYNC | VOICE_HEADER, VOICE_SYNC, DATA_SYNC | TERMINATOR)
        ):
            self.bring(self.talker, sequence, flags)
        self.bring(self.talker, 1, VOICE_SYNC)
        heard = [frame for _, frame in self.heardBy(2)]
        self.assertEqual([(frame.source, frame.destination) for frame in heard], [(5, 91)] * 3)
        self.assertEqual(decodeVoiceHeader(heard[0].burst).source, 5)
        self.assertEqual(len(self.ended()), 1)

    def test_outward(self) -> None:
        """
        So is a call whose number is another one where it is heard.
        """
        listener = self.peer(2, {2: (92,)})
        listener.translation = Translation([Rule(theirs=Form(9), ours=Form(92))])
        self.send(
            self.talker,
            0,
            flags=DATA_SYNC | VOICE_HEADER,
            source=5,
            destination=92,
            burst=self.header,
        )
        ((_, heard),) = self.heardBy(2)
        self.assertEqual((heard.source, heard.destination), (5, 9))
        self.assertEqual(decodeVoiceHeader(heard.burst).source, 5)


class OptionsTests(HomeBrewTestCase):
    """
    A hotspot's options change while its user talks.
    """

    def talkThrough(self, options: str) -> None:
        """
        A call on talkgroup 9, in the middle of which other options come, is heard whole.
        """
        self.access.common = SomeSettings(dial=True)
        talker, listener = self.hotspot(1, "DIAL=262"), self.hotspot(2, "TS2=262")
        frames = list(voiceCall(source=5, destination=9, stream=9))
        talker.talk(frames)
        self.advance(1.0)
        talker.client.sendOptions(options)
        talker.flush()
        self.advance(5.0)
        self.assertEqual([frame.sequence for frame in listener.heard], list(range(len(frames))))
        self.assertEqual({frame.destination for frame in listener.heard}, {262})

    def test_linkedToAnother(self) -> None:
        """
        A call goes on where it began when another talkgroup is linked in its middle.
        """
        self.talkThrough("DIAL=263")

    def test_unlinked(self) -> None:
        """
        So it does when none is linked any more, and the next one is a call to 9.
        """
        self.talkThrough("TS1=91")
        peer = self.homebrew.peer(1)
        assert peer is not None
        self.assertFalse(peer.translates)
