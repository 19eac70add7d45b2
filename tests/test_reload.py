"""
Tests of L{bmff.reload}, alone and in a node.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import paho.mqtt.client
from twisted.trial.unittest import SynchronousTestCase

from bmff.brokers import service as services
from bmff.brokers.service import BrokerService, MQTTSettings
from bmff.config import Configuration, loadConfiguration, parseConfiguration
from bmff.errors import ConfigurationError, Mistake
from bmff.events import PeerLost, PeerRegistered
from bmff.reload import Reload, Reloaded, changes, prepareAll, taken
from tests.brokers.case import Doer, Place, Settings
from tests.ctl.case import CtlTestCase
from tests.nodes import freePort, startCtl, startNode
from tests.protocols.mqtt.scripted import ScriptedBroker, TurnClock, Visit, publication, turns

FIRST = """
network = 25011
state = "/var/lib/bmff"
[homebrew]
listen = ["127.0.0.1:62031"]
static = { 2 = [91] }
"""


class SomeNode:
    """
    A node that takes on some places of a file; see L{bmff.reload.Reconfigurable}.

    @ivar used: what it was given.
    @ivar refusal: raised in place of that, if any.
    """

    alive = frozenset(("homebrew.static", "routing.rules", "uplink"))

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.used: list[Configuration] = []
        self.refusal: ConfigurationError | None = None

    def reconfigure(self, configuration: Configuration) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.used.append(configuration)
        self.configuration = taken(self.configuration, configuration, self.alive)


class ReloadTests(SynchronousTestCase):
    """
    What has changed in a file is used where it can be, and named where it cannot.
    """

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "bmnode.toml"
        self.path.write_text(FIRST)
        self.node = SomeNode(loadConfiguration(self.path))
        self.used = self.node.used
        self.reload = Reload(self.path, self.node)

    def change(self, before: str, after: str) -> Reloaded:
        text = self.path.read_text()
        assert before in text
        self.path.write_text(text.replace(before, after))
        return self.reload.reload()

    def test_nothing(self) -> None:
        """
        A file that says the same changes nothing.
        """
        self.assertEqual(self.reload.reload(), Reloaded((), ()))
        self.assertEqual(self.used, [])

    def test_alive(self) -> None:
        """
        Settings of hotspots and rules count at once, and once.
        """
        done = self.change("2 = [91]", "2 = [91, 92]")
        self.assertEqual(done, Reloaded(("homebrew.static",), ()))
        (used,) = self.used
        assert used.homebrew is not None
        self.assertEqual(used.homebrew.static, {2: (91, 92)})
        self.assertEqual(self.reload.reload(), Reloaded((), ()))
        self.assertEqual(len(self.used), 1)

    def test_waiting(self) -> None:
        """
        What needs a restart is named each time until there is one, with what counts.
        """
        done = self.change("62031", "62032")
        self.assertEqual(done, Reloaded((), ("homebrew.listen",)))
        done = self.change("2 = [91]", "2 = [92]")
        self.assertEqual(done, Reloaded(("homebrew.static",), ("homebrew.listen",)))
        done = self.change("network = 25011", "network = 25012")
        self.assertIn("network", done.waiting)
        self.assertEqual(len(self.used), 1)

    def test_sections(self) -> None:
        """
        A stack that is switched on or off waits.
        """
        text = self.path.read_text()
        self.path.write_text(text + "[fastforward]\n")
        self.assertEqual(self.reload.reload(), Reloaded((), ("fastforward",)))
        self.path.write_text(text[: text.index("[homebrew]")])
        self.assertEqual(self.reload.reload(), Reloaded((), ("homebrew",)))

    def test_mistakes(self) -> None:
        """
        A file with mistakes says all of them and changes nothing, whoever asks.
        """
        with self.assertRaises(ConfigurationError) as caught:
            self.change("2 = [91]", "3 = [91], 2 = [0]")
        self.assertEqual(len(caught.exception.mistakes), 2)
        self.reload.signalled()
        self.assertEqual(self.used, [])

    def test_cannotBeUsed(self) -> None:
        """
        What the node cannot use stays a difference, so that the next try names it again.
        """
        mistake = Mistake("routing.rules[0]", "there is no rule x")
        self.node.refusal = ConfigurationError([mistake])
        self.path.write_text(FIRST + '[routing]\nrules = ["x"]\n')
        for _ in range(2):
            self.assertRaises(ConfigurationError, self.reload.reload)
        self.node.refusal = None
        self.assertEqual(self.reload.reload().applied, ("routing.rules",))

    def test_wholeSection(self) -> None:
        """
        A section that is a list is one place.
        """
        text = self.path.read_text()
        entry = '[[uplink]]\nname = "n"\nmaster = ["m"]\nid = 1\ncallsign = "N0CALL"\n'
        self.path.write_text(text + entry)
        self.assertEqual(self.reload.reload(), Reloaded(("uplink",), ()))
        self.assertEqual(self.node.configuration.uplink[0].name, "n")


class PartTests(SynchronousTestCase):
    """
    What becomes of a configuration in parts.
    """

    def setUp(self) -> None:
        self.before = parseConfiguration(FIRST, "first", Path("/"))
        self.after = parseConfiguration(
            FIRST.replace("62031", "62032").replace("2 = [91]", "1 = [5050]")
            + '[routing]\nrules = ["x"]\n[web]\npublic = true\n[mqtt]\n',
            "second",
            Path("/"),
        )

    def test_taken(self) -> None:
        """
        At each place stands what was taken, and else what stood there before.
        """
        self.assertEqual(
            list(changes(self.before, self.after)),
            ["web.public", "homebrew.listen", "homebrew.static", "mqtt", "routing.rules"],
        )
        found = taken(self.before, self.after, {"homebrew.static", "web.public", "mqtt"})
        assert found.homebrew is not None
        assert self.before.homebrew is not None
        self.assertEqual(found.homebrew.static, {1: (5050,)})
        self.assertEqual(found.homebrew.listen, self.before.homebrew.listen)
        self.assertTrue(found.web.public)
        self.assertEqual(found.mqtt, self.after.mqtt)
        self.assertEqual(
            list(changes(found, self.after)),
            ["homebrew.listen", "routing.rules"],
        )
        self.assertEqual(taken(self.before, self.after, ()), self.before)

    def test_prepareAll(self) -> None:
        """
        Nothing is taken on before all are ready, and the mistakes of all are said together.
        """
        parts = {"web": SomePart(), "homebrew": SomePart(), "routing": SomePart()}
        take = prepareAll(parts, self.after)
        self.assertEqual([part.taken for part in parts.values()], [[]] * 3)
        take()
        self.assertEqual(parts["homebrew"].taken, [self.after.homebrew])
        self.assertEqual(parts["routing"].taken, [self.after.routing])
        parts["web"].mistake = Mistake("web.public", "no")
        parts["routing"].mistake = Mistake("routing.rules", "neither")
        with self.assertRaises(ConfigurationError) as caught:
            prepareAll(parts, self.before)
        self.assertEqual(str(caught.exception), "web.public: no\nrouting.rules: neither")
        self.assertEqual(parts["homebrew"].taken, [self.after.homebrew])


class SomePart:
    """
    A part of a node; see L{bmff.reload.Reloadable}.

    @ivar taken: what it has taken on.
    @ivar mistake: what it cannot, if anything.
    """

    alive = frozenset[str]()

    def __init__(self) -> None:
        self.taken: list[object] = []
        self.mistake: Mistake | None = None

    def prepare(self, section: object) -> Callable[[], None]:
        if self.mistake is not None:
            raise ConfigurationError([self.mistake])
        return partial(self.taken.append, section)


class BrokerTests(SynchronousTestCase):
    """
    The connection to an MQTT broker, whose settings become others.
    """

    def setUp(self) -> None:
        self.clock = TurnClock()
        self.clock.advance(1000)
        self.patch(paho.mqtt.client, "time_func", self.clock.seconds)
        self.brokers: dict[str, ScriptedBroker] = {}
        self.patch(services, "brokerEndpoint", self.place)
        self.doer = Doer()
        self.settings = Settings(commands=("drop",))
        self.service = BrokerService(
            self.clock,
            2501,
            5,
            self.settings,
            lambda name: "secret",
            lambda: 1.7e9 + self.clock.seconds(),
            commands=self.doer,
        )
        self.service.startService()
        self.addCleanup(self.stop)
        self.settle()
        self.service.watch(PeerRegistered(7, "F1ABC", "192.0.2.1:4000"))
        self.settle()

    def stop(self) -> None:
        stopped = self.service.stopService()
        turns(self.clock, lambda: stopped.called)
        self.clock.advance(60)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def place(self, reactor: object, settings: MQTTSettings) -> ScriptedBroker:
        """
        A broker for each place.
        """
        return self.brokers.setdefault(str(settings.broker), ScriptedBroker(self.clock))

    def settle(self) -> None:
        """
        Let turns pass.
        """
        for _ in range(300):
            self.clock.advance(0)

    def change(self, **settings: Any) -> None:
        """
        Other settings.
        """
        self.settings = replace(self.settings, **settings)
        self.service.prepare(self.settings)()

    def kept(self, visit: Visit) -> dict[str, bytes]:
        """
        What a broker keeps after a connection.
        """
        said = {one.topic: one.payload for one in visit.published if one.retain}
        return {topic: payload for topic, payload in said.items() if payload}

    def command(self, kind: str) -> None:
        """
        The broker hands on a command, which never was there before.
        """
        (broker,) = self.brokers.values()
        now = 1.7e9 + self.clock.seconds() + 1.0
        order: dict[str, dict[str, Any]] = {
            "drop": {"stream": "00000000"},
            "link": {"peer": 7, "slot": 2, "talkgroup": 91},
        }
        said: dict[str, Any] = {
            "command": kind,
            "id": f"{kind}{now}{len(self.doer.did)}",
            "time": now,
        }
        topic = "Master/2501/Outgoing/Command/9/7"
        broker.visit.say(publication(topic, json.dumps(said | order[kind]).encode()))
        self.settle()

    def test_nothing(self) -> None:
        """
        The same settings again change nothing.
        """
        (broker,) = self.brokers.values()
        self.change()
        self.settle()
        self.assertEqual(len(broker.visits), 1)
        self.assertTrue(self.service.connected)

    def test_otherUser(self) -> None:
        """
        Another user makes another connection to the same broker: the node is not told to be gone,
        no event is lost, and states are told again.
        """
        (broker,) = self.brokers.values()
        first = broker.visit
        self.service.watch(PeerLost(7, "F1ABC", "gone"))
        self.service.watch(PeerRegistered(8, "F1ABD", "192.0.2.1:4001"))
        self.change(user="other", keepalive=9)
        self.service.watch(PeerRegistered(9, "F1ABE", "192.0.2.1:4002"))
        self.settle()
        self.assertEqual(len(broker.visits), 2)
        self.assertTrue(first.goodbye and self.service.connected)
        self.assertIn(b"other", broker.visit.connect)
        kept = self.kept(broker.visit)
        self.assertEqual(json.loads(kept["Master/2501/State"])["State"], "online")
        self.assertEqual(
            {topic for topic in kept if "Repeater" in topic},
            {"Master/2501/Repeater/8", "Master/2501/Repeater/9"},
        )
        said = [one.payload for visit in broker.visits for one in visit.published]
        for callsign in (b"F1ABC", b"F1ABD", b"F1ABE"):
            self.assertTrue([one for one in said if callsign in one], callsign)
        offline = [one for one in first.published if b"offline" in one.payload]
        self.assertEqual(offline, [])

    def test_otherBroker(self) -> None:
        """
        A broker that is left keeps nothing of the node but that it is gone; the next one is told
        all that is, and what had not been taken yet.
        """
        (before,) = self.brokers.values()
        before.acknowledges = False
        self.service.watch(PeerRegistered(8, "F1ABD", "192.0.2.1:4001"))
        self.settle()
        self.change(broker=Place("other", 2))
        before.acknowledges = True
        self.settle()
        self.clock.advance(2)
        self.settle()
        after = self.brokers["other:2"]
        kept = self.kept(before.visit)
        self.assertEqual([json.loads(each)["State"] for each in kept.values()], ["offline"])
        self.assertTrue(before.visit.gone and self.service.connected)
        self.assertEqual(
            set(self.kept(after.visit)),
            {"Master/2501/State", "Master/2501/Repeater/7", "Master/2501/Repeater/8"},
        )
        events = [one.payload for one in after.visit.published if not one.retain]
        self.assertTrue([one for one in events if b"F1ABD" in one])

    def test_twice(self) -> None:
        """
        Settings may change again before the last connection has ended, and the service may stop.
        """
        self.change(broker=Place("second", 2))
        self.change(broker=Place("third", 3))
        self.settle()
        self.assertEqual([len(each.visits) for each in self.brokers.values()], [1, 0, 1])
        self.change(keepalive=7)

    def test_away(self) -> None:
        """
        What waits for a broker that is away goes to the one that is named in its place.
        """
        (before,) = self.brokers.values()
        before.there = False
        before.visit.lose()
        self.service.watch(PeerRegistered(8, "F1ABD", "192.0.2.1:4001"))
        self.clock.advance(20)
        self.settle()
        self.change(broker=Place("other", 2))
        self.settle()
        events = [one.payload for one in self.brokers["other:2"].visit.published if not one.retain]
        self.assertTrue([one for one in events if b"F1ABD" in one])
        self.assertEqual(self.service.outbox.dropped, 0)

    def test_kinds(self) -> None:
        """
        Other kinds of commands are taken on the connection that there is; when there are none any
        longer nobody is listened to, and when there are some again it is.
        """
        (broker,) = self.brokers.values()
        orders = self.service.orders
        assert orders is not None
        self.command("link")
        self.assertEqual(orders.dropped, {"command not allowed": 1})
        self.change(commands=("drop", "link"))
        self.command("link")
        self.assertEqual(self.doer.did, [("link", 7, 2, 91)])
        self.assertEqual(len(broker.visits), 1)
        assert self.service.orders is not None
        self.assertEqual(self.service.orders.dropped, {"command not allowed": 1})
        first = broker.visit
        broker.acknowledges = False  # so that the farewell takes its time
        self.service.watch(PeerRegistered(8, "F1ABD", "192.0.2.1:4001"))
        self.settle()
        self.change(commands=())
        self.command("link")
        self.assertEqual((first.gone, len(self.doer.did)), (False, 1))
        broker.acknowledges = True
        self.clock.advance(2)
        self.settle()
        self.command("link")
        self.assertEqual((len(broker.visits), len(self.doer.did)), (2, 1))
        self.assertIsNone(self.service.orders)
        topic = self.service.topics.commands
        self.assertEqual(
            (topic in first.subscribed, topic in broker.visit.subscribed), (True, False)
        )
        self.change(commands=("link",))
        self.settle()
        self.command("link")
        self.assertEqual((len(broker.visits), len(self.doer.did)), (3, 2))

    def test_badFile(self) -> None:
        """
        A certificate that cannot be read is a mistake, and the connection stays.
        """

        def refuse(reactor: object, settings: object) -> None:
            raise ConfigurationError([Mistake("mqtt.ca", "cannot be read")])

        self.patch(services, "brokerEndpoint", refuse)
        for changed in ({"ca": Path("/nowhere")}, {"tls": True}):
            with self.assertRaises(ConfigurationError):
                self.service.prepare(replace(self.settings, **changed))
        self.settle()
        self.assertTrue(self.service.connected)


class NodeReloadTests(CtlTestCase):
    """
    A node as a real process reads its file again.
    """

    def setUp(self) -> None:
        super().setUp()
        address = f"127.0.0.1:{freePort()}"
        self.configuration = self.home.node(port=int(address.rpartition(":")[2]))
        self.node = startNode(self.home, self.configuration)
        self.addCleanup(self.node.remove)
        self.node.says("hotspots log in at")
        hotspot = startCtl(
            self.home,
            "hotspot",
            *("hotspot", "--config", str(self.configuration), "--id", "2340001"),
            *("--listen", "600", address),
        )
        self.addCleanup(hotspot.remove)
        hotspot.says("\nlogged in\n")

    def say(self, lines: str) -> None:
        """
        Write lines into the section of hotspots.
        """
        text = self.configuration.read_text()
        self.configuration.write_text(text.replace("[homebrew]\n", f"[homebrew]\n{lines}\n"))

    def test_signal(self) -> None:
        """
        After SIGHUP a hotspot that is logged in hears the talkgroup that the file says now; after
        one with mistakes it still does, and the log says them.
        """
        self.say("static = { 2 = [26299] }")
        self.node.process.send_signal(signal.SIGHUP)
        self.node.says("peer 2340001 slot 2 hears 26299")
        self.say("hang_time = 5050")
        self.node.process.send_signal(signal.SIGHUP)
        self.node.says("homebrew.hang_time: must be 0 to 60 seconds")

    def test_command(self) -> None:
        """
        C{bmffctl reload} does the same and says what counts, or what is wrong.
        """
        self.say("static = { 2 = [26299] }\ntalk_limit = 60\nbeacon_interval = 60")
        self.assertEqual(self.command("reload", "--config", str(self.configuration)), 0, self.err)
        self.assertIn("counts from now on: homebrew.static, homebrew.talk_limit", self.out)
        self.assertIn("counts after a restart: homebrew.beacon_interval", self.out)
        self.node.says("peer 2340001 slot 2 hears 26299")
        self.say("hang_time = 5050")
        socket = str(self.home.state / "bmnode.25011.sock")
        self.assertEqual(self.command("reload", "--socket", socket), 1)
        self.assertIn("homebrew.hang_time: must be 0 to 60 seconds", self.err)
