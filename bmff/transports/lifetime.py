"""
What a transport has begun and not ended: attempts to connect and open paths, and the end of all.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure

from bmff.errors import TransportUnavailable
from bmff.ibmff import IPathTransport


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
        self._attempts: set[Deferred[IPathTransport]] = set()
        self._waiting: list[Deferred[None]] = []

    def attempt(
        self, making: Coroutine[Deferred[Any], Any, IPathTransport]
    ) -> Deferred[IPathTransport]:
        """
        Make a path, unless all is stopped.

        @return: a C{Deferred} of it, which L{stop} has fail with L{TransportUnavailable}.
        """
        if self.stopped:
            making.close()
            return fail(TransportUnavailable("stopped"))
        attempt = Deferred.fromCoroutine(making)
        self._attempts.add(attempt)
        return attempt.addBoth(self._attempted, attempt)

    def _attempted(
        self, result: IPathTransport | Failure, attempt: Deferred[IPathTransport]
    ) -> IPathTransport | Failure:
        self._attempts.discard(attempt)
        if self.stopped and isinstance(result, Failure) and result.check(CancelledError):
            return Failure(TransportUnavailable("stopped"))
        return result

    def ended(self, path: IPathTransport) -> None:
        """
        A path is gone, and its receiver is told now.
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
