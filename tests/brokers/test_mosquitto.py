"""
Tests of C{bmff.brokers} and C{bmff.protocols.mqtt} against a real broker.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bmff.brokers.service import BrokerService
from bmff.events import CallEnded, CallStarted, PeerLost, PeerRegistered
from bmff.protocols.mqtt.broker import Broker
from bmff.protocols.mqtt.connection import Login
from bmff.protocols.mqtt.outbox import MOST_MESSAGES, Outbox
from bmff.protocols.mqtt.secure import SecureEndpoint, makeContext
from bmff.testing.requirements import requires
from tests.authority import Authority
from tests.brokers.case import Doer, Place, Settings
from tests.mosquitto import Mosquitto
from tests.nodes import PATIENCE, ROOT

reactor: Any = installed

STARTED = CallStarted(0xBEEF, 2340001, 91, False, False, 7, 2, 3)
ENDED = CallEnded(0xBEEF, 2340001, 91, False, False, 7, 2, "terminator", 5.16, 75, 0, 0, 0)


async def until(condition: Callable[[], object], what: str) -> None:
    """
    Let turns pass until something is true.

    @raise AssertionError: it does not become true.
    """
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(what)
        await deferLater(reactor, 0.005)


class Listener:
    """
    Somebody who hears all that is said at a broker.

    @ivar heard: topic, payload and whether the broker had kept it, of each message.
    @ivar broker: the connection.
    """

    def __init__(self, name: str, endpoint: Any, user: str = "", password: str = "") -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        login = Login(name, 5, user, password)
        self.broker = Broker(reactor, endpoint, lambda: login)
        self.broker.subscribe("Master/#", lambda *told: self.heard.append(told))

    def events(self, topic: str) -> list[dict[str, Any]]:
        """
        What was said on a topic.
        """
        return [json.loads(payload) for at, payload, _ in self.heard if at == topic]

    def states(self) -> dict[str, bytes]:
        """
        The last word on each topic.
        """
        return {topic: payload for topic, payload, _ in self.heard}


class MosquittoTestCase(TestCase):
    """
    A broker, its nodes and those who listen.
    """

    timeout = 60
    # A listener that others keep from reading for a while loses nothing.
    settings = "allow_anonymous true\nmax_queued_messages 0"
    tcp = False
    onPort = ""

    def setUp(self) -> None:
        self.mosquitto = self.makeBroker()
        self.addCleanup(self.mosquitto.remove)
        self.mosquitto.start()
        self.doer = Doer()

    def makeBroker(self) -> Mosquitto:
        """
        The broker.
        """
        return Mosquitto(self.settings, tcp=self.tcp, onPort=self.onPort)

    def endpoint(self) -> Any:
        """
        Where it is.
        """
        return UNIXClientEndpoint(reactor, str(self.mosquitto.path))

    async def listener(self, name: str = "listener", user: str = "", word: str = "") -> Listener:
        """
        Somebody who listens.
        """
        one = Listener(name, self.endpoint(), user, word)
        await self.run_(one.broker)
        return one

    async def run_(self, broker: Broker) -> None:
        """
        Start a client, which is stopped in the end, and wait until it is connected.
        """
        broker.startService()
        self.addCleanup(lambda: broker.stopService() if broker.running else None)
        await until(lambda: broker.connected, f"connected: {broker.reason}")

    async def node(
        self, network: int = 2501, boot: int = 1, *, start: bool = True, **settings: Any
    ) -> BrokerService:
        """
        A node.
        """
        place = Place(path=self.mosquitto.path)
        service = BrokerService(
            reactor,
            network,
            boot,
            Settings(broker=place, **settings),
            lambda name: "secret",
            time.time,
            commands=self.doer,
        )
        if start:
            service.startService()
            self.addCleanup(lambda: service.stopService() if service.running else None)
            await until(lambda: service.broker.connected, "connected")
        return service

    async def told(self, service: BrokerService) -> None:
        """
        Wait until the broker has all.
        """
        outbox = service.broker.outbox
        await until(lambda: not (service._pending or outbox or outbox.inFlight), "all is told")


@requires("mosquitto")
class NodeTests(MosquittoTestCase):
    """
    Nodes at a broker.
    """

    async def test_call(self) -> None:
        """
        A call that somebody makes is heard of by everybody who listens.
        """
        service = await self.node()
        listener = await self.listener()
        service.watch(PeerRegistered(7, "F1ABC", "192.0.2.1:4000"))
        service.watch(STARTED)
        service.watch(ENDED)
        await until(lambda: len(listener.events("Master/2501/Session")) == 2, "both are heard")
        start, stop = listener.events("Master/2501/Session")
        self.assertEqual((start["Event"], stop["Event"]), ("Session-Start", "Session-Stop"))
        self.assertEqual(start["SessionID"], stop["SessionID"])

    async def test_nodesShare(self) -> None:
        """
        Several nodes share a broker, two processes of one node too; none drives another away.
        """
        services = [await self.node(2501, 1), await self.node(2501, 2), await self.node(2502, 1)]
        listener = await self.listener()
        for service in services:
            service.watch(STARTED)
            await self.told(service)
        await until(lambda: len(listener.events("Master/2501/Session")) == 2, "2501 is heard")
        await until(lambda: len(listener.events("Master/2502/Session")) == 1, "2502 is heard")
        self.assertEqual([one.broker.connections for one in services], [1, 1, 1])

    async def test_crash(self) -> None:
        """
        A node that is gone without good-bye is offline for those who come later, too; the next
        process is online at once, and takes back what the one before has left.
        """
        service = await self.node(boot=1)
        service.watch(PeerRegistered(7, "F1ABC", "192.0.2.1:4000"))
        service.watch(PeerRegistered(8, "F2ABC", "192.0.2.1:4000"))
        await self.told(service)
        connection = service.broker._connection
        assert connection is not None
        connection.drop("crash")
        await service.stopService()
        listener = await self.listener()
        await until(lambda: len(listener.states()) == 3, "what is kept is heard")
        self.assertIn(b"offline", listener.states()["Master/2501/State"])
        after = await self.node(boot=2, start=False)
        after.watch(PeerRegistered(8, "F2ABC", "192.0.2.1:4000"))
        after.startService()
        self.addCleanup(lambda: after.stopService() if after.running else None)
        await until(lambda: listener.states()["Master/2501/Repeater/7"] == b"", "7 is gone")
        self.assertIn(b"online", listener.states()["Master/2501/State"])
        self.assertIn(b"F2ABC", listener.states()["Master/2501/Repeater/8"])

    async def test_stop(self) -> None:
        """
        A node that stops says so once, and its will is not executed.
        """
        service = await self.node()
        listener = await self.listener()
        await until(lambda: listener.heard, "the state is heard")
        service.watch(STARTED)
        await service.stopService()
        after = await self.node(boot=2)
        await until(
            lambda: [one["State"] for one in listener.events("Master/2501/State")][-1] == "online",
            "the next is there",
        )
        found = [one["State"] for one in listener.events("Master/2501/State")]
        self.assertEqual(found, ["online", "offline", "online"])
        self.assertEqual(len(listener.events("Master/2501/Session")), 1)
        self.assertTrue(after.running)

    async def test_lateWill(self) -> None:
        """
        When the end of the process before is told late the node puts it right.
        """
        await self.node(boot=1)
        other = await self.node(boot=2)
        listener = await self.listener()
        connection = other.broker._connection
        assert connection is not None
        connection.drop("crash")
        await other.stopService()
        await until(
            lambda: (
                [one["State"] for one in listener.events("Master/2501/State")][-2:]
                == ["offline", "online"]
            ),
            "it is put right",
        )

    async def test_killed(self) -> None:
        """
        A broker that is killed in the middle of a call and started anew has every state at once,
        and hears the end of the call, and of all that was told meanwhile the last.
        """
        service = await self.node()
        listener = await self.listener()
        service.watch(PeerRegistered(7, "F1ABC", "192.0.2.1:4000"))
        service.watch(PeerRegistered(8, "F2ABC", "192.0.2.1:4000"))
        service.watch(STARTED)
        await until(lambda: listener.events("Master/2501/Session"), "the call is heard of")
        (start,) = listener.events("Master/2501/Session")
        listener.heard.clear()
        self.mosquitto.kill()
        await until(lambda: not service.broker.connected, "its end is seen")
        for number in range(100_000):
            service._publish("Master/2501/Service", b"{}" if number else b"[]")
        service.watch(PeerLost(8, "F2ABC", "silence"))
        service.watch(ENDED)
        self.assertLessEqual(service.broker.outbox.size, 4 << 20)
        self.assertEqual(service.broker.outbox.dropped, 100_000 - MOST_MESSAGES)
        await listener.broker.stopService()
        self.mosquitto.start()
        await until(lambda: service.broker.connected, "it is back")
        late = await self.listener("late")
        await until(
            lambda: {"Master/2501/State", "Master/2501/Repeater/7"} <= late.states().keys(),
            "states are kept",
        )
        self.assertNotIn("Master/2501/Repeater/8", [at for at, said, _ in late.heard if said])
        await until(lambda: late.events("Master/2501/Session"), "the call's end is heard of")
        stop = late.events("Master/2501/Session")[-1]
        self.assertEqual((stop["Event"], stop["SessionID"]), ("Session-Stop", start["SessionID"]))

    async def test_frozen(self) -> None:
        """
        A broker that hangs is left, whatever is told meanwhile is kept within bounds, in paho too,
        and each message that is not dropped is heard once it goes on.
        """
        service = await self.node(keepalive=1)
        self.mosquitto.pause()
        connection = service.broker._connection
        assert connection is not None
        for number in range(20_000):
            service._publish("Master/2501/Incoming/Data/1/2", b"%06d" % number + bytes(500))
        longest = 0
        while service.broker.connected:
            longest = max(longest, len(connection._client._out_packet))
            await deferLater(reactor, 0.02)
        self.assertIn("does not answer", service.broker.reason)
        self.assertLessEqual(longest, 100)
        outbox = service.broker.outbox
        self.assertLessEqual((len(outbox), outbox.size), (MOST_MESSAGES + 1, 4 << 20))
        self.mosquitto.resume()
        listener = await self.listener()
        await until(lambda: service.broker.connected, "it is back")
        await self.told(service)
        last = b"%06d" % 19_999
        await until(lambda: listener.heard[-1][1].startswith(last), "the last is heard")

    async def test_sameClient(self) -> None:
        """
        Two clients of one name, of which the broker always ends one, do not come back without end.
        """
        login = Login("twin")
        twins = [Broker(reactor, self.endpoint(), lambda: login, chance=lambda: 0) for _ in "12"]
        for one in twins:
            await self.run_(one)
        await deferLater(reactor, 1.5)
        self.assertGreater(sum(one.connections for one in twins), 2)
        self.assertLess(sum(one.connections for one in twins), 10)

    async def test_commands(self) -> None:
        """
        A command is done once; one that the broker has kept is not.
        """
        listener = await self.listener()
        said = {"id": "a", "time": time.time() + 1, "command": "drop", "source": 1}
        topic = "Master/2501/Outgoing/Command/9/7"
        kept = json.dumps(said | {"id": "kept"}).encode()
        listener.broker.outbox.setState(topic, kept)
        listener.broker.send()
        await until(lambda: listener.broker.outbox.published, "it is kept")
        service = await self.node(commands=("drop",))
        orders = service.orders
        assert orders is not None
        await until(lambda: orders.dropped["command retained"], "it is dropped")
        for _ in range(2):
            listener.broker.outbox.put(topic, json.dumps(said).encode())
        listener.broker.send()
        await until(lambda: orders.dropped["command seen before"], "the second is dropped")
        self.assertEqual(self.doer.did, [("drop", 1, 0)])
        report = "Master/2501/Incoming/Report/9/7"
        await until(lambda: listener.events(report), "it is reported")
        self.assertEqual(listener.events(report)[0]["ID"], "a")

    async def test_manyAtOnce(self) -> None:
        """
        However much comes at once, all of it is read, and in its order.
        """
        listener = await self.listener()
        other = Broker(reactor, self.endpoint(), lambda: Login("other"), outbox=Outbox())
        await self.run_(other)
        for number in range(2000):
            other.outbox.put("Master/x", b"%d" % number + bytes(1000))
        other.send()
        await until(lambda: len(listener.heard) == 2000, "all are heard")
        found = [int(payload.rstrip(b"\0")) for _, payload, _ in listener.heard]
        self.assertEqual(found, list(range(2000)))


@requires("mosquitto")
class SecureTests(MosquittoTestCase):
    """
    TLS.
    """

    tcp = True
    onPort = "certfile {folder}/broker.pem\nkeyfile {folder}/broker.key\ntls_version tlsv1.2"

    def makeBroker(self) -> Mosquitto:
        """
        A broker with a certificate for C{localhost}.
        """
        mosquitto = super().makeBroker()
        self.authority = Authority(mosquitto.folder)
        self.authority.issue("broker", "localhost")
        return mosquitto

    def secure(self, context: ssl.SSLContext, host: str = "localhost") -> SecureEndpoint:
        """
        Where the broker is.
        """
        endpoint = HostnameEndpoint(reactor, b"127.0.0.1", self.mosquitto.port)
        return SecureEndpoint(endpoint, context, host)

    async def test_messages(self) -> None:
        """
        Much goes over TLS both ways, large and small, and none of it stays hidden in there.
        """
        listener = Listener("tls", self.secure(makeContext(self.authority.certificate)))
        await self.run_(listener.broker)
        outbox = listener.broker.outbox
        for number in range(300):
            outbox.put("Master/x", b"%d" % number + bytes(20_000 if number % 50 == 0 else 10))
        listener.broker.send()
        await until(lambda: len(listener.heard) == 300, "all are heard")
        await until(lambda: outbox.published == 300, "all are acknowledged")

    async def test_stranger(self) -> None:
        """
        A broker that nobody vouches for, or whose certificate is another host's, gets no password.
        """
        other = Authority(Path(self.mktemp()))
        for endpoint, reason in (
            (self.secure(makeContext(other.certificate)), "certificate"),
            (self.secure(makeContext(self.authority.certificate), "example.org"), "mismatch"),
        ):
            broker = Broker(reactor, endpoint, lambda: Login("x", 5, "user", "secret"))
            broker.startService()
            await until(lambda: broker.reason != "not connected yet", "it fails")  # noqa: B023
            await broker.stopService()
            self.assertIn(reason, broker.reason)
            self.assertEqual(broker.connections, 0)


@requires("mosquitto")
class ShippedTests(MosquittoTestCase):
    """
    The configuration that is shipped in C{etc/mosquitto}.
    """

    def makeBroker(self) -> Mosquitto:
        """
        A broker with the shipped files, at a path of its own in place of their listener.
        """
        shipped = ROOT / "etc" / "mosquitto"
        text = (shipped / "bmff.conf").read_text().replace("listener 1883 127.0.0.1\n", "")
        mosquitto = Mosquitto(text.replace("/etc/mosquitto/", "{folder}/"))
        (mosquitto.folder / "bmff.acl").write_text((shipped / "bmff.acl").read_text())
        passwords = mosquitto.folder / "bmff.passwd"
        for number, user in enumerate(("2501", "2502", "dashboard", "operator")):
            make = ["-c"] if number == 0 else []
            command = ["mosquitto_passwd", *make, "-b", str(passwords), user, "secret"]
            run(command, check=True)
        return mosquitto

    async def test_rights(self) -> None:
        """
        A node says all that it has to say, does what an operator asks of it, and neither speaks
        for another nor hears what is for another.
        """
        operator = await self.listener("operator", "operator", "secret")
        dashboard = await self.listener("dashboard", "dashboard", "secret")
        service = await self.node(user="2501", commands=("drop",))
        stranger = await self.listener("stranger", "2502", "secret")
        service.watch(PeerRegistered(7, "F1ABC", "192.0.2.1:4000"))
        service.watch(STARTED)
        service.messageReceived(1, 2, "hi")
        service.messageSent(1, 2, "ho")
        topic = "Master/2501/Outgoing/Command/9/7"
        said = {"id": "a", "time": time.time() + 1, "command": "drop", "source": 1}
        for forged in ("Master/2501/State", topic):
            stranger.broker.outbox.put(forged, json.dumps(said | {"id": "forged"}).encode())
        stranger.broker.send()
        await until(lambda: stranger.broker.outbox.published == 2, "nothing tells of a refusal")
        operator.broker.outbox.put(topic, json.dumps(said).encode())
        operator.broker.send()
        report = "Master/2501/Incoming/Report/9/7"
        await until(lambda: operator.events(report), "the command is done")
        self.assertEqual(self.doer.did, [("drop", 1, 0)])
        assert service.orders is not None
        self.assertEqual(service.orders.dropped, {})
        below = {at.removeprefix("Master/2501/") for at in operator.states()}
        self.assertLessEqual(
            {"State", "Repeater", "Repeater/7", "Session", "Incoming/Message/1/2"}, below
        )
        self.assertIn("Outgoing/Message/1/2", below)
        seen = {at.removeprefix("Master/2501/") for at in dashboard.states()}
        self.assertLessEqual({"State", "Repeater", "Repeater/7", "Session"}, seen)
        self.assertFalse([at for at in seen if "going" in at or "coming" in at])
        self.assertFalse([at for at in stranger.states() if "2501" in at])

    async def test_noPassword(self) -> None:
        """
        Nobody is let in without a password, or with a wrong one; the reason is said.
        """
        for user, word in (("", ""), ("2501", "wrong")):
            login = Login("x", 5, user, word)
            broker = Broker(reactor, self.endpoint(), lambda: login)  # noqa: B023
            broker.startService()
            await until(lambda: "authorized" in broker.reason, "it is refused")  # noqa: B023
            broker.stopService()
            self.assertEqual(broker.connections, 0)
