"""
Tests of L{bmff.wire.throttle}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bmff.wire.throttle import Throttle


class IntervalTests(SynchronousTestCase):
    """
    How long a key has to wait.
    """

    def passed(self, throttle: Throttle, *moments: float) -> list[float]:
        """
        At which of these moments one key passes.
        """
        return [now for now in moments if throttle.passes("key", now)]

    def test_once(self) -> None:
        """
        A key passes at once, and again as soon as the interval is over; what is between is counted.
        """
        throttle = Throttle(10.0)
        self.assertEqual(self.passed(throttle, 0.0, 0.0, 9.9, 10.0, 19.9, 20.0), [0.0, 10.0, 20.0])
        self.assertEqual(throttle.suppressed, 3)

    def test_fromLastPass(self) -> None:
        """
        What was held back does not prolong the wait.
        """
        throttle = Throttle(10.0)
        every = [float(second) for second in range(31)]
        self.assertEqual(self.passed(throttle, *every), [0.0, 10.0, 20.0, 30.0])

    def test_eachItsOwn(self) -> None:
        """
        Keys do not wait for each other.
        """
        throttle = Throttle(10.0)
        self.assertTrue(throttle.passes("a", 0.0))
        self.assertTrue(throttle.passes("b", 1.0))
        self.assertFalse(throttle.passes("a", 2.0))

    def test_doubles(self) -> None:
        """
        The interval doubles with each pass, up to the longest one.
        """
        throttle = Throttle(1.0, longest=6.0)
        every = [float(second) for second in range(28)]
        self.assertEqual(self.passed(throttle, *every), [0.0, 1.0, 3.0, 7.0, 13.0, 19.0, 25.0])

    def test_stays(self) -> None:
        """
        A key that comes back before it has been away for long enough waits as long as it had to.
        """
        throttle = Throttle(1.0, longest=8.0)
        self.assertEqual(self.passed(throttle, 0.0, 1.0, 3.0), [0.0, 1.0, 3.0])  # now 4 s
        self.assertEqual(self.passed(throttle, 14.9, 22.8, 22.9), [14.9, 22.9])  # then 8 s

    def test_beginsAnew(self) -> None:
        """
        A key that has been away for the longest interval after its own is as a new one.
        """
        throttle = Throttle(1.0, longest=8.0)
        self.assertEqual(self.passed(throttle, 0.0, 1.0, 3.0), [0.0, 1.0, 3.0])
        self.assertEqual(self.passed(throttle, 15.0, 16.0, 17.0, 18.0), [15.0, 16.0, 18.0])

    def test_forget(self) -> None:
        """
        A key that is forgotten passes at once, with the first interval; an unknown one does not
        matter.
        """
        throttle = Throttle(1.0, longest=8.0)
        self.passed(throttle, 0.0, 1.0, 3.0)
        throttle.forget("key")
        throttle.forget("key")
        self.assertEqual(len(throttle), 0)
        self.assertEqual(self.passed(throttle, 3.0, 3.9, 4.0), [3.0, 4.0])


class CapacityTests(SynchronousTestCase):
    """
    How much is kept.
    """

    def test_bounded(self) -> None:
        """
        However many keys come, no more than the capacity is kept.
        """
        throttle = Throttle(10.0, capacity=100)
        for key in range(10_000):
            self.assertTrue(throttle.passes(key, 0.0))
            self.assertLessEqual(len(throttle), 100)
        self.assertEqual(len(throttle), 100)

    def test_oldestForgotten(self) -> None:
        """
        A full table forgets the key that passed longest ago, however early it came first.
        """
        throttle = Throttle(10.0, capacity=3)
        for now, key in ((0.0, "a"), (1.0, "b"), (2.0, "c"), (10.0, "a"), (10.5, "d")):
            self.assertTrue(throttle.passes(key, now))
        held = [key for key in "acdb" if not throttle.passes(key, 10.9)]
        self.assertEqual(held, ["a", "c", "d"])

    def test_knownKeyCostsNone(self) -> None:
        """
        A key that is in a full table passes again without another one being forgotten.
        """
        throttle = Throttle(10.0, capacity=2)
        throttle.passes("a", 0.0)
        throttle.passes("b", 5.0)
        self.assertTrue(throttle.passes("a", 10.0))
        self.assertFalse(throttle.passes("b", 10.0))
