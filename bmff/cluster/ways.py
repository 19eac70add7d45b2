"""
The ways to the other nodes: over which transports each is to be reached, where, and who begins.

A node is reached as its override says, else over UDP at the address in its row of the registry or
in the list of targets; once it has told what it can, over the best that both ends have. UDP stands
by beside every other transport, but not beside vsock where an override asks for that: it leads to
places that UDP does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from bmff.cluster.choice import FALLBACK, ON_ONE_HOST, VSOCK, chooseTransport, isOverruled
from bmff.ibmff import NodeRow, OverrideRow
from bmff.wire.fastforward.capabilities import Capabilities
from bmff.wire.fastforward.link import Link

ROW_LIFE: Final = 60.0  # seconds that a node's row counts without being renewed
HIGHER_WAITS: Final = 2.0  # seconds that the higher node ID leaves to the lower one
UDP_FAILS: Final = 10.0  # seconds without an answer over UDP after which TCP is tried as well,
# and over TCP after which TLS is
AUTO: Final = "auto"
TCP: Final = "tcp"
TLS: Final = "tls"


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


@dataclass(frozen=True, slots=True)
class Way:
    """
    One way to a node.

    @ivar row: transport, address and key.
    @ivar patience: seconds that are left to the other end to begin.
    """

    row: OverrideRow
    patience: float


def isByHand(row: NodeRow) -> bool:
    """
    Whether somebody has said where a node is that does not say so itself: no process has written
    the row, so it does not age. Where nobody has said that it is there it counts for nothing.
    """
    return row.boot == 0 and row.seen > 0


class Rows(Protocol):
    """
    What is asked of a registry, see L{bmff.ibmff.IRegistry}.
    """

    @property
    def nodes(self) -> Mapping[int, NodeRow]: ...

    @property
    def overrides(self) -> Mapping[int, OverrideRow]: ...

    @property
    def age(self) -> float: ...


class Ways:
    """
    What the rows of the registry, the targets and the other nodes' own words come to.

    @ivar own: what this node tells of itself, but for wishes.
    @ivar wishes: transports that were asked for by hand, by node; they come before overrides.
    """

    def __init__(
        self,
        nodeID: int,
        registry: Rows,
        targets: Mapping[int, Target],
        wallClock: Callable[[], float],
    ) -> None:
        """
        @param targets: by node ID.
        @param wallClock: seconds since 1970, for the age of rows.
        """
        self.own = Capabilities()
        self.wishes: dict[int, str] = {}
        self._nodeID = nodeID
        self._registry = registry
        self._targets = targets
        self._wallClock = wallClock
        self._told: dict[int, str] = {}

    def forget(self) -> None:
        """
        What the capabilities are made of has changed.
        """
        self._told.clear()

    def capabilitiesFor(self, node: int) -> str:
        """
        What this node tells another in each measurement.
        """
        told = self._told.get(node)
        if told is None:
            told = self._told[node] = self._capabilities(node).encode()
        return told

    def _capabilities(self, node: int) -> Capabilities:
        wish = self._wish(node)
        return self.own if wish is None else replace(self.own, wish=wish.transport)

    def known(self) -> dict[int, OverrideRow]:
        """
        The nodes whose place is known, each with the way over UDP.
        """
        found: dict[int, OverrideRow] = {}
        # While the registry is away nobody's row is renewed: what was fresh when it was read stays.
        fresh = self._wallClock() - ROW_LIFE - self._registry.age
        for known in self._registry.nodes.values():
            if known.seen >= fresh or isByHand(known):
                found[known.node] = OverrideRow(known.node, 0, "udp", known.address, known.port)
        for target in self._targets.values():
            found[target.node] = OverrideRow(target.node, 0, "udp", target.address, target.port)
        for node, row in self._registry.overrides.items():
            if node in found and row.key:
                found[node] = replace(found[node], key=row.key)
        found.pop(self._nodeID, None)
        return found

    def wanted(self) -> dict[int, OverrideRow]:
        """
        How each node is to be reached as far as this end knows, by node ID.
        """
        found = self.known()
        for node, row in self._registry.overrides.items():
            if row.transport != AUTO and node != self._nodeID:
                found[node] = row
        for node, transport in self.wishes.items():
            if node in found:
                found[node] = replace(found[node], transport=transport)
        return found

    def _wish(self, node: int) -> OverrideRow | None:
        """
        What this end's operator wants for a link, as far as this node can do it.
        """
        row = self._registry.overrides.get(node)
        if row is not None and row.transport == AUTO:
            row = None
        by = self.wishes.get(node)
        if by is not None:
            row = row or self.known().get(node)
            row = replace(row, transport=by) if row is not None else None
        return row if row is not None and row.transport in self.own.transports else None

    def chosen(self, link: Link) -> str:
        """
        The transport that is to carry a link.
        """
        other = Capabilities.decode(link.capabilities)
        return chooseTransport(self._capabilities(link.node), other, self._nodeID < link.node)

    def overruled(self, link: Link) -> bool:
        """
        Whether the other end's override counts and not this one's.
        """
        other = Capabilities.decode(link.capabilities)
        return isOverruled(self._capabilities(link.node), other, self._nodeID < link.node)

    def waysTo(
        self, links: Mapping[int, Link], failing: Callable[[int, str], float]
    ) -> dict[tuple[int, str], Way]:
        """
        All ways that are to be made or kept, by node ID and transport.

        @param failing: for how many seconds a way has been tried in vain, 0 when it has not.
        """
        known = self.known()
        found: dict[tuple[int, str], Way] = {}
        for node, row in self.wanted().items():
            link = links.get(node)
            ways = (
                self._linkWays(link, known.get(node))
                if link is not None
                else self._firstWays(row, known.get(node), failing)
            )
            for way in ways:
                found[node, way.row.transport] = way
        for node, link in links.items():
            if node not in known:
                for way in self._linkWays(link, None):
                    found.setdefault((node, way.row.transport), way)
        return found

    def _firstWays(
        self, row: OverrideRow, known: OverrideRow | None, failing: Callable[[int, str], float]
    ) -> list[Way]:
        """
        The ways to a node that is not linked.
        """
        node = row.node
        itself = self._registry.nodes.get(node)
        leaves = node < self._nodeID and itself is not None and not isByHand(itself)
        patience = HIGHER_WAITS if leaves else 0.0
        ways = [Way(row, patience)]
        if known is None:
            return ways
        if row.transport not in {FALLBACK, VSOCK} and failing(node, row.transport):
            ways.append(Way(known, patience))
        # Where UDP does not pass TCP may, and where that is looked into TLS may.
        before = FALLBACK
        for transport in (TCP, TLS):
            if failing(node, before) >= UDP_FAILS and transport in self.own.transports:
                ways.append(Way(replace(known, transport=transport), patience))
                before = transport
        return ways

    def _linkWays(self, link: Link, known: OverrideRow | None) -> list[Way]:
        """
        The ways to a node that is linked: the best one, and one that stands by.
        """
        node = link.node
        other = Capabilities.decode(link.capabilities)
        wish = self._wish(node)
        chosen = chooseTransport(self._capabilities(node), other, self._nodeID < node)
        patience = HIGHER_WAITS if node < self._nodeID else 0.0
        ways = []
        if wish is not None and wish.transport == chosen:
            # Only who has a row knows the address; the other end may have none.
            ways.append(Way(wish, patience if other.wish == chosen else 0.0))
        elif chosen in ON_ONE_HOST:
            key = known.key if known is not None else 0
            ways.append(Way(OverrideRow(node, key, chosen, "", other.port), patience))
        elif chosen == VSOCK and other.cid and not (wish or other.wish):
            key = known.key if known is not None else 0
            ways.append(Way(OverrideRow(node, key, chosen, str(other.cid), other.port), patience))
        elif chosen == FALLBACK and known is not None:
            ways.append(Way(known, patience))
        apart = chosen == VSOCK and (wish is not None or bool(other.wish))
        if chosen != FALLBACK and not apart and known is not None:
            ways.append(Way(known, patience))
        return ways
