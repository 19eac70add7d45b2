"""
What every registry here shows of itself: its rows as they are in memory, how old they are, and the
check of a row before it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Final, Protocol

from twisted.internet.defer import Deferred, fail

from bmff.errors import ConfigurationError
from bmff.ibmff import BadRow, NodeRow, OverrideRow, PeerRow, SubscriptionRow
from bmff.registry.rows import Key, Row, Rows, Transports, checkKey, keyOf, mistakesIn, tableOf

NOT_STARTED: Final = "it is not started"
STOPPED: Final = "it is stopped"


class Seconds(Protocol):
    """
    A clock, such as the reactor.
    """

    def seconds(self) -> float:
        """
        The time, monotonic.
        """


class RowsInMemory:
    """
    The side of a registry that its readers see, see L{bmff.ibmff.IRegistry}. Whoever has this as
    its base fills it, and writes.

    @ivar available: whether its database can be used, as far as is known.
    @ivar reason: why not, for people; empty when it can.
    """

    def __init__(self, clock: Seconds, transports: Transports | None) -> None:
        """
        @param transports: what overrides may name, see L{bmff.registry.rows.mistakesIn}.
        """
        self.available = False
        self.reason = NOT_STARTED
        self._clock = clock
        self._transports = transports
        self._rows = Rows()
        self._current = -inf  # when the rows were last known to be those of the database

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
        The rows in the database that cannot be used.
        """
        return self._rows.badRows

    @property
    def age(self) -> float:
        """
        Seconds since the rows were last known to be those of the database.
        """
        return self._clock.seconds() - self._current

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
        return self._write(table, checkKey(table, keyOf(row)), row)

    def remove(self, table: str, key: Key) -> Deferred[None]:
        """
        Take a row away, if there is one.
        """
        return self._write(table, checkKey(table, key), None)

    def _write(self, table: str, key: tuple[int, ...], row: Row | None) -> Deferred[None]:
        """
        Write a row that can be used.

        @param key: the columns of its key.
        @param row: L{None} to remove it.
        """
        raise NotImplementedError
