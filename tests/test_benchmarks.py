"""
Tests of L{benchmarks}: they run, and print what they promise. Their figures are not judged here.
"""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import fanout
from benchmarks._node import compileReference
from benchmarks._report import Report
from bmff.testing.requirements import requires


class BenchmarkTests(SynchronousTestCase):
    """
    The references in C, and one small run.
    """

    @requires("cc")
    def test_references(self) -> None:
        """
        Each reference compiles.
        """
        with TemporaryDirectory() as folder:
            for name in ("fan", "sink", "pp"):
                self.assertTrue(compileReference(name, Path(folder)).exists())

    @requires("cc")
    def test_fanout(self) -> None:
        """
        The fan-out through a node is measured beside the reference's, nothing lost on the way.
        """
        with TemporaryDirectory() as folder:
            for name in ("fan", "sink"):
                compileReference(name, Path(folder))
            theirs, ours = fanout.measure(10, 1, Path(folder), packets=1000)
        self.assertEqual((len(theirs), len(ours)), (1, 1))
        self.assertGreater(min(theirs + ours), 0)

    def test_report(self) -> None:
        """
        A report in JSON is one object with what compares benchmarks.
        """
        output = StringIO()
        with redirect_stdout(output):
            Report("some", {"10": 0.98765}, {"packets": 5}, "C").show(True)
        self.assertEqual(
            json.loads(output.getvalue()),
            {
                "benchmark": "some",
                "ratios": {"10": 0.988},
                "figures": {"packets": 5},
                "reference": "C",
            },
        )
