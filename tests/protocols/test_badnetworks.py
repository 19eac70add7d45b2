"""
Calls over a link whose network loses, delays and reorders what it carries: how much of them comes,
and how late.
"""

from __future__ import annotations

from collections import deque

from bmff.dmr.frame import VOICE, VOICE_SYNC, Frame
from bmff.router.call import Peer
from bmff.testing.impairment import Impairment
from tests.protocols.fastforwardcase import FastForwardTestCase, VirtualNode

STEP = 0.001  # seconds
PITCH = 0.06  # seconds between two frames of a call
ONE_WAY = 0.01  # seconds


class Voices:
    """
    Calls from one node to another, evenly spread, and when each frame is sent and heard.

    @ivar sent: when each frame was sent, by stream and number.
    @ivar heard: when each was heard.
    @ivar order: the numbers of each call's frames, as they were heard.
    """

    def __init__(
        self, case: FastForwardTestCase, here: VirtualNode, there: VirtualNode, count: int
    ) -> None:
        self.sent: dict[tuple[int, int], float] = {}
        self.heard: dict[tuple[int, int], float] = {}
        self.order: dict[int, list[int]] = {}
        self._clock = case.clock
        self._here = here
        self._count = count
        self._peers: list[Peer] = []
        for number in range(count):
            self._peers.append(here.peer(1000 + number))
            there.peer(2000 + number, 10_000 + number)
        case.advance(1.0)
        link = there.link(here.nodeID)
        take = link.takeFrame

        def takeFrame(frame: Frame, now: float) -> None:
            order = self.order.setdefault(frame.stream, [])
            # Calls here are longer than the 256 frames after which their sequence begins anew.
            last = order[-1] if order else -1
            number = last + 1 + (frame.sequence - last - 1 & 0xFF)
            order.append(number)
            self.heard.setdefault((frame.stream, number), now)
            take(frame, now)

        link.takeFrame = takeFrame

    def talk(self, seconds: float) -> None:
        """
        Let all calls go on for a while.
        """
        begin = self._clock.seconds()
        already = max((number for _, number in self.sent), default=-1) + 1
        schedule = deque(
            (begin + number * PITCH + call * PITCH / self._count, call, already + number)
            for number in range(round(seconds / PITCH))
            for call in range(self._count)
        )
        while (now := self._clock.seconds()) < begin + seconds + 0.5:
            while schedule and schedule[0][0] <= now:
                _, call, number = schedule.popleft()
                self._send(call, number)
            self._clock.advance(STEP)

    def _send(self, call: int, number: int) -> None:
        self.sent[call + 1, number] = self._clock.seconds()
        frame = Frame.make(
            sequence=number & 0xFF,
            source=7000 + call,
            destination=10_000 + call,
            flags=0x80 | (VOICE_SYNC if number % 6 == 0 else VOICE | number % 6),
            stream=call + 1,
            burst=bytes(33),
        )
        self._here.send(self._peers[call], frame)

    def within(self, seconds: float, since: float = 0.0) -> float:
        """
        The share of frames that were heard at most so late.

        @param since: only those sent since then.
        """
        counted = {key: at for key, at in self.sent.items() if at >= since}
        good = sum(1 for key, at in counted.items() if self.heard.get(key, 1e9) - at <= seconds)
        return good / len(counted)

    def delays(self) -> list[float]:
        """
        How late each frame was heard, sorted.
        """
        return sorted(at - self.sent[key] for key, at in self.heard.items())


class BadNetworkTests(FastForwardTestCase):
    """
    Two nodes, and a bad network between them.
    """

    def begin(self, calls: int, impairment: Impairment, seconds: float) -> Voices:
        """
        Calls that go on for a while on a network like this.
        """
        here, there = self.pair()
        voices = Voices(self, here, there, calls)
        self.network.impair(impairment)
        voices.talk(seconds)
        for stream, order in voices.order.items():
            self.assertEqual(order, sorted(set(order)), f"call {stream}, seed {self.network.seed}")
        self.here, self.there = here, there
        return voices

    def test_randomLoss(self) -> None:
        """
        At 5 % loss each way, a round trip of 20 ms and 12 calls, 99.9 % of frames are heard within
        50 ms as soon as the path is known.
        """
        voices = self.begin(12, Impairment(loss=0.05, delay=ONE_WAY), 30)
        since = min(voices.sent.values()) + 10
        self.assertGreaterEqual(voices.within(0.05, since), 0.999)

    def test_oneCall(self) -> None:
        """
        At 1 % loss each way 99.9 % of the frames of a single call are heard within 100 ms.
        """
        voices = self.begin(1, Impairment(loss=0.01, delay=ONE_WAY), 240)
        self.assertGreaterEqual(voices.within(0.1), 0.999)

    def test_bursts(self) -> None:
        """
        Of frames on a path that loses 10 % three at a time, 98 % are heard.
        """
        voices = self.begin(12, Impairment(loss=0.1, burst=3, exact=True, delay=ONE_WAY), 30)
        self.assertGreaterEqual(voices.within(10.0), 0.98)

    def test_reordering(self) -> None:
        """
        Where one packet in ten comes up to three later, every frame is heard, half of them without
        any delay, and hardly anything is sent again for nothing.
        """
        voices = self.begin(12, Impairment(reordering=0.1, delay=ONE_WAY), 30)
        self.assertEqual(voices.within(10.0), 1.0)
        delays = voices.delays()
        self.assertLess(delays[len(delays) // 2] - ONE_WAY, STEP * 1.5)
        path = self.here.link(self.there.nodeID).path
        assert path is not None
        repeated = path.packetsRepeated / path.framePackets
        self.assertLessEqual(repeated, 0.15)

    def test_good(self) -> None:
        """
        On a good path nothing is sent twice but the ends of calls, and no frame is held.
        """
        voices = self.begin(12, Impairment(delay=ONE_WAY), 10)
        self.assertEqual(voices.within(ONE_WAY + STEP), 1.0)
        link = self.there.link(self.here.nodeID)
        self.assertEqual((link.order.framesHeld, link.order.framesLate), (0, 0))
        path = self.here.link(self.there.nodeID).path
        assert path is not None
        self.assertEqual((path.packetsRepeated, path.quality.redundant), (0, False))
