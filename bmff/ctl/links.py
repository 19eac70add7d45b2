"""
C{bmffctl nodes} and C{links}: ask a running node about the others.
"""

from __future__ import annotations

from typing import Any

from bmff.ctl.ask import AskOptions
from bmff.ctl.tables import table


class NodesOptions(AskOptions):
    """
    The options of C{bmffctl nodes}.
    """

    synopsis = "[options]"
    longdesc = "Lists the nodes that a running node knows of, and whether it has a link to each."
    resource = "nodes"

    def show(self, content: Any) -> str:
        """
        A line for each node.
        """
        rows = [
            (
                node["node"],
                node["state"],
                node.get("transport", "-"),
                node.get("address", ""),
                node.get("port", "-"),
                "override" if node["override"] else "",
                node.get("reason", ""),
            )
            for node in content["nodes"]
        ]
        return table(("NODE", "STATE", "OVER", "ADDRESS", "PORT", "BY", "REASON"), rows)


class LinksOptions(AskOptions):
    """
    The options of C{bmffctl links}.
    """

    synopsis = "[options]"
    longdesc = "Lists the links of a running node, with what carries each and how it does."
    resource = "links"

    def show(self, content: Any) -> str:
        """
        A line for each link.
        """
        rows = [
            (
                link["node"],
                link["transport"] or "-",
                link.get("address", ""),
                "yes" if link.get("sealed") else "no",
                _milliseconds(link.get("round_trip")),
                f"{100 * link.get('loss', 0):.1f} %",
                _milliseconds(link.get("lag")),
                link["talkgroups"],
                link.get("frames_sent", 0),
                link.get("frames_received", 0),
                link.get("frames_a_packet") or "-",
            )
            for link in content["links"]
        ]
        heading = (
            *("NODE", "OVER", "ADDRESS", "SEALED", "RTT", "LOSS", "LAG"),
            *("TALKGROUPS", "SENT", "RECEIVED", "BATCH"),
        )
        return table(heading, rows)


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.2f} ms"
