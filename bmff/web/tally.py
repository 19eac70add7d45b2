"""
What a node's calls add up to since its start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from bmff.events import CallEnded, CallStarted, Event
from bmff.router.router import Router

HOMEBREW: Final = "homebrew"
OPENBRIDGE: Final = "openbridge"
UPLINK: Final = "uplink"  # HomeBrew, too, but we have logged in
FASTFORWARD: Final = "fastforward"
OWN: Final = "own"  # parrot, announcements, messages of the node's
PROTOCOLS: Final = (HOMEBREW, OPENBRIDGE, UPLINK, FASTFORWARD, OWN)


class Tally:
    """
    Adds up; L{watch} is to be added to the node's events.

    @ivar started: calls that began, by protocol, C{"voice"} or C{"data"}, C{"group"} or
        C{"private"}.
    @ivar ended: calls that ended, by reason.
    @ivar seconds: how long all of those were.
    @ivar lost: frames that they lacked.
    @ivar duplicates: frames that came again.
    @ivar late: frames that came after a later one.
    """

    def __init__(self, router: Router, nodes: Mapping[int, object]) -> None:
        """
        @param nodes: those that a link leads to, by ID.
        """
        self.started: Counter[tuple[str, str, str]] = Counter()
        self.ended: Counter[str] = Counter()
        self.seconds = 0.0
        self.lost = self.duplicates = self.late = 0
        self._frames: Counter[str] = Counter()
        self._router = router
        self._nodes = nodes
        self._origins: dict[int, str] = {}  # protocol by the ID of what brings a call that is on

    def watch(self, event: Event) -> None:
        """
        A call has begun or is over.
        """
        match event:
            case CallStarted():
                protocol = self._origins[event.peer] = self._protocol(event.peer)
                kind = "data" if event.data else "voice"
                self.started[protocol, kind, "private" if event.private else "group"] += 1
            case CallEnded():
                protocol = self._origins.get(event.peer) or self._protocol(event.peer)
                if not any(
                    call.ingress.peerID == event.peer for call in self._router.currentCalls()
                ):
                    self._origins.pop(event.peer, None)
                self.ended[event.reason] += 1
                self.seconds += event.duration
                self.lost += event.lost
                self.duplicates += event.duplicates
                self.late += event.late
                self._frames[protocol] += event.frames

    def frames(self) -> dict[str, int]:
        """
        Frames that came in calls, by protocol, with those of calls that are on.
        """
        found = {protocol: self._frames[protocol] for protocol in PROTOCOLS}
        for call in self._router.currentCalls():
            peer = call.ingress.peerID
            found[self._origins.get(peer) or self._protocol(peer)] += call.frames
        return found

    def _protocol(self, peer: int) -> str:
        reach = self._router.reach
        if peer in reach.peers:
            return UPLINK if reach.peers[peer].network else HOMEBREW
        if peer in self._nodes:
            return FASTFORWARD
        return OPENBRIDGE if any(trunk.peerID == peer for trunk in reach.trunks) else OWN
