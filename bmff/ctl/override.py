"""
C{bmffctl override}: the rows of OverriddenNodes, which say how other nodes are reached.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from twisted.plugin import getPlugins
from twisted.python import usage

from bmff.ctl.rowcommand import RowCommand, RowCommands, RowListing, nodeID, portNumber, removed
from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import IRegistry, ITransportMaker, NodeRow, OverrideRow
from bmff.tables import OVERRIDES

AUTO: Final = "auto"


class ListOptions(RowListing[OverrideRow]):
    """
    The options of C{bmffctl override list}.
    """

    name = OVERRIDES
    heading = ("NODE", "OVER", "ADDRESS", "PORT", "KEY")
    longdesc = (
        "Lists the overrides in the registry, and rows that cannot be used. What a running node "
        "makes of each is shown by bmffctl overrides."
    )

    def lines(self, rows: list[OverrideRow]) -> Iterable[tuple[object, ...]]:
        """
        The rows for people.
        """
        for row in rows:
            yield row.node, row.transport, row.address, row.port or "", row.key or ""


class SetOptions(RowCommand):
    """
    The options of C{bmffctl override set}.
    """

    synopsis = "[options] NODE TRANSPORT [ADDRESS]"
    longdesc = (
        "Has every node that reads this registry reach a node over a transport, from now on and "
        "with no restart; calls go on. Address and port that are not given are those of the node's "
        "row in the registry. auto leaves the transport to the nodes, and names the key only. On "
        "Tarantool this takes a user who may write overrides: --user bmadmin --password-id ID."
    )
    optParameters = [
        ["port", "p", None, "the other node's number, 1 to 65535", portNumber],
        ["key", "k", None, "the id of the key in the secrets file; the node's own when absent"],
    ]

    def parseArgs(self, node: str, transport: str, address: str = "") -> None:  # type: ignore[override]
        """
        @param node: the other node's ID.
        @param transport: the transport's name, or C{auto}.
        @param address: where it is, as the transport takes it.
        @raise usage.UsageError: the words do not fit together.
        """
        self["node"], self["transport"], self["address"] = nodeID(node), transport, address
        if transport == AUTO and (address or self["port"]):
            raise usage.UsageError("auto takes no address and no port")

    def run(self) -> int:
        """
        Write the row.

        @raise ConfigurationError: it cannot be used, or the registry cannot; nothing has changed.
        """
        kinds = {maker.name: maker.addresses for maker in getPlugins(ITransportMaker)}
        transport = self["transport"]
        if transport != AUTO and transport not in kinds:
            message = f"there is no {transport!a}; there is {', '.join([AUTO, *sorted(kinds)])}"
            raise ConfigurationError([Mistake("transport", message)])
        given = OverrideRow(
            self["node"], self["key"] or 0, transport, self["address"], self["port"] or 0
        )

        async def write(registry: IRegistry) -> tuple[OverrideRow, bool]:
            known = registry.nodes.get(given.node)
            row = given if transport == AUTO else completed(given, kinds[transport], known)
            await registry.put(row)
            return row, known is not None

        row, isKnown = self.visit(write)
        print(described(row))
        if not isKnown:
            print(f"node {row.node} has no row in this registry; bmffctl node list shows who has")
        return 0


class RemoveOptions(RowCommand):
    """
    The options of C{bmffctl override remove}.
    """

    synopsis = "[options] NODE"
    longdesc = (
        "Takes an override away, so that the nodes choose again how to reach one another. On "
        "Tarantool this takes a user who may: --user bmadmin --password-id ID."
    )

    def parseArgs(self, node: str) -> None:  # type: ignore[override]
        """
        @param node: the other node's ID.
        @raise usage.UsageError: it is no ID.
        """
        self["node"] = nodeID(node)

    def run(self) -> int:
        """
        Remove the row, also one that cannot be used.

        @raise ConfigurationError: there is none, or the registry cannot be used.
        """
        node = self["node"]

        async def remove(registry: IRegistry) -> bool:
            return await removed(registry, OVERRIDES, node)

        if not (self.isThere and self.visit(remove)):
            raise ConfigurationError([Mistake(str(node), "there is no override for this node")])
        print(f"node {node}: the nodes choose again how it is reached")
        return 0


class OverrideOptions(RowCommands):
    """
    The options of C{bmffctl override}.
    """

    longdesc = "How other nodes are reached; bmffctl override COMMAND --help says more."
    subCommands = [
        ("list", None, ListOptions, "List the overrides in the registry."),
        ("set", None, SetOptions, "Have a node be reached over a transport."),
        ("remove", None, RemoveOptions, "Have the nodes choose again."),
    ]


def completed(row: OverrideRow, kind: str, known: NodeRow | None) -> OverrideRow:
    """
    A row with what it does not say itself taken from the node's own.

    @param kind: what an address is to its transport, see L{ITransportMaker.addresses}.
    @param known: what is known of the node.
    @raise ConfigurationError: it takes an address or has none, or a port is not known.
    """
    mistakes = []
    if kind == "none" and row.address:
        mistakes.append(Mistake("address", f"{row.transport} leads to a node of this host: none"))
    if kind == "host" and not row.address:
        row = replace(row, address=known.address if known is not None else "")
        if not row.address:
            mistakes.append(Mistake("address", "is missing, and the registry knows none"))
    if not row.port:
        row = replace(row, port=known.port if known is not None else 0)
        if not row.port:
            message = "is missing, and the registry knows none; give --port"
            mistakes.append(Mistake("port", message))
    if mistakes:
        raise ConfigurationError(mistakes)
    return row


def described(row: OverrideRow) -> str:
    """
    What a row says, for people.
    """
    under = f" under key {row.key}" if row.key else ""
    if row.transport == AUTO:
        return f"node {row.node}: the nodes choose how it is reached{under}"
    place = f" at {row.address}" if row.address else ""
    return f"node {row.node} is reached over {row.transport}{place} port {row.port}{under}"
