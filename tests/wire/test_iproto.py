"""
Tests of L{bmff.wire.iproto}: greeting, values, requests, answers.
"""

from __future__ import annotations

import time
from decimal import Decimal
from hashlib import sha1
from math import inf
from typing import Any
from uuid import UUID

import msgpack  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError, TransportUnavailable
from bmff.wire.iproto import codes, messages
from bmff.wire.iproto.codes import Iterator
from bmff.wire.iproto.failures import (
    RequestRefused,
    RequestTimedOut,
    StackEntry,
    TarantoolError,
)
from bmff.wire.iproto.messages import Operation, readGreeting, scramble
from bmff.wire.iproto.session import Limits, Session
from bmff.wire.iproto.values import Codec
from tests.wire.iprotocase import (
    INSTANCE,
    SALT,
    SessionCase,
    Waiter,
    answer,
    byName,
    greeting,
    refusal,
    requestsIn,
)


class GreetingTests(SynchronousTestCase):
    """
    The first 128 bytes.
    """

    def test_read(self) -> None:
        """
        A greeting says version, instance and salt, whatever the build is called.
        """
        read = readGreeting(greeting())
        self.assertEqual((read.version, read.instance, read.salt), ((2, 6, 0), INSTANCE, SALT[:20]))
        newer = readGreeting(greeting("Tarantool 3.1.0-entrypoint-7-g1234 (Binary)"))
        self.assertEqual((newer.version, newer.instance), ((3, 1, 0), ""))

    def test_others(self) -> None:
        """
        Whoever does not speak the protocol is known by what it says.
        """
        for data, reason in (
            (greeting("Tarantool 2.6.0 (Lua console)"), "not the binary port"),
            (greeting("Tarantool two (Binary)"), "not a Tarantool"),
            (greeting(salt=bytes(12)), "salt"),
            (greeting()[:64] + b"!" * 63 + b"\n", "salt"),
            (greeting()[:127], "not a Tarantool"),
        ):
            with self.assertRaises(ProtocolError) as caught:
                readGreeting(data)
            self.assertEqual(caught.exception.reason, reason)

    def test_early(self) -> None:
        """
        Something else is refused at its first bytes, and a greeting may come byte by byte.
        """
        with self.assertRaises(ProtocolError):
            Session().receive(b"HTTP/1.1 400 Bad Request\r\n", 0.0)
        session, waiter = Session(), Waiter()
        session.start(waiter, 0.0)
        for byte in greeting():
            self.assertEqual(waiter.told, [])
            session.receive(bytes((byte,)), 0.0)
        self.assertEqual([one.version for one in waiter.told], [(2, 6, 0)])

    def test_silent(self) -> None:
        """
        Who does not greet in time is given up.
        """
        session = Session()
        session.start(Waiter(), 5.0, 2.0)
        self.assertEqual(session.deadline(), 7.0)
        self.assertTrue(session.timeout(6.9))
        self.assertFalse(session.timeout(7.0))

    def test_scramble(self) -> None:
        """
        A server that keeps only the double hash can verify the proof, and no other is good.
        """
        kept = sha1(sha1(b"secret").digest()).digest()

        def verify(proof: bytes) -> bool:
            mask = sha1(SALT[:20] + kept).digest()
            once = bytes(a ^ b for a, b in zip(proof, mask, strict=True))
            return sha1(once).digest() == kept

        self.assertTrue(verify(scramble(b"secret", SALT[:20])))
        self.assertFalse(verify(scramble(b"Secret", SALT[:20])))


class ValueTests(SynchronousTestCase):
    """
    L{Codec}.
    """

    codec = Codec(1000)

    def test_published(self) -> None:
        """
        The example of the published document: -12.34.
        """
        data = bytes.fromhex("d6010201234d")
        self.assertEqual(self.codec.pack(Decimal("-12.34")), data)
        self.assertEqual(self.codec.unpack(data), Decimal("-12.34"))

    @given(
        st.integers(-(10**38) + 1, 10**38 - 1),
        st.integers(-38, 38),
        st.uuids(),
        st.binary(max_size=20),
    )
    def test_roundTrip(self, digits: int, scale: int, uuid: UUID, text: bytes) -> None:
        """
        Decimals, UUIDs, and strings of any bytes come back as they were.
        """
        number = Decimal(digits).scaleb(-scale)
        string = text.decode("utf-8", "surrogateescape")
        value = [number, uuid, string, text, None, True, 1.5, {"a": -1}]
        self.assertEqual(self.codec.unpack(self.codec.pack(value)), value)

    def test_badExtensions(self) -> None:
        """
        Extensions that break their own form are refused, unknown ones come as they are.
        """
        for code, data in (
            (1, b""),
            (1, b"\x02"),
            (1, b"\x02\x01\x23\x44"),  # no sign
            (1, b"\x02\x0a\x2c"),  # no digit
            (1, b"\xa1x\x1c"),  # no scale
            (1, b"\xcd\xff\xff\x1c"),  # scale
            (1, b"\x00" + b"\x11" * 200 + b"\x1c"),
            (2, bytes(15)),
            (3, b"\x80"),
            (3, b"\x81\x00\x91\x01"),
            (3, b"\xc1"),
        ):
            with self.assertRaises(ProtocolError):
                self.codec.unpack(msgpack.packb(msgpack.ExtType(code, data)))
        unknown = msgpack.ExtType(4, bytes(8))
        self.assertEqual(self.codec.unpack(msgpack.packb(unknown)), unknown)

    def test_errorExtension(self) -> None:
        """
        An error among the data is its stack; errors inside its fields stay raw, however deep.
        """
        inner = msgpack.packb({0: [{0: "ClientError", 3: "deep", 5: 3}]})
        for _ in range(300):
            nested = {0: [{0: "ClientError", 3: "x", 5: 2, 6: {"in": msgpack.ExtType(3, inner)}}]}
            inner = msgpack.packb(nested)
        (entry,) = self.codec.unpack(msgpack.packb(msgpack.ExtType(3, inner)))
        self.assertEqual((entry.kind, entry.code, entry.message), ("ClientError", 2, "x"))
        self.assertIsInstance(entry.fields["in"], msgpack.ExtType)

    def test_unpackable(self) -> None:
        """
        What the database has no value for is the caller's mistake.
        """
        for value, error in (
            (object(), TypeError),
            (2**64, OverflowError),
            (Decimal("NaN"), ValueError),
            (Decimal("1e1000"), ValueError),
        ):
            with self.assertRaises(error):
                self.codec.pack([value])

    def test_bombs(self) -> None:
        """
        Arrays that claim more than may be, and nesting without an end, are refused quickly.
        """
        began = time.monotonic()
        claim = b"\xdd" + (1000).to_bytes(4)
        for data in (
            b"\xdd" + (2**32 - 1).to_bytes(4),
            b"\xdf" + (2**32 - 1).to_bytes(4),
            b"\xdb" + (2**32 - 1).to_bytes(4),
            b"\x91" * 100_000,
            claim * 1000 + bytes(2000),
            b"\x81\x90\x00",  # an array as a key
            b"\x00\x00",
        ):
            with self.assertRaises(ProtocolError):
                self.codec.unpack(data)
        self.assertLess(time.monotonic() - began, 2.0)


class RequestTests(SessionCase):
    """
    What requests look like.
    """

    def test_forms(self) -> None:
        """
        Each request has the kind and the keys of the published document.
        """
        proof = scramble(b"pw", SALT[:20])
        operations: tuple[tuple[Operation, int, dict[int, Any]], ...] = (
            (messages.ping(), 0x40, {}),
            (
                messages.select(512, [7], 2, 10, 3, Iterator.GE),
                0x01,
                {0x10: 512, 0x11: 2, 0x12: 10, 0x13: 3, 0x14: 5, 0x20: [7]},
            ),
            (messages.insert(512, [1]), 0x02, {0x10: 512, 0x21: [1]}),
            (messages.replace(512, [1]), 0x03, {0x10: 512, 0x21: [1]}),
            (
                messages.update(512, [7], [("=", 1, "a")], 0),
                0x04,
                {0x10: 512, 0x11: 0, 0x20: [7], 0x21: [["=", 1, "a"]]},
            ),
            (messages.delete(512, [7], 1), 0x05, {0x10: 512, 0x11: 1, 0x20: [7]}),
            (
                messages.authenticate("bmff", "pw", SALT[:20]),
                0x07,
                {0x23: "bmff", 0x21: ["chap-sha1", proof]},
            ),
            (messages.evaluate("return ...", (1,)), 0x08, {0x27: "return ...", 0x21: [1]}),
            (
                messages.upsert(512, [7, 1], [("+", 1, 1)]),
                0x09,
                {0x10: 512, 0x21: [7, 1], 0x28: [["+", 1, 1]]},
            ),
            (messages.call("f", (1, 2)), 0x0A, {0x22: "f", 0x21: [1, 2]}),
            (messages.identify(), 0x49, {0x54: 3, 0x55: [2, 3]}),
        )
        for operation, code, body in operations:
            sync, waiter = self.ask(operation)
            self.assertEqual(self.sent(), [({0: code, 1: sync}, body)])
            self.session.receive(refusal(sync, 1), 0.0)
            self.assertEqual(len(waiter.told), 1)

    def test_results(self) -> None:
        """
        A result is what the request is about: rows, one row or none, all values, nothing.
        """
        for operation, rows, result in (
            (messages.select(512, [], 0, 9, 0, Iterator.ALL), [[1], [2]], [[1], [2]]),
            (messages.insert(512, [1]), [[1]], [1]),
            (messages.delete(512, [1], 0), [], None),
            (messages.call("f", ()), [1, "two"], [1, "two"]),
            (messages.upsert(512, [1], []), [], None),
        ):
            sync, waiter = self.ask(operation)
            self.session.receive(answer(sync, {codes.DATA: rows}), 0.0)
            self.assertEqual(waiter.told, [result])

    def test_badResults(self) -> None:
        """
        An answer without what the request is about breaks the protocol; who waits is told with all
        others.
        """
        for operation, body in (
            (messages.call("f", ()), {}),
            (messages.call("f", ()), {codes.DATA: 1}),
            (messages.insert(512, [1]), {codes.DATA: [1]}),
            (messages.identify(), {codes.FEATURES: ["x"]}),
        ):
            self.setUp()
            sync, waiter = self.ask(operation)
            with self.assertRaises(ProtocolError):
                self.session.receive(answer(sync, body), 0.0)
            gone = TransportUnavailable("gone")
            self.session.lost(gone)
            self.assertEqual(waiter.told, [gone])


class AnswerTests(SessionCase):
    """
    Answers.
    """

    def test_order(self) -> None:
        """
        Answers belong to requests by their number, in whatever order they come.
        """
        asked = [self.ask(messages.call("f", ())) for _ in range(4)]
        for sync, _ in reversed(asked):
            self.session.receive(answer(sync, {codes.DATA: [sync]}), 0.0)
        self.assertEqual([waiter.told for _, waiter in asked], [[[sync]] for sync, _ in asked])

    def test_cuts(self) -> None:
        """
        A stream may be cut anywhere, sizes and headers written in any form.
        """
        forms = [(1, 5), (1, 2), (1, 3), (1, 9), (None, 1), (None, 5)]
        for cut in range(2, 200):
            self.setUp()
            asked = [self.ask(messages.call("f", ())) for _ in range(4)]
            stream = b"".join(
                answer(sync, {codes.DATA: ["x" * 5]}, version=forms[(cut + at) % 6][0], prefix=form)
                for at, (sync, _) in enumerate(asked)
                for form in [forms[(cut + at) % 6][1]]
            )
            for at in range(0, len(stream), cut):
                self.session.receive(stream[at : at + cut], 0.0)
            self.assertEqual([waiter.told for _, waiter in asked], [[["x" * 5]]] * 4)

    def test_errors(self) -> None:
        """
        A refusal has code, message and the stack that led to it.
        """
        sync, waiter = self.ask()
        stack = [
            {0: "ClientError", 1: "eval", 2: 1, 3: "out", 4: 0, 5: 6},
            {0: "SystemError", 1: "f.c", 2: 2, 3: "in", 4: 5, 5: 115, 6: {"path": "/x"}},
        ]
        body = {codes.ERROR_24: "out", codes.ERROR: {0: stack}}
        self.session.receive(answer(sync, body, code=0x8006), 0.0)
        (error,) = waiter.told
        self.assertIsInstance(error, TarantoolError)
        self.assertEqual((error.code, error.message), (6, "out"))
        self.assertEqual(
            error.stack,
            (
                StackEntry("ClientError", 6, "out", "eval", 1),
                StackEntry("SystemError", 115, "in", "f.c", 2, 5, {"path": "/x"}),
            ),
        )

    def test_strangers(self) -> None:
        """
        Answers that nobody asked for, and those before the last one, change nothing.
        """
        sync, waiter = self.ask()
        self.session.receive(answer(99) + refusal(99, 1), 0.0)
        self.session.receive(answer(sync, {codes.DATA: [1]}, code=codes.CHUNK), 0.0)
        self.assertEqual((self.session.unknown, waiter.told), (2, []))
        self.session.receive(answer(sync), 0.0)
        self.assertEqual(waiter.told, [None])

    def test_broken(self) -> None:
        """
        What breaks the protocol is said to; it is never waited for.
        """
        good = answer(1)
        for data in (
            b"\xc0",  # no size
            b"\xce" + (4097).to_bytes(4),
            b"\xcf" + (2**63).to_bytes(8),
            b"\x00",
            b"\x01\xc0",
            b"\x02\x80\x80",
            b"\x05\x82\x00\xff\x01\x00\x80",  # a negative kind
            good[:-1] + b"\x90",
            answer(1, code=7),
            answer(1, {codes.ERROR_24: 1}, code=0x8001),
            answer(1, {codes.ERROR: [1]}, code=0x8001),
            answer(1, {codes.ERROR: {0: [{3: 1}]}}, code=0x8001),
            answer(1, {codes.EVENT_KEY: 1}, code=codes.EVENT, version=None),
            good[:4] + bytes((good[4] + 1,)) + good[5:] + b"\x00",
        ):
            self.setUp()
            self.ask()
            with self.assertRaises(ProtocolError):
                self.session.receive(data, 0.0)

    def test_lost(self) -> None:
        """
        When the connection is lost everybody who waits is told, once, and new requests are refused.
        """
        _, waiter = self.ask()
        _, named = self.ask(byName())
        greeted = Waiter()
        gone = TransportUnavailable("gone")
        fresh = Session()
        fresh.start(greeted, 0.0)
        for session in (self.session, fresh):
            session.lost(gone)
            session.lost(gone)
            self.assertEqual(session.deadline(), inf)
        self.assertEqual([waiter.told, named.told, greeted.told], [[gone]] * 3)
        with self.assertRaises(TransportUnavailable):
            self.ask()
        self.assertEqual(self.session.outgoing(), b"")


class TimeTests(SessionCase):
    """
    Limits of time and number.
    """

    def test_timeout(self) -> None:
        """
        Each request has its own time; an answer that comes later is ignored.
        """
        slow, quick = self.ask(limit=9.0), self.ask(limit=2.0)
        self.assertEqual(self.session.deadline(), 2.0)
        self.session.timeout(1.9)
        self.assertEqual(quick[1].told, [])
        self.session.timeout(2.0)
        self.assertEqual([type(one) for one in quick[1].told], [RequestTimedOut])
        self.assertEqual((slow[1].told, self.session.deadline()), ([], 9.0))
        self.session.receive(answer(quick[0]) + answer(slow[0]), 3.0)
        self.assertEqual((len(quick[1].told), slow[1].told, self.session.late), (1, [None], 1))

    def test_abandon(self) -> None:
        """
        Who gives up hears nothing more.
        """
        sync, waiter = self.ask()
        self.session.abandon(sync)
        self.session.abandon(sync)
        self.session.abandon(12345)
        self.session.receive(refusal(sync, 1), 0.0)
        self.session.timeout(100.0)
        self.assertEqual((waiter.told, self.session.late), ([], 1))

    def test_full(self) -> None:
        """
        So many requests are in flight and no more; one that has timed out is, until its answer
        comes, as the server still works on it.
        """
        asked = [self.ask(limit=1.0) for _ in range(4)]
        with self.assertRaises(RequestRefused):
            self.ask()
        self.session.timeout(1.0)
        with self.assertRaises(RequestRefused):
            self.ask()
        self.session.receive(answer(asked[2][0]), 2.0)
        self.ask()

    def test_silence(self) -> None:
        """
        A server that says nothing is asked, and given up when it goes on like that.
        """
        session = Session(Limits(silence=5.0))
        session.start(Waiter(), 0.0)
        session.receive(greeting(), 0.0)
        self.assertEqual(session.deadline(), 5.0)
        self.assertTrue(session.timeout(4.9))
        self.assertEqual(session.outgoing(), b"")
        self.assertTrue(session.timeout(5.0))
        ((header, _),) = requestsIn(session.outgoing())
        self.assertEqual(header[0], codes.PING)
        session.receive(answer(header[1]), 6.0)
        self.assertTrue(session.timeout(10.9))
        self.assertTrue(session.timeout(11.0))
        self.assertTrue(session.timeout(15.9))
        self.assertFalse(session.timeout(16.0))
