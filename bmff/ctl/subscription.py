"""
C{bmffctl subscription}: the rows of Subscriptions in the registry, talkgroups that are always sent
to single hotspots and repeaters.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.python import usage

from bmff.ctl.peer import peerID
from bmff.ctl.rowcommand import RowCommand, RowCommands, RowListing, removed
from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import IRegistry, SubscriptionRow
from bmff.tables import SUBSCRIPTIONS


class ListOptions(RowListing[SubscriptionRow]):
    """
    The options of C{bmffctl subscription list}.
    """

    name = SUBSCRIPTIONS
    heading = ("PEER", "SLOT", "TALKGROUPS")
    synopsis = "[options] [PEER]"
    longdesc = (
        "Lists the talkgroups that the registry has sent to hotspots and repeaters, beside those "
        "of the configuration of their node. Below stand the rows that cannot be used."
    )

    def parseArgs(self, peer: str = "") -> None:
        """
        @param peer: the ID of the only one that is to be listed; all when empty.
        @raise usage.UsageError: it is none.
        """
        self["peer"] = peerID(peer) if peer else None

    def wanted(self, row: SubscriptionRow) -> bool:
        """
        Whether a row is of the one that is to be listed.
        """
        return self["peer"] in (None, row.peer)

    def lines(self, rows: list[SubscriptionRow]) -> Iterable[tuple[object, ...]]:
        """
        The rows for people, those of a slot in one line.
        """
        slots: dict[tuple[int, int], list[str]] = {}
        for row in rows:
            slots.setdefault((row.peer, row.slot), []).append(str(row.talkgroup))
        for slot, talkgroups in slots.items():
            yield *slot, " ".join(talkgroups)


class SubscriptionCommand(RowCommand):
    """
    The options of a command on talkgroups of one slot.

    @ivar rows: those that the command line names.
    """

    synopsis = "[options] PEER SLOT TALKGROUP..."
    rows: list[SubscriptionRow]

    def parseArgs(self, peer: str, slot: str, *talkgroups: str) -> None:  # type: ignore[override]
        """
        @param peer: the ID of the hotspot or repeater.
        @param slot: 1 or 2.
        @param talkgroups: one at least.
        @raise usage.UsageError: they are none.
        """
        if slot not in ("1", "2"):
            raise usage.UsageError(f"{slot!a} is no slot, which is 1 or 2")
        for word in talkgroups:
            if not (word.isascii() and word.isdigit() and len(word) <= 10):
                raise usage.UsageError(f"{word!a} is no talkgroup")
        if not talkgroups:
            raise usage.UsageError("a talkgroup is needed")
        numbers = dict.fromkeys(map(int, talkgroups))
        self.rows = [SubscriptionRow(peerID(peer), int(slot), number) for number in numbers]

    def told(self, rows: list[SubscriptionRow], said: str) -> None:
        """
        Print what became of some of them.
        """
        if rows:
            names = ", ".join(str(row.talkgroup) for row in rows)
            print(f"{rows[0].peer} slot {rows[0].slot}: {names} {said}")


class AddOptions(SubscriptionCommand):
    """
    The options of C{bmffctl subscription add}.
    """

    longdesc = (
        "Has talkgroups always be sent to a hotspot or repeater, from now on, also in the middle "
        "of a call, on every node that reads this registry. An ID of seven digits stands for all "
        "hotspots of that radio that have no subscription of their own here."
    )

    def run(self) -> int:
        """
        Write the rows; none that cannot be used, but those before it.

        @raise ConfigurationError: one cannot be used, or the registry cannot.
        """

        async def add(registry: IRegistry) -> None:
            for row in self.rows:
                await registry.put(row)

        self.visit(add)
        self.told(self.rows, "from now on")
        return 0


class RemoveOptions(SubscriptionCommand):
    """
    The options of C{bmffctl subscription remove}.
    """

    longdesc = (
        "Takes talkgroups away that bmffctl subscription add has given to a hotspot or repeater. "
        "Those of the configuration stay."
    )

    def run(self) -> int:
        """
        Remove the rows that are there, also such as cannot be used.

        @raise ConfigurationError: none of them is there, or the registry cannot be used.
        """

        async def remove(registry: IRegistry) -> list[SubscriptionRow]:
            there = []
            for row in self.rows:
                key = row.peer, row.slot, row.talkgroup
                if await removed(registry, SUBSCRIPTIONS, key):
                    there.append(row)
            return there

        gone = self.visit(remove) if self.isThere else []
        if not gone:
            place = f"{self.rows[0].peer} slot {self.rows[0].slot}"
            raise ConfigurationError([Mistake(place, "the registry has no such talkgroup")])
        self.told(gone, "no more")
        self.told([row for row in self.rows if row not in gone], "not there before")
        return 0


class SubscriptionOptions(RowCommands):
    """
    The options of C{bmffctl subscription}.
    """

    longdesc = (
        "Talkgroups that are always sent to single hotspots and repeaters; bmffctl subscription "
        "COMMAND --help says more."
    )
    subCommands = [
        ("list", None, ListOptions, "List the talkgroups in the registry."),
        ("add", None, AddOptions, "Have talkgroups be sent to one."),
        ("remove", None, RemoveOptions, "Take such talkgroups away."),
    ]
