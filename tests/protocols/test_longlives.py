"""
Paths that live for hours while packets are lost: none is taken for dead that is not.

C{BMFF_SOAK} in the environment makes them live as long as what is promised of them.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from math import inf
from random import Random
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import VOICE_SYNC, Frame
from bmff.testing.impairment import Impairer, Impairment
from bmff.testing.mutation import SOAK
from bmff.wire.fastforward.messages import Answer, Challenge, Measurement, Message
from bmff.wire.fastforward.path import Path, Traits
from bmff.wire.fastforward.session import Session

HOUR: Final = 3600.0  # seconds
DAY: Final = 24 * HOUR
LINKS: Final = 190  # of 20 nodes
PITCH: Final = 0.06  # seconds between two frames of a call
BURSTS: Final = Impairment(loss=0.05, burst=3, exact=True, delay=0.01)
UDP: Final = Traits("udp", reliable=False, trusted=False)
INTEREST: Final = (1, 2)
TEXTS: Final = ("192.0.2.9:54000", "udp")
KEYS: Final = (bytes(32), bytes(31) + b"\x01")  # of sessions whose packets are not sealed


class End:
    """
    One end of a path, which owns it: answers challenges as a link does, and forgets the rest.

    @ivar path: its path.
    @ivar other: the end that its packets go to.
    @ivar way: what becomes of those.
    @ivar measurements: how many have come.
    @ivar deadAt: when the path was found dead, seconds.
    """

    other: End

    def __init__(self, pair: LossyPair, impairment: Impairment, random: Random) -> None:
        self.heardOn: Path | None = None
        self.measurements = 0
        self.deadAt: list[float] = []
        self.way: Impairer[bytes] = Impairer(impairment, random)
        self._pair = pair
        self.path = Path(self, UDP, TEXTS[0], self._send, 0.0)

    def _send(self, data: bytes) -> bool:
        self._pair.carry(self, data)
        return True

    def frameReceived(self, index: int, frame: Frame, now: float) -> None:
        pass

    def messageReceived(self, path: Path, message: Message, now: float) -> None:
        if isinstance(message, Challenge):
            path.sendMessage(Answer(message.value))

    def measured(self, path: Path, measurement: Measurement, now: float) -> None:
        self.measurements += 1

    def makeMeasurement(self, path: Path, now: float) -> Measurement:
        return path.measurement(now, 1500, 20, INTEREST, TEXTS)

    def pathHeard(self, path: Path, now: float) -> None:
        self.heardOn = path

    def pathAwake(self, path: Path) -> None:
        pass

    def gapOpened(self, until: float) -> None:
        pass

    def restAsked(self, until: float) -> None:
        pass

    def gapsClosed(self, now: float) -> None:
        pass

    def sessionNamed(self, index: int) -> Session | None:
        return next((each for each in self.path.sessions if each.localIndex == index), None)


class LossyPair:
    """
    Two ends of a path, from one deadline to the next.

    @ivar seed: what its chance was made from.
    @ivar now: the time, seconds.
    @ivar here: the end that makes the sessions, and talks.
    @ivar there: the other one.
    """

    def __init__(self, impairment: Impairment, seed: int, back: Impairment | None = None) -> None:
        """
        @param impairment: of what leaves here.
        @param back: of what comes back; the same when absent.
        """
        self.seed = seed
        random = Random(seed)
        self.now = 0.0
        self.here = End(self, impairment, random)
        self.there = End(self, impairment if back is None else back, random)
        self.here.other, self.there.other = self.there, self.here
        self._coming: list[tuple[float, int, End, bytes]] = []
        self._number = count()
        self._index = count(1)
        self._frame = 0  # the number of the next
        self._frameAt = inf
        self._callEnds = inf
        self._pause = inf  # between two calls
        self._length = 0.0  # of a call
        self._rekey()

    def talk(self, seconds: float, pause: float = 0.0) -> None:
        """
        From now on there are calls here.

        @param seconds: that each lasts; infinity for one that does not end.
        @param pause: between two.
        """
        self._frameAt, self._length, self._pause = self.now, seconds, pause
        self._callEnds = self.now + seconds

    def carry(self, sender: End, data: bytes) -> None:
        """
        Take a packet on its way.
        """
        for delay, each in sender.way.take(data, self.now):
            heappush(self._coming, (self.now + delay, next(self._number), sender.other, each))

    def _rekey(self) -> None:
        """
        The ends have agreed on a new session.
        """
        near = next(self._index)
        far = near + 0x80000000
        mine = Session(*KEYS, near, far, initiator=True, now=self.now, sealed=False)
        theirs = Session(*KEYS, far, near, initiator=False, now=self.now, sealed=False)
        self.there.path.expectSession(theirs)
        self.here.path.useSession(mine, self.now)

    def live(self, seconds: float) -> None:
        """
        Let time pass.
        """
        end = self.now + seconds
        here, there = self.here, self.there
        coming = self._coming
        while True:
            hereAt, thereAt = here.path.deadline(), there.path.deadline()
            comesAt = coming[0][0] if coming else inf
            self.now = now = max(self.now, min(hereAt, thereAt, comesAt, self._frameAt))
            if now >= end:
                self.now = end
                return
            if comesAt <= now:
                _, _, receiver, data = heappop(coming)
                receiver.path.packetReceived(data, now)
                receiver.path.flush(now)
            elif self._frameAt <= now:
                self._speak(now)
            else:
                self._due(here if hereAt <= now else there, now)

    def _speak(self, now: float) -> None:
        """
        Send the next frame.
        """
        self.here.path.sendFrame(self._frame, _frame(self._frame))
        self.here.path.flush(now)
        self._frame += 1
        self._frameAt += PITCH
        if self._frameAt >= self._callEnds:
            self._frameAt += self._pause
            self._callEnds = self._frameAt + self._length

    def _due(self, end: End, now: float) -> None:
        """
        Do what is due at one end.
        """
        if not end.path.timeout(now):
            end.deadAt.append(now)
            end.path.stalled(now)  # so that every one of its deaths is counted
        session = end.path.session
        if end is self.here and session is not None and session.wantsRekey(now):
            self._rekey()

    @property
    def deadAt(self) -> list[float]:
        """
        When either end found the path dead.
        """
        return sorted(self.here.deadAt + self.there.deadAt)


def _frame(number: int) -> Frame:
    """
    A frame of an endless call.
    """
    return Frame.make(
        sequence=number & 0xFF,
        source=7000,
        destination=91,
        flags=0x80 | VOICE_SYNC,
        stream=5,
        burst=bytes(33),
    )


class LongLifeTests(SynchronousTestCase):
    """
    Pairs that live long.
    """

    def assertLives(self, pair: LossyPair, seconds: float) -> None:
        """
        Neither end finds the path dead in all this time.
        """
        pair.live(seconds)
        self.assertEqual(pair.deadAt, [], f"seed {pair.seed}")
        # Both were there all the time, and packets were lost: else it would prove nothing.
        for end in (pair.here, pair.there):
            loss = end.way.impairment.loss
            self.assertGreater(end.measurements, 0.9 * (1 - loss) * seconds)
            self.assertGreater(end.way.lost, 0.8 * loss * end.way.taken)

    def test_loss(self) -> None:
        """
        With 5 % loss each way an idle path lives for 16 hours.
        """
        pair = LossyPair(Impairment(loss=0.05, delay=0.01), 1)
        self.assertLives(pair, 16 * HOUR if SOAK else HOUR)

    def test_bursts(self) -> None:
        """
        With 5 % loss each way, three packets at a time, an idle path lives for 16 hours.
        """
        self.assertLives(LossyPair(BURSTS, 1), 16 * HOUR if SOAK else 2 * HOUR)

    def test_burstsInCalls(self) -> None:
        """
        With 5 % loss each way, three packets at a time, a path with calls of one end lives on.
        """
        pair = LossyPair(BURSTS, 2)
        pair.talk(7.0, pause=3.0)
        self.assertLives(pair, 4 * HOUR if SOAK else HOUR / 10)

    def test_mesh(self) -> None:
        """
        With 2 % loss each way all links of 20 nodes live for hours.
        """
        for seed in range(LINKS if SOAK else 4):
            pair = LossyPair(Impairment(loss=0.02, delay=0.01), seed)
            self.assertLives(pair, DAY / 4 if SOAK else HOUR / 4)

    def test_dies(self) -> None:
        """
        A path on which nothing gets through any more in one direction is found dead by who hears
        nothing: within 1.2 s of its last packet in a call, within 3.3 s else.
        """
        for talks, longest in ((False, 3.3), (True, 1.2)):
            pair = LossyPair(BURSTS, 3)
            if talks:
                pair.talk(inf)
            pair.live(60.0)
            pair.here.way.impairment = Impairment(cut=True)
            pair.live(0.02)  # what is on its way still arrives
            heard = pair.there.path.heard
            pair.live(longest)
            self.assertEqual(len(pair.there.deadAt), 1)
            self.assertLessEqual(pair.there.deadAt[0] - heard, longest)
