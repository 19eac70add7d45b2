"""
Tests of the line that a run of continuous integration ends with.
"""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent
TOTALS = ROOT / ".ci" / "totals.py"


class TotalsTests(SynchronousTestCase):
    """
    Tests of C{.ci/totals.py}.
    """

    def assertTotals(self, output: str, line: str, code: int) -> None:
        """
        Assert what the script makes of trial's output.

        @param output: all that trial printed.
        @param line: what the script prints.
        @param code: its exit code.
        """
        command = [sys.executable, str(TOTALS)]
        done = run(command, input=output, capture_output=True, text=True, check=False)
        self.assertEqual((done.stdout, done.returncode, done.stderr), (line + "\n", code, ""))

    def test_passed(self) -> None:
        """
        A run without a failure says how many tests passed and were skipped, and is a success.
        """
        self.assertTotals(
            "Ran 122 tests in 1.204s\n\nPASSED (skips=2, successes=120)\n",
            "120 passed, 0 failed, 2 skipped",
            0,
        )

    def test_failed(self) -> None:
        """
        Failures, errors and unexpected successes count as failed, expected failures as passed.
        """
        self.assertTotals(
            "FAILED (skips=4, expectedFailures=8, failures=1, errors=2, unexpectedSuccesses=16, "
            "successes=32)\n",
            "40 passed, 19 failed, 4 skipped",
            1,
        )

    def test_last(self) -> None:
        """
        Only the run's own summary counts: the last one, at the start of its line.
        """
        self.assertTotals(
            "FAILED (errors=1, successes=1)\nPASSED (successes=3)\n... PASSED (successes=9)\n",
            "3 passed, 0 failed, 0 skipped",
            0,
        )

    def test_noTests(self) -> None:
        """
        A run that had no tests is a failure.
        """
        self.assertTotals("Ran 0 tests in 0.000s\n\nPASSED\n", "0 passed, 1 failed, 0 skipped", 1)

    def test_allSkipped(self) -> None:
        """
        A run in which nothing passed is no success.
        """
        self.assertTotals("PASSED (skips=7)\n", "0 passed, 0 failed, 7 skipped", 1)

    def test_noSummary(self) -> None:
        """
        A run that ended before its summary is a failure, whatever it printed.
        """
        for output in ("", "tests.wire\n  TotalsTests ...  [OK]\nKilled\n"):
            self.assertTotals(output, "0 passed, 1 failed, 0 skipped", 1)

    def test_runs(self) -> None:
        """
        Of several runs the sums are printed; one without a summary counts as one that failed.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        files = []
        for name, output in (
            ("here", "PASSED (skips=2, successes=120)\n"),
            ("guest", "PASSED (successes=30)\r\n== guest: exit code 0\n"),
            ("broken", "== guest: did not come up\n"),
        ):
            files.append(folder / name)
            files[-1].write_text(output)
        for number, line, code in (
            (2, "150 passed, 0 failed, 2 skipped\n", 0),
            (3, "150 passed, 1 failed, 2 skipped\n", 1),
        ):
            command = [sys.executable, str(TOTALS), *map(str, files[:number])]
            done = run(command, capture_output=True, text=True, check=False)
            self.assertEqual((done.stdout, done.returncode, done.stderr), (line, code, ""))

    def test_trial(self) -> None:
        """
        What trial prints today is understood, in one process and in several.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "test_three.py").write_text(
            "from twisted.trial.unittest import SynchronousTestCase\n"
            "class Tests(SynchronousTestCase):\n"
            "    def test_a(self): pass\n"
            "    def test_b(self): self.fail('b')\n"
            "    def test_c(self): pass\n"
            "    test_c.skip = 'no c'\n"
        )
        for flags in ([], ["-j", "2"]):
            command = [sys.executable, "-m", "twisted.trial", *flags, "test_three"]
            done = run(command, cwd=folder, capture_output=True, text=True, check=False)
            self.assertTotals(done.stdout, "1 passed, 1 failed, 1 skipped", 1)
