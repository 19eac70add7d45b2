"""
One number of the network for each bridge of theirs, as here a talkgroup is one number everywhere,
and a hotspot or a bridge may have another one for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from bmff.ctl.importing.bridging import Member
from bmff.ctl.importing.remarks import Remarks
from bmff.dmr.numbers import isLocal, isService

FIRST_FREE = 990_001  # numbers from here on are given where no number of theirs will do


class Numbering:
    """
    The numbers.

    @ivar numbers: by the bridge's name.
    """

    def __init__(
        self,
        bridges: Mapping[str, Iterable[Member]],
        fixed: frozenset[str],
        single: frozenset[str],
        remarks: Remarks,
    ) -> None:
        """
        @param bridges: their members, without those that are left out.
        @param fixed: the systems whose hotspots are not known one by one; where one number has to
                give way to another, theirs stays.
        @param single: the systems whose hotspots are all on one node, where a local talkgroup is
            heard.
        """
        self.numbers: dict[str, int] = {}
        self._taken: set[int] = set()
        self._theirs = {each.talkgroup for members in bridges.values() for each in members}
        for name, members in bridges.items():
            self._number(name, list(members), fixed, single, remarks)

    def _number(
        self,
        name: str,
        members: list[Member],
        fixed: frozenset[str],
        single: frozenset[str],
        remarks: Remarks,
    ) -> None:
        local = all(each.system in single for each in members)
        first = Counter(each.talkgroup for each in members if each.system in fixed)
        then = Counter(each.talkgroup for each in members)
        likely = [number for number, _ in (*first.most_common(), *then.most_common())]
        number = next((each for each in likely if self._serves(each, local)), 0)
        place = f"bridge {name!a}"
        if not number:
            number = FIRST_FREE
            while number in self._taken or number in self._theirs:
                number += 1
            remarks.left(
                place,
                f"is talkgroup {number} here, as another bridge has {likely[0]} already, or that "
                "never leaves a node (1 to 9)",
            )
        elif len(then) > 1:
            said = ", ".join(map(str, sorted(then)))
            remarks.turned(place, f"is talkgroup {number} here; it had {said}")
        else:
            remarks.turned(place, f"is talkgroup {number}")
        self.numbers[name] = number
        self._taken.add(number)

    def _serves(self, number: int, local: bool) -> bool:
        return (
            number not in self._taken and not isService(number) and (local or not isLocal(number))
        )
