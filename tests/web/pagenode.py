"""
A node for the tests of its page: in this process, its links and its page on loopback, its hotspots
in memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater

from bmff.access import Access
from bmff.config import parseConfiguration
from bmff.dmr.frame import Frame
from bmff.keys import Secrets
from bmff.node import Node
from bmff.sections.values import Address
from bmff.testing.hotspots import VirtualHotspot
from bmff.testing.network import VirtualNetwork
from bmff.web.admission import Admission
from bmff.web.api import Api
from bmff.web.cookies import Cookies
from bmff.web.livepage import LivePage
from bmff.web.orders import Orders
from bmff.web.parts import Parts
from bmff.web.refusals import Refusals
from bmff.web.views import Moments
from bmff.web.webservice import WebService
from bmff.wire.homebrew import Station
from tests.web.apicase import (
    OPERATOR,
    READER,
    SomeBridges,
    SomeMessages,
    SomeToken,
    SomeUplinks,
)

reactor: Any = _reactor  # mypy does not know which reactor there is
FRAME: Final = 0.06  # seconds


@dataclass(frozen=True, slots=True)
class PageListening:
    """
    See L{bmff.web.webservice.Listening}.
    """

    listen: tuple[Address, ...] | None
    tls: tuple[Address, ...] = ()
    certificate: Path | None = None
    privateKey: Path | None = None
    connections: int = 100


class PageHotspot(VirtualHotspot):
    """
    A hotspot that logs in and keeps no timer.
    """

    _talking: LoopingCall | None = None

    def start(self) -> None:
        self.client.start(self._network.clock.seconds())
        self.flush()

    def talk(self, frames: Iterable[Frame], pitch: float = FRAME) -> None:
        """
        Send frames until they are used up or the hotspot falls silent.
        """
        left = iter(frames)
        self.silence()
        self._talking = LoopingCall(lambda: self.send(next(left)))
        self._talking.start(pitch).addErrback(lambda failure: failure.trap(StopIteration))

    def silence(self) -> None:
        """
        Send nothing more.
        """
        if self._talking is not None and self._talking.running:
            self._talking.stop()

    async def say(self, frames: list[Frame]) -> None:
        """
        Send frames at their pace.
        """
        for frame in frames:
            self.send(frame)
            await deferLater(reactor, FRAME)


@dataclass
class PageNode:
    """
    One of them.

    @ivar folder: for its state; nodes of one folder find each other.
    @ivar number: its node ID.
    @ivar port: that of its page.
    """

    folder: Path
    number: int = 25011
    port: int = 0
    links: bool = False
    bridges: SomeBridges | None = None
    uplinks: SomeUplinks | None = None
    node: Node = field(init=False)
    network: VirtualNetwork = field(init=False)
    messages: SomeMessages = field(init=False)
    api: Api = field(init=False)

    @property
    def address(self) -> str:
        """
        Of the page.
        """
        return f"http://127.0.0.1:{self.port}/"

    async def start(self) -> None:
        """
        Begin.
        """
        text = (
            f'network = {self.number}\nstate = "{self.folder}"\n[web]\nenabled = false\n'
            '[homebrew]\nlisten = ["127.0.0.1:0"]\n'
        )
        if self.links:
            text += f'[fastforward]\nlisten = ["127.0.0.1"]\nfolder = "{self.folder}"\n'
        configuration = parseConfiguration(text, "test", self.folder)
        path = self.folder / "secrets.toml"
        secrets = Secrets.create(path)
        self.node = node = Node(reactor, configuration, secrets)
        settings, homebrew = configuration.homebrew, node.homebrew
        assert settings is not None
        assert homebrew is not None
        password = secrets.homebrewPassword(settings.password)
        assert password is not None
        self._password = password
        self.network = VirtualNetwork(reactor)
        receiver = homebrew.port()
        self._master = self.network.bind(receiver, "192.0.2.1", 62031)
        receiver.transport = self._master
        self.messages = SomeMessages()
        self.messages.room = 100
        tokens: Mapping[str, SomeToken] = {
            "board": SomeToken.of("read", READER),
            "me": SomeToken.of("control", OPERATOR),
        }
        links, refusals = node.links, Refusals(reactor.seconds)
        admission = Admission(lambda: tokens, Cookies(self.number, reactor.seconds))
        parts = Parts(
            network=self.number,
            environment="test",
            version="0.1.0",
            boot=time.monotonic_ns(),
            clock=reactor,
            moments=Moments(reactor.seconds, time.time),
            wallClock=time.time,
            watch=node.events.watch,
            router=node.router,
            refusals=refusals,
            orders=Orders(Access(settings, secrets)),
            homebrew=homebrew,
            ports=(self._master,),  # type: ignore[arg-type]
            links=links,
            choices=links.choices if links is not None else None,
            registry=links.registry if links is not None else None,
            bridges=self.bridges,
            uplinks=self.uplinks,
            messages=self.messages,
        )
        listening = PageListening((Address("127.0.0.1", self.port),))
        self.api = Api(parts, admission)
        web = WebService(reactor, listening, self.api, admission, refusals, LivePage())
        web.setServiceParent(node)
        node.startService()
        self.port = web.ports[0].getHost().port
        if links is not None:
            await links.started

    def stop(self) -> Deferred[Any]:
        """
        End.
        """
        self.network.unbind(self._master)  # as a socket that is closed hears nobody
        stopped: Deferred[Any] = self.node.stopService()
        return stopped.addCallback(lambda _: self.node.turn.stop())

    def hotspot(self, station: Station) -> PageHotspot:
        """
        A hotspot that logs in.
        """
        host = f"198.51.{100 + station.peerID // 250 % 100}.{station.peerID % 250}"
        hotspot = PageHotspot(self.network, self._master.address, station, self._password, "", host)
        hotspot.start()
        return hotspot
