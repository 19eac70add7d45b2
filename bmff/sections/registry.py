"""
The section of the registry.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import attrs

from bmff.sections.values import SecretID, Server

_REGISTRY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def checkRegistryType(value: str) -> None:
    if not _REGISTRY.fullmatch(value):
        raise ValueError('must be the name of a registry, such as "embedded" or "tarantool"')


def checkUser(value: str) -> None:
    if not value or not value.isprintable():
        raise ValueError("must be the name of a user")


def checkServers(value: tuple[Server, ...]) -> None:
    if not value:
        raise ValueError('must name an address at least, such as "127.0.0.1:3301"')


@attrs.frozen
class Registry:
    """
    The section of the registry.

    @ivar file: the embedded registry's database.
    @ivar type: the name of the plugin that makes it.
    @ivar addresses: where its servers are, tried in turn.
    @ivar user: who logs in there.
    @ivar password: the id of that user's password in the secrets file.
    @ivar tunnelled: whether a server on another host is reached through a tunnel that encrypts.
    """

    file: Path
    type: Annotated[str, checkRegistryType] = "embedded"
    addresses: Annotated[tuple[Server, ...], checkServers] = (Server("127.0.0.1", 3301),)
    user: Annotated[str, checkUser] = "bmnode"
    password: SecretID = "bmnode"
    tunnelled: bool = False
