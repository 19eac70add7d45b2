"""
A call and the parties to it: the peers, their slots, and the sinks that its frames are handed to.

These hold the state; L{bmff.router.router} has the rules.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Protocol

from bmff.dmr.burst import linkControlOf, terminator
from bmff.dmr.frame import (
    DATA_SYNC,
    PRIVATE,
    SLOT_2,
    TERMINATOR,
    Frame,
)
from bmff.dmr.lc import FullLinkControl
from bmff.dmr.numbers import REFLECTOR
from bmff.dmr.ranges import Ranges
from bmff.router.rewriting import RewritingSink
from bmff.router.translation import Form, Translation

if TYPE_CHECKING:  # they hold calls themselves
    from bmff.router.relay import Relay
    from bmff.router.service import Service

_LINKED = Form(REFLECTOR)
WAY = PRIVATE | SLOT_2  # flags that stay the same through a stream


class Sink(Protocol):
    """
    Sends the frames of one call to many peers at once, all on one slot.
    """

    def add(self, peer: Peer) -> None:
        """
        From the next frame on, L{peer} gets them.
        """

    def remove(self, peer: Peer) -> None:
        """
        From the next frame on, L{peer} gets them no longer.
        """

    def sendFrame(self, frame: Frame) -> None:
        """
        Send a frame to all of them; never waits, never raises.
        """

    def close(self) -> None:
        """
        The call is over; the sink is not used again.
        """


class Outlet(Protocol):
    """
    A way out that many peers share, such as one UDP socket.
    """

    def openSink(self, slot: int) -> Sink:
        """
        A sink for one call.

        @param slot: the slot that its frames are to carry, 1 or 2.
        """


class Remote(Protocol):
    """
    Another node, as far as routing cares: a source of calls, and one sink for each of ours.

    A bridge (L{bmff.router.trunk}) is one sink for each call, too.

    @ivar peerID: its node ID.
    """

    @property
    def peerID(self) -> int: ...

    def hears(self, talkgroup: int) -> bool:
        """
        Whether somebody there is subscribed to a talkgroup.
        """

    def openSink(self, call: Call) -> RemoteSink:
        """
        A sink for one call.
        """


class RemoteSink(Protocol):
    """
    Sends the frames of one call to one node.
    """

    def sendFrame(self, frame: Frame) -> None:
        """
        Queue a frame until the end of the turn; never waits, never raises.
        """

    def close(self) -> None:
        """
        The call is over; the sink is not used again.
        """


class Routes(Protocol):
    """
    Takes frames (L{bmff.router.router.Router}).
    """

    def route(self, ingress: Peer | Remote, frame: Frame, now: float) -> None: ...


class Peer:
    """
    A logged-in hotspot or repeater: two slots, or one when it is simplex.

    @ivar peerID: its ID.
    @ivar outlet: the way to it.
    @ivar simplex: whether all it hears and says is on slot 2, whatever its frames are marked.
    @ivar single: whether keying a talkgroup leaves the one that was keyed before on that slot.
    @ivar dynamicTimeout: seconds until a talkgroup that was keyed is left again; 0 for never.
    @ivar holdOff: seconds after its own talk in which static talkgroups are held back, but for the
        one that was keyed; 0 for none.
    @ivar network: the name of another network that it leads to, as a bridge does; mostly empty.
    @ivar translation: the numbers that are others there.
    @ivar refused: the talkgroups that it may neither key nor hear.
    @ivar dials: whether a private call to a talkgroup's number links that talkgroup.
    @ivar reflector: the talkgroup that is linked when none is dialled; 0 for none.
    @ivar dialled: the one that its user has linked; 0 for none.
    """

    __slots__ = (
        "_slot1",
        "_slot2",
        "dialled",
        "dials",
        "dynamicTimeout",
        "holdOff",
        "network",
        "outlet",
        "peerID",
        "reflector",
        "refused",
        "simplex",
        "single",
        "translation",
    )

    def __init__(
        self,
        peerID: int,
        outlet: Outlet,
        *,
        slots: int = 3,
        simplex: bool = False,
        single: bool = False,
        dynamicTimeout: float = 900.0,
        network: str = "",
    ) -> None:
        """
        @param slots: which slots it serves: 1, 2, 3 (both), 4 (simplex hotspot), 0 (none).
        """
        self.peerID = peerID
        self.outlet = outlet
        self.simplex = simplex or slots == 4
        self.single = single
        self.dynamicTimeout = dynamicTimeout
        self.network = network
        self.holdOff = 0.0
        self.translation = Translation()
        self.refused = Ranges()
        self.dials = False
        self.reflector = 0
        self.dialled = 0
        self._slot2 = Slot(self, 2, self.simplex or slots in {2, 3})
        self._slot1 = self._slot2 if self.simplex else Slot(self, 1, slots in {1, 3})

    @property
    def slots(self) -> tuple[Slot, ...]:
        """
        The slots that it really has.
        """
        return (self._slot2,) if self.simplex else (self._slot1, self._slot2)

    def slot(self, number: int) -> Slot:
        """
        The slot that frames marked with L{number}, 1 or 2, are on.
        """
        return self._slot1 if number == 1 else self._slot2

    @property
    def linked(self) -> int:
        """
        The talkgroup that is heard under 9 on slot 2; 0 for none.
        """
        return self.dialled or self.reflector

    @property
    def translates(self) -> bool:
        """
        Whether any number is another one at this peer.
        """
        return bool(self.translation) or self.linked > 0

    def form(self, slot: int, call: Call) -> Form | None:
        """
        What a call's number is on a slot of this peer; L{None} when it is the same.
        """
        if not self.translates:
            return None
        if slot == 2 and call.destination == self.linked and not call.private:
            return _LINKED
        return self.translation.outward(slot, Form(call.destination, call.private))

    def inward(self, slot: int, form: Form) -> Form | None:
        """
        What a number on a slot of this peer is here; L{None} when it is the same.
        """
        slot = self.slot(slot).number
        if slot == 2 and self.linked and form == _LINKED:
            return Form(self.linked)
        return self.translation.inward(slot, form)

    def translationChanged(self) -> None:
        """
        L{translates} may be another than before; whoever brings this peer's frames looks.
        """


class Slot:
    """
    One time slot of a peer: it carries one call at a time, from the peer or to it.

    @ivar peer: whose it is.
    @ivar number: 1 or 2.
    @ivar serves: whether the peer transmits what it is sent on it.
    @ivar call: the call that occupies it.
    @ivar hang: the conversation that it is kept for, see L{Call.conversation}.
    @ivar hangUntil: until when, monotonic seconds.
    @ivar keyed: the talkgroup that its own user keyed last.
    @ivar heldUntil: until when its other static talkgroups are held back, monotonic seconds.
    @ivar static: talkgroups from configuration and options.
    @ivar dynamic: talkgroups that were keyed, each with the monotonic second that it ends at.
    @ivar waiting: calls that could not have it when they began.
    @ivar ringsAt: when it is looked at whether they may have it; infinity for never.
    @ivar expiresAt: when it is looked at whether what was keyed is over; infinity for never.
    """

    __slots__ = (
        "call",
        "dynamic",
        "expiresAt",
        "hang",
        "hangUntil",
        "heldUntil",
        "keyed",
        "number",
        "peer",
        "ringsAt",
        "serves",
        "static",
        "waiting",
    )

    def __init__(self, peer: Peer, number: int, serves: bool) -> None:
        self.peer = peer
        self.number = number
        self.serves = serves
        self.call: Call | None = None
        self.hang: tuple[int, int] | None = None
        self.hangUntil = 0.0
        self.keyed = 0
        self.heldUntil = 0.0
        self.static: frozenset[int] = frozenset()
        self.dynamic: dict[int, float] = {}
        self.waiting: list[Call] = []
        self.ringsAt = inf
        self.expiresAt = inf

    def hears(self, talkgroup: int) -> bool:
        """
        Whether it is subscribed to a talkgroup.
        """
        return talkgroup in self.static or talkgroup in self.dynamic

    def holdsBack(self, call: Call) -> bool:
        """
        Whether a call is on a talkgroup that nobody here has keyed.
        """
        talkgroup = call.destination
        return not call.private and talkgroup != self.keyed and talkgroup not in self.dynamic


class Call:
    """
    All frames of one transmission; of data, all transmissions that belong together.

    @ivar stream: the stream ID of the transmission that is on now.
    @ivar source: the radio ID that talks.
    @ivar destination: a talkgroup, or a radio ID when C{private}.
    @ivar private: whether it is for one radio.
    @ivar data: whether it carries data, not voice.
    @ivar way: the flags L{WAY} that each of its frames carries.
    @ivar ingress: the peer or node that it comes from.
    @ivar network: the other network that it comes from; empty when it comes from none or a node.
    @ivar slot: the peer's slot that it comes on; L{None} when it comes from a node.
    @ivar started: monotonic seconds.
    @ivar heard: when the last frame came, monotonic seconds.
    @ivar sequence: the last frame's sequence number.
    @ivar index: the last frame's number in the call, counted from 0 with what was lost.
    @ivar frames: how many came.
    @ivar lost: how many did not, by the gaps in the sequence numbers.
    @ivar duplicates: how many came again and were dropped.
    @ivar late: how many came after a later one and were dropped.
    @ivar last: the last frame, for who looks how the call is received.
    @ivar open: whether it holds its slots; a data call lets go of them between transmissions.
    @ivar ended: whether it is over.
    @ivar limit: seconds that it may last.
    @ivar looksAt: when it is looked at whether something of it is due, monotonic seconds.
    @ivar routed: whether it goes to those who hear its destination.
    @ivar service: what takes it in place of listeners, if anything does.
    @ivar reader: what reads along, if anything does.
    @ivar relays: where it goes under other numbers as well.
    @ivar sinks: what each frame is handed to.
    @ivar listeners: the slots that hear it, each with its sink.
    @ivar remotes: the nodes and bridges that hear it, each with its sink.
    """

    __slots__ = (
        "_first",
        "_rewritings",
        "_sinks",
        "data",
        "destination",
        "duplicates",
        "ended",
        "frames",
        "heard",
        "index",
        "ingress",
        "last",
        "late",
        "limit",
        "listeners",
        "looksAt",
        "lost",
        "network",
        "open",
        "private",
        "reader",
        "relays",
        "remotes",
        "routed",
        "sequence",
        "service",
        "sinks",
        "slot",
        "source",
        "started",
        "stream",
        "way",
    )

    def __init__(
        self, ingress: Peer | Remote, slot: Slot | None, frame: Frame, data: bool, now: float
    ) -> None:
        self.stream = frame.stream
        self.source = frame.source
        self.destination = frame.destination
        self.private = frame.private
        self.data = data
        self.way = frame.flags & WAY
        self.ingress = ingress
        self.network: str = getattr(ingress, "network", "")
        self.slot = slot
        self.started = self.heard = now
        self.last = frame
        self.sequence = (frame.sequence - 1) & 0xFF
        self.index = -1
        self.frames = self.lost = self.duplicates = self.late = 0
        self.open = self.ended = False
        self.limit = self.looksAt = inf
        self.routed = True
        self.service: Service | None = None
        self.reader: RemoteSink | None = None
        self.relays: tuple[Relay, ...] = ()
        self.sinks: list[RemoteSink] = []
        self.listeners: dict[Slot, Sink] = {}
        self.remotes: dict[Remote, RemoteSink] = {}
        self._sinks: dict[tuple[Outlet, int, Form | None], Sink] = {}
        self._rewritings: dict[Form, RewritingSink] = {}
        self._first = frame

    @property
    def conversation(self) -> tuple[int, int]:
        """
        What a slot is kept for after this call: the talkgroup, or the two radios.
        """
        if not self.private:
            return (self.destination, -1)
        return (min(self.source, self.destination), max(self.source, self.destination))

    @property
    def slotNumber(self) -> int:
        """
        The slot that its frames are marked with, 1 or 2.
        """
        return 2 if self.way & SLOT_2 else 1

    def attach(self, slot: Slot) -> None:
        """
        L{slot} hears the call from the next frame on, and carries it.
        """
        form = slot.peer.form(slot.number, self)
        key = (slot.peer.outlet, slot.number, form)
        sink = self._sinks.get(key)
        if sink is None:
            sink = self._sinks[key] = slot.peer.outlet.openSink(slot.number)
            self._sinksOf(form).append(sink)
        sink.add(slot.peer)
        self.listeners[slot] = sink
        slot.call = self

    def detach(self, slot: Slot) -> None:
        """
        L{slot} hears the call no longer, and is free.
        """
        self.listeners.pop(slot).remove(slot.peer)
        slot.call = None

    def dismiss(self, slot: Slot) -> None:
        """
        L{slot} hears the call no longer, and is told that it is over, unless it is data.
        """
        peer = slot.peer
        if self.data:
            self.detach(slot)
            return
        last = self.makeTerminator()
        # Under the number that it has heard until now, which may be no longer the call's there.
        heard = self.listeners[slot]
        form = next((key[2] for key, sink in self._sinks.items() if sink is heard), None)
        if form is not None:
            last = self._rewriting(form).rewrite(last)
        self.detach(slot)
        sink = peer.outlet.openSink(slot.number)
        sink.add(peer)
        sink.sendFrame(last)
        sink.close()

    def attachRemote(self, remote: Remote, form: Form | None = None) -> None:
        """
        L{remote} hears the call from the next frame on.

        @param form: what the call's number is there; L{None} when it is the same.
        """
        if remote not in self.remotes:
            sink = self.remotes[remote] = remote.openSink(self)
            self._sinksOf(form).append(sink)

    def detachRemote(self, remote: Remote) -> None:
        """
        L{remote} hears the call no longer.
        """
        sink = self.remotes.pop(remote, None)
        if sink is not None:
            for sinks in (self.sinks, *(each.sinks for each in self._rewritings.values())):
                if sink in sinks:
                    sinks.remove(sink)
            sink.close()

    def _sinksOf(self, form: Form | None) -> list[RemoteSink]:
        """
        Where the sinks are that send the call under another number, or under its own.
        """
        return self.sinks if form is None else self._rewriting(form).sinks

    def _rewriting(self, form: Form) -> RewritingSink:
        rewriting = self._rewritings.get(form)
        if rewriting is None:
            rewriting = RewritingSink(self.linkControl(), form, self.source)
            self._rewritings[form] = rewriting
            self.sinks.append(rewriting)
        return rewriting

    def release(self) -> list[Slot]:
        """
        Let go of every slot.

        @return: the slots that heard it.
        """
        slots = list(self.listeners)
        for slot in slots:
            slot.call = None
        self.listeners.clear()
        for sink in self.sinks:
            sink.close()
        self.sinks.clear()
        self._sinks.clear()
        self._rewritings.clear()
        self.remotes.clear()
        if self.slot is not None and self.slot.call is self:
            self.slot.call = None
        self.open = False
        return slots

    def makeTerminator(self) -> Frame:
        """
        A terminator with the call's own Link Control, for when the real one never comes.
        """
        return Frame.make(
            sequence=self.sequence + 1,
            source=self.source,
            destination=self.destination,
            flags=self.way | DATA_SYNC | TERMINATOR,
            stream=self.stream,
            burst=terminator(self.linkControl()),
        )

    def linkControl(self) -> FullLinkControl:
        """
        Its Link Control, as far as it is known.
        """
        return linkControlOf(self._first)
