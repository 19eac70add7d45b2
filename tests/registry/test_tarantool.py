"""
Tests of C{bmff.registry.tarantool} on real servers.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Final, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from bmff.errors import ConfigurationError
from bmff.ibmff import PeerRow, RegistrySettings, RegistryUnavailable, SubscriptionRow
from bmff.registry.tarantool import TarantoolRegistry
from bmff.testing.registry import PROMPT, RegistryCase, RegistryContract, nodeRow, overrideRow
from bmff.testing.requirements import requires
from tests.nodes import freePort
from tests.tarantoolcluster import PASSWORDS, Server

reactor: Any = _reactor  # mypy does not know which reactor there is

BACK: Final = 2.0  # seconds from a server's return until its rows are read


@requires("tarantool")
class TarantoolCase(RegistryCase, TestCase):
    """
    A registry on a server of its own.

    @ivar server: the server.
    @ivar user: who logs in.
    """

    reactor = reactor
    timeout = 60
    server: Server
    user = "bmadmin"  # who may write every table

    def setUp(self) -> Any:
        # Not under trial's own folder: the path of a socket may be 107 bytes long, unix(7).
        self.folder = Path(mkdtemp(prefix="bmff-"))
        self.addCleanup(rmtree, self.folder, ignore_errors=True)
        self.server = self.startServer("server")
        self.said: list[LogEvent] = []
        observer = cast(ILogObserver, self.said.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return super().setUp()

    def startServer(self, name: str) -> Server:
        """
        A server that is ready, and ends with the test.
        """
        server = self.makeServer(name)
        server.start()
        return server

    def makeServer(self, name: str) -> Server:
        """
        A server that is not started.
        """
        server = Server(self.folder / name)
        self.addCleanup(server.kill)
        return server

    def endpoint(self, server: Server) -> str:
        """
        Where a registry reaches a server.
        """
        return server.address.replace("unix/:", "unix:")

    def makeRegistry(self, *servers: Server, **settings: Any) -> TarantoolRegistry:
        user = settings.pop("user", self.user)
        password = settings.pop("password", None) or PASSWORDS[user]
        return TarantoolRegistry(
            reactor,
            RegistrySettings(
                Path("unused"),
                tuple(map(self.endpoint, servers or (self.server,))),
                user,
                lambda: password,
                **settings,
            ),
        )

    def started(self, registry: TarantoolRegistry) -> Deferred[None]:
        """
        Start a registry, which stops with the test.
        """
        self.addCleanup(registry.stop)
        return registry.start()

    def lines(self, word: str) -> list[str]:
        """
        What was logged with a word in it.
        """
        texts = [formatEvent(event) for event in self.said]
        return [text for text in texts if word in text]

    def do(self, statement: str) -> None:
        """
        Have the server do something, as an operator at its console does.
        """
        self.server.do(statement)


class UNIXTests(RegistryContract, TarantoolCase):
    """
    A registry on Tarantool keeps the contract over a UNIX socket.
    """


class TCPTests(RegistryContract, TarantoolCase):
    """
    It keeps the contract over TCP.
    """

    def makeServer(self, name: str) -> Server:
        server = super().makeServer(name)
        server.address = f"127.0.0.1:{freePort()}"
        return server

    def endpoint(self, server: Server) -> str:
        return f"tcp:{server.address}"


class ServerTests(TarantoolCase):
    """
    What the server and others do.
    """

    async def test_console(self) -> None:
        """
        What is written at the server is seen at once, and what is deleted there.
        """
        changes = self.changesOf(self.registry)
        self.do("box.space.OverriddenNodes:replace{2502, 0, FORWARD_TRANSPORT_TCP, '', 54000}")
        expected = overrideRow(2502, key=0, transport="tcp", address="")
        await self.until(lambda: self.registry.overrides == {2502: expected}, PROMPT)
        self.do("box.space.OverriddenNodes:delete{2502}")
        await self.until(lambda: not self.registry.overrides, PROMPT)
        self.assertEqual(changes, ["overrides", "overrides"])

    async def test_latency(self) -> None:
        """
        A change is in the mapping of another registry within 20 ms, by far not with the next poll.
        """
        other = await self.startRegistry()
        took = []
        for port in range(1, 21):
            row = overrideRow(2502, port=port)
            begun = reactor.seconds()
            put = self.registry.put(row)
            seen: Deferred[float] = Deferred()
            end = other.watch(lambda table, seen=seen: seen.callback(reactor.seconds()))
            took.append(await seen - begun)
            end()
            await put
        self.assertLess(sorted(took)[10], 0.02, took)

    async def test_otherSpaces(self) -> None:
        """
        Changes of tables that a registry does not hold are passed over.
        """
        self.do("box.space.Locations:replace{2621234, 2501, 1, 1, 1.5e9}")
        await self.registry.put(nodeRow(2501))
        self.assertEqual(self.registry.nodes, {2501: nodeRow(2501)})
        self.assertTrue(self.registry.available)

    async def test_manyChanges(self) -> None:
        """
        More changes at once than the server keeps are all seen.
        """
        await self.registry.put(nodeRow(1000))
        self.do(
            "box.begin() for node = 1001, 4000 do"
            " box.space.OverriddenNodes:replace{node, 0, 'udp', 'a', 1} end box.commit()"
        )
        await self.until(lambda: len(self.registry.overrides) == 3000)
        self.assertEqual(self.registry.nodes.keys(), {1000})

    async def test_peers(self) -> None:
        """
        What is written of hotspots at the server is seen at once; what is null there is as the
        configuration says. A tombstone is no row.
        """
        changes = self.changesOf(self.registry)
        self.do("box.space.Peers:replace{2621234, nil, true, nil, 60, false}")
        expected = PeerRow(2621234, banned=True, timeout=60, options=False)
        await self.until(lambda: self.registry.peers == {2621234: expected}, PROMPT)
        self.do("box.space.Subscriptions:replace{2621234, 1, 91}")
        await self.until(lambda: list(self.registry.subscriptions) == [(2621234, 1, 91)], PROMPT)
        self.do("box.space.Subscriptions:delete{2621234, 1, 91}")
        await self.until(lambda: not self.registry.subscriptions, PROMPT)
        self.do("box.space.Peers:delete{2621234}")
        await self.until(lambda: not self.registry.peers, PROMPT)
        self.assertEqual(changes, ["peers", "subscriptions", "subscriptions", "peers"])
        other = await self.startRegistry()
        self.assertEqual((other.peers, other.subscriptions), ({}, {}))

    async def test_badPeers(self) -> None:
        """
        Rows that the server takes and that cannot be used are left out alone and named once; where
        there was one before it stays.
        """
        row = PeerRow(2621234, banned=True)
        await self.registry.put(row)
        self.do("box.space.Peers:replace{2621234, 'passw0rd', false, nil, 1e9}")
        self.do("box.space.Subscriptions:replace{2621234, 1, 4000}")
        self.do("box.space.Subscriptions:replace{2621234, 1, 91}")
        await self.until(lambda: self.registry.subscriptions, PROMPT)
        self.assertEqual(self.registry.peers, {2621234: row})
        self.assertEqual(
            {(bad.table, bad.peer) for bad in self.registry.badRows},
            {("peers", 2621234), ("subscriptions", 2621234)},
        )
        self.assertEqual(len(self.lines("is no time, 0 to 86400 seconds")), 1)
        self.assertEqual(self.lines("passw0rd"), [])
        await self.registry.remove("peers", 2621234)
        await self.registry.remove("subscriptions", (2621234, 1, 4000))
        self.assertEqual((self.registry.peers, self.registry.badRows), ({}, ()))

    async def test_noFingerprint(self) -> None:
        """
        A row without a fingerprint has an empty one, whoever has written it.
        """
        self.do("box.space.Nodes:replace{2502, 'b', 54000, 1, 1, 1.5e9}")
        await self.until(lambda: 2502 in self.registry.nodes, PROMPT)
        self.assertEqual(self.registry.nodes[2502].fingerprint, "")
        self.assertEqual(self.registry.badRows, ())


class TroubleTests(TarantoolCase):
    """
    Servers that go, come back, or do not want us.
    """

    async def test_killed(self) -> None:
        """
        A server that dies takes no row along: the registry is not available, says so once and
        refuses to write, and has read everything anew within 2 s of its return.
        """
        await self.registry.put(nodeRow(2501))
        await self.registry.put(overrideRow(2501))
        changes = self.changesOf(self.registry)
        self.server.kill()
        await self.until(lambda: not self.registry.available, PROMPT)
        self.assertEqual(self.registry.overrides, {2501: overrideRow(2501)})
        with self.assertRaises(RegistryUnavailable):
            await self.registry.put(nodeRow(2502))
        await deferLater(reactor, 1.2)
        self.assertGreater(self.registry.age, 1.0)
        self.assertIn("unix:", self.registry.reason)
        self.assertEqual(len(self.lines("is not to be had")), 1)
        self.server.start()
        self.do("box.space.OverriddenNodes:replace{2502, '', 'udp', 'c', 1}")
        await self.until(lambda: 2502 in self.registry.overrides, BACK)
        self.assertEqual(self.registry.nodes, {2501: nodeRow(2501)})
        self.assertTrue(self.registry.available)
        self.assertEqual(self.registry.reason, "")
        self.assertEqual(len(self.lines("is back")), 1)
        self.assertEqual(changes, ["overrides"])

    async def test_killedWhileWriting(self) -> None:
        """
        A server that dies in the middle of writes leaves no write without an answer, and what was
        answered well is there after its return.
        """
        puts = [self.registry.put(nodeRow(node)) for node in range(1000, 1200)]
        await puts[0]
        kept: list[int] = []
        lost: list[object] = []
        for node, put in enumerate(puts, 1000):
            put.addCallbacks(lambda _, node=node: kept.append(node), lost.append)
        more = [self.registry.put(nodeRow(node)) for node in range(1200, 1400)]
        self.server.kill()
        for put in more:
            put.addCallbacks(lambda _: kept.append(0), lost.append)
        await self.until(lambda: len(kept) + len(lost) == 400)
        self.assertGreaterEqual(len(lost), 200)
        self.assertEqual(kept[0], 1000)
        for failure in lost:
            failure.trap(RegistryUnavailable)  # type: ignore[attr-defined]
        self.server.start()
        await self.until(lambda: self.registry.available, BACK)
        self.assertLessEqual(set(kept), self.registry.nodes.keys())

    async def test_second(self) -> None:
        """
        Where several addresses are named another one takes over when one is gone.
        """
        second = self.startServer("second")
        registry = self.makeRegistry(self.server, second)
        await self.started(registry)
        await registry.put(overrideRow(2501))
        second.do("box.space.OverriddenNodes:replace{2502, 0, 'udp', 'second', 1}")
        self.server.kill()
        await self.until(lambda: registry.overrides.keys() == {2502}, BACK)
        await registry.put(nodeRow(2503))
        self.assertEqual([row[0] for row in second.rows("Nodes")], [2503])

    async def test_away(self) -> None:
        """
        Where no server is there at the start a node starts all the same, with no rows, and has
        them when one comes.
        """
        late = self.makeServer("late")
        registry = self.makeRegistry(late)
        await self.started(registry)
        self.assertFalse(registry.available)
        self.assertEqual(registry.age, float("inf"))
        self.assertIn("No such file", registry.reason)
        late.start()
        await self.until(lambda: registry.available, BACK)
        self.assertEqual(registry.reason, "")

    async def test_hung(self) -> None:
        """
        A server that stands still is given up; when it goes on it is used again, and to stop
        meanwhile takes no longer than its limit.
        """
        process = self.server._process
        assert process is not None
        process.send_signal(19)
        self.addCleanup(process.send_signal, 18)
        await self.until(lambda: not self.registry.available)
        begun = reactor.seconds()
        await self.registry.stop()
        self.assertLess(reactor.seconds() - begun, 0.5)
        registry = self.makeRegistry()
        await self.started(registry)
        self.assertFalse(registry.available)
        process.send_signal(18)
        await self.until(lambda: registry.available)

    async def test_wrongPassword(self) -> None:
        """
        A wrong password and a user that there is not are mistakes of the operator, told plainly
        without the password.
        """
        for wrong, reason in (
            ({"password": "not this one"}, "denies user bmadmin: wrong password"),
            ({"user": "nobody", "password": "x"}, "denies user nobody: there is no such user"),
        ):
            registry = self.makeRegistry(**wrong)
            with self.assertRaises(ConfigurationError) as raised:
                await self.started(registry)
            self.assertTrue(str(raised.exception).startswith("registry.user: unix:"))
            self.assertTrue(str(raised.exception).endswith(reason), raised.exception)
            self.assertIn(reason, registry.reason)
            await registry.stop()
        self.assertEqual(self.lines("not this one"), [])

    async def test_changedPassword(self) -> None:
        """
        A password that was changed at the server makes a running registry unavailable with that
        reason; when it is changed in the secrets too it is let in.
        """
        password = ["bmadmin-of-a-test"]
        registry = self.makeRegistry()
        registry = TarantoolRegistry(
            reactor,
            RegistrySettings(
                Path("unused"), (self.endpoint(self.server),), "bmadmin", lambda: password[0]
            ),
        )
        await self.started(registry)
        self.server.kill()
        self.server.writePasswords(
            "bmnode = another-long-one\nbmadmin = another-long-one\nbmreplica = another-long-one\n"
        )
        self.server.start()
        await self.until(lambda: "wrong password" in registry.reason)
        self.assertFalse(registry.available)
        password[0] = "another-long-one"
        await self.until(lambda: registry.available, BACK)

    async def test_rights(self) -> None:
        """
        Who may not write a table is told so, and who may; the registry stays available.
        """
        registry = self.makeRegistry(user="bmnode")
        await self.started(registry)
        row = overrideRow(2501)
        for write in (registry.put(row), registry.remove("overrides", 2501)):
            with self.assertRaises(ConfigurationError) as raised:
                await write
            self.assertEqual(
                str(raised.exception),
                "registry.user: bmnode may not write OverriddenNodes; bmadmin may",
            )
        with self.assertRaises(ConfigurationError) as raised:
            await registry.put(PeerRow(1))
        self.assertEqual(
            str(raised.exception), "registry.user: bmnode may not write Peers; bmadmin may"
        )
        await registry.put(SubscriptionRow(1, 2, 91))
        await registry.put(nodeRow(2501))
        self.assertTrue(registry.available)

    async def test_refusedRow(self) -> None:
        """
        A row that the server does not take is a mistake with the server's words, and takes nothing
        from the writes beside it.
        """
        bad = self.registry.put(overrideRow(2501, transport="pigeon"))
        good = self.registry.put(overrideRow(2502))
        with self.assertRaises(ConfigurationError) as raised:
            await bad
        self.assertIn('OverriddenNodes: transport: "pigeon" is no transport', str(raised.exception))
        await good
        self.assertEqual(self.registry.overrides, {2502: overrideRow(2502)})

    async def test_foreign(self) -> None:
        """
        A Tarantool that does not run the script of the registry is named as that.
        """
        self.do("rawset(_G, 'read_rows', nil)")
        registry = self.makeRegistry()
        await self.started(registry)
        self.assertFalse(registry.available)
        self.assertIn("does not run the script of the registry", registry.reason)

    async def test_stopsAtOnce(self) -> None:
        """
        To stop takes no time, although a request is waiting at the server.
        """
        await deferLater(reactor, 0.1)
        begun = reactor.seconds()
        await self.registry.stop()
        self.assertLess(reactor.seconds() - begun, 0.1)

    async def test_manyNodes(self) -> None:
        """
        What many registries write at once all of them have at last.
        """
        registries = [
            self.registry,
            *(
                await gatherResults(
                    [Deferred.fromCoroutine(self.startRegistry()) for _ in range(7)]
                )
            ),
        ]
        await gatherResults(
            registry.put(nodeRow(1000 + 10 * place + number))
            for number in range(10)
            for place, registry in enumerate(registries)
        )
        await self.until(lambda: all(len(each.nodes) == 80 for each in registries), PROMPT)


class BadRowTests(TarantoolCase):
    """
    Rows that the server takes and that cannot be used here.
    """

    transports: Final = {"udp": "host", "tcp": "host", "unix": "none"}

    def isBad(self, registry: TarantoolRegistry, reason: str) -> bool:
        """
        Whether a row cannot be used for this reason.
        """
        return any(reason in row.reason for row in registry.badRows)

    async def test_badRows(self) -> None:
        """
        An override that cannot be used is refused alone, said once, and kept with its reason; the
        row that was there before stays in the mapping until the row is mended or removed.
        """
        registry = self.makeRegistry(transports=self.transports)
        await self.started(registry)
        good = overrideRow(2501, key=0, address="192.0.2.1", transport="tcp")
        await registry.put(good)
        changes = self.changesOf(registry)
        put = "box.space.OverriddenNodes:replace"
        for columns, reason in (
            (
                "'vsock', '192.0.2.1', 54000",
                "transport: there is no transport 'vsock'; there is au",
            ),
            ("'tcp', '192.0.2.300', 54000", "address: '192.0.2.300' is neither a host name nor"),
            ("'tcp', '', 54000", "address: '' is neither a host name nor an address in numbers"),
            ("'tcp', '192.0.2.1', 0", "port: 0 is not in 1 to 65535"),
            ("'unix', '', 0", "port: 0 is not in 1 to 65535"),
        ):
            self.do(f"{put}{{2501, 0, {columns}}}")
            await self.until(partial(self.isBad, registry, reason), PROMPT)
            self.assertEqual([bad.node for bad in registry.badRows], [2501])
            self.assertEqual(registry.overrides, {2501: good})
            self.assertEqual(len(self.lines(reason)), 1)
        self.do(f"{put}{{2502, 0, 'unix', 'whatever', 1}}")
        await self.until(lambda: 2502 in registry.overrides, PROMPT)
        self.assertEqual(len(self.lines("neither a host name")), 2)
        self.assertEqual(changes, ["overrides"])
        self.do("box.space.OverriddenNodes:delete{2501}")
        await self.until(lambda: not registry.badRows, PROMPT)
        self.assertEqual(registry.overrides.keys(), {2502})

    async def test_notWritten(self) -> None:
        """
        Such a row is not written either.
        """
        registry = self.makeRegistry(transports=self.transports)
        await self.started(registry)
        for row, place in (
            (overrideRow(2501, transport="shm"), "transport"),
            (overrideRow(2501, address="no such"), "address"),
            (overrideRow(2501, port=0), "port"),
        ):
            with self.assertRaises(ConfigurationError) as raised:
                await registry.put(row)
            self.assertEqual([one.place for one in raised.exception.mistakes], [place])
        for row in (
            overrideRow(2501, address="node.example.org"),
            overrideRow(2502, address="2001:db8::1"),
            overrideRow(2503, address="кавказ.example"),
            overrideRow(2504, transport="auto", address="", port=0),
        ):
            await registry.put(row)
        self.assertEqual(self.server.rows("OverriddenNodes")[0][3], "node.example.org")
        self.assertEqual(len(registry.overrides), 4)
