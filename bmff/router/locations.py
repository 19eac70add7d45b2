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
    """

    def __init__(self) -> None:
        self._locations: dict[int, Location] = {}

    def get(self, radioID: int) -> Location | None:
        """
        Where a radio was last heard.
        """
        return self._locations.get(radioID)

    def heard(self, radioID: int, location: Location) -> None:
        """
        A radio has been heard.
        """
        self._locations.pop(radioID, None)  # so that it goes to the end, as heard last
        if len(self._locations) >= LARGEST:
            del self._locations[next(iter(self._locations))]
        self._locations[radioID] = location

    def told(self, radioID: int, location: Location) -> None:
        """
        Another node tells where a radio was heard: the youngest word wins, a tie the lower node ID.
        """
        known = self._locations.get(radioID)
        if known is not None and known.heard >= location.heard:
            before, remote = known.remote, location.remote
            if before is None or remote is None:
                return
            if before.peerID == remote.peerID:
                # What it passes on comes later than it was heard. Its link may have begun anew
                # since then, so that what was known leads nowhere.
                location = replace(location, heard=known.heard)
            elif known.heard > location.heard or before.peerID < remote.peerID:
                return
        self.heard(radioID, location)

    def local(self) -> Iterator[tuple[int, Location]]:
        """
        The radios that this node itself has heard last.
        """
        return (each for each in tuple(self._locations.items()) if each[1].remote is None)
