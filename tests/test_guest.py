"""
Tests of what runs the guest, with another program in the place of virtme-ng.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from shutil import which
from subprocess import PIPE, STDOUT, Popen, run
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.nodes import until

ROOT = Path(__file__).parent.parent
RUN = ROOT / "tests" / "guest" / "run"


class GuestTests(SynchronousTestCase):
    """
    Tests of C{tests/guest/run}.
    """

    def setUp(self) -> None:
        """
        A kernel that is none, and programs of Debian that say all is there.
        """
        if platform.machine() != "x86_64" or which("flock") is None:
            raise SkipTest("there is no guest for this machine")
        self.cache = Path(self.mktemp()).absolute()
        for folder in ("bin", "linux-image-1-amd64/boot", "venv/bin"):
            (self.cache / folder).mkdir(parents=True)
        (self.cache / "linux-image-1-amd64/boot/vmlinuz-1-amd64").write_text("")
        self.program("bin/dpkg-query", "printf installed")
        self.program("bin/apt-cache", "echo '  Depends: linux-image-1-amd64'")

    def program(self, name: str, script: str) -> None:
        """
        A program in the cache.
        """
        path = self.cache / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def environment(self, limit: int) -> dict[str, str]:
        """
        What it runs in.
        """
        return {
            "BMFF_GUEST_CACHE": str(self.cache),
            "BMFF_GUEST_SECONDS": str(limit),
            "BMFF_SOAK": "o'clock",
            "HOME": os.environ.get("HOME", "/"),
            "PATH": f"{self.cache}/bin:{os.environ['PATH']}",
            "VIRTUAL_ENV": sys.prefix,
        }

    def guest(self, vng: str, *arguments: str, limit: int = 30) -> tuple[int, list[str]]:
        """
        Run it.

        @param vng: what virtme-ng does, a script.
        @param limit: seconds that the guest may run.
        @return: exit code and lines.
        """
        self.program("venv/bin/vng", vng)
        command = ["bash", str(RUN), *arguments]
        done = run(
            command, env=self.environment(limit), stdout=PIPE, stderr=STDOUT, text=True, check=False
        )
        return done.returncode, done.stdout.splitlines()

    def test_code(self) -> None:
        """
        The output comes through, and the exit code of the trailer is handed on.
        """
        for code in (0, 3):
            script = f"printf 'a line\\r\\n== guest: exit code {code}\\r\\n'"
            found = self.guest(script, "--", "true")
            self.assertEqual(found, (code, ["a line", f"== guest: exit code {code}"]))

    def test_command(self) -> None:
        """
        The command gets its arguments and its environment as they were.
        """
        script = (
            'bash -c "$(sed "s/^exec bash [^ ]* \\([^ ]*\\) .*/bash \\1/" start)"\n'
            "printf '\\n== guest: exit code 0\\n'"
        )
        words = ("two words", "$HOME", "it's", "")
        _, lines = self.guest(script, "--", "printf", "%s|", *words)
        self.assertEqual(lines, ["two words|$HOME|it's||", "== guest: exit code 0"])
        _, lines = self.guest(script, "--", "bash", "-c", 'echo "$BMFF_GUEST $BMFF_SOAK $0"', "x")
        self.assertEqual(lines[0], "1 o'clock x")

    def test_broken(self) -> None:
        """
        A guest that does not come up, or ends without a trailer, is a failure, and the last words
        of its kernel are shown.
        """
        for script in ("exit 0", "exit 1", "echo 'PASSED (successes=1)'", "kill -9 $$"):
            code, lines = self.guest(f"echo 'Kernel panic' >&2\n{script}", "--", "true")
            self.assertEqual(code, 1)
            self.assertIn("Kernel panic", lines)
            self.assertIn("did not come up, or broke down", lines[-1])

    def test_hangs(self) -> None:
        """
        A guest that does not come to an end is ended.
        """
        code, lines = self.guest("exec sleep 60", "--", "true", limit=1)
        self.assertEqual((code, lines[-1]), (1, "== guest: did not come to an end in 1 s"))

    def test_ended(self) -> None:
        """
        Who ends it ends the guest as well.
        """
        mark = self.cache / "process"
        self.program("venv/bin/vng", f"echo $$ >{mark}; exec sleep 60")
        with Popen(["bash", str(RUN), "--", "true"], env=self.environment(30)) as process:
            until(lambda: mark.exists() and mark.read_text(), "the guest")
            process.terminate()
            self.assertEqual(process.wait(30), 143)
        until(lambda: not Path(f"/proc/{mark.read_text().strip()}").exists(), "its end")

    def test_nothingLeft(self) -> None:
        """
        What a run has written is removed.
        """
        before = sorted(os.listdir(self.cache))
        self.guest("echo '== guest: exit code 0'", "--", "true")
        after = set(os.listdir(self.cache)) - {"kernel", "lock"}
        self.assertEqual(sorted(after), before)

    def test_usage(self) -> None:
        """
        Without a command it says how it is used.
        """
        code, lines = self.guest("exit 0")
        self.assertEqual(code, 2)
        self.assertIn("tests/guest/run -- COMMAND", "\n".join(lines))
        code, lines = self.guest("exit 0", "--")
        self.assertEqual((code, lines), (1, ["tests/guest/run: no command"]))
