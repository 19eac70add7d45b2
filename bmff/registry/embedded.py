"""
The embedded registry: one SQLite file that the processes of a host share.

Rows are read from memory. One thread touches the file: it writes, looks every 50 ms whether another
process has written (C{PRAGMA data_version}, sqlite.org/pragma.html), and hands what it reads to the
reactor.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from bmff.ibmff import IRegistry, RegistrySettings, RegistryUnavailable
from bmff.registry.database import Change, Contents
from bmff.registry.databasethread import DatabaseThread, ThreadedReactor
from bmff.registry.memory import NOT_STARTED, STOPPED, RowsInMemory
from bmff.registry.rows import Row, Transports


def make(reactor: ThreadedReactor, settings: RegistrySettings) -> EmbeddedRegistry:
    """
    The registry in the file that the configuration names.
    """
    return EmbeddedRegistry(reactor, settings.file, settings.transports)


@implementer(IRegistry)
class EmbeddedRegistry(RowsInMemory):
    """
    A registry in a file.
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
        super().__init__(reactor, transports)
        self._reactor = reactor
        self._path = path.absolute()
        self._thread: DatabaseThread | None = None
        self._stopping = False

    def start(self) -> Deferred[None]:
        """
        Open the file and read everything.
        """
        if self._thread is not None and not self._thread.ended.called:
            raise RuntimeError("the registry is started already")
        self._stopping = False
        self.reason = NOT_STARTED
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
            self.available, self.reason = False, STOPPED
            self._thread.finish()
        stopped: Deferred[None] = Deferred()
        self._thread.ended.chainDeferred(stopped)
        return stopped

    def _write(self, table: str, key: tuple[int, ...], row: Row | None) -> Deferred[None]:
        if self._thread is None or self._stopping:
            return fail(RegistryUnavailable(self.reason))
        return self._thread.write(Change(table, key, row))

    def contentsRead(self, contents: Contents | None, now: float) -> None:
        """
        The thread has read the file: replace what differs and tell the watchers.
        """
        if not self.available and not self._stopping:
            if self.reason != NOT_STARTED:
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
