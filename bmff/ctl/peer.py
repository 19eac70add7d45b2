"""
C{bmffctl peer}: the rows of Peers in the registry, which say what is different for single hotspots
and repeaters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from twisted.python import usage

from bmff.ctl.rowcommand import RowCommand, RowCommands, RowListing, removed
from bmff.dmr.numbers import radioID
from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import IRegistry, PeerRow
from bmff.tables import PEERS
from bmff.toml import written

LARGEST_PEER: Final = 0xFFFF_FFFF
DEFAULT: Final = "default"
ANY: Final = "any"
NONE: Final = "none"
_FLAGS: Final[Mapping[str, bool | None]] = {"yes": True, "no": False, DEFAULT: None}
# The options of the fields that a row has beside its ID.
_FIELDS: Final[Mapping[str, str]] = {
    "secret": "secret",
    "banned": "banned",
    "single": "single",
    "timeout": "timeout",
    "options": "options",
    "dial": "dial",
    "autoStatic": "auto-static",
    "holdOff": "hold-off",
    "allowTalkgroups": "allow",
    "denyTalkgroups": "deny",
    "translate": "translate",
}
_ADMIN: Final = "On Tarantool this takes a user who may: --user bmadmin --password-id ID."


def peerID(word: str) -> int:
    """
    The ID of a hotspot or repeater in a word of the command line.

    @raise usage.UsageError: it is none.
    """
    known = word.isascii() and word.isdigit() and len(word) <= 10
    if not (known and 1 <= int(word) <= LARGEST_PEER):
        raise usage.UsageError(f"{word!a} is no ID of a hotspot or repeater")
    return int(word)


def flag(word: str) -> tuple[bool | None]:
    """
    What is said in a word of the command line; L{None} is as the configuration says. It comes in a
    tuple, to be told from what was not said at all.

    @raise ValueError: it is none of these, which a coercing option tells.
    """
    if word not in _FLAGS:
        raise ValueError(f"{word!a} is none of {', '.join(_FLAGS)}")
    return (_FLAGS[word],)


def seconds(word: str) -> tuple[float | None]:
    """
    The same for a number of seconds; the registry knows how many there may be.

    @raise ValueError: it is none.
    """
    if word == DEFAULT:
        return (None,)
    if not (word.isascii() and word.isdigit() and len(word) <= 10):
        raise ValueError(f"{word!a} is neither a number of seconds nor {DEFAULT}")
    return (int(word),)


def text(word: str) -> tuple[str | None]:
    """
    The same for a text, such as the id of a secret; the registry reads it.
    """
    return (None if word == DEFAULT else word,)


def allowed(word: str) -> tuple[str | None]:
    """
    The same for a list, with a word for one that allows everything.
    """
    return ("",) if word == ANY else text(word)


def denied(word: str) -> tuple[str | None]:
    """
    The same for a text, with a word for one that says nothing.
    """
    return ("",) if word == NONE else text(word)


class ListOptions(RowListing[PeerRow]):
    """
    The options of C{bmffctl peer list}.
    """

    name = PEERS
    heading = (
        *("PEER", "SECRET", "BANNED", "SINGLE", "TIMEOUT", "OPTIONS", "DIAL", "AUTO-STATIC"),
        *("HOLD-OFF", "ALLOW", "DENY", "TRANSLATE"),
    )
    longdesc = (
        "Lists what the registry says of single hotspots and repeaters; what is empty is as the "
        "configuration of their node says. Below stand the rows that cannot be used. Who is logged "
        "in at a node is shown by bmffctl peers."
    )

    def content(self, row: PeerRow) -> dict[str, Any]:
        """
        A row as JSON, by the names that the configuration and the columns have.
        """
        return {written(name): value for name, value in asdict(row).items()}

    def lines(self, rows: list[PeerRow]) -> Iterable[tuple[object, ...]]:
        """
        The rows for people.
        """
        for row in rows:
            yield (
                row.peer,
                *(
                    _word(getattr(row, name), ANY if option == "allow" else NONE)
                    for name, option in _FIELDS.items()
                ),
            )


class PeerCommand(RowCommand):
    """
    The options of a command on the row of one peer.
    """

    synopsis = "[options] PEER"

    def parseArgs(self, peer: str) -> None:  # type: ignore[override]
        """
        @param peer: its ID.
        @raise usage.UsageError: it is none.
        """
        self["peer"] = peerID(peer)

    def write(self, **fields: Any) -> dict[int, PeerRow]:
        """
        Write the row with some fields changed.

        @return: all rows, afterwards.
        @raise ConfigurationError: it cannot be used, or the registry cannot; nothing has changed.
        """
        peer = self["peer"]

        async def put(registry: IRegistry) -> dict[int, PeerRow]:
            row = replace(registry.peers.get(peer, PeerRow(peer)), **fields)
            bad = [
                one.reason for one in registry.badRows if one.peer == peer and one.table == PEERS
            ]
            # What cannot be read of it must not be lost by a change of something else, such as
            # that the peer is banned.
            if bad and not row.banned:
                message = f"its row cannot be used ({bad[0]}); bmffctl peer remove takes it away"
                raise ConfigurationError([Mistake(f"peer {peer}", message)])
            await registry.put(row)
            return dict(registry.peers)

        return self.visit(put)


class SetOptions(PeerCommand):
    """
    The options of C{bmffctl peer set}.
    """

    longdesc = (
        "Says what is different for a hotspot or repeater, from now on and with no restart, on "
        "every node that reads this registry. An ID of seven digits stands for all hotspots of "
        "that radio that have no row of their own. What is not given stays as it was; "
        f"{DEFAULT} is as the configuration of the node says. {_ADMIN}"
    )
    optParameters = [
        ["secret", "s", None, "the id of its password in the nodes' secrets files", text],
        ["banned", "b", None, "yes; no: it is let in whatever the lists say; default", flag],
        [
            "single",
            None,
            None,
            "whether keying a talkgroup leaves the last: yes, no, default",
            flag,
        ],
        ["timeout", "t", None, "seconds until what was keyed is left, 0: never; default", seconds],
        ["options", "o", None, "whether it may set its own talkgroups: yes, no, default", flag],
        [
            "dial",
            None,
            None,
            "whether a private call to a talkgroup links it: yes, no, default",
            flag,
        ],
        [
            "auto-static",
            None,
            None,
            "whether, simplex, it keeps what it keyed last: yes, no, default",
            flag,
        ],
        [
            "hold-off",
            None,
            None,
            "seconds after its own talk in which other static talkgroups wait; default",
            seconds,
        ],
        [
            "allow",
            None,
            None,
            'talkgroups that it may key and hear, such as "91, 2600-2699"; any; default',
            allowed,
        ],
        ["deny", None, None, "talkgroups that it may not; none; default", denied],
        [
            "translate",
            None,
            None,
            'numbers that are others there, "{there = 8, here = 2628, slot = 2}"; none; default',
            denied,
        ],
    ]

    def run(self) -> int:
        """
        Write the row.

        @raise ConfigurationError: as for L{write}.
        """
        rows = self.write(**self._said())
        print(described(rows[self["peer"]]))
        return 0

    def postOptions(self) -> None:
        """
        @raise usage.UsageError: nothing is to be changed.
        """
        if not self._said():
            raise usage.UsageError("nothing is said of it; --help lists what may be")

    def _said(self) -> dict[str, Any]:
        """
        The fields of the row that are given.
        """
        return {
            name: self[option][0] for name, option in _FIELDS.items() if self[option] is not None
        }


class BanOptions(PeerCommand):
    """
    The options of C{bmffctl peer ban}.
    """

    longdesc = (
        "Keeps a hotspot or repeater out, on every node that reads this registry; where it is "
        f"logged in its session ends. {_ADMIN}"
    )

    def run(self) -> int:
        """
        Write the row.

        @raise ConfigurationError: as for L{write}.
        """
        peer = self["peer"]
        rows = self.write(banned=True)
        print(f"{peer} is banned")
        own = [
            str(row.peer)
            for _, row in sorted(rows.items())
            if row.peer != peer and radioID(row.peer) == peer and not row.banned
        ]
        if own:
            print(f"not banned, as each has a row of its own: {', '.join(own)}")
        return 0


class UnbanOptions(PeerCommand):
    """
    The options of C{bmffctl peer unban}.
    """

    longdesc = (
        "Takes a ban back: the configuration of the node says again whether the hotspot or "
        f"repeater may log in. {_ADMIN}"
    )

    def run(self) -> int:
        """
        Write the row, or take it away when it says nothing else.

        @raise ConfigurationError: it is not banned there, or the registry cannot be used.
        """
        peer = self["peer"]

        async def unban(registry: IRegistry) -> str:
            row, rest = registry.peers.get(peer), registry.peers.get(radioID(peer))
            if row is None or not row.banned:
                banned = rest is not None and rest.banned and row is None
                return f"the row of {radioID(peer)} bans it" if banned else "is not banned there"
            if replace(row, banned=None) == PeerRow(peer):
                await registry.remove(PEERS, peer)
            else:
                await registry.put(replace(row, banned=None))
            return ""

        mistake = self.visit(unban) if self.isThere else "is not banned there"
        if mistake:
            raise ConfigurationError([Mistake(f"peer {peer}", mistake)])
        print(f"{peer} is not banned any more")
        return 0


class RemoveOptions(PeerCommand):
    """
    The options of C{bmffctl peer remove}.
    """

    longdesc = (
        "Takes away what the registry says of a hotspot or repeater; its subscriptions stay. "
        f"{_ADMIN}"
    )

    def run(self) -> int:
        """
        Remove the row, also one that cannot be used.

        @raise ConfigurationError: there is none, or the registry cannot be used.
        """
        peer = self["peer"]

        async def remove(registry: IRegistry) -> bool:
            return await removed(registry, PEERS, peer)

        if not (self.isThere and self.visit(remove)):
            raise ConfigurationError([Mistake(f"peer {peer}", "has no row in the registry")])
        print(f"{peer} is as the configuration says")
        return 0


class PeerOptions(RowCommands):
    """
    The options of C{bmffctl peer}.
    """

    longdesc = (
        "What is different for single hotspots and repeaters; bmffctl peer COMMAND --help says "
        "more."
    )
    subCommands = [
        ("list", None, ListOptions, "List what the registry says of them."),
        ("set", None, SetOptions, "Say what is different for one."),
        ("ban", None, BanOptions, "Keep one out, and end its session."),
        ("unban", None, UnbanOptions, "Take a ban back."),
        ("remove", None, RemoveOptions, "Have the configuration count for one again."),
    ]


def described(row: PeerRow) -> str:
    """
    What a row says, for people.
    """
    said = []
    if row.banned is not None:
        said.append("is banned" if row.banned else "is let in whatever the lists say")
    if row.secret is not None:
        said.append(f"has the password under {row.secret}")
    if row.single is not None:
        said.append(f"{'leaves' if row.single else 'keeps'} what it keyed for what it keys next")
    if row.timeout is not None:
        said.append(
            f"leaves what it keyed after {row.timeout:g} s"
            if row.timeout
            else "never leaves what it keyed by itself"
        )
    if row.options is not None:
        said.append(f"may {'' if row.options else 'not '}set its own talkgroups")
    if row.dial is not None:
        said.append(f"{'links' if row.dial else 'does not link'} a talkgroup that it calls")
    if row.autoStatic is not None:
        kept = "keeps" if row.autoStatic else "does not keep"
        said.append(f"{kept}, when it is simplex, what it keyed last")
    if row.holdOff is not None:
        said.append(
            f"hears no other static talkgroup for {row.holdOff:g} s after its own talk"
            if row.holdOff
            else "hears other static talkgroups right after its own talk"
        )
    if row.allowTalkgroups is not None:
        said.append(f"may key and hear {row.allowTalkgroups.strip() or 'any talkgroup'}")
    if row.denyTalkgroups is not None:
        said.append(f"is denied {row.denyTalkgroups.strip() or 'no talkgroup'}")
    if row.translate is not None:
        rules = row.translate.strip()
        said.append(f"has other numbers: {rules}" if rules else "has no other numbers of its own")
    return f"{row.peer} {', '.join(said) or 'is as the configuration says'}"


def _word(value: object, empty: str) -> str | None:
    """
    A field for people.

    @param empty: what stands for a text that says nothing.
    """
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return value.strip() or empty
        case int() | float():
            return f"{value:g}"
    return None
