"""
Steering by hand: which transport a link is to run over, and what became of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from bmff.web.links import Choice
from bmff.web.resource import Refused
from bmff.wire.fastforward.link import Link

AUTO: Final = "auto"
PATIENCE: Final = 5.0  # seconds that a link gets to change its path
LOOK: Final = 0.02  # seconds between two looks at it


class SteeredLinks(Protocol):
    """
    The links of a node, see L{bmff.linkservice.Choices}.
    """

    @property
    def links(self) -> Mapping[int, Link]: ...

    def all(self) -> Mapping[int, Choice]: ...

    def chosen(self, link: Link) -> str: ...

    def overruled(self, link: Link) -> bool: ...

    def knows(self, node: int) -> bool: ...

    def absence(self, transport: str) -> str: ...

    def failure(self, node: int) -> str: ...

    def wish(self, node: int, transport: str) -> None: ...


class Steering:
    """
    Has links run over what an operator asks for.
    """

    def __init__(self, clock: IReactorTime, links: SteeredLinks | None) -> None:
        """
        @param links: L{None} where there are none.
        """
        self._clock = clock
        self._links = links

    async def steer(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        Have a link run over a transport, and wait a moment for it.

        @param order: C{{"node": 25012, "transport": "tcp"}}; C{"auto"} takes an earlier order
            back.
        @return: C{{"path": {"node": 25012, "transport": "tcp", "done": true, "reason": ""}}}, with
            what the link runs over now; when that is not what was asked for, why not yet.
        @raise Refused: it cannot be had; nothing has changed.
        """
        node, transport = order.get("node"), order.get("transport")
        if type(node) is not int or not isinstance(transport, str) or not transport:
            raise Refused(400, 'the body is not as {"node": 25012, "transport": "tcp"}')
        links = self._links
        if links is None:
            raise Refused(404, "this node has no links to others")
        if not links.knows(node):
            if node not in links.links:
                raise Refused(404, f"no node {node} is known here")
            if transport != AUTO:
                raise Refused(
                    409, f"where node {node} is, is not known here; ask node {node} to change it"
                )
        if transport != AUTO and (reason := links.absence(transport)):
            raise Refused(409, f"no {transport} here: {reason}")
        links.wish(node, "" if transport == AUTO else transport)
        end = self._clock.seconds() + PATIENCE
        while not self._done(links, node, transport) and self._clock.seconds() < end:
            await deferLater(self._clock, LOOK)
        return {"path": self._outcome(links, node, transport)}

    def _done(self, links: SteeredLinks, node: int, transport: str) -> bool:
        link = links.links.get(node)
        if link is None or link.path is None:
            return False
        over = link.path.traits.name
        if transport == AUTO or links.overruled(link):
            return over == links.chosen(link)
        return over == transport

    def _outcome(self, links: SteeredLinks, node: int, transport: str) -> dict[str, Any]:
        link = links.links.get(node)
        path = link.path if link is not None else None
        over = path.traits.name if path is not None else None
        found = {"node": node, "transport": over, "done": False, "reason": ""}
        if path is None:
            return found | {"reason": links.failure(node) or "no link yet"}
        choice = links.all()[node]  # of all links, so that it is asked for but once
        wanted = choice.transport if transport == AUTO else transport
        if over == wanted:
            return found | {"done": True}
        if choice.overruled:
            return found | {
                "reason": f"node {node} has the lower number, and wants {choice.transport}"
            }
        return found | {"reason": choice.missing.get(wanted, "the other end has not agreed yet")}
