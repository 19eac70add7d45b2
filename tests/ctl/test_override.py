"""
Tests of C{bmffctl override}, on a registry in a file, and of C{bmffctl overrides}, against a real
control socket.
"""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed

from bmff.config import parseConfiguration
from bmff.ctl import rowcommand
from bmff.ctl import visit as visiting
from bmff.ctl.instances.places import Places
from bmff.ctl.visit import visit
from bmff.errors import ConfigurationError
from bmff.ibmff import IRegistry, NodeRow, OverrideRow
from bmff.keys import Secrets
from bmff.sections.registry import Registry
from tests.ctl.case import CtlTestCase
from tests.ctl.test_ask import AskTestCase
from tests.nodes import startNode, until


class RowTestCase(CtlTestCase):
    """
    The registry of one host, which a node's configuration names.

    @ivar config: that node's file.
    """

    group: str

    def setUp(self) -> None:
        super().setUp()
        self.config = self.home.node()
        self.configuration = parseConfiguration(
            self.config.read_text(), str(self.config), self.home.folder
        )

    def row(self, *words: str) -> int:
        """
        Run a command of the group.

        @return: its exit code.
        """
        return self.command(self.group, *words, "--config", str(self.config))

    def done(self, *words: str) -> str:
        """
        Run one that succeeds.

        @return: what it prints.
        """
        self.assertEqual(self.row(*words), 0, self.err)
        return self.out.rstrip("\n")

    def refused(self, *words: str) -> str:
        """
        Run one that is refused with exit code 1, in words and without a row written.

        @return: the words.
        """
        before = self.contents()
        self.assertEqual(self.row(*words), 1, self.out)
        self.assertEqual((self.out, self.contents()), ("", before))
        return self.err.rstrip("\n")

    def misspelt(self, *words: str) -> None:
        """
        Run one whose words are off: one line, and exit code 2.
        """
        self.assertEqual(self.row(*words), 2, words)
        self.assertEqual((self.out, len(self.err.splitlines())), ("", 1))

    def put(self, *rows: NodeRow | OverrideRow) -> None:
        """
        Write rows, as another process would.
        """

        async def write(registry: IRegistry) -> None:
            for row in rows:
                await registry.put(row)

        visit(self.configuration.registry, self.configuration.secrets, write)

    def contents(self) -> tuple[dict[int, NodeRow], dict[int, OverrideRow]]:
        """
        What is in the registry.
        """

        async def read(registry: IRegistry) -> tuple[dict[int, NodeRow], dict[int, OverrideRow]]:
            return dict(registry.nodes), dict(registry.overrides)

        registry = self.configuration.registry
        if not registry.file.exists():
            return {}, {}
        return visit(registry, self.configuration.secrets, read)

    def execute(self, statement: str) -> None:
        """
        Write past all checks, as an operator can with sqlite3.
        """
        connection = sqlite3.connect(self.configuration.registry.file)
        with connection:
            connection.execute(statement)
        connection.close()


class OverrideTests(RowTestCase):
    """
    Rows are listed, written and removed.
    """

    group = "override"

    @property
    def overrides(self) -> dict[int, OverrideRow]:
        """
        The rows.
        """
        return self.contents()[1]

    def test_set(self) -> None:
        """
        A row is written as it was said, in place of one for the same node, and told.
        """
        said = self.done("set", "25012", "tcp", "192.0.2.7", "--port", "54007", "--key", "ring")
        self.assertEqual(
            said.splitlines(),
            [
                "node 25012 is reached over tcp at 192.0.2.7 port 54007 under key ring",
                "node 25012 has no row in this registry; bmffctl node list shows who has",
            ],
        )
        self.assertEqual(
            self.overrides, {25012: OverrideRow(25012, "ring", "tcp", "192.0.2.7", 54007)}
        )
        self.done("set", "25012", "auto", "--key", "ring")
        self.assertEqual(self.overrides, {25012: OverrideRow(25012, "ring", "auto", "", 0)})

    def test_completed(self) -> None:
        """
        Address and port that are not said are those of the node's row; a transport within the host
        has no address.
        """
        self.put(NodeRow(25012, "node.example.org", 54012, 1, 1, 1.5e9))
        self.assertEqual(
            self.done("set", "25012", "tls"),
            "node 25012 is reached over tls at node.example.org port 54012",
        )
        self.done("set", "25012", "unix")
        self.assertEqual(self.overrides, {25012: OverrideRow(25012, 0, "unix", "", 54012)})
        self.done("set", "25012", "udp", "--port", "5")
        self.assertEqual(
            self.overrides, {25012: OverrideRow(25012, 0, "udp", "node.example.org", 5)}
        )

    def test_incomplete(self) -> None:
        """
        What is not said and not known is told, all at once.
        """
        self.assertEqual(
            self.refused("set", "25012", "tcp"),
            "address: is missing, and the registry knows none\n"
            "port: is missing, and the registry knows none; give --port",
        )
        said = self.refused("set", "25012", "unix", "192.0.2.1", "--port", "1")
        self.assertIn("leads to a node of this host", said)

    def test_unknownTransport(self) -> None:
        """
        A transport that no plugin provides is refused, with those that there are.
        """
        said = self.refused("set", "25012", "pigeon", "192.0.2.1", "--port", "1")
        self.assertTrue(said.startswith("transport: there is no 'pigeon'; there is auto, "), said)
        self.assertIn("tls, udp, unix", said)
        self.assertFalse(self.configuration.registry.file.exists())

    def test_unusable(self) -> None:
        """
        A row that the registry would not use is refused by it.
        """
        self.assertIn(
            "address", self.refused("set", "25012", "tcp", "a\nb", "--port", "1").splitlines()[0]
        )

    def test_remove(self) -> None:
        """
        A row that is there is taken away, also one that cannot be used; the others stay.
        """
        self.put(OverrideRow(25012, 0, "auto", "", 0), OverrideRow(25013, 0, "auto", "", 0))
        self.done("remove", "25012")
        self.assertEqual(list(self.overrides), [25013])
        self.execute("INSERT INTO OverriddenNodes (node, transport) VALUES (25014, 'No Name')")
        self.assertIn("25014", self.done("list"))
        self.done("remove", "25014")
        self.assertNotIn("25014", self.done("list"))

    def test_nothingToRemove(self) -> None:
        """
        Where there is no such row, or no registry yet, that is told, and none is made.
        """
        said = "25012: there is no override for this node"
        self.assertEqual(self.refused("remove", "25012"), said)
        self.assertFalse(self.configuration.registry.file.exists())
        self.put(OverrideRow(25013, 0, "auto", "", 0))
        self.assertEqual(self.refused("remove", "25012"), said)

    def test_list(self) -> None:
        """
        There is a line for each row by node ID, and one for each that cannot be used.
        """
        self.assertEqual(self.done("list"), "NODE  OVER  ADDRESS  PORT  KEY")
        self.put(
            OverrideRow(25013, "ring", "auto", "", 0),
            OverrideRow(25012, 0, "tcp", "192.0.2.7", 54007),
        )
        self.execute("INSERT INTO OverriddenNodes (node, transport) VALUES (25014, 'No Name')")
        _, *rows, bad = self.done("list").splitlines()
        self.assertEqual(
            [row.split() for row in rows],
            [["25012", "tcp", "192.0.2.7", "54007"], ["25013", "auto", "ring"]],
        )
        self.assertTrue(bad.startswith("not used, of OverriddenNodes: (25014,"), bad)
        self.assertIn("transport", bad.rpartition("): ")[2])

    def test_json(self) -> None:
        """
        On request they are printed as JSON.
        """
        self.put(OverrideRow(25012, 0, "tcp", "192.0.2.7", 54007))
        self.execute("INSERT INTO OverriddenNodes (node, transport) VALUES (25014, 'No Name')")
        content = json.loads(self.done("list", "--json"))
        self.assertEqual(
            content["overrides"],
            [{"node": 25012, "key": 0, "transport": "tcp", "address": "192.0.2.7", "port": 54007}],
        )
        (bad,) = content["bad"]
        self.assertIn("25014", bad["row"])

    def test_words(self) -> None:
        """
        Words that make no command are told, with exit code 2.
        """
        for words in (
            ("set", "25012"),
            ("set", "node", "tcp"),
            ("set", "0", "tcp"),
            ("set", "25012", "tcp", "a", "b"),
            ("set", "25012", "tcp", "--port", "70000"),
            ("set", "25012", "auto", "192.0.2.1"),
            ("remove",),
            ("remove", "-1"),
            ("list", "25012"),
            ("change",),
        ):
            self.misspelt(*words)
        self.assertEqual(self.command("override"), 2)
        self.assertEqual(self.err, "bmffctl: there is list, set, remove; --help says more\n")


class AwayRegistry:
    """
    A registry whose server is not there.

    @ivar stopped: whether it was closed.
    """

    available = False
    reason = "connection refused"

    def __init__(self, started: Deferred[None]) -> None:
        """
        @param started: what comes of its start.
        """
        self._started = started
        self.stopped = False

    def start(self) -> Deferred[None]:
        return self._started

    def stop(self) -> Deferred[None]:
        self.stopped = True
        return succeed(None)


class PlaceTests(RowTestCase):
    """
    Which registry is meant, and who asks it.
    """

    group = "override"

    def test_damaged(self) -> None:
        """
        A registry that cannot be used is told by its place.
        """
        self.home.state.mkdir()
        self.configuration.registry.file.write_text("no database, but long enough " * 100)
        self.assertEqual(self.row("list"), 1)
        self.assertIn("registry.sqlite", self.err)
        self.assertEqual(len(self.err.splitlines()), 1)

    def away(self, registry: AwayRegistry) -> str:
        """
        Ask a registry that does not come.

        @return: what is said.
        """
        self.home.state.mkdir()
        self.configuration.registry.file.touch()
        self.patch(visiting, "makeRegistry", lambda *_: registry)
        self.patch(visiting, "PATIENCE", 0.01)
        self.assertEqual(self.row("list"), 1)
        self.assertTrue(registry.stopped)
        return self.err

    def test_late(self) -> None:
        """
        One that does not come is not waited for, but told.
        """
        said = self.away(AwayRegistry(Deferred()))
        self.assertEqual(said, "registry: cannot be used: connection refused\n")

    def test_away(self) -> None:
        """
        One that would go on with what it knows, which is nothing, is not taken for empty.
        """
        said = self.away(AwayRegistry(succeed(None)))
        self.assertEqual(said, "registry: cannot be used: connection refused\n")

    def test_user(self) -> None:
        """
        Who logs in, and with which secret, can be said on the command line; without it is the
        node's own user.
        """
        self.config.write_text(f'{self.config.read_text()}[registry]\ntype = "tarantool"\n')
        self.home.state.mkdir()
        secrets = self.home.state / "secrets.toml"
        secrets.touch(0o600)
        secrets.write_text('[registry]\nbmnode = "correct horse"\nother = "battery staple"\n')
        asked: list[tuple[str, str | None]] = []

        def make(reactor: object, settings: Registry, secrets: Secrets) -> AwayRegistry:
            asked.append((settings.user, secrets.registryPassword(settings.password)))
            return AwayRegistry(succeed(None))

        self.patch(visiting, "makeRegistry", make)
        self.row("list", "--user", "bmadmin", "--password-id", "other")
        self.row("remove", "25012")
        self.assertEqual(asked, [("bmadmin", "battery staple"), ("bmnode", "correct horse")])

    def test_noSecrets(self) -> None:
        """
        A password that cannot be read is the operator's to mend.
        """
        missing = visiting.LateSecrets(self.home.state / "secrets.toml")
        self.assertRaises(ConfigurationError, missing.registryPassword, "bmnode")

    def hosts(self, *networks: int) -> Path:
        """
        Make these the nodes of the host.

        @return: the folder of their files.
        """
        places = Places(self.home.folder / "root")
        places.instances.mkdir(parents=True)
        for network in networks:
            path = self.home.node(network=network)
            path.rename(places.instances / path.name)
        self.patch(rowcommand, "ROOT", places.prefix)
        self.patch(rowcommand, "NODE", places.prefix / "bmnode.toml")
        return places.instances

    def test_host(self) -> None:
        """
        Without a file named, the registry is that of the host's nodes.
        """
        self.hosts(25011, 25012)
        self.assertEqual(self.command("override", "set", "25013", "auto"), 0, self.err)
        self.assertEqual(list(self.contents()[1]), [25013])

    def test_unclear(self) -> None:
        """
        Where they have several, or a file cannot be read, one has to be named.
        """
        folder = self.hosts(25011, 25012)
        path = folder / "25012.toml"
        path.write_text(path.read_text().replace("/state", "/other"))
        self.assertEqual(self.command("override", "list"), 1)
        self.assertIn("--config: ", self.err)
        self.assertIn(str(path), self.err)
        path.write_text("network = 1\n")
        self.assertEqual(self.command("override", "list"), 1)
        self.assertIn(f"{path}: network: ", self.err)

    def test_nobody(self) -> None:
        """
        On a host without nodes it is that of a node that names none.
        """
        self.hosts()
        self.patch(os, "environ", {"STATE_DIRECTORY": str(self.home.state), "PATH": ""})
        self.put(OverrideRow(25013, 0, "auto", "", 0))
        self.assertEqual(self.command("override", "list"), 0, self.err)
        self.assertIn("25013", self.out)


class RunningTests(RowTestCase):
    """
    A node that runs, and overrides that are written meanwhile.
    """

    group = "override"

    def test_seen(self) -> None:
        """
        A running node is told of a row, and says what it makes of it; so is it of a node that was
        added by hand.
        """
        links = f'[fastforward]\nlisten = ["127.0.0.1"]\nfolder = "{self.home.folder}"'
        self.config = self.home.node(more=links)
        node = startNode(self.home, self.config)
        self.addCleanup(node.remove)
        node.says("other nodes reach node 25011 at port")
        self.done("set", "25012", "unix", "--port", "9")
        self.done("set", "25011", "tcp")
        command = ("--config", str(self.config))
        self.command("node", "add", "25013", "127.0.0.1", "9", *command)

        def said() -> list[str]:
            self.assertEqual(self.command("overrides", *command), 0, self.err)
            return [" ".join(line.split()) for line in self.out.splitlines()[1:]]

        until(lambda: len(said()) == 2, "both rows")
        own, other = said()
        self.assertTrue(own.endswith("- ignored it is about this node itself"), own)
        self.assertTrue(other.startswith("25012 unix 9 - waiting"), other)
        self.assertEqual(self.command("nodes", *command), 0)
        self.assertIn("25013", self.out)


ROW: dict[str, Any] = {
    "node": 25012,
    "transport": "tcp",
    "address": "192.0.2.7",
    "port": 54007,
    "key": None,
    "over": "udp",
    "state": "not to be had",
    "reason": "connection refused",
}
REGISTRY: dict[str, Any] = {"available": True, "reason": "", "age": 0.02}


class OverridesTests(AskTestCase):
    """
    What is printed of what a running node makes of its overrides.
    """

    async def lines(self, *rows: dict[str, Any], **more: Any) -> list[str]:
        """
        What is printed.
        """
        content = {"overrides": list(rows), "bad": [], "registry": REGISTRY, **more}
        self.answer(overrides=content)
        self.assertEqual(await self.command("overrides", "--socket", self.path), 0, self.err)
        return self.out.splitlines()

    async def test_rows(self) -> None:
        """
        There is a line for each with what became of it and why.
        """
        waiting = {**ROW, "node": 25013, "over": None, "state": "waiting", "reason": "no link yet"}
        heading, first, second = await self.lines(ROW, waiting)
        self.assertEqual(
            heading.split(),
            ["NODE", "WANTED", "ADDRESS", "PORT", "KEY", "OVER", "STATE", "REASON"],
        )
        self.assertEqual(
            " ".join(first.split()),
            "25012 tcp 192.0.2.7 54007 udp not to be had connection refused",
        )
        self.assertEqual(
            " ".join(second.split()), "25013 tcp 192.0.2.7 54007 - waiting no link yet"
        )

    async def test_bad(self) -> None:
        """
        Below stand rows that cannot be used, with the row and what is wrong with it.
        """
        bad = [{"table": "OverriddenNodes", "row": "(25014, 'x')", "reason": "no such transport"}]
        _, line = await self.lines(bad=bad)
        self.assertEqual(line, "not used, of OverriddenNodes: (25014, 'x'): no such transport")

    async def test_away(self) -> None:
        """
        While the registry is away that is said, with the age of what is shown.
        """
        away = {"available": False, "reason": "connection refused", "age": 12.4}
        *_, line = await self.lines(ROW, registry=away)
        self.assertEqual(line, "the registry is away, as of 12 s ago: connection refused")

    async def test_never(self) -> None:
        """
        The same for one that was never there.
        """
        *_, line = await self.lines(registry={**REGISTRY, "available": False, "age": None})
        self.assertEqual(line, "the registry is away: ")

    async def test_noLinks(self) -> None:
        """
        A node that has no links says so.
        """
        _, line = await self.lines(registry=None)
        self.assertEqual(line, "this node has no links to others")
