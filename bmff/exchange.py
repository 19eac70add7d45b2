"""
The router of a node with all that takes calls in it: parrot, status, dialling, the operator's own
rules, which are found by their plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import SystemRandom
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.plugin import getPlugins
from twisted.python.failure import Failure

from bmff.dmr.numbers import isService
from bmff.errors import CommandRefused, ConfigurationError, Mistake
from bmff.events import Event
from bmff.ibmff import IRouting
from bmff.router.announcement import Announcer
from bmff.router.call import Slot
from bmff.router.dialling import Dialling
from bmff.router.parrot import Parrot
from bmff.router.router import HANG_TIME, TALK_LIMIT, Router
from bmff.router.rules import Rules
from bmff.router.status import Status
from bmff.router.texts import Texts

_STREAM_BITS: Final = 32


class NamedRules(Protocol):
    """
    What the configuration says of the operator's own rules, see L{bmff.sections.routing.Routing}.
    """

    @property
    def rules(self) -> Sequence[str]:
        """
        Their names, in the order that they are asked in.
        """


class Exchange:
    """
    What calls pass through on a node.

    @ivar router: who hears whom.
    @ivar texts: sends text messages to radios.
    @ivar alive: see L{bmff.reload.Reloadable}.
    """

    alive: Final = frozenset({"routing.rules"})
    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        publish: Callable[[Event], None],
        *,
        hangTime: float = HANG_TIME,
        talkLimit: float = TALK_LIMIT,
        rules: Sequence[str] = (),
    ) -> None:
        """
        @param clock: monotonic.
        @param publish: is told what happens.
        @param hangTime: seconds that a slot is kept for a conversation after a voice call.
        @param talkLimit: seconds that one transmission may last; 0 for no limit.
        @param rules: the names of the operator's own, in the order that they are asked in.
        @raise ConfigurationError: there is no rule of that name.
        """
        self._clock = clock
        self.router = Router(publish, hangTime=hangTime, talkLimit=talkLimit)
        announcer = Announcer(self.router, self.router.deadlines)
        self.texts = Texts(announcer, partial(SystemRandom().getrandbits, _STREAM_BITS))
        self.router.services += (
            Parrot(announcer),
            Status(self.texts),
            Dialling(self.router.subscriptions),
        )
        self.router.rules = self._rulesOf(rules)

    # What an operator may ask for, see L{bmff.brokers.orders.Commands}.

    def sendMessage(self, source: int, destination: int, private: bool, text: str) -> None:
        """
        Send a text to a radio, or to a talkgroup when not L{private}.

        @raise CommandRefused: it is too long, or there are too many others.
        """
        try:
            sent = self.texts.send(
                text,
                source=source,
                destination=destination,
                group=not private,
                now=self._clock.seconds(),
            )
        except ValueError as error:
            raise CommandRefused(str(error)) from None
        if not sent:
            raise CommandRefused("too many other announcements are being made")

    def dropCall(self, source: int, stream: int) -> None:
        """
        End what a radio sends.

        @param stream: its stream ID, 0 for any.
        @raise CommandRefused: it sends nothing.
        """
        calls = [
            call
            for call in self.router.currentCalls()
            if call.source == source and stream in {0, call.stream}
        ]
        if not calls:
            raise CommandRefused(f"radio {source} has no such call")
        for call in calls:
            self.router.dropCall(call, self._clock.seconds())

    def linkTalkgroup(self, peer: int, slot: int, talkgroup: int) -> None:
        """
        Have a slot hear a talkgroup, as if it had been keyed there.

        @raise CommandRefused: there is no such peer, or it may not hear that.
        """
        if isService(talkgroup):
            raise CommandRefused(f"{talkgroup} is no talkgroup")
        found = self._slot(peer, slot)
        if talkgroup in found.peer.refused:
            raise CommandRefused(f"peer {peer} may not hear talkgroup {talkgroup}")
        self.router.subscriptions.key(found, talkgroup, self._clock.seconds())

    def unlinkTalkgroup(self, peer: int, slot: int, talkgroup: int) -> None:
        """
        Have a slot hear a keyed talkgroup no more.

        @param talkgroup: 0 for all that were keyed.
        @raise CommandRefused: there is no such peer, or it has not keyed that.
        """
        found = self._slot(peer, slot)
        now = self._clock.seconds()
        for each in tuple(found.dynamic) if talkgroup == 0 else (talkgroup,):
            if not self.router.subscriptions.leave(found, each, now):
                raise CommandRefused(f"peer {peer} has not keyed talkgroup {talkgroup} there")

    def _slot(self, peer: int, slot: int) -> Slot:
        found = self.router.reach.peers.get(peer)
        if found is None:
            raise CommandRefused(f"peer {peer} is not logged in")
        if slot not in {1, 2}:
            raise CommandRefused(f"{slot} is no slot, which is 1 or 2")
        return found.slot(slot)

    def prepare(self, section: NamedRules) -> Callable[[], None]:
        """
        See L{bmff.reload.Reloadable}: the rules are asked from the next call on.

        @raise ConfigurationError: there is no rule of a name.
        """
        rules = self._rulesOf(section.rules)

        def take() -> None:
            self.router.rules = rules

        return take

    def _rulesOf(self, names: Sequence[str]) -> Rules:
        found = {each.name: each for each in getPlugins(IRouting)} if names else {}
        there = ", ".join(sorted(found)) or "none"
        mistakes = [
            Mistake(f"routing.rules[{place}]", f"there is no rule {name}; there is {there}")
            for place, name in enumerate(names)
            if name not in found
        ]
        if mistakes:
            raise ConfigurationError(mistakes)
        rules = Rules()
        rules.failed = self._ruleFailed
        for name in names:
            rules.add(name, found[name].decide)
        return rules

    def _ruleFailed(self, name: str, error: Exception) -> None:
        self._log.failure("the rule {name} failed, and is skipped", Failure(error), name=name)
