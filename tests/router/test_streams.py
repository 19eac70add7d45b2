"""
Tests of L{bmff.router.router}: what becomes of the frames of one stream.
"""

from __future__ import annotations

from bmff.dmr.burst import decodeVoiceHeader, voiceHeader
from bmff.dmr.frame import (
    DATA_SYNC,
    TERMINATOR,
    VOICE_HEADER,
)
from bmff.dmr.lc import FullLinkControl
from bmff.router import remains
from tests.router.case import RecordingOutlet, RouterTestCase


class StreamTests(RouterTestCase):
    """
    What becomes of the frames of one stream.
    """

    def setUp(self) -> None:
        super().setUp()
        self.a = self.peer(1)
        self.b = self.peer(2, {2: (91,)})

    def sequences(self) -> list[int]:
        return [frame.sequence for _, frame in self.heardBy(2)]

    def test_duplicates(self) -> None:
        """
        A frame that comes twice is sent once, and counted.
        """
        for sequence in (0, 1, 1, 2, 2, 2):
            self.send(self.a, sequence)
        self.assertEqual(self.sequences(), [0, 1, 2])
        self.advance(3)
        self.assertEqual(self.ended()[0].duplicates, 3)

    def test_gaps(self) -> None:
        """
        Missing frames are counted, also where the number wraps.
        """
        for sequence in (250, 251, 254, 1):
            self.send(self.a, sequence)
        self.advance(3)
        self.assertEqual(self.ended()[0].lost, 4)

    def test_late(self) -> None:
        """
        A frame that comes after a later one is dropped and counted.
        """
        for sequence in (0, 2, 1, 3):
            self.send(self.a, sequence)
        self.assertEqual(self.sequences(), [0, 2, 3])
        self.advance(3)
        self.assertEqual(self.ended()[0].late, 1)

    def test_sequenceStartsAgain(self) -> None:
        """
        After a second of silence a sequence number may go back.
        """
        self.send(self.a, 200)
        self.advance(1.1)
        self.send(self.a, 10)
        self.assertEqual(self.sequences(), [200, 10])

    def test_afterTheEnd(self) -> None:
        """
        What comes of a stream after its terminator is ignored until it has been silent for 10 s.
        """
        self.call(self.a, 3)
        for _ in range(10):
            self.advance(5)
            self.send(self.a, 7)
        self.assertEqual(len(self.heardBy(2)), 3)
        self.advance(10.1)
        self.send(self.a, 8)
        self.assertEqual(len(self.heardBy(2)), 4)

    def test_terminatorLost(self) -> None:
        """
        A call that falls silent ends after 2 s with one made-up terminator that has the Link
        Control of its header.
        """
        lc = FullLinkControl(flco=0, fid=0x10, options=0x20, destination=91, source=2340001)
        self.send(self.a, 0, flags=DATA_SYNC | VOICE_HEADER, burst=voiceHeader(lc))
        self.send(self.a, 1)
        self.advance(1.9)
        self.assertEqual(self.sequences(), [0, 1])
        self.advance(0.2)
        self.assertEqual(self.sequences(), [0, 1, 2])
        last = self.heardBy(2)[-1][1]
        self.assertEqual(last.dataType, TERMINATOR)
        self.assertEqual(last.stream, 77)
        self.assertEqual(decodeVoiceHeader(last.burst), lc)
        self.assertEqual(self.ended()[0].reason, "silence")

    def test_terminatorOfALateEntry(self) -> None:
        """
        Without a readable header the made-up terminator says what the frames say.
        """
        self.send(self.a, 5)
        self.advance(2.1)
        lc = decodeVoiceHeader(self.heardBy(2)[-1][1].burst)
        self.assertEqual((lc.source, lc.destination), (2340001, 91))

    def test_talkLimit(self) -> None:
        """
        After 180 s listeners get a terminator and nothing more, however long it goes on.
        """
        for number in range(4000):
            self.send(self.a, number & 0xFF)
            self.advance(0.06)
        heard = self.heardBy(2)
        self.assertEqual(heard[-1][1].dataType, TERMINATOR)
        self.assertLess(abs(len(heard) * 0.06 - 180), 0.2)
        self.assertEqual([event.reason for event in self.ended()], ["talk limit"])

    def test_peerLost(self) -> None:
        """
        When the talker's hotspot is gone each listener gets a terminator.
        """
        self.send(self.a, 0)
        self.router.removePeer(self.a, self.now)
        self.assertEqual(self.heardBy(2)[-1][1].dataType, TERMINATOR)
        self.assertEqual(self.ended()[0].reason, "peer lost")
        self.assertIsNone(self.b.slot(2).call)

    def test_listenerLost(self) -> None:
        """
        When a listener is gone the call goes on for the others.
        """
        self.peer(3, {2: (91,)})
        self.send(self.a, 0)
        self.router.removePeer(self.b, self.now)
        self.send(self.a, 1)
        self.assertEqual(len(self.heardBy(2)), 1)
        self.assertEqual(len(self.heardBy(3)), 2)

    def test_listenerComes(self) -> None:
        """
        A peer that logs in during a call hears the rest of it.
        """
        self.send(self.a, 0)
        self.peer(3, {2: (91,)})
        self.send(self.a, 1)
        self.assertEqual([frame.sequence for _, frame in self.heardBy(3)], [1])

    def test_otherIngress(self) -> None:
        """
        A stream belongs to the peer that sent its first frame; copies from others are dropped.
        """
        other = self.peer(3)
        self.send(self.a, 0)
        self.send(other, 0)
        self.send(other, 1)
        self.send(self.a, 1)
        self.assertEqual(self.sequences(), [0, 1])
        self.assertEqual(self.router.dropped["stream of another ingress"], 2)

    def test_changedWithin(self) -> None:
        """
        Frames that change talkgroup, kind or slot within a stream are dropped.
        """
        self.send(self.a, 0)
        self.send(self.a, 1, destination=92)
        self.send(self.a, 1, private=True)
        self.send(self.a, 1, slot=1)
        self.assertEqual(self.sequences(), [0])
        self.assertEqual(self.router.dropped["changed within a stream"], 3)

    def test_inadmissible(self) -> None:
        """
        Streams that cannot be calls are ignored: ID 0, source 0, a lone terminator, idle bursts,
        unknown types.
        """
        self.send(self.a, 0, stream=0)
        self.send(self.a, 0, stream=1, source=0)
        self.send(self.a, 0, stream=2, flags=DATA_SYNC | TERMINATOR)
        self.send(self.a, 0, stream=3, flags=DATA_SYNC | 9)
        self.send(self.a, 0, stream=4, flags=DATA_SYNC | 13)
        self.send(self.a, 0, stream=5, flags=0x30)
        self.assertEqual(self.outlet.heard, [])
        self.assertEqual(self.router.calls, {})

    def test_remainsBounded(self) -> None:
        """
        However many streams a peer begins, what is remembered of them is bounded, and gone after
        a while.
        """
        for stream in range(1, remains.LARGEST + 500):
            self.send(self.a, 0, stream=stream, flags=DATA_SYNC | TERMINATOR)
        self.assertEqual(len(self.router._remains), remains.LARGEST)
        self.advance(11)
        self.assertEqual(len(self.router._remains), 0)
        self.assertEqual(self.router.deadline(), float("inf"))

    def test_nothingLeft(self) -> None:
        """
        When all is quiet nothing of a call is left.
        """
        self.call(self.a, 3)
        self.advance(1000)
        self.assertEqual(self.router.calls, {})
        self.assertEqual(self.router.deadline(), float("inf"))
        self.assertTrue(all(not sink.open for sink in self.outlet.sinks))

    def test_stop(self) -> None:
        """
        A router that stops ends its calls properly.
        """
        self.send(self.a, 0)
        self.router.stop(self.now)
        self.assertEqual(self.heardBy(2)[-1][1].dataType, TERMINATOR)
        self.assertEqual(self.ended()[0].reason, "stopped")

    def test_reroute(self) -> None:
        """
        A listener whose way changes in mid-call hears on without a gap.
        """
        other = RecordingOutlet()
        self.send(self.a, 0)
        self.router.reroutePeer(self.b, lambda: setattr(self.b, "outlet", other))
        self.send(self.a, 1)
        self.assertEqual(self.sequences(), [0])
        self.assertEqual([frame.sequence for _, _, frame in other.heard], [1])
