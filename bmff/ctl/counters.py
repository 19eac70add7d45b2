"""
C{bmffctl counters}: asks a running node what it carried and dropped.
"""

from __future__ import annotations

from typing import Any

from bmff.ctl.ask import AskOptions
from bmff.ctl.tables import table


class CountersOptions(AskOptions):
    """
    The options of C{bmffctl counters}.
    """

    synopsis = "[options]"
    longdesc = (
        "Lists what a running node dropped since its start, by reason, also at its bridges and "
        "uplinks to other networks, and the datagrams of each socket that hotspots log in at."
    )
    resource = "counters"

    def show(self, content: Any) -> str:
        """
        A line for each reason, then a line for each socket.
        """
        counters = content["counters"]
        homebrew = counters.get("homebrew", {"dropped": {}, "sockets": []})
        dropped = [
            (where, reason, times)
            for where, counts in (
                ("router", counters["router"]["dropped"]),
                ("homebrew", homebrew["dropped"]),
                *_networks(counters),
            )
            for reason, times in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ]
        sockets = [
            (
                sock["address"],
                sock["received"],
                sock["too_long"],
                sock["kernel_drops"],
                sock["failed"],
                sock["sent"],
                sock["send_drops"],
                sock["send_errors"],
            )
            for sock in homebrew["sockets"]
        ]
        heading = (
            *("SOCKET", "RECEIVED", "TOO LONG", "KERNEL DROPS"),
            *("FAILED", "SENT", "SEND DROPS", "SEND ERRORS"),
        )
        return table(("WHERE", "DROPPED", "TIMES"), dropped) + "\n\n" + table(heading, sockets)


def _networks(counters: dict[str, Any]) -> list[tuple[str, dict[str, int]]]:
    """
    What was dropped at the ways to other networks, if there are any.
    """
    found = []
    for kind in ("bridge", "uplink"):
        said = counters.get(f"{kind}s", {})
        found.append((f"{kind}s", said.get("dropped", {})))
        found += [(f"{kind} {name}", counts) for name, counts in said.get("each", {}).items()]
    return found
