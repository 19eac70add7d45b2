"""
Tests of the numbers at which the node itself does something: L{bmff.router.parrot} and
L{bmff.router.dialling}.
"""

from __future__ import annotations

from itertools import pairwise

from bmff.dmr.burst import decodeVoiceHeader, voiceHeader
from bmff.dmr.frame import DATA_SYNC, TERMINATOR, VOICE_HEADER, Frame
from bmff.dmr.lc import FullLinkControl
from bmff.router.call import Peer
from bmff.router.dialling import Dialling, mayBeDialled
from bmff.router.inward import Inward
from bmff.router.parrot import LARGEST, Parrot
from tests.router.case import RouterTestCase


class ParrotTests(RouterTestCase):
    """
    What is said to the parrot comes back.
    """

    def setUp(self) -> None:
        super().setUp()
        self.parrot = Parrot(self.router, self.router.deadlines)
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
