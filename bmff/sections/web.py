"""
The section of the HTTP API.
"""

from __future__ import annotations

import grp
from pathlib import Path
from typing import Annotated

import attrs

from bmff.sections.values import checkSocketPath


def checkGroup(name: str) -> None:
    try:
        grp.getgrnam(name)
    except (KeyError, ValueError):
        raise ValueError(f"this host has no group {name!a}") from None


@attrs.frozen
class Web:
    """
    The section of the HTTP API on the control socket.

    @ivar socket: the control socket.
    @ivar enabled: whether there is one.
    @ivar controlGroup: the UNIX group that may use it beside the node's own user, if any.
    """

    socket: Annotated[Path, checkSocketPath]
    enabled: bool = True
    controlGroup: Annotated[str, checkGroup] | None = None
