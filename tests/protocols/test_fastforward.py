"""
Tests of L{bmff.protocols.fastforward}: nodes with links on a virtual network.
"""

from __future__ import annotations

from bmff.dmr.frame import TERMINATOR
from bmff.errors import TransportUnavailable
from bmff.events import (
    CallEnded,
    DuplicateNodeSeen,
    LinkEnded,
    LinkStarted,
    NodeUnreachable,
)
from bmff.ibmff import OverrideRow
from bmff.testing.memory import MemoryPath
from bmff.wire.fastforward.handshake import PreSharedKey
from bmff.wire.fastforward.session import DATA
from tests.protocols.fastforwardcase import FastForwardTestCase, VirtualNode, makeCall


class LinkTests(FastForwardTestCase):
    """
    How links come and go.
    """

    def test_comesUp(self) -> None:
        """
        Two nodes of one registry have a link within a second; both tell so, once.
        """
        here, there = self.node(2501), self.node(2502)
        self.advance(0.9)
        self.assertLinked(here, there)
        self.assertEqual(here.told, [LinkStarted(2502, "udp", "192.0.2.2:54000")])
        self.assertEqual(there.told, [LinkStarted(2501, "udp", "192.0.2.1:54000")])

    def test_bothAtOnceOnDatagrams(self) -> None:
        """
        On datagrams, where both handshakes share the addresses, one link comes up and stays.
        """
        here, there = self.node(2501, start=False), self.node(2502, start=False)
        for _ in range(5):
            attempts = [self.connect(here, there), self.connect(there, here)]
            self.advance(15)
            self.assertLinked(here, there)
            for one in (here, there):
                self.assertEqual(len(one.happened(LinkStarted)), 1)
                self.assertEqual(one.happened(LinkEnded), [])
                one.told.clear()
            for attempt in attempts:
                self.successResultOf(attempt)
            here.fastForward.disconnect(2502, "again")
            self.advance(0.1)
            self.assertEqual((here.fastForward.links, there.fastForward.links), ({}, {}))
            for one in (here, there):
                one.told.clear()

    def test_bothAtOnceOnStreams(self) -> None:
        """
        Of two connections that were made at once the one of the lower node ID stays, at both ends.
        """
        here, there = self.node(2501, start=False), self.node(2502, start=False)
        self.connect(there, here, "memory")
        self.connect(here, there, "memory")
        self.advance(10)
        self.assertLinked(here, there)
        for one in (here, there):
            self.assertEqual(len(one.happened(LinkStarted)), 1)
            self.assertEqual(one.happened(LinkEnded), [])
            self.assertEqual([each.initiator for each in one.fastForward.connections], [2501])

    def test_forgedInitiation(self) -> None:
        """
        A forged first message does not make a node give up its own handshake.
        """
        here, there = self.node(2501, start=False), self.node(2502, start=False)
        self.network.latency = 0.1
        attempt = self.connect(there, here)
        self.network.carry(b"\x01" + bytes(150), here.address, there.address)
        self.advance(1)
        self.successResultOf(attempt)
        self.assertLinked(here, there)

    def test_restart(self) -> None:
        """
        A node that has started anew replaces its old link as soon as its first packet comes.
        """
        here, there = self.pair()
        old = here.link(2502)
        there.vanish()
        again = self.node(2502, start=False)
        attempt = self.connect(again, here)
        self.advance(0.05)
        self.successResultOf(attempt)
        self.assertLinked(here, again)
        self.assertIsNot(here.link(2502), old)
        self.assertEqual(
            here.told[1:],
            [
                LinkEnded(2502, "the node has started anew"),
                LinkStarted(2502, "udp", "192.0.2.2:54000"),
            ],
        )

    def test_restartInACall(self) -> None:
        """
        When a node starts anew its calls end, and whoever heard them gets a terminator.
        """
        here, there = self.pair()
        listener, talker = here.peer(1, 91), there.peer(2)
        self.advance(0.1)
        there.talk(talker, makeCall()[:20])
        self.advance(1)
        there.vanish()
        again = self.node(2502, start=False)
        self.connect(again, here)
        self.advance(0.05)
        self.assertEqual(here.heard(listener.peerID)[-1].dataType, TERMINATOR)
        (ended,) = here.happened(CallEnded)
        assert isinstance(ended, CallEnded)
        self.assertEqual(ended.reason, "link lost")

    def test_unprovedProcess(self) -> None:
        """
        A first message of another process alone, without a packet under its keys, changes nothing.
        """
        here, there = self.pair()
        listener, talker = here.peer(1, 91), there.peer(2)
        self.advance(0.1)
        ghost = VirtualNode(self, 2502, "203.0.113.9", self.rows)
        self.network.loss = 1.0
        self.connect(ghost, here)
        self.network.loss = 0.0
        initiation = next(
            data for data, sender, _ in self.network.carried if sender == ghost.address
        )
        ghost.vanish()
        frames = makeCall()
        there.talk(talker, frames)
        self.advance(1)
        self.network.carry(initiation, there.address, here.address)
        self.advance(10)
        self.assertHeard(here, listener.peerID, frames)
        self.assertLinked(here, there)
        self.assertEqual(here.happened(LinkEnded), [])

    def test_duplicateNode(self) -> None:
        """
        Two processes under one node ID: the one that was replaced is refused within 60 s, is told
        why, and an event says so.
        """
        here, there = self.pair()
        double = VirtualNode(self, 2502, "203.0.113.9", self.rows)
        self.connect(double, here)
        self.advance(0.1)
        self.assertEqual(here.link(2502).bootID, double.fastForward.bootID)
        self.advance(10)
        self.assertEqual(here.link(2502).bootID, double.fastForward.bootID)
        self.assertIn(DuplicateNodeSeen(2502, "192.0.2.2:54000"), here.told)
        self.assertIn(LinkEnded(2501, "duplicate node ID"), there.told)

    def test_silent(self) -> None:
        """
        A node that vanishes is found within 4 s; who hears its call gets a terminator, and it is
        looked for again, at longer and longer intervals.
        """
        here, there = self.pair()
        listener, talker = here.peer(1, 91), there.peer(2)
        self.advance(0.1)
        there.talk(talker, makeCall()[:20])
        self.advance(1.2)
        there.vanish()
        self.advance(1.5)
        self.assertEqual(here.fastForward.links, {})
        self.assertEqual(here.heard(listener.peerID)[-1].dataType, TERMINATOR)
        self.assertIn(LinkEnded(2502, "silent"), here.told)
        before = len(here.datagrams.connects)
        self.advance(100)
        self.assertIn(len(here.datagrams.connects) - before, range(4, 9))
        self.assertEqual(
            here.happened(NodeUnreachable),
            [NodeUnreachable(2502, "udp", "no answer to the handshake")],
        )
        again = self.node(2502)
        self.advance(70)
        self.assertLinked(here, again)

    def test_stall(self) -> None:
        """
        A node that was not there itself for 10 s does not take the others for dead.
        """
        here, there = self.pair()
        self.clock.rightNow += 10.0
        self.advance(5)
        self.assertLinked(here, there)
        self.assertEqual(here.happened(LinkEnded), [])

    def test_firstPacketLost(self) -> None:
        """
        What a node tells when a link begins counts even if the packet before it is lost.
        """
        here = self.node(2501, start=False)
        there = self.node(2502, start=False)
        here.talk(here.peer(1), makeCall())
        self.advance(6.0)
        lost: list[bytes] = []
        send = here.datagrams.send

        def lose(data: bytes, address: bytes) -> bool:
            if data[0] == DATA and not lost:
                lost.append(data)
                return True
            return send(data, address)

        here.datagrams.send = lose  # type: ignore[method-assign]
        here.start()
        self.advance(1.5)
        self.assertEqual(len(lost), 1)
        location = there.router.reach.locations.get(2340001)
        assert location is not None
        self.assertIs(location.remote, there.cluster.remotes[2501])

    def test_locationsReturn(self) -> None:
        """
        A private call finds its radio after a link has ended and begun anew on a shorter way.
        """
        here, there = self.pair()
        self.network.latency = 0.2
        listener = here.peer(1, 91)
        talker = there.peer(2)
        self.advance(1.0)
        there.talk(talker, makeCall(stream=5, superframes=2))
        self.advance(7.0)
        self.network.cut(here.host, there.host)
        self.advance(5.0)
        self.assertEqual(here.fastForward.links, {})
        self.network.heal()
        self.network.latency = 0.001
        self.advance(10.0)
        frames = makeCall(2340001, source=2340002, stream=6, superframes=2, private=1)
        here.talk(listener, frames)
        self.advance(3.0)
        self.assertHeard(there, 2, frames)

    def test_goodbye(self) -> None:
        """
        A node that stops says so: the other's link ends at once, not after the silence.
        """
        here, there = self.pair()
        there.stop()
        self.advance(0.05)
        self.assertEqual(here.fastForward.links, {})
        self.assertEqual(here.told[-1], LinkEnded(2502, "the node stops"))
        self.assertEqual(there.fastForward.connections, [])

    def test_stopped(self) -> None:
        """
        A node that has stopped lets nobody in again, nor tells of nodes that it cannot reach.
        """
        _, there = self.pair()
        there.stop()
        self.advance(20)
        self.assertEqual((there.fastForward.links, there.fastForward.connections), ({}, []))
        self.assertEqual(there.happened(NodeUnreachable), [])

    def test_longWay(self) -> None:
        """
        A link comes up on a way that takes 0.7 s each way, as over two satellites, and stays.
        """
        self.network.latency = 0.7
        here, there = self.node(2501), self.node(2502)
        self.advance(30)
        self.assertLinked(here, there)
        self.assertEqual(len(here.happened(LinkStarted)), 1)

    def test_lossyHour(self) -> None:
        """
        With 5 % loss a link lives through ten minutes and five sessions.
        """
        here, there = self.pair()
        self.network.loss = 0.05
        for _ in range(6000):
            self.clock.advance(0.1)
        self.assertEqual(here.happened(LinkEnded) + there.happened(LinkEnded), [])
        self.network.loss = 0.0
        self.advance(2)
        self.assertLinked(here, there)
        for one in (here, there):
            self.assertLess(len(one.fastForward.handshakes._byIndex), 10)

    def test_lossSeeds(self) -> None:
        """
        With 5 % loss, for 20 seeds, a link comes up and both ends' interests become the same.
        """
        for seed in range(20):
            self.setUp()
            self.network._random.seed(seed)
            self.network.loss = 0.05
            here, there = self.node(2501), self.node(2502)
            here.peer(1, 91, 92)
            self.advance(2)
            for number in range(30):
                there.peer(100 + number, 1000 + number, 2000 + number)
                if number % 3 == 0:
                    there.router.removePeer(
                        there.router.reach.peers[100 + number], self.clock.seconds()
                    )
                    there.turn.ended()
                self.advance(0.05)
            self.advance(8)
            for one, other in ((here, there), (there, here)):
                known = one.link(other.nodeID).interest
                self.assertEqual(known.talkgroups, other.cluster.interest.talkgroups)
                self.assertEqual(known.digest, other.cluster.interest.digest)
            self.assertEqual(len(here.link(2502).interest.talkgroups), 40)
            here.vanish()
            there.vanish()


class CallTests(FastForwardTestCase):
    """
    Calls over links.
    """

    def test_bothWays(self) -> None:
        """
        A call of 86 frames is heard at the other node whole, its bytes unchanged, both ways.
        """
        here, there = self.pair()
        one, other = here.peer(1, 91), there.peer(2, 91)
        self.advance(0.1)
        frames = makeCall()
        here.talk(one, frames)
        self.advance(6)
        self.assertHeard(there, 2, frames)
        back = makeCall(stream=78, source=2340002)
        there.talk(other, back)
        self.advance(6)
        self.assertHeard(here, 1, back)

    def test_streams(self) -> None:
        """
        So it is on a reliable transport, sealed or not.
        """
        for trusted in (False, True):
            self.setUp()
            self.streams.trusted = trusted
            here, there = self.node(2501, start=False), self.node(2502, start=False)
            self.connect(here, there, "memory")
            self.advance(0.5)
            self.assertLinked(here, there)
            talker, _ = here.peer(1), there.peer(2, 91)
            self.advance(0.1)
            frames = makeCall()
            here.talk(talker, frames)
            self.advance(6)
            self.assertHeard(there, 2, frames)
            session = here.fastForward.connections[0].path
            assert session is not None
            assert session.session is not None
            self.assertEqual(session.session.sealed, not trusted)

    def test_onePacket(self) -> None:
        """
        The frames of one turn leave in one packet.
        """
        here, there = self.pair()
        talkers = [here.peer(10 + number) for number in range(8)]
        for number in range(8):
            there.peer(20 + number, 91 + number)
        self.advance(0.1)
        calls = [makeCall(91 + number, stream=number + 1) for number in range(8)]
        for position in range(2):
            del self.network.carried[:]
            for talker, call in zip(talkers, calls, strict=True):
                here.router.route(talker, call[position], self.clock.seconds())
            here.turn.ended()
        large = [data for data, sender, _ in self.network.carried if sender == here.address]
        self.assertEqual(len([data for data in large if len(data) > 8 * 51]), 1)
        self.advance(0.1)
        self.assertEqual(len(there.outlet.heard), 16)

    def test_nobodyWants(self) -> None:
        """
        A call that nobody wants at the other node does not leave.
        """
        here, there = self.pair()
        talker, _ = here.peer(1), there.peer(2, 92)
        self.advance(0.1)
        here.talk(talker, makeCall())
        self.advance(6)
        path = here.link(2502).path
        assert path is not None
        self.assertEqual((there.outlet.heard, path.framesSent), ([], 0))

    def test_joinsWithin(self) -> None:
        """
        Who subscribes in mid-call at the other node hears the rest, and no more after leaving.
        """
        here, there = self.pair()
        talker, listener = here.peer(1), there.peer(2)
        self.advance(0.1)
        here.talk(talker, makeCall())
        self.advance(2)
        there.router.setStatic(listener, {2: (91,)}, self.clock.seconds())
        there.turn.ended()
        self.advance(1.2)
        self.assertIn(len(there.heard(2)), range(18, 22))
        there.router.setStatic(listener, {2: ()}, self.clock.seconds())
        there.turn.ended()
        self.advance(3)
        self.assertIn(len(there.heard(2)), range(18, 24))
        self.assertEqual(there.heard(2)[-1].dataType, TERMINATOR)

    def test_threeNodes(self) -> None:
        """
        What came over a link goes to no link: with one link missing, the third node hears nothing.
        """
        left, middle, right = (self.node(number, start=False) for number in (2501, 2502, 2503))
        self.connect(left, middle)
        self.connect(middle, right)
        self.advance(0.5)
        talker = left.peer(1)
        middle.peer(2, 91)
        right.peer(3, 91)
        self.advance(0.1)
        frames = makeCall()
        left.talk(talker, frames)
        self.advance(6)
        self.assertHeard(middle, 2, frames)
        self.assertEqual(right.outlet.heard, [])

    def test_mesh(self) -> None:
        """
        In a full mesh of three a call reaches each node once.
        """
        nodes = [self.node(number) for number in (2501, 2502, 2503)]
        self.advance(2)
        for node in nodes:
            node.peer(node.nodeID * 10, 91)
        self.advance(0.1)
        frames = makeCall()
        nodes[0].talk(nodes[0].router.reach.peers[25010], frames)
        self.advance(6)
        self.assertHeard(nodes[1], 25020, frames)
        self.assertHeard(nodes[2], 25030, frames)
        self.assertEqual(nodes[0].outlet.heard, [])
        self.assertEqual([sum(node.router.dropped.values()) for node in nodes], [0, 0, 0])

    def test_wallClock(self) -> None:
        """
        A wall clock that is set forward and back by an hour in a call changes nothing.
        """
        here, there = self.pair()
        talker, _ = here.peer(1), there.peer(2, 91)
        self.advance(0.1)
        frames = makeCall(superframes=160)
        here.talk(talker, frames)
        for step in (3600.0, -3600.0, 0.0):
            self.advance(10)
            self.wallStep = step
        self.advance(32)
        self.assertHeard(there, 2, frames)
        self.assertEqual(here.happened(LinkEnded) + there.happened(LinkEnded), [])

    def test_wallClockBack(self) -> None:
        """
        Sessions are renewed though the wall clock was set back by an hour.
        """
        here, _ = self.pair()
        self.wallStep = -3600.0
        path = here.link(2502).path
        assert path is not None
        before = path.session
        for _ in range(2000):
            self.clock.advance(0.1)
        self.assertIsNot(path.session, before)
        self.assertEqual(here.happened(LinkEnded), [])

    def test_fullTransport(self) -> None:
        """
        While the other end of a reliable transport does not read, frames are dropped and counted;
        afterwards the call goes on.
        """
        here, there = self.node(2501, start=False), self.node(2502, start=False)
        attempt = self.connect(here, there, "memory")
        self.advance(0.5)
        transport = self.successResultOf(attempt).transport
        assert isinstance(transport, MemoryPath)
        assert transport.peer is not None
        talker, _ = here.peer(1), there.peer(2, 91)
        self.advance(0.1)
        here.talk(talker, makeCall())
        self.advance(1)
        self.streams.room = 1
        transport.peer.stalled = True
        self.advance(0.7)
        transport.peer.resume()
        self.streams.room = 256
        self.advance(6)
        path = here.link(2502).path
        assert path is not None
        self.assertGreater(path.framesDropped, 5)
        self.assertEqual(len(there.heard(2)), 86 - path.framesDropped)
        self.assertEqual(there.heard(2)[-1].dataType, TERMINATOR)


class KeyTests(FastForwardTestCase):
    """
    Who may speak as whom.
    """

    keys = {
        "group": PreSharedKey(b"g" * 32),
        "second": PreSharedKey(b"s" * 32),
        "only01": PreSharedKey(b"1" * 32, frozenset((2501,))),
    }

    def refused(self, node: VirtualNode, reason: str) -> None:
        """
        A node has refused handshakes for one reason, and has no link.
        """
        self.assertEqual(node.fastForward.links, {})
        self.assertEqual(node.fastForward.connections, [])
        self.assertEqual(set(node.fastForward.handshakes.refused), {reason})

    def test_sharedKey(self) -> None:
        """
        Who holds a group key can speak as every node: here node 2501 says that it is 2503.
        """
        liar, there = self.node(2503, host="192.0.2.1", start=False), self.node(2502)
        self.connect(liar, there)
        self.advance(0.5)
        self.assertIn(2503, there.fastForward.links)

    def test_notListed(self) -> None:
        """
        Who says to be a node that its key does not list is refused, and that is counted.
        """
        keys = {"only01": PreSharedKey(b"1" * 32)}
        liar = self.node(2503, start=False, keys=keys)
        there = self.node(2502, start=False)
        attempt = self.connect(liar, there, keyID="only01")
        self.advance(6)
        self.failureResultOf(attempt, TransportUnavailable)
        self.refused(there, "identity")
        self.assertEqual(there.fastForward.handshakes.refused["identity"], 4)

    def test_notListedHere(self) -> None:
        """
        A node is not even asked under a key that does not list it.
        """
        here, there = self.node(2501, start=False), self.node(2502, start=False)
        attempt = self.connect(here, there, keyID="only01")
        failure = self.failureResultOf(attempt, TransportUnavailable)
        self.assertEqual(failure.value.reason, "key 'only01' does not list node 2502")
        self.assertEqual(self.network.carried, [])

    def test_unknownKey(self) -> None:
        """
        A key that the other end does not have is refused there.
        """
        keys = {"strange": PreSharedKey(b"?" * 32)}
        here = self.node(2501, start=False, keys=keys)
        there = self.node(2502, start=False)
        attempt = self.connect(here, there, keyID="strange")
        self.advance(6)
        self.failureResultOf(attempt, TransportUnavailable)
        self.refused(there, "unknown key")

    def test_wrongKey(self) -> None:
        """
        Another key under the same id is refused.
        """
        here = self.node(2501, start=False, keys={"group": PreSharedKey(b"?" * 32)})
        there = self.node(2502, start=False)
        attempt = self.connect(here, there)
        self.advance(6)
        self.failureResultOf(attempt, TransportUnavailable)
        self.refused(there, "mac1")

    def test_environment(self) -> None:
        """
        A node of another environment is refused, though it has the key.
        """
        here = self.node(2501, start=False, environment="staging")
        there = self.node(2502, start=False)
        attempt = self.connect(here, there)
        self.advance(6)
        self.failureResultOf(attempt, TransportUnavailable)
        self.refused(there, "environment")

    def rotate(self, both: bool) -> None:
        """
        A key is changed for another in mid-call, by one end or by both at the same time.
        """
        here, there = self.pair()
        talker, _ = here.peer(1), there.peer(2, 91)
        self.advance(0.1)
        frames = makeCall(superframes=100)
        here.talk(talker, frames)
        self.advance(3)
        for node in (here, there):
            node.keys.keys["new"] = PreSharedKey(b"n" * 32)
        for node in (here, there) if both else (there,):
            node.fastForward.switchKey("new")
        self.advance(1)
        for node in (here, there):
            del node.keys.keys["group"]
        self.advance(10)
        for node in (here, there):
            self.assertEqual([each.keyID for each in node.fastForward.connections], ["new"])
        self.advance(30)
        self.assertHeard(there, 2, frames)
        self.assertLinked(here, there)
        for node in (here, there):
            self.assertEqual(node.happened(LinkEnded), [])
            path = node.link(5003 - node.nodeID).path
            assert path is not None
            self.assertEqual(sum(path.dropped.values()), 0)

    def test_rotation(self) -> None:
        """
        A key is changed in mid-call: nothing is lost, the link stays.
        """
        self.rotate(both=False)

    def test_rotationAtOnce(self) -> None:
        """
        So it is when both ends change it in the same moment.
        """
        self.rotate(both=True)

    def test_rotationTooEarly(self) -> None:
        """
        A switch to a key that the other end does not have yet does no harm: the link stays under
        the old one, and a session of a key that was taken out ends within 10 s all the same.
        """
        here, there = self.pair()
        here.keys.keys["new"] = PreSharedKey(b"n" * 32)
        here.fastForward.switchKey("new")
        self.advance(20)
        self.assertLinked(here, there)
        self.assertEqual([each.keyID for each in here.fastForward.connections], ["group"])
        here.cluster.stop()
        there.cluster.stop()
        del here.keys.keys["group"]
        self.advance(9)
        self.assertLinked(here, there)
        self.advance(2.5)
        self.assertEqual(here.fastForward.links, {})
        self.assertIn(LinkEnded(2502, "its key was taken out"), here.told)

    def test_unlisted(self) -> None:
        """
        A node that is taken off its key's list is gone within 10 s, the other links stay.
        """
        here, there, third = (self.node(number) for number in (2501, 2502, 2503))
        self.advance(3)
        here.cluster.stop()
        here.keys.keys["group"] = PreSharedKey(b"g" * 32, frozenset((2501, 2503)))
        there.cluster.stop()
        self.advance(11)
        self.assertEqual(set(here.fastForward.links), {2503})
        self.assertLinked(here, third)

    def test_override(self) -> None:
        """
        A link is made under the key that its override names.
        """
        self.rows.overrides[2502] = OverrideRow(2502, "second", "udp", "192.0.2.2", 54000)
        here, there = self.node(2501), self.node(2502)
        self.advance(1)
        self.assertLinked(here, there)
        self.assertEqual([each.keyID for each in there.fastForward.connections], ["second"])
