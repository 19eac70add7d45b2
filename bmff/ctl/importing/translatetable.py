"""
The numbers that are others at hotspots, in our configuration: said once for all of them, and of
single ones what is different there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

Rule: TypeAlias = tuple[int, int, int]
"""
A number there, the number here, and the slot, 1 or 2.
"""


def shared(lists: Iterable[tuple[Rule, ...]]) -> tuple[Rule, ...]:
    """
    The rules that are in every list.
    """
    first, *others = (*lists,) or ((),)
    return tuple(rule for rule in first if all(rule in each for each in others))


def beside(own: tuple[Rule, ...], common: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """
    What is to be said of one hotspot, so that it has its own numbers and no others, though the
    common ones count for it, after these.
    """
    wanted = _found(own)
    for candidate in (tuple(rule for rule in own if rule not in common), own):
        rules = (*candidate, *_kept(_found((*candidate, *common)) - wanted))
        if _found((*rules, *common)) == wanted:
            return rules
    raise AssertionError("a hotspot's own numbers come first")


def _found(rules: Iterable[Rule]) -> set[tuple[str, int, int, int]]:
    """
    What rules make of numbers: on which way, on which slot, of which number, which one. Where two
    say something of one number, the first counts; one that stays as it is, is not in it.
    """
    found: dict[tuple[str, int, int], int] = {}
    for there, here, slot in rules:
        found.setdefault(("in", slot, there), here)
        found.setdefault(("out", slot, here), there)
    return {(*key, number) for key, number in found.items() if key[2] != number}


def _kept(numbers: Iterable[tuple[str, int, int, int]]) -> Iterator[Rule]:
    """
    Rules by which numbers stay as they are.
    """
    yield from sorted({(number, number, slot) for _, slot, number, _ in numbers})
