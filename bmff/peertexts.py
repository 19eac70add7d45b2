"""
The texts in a row of Peers: lists of talkgroups, and the numbers that are others at a hotspot, each
in the form that C{[homebrew.peer.N]} of the configuration has them in.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from bmff.errors import ConfigurationError
from bmff.sections.homebrew import Translated
from bmff.sections.values import Number, Talkgroups, makeNumber, makeTalkgroups
from bmff.toml import Schema, parseTable

LONGEST: Final = 4096  # characters
_KEPT: Final = 1024  # texts whose meaning is known; often many rows say the same

_SEPARATOR: Final = re.compile(r"[,;]")
_RULE: Final = re.compile(r"\{[^{}]*\}")
_RULES: Final = re.compile(rf"\s*{_RULE.pattern}\s*(?:[,;]\s*{_RULE.pattern}\s*)*")
_FORM: Final = (
    'must be rules such as "{there = 8, here = 2628, slot = 2}", separated by commas or semicolons'
)
_SCHEMA: Final = Schema(Translated, {Number: makeNumber})


@lru_cache(_KEPT)
def talkgroupsIn(text: str) -> tuple[Talkgroups, ...]:
    """
    The items of a list such as C{"91, 2600-2699, 262*"}; none when there is nothing in it.

    @raise ValueError: it is no such list; the message is for people.
    """
    if not text.strip():
        return ()
    return tuple(makeTalkgroups(item.strip()) for item in _SEPARATOR.split(text))


@lru_cache(_KEPT)
def translationIn(text: str) -> tuple[Translated, ...]:
    """
    Rules such as C{"{there = 8, here = 2628, slot = 2}, {there = 7, here = 2627}"}; none when there
    is nothing in it.

    @raise ValueError: there is something else; the message is for people.
    """
    if not text.strip():
        return ()
    if not _RULES.fullmatch(text):
        raise ValueError(_FORM)
    return tuple(_rule(one, number) for number, one in enumerate(_RULE.findall(text), 1))


def _rule(text: str, number: int) -> Translated:
    try:
        table = parseTable(f"rule = {text}", "rule")["rule"]
    except ConfigurationError:
        # What it says of lines and columns is not of the operator's text.
        raise ValueError(f"rule {number} is not written as in the configuration") from None
    try:
        return _SCHEMA.read(table)
    except ConfigurationError as error:
        mistakes = "; ".join(map(str, error.mistakes))
        raise ValueError(f"rule {number}: {mistakes}") from None
