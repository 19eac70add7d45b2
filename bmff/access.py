"""
Who may log in to the HomeBrew master, with which password, and what is set for them.

The rules are the operator's (C{[homebrew]} of the configuration). A hotspot's ID of nine digits is
the radio ID of its owner and two digits that the owner chose, so what is said of the radio ID is
said of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from bmff.dmr.ranges import Ranges
from bmff.router.translation import Form, Rule, Translation
from bmff.sections.homebrew import Homebrew, PeerEntry, Translated
from bmff.sections.values import LARGEST_TALKGROUP, IDs, Talkgroups

_EVERY: Final = Ranges([(1, LARGEST_TALKGROUP)])


class Passwords(Protocol):
    """
    Where passwords are kept (L{bmff.keys.Secrets}).
    """

    def homebrewPassword(self, secretID: str) -> bytes | None:
        """
        The password under an id; L{None} when there is none.
        """


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """
    What is set for one hotspot or repeater.

    @ivar slot1: the talkgroups that are always sent to it on slot 1, each once.
    @ivar slot2: those of slot 2.
    @ivar single: whether keying a talkgroup leaves the one keyed before on that slot.
    @ivar dynamicTimeout: seconds until a talkgroup that was keyed is left, 0 for never.
    @ivar options: whether it may set its own talkgroups (RPTO).
    @ivar dial: whether a private call to a talkgroup's number links it to 9 on slot 2.
    @ivar autoStatic: whether a simplex hotspot keeps what was keyed last until it keys another.
    @ivar holdOff: seconds after its own talk in which other static talkgroups are held back.
    @ivar refused: the talkgroups that it may neither key nor hear.
    @ivar translation: the numbers that are others there.
    """

    slot1: tuple[int, ...]
    slot2: tuple[int, ...]
    single: bool
    dynamicTimeout: float
    options: bool
    dial: bool = True
    autoStatic: bool = False
    holdOff: float = 0.0
    refused: Ranges = field(default_factory=Ranges)
    translation: Translation = field(default_factory=Translation)

    @property
    def static(self) -> dict[int, tuple[int, ...]]:
        """
        The talkgroups that are always sent to it, by slot.
        """
        return {1: self.slot1, 2: self.slot2}


def radioID(peerID: int) -> int:
    """
    The radio ID that a hotspot's ID is made from: the first seven of nine digits, else all.
    """
    return peerID // 100 if 100_000_000 <= peerID <= 999_999_999 else peerID


class Access:
    """
    The rules of a HomeBrew master.

    An entry for a peer's ID counts alone, else the one for its radio ID does. If it says whether
    the peer is banned, that decides; else the list of those denied, then that of those allowed.
    """

    def __init__(self, homebrew: Homebrew, passwords: Passwords) -> None:
        """
        @param passwords: asked at each login, so that a change counts from the next one.
        """
        self._passwords = passwords
        self._password = homebrew.password
        self._allow = _ranges(homebrew.allow)
        self._deny = _ranges(homebrew.deny)
        self._peers = dict(homebrew.peer.items())
        self._common = _settings(homebrew, PeerEntry())
        self._settings = {each: _settings(homebrew, peer) for each, peer in self._peers.items()}

    def refusal(self, peerID: int) -> str | None:
        """
        Why a peer may not log in, whatever it knows; L{None} when it may.
        """
        reason = self._rule(peerID)
        if reason is None and self._passwordOf(peerID) is None:
            reason = "its password id is not in the secrets file"
        return reason

    def passphrase(self, peerID: int) -> bytes | None:
        """
        What a peer has to know to log in; L{None} when it may not.
        """
        return self._passwordOf(peerID) if self._rule(peerID) is None else None

    def settings(self, peerID: int) -> PeerSettings:
        """
        What is set for a peer.
        """
        exact = self._settings.get(peerID)
        return exact or self._settings.get(radioID(peerID), self._common)

    def _peer(self, peerID: int) -> PeerEntry | None:
        exact = self._peers.get(peerID)
        return exact or self._peers.get(radioID(peerID))

    def _rule(self, peerID: int) -> str | None:
        peer = self._peer(peerID)
        if peer is not None and peer.banned is not None:
            return "banned" if peer.banned else None
        radio = radioID(peerID)
        if peerID in self._deny or radio in self._deny:
            return "in the deny list"
        if self._allow and peerID not in self._allow and radio not in self._allow:
            return "not in the allow list"
        return None

    def _passwordOf(self, peerID: int) -> bytes | None:
        peer = self._peer(peerID)
        own = None if peer is None else peer.password
        return self._passwords.homebrewPassword(own or self._password)


def _ranges(items: Iterable[IDs | Talkgroups]) -> Ranges:
    return Ranges(ends for each in items for ends in each.ranges)


def _settings(homebrew: Homebrew, peer: PeerEntry) -> PeerSettings:
    """
    What is set for a peer: its own where it has it, else everybody's.
    """
    static = {**homebrew.static, **peer.static}
    timeout = peer.dynamicTimeout
    return PeerSettings(
        slot1=tuple(dict.fromkeys(static.get(1, ()))),
        slot2=tuple(dict.fromkeys(static.get(2, ()))),
        single=homebrew.single if peer.single is None else peer.single,
        dynamicTimeout=homebrew.dynamicTimeout if timeout is None else timeout,
        options=homebrew.options if peer.options is None else peer.options,
        dial=homebrew.dial if peer.dial is None else peer.dial,
        autoStatic=homebrew.autoStatic if peer.autoStatic is None else peer.autoStatic,
        holdOff=homebrew.holdOff if peer.holdOff is None else peer.holdOff,
        refused=_refused(homebrew, peer),
        translation=translation(peer.translate),
    )


def _refused(homebrew: Homebrew, peer: PeerEntry) -> Ranges:
    allow, deny = peer.allowTalkgroups, peer.denyTalkgroups
    allowed = _ranges(homebrew.allowTalkgroups if allow is None else allow)
    denied = _ranges(homebrew.denyTalkgroups if deny is None else deny)
    return denied | (_EVERY - allowed) if allowed else denied


def translation(rules: Iterable[Translated]) -> Translation:
    """
    The rules of a peer or a bridge, as the router wants them.
    """
    return Translation(Rule(Form(*each.there), Form(*each.here), each.slot) for each in rules)
