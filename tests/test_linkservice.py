"""
Tests of L{bmff.linkservice}: nodes of one host, with real sockets and a real registry.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bmff.config import parseConfiguration
from bmff.events import Event
from bmff.keyfile import addKey, newKey, removeKey, useKey
from bmff.keys import Secrets
from bmff.linkservice import LinkService
from bmff.protocols.turn import Turn
from bmff.router.router import Router

PATIENCE = 15.0  # seconds; a busy machine takes longer than the promise


class LinkServiceTests(TestCase):
    """
    Nodes that know nothing of each other but one SQLite file.
    """

    def setUp(self) -> None:
        self.folder = Path(mkdtemp(prefix="bmff-"))
        self.addCleanup(rmtree, self.folder)
        self.secrets = Secrets.create(self.folder / "secrets.toml")
        self.services: list[LinkService] = []
        self.events: list[Event] = []

    async def start(self, count: int) -> None:
        """
        Nodes 25001, 25002 ...
        """
        for number in range(count):
            text = (
                f'network = {25001 + number}\nstate = "{self.folder}"\n'
                f'[fastforward]\nlisten = ["127.0.0.1"]\nfolder = "{self.folder}"\n'
            )
            configuration = parseConfiguration(text, "test", self.folder)
            assert configuration.fastforward is not None
            router = Router(self.events.append)
            service = LinkService(
                anyReactor,
                configuration,
                configuration.fastforward,
                self.secrets,
                Turn(anyReactor, router),
                self.events.append,
            )
            self.services.append(service)
            service.startService()
        await gatherResults([service.started for service in self.services])

    async def stop(self) -> None:
        for service in self.services:
            await service.stopService()

    async def until(self, condition: Callable[[], bool]) -> float:
        """
        Wait until something is so.

        @return: seconds.
        """
        begin = anyReactor.seconds()
        while not condition():
            now = anyReactor.seconds()
            if now > begin + PATIENCE:
                self.fail("it does not become so")
            await deferLater(anyReactor, 0.02)
        return float(anyReactor.seconds() - begin)

    def meshed(self) -> bool:
        others = len(self.services) - 1
        return all(
            sum(link.ready for link in service.fastForward.links.values()) == others
            for service in self.services
        )

    async def test_tenNodes(self) -> None:
        """
        Ten nodes with nothing configured find each other, each at a number of its own.
        """
        await self.start(10)
        try:
            await self.until(self.meshed)
            self.assertEqual(len({service.port for service in self.services}), 10)
            described = self.services[0].describeNodes()
            self.assertEqual({each["state"] for each in described}, {"linked"})
            self.assertEqual(len(described), 9)
        finally:
            await self.stop()

    async def test_leaving(self) -> None:
        """
        A node that stops says good-bye: the others have no link to it and know it no longer.
        """
        await self.start(2)
        try:
            await self.until(self.meshed)
            leaving = self.services.pop()
            await leaving.stopService()
            await self.until(lambda: not self.services[0].fastForward.links)
            await self.until(lambda: not self.services[0].describeNodes())
        finally:
            await self.stop()

    async def test_keyRotated(self) -> None:
        """
        When the key is rotated the links stay, and their sessions are made anew under the new one.
        """
        await self.start(2)
        try:
            await self.until(self.meshed)
            links = [next(iter(one.fastForward.links.values())) for one in self.services]
            addKey(self.secrets.path, "second", newKey())
            useKey(self.secrets.path, "second")
            self.secrets.refresh()
            await self.until(
                lambda: all(
                    connection.keyID == "second"
                    for service in self.services
                    for connection in service.fastForward.connections
                )
            )
            removeKey(self.secrets.path, "group")
            self.secrets.refresh()
            await deferLater(anyReactor, 1.5)
            self.assertEqual(
                [next(iter(one.fastForward.links.values())) for one in self.services], links
            )
            self.assertTrue(self.meshed())
        finally:
            await self.stop()
