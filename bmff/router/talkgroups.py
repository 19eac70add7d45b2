"""
Which slots are subscribed to which talkgroup, and which calls are on.
"""

from __future__ import annotations

from collections.abc import Iterable

from bmff.router.call import Call, Slot


class Talkgroups:
    """
    Two indexes by talkgroup: the slots that hear it, and the calls that are on.
    """

    def __init__(self) -> None:
        self._slots: dict[int, dict[Slot, None]] = {}
        self._calls: dict[int, list[Call]] = {}

    def __len__(self) -> int:
        """
        How many talkgroups somebody hears.
        """
        return len(self._slots)

    def join(self, slot: Slot, talkgroup: int) -> None:
        """
        L{slot} hears L{talkgroup}.
        """
        self._slots.setdefault(talkgroup, {})[slot] = None

    def leave(self, slot: Slot, talkgroup: int) -> None:
        """
        L{slot} hears L{talkgroup} no longer.
        """
        slots = self._slots.get(talkgroup, {})
        slots.pop(slot, None)
        if not slots:
            self._slots.pop(talkgroup, None)

    def slots(self, talkgroup: int) -> Iterable[Slot]:
        """
        The slots that hear L{talkgroup}, those first that joined first.
        """
        return self._slots.get(talkgroup, ())

    def begin(self, call: Call) -> None:
        """
        A call is on.
        """
        self._calls.setdefault(call.destination, []).append(call)

    def end(self, call: Call) -> None:
        """
        A call is over.
        """
        calls = self._calls[call.destination]
        calls.remove(call)
        if not calls:
            del self._calls[call.destination]

    def calls(self, talkgroup: int) -> Iterable[Call]:
        """
        The calls that are on, those first that began first.
        """
        return tuple(self._calls.get(talkgroup, ()))
