"""
Tests of L{bmff.linkservice}: nodes of one host, with real sockets and a real registry.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import attrs
from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bmff.config import parseConfiguration
from bmff.errors import ConfigurationError
from bmff.events import Event, Events, PathTried, PeerLost
from bmff.ibmff import OverrideRow
from bmff.keyfile import addKey, newKey, removeKey, useKey
from bmff.keys import Secrets
from bmff.linkservice import KeyLogFile, LinkService
from bmff.protocols.homebrew import HomeBrew
from bmff.protocols.turn import Turn
from bmff.registries import RegistryService, makeRegistry
from bmff.router.router import Router
from bmff.sections.values import Target as TargetSetting
from bmff.sockets.addresses import packAddress
from bmff.testing.everybody import Everybody
from bmff.testing.hotspots import VirtualHotspot
from bmff.testing.network import VirtualNetwork
from bmff.wire.fastforward.handshake import Established
from bmff.wire.fastforward.keylog import KeyLog, LoggedSession
from bmff.wire.fastforward.noise import Keys
from bmff.wire.homebrew import Station
from tests.nodes import FASTEST

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
        self.turns: list[Turn] = []
        self.registries: list[RegistryService] = []

    async def start(self, count: int, more: str = "") -> None:
        """
        Nodes 25001, 25002 ...

        @param more: lines of their section C{[fastforward]}.
        """
        for number in range(count):
            text = (
                f'network = {25001 + number}\nstate = "{self.folder}"\n'
                f'[fastforward]\nlisten = ["127.0.0.1"]\nfolder = "{self.folder}"\n{more}'
            )
            configuration = parseConfiguration(text, "test", self.folder)
            assert configuration.fastforward is not None
            turn = Turn(anyReactor, Router(self.events.append))
            self.turns.append(turn)
            registry = RegistryService(
                makeRegistry(anyReactor, configuration.registry, self.secrets)
            )
            registry.startService()
            self.registries.append(registry)
            service = LinkService(
                anyReactor,
                configuration,
                configuration.fastforward,
                self.secrets,
                registry,
                turn,
                self.events.append,
            )
            self.services.append(service)
            service.startService()
        await gatherResults([service.started for service in self.services])

    async def stop(self) -> None:
        for service in self.services:
            await service.stopService()
        for registry in self.registries:
            await registry.stopService()

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

    async def test_rowStays(self) -> None:
        """
        The row of a node that has stopped stays and says so: it counts for nobody, and can be told
        from that of one that was taken away.
        """
        await self.start(2)
        try:
            await self.until(self.meshed)
            leaving = self.services.pop()
            before = self.services[0].registry.nodes[25002]
            await leaving.stopService()
            rows = self.services[0].registry
            await self.until(lambda: rows.nodes[25002].seen == 0)
            self.assertEqual(rows.nodes[25002], replace(before, seen=0.0))
            self.assertEqual(self.services[0].cluster.ways.known(), {})
        finally:
            await self.stop()

    async def test_nextProcess(self) -> None:
        """
        A node that stops leaves the row alone that its next process has written already.
        """
        await self.start(2)
        try:
            await self.until(self.meshed)
            leaving = self.services.pop()
            newer = replace(leaving.registry.nodes[25002], boot=5, pid=4711)
            await self.services[0].registry.put(newer)
            await self.until(lambda: leaving.registry.nodes[25002] == newer)
            await leaving.stopService()
            await self.services[0].registry.put(OverrideRow(25009, 0, "auto", "", 0))  # in its turn
            self.assertEqual(self.services[0].registry.nodes[25002], newer)
        finally:
            await self.stop()

    async def test_noRegistry(self) -> None:
        """
        Where links cannot be made who waits for them is told at once, and why, in a line
        for each part.
        """
        (self.folder / "registry.sqlite").write_text("no database, but long enough " * 100)
        with capturedLogs() as logs:
            await self.start(1)
        (service,) = self.services
        self.assertIn("registry.sqlite", service.failure)
        said = [formatEvent(each) for each in logs if each["log_level"] is LogLevel.error]
        reason = service.failure
        registry = f"the registry cannot be used: {reason}"
        self.assertEqual(said, [registry, f"no links to other nodes: {reason}"])
        self.assertEqual((service.port, service.describeNodes()), (0, []))
        await self.stop()

    async def test_stoppedEarly(self) -> None:
        """
        A node that is stopped while it starts has opened nothing afterwards, and says nothing.
        """
        with capturedLogs() as logs:
            starting = Deferred.fromCoroutine(self.start(1))
            (service,) = self.services
            await service.stopService()
            await deferLater(anyReactor, 0.05)
        self.assertNoResult(starting)
        self.assertEqual((service.port, service.transports), (0, {}))
        self.assertEqual([formatEvent(each) for each in logs], [])

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

    async def test_otherKey(self) -> None:
        """
        Under the key that a changed configuration names sessions are made anew, and the links stay;
        a key that nobody knows is a mistake, and so is nothing else.
        """
        await self.start(2)
        try:
            await self.until(self.meshed)
            links = [next(iter(one.fastForward.links.values())) for one in self.services]
            wanted = attrs.evolve(self.services[0]._settings, key="second")
            with self.assertRaises(ConfigurationError) as caught:
                self.services[0].prepare(wanted)
            self.assertIn("fastforward.key: names the key 'second'", str(caught.exception))
            addKey(self.secrets.path, "second", newKey())
            self.secrets.refresh()
            for service in self.services:
                service.prepare(wanted)()
            await self.until(
                lambda: all(
                    connection.keyID == "second"
                    for service in self.services
                    for connection in service.fastForward.connections
                )
            )
            self.assertEqual(
                [next(iter(one.fastForward.links.values())) for one in self.services], links
            )
            self.assertTrue(self.meshed())
        finally:
            await self.stop()

    async def test_otherTargets(self) -> None:
        """
        A node that is named as a target is looked for at once; when it is named no longer it is
        not, and a link to it that there is goes on.
        """
        await self.start(2)
        try:
            first, second = self.services
            await self.until(self.meshed)
            link = first.fastForward.links[25002]
            named = (TargetSetting(25002, "127.0.0.1", second.port), TargetSetting(25009, "::1", 9))
            first.prepare(attrs.evolve(first._settings, targets=named))()
            tried = [each.node for each in self.events if isinstance(each, PathTried)]
            self.assertIn(25009, tried)
            self.assertEqual([each["node"] for each in first.describeNodes()], [25002, 25009])
            first.prepare(attrs.evolve(first._settings, targets=()))()
            self.assertEqual([each["node"] for each in first.describeNodes()], [25002])
            self.assertIs(first.fastForward.links[25002], link)
            self.assertTrue(link.ready)
        finally:
            await self.stop()

    async def test_otherFingerprints(self) -> None:
        """
        Fingerprints count as the configuration says them now.
        """
        await self.start(1)
        (service,) = self.services
        self.assertEqual(service.fingerprints(), {})
        digits = ":".join(["AB"] * 32)
        service.prepare(attrs.evolve(service._settings, fingerprints={25009: digits}))()
        self.assertEqual(service.fingerprints(), {25009: "ab" * 32})
        await self.stop()

    async def test_keyLog(self) -> None:
        """
        The keys of each session whose packets are sealed are in the file, by both of its ends; it
        is its owner's alone, and there is a warning.
        """
        path = self.folder / "links.keys"
        with capturedLogs() as logs:
            await self.start(2, f'keylog = "{path}"\n')
        try:
            await self.until(self.meshed)
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            log = KeyLog(path.read_text().splitlines())
            sealed = [
                connection.path.session
                for service in self.services
                for connection in service.fastForward.connections
                if connection.path is not None and not connection.path.traits.trusted
            ]
            self.assertEqual(len(sealed), 2)
            logged = {session.localIndex for session in log.sessions}
            for session in sealed:
                assert session is not None
                self.assertIn(session.localIndex, logged)
            self.assertEqual(log.skipped, 0)
        finally:
            await self.stop()
        said = [formatEvent(each) for each in logs if each["log_level"] is LogLevel.warn]
        warning = f"who has the file {path} can read what the links of this node carry"
        self.assertEqual(said.count(warning), 2)

    async def test_noKeyLog(self) -> None:
        """
        Nothing is written when it is not asked for.
        """
        await self.start(2)
        try:
            await self.until(self.meshed)
            self.assertTrue(all(one.fastForward.keyLog is None for one in self.services))
        finally:
            await self.stop()

    async def test_described(self) -> None:
        """
        Of a linked node it is told what carries the link, whatever it was reached over first; a
        row that leaves the choice to the nodes is no override.
        """
        await self.start(2)
        try:
            await self.until(self.meshed)
            first, second = self.services
            node = 25002
            await first.registry.put(OverrideRow(node, 0, "auto", "", 0))
            await self.until(lambda: first.describeNodes()[0]["transport"] == FASTEST)
            (described,) = first.describeNodes()
            self.assertEqual((described["override"], described["port"]), (False, second.port))
            await first.registry.put(OverrideRow(node, 0, "tcp", "127.0.0.1", second.port))
            await self.until(lambda: first.describeNodes()[0]["transport"] == "tcp")
            self.assertTrue(first.describeNodes()[0]["override"])
            self.assertEqual(first.choices.all()[node].override, "tcp")
        finally:
            await self.stop()

    async def test_peerMoves(self) -> None:
        """
        A hotspot that logs in at one node and then at another is at the other alone, and the first
        says nothing to it.
        """
        await self.start(2)
        try:
            await self.until(self.meshed)
            network = VirtualNetwork(anyReactor)  # type: ignore[arg-type]
            masters = []
            for number, (service, turn) in enumerate(zip(self.services, self.turns, strict=True)):
                watch = Events()
                watch.watch(self.events.append)
                watch.watch(service.cluster.watch)
                homebrew = HomeBrew(anyReactor, turn, watch.publish, Everybody(), bytes(32))
                receiver = homebrew.port()
                receiver.transport = network.bind(receiver, f"192.0.2.{1 + number}", 62031)
                masters.append(homebrew)
                self.addCleanup(homebrew.stop)
            first = self.hotspot(network, 1)
            await self.until(lambda: masters[0].peer(7) is not None)
            said = len(first.received)
            self.hotspot(network, 2)
            await self.until(lambda: masters[0].peer(7) is None)
            await self.until(lambda: masters[1].peer(7) is not None)
            self.assertIn(PeerLost(7, "N7", "logged in at node 25002"), self.events)
            self.assertEqual(len(first.received), said)
        finally:
            await self.stop()

    def hotspot(self, network: VirtualNetwork, number: int) -> VirtualHotspot:
        """
        Hotspot 7, which logs in to a master once.
        """
        master = packAddress(f"192.0.2.{number}", 62031)
        station = Station(7, "N7")
        hotspot = VirtualHotspot(network, master, station, host=f"198.51.100.{number}")
        hotspot.client.start(anyReactor.seconds())
        hotspot.flush()
        return hotspot


class KeyLogFileTests(SynchronousTestCase):
    """
    The file of a key log.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def established(self, index: int) -> Established:
        """
        A session.
        """
        return Established(Keys(b"s" * 32, b"r" * 32, b"h" * 32), index, index + 100, 7, False)

    def refused(self, path: Path) -> str:
        """
        What is wrong with a file.
        """
        error = self.assertRaises(ConfigurationError, KeyLogFile, path)
        (mistake,) = error.mistakes
        self.assertEqual(mistake.place, str(path))
        return str(mistake.message)

    def test_appended(self) -> None:
        """
        Each session is one line that is there at once, after what was there before.
        """
        sessions = [self.established(1), self.established(2)]
        for session in sessions:
            log = KeyLogFile(self.path)
            log.write(session)
            log.close()
        self.assertEqual(
            self.path.read_text().splitlines(),
            [LoggedSession.of(session).encode() for session in sessions],
        )

    def test_readable(self) -> None:
        """
        A file that others can read is refused, as the file of secrets is; nothing is written.
        """
        self.path.touch(0o600)
        self.path.chmod(0o644)
        self.assertIn("has mode 0644", self.refused(self.path))
        self.assertEqual(self.path.read_bytes(), b"")

    def test_noFile(self) -> None:
        """
        What is no file, or cannot be made, is refused.
        """
        self.assertIn("cannot be written", self.refused(self.path / "nowhere"))
        self.path.mkdir()
        self.assertIn("cannot be written: Is a directory", self.refused(self.path))
        pipe = self.path / "pipe"
        os.mkfifo(pipe, 0o600)
        self.assertIn("cannot be written", self.refused(pipe))

    def test_full(self) -> None:
        """
        When it cannot be written any more that is said once, and nothing else ends.
        """
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        log = KeyLogFile(self.path)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, log._descriptor)
        os.close(full)
        with capturedLogs() as logs:
            log.write(self.established(1))
            log.write(self.established(2))
        (event,) = logs
        self.assertEqual(event["log_level"], LogLevel.error)
        self.assertIn("no more keys are written to", str(formatEvent(event)))
