"""
What the tests of uplinks share: another network with a master of its own, and this node.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from bmff.dmr.frame import Frame
from bmff.dmr.voice import voiceCall
from bmff.errors import TransportUnavailable
from bmff.events import Event
from bmff.protocols.homebrew import HomeBrew
from bmff.protocols.turn import Turn
from bmff.protocols.uplink import Socket, Uplink
from bmff.protocols.uplinkpeer import UplinkSettings
from bmff.router.router import Router
from bmff.sockets.addresses import IPV6_SIZE, packAddress
from bmff.sockets.datagrams import DatagramReceiver
from bmff.testing.everybody import Everybody
from bmff.testing.hotspots import VirtualHotspot
from bmff.testing.network import VirtualNetwork, VirtualPort
from bmff.wire.homebrew import Station
from tests.protocols.test_homebrew import PASSWORD, HomeBrewTestCase

ID = 262000199
PEER = 4_200_000_001
MASTER = ("master.example", 62031)
HERE = "192.0.2.100"


class OpenSocket:
    """
    A socket of this node on the virtual network.
    """

    def __init__(self, network: VirtualNetwork, port: VirtualPort) -> None:
        self.port = port
        self.open = True
        self._network = network

    def sendTo(self, data: bytes, address: bytes) -> bool:
        """
        Send one datagram.
        """
        return self.port.sendTo(data, address)

    def stopListening(self) -> None:
        """
        Close.
        """
        self.open = False
        self._network.unbind(self.port)


class World:
    """
    What uplinks need of the world; see L{bmff.protocols.uplink.Surroundings}.

    @ivar names: the addresses of each name.
    @ivar asked: the names that were asked for.
    @ivar late: whether answers about names wait until L{answer}.
    @ivar secret: what passwords are.
    @ivar sockets: all that were opened.
    @ivar full: whether there is no socket to be had.
    @ivar events: what was published.
    """

    def __init__(self, network: VirtualNetwork) -> None:
        self.names: dict[str, list[str]] = {MASTER[0]: ["192.0.2.1"]}
        self.asked: list[str] = []
        self.late = False
        self.secret: bytes | None = PASSWORD
        self.sockets: list[OpenSocket] = []
        self.full = False
        self.events: list[Event] = []
        self._network = network
        self._questions: list[tuple[Deferred[list[bytes]], str, int]] = []

    @property
    def open(self) -> list[OpenSocket]:
        """
        The sockets that are open.
        """
        return [each for each in self.sockets if each.open]

    def find(self, host: str, port: int) -> Deferred[list[bytes]]:
        """
        Where a name leads.
        """
        self.asked.append(host)
        found: Deferred[list[bytes]] = Deferred()
        self._questions.append((found, host, port))
        if not self.late:
            self.answer()
        return found

    def answer(self) -> None:
        """
        Answer what was asked.
        """
        questions, self._questions = self._questions, []
        for found, host, port in questions:
            addresses = [packAddress(each, port) for each in self.names.get(host, ())]
            if addresses:
                found.callback(addresses)
            else:
                found.errback(TransportUnavailable(f"no address for {host}"))

    def openSocket(self, receiver: DatagramReceiver, addressSize: int) -> Socket:
        """
        A socket of its own.
        """
        if self.full:
            raise TransportUnavailable("no socket: too many open files")
        host = "2001:db8::100" if addressSize == IPV6_SIZE else HERE
        one = OpenSocket(self._network, self._network.bind(receiver, host))
        self.sockets.append(one)
        return one

    def passphrase(self, uplink: Uplink) -> bytes | None:
        """
        The password.
        """
        return self.secret

    def changed(self, uplink: Uplink, now: float) -> None:
        """
        All that is wanted goes out.
        """
        if uplink.running:
            uplink.peer.hear(uplink.peer.wanted, now)

    def publish(self, event: Event) -> None:
        """
        Keep it.
        """
        self.events.append(event)


class UplinkTestCase(HomeBrewTestCase):
    """
    The master of the other network is that of L{HomeBrewTestCase}; this node is at L{HERE}.

    @ivar own: the events of this node.
    """

    def setUp(self) -> None:
        super().setUp()
        self.world = World(self.network)
        self.own: list[Event] = []
        self.here = Router(self.own.append)
        self.turn = Turn(self.clock, self.here)
        self.home = HomeBrew(self.clock, self.turn, self.own.append, Everybody(), bytes(32))
        receiver = self.home.port()
        self.homePort = receiver.transport = self.network.bind(receiver, HERE, 62031)
        self.streams = 100

    def settings(self, *, slots: int = 4, options: str = "", **more: Any) -> UplinkSettings:
        """
        A hotspot's with talkgroup 91, and what else is said.
        """
        page: dict[str, Any] = {
            "name": "theirs",
            "network": "north",
            "masters": (MASTER,),
            "static": {2: (91,)},
            "station": Station(ID, "G4TST", slots=slots),
            "options": options,
        }
        return UplinkSettings(**page | more)

    def uplink(self, **more: Any) -> Uplink:
        """
        An uplink that has had the time to log in; their master sends it talkgroup 91.
        """
        settings = self.settings(**{"options": "TS2=91", **more})
        uplink = Uplink(self.clock, self.turn, settings, PEER, self.world)
        uplink.start()
        self.advance(0.1)
        self.addCleanup(uplink.stop)
        return uplink

    def listener(self, peerID: int, options: str = "", slots: int = 3) -> VirtualHotspot:
        """
        A hotspot that is logged in to this node.
        """
        station = Station(peerID, f"N{peerID}", slots=slots)
        hotspot = VirtualHotspot(
            self.network, self.homePort.address, station, PASSWORD, options, "198.51.100.77"
        )
        hotspot.start()
        self.advance(0.1)
        return hotspot

    def say(self, hotspot: VirtualHotspot, destination: int = 91, **more: Any) -> list[Frame]:
        """
        A call of two superframes, each under a stream ID of its own, and a pause after which slots
        are free again.

        @return: its frames.
        """
        self.streams += 1
        call: dict[str, Any] = {"source": 2340001, "stream": self.streams, "superframes": 2}
        frames = list(voiceCall(destination=destination, **call | more))
        hotspot.talk(frames)
        self.advance(len(frames) * 0.06 + 6.0)
        return frames

    def assertHeard(self, hotspot: VirtualHotspot, frames: list[Frame]) -> None:
        """
        A hotspot has heard these frames, burst for burst, and nothing else; it forgets them.
        """
        heard, hotspot.heard = hotspot.heard, []
        self.assertEqual([one.burst for one in heard], [one.burst for one in frames])
        self.assertEqual([one.sequence for one in heard], [one.sequence for one in frames])
        self.assertEqual([one.stream for one in heard], [one.stream for one in frames])
