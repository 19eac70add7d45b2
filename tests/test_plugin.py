"""
Tests of what bmff adds to twistd.
"""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.python.usage import Options
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent


class PluginTests(SynchronousTestCase):
    """
    Tests of C{twisted/plugins/bmff_plugins.py}.
    """

    def test_found(self) -> None:
        """
        Twisted finds bmnode, once.
        """
        (maker,) = (one for one in getPlugins(IServiceMaker) if one.tapname == "bmnode")
        self.assertIn("DMR", maker.description)

    def test_maker(self) -> None:
        """
        The maker leads to the node's options and to what makes its service.
        """
        (maker,) = (one for one in getPlugins(IServiceMaker) if one.tapname == "bmnode")
        self.assertTrue(issubclass(maker.options, Options))
        self.assertTrue(callable(maker.makeService))

    def test_light(self) -> None:
        """
        To list the plugins imports of bmff only the interfaces, and no reactor: every twistd on
        the machine pays for it.
        """
        script = (
            "import sys, twisted.plugins.bmff_plugins as plugins\n"
            "heavy = ('bmff', 'twisted.internet.reactor')\n"
            "imported = [name for name in sys.modules if name.startswith(heavy)]\n"
            "print(plugins.bmnode.tapname, imported)"
        )
        command = [sys.executable, "-c", script]
        done = run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        self.assertEqual(
            done.stdout, "bmnode ['bmff', 'bmff.errors', 'bmff.routing', 'bmff.ibmff']\n"
        )
