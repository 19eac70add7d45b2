"""
The one thread that touches the file of an embedded registry, and what it tells the reactor.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import RegistryUnavailable
from bmff.registry.database import Change, Contents, Database, Traces
from bmff.registry.rows import Transports

POLL_INTERVAL: Final = 0.05  # seconds
# Seconds from a failure to the next attempt. All processes have to have let go of a file that was
# deleted before one makes another: their logs would have the same name.
RETRY_INTERVAL: Final = 1.0

_UNOPENED: Final = "it could not be opened"


class ThreadedReactor(Protocol):
    """
    What is asked of the reactor.
    """

    def seconds(self) -> float:
        """
        Monotonic seconds; asked from any thread.
        """

    def callFromThread(
        self, callable: Callable[..., object], *args: object, **kwargs: object
    ) -> object:
        """
        Call something in the reactor's thread, in the order that this was asked in.
        """


class Reader(Protocol):
    """
    Who is told of what is in the file.
    """

    def contentsRead(self, contents: Contents | None, now: float) -> None:
        """
        The file has been read after a change, a write or a failure.

        @param contents: L{None} when it holds what it held before.
        @param now: monotonic seconds, when the look at it began.
        """

    def contentsUnchanged(self, now: float) -> None:
        """
        The file holds what it held before; called from the other thread.
        """

    def databaseLost(self, reason: str) -> None:
        """
        The file cannot be read or written; called at each attempt.
        """


@dataclass(frozen=True, slots=True)
class _Write:
    """
    A change that somebody waits for.
    """

    change: Change
    done: Deferred[None]


class DatabaseThread:
    """
    The thread. It ends when the file cannot be opened at first; after that it goes on trying.

    @ivar opened: fires when the file is open and has been read, or fails with
        L{ConfigurationError}.
    @ivar ended: fires when the thread is done with the file.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: ThreadedReactor,
        path: Path,
        reader: Reader,
        transports: Transports | None = None,
    ) -> None:
        """
        @param path: absolute.
        @param transports: what overrides may name, see L{bmff.registry.rows.mistakesIn}.
        """
        self.opened: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self._reactor = reactor
        self._path = path
        self._reader = reader
        self._transports = transports
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        self._database: Database | None = None
        self._before: Traces | None = None
        self._heldLog: int | None = None  # of what was open before
        self._failure = ""  # why there is no database
        self._retryAt = 0.0
        self._over = False
        # It is no reason to live for a process whose reactor has crashed.
        self._thread = Thread(target=self._run, name=f"registry {path}", daemon=True)

    def start(self) -> None:
        """
        Open the file.
        """
        self._thread.start()

    def write(self, change: Change) -> Deferred[None]:
        """
        Write a change, together with all that are waiting.

        @return: fires after the reader was told, or fails with L{RegistryUnavailable}.
        """
        if self._over:
            return fail(RegistryUnavailable(_UNOPENED))
        done: Deferred[None] = Deferred()
        self._queue.put(_Write(change, done))
        return done

    def finish(self) -> None:
        """
        Write what is waiting, close the file and end.
        """
        self._queue.put(None)

    # In the thread:

    def _run(self) -> None:
        try:
            now = self._reactor.seconds()
            self._database = Database(self._path, self._transports)
            contents = self._database.read()
        except Exception as error:
            self._close()
            self._letGo()
            self._reactor.callFromThread(self._refused, self._refusal(error))
            return
        self._reactor.callFromThread(self._begun, contents, now)
        going = True
        while going:
            writes, going = self._gather()
            self._turn(writes)
        self._close()
        self._letGo()
        self._reactor.callFromThread(self._finished)

    def _gather(self) -> tuple[list[_Write], bool]:
        """
        All writes that are waiting, and whether to go on after them.
        """
        writes: list[_Write] = []
        try:
            write = self._queue.get(timeout=POLL_INTERVAL)
            while write is not None:
                writes.append(write)
                write = self._queue.get_nowait()
        except Empty:
            return writes, True
        return writes, False

    def _turn(self, writes: list[_Write]) -> None:
        now = self._reactor.seconds()
        if self._database is None and now < self._retryAt:
            if writes:
                self._reactor.callFromThread(self._lost, self._failure, writes)
            return
        try:
            contents = self._work([write.change for write in writes])
        except Exception as error:  # whatever it is, the thread goes on
            if not _isForeseen(error) and str(error) != self._failure:
                self._reactor.callFromThread(self._log.failure, "the registry failed", Failure())
            self._close()
            self._failure = str(error)
            self._retryAt = self._reactor.seconds() + RETRY_INTERVAL
            self._reactor.callFromThread(self._lost, self._failure, writes)
            return
        self._failure = ""
        if contents is None and not writes:
            # Not through the reactor, which would be woken for nothing 20 times a second.
            self._reader.contentsUnchanged(now)
        else:
            self._reactor.callFromThread(self._done, contents, now, writes)

    def _work(self, changes: list[Change]) -> Contents | None:
        if self._database is None:
            self._database = Database(self._path, self._transports, self._before)
            self._letGo()
        self._database.checkPlace()
        if changes:
            self._database.write(changes)
        return self._database.read()

    def _close(self) -> None:
        if self._database is not None:
            self._letGo()
            self._heldLog = self._database.holdLog()
            self._before = self._database.traces
            self._database.close()
            self._database = None

    def _letGo(self) -> None:
        """
        Let go of the log of the file that was open before.
        """
        held, self._heldLog = self._heldLog, None
        if held is not None:
            os.close(held)

    def _refusal(self, error: Exception) -> Failure:
        """
        A failure at the start, which is the operator's to mend when it is no bug of ours.
        """
        if isinstance(error, ConfigurationError) or not _isForeseen(error):
            return Failure(error)
        message = f"{self._path} cannot be used: {error}"
        return Failure(ConfigurationError([Mistake("registry.file", message)]))

    # In the reactor:

    def _begun(self, contents: Contents | None, now: float) -> None:
        self._reader.contentsRead(contents, now)
        self.opened.callback(None)

    def _refused(self, failure: Failure) -> None:
        self._reader.databaseLost(failure.getErrorMessage())
        self._finished()
        self.opened.errback(failure)

    def _done(self, contents: Contents | None, now: float, writes: list[_Write]) -> None:
        self._reader.contentsRead(contents, now)
        for write in writes:
            write.done.callback(None)

    def _lost(self, reason: str, writes: list[_Write]) -> None:
        self._reader.databaseLost(reason)
        for write in writes:
            write.done.errback(RegistryUnavailable(reason))

    def _finished(self) -> None:
        self._over = True
        while not self._queue.empty():  # what was asked for before this was known
            write = self._queue.get_nowait()
            if write is not None:
                write.done.errback(RegistryUnavailable(_UNOPENED))
        self.ended.callback(None)


def _isForeseen(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error | OSError | ConfigurationError)
