"""
What a hotspot's owner asks for in RPTO, in every dialect that is in use.

DMR+ (C{StartRef=4013;RelinkTime=15;UserLink=1;TS1_1=262;TS2_1=91}), FreeDMR and its relations
(C{TS1=262,1;TS2=91;DIAL=0;TIMER=10;SINGLE=1;...}), HBlink4 (C{TS1=1,2;TS2=*}).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

LARGEST_LIST: Final = 64  # talkgroups a slot; a programmed radio's zone has fewer
_LARGEST_ID: Final = 0xFFFFFF
_STATIC = re.compile(r"TS([12])(?:_\d{1,2})?\Z")
# Keys with a meaning elsewhere that change nothing here.
_KNOWN_ELSEWHERE: Final = frozenset(
    ("USERLINK", "VOICE", "IDENT", "LANG", "IDENTTG", "VOICETG", "STICKY", "IPSC", "TYPE", "SRC")
)


@dataclass(frozen=True, slots=True)
class Options:
    """
    One RPTO, understood as far as it can be. It replaces the one before it whole.

    @ivar static: talkgroups by slot, each list without doubles in the order given.
    @ivar timer: seconds until a talkgroup that was keyed is left again, 0 for never; L{None}
        when not said.
    @ivar single: whether keying a talkgroup leaves the one keyed before; L{None} when not said.
    @ivar reflector: the talkgroup to link at the start (C{DIAL}, C{StartRef}); L{None} when none.
    @ivar disconnect: whether all talkgroups that were keyed are to be left now (C{DISC=1}).
    @ivar unknown: keys and values that were not understood, for the log, in the order given.
    """

    static: dict[int, tuple[int, ...]] = field(default_factory=dict)
    timer: float | None = None
    single: bool | None = None
    reflector: int | None = None
    disconnect: bool = False
    unknown: tuple[str, ...] = ()


def parseOptions(text: str) -> Options:
    """
    The options in the text of an RPTO. Never fails: what is not understood is in C{unknown}.
    """
    static: dict[int, dict[int, None]] = {}
    values: dict[str, str] = {}
    unknown: list[str] = []
    for part in _unquoted(text).split(";"):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        name = key.upper()
        if not name and not value:
            continue
        slot = _STATIC.match(name)
        if slot:
            talkgroups = static.setdefault(int(slot[1]), {})
            unknown += _addTalkgroups(talkgroups, key, value)
        elif name in _READERS:
            if value and _READERS[name](value) is None:
                unknown.append(part.strip())
            elif value:
                values[name] = value
        elif name not in _KNOWN_ELSEWHERE or not equals:
            unknown.append(part.strip())
    timer = _seconds(values.get("TIMER") or values.get("RELINKTIME", ""))
    return Options(
        static={slot: tuple(talkgroups) for slot, talkgroups in sorted(static.items())},
        timer=timer,
        single=_truth(values.get("SINGLE", "")),
        reflector=_talkgroup(values.get("DIAL") or values.get("STARTREF", "")) or None,
        disconnect=_truth(values.get("DISC", "")) is True,
        unknown=tuple(unknown),
    )


def _unquoted(text: str) -> str:
    """
    A text without the quotes around it, which some programs send as they stand in their files.
    """
    bare = text.strip()
    return bare[1:-1] if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'" else text


def _addTalkgroups(talkgroups: dict[int, None], key: str, value: str) -> list[str]:
    refused = []
    for item in value.split(","):
        word = item.strip()
        talkgroup = _talkgroup(word)
        if not word or talkgroup == 0:
            continue  # an empty value, and DMR+'s 0, unset
        if talkgroup is None or len(talkgroups) >= LARGEST_LIST:
            refused.append(f"{key}={word}")
        else:
            talkgroups[talkgroup] = None
    return refused


def _talkgroup(word: str) -> int | None:
    if not (word.isascii() and word.isdigit() and len(word) <= 8):
        return None
    value = int(word)
    return value if value < _LARGEST_ID else None


def _seconds(word: str) -> float | None:
    if not (word.isascii() and word.isdigit() and len(word) <= 5):
        return None
    return int(word) * 60.0


def _truth(word: str) -> bool | None:
    return {"1": True, "0": False, "TRUE": True, "FALSE": False}.get(word.upper())


_READERS = {
    "TIMER": _seconds,
    "RELINKTIME": _seconds,
    "SINGLE": _truth,
    "DIAL": _talkgroup,
    "STARTREF": _talkgroup,
    "DISC": _truth,
}
