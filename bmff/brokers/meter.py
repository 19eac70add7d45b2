"""
How the calls that are on are received at this moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from bmff.brokers.reports import Reading
from bmff.router.call import Call


class Calls(Protocol):
    """
    Knows the calls that are on (L{bmff.router.router.Router}).
    """

    def currentCalls(self) -> Iterable[Call]: ...


class Meter:
    """
    Reads off what the router knows of each call. It is asked by a timer: no frame waits for it.
    """

    def __init__(
        self, calls: Calls, strength: Callable[[Call], int] = lambda call: call.last.rssi
    ) -> None:
        """
        @param strength: received strength of a call's last frame as -dBm, 0 when unknown.
        """
        self._calls = calls
        self._strength = strength

    def __call__(self) -> Iterator[Reading]:
        """
        A reading of each call.
        """
        for call in self._calls.currentCalls():
            yield Reading(call.stream, call.source, call.frames, call.lost, self._strength(call))
