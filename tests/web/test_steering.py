"""
Tests of L{bmff.web.steering} and L{bmff.web.links}: links on a virtual network, steered by hand.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred

from bmff.ibmff import OverrideRow
from bmff.linkservice import Choices
from bmff.web.links import LinksView
from bmff.web.resource import Refused
from bmff.web.steering import PATIENCE, Steering
from bmff.web.views import Moments
from tests.protocols.fastforwardcase import PORT, FastForwardTestCase, VirtualNode, makeCall

RDMA = "no device"


class SteeringTestCase(FastForwardTestCase):
    """
    Two nodes that are linked over UDP and could be over a reliable transport.
    """

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.pair()
        # What is steered is the first node: its way to the other is the same on all transports.
        self.streams.transports[PORT] = self.streams.transports[2502]
        self.choices = self.choicesOf(self.here)

    def choicesOf(self, node: VirtualNode) -> Choices:
        """
        What is to be seen and steered at a node.
        """
        choices = Choices(
            node.cluster,
            node.fastForward,
            node.rows,
            node.fastForward.transports,
            {"rdma": RDMA},
        )
        node.events.watch(choices.watch)
        return choices

    def steer(
        self, node: object, transport: object, choices: Choices | None = None
    ) -> Deferred[dict[str, Any]]:
        """
        Ask for a transport.
        """
        steering = Steering(self.clock, choices or self.choices)
        return Deferred.fromCoroutine(steering.steer({"node": node, "transport": transport}))

    def override(self, node: VirtualNode, transport: str, port: int = 0) -> None:
        """
        Write the row that says how a node is reached.
        """
        row = OverrideRow(node.nodeID, 0, transport, node.host, port or node.nodeID)
        self.rows.overrides[node.nodeID] = row
        for each in (self.here, self.there):
            each.cluster.overridesChanged()

    def over(self) -> tuple[str, str]:
        """
        What carries the link at each end.
        """
        paths = self.here.link(2502).path, self.there.link(2501).path
        names = tuple(path.traits.name if path is not None else "" for path in paths)
        return names[0], names[1]

    def outcome(self, steered: Deferred[dict[str, Any]]) -> dict[str, Any]:
        """
        What has become of it, which has to be known.
        """
        path: dict[str, Any] = self.successResultOf(steered)["path"]
        return path


class SteeringTests(SteeringTestCase):
    """
    What becomes of what an operator asks for.
    """

    def test_done(self) -> None:
        """
        The link runs over what was asked for, at both ends, and the answer comes when it does.
        """
        steered = self.steer(2502, "memory")
        self.assertNoResult(steered)
        self.advance(0.2)
        self.assertEqual(
            self.outcome(steered),
            {"node": 2502, "transport": "memory", "done": True, "reason": ""},
        )
        self.assertEqual(self.over(), ("memory", "memory"))

    def test_inCall(self) -> None:
        """
        A call that is on loses nothing by it, there and back.
        """
        talker = self.here.peer(10)
        self.there.peer(21, 91)
        self.advance(0.5)
        frames = makeCall(91)
        self.here.talk(talker, frames)
        for transport in ("memory", "auto", "memory", "udp"):
            self.advance(1.0)
            steered = self.steer(2502, transport)
            self.advance(0.2)
            self.assertTrue(self.outcome(steered)["done"])
        self.advance(3.0)
        self.assertHeard(self.there, 21, frames)

    def test_auto(self) -> None:
        """
        What was asked for by hand is taken back: the registry's row counts again.
        """
        self.override(self.there, "memory")
        self.advance(1.0)
        self.steer(2502, "udp")
        self.advance(0.2)
        self.assertEqual(self.over(), ("udp", "udp"))
        steered = self.steer(2502, "auto")
        self.advance(0.2)
        self.assertEqual(
            self.outcome(steered),
            {"node": 2502, "transport": "memory", "done": True, "reason": ""},
        )

    def test_already(self) -> None:
        """
        Where the link runs so already the answer comes at once.
        """
        self.assertTrue(self.outcome(self.steer(2502, "udp"))["done"])
        self.assertTrue(self.outcome(self.steer(2502, "auto"))["done"])

    def test_notYet(self) -> None:
        """
        Where it does not come about the answer is why, after five seconds; the link stays where it
        is, and changes when it can.
        """
        transports = self.streams.transports
        gone = transports.pop(PORT)
        steered = self.steer(2502, "memory")
        self.advance(PATIENCE - 0.1)
        self.assertNoResult(steered)
        self.advance(0.2)
        outcome = self.outcome(steered)
        self.assertEqual((outcome["transport"], outcome["done"]), ("udp", False))
        self.assertIn("nobody", outcome["reason"])
        self.assertEqual(self.over(), ("udp", "udp"))
        transports[PORT] = gone
        self.advance(20.0)
        self.assertEqual(self.over(), ("memory", "memory"))

    def test_notThere(self) -> None:
        """
        A transport that only this end has is not waited for in silence: the other end's lack is
        the reason.
        """
        self.there.fastForward.transports = {"udp": self.there.datagrams}
        self.there.cluster.ways.own = self.here.cluster.ways.own.__class__(frozenset(("udp",)))
        self.there.cluster.overridesChanged()
        self.advance(1.5)
        self.streams.transports.pop(PORT)
        steered = self.steer(2502, "memory")
        self.advance(PATIENCE + 0.1)
        outcome = self.outcome(steered)
        self.assertEqual((outcome["transport"], outcome["done"]), ("udp", False))
        self.assertEqual(outcome["reason"], "node 2502 does not have it")

    def test_overruled(self) -> None:
        """
        Where the other end, of the lower number, wants something else, the answer says so, and
        comes as soon as that is known.
        """
        self.override(self.there, "udp", 54000)  # what the node of the lower number reads
        self.advance(1.0)
        steered = self.steer(2501, "memory", self.choicesOf(self.there))
        self.advance(0.1)
        outcome = self.outcome(steered)
        self.assertEqual((outcome["transport"], outcome["done"]), ("udp", False))
        self.assertEqual(outcome["reason"], "node 2501 has the lower number, and wants udp")

    def test_unlinked(self) -> None:
        """
        A node that is known and not linked may be steered: the answer is why there is no link.
        """
        self.node(2503, start=False).vanish()
        self.advance(6.0)
        steered = self.steer(2503, "memory")
        self.advance(PATIENCE + 0.1)
        outcome = self.outcome(steered)
        self.assertEqual((outcome["transport"], outcome["done"]), (None, False))
        self.assertTrue(outcome["reason"])

    def refusal(self, node: object, transport: object) -> tuple[int, str]:
        """
        The status and the reason of a refusal, which changes nothing.
        """
        refused = self.failureResultOf(self.steer(node, transport), Refused).value
        self.assertEqual(self.here.cluster.ways.wishes, {})
        return refused.status, refused.reason

    def test_refused(self) -> None:
        """
        An unknown node and a transport that is not here are refused with the reason, and so is
        what is no order.
        """
        self.assertEqual(self.refusal(2509, "udp"), (404, "no node 2509 is known here"))
        self.assertEqual(self.refusal(2502, "rdma"), (409, f"no rdma here: {RDMA}"))
        self.assertEqual(
            self.refusal(2502, "pigeon"), (409, "no pigeon here: there is no such transport")
        )
        for node, transport in (("2502", "udp"), (True, "udp"), (2502, ""), (2502, None)):
            self.assertEqual(self.refusal(node, transport)[0], 400)

    def test_placeUnknown(self) -> None:
        """
        A link that the other end alone knows how to make is not steered here.
        """
        del self.rows.places[2502]
        status, reason = self.refusal(2502, "memory")
        self.assertEqual(status, 409)
        self.assertIn("ask node 2502", reason)
        self.assertTrue(self.outcome(self.steer(2502, "auto"))["done"])

    def test_noLinks(self) -> None:
        """
        A node without links refuses.
        """
        steering = Steering(self.clock, None)
        refused = self.failureResultOf(
            Deferred.fromCoroutine(steering.steer({"node": 2502, "transport": "udp"})), Refused
        )
        self.assertEqual(refused.value.status, 404)


class LinksTests(SteeringTestCase):
    """
    What is said of links.
    """

    def link(self, choices: Choices | None = None) -> dict[str, Any]:
        """
        What is said of the only one.
        """
        moments = Moments(self.clock.seconds, self.wallClock)
        content = LinksView(choices or self.choices, moments)()
        self.assertEqual(json.loads(json.dumps(content)), content)
        (link,) = content["links"]
        found: dict[str, Any] = link
        return found

    def test_none(self) -> None:
        """
        A node without links says so.
        """
        moments = Moments(self.clock.seconds, self.wallClock)
        self.assertEqual(LinksView(None, moments)(), {"links": []})

    def test_automatic(self) -> None:
        """
        A link that nobody has said anything of has one path, which carries it.
        """
        link = self.link()
        self.assertEqual(
            {name: link[name] for name in ("node", "transport", "key", "ready", "chosen")},
            {"node": 2502, "transport": "udp", "key": "group", "ready": True, "chosen": "udp"},
        )
        self.assertEqual(
            (link["override"], link["by_hand"], link["overruled"]), (None, None, False)
        )
        self.assertEqual(link["missing"], {})
        (path,) = link["paths"]
        self.assertEqual((path["carries"], path["sealed"]), (True, True))
        self.assertEqual(path["address"], link["address"])

    def test_paths(self) -> None:
        """
        Each path is told with its own figures, the one that carries the link first.
        """
        talker = self.here.peer(10)
        self.there.peer(21, 91)
        self.override(self.there, "memory")
        self.advance(1.0)
        frames = makeCall(91, superframes=2)
        self.here.talk(talker, frames)
        self.advance(2.0)
        link = self.link()
        first, second = link["paths"]
        self.assertEqual((first["transport"], second["transport"]), ("memory", "udp"))
        self.assertEqual((first["carries"], second["carries"]), (True, False))
        self.assertEqual((first["frames_sent"], second["frames_sent"]), (len(frames), 0))
        self.assertEqual(first["frames_a_packet"], 1.0)
        self.assertEqual((first["jitter"], second["jitter"] is not None), (None, True))
        self.assertEqual(link["override"], "memory")

    def test_loss(self) -> None:
        """
        On a path that loses packets it is told how many were asked for again and came, and that
        frames are sent twice.
        """
        talker = self.here.peer(10)
        self.there.peer(21, 91)
        other = self.choicesOf(self.there)
        self.advance(0.5)
        self.network.loss = 0.2
        self.here.talk(talker, makeCall(91, superframes=20))
        self.advance(8.0)
        (mine,) = self.link()["paths"]
        (theirs,) = self.link(other)["paths"]
        self.assertGreater(mine["packets_repeated"], 0)
        self.assertGreater(theirs["packets_repaired"], 0)
        self.assertGreater(mine["loss"], 0.01)
        self.assertTrue(mine["twice"])

    def test_byHand(self) -> None:
        """
        What was asked for by hand is told beside the override that it replaces.
        """
        self.override(self.there, "udp", 54000)
        self.choices.wish(2502, "memory")
        self.advance(0.5)
        link = self.link()
        self.assertEqual((link["override"], link["by_hand"]), ("udp", "memory"))
        self.assertEqual((link["chosen"], link["transport"]), ("memory", "memory"))

    def test_overruled(self) -> None:
        """
        The end whose word does not count says so, and does not miss what it wanted.
        """
        self.override(self.here, "memory")  # read by the node of the higher number
        self.override(self.there, "udp", 54000)
        self.advance(3.0)
        link = self.link(self.choicesOf(self.there))
        self.assertTrue(link["overruled"])
        self.assertEqual((link["override"], link["chosen"]), ("memory", "udp"))
        self.assertEqual(link["missing"], {})
        self.assertFalse(self.link()["overruled"])

    def test_missing(self) -> None:
        """
        A path that is wanted and not there is told with the reason.
        """
        self.override(self.there, "rdma")
        self.advance(1.0)
        self.assertEqual(self.link()["missing"], {"rdma": f"not here: {RDMA}"})
        self.override(self.there, "memory", 9999)
        self.advance(3.0)
        (name, reason), *more = self.link()["missing"].items()
        self.assertEqual((name, more), ("memory", []))
        self.assertIn("nobody", reason)

    def test_ended(self) -> None:
        """
        A path that has ended is told with why, until it is back.
        """
        self.override(self.there, "memory")
        self.advance(1.0)
        for connection in tuple(self.there.fastForward.connections):
            if connection.transport.name == "memory":
                connection.transport.loseConnection()
        self.advance(0.1)
        self.assertIn("ended: ", self.link()["missing"]["memory"])
        self.advance(5.0)
        self.assertEqual(self.link()["missing"], {})

    def test_otherEnd(self) -> None:
        """
        A path that the other end alone can make is told as that.
        """
        self.override(self.there, "memory", 9999)  # only the other end has this row
        self.advance(3.0)
        link = self.link(self.choicesOf(self.there))
        self.assertEqual(link["missing"], {"memory": "node 2501 is to make it"})
