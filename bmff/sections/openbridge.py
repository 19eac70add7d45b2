"""
The section of OpenBridge, the bridges to servers of other networks.
"""

from __future__ import annotations

from typing import Annotated

import attrs

from bmff.sections.homebrew import Translated
from bmff.sections.values import (
    LARGEST_ID,
    LARGEST_TALKGROUP,
    Address,
    IDs,
    SecretID,
    Talkgroups,
    checkListen,
)
from bmff.toml import Between

ServerID = Annotated[int, Between(1, LARGEST_ID, "as a server's ID")]
_EVERYTHING = (Talkgroups(((1, LARGEST_TALKGROUP),)),)


def _name(value: str) -> None:
    if not value or not value.isprintable() or value != value.strip():
        raise ValueError("must be a name")


def _families(value: tuple[Address, ...]) -> None:
    checkListen(value)
    six = [":" in address.host for address in value]
    if len(set(six)) != len(six):
        raise ValueError("may name one IPv4 and one IPv6 address, as bridges have one port")


@attrs.frozen
class BridgeEntry:
    """
    What is said of one bridge.

    @ivar name: what people call it.
    @ivar peer: the ID of the server at the other end.
    @ivar host: its name or address in numbers; empty where it comes to us (C{roaming}).
    @ivar port: its port.
    @ivar network: the network that it leads to, to which calls from there do not return; one of
        the bridge's own name when L{None}.
    @ivar password: the id of the secret; the bridge's name when L{None}.
    @ivar id: our ID there; the node's when L{None}.
    @ivar checkPeer: whether its frames must carry C{peer}.
    @ivar enhanced: whether the enhanced protocol is spoken.
    @ivar bothSlots: whether frames keep their slot, as some servers want it.
    @ivar strict: whether frames are taken from C{host} alone.
    @ivar roaming: whether the other end may change its address.
    @ivar maximumAge: seconds that a frame of the enhanced protocol may be old.
    @ivar localTalkgroups: whether talkgroups of one server or country keep to it; only with the
        enhanced protocol when L{None}.
    @ivar servers: the servers that calls may have begun at; any when empty.
    @ivar send: the talkgroups that go out, by our numbers.
    @ivar accept: the talkgroups that may come in, by our numbers; as C{send} when L{None}.
    @ivar private: whether private calls cross.
    @ivar translate: the numbers that are others there.
    """

    name: Annotated[str, _name]
    peer: ServerID
    host: str = ""
    port: Annotated[int, Between(1, 0xFFFF, "as a port")] = 62035
    network: Annotated[str, _name] | None = None
    password: SecretID | None = None
    id: ServerID | None = None
    checkPeer: bool = True
    enhanced: bool = False
    bothSlots: bool = False
    strict: bool = True
    roaming: bool = False
    maximumAge: Annotated[float, Between(1, 60, "seconds")] = 5.0
    localTalkgroups: bool | None = None
    servers: tuple[IDs, ...] = ()
    send: tuple[Talkgroups, ...] = _EVERYTHING
    accept: tuple[Talkgroups, ...] | None = None
    private: bool = True
    translate: tuple[Translated, ...] = ()


@attrs.frozen
class OpenBridge:
    """
    The section of OpenBridge.

    @ivar listen: where to listen, one address of each family at most.
    @ivar bridge: the bridges.
    """

    listen: Annotated[tuple[Address, ...], _families] = (
        Address("0.0.0.0", 62035),
        Address("::", 62035),
    )
    bridge: tuple[BridgeEntry, ...] = ()
