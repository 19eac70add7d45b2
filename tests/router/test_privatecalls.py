"""
Tests of L{bmff.router.router}: private calls and data calls.
"""

from __future__ import annotations

from bmff.dmr.frame import (
    CSBK,
    DATA_HEADER,
    DATA_SYNC,
    RATE_12,
)
from bmff.router import locations
from bmff.router.call import Peer
from tests.router.case import RouterTestCase


class PrivateCallTests(RouterTestCase):
    """
    Calls to one radio.
    """

    def test_toWhereItWasHeard(self) -> None:
        """
        A private call goes to the peer and slot where its radio was last heard, and only there.
        """
        a, b = self.peer(1), self.peer(2)
        self.peer(3, {1: (91,), 2: (91,)})
        self.call(b, source=555, destination=92, slot=1, stream=1)
        self.advance(6)
        self.outlet.heard.clear()
        self.call(a, source=444, destination=555, private=True, stream=2)
        self.assertEqual({(peer, slot) for peer, slot, _ in self.outlet.heard}, {(2, 1)})
        self.assertEqual(len(self.outlet.heard), 3)

    def test_moves(self) -> None:
        """
        A radio that was heard elsewhere since is called there.
        """
        a, b, c = self.peer(1), self.peer(2), self.peer(3)
        self.call(b, source=555, destination=92, stream=1)
        self.call(c, source=555, destination=92, stream=2)
        self.advance(6)
        self.outlet.heard.clear()
        self.call(a, source=444, destination=555, private=True, stream=3)
        self.assertEqual({peer for peer, _, _ in self.outlet.heard}, {3})

    def test_reply(self) -> None:
        """
        The answer to a private call is not held up by the hang time.
        """
        a, b = self.peer(1), self.peer(2)
        self.call(b, source=555, destination=92, stream=1)
        self.advance(6)
        self.call(a, source=444, destination=555, private=True, stream=2)
        self.call(b, source=555, destination=444, private=True, stream=3)
        self.assertEqual(self.streamsHeardBy(1), [3])

    def test_hotspotOfTheRadio(self) -> None:
        """
        A radio that was never heard is called at the hotspot that has its ID, with or without
        two digits more.
        """
        a = self.peer(1)
        self.peer(5550001)
        self.peer(666000102, slots=4)
        self.call(a, destination=5550001, private=True, stream=1)
        self.call(a, destination=6660001, private=True, stream=2)
        self.assertEqual(self.streamsHeardBy(5550001), [1])
        self.assertEqual(self.streamsHeardBy(666000102), [2])

    def test_unknown(self) -> None:
        """
        A call to a radio that is nowhere is heard by nobody.
        """
        a = self.peer(1)
        self.peer(2, {2: (555,)})
        self.call(a, destination=555, private=True)
        self.assertEqual(self.outlet.heard, [])
        self.assertEqual(self.ended()[0].reason, "terminator")

    def test_doesNotSubscribe(self) -> None:
        """
        A private call subscribes to nothing.
        """
        a = self.peer(1)
        self.call(a, destination=555, private=True)
        self.assertEqual(a.slot(2).dynamic, {})

    def test_locationsBounded(self) -> None:
        """
        The radio that was heard longest ago is forgotten first.
        """
        self.patch(locations, "LARGEST", 3)
        a = self.peer(1)
        for radio in (1, 2, 3, 1, 4):
            self.call(a, source=radio, stream=1000 + len(self.events))
        self.assertIsNone(self.router.reach.locations.get(2))
        self.assertIsNotNone(self.router.reach.locations.get(1))


class DataCallTests(RouterTestCase):
    """
    Data: text messages, positions and the like.
    """

    def preamble(self, peer: Peer, stream: int, **more: int) -> None:
        self.send(peer, 0, stream=stream, flags=DATA_SYNC | CSBK, **more)  # type: ignore[arg-type]
        self.advance(0.06)

    def test_oneCall(self) -> None:
        """
        MMDVM's preambles, header and blocks, each a stream of its own, are one data call.
        """
        a = self.peer(1)
        self.peer(2, {2: (91,)})
        for stream in (1, 2, 3):
            self.preamble(a, stream)
        self.send(a, 0, stream=4, flags=DATA_SYNC | DATA_HEADER)
        self.send(a, 1, stream=4, flags=DATA_SYNC | RATE_12)
        self.advance(3)
        self.assertEqual(len(self.heardBy(2)), 5)
        (ended,) = self.ended()
        self.assertEqual((ended.data, ended.frames, ended.reason), (True, 5, "silence"))

    def test_slotFreedSoon(self) -> None:
        """
        0.36 s after its last block a data call lets go of its slots, without hang time.
        """
        a, b = self.peer(1), self.peer(3)
        self.peer(2, {2: (91, 92)})
        self.preamble(a, 1)
        self.advance(0.4)
        self.call(b, 3, stream=9, destination=92, source=5)
        self.assertEqual(self.streamsHeardBy(2), [1, 9])

    def test_goesOn(self) -> None:
        """
        A data call that goes on within 2 s takes its slots again.
        """
        a = self.peer(1)
        self.peer(2, {2: (91,)})
        self.preamble(a, 1)
        self.advance(1.0)
        self.preamble(a, 2)
        self.assertEqual(self.streamsHeardBy(2), [1, 2])
        self.advance(3)
        self.assertEqual(len(self.ended()), 1)

    def test_waitsForNobody(self) -> None:
        """
        A data call that goes on while its listener hears another call leaves that alone.
        """
        a, b = self.peer(1), self.peer(3)
        self.peer(2, {2: (91, 92)})
        self.preamble(a, 1)
        self.advance(0.5)
        self.send(b, 0, stream=9, destination=92, source=5)
        self.preamble(a, 2)
        self.send(b, 1, stream=9, destination=92, source=5)
        self.assertEqual([frame.stream for _, frame in self.heardBy(2)], [1, 9, 9])

    def test_voiceAfterData(self) -> None:
        """
        Voice that follows data at once from the same radio is heard.
        """
        a = self.peer(1)
        self.peer(2, {2: (91,)})
        self.preamble(a, 1)
        self.call(a, 3, stream=2)
        self.assertEqual(self.streamsHeardBy(2), [1, 2])

    def test_replies(self) -> None:
        """
        Data to a radio finds it, and its answer finds the way back, hang time or not.
        """
        a, b = self.peer(1), self.peer(2)
        self.call(b, source=555, destination=92, stream=1)
        self.preamble(a, 2, source=444, destination=555, private=True)
        self.advance(0.5)
        self.preamble(b, 3, source=555, destination=444, private=True)
        self.assertEqual(self.streamsHeardBy(2), [2])
        self.assertEqual(self.streamsHeardBy(1), [3])

    def test_doesNotSubscribe(self) -> None:
        """
        Data to a talkgroup does not subscribe.
        """
        a = self.peer(1)
        self.preamble(a, 1)
        self.assertEqual(a.slot(2).dynamic, {})

    def test_noTerminatorMadeUp(self) -> None:
        """
        A data call ends without a made-up terminator.
        """
        a = self.peer(1)
        self.peer(2, {2: (91,)})
        self.preamble(a, 1)
        self.advance(10)
        self.assertEqual(len(self.heardBy(2)), 1)

    def test_streamsBounded(self) -> None:
        """
        A data call has one stream at a time, however many it has had.
        """
        a = self.peer(1)
        for stream in range(1, 500):
            self.send(a, 0, stream=stream, flags=DATA_SYNC | CSBK)
        self.assertEqual(len(self.router.calls), 1)
        self.advance(20)
        self.assertEqual(self.router.deadline(), float("inf"))
