"""
C{bmffctl overrides}: asks a running node what it makes of the overrides in its registry.
"""

from __future__ import annotations

from typing import Any

from bmff.ctl.ask import AskOptions
from bmff.ctl.tables import table


class OverridesOptions(AskOptions):
    """
    The options of C{bmffctl overrides}.
    """

    synopsis = "[options]"
    longdesc = (
        "Lists the overrides as a running node has them. in use: the link runs over it. overruled: "
        "the other end's override counts, or what was asked for by hand. not to be had: it cannot "
        "be done, and why. waiting: there is no link yet, or its new path is being made. ignored: "
        "it is about the node itself. Below stand the rows that cannot be used."
    )
    resource = "overrides"

    def show(self, content: Any) -> str:
        """
        A line for each row, then those that cannot be used, then whether the registry is away.
        """
        rows = [
            (
                row["node"],
                row["transport"],
                row["address"],
                row["port"] or "",
                row["key"] or "",
                row["over"] or "-",
                row["state"],
                row["reason"],
            )
            for row in content["overrides"]
        ]
        heading = ("NODE", "WANTED", "ADDRESS", "PORT", "KEY", "OVER", "STATE", "REASON")
        lines = [table(heading, rows)]
        lines += [
            f"not used, of {row['table']}: {row['row']}: {row['reason']}" for row in content["bad"]
        ]
        registry = content["registry"]
        if registry is None:
            lines.append("this node has no links to others")
        elif not registry["available"]:
            age = f", as of {registry['age']:.0f} s ago" if registry["age"] is not None else ""
            lines.append(f"the registry is away{age}: {registry['reason']}")
        return "\n".join(lines)
