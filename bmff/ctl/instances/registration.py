"""
An instance's row in the registry, whichever registry its configuration names.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from bmff.config import Configuration
from bmff.ctl.instances.places import Places
from bmff.ctl.visit import EMBEDDED, isThere, visit
from bmff.errors import Mistake
from bmff.ibmff import IRegistry, NodeRow

LOOPBACK: Final = "127.0.0.1"  # what a node that names no public address puts into its row

T = TypeVar("T")


class Registration:
    """
    The rows of nodes in one registry.
    """

    def __init__(self, places: Places, configuration: Configuration) -> None:
        """
        @param configuration: names the registry.
        """
        self._places = places
        self._settings = configuration.registry
        self._secrets = configuration.secrets

    @property
    def name(self) -> str:
        """
        Where it is, for people.
        """
        if self._settings.type == EMBEDDED:
            return str(self._settings.file)
        return f"{self._settings.type} at {', '.join(map(str, self._settings.addresses))}"

    @property
    def exists(self) -> bool:
        """
        Whether there is a registry already; if not, one is made for the first row.
        """
        return isThere(self._settings)

    def rows(self) -> dict[int, NodeRow]:
        """
        All rows by node ID; none where there is no registry yet.

        @raise ConfigurationError: the registry cannot be used.
        """

        async def read(registry: IRegistry) -> dict[int, NodeRow]:
            return dict(registry.nodes)

        return self._visit(read) if self.exists else {}

    def put(self, row: NodeRow) -> None:
        """
        Write a row.

        @raise ConfigurationError: the registry cannot be used.
        """

        async def write(registry: IRegistry) -> None:
            await registry.put(row)

        self._places.makeState()
        self._visit(write)

    def remove(self, node: int) -> None:
        """
        Take a node's row away, if there is one.

        @raise ConfigurationError: the registry cannot be used.
        """

        async def remove(registry: IRegistry) -> None:
            await registry.remove("nodes", node)

        if self.exists:
            self._visit(remove)

    def _visit(self, use: Callable[[IRegistry], Awaitable[T]]) -> T:
        with self._places.asOwner():
            return visit(self._settings, self._secrets, use)


def rowOf(configuration: Configuration) -> NodeRow | None:
    """
    The row of a node that has not run yet; L{None} for one that has no links, or whose number of
    FastForward is not known before it runs.
    """
    links = configuration.fastforward
    if links is None or links.port is None:
        return None
    address = links.public or LOOPBACK
    return NodeRow(configuration.network, address, links.port, 0, os.getpid(), 0.0)


def clashes(configuration: Configuration, rows: dict[int, NodeRow]) -> list[Mistake]:
    """
    What a new node has in common with rows of the registry, and may not.
    """
    found = []
    same = rows.get(configuration.network)
    if same is not None:
        message = f"{same.node} is in the registry already, at {same.address} port {same.port}"
        found.append(Mistake("network", message))
    ours = rowOf(configuration)
    for row in rows.values():
        if ours and row is not same and (row.address, row.port) == (ours.address, ours.port):
            message = f"port {row.port} at {row.address} is node {row.node}'s in the registry"
            found.append(Mistake("fastforward.port", message))
    return found
