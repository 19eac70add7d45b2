"""
Tests of L{bmff.protocols.alarm}.
"""

from __future__ import annotations

from math import inf
from random import Random

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bmff.protocols.alarm import Alarm

TICK = 0.5  # seconds


class Machine:
    """
    Wants to be woken at its deadline.

    @ivar due: the deadline.
    @ivar rung: when it was woken.
    @ivar following: the deadlines that it has after each time.
    """

    def __init__(self) -> None:
        self.due = inf
        self.rung: list[float] = []
        self.following: list[float] = []

    def deadline(self) -> float:
        return self.due

    def ring(self, now: float) -> None:
        self.rung.append(now)
        if now >= self.due:
            self.due = self.following.pop(0) if self.following else inf


class Faulty(Exception):
    """
    What a machine raises.
    """


class AlarmTests(SynchronousTestCase):
    """
    A machine and its alarm.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.machine = Machine()
        self.alarm = Alarm(self.clock, self.machine.deadline, self.machine.ring, TICK)

    def arm(self, due: float) -> None:
        """
        The machine has a deadline now.
        """
        self.machine.due = due
        self.alarm.rearm()

    def call(self) -> IDelayedCall:
        """
        The one delayed call that there is.
        """
        (call,) = self.clock.getDelayedCalls()
        return call

    def test_never(self) -> None:
        """
        A machine without a deadline costs no delayed call.
        """
        self.alarm.rearm()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_rings(self) -> None:
        """
        It rings at the deadline, with the time, and not again.
        """
        self.arm(10.0)
        self.clock.advance(9.9)
        self.assertEqual(self.machine.rung, [])
        self.clock.advance(0.1)
        self.assertEqual(self.machine.rung, [10.0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nextDeadline(self) -> None:
        """
        After it has rung it is armed for the deadline that the machine has then.
        """
        self.machine.following = [12.0, 15.0]
        self.arm(10.0)
        self.clock.pump([0.25] * 80)
        self.assertEqual(self.machine.rung, [10.0, 12.0, 15.0])

    def test_laterDeadline(self) -> None:
        """
        A deadline that moves later leaves the delayed call alone: it rings once in vain, and then
        at the deadline.
        """
        self.arm(10.0)
        call = self.call()
        for due in range(11, 31):
            self.arm(float(due))
            self.assertIs(self.call(), call)
            self.assertEqual(call.getTime(), 10.0)
        self.clock.pump([0.25] * 160)
        self.assertEqual(self.machine.rung, [10.0, 30.0])

    def test_earlierDeadline(self) -> None:
        """
        A deadline that moves earlier moves the one delayed call.
        """
        self.arm(10.0)
        self.arm(5.0)
        self.assertEqual(self.call().getTime(), 5.0)
        self.clock.advance(5.0)
        self.assertEqual(self.machine.rung, [5.0])

    def test_tick(self) -> None:
        """
        A machine whose deadline is always over is woken once a tick, not in a loop.
        """
        self.machine.following = [0.0] * 100
        self.arm(0.0)
        self.clock.pump([TICK / 4] * 40)
        self.assertEqual(self.machine.rung, [TICK * number for number in range(1, 11)])

    def test_notPutOff(self) -> None:
        """
        A deadline that becomes earlier and earlier never puts the ringing off.
        """
        for number in range(100):
            self.arm(-float(number))
            self.clock.advance(TICK / 10)
        self.assertGreaterEqual(len(self.machine.rung), 9)

    def test_neverPast(self) -> None:
        """
        However deadlines move, a machine is woken a tick after its deadline at the latest.
        """
        step = TICK / 8
        random = Random(1)
        latest = inf
        for _ in range(20_000):
            if random.random() < 0.3:
                now = self.clock.seconds()
                self.arm(inf if random.random() < 0.2 else now + random.uniform(-1.0, 3.0))
                latest = max(self.machine.due, now) + TICK
            self.clock.advance(step)
            if self.machine.due == inf:  # by its own doing it was woken in time
                latest = inf
            self.assertLess(self.clock.seconds(), latest + step)
        self.assertGreater(len(self.machine.rung), 500)

    def test_raises(self) -> None:
        """
        A machine that raises is woken again at its next deadline.
        """
        rung = []

        def ring(now: float) -> None:
            rung.append(now)
            self.machine.due = now + 5.0
            raise Faulty

        alarm = Alarm(self.clock, self.machine.deadline, ring, TICK)
        self.machine.due = 5.0
        alarm.rearm()
        for _ in range(3):
            self.assertRaises(Faulty, self.clock.advance, 5.0)
        self.assertEqual(rung, [5.0, 10.0, 15.0])

    def test_raisesAtOnce(self) -> None:
        """
        A machine that raises and leaves its deadline as it was is woken once a tick.
        """
        rung = []

        def ring(now: float) -> None:
            rung.append(now)
            raise Faulty

        alarm = Alarm(self.clock, self.machine.deadline, ring, TICK)
        self.machine.due = 5.0
        alarm.rearm()
        for delay in (5.0, TICK, TICK):
            self.assertRaises(Faulty, self.clock.advance, delay)
        self.assertEqual(rung, [5.0, 5.0 + TICK, 5.0 + 2 * TICK])

    def test_stop(self) -> None:
        """
        One that was stopped does not ring, and leaves nothing on the clock; twice is as once.
        """
        self.arm(10.0)
        self.alarm.stop()
        self.alarm.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(20.0)
        self.assertEqual(self.machine.rung, [])

    def test_stopWhileRinging(self) -> None:
        """
        A machine that stops its alarm when it is woken is not woken again.
        """
        rung = []

        def ring(now: float) -> None:
            rung.append(now)
            alarm.stop()

        alarm = Alarm(self.clock, self.machine.deadline, ring, TICK)
        self.machine.due = 1.0
        alarm.rearm()
        self.clock.pump([1.0] * 10)
        self.assertEqual(rung, [1.0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_startAgain(self) -> None:
        """
        One that was stopped rings again when it is armed anew, however late the deadline.
        """
        self.arm(10.0)
        self.alarm.stop()
        self.arm(20.0)
        self.clock.advance(20.0)
        self.assertEqual(self.machine.rung, [20.0])

    def test_rearmedWithin(self) -> None:
        """
        A machine that arms the alarm while it rings has one delayed call after it.
        """

        def ring(now: float) -> None:
            self.machine.due = now + 3.0
            alarm.rearm()

        alarm = Alarm(self.clock, self.machine.deadline, ring, TICK)
        self.machine.due = 1.0
        alarm.rearm()
        self.clock.advance(1.0)
        self.assertEqual(self.call().getTime(), 4.0)
