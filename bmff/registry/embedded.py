"""
The embedded registry: one SQLite file that the processes of a host share.

Rows are read from memory. One thread touches the file: it writes, looks every 50 ms whether another
process has written (C{PRAGMA data_version}, sqlite.org/pragma.html), and hands what it reads to the
reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from bmff.errors import ConfigurationError
from bmff.ibmff import (
    BadRow,
    IRegistry,
    NodeRow,
    OverrideRow,
    PeerRow,
    RegistrySettings,
    RegistryUnavailable,
    SubscriptionRow,
)
from bmff.registry.database import Change, Contents
from bmff.registry.databasethread import DatabaseThread, ThreadedReactor
from bmff.registry.rows import Key, Row, Rows, Transports, checkKey, keyOf, mistakesIn, tableOf

_NOT_STARTED: Final = "it is not started"
_STOPPED: Final = "it is stopped"


def make(reactor: ThreadedReactor, settings: RegistrySettings) -> EmbeddedRegistry:
    """
    The registry in the file that the configuration names.
    """
    return EmbeddedRegistry(reactor, settings.file, settings.transports)


@implementer(IRegistry)
class EmbeddedRegistry:
    """
    A registry in a file. It is started once; to open the file anew, make another.

    @ivar available: whether the file can be read and written, as far as is known.
    @ivar reason: why not, for people; empty when it can.
    """

    _log = Logger()

    def __init__(
        self, reactor: ThreadedReactor, path: Path, transports: Transports | None = None
    ) -> None:
        """
        @param reactor: its C{seconds} are asked from another thread as well.
        @param path: the file; where there is none, it is made at the start for its owner alone,
            and so is its folder.
        @param transports: what overrides may name, see L{bmff.registry.rows.mistakesIn}.
        """
        self.available = False
        self.reason = _NOT_STARTED
        self._reactor = reactor
        self._path = path.absolute()
        self._transports = transports
        self._rows = Rows()
        self._current = -inf
        self._thread: DatabaseThread | None = None
        self._stopping = False

    @property
    def nodes(self) -> Mapping[int, NodeRow]:
        """
        All nodes' rows, also of those that are no more, by node ID.
        """
        return self._rows.nodes

    @property
    def overrides(self) -> Mapping[int, OverrideRow]:
        """
        How to reach nodes, by node ID.
        """
        return self._rows.overrides

    @property
    def peers(self) -> Mapping[int, PeerRow]:
        """
        What is said of hotspots and repeaters, by their IDs.
        """
        return self._rows.peers

    @property
    def subscriptions(self) -> Mapping[tuple[int, int, int], SubscriptionRow]:
        """
        What is always sent to them, by (peer's ID, slot, talkgroup).
        """
        return self._rows.subscriptions

    @property
    def badRows(self) -> tuple[BadRow, ...]:
        """
        The rows in the file that cannot be used.
        """
        return self._rows.badRows

    @property
    def age(self) -> float:
        """
        Seconds since the rows were last known to be those of the file.
        """
        return self._reactor.seconds() - self._current

    def start(self) -> Deferred[None]:
        """
        Open the file and read everything.
        """
        if self._thread is not None:
            raise RuntimeError("a registry is started once")
        self._thread = DatabaseThread(self._reactor, self._path, self, self._transports)
        self._thread.start()
        return self._thread.opened

    def stop(self) -> Deferred[None]:
        """
        Close the file after what is being written, within 5 s where another process holds it.
        """
        if self._thread is None:
            return succeed(None)
        if not self._stopping:
            self._stopping = True
            self.available, self.reason = False, _STOPPED
            self._thread.finish()
        stopped: Deferred[None] = Deferred()
        self._thread.ended.chainDeferred(stopped)
        return stopped

    def watch(self, watcher: Callable[[str], object]) -> Callable[[], None]:
        """
        Tell of changes, whoever makes them.
        """
        return self._rows.watch(watcher)

    def put(self, row: Row) -> Deferred[None]:
        """
        Write a row, in place of one with the same key.
        """
        if mistakes := mistakesIn(row, self._transports):
            return fail(ConfigurationError(mistakes))
        table = tableOf(row)
        return self._write(Change(table, checkKey(table, keyOf(row)), row))

    def remove(self, table: str, key: Key) -> Deferred[None]:
        """
        Take a row away, if there is one.
        """
        return self._write(Change(table, checkKey(table, key), None))

    def _write(self, change: Change) -> Deferred[None]:
        if self._thread is None or self._stopping:
            return fail(RegistryUnavailable(self.reason))
        return self._thread.write(change)

    def contentsRead(self, contents: Contents | None, now: float) -> None:
        """
        The thread has read the file: replace what differs and tell the watchers.
        """
        if not self.available and not self._stopping:
            if self.reason != _NOT_STARTED:
                self._log.info("the registry {path} is back", path=self._path)
            self.available, self.reason = True, ""
        self._current = now
        if contents is not None:
            self._rows.replace(contents.tables, contents.bad)

    def contentsUnchanged(self, now: float) -> None:
        """
        The thread has seen that nothing has changed; called from there.
        """
        self._current = now

    def databaseLost(self, reason: str) -> None:
        """
        The thread cannot read or write the file, and goes on trying.
        """
        if self._stopping:
            return
        if self.available:
            self._log.warn(
                "the registry {path} is not to be had, going on with what is known: {reason}",
                path=self._path,
                reason=reason,
            )
        self.available, self.reason = False, reason
