"""
Tests of L{bmff.ctl.main} and C{bmffctl check}.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path

from bmff.ctl import main as main_
from bmff.ctl.main import main
from bmff.keyfile import addKey, newKey, useKey
from bmff.keys import Secrets
from tests.ctl.case import CtlTestCase


class WordsTests(CtlTestCase):
    """
    Words that make no command.
    """

    def test_off(self) -> None:
        """
        Words that are off are one line on the standard error, and exit code 2.
        """
        for words, reason in (
            ((), "a command is needed; --help lists them"),
            (("brew",), "Unknown command: brew"),
            (("--loud",), "option --loud not recognized"),
            (("check",), "Wrong number of arguments."),
            (("check", "a", "b"), "Wrong number of arguments."),
            (("peers", "--loud"), "option --loud not recognized"),
            (("calls", "--socket"), "option --socket requires argument"),
        ):
            self.assertEqual(self.command(*words), 2)
            self.assertEqual((self.out, self.err), ("", f"bmffctl: {reason}\n"))

    def test_help(self) -> None:
        """
        Help names every command, and each command's help how it is called.
        """
        self.assertEqual(self.helped().splitlines()[0], "Usage: bmffctl COMMAND [options]")
        for command in ("check", "peers", "calls", "counters", "hotspot"):
            self.assertIn(f"\n    {command} ", self.out)
        for command, words in (
            ("check", "FILE"),
            ("peers", "[options]"),
            ("calls", "[options]"),
            ("hotspot", "[options] [HOST[:PORT]]"),
        ):
            self.assertEqual(
                self.helped(command).splitlines()[0], f"Usage: bmffctl {command} {words}"
            )
            self.assertNotIn("C{", self.out)

    def helped(self, *command: str) -> str:
        """
        What help is printed.
        """
        with self.assertRaises(SystemExit) as caught:
            self.command(*command, "--help")
        self.assertEqual(caught.exception.code, 0)
        return self.out

    def test_version(self) -> None:
        """
        The version is that of bmff, not of the library that reads the words.
        """
        with self.assertRaises(SystemExit) as caught:
            self.command("--version")
        self.assertEqual(caught.exception.code, 0)
        self.assertEqual(self.out, f"bmff {version('bmff')}\n")

    def test_notInstalled(self) -> None:
        """
        A tree of sources has no version.
        """

        def missing(name: str) -> str:
            raise PackageNotFoundError(name)

        self.patch(main_, "version", missing)
        with self.assertRaises(SystemExit):
            self.command("--version")
        self.assertEqual(self.out, "bmff, not installed\n")

    def test_pipe(self) -> None:
        """
        A reader that has seen enough, such as head, is no error to talk about.
        """
        path = self.home.node()
        self.patch(sys, "stdout", ClosedPipe())
        self.assertEqual(main(["check", str(path)]), 1)

    def test_argv(self) -> None:
        """
        Without arguments those of the process count.
        """
        self.patch(sys, "argv", ["bmffctl", "check", str(self.home.node())])
        out = StringIO()
        self.patch(sys, "stdout", out)
        self.assertEqual(main(), 0)
        self.assertIn("no mistake found", out.getvalue())


class ClosedPipe(StringIO):
    """
    A pipe whose reader is gone.
    """

    def write(self, text: str) -> int:
        raise BrokenPipeError


class CheckTests(CtlTestCase):
    """
    C{bmffctl check}.
    """

    def test_good(self) -> None:
        """
        A good file is named with its node, and nothing is made.
        """
        path = self.home.node()
        self.assertEqual(self.command("check", str(path)), 0)
        self.assertEqual((self.out, self.err), (f"{path}: node 25011, no mistake found\n", ""))
        self.assertFalse(self.home.state.exists())

    def test_bad(self) -> None:
        """
        Every mistake has a line with its place, and none is told twice.
        """
        path = self.home.write(
            "network = 1\ncolour = 2\n[homebrew]\nhang_time = 900\ntalk_limit = -1\n"
        )
        self.assertEqual(self.command("check", str(path)), 1)
        self.assertEqual(self.out, "")
        places = [line.partition(":")[0] for line in self.err.splitlines()]
        self.assertEqual(places, ["network", "colour", "homebrew.hang_time", "homebrew.talk_limit"])

    def test_noTOML(self) -> None:
        """
        A file that is no TOML is told with the line.
        """
        path = self.home.write("network = 25011\nstate = [\n")
        self.assertEqual(self.command("check", str(path)), 1)
        self.assertIn(str(path), self.err)
        self.assertIn("line", self.err)

    def test_noFile(self) -> None:
        """
        A file that cannot be read is a mistake like any other.
        """
        path = self.home.folder / "none.toml"
        self.assertEqual(self.command("check", str(path)), 1)
        self.assertEqual(self.err, f"{path}: cannot be read: No such file or directory\n")

    def test_secrets(self) -> None:
        """
        Secrets that are there are read as well, and never shown.
        """
        path = self.home.node()
        secrets = Secrets.create(self.home.state / "secrets.toml").path
        self.assertEqual(self.command("check", str(path)), 0)
        secrets.write_text('[homebrew]\nhotspots = "s3cr37"\n[bridge]\nx = "s3cr38"\n')
        self.assertEqual(self.command("check", str(path)), 1)
        self.assertIn("bridge", self.err)
        self.assertNotIn("s3cr3", self.err)
        os.chmod(secrets, 0o644)
        self.assertEqual(self.command("check", str(path)), 1)
        self.assertIn("chmod 600", self.err)

    def test_missingPasswords(self) -> None:
        """
        Each place that names a password which the secrets do not have is a mistake; what stands
        there is not shown, as it may be a password.
        """
        path = self.home.node(
            more='password = "s3cr37"\n[homebrew.peer.7]\npassword = "s3cr38"\n'
            '[homebrew.peer.8]\npassword = "hotspots"\n[homebrew.peer.9]\nsingle = true\n'
        )
        self.assertEqual(self.command("check", str(path)), 0)  # no secrets are there yet
        secrets = Secrets.create(self.home.state / "secrets.toml").path
        self.assertEqual(self.command("check", str(path)), 1)
        message = f"names an id that is not in [homebrew] of {secrets}"
        self.assertEqual(
            self.err.splitlines(),
            [f"homebrew.password: {message}", f"homebrew.peer.7.password: {message}"],
        )

    def links(self, key: str = "") -> Path:
        """
        The configuration of a node with links to other nodes.
        """
        named = f'key = "{key}"\n' if key else ""
        return self.home.write(
            f'network = 25011\nstate = "{self.home.state}"\n[homebrew]\n[fastforward]\n{named}'
        )

    def test_key(self) -> None:
        """
        A key of links that the secrets do have is no mistake, nor is any before the first start.
        """
        path = self.links("s3cr37")
        self.assertEqual(self.command("check", str(path)), 0)  # no secrets are there yet
        Secrets.create(self.home.state / "secrets.toml")
        path = self.links()
        self.assertEqual(self.command("check", str(path)), 0)

    def test_missingKey(self) -> None:
        """
        A key of links that the secrets do not have is a mistake beside the others; what stands
        there is not shown, as it may be a key.
        """
        path = self.links("s3cr37")
        secrets = Secrets.create(self.home.state / "secrets.toml").path
        self.assertEqual(self.command("check", str(path)), 1)
        mistake = f"fastforward.key: names an id that is not in [fastforward] of {secrets}"
        self.assertEqual((self.out, self.err), ("", f"{mistake}\n"))
        text = secrets.read_text().replace("hotspots =", "others =")
        secrets.write_text(text)
        self.assertEqual(self.command("check", str(path)), 1)
        places = [line.partition(":")[0] for line in self.err.splitlines()]
        self.assertEqual(places, ["homebrew.password", "fastforward.key"])

    def test_currentKey(self) -> None:
        """
        When the secrets say which key is current, the one that the configuration names is not used
        and need not be there.
        """
        path = self.links("gone")
        secrets = Secrets.create(self.home.state / "secrets.toml").path
        addKey(secrets, "second", newKey())
        useKey(secrets, "second")
        self.assertEqual(self.command("check", str(path)), 0)
