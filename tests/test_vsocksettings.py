"""
Tests of what the configuration says of vSockets.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bmff.config import parseConfiguration
from bmff.errors import ConfigurationError
from bmff.sections.fastforward import FastForward

FOLDER = Path("/etc/bmff")


class VSocketSettingsTests(SynchronousTestCase):
    """
    Tests of C{fastforward.hypervisor} and C{fastforward.monitors}.
    """

    def read(self, lines: str) -> FastForward:
        """
        The section with these lines.
        """
        found = parseConfiguration(f"network = 25011\n[fastforward]\n{lines}\n", "test", FOLDER)
        assert found.fastforward is not None
        return found.fastforward

    def test_off(self) -> None:
        """
        Nothing is named unless it is said.
        """
        found = self.read("")
        self.assertEqual((found.hypervisor, found.monitors), ("", ()))

    def test_named(self) -> None:
        """
        A name, and paths that are relative to the file's folder.
        """
        found = self.read('hypervisor = "esx-7.example"\nmonitors = ["/run/a.vsock", "b.vsock"]')
        self.assertEqual(found.hypervisor, "esx-7.example")
        self.assertEqual(found.monitors, (Path("/run/a.vsock"), FOLDER / "b.vsock"))

    def test_mistakes(self) -> None:
        """
        A name that others could not tell, and a path too long for a socket, are named by place.
        """
        for line, place in (
            ('hypervisor = "a@b"', "fastforward.hypervisor"),
            ('hypervisor = "a;b=c"', "fastforward.hypervisor"),
            (f'hypervisor = "{"a" * 65}"', "fastforward.hypervisor"),
            (f'monitors = ["/{"a" * 107}"]', "fastforward.monitors[0]"),
        ):
            error = self.assertRaises(ConfigurationError, self.read, line)
            self.assertEqual([mistake.place for mistake in error.mistakes], [place])
