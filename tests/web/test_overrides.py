"""
Tests of L{bmff.web.overrides}: overrides of links on a virtual network.
"""

from __future__ import annotations

import json
from typing import Any

from bmff.ibmff import BadRow, OverrideRow
from bmff.web.overrides import OverridesView
from bmff.wire.fastforward.capabilities import Capabilities
from tests.protocols.fastforwardcase import VirtualNode
from tests.web.test_steering import RDMA, SteeringTestCase


class SomeRegistry:
    """
    The rows of a node, in a registry that may be away.
    """

    def __init__(self, node: VirtualNode) -> None:
        self.available = True
        self.reason = ""
        self.age = 0.0123456
        self.badRows: tuple[BadRow, ...] = ()
        self._node = node

    @property
    def overrides(self) -> dict[int, OverrideRow]:
        return self._node.rows.overrides


class OverridesTests(SteeringTestCase):
    """
    What is said of each row.
    """

    def setUp(self) -> None:
        super().setUp()
        self.registry = SomeRegistry(self.here)
        self.view = OverridesView(2501, self.registry, self.choices)

    def said(self, node: int = 2502) -> tuple[Any, Any, Any]:
        """
        What is said of a row at the first node: what the link runs over, state and reason.
        """
        found = {row["node"]: row for row in self.view()["overrides"]}[node]
        return found["over"], found["state"], found["reason"]

    def test_inUse(self) -> None:
        """
        A row that the link runs over is in use; while the path is being made it waits.
        """
        self.override(self.there, "memory")
        self.assertEqual(self.said(), ("udp", "waiting", "is being made"))
        self.advance(1.0)
        self.assertEqual(self.said(), ("memory", "in use", ""))
        (row,) = self.view()["overrides"]
        self.assertEqual((row["transport"], row["key"]), ("memory", None))
        self.assertEqual(row["port"], self.here.rows.overrides[2502].port)

    def test_auto(self) -> None:
        """
        A row that leaves the choice to the nodes is in use whatever they choose.
        """
        self.override(self.there, "auto")
        self.advance(1.0)
        self.assertEqual(self.said()[1:], ("in use", "the nodes choose"))

    def test_byHand(self) -> None:
        """
        What was asked for by hand comes before a row.
        """
        self.override(self.there, "memory")
        self.steer(2502, "udp")
        self.advance(1.0)
        self.assertEqual(self.said(), ("udp", "overruled", "udp was asked for by hand"))

    def test_overruled(self) -> None:
        """
        Where two ends disagree the lower one's row counts, and the other one's is overruled.
        """
        self.override(self.there, "udp")
        self.override(self.here, "memory")
        self.advance(1.0)
        view = OverridesView(2502, SomeRegistry(self.there), self.choicesOf(self.there))
        states = {row["node"]: (row["state"], row["reason"]) for row in view()["overrides"]}
        self.assertEqual(
            states[2501], ("overruled", "node 2501 has the lower number, and wants udp")
        )
        self.assertEqual(self.said()[1], "in use")

    def test_notHere(self) -> None:
        """
        A transport that this node does not have is not to be had, with the reason.
        """
        self.override(self.there, "rdma")
        self.advance(1.0)
        self.assertEqual(self.said(), ("udp", "not to be had", RDMA))

    def test_failing(self) -> None:
        """
        One that could not be reached there is not to be had either, and the link stays.
        """
        self.override(self.there, "memory", port=9)
        self.advance(3.0)
        over, state, reason = self.said()
        self.assertEqual((over, state), ("udp", "not to be had"))
        self.assertEqual(reason, self.choices.all()[2502].missing["memory"])

    def test_notThere(self) -> None:
        """
        The same for one that the other end does not have.
        """
        self.there.fastForward.transports = {"udp": self.there.datagrams}
        self.there.cluster.ways.own = Capabilities(frozenset({"udp"}))
        self.there.cluster.overridesChanged()
        self.advance(1.5)
        self.override(self.there, "memory")
        self.streams.transports.pop(2502)
        self.advance(3.0)
        self.assertEqual(self.said(), ("udp", "not to be had", "node 2502 does not have it"))

    def test_waiting(self) -> None:
        """
        A row about a node that is not linked waits for it.
        """
        self.here.rows.overrides[2509] = OverrideRow(2509, "ring", "udp", "192.0.2.9", 1)
        self.assertEqual(self.said(2509), (None, "waiting", "no link yet"))

    def test_ignored(self) -> None:
        """
        A row about the node itself is ignored.
        """
        self.here.rows.overrides[2501] = OverrideRow(2501, 0, "rdma", "", 1)
        self.assertEqual(self.said(2501), (None, "ignored", "it is about this node itself"))

    def test_bad(self) -> None:
        """
        Rows that cannot be used are told as they are, and how current all this is.
        """
        self.registry.badRows = (BadRow("overrides", "(1, 'x')", "no such transport"),)
        self.registry.available, self.registry.reason = False, "gone"
        said = self.view()
        self.assertEqual(
            said["bad"],
            [{"table": "OverriddenNodes", "row": "(1, 'x')", "reason": "no such transport"}],
        )
        self.assertEqual(said["registry"], {"available": False, "reason": "gone", "age": 0.012})
        self.registry.age = float("inf")
        self.assertIsNone(json.loads(json.dumps(self.view()))["registry"]["age"])

    def test_noLinks(self) -> None:
        """
        A node without links has none to override.
        """
        self.assertEqual(
            OverridesView(2501, None, None)(), {"overrides": [], "bad": [], "registry": None}
        )
