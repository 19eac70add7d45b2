"""
C{bmffctl path}: has the link with a node run over a transport.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twisted.python import usage

from bmff.ctl.anyorder import AnyOrderOptions
from bmff.ctl.ask import NodeError, findSocket, order

AUTO = "auto"


class PathOptions(AnyOrderOptions):
    """
    The options of C{bmffctl path}.
    """

    synopsis = "[options] NODE TRANSPORT | NODE auto"
    longdesc = (
        "Has the link with a node run over a transport (udp, tcp, unix ...), whatever the registry "
        "says, until the running node ends or is told auto: then the registry counts again. Calls "
        "go on. The exit code is 0 when the link runs over it, 1 when it does not, or not yet."
    )
    optParameters = [
        ["socket", "s", None, "the running node's control socket"],
        ["config", "c", None, "its configuration file, which names the socket"],
    ]
    optFlags = [["json", "j", "print what the node answers"]]

    def parseArgs(self, node: str, transport: str) -> None:  # type: ignore[override]
        """
        @param node: the other node's ID.
        @param transport: the transport's name, or C{auto}.
        @raise usage.UsageError: it is no ID.
        """
        if not (node.isascii() and node.isdigit() and len(node) <= 7):
            raise usage.UsageError(f"{node} is no node ID")
        self["node"], self["transport"] = int(node), transport

    def run(self) -> int:
        """
        Tell the node and print what has become of it.
        """
        try:
            content = steer(
                findSocket(self["socket"], self["config"]), self["node"], self["transport"]
            )
        except NodeError as error:
            print(f"bmffctl: {error}", file=sys.stderr)
            return 1
        path = content["path"]
        if self["json"]:
            print(json.dumps(content, indent=2))
        elif path["done"]:
            print(f"link to node {path['node']} now runs over {path['transport']}")
        else:
            print(self._notYet(path), file=sys.stderr)
        return 0 if path["done"] else 1

    def _notYet(self, path: dict[str, Any]) -> str:
        node, over, wanted = path["node"], path["transport"], self["transport"]
        state = f"runs over {over}" if over else "is not there"
        what = "" if wanted == AUTO else f", not over {wanted}"
        text = f"bmffctl: link to node {node} {state}{what}: {path['reason']}"
        if wanted != AUTO:
            text += f"\nit changes when it can; to take that back: bmffctl path {node} {AUTO}"
        return text


def steer(path: Path, node: int, transport: str) -> dict[str, Any]:
    """
    Tell the node at a control socket what its link with another is to run over.

    @return: its answer.
    @raise NodeError: there is none, or it refuses.
    """
    return order(path, "path", {"node": node, "transport": transport}, "path")
