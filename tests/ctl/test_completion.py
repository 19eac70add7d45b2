"""
Tests of the completion of bmffctl for bash, by bash itself.
"""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote
from shutil import which
from subprocess import run

from twisted.trial.unittest import SynchronousTestCase

from bmff.ctl.main import Options

FILE = Path(__file__).parent.parent.parent / "etc" / "bash-completion" / "bmffctl"


class CompletionTests(SynchronousTestCase):
    """
    What is offered.
    """

    if which("bash") is None:
        skip = "no bash"

    def offered(self, *words: str) -> list[str]:
        """
        What is offered for the last of these words.
        """
        script = (
            f"source {quote(str(FILE))}\n"
            "compopt() { :; }\n"
            f"COMP_WORDS=({' '.join(map(quote, words))})\n"
            f"COMP_CWORD={len(words) - 1}\n"
            f"_bmffctl {quote(words[0])} {quote(words[-1])} {quote(words[-2])}\n"
            'printf "%s\\n" "${COMPREPLY[@]}"\n'
        )
        done = run(
            ["bash", "--norc", "-u", "-c", script], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_commands(self) -> None:
        """
        Every command is offered, and nothing that is none.
        """
        names = {name for name, *_ in Options.subCommands}
        self.assertEqual(set(self.offered("bmffctl", "")), names | {"--help", "--version"})
        self.assertEqual(sorted(self.offered("bmffctl", "dr")), ["drain", "drop"])

    def test_options(self) -> None:
        """
        After a command its options are, and what stands within it.
        """
        self.assertEqual(
            sorted(self.offered("bmffctl", "ban", "--")),
            ["--config", "--help", "--json", "--reason", "--socket"],
        )
        self.assertEqual(self.offered("bmffctl", "override", "s"), ["set"])
        self.assertEqual(self.offered("bmffctl", "token", ""), ["add", "list", "remove"])
        self.assertEqual(self.offered("bmffctl", "peers", "--socket", "/"), [])

    def test_complete(self) -> None:
        """
        The file has the options of every command as they are.
        """
        text = FILE.read_text()
        for name, _, command, _ in Options.subCommands:
            found = re.search(rf'^ *\[{name}\]="(.*)"$', text, re.MULTILINE)
            assert found is not None, name
            own = {f"--{each.rstrip('=')}" for each in command().longOpt} - {"--version", "--help"}
            self.assertEqual((name, own - set(found[1].split())), (name, set()))
