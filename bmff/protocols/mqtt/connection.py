"""
One connection to an MQTT broker as a Twisted protocol: paho-mqtt says what goes over it (MQTT
3.1.1), and the reactor alone reads, writes and waits.

Paho's own ways to connect block, so one of its private methods is overridden, which
C{tests/protocols/mqtt} watches. Each connection has a paho client of its own: nothing that paho
remembers of one reaches the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import ProtocolError
from bmff.protocols.mqtt.outbox import Message
from bmff.protocols.mqtt.packets import Packets
from bmff.protocols.mqtt.stream import Stream

PATIENCE: Final = 10.0  # seconds until the broker must have let us in
LOOK: Final = 1.0  # seconds between two looks at whether the broker is alive
TURN: Final = 32  # packets that are read in one turn, as frames wait meanwhile
AT_LEAST_ONCE: Final = 1  # quality of service


@dataclass(frozen=True, slots=True)
class Login:
    """
    Who a client is to a broker.

    @ivar clientID: no two clients may have one at a time: the broker ends the first for the second.
    @ivar keepalive: seconds of silence after which the broker is asked whether it is there; after
        as many more without an answer it is not.
    @ivar user: empty for nobody.
    @ivar password: of the user.
    @ivar will: a state that the broker is to publish when this client is gone without good-bye.
    """

    clientID: str
    keepalive: int = 5
    user: str = ""
    password: str = field(default="", repr=False)
    will: Message | None = None


class ConnectionWatcher:
    """
    What a connection tells; each of these does nothing here.
    """

    def accepted(self, connection: Connection) -> None:
        """
        The broker has let us in.
        """

    def acknowledged(self, message: Message) -> None:
        """
        The broker has a message.
        """

    def messageReceived(self, topic: str, payload: bytes, retained: bool) -> None:
        """
        A message has come.

        @param retained: whether the broker had kept it.
        """

    def subscriptionRefused(self, count: int) -> None:
        """
        The broker does not let us hear something.

        @param count: of how many topics at once.
        """

    def roomMade(self) -> None:
        """
        More can be sent again.
        """

    def lost(self, connection: Connection, reason: str) -> None:
        """
        The connection has ended; nothing else comes of it.

        @param reason: for people.
        """


class _Client(paho.Client):
    """
    Paho's client, whose connection is there already.
    """

    def __init__(self, stream: Stream, clientID: str) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=clientID,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        self._stream = stream

    def _create_socket(self) -> Stream:
        return self._stream


@implementer(IPushProducer)
class Connection(Protocol):
    """
    One connection.

    @ivar open: whether the broker has let us in, and the connection has not ended.
    @ivar ended: whether it has ended.
    """

    _log = Logger()
    transport: ITransport

    def __init__(self, clock: IReactorTime, login: Login, watcher: ConnectionWatcher) -> None:
        self.open = self.ended = False
        self._clock = clock
        self._login = login
        self._watcher = watcher
        self._packets = Packets()
        self._stream = Stream(self._write, self._closeTransport)
        self._messages: dict[int, Message] = {}
        self._reason = ""
        self._ending = False
        self._limit: IDelayedCall | None = None
        self._look: IDelayedCall | None = None
        self._next: IDelayedCall | None = None
        self._client = self._makeClient()

    @property
    def full(self) -> bool:
        """
        Whether what was published before has not gone out yet.
        """
        return self._stream.full

    def _makeClient(self) -> _Client:
        login = self._login
        client = _Client(self._stream, login.clientID)
        client.max_inflight_messages_set(0)  # whoever publishes counts them
        client.suppress_exceptions = True  # none comes, see _tell
        if login.user:
            client.username_pw_set(login.user, login.password)
        if login.will is not None:
            client.will_set(login.will.topic, login.will.payload, AT_LEAST_ONCE, True)
        client.on_connect = self._answered
        client.on_publish = self._published
        client.on_message = self._received
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        return client

    # The transport.

    def connectionMade(self) -> None:
        """
        @see: L{twisted.internet.interfaces.IProtocol.connectionMade}
        """
        self.transport.registerProducer(self, True)  # type: ignore[attr-defined]  # of a consumer
        self._limit = self._clock.callLater(
            PATIENCE, self.drop, f"not let in within {PATIENCE:g} s"
        )
        self._client.connect_async("broker", keepalive=self._login.keepalive)
        self._client.reconnect()
        self._watch()

    def dataReceived(self, data: bytes) -> None:
        """
        @see: L{twisted.internet.interfaces.IProtocol.dataReceived}
        """
        self._packets.feed(data)
        if self._next is None:
            self._read()

    def _read(self) -> None:
        """
        Have paho read what has come, some packets in a turn.
        """
        if self._next is not None:
            self._next = None
            self.transport.resumeProducing()  # type: ignore[attr-defined]  # of a producer
        for _ in range(TURN):
            if self._stream.closed:
                return
            try:
                packet = self._packets.next()
            except ProtocolError as error:
                self.drop(error.reason)
                return
            if packet is None:
                self._flush()
                return
            self._stream.put(packet)
            try:
                self._client.loop_read()
            except Exception:
                # What paho raises for what it cannot read is of no one class; nothing of ours
                # raises in there.
                self.drop("sends what is no MQTT")
                return
        self._flush()
        self._next = self._clock.callLater(0, self._read)
        self.transport.pauseProducing()  # type: ignore[attr-defined]  # of a producer

    def _flush(self) -> None:
        # Paho writes at once, but not what a callback has given it.
        if self._client.want_write() and not self._stream.full:
            self._client.loop_write()

    def _write(self, data: bytes) -> None:
        self.transport.write(data)

    def _closeTransport(self) -> None:
        """
        Paho has closed its stream.
        """
        if self._ending:
            self.transport.loseConnection()
        else:
            self._abort()

    def _abort(self) -> None:
        self.transport.abortConnection()  # type: ignore[attr-defined]  # of TCP and UNIX alike

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        @see: L{twisted.internet.interfaces.IProtocol.connectionLost}
        """
        self.open = False
        self.ended = True
        self._stream.end()
        for delayed in (self._limit, self._look, self._next):
            if delayed is not None and delayed.active():
                delayed.cancel()
        self._client.on_disconnect = None
        self._client.loop_read()  # so that paho sees it, too
        self._messages.clear()
        self._tell(self._watcher.lost, self, self._reason or reason.getErrorMessage())

    def pauseProducing(self) -> None:
        """
        The transport has much to send.
        """
        self._stream.full = True

    def resumeProducing(self) -> None:
        """
        It takes more again.
        """
        self._stream.full = False
        if not self._stream.closed:
            self._flush()
            self._tell(self._watcher.roomMade)

    def stopProducing(self) -> None:
        """
        The transport is about to end.
        """
        self._stream.full = True

    # What its owner asks for.

    def publish(self, message: Message) -> None:
        """
        Send a message. The watcher hears when the broker has it.
        """
        info = self._client.publish(message.topic, message.payload, AT_LEAST_ONCE, message.state)
        self._messages[info.mid] = message

    def subscribe(self, topics: Sequence[str]) -> None:
        """
        Hear what is published on topics, and what the broker keeps there.
        """
        self._client.subscribe([(topic, AT_LEAST_ONCE) for topic in topics])

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """
        Hear no more of them.
        """
        self._client.unsubscribe(list(topics))

    def leave(self, reason: str) -> None:
        """
        Say good-bye, so that the broker does not publish the will, and close.
        """
        if not self._stream.closed:
            self._reason = self._reason or reason
            self._ending = True
            self._client.disconnect()
            if self._client.want_write():
                self._abort()  # a broker that reads nothing hears no good-bye either

    def drop(self, reason: str) -> None:
        """
        Close at once, without good-bye.

        @param reason: for people.
        """
        self._reason = self._reason or reason
        if not self._stream.closed:
            self._stream.end()
            self._abort()

    # What paho tells.

    def _watch(self) -> None:
        """
        See whether the broker is alive.
        """
        self._look = self._clock.callLater(LOOK, self._watch)
        self._client.loop_misc()

    def _tell(self, told: Callable[..., None], *arguments: Any) -> None:
        # What is raised in a callback would come out of paho, in the middle of its work.
        try:
            told(*arguments)
        except Exception:
            self._log.failure("mqtt: what was told of a connection has failed")

    def _answered(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        if reason.is_failure:
            self._reason = f"the broker refuses: {reason.getName().lower()}"
            return  # it closes, and so does paho
        self.open = True
        self._tell(self._watcher.accepted, self)

    def _published(self, client: Any, data: Any, number: int, reason: Any, properties: Any) -> None:
        message = self._messages.pop(number, None)
        if message is not None:
            self._tell(self._watcher.acknowledged, message)

    def _received(self, client: Any, data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no topic that anybody asked for
        self._tell(self._watcher.messageReceived, topic, message.payload, message.retain)

    def _subscribed(
        self, client: Any, data: Any, number: int, reasons: list[Any], properties: Any
    ) -> None:
        refused = sum(1 for reason in reasons if reason.is_failure)
        if refused:
            self._tell(self._watcher.subscriptionRefused, refused)

    def _disconnected(
        self, client: Any, data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if not self._ending:
            late = reason.getName() == _KEEPALIVE
            self._reason = self._reason or (
                "the broker does not answer" if late else "the broker breaks the protocol"
            )


_KEEPALIVE: Final = paho.convert_disconnect_error_code_to_reason_code(
    MQTTErrorCode.MQTT_ERR_KEEPALIVE
).getName()
