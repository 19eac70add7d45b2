"""
What the tests of links stand on: nodes on a virtual network and a virtual clock.

Beside C{"udp"} every node has C{"memory"} (L{bmff.testing.memory}), which is reliable; its node ID
is its number there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from bmff.cluster.cluster import Cluster, Identity
from bmff.cluster.ways import Target
from bmff.dmr.frame import Frame
from bmff.dmr.voice import voiceCall
from bmff.errors import TransportUnavailable
from bmff.events import Event, Events, PathEnded, PathFailed, PathStarted, PathTried
from bmff.ibmff import (
    IAcceptor,
    IConversation,
    IPathReceiver,
    IPathTransport,
    ITransport,
    NodeRow,
    OverrideRow,
    TransportSettings,
)
from bmff.protocols.connection import Connection
from bmff.protocols.fastforward import FastForward
from bmff.protocols.turn import Turn
from bmff.router.call import Peer
from bmff.router.router import Router
from bmff.sockets.addresses import formatAddress, packAddress
from bmff.testing.memory import MemoryNetwork
from bmff.testing.network import VirtualNetwork, VirtualPort
from bmff.wire.fastforward.capabilities import Capabilities
from bmff.wire.fastforward.handshake import PreSharedKey
from bmff.wire.fastforward.link import Link
from tests.router.case import RecordingOutlet

PORT = 54000


class RecordingNetwork(VirtualNetwork):
    """
    Remembers what it carries.

    @ivar carried: data, sender and receiver of each datagram.
    """

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        super().__init__(clock, seed)
        self.carried: list[tuple[bytes, bytes, bytes]] = []

    def carry(self, data: bytes, sender: bytes, receiver: bytes) -> None:
        self.carried.append((data, sender, receiver))
        super().carry(data, sender, receiver)


@implementer(IConversation)
class Stranger:
    """
    Whoever a datagram came from that is nobody's yet.
    """

    name = "udp"

    def __init__(self, transport: DatagramTransport, key: bytes) -> None:
        self.key = key
        self.remote = formatAddress(key)
        self._transport = transport

    def sendPacket(self, data: bytes) -> bool:
        return self._transport.send(data, self.key)

    def open(self, receiver: IPathReceiver) -> IPathTransport:
        path: IPathTransport = DatagramPath(self._transport, self.key, receiver)
        return path

    def close(self) -> None:
        pass


@implementer(IPathTransport)
class DatagramPath:
    """
    A path: no more than an address that is known.
    """

    name = "udp"
    reliable = False
    ordered = False
    trusted = False

    def __init__(self, transport: DatagramTransport, key: bytes, receiver: IPathReceiver) -> None:
        self.key = key
        self.receiver = receiver
        self._transport = transport
        transport.paths[key] = self

    @property
    def remote(self) -> str:
        return formatAddress(self.key)

    def sendPacket(self, data: bytes) -> bool:
        return self._transport.send(data, self.key)

    def moveTo(self, conversation: object) -> None:
        assert isinstance(conversation, Stranger)
        paths = self._transport.paths
        if conversation.key not in paths and paths.get(self.key) is self:
            del paths[self.key]
            self.key = conversation.key
            paths[self.key] = self

    def loseConnection(self) -> None:
        if self._transport.paths.get(self.key) is self:
            del self._transport.paths[self.key]
            self.receiver.connectionLost("closed here")


@implementer(ITransport)
class DatagramTransport:
    """
    Datagrams at one address of the virtual network.

    @ivar paths: by address.
    @ivar off: whether its process is gone: it neither sends nor receives.
    @ivar connects: what it was asked to connect to.
    """

    name = "udp"
    port: VirtualPort

    def __init__(self, network: VirtualNetwork, host: str) -> None:
        self.paths: dict[bytes, DatagramPath] = {}
        self.off = False
        self.connects: list[tuple[str, int]] = []
        self._network = network
        self._host = host

    def listen(self, acceptor: IAcceptor) -> None:
        self._acceptor = acceptor
        self.port = self._network.bind(self, self._host, PORT)

    def move(self, host: str) -> None:
        """
        Have another address from now on, as after a new binding of a NAT.
        """
        self._network.unbind(self.port)
        self.port = self._network.bind(self, host, PORT)

    def send(self, data: bytes, address: bytes) -> bool:
        return self.off or self.port.sendTo(data, address)

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        path = self.paths.get(address)
        if path is not None:
            path.receiver.packetReceived(data, now)
            path.receiver.flush()
        else:
            self._acceptor.strayReceived(data, Stranger(self, address), now)

    def flush(self) -> None:
        self._acceptor.flush()

    def connect(self, address: str, port: int, receiver: IPathReceiver) -> Deferred[IPathTransport]:
        self.connects.append((address, port))
        key = packAddress(address, port)
        if key in self.paths:
            return fail(TransportUnavailable("there is a path already"))
        return succeed(DatagramPath(self, key, receiver))

    def stopListening(self) -> Deferred[None]:
        self.off = True
        self._network.unbind(self.port)
        return succeed(None)


class SomeKeys:
    """
    Keys of links that a test changes.
    """

    def __init__(self, keys: Mapping[str, PreSharedKey]) -> None:
        self.keys = dict(keys)

    def fastForwardKey(self, keyID: str) -> PreSharedKey | None:
        return self.keys.get(keyID)


class SomeRows:
    """
    A registry in memory; its nodes are as young as they are said to be.

    @ivar places: host and age in seconds of each node.
    """

    def __init__(self, case: FastForwardTestCase) -> None:
        self.overrides: dict[int, OverrideRow] = {}
        self.age = 0.0
        self.places: dict[int, tuple[str, float]] = {}
        self._case = case

    @property
    def nodes(self) -> Mapping[int, NodeRow]:
        now = self._case.wallClock()
        return {
            node: NodeRow(node, host, PORT, 1, 1, now - age)
            for node, (host, age) in self.places.items()
        }


class VirtualNode:
    """
    One node: a router with peers of its own, a cluster, links.

    @ivar outlet: remembers what its peers hear.
    @ivar told: its events, in order, but those of single paths.
    @ivar paths: those.
    """

    def __init__(
        self,
        case: FastForwardTestCase,
        nodeID: int,
        host: str,
        rows: SomeRows,
        targets: tuple[Target, ...] = (),
        environment: str = "network",
        keys: Mapping[str, PreSharedKey] | None = None,
        keyID: str = "group",
    ) -> None:
        self.case = case
        self.nodeID = nodeID
        self.host = host
        self.rows = rows
        self.keys = SomeKeys(case.keys if keys is None else keys)
        self.told: list[Event] = []
        self.events = Events()
        self.outlet = RecordingOutlet()
        self.router = Router(self.events.publish, talkLimit=0.0)
        self.turn = Turn(case.clock, self.router)
        self.cluster = Cluster(
            case.clock,
            Identity(nodeID, keyID, targets),
            self.router,
            self.events.publish,
            rows,
            random=Random(nodeID),
            wallClock=case.wallClock,
            processTime=lambda: 0.0,
        )
        self.paths: list[Event] = []
        self.events.watch(self._tell)
        self.events.watch(self.cluster.watch)
        self.fastForward = FastForward(
            case.clock,
            nodeID,
            environment,
            self.keys,
            self.cluster,
            self.cluster,
            self.turn.ended,
            case.wallClock,
        )
        self.cluster.fastForward = self.fastForward
        self.datagrams = DatagramTransport(case.network, host)
        self.datagrams.listen(self.fastForward)
        self.streams = case.streams.make(TransportSettings(nodeID))
        if nodeID not in case.streams.transports:
            self.streams.listen(self.fastForward)
        self.fastForward.transports = {"udp": self.datagrams, "memory": self.streams}
        self.cluster.ways.own = Capabilities(frozenset(self.fastForward.transports), "", PORT)

    def _tell(self, event: Event) -> None:
        isPath = isinstance(event, PathTried | PathFailed | PathStarted | PathEnded)
        (self.paths if isPath else self.told).append(event)

    @property
    def address(self) -> bytes:
        return self.datagrams.port.address

    def start(self) -> None:
        self.cluster.start(self.fastForward)

    def link(self, node: int) -> Link:
        return self.fastForward.links[node]

    def vanish(self) -> None:
        """
        Be gone without a word.
        """
        self.cluster.stop()
        self.datagrams.stopListening()
        self.case.streams.transports.pop(self.nodeID, None)
        self.fastForward._alarm.stop()

    def stop(self) -> None:
        """
        Be gone, saying so.
        """
        self.cluster.stop()
        self.fastForward.stop("the node stops")

    def peer(self, peerID: int, *talkgroups: int) -> Peer:
        """
        A local peer that hears talkgroups on slot 2.
        """
        peer = Peer(peerID, self.outlet)
        now = self.case.clock.seconds()
        self.router.addPeer(peer, now)
        self.router.setStatic(peer, {2: talkgroups}, now)
        self.turn.ended()
        return peer

    def send(self, peer: Peer, frame: Frame) -> None:
        """
        A local peer sends a frame.
        """
        self.router.route(peer, frame, self.case.clock.seconds())
        self.turn.ended()

    def talk(self, peer: Peer, frames: Iterable[Frame]) -> None:
        """
        A local peer sends frames, 60 ms apart.
        """
        for number, frame in enumerate(frames):
            self.case.clock.callLater(number * 0.06, self.send, peer, frame)

    def heard(self, peerID: int) -> list[Frame]:
        """
        What a local peer was sent.
        """
        return [frame for one, _, frame in self.outlet.heard if one == peerID]

    def happened(self, kind: type) -> list[Event]:
        return [event for event in self.told if isinstance(event, kind)]


def makeCall(destination: int = 91, *, superframes: int = 14, **call: int) -> list[Frame]:
    """
    The frames of a call, 86 unless told otherwise.
    """
    return list(
        voiceCall(
            source=call.get("source", 2340001),
            destination=destination,
            stream=call.get("stream", 77),
            private=bool(call.get("private", 0)),
            superframes=superframes,
        )
    )


class FastForwardTestCase(SynchronousTestCase):
    """
    Nodes on a network in memory.

    @cvar keys: what every node has.
    """

    keys: Mapping[str, PreSharedKey] = {"group": PreSharedKey(b"g" * 32)}

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.network = RecordingNetwork(self.clock)
        self.streams = MemoryNetwork(self.clock)
        self.wallStep = 0.0
        self.rows = SomeRows(self)

    def wallClock(self) -> float:
        return 1_750_000_000.0 + self.clock.seconds() + self.wallStep

    def advance(self, seconds: float) -> None:
        """
        Let time pass in steps of 10 ms.
        """
        self.clock.pump([0.01] * round(seconds * 100))

    def node(
        self, nodeID: int, start: bool = True, host: str = "", **settings: object
    ) -> VirtualNode:
        """
        A node that is in the registry which all share.
        """
        host = host or f"192.0.2.{nodeID % 100}"
        rows = settings.pop("rows", self.rows)
        assert isinstance(rows, SomeRows)
        rows.places[nodeID] = (host, 0.0)
        node = VirtualNode(self, nodeID, host, rows, **settings)  # type: ignore[arg-type]
        if start:
            node.start()
        return node

    def connect(
        self, here: VirtualNode, there: VirtualNode, transport: str = "udp", keyID: str = "group"
    ) -> Deferred[Connection]:
        """
        One node begins a connection to the other.
        """
        port = PORT if transport == "udp" else there.nodeID
        return Deferred.fromCoroutine(
            here.fastForward.connect(there.nodeID, transport, there.host, port, keyID)
        )

    def pair(self) -> tuple[VirtualNode, VirtualNode]:
        """
        Two nodes with a link.
        """
        here, there = self.node(2501), self.node(2502)
        self.advance(1.5)
        self.assertLinked(here, there)
        return here, there

    def assertLinked(self, here: VirtualNode, there: VirtualNode) -> None:
        """
        Two nodes have one link, ready, on one connection that both use.
        """
        for one, other in ((here, there), (there, here)):
            link = one.link(other.nodeID)
            self.assertTrue(link.ready)
            self.assertEqual(link.bootID, other.fastForward.bootID)
            mine = [each for each in one.fastForward.connections if each.node == other.nodeID]
            self.assertEqual(len(mine), 1)
            self.assertIs(mine[0].path, link.path)

    def assertHeard(self, node: VirtualNode, peerID: int, frames: list[Frame]) -> None:
        """
        A peer has heard exactly these frames.
        """
        heard = node.heard(peerID)
        self.assertEqual(
            [(frame.addressing, frame.body) for frame in heard],
            [(frame.addressing, frame.body) for frame in frames],
        )
