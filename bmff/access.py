"""
Who may log in to the HomeBrew master, with which password, and what is set for them.

The rules are the operator's: C{[homebrew]} of the configuration, and over it the tables Peers and
Subscriptions of the registry, as BrandMeister describes them. A hotspot's ID of nine digits is the
radio ID of its owner and two digits that the owner chose, so what is said of the radio ID is said
of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar

import attrs

from bmff.dmr.numbers import radioID
from bmff.dmr.ranges import Ranges
from bmff.ibmff import PeerRow, SubscriptionRow
from bmff.peertexts import talkgroupsIn, translationIn
from bmff.router.translation import Form, Rule, Translation
from bmff.sections.homebrew import Homebrew, PeerEntry, Translated
from bmff.sections.values import LARGEST_TALKGROUP, IDs, Talkgroups

_EVERY: Final = Ranges([(1, LARGEST_TALKGROUP)])

T = TypeVar("T")


class Passwords(Protocol):
    """
    Where passwords are kept (L{bmff.keys.Secrets}).
    """

    def homebrewPassword(self, secretID: str) -> bytes | None:
        """
        The password under an id; L{None} when there is none.
        """


class Rows(Protocol):
    """
    What the registry says of hotspots, see L{bmff.ibmff.IRegistry}. A mapping is never changed, but
    replaced.
    """

    @property
    def peers(self) -> Mapping[int, PeerRow]: ...

    @property
    def subscriptions(self) -> Mapping[tuple[int, int, int], SubscriptionRow]: ...


@dataclass(frozen=True, slots=True)
class NoRows:
    """
    Those of rules to which no registry was given.

    @ivar peers: none.
    @ivar subscriptions: none.
    """

    peers: Mapping[int, PeerRow] = field(default_factory=dict)
    subscriptions: Mapping[tuple[int, int, int], SubscriptionRow] = field(default_factory=dict)


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


class Access:
    """
    The rules of a HomeBrew master.

    An entry for a peer's ID counts alone, else the one for its radio ID does. The same goes for
    rows of the registry, which are stronger than the entry, field by field; its subscriptions are
    added. If it is said whether the peer is banned, that decides; else the list of those denied,
    then that of those allowed.

    @ivar rows: what the registry says. What has changed there counts from the next question; who
        is here already is to be reviewed, see L{rowsChanged}.
    """

    def __init__(self, homebrew: Homebrew, passwords: Passwords, rows: Rows | None = None) -> None:
        """
        @param passwords: asked at each login, so that a change counts from the next one.
        @param rows: none when L{None}.
        """
        self.rows: Rows = NoRows() if rows is None else rows
        self._passwords = passwords
        self.reconfigure(homebrew)
        self._reviewed: Mapping[int, PeerRow] = {}  # as they were at the last review
        self._indexed: Mapping[tuple[int, int, int], object] = {}  # what the next are made from
        self._added: dict[int, set[tuple[int, int]]] = {}  # slot and talkgroup, by peer
        self._concerned: set[int] = set()  # whose are others since the last review

    def reconfigure(self, homebrew: Homebrew) -> None:
        """
        The operator says something else; whoever is logged in is to be reviewed then.
        """
        self._homebrew = homebrew
        # What rows come to with the entries that they stand over, by the IDs of both, 0 for none;
        # each with its row, as it counts for that very row.
        self._laid: dict[tuple[int, int], tuple[PeerRow, PeerSettings]] = {}
        self._password = homebrew.password
        self._allow = ranges(homebrew.allow)
        self._deny = ranges(homebrew.deny)
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
        row = _about(peerID, self.rows.peers)
        if row is None:
            settings = _about(peerID, self._settings) or self._common
        else:
            settings = self._over(row, peerID)
        self._index()
        added = sorted(_about(peerID, self._added) or ())
        if added:
            one = [talkgroup for slot, talkgroup in added if slot == 1]
            two = [talkgroup for slot, talkgroup in added if slot == 2]
            settings = replace(
                settings,
                slot1=tuple(dict.fromkeys((*settings.slot1, *one))),
                slot2=tuple(dict.fromkeys((*settings.slot2, *two))),
            )
        return settings

    def rowsChanged(self) -> Callable[[int], bool]:
        """
        The registry says something else: find out of whom, since this was asked last.

        @return: tells of a peer's ID whether the peer is to be reviewed.
        """
        self._index()
        concerned, self._concerned = self._concerned, set()
        before, self._reviewed = self._reviewed, self.rows.peers
        concerned.update(_differing(before, self._reviewed))
        self._laid = {
            ids: laid for ids, laid in self._laid.items() if self._reviewed.get(ids[0]) is laid[0]
        }
        return lambda peerID: peerID in concerned or radioID(peerID) in concerned

    def _over(self, row: PeerRow, peerID: int) -> PeerSettings:
        """
        What is set for a peer of whom a row says something. Texts are read once for each row.
        """
        entryID = next((each for each in (peerID, radioID(peerID)) if each in self._peers), 0)
        laid = self._laid.get((row.peer, entryID))
        if laid is None or laid[0] is not row:
            entry = _laidOver(self._peers.get(entryID, PeerEntry()), row)
            laid = row, _settings(self._homebrew, entry)
            self._laid[row.peer, entryID] = laid
        return laid[1]

    def _index(self) -> None:
        """
        Know the subscriptions by their peers. Only what has changed is gone through: there may be
        many thousands.
        """
        before, rows = self._indexed, self.rows.subscriptions
        if rows is before:
            return
        self._indexed = rows
        for peerID, slot, talkgroup in before.keys() - rows.keys():
            left = self._added[peerID]
            left.discard((slot, talkgroup))
            if not left:
                del self._added[peerID]
            self._concerned.add(peerID)
        for peerID, slot, talkgroup in rows.keys() - before.keys():
            self._added.setdefault(peerID, set()).add((slot, talkgroup))
            self._concerned.add(peerID)

    def _rule(self, peerID: int) -> str | None:
        row = _about(peerID, self.rows.peers)
        banned = row.banned if row is not None else None
        entry = _about(peerID, self._peers)
        if banned is None and entry is not None:
            banned = entry.banned
        if banned is not None:
            return "banned" if banned else None
        radio = radioID(peerID)
        if peerID in self._deny or radio in self._deny:
            return "in the deny list"
        if self._allow and peerID not in self._allow and radio not in self._allow:
            return "not in the allow list"
        return None

    def _passwordOf(self, peerID: int) -> bytes | None:
        row, entry = _about(peerID, self.rows.peers), _about(peerID, self._peers)
        own = (row.secret if row is not None else None) or (entry.password if entry else None)
        return self._passwords.homebrewPassword(own or self._password)


def _about(peerID: int, said: Mapping[int, T]) -> T | None:
    """
    What is said of a peer: of its ID alone, else of its radio ID.
    """
    exact = said.get(peerID)
    return exact if exact is not None else said.get(radioID(peerID))


def _differing(before: Mapping[int, T], now: Mapping[int, T]) -> Iterator[int]:
    """
    The keys of what is not the same in both.
    """
    if before is now:
        return
    for key in before.keys() | now.keys():
        one, other = before.get(key), now.get(key)
        if one is not other and one != other:
            yield key


def ranges(items: Iterable[IDs | Talkgroups]) -> Ranges:
    """
    A list of IDs or talkgroups as one set.
    """
    return Ranges(ends for each in items for ends in each.ranges)


def _laidOver(entry: PeerEntry, row: PeerRow) -> PeerEntry:
    """
    What an entry and a row say together: the row, field by field, where it says something.
    """
    allow, deny, translate = row.allowTalkgroups, row.denyTalkgroups, row.translate
    said = {
        "single": row.single,
        "dynamicTimeout": row.timeout,
        "options": row.options,
        "dial": row.dial,
        "autoStatic": row.autoStatic,
        "holdOff": row.holdOff,
        "allowTalkgroups": None if allow is None else talkgroupsIn(allow),
        "denyTalkgroups": None if deny is None else talkgroupsIn(deny),
        "translate": None if translate is None else translationIn(translate),
    }
    changes: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    return attrs.evolve(entry, **changes)


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
        translation=translation((*peer.translate, *homebrew.translate)),
    )


def _refused(homebrew: Homebrew, peer: PeerEntry) -> Ranges:
    allow, deny = peer.allowTalkgroups, peer.denyTalkgroups
    allowed = ranges(homebrew.allowTalkgroups if allow is None else allow)
    denied = ranges(homebrew.denyTalkgroups if deny is None else deny)
    return denied | (_EVERY - allowed) if allowed else denied


def translation(rules: Iterable[Translated]) -> Translation:
    """
    The rules of a peer or a bridge, as the router wants them.
    """
    return Translation(Rule(Form(*each.there), Form(*each.here), each.slot) for each in rules)
