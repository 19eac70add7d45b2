"""
Why a request to Tarantool has failed: what the server answers, and what the client's own side of
the connection says (tarantool.io, "Binary protocol", "Error responses").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bmff.errors import ProtocolError
from bmff.wire.iproto import codes

LARGEST_STACK: Final = 256  # errors, far more than any server nests


@dataclass(frozen=True, slots=True)
class StackEntry:
    """
    One error of a stack.

    @ivar kind: its class in the server, C{"ClientError"}.
    @ivar code: its number, as in the server's list of errors.
    @ivar message: what went wrong, for people.
    @ivar file: the server's source file.
    @ivar line: the line in it.
    @ivar errno: of the system call that failed, 0 for none.
    @ivar fields: what its class adds, by name.
    """

    kind: str
    code: int
    message: str
    file: str = ""
    line: int = 0
    errno: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)


class TarantoolError(Exception):
    """
    The server has refused a request or failed to do it.

    @ivar code: the number of the error, 47 for a wrong password.
    @ivar message: what went wrong, for people.
    @ivar stack: the errors that led to it, the newest first; empty before 2.4.
    """

    def __init__(self, code: int, message: str, stack: tuple[StackEntry, ...] = ()) -> None:
        super().__init__(f"{message} (error {code})")
        self.code = code
        self.message = message
        self.stack = stack


class RequestTimedOut(Exception):
    """
    No answer came in the time that the request was given; the server may have done it all the same.
    """


class RequestRefused(Exception):
    """
    The request was not sent: too many are in flight on this connection.
    """


class UnknownName(LookupError):
    """
    The server shows this user no space or index of that name.
    """


class Unsupported(Exception):
    """
    The server's version cannot do this.
    """


def readStack(value: object) -> tuple[StackEntry, ...]:
    """
    The errors in a map of C{IPROTO_ERROR} or in an extension value.

    @raise ProtocolError: it is no stack.
    """
    errors = value.get(codes.ERROR_STACK) if isinstance(value, dict) else None
    if not isinstance(errors, list) or len(errors) > LARGEST_STACK:
        raise ProtocolError("error stack")
    return tuple(_readEntry(error) for error in errors)


def _readEntry(error: object) -> StackEntry:
    if not isinstance(error, dict):
        raise ProtocolError("error stack")
    entry = StackEntry(
        kind=error.get(codes.ERROR_TYPE, ""),
        code=error.get(codes.ERROR_CODE, 0),
        message=error.get(codes.ERROR_MESSAGE, ""),
        file=error.get(codes.ERROR_FILE, ""),
        line=error.get(codes.ERROR_LINE, 0),
        errno=error.get(codes.ERROR_ERRNO, 0),
        fields=error.get(codes.ERROR_FIELDS, {}),
    )
    texts = (entry.kind, entry.message, entry.file)
    numbers = (entry.code, entry.line, entry.errno)
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(isinstance(number, int) for number in numbers)
        or not isinstance(entry.fields, dict)
    ):
        raise ProtocolError("error stack")
    return entry
