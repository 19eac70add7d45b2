"""
Tests of L{bmff.cluster.networks}: which of the nodes at one network sends calls out to it.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from bmff.cluster.networks import LARGEST, LONGEST, NETWORKS, decodeNetworks, encodeNetworks
from bmff.errors import ProtocolError
from bmff.router.call import Peer
from tests.protocols.fastforwardcase import FastForwardTestCase, VirtualNode, makeCall


class CodecTests(SynchronousTestCase):
    """
    The payload.
    """

    def test_bytes(self) -> None:
        """
        The names are sorted, each with its length before it.
        """
        self.assertEqual(encodeNetworks({"south", "north"}), b"\x05north\x05south")
        self.assertEqual(encodeNetworks(()), b"")

    @given(some.sets(some.text(min_size=1, max_size=LONGEST // 4), max_size=20))
    def test_roundTrip(self, names: set[str]) -> None:
        """
        What was encoded is decoded.
        """
        self.assertEqual(decodeNetworks(encodeNetworks(names)), names)

    @given(some.binary(max_size=200))
    def test_any(self, payload: bytes) -> None:
        """
        Any bytes give names or are refused as malformed.
        """
        try:
            names = decodeNetworks(payload)
        except ProtocolError:
            return
        self.assertLessEqual(len(encodeNetworks(names)), len(payload))

    def test_malformed(self) -> None:
        """
        A cut name, an empty one, one that is too long or no UTF-8, and too many are refused.
        """
        whole = encodeNetworks({"north", "south"})
        cuts = [whole[:size] for size in range(1, len(whole)) if size != 6]
        long = bytes((LONGEST + 1,)) + b"n" * (LONGEST + 1)
        for payload in (*cuts, b"\0", long, b"\x01\xff", b"\x01n" * (LARGEST + 1)):
            self.assertRaises(ProtocolError, decodeNetworks, payload)

    def test_limits(self) -> None:
        """
        What cannot be told is left out, and what is left can be decoded.
        """
        names = {f"n{number}" for number in range(LARGEST + 9)} | {"", "n" * (LONGEST + 1)}
        told = decodeNetworks(encodeNetworks(names))
        self.assertEqual(len(told), LARGEST)
        self.assertLess(told, names)


class NetworkTests(FastForwardTestCase):
    """
    Nodes at one network.
    """

    def bridge(self, node: VirtualNode, peerID: int, network: str = "north") -> Peer:
        """
        A peer of a node that leads to a network and hears talkgroup 91.
        """
        bridge = Peer(peerID, node.outlet, network=network)
        now = self.clock.seconds()
        node.router.addPeer(bridge, now)
        node.router.setStatic(bridge, {2: (91,)}, now)
        node.turn.ended()
        return bridge

    def heard(self, *ends: tuple[VirtualNode, int]) -> list[int]:
        """
        How many frames each peer has heard.
        """
        return [len(node.heard(peerID)) for node, peerID in ends]

    def test_lowest(self) -> None:
        """
        Of two nodes at one network only that with the lower ID sends a call out, wherever it
        begins; a network that one node alone is at gets its calls from that one.
        """
        here, there = self.pair()
        for node, peerID in ((here, 11), (there, 12)):
            self.bridge(node, peerID)
        self.bridge(there, 13, "south")
        self.advance(0.2)
        for number, node in enumerate((here, there)):
            talker = node.peer(1 + number)
            node.talk(talker, makeCall(stream=1 + number))
            self.advance(12)
        self.assertEqual(self.heard((here, 11), (there, 12), (there, 13)), [172, 0, 172])

    def test_changeInMidCall(self) -> None:
        """
        When the lowest node's peer at the network goes in mid-call the next node takes over, and
        gives back when it returns: the network misses at most a few frames and hears none twice.
        """
        here, there = self.pair()
        bridge = self.bridge(here, 11)
        self.bridge(there, 12)
        self.advance(0.2)
        frames = makeCall()
        here.talk(here.peer(1), frames)
        self.advance(2)
        here.router.removePeer(bridge, self.clock.seconds())
        here.turn.ended()
        self.advance(1.5)
        self.bridge(here, 11)
        self.advance(4)
        first, second = here.heard(11), there.heard(12)
        heard = [frame.sequence for frame in (*first, *second)]
        self.assertGreater(len(second), 20)
        self.assertGreater(len(first), len(frames) - len(second) - 4)
        self.assertEqual(len(set(heard)), len(heard))

    def test_linkLost(self) -> None:
        """
        When the lowest node is gone the next one sends out.
        """
        here, there = self.pair()
        third = self.node(2503)
        self.advance(3)
        for node, peerID in ((here, 11), (there, 12), (third, 13)):
            self.bridge(node, peerID)
        self.advance(0.2)
        third.talk(third.peer(1), makeCall())
        self.advance(2)
        self.assertEqual(self.heard((there, 12), (third, 13)), [0, 0])
        self.assertGreater(len(here.heard(11)), 20)
        here.stop()
        self.advance(6)
        self.assertGreater(len(there.heard(12)), 40)
        self.assertEqual(third.heard(13), [])

    def test_newLink(self) -> None:
        """
        A node that is linked later tells its networks, and hears of those that are there.
        """
        there = self.node(2502)
        self.bridge(there, 12)
        here = self.node(2501)
        self.bridge(here, 11)
        self.advance(3)
        self.assertLinked(here, there)
        self.assertEqual(there.router.reach.networks.standBy, {"north"})
        self.assertEqual(here.router.reach.networks.standBy, frozenset())

    def test_restarted(self) -> None:
        """
        A node that has forgotten a link is told everything once more, and that there is nothing
        more as well.
        """
        here, there = self.pair()
        bridge = self.bridge(here, 11)
        self.advance(0.2)
        remote = there.cluster.remotes[2501]
        there.router.reach.setNetworks(remote, frozenset(), frozenset(), self.clock.seconds())
        here.link(2502).restarted()
        self.advance(0.5)
        self.assertEqual(there.router.reach.networks.standBy, {"north"})
        here.cluster.remotes.clear()  # what follows is not told as a change
        here.router.removePeer(bridge, self.clock.seconds())
        here.turn.ended()
        here.link(2502).restarted()
        self.advance(0.5)
        self.assertEqual(there.router.reach.networks.standBy, frozenset())

    def test_neverBack(self) -> None:
        """
        A call that comes from a network through one node does not return to it through another,
        and is heard by nodes that are not at it.
        """
        here, there = self.pair()
        third = self.node(2503)
        self.advance(3)
        self.bridge(here, 11)
        bridge = self.bridge(there, 12)
        third.peer(3, 91)
        self.advance(0.2)
        frames = makeCall()
        there.talk(bridge, frames)
        self.advance(6)
        self.assertEqual(self.heard((here, 11), (there, 12)), [0, 0])
        self.assertHeard(third, 3, frames)

    def test_told(self) -> None:
        """
        Networks are told when they change, not when a second peer comes to one.
        """
        here, there = self.pair()
        said: list[bytes] = []
        there.cluster.handlers[NETWORKS] = lambda node, payload: said.append(payload)
        peers = [self.bridge(here, 11), self.bridge(here, 14), self.bridge(here, 15, "south")]
        self.advance(0.2)
        for peer in peers:
            here.router.removePeer(peer, self.clock.seconds())
            here.turn.ended()
            self.advance(0.2)
        self.assertEqual(said, [b"\x05north", b"\x05north\x05south", b"\x05south", b""])

    def test_malformed(self) -> None:
        """
        A malformed list is counted by its link, and what was told before stays.
        """
        here, there = self.pair()
        self.bridge(here, 11)
        here.cluster.broadcast(NETWORKS, b"\x09north")
        self.advance(0.2)
        self.assertEqual(there.link(2501).dropped, {"malformed networks": 1})
        self.assertEqual(there.router.reach.networks.standBy, {"north"})
