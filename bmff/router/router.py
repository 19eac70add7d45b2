"""
Who hears whom: takes every frame of the node and hands it to the sinks of its call.

A call's listeners are settled when it begins, when a slot becomes free and when somebody joins or
leaves, never for a frame. The rules are those of the field: one call for each slot, the first one
wins, a slot is kept for a conversation for a while after a call (hang time), keying a talkgroup
subscribes to it, 4000 leaves all of them, a private call goes to where its radio was last heard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from typing import Final, Protocol

from bmff.dmr.frame import (
    CSBK,
    DATA_HEADER,
    DATA_SYNC,
    DATA_TYPE,
    IDLE,
    KIND,
    MBC_CONTINUATION,
    MBC_HEADER,
    RATE_1,
    RATE_12,
    RATE_34,
    TERMINATOR,
    Frame,
)
from bmff.dmr.numbers import UNLINK, isLocal, isService
from bmff.events import CallEnded, CallStarted, Event, SubscriptionChanged
from bmff.router.call import WAY, Call, Peer, Remote, Slot
from bmff.router.deadlines import Deadlines
from bmff.router.locations import Location, Locations
from bmff.router.networks import Networks
from bmff.router.remains import Remains
from bmff.router.talkgroups import Talkgroups

HANG_TIME: Final = 5.0  # seconds
TALK_LIMIT: Final = 180.0  # seconds
SILENCE: Final = 2.0  # seconds without a frame after which a call, of voice or data, is over
ACTIVE: Final = 0.36  # seconds without a frame after which another stream may take the slot
REORDERED: Final = 1.0  # seconds of silence after which a sequence number may go back
LARGEST_DYNAMIC: Final = 64  # talkgroups that a slot may key without leaving one
LARGEST_WAITING: Final = 8  # calls that wait for a slot

_DATA_TYPES: Final = frozenset(
    (CSBK, MBC_HEADER, MBC_CONTINUATION, DATA_HEADER, RATE_12, RATE_34, RATE_1)
)
_END: Final = DATA_SYNC | TERMINATOR


class Flushable(Protocol):
    """
    Gathers what a turn produces for one node.
    """

    def flush(self, now: float) -> None:
        """
        Send it.
        """


class Router:
    """
    The rules, with the state of all peers and calls of one node.

    @ivar calls: the calls that are on, by stream ID and source.
    @ivar peers: the peers, by ID.
    @ivar remotes: the other nodes that a link leads to.
    @ivar locations: where radios were last heard.
    @ivar networks: the other networks that peers lead to.
    @ivar deadlines: what is due when.
    @ivar interestWatcher: flushed when L{takeInterest} has something, or C{networks.live}.
    @ivar dirty: what is to be flushed at the end of this turn.
    @ivar dropped: frames that went nowhere, by reason.
    @ivar framesRouted: frames that went to their call's sinks.
    """

    def __init__(
        self,
        publish: Callable[[Event], None],
        *,
        hangTime: float = HANG_TIME,
        talkLimit: float = TALK_LIMIT,
    ) -> None:
        """
        @param publish: is told what happens.
        @param hangTime: seconds that a slot is kept for a conversation after a voice call.
        @param talkLimit: seconds that one transmission may last; 0 for no limit.
        """
        self.calls: dict[tuple[int, int], Call] = {}
        self.peers: dict[int, Peer] = {}
        self.remotes: set[Remote] = set()
        self.dirty: list[Flushable] = []
        self.dropped: Counter[str] = Counter()
        self.framesRouted = 0
        self._publish = publish
        self._hangTime = hangTime
        self._talkLimit = talkLimit or inf
        self._talkgroups = Talkgroups(self._interestMoved)
        self._dataCalls: dict[tuple[Peer | Remote, int, int, int], Call] = {}
        self.locations = Locations()
        self.networks = Networks(self._networksMoved)
        self.interestWatcher: Flushable | None = None
        self._moved: set[int] = set()
        self.deadlines = Deadlines()
        self._remains = Remains(self.deadlines)

    # Frames.

    def route(self, ingress: Peer | Remote, frame: Frame, now: float) -> None:
        """
        Take a frame.

        @param ingress: where it came from.
        @param now: monotonic seconds.
        """
        call = self.calls.get((frame.stream, frame.source))
        if call is None:
            call = self._begin(ingress, frame, now)
            if call is None:
                return
        elif call.ingress is not ingress:
            self.dropped["stream of another ingress"] += 1
            return
        elif frame.destination != call.destination or (frame.flags ^ call.way) & WAY:
            self.dropped["changed within a stream"] += 1
            return
        step = (frame.sequence - call.sequence) & 0xFF
        if step != 1 and not self._follows(call, step, now):
            return
        call.sequence = frame.sequence
        call.index += step
        call.heard = now
        call.frames += 1
        if not call.open:
            self._open(call, now)
        self.framesRouted += 1
        for sink in call.sinks:
            sink.sendFrame(frame)
        if frame.flags & (KIND | DATA_TYPE) == _END:
            self._end(call, "terminator", now)

    def flush(self, now: float) -> None:
        """
        The turn is over: send what it has gathered for other nodes.
        """
        if self.dirty:
            dirty, self.dirty = self.dirty, []
            for one in dirty:
                one.flush(now)

    def deadline(self) -> float:
        """
        When L{timeout} is to be called at the latest, monotonic seconds.
        """
        return self.deadlines.next()

    def timeout(self, now: float) -> None:
        """
        Do what has become due.
        """
        self.deadlines.run(now)

    # Peers and what they hear.

    def addPeer(self, peer: Peer, now: float) -> None:
        """
        A peer has logged in; one with the same ID is gone.
        """
        before = self.peers.get(peer.peerID)
        if before is not None:
            self.removePeer(before, now)
        self.peers[peer.peerID] = peer
        self.networks.join(peer)

    def removePeer(self, peer: Peer, now: float) -> None:
        """
        A peer is gone; its calls end.
        """
        if self.peers.get(peer.peerID) is not peer:
            return
        del self.peers[peer.peerID]
        self.networks.leave(peer)
        for slot in peer.slots:
            for talkgroup in (*slot.static, *slot.dynamic):
                self._talkgroups.leave(slot, talkgroup)
            slot.static = frozenset()
            slot.dynamic.clear()
            slot.waiting.clear()
            if slot.call is not None and slot.call.ingress is not peer:
                slot.call.detach(slot)
        for call in [call for call in self.calls.values() if call.ingress is peer]:
            self._end(call, "peer lost", now)

    def reroutePeer(self, peer: Peer, change: Callable[[], None]) -> None:
        """
        A peer is reached by another way from now on; what it hears goes on there.

        @param change: makes the change to L{peer}.
        """
        calls = [
            (slot, slot.call)
            for slot in peer.slots
            if slot.call is not None and slot in slot.call.listeners
        ]
        for slot, call in calls:
            call.detach(slot)
        change()
        for slot, call in calls:
            call.attach(slot)

    def addRemote(self, remote: Remote) -> None:
        """
        A link leads to another node; it hears the calls that it wants from now on.
        """
        self.remotes.add(remote)
        for call in self.currentCalls():
            if call.open:
                self._offerRemote(call, remote)

    def removeRemote(self, remote: Remote, now: float) -> None:
        """
        A node is gone; its calls end.
        """
        self.remotes.discard(remote)
        for call in self.currentCalls():
            if call.ingress is remote:
                self._end(call, "link lost", now)
            else:
                call.detachRemote(remote)

    def remoteChanged(self, remote: Remote, added: Iterable[int], removed: Iterable[int]) -> None:
        """
        A node hears other talkgroups than before.
        """
        for talkgroup in added:
            for call in self._talkgroups.calls(talkgroup):
                if call.open:
                    self._offerRemote(call, remote)
        for talkgroup in removed:
            for call in self._talkgroups.calls(talkgroup):
                call.detachRemote(remote)

    def setNetworks(
        self, remote: Remote, networks: frozenset[str], standBy: frozenset[str], now: float
    ) -> None:
        """
        A node has these networks, and for those in C{standBy} another sends calls out, not we.
        """
        leaving, joining = self.networks.change(remote, networks, standBy)
        for slot in leaving:
            if slot.call is not None:
                slot.call.detach(slot)  # without an end: the other node goes on with its stream
                self._freed(slot, now)
        for call in self.currentCalls():
            for slot in joining if call.open and not call.private else ():
                if slot.hears(call.destination):
                    self._offer(call, slot, now)
            if not self.networks.mayCross(call, remote):
                call.detachRemote(remote)
            elif call.network and call.open and remote in self.remotes:
                self._offerRemote(call, remote)

    def takeInterest(self) -> tuple[list[int], list[int]]:
        """
        The talkgroups that somebody here has begun to hear, and those that nobody hears any more,
        since this was last asked.
        """
        moved, self._moved = self._moved, set()
        added = [talkgroup for talkgroup in moved if talkgroup in self._talkgroups]
        return added, [talkgroup for talkgroup in moved if talkgroup not in self._talkgroups]

    def _interestMoved(self, talkgroup: int) -> None:
        if not self._moved and self.interestWatcher is not None:
            self.dirty.append(self.interestWatcher)
        self._moved.add(talkgroup)

    def _networksMoved(self) -> None:
        if self.interestWatcher is not None:
            self.dirty.append(self.interestWatcher)

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

    def unlink(self, peer: Peer, now: float) -> None:
        """
        A peer leaves all talkgroups that it keyed.
        """
        for slot in peer.slots:
            if slot.dynamic:
                before = tuple(slot.dynamic)
                slot.dynamic.clear()
                for talkgroup in before:
                    self._left(slot, talkgroup, now)
                self._tell(slot)

    def currentCalls(self) -> Iterator[Call]:
        """
        The calls that are on, those first that began first.
        """
        return iter(tuple(self.calls.values()))

    def stop(self, now: float) -> None:
        """
        End all calls.
        """
        for call in self.currentCalls():
            self._end(call, "stopped", now)

    # How a call begins.

    def _begin(self, ingress: Peer | Remote, frame: Frame, now: float) -> Call | None:
        """
        The call that the first frame of a stream begins or goes on with, or L{None}.
        """
        key = (frame.stream, frame.source)
        if key in self._remains:
            self._remains.bury(key, now)
            self.dropped["after the end of its call"] += 1
            return None
        dataType = frame.dataType
        reason = self._inadmissible(ingress, frame, dataType, now)
        if reason is not None:
            self._remains.bury(key, now)
            self.dropped[reason] += 1
            return None
        data = dataType in _DATA_TYPES
        if data:
            call = self._dataCalls.get(_dataKey(ingress, frame))
            if call is not None:
                self._continue(call, frame)
                return call
        slot = ingress.slot(frame.slot) if isinstance(ingress, Peer) else None
        current = slot.call if slot is not None else None
        if current is not None and current.ingress is ingress:
            # A radio that begins anew has ended what it sent before, whether we heard so or not.
            if frame.source != current.source and now < current.heard + ACTIVE:
                self.dropped["slot busy"] += 1
                return None
            self._end(current, "replaced", now)
        call = Call(ingress, slot, frame, data, now)
        self.calls[key] = call
        self._locate(frame, ingress, now)
        if data:
            self._dataCalls[_dataKey(ingress, frame)] = call
        if not call.private:
            if slot is not None and not data:
                self._key(slot, call.destination, now)
            self._talkgroups.begin(call)
        self._open(call, now)
        self._watch(call)
        self._publish(
            CallStarted(
                stream=call.stream,
                source=call.source,
                destination=call.destination,
                private=call.private,
                data=call.data,
                peer=ingress.peerID,
                slot=call.slotNumber,
                listeners=len(call.listeners),
            )
        )
        return call

    def _inadmissible(
        self, ingress: Peer | Remote, frame: Frame, dataType: int | None, now: float
    ) -> str | None:
        """
        Why a stream may not become a call.
        """
        reason = None
        if frame.stream == 0:
            reason = "no stream ID"
        elif frame.source == 0:
            reason = "no source"
        elif dataType == TERMINATOR:
            reason = "terminator without a call"
        elif frame.flags & KIND == KIND or (dataType or 0) > RATE_1 or dataType == IDLE:
            reason = "unknown frame type"
        elif not isinstance(ingress, Peer) and not frame.private and isLocal(frame.destination):
            reason = "local talkgroup of another node"
        elif frame.destination == UNLINK and isinstance(ingress, Peer):
            self.unlink(ingress, now)
            reason = "unlink"
        elif isService(frame.destination):
            reason = "service number"
        return reason

    def _open(self, call: Call, now: float) -> None:
        """
        Give a call its slots.
        """
        call.open = True
        if call.slot is not None:
            self._take(call.slot, call, now)
        if call.private:
            self._openPrivate(call, now)
            return
        for slot in self._talkgroups.slots(call.destination):
            if slot.peer is not call.ingress:
                self._offer(call, slot, now)
        for remote in self.remotes:
            self._offerRemote(call, remote)

    def _take(self, own: Slot, call: Call, now: float) -> None:
        """
        A call takes the slot that it comes on.
        """
        interrupted = own.call
        if interrupted is not None and interrupted.slot is own:
            self._end(interrupted, "replaced", now)
        elif interrupted is not None:
            interrupted.detach(own)  # its own user talks: the transmission towards it is over
            self._wait(own, interrupted)
        if own.call is not None:  # it had been waiting for the slot
            own.call.detach(own)
        own.call = call

    def _openPrivate(self, call: Call, now: float) -> None:
        """
        Give a private call the one slot, or the one node, where its radio is.
        """
        location = self.locations.get(call.destination)
        remote = location.remote if location is not None else None
        # What came over a link never goes out over a link: links are a full mesh.
        if remote in self.remotes and isinstance(call.ingress, Peer):
            if self.networks.mayCross(call, remote):
                call.attachRemote(remote)
            return
        target = self._target(call)
        if target is not None and target.peer is not call.ingress:
            self._offer(call, target, now)

    def _offerRemote(self, call: Call, remote: Remote) -> None:
        if (
            isinstance(call.ingress, Peer)
            and not call.private
            and not isLocal(call.destination)
            and remote.hears(call.destination)
            and self.networks.mayCross(call, remote)
        ):
            call.attachRemote(remote)

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

    def _offer(self, call: Call, slot: Slot, now: float) -> None:
        """
        Attach a slot to a call if it is free for it, else let the call wait.
        """
        if not slot.serves or not self.networks.mayHear(call, slot.peer):
            return
        if slot.call is not None:
            if slot.call is not call:
                self._wait(slot, call)
        elif now < slot.hangUntil and not call.data and slot.hang != call.conversation:
            self._wait(slot, call)
            self.deadlines.schedule(slot.hangUntil, self._freed, slot)
        else:
            call.attach(slot)

    def _wait(self, slot: Slot, call: Call) -> None:
        if call not in slot.waiting:
            slot.waiting = [one for one in slot.waiting if not one.ended][-LARGEST_WAITING:]
            slot.waiting.append(call)

    def _freed(self, slot: Slot, now: float) -> None:
        """
        A slot may have become free for a call that waits.
        """
        waiting, slot.waiting = slot.waiting, []
        for call in waiting:
            if call.ended or not call.open:
                continue
            if call.private or slot.hears(call.destination):
                self._offer(call, slot, now)

    # How a call goes on.

    def _follows(self, call: Call, step: int, now: float) -> bool:
        """
        Whether a frame whose sequence number is not the next one is to be routed.

        @param step: how far it is ahead, modulo 256.
        """
        if step == 0:
            call.duplicates += 1
            return False
        if step > 127:
            if now < call.heard + REORDERED:
                call.late += 1
                return False
            return True
        call.lost += step - 1
        return True

    def _continue(self, call: Call, frame: Frame) -> None:
        """
        A data call goes on with another transmission, which has a stream ID of its own.
        """
        before = (call.stream, call.source)
        del self.calls[before]
        self._remains.bury(before, call.heard)
        call.stream = frame.stream
        call.sequence = (frame.sequence - 1) & 0xFF
        self.calls[call.stream, call.source] = call

    def _watch(self, call: Call) -> None:
        """
        Look at a call again when something of it may be due.
        """
        silence = ACTIVE if call.data and call.open else SILENCE
        due = min(call.heard + silence, call.started + self._talkLimit)
        self.deadlines.schedule(due, self._look, call)

    def _look(self, call: Call, now: float) -> None:
        if call.ended:
            return
        if now >= call.heard + SILENCE:
            self._end(call, "silence", now)
        elif now >= call.started + self._talkLimit:
            self._end(call, "talk limit", now)
        else:
            if call.data and call.open and now >= call.heard + ACTIVE:
                self._pause(call, now)
            self._watch(call)

    def _pause(self, call: Call, now: float) -> None:
        """
        A data call lets go of its slots until its next block.
        """
        freed = call.release()
        if call.slot is not None:
            freed.append(call.slot)
        for slot in freed:
            self._freed(slot, now)

    # How a call ends.

    def _end(self, call: Call, reason: str, now: float) -> None:
        if call.ended:
            return
        call.ended = True
        key = (call.stream, call.source)
        del self.calls[key]
        self._remains.bury(key, now)
        if call.data:
            del self._dataCalls[call.ingress, call.source, call.destination, call.way]
        if not call.private:
            self._talkgroups.end(call)
        if reason != "terminator" and not call.data and call.sinks:
            last = call.makeTerminator()
            call.index += 1
            for sink in call.sinks:
                sink.sendFrame(last)
        slots = call.release()
        if call.slot is not None:
            slots.append(call.slot)
        conversation = None if call.data else call.conversation
        until = now + self._hangTime
        for slot in slots:
            if conversation is not None:
                slot.hang = conversation
                slot.hangUntil = until
            if slot.waiting:
                self._freed(slot, now)
        self._publish(
            CallEnded(
                stream=call.stream,
                source=call.source,
                destination=call.destination,
                private=call.private,
                data=call.data,
                peer=call.ingress.peerID,
                slot=call.slotNumber,
                reason=reason,
                duration=call.heard - call.started,
                frames=call.frames,
                lost=call.lost,
                duplicates=call.duplicates,
                late=call.late,
            )
        )

    # Subscriptions.

    def _key(self, slot: Slot, talkgroup: int, now: float) -> None:
        """
        A user has keyed a talkgroup: the slot hears it from now on.
        """
        if talkgroup in slot.static:
            return
        peer = slot.peer
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
            if until != inf:
                self.deadlines.schedule(until, self._expire, (slot, talkgroup))

    def _expire(self, subject: tuple[Slot, int], now: float) -> None:
        slot, talkgroup = subject
        until = slot.dynamic.get(talkgroup, inf)
        if until > now:
            if until != inf:
                self.deadlines.schedule(until, self._expire, subject)
            return
        call = slot.call
        if call is not None and call.destination == talkgroup and not call.private:
            slot.dynamic[talkgroup] = now + SILENCE  # nobody is cut off within a call
            self.deadlines.schedule(now + SILENCE, self._expire, subject)
            return
        del slot.dynamic[talkgroup]
        self._left(slot, talkgroup, now)
        self._tell(slot)

    def _joined(self, slot: Slot, talkgroup: int, now: float) -> None:
        self._talkgroups.join(slot, talkgroup)
        for call in self._talkgroups.calls(talkgroup):
            if call.open and call.ingress is not slot.peer:
                self._offer(call, slot, now)

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
            call.detach(slot)
            sink = slot.peer.outlet.openSink(slot.number)
            sink.add(slot.peer)
            sink.sendFrame(call.makeTerminator())
            sink.close()
            self._freed(slot, now)

    def _tell(self, slot: Slot) -> None:
        self._publish(
            SubscriptionChanged(
                peer=slot.peer.peerID,
                slot=slot.number,
                static=tuple(sorted(slot.static)),
                dynamic=tuple(sorted(slot.dynamic)),
            )
        )

    def _locate(self, frame: Frame, ingress: Peer | Remote, now: float) -> None:
        remote = None if isinstance(ingress, Peer) else ingress
        peerID = ingress.peerID if remote is None else 0
        self.locations.heard(frame.source, Location(peerID, frame.slot, now, remote))


def _dataKey(ingress: Peer | Remote, frame: Frame) -> tuple[Peer | Remote, int, int, int]:
    return ingress, frame.source, frame.destination, frame.flags & WAY
