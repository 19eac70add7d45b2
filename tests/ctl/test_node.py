"""
Tests of C{bmffctl node}, on a registry in a file.
"""

from __future__ import annotations

import json
import os
import time

from bmff.cluster import ways
from bmff.ctl import node
from bmff.ctl.node import stateOf
from bmff.ibmff import NodeRow
from tests.ctl.test_override import RowTestCase

FINGERPRINT = "ab" * 32


class NodeTests(RowTestCase):
    """
    Rows are listed, written and removed.
    """

    group = "node"

    def alive(self, number: int) -> NodeRow:
        """
        The row of a node that runs.
        """
        return NodeRow(number, "192.0.2.1", 54000, 7, 4711, time.time(), FINGERPRINT)

    def test_states(self) -> None:
        """
        A row tells whether its node has ever run, runs, says nothing any more, has ended, or was
        named by somebody; a node's silence is as long here as for other nodes.
        """
        self.assertEqual(node.ROW_LIFE, ways.ROW_LIFE)
        now = 1.75e9
        for boot, seen, state in (
            (7, now, "alive"),
            (7, now + 5, "alive"),
            (7, now - 60, "alive"),
            (7, now - 61, "silent"),
            (7, 0.0, "stopped"),
            (0, 0.0, "registered"),
            (0, now - 1e6, "by hand"),
        ):
            self.assertEqual(stateOf(NodeRow(25012, "", 1, boot, 1, seen), now), state)

    def test_list(self) -> None:
        """
        There is a line for each row by node ID, and one for each that cannot be used.
        """
        self.assertEqual(
            self.done("list").split(),
            ["NODE", "ADDRESS", "PORT", "PID", "SEEN", "(UTC)", "STATE", "CERTIFICATE"],
        )
        self.put(
            self.alive(25013),
            NodeRow(25012, "node.example.org", 54012, 7, 12, 1.5e9),
            NodeRow(25014, "192.0.2.4", 1, 0, 99, 0.0),
            NodeRow(25015, "192.0.2.5", 1, 1, 99, 1e300),
        )
        self.execute("INSERT INTO Nodes (node, port) VALUES (25016, 'x')")
        _, silent, alive, registered, strange, bad = self.done("list").splitlines()
        self.assertEqual(
            " ".join(silent.split()), "25012 node.example.org 54012 12 2017-07-14 02:40:00 silent"
        )
        self.assertEqual(alive.split()[:4], ["25013", "192.0.2.1", "54000", "4711"])
        self.assertEqual(
            alive.split()[-2:], ["alive", f"{FINGERPRINT[:16]}\N{HORIZONTAL ELLIPSIS}"]
        )
        self.assertEqual(registered.split(), ["25014", "192.0.2.4", "1", "registered"])
        self.assertIn("1e+300", strange)
        self.assertTrue(bad.startswith("not used, of Nodes: (25016,"), bad)

    def test_json(self) -> None:
        """
        On request they are printed as JSON.
        """
        self.put(NodeRow(25012, "node.example.org", 54012, 255, 12, 1.5e9))
        self.assertEqual(
            json.loads(self.done("list", "--json")),
            {
                "nodes": [
                    {
                        "node": 25012,
                        "address": "node.example.org",
                        "port": 54012,
                        "boot": "00000000000000ff",
                        "pid": 12,
                        "seen": 1.5e9,
                        "fingerprint": "",
                        "state": "silent",
                    }
                ],
                "bad": [],
            },
        )

    def test_add(self) -> None:
        """
        A node that says nothing itself gets a row that no process has written, in place of an
        older one; a fingerprint is taken as bmffctl certificate shows it.
        """
        self.put(NodeRow(25012, "192.0.2.9", 1, 7, 12, 1.5e9))
        shown = ":".join(["AB"] * 32)
        said = self.done("add", "25012", "node.example.org", "54012", "--fingerprint", shown)
        self.assertEqual(said, "node 25012 is at node.example.org port 54012")
        row = self.contents()[0][25012]
        self.assertEqual(
            (row.address, row.port, row.boot, row.pid, row.fingerprint),
            ("node.example.org", 54012, 0, os.getpid(), FINGERPRINT),
        )
        self.assertEqual(stateOf(row, time.time() + 1e6), "by hand")

    def test_addAlive(self) -> None:
        """
        A node that writes its own row keeps it.
        """
        self.put(self.alive(25012))
        self.assertEqual(
            self.refused("add", "25012", "192.0.2.2", "54000"),
            "node 25012: is alive, and says itself that it is at 192.0.2.1 port 54000",
        )

    def test_addUnusable(self) -> None:
        """
        A row that the registry would not use is refused.
        """
        for words in (
            ("25012", "", "54000"),
            ("25012", "192.0.2.1", "54000", "--fingerprint", "xy"),
            ("25012", "a\tb", "54000"),
        ):
            self.refused("add", *words)

    def test_remove(self) -> None:
        """
        The row of a node that is gone is taken away, also one that cannot be used.
        """
        self.put(NodeRow(25012, "192.0.2.9", 1, 7, 12, 1.5e9), self.alive(25013))
        self.execute("INSERT INTO Nodes (node, port) VALUES (25016, 'x')")
        self.assertEqual(self.done("remove", "25012"), "node 25012 is out of the registry")
        self.done("remove", "25016")
        self.assertEqual(list(self.contents()[0]), [25013])
        self.assertNotIn("25016", self.done("list"))

    def test_removeAlive(self) -> None:
        """
        A node that runs would write its row again, so it is to be stopped first; one that has
        crashed just now can be taken away all the same.
        """
        self.put(self.alive(25012))
        self.assertIn("is alive", self.refused("remove", "25012"))
        self.done("remove", "25012", "--force")
        self.assertEqual(self.contents()[0], {})

    def test_nothingToRemove(self) -> None:
        """
        Where there is no such row, or no registry yet, that is told, and none is made.
        """
        said = "node 25012: has no row in the registry"
        self.assertEqual(self.refused("remove", "25012"), said)
        self.assertFalse(self.configuration.registry.file.exists())
        self.put(self.alive(25013))
        self.assertEqual(self.refused("remove", "25012"), said)

    def test_words(self) -> None:
        """
        Words that make no command are told, with exit code 2.
        """
        for words in (
            ("add", "25012", "192.0.2.1"),
            ("add", "25012", "192.0.2.1", "0"),
            ("add", "node", "192.0.2.1", "1"),
            ("remove",),
            ("remove", "x"),
            ("list", "25012"),
        ):
            self.misspelt(*words)
