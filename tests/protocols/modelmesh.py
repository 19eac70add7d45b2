"""
A mesh of two to five nodes whose peers talk while everything fails that may fail, and what has to
hold of it whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Final

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.dmr.frame import DATA_SYNC, DATA_TYPE, KIND, TERMINATOR, Frame
from bmff.dmr.voice import voiceCall
from bmff.ibmff import OverrideRow
from bmff.router.call import Peer, Remote
from bmff.testing.impairment import Impairment
from bmff.testing.memory import MemoryPath
from bmff.wire.fastforward.link import Link
from bmff.wire.fastforward.messages import MISSING_SPAN
from bmff.wire.fastforward.path import KEPT
from tests.protocols.fastforwardcase import (
    PORT,
    FastForwardTestCase,
    RecordingNetwork,
    SomeRows,
    VirtualNode,
)

FIRST: Final = 2501  # node ID
TALKGROUPS: Final = (91, 92, 93)
TALKERS: Final = (1, 2)  # of each node
LISTENERS: Final = (11, 12)
PITCH: Final = 0.06  # seconds between two frames of a call
GOOD: Final = Impairment(delay=0.001)
RETURN: Final = 180.0  # seconds within which all links of a good network are there
SETTLED: Final = 8.0  # seconds in which they agree on everything then
NOWHERE: Final = "192.0.2.250"
UNUSED: Final = 9  # a number in memory that nobody listens at
_END: Final = DATA_SYNC | TERMINATOR


class Talk:
    """
    A call that a peer makes.

    @ivar node: where.
    @ivar peer: who.
    @ivar frames: all of it.
    @ivar sent: how many of them have been sent.
    @ivar nextAt: when the next one is due.
    """

    def __init__(self, node: Standing, talker: int, frames: list[Frame], now: float) -> None:
        self.node = node
        self.talker = talker
        self.frames = frames
        self.sent = 0
        self.nextAt = now

    @property
    def over(self) -> bool:
        """
        Whether all of it has been sent.
        """
        return self.sent == len(self.frames)


class Standing:
    """
    One process of a node, and what is known of its peers apart from it.

    @ivar node: itself.
    @ivar rows: its own view of the registry.
    @ivar peers: by the last two digits of their IDs.
    @ivar static: the talkgroups that its listeners are set to.
    @ivar keyed: those that its peers have talked on.
    @ivar checked: how much of what its peers heard has been checked.
    @ivar last: by listener and call, the sequence number that it heard last.
    """

    def __init__(self, mesh: Mesh, nodeID: int) -> None:
        self.rows = SomeRows(mesh)
        self.rows.places = mesh.rows.places
        self.rows.overrides = mesh.overrides.setdefault(nodeID, {})
        self.node: VirtualNode = mesh.node(nodeID, start=False, rows=self.rows)
        self._watch(mesh)
        self.node.start()
        self.peers: dict[int, Peer] = {
            number: self.node.peer(peerID(nodeID, number)) for number in (*TALKERS, *LISTENERS)
        }
        self.static: dict[int, frozenset[int]] = {}
        self.keyed: set[tuple[int, int]] = set()
        self.checked = 0
        self.last: dict[tuple[int, int], int] = {}

    def _watch(self, mesh: Mesh) -> None:
        """
        Check what comes over links before the router, which is a second line, has sorted it out.
        """
        route = self.node.router.route
        last: dict[tuple[Peer | Remote, int], int] = {}

        def check(ingress: Peer | Remote, frame: Frame, now: float) -> None:
            if not isinstance(ingress, Peer):
                broken, mesh.broken = mesh.broken, True
                mesh.assertIn(frame.stream, mesh.sent)
                mesh.assertNotEqual(mesh.origin[frame.stream], self.node.nodeID, "came back")
                mesh.assertEqual(mesh.origin[frame.stream], ingress.peerID)
                if frame.flags & (KIND | DATA_TYPE) != _END:
                    before = last.get((ingress, frame.stream), -1)
                    mesh.assertGreater(frame.sequence, before, "twice, or out of order")
                    last[ingress, frame.stream] = frame.sequence
                mesh.broken = broken
            route(ingress, frame, now)

        self.node.router.route = check  # type: ignore[method-assign]

    def hears(self, peer: int, talkgroup: int) -> bool:
        """
        Whether a peer, named by its ID, is to hear a talkgroup.
        """
        return (peer, talkgroup) in self.keyed or talkgroup in self.static.get(peer, ())

    @property
    def interest(self) -> set[int]:
        """
        What anybody here hears.
        """
        return {one for _, one in self.keyed}.union(*self.static.values())


@implementer(ILogObserver)
class Failures:
    """
    What is logged as a failure.

    @ivar seen: each.
    """

    def __init__(self) -> None:
        self.seen: list[Failure] = []

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            self.seen.append(failure)


class Mesh(FastForwardTestCase):
    """
    Nodes, the calls of their peers, and what has to hold.

    @ivar standing: the processes that live, by node ID.
    @ivar talks: the calls that are on.
    @ivar sent: all frames by stream: those of a call have numbers below 256.
    @ivar origin: the node that each stream comes from.
    @ivar overrides: by node ID, what its registry says.
    @ivar broken: whether something has failed to hold.
    @ivar returned: how many seconds it took until all links were there again, at the last L{quiet}.
    """

    def __init__(self, count: int, seed: int) -> None:
        super().__init__("begin")
        self.setUp()
        self.network = RecordingNetwork(self.clock, seed)
        self.network.impair(GOOD)
        self.overrides: dict[int, dict[int, OverrideRow]] = {}
        self.standing: dict[int, Standing] = {}
        self.talks: list[Talk] = []
        self.sent: dict[int, dict[int, Frame]] = {}
        self.origin: dict[int, int] = {}
        self.broken = False
        self.returned = 0.0
        self._latestStep = 0.0  # of the time of day
        self._streams = iter(range(1000, 1_000_000))
        self._failures = Failures()
        globalLogPublisher.addObserver(self._failures)
        self._count = count

    def begin(self) -> None:
        """
        All nodes start.
        """
        for nodeID in range(FIRST, FIRST + self._count):
            self.start(nodeID)

    def over(self) -> None:
        """
        Nothing is watched any more.
        """
        globalLogPublisher.removeObserver(self._failures)

    # What may happen.

    def start(self, nodeID: int) -> None:
        """
        A process of a node begins.
        """
        self.standing[nodeID] = Standing(self, nodeID)

    def kill(self, nodeID: int, *, goodbye: bool) -> None:
        """
        The process of a node ends.

        @param goodbye: whether it says so.
        """
        standing = self.standing.pop(nodeID)
        node = standing.node
        self.talks = [talk for talk in self.talks if talk.node is not standing]
        if goodbye:
            node.stop()
        node.datagrams.stopListening()
        self.streams.transports.pop(nodeID, None)
        for path in tuple(node.streams._life.paths):
            assert isinstance(path, MemoryPath)
            other = path.peer
            path.drop("the process is gone")
            if other is not None:
                self.clock.callLater(0.002, other.drop, "reset")
        if not goodbye:
            node.cluster.stop()
        node.fastForward.stop("gone")
        node.turn.stop()

    def restart(self, nodeID: int, *, goodbye: bool, pause: float = 0.0) -> None:
        """
        The process of a node ends, and another begins whose peers want the same.
        """
        before = self.standing[nodeID]
        self.kill(nodeID, goodbye=goodbye)
        self.advance(pause)
        self.start(nodeID)
        for peer, talkgroups in before.static.items():
            self.subscribe(nodeID, peer % 100, talkgroups)

    def subscribe(self, nodeID: int, listener: int, talkgroups: Iterable[int]) -> None:
        """
        A listener hears these talkgroups from now on.
        """
        self.check()
        standing = self.standing[nodeID]
        peer = standing.peers[listener]
        standing.static[peer.peerID] = frozenset(talkgroups)
        standing.node.router.setStatic(peer, {2: tuple(talkgroups)}, self.clock.seconds())
        standing.node.turn.ended()

    def talk(
        self, nodeID: int, talker: int, destination: int, superframes: int, private: bool
    ) -> Talk | None:
        """
        A call begins, unless who is to make it talks already.
        """
        standing = self.standing[nodeID]
        if any(one.node is standing and one.talker == talker for one in self.talks):
            return None
        frames = list(
            voiceCall(
                source=radio(nodeID, talker),
                destination=destination,
                stream=next(self._streams),
                superframes=superframes,
                private=private,
            )
        )
        # No two frames of it are the same, so that none can pass for another.
        for number, frame in enumerate(frames[1:-1], 1):
            body = number.to_bytes(2, "big") + frame.stream.to_bytes(4, "big") + frame.body[6:]
            frames[number] = Frame(frame.addressing, frame.body[:5] + body[: len(frame.body) - 5])
        self.sent[frames[0].stream] = {}
        self.origin[frames[0].stream] = nodeID
        if not private:
            standing.keyed.add((peerID(nodeID, talker), destination))
        one = Talk(standing, talker, frames, self.clock.seconds())
        self.talks.append(one)
        return one

    def override(self, here: int, there: int, transport: str, *, nowhere: bool = False) -> None:
        """
        A node is told how to reach another.

        @param transport: empty for no override.
        """
        rows = self.overrides[here]
        if not transport:
            rows.pop(there, None)
        elif transport == "memory":
            rows[there] = OverrideRow(there, 0, "memory", "", UNUSED if nowhere else there)
        else:
            rows[there] = OverrideRow(there, 0, "udp", NOWHERE if nowhere else host(there), PORT)
        self.standing[here].node.cluster.overridesChanged()

    def closeStream(self, here: int, there: int) -> None:
        """
        The reliable connection of two nodes ends under their link.
        """
        for connection in tuple(self.standing[here].node.fastForward.connections):
            if connection.node == there and connection.transport.name == "memory":
                connection.transport.loseConnection()

    def stepWallClock(self, seconds: float) -> None:
        """
        The time of day of all nodes jumps.
        """
        self._latestStep = max(self._latestStep, self.wallStep)
        self.wallStep += seconds

    def advance(self, seconds: float) -> None:
        """
        Let time pass, from one event to the next, and check what has been heard.
        """
        clock = self.clock
        end = clock.seconds() + seconds
        try:
            while (now := clock.seconds()) < end:
                for talk in tuple(self.talks):
                    if talk.nextAt <= now:
                        self._speak(talk, now)
                dues = [call.getTime() for call in clock.getDelayedCalls()]
                due = min([end, *dues, *(talk.nextAt for talk in self.talks)])
                clock.advance(max(due - now, 1e-6))
        except BaseException:
            self.broken = True
            raise
        self.check()

    def _speak(self, talk: Talk, now: float) -> None:
        """
        Send the next frame of a call.
        """
        frame = talk.frames[talk.sent]
        talk.sent += 1
        talk.nextAt = now + PITCH
        if talk.over:
            self.talks.remove(talk)
        self.sent[frame.stream][frame.sequence] = frame
        talk.node.node.send(talk.node.peers[talk.talker], frame)

    # What has to hold at all times.

    def check(self) -> None:
        """
        What was heard since the last time was sent, is meant for who heard it, came once and in
        order; and nothing was logged as a failure.
        """
        broken, self.broken = self.broken, True
        for failure in self._failures.seen:
            failure.raiseException()
        for standing in self.standing.values():
            heard = standing.node.outlet.heard
            for peer, slot, frame in heard[standing.checked :]:
                self._checkFrame(standing, peer, slot, frame)
            standing.checked = len(heard)
            router = standing.node.router
            self.assertEqual(router.dropped["stream of another ingress"], 0)
            for link in standing.node.fastForward.links.values():
                self._checkBounds(standing.node, link)
        self.broken = broken

    def _checkFrame(self, standing: Standing, peer: int, slot: int, frame: Frame) -> None:
        """
        A frame may be heard by this peer.
        """
        self.assertIn(frame.stream, self.sent)
        frames = self.sent[frame.stream]
        self.assertEqual(slot, 2)
        if frame.private:
            whose = [
                peerID(nodeID, talker)
                for nodeID in range(FIRST, FIRST + self._count)
                for talker in TALKERS
                if radio(nodeID, talker) == frame.destination
            ]
            self.assertIn(peer, whose)
        elif frame.flags & (KIND | DATA_TYPE) != _END:
            self.assertTrue(standing.hears(peer, frame.destination))
        if frame.flags & (KIND | DATA_TYPE) == _END:
            return  # a router makes one of its own for who does not hear the end of a call
        self.assertIn(frame.sequence, frames)
        sent = frames[frame.sequence]
        self.assertEqual((frame.addressing, frame.body), (sent.addressing, sent.body))
        last = standing.last.get((peer, frame.stream), -1)
        self.assertGreater(frame.sequence, last, "twice, or out of order")
        standing.last[peer, frame.stream] = frame.sequence

    def _checkBounds(self, node: VirtualNode, link: Link) -> None:
        """
        A link keeps no more than it may.
        """
        self.assertLessEqual(len(link.order.calls), 64)
        for call in link.order.calls.values():
            self.assertLessEqual(len(call.held), 64)
        for path in link._paths():
            self.assertLessEqual(len(path.sent), KEPT)
            self.assertLessEqual(len(path.sessions), 5)
            for session in path.sessions:
                self.assertLessEqual(len(session.gaps.missing), MISSING_SPAN)
        mine = [one for one in node.fastForward.connections if one.node == link.node]
        self.assertLessEqual(len(mine), 8)

    # What has to hold as soon as nothing fails any more.

    def quiet(self) -> None:
        """
        The network becomes good, and all calls end. Then every pair has one link, both ends agree
        on all of it, and nothing is left of what was.
        """
        self.talks.clear()
        self.network.heal()
        self.network.impair(GOOD)
        # A node that starts while its clock is behind is not let in until that has caught up.
        self.wallStep = max(self.wallStep, self._latestStep)
        for nodeID in range(FIRST, FIRST + self._count):
            if nodeID not in self.standing:
                self.start(nodeID)
        begun = self.clock.seconds()
        while self.clock.seconds() < begun + RETURN and not self._allLinked():
            self.advance(1.0)
        self.returned = self.clock.seconds() - begun
        self.advance(SETTLED)
        broken, self.broken = self.broken, True
        for here, there in self.pairs():
            self._checkPair(here, there)
            self._checkPair(there, here)
            rows = self.overrides[here.nodeID], self.overrides[there.nodeID]
            self.assertTrue(self._agree(here, there), f"{here.nodeID}, {there.nodeID}: {rows}")
        for standing in self.standing.values():
            self._checkRest(standing)
        self.broken = broken
        self._freshCalls()

    def pairs(self) -> list[tuple[VirtualNode, VirtualNode]]:
        """
        The nodes that are to have a link, the lower first: not those that are both sent nowhere.
        """
        return [
            (self.standing[here].node, self.standing[there].node)
            for here, there in combinations(sorted(self.standing), 2)
            if not (self._astray(here, there) and self._astray(there, here))
        ]

    def _astray(self, here: int, there: int) -> bool:
        row = self.overrides[here].get(there)
        return row is not None and row.address == NOWHERE

    def _allLinked(self) -> bool:
        for here, there in self.pairs():
            for one, other in ((here, there), (there, here)):
                link = one.fastForward.links.get(other.nodeID)
                if link is None or not link.ready or link.bootID != other.fastForward.bootID:
                    return False
            if not self._agree(here, there):
                return False
        return True

    def _checkPair(self, here: VirtualNode, there: VirtualNode) -> None:
        """
        What one end of a link knows is so.
        """
        where = f"{here.nodeID} of {there.nodeID}"
        link = here.fastForward.links.get(there.nodeID)
        assert link is not None, where
        self.assertTrue(link.ready, where)
        self.assertEqual(link.bootID, there.fastForward.bootID, where)
        self.assertIs(here.cluster.remotes[there.nodeID].link, link)
        self.assertEqual(link.interest.talkgroups, there.cluster.interest.talkgroups, where)
        self.assertEqual(link.interest.version, there.cluster.interest.version, where)
        self.assertEqual(link.interest.digest, there.cluster.interest.digest, where)
        mine = [one for one in here.fastForward.connections if one.node == there.nodeID]
        up = [one for one in mine if one.up]
        self.assertLessEqual(len(up), 2, where)
        self.assertLessEqual(len(mine), 4, where)  # with those that are being tried
        self.assertTrue(all(one.link is link for one in up), where)
        self.assertEqual(link._sender.queued, 0, where)
        self.assertEqual(len(link._sender._flying) + len(link._sender._waiting), 0, where)
        self.assertFalse(link._receiver._early, where)
        self.assertEqual(link.order._holding, {}, where)
        for session in [each for one in mine if one.path for each in one.path.sessions]:
            self.assertEqual(session.gaps.missing, {}, where)

    def _agree(self, here: VirtualNode, there: VirtualNode) -> bool:
        """
        Whether both ends send over the same transport, which one of them wants.
        """
        names = set()
        for one, other in ((here, there), (there, here)):
            path = one.link(other.nodeID).path
            assert path is not None
            names.add(path.traits.name)
        rows = (
            self.overrides[here.nodeID].get(there.nodeID),
            self.overrides[there.nodeID].get(here.nodeID),
        )
        wanted = next((row.transport for row in rows if row is not None), "udp")
        leads = any(row is not None and row.port not in {UNUSED, PORT} for row in rows)
        # A connection that was made before goes on when its row leads nowhere.
        return names == {wanted} or (wanted == "memory" and not leads and len(names) == 1)

    def _checkRest(self, standing: Standing) -> None:
        """
        Nothing is left of the calls that were, and the node wants what its peers hear.
        """
        node = standing.node
        self.assertEqual(node.router.calls, {})
        self.assertEqual(node.cluster.interest.talkgroups, standing.interest)
        self.assertEqual(set(node.cluster.remotes), set(node.fastForward.links))
        self.assertEqual([sink for sink in node.outlet.sinks if sink.open], [])
        indexes = {each for one in node.fastForward.connections for each in one.indexes}
        self.assertEqual(set(node.fastForward.handshakes._byIndex), indexes)

    def _freshCalls(self) -> None:
        """
        A call from each node is heard whole by everybody who is to hear it, and so is an answer to
        it as a private call.
        """
        for nodeID, standing in sorted(self.standing.items()):
            self._freshCall(nodeID, TALKGROUPS[nodeID % len(TALKGROUPS)], False)
            others = [one for one in self.standing.values() if one is not standing]
            for other in others[:1]:
                if self._linked(other, standing):
                    self._freshCall(other.node.nodeID, radio(nodeID, TALKERS[0]), True)

    def _linked(self, here: Standing, there: Standing) -> bool:
        return there.node.nodeID in here.node.fastForward.links

    def _freshCall(self, nodeID: int, destination: int, private: bool) -> None:
        begun = {id(one): len(one.node.outlet.heard) for one in self.standing.values()}
        talk = self.talk(nodeID, TALKERS[0], destination, 2, private)
        assert talk is not None
        self.advance(len(talk.frames) * PITCH + 6.0)  # and the hang time
        broken, self.broken = self.broken, True
        expected = [(each.addressing, each.body) for each in talk.frames]
        own = peerID(nodeID, TALKERS[0])
        for one in self.standing.values():
            if one is not talk.node and not self._linked(talk.node, one):
                continue
            heard: dict[int, list[tuple[bytes, bytes]]] = {}
            for peer, _, frame in one.node.outlet.heard[begun[id(one)] :]:
                heard.setdefault(peer, []).append((frame.addressing, frame.body))
            for number in one.peers:
                peer = peerID(one.node.nodeID, number)
                if private:
                    hears = destination == radio(one.node.nodeID, number)
                else:
                    hears = one.hears(peer, destination) and peer != own
                self.assertEqual(
                    heard.get(peer, []), expected if hears else [], f"{peer} hears {own}"
                )
        self.broken = broken


def peerID(nodeID: int, number: int) -> int:
    """
    One of a node's peers.
    """
    return nodeID * 100 + number


def radio(nodeID: int, number: int) -> int:
    """
    The radio that talks at a peer.
    """
    return 2_340_000 + (nodeID - FIRST) * 100 + number


def host(nodeID: int) -> str:
    """
    Where a node is.
    """
    return f"192.0.2.{nodeID % 100}"
