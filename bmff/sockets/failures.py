"""
What becomes of an exception that the receiver of packets raises.
"""

from __future__ import annotations

from typing import Any, Final

LOG_INTERVAL: Final = 1.0  # seconds between two reports


class ReceiverFailures:
    """
    The side of a connection that counts what its receiver raises.

    @ivar name: the transport's name.
    @ivar remote: the other end's address, for people.
    @ivar failed: times that the receiver raised.
    """

    name: str
    remote: str
    failed = 0
    _log: Any
    _nextReport = float("-inf")

    def _receiverFailed(self, now: float) -> None:
        """
        Count the exception at hand, and log it unless another was logged within the last second:
        the other end may be able to cause one for each packet.
        """
        self.failed += 1
        if now >= self._nextReport:
            self._nextReport = now + LOG_INTERVAL
            self._log.failure(
                "{name} {remote}: the receiver failed, {failed} times so far",
                name=self.name,
                remote=self.remote,
                failed=self.failed,
            )
