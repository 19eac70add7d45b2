"""
What client and server say to each other: greeting, requests, answers (tarantool.io, "Binary
protocol").

Places of fields count from 0, as on the wire; keys and rows are sequences.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from struct import Struct
from typing import Any, Final, TypeAlias

from bmff.errors import ProtocolError
from bmff.wire.iproto import codes
from bmff.wire.iproto.codes import Iterator
from bmff.wire.iproto.failures import TarantoolError, readStack

Name: TypeAlias = int | str  # of a space or an index: its number or its name
Row: TypeAlias = list[Any]
Body: TypeAlias = dict[int, Any]

GREETING_START: Final = b"Tarantool "
SALT_LENGTH: Final = 20
PROTOCOL_VERSION: Final = 3  # the one that has watchers
_GREETING: Final = re.compile(
    rb"Tarantool (\d{1,5})\.(\d{1,5})\.(\d{1,5})\S* \(([^)]*)\)(?: ([0-9a-f-]{36}))? *\n"
)
# The size as uint 32, a map of two with the request's kind, the sync as uint 64; or of three, with
# the version of the schema as uint 32.
_HEADER: Final = Struct(">BI4BBQ")
_HEADER_WITH_SCHEMA: Final = Struct(">BI4BBQBBI")
_PLAIN: Final = _HEADER.size - 5
_WITH_SCHEMA: Final = _HEADER_WITH_SCHEMA.size - 5


@dataclass(frozen=True, slots=True)
class Greeting:
    """
    What a server says first.

    @ivar version: its version, C{(2, 6, 0)}.
    @ivar instance: its UUID as text, empty when not said.
    @ivar salt: for the login, 20 bytes.
    """

    version: tuple[int, int, int]
    instance: str
    salt: bytes


def checkGreeting(data: bytes | bytearray) -> None:
    """
    Look whether this can become a greeting, so that nobody waits for the rest of something else.

    @raise ProtocolError: it cannot.
    """
    if data[: len(GREETING_START)] != GREETING_START[: len(data)]:
        raise ProtocolError("not a Tarantool")


def readGreeting(data: bytes) -> Greeting:
    """
    Read the first 128 bytes of a connection.

    @raise ProtocolError: whoever is there does not speak IPROTO.
    """
    match = _GREETING.fullmatch(data[:64])
    if match is None or len(data) != codes.GREETING_LENGTH:
        raise ProtocolError("not a Tarantool")
    if match[4] != b"Binary":
        raise ProtocolError("not the binary port")
    try:
        salt = b64decode(data[64:].rstrip(b" \n\0"), validate=True)
    except Base64Error as error:
        raise ProtocolError("salt") from error
    if len(salt) < SALT_LENGTH:
        raise ProtocolError("salt")
    version = (int(match[1]), int(match[2]), int(match[3]))
    return Greeting(version, (match[5] or b"").decode("ascii"), salt[:SALT_LENGTH])


def scramble(password: bytes, salt: bytes) -> bytes:
    """
    The proof that one knows the password (C{chap-sha1}).

    @param salt: of the greeting, 20 bytes.
    @return: 20 bytes.
    """
    first = sha1(password, usedforsecurity=False).digest()
    second = sha1(first, usedforsecurity=False).digest()
    third = sha1(salt + second, usedforsecurity=False).digest()
    return bytes(one ^ other for one, other in zip(first, third, strict=True))


def _nothing(body: Body) -> None:
    """
    The answer says only that it is done.
    """


def _rows(body: Body) -> list[Any]:
    data = body.get(codes.DATA)
    if not isinstance(data, list):
        raise ProtocolError("no data")
    return data


def _row(body: Body) -> Row | None:
    rows = _rows(body)
    if not rows:
        return None
    if not isinstance(rows[0], list):
        raise ProtocolError("no row")
    return rows[0]


@dataclass(frozen=True, slots=True)
class Identity:
    """
    What a server can do, by its own word.

    @ivar version: of the protocol, 0 before 2.10.
    @ivar features: numbers of features, as in L{codes}.
    """

    version: int = 0
    features: frozenset[int] = frozenset()


def _identity(body: Body) -> Identity:
    version, features = body.get(codes.VERSION, 0), body.get(codes.FEATURES, [])
    if (
        not isinstance(version, int)
        or not isinstance(features, list)
        or not all(isinstance(feature, int) for feature in features)
    ):
        raise ProtocolError("identity")
    return Identity(version, frozenset(features))


class Operation:
    """
    One request, before its space and index have numbers.

    @ivar code: its kind.
    @ivar space: its space, L{None} when it has none.
    @ivar index: its index, likewise.
    @ivar body: the rest.
    @ivar read: makes the result of the body of the answer.
    @ivar named: whether names have to be looked up.
    """

    __slots__ = ("body", "code", "index", "named", "read", "space")

    def __init__(
        self,
        code: int,
        body: Body,
        read: Callable[[Body], Any],
        space: Name | None = None,
        index: Name | None = None,
    ) -> None:
        self.code = code
        self.body = body
        self.read = read
        self.space = space
        self.index = index
        self.named = type(space) is str or type(index) is str


def ping() -> Operation:
    """
    Ask whether the server is there.
    """
    return Operation(codes.PING, {}, _nothing)


def select(
    space: Name,
    key: Sequence[Any],
    index: Name,
    limit: int,
    offset: int,
    iterator: Iterator,
) -> Operation:
    """
    Read rows.
    """
    body = {
        codes.LIMIT: limit,
        codes.OFFSET: offset,
        codes.ITERATOR: int(iterator),
        codes.KEY: key,
    }
    return Operation(codes.SELECT, body, _rows, space, index)


def insert(space: Name, row: Sequence[Any]) -> Operation:
    """
    Write a row that must be new.
    """
    return Operation(codes.INSERT, {codes.TUPLE: row}, _row, space)


def replace(space: Name, row: Sequence[Any]) -> Operation:
    """
    Write a row in place of the one with its key, if there is one.
    """
    return Operation(codes.REPLACE, {codes.TUPLE: row}, _row, space)


def update(
    space: Name, key: Sequence[Any], operations: Iterable[Sequence[Any]], index: Name
) -> Operation:
    """
    Change fields of a row.
    """
    body = {codes.KEY: key, codes.TUPLE: list(operations)}
    return Operation(codes.UPDATE, body, _row, space, index)


def upsert(space: Name, row: Sequence[Any], operations: Iterable[Sequence[Any]]) -> Operation:
    """
    Change fields of the row with this one's key, or write this one.
    """
    body = {codes.TUPLE: row, codes.OPERATIONS: list(operations)}
    return Operation(codes.UPSERT, body, _nothing, space)


def delete(space: Name, key: Sequence[Any], index: Name) -> Operation:
    """
    Remove a row.
    """
    return Operation(codes.DELETE, {codes.KEY: key}, _row, space, index)


def call(function: str, arguments: Sequence[Any]) -> Operation:
    """
    Call a stored function.
    """
    body = {codes.FUNCTION_NAME: function, codes.TUPLE: arguments}
    return Operation(codes.CALL, body, _rows)


def evaluate(expression: str, arguments: Sequence[Any]) -> Operation:
    """
    Run Lua.
    """
    body = {codes.EXPRESSION: expression, codes.TUPLE: arguments}
    return Operation(codes.EVAL, body, _rows)


def authenticate(user: str, password: str, salt: bytes) -> Operation:
    """
    Log in.
    """
    proof = scramble(password.encode("utf-8"), salt)
    body = {codes.USER_NAME: user, codes.TUPLE: ["chap-sha1", proof]}
    return Operation(codes.AUTH, body, _nothing)


def identify() -> Operation:
    """
    Tell the server what the client can do and ask the same (from 2.10; by the published document).
    """
    features = [codes.FEATURE_ERROR_EXTENSION, codes.FEATURE_WATCHERS]
    body = {codes.VERSION: PROTOCOL_VERSION, codes.FEATURES: features}
    return Operation(codes.ID, body, _identity)


def watch(key: str) -> Operation:
    """
    Ask to be told of a key, or acknowledge that one was; there is no answer (from 2.10; by the
    published document).
    """
    return Operation(codes.WATCH, {codes.EVENT_KEY: key}, _nothing)


def unwatch(key: str) -> Operation:
    """
    Ask to be told no more; there is no answer (from 2.10; by the published document).
    """
    return Operation(codes.UNWATCH, {codes.EVENT_KEY: key}, _nothing)


def frameRequest(code: int, sync: int, body: bytes, schema: int | None = None) -> bytes:
    """
    A request as it is sent.

    @param body: packed.
    @param schema: the version of the schema that its numbers are of; the server refuses it when
        it has another.
    """
    size = len(body)
    if schema is None:
        return _HEADER.pack(0xCE, size + _PLAIN, 0x82, 0x00, code, 0x01, 0xCF, sync) + body
    return (
        _HEADER_WITH_SCHEMA.pack(
            0xCE, size + _WITH_SCHEMA, 0x83, 0x00, code, 0x01, 0xCF, sync, 0x05, 0xCE, schema
        )
        + body
    )


def readError(code: int, body: Body) -> TarantoolError:
    """
    The error in an answer.

    @raise ProtocolError: it is none.
    """
    message = body.get(codes.ERROR_24, "")
    if not isinstance(message, str):
        raise ProtocolError("error")
    stack = readStack(body[codes.ERROR]) if codes.ERROR in body else ()
    return TarantoolError(code & ~codes.ERROR_BIT, message, stack)
