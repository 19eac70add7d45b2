"""
Where radios were last heard, here or by another node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bmff.router.call import Remote

if TYPE_CHECKING:
    from bmff.router.trunk import Trunk

LARGEST: Final = 200_000  # radios; the one heard longest ago is forgotten


@dataclass(frozen=True, slots=True)
class Location:
    """
    Where a radio was last heard.

    @ivar peerID: the hotspot or repeater; 0 when only the node is known.
    @ivar slot: 1 or 2.
    @ivar heard: monotonic seconds.
    @ivar remote: the node that it was heard by; L{None} for this one.
    @ivar trunk: the bridge of this node that it was heard over, if any.
    """

    peerID: int
    slot: int
    heard: float
    remote: Remote | None = None
    trunk: Trunk | None = None


class Locations:
    """
    The last location of each radio.

    A node that is gone, or a bridge, is let go of for all of its radios at once: they lead to it
    through one L{_Way}.
    """

    def __init__(self) -> None:
        self._locations: dict[int, _Place] = {}
        self._ways: dict[Remote | Trunk, _Way] = {}

    def get(self, radioID: int) -> Location | None:
        """
        Where a radio was last heard; L{None} also when that node or bridge is gone.
        """
        place = self._locations.get(radioID)
        return place.location() if place is not None else None

    def heard(self, radioID: int, location: Location) -> None:
        """
        A radio has been heard.
        """
        self._locations.pop(radioID, None)  # so that it goes to the end, as heard last
        if len(self._locations) >= LARGEST:
            del self._locations[next(iter(self._locations))]
        way = None
        over = location.trunk or location.remote
        if over is not None:
            way = self._ways.get(over)
            if way is None:
                way = self._ways[over] = _Way(over.peerID, location.remote, location.trunk)
        self._locations[radioID] = _Place(location.peerID, location.slot, location.heard, way)

    def told(self, radioID: int, location: Location) -> None:
        """
        Another node tells where a radio was heard: the youngest word wins, a tie the lower node ID.
        """
        known = self._locations.get(radioID)
        if known is not None and known.heard >= location.heard:
            way, remote = known.way, location.remote
            if way is None or way.bridge or remote is None:
                return
            if way.peerID == remote.peerID:
                # What it passes on comes later than it was heard. Its link may have begun anew
                # since then, so that what was known leads nowhere.
                location = replace(location, heard=known.heard)
            elif known.heard > location.heard or way.peerID < remote.peerID:
                return
        self.heard(radioID, location)

    def local(self) -> Iterator[tuple[int, Location]]:
        """
        The radios that this node itself has heard last.
        """
        for radioID, place in tuple(self._locations.items()):
            location = place.location() if place.way is None or place.way.bridge else None
            if location is not None:
                yield radioID, location

    def lost(self, over: Remote | Trunk) -> None:
        """
        A node or a bridge is gone for good; should it come back, it is another one.
        """
        way = self._ways.pop(over, None)
        if way is not None:
            way.remote = way.trunk = None


class _Way:
    """
    What leads to all radios that were heard by one node, or over one bridge.

    @ivar peerID: the ID of that node or bridge.
    @ivar bridge: whether it is a bridge.
    @ivar remote: the node; L{None} when it is gone.
    @ivar trunk: the bridge; L{None} when it is gone.
    """

    __slots__ = ("bridge", "peerID", "remote", "trunk")

    def __init__(self, peerID: int, remote: Remote | None, trunk: Trunk | None) -> None:
        self.peerID = peerID
        self.bridge = trunk is not None
        self.remote = remote
        self.trunk = trunk


@dataclass(frozen=True, slots=True)
class _Place:
    """
    A location, without what leads to it.

    @ivar way: that; L{None} for a peer of this node.
    """

    peerID: int
    slot: int
    heard: float
    way: _Way | None

    def location(self) -> Location | None:
        way = self.way
        if way is None:
            return Location(self.peerID, self.slot, self.heard)
        if way.remote is None and way.trunk is None:
            return None
        return Location(self.peerID, self.slot, self.heard, way.remote, way.trunk)
