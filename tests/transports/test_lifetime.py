"""
Tests of L{bmff.transports.lifetime}: what was begun ends, and is waited for.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import TransportUnavailable
from bmff.transports.lifetime import Lifetime


async def awaited(step: Deferred[Any]) -> Any:
    """
    An attempt that waits for one thing, and fails as a transport's does.
    """
    try:
        return await step
    except ConnectingCancelledError as error:  # an endpoint's, when its C{connect} is cancelled
        raise TransportUnavailable("given up") from error


class LifetimeTests(SynchronousTestCase):
    """
    Attempts. What becomes of paths is tested with those who have them.
    """

    def setUp(self) -> None:
        self.life = Lifetime()

    def test_made(self) -> None:
        """
        An attempt gives what was made, whatever that is, and to stop later does nothing to it.
        """
        step: Deferred[Any] = Deferred()
        attempt = self.life.attempt(awaited(step))
        self.assertNoResult(attempt)
        step.callback("a port")
        self.assertEqual(self.successResultOf(attempt), "a port")
        self.successResultOf(self.life.stop())

    def test_failed(self) -> None:
        """
        An attempt that fails says why.
        """
        step: Deferred[Any] = Deferred()
        attempt = self.life.attempt(awaited(step))
        step.errback(TransportUnavailable("nobody there"))
        self.assertEqual(str(self.failureResultOf(attempt).value), "nobody there")

    def test_bug(self) -> None:
        """
        What fails by a bug is not taken for something that was stopped.
        """
        attempt = self.life.attempt(awaited(Deferred(lambda step: step.errback(KeyError("bug")))))
        self.life.stop()
        self.failureResultOf(attempt, KeyError)

    def test_stopped(self) -> None:
        """
        Whatever an attempt fails with because it is given up, the reason is that all was stopped;
        one that would begin afterwards never does.
        """
        refusing: Deferred[Any] = Deferred(
            lambda step: step.errback(ConnectingCancelledError(None))
        )
        attempts = [self.life.attempt(awaited(step)) for step in (Deferred(), refusing)]
        self.successResultOf(self.life.stop())
        attempts.append(self.life.attempt(awaited(Deferred())))
        for attempt in attempts:
            error = self.failureResultOf(attempt, TransportUnavailable).value
            self.assertEqual(str(error), "stopped")
