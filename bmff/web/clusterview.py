"""
C{/cluster}: the nodes that can be reached, in exactly the form of BifroMQ's cluster API
(bifromq.apache.org).
"""

from __future__ import annotations

import os
from typing import Any

from bmff.web.parts import Parts


class ClusterView:
    """
    This node and those that it has a link to.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self) -> dict[str, Any]:
        """
        C{{"env": ..., "nodes": [{"id": "25011", "address": ..., "port": ..., "pid": ...}],
        "local": "25011"}}, by node ID. A process ID that is not known is 0.
        """
        parts = self._parts
        rows = parts.registry.nodes if parts.registry is not None else {}
        links = parts.links
        nodes = {parts.network: self._local()}
        for node in links.describeNodes() if links is not None else ():
            if node["state"] == "linked":
                row = rows.get(node["node"])
                nodes[node["node"]] = {
                    "id": str(node["node"]),
                    "address": row.address if row is not None else node["address"],
                    "port": row.port if row is not None else node.get("port", 0),
                    "pid": row.pid if row is not None else 0,
                }
        return {
            "env": parts.environment,
            "nodes": [nodes[node] for node in sorted(nodes)],
            "local": str(parts.network),
        }

    def _local(self) -> dict[str, Any]:
        parts = self._parts
        return {
            "id": str(parts.network),
            "address": parts.public or "127.0.0.1",
            "port": parts.links.port if parts.links is not None else 0,
            "pid": os.getpid(),
        }
