"""
The rows of a registry in memory: which can be used, who is told when they change.

The tables are those of the registry that BrandMeister describes: Nodes, OverriddenNodes with node
ID, key id, transport type, address and port, Peers, and Subscriptions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from math import inf
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

from twisted.logger import Logger

from bmff.dmr.numbers import ALL_CALL, SERVICES
from bmff.errors import Mistake
from bmff.ibmff import BadRow, NodeRow, OverrideRow, PeerRow, SubscriptionRow
from bmff.peertexts import LONGEST, talkgroupsIn, translationIn
from bmff.tables import NODES, OVERRIDES, PEERS, SUBSCRIPTIONS, TABLES

LARGEST_NODE: Final = 9_999_999  # MCC and number, up to 7 digits
LARGEST_PEER: Final = 0xFFFF_FFFF  # IDs of hotspots have 32 bits
LARGEST_TALKGROUP: Final = ALL_CALL - 1
LARGEST_TIMEOUT: Final = 86_400  # seconds
LARGEST_HOLD_OFF: Final = 3600  # seconds
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

Row: TypeAlias = NodeRow | OverrideRow | PeerRow | SubscriptionRow
Key: TypeAlias = int | tuple[int, int, int]
Transports: TypeAlias = Mapping[str, str]  # what the address is, by name


_TABLES_OF: Final[Mapping[type, str]] = {
    NodeRow: NODES,
    OverrideRow: OVERRIDES,
    PeerRow: PEERS,
    SubscriptionRow: SUBSCRIPTIONS,
}


def tableOf(row: Row) -> str:
    """
    The table that a row belongs to.
    """
    return _TABLES_OF[type(row)]


def keyOf(row: Row) -> Key:
    """
    What a row has in the mapping of its table.
    """
    match row:
        case NodeRow() | OverrideRow():
            return row.node
        case PeerRow():
            return row.peer
        case SubscriptionRow():
            return row.peer, row.slot, row.talkgroup


def checkKey(table: str, key: Key) -> tuple[int, ...]:
    """
    The columns of a key, for a table that there is.

    @raise ValueError: there is no such table, or no row of it can have the key.
    """
    if table not in TABLES:
        raise ValueError(f"a registry has no table {table!r}")
    parts = key if isinstance(key, tuple) else (key,)
    # Nor does a database have larger numbers.
    if len(parts) != (3 if table == SUBSCRIPTIONS else 1) or any(
        type(part) is not int or part.bit_length() > 63 for part in parts
    ):
        raise ValueError(f"no row of {table} has the key {key}")
    return parts


def mistakesIn(row: Row, transports: Transports | None = None) -> list[Mistake]:
    """
    What is wrong with a row, in the order of its fields; whatever is in them, of any type.

    @param transports: what overrides may name; whatever looks like a name when L{None}.
    """
    match row:
        case NodeRow():
            return _told(_mistakesInNode(row))
        case PeerRow():
            return _told(_mistakesInPeer(row))
        case SubscriptionRow():
            return _told(_mistakesInSubscription(row))
        case OverrideRow():
            # A transport looks at address and port only where they could be such.
            mistakes = _told(_mistakesInOverride(row))
            return mistakes or _told(_mistakesOfTransport(row, transports))


def _told(said: Iterator[tuple[str, str]]) -> list[Mistake]:
    return [Mistake(field, message) for field, message in said if message]


def refusal(
    columns: Sequence[object], row: Row, transports: Transports | None = None
) -> BadRow | None:
    """
    What an operator is told of a row that cannot be used; L{None} for one that can.

    @param columns: as it is in the database.
    @param row: what was made of it.
    @param transports: see L{mistakesIn}.
    """
    mistakes = mistakesIn(row, transports)
    if not mistakes:
        return None
    if isinstance(row, PeerRow) and row.secret is not None:
        # Someone may have put a password in the place of its id.
        columns = (*columns[:1], "...", *columns[2:])
    text = ascii(columns)
    if len(text) > LONGEST_SHOWN:
        text = text[:LONGEST_SHOWN] + "..."
    reason = "; ".join(map(str, mistakes))
    if isinstance(row, NodeRow | OverrideRow):
        return BadRow(tableOf(row), text, reason, node=_known(row.node, LARGEST_NODE))
    return BadRow(tableOf(row), text, reason, peer=_known(row.peer, LARGEST_PEER))


def _known(value: object, last: int) -> int | None:
    return value if type(value) is int and 1 <= value <= last else None


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


def _mistakesInPeer(row: PeerRow) -> Iterator[tuple[str, str]]:
    yield "peer", _number(row.peer, 1, LARGEST_PEER)
    if row.secret is not None:
        named = isinstance(row.secret, str) and row.secret.strip() and not _text(row.secret)
        yield "secret", "" if named else "is no id of a password in the secrets file"
    yield "banned", _flag(row.banned)
    yield "single", _flag(row.single)
    yield "timeout", _seconds(row.timeout, LARGEST_TIMEOUT)
    yield "options", _flag(row.options)
    # By the names that the configuration and the columns have.
    yield "dial", _flag(row.dial)
    yield "auto_static", _flag(row.autoStatic)
    yield "hold_off", _seconds(row.holdOff, LARGEST_HOLD_OFF)
    yield "allow_talkgroups", _said(row.allowTalkgroups, talkgroupsIn)
    yield "deny_talkgroups", _said(row.denyTalkgroups, talkgroupsIn)
    yield "translate", _said(row.translate, translationIn)


def _mistakesInSubscription(row: SubscriptionRow) -> Iterator[tuple[str, str]]:
    yield "peer", _number(row.peer, 1, LARGEST_PEER)
    yield "slot", _number(row.slot, 1, 2)
    wrong = _number(row.talkgroup, 1, LARGEST_TALKGROUP)
    if not wrong and row.talkgroup in SERVICES:
        wrong = f"{row.talkgroup} is reserved for services and cannot be a static talkgroup"
    yield "talkgroup", wrong


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


def _flag(value: object) -> str:
    known = value is None or type(value) is bool
    return "" if known else f"{_shown(value)} is neither true nor false"


def _seconds(value: object, last: int) -> str:
    known = value is None or (type(value) in (int, float) and 0 <= cast(float, value) <= last)
    return "" if known else f"{_shown(value)} is no time, 0 to {last} seconds"


def _text(value: object, longest: int = LONGEST_TEXT) -> str:
    if not isinstance(value, str):
        return f"{_shown(value)} is no text"
    if not value.isprintable():
        return f"{_shown(value)} holds what cannot be printed"
    return "" if len(value) <= longest else f"is longer than {longest} characters"


def _said(value: object, read: Callable[[str], object]) -> str:
    """
    What is wrong with a text that is read as something.
    """
    if value is None:
        return ""
    if wrong := _text(value, LONGEST):
        return wrong
    try:
        read(cast(str, value))
    except ValueError as error:
        return str(error)[:LONGEST_SHOWN]
    return ""


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else text[:40] + "..."


class Rows:
    """
    All rows of a registry, for its readers.

    A mapping is never changed, but replaced: who holds one holds the rows of one moment.

    @ivar nodes: L{NodeRow}s by node ID.
    @ivar overrides: L{OverrideRow}s by node ID.
    @ivar peers: L{PeerRow}s by the peer's ID.
    @ivar subscriptions: L{SubscriptionRow}s by (peer's ID, slot, talkgroup).
    @ivar badRows: what is in the database and cannot be used.
    """

    nodes: Mapping[int, NodeRow]
    overrides: Mapping[int, OverrideRow]
    peers: Mapping[int, PeerRow]
    subscriptions: Mapping[tuple[int, int, int], SubscriptionRow]
    badRows: tuple[BadRow, ...]

    _log = Logger()

    def __init__(self) -> None:
        self.nodes = MappingProxyType({})
        self.overrides = MappingProxyType({})
        self.peers = MappingProxyType({})
        self.subscriptions = MappingProxyType({})
        self.badRows = ()
        self._given: Mapping[str, Mapping[Any, Row]] = {}
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

    def replace(self, tables: Mapping[str, Mapping[Any, Any]], bad: Sequence[BadRow]) -> None:
        """
        Take all rows as they are now. Watchers are told only of a table that differs, when all are
        in place. Each row that cannot be used is logged when it was not there before.

        An override that cannot be used any more leaves the one that was there before, so that
        the link stays where it is; what is said of a peer does too, so that no slip lifts a ban.

        @param tables: the rows of each table by their keys, never to be changed again; where a
            mapping is the one that was given before nothing is compared.
        """
        self._replaceBad(tuple(bad))
        given, self._given = self._given, dict(tables)
        changed = []
        for table, rows in tables.items():
            if rows is given.get(table):
                continue
            before = getattr(self, table)
            kept = self._kept(table, rows, before)
            now = {**rows, **kept} if kept else rows
            if now != before:
                setattr(self, table, MappingProxyType(now))
                changed.append(table)
        for table in changed:
            for token, watcher in list(self._watchers.items()):
                if token in self._watchers:  # else one that was told before has ended it
                    with self._log.failuresHandled("a watcher of {table} failed", table=table):
                        watcher(table)

    def _kept(
        self, table: str, rows: Mapping[Any, Row], before: Mapping[Any, Row]
    ) -> dict[Any, Row]:
        """
        The rows of before that stay in the place of such as cannot be used.
        """
        if table not in (OVERRIDES, PEERS):
            return {}
        spoilt = {one.node or one.peer for one in self.badRows if one.table == table}
        return {key: before[key] for key in spoilt & before.keys() - rows.keys()}

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
