"""
The tables of a registry by name: as this program calls them, and as the registry's own are named.

The registry's own have the names that BrandMeister's public description of its clusters gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

NODES: Final = "nodes"
OVERRIDES: Final = "overrides"
PEERS: Final = "peers"
SUBSCRIPTIONS: Final = "subscriptions"

# The same on Tarantool, where a table is a space, and in SQLite.
SPACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        NODES: "Nodes",
        OVERRIDES: "OverriddenNodes",
        PEERS: "Peers",
        SUBSCRIPTIONS: "Subscriptions",
    }
)
TABLES: Final = tuple(SPACES)
