"""
A node on MQTT as a service: events, broker and commands put together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.logger import Logger

from bmff.brokers.orders import Commands, Orders
from bmff.brokers.reports import Reading, Reports
from bmff.errors import ConfigurationError, Mistake
from bmff.events import Event, TextReceived
from bmff.protocols.mqtt.broker import Broker
from bmff.protocols.mqtt.connection import Login
from bmff.protocols.mqtt.outbox import Message, Outbox
from bmff.protocols.mqtt.secure import SecureEndpoint, makeContext
from bmff.wire.brandmeister.payloads import encodeText
from bmff.wire.brandmeister.services import (
    OFFLINE,
    ONLINE,
    nodeState,
    registration,
    telemetry,
)
from bmff.wire.brandmeister.topics import Topics

MEASURED: Final = 1.0  # seconds between two looks at the calls that are on
MOST_PENDING: Final = 256  # events that wait for a turn of their own
STATE_PAUSE: Final = 1.0  # seconds until a wrong state of this node is put right
CONNECT_PATIENCE: Final = 5.0  # seconds for each address of a name
# What makes a connection; another one is made when any of it has changed.
_OF_CONNECTION: Final = (
    "broker",
    "user",
    "password",
    "keepalive",
    "tls",
    "ca",
    "certificate",
    "privateKey",
)


class Server(Protocol):
    """
    Where a broker is (C{bmff.sections.values.Server}).
    """

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def path(self) -> Path | None: ...


class MQTTSettings(Protocol):
    """
    The section C{[mqtt]} of the configuration, as far as it is needed here.
    """

    @property
    def broker(self) -> Server: ...

    @property
    def user(self) -> str: ...

    @property
    def password(self) -> str: ...

    @property
    def keepalive(self) -> int: ...

    @property
    def tls(self) -> bool: ...

    @property
    def ca(self) -> Path | None: ...

    @property
    def certificate(self) -> Path | None: ...

    @property
    def privateKey(self) -> Path | None: ...

    @property
    def root(self) -> str: ...

    @property
    def commands(self) -> tuple[str, ...]: ...


def clientID(network: int, boot: int) -> str:
    """
    What a node's process is called at a broker: no other one is, and every broker takes it
    (MQTT 3.1.1 §3.1.3.1: 23 letters and digits).
    """
    return f"bmff{network}x{boot & 0xFFFFFFFFFF:010x}"


def brokerEndpoint(reactor: Any, settings: MQTTSettings) -> IStreamClientEndpoint:
    """
    Where the broker is. Names are looked up by the reactor, at each attempt.

    @raise ConfigurationError: a file of TLS cannot be used.
    """
    server = settings.broker
    if server.path is not None:
        return UNIXClientEndpoint(reactor, str(server.path))
    endpoint = HostnameEndpoint(
        reactor, server.host.encode(), server.port, timeout=CONNECT_PATIENCE
    )
    if not settings.tls:
        return endpoint
    context = makeContext(settings.ca, settings.certificate, settings.privateKey)
    return SecureEndpoint(endpoint, context, server.host)


class BrokerService(MultiService):
    """
    Tells a broker what happens in a node, and does what it is asked for there. L{watch} is to be
    added to the node's events.

    @ivar topics: of the node.
    @ivar broker: the connection, with the outbox; another one when the settings have changed.
    @ivar outbox: what is to be told, always the same.
    @ivar reports: what is said of events.
    @ivar orders: what is taken of commands; L{None} when none are.
    @ivar alive: see L{bmff.reload.Reloadable}.
    """

    alive: Final = frozenset(
        (
            "mqtt.broker",
            "mqtt.user",
            "mqtt.password",
            "mqtt.keepalive",
            "mqtt.tls",
            "mqtt.ca",
            "mqtt.certificate",
            "mqtt.private_key",
            "mqtt.commands",
        )
    )
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        network: int,
        boot: int,
        settings: MQTTSettings,
        password: Callable[[str], str | None],
        wallClock: Callable[[], float],
        *,
        commands: Commands | None = None,
        readings: Callable[[], Iterable[Reading]] = tuple,
        endpoint: IStreamClientEndpoint | None = None,
    ) -> None:
        """
        @param boot: 64 random bits, new at each start.
        @param password: gives the password under an id, as it is at this moment.
        @param wallClock: seconds since 1970.
        @param commands: does what is asked for.
        @param readings: how the calls that are on are received.
        @param endpoint: where the broker is, if not where the settings say.
        @raise ConfigurationError: a file of TLS cannot be used.
        """
        super().__init__()
        self.topics = Topics(network, settings.root)
        self._reactor = reactor
        self._settings = settings
        self._endpoint = endpoint
        self._commands = commands
        self._leaving: Deferred[Any] | None = None  # a connection that is given up
        self._password = password
        self._wallClock = wallClock
        self._readings = readings
        self._clientID = clientID(network, boot)
        self._boot = boot
        self._since = wallClock()
        self._pending: list[tuple[Event, float]] = []
        self._draining: IDelayedCall | None = None
        self._measuring: IDelayedCall | None = None
        self._correcting: IDelayedCall | None = None
        self.outbox = self._outbox = Outbox()
        self.reports = Reports(self.topics, self._outbox)
        self.orders: Orders | None = None
        self.broker = self._makeBroker(self._place(settings))
        self.broker.setServiceParent(self)
        self._takeCommands()

    def _place(self, settings: MQTTSettings) -> IStreamClientEndpoint:
        if self._endpoint is not None:
            return self._endpoint
        return brokerEndpoint(self._reactor, settings)

    def _makeBroker(self, endpoint: IStreamClientEndpoint) -> Broker:
        """
        A connection as the settings say.
        """
        broker = Broker(
            self._reactor,
            endpoint,
            self._login,
            name=str(self._settings.broker),
            outbox=self._outbox,
        )
        broker.keepStates(self.topics.repeaters)
        broker.subscribe(self.topics.state, self._stateSeen)
        return broker

    def _takeCommands(self) -> None:
        """
        Take the commands that the settings allow, from now on.
        """
        kinds, before = self._settings.commands, self.orders
        self.orders = None
        if kinds and self._commands is not None:
            orders = self.orders = Orders(
                self.topics, kinds, self._commands, self._wallClock, self._publish
            )
            if before is not None:
                orders.done, orders.dropped = before.done, before.dropped
            self.broker.subscribe(self.topics.commands, orders.received)

    @property
    def connected(self) -> bool:
        """
        Whether the broker has let us in.
        """
        return self.broker.connected

    @property
    def reason(self) -> str:
        """
        Why not, for people; empty while it has.
        """
        return self.broker.reason

    # Other settings.

    def prepare(self, section: MQTTSettings) -> Callable[[], None]:
        """
        See L{bmff.reload.Reloadable}. The kinds of commands change on the connection that there is,
        unless there were none, or are to be none; for all else it is made anew, and what waits in
        the outbox goes out over the new one.
        """
        before = self._settings
        anew = bool(section.commands) is not bool(before.commands) or any(
            getattr(section, name) != getattr(before, name) for name in _OF_CONNECTION
        )
        return partial(self._takeOn, section, self._place(section) if anew else None)

    def _takeOn(self, section: MQTTSettings, endpoint: IStreamClientEndpoint | None) -> None:
        before, self._settings = self._settings, section
        if endpoint is not None:
            self._log.info("mqtt: another connection, as the settings are others")
            old, self.broker = self.broker, self._makeBroker(endpoint)
            if section.broker != before.broker:
                self._sayFarewell(old)
            self._giveUp(old)
        if endpoint is not None or section.commands != before.commands:
            self._takeCommands()

    def _sayFarewell(self, old: Broker) -> None:
        """
        Have a broker that is left keep nothing of this node. What waits for it is for the next one.
        """
        old.outbox = Outbox()
        for topic in self._outbox.states:
            old.outbox.clearState(topic)
        old.outbox.setState(self.topics.state, self._state(OFFLINE))
        self._outbox.reset()

    def _giveUp(self, old: Broker) -> None:
        """
        Close a connection; the next one begins afterwards, as both have one client's name.
        """
        for topic in (self.topics.commands, self.topics.state):
            old.subscribe(topic, _passOver)
        if old.parent is not None:
            left = maybeDeferred(old.disownServiceParent)
            self._leaving = left.addBoth(self._left)

    def _left(self, result: object) -> None:
        self._leaving = None
        self.broker.setServiceParent(self)

    def startService(self) -> None:
        """
        Connect, and say that the node is there.
        """
        self._outbox.setState(self.topics.state, self._state(ONLINE))
        super().startService()

    def stopService(self) -> Deferred[Any]:
        """
        Say that the node goes, and close.
        """
        self._drain()
        for delayed in (self._measuring, self._correcting):
            if delayed is not None and delayed.active():
                delayed.cancel()
        self._measuring = self._correcting = None
        self._outbox.setState(self.topics.state, self._state(OFFLINE))
        stopped: Deferred[Any] = super().stopService()
        if self._leaving is not None:
            return DeferredList([stopped, self._leaving])
        return stopped

    def _state(self, state: str) -> bytes:
        return nodeState(state, self._boot, self._since)

    def _login(self) -> Login:
        settings = self._settings
        password = self._password(settings.password) if settings.user else ""
        if password is None:
            reason = f"the secrets file has no password {settings.password!a} in its table [mqtt]"
            raise ConfigurationError([Mistake("mqtt.password", reason)])
        return Login(
            self._clientID,
            settings.keepalive,
            settings.user,
            password,
            Message(self.topics.state, self._state(OFFLINE), True),
        )

    # Events.

    def watch(self, event: Event) -> None:
        """
        Something has happened. It is told in a later turn, as this one may be a frame's.
        """
        self._pending.append((event, self._wallClock()))
        if len(self._pending) >= MOST_PENDING:
            self._drain()
        elif self._draining is None:
            self._draining = self._reactor.callLater(0, self._drain)

    def _drain(self) -> None:
        draining, self._draining = self._draining, None
        if draining is not None and draining.active():
            draining.cancel()
        pending, self._pending = self._pending, []
        for event, wall in pending:
            self.reports.report(event, wall)
            if isinstance(event, TextReceived):
                self.messageReceived(event.source, event.destination, event.text)
        if self.reports.sessions and self._measuring is None and self.running:
            self._measuring = self._reactor.callLater(MEASURED, self._measure)
        self.broker.send()

    def _measure(self) -> None:
        self._measuring = None
        if self.reports.sessions:
            self._measuring = self._reactor.callLater(MEASURED, self._measure)
            self.reports.measured(self._readings())
            self.broker.send()

    def _publish(self, topic: str, payload: bytes) -> None:
        self._outbox.put(topic, payload)
        self.broker.send()

    # What other parts of the node tell.

    def messageReceived(self, source: int, destination: int, text: str) -> None:
        """
        A text message has come from a radio.
        """
        self._publish(self.topics.incoming("Message", source, destination), encodeText(text))

    def messageSent(self, source: int, destination: int, text: str) -> None:
        """
        The node has sent a text message to a radio.
        """
        self._publish(self.topics.outgoing("Message", source, destination), encodeText(text))

    def dataReceived(self, source: int, destination: int, data: bytes) -> None:
        """
        Data has come from a radio.

        @param data: as it was put together from its blocks.
        """
        self._publish(self.topics.incoming("Data", source, destination), data)

    def dataSent(self, source: int, destination: int, data: bytes) -> None:
        """
        The node has sent data to a radio.
        """
        self._publish(self.topics.outgoing("Data", source, destination), data)

    def radioRegistered(self, source: int, kind: str, *, here: bool = True) -> None:
        """
        A radio has said that it is there, or that it goes.

        @param kind: how, such as C{"ARS"}.
        """
        self._publish(self.topics.service, registration(source, kind, here=here))

    def telemetryReceived(self, source: int, destination: int, values: Mapping[str, Any]) -> None:
        """
        A radio has sent what it has measured.
        """
        self._publish(self.topics.service, telemetry(source, destination, values))

    # The state of this node, as the broker has it.

    def _stateSeen(self, topic: str, payload: bytes, retained: bool) -> None:
        """
        The will of a process before this one may come late, when this one has said already that it
        is there. Only an end is put right: two processes of one node would else do so for ever.
        """
        try:
            said = json.loads(payload) if payload else {}
        except ValueError:
            said = {}
        there = isinstance(said, dict) and said.get("State") == ONLINE
        if not there and self.running and self._correcting is None:
            self._correcting = self._reactor.callLater(STATE_PAUSE, self._correct)

    def _correct(self) -> None:
        self._correcting = None
        self._outbox.repeatState(self.topics.state)
        self.broker.send()

    # For people.

    def describe(self) -> dict[str, Any]:
        """
        C{{"mqtt": {"connected": true, "reason": "", "waiting": 0, ...}}}.
        """
        outbox = self._outbox
        orders = self.orders
        return {
            "mqtt": {
                "broker": str(self._settings.broker),
                "connected": self.broker.connected,
                "reason": self.broker.reason,
                "connections": self.broker.connections,
                "waiting": len(outbox),
                "published": outbox.published,
                "dropped": outbox.dropped,
                "commands": {
                    "done": orders.done,
                    "dropped": dict(orders.dropped),
                }
                if orders is not None
                else None,
            }
        }


def _passOver(topic: str, payload: bytes, retained: bool) -> None:
    """
    Hear nothing any longer.
    """
