"""
A master's door that is open: who has the password is let in, and nothing is set but what a test
sets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bmff.dmr.ranges import Ranges
from bmff.router.translation import Translation


@dataclass
class SomeSettings:
    """
    What is set for a peer; see L{bmff.protocols.homebrew.Settings}.
    """

    static: dict[int, tuple[int, ...]] = field(default_factory=dict)
    single: bool = False
    dynamicTimeout: float = 900.0
    options: bool = True
    dial: bool = False
    autoStatic: bool = False
    holdOff: float = 0.0
    refused: Ranges = field(default_factory=Ranges)
    translation: Translation = field(default_factory=Translation)


class Everybody:
    """
    Lets everybody in but those who are named; see L{bmff.protocols.homebrew.Access}.

    @ivar password: the one that opens.
    @ivar refused: why single peers are kept out, by ID.
    @ivar peers: what is set for single peers, by ID.
    @ivar common: what is set for the others.
    """

    def __init__(self, password: bytes = b"passw0rd", common: SomeSettings | None = None) -> None:
        self.password = password
        self.refused: dict[int, str] = {}
        self.peers: dict[int, SomeSettings] = {}
        self.common = common or SomeSettings()

    def passphrase(self, peerID: int) -> bytes | None:
        """
        What a peer has to know.
        """
        return None if peerID in self.refused else self.password

    def refusal(self, peerID: int) -> str | None:
        """
        Why a peer may not log in.
        """
        return self.refused.get(peerID)

    def settings(self, peerID: int) -> SomeSettings:
        """
        What is set for a peer.
        """
        return self.peers.get(peerID, self.common)
