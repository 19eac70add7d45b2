"""
What is said on MQTT of the events of a node: messages for what happens, states for what is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from bmff.events import (
    BridgeEnded,
    BridgeMoved,
    BridgeStarted,
    CallEnded,
    CallStarted,
    DuplicateNodeSeen,
    Event,
    LinkEnded,
    LinkStarted,
    NodeUnreachable,
    PathChanged,
    PeerLost,
    PeerMoved,
    PeerRegistered,
    RadioPositionReceived,
    RadioRegistered,
    SubscriptionChanged,
    TalkerAliasReceived,
    UplinkEnded,
    UplinkRefused,
    UplinkStarted,
)
from bmff.wire.brandmeister.services import (
    Repeater,
    location,
    network,
    registration,
    system,
)
from bmff.wire.brandmeister.sessions import Session
from bmff.wire.brandmeister.topics import Topics

HOTSPOT: Final = "HomeBrew"
BRIDGE: Final = "Bridge"
REGISTRATION: Final = "ARS"  # how radios say that they are there
OURSELVES: Final = 0  # the peer of calls that the node itself makes


class Outgoing(Protocol):
    """
    Takes what is said, see L{bmff.protocols.mqtt.outbox.Outbox}.
    """

    def put(self, topic: str, payload: bytes) -> None: ...

    def setState(self, topic: str, payload: bytes) -> None: ...

    def clearState(self, topic: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """
    How a call is received at this moment.

    @ivar stream: its stream ID.
    @ivar source: the radio ID that talks.
    @ivar frames: how many came.
    @ivar lost: how many did not.
    @ivar rssi: received strength of the last as -dBm, 0 when unknown.
    """

    stream: int
    source: int
    frames: int
    lost: int
    rssi: int = 0


class Reports:
    """
    Says what happens in one node.

    Each node tells of the calls that came to it from a peer or a bridge. Those from other nodes are
    told by them, so that nobody who hears all nodes of a broker counts a call twice.

    @ivar sessions: how many calls are on that are told of.
    """

    def __init__(self, topics: Topics, outgoing: Outgoing) -> None:
        self._topics = topics
        self._outgoing = outgoing
        self._sessions: dict[tuple[int, int], Session] = {}  # by stream and source
        self._losses: dict[tuple[int, int], int] = {}  # as last told
        self._strengths: dict[tuple[int, int], int] = {}
        self._repeaters: dict[int, Repeater] = {}
        self._slots: dict[int, dict[int, tuple[tuple[int, ...], tuple[int, ...]]]] = {}
        self._nodes: set[int] = set()

    @property
    def sessions(self) -> int:
        """
        How many calls are on that are told of.
        """
        return len(self._sessions)

    def report(self, event: Event, wall: float) -> None:
        """
        Say what has happened.

        @param wall: when, seconds since 1970.
        """
        match event:
            case CallStarted():
                self._callStarted(event, wall)
            case CallEnded():
                self._callEnded(event, wall)
            case TalkerAliasReceived():
                self._aliasReceived(event)
            case RadioPositionReceived():
                self._outgoing.put(self._topics.service, _position(event))
            case RadioRegistered():
                said = registration(event.radio, REGISTRATION, here=event.registered)
                self._outgoing.put(self._topics.service, said)
            case PeerRegistered():
                self._peerRegistered(event, wall)
            case PeerLost():
                self._peerLost(event)
            case PeerMoved():
                self._tellRepeater(event.peer, "Move")
            case SubscriptionChanged():
                self._subscriptionChanged(event)
            case BridgeStarted() | BridgeMoved() | BridgeEnded():
                self._bridgeChanged(event)
            case UplinkStarted() | UplinkEnded() | UplinkRefused():
                self._uplinkChanged(event)
            case _:
                self._clusterChanged(event)

    # Calls.

    def _callStarted(self, event: CallStarted, wall: float) -> None:
        repeater = self._repeaters.get(event.peer)
        if event.peer == OURSELVES or (repeater is None and event.peer in self._nodes):
            return
        session = self._sessions[event.stream, event.source] = Session(
            network=self._topics.network,
            stream=event.stream,
            source=event.source,
            destination=event.destination,
            private=event.private,
            data=event.data,
            link=HOTSPOT if repeater is not None else BRIDGE,
            context=event.peer,
            callsign=repeater.callsign if repeater is not None else "",
            slot=event.slot,
            route=event.listeners,
            started=wall,
        )
        self._outgoing.put(self._topics.session, session.start())

    def _callEnded(self, event: CallEnded, wall: float) -> None:
        key = (event.stream, event.source)
        session = self._sessions.pop(key, None)
        if session is None and event.data:
            # The transmissions of one data call have streams of their own: it ends with the last.
            key, session = self._dataSession(event)
        if session is None:
            return
        self._tellLoss(key, session, event.lost, event.frames + event.lost)
        self._losses.pop(key, None)
        self._strengths.pop(key, None)
        said = session.stop(
            state=event.reason,
            stopped=wall,
            frames=event.frames,
            lost=event.lost,
            late=event.late,
        )
        self._outgoing.put(self._topics.session, said)

    def _dataSession(self, event: CallEnded) -> tuple[tuple[int, int], Session | None]:
        for key, session in self._sessions.items():
            if (
                session.data
                and session.source == event.source
                and session.destination == event.destination
                and session.context == event.peer
            ):
                return key, self._sessions.pop(key)
        return (event.stream, event.source), None

    def _aliasReceived(self, event: TalkerAliasReceived) -> None:
        for key, session in self._sessions.items():
            if session.source == event.radio and session.alias != event.text:
                changed = self._sessions[key] = replace(session, alias=event.text)
                self._outgoing.put(self._topics.session, changed.update())

    def measured(self, readings: Iterable[Reading]) -> None:
        """
        Say how the calls that are on are received, as far as that has changed.
        """
        for reading in readings:
            key = (reading.stream, reading.source)
            session = self._sessions.get(key)
            if session is None:
                continue
            self._tellLoss(key, session, reading.lost, reading.frames + reading.lost)
            if reading.rssi and self._strengths.get(key) != reading.rssi:
                self._strengths[key] = reading.rssi
                self._outgoing.put(self._topics.session, session.signalStrength(-reading.rssi))

    def _tellLoss(self, key: tuple[int, int], session: Session, lost: int, total: int) -> None:
        if self._losses.get(key, 0) != lost:
            self._losses[key] = lost
            self._outgoing.put(self._topics.session, session.lossRate(lost, total))

    # Hotspots and repeaters.

    def _peerRegistered(self, event: PeerRegistered, wall: float) -> None:
        known = self._repeaters.get(event.peer)
        since = known.since if known is not None and event.again else wall
        repeater = Repeater(event.peer, event.callsign, event.verified, since)
        self._repeaters[event.peer] = repeater
        if known is None or not event.again:
            self._tellRepeater(event.peer, "Connect")
        self._keepRepeater(event.peer)

    def _peerLost(self, event: PeerLost) -> None:
        self._tellRepeater(event.peer, "Disconnect", event.reason)
        self._repeaters.pop(event.peer, None)
        self._slots.pop(event.peer, None)
        self._outgoing.clearState(self._topics.repeaterState(event.peer))

    def _subscriptionChanged(self, event: SubscriptionChanged) -> None:
        slots = self._slots.setdefault(event.peer, {})
        slots[event.slot] = (event.static, event.dynamic)
        if not any(static or dynamic for static, dynamic in slots.values()):
            del self._slots[event.peer]  # as it is told of one that is gone, too
        if event.peer in self._repeaters:
            self._keepRepeater(event.peer)

    def _tellRepeater(self, peer: int, name: str, reason: str | None = None) -> None:
        repeater = self._repeaters.get(peer)
        if repeater is not None:
            self._outgoing.put(self._topics.repeater, repeater.event(name, reason))

    def _keepRepeater(self, peer: int) -> None:
        state = self._repeaters[peer].state(self._slots.get(peer, {}))
        self._outgoing.setState(self._topics.repeaterState(peer), state)

    # Other networks. Where their servers are is not told, as with hotspots.

    def _bridgeChanged(self, event: BridgeStarted | BridgeMoved | BridgeEnded) -> None:
        match event:
            case BridgeStarted():
                said = network("Bridge-Start", event.peer, event.name)
            case BridgeMoved():
                said = network("Bridge-Move", event.peer, event.name)
            case BridgeEnded():
                said = network("Bridge-Stop", event.peer, event.name, Reason=event.reason)
        self._outgoing.put(self._topics.system, said)

    def _uplinkChanged(self, event: UplinkStarted | UplinkEnded | UplinkRefused) -> None:
        match event:
            case UplinkStarted():
                said = network("Uplink-Start", event.peer, event.name)
            case UplinkEnded():
                said = network("Uplink-Stop", event.peer, event.name, Reason=event.reason)
            case UplinkRefused():
                said = network("Uplink-Refused", event.peer, event.name, Reason=event.reason)
        self._outgoing.put(self._topics.system, said)

    # Other nodes.

    def _clusterChanged(self, event: Event) -> None:
        match event:
            case LinkStarted():
                self._nodes.add(event.node)
                said = system("Link-Start", event.node, Transport=event.transport)
            case LinkEnded():
                # Its calls end after it.
                self._nodes.discard(event.node)
                said = system("Link-Stop", event.node, Reason=event.reason)
            case PathChanged():
                said = system("Path-Change", event.node, Transport=event.transport)
            case NodeUnreachable():
                said = system(
                    "Unreachable", event.node, Transport=event.transport, Reason=event.reason
                )
            case DuplicateNodeSeen():
                said = system("Duplicate", event.node)
            case _:
                return
        self._outgoing.put(self._topics.system, said)


def _position(event: RadioPositionReceived) -> bytes:
    """
    Where a radio is, in the units of the topic.
    """
    altitude, speed = event.altitude, event.speed
    return location(
        event.radio,
        event.latitude,
        event.longitude,
        Altitude=round(altitude, 1) if altitude is not None else None,
        Speed=round(speed * 3.6, 1) if speed is not None else None,
        Course=event.direction,
    )
