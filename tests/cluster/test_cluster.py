"""
Tests of L{bmff.cluster.cluster}: its life, and what passes between links and the router.
"""

from __future__ import annotations

from bmff.cluster.cluster import TICK
from bmff.dmr.frame import TERMINATOR
from bmff.events import CallEnded, DuplicateNodeSeen, LinkEnded
from bmff.router.call import Peer
from bmff.router.locations import Location
from bmff.wire.fastforward.interest import Interest
from bmff.wire.fastforward.link import Link, RadioLocation
from tests.cluster.case import ClusterTestCase
from tests.protocols.fastforwardcase import FastForwardTestCase, makeCall


class LifeTests(ClusterTestCase):
    """
    What a cluster does by itself.
    """

    def test_badRegistry(self) -> None:
        """
        A registry that raises is logged, and the search goes on when it has recovered.
        """
        self.cluster()
        nodes = self.rows.nodes
        del self.rows.nodes
        self.advance(1)
        self.assertGreater(len(self.flushLoggedErrors(AttributeError)), 0)
        self.rows.nodes = nodes
        self.rows.put(2502)
        self.advance(1)
        self.assertEqual(len(self.times(2502)), 1)

    def test_lagAndLoad(self) -> None:
        """
        The cluster knows how late its ticks come, and how much of a processor the process uses.
        """
        cluster = self.cluster()
        self.advance(3)
        self.assertEqual((cluster.lag < 1000, cluster.load), (True, 250))
        self.clock.advance(TICK + 0.3)
        self.assertGreater(cluster.lag, 100_000)

    def test_locationsOfMany(self) -> None:
        """
        A new link is told of the radios heard last, as many as it can be told of at once.
        """
        cluster = self.cluster()
        for radio in range(1, 30_001):
            self.router.reach.locations.heard(radio, Location(1, 2, 0.0))
        link = Link(2502, 7, cluster, cluster, 0.0, 1)
        cluster.linkStarted(link)
        self.assertEqual(link.dropped, {})
        self.assertEqual(cluster.remotes[2502].link, link)

    def test_fullQueue(self) -> None:
        """
        What does not fit into a link's control queue is counted, and nothing is raised.
        """
        cluster = self.cluster()
        link = Link(2502, 7, cluster, cluster, 0.0, 1)
        cluster.linkStarted(link)
        for _ in range(5):
            try:
                link.sendApplication("weather", bytes(60_000))
            except Exception:
                break
        peer = Peer(1, None, slots=3)  # type: ignore[arg-type]
        router = self.router
        router.addPeer(peer, 0.0)
        router.setStatic(peer, {2: range(1000, 11_000)}, 0.0)
        router.flush(0.0)
        self.assertEqual(link.dropped, {"control queue full": 1})
        self.assertIsInstance(cluster.interest, Interest)

    def test_duplicateNode(self) -> None:
        """
        That two processes speak as one node is told once a minute for each node.
        """
        cluster = self.cluster()
        for _ in range(130):
            cluster.duplicateNode(2502, "192.0.2.9:54000")
            self.advance(1)
        cluster.duplicateNode(2503, "192.0.2.9:54000")
        seen = [event for event in self.told if isinstance(event, DuplicateNodeSeen)]
        self.assertEqual([event.node for event in seen], [2502, 2502, 2502, 2503])
        self.assertEqual(seen[0].address, "192.0.2.9:54000")


class RoutingTests(FastForwardTestCase):
    """
    What passes between links and the router.
    """

    def test_privateCall(self) -> None:
        """
        A private call reaches a radio that was heard at the other node, there alone, and back.
        """
        here, there = self.pair()
        third = self.node(2503)
        self.advance(3)
        caller, called = here.peer(1), there.peer(2)
        there.peer(3, 92)
        third.peer(4, 92, 555)
        there.talk(called, makeCall(92, source=555, stream=1))
        self.advance(12)
        frames = makeCall(555, source=444, stream=2, private=1)
        here.talk(caller, frames)
        self.advance(6)
        self.assertHeard(there, 2, frames)
        self.assertEqual({frame.stream for frame in third.heard(4)}, {1})
        back = makeCall(444, source=555, stream=3, private=1)
        there.talk(called, back)
        self.advance(6)
        self.assertHeard(here, 1, back)

    def test_locationsOfANewLink(self) -> None:
        """
        A node that comes later knows where radios were heard before.
        """
        here = self.node(2501)
        talker = here.peer(1)
        here.talk(talker, makeCall(source=555))
        self.advance(20)
        there = self.node(2502)
        self.advance(3)
        location = there.router.reach.locations.get(555)
        assert location is not None
        self.assertIs(location.remote, there.cluster.remotes[2501])
        self.assertEqual((location.peerID, location.slot), (1, 2))
        known = here.router.reach.locations.get(555)
        assert known is not None
        self.assertLess(abs(known.heard - location.heard), 0.2)

    def test_radioMoves(self) -> None:
        """
        A radio that goes to another node and back is found where it is, each time.
        """
        here, there = self.pair()
        one, other = here.peer(1), there.peer(2)
        for stream in range(4):
            node, peer, elsewhere = ((here, one, there), (there, other, here))[stream % 2]
            # On talkgroups that the other node does not hear.
            node.talk(peer, makeCall(91 + stream % 2, source=555, stream=stream + 1))
            self.advance(7)
            location = elsewhere.router.reach.locations.get(555)
            assert location is not None
            self.assertIs(location.remote, elsewhere.cluster.remotes[node.nodeID])
            own = node.router.reach.locations.get(555)
            assert own is not None
            self.assertIsNone(own.remote)

    def test_youngestWins(self) -> None:
        """
        Of what two nodes tell of a radio the youngest wins, a tie goes to the lower node ID.
        """
        here = self.node(2501)
        others = [self.node(2502), self.node(2503)]
        self.advance(3)
        self.assertEqual(set(here.cluster.remotes), {2502, 2503})
        now = self.clock.seconds()
        links = {other.nodeID: here.link(other.nodeID) for other in others}
        for order in ((2502, 2503), (2503, 2502)):
            for ages, winner in (((5.0, 5.0), 2502), ((6.0, 5.0), 2503), ((4.0, 5.0), 2502)):
                radio = 1000 * order[0] + int(ages[0])
                for node in order:
                    place = RadioLocation(radio, node, 1, ages[node - 2502])
                    here.cluster.locationsReceived(links[node], [place], now)
                found = here.router.reach.locations.get(radio)
                assert found is not None
                assert found.remote is not None
                self.assertEqual(found.remote.peerID, winner)

    def test_localTalkgroups(self) -> None:
        """
        Talkgroups 0 to 9, 4000, 5000 and 9990 to 9999 never cross, by subscription or by call.
        """
        here, there = self.pair()
        numbers = (*range(10), 4000, 5000, *range(9990, 10_000))
        talker = here.peer(1)
        there.peer(2, *numbers, 91)
        self.advance(0.2)
        self.assertEqual(here.link(2502).interest.talkgroups, {91})
        for number in numbers:
            here.talk(talker, makeCall(number, stream=number + 1, superframes=1))
            self.advance(1)
        self.assertEqual(there.outlet.heard, [])
        path = here.link(2502).path
        assert path is not None
        self.assertEqual(path.framesSent, 0)

    def test_localTalkgroupSent(self) -> None:
        """
        A frame to a local talkgroup that another node sends all the same is refused.
        """
        here, there = self.pair()
        there.peer(2, 9)
        link = here.link(2502)
        for index, frame in enumerate(makeCall(9)):
            link.sendFrame(index, frame)
        link.flush(self.clock.seconds())
        self.advance(0.2)
        self.assertEqual(there.outlet.heard, [])
        self.assertEqual(there.router.dropped["local talkgroup of another node"], 1)

    def test_contention(self) -> None:
        """
        A call over a link neither interrupts a local one nor enters its hang time, and is heard
        when the slot is free.
        """
        here, there = self.pair()
        local, listener = there.peer(2), there.peer(3, 91, 92)
        talker = here.peer(1)
        self.advance(0.1)
        own = makeCall(91, stream=1)
        there.talk(local, own)
        self.advance(1)
        here.talk(talker, makeCall(92, stream=2, superframes=60))
        self.advance(5)
        self.assertHeard(there, 3, own)
        self.advance(3)
        self.assertHeard(there, 3, own)
        self.advance(3)
        self.assertEqual(there.heard(listener.peerID)[-1].stream, 2)

    def test_linkLost(self) -> None:
        """
        When a link is lost its calls end, so the event says, and their listeners get a terminator.
        """
        here, there = self.pair()
        talker, _ = here.peer(1), there.peer(2, 91)
        self.advance(0.1)
        here.talk(talker, makeCall())
        self.advance(1)
        here.stop()
        self.advance(0.1)
        (ended,) = there.happened(CallEnded)
        assert isinstance(ended, CallEnded)
        self.assertEqual((ended.reason, ended.peer), ("link lost", 2501))
        self.assertEqual(there.heard(2)[-1].dataType, TERMINATOR)
        self.assertIn(LinkEnded(2501, "the node stops"), there.told)
        self.assertEqual((there.router.reach.remotes, there.cluster.remotes), (set(), {}))

    def test_application(self) -> None:
        """
        A message reaches the handler of its name; one without a handler is counted, and a handler
        that raises is logged and called again.
        """
        here, there = self.pair()
        heard: list[tuple[int, bytes]] = []

        def weather(node: int, payload: bytes) -> None:
            heard.append((node, payload))
            if payload == b"storm":
                raise ValueError(payload)

        there.cluster.handlers["weather"] = weather
        for name, payload in (("weather", b"storm"), ("news", b"none"), ("weather", b"sun")):
            here.link(2502).sendApplication(name, payload)
        here.link(2502).flush(self.clock.seconds())
        self.advance(0.2)
        self.assertEqual(heard, [(2501, b"storm"), (2501, b"sun")])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(there.link(2501).dropped, {"no handler": 1})

    def test_interestOfMany(self) -> None:
        """
        Interest follows peers that come, go and key up.
        """
        here, there = self.pair()
        keyed = there.peer(2)
        peers = [there.peer(10 + number, 91, 100 + number) for number in range(20)]
        there.talk(keyed, makeCall(92, stream=9, superframes=1))
        self.advance(1)
        self.assertEqual(here.link(2502).interest.talkgroups, {91, 92, *range(100, 120)})
        for peer in peers[:19]:
            there.router.removePeer(peer, self.clock.seconds())
        there.turn.ended()
        self.advance(0.2)
        self.assertEqual(here.link(2502).interest.talkgroups, {91, 92, 119})
