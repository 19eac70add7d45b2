"""
Two errors, by whose fault they are: the peer's or the operator's; our own bugs stay bare.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class ProtocolError(Exception):
    """
    What a peer sent breaks its protocol.

    Whoever catches it drops the input and counts it under L{reason}; it never ends a process,
    and it is never logged for each datagram.

    @ivar reason: a short constant phrase, usable as a counter's name (C{"truncated"}).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Mistake:
    """
    One thing that is wrong in what the operator wrote.

    @ivar place: where, as a dotted path into the file (C{"homebrew.listen[0]"}); the file's own
        name when all of it is meant.
    @ivar message: what is wrong and what would be right, as one sentence without a full stop.
    """

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigurationError(Exception):
    """
    What the operator configured cannot be used; it carries every mistake at once.

    @ivar mistakes: the mistakes, in the order of the file, at least one.
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class CommandRefused(Exception):
    """
    What an operator asks a running node for cannot be done: there is no such call, no such peer.

    @ivar reason: for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TransportUnavailable(Exception):
    """
    A transport cannot be had here or now: no such device, nobody there, a foreign file in the way.

    The link goes on with the next best one.

    @ivar reason: for people, as one phrase.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
