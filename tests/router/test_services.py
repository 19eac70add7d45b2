"""
Tests of the numbers at which the node itself does something: L{bmff.router.parrot},
L{bmff.router.dialling}, L{bmff.router.status} and L{bmff.router.texts}.
"""

from __future__ import annotations

from itertools import pairwise

from bmff.dmr.applications import decodeApplication
from bmff.dmr.burst import decodeVoiceHeader, voiceHeader
from bmff.dmr.datacall import textCall
from bmff.dmr.datagram import Datagram
from bmff.dmr.frame import DATA_SYNC, TERMINATOR, VOICE_HEADER, Frame
from bmff.dmr.lc import FullLinkControl
from bmff.dmr.tms import TextMessage
from bmff.events import TextReceived
from bmff.router.announcement import Announcer
from bmff.router.call import Peer
from bmff.router.dialling import Dialling, mayBeDialled
from bmff.router.inward import Inward
from bmff.router.parrot import LARGEST, Parrot
from bmff.router.status import Status
from bmff.router.texts import Texts
from tests.dmr.test_datacall import received
from tests.router.case import RouterTestCase


class ParrotTests(RouterTestCase):
    """
    What is said to the parrot comes back.
    """

    def setUp(self) -> None:
        super().setUp()
        self.parrot = Parrot(Announcer(self.router, self.router.deadlines))
        self.router.services.append(self.parrot)

    def test_group(self) -> None:
        """
        A call to talkgroup 9990 is heard again after a second by who made it, alone, in the same
        pitch, as a stream of its own.
        """
        peer = self.peer(1)
        self.peer(2, {2: (91,)})
        self.call(peer, frames=10, destination=9990, stream=5)
        self.assertEqual(self.outlet.heard, [])
        end = self.now
        times: list[float] = []
        while len(self.heardBy(1)) < 10:
            self.advance(0.01)
            times += [self.now] * (len(self.heardBy(1)) - len(times))
        self.assertTrue(0.92 <= times[0] - end <= 1.08, times[0] - end)
        for before, after in pairwise(times):
            self.assertTrue(0.04 <= after - before <= 0.08, after - before)
        heard = [frame for _, frame in self.heardBy(1)]
        self.assertEqual([frame.sequence for frame in heard], list(range(10)))
        self.assertNotEqual(self.streamsHeardBy(1), [5])
        self.assertEqual({frame.destination for frame in heard}, {9990})
        self.assertEqual(heard[-1].flags & 0x3F, DATA_SYNC | TERMINATOR)
        self.assertEqual({one for one, _, _ in self.outlet.heard}, {1})
        self.advance(30.0)
        self.assertEqual((self.router.calls, self.parrot.busy), ({}, 0))

    def test_private(self) -> None:
        """
        A private call to 9990 is answered by one of 9990's to the radio, in its bursts, too.
        """
        peer = self.peer(1)
        header = voiceHeader(FullLinkControl.private(9990, 2340001))
        self.send(
            peer,
            0,
            flags=DATA_SYNC | VOICE_HEADER,
            destination=9990,
            private=True,
            burst=header,
            stream=5,
        )
        self.send(peer, 1, flags=DATA_SYNC | TERMINATOR, destination=9990, private=True, stream=5)
        self.advance(2.0)
        heard = [frame for _, frame in self.heardBy(1)]
        self.assertEqual(
            {(frame.source, frame.destination, frame.private) for frame in heard},
            {(9990, 2340001, True)},
        )
        lc = decodeVoiceHeader(heard[0].burst)
        self.assertEqual((lc.source, lc.destination, lc.flco), (9990, 2340001, 3))

    def test_neverElsewhere(self) -> None:
        """
        What is said to the parrot is no subscription, and leaves no location behind of its own.
        """
        peer = self.peer(1)
        self.call(peer, destination=9990)
        self.advance(3.0)
        self.assertFalse(peer.slot(2).dynamic)
        self.assertIsNone(self.router.reach.locations.get(9990))

    def test_peerLeaves(self) -> None:
        """
        A peer that goes while the parrot has still to answer leaves nothing behind.
        """
        peer = self.peer(1)
        self.call(peer, destination=9990)
        self.router.removePeer(peer, self.now)
        self.advance(30.0)
        self.assertEqual((self.router.calls, self.parrot.busy), ({}, 0))

    def test_bounded(self) -> None:
        """
        No more is recorded at once than a bounded number of calls.
        """
        for number in range(1, LARGEST + 10):
            peer = self.peer(number)
            self.call(peer, frames=1, destination=9990, stream=number, source=number, end=False)
        self.assertLessEqual(self.parrot.busy, LARGEST)
        self.advance(60.0)
        self.assertEqual(self.parrot.busy, 0)

    def test_busySlot(self) -> None:
        """
        A user who talks again before the answer is not interrupted.
        """
        peer = self.peer(1)
        self.peer(2, {2: (91,)})
        self.call(peer, frames=3, destination=9990, stream=5)
        self.call(peer, frames=40, destination=91, stream=6)
        self.assertEqual(len(self.heardBy(2)), 40)


class DiallingTests(RouterTestCase):
    """
    A private call to a talkgroup's number links it to 9 on slot 2.
    """

    def setUp(self) -> None:
        super().setUp()
        self.router.services.append(Dialling(self.router.subscriptions))

    def dial(self, peer: Peer, number: int) -> None:
        peer.dials = True
        self.call(peer, destination=number, private=True, stream=100 + number)

    def test_heardUnderNine(self) -> None:
        """
        The talkgroup is heard under 9 on slot 2, and what is said there goes out on it.
        """
        peer = self.peer(1)
        other = self.peer(2, {2: (262,)})
        self.dial(peer, 262)
        self.assertEqual(self.outlet.heard, [])
        self.call(other, destination=262, stream=7)
        self.assertEqual({(s, f.destination) for s, f in self.heardBy(1)}, {(2, 9)})
        self.advance(10.0)
        inward = Inward(self.router, peer)
        frame = Frame.make(
            sequence=0, source=5, destination=9, flags=0x90, stream=9, burst=bytes(33)
        )
        inward.frameReceived(frame, self.now)
        self.assertEqual([f.destination for _, f in self.heardBy(2)], [262])

    def test_another(self) -> None:
        """
        Another number takes its place; 4000 leaves it.
        """
        peer = self.peer(1)
        self.dial(peer, 262)
        self.dial(peer, 263)
        self.assertEqual((peer.dialled, set(peer.slot(2).dynamic)), (263, {263}))
        self.call(peer, destination=4000, stream=8)
        self.assertEqual((peer.dialled, peer.translates), (0, False))

    def test_timeOut(self) -> None:
        """
        A link that nobody uses ends with the time for keyed talkgroups.
        """
        peer = self.peer(1, dynamicTimeout=60.0)
        self.dial(peer, 262)
        self.advance(61.0)
        self.assertEqual((peer.dialled, peer.slot(2).dynamic), (0, {}))

    def test_numbers(self) -> None:
        """
        Radios, services and the talkgroups that mean something else are not dialled.
        """
        for number in (4, 8, 9, 4000, 4500, 5000, 9990, 9999, 1_000_000, 2_340_001):
            self.assertFalse(mayBeDialled(number), number)
        for number in (5, 10, 91, 3999, 5001, 26200, 999_999):
            self.assertTrue(mayBeDialled(number), number)

    def test_off(self) -> None:
        """
        Where it is off, a private call to such a number is a private call.
        """
        target = self.peer(262)
        self.call(self.peer(1), destination=262, private=True)
        self.assertEqual(len(self.heardBy(target.peerID)), 3)


class TextTests(RouterTestCase):
    """
    The node sends text messages itself, and tells by one what a hotspot hears.
    """

    def setUp(self) -> None:
        super().setUp()
        self.announcer = Announcer(self.router, self.router.deadlines)
        self.texts = Texts(self.announcer, lambda: 0xCAFE)
        self.router.services.append(Status(self.texts))

    def read(self, peerID: int) -> str:
        """
        The text that a peer was sent, put together from its bursts.
        """
        frames = [frame for _, frame in self.heardBy(peerID)]
        message = decodeApplication(Datagram.decode(received(frames).payload()))
        assert isinstance(message, TextMessage)
        return message.text

    def test_toWhereItIs(self) -> None:
        """
        A text goes to the slot where its radio was heard last, at the pitch of frames.
        """
        peer = self.peer(1)
        self.call(peer, source=2340001, slot=1)
        self.texts.send("Hello", source=9, destination=2340001, now=self.now)
        self.advance(5.0)
        heard = self.heardBy(1)
        self.assertEqual({(slot, frame.destination) for slot, frame in heard}, {(1, 2340001)})
        self.assertTrue(all(frame.private and frame.source == 9 for _, frame in heard))
        self.assertEqual(self.read(1), "Hello")
        self.assertEqual((self.announcer.busy, self.router.calls), (0, {}))

    def test_toTalkgroup(self) -> None:
        """
        A text to a talkgroup goes to all who hear it.
        """
        self.peer(1, {2: (91,)})
        self.peer(2, {2: (92,)})
        self.texts.send("Hello", source=9, destination=91, group=True, now=self.now)
        self.advance(5.0)
        self.assertEqual(self.read(1), "Hello")
        self.assertEqual(self.heardBy(2), [])

    def test_numbered(self) -> None:
        """
        Two texts to one radio have different numbers, so that it shows both.
        """
        peer = self.peer(1)
        self.call(peer, source=2340001)
        bursts = []
        for _ in range(2):
            self.outlet.heard.clear()
            self.texts.send("Hello", source=9, destination=2340001, now=self.now)
            self.advance(20.0)
            bursts.append([frame.burst for _, frame in self.heardBy(1)])
        self.assertNotEqual(*bursts)

    def test_status(self) -> None:
        """
        Who calls 5000 is told what the slots of the hotspot hear, alone and on that slot.
        """
        peer = self.peer(1, {1: (91,), 2: (262, 263)})
        self.peer(2, {2: (262,)})
        self.call(peer, destination=777, stream=4)
        peer.reflector = 263
        self.outlet.heard.clear()
        self.call(peer, destination=5000, stream=5)
        self.advance(10.0)
        self.assertEqual(self.read(1), "TS1: 91. TS2: 262, 777+, 9=263")
        self.assertEqual({one for one, _, _ in self.outlet.heard}, {1})

    def test_statusBounded(self) -> None:
        """
        A slot with many talkgroups has a text that still fits.
        """
        peer = self.peer(1, {2: tuple(range(100_000, 100_900))})
        self.call(peer, destination=5000, private=True)
        self.advance(10.0)
        text = self.read(1)
        self.assertTrue(text.endswith("100011, ..."), text)


class ReadingTests(RouterTestCase):
    """
    Texts that radios write are read along.
    """

    def write(self, peer: Peer, text: str, drop: int = -1, *, group: bool = False) -> None:
        frames = textCall(text, source=5, destination=91, stream=77, group=group, slot=2)
        for number, frame in enumerate(frames):
            if number != drop:
                self.router.route(peer, frame, self.now)
            self.advance(0.06)

    def texts(self) -> list[TextReceived]:
        return [event for event in self.events if isinstance(event, TextReceived)]

    def test_read(self) -> None:
        """
        A text is told of once it is whole, and goes its way.
        """
        peer = self.peer(1)
        self.peer(2, {2: (91,)})
        self.write(peer, "Hello", group=True)
        self.assertEqual(self.texts(), [TextReceived(5, 91, False, 1, "Hello")])
        self.assertGreater(len(self.heardBy(2)), 5)

    def test_private(self) -> None:
        """
        So it is with one to a radio, wherever that is.
        """
        self.write(self.peer(1), "Hello")
        self.assertEqual(self.texts(), [TextReceived(5, 91, True, 1, "Hello")])

    def test_incomplete(self) -> None:
        """
        One with a block missing is told of by nobody, and harms nothing.
        """
        frames = len(list(textCall("Hello", source=5, destination=91, stream=77)))
        for drop in range(frames - 4, frames):
            self.write(self.peer(1), "Hello", drop)
            self.advance(20.0)
        self.assertEqual(self.texts(), [])
        self.assertEqual(self.router.calls, {})

    def test_garbage(self) -> None:
        """
        Data that cannot be read goes its way.
        """
        peer = self.peer(1)
        self.peer(2, {2: (91,)})
        for sequence, flags in enumerate((0x26, 0x27, 0x28, 0x26, 0x2A)):
            self.send(peer, sequence, flags=flags, burst=bytes(range(sequence, sequence + 33)))
        self.assertEqual(len(self.heardBy(2)), 5)
        self.assertEqual(self.texts(), [])

    def test_ownAreNotRead(self) -> None:
        """
        What the node sends itself is no text that it has received.
        """
        texts = Texts(Announcer(self.router, self.router.deadlines), lambda: 9)
        self.peer(1, {2: (91,)})
        texts.send("Hello", source=9, destination=91, group=True, now=self.now)
        self.advance(5.0)
        self.assertEqual(self.texts(), [])
