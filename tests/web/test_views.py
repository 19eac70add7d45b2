"""
Tests of L{bmff.web.views}: what the API says of a master, its hotspots and their calls.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import FRAME_PERIOD
from bmff.dmr.voice import voiceCall
from bmff.events import Events
from bmff.protocols.homebrew import HomeBrew
from bmff.protocols.turn import Turn
from bmff.router.router import Router
from bmff.sockets.addresses import formatAddress
from bmff.sockets.datagrams import DatagramPort
from bmff.testing.everybody import Everybody, SomeSettings
from bmff.testing.hotspots import VirtualHotspot
from bmff.testing.network import VirtualNetwork
from bmff.web.control import controlSite
from bmff.web.counters import CountersView
from bmff.web.resource import View
from bmff.web.views import RECENT_CALLS, CallsView, Moments, PeersView
from bmff.wire.homebrew import Station
from tests.sockets.ports import ReadingClock
from tests.web.case import SocketTestCase

NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC, when the clocks of these tests are at 0
STATION = Station(
    2340002,
    "G4TST",
    rxFrequency=430_000_000,
    txFrequency=439_000_000,
    power=5,
    colourCode=3,
    latitude=51.5,
    longitude=-0.125,
    height=20,
    location="London",
    description="Test",
    slots=3,
    url="https://example.org",
    software="20260101",
    package="MMDVM",
)


class Node:
    """
    A master on a virtual network, and the views of it.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.network = VirtualNetwork(self.clock)
        events = Events()
        self.router = Router(events.publish)
        self.homebrew = HomeBrew(
            self.clock,
            Turn(self.clock, self.router),
            events.publish,
            Everybody(common=SomeSettings({1: (2350, 91)})),
            bytes(32),
        )
        receiver = self.homebrew.port()
        self.port = self.network.bind(receiver, "192.0.2.1", 62031)
        receiver.transport = self.port
        moments = Moments(self.clock.seconds, lambda: NOON + self.clock.seconds())
        self.peers = PeersView(self.homebrew.master, self.router, moments)
        self.calls = CallsView(self.router, moments)
        events.watch(self.calls.watch)

    def hotspot(self, station: Station, options: str = "") -> VirtualHotspot:
        """
        A hotspot that is logged in.
        """
        hotspot = VirtualHotspot(
            self.network, self.port.address, station, b"passw0rd", options, "198.51.100.1"
        )
        hotspot.start()
        self.advance(0.1)
        return hotspot

    def advance(self, seconds: float) -> None:
        """
        Let time pass in steps of 10 ms.
        """
        self.clock.pump([0.01] * round(seconds * 100))


class MomentsTests(SynchronousTestCase):
    """
    Two clocks.
    """

    def test_tell(self) -> None:
        """
        A moment is told in UTC, to the millisecond.
        """
        moments = Moments(lambda: 100.0, lambda: NOON)
        self.assertEqual(moments.tell(100.0), "2026-01-01T12:00:00.000+00:00")
        self.assertEqual(moments.tell(98.75), "2026-01-01T11:59:58.750+00:00")

    def test_step(self) -> None:
        """
        When the wall clock is set, moments of before are told by the new time: what is an hour
        old stays an hour old.
        """
        wall = [NOON]
        moments = Moments(lambda: 3700.0, lambda: wall[0])
        self.assertEqual(moments.tell(100.0)[:19], "2026-01-01T11:00:00")
        wall[0] += 86_400.0
        self.assertEqual(moments.tell(100.0)[:19], "2026-01-02T11:00:00")


class PeersTests(SynchronousTestCase):
    """
    What is said of peers.
    """

    def setUp(self) -> None:
        self.node = Node()

    def test_nobody(self) -> None:
        """
        A node without a peer says so.
        """
        self.assertEqual(self.node.peers(), {"peers": []})

    def test_peer(self) -> None:
        """
        All that is known of a peer, by these names.
        """
        hotspot = self.node.hotspot(STATION, "TS2=91")
        self.node.advance(30)
        hotspot.talk(voiceCall(source=5, destination=777, stream=0xBEEF, slot=2))
        self.node.advance(1)
        (peer,) = self.node.peers()["peers"]
        since, heard = peer.pop("since"), peer.pop("heard")
        self.assertEqual(since[:20], "2026-01-01T12:00:00.")
        self.assertEqual(heard[:20], "2026-01-01T12:00:31.")
        self.assertEqual(
            peer,
            {
                "id": 2340002,
                "callsign": "G4TST",
                "address": formatAddress(hotspot.port.address),
                "running": True,
                "simplex": False,
                "colour_code": 3,
                "rx_frequency": 430_000_000,
                "tx_frequency": 439_000_000,
                "power": 5,
                "latitude": 51.5,
                "longitude": -0.125,
                "height": 20,
                "location": "London",
                "description": "Test",
                "url": "https://example.org",
                "software": "20260101",
                "package": "MMDVM",
                "options_unknown": [],
                "slots": {
                    "1": {"static": [91, 2350], "dynamic": [], "call": None},
                    "2": {"static": [91], "dynamic": [777], "call": "0000beef"},
                },
            },
        )

    def test_simplex(self) -> None:
        """
        A simplex hotspot has one slot, with all that was set for either.
        """
        self.node.hotspot(Station(7, slots=4))
        (peer,) = self.node.peers()["peers"]
        self.assertTrue(peer["simplex"])
        self.assertEqual(list(peer["slots"]), ["2"])

    def test_unsaid(self) -> None:
        """
        What a peer does not say is C{null} or empty.
        """
        hotspot = self.node.hotspot(Station(7))
        said = Station(7).encode()
        hotspot.port.sendTo(said[:16] + b" " * (302 - 16), self.node.port.address)
        self.node.advance(0.1)
        (peer,) = self.node.peers()["peers"]
        for name in ("rx_frequency", "power", "colour_code", "latitude", "height"):
            self.assertIsNone(peer[name], name)
        self.assertEqual((peer["callsign"], peer["location"], peer["url"]), ("", "", ""))

    def test_options(self) -> None:
        """
        What was not understood of a peer's options is told as it came.
        """
        self.node.hotspot(STATION, "TS2=91;BREW=1;TS1=x")
        (peer,) = self.node.peers()["peers"]
        self.assertEqual(peer["options_unknown"], ["BREW=1", "TS1=x"])

    def test_order(self) -> None:
        """
        Peers are in the order of their IDs; one whose login is not finished has no slots.
        """
        for peerID in (30, 10, 20):
            self.node.hotspot(Station(peerID))
        unfinished = VirtualHotspot(self.node.network, self.node.port.address, Station(15))
        self.node.network.latency = 0.1
        unfinished.start()
        self.node.advance(0.35)  # the login, the challenge and the key are there
        unfinished.vanish()
        self.assertEqual(
            [(peer["id"], peer["running"]) for peer in self.node.peers()["peers"]],
            [(10, True), (15, False), (20, True), (30, True)],
        )
        self.assertEqual(self.node.peers()["peers"][1]["slots"], {})

    def test_leaves(self) -> None:
        """
        Who leaves is not there any more.
        """
        hotspot = self.node.hotspot(STATION)
        hotspot.client.close()
        hotspot.flush()
        self.node.advance(0.1)
        self.assertEqual(self.node.peers(), {"peers": []})


class CallsTests(SynchronousTestCase):
    """
    What is said of calls.
    """

    def setUp(self) -> None:
        self.node = Node()
        self.talker = self.node.hotspot(STATION)
        self.node.hotspot(Station(7), "TS2=92")
        self.node.hotspot(Station(8), "TS2=92")

    def talk(self, stream: int = 0xBEEF, superframes: int = 1) -> int:
        """
        A call.

        @return: how many frames it has.
        """
        frames = list(voiceCall(source=5, destination=92, stream=stream, superframes=superframes))
        self.talker.talk(frames)
        return len(frames)

    def test_none(self) -> None:
        """
        A node without a call says so.
        """
        self.assertEqual(self.node.calls(), {"calls": [], "ended": []})

    def test_on(self) -> None:
        """
        A call that is on, by these names.
        """
        self.talk(superframes=10)
        self.node.advance(1.205)
        content = self.node.calls()
        self.assertEqual(content["ended"], [])
        (call,) = content["calls"]
        self.assertEqual(call.pop("started")[:20], "2026-01-01T12:00:00.")
        frames = call.pop("frames")
        self.assertTrue(18 <= frames <= 21, frames)
        self.assertTrue(abs(call.pop("duration") - (frames - 1) * FRAME_PERIOD) < 0.02)
        self.assertEqual(
            call,
            {
                "stream": "0000beef",
                "source": 5,
                "destination": 92,
                "private": False,
                "data": False,
                "peer": 2340002,
                "slot": 2,
                "lost": 0,
                "duplicates": 0,
                "late": 0,
                "listeners": 2,
            },
        )

    def test_ended(self) -> None:
        """
        A call that has ended, by these names.
        """
        frames = self.talk()
        self.node.advance(1)
        content = self.node.calls()
        self.assertEqual(content["calls"], [])
        (call,) = content["ended"]
        self.assertEqual(call.pop("ended")[:20], "2026-01-01T12:00:00.")
        self.assertTrue(abs(call.pop("duration") - (frames - 1) * FRAME_PERIOD) < 0.02)
        self.assertEqual(
            call,
            {
                "stream": "0000beef",
                "source": 5,
                "destination": 92,
                "private": False,
                "data": False,
                "peer": 2340002,
                "slot": 2,
                "frames": frames,
                "lost": 0,
                "duplicates": 0,
                "late": 0,
                "reason": "terminator",
            },
        )

    def test_recent(self) -> None:
        """
        The last hundred calls that ended are kept, the last one first.
        """
        for stream in range(1, RECENT_CALLS + 6):
            self.talk(stream)
            self.node.advance(0.6)
        self.assertEqual(
            [int(call["stream"], 16) for call in self.node.calls()["ended"]],
            list(range(RECENT_CALLS + 5, 5, -1)),
        )


class CountersTests(SynchronousTestCase):
    """
    What is said of datagrams and frames.
    """

    def test_none(self) -> None:
        """
        A node without hotspots has only the router's counters.
        """
        view = CountersView(Node().router, None, ())
        self.assertEqual(view(), {"counters": {"router": {"dropped": {}}}})

    def test_counted(self) -> None:
        """
        What was dropped is told by its reason, and each socket that is there with its datagrams.
        """
        node = Node()
        ports: list[DatagramPort] = []
        view = CountersView(node.router, node.homebrew.master, ports)
        node.hotspot(STATION).port.sendTo(b"BREW", node.port.address)
        node.advance(0.1)
        node.router.dropped["slot busy"] += 2
        port = DatagramPort(ReadingClock(), "127.0.0.1", 0, node.homebrew.port())
        self.addCleanup(port.stopListening)
        ports.append(port)
        port.received, port.sent, port.sendErrors = 7, 5, 1
        content = view()["counters"]
        self.assertEqual(content["router"], {"dropped": {"slot busy": 2}})
        self.assertEqual(content["homebrew"]["logins"], 1)
        self.assertEqual(sum(content["homebrew"]["dropped"].values()), 1)
        self.assertEqual(
            content["homebrew"]["sockets"],
            [
                {
                    "address": f"127.0.0.1:{port.port}",
                    "received": 7,
                    "too_long": 0,
                    "kernel_drops": 0,
                    "receive_errors": 0,
                    "failed": 0,
                    "sent": 5,
                    "send_drops": 0,
                    "send_errors": 1,
                }
            ],
        )
        self.assertEqual(json.loads(json.dumps(content)), content)


class SocketTests(SocketTestCase):
    """
    The views on a control socket.
    """

    async def test_json(self) -> None:
        """
        Both are JSON as they are, in the middle of a call.
        """
        node = Node()
        node.hotspot(STATION).talk(voiceCall(source=5, destination=91, stream=9))
        node.advance(1)
        views: dict[str, Any] = {"peers": node.peers, "calls": node.calls}
        self.serve(controlSite([(name, View(view)) for name, view in views.items()], None))
        for name, view in views.items():
            answer = await self.request(f"/{name}")
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.content, json.loads(json.dumps(view())))
            self.assertTrue(answer.content[name])
