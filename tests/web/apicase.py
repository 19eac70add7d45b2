"""
What the tests of the whole API share: a node with hotspots and links, and requests over TCP.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from bmff.access import PeerSettings
from bmff.dmr.voice import voiceCall
from bmff.events import Event, Events
from bmff.ibmff import BadRow, NodeRow, OverrideRow
from bmff.protocols.homebrew import HomeBrew
from bmff.protocols.turn import Turn
from bmff.reload import Reloaded
from bmff.router.call import Call
from bmff.router.router import Router
from bmff.testing.hotspots import VirtualHotspot
from bmff.testing.network import VirtualNetwork
from bmff.web.admission import Admission, NetworkGate
from bmff.web.api import Api, root
from bmff.web.cookies import Cookies
from bmff.web.orders import Orders
from bmff.web.parts import Parts
from bmff.web.refusals import Refusals
from bmff.web.site import ApiSite
from bmff.web.views import Moments
from bmff.wire.homebrew import Station
from tests.web.case import Answer, Caller

reactor: Any = _reactor  # mypy does not know which reactor there is

NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC, when the clocks of these tests are at 0
STATION = Station(
    2340002, "G4TST", latitude=51.5074, longitude=-0.1278, height=20, slots=3, package="MMDVM"
)
OTHER = Station(234000301, "G4OTH", slots=4)
READER = "reader-0123456789"
OPERATOR = "operator-0123456789"


@dataclass(frozen=True, slots=True)
class SomeToken:
    """
    A row of the table of tokens.
    """

    right: str
    digest: bytes

    @classmethod
    def of(cls, right: str, secret: str) -> SomeToken:
        """
        The row of a token.
        """
        return cls(right, sha256(secret.encode()).digest())


class SomeRules:
    """
    The rules of a node that lets everybody in.
    """

    def refusal(self, peerID: int) -> str | None:
        return None

    def passphrase(self, peerID: int) -> bytes | None:
        return b"passw0rd"

    def settings(self, peerID: int) -> PeerSettings:
        return PeerSettings((91,), (2350,), False, 900.0, True)


class SomeRows:
    """
    A registry in memory.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, NodeRow] = {25012: NodeRow(25012, "192.0.2.12", 54001, 7, 4242, NOON)}
        self.overrides: dict[int, OverrideRow] = {}
        self.badRows: tuple[BadRow, ...] = ()
        self.available = True
        self.reason = ""
        self.age = 0.25
        self.error: Exception | None = None

    def put(self, row: NodeRow | OverrideRow) -> Deferred[None]:
        if self.error is not None:
            return fail(self.error)
        assert isinstance(row, OverrideRow)
        self.overrides[row.node] = row
        return succeed(None)

    def remove(self, table: str, key: int) -> Deferred[None]:
        if self.error is not None:
            return fail(self.error)
        self.overrides.pop(key, None)
        return succeed(None)


class SomeLinks:
    """
    The links of a node: one that is there, one that is not.
    """

    def __init__(self) -> None:
        self.failure = ""
        self.port = 54000
        self.states = {25012: "linked", 25013: "unreachable"}

    def describeNodes(self) -> list[dict[str, Any]]:
        return [
            {
                "node": node,
                "transport": "udp",
                "address": f"192.0.2.{node % 100}",
                "port": 54001,
                "override": False,
                "state": state,
                "reason": "no answer" if state == "unreachable" else "",
            }
            for node, state in sorted(self.states.items())
        ]

    def describeRegistry(self) -> dict[str, Any]:
        row = {"available": True, "reason": "", "age": 0.2, "nodes": 2, "overrides": 0}
        bad = {"table": "nodes", "node": None, "row": "[1]", "reason": "no port"}
        return {"registry": {**row, "bad_rows": [bad]}}


class SomeBridges:
    """
    The bridges of a node: one of the enhanced protocol, which is up, and a plain one that has never
    been heard.

    @ivar rows: what is said of them, to be changed by tests.
    """

    def __init__(self) -> None:
        self.dropped: dict[str, int] = {"stranger": 4}
        self.rows: list[dict[str, Any]] = [
            self.row("north", 3101, enhanced=True, version=5, heard=2.5, dropped={"replayed": 2}),
            self.row("south / west", 3102),
        ]

    def row(self, name: str, peer: int, **more: Any) -> dict[str, Any]:
        """
        What is said of one that is up.
        """
        return {
            "name": name,
            "network": name,
            "peer": peer,
            "id": 25011,
            "enhanced": False,
            "version": None,
            "state": "up",
            "reason": None,
            "address": "192.0.2.31:62035",
            "heard": None,
            "talkgroups": "91, 2350-2359",
            "frames_sent": 11,
            "frames_received": 12,
            "frames_quenched": 3,
            "quenches_sent": 4,
            "quenches_received": 5,
            "dropped": {},
            **more,
        }

    def describe(self) -> list[dict[str, Any]]:
        return self.rows


class SomeUplinks:
    """
    The uplinks of a node: one that is logged in and one that is refused.

    @ivar rows: what is said of them, to be changed by tests.
    """

    def __init__(self) -> None:
        refused = {"state": "waiting", "reason": "it refuses our password", "logins": 0}
        self.rows: list[dict[str, Any]] = [
            self.row("east", 4_200_000_001, dropped={"private call": 6}),
            self.row("west", 4_200_000_002, **refused),
        ]

    def row(self, name: str, peer: int, **more: Any) -> dict[str, Any]:
        """
        What is said of one that is logged in.
        """
        return {
            "name": name,
            "network": name,
            "peer": peer,
            "id": 262000199,
            "state": "running",
            "address": "192.0.2.41:62031",
            "reason": None,
            "logins": 1,
            "frames_sent": 21,
            "frames_received": 22,
            "dropped": {},
            **more,
        }

    def describe(self) -> list[dict[str, Any]]:
        return self.rows


class SomeMessages:
    """
    Takes texts.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, int, bool]] = []
        self.room = 1

    def send(
        self, text: str, *, source: int, destination: int, now: float, group: bool = False
    ) -> bool:
        if len(text) > 100:
            raise ValueError("the text is too long for one message")
        if self.room <= 0:
            return False
        self.room -= 1
        self.sent.append((text, source, destination, group))
        return True


class SomeBroker:
    """
    A connection to a broker.
    """

    connected = True
    reason = ""


class SomeOutbox:
    """
    What waits for a broker.
    """

    dropped = 3

    def __len__(self) -> int:
        return 7


def describeBroker() -> dict[str, Any]:
    """
    What L{bmff.brokers.service.BrokerService} says.
    """
    numbers = {"connections": 1, "waiting": 7, "published": 5, "dropped": 3}
    commands = {"done": 2, "dropped": {"too old": 1}}
    said = {"broker": "localhost:1883", "connected": True, "reason": "", "commands": commands}
    return {"mqtt": {**said, **numbers}}


class SomeNode:
    """
    A node on a virtual clock, with its API.
    """

    def __init__(self, **more: Any) -> None:
        self.clock = Clock()
        self.network = VirtualNetwork(self.clock)
        self.events = Events()
        self.router = Router(self.events.publish)
        self.orders = Orders(SomeRules())
        self.homebrew = HomeBrew(
            self.clock,
            Turn(self.clock, self.router),
            self.events.publish,
            self.orders,
            bytes(32),
        )
        receiver = self.homebrew.port()
        self.port = self.network.bind(receiver, "192.0.2.1", 62031)
        receiver.transport = self.port
        self.rows = SomeRows()
        self.links = SomeLinks()
        self.bridges = SomeBridges()
        self.uplinks = SomeUplinks()
        self.messages = SomeMessages()
        self.broker = SomeBroker()
        self.dropped: list[Call] = []
        self.refusals = Refusals(self.clock.seconds)
        self.tokens: dict[str, SomeToken] = {
            "board": SomeToken.of("read", READER),
            "me": SomeToken.of("control", OPERATOR),
        }
        self.cookies = Cookies(25011, self.clock.seconds)
        self.admission = Admission(
            lambda: self.tokens, self.cookies, frozenset(("node.example.org",))
        )
        self.ports: list[Any] = []
        given: dict[str, Any] = {
            "ports": self.ports,
            "orders": self.orders,
            "homebrew": self.homebrew,
            "links": self.links,
            "registry": self.rows,
            "bridges": self.bridges,
            "uplinks": self.uplinks,
            "drop": self.dropped.append,
            "reload": lambda: Reloaded(("homebrew.static",), ("homebrew.listen",)),
            "messages": self.messages,
            "broker": self.broker,
            "outbox": SomeOutbox(),
            "describeBroker": describeBroker,
            "transports": ("udp", "tcp"),
        }
        wall: Callable[[], float] = lambda: NOON + self.clock.seconds()  # noqa: E731
        self.parts = Parts(
            network=25011,
            environment="test",
            version="0.1.0",
            boot=0x1234,
            clock=self.clock,
            moments=Moments(self.clock.seconds, wall),
            wallClock=wall,
            watch=self.events.watch,
            router=self.router,
            refusals=self.refusals,
            **(given | more),
        )
        self.api = Api(self.parts, self.admission, streams=3)
        self.happened: list[Event] = []
        self.events.watch(self.happened.append)

    def hotspot(self, station: Station) -> VirtualHotspot:
        """
        A hotspot that is logged in.
        """
        host = f"198.51.100.{station.peerID % 100}"
        hotspot = VirtualHotspot(self.network, self.port.address, station, b"passw0rd", "", host)
        hotspot.start()
        self.advance(0.1)
        return hotspot

    def call(self, hotspot: VirtualHotspot, *, frames: int = 6, stream: int = 0xBEEF) -> None:
        """
        Begin a call, and end it when all frames are wanted.
        """
        whole = list(
            voiceCall(source=2340001, destination=91, stream=stream, superframes=2, slot=1)
        )
        for frame in whole[:frames] if frames else whole:
            hotspot.send(frame)
            self.advance(0.06)

    def advance(self, seconds: float) -> None:
        """
        Let time pass in steps of 10 ms.
        """
        self.clock.pump([0.01] * max(1, round(seconds * 100)))


class ApiTestCase(TestCase):
    """
    The API of a node, over TCP on loopback.
    """

    timeout = 20

    def setUp(self) -> None:
        self.node = self.makeNode()
        self.serve(self.node)

    def makeNode(self) -> SomeNode:
        """
        The node that is served.
        """
        return SomeNode()

    def serve(self, node: SomeNode, **limits: Any) -> None:
        """
        Serve a node until the test is over.
        """
        gate = NetworkGate(root(node.api.resources), node.admission)
        self.site = ApiSite(gate, node.refusals, reactor, **limits)
        port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.addCleanup(self.close, port)
        self.port = port.getHost().port

    async def close(self, port: Any) -> None:
        """
        Close, and wait until all connections are gone.
        """
        self.node.api.stop()
        await port.stopListening()
        for connection in tuple(self.site.connections):
            connection.forceAbortClient()
        while self.site.connections:
            await deferLater(reactor, 0.001)

    async def connect(self, data: bytes) -> Caller:
        """
        Connect and send bytes.
        """
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
        caller: Caller = await connectProtocol(endpoint, Caller(data))
        return caller

    async def request(
        self,
        resource: str,
        order: object = None,
        *,
        token: str = "",
        method: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """
        Make one request: a POST where there is an order.
        """
        if order is not None:
            body = json.dumps(order).encode()
        method = method or ("POST" if order is not None else "GET")
        said = {"Host": f"127.0.0.1:{self.port}", "Connection": "close"}
        if method == "POST":
            said |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        if token:
            said["Authorization"] = f"Bearer {token}"
        said |= headers or {}
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        caller = await self.connect(f"{method} {resource} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        return Answer.of(await caller.ended)


def age(rows: SomeRows) -> None:
    """
    The registry is away, and has never been there.
    """
    rows.available, rows.reason, rows.age = False, "connection refused", inf
