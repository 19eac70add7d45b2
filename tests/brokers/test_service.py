"""
Tests of L{bmff.brokers.service}, against a broker in memory and without time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import paho.mqtt.client
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bmff.brokers import service as services
from bmff.brokers.reports import Reading
from bmff.brokers.service import BrokerService, brokerEndpoint, clientID
from bmff.errors import ConfigurationError
from bmff.events import CallEnded, CallStarted, PeerLost, PeerRegistered, TextReceived
from bmff.protocols.mqtt.broker import LAST_RETRY
from bmff.protocols.mqtt.outbox import MOST_MESSAGES
from bmff.protocols.mqtt.secure import SecureEndpoint
from tests.brokers.case import Doer, Place, Settings
from tests.protocols.mqtt.scripted import Published, ScriptedBroker, TurnClock, publication, turns

NETWORK = 2501
STATE = "Master/2501/State"
PEER = PeerRegistered(7, "F1ABC", "192.0.2.1:4000")
STARTED = CallStarted(0xBEEF, 2340001, 91, False, False, 7, 2, 3)
ENDED = CallEnded(0xBEEF, 2340001, 91, False, False, 7, 2, "terminator", 5.16, 75, 0, 0, 0)


class BrokerServiceTests(SynchronousTestCase):
    """
    Node 2501 and its broker.
    """

    def setUp(self) -> None:
        self.clock = TurnClock()
        self.clock.advance(1000)
        self.patch(paho.mqtt.client, "time_func", self.clock.seconds)
        self.server = ScriptedBroker(self.clock)
        self.readings: list[Reading] = []
        self.doer = Doer()
        self.password: str | None = "secret"

    def make(self, settings: Settings | None = None, boot: int = 5) -> BrokerService:
        """
        The service, which is stopped in the end.
        """
        service = BrokerService(
            self.clock,
            NETWORK,
            boot,
            settings or Settings(),
            lambda name: self.password if name == "mqtt" else None,
            self.wall,
            commands=self.doer,
            readings=lambda: self.readings,
            endpoint=self.server,
        )
        self.addCleanup(self.end, service)
        return service

    def end(self, service: BrokerService) -> None:
        """
        Stop it, and see that it leaves nothing behind.
        """
        if service.running:
            self.stop(service)
        self.clock.advance(60)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def stop(self, service: BrokerService) -> None:
        """
        Stop it.
        """
        stopped: Deferred[Any] = service.stopService()
        turns(self.clock, lambda: stopped.called)

    def wall(self) -> float:
        """
        Seconds since 1970.
        """
        return 1.7e9 + self.clock.seconds()

    def start(self, service: BrokerService) -> None:
        """
        Start it, and let it say what it has to.
        """
        service.startService()
        turns(self.clock, lambda: service.broker.connected)
        self.settle()

    def settle(self) -> None:
        """
        Let turns pass.
        """
        for _ in range(500):
            self.clock.advance(0)

    @property
    def published(self) -> list[Published]:
        """
        What was published on the last connection.
        """
        return self.server.visit.published

    def said(self, topic: str) -> list[dict[str, Any]]:
        """
        What was published there on a topic.
        """
        return [json.loads(one.payload) for one in self.published if one.topic == topic]

    def test_clientID(self) -> None:
        """
        A client ID is one process's alone, and one that every broker takes.
        """
        found = {clientID(network, boot) for network in (2501, 9999999) for boot in (1, 1 << 39)}
        self.assertEqual(len(found), 4)
        for one in (*found, clientID(9999999, (1 << 64) - 1)):
            self.assertTrue(one.isascii() and one.isalnum() and len(one) <= 23)

    def test_state(self) -> None:
        """
        The node is online as long as it is; its end is the broker's to tell, or its own.
        """
        service = self.make()
        self.start(service)
        self.assertEqual([one["State"] for one in self.said(STATE)], ["online"])
        self.assertTrue(self.published[0].retain)
        self.assertIn(b'"State":"offline"', self.server.visit.connect)
        self.stop(service)
        self.assertEqual([one["State"] for one in self.said(STATE)], ["online", "offline"])
        self.assertTrue(self.published[-1].retain)
        self.assertTrue(self.server.visit.goodbye)

    def test_lateWill(self) -> None:
        """
        The will of the process before, or a state that somebody takes back, is put right soon;
        another process of this node that is there is not fought with.
        """
        service = self.make()
        self.start(service)
        before = len(self.said(STATE))
        for payload in (b'{"State":"offline"}', b"", b"nonsense", b"[]"):
            self.server.visit.say(publication(STATE, payload))
            self.clock.advance(services.STATE_PAUSE)
            self.clock.advance(services.STATE_PAUSE)
            self.settle()
            before += 1
            self.assertEqual(len(self.said(STATE)), before)
            self.assertEqual(self.said(STATE)[-1]["State"], "online")
        self.server.visit.say(publication(STATE, b'{"State":"online","Boot":"9"}'))
        self.clock.advance(60)
        self.settle()
        self.assertEqual(len(self.said(STATE)), before)

    def test_events(self) -> None:
        """
        What happens is told in a later turn, in its order.
        """
        service = self.make()
        self.start(service)
        before = len(self.published)
        service.watch(PEER)
        service.watch(STARTED)
        self.assertEqual(len(self.published), before)
        self.settle()
        topics = {one.topic.removeprefix("Master/2501/") for one in self.published[before:]}
        self.assertEqual(topics, {"Repeater", "Repeater/7", "Session"})
        service.watch(ENDED)
        self.settle()
        self.assertEqual(
            [one["Event"] for one in self.said("Master/2501/Session")],
            ["Session-Start", "Session-Stop"],
        )

    def test_measured(self) -> None:
        """
        While calls are on they are looked at once a second, and no timer runs without one.
        """
        service = self.make()
        self.start(service)
        service.watch(PEER)
        service.watch(STARTED)
        self.settle()
        self.readings = [Reading(0xBEEF, 2340001, 10, 2, 87)]
        self.clock.advance(services.MEASURED)
        self.settle()
        found = [one["Event"] for one in self.said("Master/2501/Session")]
        self.assertEqual(found, ["Session-Start", "Loss-Rate", "Signal-Strength"])
        service.watch(ENDED)
        self.settle()
        self.clock.advance(services.MEASURED)
        self.assertIsNone(service._measuring)

    def test_away(self) -> None:
        """
        While the broker is away what is told of any number of events takes bounded memory, what
        was dropped is counted, and as soon as it is back it knows every state.
        """
        service = self.make()
        self.start(service)
        for peer in range(1, 11):
            service.watch(PeerRegistered(peer, "F1ABC", "192.0.2.1:4000"))
        self.settle()
        self.server.there = False
        self.server.visit.lose()
        for number in range(5000):
            service.watch(CallStarted(number, 2340001, 91, False, False, 7, 2, 3))
            service.watch(CallEnded(*_ended(number)))
        service.watch(PeerLost(3, "F1ABC", "silence"))
        self.settle()
        outbox = service.broker.outbox
        # Of the states each waits, too, and the one that is to be taken back.
        self.assertEqual(len(outbox), MOST_MESSAGES + 11)
        self.assertEqual(outbox.dropped, 10_001 - MOST_MESSAGES)
        self.assertEqual(service.reports.sessions, 0)
        self.server.there = True
        self.clock.advance(LAST_RETRY * 1.25)
        turns(self.clock, lambda: service.broker.connected)
        turns(self.clock, lambda: len(self.published) >= 11)
        states = {one.topic: one.payload for one in self.published[:11] if one.retain}
        self.assertEqual(len(states), 11)
        self.assertEqual(states["Master/2501/Repeater/3"], b"")
        turns(self.clock, lambda: not outbox and not outbox.inFlight)

    def test_messages(self) -> None:
        """
        What other parts of the node tell goes out under its parties.
        """
        service = self.make()
        self.start(service)
        service.watch(TextReceived(1, 2, True, 234000101, "hi"))
        service.messageSent(3, 4, "ho")
        service.dataReceived(1, 2, b"\0\1")
        service.dataSent(3, 4, b"\2")
        service.radioRegistered(1, "ARS")
        service.telemetryReceived(1, 2, {"Voltage": 12})
        self.settle()
        found = {one.topic.removeprefix("Master/2501/"): one.payload for one in self.published}
        self.assertEqual(found["Incoming/Message/1/2"], "hi".encode("utf-16-le"))
        self.assertEqual(found["Outgoing/Message/3/4"], "ho".encode("utf-16-le"))
        self.assertEqual(found["Incoming/Data/1/2"], b"\0\1")
        self.assertEqual(found["Outgoing/Data/3/4"], b"\2")
        self.assertEqual(
            [one["Event"] for one in self.said("Master/2501/Service")],
            ["Registration", "Telemetry-Report"],
        )

    def command(self, identifier: str, **fields: Any) -> None:
        """
        Somebody gives a command.
        """
        said = {"id": identifier, "time": self.wall(), "command": "drop", "source": 1} | fields
        topic = "Master/2501/Outgoing/Command/9/7"
        self.server.visit.say(publication(topic, json.dumps(said).encode()))
        self.settle()

    def test_commands(self) -> None:
        """
        Commands of the kinds that are on are done, and reported.
        """
        service = self.make(Settings(commands=("drop",)))
        self.start(service)
        self.command("a")
        self.command("b", command="unlink", peer=7, slot=1)
        self.assertEqual(self.doer.did, [("drop", 1, 0)])
        self.assertEqual([one["ID"] for one in self.said("Master/2501/Incoming/Report/9/7")], ["a"])
        self.assertEqual(
            service.describe()["mqtt"]["commands"],
            {"done": 1, "dropped": {"command not allowed": 1}},
        )

    def test_commandsOff(self) -> None:
        """
        When no kind is on nobody listens for commands, and none is done.
        """
        service = self.make()
        self.start(service)
        self.assertNotIn("Master/2501/Outgoing/Command/#", self.server.visit.subscribed)
        self.command("a")
        self.assertEqual(self.doer.did, [])

    def test_password(self) -> None:
        """
        The password is asked for at each attempt; a missing one is said to be missing.
        """
        self.password = None
        service = self.make(Settings(user="2501"))
        service.startService()
        self.assertIn("no password 'mqtt'", service.describe()["mqtt"]["reason"])
        self.password = "found"
        self.clock.advance(1)
        turns(self.clock, lambda: service.broker.connected)
        self.assertIn(b"found", self.server.visit.connect)

    def test_lateEvents(self) -> None:
        """
        What still happens when the service has stopped is taken and harms nothing.
        """
        service = self.make()
        self.start(service)
        self.stop(service)
        service.watch(STARTED)
        self.settle()
        self.assertFalse(service.broker.connected)


def _ended(number: int) -> tuple[Any, ...]:
    return (number, 2340001, 91, False, False, 7, 2, "terminator", 5.16, 75, 0, 0, 0)


class EndpointTests(SynchronousTestCase):
    """
    Where a broker is sought.
    """

    def test_kinds(self) -> None:
        """
        A path leads to a UNIX socket, a host to TCP, with TLS when that is on.
        """
        clock: Any = Clock()
        clock.nameResolver = None
        host = Place("broker.example.org", 1883)
        path = Settings(broker=Place(path=Path("/run/socket")))
        self.assertIsInstance(brokerEndpoint(clock, path), UNIXClientEndpoint)
        self.assertIsInstance(brokerEndpoint(clock, Settings(broker=host)), HostnameEndpoint)
        secure = Settings(broker=host, tls=True)
        self.assertIsInstance(brokerEndpoint(clock, secure), SecureEndpoint)

    def test_badFiles(self) -> None:
        """
        A file of TLS that cannot be used is the operator's mistake, by its place.
        """
        clock: Any = Clock()
        clock.nameResolver = None
        missing = Path("/nonexistent/ca.pem")
        host = Place("broker.example.org", 8883)
        for settings, place in (
            (Settings(broker=host, tls=True, ca=missing), "mqtt.ca"),
            (Settings(broker=host, tls=True, certificate=missing), "mqtt.certificate"),
        ):
            error = self.assertRaises(ConfigurationError, brokerEndpoint, clock, settings)
            self.assertEqual([mistake.place for mistake in error.mistakes], [place])
