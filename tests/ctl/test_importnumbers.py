"""
Tests that an import gives each hotspot the numbers that it has had.
"""

from __future__ import annotations

from bmff.access import Access
from bmff.keys import Secrets
from bmff.router.translation import Form
from tests.ctl.test_import import GLOBAL, ImportTestCase, master, openBridge, row


class NumbersTests(ImportTestCase):
    """
    Talkgroups that have other numbers at hotspots.
    """

    def test_numbersOnce(self) -> None:
        """
        Numbers that are others at all hotspots are said once, and of a single hotspot only what is
        different there; each has its own numbers, and no others.
        """
        config = (
            GLOBAL
            + master("A", REG_ACL="PERMIT:312001-312009")
            + master("B", 54001, REG_ACL="PERMIT:312011")
        )
        bridges = {
            "X": [row("A", 1, 1), row("B", 1, 1), row("C", 1, 91), row("D", 1, 91)],
            "Y": [row("B", 2, 8), row("C", 1, 92), row("D", 1, 92)],
        }
        self.turn(config + openBridge("C") + openBridge("D"), bridges)
        text = (self.out_ / "25011.toml").read_text()
        self.assertEqual(text.count("translate = "), 2)
        node = self.load()
        assert node.homebrew is not None
        (once,) = node.homebrew.translate
        self.assertEqual((once.there.number, once.here.number, once.slot), (1, 91, 1))
        self.assertEqual(node.homebrew.peer[312001].translate, ())
        access = Access(node.homebrew, Secrets.load(node.secrets))
        for peerID, slot, there, here in (
            (312001, 1, 1, 91),
            (312011, 1, 1, 91),
            (312001, 2, 8, None),
            (312011, 2, 8, 92),
        ):
            found = access.settings(peerID).translation.inward(slot, Form(there))
            self.assertEqual(found, None if here is None else Form(here))

    def test_numbersApart(self) -> None:
        """
        A named hotspot on a node where everybody else has another number keeps its own.
        """
        config = (
            GLOBAL
            + master("A", 54001)
            + master("B", 54002, "b", REG_ACL="PERMIT:312001")
            + openBridge("O")
        )
        bridges = {"X": [row("A", 1, 9), row("O", 1, 91)], "Y": [row("B", 1, 9), row("O", 1, 92)]}
        self.turn(config, bridges)
        node = self.load()
        assert node.homebrew is not None
        access = Access(node.homebrew, Secrets.load(node.secrets))
        stranger, named = (access.settings(each).translation for each in (312999, 312001))
        self.assertEqual(stranger.inward(1, Form(9)), Form(91))
        self.assertEqual(named.inward(1, Form(9)), Form(92))
        self.assertEqual(named.outward(1, Form(92)), Form(9))
        self.assertIn(named.outward(1, Form(91)), (None, Form(91)))
