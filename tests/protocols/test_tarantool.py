"""
Tests of L{bmff.protocols.tarantool}: against bytes.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError, TransportUnavailable
from bmff.protocols.tarantool import (
    Limits,
    RequestRefused,
    RequestTimedOut,
    Tarantool,
    TarantoolClient,
    TarantoolError,
    Unsupported,
    pause,
)
from bmff.wire.iproto import codes
from tests.wire.iprotocase import answer, greeting, refusal, requestsIn


class Transport(StringTransport):
    """
    A transport whose end is told at once when it is aborted.

    @ivar protocol: what is told.
    """

    protocol: Any

    def abortConnection(self) -> None:
        super().abortConnection()
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def fresh(self) -> list[tuple[dict[int, Any], dict[int, Any]]]:
        """
        The requests that were written since.
        """
        data = self.value()
        self.clear()
        return list(requestsIn(data))


class ConnectionTests(SynchronousTestCase):
    """
    L{Tarantool} on a transport in memory.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.tarantool = Tarantool(self.clock, Limits(requests=3, silence=5.0))
        self.transport = Transport()
        self.transport.protocol = self.tarantool
        self.tarantool.makeConnection(self.transport)

    def greet(self) -> None:
        self.tarantool.dataReceived(greeting())

    def test_login(self) -> None:
        """
        Greeting, features, login, names: each waits for the one before.
        """
        login = Deferred.fromCoroutine(self.tarantool.login("bmff", "pw"))
        self.assertEqual(self.transport.value(), b"")
        self.greet()
        ((header, _),) = self.transport.fresh()
        self.assertEqual(header[0], codes.ID)
        self.tarantool.dataReceived(refusal(header[1], codes.UNKNOWN_REQUEST_TYPE))
        ((header, body),) = self.transport.fresh()
        self.assertEqual((header[0], body[0x23]), (codes.AUTH, "bmff"))
        self.tarantool.dataReceived(answer(header[1]))
        names = self.transport.fresh()
        self.assertEqual([body[0x10] for _, body in names], [codes.VSPACE, codes.VINDEX])
        self.assertNoResult(login)
        for header, _ in names:
            self.tarantool.dataReceived(answer(header[1], {codes.DATA: []}))
        self.assertIsNone(self.successResultOf(login))

    def test_features(self) -> None:
        """
        What a server of 2.10 or later says that it can do is known, and watchers are told then.
        """
        login = Deferred.fromCoroutine(self.tarantool.login())
        self.greet()
        ((header, _),) = self.transport.fresh()
        with self.assertRaises(Unsupported):
            self.tarantool.watch("a", lambda key, value: None)
        body = {codes.VERSION: 6, codes.FEATURES: [2, 3]}
        self.tarantool.dataReceived(answer(header[1], body))
        self.transport.fresh()
        told: list[Any] = []

        def watcher(key: str, value: Any) -> None:
            told.append((key, value))
            raise ValueError("a bug of a watcher")

        self.tarantool.watch("a", watcher)
        event = answer(0, {0x57: "a", 0x58: 5}, code=codes.EVENT, version=None)
        self.tarantool.dataReceived(event)
        self.assertEqual(told, [("a", 5)])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.tarantool.unwatch("a")
        self.assertEqual([header[0] for header, _ in self.transport.fresh()], [0x4A, 0x4A, 0x4B])
        self.tarantool.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(login, TransportUnavailable)

    def test_noLogin(self) -> None:
        """
        A refusal that is not about the request's kind ends the login; so does the connection.
        """
        login = Deferred.fromCoroutine(self.tarantool.login("bmff", "wrong"))
        self.greet()
        ((header, _),) = self.transport.fresh()
        self.tarantool.dataReceived(refusal(header[1], 42))
        self.assertEqual(self.failureResultOf(login, TarantoolError).value.code, 42)
        self.setUp()
        login = Deferred.fromCoroutine(self.tarantool.login())
        self.tarantool.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(login, TransportUnavailable)
        again = Deferred.fromCoroutine(self.tarantool.login())
        self.failureResultOf(again, TransportUnavailable)

    def test_stranger(self) -> None:
        """
        Whoever does not speak the protocol is hung up on, and who logs in is told why.
        """
        login = Deferred.fromCoroutine(self.tarantool.login())
        self.tarantool.dataReceived(b"SSH-2.0-OpenSSH\r\n")
        self.assertEqual(self.failureResultOf(login, ProtocolError).value.reason, "not a Tarantool")
        self.assertEqual(self.tarantool.lost, "not a Tarantool")

    def test_noGreeting(self) -> None:
        """
        A connection on which nothing is said is given up after ten seconds.
        """
        login = Deferred.fromCoroutine(self.tarantool.login())
        self.clock.advance(9.9)
        self.assertNoResult(login)
        self.clock.advance(0.2)
        self.assertIn("silent", str(self.failureResultOf(login, TransportUnavailable).value))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_timeout(self) -> None:
        """
        A request that is not answered in its time fails, its late answer is ignored, and the
        connection goes on.
        """
        self.greet()
        asked = self.tarantool.call("f", limit=2.0)
        ((header, _),) = self.transport.fresh()
        self.clock.advance(1.9)
        self.assertNoResult(asked)
        self.clock.advance(0.2)
        self.failureResultOf(asked, RequestTimedOut)
        self.tarantool.dataReceived(answer(header[1], {codes.DATA: [1]}))
        self.assertEqual(self.tarantool.session.late, 1)
        self.assertFalse(self.transport.disconnecting)

    def test_cancel(self) -> None:
        """
        A request that is cancelled fails at once, and its answer is ignored.
        """
        self.greet()
        asked = self.tarantool.call("f")
        ((header, _),) = self.transport.fresh()
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.tarantool.dataReceived(answer(header[1], {codes.DATA: [1]}))
        self.assertEqual(self.tarantool.session.late, 1)

    def test_full(self) -> None:
        """
        One request too many is refused, and only that one.
        """
        self.greet()
        asked = [self.tarantool.ping() for _ in range(3)]
        self.failureResultOf(self.tarantool.ping(), RequestRefused)
        for header, _ in self.transport.fresh():
            self.tarantool.dataReceived(answer(header[1]))
        self.assertEqual([self.successResultOf(one) for one in asked], [None] * 3)

    def test_lost(self) -> None:
        """
        When the connection ends everybody who waits is told, and later requests fail; no timer is
        left.
        """
        self.failureResultOf(self.tarantool.ping(), TransportUnavailable)
        self.greet()
        asked = [self.tarantool.ping(), self.tarantool.select("rows")]
        self.tarantool.connectionLost(Failure(ConnectionDone()))
        for one in [*asked, self.tarantool.ping()]:
            self.failureResultOf(one, TransportUnavailable)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_broken(self) -> None:
        """
        A server that breaks the protocol is hung up on, and who waits is told that it did.
        """
        self.greet()
        asked = self.tarantool.ping()
        self.tarantool.dataReceived(b"\xc0")
        self.assertEqual(self.failureResultOf(asked, ProtocolError).value.reason, "size")
        self.assertTrue(self.transport.disconnected)

    def test_silent(self) -> None:
        """
        A server that hangs is found out though nobody asks for anything.
        """
        self.greet()
        asked = self.tarantool.call("f", limit=1000.0)
        self.transport.clear()
        self.clock.pump([0.5] * 11)
        self.assertEqual([header[0] for header, _ in self.transport.fresh()], [codes.PING])
        self.assertNoResult(asked)
        self.clock.pump([0.5] * 10)
        self.assertIn("silent", str(self.failureResultOf(asked, TransportUnavailable).value))

    def test_values(self) -> None:
        """
        A value that the database has not fails its request, and nothing is sent.
        """
        self.greet()
        self.failureResultOf(self.tarantool.call("f", object()), TypeError)
        self.failureResultOf(self.tarantool.call("f", 2**64), OverflowError)
        self.assertEqual(self.transport.value(), b"")

    def test_oneWrite(self) -> None:
        """
        What is asked for while answers are read leaves in one write.
        """
        self.greet()
        asked = [self.tarantool.ping() for _ in range(3)]
        more: list[Deferred[None]] = []
        for one in asked:
            one.addCallback(lambda _: more.append(self.tarantool.ping()))
        syncs = [header[1] for header, _ in self.transport.fresh()]
        writes: list[bytes] = []
        self.patch(self.transport, "write", writes.append)
        self.tarantool.dataReceived(b"".join(map(answer, syncs)))
        self.assertEqual([len(list(requestsIn(data))) for data in writes], [3])
        self.assertEqual(len(more), 3)


class ClientTests(SynchronousTestCase):
    """
    L{TarantoolClient} on a network in memory.
    """

    def setUp(self) -> None:
        self.network = MemoryReactorClock()
        self.told: list[str] = []
        self.client = TarantoolClient(
            self.network,
            [TCP4ClientEndpoint(self.network, f"10.0.0.{n}", 3301) for n in (1, 2)],
            connected=lambda tarantool: self.told.append("connected"),
            disconnected=self.told.append,
        )
        self.client.startService()

    def attempt(self) -> tuple[str, Any]:
        """
        The latest attempt to connect.

        @return: the address, and the factory.
        """
        host, _, factory, *_ = self.network.tcpClients[-1]
        return host, factory

    def refuse(self) -> str:
        """
        Nobody is there.

        @return: where.
        """
        host, factory = self.attempt()
        factory.clientConnectionFailed(None, Failure(OSError("nobody there")))
        return host

    def accept(self) -> tuple[Any, Transport]:
        """
        Somebody is there.
        """
        protocol = self.attempt()[1].buildProtocol(None)
        transport = Transport()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return protocol, transport

    def letIn(self) -> tuple[Any, Transport]:
        """
        A server that lets everybody in.
        """
        protocol, transport = self.accept()
        protocol.dataReceived(greeting())
        for _ in range(2):
            for header, _ in transport.fresh():
                body: dict[int, Any] = {codes.DATA: []} if header[0] == codes.SELECT else {}
                protocol.dataReceived(answer(header[1], body))
        return protocol, transport

    def test_inTurn(self) -> None:
        """
        Every address is tried at once before it waits, and the next round begins soon.
        """
        self.assertEqual([self.refuse(), self.refuse()], ["10.0.0.1", "10.0.0.2"])
        self.assertEqual(len(self.network.tcpClients), 2)
        self.assertEqual(self.client.reason, "nobody there")
        self.failureResultOf(self.client.ping(), TransportUnavailable)
        self.network.advance(0.1)
        self.assertEqual(self.refuse(), "10.0.0.1")
        self.letIn()
        self.assertEqual((self.told, self.client.reason), (["connected"], ""))
        self.assertEqual([pause(n) for n in (1, 2, 5, 5000)], [0.1, 0.2, 1.0, 1.0])

    def test_reconnects(self) -> None:
        """
        A lost connection is told after those who wait, and replaced; requests go to the new one.
        """
        protocol, _ = self.letIn()
        self.assertIs(self.successResultOf(self.client.whenConnected()), self.client.connection)
        asked = self.client.ping()
        asked.addErrback(lambda failure: self.told.append(type(failure.value).__name__))
        protocol.connectionLost(Failure(ConnectionDone("over")))
        self.assertEqual(
            self.told, ["connected", "TransportUnavailable", "Connection was closed cleanly: over."]
        )
        self.failureResultOf(self.client.ping(), TransportUnavailable)
        self.network.advance(0.1)
        protocol, transport = self.letIn()
        asked = self.client.ping()
        protocol.dataReceived(answer(transport.fresh()[0][0][1]))
        self.assertIsNone(self.successResultOf(asked))

    def test_lostAtTheDoor(self) -> None:
        """
        A connection that ends before it is logged in counts as an address that lets nobody in.
        """
        for _ in range(2):
            protocol, _ = self.accept()
            protocol.connectionLost(Failure(ConnectionDone()))
        self.network.advance(0.1)
        self.letIn()
        self.assertEqual(self.told, ["connected"])
        self.assertEqual(len(self.network.tcpClients), 3)

    def test_stranger(self) -> None:
        """
        An address where something else answers is left, hung up.
        """
        protocol, transport = self.accept()
        protocol.dataReceived(b"220 mail.example.org ESMTP\r\n")
        self.assertTrue(transport.disconnected)
        self.assertEqual(self.client.reason, "not a Tarantool")
        self.assertEqual(self.attempt()[0], "10.0.0.2")

    def test_stop(self) -> None:
        """
        It ends at any time: while it waits, connects, logs in, or is connected.
        """
        self.successResultOf(self.client.stopService())
        self.setUp()
        self.refuse()
        self.refuse()
        self.successResultOf(self.client.stopService())
        self.setUp()
        _, transport = self.accept()
        self.successResultOf(self.client.stopService())
        self.assertTrue(transport.disconnected)
        self.setUp()
        protocol, transport = self.letIn()
        stopped = self.client.stopService()
        self.assertTrue(transport.disconnecting)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(stopped)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_callbacks(self) -> None:
        """
        What raises when it is told keeps nothing from working.
        """
        self.patch(self.client, "_connected", lambda tarantool: 1 / 0)
        self.letIn()
        self.assertIsNotNone(self.client.connection)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_addresses(self) -> None:
        """
        No address, or what is none, is refused when the client is made.
        """
        for addresses in ([], ["carrier pigeon"]):
            with self.assertRaises(ValueError):
                TarantoolClient(self.network, addresses)
