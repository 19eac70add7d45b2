"""
The rows of a registry in memory: which can be used, who is told when they change.

The tables are those of the registry that BrandMeister describes: Nodes, and OverriddenNodes with
node ID, key id, transport type, address and port.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from math import inf
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from twisted.logger import Logger

from bmff.errors import Mistake
from bmff.ibmff import BadRow, NodeRow, OverrideRow

NODES: Final = "nodes"
OVERRIDES: Final = "overrides"
TABLES: Final = (NODES, OVERRIDES)

LARGEST_NODE: Final = 9_999_999  # MCC and number, up to 7 digits
LARGEST_PORT: Final = 0xFFFF
LARGEST_BOOT: Final = 0xFFFF_FFFF_FFFF_FFFF
LARGEST_PROCESS: Final = 2**22  # PID_MAX_LIMIT, proc_pid_sys_kernel(5)
LONGEST_TEXT: Final = 255  # characters; a host name has 253 at most, RFC 1035 §2.3.4
LONGEST_SHOWN: Final = 200  # characters of a bad row

_TRANSPORT: Final = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
_FINGERPRINT: Final = re.compile(r"(?:[0-9a-f]{64})?\Z")  # SHA-256

AUTO: Final = "auto"
# What the address in an override is, see L{bmff.ibmff.ITransportMaker.addresses}.
HOST: Final = "host"
NONE: Final = "none"
_LABEL: Final = re.compile(r"(?!-)[\w-]{1,63}(?<!-)\Z")

Row: TypeAlias = NodeRow | OverrideRow
Transports: TypeAlias = Mapping[str, str]  # what the address is, by name


def tableOf(row: Row) -> str:
    """
    The table that a row belongs to.
    """
    return NODES if isinstance(row, NodeRow) else OVERRIDES


def mistakesIn(row: Row, transports: Transports | None = None) -> list[Mistake]:
    """
    What is wrong with a row, in the order of its fields; whatever is in them, of any type.

    @param transports: what overrides may name; whatever looks like a name when L{None}.
    """
    if isinstance(row, NodeRow):
        return _told(_mistakesInNode(row))
    # A transport looks at address and port only where they could be an address and a port.
    return _told(_mistakesInOverride(row)) or _told(_mistakesOfTransport(row, transports))


def _told(said: Iterator[tuple[str, str]]) -> list[Mistake]:
    return [Mistake(field, message) for field, message in said if message]


def usable(
    table: str,
    rows: Iterable[tuple[object, Row]],
    transports: Transports | None = None,
) -> tuple[dict[int, Any], list[BadRow]]:
    """
    The rows that can be used, by node ID, and the others.

    @param rows: each as it is in the database, and what was made of it.
    """
    used, bad = {}, []
    for columns, row in rows:
        if mistakes := mistakesIn(row, transports):
            bad.append(badRow(table, columns, "; ".join(map(str, mistakes)), row.node))
        else:
            used[row.node] = row
    return used, bad


def badRow(table: str, row: object, reason: str, node: object = None) -> BadRow:
    """
    What an operator is told of a row that cannot be used.

    @param node: what is there for a node ID.
    """
    text = ascii(row)
    if len(text) > LONGEST_SHOWN:
        text = text[:LONGEST_SHOWN] + "..."
    known = type(node) is int and 1 <= node <= LARGEST_NODE
    return BadRow(table, text, reason, node if known else None)  # type: ignore[arg-type]


def _mistakesInNode(row: NodeRow) -> Iterator[tuple[str, str]]:
    yield "node", _number(row.node, 1, LARGEST_NODE)
    yield "address", _text(row.address)
    yield "port", _number(row.port, 1, LARGEST_PORT)
    yield "boot", _number(row.boot, 0, LARGEST_BOOT)
    yield "pid", _number(row.pid, 1, LARGEST_PROCESS)
    seen = type(row.seen) in (int, float) and 0 <= row.seen < inf
    yield "seen", "" if seen else f"{_shown(row.seen)} is no time, seconds since 1970"
    known = isinstance(row.fingerprint, str) and _FINGERPRINT.match(row.fingerprint)
    yield (
        "fingerprint",
        "" if known else f"{_shown(row.fingerprint)} is no fingerprint, 64 small digits of hex",
    )


def _mistakesInOverride(row: OverrideRow) -> Iterator[tuple[str, str]]:
    yield "node", _number(row.node, 1, LARGEST_NODE)
    yield "key", "" if type(row.key) is int and row.key == 0 else _text(row.key)
    named = isinstance(row.transport, str) and _TRANSPORT.match(row.transport)
    yield (
        "transport",
        "" if named else f'{_shown(row.transport)} is no name of a transport, such as "udp"',
    )
    yield "address", _text(row.address)
    yield "port", _number(row.port, 0, LARGEST_PORT)


def _mistakesOfTransport(
    row: OverrideRow, transports: Transports | None
) -> Iterator[tuple[str, str]]:
    """
    @param row: its fields are of the right types.
    """
    if transports is None or row.transport == AUTO:
        return
    addresses = transports.get(row.transport)
    if addresses is None:
        known = ", ".join(sorted({*transports, AUTO}))
        yield "transport", f"there is no transport {row.transport!a}; there is {known}"
    elif addresses in (HOST, NONE):
        yield "address", _host(row.address) if addresses == HOST else ""
        yield "port", "" if row.port else "0 is not in 1 to 65535"


def _host(text: str) -> str:
    """
    What is wrong with a host name or an address in numbers (RFC 1123 §2.1, names of other
    alphabets as they are written).
    """
    try:
        ip_address(text)
        return ""
    except ValueError:
        labels = text.removesuffix(".").split(".")
    # What ends in a number is meant for an address.
    if labels[-1].isdecimal() or not all(map(_LABEL.match, labels)):
        return f"{_shown(text)} is neither a host name nor an address in numbers"
    return ""


def _number(value: object, first: int, last: int) -> str:
    if type(value) is not int:
        return f"{_shown(value)} is no whole number"
    return "" if first <= value <= last else f"{_shown(value)} is not in {first} to {last}"


def _text(value: object) -> str:
    if not isinstance(value, str):
        return f"{_shown(value)} is no text"
    if not value.isprintable():
        return f"{_shown(value)} holds what cannot be printed"
    return "" if len(value) <= LONGEST_TEXT else f"is longer than {LONGEST_TEXT} characters"


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else text[:40] + "..."


class Rows:
    """
    All rows of a registry, for its readers.

    A mapping is never changed, but replaced: who holds one holds the rows of one moment.

    @ivar nodes: L{NodeRow}s by node ID.
    @ivar overrides: L{OverrideRow}s by node ID.
    @ivar badRows: what is in the database and cannot be used.
    """

    nodes: Mapping[int, NodeRow]
    overrides: Mapping[int, OverrideRow]
    badRows: tuple[BadRow, ...]

    _log = Logger()

    def __init__(self) -> None:
        self.nodes = MappingProxyType({})
        self.overrides = MappingProxyType({})
        self.badRows = ()
        self._watchers: dict[object, Callable[[str], object]] = {}

    def watch(self, watcher: Callable[[str], object]) -> Callable[[], None]:
        """
        Tell of changes.

        @param watcher: called with the table's name after its mapping was replaced.
        @return: ends this; may be called more than once.
        """
        token = object()
        self._watchers[token] = watcher

        def end() -> None:
            self._watchers.pop(token, None)

        return end

    def replace(
        self,
        nodes: Mapping[int, NodeRow],
        overrides: Mapping[int, OverrideRow],
        bad: Sequence[BadRow],
    ) -> None:
        """
        Take all rows as they are now. Watchers are told only of a table that differs, when both are
        in place. Each row that cannot be used is logged when it was not there before.

        An override that cannot be used any more leaves the one that was there before, so that
        the link stays where it is.
        """
        self._replaceBad(tuple(bad))
        spoilt = {one.node for one in bad if one.table == OVERRIDES} - overrides.keys()
        kept = {node: row for node, row in self.overrides.items() if node in spoilt}
        overrides = {**overrides, **kept}
        changed = []
        if nodes != self.nodes:
            self.nodes = MappingProxyType(dict(nodes))
            changed.append(NODES)
        if overrides != self.overrides:
            self.overrides = MappingProxyType(overrides)
            changed.append(OVERRIDES)
        for table in changed:
            for token, watcher in list(self._watchers.items()):
                if token in self._watchers:  # else one that was told before has ended it
                    with self._log.failuresHandled("a watcher of {table} failed", table=table):
                        watcher(table)

    def _replaceBad(self, bad: tuple[BadRow, ...]) -> None:
        for row in bad:
            if row not in self.badRows:
                self._log.warn(
                    "the registry's row {text} of {table} cannot be used: {reason}",
                    text=row.text,
                    table=row.table,
                    reason=row.reason,
                )
        self.badRows = bad
