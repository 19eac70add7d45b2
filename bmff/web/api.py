"""
The HTTP API of a node: every resource made once and put together, with what they watch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]
from twisted.web.resource import IResource
from twisted.web.server import Request

from bmff.web import schemas
from bmff.web.admission import Admission
from bmff.web.clusterview import ClusterView
from bmff.web.counters import CountersView
from bmff.web.feed import MOST, Feed
from bmff.web.happenings import LINKS, Happenings, blurPeers, measured
from bmff.web.health import Health, HealthResource
from bmff.web.lag import Lag
from bmff.web.lastheard import LastHeard
from bmff.web.links import LinksView
from bmff.web.metrics import MetricsResource, NodeCollector
from bmff.web.operation import EVENT_STREAM, TEXT, Operation, describe
from bmff.web.overrides import OverridesView
from bmff.web.parts import Parts
from bmff.web.resource import JSON, MESSAGEPACK, Action, Branch, Missing, View
from bmff.web.rights import Right
from bmff.web.schema import Schema
from bmff.web.signin import SignIn, SignOut, Who
from bmff.web.status import Status
from bmff.web.steering import Steering
from bmff.web.stream import Stream
from bmff.web.talkgroups import TalkgroupsView
from bmff.web.tally import Tally
from bmff.web.verbs import Verbs
from bmff.web.views import CallsView, NetworksView, NodesView, PeersView
from bmff.wire.homebrew import Station

Content = Callable[[], dict[str, Any]]

_OBJECT: Final[Schema] = {"type": "object"}


class Api:
    """
    The API.

    @ivar resources: the resources at its root, by name.
    @ivar operations: all that can be asked.
    @ivar events: the feed of everything.
    @ivar lastHeard: the feed of calls.
    @ivar health: how the node does.
    """

    def __init__(self, parts: Parts, admission: Admission, *, streams: int = MOST) -> None:
        """
        @param admission: who may do what on the network.
        @param streams: how many may be open of each kind.
        """
        self.resources: dict[str, IResource] = {}
        self.operations: list[Operation] = []
        self._parts = parts
        self._admission = admission
        name = f"{parts.boot & 0xFFFFFFFF:08x}"
        clock = parts.clock
        self.events = Feed(clock, name, most=streams, beat=self._measure)
        self.lastHeard = Feed(clock, name, most=streams)
        self._lag = Lag(clock)
        self._verbs = Verbs(parts)
        links = parts.choices.links if parts.choices is not None else {}
        self._links = LinksView(parts.choices, parts.moments)
        tally = Tally(parts.router, links)
        self._calls = CallsView(parts.router, parts.moments)
        self._heard = LastHeard(
            parts.network, parts.router, self._station, parts.wallClock, self.lastHeard
        )
        happenings = Happenings(self.events, parts.moments)
        for watcher in (tally.watch, self._calls.watch, self._heard.watch, happenings.watch):
            parts.watch(watcher)
        self.health = Health(parts, self._lag, self._links)
        feeds = {"events": self.events, "lastheard": self.lastHeard}
        self._addViews()
        self._addStatus()
        self._addStreams()
        self._addVerbs()
        self._addSession()
        self._get("/metrics", "What it counts, for Prometheus.", None, TEXT)
        collector = NodeCollector(parts, tally, self._lag, feeds)
        self.resources["metrics"] = MetricsResource(collector, clock.seconds)
        self._get("/openapi.json", "This description.", _OBJECT)
        self.resources["openapi.json"] = View(self.describe)

    def describe(self) -> dict[str, Any]:
        """
        The description of the API (OpenAPI 3.1).
        """
        cookie = self._admission.cookies.name
        return describe(self.operations, self._parts.version, cookie)

    def start(self) -> None:
        """
        Begin to look.
        """
        self._lag.start()

    def useStreams(self, most: int) -> None:
        """
        So many streams may be open of each kind from now on.
        """
        self.events.most = self.lastHeard.most = most

    def stop(self) -> None:
        """
        End all streams.
        """
        self._lag.stop()
        self._verbs.stop()
        self.events.stop()
        self.lastHeard.stop()

    def _get(
        self,
        path: str,
        summary: str,
        answer: Schema | None,
        kind: str = JSON,
        *,
        right: Right = Right.LOOK,
        codes: tuple[int, ...] = (200,),
        parameter: str = "",
    ) -> None:
        operation = Operation(
            path, "get", right, summary, answer, kind=kind, codes=codes, parameter=parameter
        )
        self.operations.append(operation)

    def _addViews(self) -> None:
        parts = self._parts
        sessions = parts.homebrew.master if parts.homebrew is not None else ()
        master = parts.homebrew.master if parts.homebrew is not None else None
        peers = PeersView(sessions, parts.router, parts.moments)
        nodes = NodesView(parts.links.describeNodes if parts.links is not None else list)
        bridges = NetworksView("bridges", parts.bridges.describe if parts.bridges else list)
        uplinks = NetworksView("uplinks", parts.uplinks.describe if parts.uplinks else list)
        overrides = OverridesView(parts.network, parts.registry, parts.choices)
        views: tuple[tuple[str, Content, Schema, str], ...] = (
            ("peers", peers, schemas.PEERS, "The hotspots and repeaters that are logged in."),
            ("calls", self._calls, schemas.CALLS, "The calls that are on, and the last ones."),
            ("links", self._links, schemas.LINKS, "The links to other nodes, with all paths."),
            ("nodes", nodes, schemas.NODES, "The nodes that this one knows of."),
            ("bridges", bridges, schemas.BRIDGES, "The bridges to other networks."),
            ("uplinks", uplinks, schemas.UPLINKS, "The logins at other networks' masters."),
            ("overrides", overrides, schemas.OVERRIDES, "The overrides, what became of each."),
            (
                "counters",
                CountersView(parts.router, master, parts.ports, parts.bridges, parts.uplinks),
                schemas.COUNTERS,
                "What was carried and dropped.",
            ),
            ("registry", self._registry, schemas.REGISTRY, "What nodes know together."),
            ("mqtt", self._broker, schemas.MQTT, "The connection to an MQTT broker."),
            (
                "talkgroups",
                TalkgroupsView(parts.router, parts.choices),
                schemas.TALKGROUPS,
                "The talkgroups that somebody here hears or calls.",
            ),
            ("orders", self._orders, schemas.ORDERS, "What was ordered by hand."),
            ("cluster", ClusterView(parts), schemas.CLUSTER, "The nodes that can be reached."),
        )
        for name, content, schema, summary in views:
            blurred = blurPeers if name == "peers" else None
            self.resources[name] = self._view(content, blurred=blurred)
            self._get(f"/{name}", summary, schema)
        self.resources["health"] = HealthResource(parts.network, self.health)
        for path, summary, parameter in (
            ("/health", "How everything does.", ""),
            ("/health/{object}", "How one thing does: node, link:25012, bridges.", "object"),
        ):
            self._get(
                path,
                summary,
                schemas.HEALTH,
                right=Right.NOTHING,
                codes=(200, 429, 503),
                parameter=parameter,
            )

    def _view(self, content: Content, **more: Any) -> View:
        return View(content, clock=self._parts.clock.seconds, **more)

    def _addStatus(self) -> None:
        status = Status(self._parts, self._lag)
        branch = self.resources["status"] = Branch()
        for name, content, schema, summary in (
            ("system", status.system, schemas.SYSTEM, "The host and the process"),
            ("status", status.status, schemas.STATUS, "The node in numbers"),
            ("list", status.list, schemas.LIST, "Who is logged in, briefly"),
        ):
            branch.putChild(f"{name}.json".encode(), self._view(content))
            self._get(f"/status/{name}.json", f"{summary}.", schema)
            packed = self._view(content, kind=MESSAGEPACK, encode=msgpack.packb)
            branch.putChild(f"{name}.msgpack".encode(), packed)
            self._get(f"/status/{name}.msgpack", f"{summary}, as MessagePack.", None, MESSAGEPACK)

    def _addStreams(self) -> None:
        holds = self._admission.holds
        self.resources["events"] = Stream(self.events, holds)
        self._get("/events", "Everything that happens, as it does.", None, EVENT_STREAM)
        heard = _LastHeardBranch(self._heard)
        heard.putChild(b"stream", Stream(self.lastHeard, holds))
        self.resources["lastheard"] = heard
        self._get("/lastheard", "Who was heard last.", schemas.LASTHEARD)
        self._get("/lastheard/stream", "The same, as it happens.", None, EVENT_STREAM)

    def _addVerbs(self) -> None:
        verbs, steering = self._verbs, Steering(self._parts.clock, self._parts.choices)
        for name, act, body, schema, summary in (
            ("path", steering.steer, schemas.A_PATH, schemas.PATH, "Have a link run over a path."),
            ("drain", verbs.drain, schemas.NOTHING, schemas.DRAIN, "Empty the node, gently."),
            ("undrain", verbs.undrain, schemas.NOTHING, schemas.DRAIN, "Let everybody in again."),
            (
                "reload",
                verbs.reload,
                schemas.NOTHING,
                schemas.RELOAD,
                "Read the configuration file again.",
            ),
            (
                "disconnect",
                verbs.disconnect,
                schemas.A_PEER_AND_REASON,
                schemas.PEER,
                "Say good-bye to a peer, which may come back.",
            ),
            (
                "ban",
                verbs.ban,
                schemas.A_PEER_AND_REASON,
                schemas.PEER,
                "Say good-bye to a peer, which may not come back while this process lives.",
            ),
            ("unban", verbs.unban, schemas.A_PEER, schemas.PEER, "Let a peer in again."),
            (
                "static",
                verbs.setTalkgroups,
                schemas.TALKGROUPS_OF_PEER,
                schemas.STATIC,
                "Set what a peer hears always, while this process lives.",
            ),
            (
                "override",
                verbs.override,
                schemas.AN_OVERRIDE,
                schemas.OVERRIDE,
                "Write an override into the registry, or take it away.",
            ),
            ("drop", verbs.drop, schemas.A_CALL, schemas.DROPPED, "End a call."),
            (
                "message",
                verbs.message,
                schemas.A_MESSAGE,
                schemas.MESSAGE,
                "Send a text message to a radio or a talkgroup.",
            ),
        ):
            self.resources[name] = Action(act, body)
            self.operations.append(
                Operation(f"/{name}", "post", Right.CONTROL, summary, schema, body)
            )

    def _addSession(self) -> None:
        """
        A browser's way in and out.
        """
        cookies = self._admission.cookies
        for name, resource, body, summary in (
            ("login", SignIn(self._admission, schemas.A_TOKEN), schemas.A_TOKEN, "Get a cookie."),
            ("logout", SignOut(cookies, schemas.NOTHING), schemas.NOTHING, "Give it back."),
        ):
            self.resources[name] = resource
            operation = Operation(f"/{name}", "post", Right.NOTHING, summary, schemas.SESSION, body)
            self.operations.append(operation)
        self.resources["session"] = Who()
        self._get("/session", "Who one is here.", schemas.SESSION, right=Right.NOTHING)

    def _measure(self) -> None:
        """
        Tell those who listen how the links do.
        """
        now = self._parts.clock.seconds()
        content = {"at": self._parts.moments.tell(now)} | measured(self._links())
        self.events.publish(LINKS, lambda exact: content)

    def _registry(self) -> dict[str, Any]:
        describe = self._parts.describeRegistry
        return describe() if describe is not None else {"registry": None}

    def _broker(self) -> dict[str, Any]:
        describe = self._parts.describeBroker
        return describe() if describe is not None else {"mqtt": None}

    def _orders(self) -> dict[str, Any]:
        orders = self._parts.orders
        return {"orders": orders.describe() if orders is not None else None}

    def _station(self, peerID: int) -> Station | None:
        homebrew = self._parts.homebrew
        session = homebrew.master.session(peerID) if homebrew is not None else None
        return session.station if session is not None else None


class _LastHeardBranch(View):
    """
    C{/lastheard}, below which is its stream.
    """

    isLeaf = False

    def getChild(self, path: bytes, request: Request) -> IResource:
        """
        There is nothing else.
        """
        return Missing()


def root(resources: Mapping[str, IResource], page: IResource | None = None) -> IResource:
    """
    The root of a site.

    @param page: what is shown to browsers: its own children are found under C{page}, and it itself
        at the root.
    """
    found = Branch()
    for name, each in resources.items():
        found.putChild(name.encode("ascii"), each)
    if page is not None:
        found.putChild(b"", page)
        found.putChild(b"page", page)
    return found
