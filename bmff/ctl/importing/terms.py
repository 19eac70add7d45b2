"""
What is said of every hotspot of one system of theirs, as our configuration says it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bmff.ctl.importing.accesslist import both, count, written
from bmff.ctl.importing.systems import EVERY_ID, EVERY_TALKGROUP
from bmff.ctl.importing.translatetable import Rule, beside
from bmff.dmr.ranges import Ranges


@dataclass(frozen=True, slots=True)
class Terms:
    """
    What is said of every hotspot of a system.

    @ivar password: the id of its secret.
    @ivar static: the talkgroups of the slots 1 and 2.
    @ivar timer: seconds until a keyed talkgroup is left.
    @ivar single: whether keying a talkgroup leaves the one before.
    @ivar talkgroups: those that may be keyed and heard, by our numbers.
    @ivar hangTime: seconds.
    @ivar hotspots: the IDs that may log in.
    @ivar translate: numbers there, numbers here, and slots.
    """

    password: str
    static: tuple[tuple[int, ...], tuple[int, ...]]
    timer: float
    single: bool
    talkgroups: Ranges
    hangTime: float
    hotspots: Ranges
    translate: tuple[Rule, ...] = ()

    def common(self) -> dict[str, Any]:
        """
        As keys of the section of the stack.
        """
        keys: dict[str, Any] = {"password": self.password}
        keys |= allowOrDeny(self.hotspots, EVERY_ID, "allow", "deny")
        if any(self.static):
            keys["static"] = {str(n): list(each) for n, each in enumerate(self.static, 1) if each}
        keys |= allowOrDeny(self.talkgroups, EVERY_TALKGROUP, "allow_talkgroups", "deny_talkgroups")
        keys |= {"hang_time": self.hangTime, "dynamic_timeout": self.timer, "single": self.single}
        if self.translate:
            keys["translate"] = [translated(*each) for each in self.translate]
        return keys

    def own(self, common: Terms) -> dict[str, Any]:
        """
        As keys of one hotspot's table, where they are not the common ones.
        """
        keys: dict[str, Any] = {"password": self.password, "banned": False}
        if self.static != common.static:
            keys["static"] = {str(n): list(each) for n, each in enumerate(self.static, 1)}
        if self.timer != common.timer:
            keys["dynamic_timeout"] = self.timer
        if self.single != common.single:
            keys["single"] = self.single
        if self.talkgroups != common.talkgroups:
            keys |= {"allow_talkgroups": [], "deny_talkgroups": []}
            keys |= allowOrDeny(
                self.talkgroups, EVERY_TALKGROUP, "allow_talkgroups", "deny_talkgroups"
            )
        if numbers := beside(self.translate, common.translate):
            keys["translate"] = [translated(*each) for each in numbers]
        return keys


def including(numbers: Ranges, number: int) -> Ranges:
    """
    A set of numbers with one more.
    """
    return numbers | Ranges([(number, number)])


def translated(there: int, here: int, slot: int) -> dict[str, int]:
    """
    A number that is another one there, as our configuration says it.
    """
    return {"there": there, "here": here} | ({"slot": slot} if slot else {})


def allowOrDeny(numbers: Ranges, whole: Ranges, allow: str, deny: str) -> dict[str, Any]:
    """
    A set of numbers as the list of the fewer: of those, or of all others.
    """
    numbers = both(numbers, whole)
    rest = whole - numbers
    if not len(rest):
        return {}
    if len(numbers) and count(numbers) <= count(rest):
        return {allow: list(written(numbers))}
    return {deny: list(written(rest))}
