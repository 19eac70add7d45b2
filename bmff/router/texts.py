"""
Text messages that the node itself sends to radios.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bmff.dmr.datacall import textCall
from bmff.router.announcement import Announcer
from bmff.router.call import Slot

_SEQUENCES: Final = 128  # radios show no message that has the number of the last one
_LARGEST: Final = 10_000  # radios whose last number is remembered


class Texts:
    """
    Sends texts.
    """

    def __init__(self, announcer: Announcer, random: Callable[[], int]) -> None:
        """
        @param random: gives numbers of 32 bits for stream IDs.
        """
        self._announcer = announcer
        self._random = random
        self._sequences: dict[int, int] = {}

    def send(
        self,
        text: str,
        *,
        source: int,
        destination: int,
        now: float,
        group: bool = False,
        slot: Slot | None = None,
    ) -> bool:
        """
        Send one.

        @param source: the radio ID that it is to be from, 24 bits.
        @param destination: a radio ID, or a talkgroup when C{group}, 24 bits.
        @param slot: the only slot that it is to go to; L{None} for where the radio, or who hears
            the talkgroup, is.
        @return: whether it is on its way; not when there are too many others.
        @raise ValueError: the text is too long for one message.
        """
        sequence = (self._sequences.pop(destination, -1) + 1) % _SEQUENCES
        frames = textCall(
            text,
            source=source,
            destination=destination,
            stream=self._random() or 1,
            group=group,
            slot=slot.number if slot is not None else 2,
            sequence=sequence,
        )
        if len(self._sequences) >= _LARGEST:
            del self._sequences[next(iter(self._sequences))]
        self._sequences[destination] = sequence
        return self._announcer.announce(frames, slot, now)
