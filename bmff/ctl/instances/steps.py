"""
What a command does, one step at a time: told before it is done, and undone when a later one fails.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bmff.errors import ConfigurationError, Mistake


def nothing() -> None:
    """
    Do nothing.
    """


@dataclass(frozen=True, slots=True)
class Step:
    """
    One thing to do.

    @ivar text: what, in the imperative, for people.
    @ivar do: does it.
    @ivar undo: takes it back.
    """

    text: str
    do: Callable[[], object]
    undo: Callable[[], object] = nothing


def carryOut(steps: Sequence[Step], dry: bool) -> None:
    """
    Do all of them, or none.

    @param dry: only tell what would be done.
    @raise ConfigurationError: one cannot be done; those before it have been undone.
    """
    done: list[Step] = []
    for step in steps:
        print(f"would {step.text}" if dry else step.text)
        if dry:
            continue
        try:
            step.do()
        except (OSError, ConfigurationError) as error:
            for one in reversed(done):
                _undo(one)
            if isinstance(error, ConfigurationError):
                raise
            first = step.text.partition("\n")[0]
            raise ConfigurationError([Mistake(f"cannot {first}", str(error))]) from None
        done.append(step)


def _undo(step: Step) -> None:
    try:
        step.undo()
    except (OSError, ConfigurationError) as error:
        print(f"bmffctl: cannot take back: {step.text}: {error}", file=sys.stderr)
