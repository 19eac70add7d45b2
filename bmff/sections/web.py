"""
The section of the HTTP API.
"""

from __future__ import annotations

import grp
import re
from pathlib import Path
from typing import Annotated, Final

import attrs

from bmff.sections.values import Address, checkSocketPath
from bmff.toml import Between

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]+")


def checkGroup(name: str) -> None:
    try:
        grp.getgrnam(name)
    except (KeyError, ValueError):
        raise ValueError(f"this host has no group {name!a}") from None


def checkName(name: str) -> None:
    if not _HOST.fullmatch(name):
        raise ValueError(f"{name!a} is no host name, which has neither port nor brackets")


@attrs.frozen
class Web:
    """
    The section of the HTTP API.

    @ivar socket: the control socket.
    @ivar enabled: whether there is one, and anything else of the API.
    @ivar controlGroup: the UNIX group that may use it beside the node's own user, if any.
    @ivar listen: addresses for HTTP in clear; the first free port of loopback from 54080 when
        absent, no port when empty.
    @ivar tls: addresses for HTTP over TLS.
    @ivar certificate: the file of the certificate for that, with those that vouch for it, PEM.
    @ivar privateKey: the file of its private key, PEM; in the same file when absent.
    @ivar hosts: the names by which browsers and proxies may call the node, beside its addresses and
        localhost.
    @ivar public: whether everybody may look who reaches it, without a token.
    @ivar connections: how many there may be at once.
    @ivar streams: how many may be open of each kind.
    """

    socket: Annotated[Path, checkSocketPath]
    enabled: bool = True
    controlGroup: Annotated[str, checkGroup] | None = None
    listen: tuple[Address, ...] | None = None
    tls: tuple[Address, ...] = ()
    certificate: Path | None = None
    privateKey: Path | None = None
    hosts: tuple[Annotated[str, checkName], ...] = ()
    public: bool = False
    connections: Annotated[int, Between(10, 10_000, "connections")] = 512
    streams: Annotated[int, Between(1, 5_000, "streams")] = 200
