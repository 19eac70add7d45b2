"""
What the tests of reloading share: a node from a file, on a network in memory, with the networks
around it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed

import bmff.bridges
import bmff.hotspots
import bmff.node
import bmff.uplinks
from bmff.bridges import BridgeService
from bmff.config import loadConfiguration
from bmff.dmr.frame import Frame
from bmff.dmr.voice import voiceCall
from bmff.events import Event
from bmff.keys import Secrets
from bmff.node import Node
from bmff.protocols.homebrew import HomeBrew
from bmff.protocols.turn import Turn
from bmff.registry.memory import STOPPED, RowsInMemory
from bmff.reload import Reload, Reloaded
from bmff.router.router import Router
from bmff.sections.openbridge import BridgeEntry, OpenBridge
from bmff.sections.values import Address
from bmff.sockets.addresses import packAddress
from bmff.sockets.datagrams import DatagramReceiver
from bmff.sockets.fanout import FanOut
from bmff.testing.everybody import Everybody
from bmff.testing.hotspots import VirtualHotspot
from bmff.testing.network import VirtualNetwork
from bmff.wire.homebrew import Station
from tests.nodes import HomeTestCase
from tests.test_bridges import NamingClock

HERE = "192.0.2.1"
SECRETS = """
[homebrew]
hotspots = "passw0rd"
[bridges]
one = "passw0rd"
two = "passw0rd"
[fastforward]
group = {key = "0000000000000000000000000000000000000000000000000000000000000000"}
"""
HOMEBREW = f"""
network = 25011
state = "state"
[web]
enabled = false
[homebrew]
listen = ["{HERE}:62031"]
static = {{ 2 = [91] }}
"""
OPENBRIDGE = f"""
[openbridge]
listen = ["{HERE}:62035"]
"""


def bridge(name: str, host: str = "203.0.113.5", *lines: str) -> str:
    """
    A bridge in a file.
    """
    said = "".join(f"{line}\n" for line in lines)
    password = "" if "password" in said else 'password = "one"\n'
    return (
        f'[[openbridge.bridge]]\nname = "{name}"\npeer = 3102\nhost = "{host}"\n{password}{said}\n'
    )


def uplink(name: str, host: str = "203.0.113.1", *lines: str) -> str:
    """
    An uplink in a file, which takes talkgroup 91 along on slot 2.
    """
    said = "".join(f"{line}\n" for line in lines)
    static = "" if "static" in said else "static = { 2 = [91] }\n"
    return (
        f'[[uplink]]\nname = "{name}"\nmaster = ["{host}:62031"]\nid = 262000199\n'
        f'callsign = "G4TST"\npassword = "one"\noptions = "TS2=91"\n{static}{said}\n'
    )


class MemoryPort:
    """
    A socket on the network in memory; stands in for L{bmff.sockets.datagrams.DatagramPort}.
    """

    descriptor = -1

    def __init__(
        self, network: VirtualNetwork, host: str, port: int, receiver: DatagramReceiver
    ) -> None:
        self.host = HERE if host == "0.0.0.0" else host
        self.port = port
        self._network = network
        self._bound = network.bind(receiver, self.host, port)
        self.address = self._bound.address

    def startListening(self) -> None:
        """
        It listens anyway.
        """

    def stopListening(self) -> None:
        """
        Close.
        """
        self._network.unbind(self._bound)

    def sendTo(self, data: bytes, address: bytes) -> bool:
        """
        Send one datagram.
        """
        return self._bound.sendTo(data, address)

    def fanOut(self, prefixSize: int, middleSize: int, suffixSize: int) -> FanOut:
        """
        A table of receivers.
        """
        return self._bound.fanOut(prefixSize, middleSize, suffixSize)


class OneKey:
    """
    The secrets of another network.
    """

    def bridgePassword(self, secretID: str) -> bytes | None:
        return b"passw0rd"


class SilentRegistry(RowsInMemory):
    """
    A registry that has no rows, and gets none.
    """

    def start(self) -> Deferred[None]:
        """
        See L{IRegistry.start}.
        """
        self.available, self.reason = True, ""
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """
        See L{IRegistry.stop}.
        """
        self.available, self.reason = False, STOPPED
        return succeed(None)


class ReloadTestCase(HomeTestCase):
    """
    A node that reads its file again.

    @ivar events: what has happened in it.
    """

    def setUp(self) -> None:
        super().setUp()
        self.clock = NamingClock()
        self.network = VirtualNetwork(self.clock)
        for module in (bmff.hotspots, bmff.bridges, bmff.uplinks):
            self.patch(module, "DatagramPort", self.port)
        self.patch(bmff.node, "makeRegistry", lambda *_: SilentRegistry(self.clock, None))
        self.events: list[Event] = []
        self.streams = 1000
        self.home.state.mkdir(mode=0o700)
        self.path = self.home.folder / "node.toml"
        self.secrets = Secrets.create(self.home.state / "secrets.toml")
        self.keep(SECRETS)
        self.secrets.refresh()

    def port(
        self, reactor: object, host: str, port: int, receiver: DatagramReceiver, **more: Any
    ) -> MemoryPort:
        """
        A socket.
        """
        return MemoryPort(self.network, host, port, receiver)

    def keep(self, text: str) -> None:
        """
        Write the secrets.
        """
        path = self.home.state / "secrets.toml"
        new = path.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o600)
        new.replace(path)

    def make(self, text: str) -> Node:
        """
        A node from a file; it is not started.
        """
        self.path.write_text(text)
        node = Node(self.clock, loadConfiguration(self.path), self.secrets)
        node.file = Reload(Path(self.path), node)
        return node

    def start(self, *parts: str) -> Node:
        """
        A node that has had the time to log in everywhere.
        """
        node = self.node = self.make("".join(parts))
        node.events.watch(self.events.append)
        node.startService()
        self.addCleanup(node.stopService)
        self.advance(0.2)
        return node

    def reload(self, *parts: str) -> Reloaded:
        """
        Have the node read its file, which says something else now.
        """
        self.path.write_text("".join(parts))
        return self.node.reload()

    def advance(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.clock.pump([0.01] * round(seconds * 100))

    def hotspot(self, number: int, host: str = HERE, options: str = "") -> VirtualHotspot:
        """
        A hotspot that is logged in at a master.
        """
        there = packAddress(host, 62031)
        station = Station(number, f"N{number}", slots=3)
        hotspot = VirtualHotspot(self.network, there, station, options=options)
        hotspot.start()
        self.advance(0.1)
        self.assertTrue(hotspot.running)
        return hotspot

    def master(self, host: str) -> Router:
        """
        The master of another network.
        """
        router = Router(lambda event: None)
        turn = Turn(self.clock, router)
        master = HomeBrew(self.clock, turn, lambda event: None, Everybody(), bytes(32))
        receiver = master.port()
        receiver.transport = self.network.bind(receiver, host, 62031)
        return router

    def bridged(self, host: str, **more: Any) -> BridgeService:
        """
        The other end of a bridge.
        """
        router = Router(lambda event: None)
        entry = BridgeEntry("back", 25011, HERE, 62035, **{"id": 3102, **more})
        section = OpenBridge((Address(host, 62035),), (entry,))
        service = BridgeService(
            self.clock, Turn(self.clock, router), section, 3102, OneKey(), lambda: 1.7e9
        )
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def came(self, service: BridgeService) -> int:
        """
        How many frames have come over a bridge to its other end.
        """
        return service.openBridge.trunks["back"].bridge.framesReceived

    def call(self, superframes: int = 10, destination: int = 91) -> list[Frame]:
        """
        The frames of a call.
        """
        self.streams += 1
        return list(
            voiceCall(
                source=2340001,
                destination=destination,
                stream=self.streams,
                superframes=superframes,
            )
        )

    def say(self, hotspot: VirtualHotspot, destination: int = 91) -> list[Frame]:
        """
        A call from its beginning to its end, and a pause.
        """
        frames = self.call(2, destination)
        hotspot.talk(frames)
        self.advance(len(frames) * 0.06 + 6.0)
        return frames

    def assertWhole(self, heard: Iterable[Frame], frames: list[Frame]) -> None:
        """
        A call has come whole and in order.
        """
        self.assertEqual(
            [(one.stream, one.sequence, one.burst) for one in heard],
            [(one.stream, one.sequence, one.burst) for one in frames],
        )
