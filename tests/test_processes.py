"""
A node and its hotspots as real processes, which talk over the sockets of this host.
"""

from __future__ import annotations

import json
import re
import signal
from typing import Any

from bmff.ctl.ask import ask
from tests.ctl.case import CtlTestCase
from tests.nodes import Program, freePort, startCtl, startNode, until

FRAMES = 20  # of a call of a second: a header, three superframes, a terminator


class ProcessesTests(CtlTestCase):
    """
    A node as twistd runs it.
    """

    def setUp(self) -> None:
        super().setUp()
        self.address = f"127.0.0.1:{freePort()}"
        self.configuration = self.home.node(port=int(self.address.rpartition(":")[2]))
        self.socket = self.home.state / "bmnode.25011.sock"
        self.node = self.started(startNode(self.home, self.configuration))
        self.node.says("bmffctl reaches this node at")

    def started(self, program: Program) -> Program:
        """
        Have a program be gone when the test is over.
        """
        self.addCleanup(program.remove)
        return program

    def hotspot(self, name: str, *arguments: str) -> Program:
        """
        Start a hotspot that knows the password.
        """
        words = ("hotspot", "--config", str(self.configuration), *arguments, self.address)
        return self.started(startCtl(self.home, name, *words))

    def ended(self) -> list[dict[str, Any]]:
        """
        The calls that have ended.
        """
        content: dict[str, Any] = ask(self.socket, "calls")
        calls: list[dict[str, Any]] = content["ended"]
        return calls

    def test_call(self) -> None:
        """
        One hotspot calls, another hears every frame; the operator sees both and the call; a node
        that is told to end says good-bye and does.
        """
        listener = self.hotspot(
            "listener", "--id", "2340002", "--options", "TS2=91", "--listen", "600"
        )
        listener.says("\nlogged in\n")
        talker = self.hotspot(
            "talker",
            *("--id", "2340001", "--call", "91", "--seconds", "1"),
            *("--stamp", "--json", "--listen", "600"),
        )
        until(self.ended, "the call")
        (call,) = self.ended()
        self.assertEqual((call["frames"], call["lost"]), (FRAMES, 0))
        self.assertEqual((call["source"], call["reason"]), (2340001, "terminator"))

        self.assertEqual(self.command("peers", "--config", str(self.configuration)), 0)
        rows = [line.split() for line in self.out.splitlines()[1:]]
        self.assertEqual([row[0] for row in rows], ["2340001", "2340002"])
        self.assertIn("91*", rows[0])
        self.assertIn("91", rows[1])
        self.assertEqual(self.command("calls", "--config", str(self.configuration)), 0)
        (row,) = self.out.splitlines()[1:]
        self.assertIn("TG 91", row)
        self.assertEqual(row.split()[-3:], [str(FRAMES), "0", "terminator"])

        self.node.terminate()
        # twistd dies of the signal that ended it, after it has stopped everything.
        self.assertEqual(self.node.ends(), -signal.SIGTERM)
        self.assertNotIn("Traceback", self.node.output)
        self.assertFalse(self.socket.exists())
        listener.says("not logged in: closed by the master")

        for program in (listener, talker):
            program.terminate()
            self.assertEqual(program.ends(), 0, program.output)
        report = listener.output.splitlines()[-1]
        self.assertIn(f"heard {FRAMES} in 1 calls, lost 0 (0.0 %)", report)
        latency = re.search(r"latency ([\d.]+) ms median", report)
        assert latency is not None, report
        self.assertLess(float(latency[1]), 1000.0)
        self.assertEqual(
            json.loads(talker.output), {"sent": FRAMES, "heard": 0, "lost": 0, "calls": 0}
        )

    def test_visit(self) -> None:
        """
        A hotspot that is told to end logs out; one with a wrong password is refused with exit
        code 1.
        """
        hotspot = self.hotspot("hotspot", "--listen", "600")
        hotspot.says("\nlogged in\n")
        hotspot.terminate()
        self.assertEqual(hotspot.ends(), 0)
        self.node.says("is gone: closed by the peer")
        password = self.home.write("guess\n", "password")
        stranger = self.hotspot("stranger", "--password-file", str(password), "--id", "5")
        self.assertEqual(stranger.ends(), 1)
        self.assertIn("not logged in: refused", stranger.output)
        self.node.says("refused: wrong password")
