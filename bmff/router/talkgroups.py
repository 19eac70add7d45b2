"""
Which slots are subscribed to which talkgroup, and which calls are on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bmff.router.call import Call, Slot


class Talkgroups:
    """
    Two indexes by talkgroup: the slots that hear it, and the calls that are on.
    """

    def __init__(self, changed: Callable[[int], None]) -> None:
        """
        @param changed: called with a talkgroup when the first slot has joined or the last has left.
        """
        self._changed = changed
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
        slots = self._slots.setdefault(talkgroup, {})
        slots[slot] = None
        if len(slots) == 1:
            self._changed(talkgroup)

    def leave(self, slot: Slot, talkgroup: int) -> None:
        """
        L{slot} hears L{talkgroup} no longer.
        """
        slots = self._slots.get(talkgroup)
        if slots is None or slot not in slots:
            return
        del slots[slot]
        if not slots:
            del self._slots[talkgroup]
            self._changed(talkgroup)

    def slots(self, talkgroup: int) -> Iterable[Slot]:
        """
        The slots that hear L{talkgroup}, those first that joined first.
        """
        return self._slots.get(talkgroup, ())

    def __contains__(self, talkgroup: int) -> bool:
        """
        Whether somebody hears a talkgroup.
        """
        return talkgroup in self._slots

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
