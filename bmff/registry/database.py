"""
The file of an embedded registry: an SQLite database in WAL mode (sqlite.org/wal.html).

Everything here blocks, so it belongs into a thread of its own; one thread, the one that has made
the L{Database}, does all.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import BadRow, NodeRow, OverrideRow, PeerRow, SubscriptionRow
from bmff.registry.rows import Row, Transports, keyOf, refusal
from bmff.tables import NODES, OVERRIDES, PEERS, SPACES, SUBSCRIPTIONS

BUSY_TIMEOUT: Final = 5.0  # seconds to wait for another process that writes
WAL_PAUSE: Final = 0.01  # seconds between two attempts to be alone with the file
APPLICATION: Final = 0x626D6666  # "bmff", in the file's header

# What takes a file from schema version n, its place here, to n + 1. A step that was released is
# never changed. Columns have no constraints: a row that an operator got wrong is left out alone,
# and named, by every version.
STEPS: Final = (
    (
        """
        CREATE TABLE Nodes (
            node INTEGER PRIMARY KEY, address TEXT DEFAULT '', port INTEGER, boot TEXT,
            pid INTEGER, seen REAL
        )
        """,
        """
        CREATE TABLE OverriddenNodes (
            node INTEGER PRIMARY KEY, key DEFAULT 0, transport TEXT, address TEXT DEFAULT '',
            port INTEGER DEFAULT 0
        )
        """,
    ),
    ("ALTER TABLE Nodes ADD COLUMN fingerprint TEXT DEFAULT ''",),
    (
        """
        CREATE TABLE Peers (
            peer INTEGER PRIMARY KEY, secret TEXT, banned, single, timeout, options
        )
        """,
        """
        CREATE TABLE Subscriptions (
            peer INTEGER, slot INTEGER, talkgroup INTEGER, PRIMARY KEY (peer, slot, talkgroup)
        )
        """,
        # How often each of them was written to, as there may be many thousands of rows in them,
        # and the nodes' own are written every few seconds.
        "CREATE TABLE Writes (name TEXT PRIMARY KEY, number INTEGER)",
        "INSERT INTO Writes VALUES ('Peers', 0), ('Subscriptions', 0)",
        *(
            f"CREATE TRIGGER {name}{event} AFTER {event} ON {name}"
            f" BEGIN UPDATE Writes SET number = number + 1 WHERE name = '{name}'; END"
            for name in ("Peers", "Subscriptions")
            for event in ("Insert", "Update", "Delete")
        ),
    ),
    (
        "ALTER TABLE Peers ADD COLUMN dial",
        "ALTER TABLE Peers ADD COLUMN auto_static",
        "ALTER TABLE Peers ADD COLUMN hold_off",
        "ALTER TABLE Peers ADD COLUMN allow_talkgroups TEXT",
        "ALTER TABLE Peers ADD COLUMN deny_talkgroups TEXT",
        "ALTER TABLE Peers ADD COLUMN translate TEXT",
    ),
)
VERSION: Final = len(STEPS)

_COLUMNS: Final = {
    NODES: ("node", "address", "port", "boot", "pid", "seen", "fingerprint"),
    OVERRIDES: ("node", "key", "transport", "address", "port"),
    PEERS: (
        *("peer", "secret", "banned", "single", "timeout", "options", "dial", "auto_static"),
        *("hold_off", "allow_talkgroups", "deny_talkgroups", "translate"),
    ),
    SUBSCRIPTIONS: ("peer", "slot", "talkgroup"),
}
_KEYS: Final = {table: names[:1] for table, names in _COLUMNS.items()} | {
    SUBSCRIPTIONS: _COLUMNS[SUBSCRIPTIONS]
}
_SELECT: Final = {
    table: f"SELECT {', '.join(names)} FROM {SPACES[table]} ORDER BY {', '.join(_KEYS[table])}"
    for table, names in _COLUMNS.items()
}
_REPLACE: Final = {
    table: f"REPLACE INTO {SPACES[table]} VALUES ({', '.join('?' * len(names))})"
    for table, names in _COLUMNS.items()
}
_DELETE: Final = {
    table: f"DELETE FROM {SPACES[table]} WHERE {' AND '.join(f'{name} = ?' for name in names)}"
    for table, names in _KEYS.items()
}

_FLAGS: Final = tuple(
    _COLUMNS[PEERS].index(name) for name in ("banned", "single", "options", "dial", "auto_static")
)
_BOOT: Final = re.compile(r"[0-9a-f]{1,16}\Z")

_Columns = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """
    A row to write or to remove.

    @ivar table: its name, as in L{bmff.ibmff.IRegistry.watch}.
    @ivar key: the columns of its key.
    @ivar row: L{None} to remove it.
    """

    table: str
    key: tuple[int, ...]
    row: Row | None


@dataclass(frozen=True, slots=True)
class Contents:
    """
    What is in the file at one moment.

    @ivar tables: the rows of each table by their keys; the same mapping as before where nothing
        in it has changed.
    @ivar bad: the rows that cannot be used.
    """

    tables: Mapping[str, Mapping[Any, Row]]
    bad: tuple[BadRow, ...]


@dataclass(frozen=True, slots=True)
class Traces:
    """
    What tells a file and its write-ahead log from others that take their names: device and inode.

    @ivar file: L{None} when there is none.
    @ivar log: L{None} when there is none.
    """

    file: tuple[int, int] | None
    log: tuple[int, int] | None

    @classmethod
    def of(cls, path: Path) -> Traces:
        """
        Those of the files that have the names now.
        """
        return cls(_identity(path), _identity(path.with_name(path.name + "-wal")))


class Database:
    """
    The file, open.

    @ivar traces: what to know it by.
    """

    def __init__(
        self, path: Path, transports: Transports | None = None, before: Traces | None = None
    ) -> None:
        """
        Open it, after making it where there is none, and bring it to this version's schema.

        @param path: absolute.
        @param transports: what overrides may name, see L{bmff.registry.rows.mistakesIn}.
        @param before: what was open here before. Its log may be there still, and SQLite would
            take it for that of the file that is there now.
        @raise ConfigurationError: it is damaged, of a newer version, of another program, or lies
            beside the log of another file.
        @raise sqlite3.Error: it cannot be opened, or not be written.
        @raise OSError: its folder cannot be made or used.
        """
        self._path = path
        self._transports = transports
        self._version: int | None = None
        self._columns: dict[str, list[_Columns]] = {}
        self._writes: dict[str, int] = {}  # how many the columns are made of
        self._rows: dict[str, tuple[dict[Any, Row], list[BadRow]]] = {}
        self._made: dict[str, dict[_Columns, Row]] = {}  # of columns that can be used
        self._checkPair(before)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # No descriptor is opened: closing it would let go of the locks that this process may hold
        # on the file for another registry (sqlite.org/howtocorrupt.html).
        with suppress(FileExistsError):
            os.mknod(path, 0o600)
        self.traces = Traces.of(path)
        self._connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT, isolation_level=None
        )
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise
        self.traces = Traces(self.traces.file, Traces.of(path).log)

    def holdLog(self) -> int | None:
        """
        Hold the log, so that no other file is given its inode and taken for it; SQLite locks
        nothing there.

        @return: a descriptor to be closed by the caller; L{None} when the log is gone already,
            which the traces say from now on.
        """
        path = self._path.with_name(self._path.name + "-wal")
        try:
            held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            held = None
        if held is not None:
            status = os.fstat(held)
            if (status.st_dev, status.st_ino) == self.traces.log:
                return held
            os.close(held)
        self.traces = Traces(self.traces.file, None)
        return None

    def close(self) -> None:
        """
        Close the file.
        """
        self._connection.close()

    def checkPlace(self) -> None:
        """
        See that the file is where it was.

        @raise ConfigurationError: it was deleted, or another was put in its place, so that nobody
            who comes later would read what is written here (sqlite.org/howtocorrupt.html#unlink).
        """
        if _identity(self._path) != self.traces.file:
            self.traces = Traces(None, self.traces.log)  # its inode is free for any other file
            raise self._refusal("was deleted or replaced while it was in use")

    def write(self, changes: Iterable[Change]) -> None:
        """
        Write all of them, or none.

        @raise sqlite3.Error: none is written.
        """
        with self._transaction("IMMEDIATE"):
            for change in changes:
                if change.row is None:
                    self._execute(_DELETE[change.table], *change.key)
                else:
                    self._execute(_REPLACE[change.table], *_columnsOf(change.row))
        self._version = None  # which tells only of what other connections have written

    def read(self) -> Contents | None:
        """
        All rows, if some may have changed since they were read last.
        """
        version = self._number("data_version")
        if version == self._version:
            return None
        with self._transaction("DEFERRED"):
            writes = dict(self._execute("SELECT name, number FROM Writes").fetchall())
            columns = {table: self._select(table, writes) for table in _SELECT}
        self._version, self._writes = version, writes
        if columns == self._columns:
            return None
        for table, rows in columns.items():
            if rows != self._columns.get(table):
                self._take(table, rows)
        self._columns = columns
        bad = tuple(row for _, rows in self._rows.values() for row in rows)
        return Contents({table: used for table, (used, _) in self._rows.items()}, bad)

    def _select(self, table: str, writes: Mapping[str, int]) -> list[_Columns]:
        """
        What is in a table.

        @param writes: how often tables were written to; those that are not there are looked at.
        """
        number = writes.get(SPACES[table])
        if number is not None and number == self._writes.get(SPACES[table]):
            return self._columns[table]
        return self._execute(_SELECT[table]).fetchall()

    def _take(self, table: str, columns: list[_Columns]) -> None:
        """
        Make rows of columns. Those that were there before are the same objects, so that nobody has
        to compare what is in them.
        """
        before = self._made.get(table, {})
        made: dict[_Columns, Row] = {}
        bad = []
        for one in columns:
            row = before.get(one)
            if row is None:
                row = _MAKERS[table](*one)
                if refused := refusal(one, row, self._transports):
                    bad.append(refused)
                    continue
            made[one] = row
        self._made[table] = made
        self._rows[table] = {keyOf(row): row for row in made.values()}, bad

    def _execute(self, text: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(text, values)

    def _number(self, pragma: str) -> int:
        return int(self._execute(f"PRAGMA {pragma}").fetchone()[0])

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self._execute(f"BEGIN {kind}")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # some errors end it by themselves
                self._execute("ROLLBACK")
            raise

    def _prepare(self) -> None:
        # Bytes that are no UTF-8 make that row unusable, not its table.
        self._connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        try:
            with self._transaction("DEFERRED"):  # another may be making it at this moment
                self._checkOwner()
            self._switchToWAL()
            self._execute("PRAGMA synchronous = NORMAL")
            (verdict,) = self._execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            if not _isDamage(error):
                raise
            verdict = str(error)
        if verdict != "ok":
            raise self._refusal(f"is damaged ({verdict}); move it away with its -wal and -shm")
        self._migrate()

    def _switchToWAL(self) -> None:
        # Alone of all that is done here this does not wait for others by itself: SQLite refuses
        # at once where two that have read want to write.
        deadline = monotonic() + BUSY_TIMEOUT
        while True:
            try:
                self._execute("PRAGMA journal_mode = WAL").fetchall()
                return
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                    raise
            sleep(WAL_PAUSE)

    def _checkPair(self, before: Traces | None) -> None:
        now = Traces.of(self._path)
        if before is None or now.log is None or now.log != before.log or now.file is None:
            return
        if now.file != before.file and os.stat(self._path).st_size:
            raise self._refusal(
                f"lies beside the log of another file; take {self._path}-wal and {self._path}-shm"
                " away, which belong to that one"
            )

    def _checkOwner(self) -> int:
        """
        The file's schema version.
        """
        version, application = self._number("user_version"), self._number("application_id")
        (things,) = self._execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (application or version or things):
            raise self._refusal("is a database of another program")
        if version > VERSION:
            raise self._refusal(
                f"was made by a newer version of bmff (schema {version}, {VERSION} is known here)"
            )
        return version

    def _migrate(self) -> None:
        with self._transaction("IMMEDIATE"):
            for step in STEPS[self._checkOwner() :]:
                for statement in step:
                    self._execute(statement)
            # Also when they are right already: a file that cannot be written is found out here.
            self._execute(f"PRAGMA application_id = {APPLICATION}")
            self._execute(f"PRAGMA user_version = {VERSION}")

    def _refusal(self, message: str) -> ConfigurationError:
        return ConfigurationError([Mistake("registry.file", f"{self._path} {message}")])


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _isDamage(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.Error) -> int:
    """
    The primary result code; 0 when the error is not the library's.
    """
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _columnsOf(row: Row) -> _Columns:
    if isinstance(row, NodeRow):
        # The boot ID is kept as text in hex, as SQLite's whole numbers have a sign.
        row = replace(row, boot=f"{row.boot:016x}")  # type: ignore[arg-type]
    return astuple(row)


def _node(
    node: int, address: str, port: int, boot: Any, pid: int, seen: float, fingerprint: str
) -> NodeRow:
    hexadecimal = isinstance(boot, str) and _BOOT.match(boot)
    number = int(boot, 16) if hexadecimal else boot
    return NodeRow(node, address, port, number, pid, seen, fingerprint)


def _peer(*columns: Any) -> PeerRow:
    values = list(columns)
    for place in _FLAGS:
        values[place] = _flag(values[place])
    return PeerRow(*values)


def _flag(value: Any) -> Any:
    """
    What SQLite, which has no type for it, writes as 1 or 0.
    """
    return bool(value) if type(value) is int and value in (0, 1) else value


# What is made of columns, whatever is in them.
_MAKERS: Final[Mapping[str, Callable[..., Row]]] = {
    NODES: _node,
    OVERRIDES: OverrideRow,
    PEERS: _peer,
    SUBSCRIPTIONS: SubscriptionRow,
}
