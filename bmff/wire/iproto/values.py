"""
Values as MessagePack (msgpack.org, spec.md) with Tarantool's own extension types (tarantool.io,
"MessagePack extensions").

A string of the database is any bytes: what is no UTF-8 comes as surrogate escapes (PEP 383) and
goes back as the same bytes. C{bytes} are C{varbinary}. Decimals, UUIDs and errors have types of
their own; other extensions are C{msgpack.ExtType}.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgpack  # type: ignore[import-untyped]

from bmff.errors import ProtocolError
from bmff.wire.iproto import codes
from bmff.wire.iproto.failures import StackEntry, readStack

LARGEST_DECIMAL: Final = 128  # digits, and the largest scale; the server's own have 38
_MINUS: Final = (0x0B, 0x0D)
_PLUS: Final = (0x0A, 0x0C, 0x0E, 0x0F)
_UUID_LENGTH: Final = 16


def packDecimal(value: Decimal) -> bytes:
    """
    The content of a decimal's extension: its scale, then its digits as BCD with a sign nibble.

    @raise ValueError: the database has no such number.
    """
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is no number")
    if len(digits) > LARGEST_DECIMAL or abs(exponent) > LARGEST_DECIMAL:
        raise ValueError("a decimal with too many digits")
    nibbles = "".join(map(str, digits)) + ("d" if sign else "c")
    scale: bytes = msgpack.packb(-exponent)
    return scale + bytes.fromhex(nibbles if len(nibbles) % 2 == 0 else "0" + nibbles)


def unpackDecimal(data: bytes) -> Decimal:
    """
    The number in a decimal's extension.

    @raise ProtocolError: it is none.
    """
    unpacker = msgpack.Unpacker()
    unpacker.feed(data[: 2 + LARGEST_DECIMAL])
    try:
        scale = unpacker.unpack()
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise ProtocolError("decimal") from error
    nibbles = data[unpacker.tell() :]
    digits = nibbles.hex()[:-1]
    if (
        type(scale) is not int
        or abs(scale) > LARGEST_DECIMAL
        or not 0 < len(digits) <= LARGEST_DECIMAL + 1
        or not digits.isdecimal()
        or (sign := nibbles[-1] & 0x0F) not in _MINUS + _PLUS
    ):
        raise ProtocolError("decimal")
    return Decimal((int(sign in _MINUS), tuple(map(int, digits.lstrip("0") or "0")), -scale))


def _extension(code: int, data: bytes) -> Any:
    """
    The value of an extension.
    """
    if code == codes.DECIMAL:
        return unpackDecimal(data)
    if code == codes.UUID:
        if len(data) != _UUID_LENGTH:
            raise ProtocolError("UUID")
        return UUID(bytes=data)
    if code == codes.ERROR_EXTENSION:
        # Errors within errors stay as they are: a chain of them could be as deep as it is long.
        return _unpack(data, msgpack.ExtType, readStack)
    return msgpack.ExtType(code, data)


def _default(value: object) -> Any:
    """
    What is packed for a value that MessagePack does not know.
    """
    if isinstance(value, Decimal):
        return msgpack.ExtType(codes.DECIMAL, packDecimal(value))
    if isinstance(value, UUID):
        return msgpack.ExtType(codes.UUID, value.bytes)
    if isinstance(value, int):  # msgpack hands over what has more than 64 bits
        raise OverflowError("an integer of more than 64 bits")
    raise TypeError(f"Tarantool has no value for {type(value).__name__}")


def _unpack(
    data: bytes,
    extension: Callable[[int, bytes], Any],
    then: Callable[[Any], tuple[StackEntry, ...]],
) -> tuple[StackEntry, ...]:
    try:
        value = msgpack.unpackb(data, ext_hook=extension, **_TEXT)
    except _BAD as error:
        raise ProtocolError("value") from error
    return then(value)


_TEXT: Final = {"raw": False, "strict_map_key": False, "unicode_errors": "surrogateescape"}
# What msgpack raises at bytes that are no value: ValueError has all of its own and that of UTF-8,
# TypeError is a map or an array as a map's key, OverflowError a time that is none.
_BAD: Final = (ValueError, TypeError, OverflowError, msgpack.exceptions.UnpackException)


class Codec:
    """
    Packs and unpacks the values of one connection.
    """

    def __init__(self, largestArray: int) -> None:
        """
        @param largestArray: elements of an array or a map; each level of nesting may take memory
            for as many before the first of them is seen.
        """
        packer = msgpack.Packer(default=_default, unicode_errors="surrogateescape")
        self._options = {
            "ext_hook": _extension,
            "max_array_len": largestArray,
            "max_map_len": largestArray,
            **_TEXT,
        }
        # Callables rather than methods: they are called twice for each request.
        self.pack: Callable[[Any], bytes] = packer.pack
        self._unpack: Callable[[bytes], Any] = partial(msgpack.unpackb, **self._options)

    def unpack(self, data: bytes) -> Any:
        """
        The one value in these bytes.

        @raise ProtocolError: there is none, or more.
        """
        try:
            return self._unpack(data)
        except _BAD as error:
            raise ProtocolError("value") from error

    def unpackTwo(self, data: bytes) -> tuple[Any, Any]:
        """
        The header and the body of a message; a body that is left out is empty.

        @raise ProtocolError: they are not that.
        """
        unpacker = msgpack.Unpacker(max_buffer_size=max(1, len(data)), **self._options)
        unpacker.feed(data)
        try:
            header = unpacker.unpack()
            if unpacker.tell() == len(data):
                return header, {}
            body = unpacker.unpack()
        except _BAD as error:
            raise ProtocolError("value") from error
        if unpacker.tell() != len(data):
            raise ProtocolError("surplus bytes")
        return header, body
