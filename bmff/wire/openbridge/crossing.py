"""
Which talkgroups cross a bridge: some mean something only on one server, or within one country, as
the enhanced protocol of FreeDMR and its kin has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bmff.dmr.ranges import Ranges

_SERVER_DIGITS: Final = 4  # of a server's ID that servers of one network share
_COUNTRY_DIGITS: Final = 3  # the MCC (ITU-T E.212)


@dataclass(frozen=True, slots=True)
class Crossing:
    """
    A set of rules about talkgroups; what none of them names crosses. The numbers are those of the
    other network.

    @ivar never: what never crosses.
    @ivar server: what crosses only between servers whose IDs begin with the same four digits.
    @ivar country: what crosses only within one country, the first three digits of the IDs.
    """

    never: Ranges = Ranges()  # noqa: RUF009 - it is never changed
    server: Ranges = Ranges()  # noqa: RUF009
    country: Ranges = Ranges()  # noqa: RUF009

    def allows(self, talkgroup: int, source: int, server: int) -> bool:
        """
        Whether a call to a talkgroup may cross.

        @param source: the ID of the server where the call began.
        @param server: the ID of the server that is to take it.
        """
        if talkgroup in self.never:
            return False
        if talkgroup in self.server:
            return _begins(source, server, _SERVER_DIGITS)
        return talkgroup not in self.country or _begins(source, server, _COUNTRY_DIGITS)


def _begins(one: int, other: int, digits: int) -> bool:
    return str(one)[:digits] == str(other)[:digits]


FREE: Final = Crossing()
ENHANCED: Final = Crossing(
    never=Ranges(((0, 79), (9990, 9999), (900_999, 900_999))),
    server=Ranges(((92, 199),)),
    country=Ranges(((80, 89), (800, 899))),
)
