"""
The table of one login to another server, in our configuration.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bmff.ctl.importing.bridging import Bridging, Member
from bmff.ctl.importing.remarks import Remarks
from bmff.ctl.importing.systems import EVERY_ID, Elsewhere
from bmff.ctl.importing.terms import allowOrDeny, translated


def uplinkTable(
    one: Elsewhere,
    members: Iterable[tuple[int, Member]],
    bridging: Bridging | None,
    remarks: Remarks,
) -> dict[str, Any]:
    """
    The table.

    @param members: the talkgroups that the rules say of it, each with our number.
    @param bridging: what the rules say; L{None} when there are none.
    """
    static: dict[str, list[int]] = {}
    translate: list[dict[str, int]] = []
    for number, member in members:
        if member.talkgroup not in one.talkgroups[member.slot - 1]:
            continue
        row = static.setdefault(str(member.slot), [])
        if number not in row:
            row.append(number)
            if number != member.talkgroup:
                translate.append(translated(member.talkgroup, number, member.slot))
    if not static:
        remarks.left(
            f"[{one.name}]",
            "is in no bridge of the rules; nothing crosses until you name talkgroups in static",
        )
    table: dict[str, Any] = {
        "name": one.name,
        "master": [one.master],
        "id": one.radioID,
        "callsign": one.callsign,
        "kind": "repeater" if "1" in static else "hotspot",
        **one.shown,
    }
    table |= allowOrDeny(one.radios, EVERY_ID, "allow", "deny")
    if one.options:
        table["options"] = one.options
    if static:
        table["static"] = static
    if translate:
        table["translate"] = translate
    if bridging is not None and bridging.units is not None and one.name in bridging.units:
        table["private"] = True
    return table
