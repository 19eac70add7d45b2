"""
The router of a node with all that takes calls in it: parrot, status, dialling, the operator's own
rules, which are found by their plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from random import SystemRandom
from typing import Final

from twisted.logger import Logger
from twisted.plugin import getPlugins
from twisted.python.failure import Failure

from bmff.errors import ConfigurationError, Mistake
from bmff.events import Event
from bmff.ibmff import IRouting
from bmff.router.announcement import Announcer
from bmff.router.dialling import Dialling
from bmff.router.parrot import Parrot
from bmff.router.router import HANG_TIME, TALK_LIMIT, Router
from bmff.router.status import Status
from bmff.router.texts import Texts

_STREAM_BITS: Final = 32


class Exchange:
    """
    What calls pass through on a node.

    @ivar router: who hears whom.
    @ivar texts: sends text messages to radios.
    """

    _log = Logger()

    def __init__(
        self,
        publish: Callable[[Event], None],
        *,
        hangTime: float = HANG_TIME,
        talkLimit: float = TALK_LIMIT,
        rules: Iterable[str] = (),
    ) -> None:
        """
        @param publish: is told what happens.
        @param hangTime: seconds that a slot is kept for a conversation after a voice call.
        @param talkLimit: seconds that one transmission may last; 0 for no limit.
        @param rules: the names of the operator's own, in the order that they are asked in.
        @raise ConfigurationError: there is no rule of that name.
        """
        self.router = Router(publish, hangTime=hangTime, talkLimit=talkLimit)
        announcer = Announcer(self.router, self.router.deadlines)
        self.texts = Texts(announcer, partial(SystemRandom().getrandbits, _STREAM_BITS))
        self.router.services += (
            Parrot(announcer),
            Status(self.texts),
            Dialling(self.router.subscriptions),
        )
        self.router.rules.failed = self._ruleFailed
        self._addRules(list(rules))

    def _addRules(self, names: list[str]) -> None:
        if not names:
            return
        found = {each.name: each for each in getPlugins(IRouting)}
        there = ", ".join(sorted(found)) or "none"
        mistakes = [
            Mistake(f"routing.rules[{place}]", f"there is no rule {name}; there is {there}")
            for place, name in enumerate(names)
            if name not in found
        ]
        if mistakes:
            raise ConfigurationError(mistakes)
        for name in names:
            self.router.rules.add(name, found[name].decide)

    def _ruleFailed(self, name: str, error: Exception) -> None:
        self._log.failure("the rule {name} failed, and is skipped", Failure(error), name=name)
