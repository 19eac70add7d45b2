"""
Tests of L{bmff.ctl.path} and of C{bmffctl links}, against a real control socket.
"""

from __future__ import annotations

import json
from typing import Any

from bmff.web.control import controlSite
from bmff.web.resource import Action, Refused, View
from tests.ctl.test_ask import AskTestCase

WIDTH = 120  # columns of a terminal
UDP: dict[str, Any] = {
    "transport": "udp",
    "address": "203.0.113.120:54000",
    "sealed": True,
    "key": "key-20260101-120000",
    "carries": False,
    "round_trip": 0.123456,
    "jitter": 0.02134,
    "loss": 0.0251,
    "lag": 0.0123,
    "twice": True,
    "heard": "2026-01-01T12:00:00.000+00:00",
    "packets_sent": 1_000_000,
    "packets_received": 1_000_000,
    "packets_repeated": 1234,
    "packets_repaired": 1200,
    "frames_sent": 123_456,
    "frames_received": 12_345_678,
    "frames_dropped": 0,
    "frames_a_packet": 12.25,
    "dropped": {},
}
UNIX: dict[str, Any] = {
    **UDP,
    "transport": "unix",
    "address": "process 4194304 of user 65533",
    "sealed": False,
    "key": "group",
    "carries": True,
    "round_trip": 0.0001,
    "jitter": None,
    "loss": 0.0,
    "lag": 0.0,
    "twice": False,
    "packets_repeated": 0,
    "packets_repaired": 0,
    "frames_sent": 0,
    "frames_received": 7,
    "frames_a_packet": None,
}
LINK: dict[str, Any] = {
    "node": 2501200,
    "ready": True,
    "transport": "unix",
    "address": UNIX["address"],
    "key": "group",
    "chosen": "unix",
    "override": None,
    "by_hand": None,
    "overruled": False,
    "missing": {},
    "frames_held": 12,
    "frames_late": 3,
    "paths": [UNIX, UDP],
}


class LinksTests(AskTestCase):
    """
    What is printed of links.
    """

    async def lines(self, *links: dict[str, Any]) -> list[str]:
        """
        What is printed, each line within the width of a terminal.
        """
        self.answer(links={"links": list(links)})
        self.assertEqual(await self.command("links", "--socket", self.path), 0)
        lines = self.out.splitlines()
        for line in lines:
            self.assertLessEqual(len(line), WIDTH, line)
        return lines

    async def test_paths(self) -> None:
        """
        There is a line for each path with its figures, that which carries the link marked.
        """
        heading, first, second = await self.lines(LINK)
        self.assertEqual(heading.split()[:3], ["NODE", "OVER", "ADDRESS"])
        self.assertEqual(
            " ".join(first.split()),
            "2501200 unix* process 4194304 of u\N{HORIZONTAL ELLIPSIS} (group) 0.10 - 0.0% 0.00 "
            "0 7 0/0 12/3 -",
        )
        self.assertEqual(
            " ".join(second.split()),
            "2501200 udp 203.0.113.120:54000 key-202\N{HORIZONTAL ELLIPSIS} 123.5 21.3 2.5% x2 "
            "12.3 123k 12M 1234/1200 12.25",
        )

    async def test_notes(self) -> None:
        """
        Below stands what was asked for, by whom, whether it counts, and what is not there.
        """
        lines = await self.lines(
            {**LINK, "override": "tcp", "missing": {"tcp": "connection refused"}},
            {**LINK, "node": 25013, "override": "tcp", "by_hand": "udp", "overruled": True},
            {**LINK, "node": 25014, "chosen": "rdma"},
        )
        self.assertEqual(
            lines[7:],
            [
                "2501200: tcp by an override",
                "2501200: no tcp: connection refused",
                "25013: udp by hand; overruled, node 25013 wants unix",
                "25014: rdma would be chosen",
            ],
        )

    async def test_noPath(self) -> None:
        """
        A link that has just lost its path is there all the same; without links there is a heading.
        """
        _, line = await self.lines({**LINK, "paths": []})
        self.assertEqual(line.split(), ["2501200", "-"])

    async def test_none(self) -> None:
        """
        Without links there is a heading.
        """
        (heading,) = await self.lines()
        self.assertTrue(heading.startswith("NODE  OVER"))


class PathTests(AskTestCase):
    """
    What is printed of what became of an order.
    """

    def setUp(self) -> None:
        super().setUp()
        self.orders: list[dict[str, Any]] = []
        self.outcome: dict[str, Any] = {}
        self.refusal: Refused | None = None
        views = [
            ("nodes", View(lambda: {"nodes": []})),
            ("path", Action(self.steer)),
        ]
        self.serve(controlSite(views, None))

    async def steer(self, order: dict[str, Any]) -> dict[str, Any]:
        self.orders.append(order)
        if self.refusal is not None:
            raise self.refusal
        return self.outcome

    async def ordered(self, *words: str) -> int:
        """
        Run the command.

        @return: its exit code.
        """
        return await self.command("path", "--socket", self.path, *words)

    def happens(self, transport: str | None, done: bool, reason: str = "") -> None:
        """
        This is what becomes of an order.
        """
        path = {"node": 25012, "transport": transport, "done": done, "reason": reason}
        self.outcome = {"path": path}

    async def test_done(self) -> None:
        """
        What the link runs over now is said, with exit code 0.
        """
        self.happens("tcp", True)
        self.assertEqual(await self.ordered("25012", "tcp"), 0)
        self.assertEqual(self.orders, [{"node": 25012, "transport": "tcp"}])
        self.assertEqual((self.out, self.err), ("link to node 25012 now runs over tcp\n", ""))

    async def test_auto(self) -> None:
        """
        An order is taken back by the word auto.
        """
        self.happens("unix", True)
        self.assertEqual(await self.ordered("25012", "auto"), 0)
        self.assertEqual(self.orders, [{"node": 25012, "transport": "auto"}])
        self.assertEqual(self.out, "link to node 25012 now runs over unix\n")

    async def test_notYet(self) -> None:
        """
        Where it has not come about the reason is said, and how to take it back; exit code 1.
        """
        self.happens("udp", False, "connection refused")
        self.assertEqual(await self.ordered("25012", "tcp"), 1)
        self.assertEqual(
            self.err,
            "bmffctl: link to node 25012 runs over udp, not over tcp: connection refused\n"
            "it changes when it can; to take that back: bmffctl path 25012 auto\n",
        )
        self.assertEqual(self.out, "")
        self.happens(None, False, "no link yet")
        self.assertEqual(await self.ordered("25012", "auto"), 1)
        self.assertEqual(self.err, "bmffctl: link to node 25012 is not there: no link yet\n")

    async def test_refused(self) -> None:
        """
        A refusal is one line, and exit code 1.
        """
        for status, reason in ((404, "no node 25019 is known here"), (409, "no rdma here: none")):
            self.refusal = Refused(status, reason)
            line = await self.refused("path", "--socket", self.path, "25019", "rdma")
            self.assertEqual(line, reason)

    async def test_json(self) -> None:
        """
        On request the answer is printed as it came.
        """
        self.happens("udp", False, "connection refused")
        self.assertEqual(await self.ordered("--json", "25012", "tcp"), 1)
        self.assertEqual(json.loads(self.out), self.outcome)

    async def test_noNode(self) -> None:
        """
        Where no node runs that is said as by all other commands.
        """
        line = await self.refused("path", "--socket", f"{self.path}.gone", "25012", "tcp")
        self.assertIn("no node runs here", line)
        self.assertEqual(self.orders, [])

    async def test_noAnswer(self) -> None:
        """
        What is no answer of a node is said to be none.
        """
        line = await self.refused("path", "--socket", self.path, "25012", "tcp")
        self.assertIn("this is no answer of a node", line)

    async def test_words(self) -> None:
        """
        Words that make no order are told, with exit code 2.
        """
        for words in (("25012",), ("node", "tcp"), ("25012", "tcp", "now"), ("-1", "tcp")):
            self.assertEqual(await self.ordered(*words), 2)
            self.assertEqual(len(self.err.splitlines()), 1)
        self.assertEqual(self.orders, [])
