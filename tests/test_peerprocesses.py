"""
A node as a real process whose registry changes under its hotspots.
"""

from __future__ import annotations

import re
import time

from bmff.testing.registry import PROMPT
from tests.ctl.case import CtlTestCase
from tests.nodes import Program, freePort, startCtl, startNode, until


class PeerProcessesTests(CtlTestCase):
    """
    A node that links to others, and so has a registry.
    """

    def setUp(self) -> None:
        super().setUp()
        self.address = f"127.0.0.1:{freePort()}"
        folder = self.home.folder
        self.configuration = self.home.node(
            port=int(self.address.rpartition(":")[2]),
            more=f'[fastforward]\nlisten = ["127.0.0.1"]\nfolder = "{folder}"\n',
        )
        self.node = self.begun(startNode(self.home, self.configuration))
        self.node.says("other nodes reach node 25011")

    def begun(self, program: Program) -> Program:
        """
        Have a program be gone when the test is over.
        """
        self.addCleanup(program.remove)
        return program

    def hotspot(self, name: str, *words: str) -> Program:
        """
        A hotspot that is logged in.
        """
        common = ("hotspot", "--config", str(self.configuration), *words, "--listen", "600")
        program = self.begun(startCtl(self.home, name, *common, self.address))
        program.says("\nlogged in\n")
        return program

    def do(self, *words: str) -> str:
        """
        Run a command.

        @return: what it prints.
        """
        self.assertEqual(self.command(*words, "--config", str(self.configuration)), 0, self.err)
        return self.out

    def prompt(self, said: str) -> None:
        """
        See that the node says something within a second.
        """
        begun = time.monotonic()
        until(lambda: said in self.node.output, said)
        self.assertLess(time.monotonic() - begun, PROMPT, self.node.output)

    def test_peers(self) -> None:
        """
        A talkgroup that is added reaches a hotspot within a second, and a ban ends its session
        within one.
        """
        self.hotspot("one", "--id", "2340001")
        self.hotspot("two", "--id", "234000201")
        self.do("subscription", "add", "2340002", "2", "91")
        begun = time.monotonic()
        until(lambda: re.search(r"234000201 .* 91\b", self.do("peers")), "the talkgroup")
        self.assertLess(time.monotonic() - begun, PROMPT)
        self.do("peer", "ban", "2340002")
        self.prompt("banned")
        self.assertNotIn("234000201", self.do("peers"))
        self.assertIn("2340001", self.do("peers"))
