"""
Whom a call reaches: the slots that hear it, the nodes and the bridges that it goes out to.

This is settled when a call begins, when a slot becomes free and when somebody joins, leaves or
wants something else, never for a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import Final, Protocol

from bmff.dmr.numbers import isLocal
from bmff.dmr.ranges import Ranges
from bmff.router.announcement import Announcement
from bmff.router.call import Call, Peer, Remote, Slot
from bmff.router.deadlines import Deadlines
from bmff.router.locations import Locations
from bmff.router.networks import Networks
from bmff.router.talkgroups import Talkgroups
from bmff.router.trunk import Trunk

LARGEST_WAITING: Final = 8  # calls that wait for a slot


class Flushable(Protocol):
    """
    Gathers what a turn produces for one node.
    """

    def flush(self, now: float) -> None:
        """
        Send it.
        """


class Reach:
    """
    Who is there to hear calls.

    @ivar peers: the peers, by ID.
    @ivar remotes: the other nodes that a link leads to.
    @ivar trunks: the bridges to other networks.
    @ivar talkgroups: which slots hear which talkgroup.
    @ivar locations: where radios were last heard.
    @ivar networks: the other networks that peers and bridges lead to.
    @ivar interestWatcher: flushed when L{takeInterest}, L{wantedRanges} or C{networks.live} has
        something new.
    """

    def __init__(
        self,
        calls: Mapping[tuple[int, int], Call],
        deadlines: Deadlines,
        dirty: list[Flushable],
    ) -> None:
        """
        @param calls: those that are on, at any time.
        @param deadlines: where it is noted when a slot becomes free.
        @param dirty: where it is noted that somebody has to be told of a change.
        """
        self.peers: dict[int, Peer] = {}
        self.remotes: set[Remote] = set()
        self.trunks: dict[Trunk, None] = {}
        self.talkgroups = Talkgroups(self._interestMoved)
        self.locations = Locations()
        self.networks = Networks(self.interestChanged)
        self.interestWatcher: Flushable | None = None
        self._calls = calls
        self._deadlines = deadlines
        self._dirty = dirty
        self._moved: set[int] = set()

    # A call that begins.

    def open(self, call: Call, now: float) -> None:
        """
        Give a call to all that are to hear it.
        """
        if call.reader is not None:
            call.sinks.append(call.reader)
        for relay in call.relays:
            call.attachRemote(relay, relay.target)
        if not call.routed:
            self._openService(call, now)
        elif call.private:
            self._openPrivate(call, now)
        else:
            self._openGroup(call, now)

    def _openGroup(self, call: Call, now: float) -> None:
        for slot in self.talkgroups.slots(call.destination):
            if slot.peer is not call.ingress:
                self.offer(call, slot, now)
        for remote in self.remotes:
            self._offerRemote(call, remote)
        for trunk in self.trunks:
            self._offerTrunk(call, trunk)

    def _openService(self, call: Call, now: float) -> None:
        """
        Give a call that nobody subscribes to, to what it is for.
        """
        ingress = call.ingress
        if isinstance(ingress, Announcement) and ingress.slot is not None:
            peer = ingress.slot.peer
            if self.peers.get(peer.peerID) is peer:  # it may be gone meanwhile
                self.offer(call, ingress.slot, now)
        elif call.service is not None:
            sink = call.service.begin(call, now)
            if sink is not None:
                call.sinks.append(sink)

    def _openPrivate(self, call: Call, now: float) -> None:
        """
        Give a private call the one slot, node or bridge where its radio is.
        """
        location = self.locations.get(call.destination)
        if location is not None:
            remote, trunk = location.remote, location.trunk
            # What came over a link never goes out over a link: links are a full mesh.
            if remote in self.remotes and isOwn(call.ingress):
                if self.networks.mayCross(call, remote):
                    call.attachRemote(remote)
                return
            if trunk in self.trunks:
                if trunk is not call.ingress and self.networks.mayHear(call, trunk):
                    call.attachRemote(trunk, trunk.form(call))
                return
        target = self._target(call)
        if target is not None and target.peer is not call.ingress:
            self.offer(call, target, now)
        elif target is None:
            self._openElsewhere(call)

    def _openElsewhere(self, call: Call) -> None:
        """
        Give a private call that leads to nobody here the first bridge whose operator says that its
        radio is one of theirs. Radios are heard under their own numbers, so it never was itself.
        """
        for trunk in self.trunks:
            form = trunk.form(call)
            if (
                form is not None
                and trunk is not call.ingress
                and self.networks.mayHear(call, trunk)
            ):
                call.attachRemote(trunk, form)
                return

    def _target(self, call: Call) -> Slot | None:
        """
        The slot where a private call's radio is: where it was last heard, else at its hotspot.
        """
        location = self.locations.get(call.destination)
        if location is not None and location.remote is None and location.peerID in self.peers:
            return self.peers[location.peerID].slot(location.slot)
        peer = self.peers.get(call.destination)
        if peer is None or peer is call.ingress:
            # A second hotspot of one person has two digits more (ESSID).
            suffixed = (self.peers.get(call.destination * 100 + n) for n in range(1, 100))
            peer = next((one for one in suffixed if one not in {None, call.ingress}), None)
        return peer.slot(2) if peer is not None else None

    # Slots.

    def offer(self, call: Call, slot: Slot, now: float) -> None:
        """
        Attach a slot to a call if it is free for it, else let the call wait.
        """
        peer = slot.peer
        if not slot.serves or not self.networks.mayHear(call, peer):
            return
        if peer.refused and not call.private and call.destination in peer.refused:
            return
        if slot.call is not None:
            if slot.call is not call:
                self.wait(slot, call)
        elif now < slot.hangUntil and not call.data and slot.hang != call.conversation:
            self.wait(slot, call)
            self._ring(slot, slot.hangUntil)
        elif now < slot.heldUntil and slot.holdsBack(call):
            self.wait(slot, call)
            self._ring(slot, slot.heldUntil)
        else:
            call.attach(slot)

    def wait(self, slot: Slot, call: Call) -> None:
        """
        A call could not have a slot; it may when the slot becomes free.
        """
        if call not in slot.waiting:
            slot.waiting = [one for one in slot.waiting if not one.ended][1 - LARGEST_WAITING :]
            slot.waiting.append(call)

    def _ring(self, slot: Slot, due: float) -> None:
        """
        Look at a slot at a time, once for all calls that wait for it.
        """
        if due < slot.ringsAt:
            slot.ringsAt = due
            self._deadlines.schedule(due, self._rung, (slot, due))

    def _rung(self, subject: tuple[Slot, float], now: float) -> None:
        slot, due = subject
        if slot.ringsAt == due:  # else an earlier look has taken the place of this one
            slot.ringsAt = inf
            self.freed(slot, now)

    def freed(self, slot: Slot, now: float) -> None:
        """
        A slot may have become free for a call that waits.
        """
        waiting, slot.waiting = slot.waiting, []
        for call in waiting:
            if call.ended or not call.open:
                continue
            if call.private or not call.routed or slot.hears(call.destination):
                self.offer(call, slot, now)

    # Nodes.

    def addRemote(self, remote: Remote) -> None:
        """
        A link leads to another node; it hears the calls that it wants from now on.
        """
        self.remotes.add(remote)
        for call in self._openCalls():
            self._offerRemote(call, remote)

    def remoteChanged(self, remote: Remote, added: Iterable[int], removed: Iterable[int]) -> None:
        """
        A node hears other talkgroups than before.
        """
        for talkgroup in added:
            for call in self.talkgroups.calls(talkgroup):
                if call.open:
                    self._offerRemote(call, remote)
        for talkgroup in removed:
            if not remote.hears(talkgroup):  # a range may hold it still
                for call in self.talkgroups.calls(talkgroup):
                    call.detachRemote(remote)

    def remoteReviewed(self, remote: Remote) -> None:
        """
        A node hears other ranges of talkgroups than before.
        """
        for call in self._openCalls():
            if call.private:
                continue
            if remote.hears(call.destination):
                self._offerRemote(call, remote)
            else:
                call.detachRemote(remote)

    def setNetworks(
        self, remote: Remote, networks: frozenset[str], standBy: frozenset[str], now: float
    ) -> None:
        """
        A node has these networks, and for those in C{standBy} another sends calls out, not we.
        """
        moved = self.networks.standBy ^ standBy
        leaving, joining = self.networks.change(remote, networks, standBy)
        for slot in leaving:
            if slot.call is not None:
                slot.call.detach(slot)  # without an end: the other node goes on with its stream
                self.freed(slot, now)
        for call in tuple(self._calls.values()):
            for slot in joining if call.open and not call.private else ():
                if slot.hears(call.destination):
                    self.offer(call, slot, now)
            if not self.networks.mayCross(call, remote):
                call.detachRemote(remote)
            elif call.network and call.open and remote in self.remotes:
                self._offerRemote(call, remote)
        for trunk in self.trunks:
            if trunk.network in moved:
                self.trunkChanged(trunk)

    def _offerRemote(self, call: Call, remote: Remote) -> None:
        if (
            call.routed
            and not call.private
            and isOwn(call.ingress)
            and not isLocal(call.destination)
            and remote.hears(call.destination)
            and self.networks.mayCross(call, remote)
        ):
            call.attachRemote(remote)

    # Bridges.

    def addTrunk(self, trunk: Trunk) -> None:
        """
        A bridge leads to another network; it hears the calls that it wants from now on.
        """
        self.trunks[trunk] = None
        self.networks.join(trunk)
        self.trunkChanged(trunk)

    def trunkChanged(self, trunk: Trunk) -> None:
        """
        A bridge hears other talkgroups than before, or may hear what it might not.
        """
        for call in self._openCalls():
            if not call.private:
                self._offerTrunk(call, trunk)
        self.interestChanged()

    def _offerTrunk(self, call: Call, trunk: Trunk) -> None:
        if (
            call.routed
            and trunk is not call.ingress
            and trunk.hears(call.destination)
            and self.networks.mayHear(call, trunk)
        ):
            call.attachRemote(trunk, trunk.form(call))
        else:
            call.detachRemote(trunk)

    # What other nodes are told.

    def takeInterest(self) -> tuple[list[int], list[int]]:
        """
        The talkgroups that somebody here has begun to hear, and those that nobody hears any more,
        since this was last asked.
        """
        moved, self._moved = self._moved, set()
        added = [talkgroup for talkgroup in moved if talkgroup in self.talkgroups]
        return added, [talkgroup for talkgroup in moved if talkgroup not in self.talkgroups]

    def wantedRanges(self) -> Ranges:
        """
        The talkgroups that bridges of this node send out, and do not leave to another's.
        """
        wanted = Ranges()
        for trunk in self.trunks:
            if trunk.network not in self.networks.standBy:
                wanted |= trunk.wanted
        return wanted

    def interestChanged(self) -> None:
        """
        Other nodes are to be told something new, at the end of the turn.
        """
        watcher = self.interestWatcher
        if watcher is not None and watcher not in self._dirty:
            self._dirty.append(watcher)

    def _interestMoved(self, talkgroup: int) -> None:
        if not self._moved:
            self.interestChanged()
        self._moved.add(talkgroup)

    def _openCalls(self) -> Iterator[Call]:
        return (call for call in tuple(self._calls.values()) if call.open)


def isOwn(ingress: Peer | Remote) -> bool:
    """
    Whether calls come from this node's own peers and bridges, and so may go out over links.
    """
    return isinstance(ingress, Peer | Trunk)
