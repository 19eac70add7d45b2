"""
Tests of L{bmff.cluster.logins}: a peer that logs in at one node after another.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bmff.cluster.logins import PEER, YOUNG, Logins
from bmff.dmr.frame import TERMINATOR
from bmff.errors import ProtocolError
from bmff.events import CallEnded, Event, PeerLost, PeerRegistered
from tests.protocols.fastforwardcase import FastForwardTestCase, VirtualNode, makeCall

WALL = 1_750_000_000.0
HERE = "192.0.2.7:4000"


def announcement(peer: int, wall: float) -> bytes:
    """
    What a node tells of a login.

    @param wall: seconds since 1970.
    """
    return peer.to_bytes(4, "big") + int(wall * 1e6).to_bytes(8, "big")


class LoginsTests(SynchronousTestCase):
    """
    The logins of node 2502.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[tuple[str, bytes]] = []
        self.ended: list[tuple[int, str]] = []
        self.logins = Logins(self.clock, 2502, self.wallClock, lambda *said: self.said.append(said))
        self.logins.endPeer = lambda *ended: self.ended.append(ended)

    def wallClock(self) -> float:
        return WALL + self.clock.seconds()

    def register(self, peer: int = 7, *, verified: bool = True, again: bool = False) -> None:
        self.logins.watch(PeerRegistered(peer, "N7", HERE, verified, again))

    def test_bytes(self) -> None:
        """
        A login is announced as the peer's ID and the microseconds of the wall clock.
        """
        self.clock.advance(1.5)
        self.register(0x01020304)
        expected = bytes.fromhex("01020304") + (1_750_000_001_500_000).to_bytes(8, "big")
        self.assertEqual(self.said, [(PEER, expected)])

    def test_later(self) -> None:
        """
        A session here ends when the peer has logged in later elsewhere, and not when sooner.
        """
        self.register()
        self.logins.received(2501, announcement(7, WALL - 0.000001))
        self.assertEqual(self.ended, [])
        self.logins.received(2501, announcement(7, WALL + 0.000001))
        self.assertEqual(self.ended, [(7, "logged in at node 2501")])

    def test_tie(self) -> None:
        """
        Of two logins of the same microsecond the one at the lower node ID counts.
        """
        self.register()
        self.logins.received(2503, announcement(7, WALL))
        self.assertEqual(self.ended, [])
        self.logins.received(2501, announcement(7, WALL))
        self.assertEqual(self.ended, [(7, "logged in at node 2501")])

    def test_notHere(self) -> None:
        """
        An announcement of a peer that is not here, or is here no longer, has no effect.
        """
        self.register()
        self.logins.watch(PeerLost(7, "N7", "silent"))
        for peer in (7, 8):
            self.logins.received(2501, announcement(peer, WALL + 9))
        self.assertEqual((self.ended, len(self.logins)), ([], 0))

    def test_again(self) -> None:
        """
        A peer that says anew what it is has not logged in: nothing is told, and its login keeps
        its time.
        """
        self.register()
        self.clock.advance(10)
        self.register(again=True)
        self.assertEqual(len(self.said), 1)
        self.logins.received(2501, announcement(7, WALL + 5))
        self.assertEqual(len(self.ended), 1)

    def test_open(self) -> None:
        """
        A peer that was let in without a secret is not announced, nor told to a new link, but it
        ends when the peer has proved its secret elsewhere.
        """
        self.register(verified=False)
        self.assertEqual((self.said, list(self.logins.young())), ([], []))
        self.logins.received(2501, announcement(7, WALL + 1))
        self.assertEqual(len(self.ended), 1)

    def test_young(self) -> None:
        """
        A new link is told of the logins of the last minute, with their own time.
        """
        self.register(7)
        self.clock.advance(YOUNG - 1)
        self.register(8)
        self.assertEqual(
            list(self.logins.young()),
            [announcement(7, WALL), announcement(8, WALL + YOUNG - 1)],
        )
        self.clock.advance(1)
        self.assertEqual(list(self.logins.young()), [announcement(8, WALL + YOUNG - 1)])

    def test_malformed(self) -> None:
        """
        An announcement of another length is refused.
        """
        self.register()
        good = announcement(7, WALL + 1)
        for payload in (*(good[:size] for size in range(len(good))), good + b"\0"):
            self.assertRaises(ProtocolError, self.logins.received, 2501, payload)
        self.assertEqual(self.ended, [])


class AnnouncementTests(FastForwardTestCase):
    """
    Between nodes.
    """

    def login(self, node: VirtualNode, peerID: int, *talkgroups: int) -> None:
        """
        A peer logs in at a node, and ends there when it is to.
        """

        def end(peerID: int, reason: str) -> None:
            node.router.removePeer(node.router.reach.peers[peerID], self.clock.seconds())
            node.events.publish(PeerLost(peerID, "N7", reason))

        node.cluster.logins.endPeer = end
        node.peer(peerID, *talkgroups)
        node.events.publish(PeerRegistered(peerID, "N7", HERE))

    def lost(self, node: VirtualNode) -> list[Event]:
        return node.happened(PeerLost)

    def test_moves(self) -> None:
        """
        A peer that logs in at one node after another, and at the first again, is at the last one
        alone; its call at the one before ends, for who hears it too.
        """
        here, there = self.pair()
        listener = there.peer(9, 91)
        self.login(here, 7)
        self.advance(0.5)
        here.talk(here.router.reach.peers[7], makeCall())
        self.advance(1)
        self.login(there, 7)
        self.advance(0.5)
        self.assertEqual(self.lost(here), [PeerLost(7, "N7", "logged in at node 2502")])
        self.assertEqual(
            (7 in here.router.reach.peers, 7 in there.router.reach.peers), (False, True)
        )
        ended = [event.reason for event in here.happened(CallEnded) if isinstance(event, CallEnded)]
        self.assertEqual(ended, ["peer lost"])
        self.assertEqual(there.heard(listener.peerID)[-1].dataType, TERMINATOR)
        self.advance(5)
        self.login(here, 7)
        self.advance(0.5)
        self.assertEqual(self.lost(there), [PeerLost(7, "N7", "logged in at node 2501")])
        self.assertEqual(len(self.lost(here)), 1)

    def test_crossing(self) -> None:
        """
        When two nodes announce one peer at the same moment exactly one of them keeps it.
        """
        here, there = self.pair()
        self.login(there, 7)
        self.login(here, 7)
        self.advance(1)
        self.assertEqual(
            (7 in here.router.reach.peers, 7 in there.router.reach.peers), (True, False)
        )
        self.login(here, 8)
        self.clock.advance(0.0001)
        self.login(there, 8)
        self.advance(1)
        self.assertEqual(
            (8 in here.router.reach.peers, 8 in there.router.reach.peers), (False, True)
        )

    def test_newLink(self) -> None:
        """
        A peer that has changed nodes while these had no link is at the last one alone when they
        have one.
        """
        here = self.node(2501)
        self.login(here, 7)
        self.advance(20)
        there = self.node(2502, start=False)
        self.login(there, 7)
        self.advance(5)
        there.start()
        self.advance(3)
        self.assertLinked(here, there)
        self.assertEqual(
            (7 in here.router.reach.peers, 7 in there.router.reach.peers), (False, True)
        )
        self.assertEqual(here.link(2502).dropped, {})

    def test_malformed(self) -> None:
        """
        A malformed announcement is counted by its link, and nothing is logged.
        """
        here, there = self.pair()
        here.cluster.broadcast(PEER, b"\0")
        self.advance(0.2)
        self.assertEqual(there.link(2501).dropped, {"malformed peer": 1})
        self.assertEqual(self.flushLoggedErrors(), [])
