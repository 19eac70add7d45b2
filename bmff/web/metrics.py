"""
C{/metrics}: what a node counts, in Prometheus' text format (prometheus.io, exposition formats).

The objects that count are asked when somebody asks for it: nothing is done for it before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from typing import Any, Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector
from twisted.web.server import Request

from bmff.sockets.addresses import formatAddress
from bmff.web.feed import Feed
from bmff.web.lag import BOUNDS, Lag
from bmff.web.links import Carrier
from bmff.web.parts import Parts
from bmff.web.resource import Kept, Reading, answerBytes
from bmff.web.tally import Tally
from bmff.wire.fastforward.path import Path

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
MOST_REASONS: Final = 60  # of one part; the rarest are told together
MOST_NODES: Final = 1000  # whose links are told
OTHER: Final = "other"

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily | InfoMetricFamily

_PATH_COUNTERS: Final[Mapping[str, tuple[str, Callable[[Path], float]]]] = {
    "frames_sent": ("Frames of calls sent", lambda path: path.framesSent),
    "frames_received": ("Frames of calls received", lambda path: path.framesReceived),
    "frames_dropped": (
        "Frames that did not leave as the transport was full",
        lambda path: path.framesDropped,
    ),
    "frame_packets_sent": (
        "Packets with frames sent; frames_sent over this is the size of batches",
        lambda path: path.framePackets,
    ),
    "packets_sent": ("Packets sent", lambda path: path.packetsSent),
    "packets_received": ("Packets received", lambda path: path.packetsReceived),
    "packets_repeated": (
        "Packets sent again as the other end missed them",
        lambda path: path.packetsRepeated,
    ),
    "packets_repaired": (
        "Packets that were missing and came as copies",
        lambda path: path.packetsRepaired,
    ),
}
_PATH_GAUGES: Final[Mapping[str, tuple[str, Callable[[Path], float | None]]]] = {
    "round_trip_seconds": ("Round trip, smoothed", lambda path: path.quality.roundTrip),
    "loss_ratio": (
        "Share of our packets that the other end misses, smoothed",
        lambda path: path.quality.loss,
    ),
    "jitter_seconds": (
        "Deviation of the delay of packets, smoothed; only where packets can get lost",
        lambda path: None if path.traits.reliable else path.arrivals.jitter,
    ),
    "remote_lag_seconds": (
        "By how much the turns of the other end come late",
        lambda path: path.quality.remoteLag,
    ),
}

_CROSSED: Final[Mapping[str, str]] = {
    "frames_sent": "Frames of calls that went out",
    "frames_received": "Frames of calls that came in",
}
_BRIDGE_COUNTERS: Final[Mapping[str, str]] = {
    **_CROSSED,
    "frames_quenched": "Frames that did not go out as the other end does not want their call",
    "quenches_sent": "How often the other end was asked to stop a call",
    "quenches_received": "How often the other end has asked us to stop a call",
}
_UPLINK_COUNTERS: Final[Mapping[str, str]] = {**_CROSSED, "logins": "How often it has logged in"}


class NodeCollector(Collector):
    """
    Asks the objects that count.
    """

    def __init__(self, parts: Parts, tally: Tally, lag: Lag, feeds: Mapping[str, Feed]) -> None:
        """
        @param feeds: the streams, by name.
        """
        self._parts = parts
        self._tally = tally
        self._lag = lag
        self._feeds = feeds

    def collect(self) -> Iterator[Any]:
        """
        All that there is.
        """
        yield from self._node()
        yield from self._calls()
        yield from self._dropped()
        yield from self._peers()
        yield from self._links()
        yield from self._paths()
        yield from self._bridges()
        yield from self._uplinks()
        yield from self._registry()
        yield from self._broker()
        yield from self._api()

    def _node(self) -> Iterator[Family]:
        parts = self._parts
        yield InfoMetricFamily(
            "bmff_node",
            "This node",
            {
                "network": str(parts.network),
                "environment": parts.environment,
                "version": parts.version,
            },
        )
        draining = parts.orders is not None and parts.orders.draining
        yield _gauge("bmff_draining", "Whether the node is emptied", draining)
        total = 0
        buckets = []
        for bound, count in zip((*BOUNDS, inf), self._lag.counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound == inf else str(bound), total))
        lag = HistogramMetricFamily(
            "bmff_reactor_lag_seconds", "By how much the reactor's turns come late"
        )
        lag.add_metric([], buckets, self._lag.total)
        yield lag

    def _calls(self) -> Iterator[Family]:
        tally, router = self._tally, self._parts.router
        yield _gauge("bmff_calls", "Calls that are on", len(router.calls))
        yield _counters(
            "bmff_calls_started",
            "Calls that began",
            ("protocol", "kind", "scope"),
            tally.started.items(),
        )
        yield _counters(
            "bmff_calls_ended", "Calls that ended", ("reason",), _single(tally.ended.items())
        )
        yield _counter("bmff_call_seconds", "How long all calls were that ended", tally.seconds)
        yield _counters(
            "bmff_frames",
            "Frames of calls that came in, 60 ms each",
            ("protocol",),
            _single(tally.frames().items()),
        )
        yield _counter(
            "bmff_frames_routed", "Frames that went to their listeners", router.framesRouted
        )
        yield _counters(
            "bmff_call_frames",
            "Frames of calls that ended which were not as they should be",
            ("fault",),
            [
                (("lost",), tally.lost),
                (("duplicate",), tally.duplicates),
                (("late",), tally.late),
            ],
        )

    def _dropped(self) -> Iterator[Family]:
        parts = self._parts
        tables = {"router": parts.router.dropped, **parts.dropped}
        if parts.homebrew is not None:
            tables["homebrew"] = parts.homebrew.master.dropped
        if parts.bridges is not None:
            tables["openbridge"] = parts.bridges.dropped
        yield _counters(
            "bmff_dropped",
            "Frames, datagrams and packets that had no effect",
            ("part", "reason"),
            [
                ((part, reason), count)
                for part, table in tables.items()
                for reason, count in _bounded(table)
            ],
        )

    def _peers(self) -> Iterator[Family]:
        router, homebrew = self._parts.router, self._parts.homebrew
        yield _gauge(
            "bmff_talkgroups", "Talkgroups that somebody hears", len(router.reach.talkgroups)
        )
        yield _gauge("bmff_peers", "Peers through which calls may flow", len(router.reach.peers))
        if homebrew is None:
            return
        yield _gauge("bmff_sessions", "Logins of hotspots and repeaters", len(homebrew.master))
        yield _counter("bmff_logins", "Keys that were verified", homebrew.master.logins)
        ports = [(formatAddress(port.address), port) for port in self._parts.ports]
        for name, what, count in (
            ("received", "received", lambda port: port.received),
            ("sent", "sent", lambda port: port.sent),
            ("kernel_dropped", "that the kernel dropped", lambda port: port.kernelDrops),
            ("unsent", "that could not be sent", lambda port: port.sendDrops + port.sendErrors),
        ):
            yield _counters(
                f"bmff_homebrew_datagrams_{name}",
                f"Datagrams {what}",
                ("socket",),
                [((address,), count(port)) for address, port in ports],
            )

    def _links(self) -> Iterator[Family]:
        links, choices = self._parts.links, self._parts.choices
        if links is None:
            return
        yield _gauge("bmff_links_possible", "Whether there can be links", not links.failure)
        known = [(str(node["node"]), node) for node in links.describeNodes()[:MOST_NODES]]
        yield _gauges(
            "bmff_link_up",
            "Whether there is a link to a node",
            ("node",),
            [((node,), row["state"] == "linked") for node, row in known],
        )
        found = sorted(choices.links.items())[:MOST_NODES] if choices is not None else []
        for name, what, count in (
            ("frames_held", "Frames that waited for those before them", "framesHeld"),
            ("frames_late", "Frames that came too late", "framesLate"),
        ):
            yield _counters(
                f"bmff_link_{name}",
                what,
                ("node",),
                [((str(node),), getattr(link.order, count)) for node, link in found],
            )
        yield _counters(
            "bmff_link_dropped",
            "Messages of links that had no effect",
            ("node", "reason"),
            [
                ((str(node), reason), count)
                for node, link in found
                for reason, count in _bounded(link.dropped)
            ],
        )

    def _paths(self) -> Iterator[Family]:
        choices = self._parts.choices
        if choices is None:
            return
        # There may be two over one transport for a moment: then counters are added up.
        paths: dict[tuple[str, str], list[Path]] = {}
        for one in choices.connections:
            if len(paths) < MOST_NODES and _lives(one) and one.link and one.path:
                key = str(one.link.node), one.path.traits.name
                paths.setdefault(key, []).append(one.path)
        labels = ("node", "transport")
        carrying = {id(link.path) for link in choices.links.values()}
        yield _gauges(
            "bmff_path_active",
            "Whether a path carries its link, and does not stand by",
            labels,
            [(key, any(id(path) in carrying for path in some)) for key, some in paths.items()],
        )
        for name, (what, count) in _PATH_COUNTERS.items():
            yield _counters(
                f"bmff_path_{name}",
                what,
                labels,
                [(key, sum(map(count, some))) for key, some in paths.items()],
            )
        for name, (what, value) in _PATH_GAUGES.items():
            yield _gauges(
                f"bmff_path_{name}",
                what,
                labels,
                [
                    (key, found)
                    for key, some in paths.items()
                    if (found := value(some[0])) is not None
                ],
            )

    def _bridges(self) -> Iterator[Family]:
        bridges = self._parts.bridges
        if bridges is None:
            return
        known = bridges.describe()
        yield from _networks("bridge", "up", known, _BRIDGE_COUNTERS)
        yield _gauges(
            "bmff_bridge_heard_seconds",
            "Since the other end of a bridge was heard",
            ("bridge",),
            [((row["name"],), row["heard"]) for row in known if row["heard"] is not None],
        )

    def _uplinks(self) -> Iterator[Family]:
        uplinks = self._parts.uplinks
        if uplinks is not None:
            yield from _networks("uplink", "running", uplinks.describe(), _UPLINK_COUNTERS)

    def _registry(self) -> Iterator[Family]:
        registry = self._parts.registry
        if registry is None:
            return
        yield _gauge("bmff_registry_up", "Whether the registry is reached", registry.available)
        yield _gauge(
            "bmff_registry_age_seconds", "Since its rows were known to be current", registry.age
        )
        yield _gauges(
            "bmff_registry_rows",
            "Rows",
            ("table",),
            [
                (("nodes",), len(registry.nodes)),
                (("overrides",), len(registry.overrides)),
                (("bad",), len(registry.badRows)),
            ],
        )

    def _broker(self) -> Iterator[Family]:
        broker, outbox = self._parts.broker, self._parts.outbox
        if broker is not None:
            yield _gauge("bmff_broker_up", "Whether the broker is reached", broker.connected)
        if outbox is not None:
            yield _gauge("bmff_broker_queue", "Messages that wait for the broker", len(outbox))
            yield _counter(
                "bmff_broker_dropped", "Messages that found no room in the queue", outbox.dropped
            )

    def _api(self) -> Iterator[Family]:
        feeds = self._feeds.items()
        yield _counters(
            "bmff_api_refused",
            "Requests that were refused",
            ("reason",),
            _single(_bounded(self._parts.refusals.counts)),
        )
        yield _gauges(
            "bmff_api_streams",
            "Streams that are open",
            ("stream",),
            [((name,), len(feed)) for name, feed in feeds],
        )
        yield _counters(
            "bmff_api_streams_dropped",
            "Streams that were closed as they were read too slowly",
            ("stream",),
            [((name,), feed.dropped) for name, feed in feeds],
        )


class MetricsResource(Reading):
    """
    The metrics.
    """

    def __init__(self, collector: Collector, clock: Callable[[], float] | None = None) -> None:
        """
        @param clock: monotonic seconds; without it nothing is kept.
        """
        super().__init__()
        self._kept = Kept(self.text, clock)
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(collector)

    def read(self, request: Request) -> bytes:
        """
        Answer.
        """
        return answerBytes(request, self._kept.body(), TEXT)

    def text(self) -> bytes:
        """
        What there is now.
        """
        return generate_latest(self._registry)


def _lives(one: Carrier) -> bool:
    return one.up and not one.closed


def _networks(
    kind: str, well: str, known: list[dict[str, Any]], counters: Mapping[str, str]
) -> Iterator[Family]:
    """
    What is told of ways to other networks, each by the name that the operator has given it.

    @param kind: C{"bridge"}, C{"uplink"}.
    @param well: the state in which calls cross.
    @param counters: what each counts, by its name in a row.
    """
    yield _gauges(
        f"bmff_{kind}_up",
        f"Whether calls cross this {kind} to another network",
        (kind,),
        [((row["name"],), row["state"] == well) for row in known],
    )
    for name, what in counters.items():
        rows = [((row["name"],), row[name]) for row in known]
        yield _counters(f"bmff_{kind}_{name}", what, (kind,), rows)
    yield _counters(
        f"bmff_{kind}_dropped",
        f"What had no effect at this {kind}",
        (kind, "reason"),
        [
            ((row["name"], reason), count)
            for row in known
            for reason, count in _bounded(row["dropped"])
        ],
    )


def _bounded(table: Mapping[str, int]) -> list[tuple[str, int]]:
    """
    The reasons of a table that are the most frequent, the others together.
    """
    rows = sorted(table.items(), key=lambda row: (-row[1], row[0]))
    kept, rest = rows[:MOST_REASONS], rows[MOST_REASONS:]
    return [*kept, (OTHER, sum(count for _, count in rest))] if rest else kept


def _single(rows: Iterable[tuple[str, float]]) -> list[tuple[tuple[str, ...], float]]:
    return [((label,), value) for label, value in rows]


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, value=float(value))


def _counter(name: str, what: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, what, value=float(value))


def _gauges(
    name: str,
    what: str,
    labels: tuple[str, ...],
    rows: Iterable[tuple[tuple[str, ...], float]],
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=labels)
    for values, value in rows:
        family.add_metric(values, float(value))
    return family


def _counters(
    name: str,
    what: str,
    labels: tuple[str, ...],
    rows: Iterable[tuple[tuple[str, ...], float]],
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, what, labels=labels)
    for values, value in rows:
        family.add_metric(values, float(value))
    return family
