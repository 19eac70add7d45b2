"""
A day of many calls in which everything goes wrong that can go wrong; see L{tests.virtualday}.

C{BMFF_SOAK} in the environment makes it ten times as long, with ten times as many hotspots, and
C{BMFF_SEED} another day.
"""

from __future__ import annotations

import os
from typing import Final

from bmff.testing.mutation import SOAK
from tests.virtualday import Census, VirtualDay

NODES: Final = 3 if SOAK else 2
HOTSPOTS: Final = 500 if SOAK else 40
CALLS: Final = 200_000 if SOAK else 20_000
PARTS: Final = 4
SEED: Final = int(os.environ.get("BMFF_SEED", "1"))
# What is forgotten when the next one comes, as many as there can be: calls of the last ten seconds.
LAZY: Final = {"bmff.wire.fastforward.order.Heard": 500}
# What everybody takes along to another node, or what options set: equal in sum or bounded.
SUMS: Final = (
    "peers",
    "sessions",
    "deadlines of sessions",
    "addresses",
    "peers of the master",
    "logins",
)
EMPTY: Final = (
    "calls",
    "data calls",
    "deadlines",
    "remains",
    "talkgroups with calls",
    "talker aliases",
    "recordings",
    "slots in use",
    "calls that wait",
    "keyed",
)


class DayTests(VirtualDay):
    """
    The day, in parts between which all is silent.
    """

    def test_day(self) -> None:
        """
        Through a day of random calls, losses, moves, reboots and changes of options no slot is
        stuck, no subscription is lost, whoever has to hear a call hears all of it and nobody else
        anything, every frame and call is accounted for, and memory does not grow.
        """
        self.begin(NODES, HOTSPOTS, SEED)
        censuses = []
        for _ in range(PARTS):
            self.live(CALLS // PARTS)
            censuses.append(self.silence())
            self.assertSilent(censuses[-1])
        self.assertNotGrown(censuses[1], censuses[-1])
        # What is checked only where it is certain was checked often.
        for name, share in (
            ("heard", 0.025),
            ("to the end", 0.02),
            ("whole", 0.05),
            ("crossed", 0.2),
        ):
            self.assertGreater(self.checked[name], share * CALLS, name)
        for number in range(6):
            self.assertGreater(self.happened[f"mishap {number}"], CALLS / 2000)
        self.assertGreater(self.happened["cut"] + self.happened["bad network"], 3)

    def assertSilent(self, census: Census) -> None:
        """
        Nothing of a call is left, and everybody is here once.
        """
        for tables in census.tables:
            self.assertEqual({name: tables[name] for name in EMPTY}, dict.fromkeys(EMPTY, 0))
            self.assertLessEqual(tables["locations"], len(self.radios) + 40)
            self.assertEqual(tables["links"], NODES - 1)
        for name in SUMS:
            self.assertEqual(sum(tables[name] for tables in census.tables), HOTSPOTS, name)

    def assertNotGrown(self, before: Census, after: Census) -> None:
        """
        There is as much of everything as there was.
        """
        for kind, number in after.kinds.items():
            most = LAZY.get(kind, before.kinds[kind] * 1.1 + 16)
            self.assertLessEqual(number, most, kind)
        self.assertLess(after.blocks, before.blocks * 1.02)
