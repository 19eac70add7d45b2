"""
C{bmffctl node}: the rows of Nodes in the registry, which say where each node is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from twisted.python import usage

from bmff.ctl.rowcommand import RowCommand, RowCommands, RowListing, nodeID, portNumber, removed
from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import IRegistry, NodeRow
from bmff.tables import NODES

ROW_LIFE: Final = 60.0  # seconds, see bmff.cluster.ways
ALIVE: Final = "alive"
BY_HAND: Final = "by hand"


def stateOf(row: NodeRow, now: float) -> str:
    """
    What is known of the process that a row is about.

    @param now: seconds since 1970.
    @return: C{alive}: it says so; C{silent}: it has not for a minute; C{stopped}: it has said that
        it ends; C{registered}: it has not run yet; C{by hand}: somebody has said where it is, and
        that counts until the row is removed.
    """
    if not row.boot:
        return BY_HAND if row.seen else "registered"
    if not row.seen:
        return "stopped"
    return ALIVE if row.seen >= now - ROW_LIFE else "silent"


class ListOptions(RowListing[NodeRow]):
    """
    The options of C{bmffctl node list}.
    """

    name = NODES
    heading = ("NODE", "ADDRESS", "PORT", "PID", "SEEN (UTC)", "STATE", "CERTIFICATE")
    longdesc = (
        "Lists the nodes in the registry: where each is reached, its process, when it last said "
        "that it is there. registered: has not run yet. by hand: from bmffctl node add. What a "
        "running node makes of them is shown by bmffctl nodes."
    )

    def content(self, row: NodeRow) -> dict[str, Any]:
        """
        A row as JSON.
        """
        return asdict(row) | {"boot": f"{row.boot:016x}", "state": stateOf(row, time.time())}

    def lines(self, rows: list[NodeRow]) -> Iterable[tuple[object, ...]]:
        """
        The rows for people.
        """
        now = time.time()
        for row in rows:
            yield (
                row.node,
                row.address,
                row.port,
                row.pid if row.boot else "",
                _moment(row.seen),
                stateOf(row, now),
                f"{row.fingerprint[:16]}\N{HORIZONTAL ELLIPSIS}" if row.fingerprint else "",
            )


class AddOptions(RowCommand):
    """
    The options of C{bmffctl node add}.
    """

    synopsis = "[options] NODE ADDRESS PORT"
    longdesc = (
        "Says where a node is that does not write into this registry itself. It counts until it is "
        "removed, or until a node of that number does write."
    )
    optParameters = [["fingerprint", "f", "", "that of its certificate, for links over TLS"]]

    def parseArgs(self, node: str, address: str, port: str) -> None:  # type: ignore[override]
        """
        @param node: its ID.
        @param address: host name or numeric address.
        @param port: its number of FastForward.
        @raise usage.UsageError: they are none.
        """
        self["node"], self["address"] = nodeID(node), address
        try:
            self["port"] = portNumber(port)
        except ValueError as error:
            raise usage.UsageError(str(error)) from None

    def run(self) -> int:
        """
        Write the row.

        @raise ConfigurationError: the node writes its own, the row cannot be used, or the registry
            cannot; nothing has changed.
        """
        if not self["address"]:
            raise ConfigurationError([Mistake("address", "is empty")])
        row = NodeRow(
            self["node"],
            self["address"],
            self["port"],
            0,  # no node has written it, so it does not age
            os.getpid(),
            time.time(),
            self["fingerprint"].replace(":", "").lower(),
        )

        async def write(registry: IRegistry) -> None:
            known = registry.nodes.get(row.node)
            if known is not None and stateOf(known, row.seen) == ALIVE:
                message = f"is alive, and says itself that it is at {_place(known)}"
                raise ConfigurationError([Mistake(f"node {row.node}", message)])
            await registry.put(row)

        self.visit(write)
        print(f"node {row.node} is at {_place(row)}")
        return 0


class RemoveOptions(RowCommand):
    """
    The options of C{bmffctl node remove}.
    """

    synopsis = "[options] NODE"
    longdesc = "Takes the row of a node that is gone out of the registry."
    optFlags = [["force", None, "also one of a node that said less than a minute ago that it runs"]]

    def parseArgs(self, node: str) -> None:  # type: ignore[override]
        """
        @param node: its ID.
        @raise usage.UsageError: it is none.
        """
        self["node"] = nodeID(node)

    def run(self) -> int:
        """
        Remove the row.

        @raise ConfigurationError: there is none, the node is alive, or the registry cannot be used.
        """
        node = self["node"]

        async def remove(registry: IRegistry) -> bool:
            known = registry.nodes.get(node)
            alive = known is not None and stateOf(known, time.time()) == ALIVE
            if alive and not self["force"]:
                message = "is alive, and would write its row again; stop it, or use --force"
                raise ConfigurationError([Mistake(f"node {node}", message)])
            return await removed(registry, NODES, node)

        if not (self.isThere and self.visit(remove)):
            raise ConfigurationError([Mistake(f"node {node}", "has no row in the registry")])
        print(f"node {node} is out of the registry")
        return 0


class NodeOptions(RowCommands):
    """
    The options of C{bmffctl node}.
    """

    longdesc = "The nodes in the registry; bmffctl node COMMAND --help says more."
    subCommands = [
        ("list", None, ListOptions, "List the nodes in the registry."),
        ("add", None, AddOptions, "Say where a node is that does not say so itself."),
        ("remove", None, RemoveOptions, "Take the row of a node away."),
    ]


def _moment(seen: float) -> str:
    """
    A moment for people.

    @param seen: seconds since 1970.
    """
    if not seen:
        return ""
    try:
        return datetime.fromtimestamp(seen, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):  # a row may hold any number
        return f"{seen:g}"


def _place(row: NodeRow) -> str:
    return f"{row.address} port {row.port}"
