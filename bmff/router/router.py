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
from typing import Final

from bmff.dmr.frame import (
    DATA_SYNC,
    DATA_TYPE,
    IDLE,
    KIND,
    RATE_1,
    TERMINATOR,
    Frame,
)
from bmff.dmr.numbers import UNLINK, isLocal, isService
from bmff.events import CallEnded, CallRefused, CallStarted, Event
from bmff.router.announcement import Announcement
from bmff.router.call import WAY, Call, Peer, Remote, Slot
from bmff.router.deadlines import Deadlines
from bmff.router.locations import Location
from bmff.router.reach import Flushable, Reach
from bmff.router.reader import Reader
from bmff.router.relay import Relay
from bmff.router.remains import Remains
from bmff.router.repeats import Repeats
from bmff.router.rules import Rules
from bmff.router.service import Service
from bmff.router.subscriptions import Subscriptions
from bmff.router.translation import Form
from bmff.router.trunk import Trunk
from bmff.routing import CallRequest, Destination

HANG_TIME: Final = 5.0  # seconds
TALK_LIMIT: Final = 180.0  # seconds
SILENCE: Final = 2.0  # seconds without a frame after which a call, of voice or data, is over
ACTIVE: Final = 0.36  # seconds without a frame after which another stream may take the slot
REORDERED: Final = 1.0  # seconds of silence after which a sequence number may go back

_END: Final = DATA_SYNC | TERMINATOR


class Router:
    """
    The rules, with the state of all peers and calls of one node.

    @ivar calls: the calls that are on, by stream ID and source.
    @ivar reach: who is there to hear them.
    @ivar services: what takes calls to service numbers, each asked in turn.
    @ivar rules: the operator's own.
    @ivar subscriptions: what slots hear.
    @ivar deadlines: what is due when.
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
        self.services: list[Service] = []
        self.rules = Rules()
        self.dirty: list[Flushable] = []
        self.deadlines = Deadlines()
        self.reach = Reach(self.calls, self.deadlines, self.dirty)
        self.dropped: Counter[str] = Counter()
        self.framesRouted = 0
        self._publish = publish
        self._hangTime = hangTime
        self._talkLimit = talkLimit or inf
        self._dataCalls: dict[tuple[Peer | Remote, int, int, int], Call] = {}
        self.subscriptions = Subscriptions(
            self.reach.talkgroups, self.reach, self.deadlines, publish
        )
        self._remains = Remains(self.deadlines)
        self._repeats = Repeats()

    def setTimes(self, hangTime: float, talkLimit: float) -> None:
        """
        For calls that begin, or end, from now on; see L{Router}.
        """
        self._hangTime = hangTime
        self._talkLimit = talkLimit or inf

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
            self._refuse(ingress, frame, "stream of another ingress", now)
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
        call.last = frame
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
            dirty = self.dirty.copy()
            self.dirty.clear()
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
        before = self.reach.peers.get(peer.peerID)
        if before is not None:
            self.removePeer(before, now)
        self.reach.peers[peer.peerID] = peer
        self.reach.networks.join(peer)

    def removePeer(self, peer: Peer, now: float) -> None:
        """
        A peer is gone; its calls end.
        """
        if self.reach.peers.get(peer.peerID) is not peer:
            return
        del self.reach.peers[peer.peerID]
        self.reach.networks.leave(peer)
        for slot in peer.slots:
            self.subscriptions.forget(slot)
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

    def dropCall(self, call: Call, now: float) -> None:
        """
        End a call by hand; what still comes of it is passed over.
        """
        self._end(call, "dropped", now)

    def removeRemote(self, remote: Remote, now: float) -> None:
        """
        A node is gone; its calls end.
        """
        self.reach.remotes.discard(remote)
        self.reach.locations.lost(remote)
        for call in self.currentCalls():
            if call.ingress is remote:
                self._end(call, "link lost", now)
            else:
                call.detachRemote(remote)

    def removeTrunk(self, trunk: Trunk, now: float) -> None:
        """
        A bridge is gone; its calls end.
        """
        reach = self.reach
        if trunk not in reach.trunks:
            return
        del reach.trunks[trunk]
        reach.networks.leave(trunk)
        for call in self.currentCalls():
            if call.ingress is trunk:
                self._end(call, "bridge lost", now)
            else:
                call.detachRemote(trunk)
        reach.interestChanged()

    def setStatic(self, peer: Peer, static: Mapping[int, Iterable[int]], now: float) -> None:
        """
        See L{Subscriptions.setStatic}.
        """
        self.subscriptions.setStatic(peer, static, now)

    def review(self, peer: Peer, now: float) -> None:
        """
        See L{Subscriptions.review}.
        """
        self.subscriptions.review(peer, now)

    def unlink(self, peer: Peer, now: float) -> None:
        """
        See L{Subscriptions.unlink}.
        """
        self.subscriptions.unlink(peer, now)

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
        service = self._service(ingress, frame)
        reason = self._inadmissible(ingress, frame, dataType, service, now)
        if reason is not None:
            self._remains.bury(key, now)
            self._refuse(ingress, frame, reason, now)
            return None
        data = frame.isData
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
        call.limit = self._talkLimit
        call.service = service
        call.routed = service is None and not (isinstance(ingress, Announcement) and ingress.slot)
        if call.routed and self.rules and not self._mayGo(call, frame, now):
            return None
        self._enter(call, frame, now)
        return call

    def _mayGo(self, call: Call, frame: Frame, now: float) -> bool:
        """
        Ask the operator's rules about a call that comes from outside, and do what they say.
        """
        ingress = call.ingress
        if not isinstance(ingress, Peer) and not _brings(ingress):
            return True
        decision = self.rules.decide(_request(ingress, frame, call.data))
        if decision.refused:
            self._remains.bury((call.stream, call.source), now)
            self._refuse(ingress, frame, "refused by a rule", now)
            self._publish(_refusal(ingress, frame, decision.refused))
            return False
        call.routed = decision.stay
        if decision.talkLimit is not None:
            call.limit = decision.talkLimit or inf
        call.relays = tuple(
            Relay(self, call, Form(each.number, each.private)) for each in decision.also
        )
        return True

    def _enter(self, call: Call, frame: Frame, now: float) -> None:
        """
        A call is on.
        """
        ingress = call.ingress
        self.calls[call.stream, call.source] = call
        self._locate(frame, ingress, now)
        if call.data:
            self._dataCalls[_dataKey(ingress, frame)] = call
            if isinstance(ingress, Peer) or _brings(ingress):  # another node's are read there
                call.reader = Reader(self._publish, call, self._repeats)
        if call.routed and not call.private:
            if call.slot is not None and not call.data and not call.network:
                self.subscriptions.key(call.slot, call.destination, now)
            self.reach.talkgroups.begin(call)
        self._open(call, now)
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

    def _refuse(self, ingress: Peer | Remote, frame: Frame, reason: str, now: float) -> None:
        """
        A frame goes nowhere. A bridge is told, as it can have the other end stop.
        """
        self.dropped[reason] += 1
        if isinstance(ingress, Trunk):
            ingress.refused(frame, reason, now)

    def _service(self, ingress: Peer | Remote, frame: Frame) -> Service | None:
        if not isinstance(ingress, Peer):
            return None
        return next((each for each in self.services if each.takes(ingress, frame)), None)

    def _inadmissible(
        self,
        ingress: Peer | Remote,
        frame: Frame,
        dataType: int | None,
        service: Service | None,
        now: float,
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
        elif service is not None or isinstance(ingress, Announcement):
            pass
        elif not isinstance(ingress, Peer) and not frame.private and isLocal(frame.destination):
            reason = "local talkgroup of another node"
        elif frame.destination == UNLINK and isinstance(ingress, Peer):
            self.unlink(ingress, now)
            reason = "unlink"
        elif isService(frame.destination):
            reason = "service number"
        elif isinstance(ingress, Peer) and not frame.private:
            reason = "talkgroup not permitted" if frame.destination in ingress.refused else None
        return reason

    def _open(self, call: Call, now: float) -> None:
        """
        Give a call its slot, and all that are to hear it.
        """
        call.open = True
        if call.slot is not None:
            self._take(call.slot, call, now)
        self.reach.open(call, now)
        self._watch(call)

    def _take(self, own: Slot, call: Call, now: float) -> None:
        """
        A call takes the slot that it comes on.
        """
        interrupted = own.call
        if interrupted is not None and interrupted.slot is own:
            self._end(interrupted, "replaced", now)
        elif interrupted is not None:
            interrupted.detach(own)  # its own user talks: the transmission towards it is over
            self.reach.wait(own, interrupted)
        if own.call is not None:  # it had been waiting for the slot
            own.call.detach(own)
        own.call = call

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
        due = min(call.heard + silence, call.started + call.limit)
        if due < call.looksAt:
            call.looksAt = due
            self.deadlines.schedule(due, self._look, (call, due))

    def _look(self, subject: tuple[Call, float], now: float) -> None:
        call, due = subject
        if call.ended or call.looksAt != due:  # an earlier look has taken the place of this one
            return
        call.looksAt = inf
        if now >= call.heard + SILENCE:
            self._end(call, "silence", now)
        elif now >= call.started + call.limit:
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
            self.reach.freed(slot, now)

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
        if call.routed and not call.private:
            self.reach.talkgroups.end(call)
        if reason != "terminator" and not call.data and call.sinks:
            last = call.makeTerminator()
            call.index += 1
            for sink in call.sinks:
                sink.sendFrame(last)
        slots = call.release()
        if call.slot is not None:
            slots.append(call.slot)
        conversation = call.conversation if call.routed and not call.data else None
        until = now + self._hangTime
        for slot in slots:
            if conversation is not None:
                slot.hang = conversation
                slot.hangUntil = until
            if slot.waiting:
                self.reach.freed(slot, now)
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

    def _locate(self, frame: Frame, ingress: Peer | Remote, now: float) -> None:
        if isinstance(ingress, Peer):
            location = Location(ingress.peerID, frame.slot, now)
        elif not isinstance(ingress, Trunk):
            location = Location(0, frame.slot, now, ingress)
        elif _brings(ingress):
            location = Location(0, frame.slot, now, trunk=ingress)
        else:
            return
        self.reach.locations.heard(frame.source, location)


def _dataKey(ingress: Peer | Remote, frame: Frame) -> tuple[Peer | Remote, int, int, int]:
    return ingress, frame.source, frame.destination, frame.flags & WAY


def _brings(ingress: Peer | Remote) -> bool:
    """
    Whether calls come from another network over a bridge.
    """
    return isinstance(ingress, Trunk) and not isinstance(ingress, Announcement | Relay)


def _request(ingress: Peer | Remote, frame: Frame, data: bool) -> CallRequest:
    """
    What rules are asked.
    """
    return CallRequest(
        stream=frame.stream,
        source=frame.source,
        destination=Destination(frame.destination, frame.private),
        data=data,
        peer=ingress.peerID,
        slot=frame.slot,
        network=getattr(ingress, "network", ""),
    )


def _refusal(ingress: Peer | Remote, frame: Frame, reason: str) -> CallRefused:
    return CallRefused(
        stream=frame.stream,
        source=frame.source,
        destination=frame.destination,
        private=frame.private,
        peer=ingress.peerID,
        reason=reason,
    )
