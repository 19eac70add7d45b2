"""
What an operator has ordered by hand while a node runs: who may not log in, who hears what, and that
the node is to be emptied. It is forgotten when the process ends; what is to stay stands in the
configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Protocol

from bmff.access import PeerSettings

DRAINING: Final = "the node is being emptied"
MOST: Final = 10_000  # bans, and peers with talkgroups of their own


class Rules(Protocol):
    """
    The rules of the configuration, see L{bmff.access.Access}.
    """

    def refusal(self, peerID: int) -> str | None: ...

    def passphrase(self, peerID: int) -> bytes | None: ...

    def settings(self, peerID: int) -> PeerSettings: ...


class OrdersFull(Exception):
    """
    No more can be remembered.
    """


class Orders:
    """
    The rules of the configuration, and what was ordered beside them. It is what the HomeBrew master
    is to ask.

    @ivar draining: whether nobody new may log in.
    @ivar banned: why peers may not log in, by ID.
    @ivar static: the talkgroups of peers, by ID and slot.
    @ivar mayStay: whether a peer may be here while the node is emptied, as it is in a call.
    """

    def __init__(self, rules: Rules) -> None:
        self.draining = False
        self.banned: dict[int, str] = {}
        self.static: dict[int, dict[int, tuple[int, ...]]] = {}
        self.mayStay: Callable[[int], bool] = lambda peerID: False
        self._rules = rules
        self._leaving: dict[int, str] = {}

    def refusal(self, peerID: int) -> str | None:
        """
        Why a peer may not log in, or may be here no longer; L{None} when it may.
        """
        return self._order(peerID) or self._rules.refusal(peerID)

    def passphrase(self, peerID: int) -> bytes | None:
        """
        See L{bmff.access.Access.passphrase}.
        """
        return None if self._order(peerID) else self._rules.passphrase(peerID)

    def settings(self, peerID: int) -> PeerSettings:
        """
        See L{bmff.access.Access.settings}.
        """
        settings = self._rules.settings(peerID)
        static = self.static.get(peerID)
        if static is None:
            return settings
        return replace(
            settings,
            slot1=static.get(1, settings.slot1),
            slot2=static.get(2, settings.slot2),
        )

    def ban(self, peerID: int, reason: str) -> None:
        """
        Let a peer in no more.

        @raise OrdersFull: there are too many bans.
        """
        if peerID not in self.banned and len(self.banned) >= MOST:
            raise OrdersFull("there are too many bans; put them into the configuration")
        self.banned[peerID] = reason

    def setStatic(self, peerID: int, slot: int, talkgroups: tuple[int, ...] | None) -> None:
        """
        What a slot of a peer is to hear.

        @param talkgroups: L{None} for what the configuration says.
        @raise OrdersFull: too many peers have talkgroups of their own.
        """
        if talkgroups is not None:
            if peerID not in self.static and len(self.static) >= MOST:
                raise OrdersFull("too many peers have talkgroups; put them into the configuration")
            self.static.setdefault(peerID, {})[slot] = talkgroups
        elif peerID in self.static:
            self.static[peerID].pop(slot, None)
            if not self.static[peerID]:
                del self.static[peerID]

    def sendAway(self, peerID: int, reason: str, review: Callable[[], None]) -> None:
        """
        End a peer's session; it may come back.

        @param review: has the sessions of those ended that may be here no longer.
        """
        self._leaving[peerID] = reason
        try:
            review()
        finally:
            del self._leaving[peerID]

    def describe(self) -> dict[str, Any]:
        """
        All that is ordered.
        """
        return {
            "draining": self.draining,
            "banned": [
                {"peer": peer, "reason": reason} for peer, reason in sorted(self.banned.items())
            ],
            "static": [
                {
                    "peer": peer,
                    "slot1": list(slots[1]) if 1 in slots else None,
                    "slot2": list(slots[2]) if 2 in slots else None,
                }
                for peer, slots in sorted(self.static.items())
            ],
        }

    def _order(self, peerID: int) -> str | None:
        if peerID in self._leaving:
            return self._leaving[peerID]
        if peerID in self.banned:
            return self.banned[peerID]
        return DRAINING if self.draining and not self.mayStay(peerID) else None
