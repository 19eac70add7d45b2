"""
A broker as a service (MQTT 3.1.1): keeps a connection to it, tells it what is in the outbox, and
hears what it is asked to.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import Final

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from bmff.errors import ConfigurationError, TransportUnavailable
from bmff.protocols.mqtt.connection import Connection, ConnectionWatcher, Login
from bmff.protocols.mqtt.outbox import Message, Outbox

FIRST_RETRY: Final = 0.5  # seconds until a lost broker is tried again
LAST_RETRY: Final = 10.0  # seconds between tries in the long run
PROVEN: Final = 5.0  # seconds of life after which a connection is worth a new beginning
CONNECT_PATIENCE: Final = 10.0  # seconds that an attempt to connect may take
TURN: Final = 32  # messages that are sent in one turn, as frames wait meanwhile
FAREWELL: Final = 1.0  # seconds that the last messages may take
SWEEP: Final = 5.0  # seconds in which a broker tells what it has kept

# A host name that is none is a C{ValueError}.
_NO_CONNECTION: Final = (ConnectError, OSError, TransportUnavailable, CancelledError, ValueError)

Hear = Callable[[str, bytes, bool], None]


class _Connections(Factory):
    """
    Makes the protocol of an attempt to connect.
    """

    noisy = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        """
        @see: L{twisted.internet.interfaces.IProtocolFactory.buildProtocol}
        """
        return self._connection


class Broker(ConnectionWatcher, Service):
    """
    Keeps one connection to a broker.

    What is put into the outbox goes out in a later turn, so that whoever has something to tell is
    never kept by it. States are told again at each connection, and what the broker has kept of an
    earlier process under the topics of states is taken back.

    @ivar outbox: what is to be told; call L{send} when something was put into it.
    @ivar connected: whether the broker has let us in.
    @ivar reason: why not, for people; empty while it has.
    @ivar connections: how often it has let us in.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        login: Callable[[], Login],
        *,
        name: str = "",
        outbox: Outbox | None = None,
        chance: Callable[[], float] = random,
    ) -> None:
        """
        @param endpoint: where the broker is.
        @param login: asked before each attempt, as a password may change; may raise
            L{ConfigurationError}.
        @param name: of the broker, for people.
        @param chance: 0 to 1, so that many clients do not all come back at once.
        """
        self.outbox = outbox if outbox is not None else Outbox()
        self.connected = False
        self.reason = "not connected yet"
        self.connections = 0
        self._clock = clock
        self._endpoint = endpoint
        self._login = login
        self._name = name
        self._chance = chance
        self._hear: dict[str, Hear] = {}
        self._kept: dict[str, str] = {}  # the topics of states: filter and prefix
        self._connection: Connection | None = None
        self._attempt: Deferred[IProtocol] | None = None
        self._delayed: IDelayedCall | None = None
        self._sending: IDelayedCall | None = None
        self._sweeping: IDelayedCall | None = None
        self._failures = 0
        self._since = 0.0
        self._said = ""
        self._left: Deferred[None] | None = None

    def subscribe(self, topic: str, hear: Hear) -> None:
        """
        Hear what is published on a topic, from the next connection on.

        @param topic: may end in C{/#}.
        @param hear: called with the topic, the payload and whether the broker had kept it.
        """
        self._hear[topic] = hear

    def keepStates(self, prefix: str) -> None:
        """
        Take back what the broker keeps below a topic and is no state of ours: an earlier process
        has left it.

        @param prefix: ends in a slash; one level below it counts.
        """
        self._kept[f"{prefix}+"] = prefix

    # The life of a connection.

    def startService(self) -> None:
        """
        Connect, and go on trying.
        """
        super().startService()
        self._connect()

    def stopService(self) -> Deferred[None]:
        """
        Send what waits, within L{FAREWELL}, say good-bye and close.
        """
        super().stopService()
        self._cancel()
        if self._attempt is not None:
            self._attempt.cancel()
        connection = self._connection
        if connection is None:
            return succeed(None)
        left = self._left = Deferred()
        self._delayed = self._clock.callLater(FAREWELL, connection.drop, "the client stops")
        self.send()
        self._leaveWhenDone()
        return left

    def _cancel(self) -> None:
        for delayed in (self._delayed, self._sending, self._sweeping):
            if delayed is not None and delayed.active():
                delayed.cancel()
        self._delayed = self._sending = self._sweeping = None

    def _leaveWhenDone(self) -> None:
        connection = self._connection
        if connection is None or self._left is None:
            return
        if not connection.open:
            connection.drop("the client stops")
        elif not self.outbox and not self.outbox.inFlight:
            connection.leave("the client stops")

    def _connect(self) -> None:
        self._delayed = None
        try:
            login = self._login()
        except ConfigurationError as error:
            self._away(str(error))
            return
        connection = Connection(self._clock, login, self)
        attempt = self._attempt = self._endpoint.connect(_Connections(connection))
        attempt.addTimeout(CONNECT_PATIENCE, self._clock, _late)
        attempt.addCallbacks(self._made, self._failed, (connection,))

    def _made(self, protocol: IProtocol, connection: Connection) -> None:
        self._attempt = None
        if connection.ended:
            return  # it has ended already, and said so
        self._connection = connection
        if not self.running:
            connection.drop("the client stops")

    def _failed(self, failure: Failure) -> None:
        self._attempt = None
        if not self.running:
            return
        if not failure.check(*_NO_CONNECTION):
            self._log.failure("mqtt: the attempt to connect failed", failure)
        self._away(failure.getErrorMessage() or type(failure.value).__name__)

    def _away(self, reason: str) -> None:
        """
        There is no connection; try again later.
        """
        self.reason = reason
        if self._said != reason:
            self._said = reason
            self._log.warn("mqtt: no broker at {name}: {reason}", name=self._name, reason=reason)
        pause = min(FIRST_RETRY * 2.0 ** min(self._failures, 10), LAST_RETRY)
        self._failures += 1
        # Never from within paho's callbacks: the next one begins in a turn of its own.
        self._delayed = self._clock.callLater(pause * (0.75 + self._chance() / 2), self._connect)

    # What a connection tells.

    def accepted(self, connection: Connection) -> None:
        """
        @see: L{ConnectionWatcher.accepted}
        """
        self._connection = connection  # an endpoint may say so only afterwards
        self.connected = True
        self.connections += 1
        self.reason = self._said = ""
        self._since = self._clock.seconds()
        self._log.info("mqtt: connected to {name}", name=self._name)
        topics = [*self._hear, *self._kept]
        if topics:
            connection.subscribe(topics)
        if self._kept:
            self._sweeping = self._clock.callLater(SWEEP, self._swept, connection)
        self.send()

    def _swept(self, connection: Connection) -> None:
        # What comes there from now on are our own words.
        self._sweeping = None
        connection.unsubscribe(list(self._kept))

    def acknowledged(self, message: Message) -> None:
        """
        @see: L{ConnectionWatcher.acknowledged}
        """
        self.outbox.acknowledged(message)
        if self.outbox:
            self.send()
        elif self._left is not None:
            # Paho sends no good-bye from within its callbacks.
            self._clock.callLater(0, self._leaveWhenDone)

    def messageReceived(self, topic: str, payload: bytes, retained: bool) -> None:
        """
        @see: L{ConnectionWatcher.messageReceived}
        """
        for prefix in self._kept.values():
            if topic.startswith(prefix) and "/" not in topic[len(prefix) :]:
                if retained and topic not in self.outbox.states:
                    self.outbox.clearState(topic)
                    self.send()
                return
        for wanted, hear in self._hear.items():
            if topic == wanted or (wanted.endswith("#") and topic.startswith(wanted[:-1])):
                hear(topic, payload, retained)
                return

    def subscriptionRefused(self, count: int) -> None:
        """
        @see: L{ConnectionWatcher.subscriptionRefused}
        """
        self._log.error(
            "mqtt: the broker at {name} lets us not hear {count} of our topics; look at its ACL",
            name=self._name,
            count=count,
        )

    def roomMade(self) -> None:
        """
        @see: L{ConnectionWatcher.roomMade}
        """
        self.send()

    def lost(self, connection: Connection, reason: str) -> None:
        """
        @see: L{ConnectionWatcher.lost}
        """
        proven = self.connected and self._clock.seconds() - self._since >= PROVEN
        self.connected = False
        self._connection = None
        self._cancel()
        self.outbox.reset()
        left, self._left = self._left, None
        if left is not None:
            self.reason = reason
            left.callback(None)
        if not self.running:
            return
        if proven:
            self._failures = 0
        self._away(reason)

    # What is to be sent.

    def send(self) -> None:
        """
        What is in the outbox is sent in a later turn, if there is a connection.
        """
        if self.connected and self._sending is None:
            self._sending = self._clock.callLater(0, self._send)

    def _send(self) -> None:
        self._sending = None
        connection = self._connection
        if connection is None or not connection.open:
            return
        for _ in range(TURN):
            if connection.full:
                return  # it says when it is not any more
            message = self.outbox.take()
            if message is None:
                return  # an acknowledgement has us go on
            connection.publish(message)
        if self.outbox:
            self.send()


def _late(result: object, timeout: float) -> Failure:
    return Failure(TransportUnavailable(f"no connection in {timeout:g} s"))
