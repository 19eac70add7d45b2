"""
The section of the HomeBrew stack, which hotspots and repeaters log in to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

import attrs

from bmff.sections.values import (
    LARGEST_ID,
    Address,
    IDs,
    Number,
    SecretID,
    Talkgroups,
    checkListen,
    checkSlot,
    checkTalkgroup,
    sealed,
)
from bmff.toml import Between

HotspotID: TypeAlias = Annotated[int, Between(1, LARGEST_ID, "as a hotspot's ID")]
Statics: TypeAlias = Mapping[
    Annotated[int, checkSlot],
    tuple[Annotated[int, checkTalkgroup], ...],
]
DynamicTimeout: TypeAlias = Annotated[float, Between(0, 86_400, "seconds")]


HoldOff: TypeAlias = Annotated[float, Between(0, 3600, "seconds")]


@attrs.frozen
class Translated:
    """
    A number that is another one at a hotspot, or in another network.

    @ivar there: the number there.
    @ivar here: the number that it has here.
    @ivar slot: the slot there, 1 or 2; 0 for either.
    """

    there: Number
    here: Number
    slot: Annotated[int, Between(0, 2, "as a slot")] = 0


@attrs.frozen
class PeerEntry:
    """
    What is said of one hotspot; what is L{None} is as for every other.

    @ivar password: the id of its secret.
    @ivar static: talkgroups by slot; a slot that is not there is as for every other.
    @ivar single: whether keying a talkgroup leaves the one keyed before.
    @ivar dynamicTimeout: seconds until a talkgroup that was keyed is left, 0 for never.
    @ivar options: whether it may set its own talkgroups.
    @ivar banned: whether it is kept out; when false it is let in whatever the lists say.
    @ivar dial: whether a private call to a talkgroup's number links that talkgroup.
    @ivar autoStatic: whether, when it is simplex, it keeps what was keyed until it keys another.
    @ivar holdOff: seconds after its own talk in which other static talkgroups are held back.
    @ivar allowTalkgroups: those that it may key and hear; any when empty.
    @ivar denyTalkgroups: those that it may not.
    @ivar translate: the numbers that are others there.
    """

    password: SecretID | None = None
    static: Statics = attrs.field(factory=dict, converter=sealed)
    single: bool | None = None
    dynamicTimeout: DynamicTimeout | None = None
    options: bool | None = None
    banned: bool | None = None
    dial: bool | None = None
    autoStatic: bool | None = None
    holdOff: HoldOff | None = None
    allowTalkgroups: tuple[Talkgroups, ...] | None = None
    denyTalkgroups: tuple[Talkgroups, ...] | None = None
    translate: tuple[Translated, ...] = ()


@attrs.frozen
class Homebrew:
    """
    The section of the HomeBrew stack, which hotspots and repeaters log in to.

    @ivar listen: where to listen.
    @ivar password: the id of the secret that opens every hotspot with none of its own.
    @ivar allow: the hotspots that may log in; everyone when empty.
    @ivar deny: the hotspots that may not.
    @ivar static: every hotspot's talkgroups by slot.
    @ivar hangTime: seconds that a slot is kept for a conversation after a call.
    @ivar dynamicTimeout: seconds until a talkgroup that was keyed is left, 0 for never.
    @ivar single: whether keying a talkgroup leaves the one keyed before.
    @ivar talkLimit: seconds that a call may last, 0 for any.
    @ivar peerTimeout: seconds of silence after which a hotspot is gone.
    @ivar options: whether hotspots may set their own talkgroups (RPTO).
    @ivar beaconInterval: seconds between two requests for a beacon, 0 for none.
    @ivar dial: whether a private call to a talkgroup's number links that talkgroup.
    @ivar autoStatic: whether a simplex hotspot keeps what was keyed until it keys another.
    @ivar holdOff: seconds after its own talk in which a hotspot's other static talkgroups are held
        back, 0 for none.
    @ivar allowTalkgroups: those that hotspots may key and hear; any when empty.
    @ivar denyTalkgroups: those that they may not.
    @ivar translate: the numbers that are others at every hotspot; its own come before these.
    @ivar peer: what is said of single hotspots, by ID.
    """

    listen: Annotated[tuple[Address, ...], checkListen] = (
        Address("0.0.0.0", 62031),
        Address("::", 62031),
    )
    password: SecretID = "hotspots"
    allow: tuple[IDs, ...] = ()
    deny: tuple[IDs, ...] = ()
    static: Statics = attrs.field(factory=dict, converter=sealed)
    hangTime: Annotated[float, Between(0, 60, "seconds")] = 5.0
    dynamicTimeout: DynamicTimeout = 900.0
    single: bool = False
    talkLimit: Annotated[float, Between(0, 3600, "seconds")] = 180.0
    peerTimeout: Annotated[float, Between(15, 600, "seconds")] = 60.0
    options: bool = True
    beaconInterval: Annotated[float, Between(0, 86_400, "seconds")] = 0.0
    dial: bool = True
    autoStatic: bool = False
    holdOff: HoldOff = 0.0
    allowTalkgroups: tuple[Talkgroups, ...] = ()
    denyTalkgroups: tuple[Talkgroups, ...] = ()
    translate: tuple[Translated, ...] = ()
    peer: Mapping[HotspotID, PeerEntry] = attrs.field(factory=dict, converter=sealed)
