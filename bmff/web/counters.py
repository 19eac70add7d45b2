"""
What the API says of datagrams and frames that were carried or dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bmff.router.router import Router
from bmff.sockets.addresses import formatAddress
from bmff.sockets.datagrams import DatagramPort
from bmff.web.parts import Bridges, Uplinks
from bmff.wire.homebrewmaster import Master


class CountersView:
    """
    The counters of a node, from its start on.
    """

    def __init__(
        self,
        router: Router,
        master: Master | None,
        ports: Iterable[DatagramPort],
        bridges: Bridges | None = None,
        uplinks: Uplinks | None = None,
    ) -> None:
        """
        @param master: the HomeBrew master, if there is one.
        @param ports: its sockets; those count that are there when the view is asked.
        @param bridges: to other networks, if there are any.
        @param uplinks: to other networks, if there are any.
        """
        self._router = router
        self._master = master
        self._ports = ports
        self._bridges = bridges
        self._uplinks = uplinks

    def __call__(self) -> dict[str, Any]:
        """
        C{{"counters": {"router": {"dropped": {"slot busy": 3}}, "homebrew": ...}}}.
        """
        content: dict[str, Any] = {"router": {"dropped": dict(self._router.dropped)}}
        if self._master is not None:
            content["homebrew"] = {
                "logins": self._master.logins,
                "dropped": dict(self._master.dropped),
                "sockets": [self._socket(port) for port in self._ports],
            }
        if self._bridges is not None:
            content["bridges"] = {
                "dropped": dict(self._bridges.dropped),
                "each": _dropped(self._bridges.describe()),
            }
        if self._uplinks is not None:
            content["uplinks"] = {"each": _dropped(self._uplinks.describe())}
        return {"counters": content}

    def _socket(self, port: DatagramPort) -> dict[str, Any]:
        return {
            "address": formatAddress(port.address),
            "received": port.received,
            "too_long": port.tooLong,
            "kernel_drops": port.kernelDrops,
            "receive_errors": port.receiveErrors,
            "failed": port.failed,
            "sent": port.sent,
            "send_drops": port.sendDrops,
            "send_errors": port.sendErrors,
        }


def _dropped(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """
    What was dropped at each of these, by name and reason.
    """
    return {row["name"]: dict(row["dropped"]) for row in rows}
