"""
A node in a virtual day: its master, and what has to hold of its router at every moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bmff.dmr.frame import Frame
from bmff.events import (
    CallEnded,
    CallStarted,
    Event,
    LinkEnded,
    LinkStarted,
    PeerLost,
    PeerRegistered,
)
from bmff.protocols.homebrew import HomeBrew
from bmff.router.announcement import Announcer
from bmff.router.call import Peer, Remote, Slot
from bmff.router.dialling import Dialling
from bmff.router.parrot import Parrot
from bmff.routing import CallRequest, Decision
from bmff.sockets.fanout import FanOut, PlainFanOut
from bmff.testing.everybody import Everybody
from tests.dayhotspot import HANG, DayHotspot
from tests.daytalk import Talk
from tests.protocols.fastforwardcase import VirtualNode

if TYPE_CHECKING:  # it holds nodes itself
    from tests.virtualday import VirtualDay

LIMITED: Final = 96  # the talkgroup on which calls are cut off
LIMIT: Final = 1.2  # seconds that they may last
HELD: Final = 2.5  # seconds without a frame after which no slot is held any more
OUTLIVES: Final = 20.0  # seconds by which a keyed talkgroup may outlive its time, in calls


class Door:
    """
    The socket of a node's master; see L{bmff.protocols.homebrew.DatagramTransport}.
    """

    def __init__(self, day: VirtualDay) -> None:
        self._day = day

    def sendTo(self, data: bytes, address: bytes) -> bool:
        hotspot = self._day.air.get(address)
        if hotspot is None:
            self._day.strayed += 1
        else:
            hotspot.receive(data, self._day.clock.rightNow)
        return True

    def fanOut(self, prefixSize: int, middleSize: int, suffixSize: int) -> FanOut:
        return PlainFanOut(self.sendTo)


class DayNode:
    """
    One of them.

    @ivar number: its place among the nodes, from 0.
    @ivar came: frames that its router was given.
    @ivar started: calls that began.
    @ivar ended: calls that ended.
    @ivar frames: those that ended calls have had.
    @ivar dropped: frames that were dropped within calls that have ended.
    @ivar awaited: talks that another node has begun, each with the second at which it is late.
    @ivar changedAt: when a link of it came or went last, seconds.
    """

    def __init__(self, day: VirtualDay, number: int, node: VirtualNode) -> None:
        self.number = number
        self.node = node
        self.router = node.router
        self.came = self.started = self.ended = self.frames = self.dropped = 0
        self.awaited: dict[Talk, float] = {}
        self.changedAt = 0.0
        self._day = day
        self._route = self.router.route
        self.router._hangTime = HANG
        self.router.route = self._frameCame  # type: ignore[method-assign]
        self.router.rules.add("limit", _limit)
        self.parrot = Parrot(Announcer(self.router, self.router.deadlines))
        self.router.services += (self.parrot, Dialling(self.router.subscriptions))
        self.access = Everybody()
        self.homebrew = HomeBrew(
            day.clock, node.turn, node.events.publish, self.access, bytes([number]) * 32
        )
        self.port = self.homebrew.port()
        self.port.transport = Door(day)
        node.cluster.logins.endPeer = self.homebrew.endPeer
        node.events.watch(self._happened)

    def holds(self, hotspot: DayHotspot) -> bool:
        """
        Whether a hotspot belongs here.
        """
        return hotspot.node == self.number

    def _happened(self, event: Event) -> None:
        day = self._day
        now = day.clock.rightNow
        match event:
            case CallStarted():
                self.started += 1
            case CallEnded():
                self.ended += 1
                self.frames += event.frames
                self.dropped += event.duplicates + event.late
            case PeerRegistered(peer=peer) if self.holds(day.hotspots[peer]):
                day.hotspots[peer].arrived(now)
            case PeerLost(peer=peer) if self.holds(day.hotspots[peer]):
                day.hotspots[peer].lost(now)
            case LinkStarted() | LinkEnded():
                self.changedAt = now

    def _frameCame(self, ingress: Peer | Remote, frame: Frame, now: float) -> None:
        """
        See L{bmff.router.router.Router.route}.
        """
        self.came += 1
        day = self._day
        said = day.said.get(frame.stream)
        if said is None:  # the parrot's
            self._route(ingress, frame, now)
            return
        talk = said[0]
        own = day.hotspots.get(ingress.peerID) if isinstance(ingress, Peer) else None
        first = self.number not in talk.routed
        if not talk.routed:
            talk.ours = frame.destination
        expected = list(day.listeners(self, frame, own, now)) if first else []
        before = self.router.framesRouted
        self._route(ingress, frame, now)
        if self.router.framesRouted == before:
            if own is not None and talk.began < 0:
                day.refused(talk, own, frame, now)
            return
        if first:
            self._begun(talk, frame, own, expected, now)
        if own is not None:
            own.spoke(frame.slot, now)
        talk.routed[self.number] += 1

    def _begun(
        self,
        talk: Talk,
        frame: Frame,
        own: DayHotspot | None,
        expected: list[tuple[DayHotspot, int]],
        now: float,
    ) -> None:
        """
        The first frame of a talk has been routed here.
        """
        day = self._day
        talk.routed[self.number] = 0
        self.awaited.pop(talk, None)
        for hotspot, slot in expected:
            if hotspot.ears[slot].stream != frame.stream:
                day.wrong("a call not heard", hotspot, slot, frame)
            talk.whole.append((self.number, hotspot, slot))
        day.checked["heard"] += len(expected)
        if talk.began < 0:
            talk.began = now
            day.begun(self, talk, frame, own, now)

    # What has to hold at all times.

    def sweep(self, now: float) -> None:
        """
        No slot is stuck, and none has lost what it hears.
        """
        day = self._day
        calls = set(self.router.calls.values())
        for peer in self.router.reach.peers.values():
            hotspot = day.hotspots[peer.peerID]
            for slot in peer.slots:
                call = slot.call
                if call is not None:
                    if call not in calls or call.ended or now - call.heard > HELD:
                        day.wrong("a stuck slot", hotspot, slot.number)
                    if call.slot is not slot and slot not in call.listeners:
                        day.wrong("a slot of no call", hotspot, slot.number)
                if self.holds(hotspot) and hotspot.here:
                    self._checkTalkgroups(hotspot, slot, now)
        for call in calls:
            for slot in call.listeners:
                if slot.call is not call:
                    day.wrong("a listener that has another call", slot.peer.peerID)
        for talk, due in tuple(self.awaited.items()):
            if now > due:
                del self.awaited[talk]
                if day.linkedSince(talk.began):
                    day.wrong("a call that did not cross", self.number, talk.frames[0])

    def _checkTalkgroups(self, hotspot: DayHotspot, slot: Slot, now: float) -> None:
        day = self._day
        ear = hotspot.ears[slot.number]
        if slot.static != ear.static:
            day.wrong("other talkgroups than were set", hotspot, slot.static, ear.static)
        for talkgroup in slot.dynamic:
            span = ear.keyed.get(talkgroup)
            if span is None or span.possible < now - OUTLIVES:
                day.wrong("a talkgroup that should have been left", hotspot, slot.number, talkgroup)
        for talkgroup, span in ear.keyed.items():
            if talkgroup not in slot.dynamic and span.certain > now + 1.0:
                day.wrong("a lost subscription", hotspot, slot.number, talkgroup)
        talkgroups = self.router.reach.talkgroups
        for talkgroup in (*slot.static, *slot.dynamic):
            if slot not in talkgroups.slots(talkgroup):
                day.wrong("a talkgroup that lacks its slot", hotspot, slot.number, talkgroup)

    # What has to hold when all is silent.

    def account(self) -> dict[str, tuple[int, int]]:
        """
        Pairs of numbers that are equal when every frame and every call is accounted for.
        """
        router = self.router
        return {
            "frames": (self.came, router.framesRouted + router.dropped.total() + self.dropped),
            "frames of calls": (self.frames, router.framesRouted),
            "calls": (self.started, self.ended),
        }

    def tables(self) -> dict[str, int]:
        """
        The sizes of all that grows with calls and logins.
        """
        router, homebrew = self.router, self.homebrew
        peers = router.reach.peers.values()
        return {
            "calls": len(router.calls),
            "data calls": len(router._dataCalls),
            "deadlines": len(router.deadlines._heap),
            "remains": len(router._remains),
            "talkgroups": len(router.reach.talkgroups),
            "talkgroups with calls": len(router.reach.talkgroups._calls),
            "locations": len(router.reach.locations._locations),
            "peers": len(router.reach.peers),
            "sessions": len(homebrew.master),
            "deadlines of sessions": len(homebrew.master._deadlines),
            "addresses": len(self.port._entrance._sessions),
            "peers of the master": len(homebrew._peers),
            "talker aliases": len(homebrew._aliases),
            "logins": len(self.node.cluster.logins),
            "recordings": self.parrot.busy,
            "slots in use": sum(slot.call is not None for peer in peers for slot in peer.slots),
            "calls that wait": sum(len(slot.waiting) for peer in peers for slot in peer.slots),
            "keyed": sum(len(slot.dynamic) for peer in peers for slot in peer.slots),
            "links": len(self.node.fastForward.links),
        }


def _limit(request: CallRequest) -> Decision | None:
    """
    A rule of the operator's.
    """
    return Decision(talkLimit=LIMIT) if request.destination.number == LIMITED else None
