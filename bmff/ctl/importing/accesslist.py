"""
A list of numbers that are let through, or are not, as hblink writes it: C{PERMIT:ALL},
C{DENY:1,2-10}.
"""

from __future__ import annotations

from typing import Final

from bmff.dmr.ranges import Ranges

MOST_WRITTEN: Final = 64  # numbers that are written one by one


def parseAccessList(text: str, whole: Ranges) -> Ranges:
    """
    The numbers that a list lets through.

    @param whole: all the numbers that there are.
    @raise ValueError: it is no such list.
    """
    action, colon, items = text.strip().partition(":")
    action = action.strip().upper()
    if action not in {"PERMIT", "DENY"} or not colon:
        raise ValueError("is neither PERMIT:... nor DENY:...")
    named = []
    for item in filter(None, map(str.strip, items.split(","))):
        if item.upper() == "ALL":
            named += list(whole)
            continue
        first, dash, last = (part.strip() for part in item.partition("-"))
        last = last if dash else first
        if not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in (first, last)):
            raise ValueError(f"holds {item!a}, which is no number and no range")
        named.append((int(first), int(last)))
    found = both(Ranges(named), whole)
    return found if action == "PERMIT" else whole - found


def both(one: Ranges, other: Ranges) -> Ranges:
    """
    The numbers that are in both.
    """
    return one - (one - other)


def written(numbers: Ranges) -> tuple[int | str, ...]:
    """
    A set of numbers as our configuration lists it.
    """
    return tuple(first if first == last else f"{first}-{last}" for first, last in numbers)


def count(numbers: Ranges) -> int:
    """
    How many numbers there are.
    """
    return sum(last - first + 1 for first, last in numbers)


def singly(numbers: Ranges) -> tuple[int, ...] | None:
    """
    The numbers one by one; L{None} when they are more than L{MOST_WRITTEN}.
    """
    if count(numbers) > MOST_WRITTEN:
        return None
    return tuple(number for first, last in numbers for number in range(first, last + 1))
