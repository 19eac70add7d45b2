"""
Tests of L{bmff.wire.fastforward.control}: both halves wired together by a wire that is bad.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bmff.wire.fastforward.control import (
    FIRST_REPEAT,
    IN_FLIGHT,
    LARGEST_MESSAGE,
    LARGEST_QUEUE,
    SEGMENT_SIZE,
    SLOWEST_REPEAT,
    ControlReceiver,
    ControlSender,
    Full,
)
from bmff.wire.fastforward.messages import Acknowledgement, Segment

ROW = 7


def begun() -> ControlReceiver:
    """
    A receiver that knows its row.
    """
    receiver = ControlReceiver()
    receiver.begin(Segment(ROW, 0, 1, True, b""), 0)
    return receiver


class BadWire:
    """
    Carries segments one way and acknowledgements the other, by a seed: some are lost, some come
    twice, all take a while that differs.

    @ivar received: the control messages that were whole at the far end, in order.
    """

    def __init__(self, seed: int, loss: float, doubles: float, jitter: float) -> None:
        self.sender = ControlSender(ROW)
        self.receiver = ControlReceiver()
        self.received: list[bytes] = []
        self.now = 0.0
        self._random = Random(seed)
        self._loss, self._doubles, self._jitter = loss, doubles, jitter
        self._way: list[tuple[float, Segment | Acknowledgement]] = []

    def _carry(self, message: Segment | Acknowledgement) -> None:
        for _ in range(2 if self._random.random() < self._doubles else 1):
            if self._random.random() >= self._loss:
                at = self.now + 0.01 + self._jitter * self._random.random()
                self._way.append((at, message))

    def run(self, seconds: float) -> None:
        """
        Let time pass in steps of 10 ms.
        """
        end = self.now + seconds
        while self.now < end:
            self.now += 0.01
            for segment in self.sender.outgoing(self.now, 0.02):
                self._carry(segment)
            due = [one for one in self._way if one[0] <= self.now]
            self._way = [one for one in self._way if one[0] > self.now]
            for _, message in due:
                if isinstance(message, Segment):
                    self.receiver.begin(message, 0)
                    self.received += self.receiver.segmentReceived(message)
                else:
                    self.sender.acknowledged(message.name, message.number)
            if self.receiver.due:
                self._carry(self.receiver.acknowledgement())


class ControlTests(SynchronousTestCase):
    """
    Control messages arrive whole, once, in order.
    """

    def test_badWires(self) -> None:
        """
        With 20 % loss, 20 % doubles and reordering, for 20 seeds, each of 60 messages of up to
        9,000 bytes arrives whole, once and in order.
        """
        for seed in range(20):
            wire = BadWire(seed, 0.2, 0.2, 0.05)
            random = Random(seed)
            sent = [random.randbytes(random.choice((1, 40, 1100, 1101, 9000))) for _ in range(60)]
            for message in sent:
                wire.sender.send(message)
            wire.run(120)
            self.assertEqual(wire.received, sent)
            self.assertEqual(wire.sender.queued, 0)
            self.assertGreater(wire.sender.repeated, 0)

    def test_goodWire(self) -> None:
        """
        On a wire that loses nothing, nothing is repeated.
        """
        wire = BadWire(1, 0.0, 0.0, 0.0)
        for number in range(100):
            wire.sender.send(b"%d" % number)
        wire.run(2)
        self.assertEqual(wire.received, [b"%d" % number for number in range(100)])
        self.assertEqual(wire.sender.repeated, 0)

    def test_window(self) -> None:
        """
        At most 32 segments are under way; the next goes when the first is acknowledged.
        """
        sender = ControlSender(ROW)
        sender.send(bytes(60_000))
        self.assertEqual(len(sender.outgoing(0.0, 0.0)), IN_FLIGHT)
        self.assertEqual(sender.outgoing(0.1, 0.0), [])
        sender.acknowledged(ROW, 2)
        self.assertEqual([each.number for each in sender.outgoing(0.1, 0.0)], [33, 34])

    def test_full(self) -> None:
        """
        When 256 KiB wait the next message is refused, and nothing of it is queued.
        """
        sender = ControlSender(ROW)
        for _ in range(LARGEST_QUEUE // LARGEST_MESSAGE):
            sender.send(bytes(LARGEST_MESSAGE))
        self.assertEqual(sender.queued, LARGEST_QUEUE)
        with self.assertRaises(Full):
            sender.send(b"x")
        self.assertEqual(sender.queued, LARGEST_QUEUE)
        sender.outgoing(0.0, 0.0)
        sender.acknowledged(ROW, 1)
        sender.send(bytes(SEGMENT_SIZE))

    def test_tooLarge(self) -> None:
        """
        A message of more than 65,536 bytes is refused where it is sent.
        """
        with self.assertRaises(Full):
            ControlSender(ROW).send(bytes(LARGEST_MESSAGE + 1))

    def test_tooLargeReceived(self) -> None:
        """
        One that comes all the same is passed over to its end, and the next one is received.
        """
        receiver = begun()
        count = LARGEST_MESSAGE // SEGMENT_SIZE + 10
        whole = []
        for number in range(1, count + 1):
            segment = Segment(ROW, 0, number, number == count, bytes(SEGMENT_SIZE))
            whole += receiver.segmentReceived(segment)
        whole += receiver.segmentReceived(Segment(ROW, 0, count + 1, True, b"next"))
        self.assertEqual((whole, receiver.refused), ([b"next"], 1))

    def test_repeats(self) -> None:
        """
        What is not acknowledged is repeated after 0.2 s, 0.4 s and so on up to every 5 s.
        """
        sender = ControlSender(ROW)
        sender.send(b"message")
        sender.outgoing(0.0, 0.0)
        times = [0.0]
        while len(times) < 9:
            now = sender.deadline()
            self.assertEqual(sender.outgoing(now - 0.001, 0.0), [])
            self.assertEqual(len(sender.outgoing(now, 0.0)), 1)
            times.append(now)
        pauses = [round(b - a, 3) for a, b in pairwise(times)]
        self.assertEqual(pauses, [FIRST_REPEAT, 0.4, 0.8, 1.6, 3.2, *[SLOWEST_REPEAT] * 3])

    def test_repeatsApart(self) -> None:
        """
        However many segments are due one after the other, each has its own pauses.
        """
        sender = ControlSender(ROW)
        for number in range(20):
            sender.send(b"message")
            sender.outgoing(number * 0.01, 0.0)
        for number in range(20):
            (segment,) = sender.outgoing(FIRST_REPEAT + number * 0.01 + 0.001, 0.0)
            self.assertEqual(segment.number, number + 1)
        self.assertLess(sender.deadline(), 3 * FIRST_REPEAT + 0.002)

    def test_slowWire(self) -> None:
        """
        On a long way nothing is repeated before two round trips.
        """
        sender = ControlSender(ROW)
        sender.send(b"message")
        sender.outgoing(0.0, 0.6)
        self.assertEqual(sender.deadline(), 1.2)

    def test_pathChanged(self) -> None:
        """
        After a change of path all that is under way goes again at once.
        """
        sender = ControlSender(ROW)
        for _ in range(3):
            sender.send(b"message")
        first = sender.outgoing(0.0, 0.0)
        sender.pathChanged()
        self.assertLess(sender.deadline(), 0.0)
        self.assertEqual(sender.outgoing(0.01, 0.0), first)
        self.assertEqual(sender.outgoing(0.02, 0.0), [])

    def test_strayNumbers(self) -> None:
        """
        Segments from before and from far ahead are passed over, acknowledgements of what was
        never sent change nothing.
        """
        receiver = begun()
        self.assertEqual(receiver.segmentReceived(Segment(ROW, 0, 1, True, b"a")), [b"a"])
        for number in (0, 1, IN_FLIGHT + 2, 2**32 - 1):
            self.assertEqual(receiver.segmentReceived(Segment(ROW, 0, number, True, b"b")), [])
        self.assertEqual(receiver.acknowledgement(), Acknowledgement(ROW, 1))
        sender = ControlSender(ROW)
        sender.acknowledged(ROW, 2**32 - 1)
        sender.send(b"c")
        self.assertEqual([each.data for each in sender.outgoing(0.0, 0.0)], [b"c"])


class RowTests(SynchronousTestCase):
    """
    A link that one end has begun anew while the other still has it.
    """

    def setUp(self) -> None:
        self.sender, self.receiver = ControlSender(100), ControlReceiver()
        self.other, self.otherReceiver = ControlSender(200), ControlReceiver()

    def carry(
        self,
        sender: ControlSender,
        mine: ControlReceiver,
        other: ControlSender,
        at: ControlReceiver,
    ) -> list[bytes]:
        """
        Bring what one end sends to the other, and the acknowledgement back.
        """
        whole: list[bytes] = []
        for segment in sender.outgoing(0.0, 0.0, mine.name):
            if at.begin(segment, other.name):
                other.restart()
                other.send(b"all anew")
            whole += at.segmentReceived(segment)
        acknowledged = at.acknowledgement()
        sender.acknowledged(acknowledged.name, acknowledged.number)
        return whole

    def there(self) -> list[bytes]:
        return self.carry(self.sender, self.receiver, self.other, self.otherReceiver)

    def back(self) -> list[bytes]:
        return self.carry(self.other, self.otherReceiver, self.sender, self.receiver)

    def test_begunAnew(self) -> None:
        """
        The end that had the link all along takes the new row from its first number, begins a row
        of its own and tells everything again; neither begins a third.
        """
        for number in range(5):
            self.sender.send(b"%d" % number)
            self.other.send(b"%d" % number)
            self.there()
            self.back()
        self.sender, self.receiver = ControlSender(101), ControlReceiver()
        self.sender.send(b"new")
        self.assertEqual(self.there(), [b"new"])
        self.assertEqual(self.back(), [b"all anew"])
        names = (self.sender.name, self.other.name)
        for _ in range(3):
            self.sender.send(b"there")
            self.other.send(b"back")
            self.assertEqual((self.there(), self.back()), ([b"there"], [b"back"]))
        self.assertEqual((self.sender.name, self.other.name), names)
        self.assertEqual((self.sender.queued, self.other.queued), (0, 0))

    def test_oldRow(self) -> None:
        """
        Segments and acknowledgements of a row that is over have no effect.
        """
        self.sender.send(b"old")
        (stale,) = self.sender.outgoing(0.0, 0.0, 200)
        self.there()
        self.other.restart()
        self.assertFalse(self.otherReceiver.begin(replace(stale, name=99), self.other.name))
        self.assertEqual(self.otherReceiver.segmentReceived(replace(stale, name=99)), [])
        self.other.send(b"kept")
        self.other.outgoing(0.0, 0.0)
        self.other.acknowledged(200, 5)
        self.assertEqual(self.other.queued, 4)
