"""
What the tests of C{bmff.ctl} share: a command line and what it prints.
"""

from __future__ import annotations

import sys
from io import StringIO

from bmff.ctl.main import main
from tests.nodes import HomeTestCase


class CtlTestCase(HomeTestCase):
    """
    A command line.

    @ivar out: what was printed to the standard output.
    @ivar err: what was printed to the standard error.
    """

    def setUp(self) -> None:
        super().setUp()
        self.out = self.err = ""

    def command(self, *arguments: str) -> int:
        """
        Run a command.

        @return: its exit code.
        """
        out, err = StringIO(), StringIO()
        patches = self.patch(sys, "stdout", out), self.patch(sys, "stderr", err)
        try:
            return main(arguments)
        finally:
            for patch in patches:
                patch.restore()
            self.out, self.err = out.getvalue(), err.getvalue()
