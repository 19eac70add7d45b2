"""
Tests of L{bmff.wire.iproto.session}: names, watched keys, hostile servers.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgpack  # type: ignore[import-untyped]
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError, TransportUnavailable
from bmff.testing.mutation import MUTATIONS, mutations
from bmff.wire.iproto import codes, messages
from bmff.wire.iproto.codes import Iterator
from bmff.wire.iproto.failures import (
    RequestRefused,
    RequestTimedOut,
    UnknownName,
    Unsupported,
)
from bmff.wire.iproto.session import ATTEMPTS, Limits, Session
from bmff.wire.iproto.values import Codec
from tests.wire.iprotocase import (
    INSTANCE,
    SessionCase,
    Waiter,
    answer,
    byName,
    greeting,
    refusal,
)


class SchemaTests(SessionCase):
    """
    Names.
    """

    def test_lookUp(self) -> None:
        """
        Names are looked up once, and a request with names carries the version that they are of.
        """
        (first, one), (second, two) = self.ask(byName()), self.ask(byName())
        self.serveSchema({"Nodes": 600}, 7)
        expected = {0x10: 600, 0x11: 3, 0x12: 1, 0x13: 0, 0x14: 0, 0x20: [7]}
        self.assertEqual(
            self.sent(), [({0: 1, 1: sync, 5: 7}, expected) for sync in (first, second)]
        )
        self.session.receive(answer(first, {codes.DATA: []}, version=7), 0.0)
        self.session.receive(answer(second, {codes.DATA: []}, version=7), 0.0)
        self.assertEqual((one.told, two.told, self.session.loads), ([[]], [[]], 1))
        self.ask(byName())
        self.assertEqual(len(self.sent()), 1)

    def test_change(self) -> None:
        """
        When any answer shows another version the names are looked up again before they are used.
        """
        first, _ = self.ask(byName())
        self.serveSchema({"Nodes": 600}, 7)
        self.session.outgoing()
        self.assertTrue(self.session.current)
        self.session.receive(answer(first, {codes.DATA: []}, version=8), 0.0)
        self.assertFalse(self.session.current)
        second, _ = self.ask(byName())
        self.serveSchema({"Nodes": 601}, 8)
        ((header, body),) = self.sent()
        self.assertEqual((header, body[0x10]), ({0: 1, 1: second, 5: 8}, 601))

    def test_refused(self) -> None:
        """
        Requests that the server refuses for their version are sent again with new numbers, and
        nobody hears of it.
        """
        asked = [self.ask(byName()) for _ in range(2)]
        self.serveSchema({"Nodes": 600}, 7)
        self.session.outgoing()
        self.session.receive(refusal(asked[0][0], codes.WRONG_SCHEMA_VERSION, 8), 0.0)
        self.serveSchema({"Nodes": 601}, 8)
        self.session.receive(refusal(asked[1][0], codes.WRONG_SCHEMA_VERSION, 8), 0.0)
        for header, body in self.sent():
            self.assertEqual((header[5], body[0x10]), (8, 601))
            self.session.receive(answer(header[1], {codes.DATA: [[1]]}, version=8), 0.0)
        self.assertEqual([waiter.told for _, waiter in asked], [[[[1]]]] * 2)
        self.assertEqual(self.session.loads, 2)

    def test_neverRight(self) -> None:
        """
        A server that refuses every version is not asked for ever.
        """
        sync, waiter = self.ask(byName())
        self.serveSchema({"Nodes": 600}, 7)
        for _ in range(ATTEMPTS + 1):
            self.assertEqual([header[1] for header, _ in self.sent()], [sync])
            self.session.receive(refusal(sync, codes.WRONG_SCHEMA_VERSION, 7), 0.0)
        self.assertEqual([error.code for error in waiter.told], [codes.WRONG_SCHEMA_VERSION])

    def test_unknown(self) -> None:
        """
        A name that is not known is looked up again, as somebody may have made it just now, and
        then its request fails alone.
        """
        _, good = self.ask(byName())
        self.serveSchema({"Nodes": 600}, 7)
        self.session.outgoing()
        _, made = self.ask(byName("Peers"))
        self.serveSchema({"Nodes": 600, "Peers": 601}, 8)
        ((_, body),) = self.sent()
        self.assertEqual((body[0x10], made.told), (601, []))
        _, missing = self.ask(messages.select("Peers", [], "third", 1, 0, Iterator.ALL))
        self.serveSchema({"Nodes": 600, "Peers": 601}, 8)
        (error,) = missing.told
        self.assertIsInstance(error, UnknownName)
        self.assertIn("third", str(error))
        self.assertEqual((good.told, made.told, self.sent()), ([], [], []))

    def test_halves(self) -> None:
        """
        Spaces and indexes of two versions are no schema: they are read again, a few times.
        """
        _, waiter = self.ask(byName())
        for version in range(ATTEMPTS - 1):
            self.serveSchema({"Nodes": 600}, version, version + 1)
            self.assertEqual(waiter.told, [])
        self.serveSchema({"Nodes": 600}, 9, 9)
        self.assertEqual(len(self.sent()), 1)
        self.setUp()
        _, waiter = self.ask(byName())
        for version in range(ATTEMPTS):
            self.serveSchema({"Nodes": 600}, version, version + 1)
        self.assertEqual([type(error) for error in waiter.told], [RequestRefused])

    def test_forbidden(self) -> None:
        """
        When names cannot be read, who waits for them is told why, and the next one asks again.
        """
        loaded = Waiter()
        _, waiter = self.ask(byName())
        self.session.loadSchema(loaded, 0.0)
        for header, _ in self.sent():
            self.session.receive(refusal(header[1], 42), 0.0)
        self.assertEqual([error.code for error in waiter.told + loaded.told], [42, 42])
        self.ask(byName())
        self.assertEqual(len(self.sent()), 2)

    def test_badSchema(self) -> None:
        """
        System spaces with other rows break the protocol, and who waits is told with the others.
        """
        _, waiter = self.ask(byName())
        (spaces, _), (indexes, _) = self.sent()
        self.session.receive(answer(spaces[1], {codes.DATA: [["x"]]}), 0.0)
        with self.assertRaises(ProtocolError):
            self.session.receive(answer(indexes[1], {codes.DATA: []}), 0.0)
        gone = TransportUnavailable("gone")
        self.session.lost(gone)
        self.assertEqual(waiter.told, [gone])

    def test_waiting(self) -> None:
        """
        A request that waits for its names has its time too and may be given up; it is not sent
        then.
        """
        _, late = self.ask(byName(), limit=1.0)
        given, waiter = self.ask(byName())
        self.session.abandon(given)
        self.session.timeout(1.0)
        self.assertEqual([type(error) for error in late.told], [RequestTimedOut])
        self.serveSchema({"Nodes": 600}, 7)
        self.assertEqual((self.sent(), waiter.told), ([], []))

    def test_unpackable(self) -> None:
        """
        A value that the database has not is told to who gave it, when its request is packed.
        """
        bad = messages.insert("Nodes", [object()])
        _, waiter = self.ask(bad)
        self.serveSchema({"Nodes": 600}, 7)
        self.assertEqual([type(error) for error in waiter.told], [TypeError])
        for operation in (bad, messages.insert(600, [object()])):
            with self.assertRaises(TypeError):
                self.ask(operation)
        for _ in range(self.limits.requests):  # none of them is in flight
            self.ask()


class WatcherTests(SessionCase):
    """
    Keys that are watched, as the published document has it.
    """

    def setUp(self) -> None:
        super().setUp()
        sync, waiter = self.ask(messages.identify())
        body = {codes.VERSION: 6, codes.FEATURES: [0, 1, 2, 3, 4]}
        self.session.receive(answer(sync, body), 0.0)
        (self.session.identity,) = waiter.told
        self.session.outgoing()
        self.events: list[tuple[str, Any]] = []

    def watcher(self, key: str, value: Any) -> None:
        self.events.append((key, value))

    def event(self, body: dict[int, Any]) -> None:
        """
        The server tells something.
        """
        self.session.receive(answer(0, body, code=codes.EVENT, version=None), 0.0)

    def test_watch(self) -> None:
        """
        A watched key is asked for once; each event is acknowledged, which asks for the next.
        """
        self.session.watch("a", self.watcher)
        self.session.watch("a", self.watcher)
        self.assertEqual([(header[0], body) for header, body in self.sent()], [(0x4A, {0x57: "a"})])
        self.event({0x57: "a", 0x58: [1]})
        self.assertEqual([(header[0], body) for header, body in self.sent()], [(0x4A, {0x57: "a"})])
        self.event({0x57: "a"})
        self.assertEqual(self.events, [("a", [1]), ("a", None)])

    def test_unwatch(self) -> None:
        """
        After the end of it an event that was on its way is not told.
        """
        self.session.watch("a", self.watcher)
        self.session.unwatch("a")
        self.session.unwatch("a")
        self.assertEqual([header[0] for header, _ in self.sent()], [0x4A, 0x4B])
        self.event({0x57: "a", 0x58: 1})
        self.assertEqual((self.events, self.sent(), self.session.unknown), ([], [], 1))

    def test_refused(self) -> None:
        """
        Older servers are not asked, and keys are bounded.
        """
        for number in range(self.limits.requests):
            self.session.watch(str(number), self.watcher)
        with self.assertRaises(RequestRefused):
            self.session.watch("more", self.watcher)
        self.session.identity = messages.Identity()
        with self.assertRaises(Unsupported):
            self.session.watch("0", self.watcher)


class HostileTests(SynchronousTestCase):
    """
    Any bytes give answers or L{ProtocolError}, quickly.
    """

    def test_mutations(self) -> None:
        """
        Mutated streams break nothing but the connection, and nobody is left waiting after it.
        """
        value = [Decimal("1.5"), UUID(INSTANCE), {"k": [1, "x", None]}]
        packed = msgpack.packb({0x30: [["x" * 9, 5, -1.5], [1]]})
        stack = {0: [{0: "ClientError", 3: "in", 5: 5, 6: {"f": 1}}]}
        rows = [[512, 1, "Nodes", "memtx", 0, {}, []], [513, 1, "Peers", "memtx", 0, {}, []]]
        body = Codec(100).pack({0x30: [value, msgpack.ExtType(3, msgpack.packb(stack))]})
        header = answer(1)[5:-1]
        streams = [
            b"".join(
                (
                    b"\xce" + (len(header) + len(body)).to_bytes(4) + header + body,
                    answer(2, {0x31: "no", 0x52: stack}, code=0x8005),
                    answer(3, {0x30: rows}),
                )
            ),
            answer(4, {0x30: [[512, 0, "second", "tree"]]})
            + answer(1, {0x30: [[1]]}, version=None),
            answer(0, {0x57: "a", 0x58: 1}, code=0x4C, version=None) + answer(2),
            b"\xce" + (len(header) + len(packed)).to_bytes(4) + header + packed,
            answer(2, {0x31: "wrong"}, code=0x8000 | 109, version=5),
        ]
        began = time.monotonic()
        broken = 0
        count = MUTATIONS // 5
        for data in mutations(5, streams, count):
            session = Session(Limits(requests=8, answer=10_000, elements=100))
            session.receive(greeting(), 0.0)
            waiters = [Waiter() for _ in range(4)]
            session.request(messages.call("f", ()), waiters[0], 0.0)
            session.request(messages.ping(), waiters[1], 0.0)
            session.request(byName(), waiters[2], 0.0)
            session.loadSchema(waiters[3], 0.0)
            session.identity = messages.Identity(3, frozenset((3,)))
            session.watch("a", lambda key, value: None)
            try:
                session.receive(data, 0.0)
                session.receive(data, 0.0)
            except ProtocolError:
                broken += 1
            session.timeout(1.0)
            session.outgoing()
            session.lost(TransportUnavailable("gone"))
            self.assertEqual([len(waiter.told) for waiter in waiters], [1, 1, 1, 1])
        self.assertGreater(broken, count // 4)
        self.assertLess((time.monotonic() - began) / count, 0.005)

    def test_drip(self) -> None:
        """
        A large answer in small pieces takes time in proportion to its size.
        """
        session, waiter = Session(), Waiter()
        session.receive(greeting(), 0.0)
        sync = session.request(messages.call("f", ()), waiter, 0.0)
        data = answer(sync, {codes.DATA: ["x" * 2_000_000]})
        began = time.monotonic()
        for at in range(0, len(data), 50):
            session.receive(data[at : at + 50], 0.0)
        self.assertEqual(len(waiter.told), 1)
        self.assertLess(time.monotonic() - began, 3.0)
