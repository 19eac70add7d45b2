"""
Tests of a node that reads its file again while calls go on (L{bmff.node.Node.reconfigure}).
"""

from __future__ import annotations

import os
from random import Random
from typing import Any

import attrs

import bmff.exchange
from bmff.dmr.ranges import Ranges
from bmff.errors import ConfigurationError
from bmff.events import CallEnded, UplinkEnded, UplinkStarted
from bmff.node import Node
from bmff.reload import Reloaded
from bmff.router.translation import Form, Translation
from bmff.routing import CallRequest, Decision
from bmff.testing.network import VirtualNetwork
from bmff.toml import written
from tests.reloadcase import HOMEBREW, OPENBRIDGE, SECRETS, ReloadTestCase, bridge, uplink

ROUNDS = 400 if os.environ.get("BMFF_SOAK") else 15
_NORTH, _SOUTH = "203.0.113.1", "203.0.113.2"


class CallTests(ReloadTestCase):
    """
    A call through a node whose file changes.
    """

    def test_everythingElse(self) -> None:
        """
        While bridges and uplinks come, go and change, and so does what is said of hotspots, a call
        loses no frame, neither here nor over those that stay.
        """
        self.master(_NORTH)
        self.master(_SOUTH)
        stays, comes = self.bridged("203.0.113.5"), self.bridged("203.0.113.6")
        self.start(
            *(HOMEBREW, OPENBRIDGE, bridge("stays"), bridge("goes", "203.0.113.7")),
            *(uplink("north"), uplink("south", _SOUTH)),
        )
        talker, here = self.hotspot(1), self.hotspot(2)
        there = self.hotspot(3, _NORTH, "TS2=91")
        frames = self.call()
        talker.talk(frames)
        self.advance(1.0)
        done = self.reload(
            HOMEBREW.replace("[91]", "[91, 92]").replace("[homebrew]", "[homebrew]\ndial = false"),
            *(OPENBRIDGE, bridge("comes", "203.0.113.6"), bridge("stays")),
            *(
                uplink("west", _SOUTH).replace("199", "198"),
                uplink("north"),
                uplink("south", _SOUTH, "ping = 5"),
            ),
        )
        self.assertEqual(
            done,
            Reloaded(("homebrew.static", "homebrew.dial", "openbridge.bridge", "uplink"), ()),
        )
        self.advance(len(frames) * 0.06)
        self.assertWhole(here.heard, frames)
        self.assertWhole(there.heard, frames)
        self.assertEqual(self.came(stays), len(frames))
        self.assertTrue(0 < self.came(comes) < len(frames))
        ended = [event for event in self.events if isinstance(event, UplinkEnded)]
        self.assertEqual([event.name for event in ended], ["south"])
        self.assertEqual([each.running for each in self.node.uplinks.uplinks], [True] * 3)
        self.assertEqual(set(self.bridges), {"comes", "stays"})
        (end,) = (event for event in self.events if isinstance(event, CallEnded))
        self.assertEqual((end.reason, end.frames, end.lost), ("terminator", len(frames), 0))
        self.advance(6.0)
        here.heard.clear()
        self.assertWhole(here.heard, self.say(talker, 92))

    @property
    def bridges(self) -> dict[str, Any]:
        """
        The bridges of the node, by name.
        """
        assert self.node.bridges is not None
        return dict(self.node.bridges.openBridge.trunks)

    def test_filters(self) -> None:
        """
        What goes out over a bridge, and what comes in, may become another from the next call on;
        the one that is on goes on, and the bridge is the same.
        """
        other = self.bridged("203.0.113.5")
        self.start(HOMEBREW, OPENBRIDGE, bridge("one"))
        talker = self.hotspot(1)
        before = self.bridges["one"]
        nodes = self.node.router.reach.interestWatcher = SomeNodes()
        frames = self.call()
        talker.talk(frames)
        self.advance(1.0)
        nodes.told = 0
        filtered = bridge("one", "203.0.113.5", "send = [92]")
        self.assertEqual(
            self.reload(HOMEBREW, OPENBRIDGE, filtered).applied, ("openbridge.bridge",)
        )
        self.assertEqual(nodes.told, 1)
        self.advance(len(frames) * 0.06 + 6.0)
        self.assertEqual(self.came(other), len(frames))
        self.say(talker)
        self.assertEqual(self.came(other), len(frames))
        more = self.say(talker, 92)
        self.assertEqual(self.came(other), len(frames) + len(more))
        self.assertIs(self.bridges["one"], before)
        self.assertEqual(before.bridge.dropped["filtered"], 0)

    def test_translation(self) -> None:
        """
        So may the numbers of a bridge.
        """
        other = self.bridged("203.0.113.5")
        self.start(HOMEBREW, OPENBRIDGE, bridge("one"))
        talker = self.hotspot(1)
        translated = "translate = [{there = 3100, here = 91}]"
        self.reload(HOMEBREW, OPENBRIDGE, bridge("one", "203.0.113.5", translated))
        heard: list[int] = []
        admit = other.openBridge.trunks["back"].bridge.admit

        def note(frame: Any, origin: Any) -> Any:
            heard.append(frame.destination)
            return admit(frame, origin)

        other.openBridge.trunks["back"].bridge.admit = note
        self.say(talker)
        self.assertEqual(heard, [3100])

    def test_servers(self) -> None:
        """
        So may the servers that calls may have begun at.
        """
        self.start(HOMEBREW, OPENBRIDGE, bridge("one", "203.0.113.5", "enhanced = true"))
        before = self.bridges["one"]
        more = bridge("one", "203.0.113.5", "enhanced = true", 'servers = ["2600-2699"]')
        self.reload(HOMEBREW, OPENBRIDGE, more)
        self.assertIs(self.bridges["one"], before)
        self.assertIs(before.bridge.terms, before.settings.terms)
        self.assertEqual(before.bridge.terms.servers, Ranges([(2600, 2699)]))

    def test_terms(self) -> None:
        """
        A bridge that is agreed on otherwise is another one, over which a call begins anew; all
        other listeners hear it to its end.
        """
        other = self.bridged("203.0.113.5")
        self.start(HOMEBREW, OPENBRIDGE, bridge("one"))
        talker, here = self.hotspot(1), self.hotspot(2)
        before = self.bridges["one"]
        frames = self.call()
        talker.talk(frames)
        self.advance(1.0)
        self.reload(HOMEBREW, OPENBRIDGE, bridge("one", "203.0.113.5", 'network = "them"'))
        self.advance(len(frames) * 0.06 + 6.0)
        self.assertWhole(here.heard, frames)
        self.assertIsNot(self.bridges["one"], before)
        self.assertEqual(self.bridges["one"].network, "them")
        self.assertFalse(before.bridge.up)
        came = self.came(other)
        frames = self.say(talker)
        self.assertEqual(self.came(other), came + len(frames))

    def test_elsewhere(self) -> None:
        """
        A bridge whose other end is elsewhere moves there with the call that is on.
        """
        first, second = self.bridged("203.0.113.5"), self.bridged("203.0.113.6")
        self.start(HOMEBREW, OPENBRIDGE, bridge("one"))
        talker = self.hotspot(1)
        frames = self.call()
        talker.talk(frames)
        self.advance(1.0)
        self.reload(HOMEBREW, OPENBRIDGE, bridge("one", "203.0.113.6"))
        self.advance(len(frames) * 0.06)
        self.assertEqual(self.came(first) + self.came(second), len(frames))
        self.assertGreater(self.came(second), 30)

    def test_secrets(self) -> None:
        """
        A secret that is new with what needs it is known at once.
        """
        other = self.bridged("203.0.113.5")
        self.start(HOMEBREW, OPENBRIDGE)
        talker = self.hotspot(1)
        added = bridge("fresh", "203.0.113.5", 'password = "fresh"')
        with self.assertRaises(ConfigurationError) as caught:
            self.reload(HOMEBREW, OPENBRIDGE, added)
        self.assertIn("openbridge.bridge[0].password: names the secret", str(caught.exception))
        self.keep(SECRETS.replace("[bridges]", '[bridges]\nfresh = "passw0rd"'))
        self.reload(HOMEBREW, OPENBRIDGE, added)
        frames = self.say(talker)
        self.assertEqual(self.came(other), len(frames))

    def test_otherKey(self) -> None:
        """
        A bridge that has the key of another id from now on goes on with it.
        """
        other = self.bridged("203.0.113.5")
        self.keep(SECRETS.replace('two = "passw0rd"', 'two = "another"'))
        self.start(HOMEBREW, OPENBRIDGE, bridge("one", "203.0.113.5", 'password = "two"'))
        talker = self.hotspot(1)
        before = self.bridges["one"]
        self.say(talker)
        self.assertEqual(self.came(other), 0)
        self.reload(HOMEBREW, OPENBRIDGE, bridge("one"))
        frames = self.say(talker)
        self.assertEqual(self.came(other), len(frames))
        self.assertIs(self.bridges["one"], before)


class SomeNodes:
    """
    The other nodes.

    @ivar told: how often they were told what this one wants to hear.
    """

    told = 0

    def flush(self, now: float) -> None:
        self.told += 1


class UplinkTests(ReloadTestCase):
    """
    Uplinks that come, go and change.
    """

    def numbers(self) -> dict[str, int]:
        """
        What each is known by.
        """
        return {each.settings.name: each.peer.peerID for each in self.node.uplinks.uplinks}

    def test_numbers(self) -> None:
        """
        What stays keeps its number, what comes has one that nobody had, and what comes back has
        its own.
        """
        self.master(_NORTH)
        first, second, third = uplink("a"), uplink("b"), uplink("c")
        self.start(HOMEBREW, first, second)
        before = self.numbers()
        self.reload(HOMEBREW, third, second)
        now = self.numbers()
        self.assertEqual((list(now), now["b"]), (["c", "b"], before["b"]))
        self.assertNotIn(now["c"], before.values())
        self.reload(HOMEBREW, third, first, uplink("b", _NORTH, "ping = 5"))
        self.assertEqual(self.numbers(), {**before, **now})
        self.assertEqual(len(set(self.numbers().values())), 3)

    def test_first(self) -> None:
        """
        A node without uplinks may have one, and may have none again.
        """
        router = self.master(_NORTH)
        self.start(HOMEBREW)
        talker = self.hotspot(1)
        self.assertEqual(self.reload(HOMEBREW, uplink("north")).applied, ("uplink",))
        self.advance(0.2)
        started = [event for event in self.events if isinstance(event, UplinkStarted)]
        self.assertEqual([event.name for event in started], ["north"])
        frames = self.say(talker)
        self.assertEqual(router.framesRouted, len(frames))
        self.reload(HOMEBREW)
        self.advance(0.2)
        self.say(talker)
        self.assertEqual(router.framesRouted, len(frames))
        self.assertEqual(self.node.uplinks.uplinks, [])

    def test_order(self) -> None:
        """
        Of two uplinks to one network the one that is first in the file sends, also when that was
        the second before.
        """
        self.master(_NORTH)
        first = uplink("a", _NORTH, 'network = "north"')
        second = uplink("b", _NORTH, 'network = "north"').replace("199", "198")
        self.start(HOMEBREW, first, second)
        talker = self.hotspot(1)
        one, two = self.node.uplinks.uplinks
        frames = self.say(talker)
        self.reload(HOMEBREW, second, first)
        self.say(talker)
        self.assertEqual(self.node.uplinks.uplinks, [two, one])
        self.assertEqual([one.peer.framesSent, two.peer.framesSent], [len(frames)] * 2)
        self.assertEqual([one.logins, two.logins], [1, 1])


class NothingTests(ReloadTestCase):
    """
    A file that cannot be used.
    """

    def test_mistakes(self) -> None:
        """
        When one section cannot be taken on, no other is either, and all that is wrong is said.
        """
        self.master(_NORTH)
        self.bridged("203.0.113.5")
        before = (HOMEBREW, OPENBRIDGE, bridge("one"), uplink("north"))
        node = self.start(*before)
        hotspot, talker = self.hotspot(1), self.hotspot(2)
        counted, state = node.configuration, stateOf(node)
        with self.assertRaises(ConfigurationError) as caught:
            self.reload(
                HOMEBREW.replace("[91]", "[92]"),
                '[routing]\nrules = ["nobodys"]\n',
                *(OPENBRIDGE, bridge("two", "203.0.113.5", 'password = "none"')),
                *(uplink("south"), uplink("south")),
            )
        self.assertEqual(
            [mistake.place for mistake in caught.exception.mistakes],
            ["routing.rules[0]", "openbridge.bridge[0].password", "uplink[1].name"],
        )
        self.assertIs(node.configuration, counted)
        self.assertEqual(stateOf(node), state)
        self.assertEqual(node.uplinks.uplinks[0].logins, 1)
        frames = self.say(talker)
        self.assertWhole(hotspot.heard, frames)
        self.assertEqual(self.reload(*before), Reloaded((), ()))

    def test_rules(self) -> None:
        """
        Rules that are there are asked from then on, unless something else is wrong.
        """
        self.patch(bmff.exchange, "getPlugins", lambda interface: [NoCalls()])
        node = self.start(HOMEBREW, OPENBRIDGE)
        hotspot, talker = self.hotspot(1), self.hotspot(2)
        rules = '[routing]\nrules = ["none"]\n'
        with self.assertRaises(ConfigurationError):
            self.reload(HOMEBREW, rules, OPENBRIDGE, bridge("one", "", 'password = "none"'))
        frames = self.say(talker)
        self.assertWhole(hotspot.heard, frames)
        self.reload(HOMEBREW, rules, OPENBRIDGE)
        self.say(talker)
        self.assertWhole(hotspot.heard, frames)
        self.assertEqual(node.router.dropped["refused by a rule"], 1)

    def test_waits(self) -> None:
        """
        What waits does not keep the rest of its section, and is named each time.
        """
        self.start(HOMEBREW, OPENBRIDGE)
        moved = OPENBRIDGE.replace("62035", "62036")
        done = self.reload(HOMEBREW, moved, bridge("one"), "[mqtt]\n")
        waiting = ("mqtt", "openbridge.listen")
        self.assertEqual(done, Reloaded(("openbridge.bridge",), waiting))
        self.assertEqual(self.node.reload(), Reloaded((), waiting))
        assert self.node.bridges is not None
        self.assertEqual([port.port for port in self.node.bridges.ports], [62035])
        self.assertEqual(list(self.node.bridges.openBridge.trunks), ["one"])
        self.assertEqual(self.reload(HOMEBREW), Reloaded((), ("openbridge",)))

    def test_notStarted(self) -> None:
        """
        A node that does not run yet begins with what was said last.
        """
        router = self.master(_NORTH)
        other = self.bridged("203.0.113.5")
        node = self.node = self.make(HOMEBREW + OPENBRIDGE + uplink("south", _SOUTH))
        self.reload(HOMEBREW, OPENBRIDGE, bridge("one"), uplink("north"))
        node.startService()
        self.addCleanup(node.stopService)
        self.advance(0.2)
        frames = self.say(self.hotspot(1))
        self.assertEqual((router.framesRouted, self.came(other)), (len(frames), len(frames)))

    def test_everyPlace(self) -> None:
        """
        Each place that parts of a node call theirs is one of the file.
        """
        node = self.make(HOMEBREW + OPENBRIDGE + "[mqtt]\n[fastforward]\n")
        self.assertIn("fastforward.key", node.alive)
        self.assertIn("mqtt.private_key", node.alive)
        for place in node.alive:
            section, _, setting = place.partition(".")
            value = getattr(node.configuration, section)
            settings = [written(each.name) for each in attrs.fields(type(value))] if setting else []
            self.assertIn(setting, ["", *settings], place)


class NoCalls:
    """
    A rule of the operator's that lets nothing pass; see L{bmff.ibmff.IRouting}.
    """

    name = "none"

    def decide(self, request: CallRequest) -> Decision:
        return Decision(refused="nothing passes")


def stateOf(node: Node) -> dict[str, Any]:
    """
    What counts in a node, as far as it can be told from outside.
    """
    assert node._access is not None
    bridges = node.bridges
    trunks = bridges.openBridge.trunks if bridges is not None else {}
    reach = node.router.reach
    return {
        "hotspots": [_settings(node._access.settings(peer)) for peer in (1, 2, 3)],
        "times": (node.router._hangTime, node.router._talkLimit),
        "bridges": {name: _settings(trunk.settings) for name, trunk in trunks.items()},
        "wanted": {name: (trunk.wanted, trunk.network) for name, trunk in trunks.items()},
        "terms": {name: trunk.bridge.terms for name, trunk in trunks.items()},
        "places": {name: trunk.bridge.address for name, trunk in trunks.items()},
        "keys": {name: trunk.bridge.signature.sha1(b"x") for name, trunk in trunks.items()},
        "up": sorted(trunk.name for trunk in trunks.values() if trunk in reach.trunks),
        "uplinks": [_settings(each.settings) for each in node.uplinks.uplinks],
        "shares": [
            [(slot.number, slot.static) for slot in each.peer.slots]
            for each in node.uplinks.uplinks
        ],
        "running": [each.running for each in node.uplinks.uplinks],
        "ranges": reach.wantedRanges(),
        "networks": reach.networks.live,
    }


def _settings(settings: Any) -> dict[str, Any]:
    """
    The fields of settings; rules of numbers by what they do.
    """
    found = {name: getattr(settings, name) for name in settings.__slots__}
    numbers: Translation = found["translation"]
    forms = [Form(number) for number in (9, 91, 92, 3100)]
    found["translation"] = [
        (numbers.inward(slot, form), numbers.outward(slot, form))
        for form in forms
        for slot in (0, 1, 2)
    ]
    return found


class RandomTests(ReloadTestCase):
    """
    Any file after any other.
    """

    def draw(self, random: Random) -> str:
        """
        A file.
        """

        def some(*lines: str) -> list[str]:
            return [line for line in lines if random.random() < 0.3]

        homebrew = HOMEBREW.replace("[91]", random.choice(("[91]", "[92]", "[91, 92]")))
        said = some("dial = false", "hang_time = 3", "translate = [{there = 9, here = 92}]")
        parts = [homebrew, *(f"{line}\n" for line in said), OPENBRIDGE]
        for name in random.sample(("a", "b", "c"), random.randrange(4)):
            host = random.choice(("203.0.113.5", "203.0.113.6"))
            lines = some(
                "send = [91]",
                "servers = [3102]",
                "local_talkgroups = false",
                "accept = [92]",
                "private = false",
                "both_slots = true",
                'network = "x"',
                'password = "two"',
                "enhanced = true",
                "roaming = true",
                "translate = [{there = 3100, here = 91}]",
            )
            parts.append(bridge(name, host, *lines))
        for name in random.sample(("n", "o", "p"), random.randrange(4)):
            lines = some("static = { 2 = [92] }", 'network = "x"', "private = true", "ping = 5")
            there = uplink(name, random.choice((_NORTH, _SOUTH)), *lines)
            parts.append(there.replace("199", {"n": "197", "o": "198", "p": "199"}[name]))
        return "".join(parts)

    def test_asFresh(self) -> None:
        """
        After a reload, or after several, a node is as one that was started with the last file.
        """
        self.keep(SECRETS.replace('two = "passw0rd"', 'two = "another"'))
        for seed in range(ROUNDS):
            random = Random(seed)
            files = [self.draw(random) for _ in range(3)]
            states = []
            for history in (files, files[-1:]):
                self.network = VirtualNetwork(self.clock)
                self.master(_NORTH)
                self.master(_SOUTH)
                node = self.node = self.make(history[0])
                node.startService()
                self.advance(0.2)
                for text in history[1:]:
                    self.assertEqual(self.reload(text).waiting, ())
                    self.advance(0.2)
                states.append(stateOf(node))
                node.stopService()
            self.assertEqual(states[0], states[1], f"seed {seed}")
