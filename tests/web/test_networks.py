"""
Tests of what the API tells of bridges and uplinks: views, health, metrics, counters, events.
"""

from __future__ import annotations

from typing import Any

from bmff.dmr.ranges import Ranges
from bmff.dmr.voice import voiceCall
from bmff.events import (
    BridgeEnded,
    BridgeMoved,
    BridgeStarted,
    Event,
    UplinkEnded,
    UplinkRefused,
    UplinkStarted,
)
from bmff.router.call import Peer
from bmff.router.trunk import Trunk
from bmff.web.feed import Listener
from bmff.web.tally import OPENBRIDGE, UPLINK
from tests.web.apicase import ApiTestCase, SomeNode
from tests.web.test_metrics import told


class ViewTests(ApiTestCase):
    """
    What is said of them.
    """

    async def test_there(self) -> None:
        """
        Each is told as it describes itself, in its order, to whoever may look.
        """
        bridges = (await self.request("/bridges")).content
        self.assertEqual(bridges, {"bridges": self.node.bridges.rows})
        uplinks = (await self.request("/uplinks")).content
        self.assertEqual(uplinks, {"uplinks": self.node.uplinks.rows})

    async def test_right(self) -> None:
        """
        Who may not look at links may not look at them.
        """
        proxied = {"X-Forwarded-For": "192.0.2.7"}
        for path in ("/links", "/bridges", "/uplinks"):
            answer = await self.request(path, headers=proxied)
            self.assertEqual((path, answer.status), (path, 401))

    async def test_counters(self) -> None:
        """
        What they dropped is told by name and reason, and so is what no bridge's was.
        """
        content = (await self.request("/counters")).content["counters"]
        self.assertEqual(
            content["bridges"],
            {
                "dropped": {"stranger": 4},
                "each": {"north": {"replayed": 2}, "south / west": {}},
            },
        )
        self.assertEqual(content["uplinks"], {"each": {"east": {"private call": 6}, "west": {}}})


class NoneTests(ApiTestCase):
    """
    A node without bridges and uplinks.
    """

    def makeNode(self) -> SomeNode:
        return SomeNode(bridges=None, uplinks=None)

    async def test_none(self) -> None:
        """
        There are none to list, no checks of them, and no metrics.
        """
        self.assertEqual((await self.request("/bridges")).content, {"bridges": []})
        self.assertEqual((await self.request("/uplinks")).content, {"uplinks": []})
        for subject in ("bridges", "uplinks", "bridge:north", "uplink:east"):
            self.assertEqual((await self.request(f"/health/{subject}")).status, 404)
        self.assertEqual(
            [name for name in told(self.node) if name.startswith(("bmff_bridge", "bmff_uplink"))],
            [],
        )
        counters = (await self.request("/counters")).content["counters"]
        self.assertEqual(counters.keys() & {"bridges", "uplinks"}, set())


class HealthTests(ApiTestCase):
    """
    How they do.
    """

    async def checks(self, path: str) -> dict[str, tuple[str, str]]:
        """
        Status and reason of each object.
        """
        answer = await self.request(path)
        self.assertEqual(answer.status, 200)  # none of them is critical for the node
        return {each["CheckID"]: (each["Status"], each["Output"]) for each in answer.content}

    async def test_bridges(self) -> None:
        """
        A bridge over which calls go is well, also one that has never been heard, which is said; one
        that is down is a warning with its reason.
        """
        said = "nothing has been heard of it yet"
        self.assertEqual(
            await self.checks("/health/bridges"),
            {"bridge:north": ("passing", ""), "bridge:south / west": ("passing", said)},
        )
        north, south = self.node.bridges.rows
        north.update(state="down", reason="no sign of life")
        south.update(state="down", reason=None)
        self.assertEqual(
            await self.checks("/health/bridges"),
            {
                "bridge:north": ("warning", "no sign of life"),
                "bridge:south / west": ("warning", "it is down"),
            },
        )

    async def test_uplinks(self) -> None:
        """
        An uplink that is not logged in is a warning with the master's reason, as soon as there is
        one.
        """
        self.assertEqual(
            await self.checks("/health/uplinks"),
            {
                "uplink:east": ("passing", ""),
                "uplink:west": ("warning", "it refuses our password"),
            },
        )
        self.node.uplinks.rows[1].update(state="trying", reason=None)
        found = await self.checks("/health/uplink:west")
        self.assertEqual(found, {"uplink:west": ("warning", "it is not logged in yet")})

    async def test_one(self) -> None:
        """
        One is found by its name, whatever is in that, and all are among the checks of the node.
        """
        found = await self.checks("/health/bridge:south%20%2F%20west")
        self.assertEqual(list(found), ["bridge:south / west"])
        self.assertEqual((await self.request("/health/bridge:nobody")).status, 404)
        everything = (await self.request("/health?always=200")).content
        self.assertLessEqual(
            {"bridge:north", "bridge:south / west", "uplink:east", "uplink:west"},
            {each["CheckID"] for each in everything},
        )


class MetricsTests(ApiTestCase):
    """
    What is counted.
    """

    def test_told(self) -> None:
        """
        Of each it is told whether calls cross, how many frames did, and what was dropped why.
        """
        found = told(self.node)
        for name, value in (
            ("bmff_bridge_up bridge=north", 1),
            ("bmff_bridge_heard_seconds bridge=north", 2.5),
            ("bmff_bridge_frames_sent_total bridge=north", 11),
            ("bmff_bridge_frames_received_total bridge=north", 12),
            ("bmff_bridge_frames_quenched_total bridge=north", 3),
            ("bmff_bridge_quenches_sent_total bridge=north", 4),
            ("bmff_bridge_quenches_received_total bridge=north", 5),
            ("bmff_bridge_dropped_total bridge=north reason=replayed", 2),
            ("bmff_dropped_total part=openbridge reason=stranger", 4),
            ("bmff_uplink_up uplink=east", 1),
            ("bmff_uplink_up uplink=west", 0),
            ("bmff_uplink_logins_total uplink=east", 1),
            ("bmff_uplink_frames_sent_total uplink=east", 21),
            ("bmff_uplink_frames_received_total uplink=east", 22),
            ("bmff_uplink_dropped_total reason=private call uplink=east", 6),
        ):
            self.assertEqual((name, found.get(name)), (name, value))
        self.assertNotIn("bmff_bridge_heard_seconds bridge=south / west", found)
        self.node.bridges.rows[0]["state"] = "down"
        self.assertEqual(told(self.node)["bmff_bridge_up bridge=north"], 0)

    def test_frames(self) -> None:
        """
        Frames that came in over an uplink are no hotspot's: they are counted as an uplink's while
        their call is on and when it is over, also when the uplink is gone by then.
        """
        router, clock = self.node.router, self.node.clock
        uplink = Peer(4_200_000_001, NoOutlet(), network="theirs")
        router.addPeer(uplink, clock.seconds())
        frames = list(voiceCall(source=2340001, destination=91, stream=7, superframes=2))
        for frame in frames[:5]:
            router.route(uplink, frame, clock.seconds())
        self.assertEqual(told(self.node)[f"bmff_frames_total protocol={UPLINK}"], 5)
        router.removePeer(uplink, clock.seconds())
        found = told(self.node)
        self.assertEqual(found[f"bmff_frames_total protocol={UPLINK}"], 5)
        self.assertEqual(
            found[f"bmff_calls_started_total kind=voice protocol={UPLINK} scope=group"], 1
        )
        self.assertEqual(found[f"bmff_frames_total protocol={OPENBRIDGE}"], 0)
        self.assertEqual(found["bmff_frames_total protocol=homebrew"], 0)


class LastHeardTests(ApiTestCase):
    """
    Whose call it was.
    """

    async def test_bridged(self) -> None:
        """
        A call that came over an uplink or a bridge is told as a bridge's, and not as a hotspot's or
        as another node's.
        """
        router, clock = self.node.router, self.node.clock
        uplink = Peer(4_200_000_001, NoOutlet(), network="theirs")
        router.addPeer(uplink, clock.seconds())
        trunk = Trunk(3101, "north", Ranges())
        router.reach.addTrunk(trunk)
        for stream, ingress in ((1, uplink), (2, trunk)):
            (frame, *_) = voiceCall(source=2340001, destination=90 + stream, stream=stream)
            router.route(ingress, frame, clock.seconds())
        rows = (await self.request("/lastheard")).content["lastheard"]
        self.assertEqual(
            [(row["ContextID"], row["LinkName"], row["LinkType"]) for row in rows],
            [(3101, "Bridge", 2), (4_200_000_001, "Bridge", 2)],
        )


class NoOutlet:
    """
    Where nobody listens.
    """

    def openSink(self, slot: int) -> Any:
        raise AssertionError("nobody listens here")


class Ear(Listener):
    """
    Keeps what it hears.
    """

    full = False
    position = 0

    def __init__(self, exact: bool) -> None:
        self.exact = exact
        self.heard = b""
        self.gone = False

    def send(self, data: bytes) -> None:
        self.heard += data

    def mayStay(self) -> bool:
        return True

    def leave(self) -> None:
        self.gone = True


class EventsTests(ApiTestCase):
    """
    What happens to them.
    """

    def test_stream(self) -> None:
        """
        Each change is on the stream of events by its name, with its server's address, also for
        those who may only look: it is where a server is, and no person.
        """
        events: tuple[Event, ...] = (
            BridgeStarted(3101, "north", "192.0.2.31:62035"),
            BridgeMoved(3101, "north", "192.0.2.32:62035"),
            BridgeEnded(3101, "north", "no sign of life"),
            UplinkStarted(4_200_000_001, "east", "192.0.2.41:62031"),
            UplinkEnded(4_200_000_001, "east", "no answer"),
            UplinkRefused(4_200_000_001, "east", "192.0.2.41:62031", "no answer"),
        )
        ears = [Ear(True), Ear(False)]
        for ear in ears:
            self.node.api.events.join(ear, "")
        for event in events:
            self.node.events.publish(event)
        self.node.advance(0.1)
        for ear in ears:
            self.node.api.events.leave(ear)
            for event in events:
                self.assertIn(f"event: {type(event).__name__}\n".encode(), ear.heard)
            self.assertEqual(ear.heard.count(b"192.0.2."), 4)
            self.assertIn(b'"reason":"no sign of life"', ear.heard)
            self.assertFalse(ear.gone)
