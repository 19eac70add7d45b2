"""
Tests of C{bmff.registry.embedded}.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from subprocess import run
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from twisted.python.monkey import MonkeyPatcher
from twisted.trial.unittest import TestCase

from bmff.errors import ConfigurationError
from bmff.ibmff import (
    IRegistryMaker,
    RegistrySettings,
    RegistryUnavailable,
)
from bmff.registry import database, databasethread
from bmff.registry.embedded import EmbeddedRegistry
from bmff.testing.registry import (
    PATIENCE,
    PROMPT,
    RegistryCase,
    RegistryContract,
    nodeRow,
    overrideRow,
)

ROOT = Path(__file__).parent.parent.parent

reactor: Any = _reactor  # mypy does not know which reactor there is


class Neighbour(ProcessProtocol):
    """
    Another process on a registry (L{tests.registry.neighbour}).

    """

    def __init__(self) -> None:
        self._said: dict[str, Deferred[None]] = {}
        self._ended: Deferred[int] = Deferred()
        self._rest = b""

    def outReceived(self, data: bytes) -> None:
        """
        Whoever waits for a line is told.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._saying(line.decode("ascii")).callback(None)

    def said(self, line: str) -> Deferred[None]:
        """
        Wait for a line.

        @return: fires at once when it has come before.
        """
        heard: Deferred[None] = Deferred()
        self._saying(line).chainDeferred(heard)
        return heard.addTimeout(PATIENCE, reactor)

    def _saying(self, line: str) -> Deferred[None]:
        return self._said.setdefault(line, Deferred())

    def errReceived(self, data: bytes) -> None:
        """
        Show what has gone wrong there.
        """
        sys.stderr.buffer.write(data)

    def put(self, first: int, last: int) -> None:
        """
        Have it write overrides, all at once; it says C{done}.
        """
        assert self.transport is not None
        self.transport.write(b"put %d %d\n" % (first, last))

    def stop(self) -> Deferred[int]:
        """
        Let it end.

        @return: fires with its exit code.
        """
        assert self.transport is not None
        self.transport.closeStdin()
        ended: Deferred[int] = Deferred()
        self._ended.addCallback(self._pass, ended)
        return ended

    def _pass(self, code: int, ended: Deferred[int]) -> int:
        ended.callback(code)
        return code

    def processEnded(self, reason: Failure) -> None:
        """
        It is gone.
        """
        value: Any = reason.value
        self._ended.callback(value.exitCode)


class FileCase(RegistryCase, TestCase):
    """
    A registry in a file of its own.
    """

    reactor = reactor

    def setUp(self) -> Any:
        self.path = Path(self.mktemp(), "state", "registry.sqlite").absolute()
        return super().setUp()

    def makeRegistry(self) -> EmbeddedRegistry:
        return EmbeddedRegistry(reactor, self.path)

    def connect(self, path: Path | None = None) -> closing[sqlite3.Connection]:
        """
        The file, as an operator opens it.
        """
        return closing(sqlite3.connect(path or self.path, isolation_level=None))

    def copy(self) -> Path:
        """
        A backup of the file, as C{sqlite3} makes it: it is not in WAL mode.
        """
        path = self.path.with_name("copy.sqlite")
        with self.connect() as connection:
            connection.execute("VACUUM INTO ?", (str(path),))
        return path

    def hold(self) -> sqlite3.Connection:
        """
        Another writer that has not finished.
        """
        connection = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(connection.close)
        connection.execute("BEGIN IMMEDIATE")
        return connection


class EmbeddedRegistryTests(RegistryContract, FileCase):
    """
    An embedded registry keeps the contract.
    """


class PluginTests(TestCase):
    """
    Tests of how the registry is found.
    """

    async def test_plugin(self) -> None:
        """
        The plugin C{embedded} makes a registry in the file that the configuration names.
        """
        (maker,) = (one for one in getPlugins(IRegistryMaker) if one.name == "embedded")
        path = Path(self.mktemp()).absolute()
        registry = maker.make(reactor, RegistrySettings(path))
        self.addCleanup(registry.stop)
        await registry.start()
        self.assertTrue(path.exists())


class FileTests(FileCase):
    """
    Tests of the file: how it is made, which are taken and which refused.
    """

    def content(self) -> bytes | None:
        """
        What is in the file, if there is one. It is read by another process: to close it in this
        one would let go of the locks of this one.
        """
        done = run(["cat", str(self.path)], capture_output=True, check=False)
        return None if done.returncode else done.stdout

    async def refusal(self) -> str:
        """
        What a registry says that cannot be started; it names the file, leaves it as it is, can
        be stopped and refuses to write.
        """
        before = self.content()
        registry = self.makeRegistry()
        started, put = registry.start(), registry.put(nodeRow(2501))
        with self.assertRaises(ConfigurationError) as raised:
            await started
        await self.assertFailure(put, RegistryUnavailable)
        await self.assertFailure(registry.put(nodeRow(2501)), RegistryUnavailable)
        await registry.stop()
        self.assertFalse(registry.available)
        self.assertEqual(self.content(), before)
        (mistake,) = raised.exception.mistakes
        self.assertEqual(mistake.place, "registry.file")
        self.assertIn(str(self.path), mistake.message)
        return str(mistake)

    async def test_modes(self) -> None:
        """
        The file, what SQLite puts beside it, and the folder are for their owner alone.
        """
        await self.registry.put(nodeRow(2501))
        modes = {one.name: one.stat().st_mode & 0o777 for one in self.path.parent.iterdir()}
        names = [self.path.name + suffix for suffix in ("", "-shm", "-wal")]
        self.assertEqual(modes, dict.fromkeys(names, 0o600))
        self.assertEqual(self.path.parent.stat().st_mode & 0o777, 0o700)

    async def test_damaged(self) -> None:
        """
        A file that is no database is refused and stays as it is.
        """
        await self.registry.stop()
        self.path.write_bytes(b"no database at all " * 500)
        self.assertIn("damaged", await self.refusal())

    async def test_damagedPage(self) -> None:
        """
        A database with a page that is not what it was is refused, although it can be opened.
        """
        rows = (overrideRow(node, address="a" * 200) for node in range(1000, 1200))
        await gatherResults(self.registry.put(row) for row in rows)
        await self.registry.stop()
        data = bytearray(self.path.read_bytes())
        data[-8192:-4096] = b"\xa5" * 4096
        self.path.write_bytes(data)
        self.assertIn("damaged", await self.refusal())

    async def test_newer(self) -> None:
        """
        A file of a newer version is refused, which says so.
        """
        await self.registry.stop()
        with self.connect() as connection:
            connection.execute(f"PRAGMA user_version = {database.VERSION + 1}")
        self.assertIn("newer version of bmff", await self.refusal())

    async def test_foreign(self) -> None:
        """
        The database of another program is refused and stays as it is.
        """
        await self.registry.stop()
        self.path.unlink()
        with self.connect() as connection:
            connection.execute("CREATE TABLE Songs (name TEXT)")
        self.assertIn("another program", await self.refusal())

    async def test_noFolder(self) -> None:
        """
        A file in a folder that cannot be made is the operator's mistake.
        """
        await self.registry.stop()
        self.path = self.path / "registry.sqlite"
        self.assertIn("cannot be used", await self.refusal())

    async def test_emptyFile(self) -> None:
        """
        A file of no bytes is taken for a new one.
        """
        await self.registry.stop()
        self.path.write_bytes(b"")
        registry = await self.startRegistry()
        await registry.put(nodeRow(2501))
        self.assertEqual(registry.nodes, {2501: nodeRow(2501)})

    async def test_backup(self) -> None:
        """
        A backup takes the place of the file, and is in WAL mode again.
        """
        await self.registry.put(nodeRow(2501))
        copy = self.copy()
        await self.registry.stop()
        copy.replace(self.path)
        registry = await self.startRegistry()
        self.assertEqual(registry.nodes, {2501: nodeRow(2501)})
        with self.connect() as connection:
            self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone(), ("wal",))

    async def test_backupHeld(self) -> None:
        """
        A registry waits with its start until nobody writes a file that is not in WAL mode yet, but
        not for ever.
        """
        copy = self.copy()
        await self.registry.stop()
        copy.replace(self.path)
        writer = self.hold()
        registry = self.makeRegistry()
        self.addCleanup(registry.stop)
        started = registry.start()
        begin = reactor.seconds()
        await self.until(lambda: reactor.seconds() > begin + 10 * database.WAL_PAUSE)
        self.assertFalse(started.called)
        with MonkeyPatcher((database, "BUSY_TIMEOUT", 0.05)):
            self.assertIn("locked", await self.refusal())
        writer.execute("ROLLBACK")
        await started
        self.assertTrue(registry.available)

    async def test_startedTogether(self) -> None:
        """
        Several may start at once where there is no file yet.
        """
        self.path = self.path.with_name("new.sqlite")
        registries = await gatherResults(
            Deferred.fromCoroutine(self.startRegistry()) for _ in range(6)
        )
        await registries[0].put(nodeRow(2501))
        await self.until(lambda: all(2501 in one.nodes for one in registries), PROMPT)

    async def test_migration(self) -> None:
        """
        A file of an older schema is brought to this one, step by step, and keeps its rows; who
        still runs the older version is told so when it opens it.
        """
        await self.registry.put(nodeRow(2501))
        await self.registry.stop()
        steps = (*database.STEPS, ("CREATE TABLE More (one)",), ("DROP TABLE More",))
        with MonkeyPatcher((database, "STEPS", steps), (database, "VERSION", len(steps))):
            registry = await self.startRegistry()
            self.assertEqual(registry.nodes, {2501: nodeRow(2501)})
            await registry.stop()
        with self.connect() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()
            self.assertEqual(version, (database.VERSION + 2,))
        self.assertIn("newer version of bmff", await self.refusal())


class OperatorTests(FileCase):
    """
    Tests of what an operator writes with other programs.
    """

    async def test_override(self) -> None:
        """
        An override that an operator inserts is there within a second; what was not said is empty.
        """
        with self.connect() as connection:
            connection.execute("INSERT INTO OverriddenNodes (node, transport) VALUES (2501, 'shm')")
            expected = overrideRow(2501, key=0, transport="shm", address="", port=0)
            await self.until(lambda: self.registry.overrides == {2501: expected}, PROMPT)

    async def test_badRows(self) -> None:
        """
        Rows that cannot be used are left out alone, and named with what is wrong; one that is
        mended is there, and is not named any more.
        """
        good = "INSERT INTO OverriddenNodes VALUES (2501, 'group', 'udp', '192.0.2.1', 54000)"
        bad = {
            "(-5, 0, 'udp', '', 1)": "node: -5 is not in",
            "(1, 0, 'Two Words', '', 1)": "transport: 'Two Words' is no name",
            "(2, 0, 'udp', '', 70000)": "port: 70000 is not in",
            "(3, 0, 'udp', '', 'x')": "port: 'x' is no whole number",
            "(4, 7, NULL, '', 1)": "key: 7 is no text; transport: None",
            f"(5, 0, 'udp', '{'a' * 300}', 1)": "address: is longer than 255",
            "(6, 0, 'udp', CAST(x'ff' AS TEXT), 1)": "address: '\\udcff' holds what",
        }
        with self.connect() as connection:
            connection.execute("BEGIN")
            connection.execute(good)
            connection.execute("INSERT INTO Nodes VALUES (2501, '', 54000, 'xyz', 1, 0.0, '')")
            for values in bad:
                connection.execute(f"INSERT INTO OverriddenNodes VALUES {values}")
            connection.execute("COMMIT")
            await self.until(lambda: self.registry.overrides, PROMPT)
            self.assertEqual(self.registry.overrides, {2501: overrideRow(2501)})
            self.assertEqual(self.registry.nodes, {})
            first, *rest = self.registry.badRows
            self.assertEqual(
                (first.table, first.reason), ("nodes", "boot: 'xyz' is no whole number")
            )
            self.assertEqual({one.table for one in rest}, {"overrides"})
            for one, reason in zip(rest, bad.values(), strict=True):
                self.assertIn(reason, one.reason)
            self.assertIn("Two Words", rest[1].text)
            self.assertLess(max(len(one.text) for one in rest), 250)
            connection.execute("UPDATE OverriddenNodes SET transport = 'tcp' WHERE node = 1")
            await self.until(lambda: 1 in self.registry.overrides, PROMPT)
            self.assertEqual(len(self.registry.badRows), len(bad))
        await self.registry.remove("overrides", -5)
        self.assertEqual(len(self.registry.badRows), len(bad) - 1)


class TransportTests(FileCase):
    """
    Tests of a registry that knows what overrides may name.
    """

    def makeRegistry(self) -> EmbeddedRegistry:
        return EmbeddedRegistry(reactor, self.path, {"tcp": "host", "shm": "none", "acme": "any"})

    async def test_kept(self) -> None:
        """
        A row that becomes one that cannot be used is named with what is wrong, and leaves the one
        that was there before, until it is mended or taken away.
        """
        good = overrideRow(2501, transport="tcp")
        await self.registry.put(good)
        changes = self.changesOf(self.registry)
        with self.connect() as connection:
            for change, reason in (
                ("transport = 'udp'", "there is no transport 'udp'; there is acme, auto, shm, tcp"),
                ("transport = 'tcp', address = '[::1]'", "'[::1]' is neither a host name nor"),
                ("address = '-a.example'", "'-a.example' is neither a host name nor"),
                ("address = '192.0.2.1', port = 0", "port: 0 is not in 1 to 65535"),
                ("transport = 'shm'", "port: 0 is not in 1 to 65535"),
            ):
                connection.execute(f"UPDATE OverriddenNodes SET {change}")
                await self.until(partial(self.isBad, reason), PROMPT)
                self.assertEqual([row.node for row in self.registry.badRows], [2501])
                self.assertEqual(self.registry.overrides, {2501: good})
            self.assertEqual(changes, [])
            connection.execute("UPDATE OverriddenNodes SET transport = 'acme', address = '%'")
            mended = overrideRow(2501, transport="acme", address="%", port=0)
            await self.until(lambda: self.registry.overrides == {2501: mended}, PROMPT)
            self.assertEqual(self.registry.badRows, ())
            connection.execute("UPDATE OverriddenNodes SET port = -1")
            await self.until(lambda: self.registry.badRows, PROMPT)
            connection.execute("DELETE FROM OverriddenNodes")
            await self.until(lambda: not self.registry.overrides, PROMPT)
        self.assertEqual(self.registry.badRows, ())

    def isBad(self, reason: str) -> bool:
        """
        Whether a row cannot be used for this reason.
        """
        return any(reason in row.reason for row in self.registry.badRows)

    async def test_notWritten(self) -> None:
        """
        Such a row is not written either.
        """
        for row, place in (
            (overrideRow(2501), "transport"),
            (overrideRow(2501, transport="tcp", address="a b"), "address"),
            (overrideRow(2501, transport="shm", port=0), "port"),
        ):
            failure = self.failureResultOf(self.registry.put(row), ConfigurationError)
            self.assertEqual([one.place for one in failure.value.mistakes], [place])
        await self.registry.put(overrideRow(2501, transport="tcp", address="кавказ.example."))
        await self.registry.put(overrideRow(2502, transport="auto", address="", port=0))


class TroubleTests(FileCase):
    """
    Tests of a file that cannot be had for a while.
    """

    def setUp(self) -> Any:
        self.patch(databasethread, "RETRY_INTERVAL", 0.15)
        self.said: list[str] = []
        observer: Any = self.observe
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return super().setUp()

    def observe(self, event: LogEvent) -> None:
        """
        Keep what the registry logs.
        """
        if event["log_namespace"].startswith("bmff.registry"):
            self.said.append(formatEvent(event))

    async def test_held(self) -> None:
        """
        While another process holds the file for a second the reactor turns; the write waits, and
        is made afterwards.
        """
        turns: list[float] = []
        ticking = LoopingCall(lambda: turns.append(reactor.seconds()))
        ticking.clock = reactor
        holder = self.hold()
        put = self.registry.put(nodeRow(2501))
        ticking.start(0.01)
        self.addCleanup(ticking.stop)
        await self.until(lambda: len(turns) > 20 and turns[-1] - turns[0] >= 1.0)
        self.assertFalse(put.called)
        self.assertTrue(self.registry.available)
        holder.execute("ROLLBACK")
        await put
        self.assertEqual(self.registry.nodes, {2501: nodeRow(2501)})

    async def test_heldTooLong(self) -> None:
        """
        A write fails when another process holds the file for too long, and the registry says so;
        it is available again when the file is free.
        """
        self.patch(database, "BUSY_TIMEOUT", 0.05)
        registry = await self.startRegistry()
        holder = self.hold()
        await self.assertFailure(registry.put(nodeRow(2501)), RegistryUnavailable)
        self.assertFalse(registry.available)
        self.assertIn("locked", registry.reason)
        holder.execute("ROLLBACK")
        await self.until(lambda: registry.available)
        await registry.put(nodeRow(2501))

    async def test_stopWhileHeld(self) -> None:
        """
        A registry stops although another process holds the file; the write that it waited for
        fails.
        """
        self.patch(database, "BUSY_TIMEOUT", 0.05)
        registry = await self.startRegistry()
        self.hold()
        put = self.assertFailure(registry.put(nodeRow(2501)), RegistryUnavailable)
        await registry.stop()
        await put

    def replace(self, path: Path) -> None:
        """
        Put another file in the place of the registry's, with nothing beside it.
        """
        path.replace(self.path)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    async def test_damaged(self) -> None:
        """
        When its file is damaged a registry goes on with what it knows, refuses to write, and says
        so once; it catches up with a good one, and says that as well.
        """
        await self.registry.put(overrideRow(2501))
        copy = self.copy()
        with self.connect(copy) as connection:
            connection.execute("UPDATE OverriddenNodes SET transport = 'tcp'")
        changes = self.changesOf(self.registry)
        rubbish = self.path.with_name("rubbish")
        rubbish.write_bytes(b"no database at all " * 500)
        self.replace(rubbish)
        await self.until(lambda: "damaged" in self.registry.reason)
        self.assertFalse(self.registry.available)
        await self.assertFailure(self.registry.put(nodeRow(2501)), RegistryUnavailable)
        self.assertEqual(self.registry.overrides, {2501: overrideRow(2501)})
        self.replace(copy)
        await self.until(lambda: self.registry.available)
        self.assertEqual(self.registry.overrides, {2501: overrideRow(2501, transport="tcp")})
        self.assertEqual(changes, ["overrides"])
        away, back = self.said
        self.assertIn("not to be had", away)
        self.assertIn("is back", back)

    async def test_log(self) -> None:
        """
        A file that was put in place of the one in use is not read together with the log of that
        one, which would mix the two; the registry says what to take away, and catches up then.
        """
        await self.registry.put(nodeRow(2501))
        copy = self.copy()
        await self.registry.put(nodeRow(2502))
        content = copy.read_bytes()
        copy.replace(self.path)
        await self.until(lambda: "-wal" in self.registry.reason)
        self.assertEqual(self.registry.nodes, {2501: nodeRow(2501), 2502: nodeRow(2502)})
        self.assertEqual(self.path.read_bytes(), content)  # which no registry has open
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink()
        await self.until(lambda: self.registry.available)
        self.assertEqual(self.registry.nodes, {2501: nodeRow(2501)})

    async def test_deleted(self) -> None:
        """
        A file that was deleted is made anew, empty, and all registries meet in it.
        """
        other = await self.startRegistry()
        await self.registry.put(nodeRow(2501))
        await self.until(lambda: other.nodes)
        self.path.unlink()
        await self.until(lambda: not other.nodes and not self.registry.nodes)
        await other.put(nodeRow(2502))
        await self.until(lambda: self.registry.nodes == {2502: nodeRow(2502)}, PROMPT)

    async def test_bug(self) -> None:
        """
        A mistake of ours in the thread is logged once and ends neither the thread nor the write
        that comes after.
        """

        def failing(self: object) -> None:
            raise ZeroDivisionError("a bug")

        with MonkeyPatcher((database.Database, "read", failing)):
            await self.until(lambda: not self.registry.available)
            age = self.registry.age
            await self.until(lambda: self.registry.age > age + 3 * databasethread.RETRY_INTERVAL)
        self.assertEqual(self.registry.reason, "a bug")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        await self.until(lambda: self.registry.available)
        await self.registry.put(nodeRow(2501))


class ProcessTests(FileCase):
    """
    Tests with a second process.
    """

    async def startNeighbour(self) -> Neighbour:
        """
        A second process that has the registry open.
        """
        neighbour = Neighbour()
        command = [sys.executable, "-m", "tests.registry.neighbour", str(self.path)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        reactor.spawnProcess(neighbour, sys.executable, command, environment)
        self.addCleanup(neighbour.stop)
        await neighbour.said("open")
        return neighbour

    async def test_delay(self) -> None:
        """
        A change reaches another process in far less than a second.
        """
        neighbour = await self.startNeighbour()
        delays = []
        for node in range(1000, 1020):
            start = reactor.seconds()
            await self.registry.put(overrideRow(node))
            await neighbour.said(f"seen {node}")
            delays.append(reactor.seconds() - start)
        self.assertLess(median(delays), 0.25)
        self.assertLess(max(delays), PROMPT)

    async def test_manyWrites(self) -> None:
        """
        Of two times 200 writes that two processes make at once none is lost.
        """
        neighbour = await self.startNeighbour()
        neighbour.put(3000, 3199)
        await gatherResults(self.registry.put(overrideRow(node)) for node in range(2000, 2200))
        await neighbour.said("done")
        nodes = (*range(2000, 2200), *range(3000, 3200))
        await self.until(lambda: set(self.registry.overrides) == set(nodes), PROMPT)
        await gatherResults(neighbour.said(f"seen {node}") for node in nodes)
        self.assertEqual(await neighbour.stop(), 0)
        registry = await self.startRegistry()
        self.assertEqual(registry.overrides, {node: overrideRow(node) for node in nodes})
