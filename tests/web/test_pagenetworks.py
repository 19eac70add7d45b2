"""
Tests of what the live page shows of bridges and uplinks.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater

from bmff.events import BridgeEnded, CallStarted, UplinkStarted
from bmff.testing.requirements import requires
from tests.web.test_page import PageCase

reactor: Any = _reactor  # mypy does not know which reactor there is


@requires("chromium")
class NetworksTests(PageCase):
    """
    Bridges and uplinks on the page.
    """

    networks = True

    async def row(self, number: int) -> list[str]:
        """
        The words of a row, after which those follow that stand beside them.
        """
        found: list[str] = await self.browser.evaluate(
            f"[...document.querySelectorAll('#networks-table tbody tr')[{number}].cells].map("
            "(cell) => [...cell.children].map((one) => one.textContent).join('|'))"
        )
        return found

    async def test_rows(self) -> None:
        """
        There is a row for each, with how it does and what has crossed it; none is wider than a
        telephone.
        """
        await self.show()
        await self.browser.until("document.querySelectorAll('#networks-table tbody tr').length")
        self.assertEqual(await self.text("#networks-count"), "3 of 4 up")
        server = "up|192.0.2.31:62035"
        for number, wanted in enumerate(
            (
                ["north|enhanced bridge", server, "0:02|", "11|", "12|", "2|"],
                ["south / west|bridge", server, "|", "11|", "12|", "0|"],
            )
        ):
            self.assertEqual(await self.row(number), wanted)
        refused = await self.row(3)
        self.assertEqual(refused[:2], ["west|uplink", "waiting|it refuses our password"])
        warned = "document.querySelectorAll('#networks-table td.warn').length"
        self.assertEqual(await self.browser.evaluate(warned), 1)
        for width in (1280, 1000, 320):
            await self.browser.resize(width, 900, mobile=width < 400)
            await deferLater(reactor, 0.2)
            wide = await self.browser.evaluate("document.documentElement.scrollWidth")
            self.assertLessEqual(wide, width)
        self.clean()

    async def test_changes(self) -> None:
        """
        A bridge that goes down is seen at once, in its row and among the messages, and so is an
        uplink that logs in.
        """
        assert self.node.bridges is not None
        assert self.node.uplinks is not None
        await self.show()
        await self.browser.until("document.querySelectorAll('#networks-table tbody tr').length")
        self.node.bridges.rows[0].update(state="down", reason="no sign of life")
        self.node.uplinks.rows[1].update(state="running", reason=None)
        publish = self.node.node.events.publish
        publish(BridgeEnded(3101, "north", "no sign of life"))
        publish(UplinkStarted(4_200_000_002, "west", "192.0.2.41:62031"))
        state = "document.querySelectorAll('#networks-table tbody tr')[0].cells[1].textContent"
        await self.browser.until(f"{state} === 'downno sign of life'", 3.0)
        self.assertEqual((await self.row(3))[1], "up|192.0.2.41:62031")
        said = await self.text("#messages-table")
        self.assertIn("The bridge north is down: no sign of life", said)
        self.assertIn("The uplink west is logged in", said)
        unwell = "document.querySelector('#health-table').textContent.includes('the bridge north')"
        await self.browser.until(unwell, 5.0)
        self.clean()

    async def test_call(self) -> None:
        """
        A call that comes over a bridge says over which.
        """
        await self.show()
        await self.browser.until("document.querySelectorAll('#networks-table tbody tr').length")
        self.node.node.events.publish(
            CallStarted(
                stream=0xBEEF, source=2340001, destination=91, private=False, data=False,
                peer=3101, slot=1, listeners=0,
            )
        )  # fmt: skip
        row = await self.browser.until(
            "document.querySelector('#now-table tbody tr')?.textContent", 5.0
        )
        self.assertIn("northbridge", row)
        live = "document.querySelector('#networks-table tbody tr').className"
        self.assertEqual(await self.browser.evaluate(live), "live")
        self.clean()
