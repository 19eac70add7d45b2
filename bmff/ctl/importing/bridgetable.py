"""
The table of one bridge to another server, in our configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bmff.ctl.importing.accesslist import written
from bmff.ctl.importing.bridging import Bridging
from bmff.ctl.importing.remarks import Remarks
from bmff.ctl.importing.systems import EVERY_TALKGROUP, OtherServer, Server
from bmff.ctl.importing.terms import including, translated
from bmff.dmr.ranges import Ranges


class BridgeTable:
    """
    What is known of the bridge.
    """

    def __init__(
        self,
        other: OtherServer,
        members: Mapping[int, int],
        server: Server,
        bridging: Bridging | None,
        remarks: Remarks,
    ) -> None:
        """
        @param members: the talkgroups that the rules say of it, theirs by ours.
        @param bridging: what the rules say; L{None} when there are none.
        """
        self._other = other
        self._members = members
        self._server = server
        self._bridging = bridging
        self._remarks = remarks
        self._place = f"[{other.name}]"

    def keys(self, network: int) -> dict[str, Any]:
        """
        The table.

        @param network: the ID of the node that has it.
        """
        return dict((*self._ends(network), *self._crossing()))

    def _ends(self, network: int) -> Iterator[tuple[str, Any]]:
        """
        Who is at both ends, and how they speak.
        """
        other, server = self._other, self._server
        yield "name", other.name
        if other.host:
            yield "host", other.host
        yield "port", other.port
        yield "peer", other.networkID
        ours = server.serverID if server.freeDMR else other.networkID
        if ours is not None and ours != network:
            yield "id", ours
        if not server.freeDMR:
            self._remarks.left(
                f"{self._place} NETWORK_ID",
                "is our own ID; hblink does not say that of the other server. Put it in as peer, "
                "and take check_peer away",
            )
        if not other.enhanced:
            yield "check_peer", False
        for key, value in (
            ("enhanced", other.enhanced),
            ("both_slots", other.bothSlots),
            ("roaming", not other.host),
        ):
            if value:
                yield key, True
        if other.relaxed and other.host:
            yield "strict", False

    def _crossing(self) -> Iterator[tuple[str, Any]]:
        """
        What crosses.
        """
        other, talkgroups = self._other, self._other.talkgroups
        if self._bridging is not None and not self._server.freeDMR:
            crossing = Ranges(
                (here, here) for here, there in self._members.items() if there in talkgroups
            )
            if not len(crossing):
                self._remarks.left(self._place, "is in no bridge of the rules; nothing crosses")
            yield "send", list(written(crossing))
            units = self._bridging.units
            yield "private", units is not None and other.name in units
        else:
            if not self._server.freeDMR:
                self._remarks.left(
                    self._place, "no rules were given; all permitted talkgroups cross"
                )
            for here, there in self._members.items():
                if here != there and there in talkgroups:
                    talkgroups = including(talkgroups, here)
            if talkgroups != EVERY_TALKGROUP:
                yield "send", list(written(talkgroups))
        others = [
            translated(there, here, 0) for here, there in self._members.items() if here != there
        ]
        if others:
            yield "translate", others
