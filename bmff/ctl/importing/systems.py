"""
The systems of a server of theirs: masters that hotspots log in to, bridges to other servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bmff.ctl.importing.accesslist import singly
from bmff.dmr.ranges import Ranges
from bmff.sections.values import LARGEST_ID, LARGEST_TALKGROUP

EVERY_ID: Final = Ranges([(1, LARGEST_ID)])
EVERY_TALKGROUP: Final = Ranges([(1, LARGEST_TALKGROUP)])


@dataclass(frozen=True, slots=True)
class Master:
    """
    A system that hotspots log in to.

    @ivar name: its section's.
    @ivar listen: where it listens, as our configuration writes it.
    @ivar passphrase: what its hotspots know; empty when anything does.
    @ivar hotspots: the IDs that may log in.
    @ivar talkgroups: those that may be heard and keyed, on each slot.
    @ivar hangTime: seconds.
    @ivar static: the talkgroups that are always heard, by slot.
    @ivar timer: seconds until a keyed talkgroup is left; L{None} when not said.
    @ivar single: whether keying a talkgroup leaves the one before; L{None} when not said.
    @ivar generated: whether it stands for as many systems as there are hotspots.
    """

    name: str
    listen: str
    passphrase: str
    hotspots: Ranges
    talkgroups: tuple[Ranges, Ranges]
    hangTime: float = 5.0
    static: Mapping[int, frozenset[int]] = field(default_factory=dict)
    timer: float | None = None
    single: bool | None = None
    generated: bool = False

    @property
    def known(self) -> tuple[int, ...] | None:
        """
        The hotspots one by one; L{None} when they are too many.
        """
        return singly(self.hotspots)


@dataclass(frozen=True, slots=True)
class OtherServer:
    """
    A system that is a bridge to another server.

    @ivar name: its section's.
    @ivar listen: where it listens, as our configuration writes it.
    @ivar networkID: its C{NETWORK_ID}.
    @ivar passphrase: the key.
    @ivar host: where the other server is; empty where it comes to us.
    @ivar port: its port.
    @ivar talkgroups: those that may cross, by their numbers.
    @ivar enhanced: whether the enhanced protocol is spoken.
    @ivar relaxed: whether frames are taken from elsewhere than C{host}.
    @ivar bothSlots: whether frames keep their slot.
    """

    name: str
    listen: str
    networkID: int
    passphrase: str
    host: str
    port: int
    talkgroups: Ranges
    enhanced: bool
    relaxed: bool
    bothSlots: bool


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """
    A system that logs in to another server as a hotspot or repeater does.

    @ivar name: its section's.
    @ivar master: where the other server is, as our configuration writes it.
    @ivar radioID: its ID there.
    @ivar callsign: its callsign there.
    @ivar passphrase: what it knows.
    @ivar options: what it tells the other server.
    @ivar talkgroups: those that may cross, by their numbers, on each slot.
    @ivar radios: those whose calls cross.
    @ivar shown: what else it tells of itself, by our keys.
    """

    name: str
    master: str
    radioID: int
    callsign: str
    passphrase: str
    options: str
    talkgroups: tuple[Ranges, Ranges]
    radios: Ranges
    shown: Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True)
class Server:
    """
    All of one file.

    @ivar name: the file's.
    @ivar serverID: FreeDMR's own ID; L{None} when there is none.
    @ivar freeDMR: whether it is FreeDMR's or a relation's, where all talkgroups cross.
    @ivar peerTimeout: seconds of silence after which a hotspot is gone; L{None} when not said.
    @ivar masters: in the order of the file.
    @ivar others: in the order of the file.
    @ivar elsewhere: in the order of the file.
    @ivar absent: the names of systems that are left out, each with the reason.
    """

    name: str
    serverID: int | None
    freeDMR: bool
    peerTimeout: float | None
    masters: tuple[Master, ...]
    others: tuple[OtherServer, ...]
    elsewhere: tuple[Elsewhere, ...]
    absent: Mapping[str, str]
