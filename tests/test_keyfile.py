"""
Tests of L{bmff.keyfile}.
"""

from __future__ import annotations

import os
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ConfigurationError
from bmff.keyfile import addKey, newKey, removeKey, useKey
from bmff.keys import Secrets


class KeyFileTests(SynchronousTestCase):
    """
    Changes to a file that a node has made, and to one that an operator wrote.
    """

    def setUp(self) -> None:
        folder = Path(mkdtemp())
        self.addCleanup(rmtree, folder)
        self.path = folder / "secrets.toml"
        self.secrets = Secrets.create(self.path)

    def test_rotation(self) -> None:
        """
        A key is added, used, and the old one taken out; at each step all that are there count.
        """
        before = self.secrets.fastForwardKey("group")
        addKey(self.path, "second", newKey())
        self.assertTrue(self.secrets.refresh())
        self.assertIsNone(self.secrets.currentKey())
        self.assertEqual(self.secrets.fastForwardKey("group"), before)
        useKey(self.path, "second")
        self.secrets.refresh()
        self.assertEqual(self.secrets.currentKey(), "second")
        removeKey(self.path, "group")
        self.secrets.refresh()
        self.assertIsNone(self.secrets.fastForwardKey("group"))
        self.assertIsNotNone(self.secrets.homebrewPassword("hotspots"))

    def test_oneIsCurrent(self) -> None:
        """
        Only one key is used at a time, however it is written in the file.
        """
        addKey(self.path, "second", newKey(), nodes=(25011, 25012))
        for keyID in ("second", "group", "second", "group"):
            useKey(self.path, keyID)
            self.secrets.refresh()
            self.assertEqual(self.secrets.currentKey(), keyID)
            self.assertEqual(self.path.read_text().count("current = true"), 1)
        key = self.secrets.fastForwardKey("second")
        assert key is not None
        self.assertEqual(key[1], {25011, 25012})

    def test_restIsKept(self) -> None:
        """
        Comments, other sections and permissions stay as they were.
        """
        os.chmod(self.path, 0o640)
        text = self.path.read_text()
        addKey(self.path, "second", newKey())
        useKey(self.path, "second")
        useKey(self.path, "group")
        removeKey(self.path, "second")
        self.assertEqual(
            self.path.read_text().replace(", current = true", "").rstrip(), text.rstrip()
        )
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o640)
        self.assertEqual(os.listdir(self.path.parent), ["secrets.toml"])

    def test_refused(self) -> None:
        """
        What cannot be done is refused by its place, and the file stays as it was.
        """
        useKey(self.path, "group")
        text = self.path.read_text()
        for change in (
            lambda: addKey(self.path, "group", newKey()),
            lambda: addKey(self.path, "a b", newKey()),
            lambda: addKey(self.path, "short", "abcd"),
            lambda: useKey(self.path, "nobody"),
            lambda: removeKey(self.path, "nobody"),
            lambda: removeKey(self.path, "group"),
        ):
            error = self.assertRaises(ConfigurationError, change)
            self.assertIn("fastforward.", str(error))
            self.assertEqual(self.path.read_text(), text)
