"""
What the API says of talkgroups: who hears each, here and at other nodes, and what is on.
"""

from __future__ import annotations

from typing import Any

from bmff.router.router import Router
from bmff.web.links import Links


class TalkgroupsView:
    """
    The talkgroups that somebody here hears or calls.
    """

    def __init__(self, router: Router, links: Links | None) -> None:
        """
        @param links: L{None} where there are none.
        """
        self._router = router
        self._links = links

    def __call__(self) -> dict[str, Any]:
        """
        C{{"talkgroups": [{"talkgroup": 91, "static": [...], "dynamic": [...], ...}]}}, by number.
        """
        rows: dict[int, dict[str, Any]] = {}

        def row(talkgroup: int) -> dict[str, Any]:
            empty = {"talkgroup": talkgroup, "static": [], "dynamic": [], "nodes": [], "calls": []}
            return rows.setdefault(talkgroup, empty)

        for peer in self._router.reach.peers.values():
            for slot in peer.slots:
                place = {"peer": peer.peerID, "slot": slot.number}
                for talkgroup in slot.static:
                    row(talkgroup)["static"].append(place)
                for talkgroup in slot.dynamic:
                    row(talkgroup)["dynamic"].append(place)
        for call in self._router.currentCalls():
            if not call.private:
                row(call.destination)["calls"].append(f"{call.stream:08x}")
        for node, link in sorted(self._links.links.items()) if self._links is not None else ():
            for talkgroup, found in rows.items():
                if talkgroup in link.interest:
                    found["nodes"].append(node)
        return {"talkgroups": [rows[talkgroup] for talkgroup in sorted(rows)]}
