"""
Tests of L{bmff.ctl.networks} and of what L{bmff.ctl.counters} says of bridges and uplinks, against
a real control socket.
"""

from __future__ import annotations

import json

from tests.ctl.test_ask import AskTestCase
from tests.web.apicase import SomeBridges, SomeUplinks


class NetworksTests(AskTestCase):
    """
    A node with bridges and uplinks.
    """

    async def test_bridges(self) -> None:
        """
        A line for each bridge: how it does, what is spoken, when it was heard, and what crossed.
        """
        bridges = SomeBridges()
        north, south = bridges.rows
        north["heard"] = 180.0
        south.update(
            state="down",
            reason="no address for them.example",
            address=None,
            talkgroups="1, 22, 333, 4444, 55555, 666666",
        )
        bridges.rows.append(bridges.row("up", 3103, enhanced=True, heard=90.25, version=None))
        bridges.rows.append(bridges.row("old", 3104, heard=10_000.0))
        self.answer(bridges={"bridges": bridges.rows})
        self.assertEqual(await self.command("bridges", "-s", self.path), 0)
        more = ("QUENCHED", "DROPPED", "TALKGROUPS", "REASON")
        short = "1, 22, 333, 4444, 55555\N{HORIZONTAL ELLIPSIS}"
        lines = [" ".join(line.split()) for line in self.out.splitlines()]
        self.assertEqual(
            lines,
            [
                " ".join(("BRIDGE STATE PROTOCOL ADDRESS HEARD SENT RECEIVED", *more)),
                "north up enhanced 5 192.0.2.31:62035 3 min 11 12 3 2 91, 2350-2359",
                f"south / west down plain - never 11 12 3 0 {short} no address for them.example",
                "up up enhanced 192.0.2.31:62035 90 s 11 12 3 0 91, 2350-2359",
                "old up plain 192.0.2.31:62035 3 h 11 12 3 0 91, 2350-2359",
            ],
        )

    async def test_uplinks(self) -> None:
        """
        A line for each uplink: how it does, who we are there, and what crossed.
        """
        self.answer(uplinks={"uplinks": SomeUplinks().rows})
        self.assertEqual(await self.command("uplinks", "-s", self.path), 0)
        self.assertEqual(
            [" ".join(line.split()) for line in self.out.splitlines()],
            [
                "UPLINK STATE ID THERE MASTER LOGINS SENT RECEIVED DROPPED REASON",
                "east running 262000199 192.0.2.41:62031 1 21 22 6",
                "west waiting 262000199 192.0.2.41:62031 0 21 22 0 it refuses our password",
            ],
        )

    async def test_none(self) -> None:
        """
        Where there are none there is the heading.
        """
        self.answer(bridges={"bridges": []}, uplinks={"uplinks": []})
        for command in ("bridges", "uplinks"):
            self.assertEqual(await self.command(command, "-s", self.path), 0)
            self.assertEqual(len(self.out.splitlines()), 1)

    async def test_json(self) -> None:
        """
        With C{--json} what the node says is printed as it is.
        """
        content = {"bridges": SomeBridges().rows}
        self.answer(bridges=content)
        self.assertEqual(await self.command("bridges", "--json", "-s", self.path), 0)
        self.assertEqual(json.loads(self.out), content)

    async def test_counters(self) -> None:
        """
        What each bridge and each uplink dropped has its line, and what no bridge's was.
        """
        counters = {
            "router": {"dropped": {"slot busy": 3}},
            "bridges": {
                "dropped": {"stranger": 4},
                "each": {"north": {"replayed": 2, "wrong key": 7}, "south": {}},
            },
            "uplinks": {"each": {"east": {"private call": 6}}},
        }
        self.answer(counters={"counters": counters})
        self.assertEqual(await self.command("counters", "-s", self.path), 0)
        self.assertEqual(
            self.out.splitlines()[:6],
            [
                "WHERE         DROPPED       TIMES",
                "router        slot busy         3",
                "bridges       stranger          4",
                "bridge north  wrong key         7",
                "bridge north  replayed          2",
                "uplink east   private call      6",
            ],
        )
