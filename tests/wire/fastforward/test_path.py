"""
Tests of L{bmff.wire.fastforward.path}: two paths on wires that hold, lose or refuse packets.
"""

from __future__ import annotations

from itertools import islice
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import TERMINATOR, VOICE_SYNC, Frame
from bmff.dmr.voice import voiceCall
from bmff.testing.mutation import mutations
from bmff.wire.fastforward.messages import (
    Acknowledgement,
    Answer,
    Challenge,
    Measurement,
    Message,
    Segment,
)
from bmff.wire.fastforward.path import (
    BUSY,
    IDLE,
    LARGEST_PACKET,
    Path,
    Traits,
)
from bmff.wire.fastforward.pulse import PROBE, PROBES
from bmff.wire.fastforward.session import LIFETIME, READ_AFTER, Session
from bmff.wire.fastforward.sessions import MOST_OLD
from bmff.wire.fastforward.waiting import LONGEST_WAIT, MOST_WAITING

UDP = Traits("udp", reliable=False, trusted=False)
TCP = Traits("tcp", reliable=True, trusted=False)


class Recorder:
    """
    The owner of a path: remembers what comes, answers challenges as a link does.
    """

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.framesAt: list[float] = []
        self.messages: list[Message] = []
        self.measurements: list[Measurement] = []
        self.heardOn: Path | None = None
        self.gaps: list[float] = []
        self.path: Path | None = None

    def frameReceived(self, index: int, frame: Frame, now: float) -> None:
        self.frames.append(frame)
        self.framesAt.append(now)

    def messageReceived(self, path: Path, message: Message, now: float) -> None:
        self.messages.append(message)
        if isinstance(message, Challenge):
            path.sendMessage(Answer(message.value))

    def measured(self, path: Path, measurement: Measurement, now: float) -> None:
        self.measurements.append(measurement)

    def pathHeard(self, path: Path, now: float) -> None:
        self.heardOn = path

    def pathAwake(self, path: Path) -> None:
        pass

    def gapOpened(self, until: float) -> None:
        self.gaps.append(until)

    def restAsked(self, until: float) -> None:
        pass

    def gapsClosed(self, now: float) -> None:
        self.gaps.clear()

    def sessionNamed(self, index: int) -> Session | None:
        assert self.path is not None
        return next((each for each in self.path.sessions if each.localIndex == index), None)

    def makeMeasurement(self, path: Path, now: float) -> Measurement:
        return path.measurement(now, 1500, 20, (1, 2), (path.remote, "udp"))


class End:
    """
    One end of a path on a wire that can be full.

    @ivar full: whether the wire refuses packets.
    @ivar out: what it took, not yet carried.
    """

    def __init__(self, traits: Traits) -> None:
        self.owner = Recorder()
        self.out: list[bytes] = []
        self.full = False
        self.path = Path(self.owner, traits, "192.0.2.9:54000", self._send, 0.0)
        self.owner.path = self.path

    def _send(self, data: bytes) -> bool:
        if self.full:
            return False
        self.out.append(data)
        return True


class PathTestCase(SynchronousTestCase):
    """
    Two ends with a session.
    """

    traits = UDP

    def setUp(self) -> None:
        self.now = 0.0
        self.here, self.there = End(self.traits), End(self.traits)
        self._index = 0
        self.rekey()
        self.carry()
        self.assertIsNotNone(self.there.path.session)

    def rekey(self) -> tuple[Session, Session]:
        """
        A new session that the near end has begun; the far one has not heard of it yet.
        """
        self._index += 1
        one, other = bytes((self._index,)) * 32, bytes((self._index + 100,)) * 32
        near, far = 1000 + self._index, 2000 + self._index
        mine = Session(one, other, near, far, initiator=True, now=self.now)
        theirs = Session(other, one, far, near, initiator=False, now=self.now)
        self.there.path.expectSession(theirs)
        self.here.path.useSession(mine, self.now)
        return mine, theirs

    def carry(self) -> None:
        """
        Bring to each end what the other has sent.
        """
        while self.here.out or self.there.out:
            for sender, receiver in ((self.here, self.there), (self.there, self.here)):
                packets, sender.out = sender.out, []
                for packet in packets:
                    receiver.path.packetReceived(packet, self.now)
                receiver.path.flush(self.now)

    def frames(self, count: int, stream: int = 7) -> list[Frame]:
        """
        The first frames of a call.
        """
        call = voiceCall(source=5, destination=91, stream=stream, superframes=count // 6 + 1)
        return list(islice(call, count))

    def heard(self, end: End) -> list[bytes]:
        return [frame.body for frame in end.owner.frames]


class BatchTests(PathTestCase):
    """
    What goes into one packet.
    """

    def test_oneTurn(self) -> None:
        """
        All frames and messages of a turn leave in one packet under one seal, in their order.
        """
        session = self.here.path.session
        assert session is not None
        before = session.sent
        frames = self.frames(10)
        for index, frame in enumerate(frames):
            self.here.path.sendFrame(index, frame)
            self.here.path.sendMessage(Acknowledgement(7, index))
        self.here.path.flush(self.now)
        self.assertEqual((session.sent - before, len(self.here.out)), (1, 1))
        self.carry()
        self.assertEqual(self.heard(self.there), [frame.body for frame in frames])
        self.assertEqual(
            self.there.owner.messages, [Acknowledgement(7, each) for each in range(10)]
        )

    def test_nothing(self) -> None:
        """
        A turn that has nothing to send sends nothing.
        """
        self.here.path.flush(self.now)
        self.assertEqual(self.here.out, [])

    def test_split(self) -> None:
        """
        What does not fit leaves in several packets of at most 1400 bytes, in order and whole.
        """
        sent: list[Message] = []
        for number, frame in enumerate(self.frames(120)):
            self.here.path.sendFrame(number, frame)
            if number % 30 == 0:
                sent.append(Segment(7, 8, number, True, bytes(1100)))
                self.here.path.sendMessage(sent[-1])
        self.here.path.flush(self.now)
        self.assertLessEqual(max(map(len, self.here.out)), LARGEST_PACKET)
        self.assertLessEqual(len(self.here.out), 10)
        self.carry()
        self.assertEqual([frame.sequence for frame in self.there.owner.frames], [*range(120)])
        self.assertEqual(self.there.owner.messages, sent)

    def test_busyBehindOthers(self) -> None:
        """
        A packet counts as one with frames wherever in it they are.
        """
        self.assertFalse(self.here.path.isBusy(self.now))
        self.here.path.sendMessage(Acknowledgement(7, 1))
        self.here.path.sendFrame(0, self.frames(1)[0])
        self.here.path.flush(self.now)
        self.assertTrue(self.here.path.isBusy(self.now))
        self.assertEqual(self.here.path.framePackets, 1)

    def test_lostOnDatagrams(self) -> None:
        """
        On datagrams what the kernel refuses is lost, counted, and holds up nothing.
        """
        _, first, second = self.frames(3)
        self.here.full = True
        self.here.path.sendFrame(1, first)
        self.here.path.flush(self.now)
        self.here.full = False
        self.here.path.sendFrame(2, second)
        self.here.path.flush(self.now)
        self.carry()
        self.assertEqual(self.heard(self.there), [second.body])
        self.assertEqual(self.here.path.framesDropped, 1)


class FullTests(PathTestCase):
    """
    A reliable transport that takes no more for a while.
    """

    traits = TCP

    def send(self, frames: list[Frame], pitch: float) -> None:
        for index, frame in enumerate(frames):
            self.here.path.sendFrame(index, frame)
            self.here.path.flush(self.now)
            self.now += pitch

    def relieve(self) -> None:
        self.here.full = False
        self.here.path.writable(self.now)
        self.carry()

    def test_oldestDropped(self) -> None:
        """
        At most 64 frames wait; the oldest are dropped first, and counted.
        """
        frames = self.frames(100)
        self.here.full = True
        self.send(frames, 0.0)
        self.relieve()
        self.assertEqual(self.heard(self.there), [frame.body for frame in frames[36:]])
        self.assertEqual(self.here.path.framesDropped, 100 - MOST_WAITING)

    def test_longestWait(self) -> None:
        """
        No frame waits longer than 120 ms.
        """
        frames = self.frames(10)
        self.here.full = True
        self.send(frames, 0.06)
        self.now -= 0.06
        self.relieve()
        self.assertEqual(self.heard(self.there), [frame.body for frame in frames[7:]])
        self.assertEqual(self.here.path.framesDropped, 7)

    def test_refusedAgain(self) -> None:
        """
        A transport that refuses again does not make a frame wait longer.
        """
        self.here.full = True
        self.send(self.frames(1), 0.1)
        self.here.path.writable(self.now)
        self.now += 0.1
        self.relieve()
        self.assertEqual(self.heard(self.there), [])
        self.assertEqual(self.here.path.framesDropped, 1)

    def test_terminators(self) -> None:
        """
        The end of a call is kept when its middle is dropped, and comes after what came before it.
        """
        self.here.full = True
        for stream in range(1, 6):
            frames = list(voiceCall(source=5, destination=91, stream=stream, superframes=3))
            self.send(frames, 0.0)
        self.now += LONGEST_WAIT + 0.1
        self.send(self.frames(2, stream=9), 0.0)
        self.relieve()
        heard = [(frame.stream, frame.dataType) for frame in self.there.owner.frames]
        ends = [(stream, TERMINATOR) for stream in range(1, 6)]
        self.assertEqual(heard, [*ends, (9, 1), (9, None)])
        self.assertEqual(self.here.path.framesDropped, 95)

    def test_bounded(self) -> None:
        """
        A transport that stays full while calls begin and end, measurements fall due and control
        is repeated leaves no more waiting than some hundred messages.
        """
        self.here.full = True
        for stream in range(1, 500):
            frames = list(voiceCall(source=5, destination=91, stream=stream, superframes=1))
            self.send(frames, 0.02)
            self.here.path.pulse.heard = self.now  # the other end talks all the time
            self.here.path.timeout(self.now)
        self.relieve()
        self.assertLessEqual(len(self.there.owner.frames), 2 * MOST_WAITING)
        self.assertLessEqual(len(self.there.owner.measurements), 3)

    def test_controlWaits(self) -> None:
        """
        What is not voice waits as long as it takes.
        """
        self.here.full = True
        self.here.path.sendMessage(Segment(7, 8, 1, True, b"interest"))
        self.here.path.flush(self.now)
        self.now += 60
        self.relieve()
        self.assertEqual(self.there.owner.messages, [Segment(7, 8, 1, True, b"interest")])


class RekeyTests(PathTestCase):
    """
    Sessions follow one another within a call.
    """

    def test_withinACall(self) -> None:
        """
        When sessions change 5 times in a call nothing is lost, though the packets of each turn
        arrive 3 turns late, and in reverse. Some come twice, which the link sorts out.
        """
        frames = self.frames(86)
        late: list[tuple[End, bytes]] = []
        for index, frame in enumerate(frames):
            self.now += 0.06
            if index % 15 == 10:
                self.rekey()
            for end in (self.here, self.there):
                end.path.sendFrame(index, frame)
                end.path.flush(self.now)
            late += [(self.there, packet) for packet in self.here.out]
            late += [(self.here, packet) for packet in self.there.out]
            self.here.out, self.there.out = [], []
            if index % 3 == 2:
                for end, packet in reversed(late):
                    end.path.packetReceived(packet, self.now)
                late = []
        for end, packet in late:
            end.path.packetReceived(packet, self.now)
        for end in (self.here, self.there):
            self.assertEqual({frame.sequence for frame in end.owner.frames}, {*range(86)})
            self.assertEqual(sum(end.path.dropped.values()), 0)

    def test_firstPacket(self) -> None:
        """
        The end that has not begun a session uses it from its first packet on, not before.
        """
        before = self.there.path.session
        mine, theirs = self.rekey()
        self.assertIs(self.here.path.session, mine)
        self.assertIs(self.there.path.session, before)
        self.carry()
        self.assertIs(self.there.path.session, theirs)

    def test_bothAtOnce(self) -> None:
        """
        A session that was expected when another was begun is read for a while.
        """
        one, other = b"x" * 32, b"y" * 32
        expected = Session(one, other, 7, 8, initiator=False, now=0.0)
        far = Session(other, one, 8, 7, initiator=True, now=0.0)
        self.here.path.expectSession(expected)
        self.rekey()
        self.here.path.packetReceived(far.seal(bytes(4) + Acknowledgement(7, 5).encode()), self.now)
        self.assertEqual(self.here.owner.messages, [Acknowledgement(7, 5)])

    def test_oldOnes(self) -> None:
        """
        A session that was replaced is read for 10 s, and never more than a few of them.
        """
        old = self.there.path.session
        assert old is not None
        self.rekey()
        self.carry()
        early, late = (old.seal(bytes(4) + Acknowledgement(7, n).encode()) for n in (1, 2))
        self.now += READ_AFTER - 0.1
        self.here.path.packetReceived(early, self.now)
        self.now += 0.1
        self.here.path.packetReceived(late, self.now)
        self.assertEqual(self.here.owner.messages, [Acknowledgement(7, 1)])
        self.assertEqual(self.here.path.dropped["unknown session"], 1)
        for _ in range(20):
            self.rekey()
            self.carry()
        self.assertLessEqual(len(self.here.path.indexes), MOST_OLD + 1)

    def test_tooOld(self) -> None:
        """
        Under keys of 180 s nothing leaves; what has waited leaves with the next session, in order.
        """
        self.now += LIFETIME
        self.here.out.clear()
        first, second = self.frames(2)
        self.here.path.sendFrame(0, first)
        self.here.path.flush(self.now)
        self.assertEqual(self.here.out, [])
        self.rekey()
        self.here.path.sendFrame(1, second)
        self.here.path.flush(self.now)
        self.carry()
        self.assertEqual(self.heard(self.there), [first.body, second.body])


class MeasurementTests(PathTestCase):
    """
    What the ends tell each other of the path.
    """

    def setUp(self) -> None:
        super().setUp()
        self._random = Random(1)
        self._way: list[tuple[float, End, bytes]] = []

    def near(self, value: float | None, expected: float, tolerance: float) -> None:
        """
        A value is about what it ought to be.
        """
        assert value is not None
        self.assertLessEqual(abs(value - expected), tolerance)

    def elapse(self, seconds: float, latency: float, loss: float = 0.0) -> None:
        """
        Let time pass in steps of 10 ms on a wire that takes a while and loses some.
        """
        end = self.now + seconds
        while self.now < end:
            self.now = round(self.now + 0.01, 2)
            session = self.here.path.session
            if session is not None and session.wantsRekey(self.now):
                self.rekey()
            for sender, receiver in ((self.here, self.there), (self.there, self.here)):
                if self.now >= sender.path.deadline():
                    self.assertTrue(sender.path.timeout(self.now))
                for packet in sender.out:
                    if self._random.random() >= loss:
                        self._way.append((self.now + latency, receiver, packet))
                sender.out.clear()
            due = [each for each in self._way if each[0] <= self.now]
            self._way = [each for each in self._way if each[0] > self.now]
            for _, receiver, packet in due:
                receiver.path.packetReceived(packet, self.now)
                receiver.path.flush(self.now)

    def test_roundTrip(self) -> None:
        """
        The round trip is measured without the time that the other end held the measurement for.
        """
        self.assertIsNone(self.here.path.quality.roundTrip)
        self.elapse(10, 0.04)
        for end in (self.here, self.there):
            self.near(end.path.quality.roundTrip, 0.08, 0.011)

    def test_loss(self) -> None:
        """
        The share of packets that are lost is found, about; without loss it is none.
        """
        self.elapse(10, 0.02)
        self.assertEqual(self.here.path.quality.loss, 0.0)
        for _ in range(600):
            for number, frame in enumerate(self.frames(6)):
                self.here.path.sendFrame(number, frame)
                self.here.path.flush(self.now)
            self.elapse(0.36, 0.02, loss=0.1)
        self.assertGreater(self.here.path.quality.loss, 0.02)
        self.assertLess(self.here.path.quality.loss, 0.25)

    def test_interval(self) -> None:
        """
        A measurement leaves every second, and four a second while calls are on.
        """
        self.elapse(3, 0.01)
        before = len(self.there.owner.measurements)
        self.elapse(10, 0.01)
        self.near(len(self.there.owner.measurements) - before, 10 / IDLE, 1)
        before = len(self.there.owner.measurements)
        for number, frame in enumerate(self.frames(1000)):
            self.here.path.sendFrame(number, frame)
            self.here.path.flush(self.now)
            self.elapse(0.009, 0.01)
        self.near(len(self.there.owner.measurements) - before, 10 / BUSY, 4)
        self.assertEqual(self.there.path.quality.remoteLag, 0.0015)

    def test_silence(self) -> None:
        """
        When a path with frames on it falls silent a measurement leaves 20 ms later, once, and
        tells how many packets there were.
        """
        self.elapse(3, 0.0)
        self.here.path.sendFrame(1, self.frames(2)[1])
        self.here.path.flush(self.now)
        self.carry()
        before = len(self.there.owner.measurements)
        self.elapse(0.04, 0.0)
        self.assertEqual(len(self.there.owner.measurements), before + 1)
        self.elapse(0.16, 0.0)
        self.assertEqual(len(self.there.owner.measurements), before + 1)

    def test_lossKillsNothing(self) -> None:
        """
        With 5 % loss each way an idle path lives through an hour.
        """
        self.elapse(3600, 0.02, loss=0.05)
        self.assertGreater(len(self.there.owner.measurements), 3200)

    def silence(self) -> float:
        """
        How long after the last packet a path is found dead, seconds.
        """
        heard = self.here.path.heard
        probes = 0
        while True:
            self.now = max(self.here.path.deadline(), self.now)
            if not self.here.path.timeout(self.now):
                return self.now - heard
            for packet in self.here.out:
                self.there.path.packetReceived(packet, self.now)
            self.here.out.clear()
            probes = sum(message == PROBE for message in self.there.owner.messages)
            self.assertLessEqual(probes, PROBES)

    def test_idleDies(self) -> None:
        """
        An idle path is dead 3.2 s after the last packet, when no probe was answered.
        """
        self.elapse(5, 0.01)
        self.near(self.silence(), 3.2, 0.03)
        self.assertEqual(self.there.owner.messages.count(PROBE), PROBES)

    def test_busyDies(self) -> None:
        """
        A path with a call on it is dead 1.16 s after the last packet, when no probe was answered.
        """
        self.elapse(5, 0.01)
        self.there.path.measure(self.now)
        self.carry()
        self.here.path.sendFrame(0, self.frames(1)[0])
        self.here.path.flush(self.now)
        self.near(self.silence(), 1.16, 0.03)

    def test_beginsDead(self) -> None:
        """
        That an idle path is dead is found within 0.6 s after a call has begun on it.
        """
        self.elapse(5, 0.01)
        begun = self.now = self.here.path.heard + 1.0
        self.here.path.sendFrame(0, self.frames(1)[0])
        self.here.path.flush(begun)
        self.silence()
        self.near(self.now - begun, 0.56, 0.03)

    def test_answered(self) -> None:
        """
        A probe that is answered proves that the path lives.
        """
        self.now = self.here.path.heard + 3.0
        self.here.out.clear()
        self.assertTrue(self.here.path.timeout(self.now))
        self.carry()
        self.assertEqual(self.here.path.heard, self.now)
        self.assertGreater(self.here.path.deadline(), self.now)

    def test_stalled(self) -> None:
        """
        Who has not looked for a while waits anew before it finds a path dead.
        """
        self.now += 10.0
        self.here.path.stalled(self.now)
        self.assertTrue(self.here.path.timeout(self.now))
        self.assertEqual(self.here.path.heard, self.now)


class HostilePathTests(PathTestCase):
    """
    Packets that nobody should send.
    """

    def test_mutations(self) -> None:
        """
        Of the mutations of a path's packets none is taken, and a call that goes on is whole.
        """
        frame = Frame.make(
            sequence=0, source=5, destination=91, flags=VOICE_SYNC, stream=3, burst=bytes(33)
        )
        self.here.path.sendMessage(Segment(7, 8, 1, True, b"interest"))
        for index in range(8):
            self.here.path.sendFrame(index, frame)
            self.here.path.flush(self.now)
        recorded = list(self.here.out)
        self.carry()
        taken, expected = self.there.path.packetsReceived, len(self.there.owner.frames)
        for number, data in enumerate(mutations(8, recorded)):
            self.there.path.packetReceived(data, self.now)
            if number % 500 == 0:
                self.now += 0.06
                self.here.path.sendFrame(number // 500, frame)
                self.here.path.flush(self.now)
                self.carry()
                taken, expected = taken + 1, expected + 1
        self.assertEqual(self.there.path.packetsReceived, taken)
        self.assertEqual(len(self.there.owner.frames), expected)
        self.assertLessEqual(len(self.there.path.dropped), 6)

    def test_malformedInside(self) -> None:
        """
        An authentic packet with malformed messages is counted, what stands before them is taken.
        """
        session = self.here.path.session
        assert session is not None
        good = Acknowledgement(7, 1).encode()
        for bad in (b"\x01short", b"\x02\xff\xff", b"\x03\x00\x01x", b"\x04", b"\x05\x00\x00"):
            packet = session.seal(bytes(4) + good + bad)
            self.there.path.packetReceived(packet, self.now)
        self.assertEqual(self.there.owner.messages, [Acknowledgement(7, 1)] * 5)
        self.assertEqual(sum(self.there.path.dropped.values()), 5)

    def test_mutatedInside(self) -> None:
        """
        Authentic packets with mutated messages inside raise nothing.
        """
        session = self.here.path.session
        assert session is not None
        whole = (
            bytes(4) + Acknowledgement(7, 1).encode() + Segment(7, 8, 2, False, b"x" * 20).encode()
        )
        others = [whole, bytes(4) + self.here.path.measurement(0, 0, 0, (0, 0), ("", "")).encode()]
        for data in mutations(9, others, 20_000):
            self.there.path.packetReceived(session.seal(data), self.now)
        self.assertGreater(len(self.there.owner.messages), 100)
        self.assertGreater(sum(self.there.path.dropped.values()), 100)
