"""
What a transport has begun and not ended: attempts to connect or to listen, open paths, and the end
of all.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure

from bmff.errors import TransportUnavailable
from bmff.ibmff import IPathTransport

# What an attempt fails with that is cancelled, or for which what it waited for was.
_GIVEN_UP: Final = (CancelledError, TransportUnavailable)

T = TypeVar("T")


class Lifetime:
    """
    The paths of one transport, from the attempt to make each to its receiver's being told that it
    is gone.

    @ivar stopped: whether nothing new may begin.
    @ivar paths: those whose end has not been told yet.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.paths: set[IPathTransport] = set()
        self._attempts: set[Deferred[Any]] = set()
        self._waiting: list[Deferred[None]] = []

    def attempt(self, making: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """
        Make a path or what else there is to wait for, unless all is stopped.

        @return: a C{Deferred} of what is made, which L{stop} has fail with
            L{TransportUnavailable}.
        """
        if self.stopped:
            making.close()
            return fail(TransportUnavailable("stopped"))
        attempt = Deferred.fromCoroutine(making)
        self._attempts.add(attempt)
        return attempt.addBoth(self._attempted, attempt)

    def _attempted(self, result: T | Failure, attempt: Deferred[T]) -> T | Failure:
        self._attempts.discard(attempt)
        if self.stopped and isinstance(result, Failure) and result.check(*_GIVEN_UP):
            return Failure(TransportUnavailable("stopped"))
        return result

    def ended(self, path: IPathTransport) -> None:
        """
        A path is gone, and its receiver is told now, or was.
        """
        self.paths.discard(path)
        self._finish()

    def stop(self) -> Deferred[None]:
        """
        Give up every attempt and lose every path.

        @return: a C{Deferred} that fires when all receivers have been told.
        """
        self.stopped = True
        for attempt in list(self._attempts):
            attempt.cancel()
        for path in list(self.paths):
            path.loseConnection()
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        self._finish()
        return done

    def _finish(self) -> None:
        if self.stopped and not self.paths:
            waiting, self._waiting = self._waiting, []
            for done in waiting:
                done.callback(None)
