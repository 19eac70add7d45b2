"""
Tests of L{bmff.protocols.mqtt.broker} and L{bmff.protocols.mqtt.connection}, against a broker in
memory and without time.
"""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import paho.mqtt.client
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ConfigurationError, Mistake
from bmff.protocols.mqtt import broker as brokers
from bmff.protocols.mqtt import connection as connections
from bmff.protocols.mqtt.broker import Broker
from bmff.protocols.mqtt.connection import Login
from bmff.protocols.mqtt.outbox import Message, Outbox
from tests.protocols.mqtt.scripted import (
    CONNACK,
    PUBACK,
    ScriptedBroker,
    TurnClock,
    packet,
    publication,
    turns,
)

KEEPALIVE = 5


class BrokerTestCase(SynchronousTestCase):
    """
    A client and its broker.
    """

    def setUp(self) -> None:
        self.clock = TurnClock()
        self.clock.advance(1000)
        self.patch(paho.mqtt.client, "time_func", self.clock.seconds)
        self.server = ScriptedBroker(self.clock)
        self.outbox = Outbox(messages=1000, inFlight=64)
        self.login: Login | ConfigurationError = Login("client", KEEPALIVE)
        self.broker = Broker(
            self.clock,
            self.server,
            self.getLogin,
            name="memory",
            outbox=self.outbox,
            chance=lambda: 0.5,
        )
        self.addCleanup(self.end)

    def end(self) -> None:
        """
        Stop the client, and see that it leaves nothing behind.
        """
        if self.broker.running:
            self.stop()
        self.clock.advance(60)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def stop(self) -> None:
        """
        Stop the client.
        """
        stopped = self.broker.stopService()
        turns(self.clock, lambda: stopped.called)

    def getLogin(self) -> Login:
        """
        Who the client is.
        """
        if isinstance(self.login, ConfigurationError):
            raise self.login
        return self.login

    def start(self) -> None:
        """
        Start the client, and let the broker let it in.
        """
        self.broker.startService()
        turns(self.clock, lambda: self.broker.connected)

    def settle(self, count: int = 200) -> None:
        """
        Let turns pass.
        """
        for _ in range(count):
            self.clock.advance(0)


class ConnectingTests(BrokerTestCase):
    """
    How a connection comes about and ends.
    """

    def test_login(self) -> None:
        """
        The broker gets client ID, user, password and will; the session is a clean one.
        """
        self.login = Login("me", KEEPALIVE, "user", "secret", Message("state", b"gone", True))
        self.start()
        connect = self.server.visit.connect
        self.assertEqual(connect[:7], b"\0\x04MQTT\x04")
        # User, password, will retained and of QoS 1, will, clean session (MQTT 3.1.1 §3.1.2.3).
        self.assertEqual(connect[7], 0b11101110)
        for word in (b"\0\x02me", b"\0\x05state", b"\0\x04gone", b"\0\x04user", b"\0\x06secret"):
            self.assertIn(word, connect)

    def test_noThread(self) -> None:
        """
        Paho starts no thread, and opens no socket of its own.
        """
        before = threading.active_count()
        self.start()
        self.broker.outbox.put("topic", b"payload")
        self.broker.send()
        turns(self.clock, lambda: self.outbox.published)
        self.assertEqual(threading.active_count(), before)

    def test_privateMethod(self) -> None:
        """
        Paho's client has the method that is overridden, and makes its connection by it.
        """
        self.assertTrue(callable(paho.mqtt.client.Client._create_socket))
        self.start()
        self.assertEqual(len(self.server.visits), 1)

    def test_notThere(self) -> None:
        """
        A broker that is not there is tried again, ever later, with one line in the log.
        """
        self.server.there = False
        with capturedLogs() as logged:
            self.broker.startService()
            moments = []
            for _ in range(600):
                before = self.server.attempts
                self.clock.advance(0.1)
                if self.server.attempts > before:
                    moments.append(self.clock.seconds())
        pauses = [late - early for early, late in pairwise(moments)]
        self.assertEqual([round(pause) for pause in pauses[:5]], [1, 2, 4, 8, 10])
        self.assertEqual(len([event for event in logged if "no broker" in event["log_format"]]), 1)
        self.assertFalse(self.broker.connected)
        self.assertIn("refused", self.broker.reason)
        self.server.there = True
        self.clock.advance(brokers.LAST_RETRY * 1.25)
        turns(self.clock, lambda: self.broker.connected)
        self.assertEqual(self.broker.reason, "")

    def test_refused(self) -> None:
        """
        A broker that refuses says why, and is tried again with what the password is by then.
        """
        self.server.refusal = 5
        self.broker.startService()
        turns(self.clock, lambda: self.server.visit.gone)
        self.assertIn("not authorized", self.broker.reason)
        self.server.refusal = 0
        self.login = Login("client", KEEPALIVE, "user", "better")
        self.clock.advance(1)
        turns(self.clock, lambda: self.broker.connected)
        self.assertIn(b"better", self.server.visit.connect)

    def test_noPassword(self) -> None:
        """
        Without a password nobody connects; as soon as there is one somebody does.
        """
        self.login = ConfigurationError([Mistake("mqtt.password", "is missing")])
        self.broker.startService()
        self.assertEqual(self.server.attempts, 0)
        self.assertIn("is missing", self.broker.reason)
        self.login = Login("client")
        self.clock.advance(1)
        turns(self.clock, lambda: self.broker.connected)

    def test_noAnswer(self) -> None:
        """
        A broker that does not answer CONNECT is left.
        """
        self.login = Login("client", 60)
        self.server.answers = False
        self.broker.startService()
        self.clock.pump([1] * (int(connections.PATIENCE) + 1))
        self.assertTrue(self.server.visits[0].gone)
        self.assertIn("not let in", self.broker.reason)

    def test_frozen(self) -> None:
        """
        A broker that says nothing any more is asked, and left after twice the keepalive.
        """
        self.start()
        self.clock.pump([1] * 60)
        self.assertTrue(self.broker.connected)
        self.assertGreater(self.server.visit.pings, 5)
        self.server.frozen = True
        self.clock.pump([1] * (2 * KEEPALIVE + 2))
        self.assertTrue(self.server.visits[0].gone)
        self.assertIn("does not answer", self.broker.reason)

    def test_garbage(self) -> None:
        """
        A broker that speaks something else is left, whatever it says, and nothing is raised.
        """
        for said in (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\x20\x01\0",
            b"\x30\x02\0\xff",
            b"\0\0",
        ):
            self.server.answers = False
            self.broker.startService()
            visit = self.server.visit
            visit.say(said)
            self.clock.pump([0.1] * 2 * 10 * KEEPALIVE)
            self.assertTrue(visit.gone)
            self.stop()

    def test_tooLong(self) -> None:
        """
        A packet that nobody needs is not waited for.
        """
        self.start()
        self.server.visit.say(b"\x30\xff\xff\xff\x7f")
        turns(self.clock, lambda: self.server.visit.gone)
        self.assertEqual(self.broker.reason, "MQTT packet too long")

    def test_backSoon(self) -> None:
        """
        After a connection that has lived the first try comes soon; after many that have not, late.
        """
        for _ in range(5):
            self.broker.startService() if not self.broker.running else self.clock.advance(12.5)
            turns(self.clock, lambda: self.broker.connected)
            self.server.visit.lose()
        self.clock.advance(5)
        self.assertEqual(len(self.server.visits), 5)
        self.clock.advance(7.5)
        turns(self.clock, lambda: self.broker.connected)
        self.clock.pump([1] * int(brokers.PROVEN + 1))
        self.server.visit.lose()
        self.clock.advance(brokers.FIRST_RETRY * 1.25)
        turns(self.clock, lambda: self.broker.connected)

    def test_notWithinCallbacks(self) -> None:
        """
        The next attempt begins in a turn of its own.
        """
        self.start()
        self.server.visit.lose()
        self.assertEqual(self.server.attempts, 1)

    def test_stop(self) -> None:
        """
        Who stops sends what waits, says good-bye, and comes back no more.
        """
        self.start()
        for number in range(200):
            self.outbox.put(f"{number}", b"")
        self.stop()
        self.assertEqual(len(self.server.visit.published), 200)
        self.assertTrue(self.server.visit.goodbye)
        self.clock.advance(100)
        self.assertEqual(self.server.attempts, 1)

    def test_stopWhileFrozen(self) -> None:
        """
        A broker that takes nothing keeps nobody from stopping for long.
        """
        self.start()
        self.server.frozen = True
        self.outbox.put("topic", b"")
        stopped = self.broker.stopService()
        self.clock.advance(brokers.FAREWELL)
        self.settle(3)
        self.successResultOf(stopped)
        self.assertTrue(self.server.visit.gone)

    def test_stopBeforeLetIn(self) -> None:
        """
        Who stops before the broker has answered is gone at once.
        """
        self.server.answers = False
        self.broker.startService()
        self.stop()
        self.assertTrue(self.server.visit.gone)


class PublishingTests(BrokerTestCase):
    """
    What goes to the broker.
    """

    def put(self, count: int) -> None:
        """
        Put messages into the outbox.
        """
        for number in range(count):
            self.outbox.put(f"{number}", b"payload")
        self.broker.send()

    def test_laterTurn(self) -> None:
        """
        Nothing is sent in the turn in which there is something to tell.
        """
        self.start()
        self.settle()
        self.put(1)
        self.assertEqual(self.server.visit.published, [])
        self.clock.advance(0)
        self.assertEqual(self.server.visit.topics, ["0"])

    def test_someInATurn(self) -> None:
        """
        Many messages take many turns.
        """
        self.start()
        self.put(500)
        self.clock.advance(0)
        self.assertEqual(len(self.server.visit.published), brokers.TURN)
        turns(self.clock, lambda: self.outbox.published == 500)
        self.assertEqual(self.server.visit.topics, [f"{number}" for number in range(500)])

    def test_away(self) -> None:
        """
        What is told while the broker is away is sent when it is there, as far as it was kept.
        """
        self.put(1500)
        self.assertEqual(self.outbox.dropped, 500)
        self.start()
        turns(self.clock, lambda: self.outbox.published == 1000)
        self.assertEqual(self.server.visit.topics[0], "500")

    def test_lostOnTheWay(self) -> None:
        """
        What the broker has not acknowledged when the connection ends is sent again on the next.
        """
        self.start()
        self.server.acknowledges = False
        self.put(100)
        self.settle()
        self.assertEqual(len(self.server.visit.published), 64)
        first = self.server.visit
        first.say(packet(PUBACK, first.published[0].number.to_bytes(2, "big")))
        turns(self.clock, lambda: self.outbox.published)
        first.lose()
        self.server.acknowledges = True
        self.clock.advance(1)
        turns(self.clock, lambda: self.outbox.published == 100)
        self.assertEqual(self.server.visit.topics, [f"{number}" for number in range(1, 100)])

    def test_states(self) -> None:
        """
        States are kept by the broker, and told again at each connection before anything else.
        """
        self.outbox.setState("state", b"one")
        self.start()
        turns(self.clock, lambda: self.outbox.published == 1)
        self.assertTrue(self.server.visit.published[0].retain)
        self.server.visit.lose()
        self.outbox.setState("state", b"two")
        self.put(3)
        self.clock.advance(1)
        turns(self.clock, lambda: self.outbox.published == 5)
        found = [(one.topic, one.payload, one.retain) for one in self.server.visit.published]
        self.assertEqual(found[0], ("state", b"two", True))
        self.assertEqual(found[1], ("0", b"payload", False))

    def test_full(self) -> None:
        """
        While the way to the broker is full nothing goes to it; afterwards everything does.
        """
        self.start()
        self.settle()
        self.server.visit.fill()
        self.put(100)
        self.settle()
        self.assertEqual(self.server.visit.published, [])
        self.assertEqual(len(self.outbox), 100)
        self.server.visit.drain()
        turns(self.clock, lambda: self.outbox.published == 100)

    def test_fullAndFrozen(self) -> None:
        """
        When the way is full even the question whether the broker is there waits, and it is left in
        time all the same.
        """
        self.start()
        self.server.visit.fill()
        self.server.frozen = True
        self.put(10)
        self.clock.pump([1] * (2 * KEEPALIVE + 2))
        self.assertTrue(self.server.visits[0].gone)
        self.assertEqual(len(self.outbox), 10)

    def test_strangeAcknowledgement(self) -> None:
        """
        An acknowledgement of nothing is nothing.
        """
        self.start()
        self.server.visit.say(packet(PUBACK, b"\x12\x34"))
        self.settle()
        self.assertTrue(self.broker.connected)
        self.assertEqual(self.outbox.published, 0)


class HearingTests(BrokerTestCase):
    """
    What comes from the broker.
    """

    def setUp(self) -> None:
        super().setUp()
        self.heard: list[tuple[str, bytes, bool]] = []
        self.broker.subscribe("orders/#", lambda *told: self.heard.append(told))

    def test_heard(self) -> None:
        """
        A message comes with its topic, and whether the broker had kept it; others do not come.
        """
        self.start()
        visit = self.server.visit
        visit.say(publication("orders/1", b"one"))
        visit.say(publication("orders/2", b"two", retained=True))
        visit.say(publication("other", b"three"))
        self.settle()
        self.assertEqual(self.heard, [("orders/1", b"one", False), ("orders/2", b"two", True)])

    def test_eachConnection(self) -> None:
        """
        A clean session remembers no subscription: each connection asks anew.
        """
        self.start()
        self.server.visit.lose()
        self.clock.advance(1)
        turns(self.clock, lambda: self.broker.connected)
        self.settle(3)
        self.assertEqual([one.subscribed for one in self.server.visits], [["orders/#"]] * 2)

    def test_someInATurn(self) -> None:
        """
        However many packets come at once, only some are read in a turn, and all in the end.
        """
        self.start()
        self.server.visit.say(b"".join(publication("orders/1", b"") for _ in range(200)))
        self.clock.advance(0)
        self.assertEqual(len(self.heard), connections.TURN)
        self.assertTrue(self.server.visit.paused)
        turns(self.clock, lambda: len(self.heard) == 200)
        self.settle(3)
        self.assertFalse(self.server.visit.paused)

    def test_raises(self) -> None:
        """
        What somebody raises at a message ends neither the connection nor what comes after it.
        """

        def fail(*told: Any) -> None:
            raise RuntimeError("no")

        self.broker.subscribe("bad/#", fail)
        self.start()
        self.server.visit.say(publication("bad/1", b"") + publication("orders/1", b""))
        self.settle()
        self.assertEqual(len(self.heard), 1)
        self.assertTrue(self.broker.connected)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_badTopic(self) -> None:
        """
        A topic that is no UTF-8 reaches nobody and harms nobody.
        """
        self.start()
        self.server.visit.say(packet(3, b"\0\x02\xff\xfe"))
        self.server.visit.say(publication("orders/1", b""))
        self.settle()
        self.assertEqual(len(self.heard), 1)

    def test_forbidden(self) -> None:
        """
        A broker that does not let us hear something is said so of in the log.
        """
        self.server.forbidden = {"orders/#"}
        with capturedLogs() as logged:
            self.start()
            self.settle()
        self.assertEqual(len([one for one in logged if "ACL" in one["log_format"]]), 1)

    def test_sweep(self) -> None:
        """
        What an earlier process has left with the broker is taken back; our own states stay, and
        after a while nobody listens there any more.
        """
        self.broker.keepStates("peers/")
        self.outbox.setState("peers/1", b"here")
        self.start()
        visit = self.server.visit
        for topic in ("peers/1", "peers/2", "peers/3/deeper"):
            visit.say(publication(topic, b"here", retained=True))
        visit.say(publication("peers/4", b"here"))
        self.settle()
        found = {one.topic: one.payload for one in visit.published}
        self.assertEqual(found, {"peers/1": b"here", "peers/2": b""})
        self.assertTrue(all(one.retain for one in visit.published))
        self.clock.advance(brokers.SWEEP)
        self.assertEqual(visit.unsubscribed, ["peers/+"])

    def test_secondAnswer(self) -> None:
        """
        A second CONNACK makes no second connection of one.
        """
        self.start()
        self.server.visit.say(packet(CONNACK, b"\0\0"))
        self.settle()
        self.assertEqual(len(self.server.visits), 1)
        self.server.visit.lose(ConnectionDone)
        self.assertFalse(self.broker.connected)
