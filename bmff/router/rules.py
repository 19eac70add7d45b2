"""
The operator's own rules, asked once when a call begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from bmff.routing import CallRequest, Decision, Destination

Rule: TypeAlias = Callable[[CallRequest], Decision | None]


class Rules:
    """
    Any number of rules, each with a name.

    @ivar failed: called with a rule's name and what it raised; to be set by whoever can log.
    @ivar failures: how often each has raised something.
    """

    def __init__(self) -> None:
        self.failed: Callable[[str, Exception], object] = lambda name, error: None
        self.failures: Counter[str] = Counter()
        self._rules: list[tuple[str, Rule]] = []

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add(self, name: str, rule: Rule) -> None:
        """
        Ask one more, after the others.
        """
        self._rules.append((name, rule))

    def decide(self, request: CallRequest) -> Decision:
        """
        What all of them come to: the first that refuses has the last word, the call stays if none
        sends it away, it goes to all that any of them names, and the shortest limit counts.
        """
        stay = True
        also: dict[Destination, None] = {}
        limits: list[float] = []
        for name, rule in self._rules:
            try:
                decision = rule(request)
                if decision is None:
                    continue
                if decision.refused:
                    return decision
                limit = decision.talkLimit
                stay = stay and decision.stay
                also.update(dict.fromkeys(decision.also))
                if limit is not None:
                    limits.append(limit)
            except Exception as error:  # whatever an operator's own code raises, calls go on
                self.failures[name] += 1
                self.failed(name, error)
        also.pop(request.destination, None)
        return Decision("", stay, tuple(also), min(limits) if limits else None)
