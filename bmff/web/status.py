"""
C{/status/{system,status,list}}: the host and the process, the node in numbers, who is logged in; as
JSON or as MessagePack (BrandMeister's status API has these three).
"""

from __future__ import annotations

import os
import platform
import resource
import socket
from math import isinf
from typing import Any

from bmff.web.lag import Lag
from bmff.web.parts import Parts

_PAGE = resource.getpagesize()


class Status:
    """
    The three views.
    """

    def __init__(self, parts: Parts, lag: Lag) -> None:
        self._parts = parts
        self._lag = lag
        self._started = parts.clock.seconds()

    def system(self) -> dict[str, Any]:
        """
        The host and the process.
        """
        used = resource.getrusage(resource.RUSAGE_SELF)
        load = os.getloadavg()
        return {
            "network": self._parts.network,
            "environment": self._parts.environment,
            "software": "bmff",
            "version": self._parts.version,
            "python": platform.python_version(),
            "host": socket.gethostname(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "processors": os.cpu_count() or 1,
            "load": [round(each, 2) for each in load],
            "pid": os.getpid(),
            "boot": f"{self._parts.boot:016x}",
            "since": self._parts.moments.tell(self._started),
            "uptime": round(self._parts.clock.seconds() - self._started, 3),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
            "memory": _memory(),
            "lag": round(self._lag.worst, 6),
        }

    def status(self) -> dict[str, Any]:
        """
        The node in numbers.
        """
        parts = self._parts
        router, registry, links = parts.router, parts.registry, parts.links
        nodes = links.describeNodes() if links is not None else []
        age = None if registry is None or isinf(registry.age) else round(registry.age, 3)
        return {
            "network": parts.network,
            "draining": parts.orders is not None and parts.orders.draining,
            "peers": len(router.reach.peers),
            "calls": len(router.calls),
            "talkgroups": len(router.reach.talkgroups),
            "nodes": len(nodes),
            "links": sum(node["state"] == "linked" for node in nodes),
            "port": links.port if links is not None else 0,
            "transports": sorted(parts.transports),
            "registry": None if registry is None else {"available": registry.available, "age": age},
            "broker": None if parts.broker is None else parts.broker.connected,
            "frames": router.framesRouted,
        }

    def list(self) -> dict[str, Any]:
        """
        Who is logged in, briefly.
        """
        parts = self._parts
        sessions = parts.homebrew.master if parts.homebrew is not None else ()
        return {
            "network": parts.network,
            "list": [
                {
                    "id": session.peerID,
                    "callsign": session.station.callsign,
                    "software": session.station.software,
                    "package": session.station.package,
                    "colour_code": session.station.colourCode,
                    "rx_frequency": session.station.rxFrequency,
                    "tx_frequency": session.station.txFrequency,
                    "since": parts.moments.tell(session.since),
                }
                for session in sorted(sessions, key=lambda each: each.peerID)
                if session.running
            ],
        }


def _memory() -> int:
    """
    Bytes that the process has in memory (proc(5)); 0 where that cannot be known.
    """
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
