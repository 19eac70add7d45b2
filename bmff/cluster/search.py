"""
The search for the other nodes: when each way is tried, and what has become of it.

A way is tried again 1 s after a failure, then twice as long after each, up to 60 s; one to a node
that the operator names is tried every 10 s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from random import Random
from typing import Any, Final, Protocol, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from bmff.cluster.choice import FALLBACK
from bmff.cluster.ways import Way
from bmff.errors import TransportUnavailable
from bmff.events import Event, NodeUnreachable, PathFailed, PathTried
from bmff.ibmff import OverrideRow
from bmff.wire.fastforward.link import Link

FIRST_PAUSE: Final = 1.0  # seconds after a first failure, doubled with each further one
LONGEST_PAUSE: Final = 60.0  # seconds, for nodes of the registry
TARGET_PAUSE: Final = 10.0  # seconds between two attempts at a configured target, at the most
LONG_LIFE: Final = 300.0  # seconds after which a path was no failure: its pauses begin anew


class Connector(Protocol):
    """
    What makes paths, see L{bmff.protocols.fastforward.FastForward}.
    """

    links: dict[int, Link]

    async def connect(
        self, node: int, transport: str, address: str, port: int, keyID: str
    ) -> Any: ...

    def hasPath(self, node: int, transport: str) -> bool: ...


@dataclass(slots=True)
class Attempts:
    """
    The attempts at one way.

    @ivar nextAt: when it is tried again.
    @ivar patience: seconds that are left to the other end to begin.
    @ivar pause: seconds that the next failure is followed by.
    @ivar upAt: when there was a path, monotonic seconds; infinity while there is none.
    @ivar failingSince: when it was tried in vain for the first time; infinity before that.
    @ivar attempt: the one under way.
    @ivar reason: why the last one failed; empty before one has.
    """

    nextAt: float
    patience: float = 0.0
    pause: float = FIRST_PAUSE
    upAt: float = inf
    failingSince: float = inf
    attempt: Deferred[None] | None = None
    reason: str = ""


class Search:
    """
    Tries every way that is wanted and is not there.

    @ivar connector: what makes paths; L{None} before there is one.
    """

    def __init__(
        self,
        clock: IReactorTime,
        targets: Collection[int],
        publish: Callable[[Event], None],
        random: Random,
    ) -> None:
        """
        @param clock: monotonic.
        @param targets: the nodes that the operator names.
        @param publish: is told what happens.
        @param random: spreads attempts.
        """
        self.connector: Connector | None = None
        self._clock = clock
        self._targets = targets
        self._publish = publish
        self._random = random
        self._ways: dict[tuple[int, str], Attempts] = {}
        self._wanted: frozenset[tuple[int, str]] = frozenset()  # at the last look

    def reason(self, node: int) -> str:
        """
        Why a node could not be reached; empty when that was not tried or has succeeded.
        """
        reasons = [
            (transport == FALLBACK, attempts.reason)
            for (one, transport), attempts in self._ways.items()
            if one == node and attempts.reason
        ]
        return min(reasons)[1] if reasons else ""

    def failing(self, node: int, transport: str) -> float:
        """
        For how many seconds a way has been tried in vain.
        """
        attempts = self._ways.get((node, transport))
        if attempts is None or attempts.failingSince == inf:
            return 0.0
        return max(self._clock.seconds() - attempts.failingSince, 1e-6)

    def seek(self, wanted: Mapping[tuple[int, str], Way], keyID: str, now: float) -> None:
        """
        Try the ways whose time has come, and forget those that are no longer wanted.

        @param keyID: the key of links whose row names none.
        """
        assert self.connector is not None
        hasPath = self.connector.hasPath
        self._wanted = frozenset(wanted)
        for key in [one for one in self._ways if one not in wanted and not hasPath(*one)]:
            self._giveUp(self._ways.pop(key))
        for key, way in wanted.items():
            attempts = self._ways.get(key)
            if hasPath(*key):
                if attempts is not None:
                    attempts.reason = ""
                    attempts.failingSince = inf
                continue
            if attempts is None:
                attempts = self._ways[key] = Attempts(now + way.patience)
            attempts.patience = way.patience
            if attempts.attempt is None and now >= attempts.nextAt:
                self._try(attempts, way.row, way.row.key or keyID, now)

    def pathStarted(self, node: int, transport: str, now: float) -> None:
        """
        There is a path, whichever end began.
        """
        attempts = self._ways.setdefault((node, transport), Attempts(now))
        attempts.upAt = now
        attempts.failingSince = inf
        attempts.reason = ""

    def pathEnded(self, node: int, transport: str, now: float) -> None:
        """
        There is a path no longer. One that did not live long was one more failure.
        """
        attempts = self._ways.get((node, transport))
        if attempts is None or attempts.upAt == inf or self.connector is None:
            return
        if (node, transport) not in self._wanted and node in self.connector.links:
            # It was left, not lost: when it is wanted again there is nothing to wait for.
            self._giveUp(self._ways.pop((node, transport)))
            return
        lived, attempts.upAt = now - attempts.upAt, inf
        if lived < LONG_LIFE:
            self._postpone(node, attempts, now)
            attempts.nextAt = max(attempts.nextAt, now + attempts.patience)
        else:
            attempts.pause = FIRST_PAUSE
            attempts.nextAt = now + attempts.patience

    def stop(self) -> None:
        """
        Give up what is under way.
        """
        ways, self._ways = self._ways, {}
        for attempts in ways.values():
            self._giveUp(attempts)

    def _giveUp(self, attempts: Attempts) -> None:
        if attempts.attempt is not None:
            attempts.attempt.cancel()

    def _pause(self, node: int, attempts: Attempts) -> float:
        spread = self._random.random()
        if node in self._targets:
            # Never more than 10 s apart, although the time is only looked at now and then.
            return TARGET_PAUSE * (0.9 + 0.05 * spread)
        return attempts.pause * (0.75 + spread / 2)

    def _postpone(self, node: int, attempts: Attempts, since: float) -> None:
        """
        Set when a node is tried after a failure.

        @param since: what its pause is counted from.
        """
        attempts.nextAt = since + self._pause(node, attempts)
        attempts.pause = min(attempts.pause * 2, LONGEST_PAUSE)

    def _try(self, attempts: Attempts, row: OverrideRow, keyID: str, now: float) -> None:
        assert self.connector is not None
        # For when it succeeds and no link comes of it.
        attempts.nextAt = now + self._pause(row.node, attempts)
        self._publish(PathTried(row.node, row.transport, row.address, row.port))
        attempts.attempt = Deferred.fromCoroutine(
            cast(
                Any,
                self.connector.connect(row.node, row.transport, row.address, row.port, keyID),
            )
        )
        attempts.attempt.addCallbacks(
            lambda _: None, partial(self._failed, attempts, row, now)
        ).addBoth(partial(self._over, attempts))

    def _failed(self, attempts: Attempts, row: OverrideRow, begun: float, failure: Any) -> None:
        assert self.connector is not None
        key = (row.node, row.transport)
        if failure.check(CancelledError) or self._ways.get(key) is not attempts:
            return  # nobody looks for it any more
        if self.connector.hasPath(*key):
            return  # the other end was faster
        reason = (
            failure.value.reason
            if failure.check(TransportUnavailable)
            else f"{failure.type.__name__}: {failure.getErrorMessage()}"
        )
        attempts.failingSince = min(attempts.failingSince, begun)
        target = row.node in self._targets  # tried every 10 s, however long an attempt takes
        self._postpone(row.node, attempts, begun if target else self._clock.seconds())
        if reason != attempts.reason:
            attempts.reason = reason
            linked = row.node in self.connector.links
            self._publish((PathFailed if linked else NodeUnreachable)(*key, reason))

    def _over(self, attempts: Attempts, result: object) -> None:
        attempts.attempt = None
