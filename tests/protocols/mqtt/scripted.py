"""
A broker in memory that does what a test tells it to (MQTT 3.1.1), and where to connect to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.protocols.mqtt.packets import Packets

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 10, 11, 12, 13, 14
RETAIN, AT_LEAST_ONCE = 1, 2


def packet(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """
    A control packet.
    """
    length = bytearray()
    rest = len(body)
    while True:
        rest, digit = rest >> 7, rest & 0x7F
        length.append(digit | (0x80 if rest else 0))
        if not rest:
            return bytes((kind << 4 | flags,)) + bytes(length) + body


def text(word: str | bytes) -> bytes:
    """
    A text in a control packet.
    """
    encoded = word.encode() if isinstance(word, str) else word
    return len(encoded).to_bytes(2, "big") + encoded


def publication(topic: str, payload: bytes, *, retained: bool = False) -> bytes:
    """
    A message as a broker sends it, without a word of its own wanted.
    """
    return packet(PUBLISH, text(topic) + payload, RETAIN if retained else 0)


@dataclass
class Published:
    """
    What a client has published.
    """

    topic: str
    payload: bytes
    retain: bool
    number: int


class Visit(StringTransport):
    """
    One connection to the broker, its end at the client.

    @ivar client: the client's protocol.
    @ivar connect: the body of its CONNECT.
    @ivar subscribed: the topics that it has asked for, in turn.
    @ivar unsubscribed: those that it has taken back.
    @ivar published: what it has published.
    @ivar pings: how often it has asked whether anybody is there.
    @ivar goodbye: whether it has said good-bye.
    @ivar gone: whether the connection has ended.
    @ivar aborted: whether the client has closed it at once; nothing it says comes through then.
    """

    client: IProtocol

    def __init__(self, broker: ScriptedBroker, clock: Clock) -> None:
        super().__init__()
        self.connect = b""
        self.subscribed: list[str] = []
        self.unsubscribed: list[str] = []
        self.published: list[Published] = []
        self.pings = 0
        self.goodbye = self.gone = self.paused = self.aborted = False
        self._broker = broker
        self._clock = clock
        self._packets = Packets()
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        """
        The client says something; what the broker answers comes in a later turn.
        """
        if self.aborted:
            return
        self._packets.feed(data)
        while (one := self._packets.next()) is not None:
            self._answer(one[0] >> 4, one[0] & 0x0F, _body(one))

    def _answer(self, kind: int, flags: int, body: bytes) -> None:
        broker = self._broker
        if kind == CONNECT:
            self.connect = body
            if broker.answers:
                self.say(packet(CONNACK, bytes((0, broker.refusal))))
        elif kind == SUBSCRIBE:
            topics = _topics(body[2:], 1)
            self.subscribed += topics
            codes = bytes(0x80 if topic in broker.forbidden else 1 for topic in topics)
            self.say(packet(SUBACK, body[:2] + codes))
        elif kind == UNSUBSCRIBE:
            self.unsubscribed += _topics(body[2:], 0)
            self.say(packet(UNSUBACK, body[:2]))
        elif kind == PUBLISH:
            size = int.from_bytes(body[:2], "big")
            number = int.from_bytes(body[2 + size : 4 + size], "big")
            topic = body[2 : 2 + size].decode()
            self.published.append(Published(topic, body[4 + size :], bool(flags & RETAIN), number))
            if broker.acknowledges:
                self.say(packet(PUBACK, number.to_bytes(2, "big")))
        elif kind == PINGREQ:
            self.pings += 1
            self.say(packet(PINGRESP))
        elif kind == DISCONNECT:
            self.goodbye = True

    def say(self, data: bytes) -> None:
        """
        Have the client read something, in a turn of its own.
        """
        if not self._broker.frozen:
            self._clock.callLater(0, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        self._held.append(data)
        while self._held and not self.paused and not self.gone:
            self.client.dataReceived(self._held.pop(0))

    def pauseProducing(self) -> None:
        """
        The client reads nothing for a while.
        """
        self.paused = True

    def resumeProducing(self) -> None:
        """
        It reads again.
        """
        self.paused = False
        if self._held:
            self._deliver(self._held.pop(0))

    def fill(self) -> None:
        """
        The way to the broker is full.
        """
        assert self.producer is not None
        self.producer.pauseProducing()

    def drain(self) -> None:
        """
        It is not any more.
        """
        assert self.producer is not None
        self.producer.resumeProducing()

    def lose(self, reason: type[Exception] = ConnectionDone) -> None:
        """
        The connection ends.
        """
        if not self.gone:
            self.gone = True
            self.client.connectionLost(Failure(reason()))

    def loseConnection(self) -> None:
        """
        The client closes.
        """
        self._clock.callLater(0, self.lose)

    def abortConnection(self) -> None:
        """
        The client closes at once.
        """
        self.aborted = True
        self._clock.callLater(0, self.lose, ConnectionAborted)

    @property
    def topics(self) -> list[str]:
        """
        The topics of what it has published, in turn.
        """
        return [one.topic for one in self.published]


@implementer(IStreamClientEndpoint)
class ScriptedBroker:
    """
    A broker, and where to connect to it.

    @ivar visits: the connections so far.
    @ivar attempts: how often somebody has tried.
    @ivar there: whether it can be reached.
    @ivar answers: whether it answers CONNECT.
    @ivar refusal: its return code, 0 to let clients in.
    @ivar acknowledges: whether it acknowledges what is published.
    @ivar frozen: whether it says nothing at all.
    @ivar forbidden: topics that nobody may hear.
    """

    def __init__(self, clock: Clock) -> None:
        self.visits: list[Visit] = []
        self.attempts = 0
        self.there = self.answers = self.acknowledges = True
        self.refusal = 0
        self.frozen = False
        self.forbidden: set[str] = set()
        self._clock = clock

    @property
    def visit(self) -> Visit:
        """
        The last connection.
        """
        return self.visits[-1]

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        @see: L{IStreamClientEndpoint.connect}
        """
        self.attempts += 1
        if not self.there:
            return fail(ConnectionRefusedError())
        visit = Visit(self, self._clock)
        address: Any = None
        protocol = protocolFactory.buildProtocol(address)
        assert protocol is not None
        visit.client = protocol
        self.visits.append(visit)
        protocol.makeConnection(visit)
        return succeed(protocol)


class TurnClock(Clock):
    """
    A clock that lets one turn pass at a time, as a reactor does.
    """

    def advance(self, amount: float) -> None:
        """
        Let time pass; when there is none, one turn.
        """
        if amount:
            super().advance(amount)
            return
        due = [one for one in self.calls if one.getTime() <= self.rightNow]
        for one in due:
            if one.active():
                self.calls.remove(one)
                one.called = 1
                one.func(*one.args, **one.kw)


def turns(clock: Clock, condition: Callable[[], object], most: int = 10_000) -> None:
    """
    Have turn after turn pass until something is true, without any time.

    @raise AssertionError: it does not become true.
    """
    for _ in range(most):
        if condition():
            return
        clock.advance(0)
    raise AssertionError("nothing came of it")


def _body(one: bytes) -> bytes:
    place = 1
    while one[place] & 0x80:
        place += 1
    return one[place + 1 :]


def _topics(body: bytes, more: int) -> list[str]:
    topics = []
    while body:
        end = 2 + int.from_bytes(body[:2], "big")
        topics.append(body[2:end].decode())
        body = body[end + more :]
    return topics
