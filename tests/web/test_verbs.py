"""
Tests of L{bmff.web.verbs} and L{bmff.web.orders}: hotspots on a virtual network, steered by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import OverrideRow, RegistryUnavailable
from bmff.web.orders import MOST, Orders, OrdersFull
from bmff.web.resource import Refused
from bmff.web.verbs import Verbs
from tests.web.apicase import OTHER, STATION, SomeNode, SomeRules

Verb = Callable[[dict[str, Any]], Coroutine[Deferred[Any], Any, dict[str, Any]]]


class VerbsTestCase(SynchronousTestCase):
    """
    A node with two hotspots.
    """

    def setUp(self) -> None:
        self.node = SomeNode()
        self.verbs: Verbs = self.node.api._verbs
        self.addCleanup(self.verbs.stop)
        self.one = self.node.hotspot(STATION)
        self.other = self.node.hotspot(OTHER)

    def do(self, verb: Verb, **order: Any) -> dict[str, Any]:
        """
        Do it; it has to succeed at once.
        """
        answer: dict[str, Any] = self.successResultOf(Deferred.fromCoroutine(verb(order)))
        self.node.advance(0.1)
        return answer

    def refused(self, verb: Verb, **order: Any) -> tuple[int, str]:
        """
        Do it; it has to be refused.

        @return: status and reason.
        """
        failure = self.failureResultOf(Deferred.fromCoroutine(verb(order)), Refused)
        return failure.value.status, failure.value.reason

    def here(self) -> list[int]:
        """
        Who is logged in.
        """
        return sorted(session.peerID for session in self.node.homebrew.master)


class DrainTests(VerbsTestCase):
    """
    A node that is emptied.
    """

    def test_idle(self) -> None:
        """
        Those who are in no call leave at once, and do not come back until the node is open again.
        """
        self.assertEqual(self.do(self.verbs.drain), {"drain": {"draining": True, "peers": 0}})
        self.assertEqual(self.here(), [])
        self.node.advance(40)
        self.assertEqual(self.here(), [])
        self.do(self.verbs.undrain)
        self.node.advance(40)
        self.assertEqual(self.here(), [STATION.peerID, OTHER.peerID])

    def test_inCall(self) -> None:
        """
        Who talks and who listens stays until the call is over.
        """
        self.node.call(self.one)
        answer = self.do(self.verbs.drain)
        self.assertEqual(answer, {"drain": {"draining": True, "peers": 2}})
        self.node.advance(1.0)
        self.assertEqual(self.here(), [STATION.peerID, OTHER.peerID])
        self.node.advance(3.0)  # the call ends in silence
        self.assertEqual(self.here(), [])

    def test_twice(self) -> None:
        """
        To say so twice is no mistake, and nobody looks any more when it is over.
        """
        self.do(self.verbs.drain)
        self.do(self.verbs.drain)
        self.do(self.verbs.undrain)
        self.do(self.verbs.undrain)
        self.assertIsNone(self.verbs._looking)


class PeerTests(VerbsTestCase):
    """
    What is done to a peer.
    """

    def test_disconnect(self) -> None:
        """
        A peer is sent away and may come back; others notice nothing.
        """
        answer = self.do(self.verbs.disconnect, peer=STATION.peerID)
        self.assertEqual(answer, {"peer": {"id": STATION.peerID, "here": False}})
        self.assertEqual(self.here(), [OTHER.peerID])
        self.node.advance(40)
        self.assertEqual(self.here(), [STATION.peerID, OTHER.peerID])
        self.assertEqual(self.refused(self.verbs.disconnect, peer=1), (404, "no peer 1 is here"))

    def test_ban(self) -> None:
        """
        One that is banned does not come back until it is let in again.
        """
        self.do(self.verbs.ban, peer=STATION.peerID, reason="noise")
        self.assertEqual(self.here(), [OTHER.peerID])
        self.node.advance(40)
        self.assertEqual(self.here(), [OTHER.peerID])
        self.do(self.verbs.unban, peer=STATION.peerID)
        self.node.advance(70)
        self.assertEqual(self.here(), [STATION.peerID, OTHER.peerID])
        status, _ = self.refused(self.verbs.unban, peer=STATION.peerID)
        self.assertEqual(status, 404)

    def test_talkgroups(self) -> None:
        """
        A slot hears what is set by hand, the other what the configuration says, until that is taken
        back.
        """

        def static() -> list[list[int]]:
            peer = self.node.router.reach.peers[STATION.peerID]
            return [sorted(slot.static) for slot in peer.slots]

        self.assertEqual(static(), [[91], [2350]])
        answer = self.do(self.verbs.setTalkgroups, peer=STATION.peerID, slot2=[235, 234, 235])
        self.assertEqual(answer["peer"]["slot2"], [235, 234])
        self.assertEqual(static(), [[91], [234, 235]])
        self.do(self.verbs.setTalkgroups, peer=STATION.peerID, slot1=[])
        self.assertEqual(static(), [[], [234, 235]])
        self.do(self.verbs.setTalkgroups, peer=STATION.peerID, slot1=None, slot2=None)
        self.assertEqual((static(), self.node.orders.static), ([[91], [2350]], {}))
        status, _ = self.refused(self.verbs.setTalkgroups, peer=1, slot1=[4000])
        self.assertEqual(status, 409)


class OrdersTests(SynchronousTestCase):
    """
    What is remembered.
    """

    def test_bounded(self) -> None:
        """
        Only so much is.
        """
        orders = Orders(SomeRules())
        for peer in range(MOST):
            orders.ban(peer, "noise")
            orders.setStatic(peer, 1, (91,))
        orders.ban(0, "again")
        self.assertRaises(OrdersFull, orders.ban, MOST, "noise")
        self.assertRaises(OrdersFull, orders.setStatic, MOST, 1, (91,))


class OtherTests(VerbsTestCase):
    """
    Overrides, calls, messages.
    """

    def test_override(self) -> None:
        """
        A row is written and taken away.
        """
        self.do(self.verbs.override, node=25012, transport="tcp", address="192.0.2.12", port=54001)
        row = OverrideRow(25012, 0, "tcp", "192.0.2.12", 54001)
        self.assertEqual(self.node.rows.overrides, {25012: row})
        self.do(self.verbs.override, node=25012, transport=None)
        self.assertEqual(self.node.rows.overrides, {})

    def test_overrideRefused(self) -> None:
        """
        What the registry refuses is told as it says.
        """
        self.node.rows.error = ConfigurationError([Mistake("transport", "there is no tpc")])
        self.assertEqual(
            self.refused(self.verbs.override, node=25012, transport="tpc"),
            (409, "transport: there is no tpc"),
        )
        self.node.rows.error = RegistryUnavailable("connection refused")
        status, _ = self.refused(self.verbs.override, node=25012, transport="tcp")
        self.assertEqual(status, 503)

    def test_drop(self) -> None:
        """
        The call of that stream ID is ended, and of that source where one is named.
        """
        self.node.call(self.one)
        self.assertEqual(self.refused(self.verbs.drop, stream="0000beef", source=1)[0], 404)
        self.assertEqual(self.refused(self.verbs.drop, stream="0000bee0")[0], 404)
        answer = self.do(self.verbs.drop, stream="0000beef", source=2340001)
        self.assertEqual(answer, {"dropped": {"stream": "0000beef", "calls": 1}})
        (call,) = self.node.dropped
        self.assertEqual(call.stream, 0xBEEF)

    def test_message(self) -> None:
        """
        A message is sent; one that is too long, or for which there is no room, is refused.
        """
        message = {"source": 9990, "destination": 91, "private": False}
        self.do(self.verbs.message, text="hello", **message)
        self.assertEqual(self.node.messages.sent, [("hello", 9990, 91, True)])
        self.assertEqual(self.refused(self.verbs.message, text="hello", **message)[0], 503)
        self.assertEqual(
            self.refused(self.verbs.message, text="x" * 101, **message),
            (409, "the text is too long for one message"),
        )
