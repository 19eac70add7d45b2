"""
Tests of L{bmff.testing.impairment}.
"""

from __future__ import annotations

from itertools import groupby
from math import inf, nan
from random import Random
from statistics import mean

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.testing.impairment import LONGEST_HOLD, Impairer, Impairment

PITCH = 0.06  # seconds between two datagrams, as between two frames of a call


def arrived(impairer: Impairer[int], count: int, pitch: float = PITCH) -> list[tuple[float, int]]:
    """
    When each of some numbered datagrams arrives, in the order of their arrival.

    @param pitch: seconds between two of them.
    """
    arrivals: list[tuple[float, int]] = []
    for number in range(count):
        now = number * pitch
        while impairer.deadline() < now:
            until = impairer.deadline()
            arrivals += [(until + delay, one) for delay, one in impairer.timeout(until)]
        arrivals += [(now + delay, one) for delay, one in impairer.take(number, now)]
    while impairer.holding:
        until = impairer.deadline()
        arrivals += [(until + delay, one) for delay, one in impairer.timeout(until)]
    return sorted(arrivals, key=lambda arrival: arrival[0])


def numbers(impairer: Impairer[int], count: int, pitch: float = PITCH) -> list[int]:
    """
    The same without the times.
    """
    return [number for _, number in arrived(impairer, count, pitch)]


def bursts(impairer: Impairer[int], count: int) -> list[int]:
    """
    How many of some datagrams are lost in a row each time.
    """
    heard = set(numbers(impairer, count))
    runs = groupby(range(count), key=lambda number: number in heard)
    return [len(list(run)) for there, run in runs if not there]


def displacements(order: list[int]) -> list[int]:
    """
    By how many that were sent after it each datagram was overtaken, looking back over 100.
    """
    return [
        sum(other > number for other in order[max(0, place - 100) : place])
        for place, number in enumerate(order)
    ]


class ImpairmentTests(SynchronousTestCase):
    """
    What may be said of a path.
    """

    def test_nothing(self) -> None:
        """
        A path of which nothing is said does nothing.
        """
        self.assertEqual(
            arrived(Impairer(Impairment()), 100), [(one * PITCH, one) for one in range(100)]
        )

    def test_mistakes(self) -> None:
        """
        What no path can be like is refused, with each reason.
        """
        shares = "{} is a share, 0 to 1"
        seconds = "{} is seconds, 0 or more"
        burst = "burst is 1 or more datagrams, a whole number where it is exact"
        for impairment, reason in (
            ({"loss": 1.01}, shares.format("loss")),
            ({"loss": nan}, shares.format("loss")),
            ({"reordering": -0.1}, shares.format("reordering")),
            ({"duplication": 2}, shares.format("duplication")),
            ({"delay": -1}, seconds.format("delay")),
            ({"jitter": inf}, seconds.format("jitter")),
            ({"hold": nan}, seconds.format("hold")),
            ({"displacement": 0}, "displacement is 1 or more datagrams"),
            ({"burst": 0.9}, burst),
            ({"burst": inf}, burst),
            ({"burst": 2.5, "exact": True}, burst),
            (
                {"burst": 3, "loss": 0.76},
                "of bursts of 3 a share of 0.75 can be lost at most, or all",
            ),
            (
                {"burst": 1, "loss": 0.51, "exact": True},
                "of bursts of 1 a share of 0.5 can be lost at most, or all",
            ),
            (
                {"loss": 2, "delay": -1},
                f"{shares.format('loss')}; {seconds.format('delay')}",
            ),
        ):
            with self.assertRaises(ValueError) as caught:
                Impairment(**impairment)
            self.assertEqual(str(caught.exception), reason)

    def test_limits(self) -> None:
        """
        The last that is possible is taken: a datagram between two bursts, or none at all.
        """
        for burst in (2, 3, 4, 7):
            Impairment(loss=burst / (burst + 1), burst=burst)
            Impairment(loss=1, burst=burst)


class LossTests(SynchronousTestCase):
    """
    What is lost.
    """

    def test_share(self) -> None:
        """
        The share that is lost is the one that was asked for, however long the bursts are, and is
        counted.
        """
        for burst, exact in ((1, False), (3, False), (4.5, False), (1, True), (4, True)):
            for seed in range(3):
                impairer: Impairer[int] = Impairer(Impairment(0.05, burst, exact), seed)
                lost = 20_000 - len(numbers(impairer, 20_000))
                self.assertTrue(750 <= lost <= 1250, (burst, exact, seed, lost))
                self.assertEqual((impairer.taken, impairer.lost), (20_000, lost))

    def test_independent(self) -> None:
        """
        Losses that know nothing of each other follow each other as chance has it.
        """
        runs = bursts(Impairer(Impairment(loss=0.2), 1), 40_000)
        self.assertTrue(1.2 <= mean(runs) <= 1.3, mean(runs))  # 1 / (1 - 0.2) is 1.25

    def test_bursts(self) -> None:
        """
        As many are lost in a row as was asked for, on average, in bursts of many lengths.
        """
        for burst in (2, 3, 8):
            runs = bursts(Impairer(Impairment(loss=0.1, burst=burst), 1), 40_000)
            self.assertTrue(0.9 * burst <= mean(runs) <= 1.1 * burst, mean(runs))
            self.assertEqual(min(runs), 1)
            self.assertGreater(max(runs), 3 * burst)

    def test_exactBursts(self) -> None:
        """
        Where it was asked for, each burst is as long as the other, and two never touch.
        """
        runs = bursts(Impairer(Impairment(loss=0.4, burst=3, exact=True), 1), 9_997)
        self.assertEqual(set(runs[:-1]), {3})
        self.assertGreater(len(runs), 1000)

    def test_all(self) -> None:
        """
        A share of 1 and a cut lose everything, of which something is lost no more when it heals.
        """
        good = Impairment(burst=3)
        for bad in (Impairment(loss=1.0), Impairment(loss=1.0, burst=3), Impairment(cut=True)):
            impairer: Impairer[int] = Impairer(bad, 1)
            self.assertEqual(numbers(impairer, 100), [])
            self.assertEqual(impairer.lost, 100)
            impairer.impairment = good
            self.assertEqual(numbers(impairer, 100), list(range(100)))

    def test_cutIsNoBurst(self) -> None:
        """
        What a cut loses is no burst: after it the path is as good as before.
        """
        impairer: Impairer[int] = Impairer(Impairment(cut=True), 1)
        heard = 0
        for _ in range(500):
            impairer.impairment = Impairment(cut=True)
            self.assertEqual(impairer.take(0, 0.0), [])
            impairer.impairment = Impairment(loss=0.01, burst=50)
            heard += len(impairer.take(0, 0.0))
        self.assertGreater(heard, 400)


class TimeTests(SynchronousTestCase):
    """
    When datagrams arrive.
    """

    def test_jitter(self) -> None:
        """
        Each takes the delay and at most the jitter in addition, evenly spread.
        """
        impairer: Impairer[int] = Impairer(Impairment(delay=0.5, jitter=0.25), 1)
        taken = [arrival - number * PITCH for arrival, number in arrived(impairer, 2000)]
        self.assertTrue(0.5 <= min(taken) < 0.51 and 0.74 < max(taken) <= 0.75 + 1e-6)
        self.assertTrue(0.615 < mean(taken) < 0.635, mean(taken))

    def test_doubles(self) -> None:
        """
        The share that arrives twice is the one that was asked for, each copy after a time of its
        own, and is counted.
        """
        impairer: Impairer[int] = Impairer(Impairment(jitter=0.01, duplication=0.1), 1)
        arrivals = arrived(impairer, 10_000)
        self.assertTrue(850 <= impairer.doubled <= 1150, impairer.doubled)
        self.assertEqual(len(arrivals), 10_000 + impairer.doubled)
        self.assertEqual(len(set(arrivals)), len(arrivals))
        self.assertEqual({number for _, number in arrivals}, set(range(10_000)))


class ReorderingTests(SynchronousTestCase):
    """
    What is held back until others have passed.
    """

    def test_share(self) -> None:
        """
        About the share that was asked for is overtaken, never by more than was asked for but by
        each number up to it; nothing is lost or doubled.
        """
        for displacement in (1, 2, 5):
            impairment = Impairment(reordering=0.1, displacement=displacement, hold=9.0)
            impairer: Impairer[int] = Impairer(impairment, 1)
            order = numbers(impairer, 10_000)
            self.assertEqual(sorted(order), list(range(10_000)))
            overtaken = [one for one in displacements(order) if one]
            self.assertEqual(set(overtaken), set(range(1, displacement + 1)))
            self.assertTrue(700 <= len(overtaken) <= 1150, len(overtaken))
            self.assertEqual(impairer.reordered, len(overtaken))
            self.assertEqual(impairer.lost, 0)

    def test_swaps(self) -> None:
        """
        Where all are to be held back until one has passed, each two change places.
        """
        impairer: Impairer[int] = Impairer(Impairment(reordering=1, displacement=1), 1)
        self.assertEqual(numbers(impairer, 7), [1, 0, 3, 2, 5, 4, 6])
        self.assertEqual(impairer.reordered, 3)

    def test_hold(self) -> None:
        """
        One that nobody follows is let go in time, by whoever keeps the deadline or by the next
        that comes, and nobody has overtaken it.
        """
        impairer: Impairer[int] = Impairer(Impairment(reordering=1, displacement=1, delay=2), 1)
        self.assertEqual(impairer.deadline(), inf)
        self.assertEqual(impairer.take(1, 10.0), [])
        self.assertEqual((impairer.deadline(), impairer.holding), (10.0 + LONGEST_HOLD, 1))
        self.assertEqual(impairer.timeout(10.0 + LONGEST_HOLD - 0.01), [])
        self.assertEqual(impairer.timeout(10.0 + LONGEST_HOLD), [(2, 1)])
        self.assertEqual(impairer.take(2, 20.0), [])
        self.assertEqual(impairer.take(3, 30.0), [(2, 2)])
        self.assertEqual((impairer.deadline(), impairer.reordered), (30.0 + LONGEST_HOLD, 0))

    def test_double(self) -> None:
        """
        One that is held back and doubled is overtaken in both its copies.
        """
        impairer: Impairer[int] = Impairer(
            Impairment(reordering=1, displacement=1, duplication=1), 1
        )
        self.assertEqual(numbers(impairer, 4), [1, 1, 0, 0, 3, 3, 2, 2])

    def test_lostDoNotPass(self) -> None:
        """
        One that is lost overtakes nobody.
        """
        impairer: Impairer[int] = Impairer(Impairment(reordering=1, displacement=1), 1)
        impairer.take(1, 0.0)
        impairer.impairment = Impairment(cut=True)
        self.assertEqual(impairer.take(2, 0.0), [])
        self.assertEqual(impairer.holding, 1)
        impairer.impairment = Impairment()
        self.assertEqual(impairer.take(3, 0.0), [(0, 3), (0, 1)])


class ChanceTests(SynchronousTestCase):
    """
    What any impairment promises.
    """

    ANY = Impairment(0.1, 3, False, 0.02, 0.01, 0.2, 4, 0.3, 0.1)

    def test_seed(self) -> None:
        """
        The same seed does the same to the same traffic, another does not.
        """
        first, same, other = (arrived(Impairer(self.ANY, seed), 500) for seed in (5, 5, 6))
        self.assertEqual(first, same)
        self.assertNotEqual(first, other)

    def test_shared(self) -> None:
        """
        Two directions that share their chance are not the image of each other.
        """
        random = Random(1)
        one: Impairer[int] = Impairer(self.ANY, random)
        other: Impairer[int] = Impairer(self.ANY, random)
        self.assertNotEqual(arrived(one, 100), arrived(other, 100))

    @given(
        st.builds(
            Impairment,
            loss=st.floats(0, 0.5),
            burst=st.integers(1, 9),
            exact=st.booleans(),
            delay=st.floats(0, 1),
            reordering=st.floats(0, 1),
            displacement=st.integers(1, 9),
            hold=st.floats(0, 1),
            duplication=st.floats(0, 1),
        ),
        st.integers(0, 99),
        st.sampled_from((0.0, 0.001, PITCH, 2.0)),
    )
    def test_any(self, impairment: Impairment, seed: int, pitch: float) -> None:
        """
        Whatever is asked for, each datagram is lost or arrives once or twice, as counted, in time,
        and is overtaken by no more than was said.
        """
        impairer: Impairer[int] = Impairer(impairment, seed)
        arrivals = arrived(impairer, 100, pitch)
        order = [number for _, number in arrivals]
        once = list(dict.fromkeys(order))
        self.assertEqual(len(once), 100 - impairer.lost)
        self.assertEqual(len(order), len(once) + impairer.doubled)
        self.assertLessEqual(max(displacements(once), default=0), impairment.displacement)
        self.assertEqual(sum(one > 0 for one in displacements(once)), impairer.reordered)
        self.assertEqual((impairer.holding, impairer.deadline()), (0, inf))
        for arrival, number in arrivals:
            taken = arrival - number * pitch - impairment.delay
            self.assertTrue(-1e-6 <= taken <= impairment.hold + 1e-6, taken)
