"""
What a bad path does to the datagrams of one direction: loss alone or in bursts, delay, jitter,
reordering, doubles, by a seed; no socket and no clock.

Losses in bursts are those of E. N. Gilbert, "Capacity of a Burst-Noise Channel" (1960), with
nothing lost in the good state and all in the bad one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Final, Generic, TypeVar

Datagram = TypeVar("Datagram")

LONGEST_HOLD: Final = 0.25  # seconds; four frames of a call


@dataclass(frozen=True, slots=True)
class Impairment:
    """
    What a path does to the datagrams of one direction; without arguments nothing.

    @ivar loss: the share that is lost, 0 to 1.
    @ivar burst: how many are lost in a row on average; 1 for losses that know nothing of each
        other, of which some follow each other as well.
    @ivar exact: whether as many are lost in a row each time, and never more; then a whole number.
    @ivar delay: seconds that each takes.
    @ivar jitter: seconds that it may take in addition, evenly spread; more than the pitch of the
        datagrams reorders them, without a limit to their number.
    @ivar reordering: the share that is held back until others have passed, 0 to 1. One that lets
        another go is itself not held back.
    @ivar displacement: how many others pass at most; how many is evenly spread from 1.
    @ivar hold: seconds after which one is let go in any case, since no other may come.
    @ivar duplication: the share that arrives twice, 0 to 1.
    @ivar cut: whether nothing gets through.
    """

    loss: float = 0.0
    burst: float = 1.0
    exact: bool = False
    delay: float = 0.0
    jitter: float = 0.0
    reordering: float = 0.0
    displacement: int = 3
    hold: float = LONGEST_HOLD
    duplication: float = 0.0
    cut: bool = False

    def __post_init__(self) -> None:
        """
        @raise ValueError: no path can be like this; each reason is told.
        """
        if mistakes := list(self._mistakes()):
            raise ValueError("; ".join(mistakes))

    def _mistakes(self) -> Iterator[str]:
        for name in ("loss", "reordering", "duplication"):
            if not 0 <= getattr(self, name) <= 1:
                yield f"{name} is a share, 0 to 1"
        for name in ("delay", "jitter", "hold"):
            if not 0 <= getattr(self, name) < inf:
                yield f"{name} is seconds, 0 or more"
        if self.displacement < 1:
            yield "displacement is 1 or more datagrams"
        if not 1 <= self.burst < inf or (self.exact and self.burst % 1):
            yield "burst is 1 or more datagrams, a whole number where it is exact"
        elif (self.burst > 1 or self.exact) and self.loss < 1 and self._chance > 1 + 1e-9:
            # One has to arrive between two bursts.
            share = self.burst / (self.burst + 1)
            yield f"of bursts of {self.burst:g} a share of {share:.3g} can be lost at most, or all"

    @property
    def _chance(self) -> float:
        """
        How likely a burst begins with a datagram before which none was lost.
        """
        return self.loss / (self.burst * (1 - self.loss)) if self.loss < 1 else 1.0

    def chance(self, run: int) -> float:
        """
        How likely the next datagram is lost.

        @param run: how many were lost in a row just before.
        @return: 0 to 1.
        """
        if self.cut or self.loss == 1:
            return 1.0
        if self.burst == 1 and not self.exact:
            return self.loss
        if self.loss == 0:
            return 0.0
        if run == 0:
            return self._chance
        if self.exact:
            return float(run < self.burst)
        return 1 - 1 / self.burst


class _Held(Generic[Datagram]):
    """
    A datagram that is held back.

    @ivar datagram: it.
    @ivar copies: how often it arrives.
    @ivar left: how many have to come before it is let go.
    @ivar overtaken: whether one has passed.
    @ivar until: when it is let go in any case, seconds.
    """

    __slots__ = ("copies", "datagram", "left", "overtaken", "until")

    def __init__(self, datagram: Datagram, copies: int, left: int, until: float) -> None:
        self.datagram = datagram
        self.copies = copies
        self.left = left
        self.overtaken = False
        self.until = until


class Impairer(Generic[Datagram]):
    """
    One direction of a bad path. Whoever runs it gives it each datagram, sends what it answers after
    the delays that it says, and calls L{timeout} at the L{deadline}.

    The same seed does the same to the same traffic.

    @ivar impairment: may be changed at any time; what is held back stays so.
    @ivar taken: datagrams that came.
    @ivar lost: how many of them were lost.
    @ivar doubled: how many of them arrive twice.
    @ivar reordered: how many of them others have passed.
    """

    __slots__ = ("_held", "_random", "_run", "doubled", "impairment", "lost", "reordered", "taken")

    def __init__(self, impairment: Impairment, seed: int | Random = 0) -> None:
        """
        @param seed: a number, or the source of chance that several directions share.
        """
        self.impairment = impairment
        self.taken = 0
        self.lost = 0
        self.doubled = 0
        self.reordered = 0
        self._random = seed if isinstance(seed, Random) else Random(seed)
        self._held: deque[_Held[Datagram]] = deque()  # in the order in which they came
        self._run = 0  # lost in a row just now

    @property
    def holding(self) -> int:
        """
        How many datagrams are held back.
        """
        return len(self._held)

    def take(self, datagram: Datagram, now: float) -> list[tuple[float, Datagram]]:
        """
        A datagram comes.

        @param now: seconds.
        @return: what leaves, in this order, and after how many seconds each arrives; nothing of
            one that is lost or held back, twice of one that is doubled.
        """
        impairment, random = self.impairment, self._random
        leaving = self.timeout(now) if self._held else []
        self.taken += 1
        if random.random() < impairment.chance(self._run):
            self._run += not impairment.cut  # a cut begins no burst
            self.lost += 1
            return leaving
        self._run = 0
        copies = 1
        if random.random() < impairment.duplication:
            copies = 2
            self.doubled += 1
        free = False
        for held in self._held:
            held.left -= 1
            free = free or held.left == 0
        if not free and impairment.reordering and random.random() < impairment.reordering:
            left = random.randint(1, impairment.displacement)
            self._held.append(_Held(datagram, copies, left, now + impairment.hold))
            return leaving
        for held in self._held:
            held.overtaken = True
        self._leave(datagram, copies, leaving)
        if free:
            self._let(lambda held: held.left == 0, leaving)
        return leaving

    def deadline(self) -> float:
        """
        When to call L{timeout}, seconds; infinite when nothing is held back.
        """
        return min((held.until for held in self._held), default=inf)

    def timeout(self, now: float) -> list[tuple[float, Datagram]]:
        """
        Let go what has been held back for long enough.

        @return: see L{take}.
        """
        leaving: list[tuple[float, Datagram]] = []
        self._let(lambda held: held.until <= now, leaving)
        return leaving

    def _let(
        self,
        chosen: Callable[[_Held[Datagram]], bool],
        leaving: list[tuple[float, Datagram]],
    ) -> None:
        """
        Let go some of those that are held back, in the order in which they came.
        """
        staying: deque[_Held[Datagram]] = deque()
        for held in self._held:
            if not chosen(held):
                staying.append(held)
                continue
            for before in staying:
                before.overtaken = True
            self.reordered += held.overtaken
            self._leave(held.datagram, held.copies, leaving)
        self._held = staying

    def _leave(
        self, datagram: Datagram, copies: int, leaving: list[tuple[float, Datagram]]
    ) -> None:
        impairment = self.impairment
        for _ in range(copies):
            delay = impairment.delay + impairment.jitter * self._random.random()
            leaving.append((delay, datagram))
