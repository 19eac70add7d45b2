"""
What the tests of L{bmff.wire.iproto} share: what a server writes, and who waits for it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator as Iterating
from math import inf
from typing import Any

import msgpack  # type: ignore[import-untyped]
from twisted.trial.unittest import SynchronousTestCase

from bmff.wire.iproto import codes, messages
from bmff.wire.iproto.codes import Iterator
from bmff.wire.iproto.messages import Operation
from bmff.wire.iproto.session import Limits, Session

SALT = bytes(range(32))
INSTANCE = "43ac2564-d64d-4f15-9f56-451c42883995"


def greeting(first: str = f"Tarantool 2.6.0 (Binary) {INSTANCE}", salt: bytes = SALT) -> bytes:
    """
    What a server says first.
    """
    return first.ljust(63).encode() + b"\n" + b64encode(salt).ljust(63) + b"\n"


def answer(
    sync: int,
    body: object = None,
    *,
    code: int = codes.OK,
    version: int | None = 1,
    prefix: int = 5,
) -> bytes:
    """
    An answer, as servers write it.

    @param version: of the schema; L{None} for a header without, in the shortest form.
    @param prefix: bytes that its size is written with.
    """
    if version is None:
        header = msgpack.packb({codes.REQUEST_TYPE: code, codes.SYNC: sync})
    else:
        header = b"\x83\x00\xce" + code.to_bytes(4) + b"\x01\xcf" + sync.to_bytes(8)
        header += b"\x05\xce" + version.to_bytes(4)
    content = header + msgpack.packb({} if body is None else body, unicode_errors="surrogateescape")
    first = {1: b"", 2: b"\xcc", 3: b"\xcd", 5: b"\xce", 9: b"\xcf"}[prefix]
    return bytes(first + len(content).to_bytes(max(1, prefix - 1)) + content)


def refusal(sync: int, code: int, version: int = 1) -> bytes:
    """
    An error without a stack.
    """
    return answer(sync, {codes.ERROR_24: "no"}, code=codes.ERROR_BIT | code, version=version)


def requestsIn(data: bytes) -> Iterating[tuple[dict[int, Any], dict[int, Any]]]:
    """
    The headers and bodies of what a session sends.
    """
    while data:
        assert data[0] == 0xCE
        stop = 5 + int.from_bytes(data[1:5])
        unpacker = msgpack.Unpacker(strict_map_key=False)
        unpacker.feed(data[5:stop])
        yield unpacker.unpack(), unpacker.unpack()
        data = data[stop:]


class Waiter:
    """
    Keeps what it is told.
    """

    def __init__(self) -> None:
        self.told: list[Any] = []

    def callback(self, result: Any, /) -> None:
        self.told.append(result)

    def errback(self, error: Any, /) -> None:
        self.told.append(error)


class SessionCase(SynchronousTestCase):
    """
    A session that has been greeted.
    """

    limits = Limits(requests=4, answer=4096, elements=1000, silence=inf)

    def setUp(self) -> None:
        self.session = Session(self.limits)
        self.session.start(Waiter(), 0.0)
        self.session.receive(greeting(), 0.0)

    def ask(self, operation: Operation | None = None, limit: float = 10.0) -> tuple[int, Waiter]:
        """
        Make a request.

        @return: its number, and who waits.
        """
        waiter = Waiter()
        return self.session.request(operation or messages.ping(), waiter, 0.0, limit), waiter

    def sent(self) -> list[tuple[dict[int, Any], dict[int, Any]]]:
        """
        What the session has sent since.
        """
        return list(requestsIn(self.session.outgoing()))

    def serveSchema(self, spaces: dict[str, int], version: int, indexesVersion: int = 0) -> None:
        """
        Answer the look-up that was sent.
        """
        rows = {
            codes.VSPACE: [
                [number, 1, name, "memtx", 0, {}, []] for name, number in spaces.items()
            ],
            codes.VINDEX: [[number, 3, "second", "tree"] for number in spaces.values()],
        }
        for header, body in self.sent():
            space = body[codes.SPACE_ID]
            seen = indexesVersion if indexesVersion and space == codes.VINDEX else version
            data = answer(header[codes.SYNC], {codes.DATA: rows[space]}, version=seen)
            self.session.receive(data, 0.0)


def byName(name: str = "Nodes") -> Operation:
    """
    A request that needs a name.
    """
    return messages.select(name, [7], "second", 1, 0, Iterator.EQ)
