"""
The other nodes: which there are, how each is reached, and what passes between them and the router.

How each is reached stands in L{bmff.cluster.ways}, when it is tried in L{bmff.cluster.search}.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from math import inf
from random import Random
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bmff.cluster.choice import rank
from bmff.cluster.logins import PEER, Logins
from bmff.cluster.networks import NETWORKS, NetworkNews
from bmff.cluster.remote import RemoteNode
from bmff.cluster.search import Connector, Search
from bmff.cluster.ways import Rows, Target, Ways
from bmff.errors import ProtocolError
from bmff.events import (
    CallStarted,
    DuplicateNodeSeen,
    Event,
    LinkEnded,
    LinkStarted,
    PathChanged,
    PathEnded,
    PathStarted,
)
from bmff.router.locations import Location
from bmff.router.router import Router
from bmff.wire.fastforward.control import Full
from bmff.wire.fastforward.interest import Change, Interest
from bmff.wire.fastforward.link import INTEREST, Link, RadioLocation
from bmff.wire.fastforward.path import Path
from bmff.wire.throttle import Throttle

TICK: Final = 0.5  # seconds between two looks at who is missing
LOCATION_INTERVAL: Final = 60.0  # seconds until the same location is told again
LOCATIONS_TOLD: Final = 10_000  # radios, those heard last, that a new link is told of
_DUPLICATE_INTERVAL: Final = 60.0  # seconds between two warnings about one node


@dataclass(frozen=True, slots=True)
class Identity:
    """
    What the operator says of a node: who it is, and how it meets others.

    @ivar node: its ID.
    @ivar key: the id of the key of links whose override names none.
    @ivar targets: nodes to be reached beside those of the registry.
    """

    node: int
    key: str
    targets: tuple[Target, ...] = ()


class Links(Connector, Protocol):
    """
    What keeps paths, see L{bmff.protocols.fastforward.FastForward}.
    """

    def challengeAnswered(self, path: Path, value: int) -> None: ...

    def goodbyeReceived(self, path: Path, reason: str) -> None: ...

    def disconnect(self, node: int, reason: str) -> None: ...

    def rearm(self) -> None: ...

    def reconsider(self, node: int) -> None: ...


class Cluster:
    """
    Keeps a link to every other node, and passes calls, interest and locations over it.

    @ivar interest: what this node wants to hear.
    @ivar lag: microseconds by which the last tick came late.
    @ivar load: thousandths of a processor that this process uses.
    @ivar ways: how the others are reached.
    @ivar handlers: by name, called with node ID and payload of application messages.
    @ivar remotes: the nodes that a link leads to, by ID.
    @ivar logins: the peers here, and what becomes of those that log in elsewhere.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        identity: Identity,
        router: Router,
        publish: Callable[[Event], None],
        registry: Rows,
        *,
        random: Random,
        wallClock: Callable[[], float],
        processTime: Callable[[], float],
    ) -> None:
        """
        @param clock: monotonic.
        @param random: spreads attempts.
        @param wallClock: seconds since 1970, for the age of rows.
        @param processTime: seconds of processor that this process has used.
        """
        self.interest = Interest()
        self.lag = 0
        self.load = 0
        self.handlers: dict[str, Callable[[int, bytes], object]] = {}
        self.remotes: dict[int, RemoteNode] = {}
        self.keyID = identity.key
        self.fastForward: Links | None = None
        self._clock = clock
        self._nodeID = nodeID = identity.node
        self._router = router
        self._publish = publish
        self._processTime = processTime
        self._targets = {target.node: target for target in identity.targets}
        self.ways = Ways(nodeID, registry, self._targets, wallClock)
        self._search = Search(clock, self._targets, publish, random)
        self._networks = NetworkNews(nodeID, router)
        self._duplicates = Throttle(_DUPLICATE_INTERVAL)
        self.logins = Logins(clock, nodeID, wallClock, self.broadcast)
        self.handlers[PEER] = self.logins.received
        self.handlers[NETWORKS] = self._networksReceived
        self._told: dict[int, tuple[int, int, float]] = {}
        self._ticking: Any = None
        self._tickDue = inf
        self._used = (0.0, 0.0)
        router.reach.interestWatcher = self

    # Life.

    def start(self, fastForward: Links) -> None:
        """
        Look for the other nodes from now on.
        """
        self.fastForward = self._search.connector = fastForward
        self._used = (self._clock.seconds(), self._processTime())
        self._tick()

    def stop(self) -> None:
        """
        Look no more; links are ended by who holds them.
        """
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        self._search.stop()

    def _tick(self) -> None:
        now = self._clock.seconds()
        if self._tickDue != inf:
            self.lag = max(0, int((now - self._tickDue) * 1e6))
        self._tickDue = now + TICK
        self._ticking = self._clock.callLater(TICK, self._tick)
        at, used = self._used
        if now >= at + 1.0:
            current = self._processTime()
            self.load = int(1000 * (current - used) / (now - at))
            self._used = (now, current)
        try:
            self._seek(now)
        except Exception:  # what one tick stumbles over must not end all others
            self._log.failure("looking for other nodes failed")

    # Finding nodes.

    def _seek(self, now: float) -> None:
        if self.fastForward is None or self._ticking is None:
            return  # not begun yet, or stopped
        wanted = self.ways.waysTo(self.fastForward.links, self._search.failing)
        self._search.seek(wanted, self.keyID, now)

    def overridesChanged(self) -> None:
        """
        Other ways to other nodes are wanted than before: move their links.
        """
        self.ways.forget()
        if self.fastForward is None:
            return
        now = self._clock.seconds()
        self._seek(now)
        for node, link in tuple(self.fastForward.links.items()):
            self.fastForward.reconsider(node)
            link.measure(now)  # the other end is to know at once

    def useTargets(self, targets: Iterable[Target]) -> None:
        """
        Reach these nodes beside those of the registry from now on. A link to one that is no longer
        among them stays as long as it lives.
        """
        self._targets.clear()
        self._targets.update((target.node, target) for target in targets)
        self.overridesChanged()

    def wish(self, node: int, transport: str) -> None:
        """
        Use a transport for the link with a node whatever the registry says.

        @param transport: empty to do as the registry says again.
        """
        if transport:
            self.ways.wishes[node] = transport
        else:
            self.ways.wishes.pop(node, None)
        self.overridesChanged()

    def capabilitiesFor(self, node: int) -> str:
        """
        See L{bmff.wire.fastforward.link.NodeState}.
        """
        return self.ways.capabilitiesFor(node)

    def search(self, node: int) -> str:
        """
        Why a node could not be reached; empty when that was not tried or has succeeded.
        """
        return self._search.reason(node)

    # What links tell; see LinkKeeper.

    def linkStarted(self, link: Link) -> None:
        """
        See L{bmff.protocols.fastforward.LinkKeeper}.
        """
        remote = self.remotes[link.node] = RemoteNode(link, self._router)
        link.takeFrame = partial(self._router.route, remote)
        link.restarted = partial(self._greet, link)
        self._router.reach.addRemote(remote)
        self._greet(link)
        path = link.path
        transport, address = (path.traits.name, path.remote) if path else ("", "")
        self._publish(LinkStarted(link.node, transport, address))

    def _greet(self, link: Link) -> None:
        """
        Tell a node what it has to know of this one beside its interest.
        """
        now = self._clock.seconds()
        places = [
            RadioLocation(radio, location.peerID, location.slot, now - location.heard)
            for radio, location in self._router.reach.locations.local()
        ]
        try:
            link.sendApplication(NETWORKS, self._networks.whole())
            link.sendLocations(places[-LOCATIONS_TOLD:])
            for login in self.logins.young():
                link.sendApplication(PEER, login)
        except Full:
            link.dropped["control queue full"] += 1

    def linkEnded(self, link: Link, reason: str) -> None:
        """
        See L{bmff.protocols.fastforward.LinkKeeper}.
        """
        remote = self.remotes.get(link.node)
        if remote is not None and remote.link is link:
            now = self._clock.seconds()
            del self.remotes[link.node]
            self._router.removeRemote(remote, now)
            self._networks.remoteLost(remote, now)
            self._publish(LinkEnded(link.node, reason))

    def pathChanged(self, link: Link, path: Path) -> None:
        """
        See L{bmff.protocols.fastforward.LinkKeeper}.
        """
        if link.node in self.remotes:
            self._publish(PathChanged(link.node, path.traits.name, path.remote))

    def pathStarted(self, link: Link, transport: str) -> None:
        """
        See L{bmff.protocols.fastforward.LinkKeeper}.
        """
        self._search.pathStarted(link.node, transport, self._clock.seconds())
        self._publish(PathStarted(link.node, transport))

    def pathEnded(self, link: Link, transport: str, reason: str) -> None:
        """
        See L{bmff.protocols.fastforward.LinkKeeper}.
        """
        self._search.pathEnded(link.node, transport, self._clock.seconds())
        self._publish(PathEnded(link.node, transport, reason))

    def rankPaths(self, link: Link, transports: Collection[str]) -> list[str]:
        """
        See L{bmff.protocols.fastforward.LinkKeeper}.
        """
        current = link.path.traits.name if link.path is not None else ""
        return rank(transports, self.ways.chosen(link), current)

    def capabilitiesChanged(self, link: Link) -> None:
        """
        See L{bmff.wire.fastforward.link.LinkWatcher}.
        """
        if self.fastForward is not None and self.fastForward.links.get(link.node) is link:
            self._seek(self._clock.seconds())
            self.fastForward.reconsider(link.node)

    def duplicateNode(self, node: int, remote: str) -> None:
        """
        See L{bmff.protocols.fastforward.LinkKeeper}.
        """
        if self._duplicates.passes(node, self._clock.seconds()):
            self._publish(DuplicateNodeSeen(node, remote))

    def interestChanged(self, link: Link, change: Change) -> None:
        """
        See L{bmff.wire.fastforward.link.LinkWatcher}.
        """
        remote = self.remotes.get(link.node)
        if remote is not None and remote.link is link:
            self._router.reach.remoteChanged(remote, change.added, change.removed)
            if change.ranges:
                self._router.reach.remoteReviewed(remote)

    def locationsReceived(self, link: Link, locations: list[RadioLocation], now: float) -> None:
        """
        See L{bmff.wire.fastforward.link.LinkWatcher}.
        """
        remote = self.remotes.get(link.node)
        if remote is not None and remote.link is link:
            for each in locations:
                self._told.pop(each.radio, None)
                place = Location(each.peer, each.slot, now - each.age, remote)
                self._router.reach.locations.told(each.radio, place)

    def applicationReceived(self, link: Link, name: str, payload: bytes) -> None:
        """
        See L{bmff.wire.fastforward.link.LinkWatcher}.
        """
        handler = self.handlers.get(name)
        if handler is None:
            link.dropped["no handler"] += 1
            return
        try:
            handler(link.node, payload)
        except ProtocolError:
            raise  # the other node's fault: its link counts it
        except Exception:  # a handler may be foreign code
            self._log.failure("handler {name} failed", name=name)

    def _networksReceived(self, node: int, payload: bytes) -> None:
        remote = self.remotes.get(node)
        if remote is not None:
            self._networks.received(remote, payload, self._clock.seconds())

    def goodbyeReceived(self, link: Link, path: Path, reason: str) -> None:
        """
        See L{bmff.wire.fastforward.link.LinkWatcher}.
        """
        if self.fastForward is not None:
            self.fastForward.goodbyeReceived(path, reason)

    def challengeAnswered(self, link: Link, path: Path, value: int) -> None:
        """
        See L{bmff.wire.fastforward.link.LinkWatcher}.
        """
        if self.fastForward is not None:
            self.fastForward.challengeAnswered(path, value)

    # What the router and the node tell.

    def flush(self, now: float) -> None:
        """
        What this node wants to hear has changed, or the networks that its peers lead to; see
        L{bmff.router.router.Flushable}.
        """
        reach = self._router.reach
        change = self.interest.change(*reach.takeInterest(), reach.wantedRanges())
        if change is not None:
            for remote in self.remotes.values():
                self._send(remote, INTEREST, change)
        networks = self._networks.change()
        if networks is not None:
            self.broadcast(NETWORKS, networks)

    def broadcast(self, name: str, payload: bytes) -> None:
        """
        Send an application message to every node that is linked.
        """
        for remote in self.remotes.values():
            try:
                remote.link.sendApplication(name, payload)
            except Full:
                remote.link.dropped["control queue full"] += 1
            self._flush(remote)

    def watch(self, event: Event) -> None:
        """
        Tell the other nodes where a radio of ours is, and who has logged in; to be added to the
        node's events.
        """
        self.logins.watch(event)
        if not isinstance(event, CallStarted):
            return
        if event.peer not in self._router.reach.peers:
            self._told.pop(event.source, None)  # it was heard elsewhere: tell when it is back
            return
        now = self._clock.seconds()
        told = self._told.get(event.source)
        if told is not None and told[:2] == (event.peer, event.slot):
            if now < told[2] + LOCATION_INTERVAL:
                return
        elif len(self._told) > 10_000:
            self._told.clear()
        self._told[event.source] = (event.peer, event.slot, now)
        place = RadioLocation(event.source, event.peer, event.slot, 0.0)
        for remote in self.remotes.values():
            try:
                remote.link.sendLocations([place])
            except Full:
                remote.link.dropped["control queue full"] += 1
            self._flush(remote)

    def _send(self, remote: RemoteNode, kind: int, body: bytes) -> None:
        try:
            remote.link.sendControl(kind, body)
        except Full:
            # The other end sees by the version that it has missed something, and asks for all.
            remote.link.dropped["control queue full"] += 1
        self._flush(remote)

    def _flush(self, remote: RemoteNode) -> None:
        remote.link.flush(self._clock.seconds())
        if self.fastForward is not None:
            self.fastForward.rearm()
