"""
Tests of C{setup.sh}, which sets up a host: here always a scratch root.
"""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import PIPE, STDOUT, run

from bmff.testing.requirements import requires
from tests.nodes import ROOT, HomeTestCase

SETUP = ROOT / "setup.sh"

# A Python that is new enough; what it installs is a bmffctl that is this tree's.
PYTHON = """\
#!/bin/sh
echo "$*" >> {log}
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    "-m pip")
        for word; do copy=$word; done
        [ -f "$copy/bmff/node.py" ] && [ -f "$copy/setup.cfg" ] || exit 1
        here=$(dirname "$0")
        printf '#!/bin/sh\\ncd {root}\\nexec {python} -m bmff.ctl.main "$@"\\n' > "$here/bmffctl"
        printf '#!/bin/sh\\necho "$*" >> {log}\\n' > "$here/twistd"
        chmod +x "$here/bmffctl" "$here/twistd" ;;
esac
"""


class SetupTests(HomeTestCase):
    """
    Tests of the script, with a Python that tells what it was asked for.
    """

    def setUp(self) -> None:
        super().setUp()
        self.out = ""
        self.prefix = self.home.folder / "root"
        self.log = self.home.folder / "log"
        self.python = self.program(
            "python", PYTHON.format(log=self.log, root=ROOT, python=sys.executable)
        )

    def program(self, name: str, text: str) -> Path:
        """
        Make a program.
        """
        path = self.home.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def setsUp(self, *words: str, python: Path | None = None) -> int:
        """
        Run the script.

        @return: its exit code.
        """
        command = ["sh", str(SETUP), "--prefix", str(self.prefix)]
        command += ["--python", str(python or self.python), *words]
        done = run(
            command, cwd=self.home.folder, stdout=PIPE, stderr=STDOUT, text=True, check=False
        )
        self.out = done.stdout
        return done.returncode

    def asked(self) -> list[str]:
        """
        What was asked of Python.
        """
        return self.log.read_text().splitlines() if self.log.exists() else []

    @requires("systemd")
    def test_three(self) -> None:
        """
        Three nodes are three files, three enabled units and three rows, one command each; the
        program is installed once. The same number twice is refused, with exit code 1. A node goes
        with one command as well.
        """
        for number in ("25011", "25012", "25013"):
            self.assertEqual(self.setsUp("add", number), 0, self.out)
        self.assertEqual(sum(line.startswith("-m venv") for line in self.asked()), 1)
        files = self.prefix / "opt" / "BrandMeister" / "Instances"
        wants = self.prefix / "etc" / "systemd" / "system" / "multi-user.target.wants"
        for number in ("25011", "25012", "25013"):
            self.assertTrue((files / f"{number}.toml").is_file())
            link = wants / f"bmnode@{number}.service"
            self.assertEqual(link.readlink(), Path("/etc/systemd/system/bmnode@.service"))
        self.assertEqual(self.setsUp("list"), 0)
        self.assertEqual(self.out.count("yes      yes"), 3)

        self.assertEqual(self.setsUp("add", "25012"), 1)
        self.assertEqual(self.out, f"network: 25012 is taken by {files / '25012.toml'}\n")
        self.assertEqual(self.setsUp("remove", "25012"), 0, self.out)
        self.assertFalse((files / "25012.toml").exists())
        self.assertFalse((wants / "bmnode@25012.service").is_symlink())

    def test_install(self) -> None:
        """
        The program comes into an environment below the prefix, from a copy of the sources, and
        twistd is run once for its list of plugins; a second time only the program is anew.
        """
        self.assertEqual(self.setsUp(), 0, self.out)
        venv = self.prefix / "opt" / "BrandMeister" / "venv"
        asked = self.asked()
        self.assertEqual(asked[-3], f"-m venv {venv}")
        self.assertTrue(asked[-2].startswith("-m pip install"), asked)
        self.assertNotIn(str(ROOT), asked[-2])
        self.assertEqual(asked[-1], "--help")
        self.assertFalse(Path(asked[-2].split()[-1]).exists())
        self.assertEqual(self.setsUp("install"), 0, self.out)
        self.assertEqual(sum(line.startswith("-m venv") for line in self.asked()), 1)
        self.assertEqual(sum(line.startswith("-m pip") for line in self.asked()), 2)

    def test_dry(self) -> None:
        """
        A dry run makes nothing, on a host that has nothing and on one that has the program.
        """
        self.assertEqual(self.setsUp("--dry-run", "add", "25011"), 0, self.out)
        self.assertFalse(self.prefix.exists())
        for line in self.out.splitlines():
            self.assertTrue(line.startswith("would run "), line)
        self.assertIn("instance add", self.out)
        self.assertEqual(self.setsUp(), 0, self.out)
        self.assertEqual(self.setsUp("--dry-run", "add", "25011", "--no-systemd"), 0, self.out)
        self.assertIn("would register node 25011", self.out)
        self.assertFalse((self.prefix / "var").exists())
        self.assertFalse((self.prefix / "opt" / "BrandMeister" / "Instances").exists())

    def test_oldPython(self) -> None:
        """
        A Python that is too old, or none, or one without venv, is told before anything is made.
        """
        for text, said in (
            ('#!/bin/sh\ncase "$2" in *version_info*) exit 1;; esac\n', "older than Python 3.11"),
            ('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n', "python3-venv"),
        ):
            self.assertEqual(self.setsUp(python=self.program("old", text)), 1)
            self.assertIn(said, self.out)
        self.assertEqual(self.setsUp(python=self.home.folder / "none"), 1)
        self.assertIn("--python", self.out)
        self.assertFalse(self.prefix.exists())

    def test_failure(self) -> None:
        """
        When pip fails, so does the script, and no node is added.
        """
        text = '#!/bin/sh\ncase "$2" in venv) mkdir -p "$3/bin"; cp "$0" "$3/bin/python";;\n'
        python = self.program("failing", text + "pip) exit 3;; esac\n")
        self.assertNotEqual(self.setsUp("add", "25011", python=python), 0)
        self.assertFalse((self.prefix / "opt" / "BrandMeister" / "Instances").exists())

    def test_words(self) -> None:
        """
        Words that it does not know end with exit code 2; --help explains them.
        """
        for words in (("start",), ("--colour",), ("install", "25011"), ("--python",)):
            self.assertEqual(self.setsUp(*words), 2, words)
        self.assertEqual(self.setsUp("--help"), 0)
        self.assertIn("remove [options] NUMBER", self.out)
        self.assertFalse(self.prefix.exists())
