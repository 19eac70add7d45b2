"""
Tests of L{bmff.wire.fastforward.arrivals} and L{bmff.wire.fastforward.quality}: what is learnt of
a path.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bmff.wire.fastforward.arrivals import LATEST, LONGEST_WAIT, Arrivals
from bmff.wire.fastforward.messages import Measurement
from bmff.wire.fastforward.quality import REDUNDANT_TIME, Quality

MASK = 0xFFFFFFFF


class ArrivalTests(SynchronousTestCase):
    """
    Delays whose clocks are not the same.
    """

    def run_(self, delays: list[float], skew: float = 123.456, pitch: float = 0.02) -> Arrivals:
        """
        Packets with these delays, seconds; the other end's clock is off.
        """
        arrivals = Arrivals()
        for number, delay in enumerate(delays):
            sent = number * pitch
            arrivals.packetReceived(int((sent + skew) * 1e6) & MASK, sent + delay)
        return arrivals

    def test_even(self) -> None:
        """
        Where every packet takes as long there is no jitter, and nothing is late.
        """
        found = self.run_([0.08] * 500)
        self.assertLess(found.jitter, 1e-5)
        self.assertLess(found.late, 1e-5)

    def test_quantile(self) -> None:
        """
        Few packets are later than the quantile says, and it is not much larger than it need be.
        """
        random = Random(1)
        found = self.run_([0.05 + random.random() * 0.04 for _ in range(3000)])
        self.assertGreater(found.late, 0.025)
        self.assertLess(found.late, 0.055)
        self.assertGreater(found.jitter, 0.005)
        self.assertLess(found.jitter, 0.03)

    def test_bounded(self) -> None:
        """
        Nothing is waited for longer than 180 ms, whatever comes.
        """
        random = Random(2)
        found = self.run_([random.choice((0.01, 3.0)) for _ in range(3000)])
        self.assertLessEqual(found.late, LATEST)
        self.assertLessEqual(found.patience(5.0), LATEST)

    def test_clocks(self) -> None:
        """
        The zero of the other end's clock does not matter, nor where its 32 bits wrap.
        """
        random = Random(3)
        delays = [0.05 + random.random() * 0.02 for _ in range(1000)]
        plain = self.run_(delays, skew=0.0)
        for skew in (-1e-3, 4290.0, 2147.0, 1e6):
            self.assertLess(abs(self.run_(delays, skew=skew).late - plain.late), 0.006, str(skew))

    def test_drift(self) -> None:
        """
        A clock that is 100 ppm fast makes nothing late.
        """
        arrivals = Arrivals()
        for number in range(50_000):
            now = number * 0.02
            arrivals.packetReceived(int(now * 1.0001 * 1e6) & MASK, now + 0.05)
        self.assertLess(arrivals.late, 0.001)

    def test_wait(self) -> None:
        """
        Only where most gaps close by themselves is a question put off, for a moment at most.
        """
        found = Arrivals()
        self.assertEqual(found.wait, 0.0)
        for _ in range(30):
            found.closedItself(0.012)
        self.assertAlmostEqual(found.wait, 0.024, places=3)
        for _ in range(30):
            found.closedItself(1.0)
        self.assertEqual(found.wait, LONGEST_WAIT)
        for _ in range(30):
            found.lost()
        self.assertEqual(found.wait, 0.0)


class QualityTests(SynchronousTestCase):
    """
    What the other end's measurements say.
    """

    def setUp(self) -> None:
        self.quality = Quality()
        self.now = 0.0
        self.highest = self.received = 0

    def learn(self, seconds: float, loss: float) -> None:
        """
        Four measurements a second, 50 packets between two of them.
        """
        random = Random(4)
        for _ in range(round(seconds * 4)):
            self.now += 0.25
            self.highest += 50
            self.received += sum(random.random() >= loss for _ in range(50))
            told = Measurement(
                time=1,
                echo=0,
                hold=0,
                highest=self.highest,
                received=self.received,
                sent=9,
                lag=7000,
                load=0,
                interestVersion=0,
                interestDigest=0,
            )
            self.quality.learn(told, self.highest + 1, self.now)

    def test_loss(self) -> None:
        """
        The loss is found, and each frame is sent twice above 1 %, until it has been below 0.3 %
        for 10 s.
        """
        self.learn(10, 0.0)
        self.assertEqual((self.quality.loss, self.quality.redundant), (0.0, False))
        self.learn(10, 0.05)
        self.assertGreater(self.quality.loss, 0.03)
        self.assertLess(self.quality.loss, 0.08)
        self.assertTrue(self.quality.redundant)
        self.learn(10, 0.0)
        self.assertTrue(self.quality.redundant)
        self.learn(REDUNDANT_TIME + 10, 0.0)
        self.assertFalse(self.quality.redundant)

    def test_impossible(self) -> None:
        """
        An end that claims packets which were never sent changes nothing but what it says of
        itself.
        """
        told = Measurement(1, 0, 0, 10**9, 5, 9, 7000, 0, 0, 0)
        self.quality.learn(told, 100, 1.0)
        self.assertEqual((self.quality.loss, self.quality.remoteLag), (0.0, 0.007))
