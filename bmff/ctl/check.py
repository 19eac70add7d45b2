"""
C{bmffctl check}: says what is wrong with a configuration file.
"""

from __future__ import annotations

from twisted.python import usage

from bmff.config import loadConfiguration
from bmff.errors import ConfigurationError, Mistake
from bmff.keys import Secrets
from bmff.sections.fastforward import FastForward
from bmff.sections.homebrew import Homebrew


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
            secrets = Secrets.load(configuration.secrets)
            mistakes: list[Mistake] = []
            if configuration.homebrew is not None:
                mistakes += missingPasswords(configuration.homebrew, secrets)
            if configuration.fastforward is not None:
                mistakes += missingKey(configuration.fastforward, secrets)
            if mistakes:
                raise ConfigurationError(mistakes)
        print(f"{self['file']}: node {configuration.network}, no mistake found")
        return 0


def missingPasswords(homebrew: Homebrew, secrets: Secrets) -> list[Mistake]:
    """
    The places that name a password which the secrets do not have.
    """
    named = [("homebrew.password", homebrew.password)]
    for peerID, peer in homebrew.peer.items():
        if peer.password is not None:
            named.append((f"homebrew.peer.{peerID}.password", peer.password))
    # The id is not quoted: someone may have put a password in its place.
    message = f"names an id that is not in [homebrew] of {secrets.path}"
    return [
        Mistake(place, message)
        for place, secretID in named
        if secrets.homebrewPassword(secretID) is None
    ]


def missingKey(fastForward: FastForward, secrets: Secrets) -> list[Mistake]:
    """
    The place that names a key of links which the secrets do not have; none when a key is marked as
    current there, as links are made under that one, whatever the configuration names.
    """
    if secrets.currentKey() is not None or secrets.fastForwardKey(fastForward.key) is not None:
        return []
    # The id is not quoted: someone may have put a key in its place.
    message = f"names an id that is not in [fastforward] of {secrets.path}"
    return [Mistake("fastforward.key", message)]
