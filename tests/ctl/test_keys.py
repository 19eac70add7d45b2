"""
Tests of L{bmff.ctl.keys} and L{bmff.ctl.anyorder}: C{bmffctl key} as it is typed.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from tests.ctl.case import CtlTestCase

SECRETS = '[homebrew]\nhotspots = "a password of some length"\n'


class KeyTests(CtlTestCase):
    """
    The keys of a secrets file.
    """

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp())
        self.path.touch(0o600)
        self.path.write_text(SECRETS)

    def keys(self) -> dict[str, Any]:
        """
        The rows of the file.
        """
        rows: dict[str, Any] = tomllib.loads(self.path.read_text())["fastforward"]
        return rows

    def test_anyOrder(self) -> None:
        """
        Options stand before the words, between or behind them.
        """
        orders = (
            ("key", "--secrets", str(self.path), "--nodes", "25011,25012", "add", "one"),
            ("key", "add", "--nodes=25011,25012", "two", "-s", str(self.path)),
            ("key", "add", "three", "--secrets", str(self.path), "-n", "25011,25012"),
        )
        for words in orders:
            self.assertEqual((self.command(*words), self.err), (0, ""))
        for keyID in ("one", "two", "three"):
            self.assertEqual(self.keys()[keyID]["nodes"], [25011, 25012])

    def test_rotate(self) -> None:
        """
        A key that is rotated is replaced by a new one that is current; the old one stays until it
        is removed.
        """
        self.command("key", "add", "old", "--secrets", str(self.path))
        self.command("key", "use", "old", "--secrets", str(self.path))
        self.command("key", "rotate", "--secrets", str(self.path))
        (new,) = set(self.keys()) - {"old"}
        self.assertTrue(self.keys()[new]["current"])
        self.command("key", "remove", "old", "--secrets", str(self.path))
        self.assertEqual(set(self.keys()), {new})

    def test_wrong(self) -> None:
        """
        Words and options that are not understood are told, with the exit code of such mistakes.
        """
        for words in (
            ("key", "ad", "one"),
            ("key", "add"),
            ("key", "add", "one", "--nodes", "x"),
            ("key", "add", "one", "--node", "1", "--colour", "red"),
            ("key", "add", "one", "--secrets"),
        ):
            self.assertEqual(self.command(*words), 2, words)
            self.assertNotIn("Traceback", self.err)
        self.assertEqual(self.path.read_text(), SECRETS)
