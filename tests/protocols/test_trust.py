"""
Tests of L{bmff.protocols.fastforward}: ends that do not think the same of each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import product
from shutil import rmtree
from tempfile import mkdtemp
from time import time
from typing import Any, cast

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from bmff.events import LinkEnded, LinkStarted
from bmff.ibmff import IPathReceiver, TransportSettings
from bmff.protocols.connection import Connection
from bmff.testing.memory import MemoryNetwork, MemoryPath, MemoryTransport
from bmff.testing.network import VirtualNetwork
from bmff.transports.unix import UNIXTransport
from bmff.wire.fastforward.handshake import PreSharedKey
from bmff.wire.fastforward.noise import _Symmetric
from bmff.wire.fastforward.path import Path
from bmff.wire.fastforward.prologue import Prologue
from tests.protocols.fastforwardcase import FastForwardTestCase, SomeRows, VirtualNode, makeCall
from tests.wire.fastforward.handshakes import mac, macKey

HERE, THERE = 2501, 2502
PATIENCE = 15.0  # seconds; a busy machine takes longer than the promise
VIEWS = tuple(product((False, True), repeat=2))  # whether the lower node trusts, and the higher


def pathTo(node: VirtualNode, other: int) -> Path:
    """
    The path that carries the link to another node.
    """
    path = node.link(other).path
    assert path is not None
    return path


def sealed(node: VirtualNode, other: int) -> bool:
    """
    Whether a node seals what it sends to another; what it says of the path is the same.
    """
    path = pathTo(node, other)
    assert path.session is not None
    assert path.session.sealed is not path.traits.trusted
    return path.session.sealed


class RecordingPath(MemoryPath):
    """
    A path whose two ends are not vouched for alike.

    @ivar sent: what this end's node has sent.
    """

    def __init__(
        self, transport: OpinionatedTransport, receiver: IPathReceiver, remote: str
    ) -> None:
        super().__init__(transport, receiver, remote)
        self.trusted = transport.network.trusting[transport.port]
        self.sent = transport.sent

    def sendPacket(self, data: bytes) -> bool:
        self.sent.append(data)
        return super().sendPacket(data)


class OpinionatedTransport(MemoryTransport):
    """
    A node's own view of who is to be trusted.

    @ivar sent: what its node has sent.
    """

    network: OpinionatedNetwork

    def __init__(self, network: OpinionatedNetwork, settings: TransportSettings) -> None:
        super().__init__(network, settings)
        self.sent: list[bytes] = []

    def _add(self, receiver: IPathReceiver, remote: str) -> MemoryPath:
        path = RecordingPath(self, receiver, remote)
        self._life.paths.add(path)
        return path


class OpinionatedNetwork(MemoryNetwork):
    """
    A host whose nodes do not trust alike.

    @ivar trusting: whether each node trusts, by its ID.
    """

    trusting: dict[int, bool]

    def make(self, settings: TransportSettings) -> OpinionatedTransport:
        return OpinionatedTransport(self, settings)


class AgreementTests(FastForwardTestCase):
    """
    Two ends in memory, each with a view of its own.
    """

    calls = 0

    def trust(self, here: bool, there: bool) -> tuple[VirtualNode, VirtualNode]:
        """
        Begin anew with two nodes that have no path yet.
        """
        self.setUp()
        self.streams = OpinionatedNetwork(self.clock)
        self.streams.trusting = {HERE: here, THERE: there}
        return self.node(HERE, start=False), self.node(THERE, start=False)

    def sent(self, node: VirtualNode) -> list[bytes]:
        """
        What a node has sent in memory.
        """
        assert isinstance(node.streams, OpinionatedTransport)
        return node.streams.sent

    def talkBothWays(self, here: VirtualNode, there: VirtualNode) -> None:
        """
        A call each way, which the other end hears whole, and the wire shows as it has to.
        """
        expected = pathTo(here, there.nodeID).traits.trusted
        for talking, hearing in ((here, there), (there, here)):
            self.calls += 1
            talker = talking.peer(1000 + self.calls)
            listener = hearing.peer(2000 + self.calls, 91)
            self.advance(0.1)
            frames = makeCall(superframes=1, stream=self.calls, source=2340000 + self.calls)
            before = len(self.sent(talking))
            talking.talk(talker, frames)
            self.advance(0.8)
            self.assertHeard(hearing, listener.peerID, frames)
            sent = b"".join(self.sent(talking)[before:])
            for frame in frames:
                self.assertEqual(frame.body[5:38] in sent, expected)
            hearing.router.removePeer(listener, self.clock.seconds())
            hearing.turn.ended()
            self.advance(0.1)

    def test_eachView(self) -> None:
        """
        Whichever end begins, packets go in the clear if both ends trust, else sealed both ways;
        both say the same of the path, and calls pass.
        """
        for (here, there), lowerBegins in product(VIEWS, (False, True)):
            one, other = self.trust(here, there)
            if lowerBegins:
                attempt = self.connect(one, other, "memory")
            else:
                attempt = self.connect(other, one, "memory")
            self.advance(0.5)
            self.successResultOf(attempt)
            self.assertLinked(one, other)
            self.talkBothWays(one, other)
            expected = not (here and there)
            found = sealed(one, THERE), sealed(other, HERE)
            self.assertEqual(found, (expected, expected), (here, there, lowerBegins))
            for node in (one, other):
                self.assertEqual(node.happened(LinkEnded), [])
                self.assertEqual(pathTo(node, HERE + THERE - node.nodeID).dropped.total(), 0)

    def test_bothBegin(self) -> None:
        """
        So it is when both begin at once, whichever connection stays.
        """
        for here, there in VIEWS:
            one, other = self.trust(here, there)
            self.connect(one, other, "memory")
            self.connect(other, one, "memory")
            self.advance(5)
            self.assertLinked(one, other)
            self.talkBothWays(one, other)
            expected = not (here and there)
            self.assertEqual((sealed(one, THERE), sealed(other, HERE)), (expected, expected))
            self.assertEqual(len(one.happened(LinkStarted)), 1)

    def test_nextSession(self) -> None:
        """
        The sessions that follow are as the first one, whichever end makes them.
        """
        for (here, there), lowerBegins in product(VIEWS, (False, True)):
            one, other = self.trust(here, there)
            self.connect(*((one, other) if lowerBegins else (other, one)), "memory")
            self.advance(0.5)
            path = pathTo(one, THERE)
            before = path.session
            for rekeying, node in ((one, THERE), (other, HERE)):
                (connection,) = rekeying.fastForward.connections
                connection.rekey("group", self.keys["group"], self.clock.seconds())
                self.advance(0.5)
                self.assertIsNot(path.session, before)
                before = path.session
                found = sealed(rekeying, node)
                self.assertEqual(found, not (here and there))
                self.talkBothWays(one, other)
            self.assertIs(pathTo(one, THERE), path)

    def test_otherwise(self) -> None:
        """
        An end that does not trust any more is heeded from the next session on, and both ends tell.
        """
        for changing in (0, 1):
            nodes = self.trust(True, True)
            one, other = nodes
            self.connect(one, other, "memory")
            self.advance(0.5)
            self.assertFalse(sealed(one, THERE))
            (connection,) = nodes[changing].fastForward.connections
            assert isinstance(connection.transport, RecordingPath)
            connection.transport.trusted = False
            self.assertFalse(sealed(one, THERE))
            connection.rekey("group", self.keys["group"], self.clock.seconds())
            self.advance(0.5)
            self.assertEqual((sealed(one, THERE), sealed(other, HERE)), (True, True))
            self.talkBothWays(one, other)
            for node in nodes:
                self.assertEqual(node.happened(LinkEnded), [])

    def test_lostAnswer(self) -> None:
        """
        A handshake that is begun anew says the same as the first.
        """
        for here, there in VIEWS:
            one, other = self.trust(here, there)
            attempt = self.connect(one, other, "memory")
            self.streams.room = 0  # nothing is taken
            self.advance(0.3)
            self.streams.room = 256
            self.advance(1.0)
            self.successResultOf(attempt)
            expected = not (here and there)
            self.assertEqual((sealed(one, THERE), sealed(other, HERE)), (expected, expected))
            self.assertGreater(len([d for d in self.sent(one) if d[:1] == b"\x01"]), 1)

    def test_refusedAtTheAnswer(self) -> None:
        """
        An initiation whose public key gives no secret is refused after its connection was opened
        for the answer: that is closed, and nothing is left of it.
        """
        node, _ = self.trust(True, True)
        psk = self.keys["group"].psk
        encoded = Prologue("network", THERE, HERE, "group", "memory").encode()
        state = _Symmetric(encoded, psk)
        state.mixEphemeral(bytes(32))
        greeting = bytes(32) + state.seal(bytes(16) + b"\x01")
        covered = b"\x01" + bytes(4) + encoded + greeting
        inbox = Inbox()
        attempt = self.streams.make(TransportSettings(THERE)).connect("", HERE, inbox)
        self.advance(0.1)
        path = self.successResultOf(attempt)
        path.sendPacket(covered + mac(macKey(psk, HERE), covered) + bytes(16))
        self.advance(0.1)
        self.assertEqual(inbox.lost, ["closed by the other end"])
        self.assertEqual(node.fastForward.handshakes.refused["weak key"], 1)
        self.assertEqual((node.fastForward.connections, node.fastForward.links), ([], {}))
        self.assertEqual(node.fastForward.handshakes._byIndex, {})


@implementer(IPathReceiver)
class Inbox:
    """
    The other end of a connection, of which only the end is of interest.

    @ivar lost: why it ended.
    """

    def __init__(self) -> None:
        self.lost: list[str] = []

    def packetReceived(self, data: bytes, now: float) -> None:
        pass

    def flush(self) -> None:
        pass

    def writable(self) -> None:
        pass

    def connectionLost(self, reason: str) -> None:
        self.lost.append(reason)


class OpinionatedUNIXTransport(UNIXTransport):
    """
    A UNIX socket of a node that is told whom to trust, whoever the kernel says it is.

    @ivar trusting: whether it trusts.
    @ivar asked: the users that it was asked about.
    """

    def __init__(self, port: int, folder: str, trusting: bool) -> None:
        super().__init__(cast(Any, anyReactor), TransportSettings(port, (), folder))
        self.trusting = trusting
        self.asked: list[int] = []

    def trusts(self, user: int) -> bool:
        self.asked.append(user)
        return self.trusting


class UNIXAgreementTests(TestCase):
    """
    Two ends on a UNIX socket, each with a view of its own.
    """

    def setUp(self) -> None:
        """
        A folder with a short name: that of a socket has at most 107 bytes.
        """
        self.folder = mkdtemp(prefix="bmff-")
        self.addCleanup(rmtree, self.folder)
        self.keys = {"group": PreSharedKey(b"g" * 32)}
        # What the nodes stand on beside the sockets, and do not use here.
        self.clock = cast(Any, anyReactor)
        self.network = VirtualNetwork(self.clock)
        self.streams = MemoryNetwork(self.clock)
        self.wallClock = time

    def node(self, nodeID: int, port: int, trusting: bool) -> VirtualNode:
        """
        A node at a UNIX socket alone.
        """
        case = cast(FastForwardTestCase, self)
        node = VirtualNode(case, nodeID, f"192.0.2.{nodeID % 100}", SomeRows(case))
        transport = OpinionatedUNIXTransport(port, self.folder, trusting)
        transport.listen(node.fastForward)
        node.fastForward.transports = {"unix": transport}
        return node

    async def end(self, node: VirtualNode) -> None:
        """
        Be gone, and leave nothing.
        """
        node.stop()
        for transport in node.fastForward.transports.values():
            await transport.stopListening()
        node.datagrams.stopListening()
        await node.streams.stopListening()
        node.turn.stop()

    async def until(self, condition: Callable[[], bool]) -> None:
        """
        Wait until something is so.
        """
        end = self.clock.seconds() + PATIENCE
        while not condition():
            if self.clock.seconds() > end:
                self.fail("it does not become so")
            await deferLater(self.clock, 0.005)

    def connect(self, one: VirtualNode, other: VirtualNode, port: int) -> Deferred[Connection]:
        """
        One node begins a connection to the other.
        """
        return Deferred.fromCoroutine(
            one.fastForward.connect(other.nodeID, "unix", "", port, "group")
        )

    async def linked(self, *nodes: VirtualNode) -> None:
        """
        Wait until calls may pass between all nodes.
        """
        count = len(nodes) - 1
        await self.until(
            lambda: all(
                [link.ready for link in node.fastForward.links.values()] == [True] * count
                for node in nodes
            )
        )

    async def talk(self, talking: VirtualNode, hearing: VirtualNode, stream: int) -> None:
        """
        A call that the other end hears whole.
        """
        talker, listener = talking.peer(1000 + stream), hearing.peer(2000 + stream, stream)
        link = talking.link(hearing.nodeID)
        await self.until(lambda: stream in link.interest.talkgroups)
        frames = makeCall(stream, superframes=1, stream=stream, source=2340000 + stream)
        for frame in frames:
            talking.send(talker, frame)
        await self.until(lambda: len(hearing.heard(listener.peerID)) >= len(frames))
        self.assertEqual(
            [(frame.addressing, frame.body) for frame in hearing.heard(listener.peerID)],
            [(frame.addressing, frame.body) for frame in frames],
        )

    async def test_eachView(self) -> None:
        """
        Whichever end begins, packets go in the clear if both ends trust, else sealed both ways,
        and calls pass. The kernel has told each end the user of the other.
        """
        for (here, there), lowerBegins in product(VIEWS, (False, True)):
            one, other = self.node(HERE, 1, here), self.node(THERE, 2, there)
            try:
                if lowerBegins:
                    await self.connect(one, other, 2)
                else:
                    await self.connect(other, one, 1)
                await self.linked(one, other)
                await self.talk(one, other, 91)
                await self.talk(other, one, 92)
                expected = not (here and there)
                found = sealed(one, THERE), sealed(other, HERE)
                self.assertEqual(found, (expected, expected), (here, there, lowerBegins))
                for node in (one, other):
                    (transport,) = node.fastForward.transports.values()
                    assert isinstance(transport, OpinionatedUNIXTransport)
                    self.assertEqual(transport.asked, [os.geteuid()])
                    self.assertEqual(node.happened(LinkEnded), [])
            finally:
                await self.end(one)
                await self.end(other)
