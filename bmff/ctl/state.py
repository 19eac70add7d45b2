"""
C{bmffctl health}, C{status}, C{cluster} and C{orders}: ask a running node how it is.
"""

from __future__ import annotations

from typing import Any, Final

from bmff.ctl.ask import AskOptions
from bmff.ctl.tables import table

CRITICAL: Final = "critical"


class HealthOptions(AskOptions):
    """
    The options of C{bmffctl health}.
    """

    synopsis = "[options]"
    longdesc = (
        "Says how the parts of a running node do. The exit code is 1 when something is critical."
    )
    resource = "health"
    key = ""
    statuses = (200, 503)

    def show(self, content: Any) -> str:
        """
        A line for each part.
        """
        rows = [(check["CheckID"], check["Status"], check["Output"]) for check in content]
        return table(("PART", "STATE", "REASON"), rows)

    def code(self, content: Any) -> int:
        """
        @see: L{AskOptions.code}
        """
        return int(any(check["Status"] == CRITICAL for check in content))


class _FieldsOptions(AskOptions):
    """
    What is shown as one line for each field.
    """

    synopsis = "[options]"

    def show(self, content: Any) -> str:
        """
        A line for each field.
        """
        return table(("WHAT", "IS"), [(name, _shown(value)) for name, value in content.items()])


class StatusOptions(_FieldsOptions):
    """
    The options of C{bmffctl status}.
    """

    longdesc = "Shows a running node in numbers."
    resource = "status/status.json"
    key = "network"


class SystemOptions(_FieldsOptions):
    """
    The options of C{bmffctl system}.
    """

    longdesc = "Shows the host and the process of a running node."
    resource = "status/system.json"
    key = "network"


class ClusterOptions(AskOptions):
    """
    The options of C{bmffctl cluster}.
    """

    synopsis = "[options]"
    longdesc = "Lists the nodes that a running node reaches, itself among them (*)."
    resource = "cluster"
    key = "nodes"

    def show(self, content: Any) -> str:
        """
        A line for each node.
        """
        rows = [
            (
                f"{node['id']}{'*' if node['id'] == content['local'] else ''}",
                node["address"],
                node["port"],
                node["pid"] or "",
            )
            for node in content["nodes"]
        ]
        return f"environment {content['env']}\n" + table(("NODE", "ADDRESS", "PORT", "PID"), rows)


class OrdersOptions(AskOptions):
    """
    The options of C{bmffctl orders}.
    """

    synopsis = "[options]"
    longdesc = "Lists what was ordered by hand, which is forgotten when the running node ends."
    resource = "orders"

    def show(self, content: Any) -> str:
        """
        A line for each order.
        """
        orders = content["orders"]
        if orders is None:
            return "no hotspots log in to this node"
        rows = [("", "drain", "nobody new may log in")] if orders["draining"] else []
        rows += [(row["peer"], "ban", row["reason"]) for row in orders["banned"]]
        rows += [
            (row["peer"], f"slot {slot}", " ".join(map(str, row[f"slot{slot}"])) or "nothing")
            for row in orders["static"]
            for slot in (1, 2)
            if row[f"slot{slot}"] is not None
        ]
        return table(("PEER", "ORDER", "WHAT"), rows)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
