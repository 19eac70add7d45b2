"""
What the API says of peers and calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from bmff.events import CallEnded, Event
from bmff.router.call import Call, Slot
from bmff.router.router import Router
from bmff.sockets.addresses import formatAddress
from bmff.wire.homebrewmaster import Session

RECENT_CALLS: Final = 100


class Moments:
    """
    Tells what the monotonic clock calls a moment to people, in UTC.
    """

    def __init__(self, now: Callable[[], float], wallClock: Callable[[], float]) -> None:
        """
        @param now: monotonic seconds.
        @param wallClock: seconds since 1970, UTC.
        """
        self.now = now
        self._wallClock = wallClock

    def tell(self, moment: float) -> str:
        """
        A moment of the monotonic clock in ISO 8601.
        """
        wall = self._wallClock() - (self.now() - moment)
        return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")


class PeersView:
    """
    The hotspots and repeaters that are logged in.
    """

    def __init__(self, sessions: Iterable[Session], router: Router, moments: Moments) -> None:
        """
        @param sessions: those of a HomeBrew master.
        """
        self._sessions = sessions
        self._router = router
        self._moments = moments

    def __call__(self) -> dict[str, Any]:
        """
        C{{"peers": [{"id": 2340001, "callsign": ..., ...}]}}, by ID.
        """
        sessions = sorted(self._sessions, key=lambda session: session.peerID)
        return {"peers": [self._peer(session) for session in sessions]}

    def _peer(self, session: Session) -> dict[str, Any]:
        station = session.station
        peer = self._router.reach.peers.get(session.peerID)
        return {
            "id": session.peerID,
            "callsign": station.callsign,
            "address": formatAddress(session.address),
            "running": session.running,
            "since": self._moments.tell(session.since),
            "heard": self._moments.tell(session.heard),
            "simplex": station.simplex,
            "colour_code": station.colourCode,
            "rx_frequency": station.rxFrequency,
            "tx_frequency": station.txFrequency,
            "power": station.power,
            "latitude": station.latitude,
            "longitude": station.longitude,
            "height": station.height,
            "location": station.location,
            "description": station.description,
            "url": station.url,
            "software": station.software,
            "package": station.package,
            "options_unknown": list(session.options.unknown) if session.options else [],
            "slots": {str(slot.number): self._slot(slot) for slot in peer.slots} if peer else {},
        }

    def _slot(self, slot: Slot) -> dict[str, Any]:
        return {
            "static": sorted(slot.static),
            "dynamic": sorted(slot.dynamic),
            "call": f"{slot.call.stream:08x}" if slot.call is not None else None,
        }


class CallsView:
    """
    The calls that are on, and the last ones that ended; to be added to the node's events.
    """

    def __init__(self, router: Router, moments: Moments) -> None:
        self._router = router
        self._moments = moments
        self._ended: deque[tuple[float, CallEnded]] = deque(maxlen=RECENT_CALLS)

    def watch(self, event: Event) -> None:
        """
        Remember the calls that end.
        """
        if isinstance(event, CallEnded):
            self._ended.append((self._moments.now(), event))

    def __call__(self) -> dict[str, Any]:
        """
        C{{"calls": [...], "ended": [...]}}, those first that began or ended last.
        """
        calls = sorted(self._router.currentCalls(), key=lambda call: -call.started)
        return {
            "calls": [self._call(call) for call in calls],
            "ended": [self._endedCall(at, call) for at, call in reversed(self._ended)],
        }

    def _call(self, call: Call) -> dict[str, Any]:
        return _described(call) | {
            "peer": call.ingress.peerID,
            "slot": call.slotNumber,
            "started": self._moments.tell(call.started),
            "duration": round(call.heard - call.started, 3),
            "listeners": len(call.listeners),
        }

    def _endedCall(self, at: float, call: CallEnded) -> dict[str, Any]:
        return _described(call) | {
            "peer": call.peer,
            "slot": call.slot,
            "ended": self._moments.tell(at),
            "duration": round(call.duration, 3),
            "reason": call.reason,
        }


def _described(call: Call | CallEnded) -> dict[str, Any]:
    """
    What is said of a call whether it is on or over.
    """
    return {
        "stream": f"{call.stream:08x}",
        "source": call.source,
        "destination": call.destination,
        "private": call.private,
        "data": call.data,
        "frames": call.frames,
        "lost": call.lost,
        "duplicates": call.duplicates,
        "late": call.late,
    }


class NetworksView:
    """
    The bridges or the uplinks to other networks.
    """

    def __init__(self, name: str, known: Callable[[], list[dict[str, Any]]]) -> None:
        """
        @param name: C{"bridges"}, C{"uplinks"}.
        @param known: describes each, see L{bmff.bridges.BridgeService.describe} and
            L{bmff.uplinks.UplinkService.describe}.
        """
        self._name = name
        self._known = known

    def __call__(self) -> dict[str, Any]:
        """
        C{{"bridges": [{"name": "north", "state": "up", ...}]}}, those first that were made first.
        """
        return {self._name: self._known()}


class NodesView:
    """
    The nodes that this one knows of.
    """

    def __init__(self, known: Callable[[], list[dict[str, Any]]]) -> None:
        """
        @param known: describes each, see L{bmff.linkservice.LinkService.describeNodes}.
        """
        self._known = known

    def __call__(self) -> dict[str, Any]:
        """
        C{{"nodes": [{"node": 25012, "transport": "udp", "state": "linked", ...}]}}, by node ID.
        """
        return {"nodes": self._known()}
