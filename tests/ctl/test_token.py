"""
Tests of L{bmff.ctl.token}: tokens of the HTTP API, in a file as a node makes it.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from bmff.keys import Secrets
from tests.ctl.case import CtlTestCase


class TokenTests(CtlTestCase):
    """
    Tokens.
    """

    def setUp(self) -> None:
        super().setUp()
        self.path: Path = self.home.folder / "secrets.toml"
        self.secrets = Secrets.create(self.path)

    def token(self, *words: str) -> int:
        """
        Run the command on the file.
        """
        return self.command("token", *words, "--secrets", str(self.path))

    def test_life(self) -> None:
        """
        A token is printed once, the file holds what it is recognised by, and it can be taken out.
        """
        before = self.path.read_text()
        self.assertEqual(self.token("add", "board"), 0)
        token = self.out.strip()
        self.assertGreater(len(token), 40)
        self.assertNotIn(token, self.path.read_text())
        self.assertEqual(self.token("add", "me", "--control"), 0)
        self.secrets.refresh()
        rows = self.secrets.tokens()
        self.assertEqual(
            {name: row.right for name, row in rows.items()}, {"board": "read", "me": "control"}
        )
        self.assertEqual(rows["board"].digest, sha256(token.encode()).digest())
        self.assertEqual(self.token("list"), 0)
        self.assertEqual(self.out.split(), ["NAME", "RIGHT", "board", "read", "me", "control"])
        self.assertEqual(self.token("list", "--json"), 0)
        self.assertEqual(json.loads(self.out)["tokens"][1], {"name": "me", "right": "control"})
        for name in ("board", "me"):
            self.assertEqual(self.token("remove", name), 0)
        self.assertEqual(self.path.read_text().rstrip("\n"), before.rstrip("\n"))
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_inline(self) -> None:
        """
        A row that an operator has written in one line is taken out, its neighbours stay.
        """
        digest = "0f" * 32
        rows = "".join(f'{name} = {{sha256 = "{digest}"}}\n' for name in ("one", "two"))
        self.path.write_text(self.path.read_text().rstrip("\n") + "\n" + rows)
        self.assertEqual(self.token("remove", "one"), 0)
        self.assertEqual(list(Secrets.load(self.path).tokens()), ["two"])

    def test_refused(self) -> None:
        """
        A name that is taken, unknown or none is refused, and the file stays as it is.
        """
        self.token("add", "board")
        before = self.path.read_text()
        for words in (("add", "board"), ("add", "b[]"), ("remove", "other")):
            self.assertEqual(self.token(*words), 1)
            self.assertIn("tokens.", self.err)
        for line in ("add", "list board", "remove", "show board"):
            self.assertEqual(self.token(*line.split()), 2)
        self.assertEqual(self.path.read_text(), before)
