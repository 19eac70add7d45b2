"""
What the API says of the overrides: each row, and what this node makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isinf
from typing import Any, Final, Protocol

from bmff.ibmff import BadRow, OverrideRow
from bmff.tables import SPACES
from bmff.web.links import Choice
from bmff.wire.fastforward.link import Link

AUTO: Final = "auto"
IN_USE: Final = "in use"
OVERRULED: Final = "overruled"
NOT_TO_BE_HAD: Final = "not to be had"
WAITING: Final = "waiting"
IGNORED: Final = "ignored"


class OverriddenLinks(Protocol):
    """
    The links of a node, see L{bmff.linkservice.Choices}.
    """

    @property
    def links(self) -> Mapping[int, Link]: ...

    def all(self) -> Mapping[int, Choice]: ...

    def absence(self, transport: str) -> str: ...

    def failure(self, node: int) -> str: ...

    def obstacle(self, link: Link, transport: str) -> str: ...


class OverrideRows(Protocol):
    """
    The rows of a registry, see L{bmff.ibmff.IRegistry}.
    """

    @property
    def overrides(self) -> Mapping[int, OverrideRow]: ...

    @property
    def badRows(self) -> tuple[BadRow, ...]: ...

    @property
    def available(self) -> bool: ...

    @property
    def reason(self) -> str: ...

    @property
    def age(self) -> float: ...


class OverridesView:
    """
    The overrides of a node's registry.
    """

    def __init__(
        self, nodeID: int, registry: OverrideRows | None, links: OverriddenLinks | None
    ) -> None:
        """
        @param nodeID: this node.
        @param registry: its rows count where there are links.
        @param links: L{None} where there are none.
        """
        self._nodeID = nodeID
        self._registry = registry
        self._links = links

    def __call__(self) -> dict[str, Any]:
        """
        C{{"overrides": [{"node": 25012, "transport": "tcp", "state": "in use", ...}], "bad": [...],
        "registry": {...}}}, by node ID; in C{"bad"} the rows that cannot be used, of every table.
        """
        registry, links = self._registry, self._links
        if registry is None or links is None:
            return {"overrides": [], "bad": [], "registry": None}
        choices = links.all()
        return {
            "overrides": [
                self._override(row, links, choices.get(node))
                for node, row in sorted(registry.overrides.items())
            ],
            "bad": [
                {"table": SPACES.get(row.table, row.table), "row": row.text, "reason": row.reason}
                for row in registry.badRows
            ],
            "registry": {
                "available": registry.available,
                "reason": registry.reason,
                "age": None if isinf(registry.age) else round(registry.age, 3),
            },
        }

    def _override(
        self, row: OverrideRow, links: OverriddenLinks, choice: Choice | None
    ) -> dict[str, Any]:
        link = links.links.get(row.node)
        path = link.path if link is not None else None
        over = path.traits.name if path is not None else None
        state, reason = self._state(row, links, choice, over)
        return {
            "node": row.node,
            "transport": row.transport,
            "address": row.address,
            "port": row.port,
            "key": row.key or None,
            "over": over,
            "state": state,
            "reason": reason,
        }

    def _state(
        self, row: OverrideRow, links: OverriddenLinks, choice: Choice | None, over: str | None
    ) -> tuple[str, str]:
        """
        What has become of a row, and why.

        @param over: what carries the link now.
        """
        if row.node == self._nodeID:
            return IGNORED, "it is about this node itself"
        wanted, link = row.transport, links.links.get(row.node)
        if wanted != AUTO and (absence := links.absence(wanted)):
            return NOT_TO_BE_HAD, absence
        if link is None or choice is None:
            return WAITING, links.failure(row.node) or "no link yet"
        if reason := _overruling(row, choice):
            return OVERRULED, reason
        if wanted in {over, AUTO}:
            return IN_USE, "" if wanted == over else "the nodes choose"
        return _notYet(links.obstacle(link, wanted), choice.missing.get(wanted))


def _overruling(row: OverrideRow, choice: Choice) -> str:
    """
    What counts in place of a row; empty when the row does.
    """
    if row.transport == AUTO:
        return ""
    if choice.wish and choice.wish != row.transport:
        return f"{choice.wish} was asked for by hand"
    if choice.overruled:
        return f"node {row.node} has the lower number, and wants {choice.transport}"
    return ""


def _notYet(obstacle: str, missing: str | None) -> tuple[str, str]:
    """
    What is said of a row that counts and over which the link does not run.
    """
    return (NOT_TO_BE_HAD, obstacle) if obstacle else (WAITING, missing or "the link changes to it")
