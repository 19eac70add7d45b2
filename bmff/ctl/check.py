"""
C{bmffctl check}: says what is wrong with a configuration file.
"""

from __future__ import annotations

from twisted.python import usage

from bmff.config import loadConfiguration
from bmff.keys import Secrets


class CheckOptions(usage.Options):
    """
    The options of C{bmffctl check}.
    """

    synopsis = "FILE"
    longdesc = "Says every mistake of a node's configuration file with its place."

    def parseArgs(self, file: str) -> None:  # type: ignore[override]
        """
        @param file: the configuration file.
        """
        self["file"] = file

    def run(self) -> int:
        """
        Read the file, and the secrets if they are there.

        @raise ConfigurationError: with every mistake.
        """
        configuration = loadConfiguration(self["file"])
        if configuration.secrets.exists():
            Secrets.load(configuration.secrets)
        print(f"{self['file']}: node {configuration.network}, no mistake found")
        return 0
