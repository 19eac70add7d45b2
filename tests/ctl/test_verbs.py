"""
Tests of L{bmff.ctl.verbs}, L{bmff.ctl.state} and L{bmff.ctl.heard}, against the real API of a node.
"""

from __future__ import annotations

import json
import sys
from io import StringIO

from twisted.internet.threads import deferToThread

from bmff.ctl.main import main
from bmff.web.control import controlSite
from tests.web.apicase import OTHER, STATION, SomeNode
from tests.web.case import SocketTestCase


class NodeTestCase(SocketTestCase):
    """
    A node with two hotspots, behind its control socket.
    """

    def setUp(self) -> None:
        super().setUp()
        self.node = SomeNode()
        self.addCleanup(self.node.api.stop)
        self.serve(controlSite(self.node.api.resources.items(), None))
        self.one = self.node.hotspot(STATION)
        self.other = self.node.hotspot(OTHER)
        self.out = self.err = ""

    async def command(self, *words: str) -> int:
        """
        Run a command in a thread, as it waits for the node.
        """
        out, err = StringIO(), StringIO()
        patches = self.patch(sys, "stdout", out), self.patch(sys, "stderr", err)
        try:
            return await deferToThread(main, [*words, "--socket", self.path])
        finally:
            for patch in patches:
                patch.restore()
            self.out, self.err = out.getvalue(), err.getvalue()

    async def lines(self, *words: str) -> list[list[str]]:
        """
        Run a command that succeeds.

        @return: the words of each line.
        """
        self.assertEqual(await self.command(*words), 0, self.err)
        return [line.split() for line in self.out.splitlines()]


class VerbsTests(NodeTestCase):
    """
    Commands that have a node do something.
    """

    def here(self) -> list[int]:
        """
        Who is logged in.
        """
        return sorted(session.peerID for session in self.node.homebrew.master)

    async def test_peers(self) -> None:
        """
        Peers are sent away, banned and let in again; the orders are listed.
        """
        self.assertEqual(await self.command("disconnect", "2340002"), 0)
        self.assertEqual(self.out, "peer 2340002 is sent away\n")
        self.assertEqual(self.here(), [OTHER.peerID])
        self.assertEqual(await self.command("ban", "234000301", "--reason", "noise"), 0)
        self.assertEqual(self.here(), [])
        rows = await self.lines("orders")
        self.assertEqual(rows[1], ["234000301", "ban", "noise"])
        self.assertEqual(await self.command("unban", "234000301", "--json"), 0)
        self.assertEqual(json.loads(self.out), {"peer": {"id": 234000301, "here": False}})
        self.assertEqual(await self.command("disconnect", "1"), 1)
        self.assertEqual(self.err, "bmffctl: no peer 1 is here\n")

    async def test_static(self) -> None:
        """
        Talkgroups are set, and given back to the configuration.
        """
        self.assertEqual(await self.command("static", "2340002", "--slot2", "235, 234"), 0)
        self.assertEqual(self.out, "peer 2340002 hears always: slot 1: 91; slot 2: 235 234\n")
        self.assertEqual(await self.command("static", "2340002", "--slot1", ""), 0)
        self.assertEqual(self.out, "peer 2340002 hears always: slot 1: nothing; slot 2: 235 234\n")
        rows = await self.lines("orders")
        self.assertEqual(
            rows[1:], [["2340002", "slot", "1", "nothing"], ["2340002", "slot", "2", "235", "234"]]
        )
        words = ("static", "2340002", "--slot1", "configured", "--slot2", "configured")
        self.assertEqual(await self.command(*words), 0)
        self.assertEqual(self.node.orders.static, {})

    async def test_drain(self) -> None:
        """
        A node is emptied and opened again.
        """
        self.node.call(self.one)
        self.assertEqual(await self.command("drain"), 0)
        self.assertEqual(self.out, "nobody new may log in; 2 are in calls still\n")
        self.assertEqual(await self.command("health"), 1)
        self.assertIn("the node is being emptied", self.out)
        self.assertEqual(await self.command("undrain"), 0)
        self.assertEqual(self.out, "hotspots may log in again\n")

    async def test_calls(self) -> None:
        """
        A call is ended by its stream ID, a message is sent.
        """
        self.node.call(self.one)
        self.assertEqual(await self.command("drop", "beef"), 0)
        self.assertEqual(self.out, "call 0000beef is ended\n")
        self.assertEqual([call.stream for call in self.node.dropped], [0xBEEF])
        self.assertEqual(await self.command("message", "9990", "91", "hello", "--group"), 0)
        self.assertEqual(self.out, "on its way to talkgroup 91\n")
        self.assertEqual(self.node.messages.sent, [("hello", 9990, 91, True)])
        self.assertEqual(await self.command("message", "9990", "2340001", "hello"), 1)
        self.assertEqual(self.err, "bmffctl: too many messages are under way\n")

    async def test_words(self) -> None:
        """
        Words that are off never reach a node.
        """
        for line in (
            "disconnect",
            "disconnect x",
            "ban 0",
            "ban 4294967296",
            "static 1",
            "static 1 --slot1 x",
            "drop xyz",
            "drop -- -1",
            "message 1 2",
            "message 0 2 hello",
        ):
            words = line.split()
            out, err = StringIO(), StringIO()
            patches = self.patch(sys, "stdout", out), self.patch(sys, "stderr", err)
            self.assertEqual((line, main(words)), (line, 2))
            for patch in patches:
                patch.restore()
            self.assertEqual(err.getvalue().count("\n"), 1)


class LooksTests(NodeTestCase):
    """
    Commands that show how a node is.
    """

    async def test_health(self) -> None:
        """
        Each part has a line, and the exit code says whether something is critical.
        """
        self.assertEqual(await self.command("health"), 1)
        self.assertIn(
            ["link:25013", "critical", "no", "answer"],
            [line.split() for line in self.out.splitlines()],
        )
        self.node.links.states = {25012: "waiting"}
        self.node.ports.append(self.node.port)
        rows = await self.lines("health")
        self.assertIn(["logins", "passing", "2", "are", "here"], rows)

    async def test_status(self) -> None:
        """
        Numbers have a line each.
        """
        rows = await self.lines("status")
        self.assertIn(["peers", "2"], rows)
        self.assertIn(["draining", "no"], rows)
        rows = await self.lines("system")
        self.assertIn(["network", "25011"], rows)

    async def test_cluster(self) -> None:
        """
        The node that was asked is marked.
        """
        rows = await self.lines("cluster")
        self.assertEqual(rows[0], ["environment", "test"])
        self.assertEqual([row[0] for row in rows[2:]], ["25011*", "25012"])

    async def test_heard(self) -> None:
        """
        Calls have a line each, those that are on first.
        """
        self.node.call(self.one, frames=0, stream=1)
        self.node.call(self.one)
        rows = await self.lines("lastheard")
        self.assertEqual([row[-1] for row in rows[1:]], ["on", "0.0%"])
        self.assertEqual(rows[1][2:6], ["2340001", "TG", "91", "G4TST"])

    async def test_talkgroups(self) -> None:
        """
        Talkgroups have a line each.
        """
        rows = await self.lines("talkgroups")
        self.assertEqual(rows[1][:3], ["91", "2", "0"])
