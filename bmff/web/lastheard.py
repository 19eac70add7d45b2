"""
Who was heard last, with the fields of BrandMeister's Last Heard feed, which public clients show.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from bmff.dmr.numbers import radioID
from bmff.events import CallEnded, CallStarted, Event, TalkerAliasReceived
from bmff.router.router import Router
from bmff.web.feed import Feed
from bmff.wire.brandmeister.sessions import Session
from bmff.wire.homebrew import Station

KEPT: Final = 200  # calls
MOST_ON: Final = 10_000  # calls that are on; one more is not told of
START: Final = "Session-Start"
UPDATE: Final = "Session-Update"
STOP: Final = "Session-Stop"
BRIDGE: Final = "Bridge"  # the words of calls that no hotspot has brought
FASTFORWARD: Final = "FastForward"


class LastHeard:
    """
    The calls that are on, and those that were; L{watch} is to be added to the node's events.
    """

    def __init__(
        self,
        network: int,
        router: Router,
        stationOf: Callable[[int], Station | None],
        wallClock: Callable[[], float],
        feed: Feed,
    ) -> None:
        """
        @param network: the node ID.
        @param stationOf: what a peer says of itself, by its ID.
        @param wallClock: seconds since 1970.
        @param feed: is told at once.
        """
        self._network = network
        self._router = router
        self._stationOf = stationOf
        self._wallClock = wallClock
        self._feed = feed
        self._on: dict[tuple[int, int], dict[str, Any]] = {}
        self._ended: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def watch(self, event: Event) -> None:
        """
        Take note of calls and of names.
        """
        match event:
            case CallStarted():
                self._started(event)
            case CallEnded():
                self._stopped(event)
            case TalkerAliasReceived():
                self._named(event)

    def __call__(self) -> dict[str, Any]:
        """
        C{{"lastheard": [{"SourceID": 2621370, ...}]}}, those first that began last.
        """
        return {"lastheard": [*reversed(self._on.values()), *reversed(self._ended)]}

    def _started(self, event: CallStarted) -> None:
        if len(self._on) >= MOST_ON:
            return
        station = self._stationOf(event.peer)
        reach = self._router.reach
        peer = reach.peers.get(event.peer)
        other = peer is not None and bool(peer.network)  # an uplink to another network
        bridged = other or any(trunk.peerID == event.peer for trunk in reach.trunks)
        foreign = BRIDGE if bridged else FASTFORWARD
        session = Session(
            network=self._network,
            stream=event.stream,
            source=event.source,
            destination=event.destination,
            private=event.private,
            data=event.data,
            link=(station.package or "HomeBrew") if station else foreign,
            context=event.peer,
            callsign=station.callsign if station else "",
            slot=event.slot,
            route=event.listeners,
            started=self._wallClock(),
        )
        own = station is not None and radioID(event.peer) == event.source
        content = {
            "Event": START,
            "Master": self._network,
            "SessionID": session.sessionID,
            "SessionType": session.kind,
            "LinkName": session.link,
            "LinkType": 1 if peer is not None and not other else 2,
            "LinkCall": session.callsign,
            "ContextID": event.peer,
            "Slot": event.slot,
            "SourceID": event.source,
            "SourceCall": session.callsign if own else "",
            "SourceName": "",
            "DestinationID": event.destination,
            "DestinationName": "",
            "ReflectorID": 0,
            "TalkerAlias": "",
            "Route": event.listeners,
            "LossCount": 0,
            "TotalCount": 0,
            "Start": int(session.started),
            "Stop": 0,
        }
        self._on[event.stream, event.source] = content
        self._tell(content)

    def _named(self, event: TalkerAliasReceived) -> None:
        for content in self._on.values():
            if content["SourceID"] == event.radio:
                content["TalkerAlias"] = event.text
                content["Event"] = UPDATE
                self._tell(content)

    def _stopped(self, event: CallEnded) -> None:
        content = self._find(event)
        if content is None:
            return
        content["Event"] = STOP
        content["LossCount"] = event.lost
        content["TotalCount"] = event.frames + event.lost
        content["Stop"] = int(self._wallClock())
        self._ended.append(content)
        self._tell(content)

    def _find(self, event: CallEnded) -> dict[str, Any] | None:
        """
        Take the row of a call that is over. The stream ID of data changes from one transmission to
        the next; whose it is, where it came from and where it goes to does not.
        """
        content = self._on.pop((event.stream, event.source), None)
        if content is None and event.data:
            who = (event.source, event.destination, event.peer)
            for key, each in self._on.items():
                if (each["SourceID"], each["DestinationID"], each["ContextID"]) == who:
                    del self._on[key]
                    return each
        return content

    def _tell(self, content: dict[str, Any]) -> None:
        row = dict(content)
        self._feed.publish(row["Event"], lambda exact: row)
