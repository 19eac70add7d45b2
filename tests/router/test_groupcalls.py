"""
Tests of L{bmff.router.router}: calls to talkgroups, and who hears them.
"""

from __future__ import annotations

from bmff.dmr.frame import (
    DATA_SYNC,
    TERMINATOR,
)
from bmff.events import CallStarted, SubscriptionChanged
from bmff.router import subscriptions
from tests.router.case import RouterTestCase


class GroupCallTests(RouterTestCase):
    """
    Calls to talkgroups.
    """

    def test_listenersHear(self) -> None:
        """
        Each frame reaches every slot that has the talkgroup, and no other peer or slot.
        """
        a = self.peer(1)
        self.peer(2, {2: (91,)})
        self.peer(3, {1: (91,)})
        self.peer(4, {2: (92,)})
        self.call(a, 5)
        self.assertEqual([slot for slot, _ in self.heardBy(2)], [2] * 5)
        self.assertEqual([slot for slot, _ in self.heardBy(3)], [1] * 5)
        self.assertEqual(self.heardBy(4), [])

    def test_neverBack(self) -> None:
        """
        A call is never sent to the peer that it came from, on either slot.
        """
        a = self.peer(1, {1: (91,), 2: (91,)})
        self.call(a)
        self.assertEqual(self.heardBy(1), [])

    def test_keyingSubscribes(self) -> None:
        """
        Who talks on a talkgroup hears it from then on, on the slot that he used.
        """
        a, b = self.peer(1), self.peer(2)
        self.call(a, slot=1)
        self.advance(10)
        self.call(b, stream=78)
        self.assertEqual({slot for slot, _ in self.heardBy(1)}, {1})
        self.assertIn(SubscriptionChanged(1, 1, (), (91,)), self.events)

    def test_keyedTalkgroupEnds(self) -> None:
        """
        A talkgroup that was keyed is left when the time has passed since it was last keyed.
        """
        a, b = self.peer(1, dynamicTimeout=60.0), self.peer(2)
        self.call(a)
        self.advance(50)
        self.call(a, stream=78)
        self.advance(50)
        self.call(b, stream=79)
        self.assertEqual(self.streamsHeardBy(1), [79])
        self.advance(61)
        self.call(b, stream=80)
        self.assertEqual(self.streamsHeardBy(1), [79])
        self.assertIn(SubscriptionChanged(1, 2, (), ()), self.events)

    def test_keyedTalkgroupDoesNotEndWithinACall(self) -> None:
        """
        Nobody is cut off from a call that he is hearing because his time is up.
        """
        a, b = self.peer(1, dynamicTimeout=60.0), self.peer(2)
        self.call(a)
        self.advance(59.5)
        self.call(b, 30, stream=79)
        self.assertEqual(len(self.heardBy(1)), 30)
        self.advance(20)
        self.call(b, 3, stream=80)
        self.assertEqual(self.streamsHeardBy(1), [79])

    def test_neverEnds(self) -> None:
        """
        With a time of 0 a talkgroup that was keyed stays.
        """
        a, b = self.peer(1, dynamicTimeout=0.0), self.peer(2)
        self.call(a)
        self.advance(100_000)
        self.call(b, stream=79)
        self.assertEqual(self.streamsHeardBy(1), [79])

    def test_single(self) -> None:
        """
        With C{single} a slot has only the talkgroup keyed last, and its static ones.
        """
        a, b = self.peer(1, {2: (7777,)}, single=True), self.peer(2)
        for talkgroup in (91, 92):
            self.call(a, destination=talkgroup, stream=talkgroup)
            self.advance(6)
        for talkgroup in (91, 92, 7777):
            self.call(b, destination=talkgroup, stream=1000 + talkgroup)
            self.advance(6)
        self.assertEqual(self.streamsHeardBy(1), [1092, 8777])

    def test_dynamicBounded(self) -> None:
        """
        A slot cannot key more talkgroups than the limit; the oldest goes.
        """
        a = self.peer(1)
        for number in range(subscriptions.LARGEST_DYNAMIC + 5):
            self.call(a, destination=1000 + number, stream=1 + number)
        slot = a.slot(2)
        self.assertEqual(len(slot.dynamic), subscriptions.LARGEST_DYNAMIC)
        self.assertNotIn(1004, slot.dynamic)
        self.assertIn(1005, slot.dynamic)

    def test_unlink(self) -> None:
        """
        A call to 4000, of either kind, leaves what was keyed, and is heard by nobody.
        """
        for number, private in enumerate((False, True)):
            a, b = self.peer(1, {1: (7777,)}), self.peer(2, {2: (91, 4000)})
            self.call(a, stream=10 + number)
            self.outlet.heard.clear()
            self.advance(6)
            self.call(a, destination=4000, private=private, stream=20 + number)
            self.assertEqual(self.outlet.heard, [])
            self.call(b, stream=30 + number)
            self.assertEqual(self.heardBy(1), [])
            self.assertEqual(a.slot(1).static, {7777})
            self.advance(60)

    def test_serviceNumbers(self) -> None:
        """
        Numbers of services and the all-call are never routed, keyed or learnt as talkgroups.
        """
        a = self.peer(1)
        self.peer(2, {2: (5000, 9990, 9999)})
        for number in (0, 5000, 9990, 9999, 0xFFFFFF):
            self.call(a, destination=number, stream=number + 1)
        self.assertEqual(self.outlet.heard, [])
        self.assertEqual(a.slot(2).dynamic, {})

    def test_simplex(self) -> None:
        """
        A simplex hotspot hears on slot 2 what was said on slot 1, and its talkgroups of either
        slot are one list.
        """
        a = self.peer(1)
        hotspot = self.peer(2, {1: (91,), 2: (92,)}, slots=4)
        self.call(a, slot=1)
        self.advance(6)
        self.call(a, slot=1, destination=92, stream=78)
        self.assertEqual({slot for slot, _ in self.heardBy(2)}, {2})
        self.assertEqual(self.streamsHeardBy(2), [77, 78])
        self.assertEqual(len(hotspot.slots), 1)

    def test_slotNotServed(self) -> None:
        """
        A repeater that has only one slot is sent nothing on the other.
        """
        a = self.peer(1)
        self.peer(2, {1: (91,), 2: (91,)}, slots=1)
        self.peer(3, {1: (91,), 2: (91,)}, slots=0)
        self.call(a)
        self.assertEqual({slot for slot, _ in self.heardBy(2)}, {1})
        self.assertEqual(self.heardBy(3), [])

    def test_events(self) -> None:
        """
        A call is told of twice, with what it was and how it went.
        """
        a = self.peer(1)
        self.peer(2, {2: (91,)})
        self.call(a, 4)
        started = next(event for event in self.events if isinstance(event, CallStarted))
        self.assertEqual(started, CallStarted(77, 2340001, 91, False, False, 1, 2, 1))
        (ended,) = self.ended()
        self.assertEqual(
            (ended.reason, ended.frames, ended.lost, ended.slot), ("terminator", 4, 0, 2)
        )
        self.assertAlmostEqual(ended.duration, 0.18)

    def test_staticChanges(self) -> None:
        """
        Talkgroups that are set while a call is on are heard from its next frame on, and one that
        is taken away ends with a terminator.
        """
        a, b = self.peer(1), self.peer(2)
        self.call(a, 3, end=False)
        self.router.setStatic(b, {2: (91,)}, self.now)
        self.send(a, 3)
        self.assertEqual([frame.sequence for _, frame in self.heardBy(2)], [3])
        self.router.setStatic(b, {}, self.now)
        self.send(a, 4)
        self.assertEqual([frame.sequence for _, frame in self.heardBy(2)], [3, 4])
        self.assertEqual(self.heardBy(2)[-1][1].dataType, TERMINATOR)
        self.assertIsNone(b.slot(2).call)


class ContentionTests(RouterTestCase):
    """
    A slot carries one call at a time.
    """

    def test_firstWins(self) -> None:
        """
        While a slot hears one call it is not sent another one.
        """
        a, b = self.peer(1), self.peer(2)
        self.peer(3, {2: (91, 92)})
        self.send(a, 0, stream=1, destination=91)
        self.send(b, 0, stream=2, destination=92, source=5)
        self.send(a, 1, stream=1, destination=91)
        self.assertEqual(self.streamsHeardBy(3), [1])

    def test_sameTalkgroup(self) -> None:
        """
        Of two calls on one talkgroup each slot hears the one that it had first.
        """
        a, b = self.peer(1, {2: (91,)}), self.peer(2, {2: (91,)})
        self.peer(3, {2: (91,)})
        self.send(a, 0, stream=1)
        self.send(b, 0, stream=2, source=5)
        self.send(a, 1, stream=1)
        self.send(b, 1, stream=2, source=5)
        self.assertEqual(self.streamsHeardBy(3), [1])
        self.assertEqual(self.streamsHeardBy(1), [])
        self.assertEqual(self.streamsHeardBy(2), [1])  # until its own user talked
        self.assertEqual(len(self.heardBy(2)), 1)

    def test_hangTime(self) -> None:
        """
        After a call a slot is kept for its talkgroup, and then open to others again.
        """
        a, b = self.peer(1), self.peer(2)
        self.peer(3, {2: (91, 92)})
        self.call(a, 3, stream=1)
        self.call(b, 3, stream=2, destination=92, source=5)
        self.call(b, 3, stream=3, destination=91, source=5)
        self.assertEqual(self.streamsHeardBy(3), [1, 3])
        self.advance(5.0)
        self.call(b, 3, stream=4, destination=92, source=5)
        self.assertEqual(self.streamsHeardBy(3), [1, 3, 4])

    def test_joinsWhenFree(self) -> None:
        """
        A call that waits for a slot is heard as soon as the hang time is over.
        """
        a, b = self.peer(1), self.peer(2)
        self.peer(3, {2: (91, 92)})
        self.call(a, 3, stream=1)
        for sequence in range(100):
            self.send(b, sequence, stream=2, destination=92, source=5)
            self.advance(0.06)
        heard = [frame.sequence for _, frame in self.heardBy(3) if frame.stream == 2]
        self.assertTrue(heard)
        self.assertEqual(heard, list(range(heard[0], 100)))
        self.assertLess(abs(heard[0] * 0.06 - 5.0), 0.12)

    def test_ownUserWins(self) -> None:
        """
        A user who talks takes his slot from the call that it hears; when he has ended he hears
        the same talkgroup again at once.
        """
        a = self.peer(1)
        b = self.peer(2, {2: (91,)})
        c = self.peer(3, {2: (91,)})
        self.send(a, 0, stream=1)
        self.send(b, 0, stream=2, source=5)
        self.send(a, 1, stream=1)
        self.assertEqual([frame.sequence for _, frame in self.heardBy(2)], [0])
        self.send(b, 1, stream=2, source=5, flags=DATA_SYNC | TERMINATOR)
        self.send(a, 2, stream=1)
        self.assertEqual([frame.sequence for _, frame in self.heardBy(2)], [0, 2])
        self.assertEqual(self.streamsHeardBy(c.peerID), [1])

    def test_otherStreamOfTheSlot(self) -> None:
        """
        While a stream is active no other radio's stream is taken from the same slot; after it
        has been silent for 0.36 s the new one is.
        """
        a = self.peer(1)
        self.peer(2, {2: (91,)})
        self.send(a, 0, stream=1)
        self.advance(0.1)
        self.send(a, 0, stream=2, source=5)
        self.assertEqual(self.streamsHeardBy(2), [1])
        self.assertEqual(self.router.dropped["slot busy"], 1)
        self.advance(0.3)
        self.send(a, 1, stream=2, source=5)
        self.assertEqual(self.streamsHeardBy(2), [1, 2])
        self.assertEqual(self.ended()[0].reason, "replaced")

    def test_keyedAgainAtOnce(self) -> None:
        """
        A radio whose terminator was lost and that talks again at once is heard.
        """
        a = self.peer(1)
        self.peer(2, {2: (91,)})
        self.send(a, 0, stream=1)
        self.advance(0.1)
        self.send(a, 0, stream=2)
        self.assertEqual(self.streamsHeardBy(2), [1, 2])

    def test_twoSlots(self) -> None:
        """
        A repeater hears two calls at once, one on each slot.
        """
        a, b = self.peer(1), self.peer(2)
        self.peer(3, {1: (91,), 2: (92,)})
        self.send(a, 0, stream=1)
        self.send(b, 0, stream=2, destination=92, source=5)
        self.assertEqual(sorted(slot for slot, _ in self.heardBy(3)), [1, 2])
