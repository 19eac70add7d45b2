"""
What the tests of the cluster stand on: links that are never made, on a virtual clock.
"""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bmff.cluster.cluster import TICK, Cluster, Identity
from bmff.cluster.ways import Target
from bmff.errors import TransportUnavailable
from bmff.events import Event, PathEnded, PathFailed, PathStarted, PathTried
from bmff.ibmff import NodeRow, OverrideRow
from bmff.router.router import Router
from bmff.wire.fastforward.link import Link
from bmff.wire.fastforward.path import Path

WALL = 1_750_000_000.0


class SomeRows:
    """
    A registry's rows.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, NodeRow] = {}
        self.overrides: dict[int, OverrideRow] = {}
        self.age = 0.0

    def put(self, node: int, age: float = 0.0) -> None:
        self.nodes[node] = NodeRow(
            node, f"192.0.2.{node % 100}", 54000 + node % 100, 1, 1, WALL - age
        )


class SomeLinks:
    """
    Makes no paths, and remembers what it was asked for.

    @ivar asked: when, and for what.
    @ivar reason: why it fails at once; when empty, attempts stay open.
    """

    def __init__(self, clock: Clock) -> None:
        self.links: dict[int, Link] = {}
        self.asked: list[tuple[float, int, str, str, int, str]] = []
        self.paths: set[tuple[int, str]] = set()
        self.reason = "no answer"
        self.open: list[Deferred[object]] = []
        self._clock = clock

    async def connect(
        self, node: int, transport: str, address: str, port: int, keyID: str
    ) -> object:
        self.asked.append((self._clock.seconds(), node, transport, address, port, keyID))
        if self.reason:
            raise TransportUnavailable(self.reason)
        waiting: Deferred[object] = Deferred()
        self.open.append(waiting)
        return await waiting

    def challengeAnswered(self, path: Path, value: int) -> None:
        pass

    def goodbyeReceived(self, path: Path, reason: str) -> None:
        pass

    def disconnect(self, node: int, reason: str) -> None:
        pass

    def rearm(self) -> None:
        pass

    def reconsider(self, node: int) -> None:
        pass

    def hasPath(self, node: int, transport: str) -> bool:
        return (node, transport) in self.paths


class ClusterTestCase(SynchronousTestCase):
    """
    One node's cluster, with links of its own.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.rows = SomeRows()
        self.links = SomeLinks(self.clock)
        self.told: list[Event] = []
        self.paths: list[Event] = []
        self.router = Router(self.tell)

    def tell(self, event: Event) -> None:
        """
        Keep what happens to paths apart from the rest.
        """
        isPath = isinstance(event, PathTried | PathFailed | PathStarted | PathEnded)
        (self.paths if isPath else self.told).append(event)

    def cluster(self, *targets: Target, nodeID: int = 2501) -> Cluster:
        cluster = Cluster(
            self.clock,
            Identity(nodeID, "group", targets),
            self.router,
            self.tell,
            self.rows,
            random=Random(1),
            wallClock=lambda: WALL,
            processTime=lambda: self.clock.seconds() / 4,
        )
        cluster.start(self.links)
        return cluster

    def advance(self, seconds: float) -> None:
        self.clock.pump([TICK / 5] * round(seconds / TICK * 5))

    def times(self, node: int) -> list[float]:
        """
        When a node was tried.
        """
        return [at for at, one, *_ in self.links.asked if one == node]

    def linkUp(self, cluster: Cluster, node: int) -> Link:
        """
        A link to a node comes up, whichever end began.
        """
        link = self.links.links[node] = Link(node, 7, cluster, cluster, self.clock.seconds(), 1)
        self.links.paths.add((node, "udp"))
        cluster.linkStarted(link)
        cluster.pathStarted(link, "udp")
        return link

    def linkDown(self, cluster: Cluster, link: Link) -> None:
        """
        It ends.
        """
        del self.links.links[link.node]
        self.links.paths.discard((link.node, "udp"))
        cluster.pathEnded(link, "udp", "silence")
        cluster.linkEnded(link, "silence")
