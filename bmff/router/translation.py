"""
Talkgroups and radios that have other numbers at a peer or a bridge than in the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """
    Whom a call is for, as one side of a translation has it.

    @ivar destination: a talkgroup, or a radio ID when C{private}, 24 bits.
    @ivar private: whether it is for one radio.
    """

    destination: int
    private: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One number that is another.

    @ivar theirs: at the peer or bridge.
    @ivar ours: in the network.
    @ivar slot: the peer's slot that it counts on, 1 or 2; 0 for either, and for bridges.
    """

    theirs: Form
    ours: Form
    slot: int = 0


class Translation:
    """
    The rules of one peer or bridge. Where two rules say the same of one side, the first counts.
    """

    __slots__ = ("_inward", "_outward")

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._inward: dict[tuple[int, Form], Form] = {}
        self._outward: dict[tuple[int, Form], Form] = {}
        for rule in rules:
            for slot in (rule.slot,) if rule.slot else (0, 1, 2):
                self._inward.setdefault((slot, rule.theirs), rule.ours)
                self._outward.setdefault((slot, rule.ours), rule.theirs)

    def __bool__(self) -> bool:
        return bool(self._inward)

    def inward(self, slot: int, form: Form) -> Form | None:
        """
        What their number is here; L{None} when it is the same.

        @param slot: 1 or 2; 0 where there are none.
        """
        return self._inward.get((slot, form))

    def outward(self, slot: int, form: Form) -> Form | None:
        """
        What our number is there; L{None} when it is the same.
        """
        return self._outward.get((slot, form))
