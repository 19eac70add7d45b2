"""
Tests of TLS between processes, and between nodes that know each other by their registry.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from subprocess import Popen
from tempfile import mkdtemp
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bmff.config import parseConfiguration
from bmff.errors import ConfigurationError
from bmff.events import Events
from bmff.ibmff import OverrideRow
from bmff.keys import Secrets
from bmff.linkservice import LinkService
from bmff.protocols.turn import Turn
from bmff.registries import RegistryService, makeRegistry
from bmff.router.router import Router
from tests.nodes import ROOT
from tests.transports.tlscase import OURS, THEIRS, TLSCase

reactor: Any = anyReactor  # mypy does not know which reactor there is

DEATH = 0.05 + 0.2  # seconds until the death of a process is known, and for a busy machine
PATIENCE = 15.0  # seconds
HOST = "127.0.0.1"


class DeathTests(TLSCase, TestCase):
    """
    Tests of a process that dies.
    """

    async def test_killed(self) -> None:
        """
        When the other end's process is killed its path is lost at once.
        """
        _, door = self.listening(1)
        certificate, key = (str(path.absolute()) for path in self.files(OURS))
        arguments = str(self.ports[1]), certificate, key, str(THEIRS), self.known[THEIRS]
        process = Popen([sys.executable, "-m", "tests.transports.tlspeer", *arguments], cwd=ROOT)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        await self.until(lambda: door.opened)
        _, inbox = door.opened[0]
        await self.quiet()
        self.assertEqual(inbox.lost, [])
        begin = reactor.seconds()
        process.kill()
        await self.until(lambda: inbox.lost)
        self.assertLess(reactor.seconds() - begin, DEATH)


class LinkTests(TestCase):
    """
    Tests of nodes whose links run over TLS.
    """

    def setUp(self) -> None:
        self.folder = Path(mkdtemp(prefix="bmff-"))
        self.addCleanup(rmtree, self.folder)
        self.secrets = Secrets.create(self.folder / "secrets.toml")
        self.services: list[LinkService] = []
        self.registries: list[RegistryService] = []

    def make(self, node: int, more: str) -> LinkService:
        """
        A node, not started.

        @param more: lines of its section C{[fastforward]}.
        """
        text = (
            f'network = {node}\nstate = "{self.folder}"\n'
            f'[fastforward]\nlisten = ["{HOST}"]\nfolder = "{self.folder}"\n{more}'
        )
        configuration = parseConfiguration(text, "test", self.folder)
        assert configuration.fastforward is not None
        turn = Turn(reactor, Router(lambda event: None))
        events = Events()
        registry = RegistryService(makeRegistry(reactor, configuration.registry, self.secrets))
        self.registries.append(registry)
        service = LinkService(
            reactor,
            configuration,
            configuration.fastforward,
            self.secrets,
            registry,
            turn,
            events.publish,
        )
        events.watch(service.choices.watch)
        return service

    async def start(self, *more: str) -> None:
        """
        Nodes 25001, 25002 ..., with these lines.
        """
        for number, lines in enumerate(more):
            service = self.make(25001 + number, lines)
            self.services.append(service)
            self.registries[-1].startService()
            service.startService()
            await service.started

    async def stop(self) -> None:
        """
        Stop them.
        """
        await gatherResults([service.stopService() for service in self.services])
        await gatherResults([registry.stopService() for registry in self.registries])

    async def until(self, condition: Callable[[], object]) -> None:
        """
        Wait until something is so.
        """
        end = reactor.seconds() + PATIENCE
        while not condition():
            if reactor.seconds() > end:
                self.fail("it does not become so")
            await deferLater(reactor, 0.02)

    async def override(self) -> None:
        """
        Say that both are reached over TLS.
        """
        first, second = self.services
        for node, service in ((25001, first), (25002, second)):
            await first.registry.put(OverrideRow(node, 0, "tls", HOST, service.port))

    def carriers(self) -> set[str]:
        """
        What the links run over.
        """
        links = [link for one in self.services for link in one.fastForward.links.values()]
        return {link.path.traits.name for link in links if link.ready and link.path is not None}

    async def test_link(self) -> None:
        """
        Nodes that share a registry make their certificates, find each other's fingerprint in it and
        are linked over TLS as the override says; TCP is there on the same number.
        """
        await self.start("tls = true", "tls = true")
        try:
            await self.override()
            await self.until(lambda: self.carriers() == {"tls"})
            for one in self.services:
                self.assertIn("tcp", one.transports)
                assert one.certificate is not None
                fingerprint = one.registry.nodes[one.certificate.node].fingerprint
                self.assertEqual(fingerprint, one.certificate.fingerprint)
                self.assertEqual(len(one.fingerprints()), 2)
            made = {path.name for path in self.folder.glob("fastforward.*")}
            self.assertEqual(len(made), 4)
            before = self.services[0].certificate
        finally:
            await self.stop()
        self.services.clear()
        await self.start("tls = true")
        (again,) = self.services
        self.assertEqual(again.certificate, before)
        await self.stop()

    async def test_pinned(self) -> None:
        """
        A fingerprint in the configuration comes before that of the registry: where it is another
        one the node is not reached over TLS, and why is told.
        """
        wrong = ":".join(["AB"] * 32)
        await self.start(f'tls = true\nfingerprints = {{ 25002 = "{wrong}" }}', "tls = true")
        try:
            first, _ = self.services
            self.assertEqual(first.fingerprints()[25002], "ab" * 32)
            await self.override()
            await self.until(lambda: "certificate" in self.missing())
            self.assertNotIn("tls", self.carriers())
        finally:
            await self.stop()

    def missing(self) -> str:
        """
        Why the first node has no path over TLS to the second.
        """
        choice = self.services[0].choices.all().get(25002)
        return choice.missing.get("tls", "") if choice is not None else ""

    async def test_off(self) -> None:
        """
        Where it is not switched on there is no TLS, no certificate and no fingerprint.
        """
        await self.start("")
        try:
            (one,) = self.services
            self.assertIn("not switched on", one.unavailable["tls"])
            await self.until(lambda: 25001 in one.registry.nodes)
            self.assertEqual(one.registry.nodes[25001].fingerprint, "")
            self.assertEqual(list(self.folder.glob("fastforward.*")), [])
        finally:
            await self.stop()

    def test_key(self) -> None:
        """
        A node whose private key others can read does not start.
        """
        key = self.folder / "my.key"
        key.write_text("")
        os.chmod(key, 0o644)
        service = self.make(25001, 'tls = true\nprivate_key = "my.key"')
        error = self.assertRaises(ConfigurationError, service.startService)
        self.assertIn("others can read it", str(error))

    def test_badFingerprint(self) -> None:
        """
        What is no fingerprint is a mistake of the configuration.
        """
        for text in ("", "ab", "xy" * 32, "ab" * 33):
            error = self.assertRaises(
                ConfigurationError, self.make, 25001, f'fingerprints = {{ 25002 = "{text}" }}'
            )
            self.assertIn("must be a fingerprint", str(error))
