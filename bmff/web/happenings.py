"""
Everything that happens in a node, for its page and whoever else listens: each event by the name of
its class (L{bmff.events}), and once a second how its links do.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from bmff.events import Event
from bmff.web.feed import Feed
from bmff.web.views import Moments

LINKS: Final = "LinksMeasured"
_COARSE: Final = 1  # digits of a degree that those get who may only look: about 10 km
_POSITIONS: Final = ("latitude", "longitude")
_HIDDEN: Final = ("text", "address", "payload", "altitude", "speed", "direction")
_OPEN: Final = frozenset(
    ("TalkerAliasReceived", "OptionsNotUnderstood")
)  # their text is no message
_PLACES: Final = frozenset(  # of nodes and servers, not of people
    (
        "LinkStarted",
        "PathChanged",
        "PathTried",
        "BridgeStarted",
        "BridgeMoved",
        "UplinkStarted",
        "UplinkRefused",
    )
)


def describe(event: Event, exact: bool = True) -> dict[str, Any]:
    """
    The fields of an event.

    @param exact: whether texts of messages, exact positions and peers' addresses are among them.
    """
    content: dict[str, Any] = {}
    kind = type(event)
    for name in (field.name for field in fields(kind)):
        value = getattr(event, name)
        if name == "stream":
            value = f"{value:08x}"
        elif isinstance(value, bytes):
            value = value.hex()
        elif isinstance(value, float):
            value = round(value, 6)
        content[name] = value if exact else _blurred(kind.__name__, name, value)
    return content


def _blurred(kind: str, name: str, value: Any) -> Any:
    if name in _POSITIONS and value is not None:
        return round(value, _COARSE)
    if name in _HIDDEN and kind not in _OPEN and not (name == "address" and kind in _PLACES):
        return None
    return value


def blurPeers(content: dict[str, Any]) -> dict[str, Any]:
    """
    The peers as those see them who may only look.
    """
    return {
        "peers": [
            peer
            | {name: round(peer[name], _COARSE) for name in _POSITIONS}
            | {"address": None, "height": None}
            for peer in content["peers"]
        ]
    }


class Happenings:
    """
    Hands events to a feed; L{watch} is to be added to the node's events.
    """

    def __init__(self, feed: Feed, moments: Moments) -> None:
        self._feed = feed
        self._moments = moments

    def watch(self, event: Event) -> None:
        """
        Something has happened.
        """
        at = self._moments.now()

        def make(exact: bool) -> dict[str, Any]:
            return {"at": self._moments.tell(at)} | describe(event, exact)

        self._feed.publish(type(event).__name__, make)


def measured(links: dict[str, Any]) -> dict[str, Any]:
    """
    What is told of links once a second.

    @param links: as L{bmff.web.links.LinksView} has them.
    """
    return {
        "links": [
            {
                "node": link["node"],
                "transport": link["transport"],
                "paths": [{name: path[name] for name in _MEASURED} for path in link["paths"]],
            }
            for link in links["links"]
        ]
    }


_MEASURED: Final = (
    "transport",
    "carries",
    "round_trip",
    "jitter",
    "loss",
    "lag",
    "frames_sent",
    "frames_received",
)
