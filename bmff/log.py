"""
Log events as JSON (RFC 8259), one object a line: C{twistd -n --logger=bmff.log.json}.

Each has C{time} (ISO 8601, UTC), C{level}, C{namespace} and C{message}, C{failure} when there is
one, and those of the event's own fields that are simple values.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from json import dumps
from math import isfinite
from typing import Final, TextIO

from twisted.logger import ILogObserver, LogEvent, formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str
from zope.interface import implementer

_INTEGER_BITS: Final = 64  # with its sign: what readers of JSON take at most


def json() -> JSONObserver:
    """
    An observer that writes to the standard output as it is now.

    Twisted turns C{sys.stdout} into a source of events as soon as logging begins, so that it has
    to be taken before.
    """
    return JSONObserver(sys.stdout)


@implementer(ILogObserver)
class JSONObserver:
    """
    Writes each event as a line of ASCII, at once. Whatever an event holds makes a line: only the
    stream's own errors are raised.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: LogEvent) -> None:
        self._stream.write(f"{dumps(_fields(event), allow_nan=False)}\n")
        self._stream.flush()


def _fields(event: LogEvent) -> dict[str, object]:
    """
    What the line says of an event. What every line has comes first, and no field replaces it.
    """
    fields: dict[str, object] = {
        "time": _time(event.get("log_time")),
        "level": safe_str(getattr(event.get("log_level"), "name", "info")),
        "namespace": safe_str(event.get("log_namespace") or ""),
        "message": formatEvent(event),
    }
    failure = event.get("log_failure")
    if failure is not None:
        fields["failure"] = _traceback(failure)
    for key, value in event.items():
        if key not in fields and not key.startswith("log_") and isinstance(value, _SIMPLE):
            fields[key] = _plain(value)
    return fields


_SIMPLE: Final = (bool, int, float, str, bytes, type(None))


def _plain(value: bool | int | float | str | bytes | None) -> bool | int | float | str | None:
    """
    The value, or as text what JSON has no word for.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, int) and value.bit_length() >= _INTEGER_BITS:
        return hex(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def _time(seconds: object) -> str | None:
    """
    Unix time as ISO 8601 in UTC, in microseconds; L{None} when it is no time.
    """
    if not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    except (OverflowError, ValueError, OSError):  # NaN, and years past 9999
        return None


def _traceback(failure: object) -> str:
    """
    A failure with its traceback.
    """
    if not isinstance(failure, Failure):
        return safe_str(failure)
    try:
        return failure.getTraceback()
    except Exception as error:  # an exception whose own text cannot be had
        return f"{safe_str(failure.type)}, and of its traceback: {safe_str(error)}"
