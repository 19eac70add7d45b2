"""
The section of uplinks: other networks' HomeBrew masters that the node logs in to.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple

import attrs

from bmff.dmr.numbers import isLocal
from bmff.sections.homebrew import HotspotID, Statics, Translated
from bmff.sections.values import IDs, SecretID, Talkgroups, sealed
from bmff.toml import Between

PORT: Final = 62031  # of a HomeBrew master, when none is said
LONGEST_OPTIONS: Final = 300  # bytes; many masters have no more room
_MASTER: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)


class Master(NamedTuple):
    """
    Where a master is.

    @ivar host: host name, or an address in numbers without brackets.
    @ivar port: 1 to 65535.
    """

    host: str
    port: int


def makeMaster(value: object) -> Master:
    found = _MASTER.fullmatch(value) if isinstance(value, str) else None
    port = PORT if found is None or found["port"] is None else int(found["port"])
    if found is None or not 1 <= port <= 0xFFFF:
        raise ValueError('must be a string, such as "master.example.org:62031"')
    return Master(found["v6"] or found["host"], port)


def _name(value: str) -> None:
    if not value or not value.isprintable() or value != value.strip():
        raise ValueError("must be a name")


def _kind(value: str) -> None:
    if value not in {"hotspot", "repeater"}:
        raise ValueError('must be "hotspot" (one call at a time) or "repeater" (two slots)')


def _callsign(value: str) -> None:
    if not (1 <= len(value) <= 8 and value.isascii() and value.isalnum()):
        raise ValueError("must be a callsign, 1 to 8 letters and figures")


def _options(value: str) -> None:
    if not (value.isascii() and value.isprintable()) or len(value) > LONGEST_OPTIONS:
        raise ValueError(f"must be ASCII, {LONGEST_OPTIONS} characters at most")


def _masters(value: tuple[Master, ...]) -> None:
    if not value:
        raise ValueError('must name a master at least, such as "master.example.org:62031"')


def _crossing(value: Statics) -> None:
    for talkgroup in sorted({each for row in value.values() for each in row}):
        if isLocal(talkgroup):
            raise ValueError(
                f"{talkgroup} means something else on each node and does not leave it; take "
                "another number for it here, and name both in translate"
            )


@attrs.frozen
class UplinkEntry:
    """
    What is said of one uplink.

    @ivar name: what people call it.
    @ivar master: the network's masters, tried in turn; their names are looked up before each login.
    @ivar id: our ID there.
    @ivar callsign: ours there.
    @ivar network: the network that it leads to, to which calls from there do not return; one of
        the uplink's own name when L{None}.
    @ivar password: the id of the secret; the uplink's name when L{None}.
    @ivar kind: what we are there: C{"hotspot"}, one call at a time, or C{"repeater"}, two slots.
    @ivar rxFrequency: Hz; what follows up to C{url} is only shown there.
    @ivar txFrequency: Hz; of a hotspot it is the same.
    @ivar power: W.
    @ivar colourCode: 0 to 15.
    @ivar latitude: degrees, north positive.
    @ivar longitude: degrees, east positive.
    @ivar height: m above ground.
    @ivar location: 20 characters of it are sent.
    @ivar description: 19 characters of it are sent.
    @ivar url: 124 characters of it are sent.
    @ivar options: what the master is told in RPTO, such as C{"TS2=91"}; nothing when empty.
    @ivar ping: seconds between two pings.
    @ivar static: the talkgroups that cross both ways, by slot and by our numbers.
    @ivar accept: the talkgroups that may come in beside those, by our numbers.
    @ivar allow: the radios whose calls cross; any when empty.
    @ivar deny: the radios whose calls do not.
    @ivar private: whether private calls cross.
    @ivar translate: the numbers that are others there.
    """

    name: Annotated[str, _name]
    master: Annotated[tuple[Master, ...], _masters]
    id: HotspotID
    callsign: Annotated[str, _callsign]
    network: Annotated[str, _name] | None = None
    password: SecretID | None = None
    kind: Annotated[str, _kind] = "hotspot"
    rxFrequency: Annotated[int, Between(0, 999_999_999, "Hz")] = 0
    txFrequency: Annotated[int, Between(0, 999_999_999, "Hz")] = 0
    power: Annotated[int, Between(0, 99, "W")] = 1
    colourCode: Annotated[int, Between(0, 15, "as a colour code")] = 1
    latitude: Annotated[float, Between(-90, 90, "degrees")] = 0.0
    longitude: Annotated[float, Between(-180, 180, "degrees")] = 0.0
    height: Annotated[int, Between(0, 999, "m")] = 0
    location: str = ""
    description: str = ""
    url: str = ""
    options: Annotated[str, _options] = ""
    ping: Annotated[float, Between(3, 60, "seconds")] = 10.0
    static: Annotated[Statics, _crossing] = attrs.field(factory=dict, converter=sealed)
    accept: tuple[Talkgroups, ...] = ()
    allow: tuple[IDs, ...] = ()
    deny: tuple[IDs, ...] = ()
    private: bool = False
    translate: tuple[Translated, ...] = ()
