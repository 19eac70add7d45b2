"""
Tests of L{bmff.wire.fastforward.gaps}: what is asked for again.
"""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from bmff.wire.fastforward.gaps import ASK_AGAIN, LIFE, Gaps
from bmff.wire.fastforward.messages import MISSING_SPAN, Missing

ROUND_TRIP = 0.02


class GapTests(SynchronousTestCase):
    """
    The gaps of one session.
    """

    def setUp(self) -> None:
        self.gaps = Gaps()

    def test_none(self) -> None:
        """
        Without a gap there is nothing to ask, now or later.
        """
        self.assertEqual(self.gaps.deadline(), inf)
        self.assertIsNone(self.gaps.question(7, 10.0, ROUND_TRIP))

    def test_question(self) -> None:
        """
        What is missing is asked for at once, again after a round trip and a little, until it has
        come.
        """
        self.gaps.opened(5, 8, 1.0, 0.0)
        self.assertEqual(self.gaps.question(7, 1.0, ROUND_TRIP), Missing(7, (5, 6, 7)))
        again = self.gaps.deadline()
        self.assertAlmostEqual(again, 1.0 + ROUND_TRIP + ASK_AGAIN)
        self.assertIsNone(self.gaps.question(7, again - 0.001, ROUND_TRIP))
        self.assertEqual(self.gaps.came(6), 1.0)
        self.assertEqual(self.gaps.question(7, again, ROUND_TRIP), Missing(7, (5, 7)))
        for counter in (5, 7):
            self.gaps.came(counter)
        self.assertIsNone(self.gaps.question(7, 1.1, ROUND_TRIP))
        self.assertEqual((self.gaps.deadline(), self.gaps.lost), (inf, 0))

    def test_wait(self) -> None:
        """
        Where packets overtake one another, the question waits; what comes by then is not asked for.
        """
        self.gaps.opened(5, 7, 1.0, 0.02)
        self.assertIsNone(self.gaps.question(7, 1.01, ROUND_TRIP))
        self.gaps.came(5)
        self.assertEqual(self.gaps.question(7, 1.02, ROUND_TRIP), Missing(7, (6,)))

    def test_strange(self) -> None:
        """
        What was never missing, or has come already, is known as such.
        """
        self.gaps.opened(5, 6, 1.0, 0.0)
        self.assertIsNone(self.gaps.came(4))
        self.assertEqual(self.gaps.came(5), 1.0)
        self.assertIsNone(self.gaps.came(5))

    def test_givenUp(self) -> None:
        """
        After 180 ms nobody waits for a packet any more: it is counted, and not asked for.
        """
        self.gaps.opened(5, 6, 1.0, 0.0)
        self.gaps.opened(8, 9, 1.1, 0.0)
        self.assertEqual(self.gaps.question(7, 1.0 + LIFE, ROUND_TRIP), Missing(7, (8,)))
        self.assertIsNone(self.gaps.question(7, 1.1 + LIFE, ROUND_TRIP))
        self.assertEqual((self.gaps.lost, self.gaps.missing), (2, {}))

    def test_bounded(self) -> None:
        """
        However far counters jump, and however often, no more than 256 are asked for at once; the
        latest.
        """
        self.gaps.opened(0, 2**63, 1.0, 0.0)
        self.assertEqual(len(self.gaps.missing), MISSING_SPAN)
        question = self.gaps.question(7, 1.0, ROUND_TRIP)
        assert question is not None
        self.assertEqual(question.counters[-1], 2**63 - 1)
        for step in range(100):
            self.gaps.opened(2**63 + 10 * step, 2**63 + 10 * step + 9, 1.0, 0.0)
        self.assertEqual(len(self.gaps.missing), MISSING_SPAN)
        question = self.gaps.question(7, 1.1, ROUND_TRIP)
        assert question is not None
        self.assertLess(question.counters[-1] - question.counters[0], MISSING_SPAN)
        self.assertEqual(len(question.encode()), 3 + 20 + MISSING_SPAN // 8)
