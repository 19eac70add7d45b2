"""
The status: who calls 5000 is told by a text message what the slots hear.
"""

from __future__ import annotations

from typing import Final

from bmff.dmr.frame import Frame
from bmff.dmr.numbers import STATUS
from bmff.router.call import Call, Peer, Slot
from bmff.router.texts import Texts

PAUSE: Final = 1.0  # seconds between the end of a call and the answer
MOST: Final = 12  # talkgroups of a slot that are named


class Status:
    """
    Takes calls to 5000, as talkgroup or as radio.
    """

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def takes(self, peer: Peer, frame: Frame) -> bool:
        """
        See L{bmff.router.service.Service}.
        """
        return frame.destination == STATUS and not frame.isData

    def begin(self, call: Call, now: float) -> Question | None:
        """
        See L{bmff.router.service.Service}.
        """
        return Question(self._texts, call, call.slot) if call.slot is not None else None


class Question:
    """
    One call to the status.
    """

    __slots__ = ("_call", "_slot", "_texts")

    def __init__(self, texts: Texts, call: Call, slot: Slot) -> None:
        self._texts = texts
        self._call = call
        self._slot = slot

    def sendFrame(self, frame: Frame) -> None:
        """
        See L{bmff.router.call.RemoteSink}. What is said does not matter.
        """

    def close(self) -> None:
        """
        The call is over: answer.
        """
        call = self._call
        self._texts.send(
            describe(self._slot.peer),
            source=STATUS,
            destination=call.source,
            now=call.heard + PAUSE,
            slot=self._slot,
        )


def describe(peer: Peer) -> str:
    """
    What the slots of a peer hear, for a radio's display: C{"TS1: 91. TS2: 262, 2621+, 9=26208"}.
    What was keyed has a plus, what is heard under 9 an equals sign.
    """
    return ". ".join(f"TS{slot.number}: {_heard(slot)}" for slot in peer.slots)


def _heard(slot: Slot) -> str:
    linked = slot.peer.linked if slot.number == 2 else 0
    names = [str(each) for each in sorted(slot.static) if each != linked]
    names += [f"{each}+" for each in slot.dynamic if each not in slot.static and each != linked]
    if linked:
        names.append(f"9={linked}")
    if len(names) > MOST:
        names[MOST:] = ["..."]
    return ", ".join(names) or "none"
