"""
What slots hear: the talkgroups that are set for them, and those that their users have keyed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Final, Protocol

from bmff.dmr.numbers import isService
from bmff.events import Event, SubscriptionChanged
from bmff.router.call import Call, Peer, Slot
from bmff.router.deadlines import Deadlines
from bmff.router.talkgroups import Talkgroups

LARGEST_DYNAMIC: Final = 64  # talkgroups that a slot may key without leaving one
GRACE: Final = 2.0  # seconds that a talkgroup is kept on while a call is heard on it


class Floor(Protocol):
    """
    Gives slots to calls (L{bmff.router.reach.Reach}).
    """

    def offer(self, call: Call, slot: Slot, now: float) -> None:
        """
        Attach a slot to a call if it is free for it, else let the call wait.
        """

    def freed(self, slot: Slot, now: float) -> None:
        """
        A slot may have become free for a call that waits.
        """


class Subscriptions:
    """
    The talkgroups of all slots.
    """

    def __init__(
        self,
        talkgroups: Talkgroups,
        floor: Floor,
        deadlines: Deadlines,
        publish: Callable[[Event], None],
    ) -> None:
        """
        @param talkgroups: is kept up to date.
        @param publish: is told of each change.
        """
        self._talkgroups = talkgroups
        self._floor = floor
        self._deadlines = deadlines
        self._publish = publish

    def setStatic(self, peer: Peer, static: Mapping[int, Iterable[int]], now: float) -> None:
        """
        A peer hears these talkgroups, by slot number, until told otherwise.
        """
        for slot in peer.slots:
            numbers = [number for number in (1, 2) if peer.slot(number) is slot]
            wanted = frozenset(
                talkgroup
                for number in numbers
                for talkgroup in static.get(number, ())
                if not isService(talkgroup)
            )
            if wanted == slot.static:
                continue
            before, slot.static = slot.static, wanted
            for talkgroup in before - wanted:
                self._left(slot, talkgroup, now)
            for talkgroup in sorted(wanted - before):
                self._joined(slot, talkgroup, now)
            self._tell(slot)

    def review(self, peer: Peer, now: float) -> None:
        """
        What a peer may hear is other than before: it hears no call any longer that it may not.
        """
        for slot in peer.slots:
            call = slot.call
            if (
                call is not None
                and call.routed
                and not call.private
                and slot in call.listeners
                and call.destination in peer.refused
            ):
                call.dismiss(slot)
                self._floor.freed(slot, now)

    def unlink(self, peer: Peer, now: float) -> None:
        """
        A peer leaves all talkgroups that it keyed.
        """
        self._dialled(peer, 0)
        for slot in peer.slots:
            if slot.dynamic:
                before = tuple(slot.dynamic)
                slot.dynamic.clear()
                for talkgroup in before:
                    self._left(slot, talkgroup, now)
                self._tell(slot)

    def leave(self, slot: Slot, talkgroup: int, now: float) -> bool:
        """
        A slot leaves a talkgroup that was keyed.

        @return: whether it had been.
        """
        if slot.dynamic.pop(talkgroup, None) is None:
            return False
        self._left(slot, talkgroup, now)
        self._tell(slot)
        return True

    def dial(self, peer: Peer, talkgroup: int, now: float) -> None:
        """
        A user links a talkgroup to 9 on slot 2, in place of the one that was linked.
        """
        slot = peer.slot(2)
        before = peer.dialled
        if before and before != talkgroup and slot.dynamic.pop(before, None) is not None:
            self._left(slot, before, now)
        self.key(slot, talkgroup, now)
        self._dialled(peer, talkgroup)

    def _dialled(self, peer: Peer, talkgroup: int) -> None:
        if peer.dialled != talkgroup:
            peer.dialled = talkgroup
            peer.translationChanged()

    def forget(self, slot: Slot) -> None:
        """
        The peer of a slot is gone.
        """
        for talkgroup in (*slot.static, *slot.dynamic):
            self._talkgroups.leave(slot, talkgroup)
        slot.static = frozenset()
        slot.dynamic.clear()

    def key(self, slot: Slot, talkgroup: int, now: float) -> None:
        """
        A user has keyed a talkgroup: the slot hears it from now on.
        """
        peer = slot.peer
        if peer.holdOff:
            slot.keyed, slot.heldUntil = talkgroup, now + peer.holdOff
        if talkgroup in slot.static:
            return
        until = now + peer.dynamicTimeout if peer.dynamicTimeout else inf
        fresh = talkgroup not in slot.dynamic
        slot.dynamic.pop(talkgroup, None)  # so that it goes to the end, as the one keyed last
        if fresh and slot.dynamic:
            keep = 0 if peer.single else LARGEST_DYNAMIC - 1
            for left in list(slot.dynamic)[: max(0, len(slot.dynamic) - keep)]:
                del slot.dynamic[left]
                self._left(slot, left, now)
        slot.dynamic[talkgroup] = until
        if fresh:
            self._talkgroups.join(slot, talkgroup)
            self._tell(slot)
        self._watch(slot)

    def _watch(self, slot: Slot) -> None:
        """
        Look at a slot when the first of what was keyed is over: once for all of it, whatever is
        keyed and left until then, so that nobody who keys and keys fills the memory.
        """
        due = min(slot.dynamic.values(), default=inf)
        if due < slot.expiresAt:
            slot.expiresAt = due
            self._deadlines.schedule(due, self._expire, (slot, due))

    def _expire(self, subject: tuple[Slot, float], now: float) -> None:
        slot, due = subject
        if slot.expiresAt != due:
            return  # an earlier look has taken the place of this one
        slot.expiresAt = inf
        over = [talkgroup for talkgroup, until in slot.dynamic.items() if until <= now]
        call = slot.call
        if call is not None and not call.private and call.destination in over:
            slot.dynamic[call.destination] = now + GRACE  # nobody is cut off within a call
            over.remove(call.destination)
        for talkgroup in over:
            del slot.dynamic[talkgroup]
            self._left(slot, talkgroup, now)
        if over:
            self._tell(slot)
        self._watch(slot)

    def _joined(self, slot: Slot, talkgroup: int, now: float) -> None:
        self._talkgroups.join(slot, talkgroup)
        for call in self._talkgroups.calls(talkgroup):
            if call.open and call.ingress is not slot.peer:
                self._floor.offer(call, slot, now)

    def _left(self, slot: Slot, talkgroup: int, now: float) -> None:
        if slot.hears(talkgroup):
            return
        self._talkgroups.leave(slot, talkgroup)
        call = slot.call
        if (
            call is not None
            and not call.private
            and call.destination == talkgroup
            and slot in call.listeners
        ):
            call.dismiss(slot)
            self._floor.freed(slot, now)
        if slot.number == 2 and talkgroup == slot.peer.dialled:
            self._dialled(slot.peer, 0)

    def _tell(self, slot: Slot) -> None:
        self._publish(
            SubscriptionChanged(
                peer=slot.peer.peerID,
                slot=slot.number,
                static=tuple(sorted(slot.static)),
                dynamic=tuple(sorted(slot.dynamic)),
            )
        )
