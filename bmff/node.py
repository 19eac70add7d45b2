"""
One node: reads its options, makes every part once and puts them together.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import SystemRandom
from typing import Any, Final, NoReturn

from twisted.application.internet import TimerService
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, succeed
from twisted.python import usage

from bmff.access import Access
from bmff.bridges import BridgeService
from bmff.brokers.meter import Meter
from bmff.brokers.service import BrokerService
from bmff.config import Configuration, loadConfiguration
from bmff.errors import ConfigurationError, Mistake
from bmff.events import Events
from bmff.exchange import Exchange
from bmff.hotspots import HomeBrewService
from bmff.journal import Journal
from bmff.keys import LOOK_INTERVAL, Secrets, SecretsWatch, openSecrets
from bmff.linkservice import LinkService
from bmff.protocols.homebrew import HomeBrew
from bmff.protocols.turn import Turn
from bmff.registries import RegistryService, makeRegistry
from bmff.reload import Reload, Reloadable, Reloaded, prepareAll, taken
from bmff.router.call import Call
from bmff.sections.fastforward import FastForward
from bmff.sections.homebrew import Homebrew
from bmff.sections.mqtt import MQTT
from bmff.sections.openbridge import OpenBridge
from bmff.sections.values import Address
from bmff.sockets.datagrams import DatagramPort
from bmff.systemd import SupervisionService, Supervisor, startEnvironment
from bmff.uplinks import UplinkService
from bmff.web.admission import Admission
from bmff.web.api import Api
from bmff.web.controlservice import ControlService, makeStateFolder
from bmff.web.cookies import Cookies
from bmff.web.livepage import LivePage
from bmff.web.orders import Orders
from bmff.web.parts import Parts
from bmff.web.refusals import Refusals
from bmff.web.views import Moments
from bmff.web.webservice import WebService, hostNames

HOTSPOT_TABLES: Final = ("peers", "subscriptions")  # of the registry
# Of the garbage collector: new objects until it looks at them, such looks until it looks at those
# before too, and of these until it looks at all. Frames need none of it, but events do: a look at
# 50,000 objects would keep every frame waiting for 40 ms.
_COLLECTING: Final = (700, 20, 10)


class Options(usage.Options):
    """
    The options of C{twistd bmnode}.

    @ivar configuration: what the file says.
    @ivar secrets: what the secrets file says.
    """

    synopsis = "[options]"
    longdesc = "Runs one node of a DMR network; see etc/bmnode.toml for what a file may say."
    optParameters = [["config", "c", "/etc/bmff/bmnode.toml", "the node's configuration file"]]

    configuration: Configuration
    secrets: Secrets

    def postOptions(self) -> None:
        """
        Read both files.

        @raise SystemExit: they have mistakes, each of which has been written to standard error;
            a usage error would show them under a page of words on twistd.
        """
        try:
            self.configuration = loadConfiguration(self["config"])
            makeStateFolder(self.configuration)
            self.secrets, made = openSecrets(self.configuration.secrets)
        except ConfigurationError as error:
            sys.stderr.write(f"{error}\n")
            raise SystemExit(1) from None
        if made:
            sys.stderr.write(welcome(self.configuration, self.secrets, sys.stderr.isatty()))


def welcome(configuration: Configuration, secrets: Secrets, person: bool) -> str:
    """
    What somebody has to know who starts a node for the first time.

    @param person: whether a person reads it, who may see the password; a log may not.
    """
    path = configuration.secrets
    homebrew = configuration.homebrew
    lines = [f"Made {path} with new random secrets."]
    if homebrew is not None:
        password = secrets.homebrewPassword(homebrew.password)
        ports = sorted({endpoint.port for endpoint in homebrew.listen})
        shown = password.decode() if person and password else f"see [homebrew] in {path}"
        lines += [
            "A hotspot (Pi-Star, WPSD, MMDVMHost, DMRGateway) logs in with",
            "  address   this machine's",
            f"  port      {', '.join(map(str, ports))} (UDP)",
            f"  password  {shown}",
        ]
    return "\n".join(lines) + "\n"


def makeService(options: Options) -> IService:
    """
    The service of one node, for twistd.

    @raise SystemExit: the configuration names what is not there.
    """
    from twisted.internet import reactor

    # Twisted's own clock is the wall clock: a step of NTP would end every call.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    supervisor = Supervisor.fromEnvironment(startEnvironment(), os.getpid())
    try:
        node = TwistdNode(reactor, options.configuration, options.secrets, supervisor)
    except ConfigurationError as error:  # no such registry
        raise SystemExit(f"bmnode: {error}") from None
    node.file = Reload(Path(options["config"]), node)
    return node


class Node(MultiService):
    """
    One node as a service; may be part of any Twisted application.

    @ivar configuration: what counts now: what it was made from, with what was changed since.
    @ivar supervisor: what has started its process.
    @ivar events: what happens in it; watch them with C{events.watch}.
    @ivar router: who hears whom.
    @ivar exchange: what calls pass through.
    @ivar turn: ends each turn.
    @ivar homebrew: the HomeBrew master, or L{None} when it is not configured.
    @ivar orders: what was ordered by hand of logins, or L{None} when there is no HomeBrew master.
    @ivar file: reads the configuration again, or L{None} when it did not come from a file.
    @ivar api: the HTTP API, or L{None} when it is switched off.
    @ivar web: its ports on the network, or L{None} when it is switched off.
    @ivar registry: what nodes know together. It is no part among the others: it is there before
        they start, and until they have ended.
    @ivar links: the links to other nodes, or L{None} when they are not configured.
    @ivar bridges: the bridges to other networks, or L{None} when they are not configured.
    @ivar uplinks: the logins at other networks; they may come while the node runs.
    """

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        secrets: Secrets,
        supervisor: Supervisor | None = None,
    ) -> None:
        """
        @param reactor: its clock ought to be monotonic.
        @param supervisor: what may have opened sockets for the node.
        """
        super().__init__()
        self.configuration = configuration
        self.file: Reload | None = None
        self.api: Api | None = None
        self.web: WebService | None = None
        self._clock = reactor
        self.supervisor = supervisor or Supervisor()
        journal = Journal(configuration.network)
        self.events = Events(journal.watcherFailed)
        self.events.watch(journal)
        self.homebrew: HomeBrew | None = None
        self.orders: Orders | None = None
        homebrew = configuration.homebrew
        times = {"hangTime": homebrew.hangTime, "talkLimit": homebrew.talkLimit} if homebrew else {}
        self.exchange = Exchange(
            reactor, self.events.publish, rules=configuration.routing.rules, **times
        )
        self.router = self.exchange.router
        self.turn = Turn(reactor, self.router)
        self.links: LinkService | None = None
        self.bridges: BridgeService | None = None
        self.uplinks = UplinkService(
            reactor, self.turn, configuration.uplink, secrets, self.events.publish
        )
        self._access: Access | None = None
        self._hotspots: HomeBrewService | None = None
        self._ports: list[DatagramPort] = []
        self.broker: BrokerService | None = None
        if configuration.mqtt is not None:  # first, so that it stops last and tells of all ends
            self._addBroker(reactor, configuration.mqtt, secrets)
        if homebrew is not None:
            self._addHomeBrew(reactor, homebrew, secrets)
        self.registry = RegistryService(makeRegistry(reactor, configuration.registry, secrets))
        if self._access is not None:
            self._access.rows = self.registry.registry
            self.registry.registry.watch(self._rowsChanged)  # also of what it reads at its start
        if configuration.fastforward is not None:
            self._addLinks(reactor, configuration.fastforward, secrets)
        if configuration.openbridge is not None:
            self._addBridges(reactor, configuration.openbridge, secrets)
        self.uplinks.setServiceParent(self)
        self._secretsWatch = SecretsWatch(secrets, self._secretsChanged)
        TimerService(LOOK_INTERVAL, self._secretsWatch.look).setServiceParent(self)
        if configuration.web.enabled:
            self._addApi(reactor, secrets)

    @classmethod
    def fromFile(cls, reactor: Any, path: str | os.PathLike[str]) -> Node:
        """
        A node for an application of somebody's own, as its file says; its state folder and its
        secrets are made when they are not there. The reactor's clock is the monotonic one from
        then on, since a step of the wall clock would end every call.

        @raise ConfigurationError: the files have mistakes.
        """
        reactor.seconds = time.monotonic
        configuration = loadConfiguration(path)
        makeStateFolder(configuration)
        secrets, _ = openSecrets(configuration.secrets)
        node = cls(reactor, configuration, secrets)
        node.file = Reload(Path(path), node)
        return node

    def startService(self) -> None:
        """
        Start every part.

        @raise ConfigurationError: a socket cannot be had; stop the node then, as some of its
            parts may run.
        """
        self.registry.startService()
        super().startService()

    @property
    def alive(self) -> frozenset[str]:
        """
        The places in a configuration file that it can take on while it runs.
        """
        return frozenset[str]().union(*(part.alive for part in self._reloadable().values()))

    def reconfigure(self, configuration: Configuration) -> None:
        """
        Take on what stands at those places. The secrets are looked at first, as what is new may
        need new ones.

        @raise ConfigurationError: with all that cannot be taken on; nothing has changed.
        """
        self._secretsWatch.look()
        counts = taken(self.configuration, configuration, self.alive)
        take = prepareAll(self._reloadable(), counts)
        take()
        self.turn.ended()
        self.configuration = counts

    def _reloadable(self) -> dict[str, Reloadable[Any]]:
        """
        The parts that take on changes, by the sections that they have.
        """
        parts: dict[str, Reloadable[Any] | None] = {
            "routing": self.exchange,
            "homebrew": self._hotspots,
            "fastforward": self.links,
            "openbridge": self.bridges,
            "uplink": self.uplinks,
            "mqtt": self.broker,
            "web": self.web,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def reload(self) -> Reloaded:
        """
        Read the configuration file again.

        @raise ConfigurationError: it has mistakes, or this node was not started with a file.
        """
        if self.file is None:
            raise ConfigurationError([Mistake("configuration", "this node has none in a file")])
        return self.file.reload()

    def stopService(self) -> Deferred[Any]:
        """
        Stop every part, and then the clock of calls and the registry.

        @return: fires when all is closed.
        """
        stopping: Deferred[Any] = super().stopService()
        return stopping.addBoth(self._stopped)

    def _stopped(self, result: object) -> Deferred[object]:
        self.turn.stop()
        return self.registry.stopService().addBoth(lambda _: result)

    def _addHomeBrew(self, reactor: Any, homebrew: Homebrew, secrets: Secrets) -> None:
        self._access = Access(homebrew, secrets)
        access = self.orders = Orders(self._access)
        master = self.homebrew = HomeBrew(
            reactor,
            self.turn,
            self.events.publish,
            access,
            os.urandom(32),
            peerTimeout=homebrew.peerTimeout,
        )
        service = self._hotspots = HomeBrewService(
            reactor, master, self.router, homebrew, self.supervisor, self._access
        )
        service.setServiceParent(self)
        self._ports = service.ports
        if homebrew.beaconInterval:
            TimerService(homebrew.beaconInterval, master.requestBeacons).setServiceParent(self)

    def _addLinks(self, reactor: Any, settings: FastForward, secrets: Secrets) -> None:
        self.links = LinkService(
            reactor,
            self.configuration,
            settings,
            secrets,
            self.registry,
            self.turn,
            self.events.publish,
        )
        self.events.watch(self.links.cluster.watch)
        self.events.watch(self.links.choices.watch)
        self.links.setServiceParent(self)

    def _addBridges(self, reactor: Any, settings: OpenBridge, secrets: Secrets) -> None:
        self.bridges = BridgeService(
            reactor,
            self.turn,
            settings,
            self.configuration.network,
            secrets,
            time.time,
            self.supervisor,
            self.events.publish,
        )
        self.bridges.setServiceParent(self)

    def _rowsChanged(self, table: str) -> None:
        """
        The registry says something else than before.
        """
        if table in HOTSPOT_TABLES and self.homebrew is not None and self._access is not None:
            self.homebrew.reviewAccess(self._access.rowsChanged())

    def _secretsChanged(self) -> None:
        if self.homebrew is not None:
            self.homebrew.reviewAccess()
        if self.bridges is not None:
            self.bridges.reviewSecrets()
        self.uplinks.reviewSecrets()

    def _addBroker(self, reactor: Any, settings: MQTT, secrets: Secrets) -> None:
        self.broker = BrokerService(
            reactor,
            self.configuration.network,
            SystemRandom().getrandbits(64),
            settings,
            secrets.mqttPassword,
            time.time,
            commands=self.exchange,
            readings=Meter(self.router),
        )
        self.events.watch(self.broker.watch)
        self.broker.setServiceParent(self)

    def _addApi(self, reactor: Any, secrets: Secrets) -> None:
        configuration, links, broker = self.configuration, self.links, self.broker
        web, settings = configuration.web, configuration.fastforward
        refusals = Refusals(reactor.seconds)
        cookies = Cookies(configuration.network, reactor.seconds)
        admission = Admission(secrets.tokens, cookies, hostNames(web.hosts), web.public)
        parts = Parts(
            network=configuration.network,
            environment=settings.environment if settings is not None else "",
            version=programVersion(),
            boot=links.fastForward.bootID if links is not None else SystemRandom().getrandbits(64),
            clock=reactor,
            moments=Moments(reactor.seconds, time.time),
            wallClock=time.time,
            watch=self.events.watch,
            router=self.router,
            refusals=refusals,
            orders=self.orders,
            homebrew=self.homebrew,
            ports=self._ports,
            links=links,
            choices=links.choices if links is not None else None,
            registry=self.registry.registry,
            describeRegistry=self.registry.describe,
            bridges=self.bridges,
            uplinks=self.uplinks,
            drop=self._drop,
            reload=self.reload,
            messages=self.exchange.texts,
            broker=broker,
            outbox=broker.outbox if broker is not None else None,
            describeBroker=broker.describe if broker is not None else None,
            dropped={"fastforward": links.fastForward.dropped} if links is not None else {},
            transports=links.transports if links is not None else (),
            public=(settings.public or "") if settings is not None else "",
        )
        self.api = Api(parts, admission, streams=web.streams)
        self.web = WebService(reactor, web, self.api, admission, refusals, LivePage())
        self.web.setServiceParent(self)
        control = ControlService(reactor, configuration, self.api.resources, refusals)
        control.setServiceParent(self)

    def _drop(self, call: Call) -> None:
        """
        End a call by hand.
        """
        self.router.dropCall(call, self._clock.seconds())
        self.turn.ended()


def programVersion() -> str:
    """
    The version of bmff; 0 for a tree of sources that is not installed.
    """
    try:
        return version("bmff")
    except PackageNotFoundError:
        return "0"


class TwistdNode(Node):
    """
    A node that is all that its process runs: a start that cannot succeed ends it with one plain
    line and exit code 1, no traceback. What has started the process is told how it is.
    """

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        secrets: Secrets,
        supervisor: Supervisor | None = None,
    ) -> None:
        super().__init__(reactor, configuration, secrets, supervisor)
        ready: Deferred[None] = succeed(None) if self.links is None else self.links.started
        SupervisionService(
            reactor,
            self.supervisor,
            ready,
            self.describe,
            lambda: [port.descriptor for port in self._ports],
        ).setServiceParent(self)

    def describe(self) -> str:
        """
        Where this node is reached, as one line for people.
        """
        parts = [f"{Address(port.host, port.port)}" for port in self._ports]
        said = [f"hotspots log in at {', '.join(parts)}"] if parts else []
        if self.links is not None:
            failure = self.links.failure
            none = f"no links to other nodes{f': {failure}' if failure else ' yet'}"
            reached = f"other nodes reach it at port {self.links.port}"
            said.append(reached if self.links.port and not failure else none)
        return f"node {self.configuration.network}: {'; '.join(said) or 'it has no stack'}"

    def privilegedStartService(self) -> None:
        """
        See L{Node}.

        @raise SystemExit: a socket cannot be had.
        """
        try:
            super().privilegedStartService()
        except ConfigurationError as error:
            self._end(error)

    def startService(self) -> None:
        """
        See L{Node}. What was made until now stays, and the garbage collector need not look at it
        again; it is the process's, so a node inside of another application leaves it alone.

        @raise SystemExit: a socket cannot be had.
        """
        try:
            super().startService()
        except ConfigurationError as error:
            self._end(error)
        if self.file is not None:
            signal.signal(signal.SIGHUP, self._hungUp)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECTING)

    def _hungUp(self, number: int, frame: object) -> None:
        # Within a signal nothing else is safe.
        if self.file is not None:
            self._clock.callFromThread(self.file.signalled)

    def _end(self, error: ConfigurationError) -> NoReturn:
        raise SystemExit(f"bmnode: {error}") from None
