"""
Two nodes as processes in the guest, whose link runs over what a row of the registry says.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bmff.ctl.ask import ask
from bmff.ibmff import OverrideRow
from bmff.keys import Secrets
from bmff.registry.embedded import EmbeddedRegistry
from tests.nodes import Home, Program, freePort, startNode
from tests.test_pathprocesses import Talker

reactor: Any = anyReactor  # mypy does not know which reactor there is

HOST = "127.0.0.1"
FIRST, SECOND = 25011, 25012
PATIENCE = 300.0  # seconds: the guest is slow, and slower where others use the machine
LOOK = 0.02  # seconds between two looks
SETTLED = 3.0  # seconds until a link that has changed its path changes it no more
TALK = 4.0  # seconds of a call


class LinkedNodes(TestCase):
    """
    What tests of such nodes stand on.

    @cvar more: lines of the nodes' section C{[fastforward]}.
    @ivar programs: the processes, by node.
    @ivar talkers: a hotspot at each node, which hears the other.
    """

    timeout = 900
    more = ""

    async def begin(self) -> None:
        """
        Start two nodes, link them, and log a hotspot in at each.
        """
        self.home = Home()
        self.addCleanup(self.home.remove)
        secrets = Secrets.create(self.home.state / "secrets.toml")
        password = secrets.homebrewPassword("hotspots") or b""
        self.registry = EmbeddedRegistry(reactor, self.home.state / "registry.sqlite")
        await self.registry.start()
        self.addCleanup(self.registry.stop)
        self.programs: dict[int, Program] = {}
        masters = [self._start(node) for node in (FIRST, SECOND)]
        await self.says(f"link to node {SECOND} is up", FIRST)
        await self.says(f"link to node {FIRST} is up", SECOND)
        self.talkers = [
            Talker(master, 2_340_001 + place, password, talk, hear)
            for place, (master, talk, hear) in enumerate(
                ((masters[0], 91, 92), (masters[1], 92, 91))
            )
        ]
        for talker in self.talkers:
            self.addCleanup(self._leave, talker)
        await self.comes(lambda: all(one.running for one in self.talkers), "the login")
        await deferLater(reactor, 2.0)  # what is heard is told to the other node

    def _start(self, node: int) -> int:
        """
        Start a process.

        @return: its UDP port for hotspots.
        """
        port = freePort()
        configuration = self.home.write(
            f'network = {node}\nstate = "{self.home.state}"\n'
            f'[homebrew]\nlisten = ["{HOST}:{port}"]\nhang_time = 0.2\n'
            f'[fastforward]\nlisten = ["{HOST}"]\nfolder = "{self.home.state}"\n{self.more}\n',
            f"{node}.toml",
        )
        self.programs[node] = program = startNode(self.home, configuration)
        self.addCleanup(program.remove)
        return port

    def _leave(self, talker: Talker) -> Deferred[None]:
        return Deferred.fromCoroutine(talker.stop())

    async def comes(self, condition: Callable[[], object], what: str) -> float:
        """
        Wait until something is so.

        @return: seconds.
        """
        begun = time.monotonic()
        while not condition():
            if time.monotonic() > begun + PATIENCE:
                logs = "\n".join(each.output for each in self.programs.values())
                self.fail(f"{what} does not come about in {PATIENCE} s:\n{logs}")
            await deferLater(reactor, LOOK)
        return time.monotonic() - begun

    async def says(self, text: str, node: int) -> float:
        """
        Wait until a node has written something.

        @return: seconds.
        """
        return await self.comes(lambda: text in self.programs[node].output, text)

    async def moveTo(self, transport: str, address: str) -> None:
        """
        Write rows that say how each node is reached, and wait until the link runs so at both ends.
        """
        nodes = {FIRST, SECOND}
        await self.comes(lambda: self.registry.nodes.keys() >= nodes, "a row of each node")
        for node in sorted(nodes):
            port = self.registry.nodes[node].port
            await self.registry.put(OverrideRow(node, 0, transport, address, port))
        for node, other in ((FIRST, SECOND), (SECOND, FIRST)):
            await self.says(f"link to node {other} now runs over {transport} to", node)
        await deferLater(reactor, SETTLED)  # both have connected at once, and one path stays

    def over(self, node: int) -> list[str]:
        """
        What a node says that its links run over.
        """
        links = ask(self.home.state / f"bmnode.{node}.sock", "links")["links"]
        return [str(link["transport"]) for link in links]

    async def talk(self) -> int:
        """
        A call in each direction at once, every frame of which is to be heard once, in its order
        and with all its bytes.

        @return: the frames that were heard.
        """
        for talker in self.talkers:
            talker.call()
        await deferLater(reactor, TALK)
        for talker in self.talkers:
            await talker.hangUp()
        first, second = self.talkers
        await self.comes(
            lambda: len(first.heard) >= len(second.sent) and len(second.heard) >= len(first.sent),
            "the last frame",
        )
        self.assertGreater(min(len(first.sent), len(second.sent)), 20)
        for heard, sent in ((first.heard, second.sent), (second.heard, first.sent)):
            if heard != sent:
                self.fail(
                    f"{len(sent)} frames sent, {len(heard)} heard, "
                    f"{[sent.index(one) if one in sent else -1 for one in heard]}"
                )
        return len(first.heard) + len(second.heard)

    async def kill(self) -> float:
        """
        Kill the second node in the middle of its call.

        @return: seconds until the first knows that it is gone.
        """
        self.talkers[1].call()
        await deferLater(reactor, 1.0)
        victim = self.programs[SECOND].process
        os.kill(victim.pid, signal.SIGKILL)
        took = await self.says(f"link to node {SECOND} is down", FIRST)
        victim.wait()
        for program in self.programs.values():
            self.assertNotIn("Traceback", program.output)
        return took
