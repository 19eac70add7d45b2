"""
Nodes as processes that share a registry, and hotspots at two of them that talk to one another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar, Final

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bmff.ibmff import OverrideRow
from bmff.keys import Secrets
from bmff.registry.embedded import EmbeddedRegistry
from tests.nodes import PATIENCE, Home, Program, freePort, startNode
from tests.talker import HOST, Talker

reactor: Any = anyReactor  # mypy does not know which reactor there is

FIRST: Final = 25011
SECOND: Final = 25012
THIRD: Final = 25013


class LinkedNodes(TestCase):
    """
    What tests of such nodes stand on.

    @cvar patience: seconds until what does not come about has failed.
    @cvar look: seconds between two looks at what a process has written.
    @cvar told: seconds until the other node has been told what is heard.
    @cvar addresses: what the nodes listen at for one another.
    @cvar more: lines of the nodes' section C{[fastforward]}.
    @ivar registry: the one that they share.
    @ivar programs: the processes, by node.
    """

    timeout = 300
    patience: ClassVar[float] = PATIENCE
    look: ClassVar[float] = 0.002
    told: ClassVar[float] = 0.5
    addresses: ClassVar[tuple[str, ...]] = (HOST,)
    more: ClassVar[str] = ""

    def setUp(self) -> None:
        self.home = Home()
        self.addCleanup(self.home.remove)
        secrets = Secrets.create(self.home.state / "secrets.toml")
        self._password = secrets.homebrewPassword("hotspots") or b""
        self.programs: dict[int, Program] = {}
        self._masters: dict[int, int] = {}
        self.registry = EmbeddedRegistry(reactor, self.home.state / "registry.sqlite")

    async def begin(self, *nodes: int) -> None:
        """
        Start nodes, and wait until each is linked with all others.
        """
        await self.registry.start()
        self.addCleanup(self.registry.stop)
        for node in nodes:
            self._startNode(node)
        for node in nodes:
            for other in nodes:
                if other != node:
                    await self.until(f"link to node {other} is up", node)

    def _startNode(self, node: int) -> None:
        self._masters[node] = port = freePort()
        listen = ", ".join(f'"{address}"' for address in self.addresses)
        configuration = self.home.write(
            f'network = {node}\nstate = "{self.home.state}"\n'
            f'[homebrew]\nlisten = ["{HOST}:{port}"]\nhang_time = 0.2\n'
            f'[fastforward]\nlisten = [{listen}]\nfolder = "{self.home.state}"\n{self.more}\n',
            f"{node}.toml",
        )
        self.programs[node] = program = startNode(self.home, configuration)
        self.addCleanup(program.remove)

    async def talkersAt(self, *nodes: int) -> list[Talker]:
        """
        A hotspot at each of two nodes, each of which hears the other.
        """
        found = []
        for place, (talk, hear) in enumerate(((91, 92), (92, 91))):
            master, radio = self._masters[nodes[place]], 2_340_001 + place
            talker = Talker(master, radio, self._password, talk, hear)
            self.addCleanup(self._leave, talker)
            found.append(talker)
        await self.comes(lambda: all(one.running for one in found), "the login")
        await deferLater(reactor, self.told)
        return found

    def _leave(self, talker: Talker) -> Deferred[None]:
        return Deferred.fromCoroutine(talker.stop())

    async def comes(self, condition: Callable[[], object], what: str) -> float:
        """
        Wait until something is so.

        @return: seconds.
        """
        begun = time.monotonic()
        while not condition():
            if time.monotonic() > begun + self.patience:
                logs = "\n".join(each.output for each in self.programs.values())
                self.fail(f"{what} does not come about in {self.patience} s:\n{logs}")
            await deferLater(reactor, self.look)
        return time.monotonic() - begun

    async def until(self, text: str, *nodes: int, times: int = 1) -> float:
        """
        Wait until nodes have written something this often.

        @return: seconds.
        """
        programs = [self.programs[node] for node in nodes]
        return await self.comes(
            lambda: all(each.output.count(text) >= times for each in programs), text
        )

    async def override(self, transport: str, *nodes: int, address: str | None = None) -> None:
        """
        Write rows that say how nodes are reached.

        @param address: where; this host when L{None}.
        """
        await self.comes(lambda: self.registry.nodes.keys() >= set(nodes), "a row of each node")
        if address is None:
            address = "" if transport == "unix" else HOST
        for node in nodes:
            port = self.registry.nodes[node].port
            await self.registry.put(OverrideRow(node, 0, transport, address, port))
