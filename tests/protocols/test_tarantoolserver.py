"""
Tests of L{bmff.protocols.tarantool} against a real server.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bmff.errors import TransportUnavailable
from bmff.protocols.tarantool import (
    Iterator,
    Limits,
    RequestRefused,
    RequestTimedOut,
    Tarantool,
    TarantoolClient,
    TarantoolError,
    UnknownName,
    Unsupported,
)
from bmff.testing.requirements import requires
from tests.tarantoolserver import PASSWORD, USER, TarantoolServer

reactor: Any = anyReactor

SCRIPT = """
box.schema.space.create('rows')
box.space.rows:create_index('primary')
box.space.rows:create_index('name', {parts = {2, 'string'}, unique = false})
local fiber = require('fiber')
function later(seconds, value) fiber.sleep(seconds) return value end
"""


class _ServerCase(TestCase):
    """
    A real server, and a connection that is logged in.
    """

    tcp = False

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.server = TarantoolServer(SCRIPT, tcp=self.tcp)
        self.addCleanup(self.server.remove)
        self.server.start()
        self.tarantool = await self.connect()
        await self.tarantool.login(USER, PASSWORD)

    async def connect(self, limits: Limits | None = None) -> Tarantool:
        """
        Another connection, greeted and no more.
        """
        endpoint = clientFromString(reactor, self.server.address)
        tarantool: Tarantool = await connectProtocol(endpoint, Tarantool(reactor, limits))

        async def close() -> None:
            tarantool.loseConnection()
            while not tarantool.lost:
                await deferLater(reactor, 0.005)

        self.addCleanup(close)
        return tarantool

    async def fails(self, asked: Deferred[Any], kind: type[Exception]) -> Any:
        """
        Wait for a failure.
        """
        return await self.assertFailure(asked, kind)


@requires("tarantool")
class ServerTests(_ServerCase):
    """
    L{Tarantool} against a real server, over a UNIX socket.
    """

    async def test_requests(self) -> None:
        """
        Every request does in the database what its name says.
        """
        one = self.tarantool
        await one.ping()
        self.assertEqual(await one.insert("rows", [1, "a", 5]), [1, "a", 5])
        self.assertEqual(await one.replace("rows", [1, "b", 5]), [1, "b", 5])
        await one.insert("rows", [2, "b", 7])
        update = one.update("rows", [1], [("+", 2, 10), ("=", 1, "c")])
        self.assertEqual(await update, [1, "c", 15])
        self.assertIsNone(await one.update("rows", [9], [("+", 2, 10)]))
        await one.upsert("rows", [2, "x", 0], [("-", 2, 1)])
        await one.upsert("rows", [3, "x", 0], [("-", 2, 1)])
        self.assertEqual(await one.select("rows"), [[1, "c", 15], [2, "b", 6], [3, "x", 0]])
        self.assertEqual(await one.select("rows", ["b"], index="name"), [[2, "b", 6]])
        above = one.select("rows", [1], iterator=Iterator.GT, rows=1, offset=1)
        self.assertEqual(await above, [[3, "x", 0]])
        below = one.select("rows", ["c"], index="name", iterator=Iterator.LT)
        self.assertEqual(await below, [[2, "b", 6]])
        self.assertEqual(await one.delete("rows", [3]), [3, "x", 0])
        self.assertIsNone(await one.delete("rows", [3]))
        self.assertEqual(await one.call("later", 0, "now"), ["now"])
        self.assertEqual(await one.evaluate("local a, b = ... return b, a", 1, [2]), [[2], 1])

    async def test_values(self) -> None:
        """
        Values of every kind go there and come back, strings that are no text too.
        """
        uuid = UUID("f2d0e7a0-5b3c-4d1e-9c1a-2b3c4d5e6f70")
        values = [
            *(Decimal("-12.50"), Decimal(10**37), Decimal(0), uuid),
            *(2**63, -(2**63), 1.5, True, None),
            *("Grüße", b"\xff\x00".decode("utf-8", "surrogateescape"), {"k": [1]}),
        ]
        self.assertEqual(await self.tarantool.evaluate("return ...", *values), values)
        text = "local d, u = ... return tostring(d), tostring(u)"
        self.assertEqual(
            await self.tarantool.evaluate(text, values[0], uuid), ["-12.50", str(uuid)]
        )
        self.assertEqual(
            await self.tarantool.evaluate("return require('decimal').new('1e-5')"),
            [Decimal("0.00001")],
        )

    async def test_errors(self) -> None:
        """
        A refusal has the server's code and message, and the stack of what led to it.
        """
        await self.tarantool.insert("rows", [1, "a"])
        error = await self.fails(self.tarantool.insert("rows", [1, "a"]), TarantoolError)
        self.assertEqual(error.code, 3)
        self.assertIn("Duplicate key", error.message)
        self.assertEqual([(one.kind, one.code) for one in error.stack], [("ClientError", 3)])
        script = """
        local inner = box.error.new({code = 5, reason = 'inner'})
        local outer = box.error.new({code = 6, reason = 'outer'})
        outer:set_prev(inner)
        error(outer)
        """
        error = await self.fails(self.tarantool.evaluate(script), TarantoolError)
        self.assertEqual(
            [(one.code, one.message) for one in error.stack], [(6, "outer"), (5, "inner")]
        )

    async def test_login(self) -> None:
        """
        A wrong password is error 47, and a guest may do only what guests may.
        """
        one = await self.connect()
        login = Deferred.fromCoroutine(one.login(USER, "wrong"))
        self.assertEqual((await self.fails(login, TarantoolError)).code, 47)
        await one.login()
        self.assertEqual(one.session.greeting.version >= (2, 6, 0), True)  # type: ignore[union-attr]
        error = await self.fails(one.evaluate("return 1"), TarantoolError)
        self.assertEqual(error.code, 42)

    async def test_order(self) -> None:
        """
        A slow request does not hold up those behind it: answers come out of order.
        """
        came: list[str] = []
        slow = self.tarantool.call("later", 0.05, "slow").addCallback(came.extend)
        quick = self.tarantool.call("later", 0, "quick").addCallback(came.extend)
        await gatherResults([slow, quick])
        self.assertEqual(came, ["quick", "slow"])

    async def test_pipeline(self) -> None:
        """
        Hundreds of requests at once get each its own answer.
        """
        asked = [self.tarantool.call("later", 0, number) for number in range(500)]
        self.assertEqual(await gatherResults(asked), [[number] for number in range(500)])

    async def test_limits(self) -> None:
        """
        A request that takes too long or is cancelled fails, its late answer is ignored, and the
        connection goes on.
        """
        asked = self.tarantool.call("later", 0.05, 1, limit=0.01)
        cancelled = self.tarantool.call("later", 0.05, 1)
        cancelled.cancel()
        await self.fails(cancelled, CancelledError)
        await self.fails(asked, RequestTimedOut)
        await self.tarantool.call("later", 0.1, 1)
        self.assertEqual((self.tarantool.session.late, self.tarantool.session.unknown), (2, 0))

    async def test_full(self) -> None:
        """
        One request more than may be in flight is refused.
        """
        one = await self.connect(Limits(requests=2))
        await one.login(USER, PASSWORD)
        asked = [one.call("later", 0.02, 1) for _ in range(2)]
        await self.fails(one.ping(), RequestRefused)
        await gatherResults(asked)
        await one.ping()

    async def test_schema(self) -> None:
        """
        Names are right whoever changes the schema: those that another connection has made are
        found, and those whose numbers have changed are looked up again.
        """
        other = await self.connect()
        await other.login(USER, PASSWORD)
        await self.fails(self.tarantool.select("fresh"), UnknownName)
        await other.evaluate("box.schema.space.create('fresh'):create_index('primary')")
        self.assertEqual(await self.tarantool.insert("fresh", [1]), [1])
        loads = self.tarantool.session.loads
        # The space of that name is another one now, and this connection has not heard of it.
        await other.evaluate(
            "box.space.rows:drop() box.schema.space.create('gap') "
            "box.schema.space.create('rows'):create_index('primary')"
        )
        asked = [self.tarantool.replace("rows", [number]) for number in range(3)]
        self.assertEqual(await gatherResults(asked), [[0], [1], [2]])
        self.assertEqual(await other.select("rows"), [[0], [1], [2]])
        self.assertEqual(self.tarantool.session.loads, loads + 1)
        await self.fails(self.tarantool.select("rows", index="name"), UnknownName)

    async def test_features(self) -> None:
        """
        What the server can do is known: before 2.10 nothing, and watchers are refused then.
        """
        version = self.tarantool.session.greeting.version  # type: ignore[union-attr]
        told: Deferred[Any] = Deferred()
        if version < (2, 10, 0):
            self.assertEqual(self.tarantool.session.identity.version, 0)
            with self.assertRaises(Unsupported):
                self.tarantool.watch("box.status", lambda key, value: told.callback(value))
        else:
            self.tarantool.watch("box.status", lambda key, value: told.callback(value))
            self.assertIn("status", await told)


@requires("tarantool")
class TCPServerTests(_ServerCase):
    """
    L{Tarantool} against a real server, over TCP.
    """

    tcp = True

    async def test_tcp(self) -> None:
        """
        TCP carries the same, large rows too.
        """
        await self.tarantool.insert("rows", [1, "x" * 500_000])
        ((_, text),) = await self.tarantool.select("rows", [1])
        self.assertEqual(text, "x" * 500_000)


@requires("tarantool")
class ReconnectionTests(TestCase):
    """
    L{TarantoolClient} and servers that come and go.
    """

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.servers = [TarantoolServer(SCRIPT, tcp=tcp) for tcp in (False, True)]
        for server in self.servers:
            self.addCleanup(server.remove)
            server.start()
        self.told: list[str] = []
        self.ups: list[Deferred[Tarantool]] = [Deferred() for _ in range(4)]
        self.downs: list[Deferred[str]] = [Deferred() for _ in range(4)]

    def start(
        self, addresses: list[str], password: str = PASSWORD, silence: float = 30.0
    ) -> TarantoolClient:
        """
        A client that runs until the test is over.
        """
        ups, downs = iter(self.ups), iter(self.downs)
        client = TarantoolClient(
            reactor,
            addresses,
            user=USER,
            password=password,
            limits=Limits(silence=silence),
            connected=lambda tarantool: next(ups).callback(tarantool),
            disconnected=lambda reason: next(downs).callback(reason),
        )
        client.startService()
        self.addCleanup(client.stopService)
        return client

    async def instance(self, client: TarantoolClient) -> int:
        """
        The process that answers.
        """
        (pid,) = await client.evaluate("return require('tarantool').pid()")
        return int(pid)

    async def test_restart(self) -> None:
        """
        After a crash the next address is taken, and one that is started anew is found again.
        """
        first, second = self.servers
        client = self.start([first.address, second.address])
        await self.ups[0]
        self.assertEqual(await self.instance(client), first.process.pid)
        self.assertEqual((client.address, client.reason), (first.address, ""))
        waiting = client.call("later", 10, 1)
        first.kill()
        await self.assertFailure(waiting, TransportUnavailable)
        await self.downs[0]
        await self.ups[1]
        self.assertEqual(await self.instance(client), second.process.pid)
        second.kill()
        await self.downs[1]
        await self.assertFailure(client.ping(), TransportUnavailable)
        first.start()
        await self.ups[2]
        self.assertEqual(await self.instance(client), first.process.pid)

    async def test_hangs(self) -> None:
        """
        A server that hangs is left for the next.
        """
        first, second = self.servers
        client = self.start([first.address, second.address], silence=0.3)
        await self.ups[0]
        first.pause()
        self.assertIn("silent", await self.downs[0])
        await self.ups[1]
        self.assertEqual(await self.instance(client), second.process.pid)

    async def test_wrongPassword(self) -> None:
        """
        Where the password is wrong the client says so, and goes on trying.
        """
        client = self.start([self.servers[0].address], "wrong")
        while "47" not in client.reason:
            await deferLater(reactor, 0.01)
        self.assertIsNone(client.connection)
        client.password = PASSWORD
        await self.ups[0]
        await client.ping()
