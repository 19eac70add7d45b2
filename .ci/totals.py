#!/usr/bin/env python3
"""
Trial's closing summary, read from standard input, as one line: C{120 passed, 0 failed, 2 skipped}.
The arguments may be files with the output of several runs instead, whose sums are printed.

The exit code is 0 only when something passed and nothing failed. A run that came to no summary, or
that had no tests, is a failure itself and counts as one. It runs before anything is installed, so
it needs Python's standard library alone.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# twisted.trial.reporter.Reporter: PASSED (skips=2, successes=120); a run without tests: PASSED
SUMMARY = re.compile(r"^(?:PASSED|FAILED)(?: \((?P<counts>[a-zA-Z0-9=, ]+)\))?$", re.MULTILINE)

PASSED = ("successes", "expectedFailures")
FAILED = ("failures", "errors", "unexpectedSuccesses")
SKIPPED = ("skips",)


def totals(output: str) -> tuple[int, int, int]:
    """
    How many tests passed, failed and were skipped.

    @param output: all that trial printed.
    """
    # The last summary is the run's own; a test may have printed an earlier one.
    counts = [summary["counts"] or "" for summary in SUMMARY.finditer(output)][-1:]
    number = {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", "".join(counts))}
    passed, failed, skipped = (
        sum(number.get(name, 0) for name in names) for names in (PASSED, FAILED, SKIPPED)
    )
    return (passed, failed, skipped) if passed + failed + skipped else (0, 1, 0)


if __name__ == "__main__":
    outputs = [Path(name).read_text("utf-8", "replace") for name in sys.argv[1:]]
    runs = [totals(output) for output in outputs or [sys.stdin.read()]]
    passed, failed, skipped = map(sum, zip(*runs, strict=True))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)
