"""
What the API says of the links to other nodes: all paths of each, and why others are not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bmff.web.views import Moments
from bmff.wire.fastforward.link import Link
from bmff.wire.fastforward.path import Path


class Carrier(Protocol):
    """
    What a path runs over, see L{bmff.protocols.connection.Connection}.
    """

    @property
    def keyID(self) -> str: ...

    @property
    def link(self) -> Link | None: ...

    @property
    def path(self) -> Path | None: ...

    @property
    def up(self) -> bool: ...

    @property
    def closed(self) -> bool: ...


class Choice(Protocol):
    """
    What a link is to run over, and why; see L{bmff.linkservice.Choice}.
    """

    @property
    def transport(self) -> str: ...

    @property
    def override(self) -> str: ...

    @property
    def wish(self) -> str: ...

    @property
    def overruled(self) -> bool: ...

    @property
    def missing(self) -> Mapping[str, str]: ...


class Links(Protocol):
    """
    The links of a node, see L{bmff.linkservice.Choices}.
    """

    @property
    def links(self) -> Mapping[int, Link]: ...

    @property
    def connections(self) -> Sequence[Carrier]: ...

    def all(self) -> Mapping[int, Choice]: ...


class LinksView:
    """
    The links to other nodes.
    """

    def __init__(self, source: Links | None, moments: Moments) -> None:
        """
        @param source: L{None} where there are none.
        """
        self._source = source
        self._moments = moments

    def __call__(self) -> dict[str, Any]:
        """
        C{{"links": [{"node": 25012, "transport": "unix", "paths": [...], ...}]}}, by node ID, of
        each link the path that carries it first.
        """
        source = self._source
        if source is None:
            return {"links": []}
        carriers: dict[int, list[Carrier]] = {}
        for one in source.connections:
            if one.link is not None and one.up and not one.closed:
                carriers.setdefault(one.link.node, []).append(one)
        choices = source.all()
        return {
            "links": [
                self._link(link, carriers.get(node, []), choices[node])
                for node, link in sorted(source.links.items())
            ]
        }

    def _link(self, link: Link, carriers: list[Carrier], choice: Choice) -> dict[str, Any]:
        mine = sorted(
            (one for one in carriers if one.link is link and one.path is not None),
            key=lambda one: one.path is not link.path,
        )
        paths = [
            self._path(one.path, one.keyID) | {"carries": one.path is link.path}
            for one in mine
            if one.path is not None
        ]
        carrying = paths[0] if paths and paths[0]["carries"] else {}
        return {
            "node": link.node,
            "since": self._moments.tell(link.since),
            "boot": f"{link.bootID:016x}",
            "ready": link.ready,
            "talkgroups": len(link.interest.talkgroups),
            "seen_at": link.seenAt,
            "transport": carrying.get("transport"),
            "address": carrying.get("address"),
            "key": carrying.get("key"),
            "chosen": choice.transport,
            "override": choice.override or None,
            "by_hand": choice.wish or None,
            "overruled": choice.overruled,
            "missing": dict(choice.missing),
            "frames_held": link.order.framesHeld,
            "frames_late": link.order.framesLate,
            "dropped": dict(link.dropped),
            "paths": paths,
        }

    def _path(self, path: Path, keyID: str) -> dict[str, Any]:
        quality = path.quality
        roundTrip = quality.roundTrip
        return {
            "transport": path.traits.name,
            "address": path.remote,
            "sealed": not path.traits.trusted,
            "key": keyID,
            "round_trip": None if roundTrip is None else round(roundTrip, 6),
            # Where nothing gets lost nobody looks at when packets come.
            "jitter": None if path.traits.reliable else round(path.arrivals.jitter, 6),
            "loss": round(quality.loss, 4),
            "lag": round(quality.remoteLag, 6),
            "twice": quality.redundant and not path.traits.reliable,
            "heard": self._moments.tell(path.heard),
            "packets_sent": path.packetsSent,
            "packets_received": path.packetsReceived,
            "packets_repeated": path.packetsRepeated,
            "packets_repaired": path.packetsRepaired,
            "frames_sent": path.framesSent,
            "frames_received": path.framesReceived,
            "frames_dropped": path.framesDropped,
            "frames_a_packet": round(path.framesSent / path.framePackets, 2)
            if path.framePackets
            else None,
            "dropped": dict(path.dropped),
        }
