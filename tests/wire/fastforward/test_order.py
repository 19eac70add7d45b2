"""
Tests of L{bmff.wire.fastforward.order}: each frame once, in order, and without delay where nothing
is missing.
"""

from __future__ import annotations

from math import inf
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import VOICE, Frame
from bmff.wire.fastforward.order import LONGEST, MOST_CALLS, SWEEP, Order

NEVER = -inf


def frame(index: int, stream: int = 7) -> Frame:
    """
    A frame of a call.
    """
    return Frame.make(
        sequence=index & 0xFF,
        source=5,
        destination=91,
        flags=VOICE,
        stream=stream,
        burst=bytes(33),
    )


class OrderTests(SynchronousTestCase):
    """
    The calls of one link.
    """

    def setUp(self) -> None:
        self.passed: list[tuple[int, int]] = []
        self.at: list[float] = []
        self.order = Order(self._deliver)

    def _deliver(self, frame: Frame, now: float) -> None:
        self.passed.append((frame.stream, frame.sequence))
        self.at.append(now)

    def take(
        self, *indexes: int, now: float = 1.0, until: float = NEVER, stream: int = 7
    ) -> list[int]:
        """
        Take frames of a call.

        @return: what has passed of it so far.
        """
        for index in indexes:
            self.order.frameReceived(index, frame(index, stream), now, until)
        return [sequence for other, sequence in self.passed if other == stream]

    def test_inOrder(self) -> None:
        """
        A frame that continues its call passes at once, whatever is missing.
        """
        self.assertEqual(self.take(0, 1, 2), [0, 1, 2])
        self.assertEqual(self.take(3, until=2.0), [0, 1, 2, 3])
        self.assertEqual((self.order.framesHeld, self.order.deadline()), (0, inf))

    def test_nothingMissing(self) -> None:
        """
        A call that jumps while nothing is missing has lost its frames before they came to the
        other node: it is not held.
        """
        self.assertEqual(self.take(0, 1, 5, 6), [0, 1, 5, 6])

    def test_repaired(self) -> None:
        """
        A call that jumps while something is missing is held until that has come.
        """
        self.assertEqual(self.take(0, 1, 3, 4, until=1.05), [0, 1])
        self.assertEqual(self.take(2, now=1.03, until=1.05), [0, 1, 2, 3, 4])
        self.assertEqual(self.order.deadline(), inf)
        self.assertEqual(self.take(5), [0, 1, 2, 3, 4, 5])

    def test_otherCalls(self) -> None:
        """
        Calls that go on are not held because another one jumps.
        """
        self.take(0, 1)
        self.take(0, stream=8)
        self.take(3, until=1.05)
        self.assertEqual(self.take(1, 2, until=1.05, stream=8), [0, 1, 2])

    def test_begins(self) -> None:
        """
        A call that begins with a later frame while something is missing waits for its beginning;
        else it begins where it does.
        """
        self.assertEqual(self.take(1, until=1.05), [])
        self.assertEqual(self.take(0, now=1.02, until=1.05), [0, 1])
        self.assertEqual(self.take(500 & 0xFF, stream=8), [500 & 0xFF])

    def test_waitsNoLonger(self) -> None:
        """
        When it has waited long enough the call goes on, and what comes after that is late.
        """
        self.take(0, 2, 3, until=1.05)
        self.assertEqual(self.order.deadline(), 1.05)
        self.order.release(1.04)
        self.assertEqual(self.take(), [0])
        self.order.release(1.05)
        self.assertEqual(self.take(1), [0, 2, 3])
        self.assertEqual(self.order.framesLate, 1)

    def test_never180(self) -> None:
        """
        However long something may still come, no frame waits longer than 180 ms.
        """
        self.take(0, 2, until=9.0)
        self.assertAlmostEqual(self.order.deadline(), 1.0 + LONGEST)

    def test_nothingMissingAnyMore(self) -> None:
        """
        When nothing is missing any more all that waits passes, in order.
        """
        self.take(0, 4, 2, until=1.05)
        self.take(0, 3, until=1.05, stream=8)
        self.order.releaseAll(1.01)
        self.assertEqual(self.take(), [0, 2, 4])
        self.assertEqual(self.take(stream=8), [0, 3])
        self.assertEqual(self.order.deadline(), inf)

    def test_heldBefore(self) -> None:
        """
        A frame that comes when nothing is missing any more does not pass those that wait.
        """
        self.take(0, 2, until=1.05)
        self.assertEqual(self.take(4, now=1.06), [0, 2, 4])

    def test_twice(self) -> None:
        """
        A frame passes once, be it held or not.
        """
        self.assertEqual(self.take(0, 0, 2, 2, 1, 1, 2, until=1.05), [0, 1, 2])
        self.assertEqual(self.order.framesLate, 4)

    def test_forgotten(self) -> None:
        """
        A call without a frame for 10 s is forgotten; one that goes on is not.
        """
        self.take(0, 1)
        for step in range(3):
            now = 1.0 + step * (SWEEP + 0.1)
            self.take(step, now=now, stream=8)
            self.take(0, now=now, stream=100 + step)
        self.assertNotIn(7, self.order.calls)
        self.assertIn(8, self.order.calls)

    def test_bounded(self) -> None:
        """
        However many calls the other node begins, no more than 4096 are known at once.
        """
        for stream in range(MOST_CALLS + 100):
            self.take(3, until=1.1, stream=stream)
        self.assertEqual(len(self.order.calls), MOST_CALLS)
        self.order.releaseAll(1.0)
        self.assertLessEqual(len(self.passed), MOST_CALLS)

    def test_anyOrder(self) -> None:
        """
        Whatever comes when, and however often, no frame passes twice or before an earlier one.
        """
        for seed in range(200):
            random = Random(seed)
            self.setUp()
            now = 0.0
            for index in range(60):
                for _ in range(random.randrange(3)):
                    until = now + 0.05 if random.random() < 0.5 else NEVER
                    self.take(max(0, index + random.randrange(-4, 5)), now=now, until=until)
                if random.random() < 0.1:
                    self.order.releaseAll(now)
                self.order.release(now)
                now += 0.01
            passed = self.take()
            self.assertEqual(passed, sorted(set(passed)), f"seed {seed}")
