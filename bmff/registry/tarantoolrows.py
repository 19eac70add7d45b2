"""
The rows of a registry as Tarantool holds them: columns to values and back, in the order that
C{etc/tarantool/registry.lua} gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import Any, Final

from bmff.errors import ProtocolError
from bmff.ibmff import BadRow, NodeRow, OverrideRow, PeerRow, SubscriptionRow
from bmff.registry.rows import Row, Transports, refusal
from bmff.tables import NODES, OVERRIDES, PEERS, SPACES, SUBSCRIPTIONS, TABLES

_TABLES: Final = {space: table for table, space in SPACES.items()}
# The columns of Peers before the stamps and those stamps, which stay where they are: what was added
# later stands after them, so that replicas with an older script find them.
_FIRST: Final = 6
_STAMPS: Final = 3
# What is made of a row, and of the columns in which places.
_MAKERS: Final[Mapping[str, tuple[Callable[..., Row], tuple[int, ...]]]] = {
    NODES: (NodeRow, tuple(range(7))),
    OVERRIDES: (OverrideRow, tuple(range(5))),
    PEERS: (PeerRow, (*range(_FIRST), *range(_FIRST + _STAMPS, 15))),
    SUBSCRIPTIONS: (SubscriptionRow, tuple(range(3))),
}
_KEY_COLUMNS: Final = dict.fromkeys(TABLES, 1) | {SUBSCRIPTIONS: 3}


def columnsOf(row: Row) -> list[Any]:
    """
    A row as it is written; the server sets the stamps.
    """
    if isinstance(row, NodeRow):
        fingerprint = row.fingerprint or None
        return [row.node, row.address, row.port, row.boot, row.pid, row.seen, fingerprint]
    columns = list(astuple(row))
    if isinstance(row, PeerRow):
        later = columns[_FIRST:]
        del columns[_FIRST:]
        # A server with an older script has no place for them.
        if any(value is not None for value in later):
            columns += [*[None] * _STAMPS, *later]
    return columns


def rowOf(table: str, columns: list[Any]) -> Row:
    """
    What columns say, whatever is in them; what is missing is L{None}.
    """
    make, places = _MAKERS[table]
    count = len(columns)
    values = [columns[place] if place < count else None for place in places]
    if table == NODES and values[-1] is None:
        values[-1] = ""  # the fingerprint
    return make(*values)


def _keyOf(table: str, columns: list[Any]) -> Any:
    """
    What a row has in its mapping, by the columns of its key.

    @raise ProtocolError: nothing can have that.
    """
    count = _KEY_COLUMNS[table]
    key = tuple(columns[:count])
    if len(key) < count or any(isinstance(part, list | dict) for part in key):
        raise ProtocolError("no row of a registry")
    return key if count > 1 else key[0]


class TarantoolRows:
    """
    What the server has said of its spaces until now.

    @ivar tables: the rows of each table that can be used, by their keys. A mapping is never
        changed, but replaced.
    """

    def __init__(self, transports: Transports | None = None) -> None:
        """
        @param transports: what overrides may name, see L{bmff.registry.rows.mistakesIn}.
        """
        self.tables: dict[str, dict[Any, Any]] = {table: {} for table in TABLES}
        self._bad: dict[tuple[str, object], BadRow] = {}
        self._transports = transports

    @property
    def bad(self) -> tuple[BadRow, ...]:
        """
        The rows that cannot be used.
        """
        return tuple(self._bad.values())

    def replace(self, spaces: object) -> None:
        """
        Take everything anew.

        @param spaces: the rows by space, as C{read_rows} answers.
        @raise ProtocolError: that is something else; nothing was taken.
        """
        if not isinstance(spaces, Mapping):
            raise ProtocolError("no rows of a registry")
        found = [(table, spaces.get(space)) for table, space in SPACES.items()]
        changes = []
        for table, rows in found:
            if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
                raise ProtocolError("no rows of a registry")
            changes += [(table, _keyOf(table, columns), columns) for columns in rows]
        self.tables, self._bad = {table: {} for table in TABLES}, {}
        for table, key, columns in changes:
            self._take(table, key, columns)

    def change(self, changes: list[Any]) -> None:
        """
        Take changes.

        @param changes: each space, key and the row, L{None} where it is gone, as C{wait_changes}
            answers; spaces of other tables are passed over.
        @raise ProtocolError: that is something else; nothing was taken.
        """
        found = []
        for one in changes:
            if not isinstance(one, list) or len(one) != 3:
                raise ProtocolError("no change of a registry")
            space, key, columns = one
            if not isinstance(key, list) or not isinstance(columns, list | None):
                raise ProtocolError("no change of a registry")
            if isinstance(space, str) and space in _TABLES:
                table = _TABLES[space]
                found.append((table, _keyOf(table, key), columns))
        for table in {table for table, _, _ in found}:
            self.tables[table] = dict(self.tables[table])
        for table, key, columns in found:
            self._take(table, key, columns)

    def _take(self, table: str, key: Any, columns: list[Any] | None) -> None:
        self.tables[table].pop(key, None)
        self._bad.pop((table, key), None)
        if columns is None:
            return
        row = rowOf(table, columns)
        refused = refusal(columns, row, self._transports)
        if refused is None:
            self.tables[table][key] = row
        else:
            self._bad[table, key] = refused
