"""
The section of the operator's own rules.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import attrs

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def checkRules(names: tuple[str, ...]) -> None:
    """
    @raise ValueError: a name is none, or is there twice.
    """
    for place, name in enumerate(names):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!a} cannot be the name of a rule")
        if name in names[:place]:
            raise ValueError(f"{name} is there twice")


@attrs.frozen
class Routing:
    """
    The section of the operator's own rules.

    @ivar rules: the names of plugins that are asked about each call, in this order.
    """

    rules: Annotated[tuple[str, ...], checkRules] = ()
