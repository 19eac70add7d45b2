"""
The rows of a registry as Tarantool holds them: columns to values and back, in the order that
C{etc/tarantool/registry.lua} gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bmff.errors import ProtocolError
from bmff.ibmff import BadRow, NodeRow, OverrideRow
from bmff.registry.rows import NODES, OVERRIDES, Row, Transports, usable

# A space has the name that BrandMeister's public description gives it.
SPACES: Final = {NODES: "Nodes", OVERRIDES: "OverriddenNodes"}
_TABLES: Final = {space: table for table, space in SPACES.items()}
_NODE_COLUMNS: Final = 7  # and the stamps after them
_OVERRIDE_COLUMNS: Final = 5


def columnsOf(row: Row) -> list[Any]:
    """
    A row as it is written; the server sets the stamps.
    """
    if isinstance(row, OverrideRow):
        return [row.node, row.key, row.transport, row.address, row.port]
    fingerprint = row.fingerprint or None
    return [row.node, row.address, row.port, row.boot, row.pid, row.seen, fingerprint]


def rowOf(table: str, columns: list[Any]) -> Row:
    """
    What columns say, whatever is in them; what is missing is L{None}.
    """
    if table == OVERRIDES:
        return OverrideRow(*_padded(columns, _OVERRIDE_COLUMNS))
    values = _padded(columns, _NODE_COLUMNS)
    if values[-1] is None:
        values[-1] = ""  # the fingerprint
    return NodeRow(*values)


def _padded(columns: list[Any], count: int) -> list[Any]:
    return [*columns, *[None] * count][:count]


class TarantoolRows:
    """
    What the server has said of its spaces until now.

    @ivar nodes: the rows that can be used, by node ID.
    @ivar overrides: the same.
    """

    def __init__(self, transports: Transports | None = None) -> None:
        """
        @param transports: what overrides may name, see L{bmff.registry.rows.mistakesIn}.
        """
        self.nodes: dict[int, NodeRow] = {}
        self.overrides: dict[int, OverrideRow] = {}
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
        @raise ProtocolError: that is something else.
        """
        if not isinstance(spaces, Mapping):
            raise ProtocolError("no rows of a registry")
        found = [(table, spaces.get(space)) for table, space in SPACES.items()]
        for _, rows in found:
            if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
                raise ProtocolError("no rows of a registry")
        self.nodes, self.overrides, self._bad = {}, {}, {}
        for table, rows in found:
            for columns in rows or ():
                self._take(table, columns[0] if columns else None, columns)

    def change(self, changes: list[Any]) -> None:
        """
        Take changes.

        @param changes: each space, key and the row, L{None} where it is gone, as C{wait_changes}
            answers; spaces of other tables are passed over.
        @raise ProtocolError: that is something else.
        """
        for one in changes:
            if not isinstance(one, list) or len(one) != 3:
                raise ProtocolError("no change of a registry")
            space, key, columns = one
            if not isinstance(key, list) or not key or not isinstance(columns, list | None):
                raise ProtocolError("no change of a registry")
            if isinstance(space, str) and space in _TABLES:
                self._take(_TABLES[space], key[0], columns)

    def _take(self, table: str, key: Any, columns: list[Any] | None) -> None:
        rows: dict[int, Any] = self.nodes if table == NODES else self.overrides
        if isinstance(key, list | dict):
            raise ProtocolError("no row of a registry")
        rows.pop(key, None)
        self._bad.pop((table, key), None)
        if columns is None:
            return
        used, bad = usable(table, [(columns, rowOf(table, columns))], self._transports)
        rows.update(used)
        for row in bad:
            self._bad[table, key] = row
