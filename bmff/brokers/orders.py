"""
What a node is asked for over MQTT: which commands are taken, and who does them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bmff.errors import CommandRefused, ProtocolError
from bmff.wire.brandmeister.commands import (
    Command,
    DropCall,
    Freshness,
    LinkTalkgroup,
    Order,
    SendMessage,
    UnlinkTalkgroup,
    decodeCommand,
)
from bmff.wire.brandmeister.services import report
from bmff.wire.brandmeister.topics import Topics


class Commands(Protocol):
    """
    Does what is asked for. Each either returns when it is done, or a C{Deferred} that fires then;
    it raises L{bmff.errors.CommandRefused}, or fails with it.
    """

    def sendMessage(
        self, source: int, destination: int, private: bool, text: str
    ) -> Deferred[None] | None:
        """
        Send a text to a radio, or to a talkgroup when not L{private}.
        """

    def dropCall(self, source: int, stream: int) -> Deferred[None] | None:
        """
        End what a radio sends.

        @param stream: its stream ID, 0 for any.
        """

    def linkTalkgroup(self, peer: int, slot: int, talkgroup: int) -> Deferred[None] | None:
        """
        Have a slot hear a talkgroup, as if it had been keyed there.
        """

    def unlinkTalkgroup(self, peer: int, slot: int, talkgroup: int) -> Deferred[None] | None:
        """
        Have a slot hear a keyed talkgroup no more.

        @param talkgroup: 0 for all of them.
        """


class Orders:
    """
    Takes the commands that come, each once and only while it is young.

    @ivar done: how many were done.
    @ivar dropped: how many were not, by reason.
    """

    _log = Logger()

    def __init__(
        self,
        topics: Topics,
        kinds: Collection[str],
        commands: Commands,
        wallClock: Callable[[], float],
        tell: Callable[[str, bytes], None],
    ) -> None:
        """
        @param kinds: of commands that are taken, see L{bmff.wire.brandmeister.commands.KINDS}.
        @param wallClock: seconds since 1970.
        @param tell: publishes what has become of one.
        """
        self.done = 0
        self.dropped: Counter[str] = Counter()
        self._topics = topics
        self._kinds = frozenset(kinds)
        self._commands = commands
        self._wallClock = wallClock
        self._tell = tell
        self._freshness = Freshness(wallClock())

    def received(self, topic: str, payload: bytes, retained: bool) -> None:
        """
        A command has come.

        @param retained: whether the broker had kept it, so that it is nobody's wish of now.
        """
        try:
            if retained:
                raise ProtocolError("command retained")
            source, destination = self._topics.partiesOf(topic)
            command = decodeCommand(payload)
            if command.kind not in self._kinds:
                raise ProtocolError("command not allowed")
            self._freshness.check(command, self._wallClock())
        except ProtocolError as error:
            self.dropped[error.reason] += 1
            return
        answer = self._topics.incoming("Report", source, destination)
        doing = maybeDeferred(self._do, command.order)
        doing.addCallbacks(
            self._ended,
            self._failed,
            callbackArgs=(command, answer),
            errbackArgs=(command, answer),
        )

    def _do(self, order: Order) -> Deferred[None] | None:
        match order:
            case SendMessage():
                return self._commands.sendMessage(
                    order.source, order.destination, order.private, order.text
                )
            case DropCall():
                return self._commands.dropCall(order.source, order.stream)
            case LinkTalkgroup():
                return self._commands.linkTalkgroup(order.peer, order.slot, order.talkgroup)
            case UnlinkTalkgroup():
                return self._commands.unlinkTalkgroup(order.peer, order.slot, order.talkgroup)

    def _ended(self, result: None, command: Command, answer: str) -> None:
        self.done += 1
        self._log.info(
            "mqtt: command {command} {identifier!r} is done",
            command=command.kind,
            identifier=command.identifier,
        )
        self._tell(answer, report(command.identifier, True))

    def _failed(self, failure: Failure, command: Command, answer: str) -> None:
        if failure.check(CommandRefused):
            reason = failure.getErrorMessage()
            self.dropped["command refused"] += 1
        else:
            reason = "the node has failed"
            self.dropped["command failed"] += 1
            self._log.failure("mqtt: a command has failed", failure)
        self._tell(answer, report(command.identifier, False, reason))
