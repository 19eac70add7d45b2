"""
The other nodes: which there are, how each is reached, and what passes between them and the router.

A node is reached as its override says, else over UDP at the address in its row of the registry or
in the list of targets. The lower node ID opens the path; the higher one does after 2 s, or at once
when only it has an address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from random import Random
from typing import Any, Final, Protocol, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bmff.cluster.remote import RemoteNode
from bmff.errors import TransportUnavailable
from bmff.events import (
    CallStarted,
    DuplicateNodeSeen,
    Event,
    LinkEnded,
    LinkStarted,
    NodeUnreachable,
    PathChanged,
)
from bmff.ibmff import NodeRow, OverrideRow
from bmff.router.locations import Location
from bmff.router.router import Router
from bmff.wire.fastforward.control import Full
from bmff.wire.fastforward.interest import Interest
from bmff.wire.fastforward.link import INTEREST, Link, RadioLocation
from bmff.wire.fastforward.path import Path

TICK: Final = 0.5  # seconds between two looks at who is missing
HIGHER_WAITS: Final = 2.0  # seconds that the higher node ID leaves to the lower one
FIRST_PAUSE: Final = 1.0  # seconds after a first failure, doubled with each further one
LONGEST_PAUSE: Final = 60.0  # seconds, for nodes of the registry
TARGET_PAUSE: Final = 10.0  # seconds between two attempts at a configured target, at the most
ROW_LIFE: Final = 60.0  # seconds that a node's row counts without being renewed
LOCATION_INTERVAL: Final = 60.0  # seconds until the same location is told again
LOCATIONS_TOLD: Final = 10_000  # radios, those heard last, that a new link is told of
AUTO: Final = "auto"


@dataclass(frozen=True, slots=True)
class Target:
    """
    A node to be reached.

    @ivar node: its ID.
    @ivar address: host name or numeric address.
    @ivar port: its FastForward number.
    """

    node: int
    address: str
    port: int


class Rows(Protocol):
    """
    What is asked of a registry, see L{bmff.ibmff.IRegistry}.
    """

    @property
    def nodes(self) -> Mapping[int, NodeRow]: ...

    @property
    def overrides(self) -> Mapping[int, OverrideRow]: ...


class Links(Protocol):
    """
    What makes paths, see L{bmff.protocols.fastforward.FastForward}.
    """

    links: dict[int, Link]

    async def connect(
        self, node: int, transport: str, address: str, port: int, keyID: str
    ) -> Any: ...

    def challengeAnswered(self, path: Path, value: int) -> None: ...

    def goodbyeReceived(self, path: Path, reason: str) -> None: ...

    def disconnect(self, node: int, reason: str) -> None: ...

    def rearm(self) -> None: ...


@dataclass(slots=True)
class Search:
    """
    The attempts to reach one node.

    @ivar begun: when it was first missing, monotonic seconds.
    @ivar nextAt: when it is tried again.
    @ivar pause: seconds until the try after that.
    @ivar attempt: the one under way.
    @ivar reason: why the last one failed; empty before one has.
    """

    begun: float
    nextAt: float
    pause: float = FIRST_PAUSE
    attempt: Deferred[None] | None = None
    reason: str = ""


class Cluster:
    """
    Keeps a link to every other node, and passes calls, interest and locations over it.

    @ivar interest: what this node wants to hear.
    @ivar lag: microseconds by which the last tick came late.
    @ivar load: thousandths of a processor that this process uses.
    @ivar capabilities: this node's transports.
    @ivar handlers: by name, called with node ID and payload of application messages.
    @ivar remotes: the nodes that a link leads to, by ID.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        nodeID: int,
        router: Router,
        publish: Callable[[Event], None],
        registry: Rows,
        targets: tuple[Target, ...],
        keyID: str,
        *,
        random: Random,
        wallClock: Callable[[], float],
        processTime: Callable[[], float],
    ) -> None:
        """
        @param clock: monotonic.
        @param targets: nodes to be reached beside those of the registry.
        @param keyID: the key of links whose override names none.
        @param random: spreads attempts.
        @param wallClock: seconds since 1970, for the age of rows.
        @param processTime: seconds of processor that this process has used.
        """
        self.interest = Interest()
        self.lag = 0
        self.load = 0
        self.capabilities = ""
        self.handlers: dict[str, Callable[[int, bytes], object]] = {}
        self.remotes: dict[int, RemoteNode] = {}
        self.keyID = keyID
        self.fastForward: Links | None = None
        self._clock = clock
        self._nodeID = nodeID
        self._router = router
        self._publish = publish
        self._registry = registry
        self._targets = {target.node: target for target in targets}
        self._random = random
        self._wallClock = wallClock
        self._processTime = processTime
        self._searches: dict[int, Search] = {}
        self._told: dict[int, tuple[int, int, float]] = {}
        self._ticking: Any = None
        self._tickDue = inf
        self._used = (0.0, 0.0)
        router.interestWatcher = self

    # Life.

    def start(self, fastForward: Links) -> None:
        """
        Look for the other nodes from now on.
        """
        self.fastForward = fastForward
        self._used = (self._clock.seconds(), self._processTime())
        self._tick()

    def stop(self) -> None:
        """
        Look no more; links are ended by who holds them.
        """
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        searches, self._searches = self._searches, {}
        for search in searches.values():
            if search.attempt is not None:
                search.attempt.cancel()

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

    def wanted(self) -> dict[int, OverrideRow]:
        """
        How each node is to be reached, by node ID.
        """
        found: dict[int, OverrideRow] = {}
        fresh = self._wallClock() - ROW_LIFE
        for known in self._registry.nodes.values():
            if known.seen >= fresh:
                found[known.node] = OverrideRow(known.node, 0, "udp", known.address, known.port)
        for target in self._targets.values():
            found[target.node] = OverrideRow(target.node, 0, "udp", target.address, target.port)
        for node, row in self._registry.overrides.items():
            default = found.get(node)
            if row.transport != AUTO:
                found[node] = row
            elif default is not None and row.key:
                found[node] = OverrideRow(node, row.key, "udp", default.address, default.port)
        found.pop(self._nodeID, None)
        return found

    def search(self, node: int) -> str:
        """
        Why a node could not be reached; empty when that was not tried or has succeeded.
        """
        search = self._searches.get(node)
        return search.reason if search is not None else ""

    def _seek(self, now: float) -> None:
        assert self.fastForward is not None
        wanted = self.wanted()
        for node in [one for one in self._searches if one not in wanted]:
            needless = self._searches.pop(node)
            if needless.attempt is not None:
                needless.attempt.cancel()
        for node, row in wanted.items():
            if node in self.fastForward.links:
                self._searches.pop(node, None)
                continue
            search = self._searches.get(node)
            if search is None:
                patience = HIGHER_WAITS if self._leavesFirst(node) else 0.0
                search = self._searches[node] = Search(now, now + patience)
            if search.attempt is None and now >= search.nextAt:
                self._try(search, row)

    def _leavesFirst(self, node: int) -> bool:
        """
        Whether the other end is to begin: it has the lower ID and can know where we are.
        """
        return node < self._nodeID and node in self._registry.nodes

    def _try(self, search: Search, row: OverrideRow) -> None:
        assert self.fastForward is not None
        keyID = row.key or self.keyID
        search.attempt = Deferred.fromCoroutine(
            cast(
                Any,
                self.fastForward.connect(row.node, row.transport, row.address, row.port, keyID),
            )
        )
        search.attempt.addCallbacks(lambda _: None, partial(self._failed, search, row)).addBoth(
            partial(self._over, search)
        )

    def _failed(self, search: Search, row: OverrideRow, failure: Any) -> None:
        if failure.check(CancelledError) or self._searches.get(row.node) is not search:
            return  # nobody looks for it any more
        now = self._clock.seconds()
        reason = (
            failure.value.reason
            if failure.check(TransportUnavailable)
            else f"{failure.type.__name__}: {failure.getErrorMessage()}"
        )
        longest = TARGET_PAUSE if row.node in self._targets else LONGEST_PAUSE
        search.nextAt = now + search.pause * (0.75 + self._random.random() / 2)
        search.pause = min(search.pause * 2, longest)
        if reason != search.reason:
            search.reason = reason
            self._publish(NodeUnreachable(row.node, row.transport, reason))

    def _over(self, search: Search, result: object) -> None:
        search.attempt = None

    # What links tell; see LinkKeeper.

    def linkStarted(self, link: Link) -> None:
        """
        See L{bmff.protocols.fastforward.LinkKeeper}.
        """
        remote = self.remotes[link.node] = RemoteNode(link, self._router)
        link.takeFrame = partial(self._router.route, remote)
        self._router.addRemote(remote)
        now = self._clock.seconds()
        places = [
            RadioLocation(radio, location.peerID, location.slot, now - location.heard)
            for radio, location in self._router.locations.local()
        ]
        try:
            link.sendLocations(places[-LOCATIONS_TOLD:])
        except Full:
            link.dropped["control queue full"] += 1
        path = link.path
        transport, address = (path.traits.name, path.remote) if path else ("", "")
        self._publish(LinkStarted(link.node, transport, address))

    def linkEnded(self, link: Link, reason: str) -> None:
        """
        See L{bmff.protocols.fastforward.LinkKeeper}.
        """
        remote = self.remotes.get(link.node)
        if remote is not None and remote.link is link:
            del self.remotes[link.node]
            self._router.removeRemote(remote, self._clock.seconds())
            self._publish(LinkEnded(link.node, reason))

    def pathChanged(self, link: Link, path: Path) -> None:
        """
        See L{bmff.protocols.fastforward.LinkKeeper}.
        """
        if link.node in self.remotes:
            self._publish(PathChanged(link.node, path.traits.name, path.remote))

    def duplicateNode(self, node: int, remote: str) -> None:
        """
        See L{bmff.protocols.fastforward.LinkKeeper}.
        """
        self._publish(DuplicateNodeSeen(node, remote))

    def interestChanged(self, link: Link, added: list[int], removed: list[int]) -> None:
        """
        See L{bmff.wire.fastforward.link.LinkWatcher}.
        """
        remote = self.remotes.get(link.node)
        if remote is not None and remote.link is link:
            self._router.remoteChanged(remote, added, removed)

    def locationsReceived(self, link: Link, locations: list[RadioLocation], now: float) -> None:
        """
        See L{bmff.wire.fastforward.link.LinkWatcher}.
        """
        remote = self.remotes.get(link.node)
        if remote is not None and remote.link is link:
            for each in locations:
                self._told.pop(each.radio, None)
                place = Location(each.peer, each.slot, now - each.age, remote)
                self._router.locations.told(each.radio, place)

    def applicationReceived(self, link: Link, name: str, payload: bytes) -> None:
        """
        See L{bmff.wire.fastforward.link.LinkWatcher}.
        """
        handler = self.handlers.get(name)
        if handler is None:
            link.dropped["no handler"] += 1
            return
        with self._log.failuresHandled("handler {name} failed", name=name):
            handler(link.node, payload)

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
        What this node wants to hear has changed; see L{bmff.router.router.Flushable}.
        """
        change = self.interest.change(*self._router.takeInterest())
        if change is not None:
            for remote in self.remotes.values():
                self._send(remote, INTEREST, change)

    def watch(self, event: Event) -> None:
        """
        Tell the other nodes where a radio of ours is; to be added to the node's events.
        """
        if not isinstance(event, CallStarted):
            return
        if event.peer not in self._router.peers:
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
