"""
C{bmffctl nodes} and C{links}: ask a running node about the others.
"""

from __future__ import annotations

from typing import Any, Final

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
    longdesc = (
        "Lists the links of a running node, a line for each path: * carries the link, the others "
        "stand by. KEY is in brackets where packets go unsealed. RTT, JITTER and LAG are in "
        "milliseconds. LOSS is followed by x2 where frames are sent twice. AGAIN: packets sent "
        "again, and packets that came again, because they were missing. LATE: frames of the link "
        "that waited for others, and that came too late. BATCH: frames in a packet. Below stands "
        "what was chosen by an override or by hand, and why a path is not there."
    )
    resource = "links"

    def show(self, content: Any) -> str:
        """
        A line for each path, then what else there is to be said of the links.
        """
        rows: list[tuple[object, ...]] = []
        notes: list[str] = []
        for link in content["links"]:
            paths = link["paths"]
            rows += [_pathRow(link, path) for path in paths]
            if not paths:
                rows.append((link["node"], "-", *[""] * (len(_HEADING) - 2)))
            notes += _notes(link)
        return "\n".join([table(_HEADING, rows), *notes])


_HEADING: Final = (
    *("NODE", "OVER", "ADDRESS", "KEY", "RTT", "JITTER", "LOSS", "LAG"),
    *("SENT", "HEARD", "AGAIN", "LATE", "BATCH"),
)


def _pathRow(link: dict[str, Any], path: dict[str, Any]) -> tuple[object, ...]:
    carries = path["carries"]
    key = _short(path["key"], 8)
    return (
        link["node"],
        f"{path['transport']}{'*' if carries else ''}",
        _short(path["address"], 21),
        key if path["sealed"] else f"({key})",
        _milliseconds(path["round_trip"]),
        _milliseconds(path["jitter"]),
        f"{100 * path['loss']:.1f}%{' x2' if path['twice'] else ''}",
        _milliseconds(path["lag"]),
        _count(path["frames_sent"]),
        _count(path["frames_received"]),
        f"{_count(path['packets_repeated'])}/{_count(path['packets_repaired'])}",
        f"{_count(link['frames_held'])}/{_count(link['frames_late'])}" if carries else "",
        path["frames_a_packet"] or "-",
    )


def _notes(link: dict[str, Any]) -> list[str]:
    """
    What is to be said of a link beside its paths.
    """
    node = link["node"]
    notes = []
    asked = link["by_hand"] or link["override"]
    if asked:
        by = "by hand" if link["by_hand"] else "by an override"
        overruled = f"; overruled, node {node} wants {link['chosen']}" if link["overruled"] else ""
        notes.append(f"{node}: {asked} {by}{overruled}")
    elif link["chosen"] != link["transport"]:
        notes.append(f"{node}: {link['chosen']} would be chosen")
    return notes + [f"{node}: no {name}: {reason}" for name, reason in link["missing"].items()]


def _short(text: str, width: int) -> str:
    """
    The text, or what it begins with, so that a line fits on a terminal.
    """
    return text if len(text) <= width else f"{text[: width - 1]}\N{HORIZONTAL ELLIPSIS}"


def _count(number: int) -> int | str:
    """
    The number in five characters.
    """
    if number < 100_000:
        return number
    return f"{number // 1000}k" if number < 10_000_000 else f"{number // 1_000_000}M"


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.{2 if seconds < 0.01 else 1}f}"
