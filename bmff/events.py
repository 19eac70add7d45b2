"""
What a node tells everything that watches it: past-tense facts, one class each.

They are values without a time: whoever watches stamps them with its own clock. Nothing on the path
of a frame makes one; a call makes two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class PeerRegistered:
    """
    A hotspot or repeater has logged in and said what it is, or says it anew.

    @ivar peer: its ID.
    @ivar callsign: as it says.
    @ivar address: C{"192.0.2.1:4000"}, C{"[2001:db8::1]:4000"}.
    @ivar verified: whether it has proved that it knows its secret.
    @ivar again: whether it says anew what it is, and has not just logged in.
    """

    peer: int
    callsign: str
    address: str
    verified: bool = True
    again: bool = False


@dataclass(frozen=True, slots=True)
class PeerLost:
    """
    A peer is gone.

    @ivar reason: for people.
    """

    peer: int
    callsign: str
    reason: str


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """
    A peer was not let in; told once a minute for each.

    @ivar reason: for people.
    """

    peer: int
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class PeerMoved:
    """
    A peer has logged in again from another address.

    @ivar address: the new one.
    """

    peer: int
    callsign: str
    address: str


@dataclass(frozen=True, slots=True)
class DuplicatePeerSeen:
    """
    A peer moves to and fro, as two hotspots with one ID make it do; told once a minute for each.

    @ivar address: where it is now.
    """

    peer: int
    callsign: str
    address: str


@dataclass(frozen=True, slots=True)
class OptionsNotUnderstood:
    """
    A peer has sent options of which a part has no effect; told again only when that part changes.

    @ivar text: that part, printable, 200 characters at most.
    """

    peer: int
    text: str


@dataclass(frozen=True, slots=True)
class SubscriptionChanged:
    """
    A slot of a peer hears other talkgroups than before.

    @ivar slot: 1 or 2.
    @ivar static: talkgroups from configuration and options, sorted.
    @ivar dynamic: talkgroups that were keyed, sorted.
    """

    peer: int
    slot: int
    static: tuple[int, ...]
    dynamic: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CallStarted:
    """
    A call has begun.

    @ivar stream: its stream ID, 32 bits.
    @ivar source: the radio ID that talks.
    @ivar destination: a talkgroup, or a radio ID when C{private}.
    @ivar private: whether it is for one radio.
    @ivar data: whether it carries data, not voice.
    @ivar peer: the ID of the peer that it came from.
    @ivar slot: the slot that it came on, 1 or 2.
    @ivar listeners: how many slots hear it from the start.
    """

    stream: int
    source: int
    destination: int
    private: bool
    data: bool
    peer: int
    slot: int
    listeners: int


@dataclass(frozen=True, slots=True)
class CallRefused:
    """
    A rule of the operator's does not let a call go anywhere.

    @ivar reason: as the rule says.
    """

    stream: int
    source: int
    destination: int
    private: bool
    peer: int
    reason: str


@dataclass(frozen=True, slots=True)
class TextReceived:
    """
    A radio has written a text message, to a talkgroup or to another radio.

    @ivar peer: the ID of the peer that it came from.
    @ivar text: what it says.
    """

    source: int
    destination: int
    private: bool
    peer: int
    text: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """
    A call is over.

    @ivar reason: C{"terminator"}, C{"silence"}, C{"talk limit"}, C{"peer lost"},
        C{"link lost"}, C{"bridge lost"}, C{"replaced"}, C{"dropped"}, C{"stopped"}.
    @ivar duration: seconds from the first frame to the last.
    @ivar frames: how many came.
    @ivar lost: how many did not, by the gaps in their sequence numbers.
    @ivar duplicates: how many came again and were dropped.
    @ivar late: how many came after a later one and were dropped.
    """

    stream: int
    source: int
    destination: int
    private: bool
    data: bool
    peer: int
    slot: int
    reason: str
    duration: float
    frames: int
    lost: int
    duplicates: int
    late: int


@dataclass(frozen=True, slots=True)
class TalkerAliasReceived:
    """
    A radio has sent its user's name along with its voice.

    @ivar text: complete as far as it was received.
    """

    radio: int
    text: str


@dataclass(frozen=True, slots=True)
class RadioPositionReceived:
    """
    A radio has sent its position, along with its voice or as data.

    @ivar latitude: degrees (WGS 84), north positive.
    @ivar longitude: degrees, east positive.
    @ivar origin: how it was sent: C{"call"} along with voice, C{"LRRP"} as data.
    @ivar peer: the ID of the peer that it came from; 0 when unknown.
    @ivar slot: the slot that it came on, 1 or 2; 0 when unknown.
    @ivar radius: metres around it where the radio is, or L{None}.
    @ivar altitude: metres, or L{None}.
    @ivar speed: metres a second, or L{None}.
    @ivar direction: degrees from north to east that it moves in, or L{None}.
    @ivar moment: when the radio was there by its own clock, seconds since 1970, or L{None}.
    """

    radio: int
    latitude: float
    longitude: float
    origin: str = "call"
    peer: int = 0
    slot: int = 0
    radius: float | None = None
    altitude: float | None = None
    speed: float | None = None
    direction: int | None = None
    moment: float | None = None


@dataclass(frozen=True, slots=True)
class RadioRegistered:
    """
    A radio has said, as data, that it is there or that it goes.

    @ivar registered: whether it is there.
    @ivar peer: the ID of the peer that it came from.
    @ivar slot: the slot that it came on, 1 or 2.
    """

    radio: int
    registered: bool
    peer: int
    slot: int


@dataclass(frozen=True, slots=True)
class LinkStarted:
    """
    A link to another node is up.

    @ivar node: its ID.
    @ivar transport: what carries it: C{"udp"}.
    @ivar address: of the other end, as the transport writes it.
    """

    node: int
    transport: str
    address: str


@dataclass(frozen=True, slots=True)
class LinkEnded:
    """
    A link to another node is over.

    @ivar reason: for people.
    """

    node: int
    reason: str


@dataclass(frozen=True, slots=True)
class PathChanged:
    """
    A link is carried by another path than before.
    """

    node: int
    transport: str
    address: str


@dataclass(frozen=True, slots=True)
class PathTried:
    """
    A path to a node is being made.

    @ivar address: where to; empty where the transport needs none.
    """

    node: int
    transport: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class PathFailed:
    """
    A link that has a path could not have another one; told again only when the reason changes.

    @ivar reason: for people.
    """

    node: int
    transport: str
    reason: str


@dataclass(frozen=True, slots=True)
class PathStarted:
    """
    A link has one more path, which may carry it or stand by.
    """

    node: int
    transport: str


@dataclass(frozen=True, slots=True)
class PathEnded:
    """
    A path of a link has ended, perhaps its last one.

    @ivar reason: for people.
    """

    node: int
    transport: str
    reason: str


@dataclass(frozen=True, slots=True)
class NodeUnreachable:
    """
    A node cannot be reached; told again only when the reason changes.

    @ivar reason: for people.
    """

    node: int
    transport: str
    reason: str


@dataclass(frozen=True, slots=True)
class DuplicateNodeSeen:
    """
    Two processes speak under one node ID; the newcomer was refused.

    @ivar address: of the newcomer.
    """

    node: int
    address: str


@dataclass(frozen=True, slots=True)
class BridgeStarted:
    """
    Calls may go out over a bridge to another network: the other end says that it is there, or, in
    the protocol without signs of life, its address is known.

    @ivar peer: what the bridge is known by in events of calls.
    @ivar name: the operator's name for it.
    @ivar address: of the other end.
    """

    peer: int
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class BridgeMoved:
    """
    A bridge's other end is at another address.

    @ivar address: the new one.
    """

    peer: int
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class BridgeEnded:
    """
    Calls may go out over a bridge no longer.

    @ivar reason: for people.
    """

    peer: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class UplinkStarted:
    """
    The node is logged in to another network's master.

    @ivar peer: what the uplink is known by in events of calls.
    @ivar name: the operator's name for it.
    @ivar address: of the master.
    """

    peer: int
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class UplinkEnded:
    """
    The node is logged in there no longer.

    @ivar reason: for people.
    """

    peer: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class UplinkRefused:
    """
    The node cannot log in there; each reason is told once until it can.

    @ivar address: of the master, or its name when that leads nowhere.
    @ivar reason: for people.
    """

    peer: int
    name: str
    address: str
    reason: str


Event: TypeAlias = (
    PeerRegistered
    | PeerLost
    | LoginRefused
    | PeerMoved
    | DuplicatePeerSeen
    | OptionsNotUnderstood
    | SubscriptionChanged
    | CallStarted
    | CallRefused
    | CallEnded
    | TextReceived
    | TalkerAliasReceived
    | RadioPositionReceived
    | RadioRegistered
    | LinkStarted
    | LinkEnded
    | PathChanged
    | PathTried
    | PathFailed
    | PathStarted
    | PathEnded
    | NodeUnreachable
    | DuplicateNodeSeen
    | BridgeStarted
    | BridgeMoved
    | BridgeEnded
    | UplinkStarted
    | UplinkEnded
    | UplinkRefused
)
Watcher: TypeAlias = Callable[[Event], None]


class Events:
    """
    Hands each event to everything that watches, in the order of subscription.

    A watcher that raises loses that event alone; the others get theirs.

    @ivar failed: how often a watcher raised.
    """

    def __init__(self, onFailure: Callable[[Event, Exception], None] | None = None) -> None:
        """
        @param onFailure: called with what a watcher raised, inside the C{except}.
        """
        self.failed = 0
        self._onFailure = onFailure
        self._watchers: tuple[Watcher, ...] = ()

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """
        Hand each event from now on to L{watcher}.

        @return: a callable that ends this.
        """
        self._watchers = (*self._watchers, watcher)

        def unwatch() -> None:
            self._watchers = tuple(one for one in self._watchers if one is not watcher)

        return unwatch

    def publish(self, event: Event) -> None:
        """
        Tell everybody.
        """
        for watcher in self._watchers:
            try:
                watcher(event)
            except Exception as error:  # a watcher is foreign code
                self.failed += 1
                if self._onFailure is not None:
                    self._onFailure(event, error)
