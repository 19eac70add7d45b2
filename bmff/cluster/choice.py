"""
Which transport carries a link: the operator's override, else the fastest that both ends have.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from bmff.wire.fastforward.capabilities import Capabilities

# Those that are chosen without being asked for, the fastest first. What both ends could use but
# only an operator can know to be good, as TCP, is not among them.
AUTOMATIC: Final = ("shm", "unix", "rdma", "vsock", "udp")
ON_ONE_HOST: Final = frozenset(("shm", "unix"))
FALLBACK: Final = "udp"
VSOCK: Final = "vsock"
HOST: Final = 2  # the context ID of the machine that has the guests


def chooseTransport(own: Capabilities, other: Capabilities, lower: bool) -> str:
    """
    The transport that is to carry a link. Both ends come to the same answer as soon as each knows
    what the other says; where both operators have a wish that of the lower node ID counts.

    @param lower: whether this end has the lower node ID.
    """
    wishes = (own.wish, other.wish) if lower else (other.wish, own.wish)
    for wish in wishes:
        if wish:
            return wish
    common = own.transports & other.transports
    if not (own.host and own.host == other.host and other.port):
        common -= ON_ONE_HOST
    if not haveOneHypervisor(own, other):
        common -= {VSOCK}
    return next((name for name in AUTOMATIC if name in common), FALLBACK)


def haveOneHypervisor(own: Capabilities, other: Capabilities) -> bool:
    """
    Whether one node is on the host and the other in a guest of the same hypervisor: its guests do
    not reach one another, and a context ID does not tell whose it is.
    """
    named = own.hypervisor and own.hypervisor == other.hypervisor and own.port and other.port
    return bool(named and own.cid != other.cid and HOST in {own.cid, other.cid})


def isOverruled(own: Capabilities, other: Capabilities, lower: bool) -> bool:
    """
    Whether this end's operator wants another transport than the one who decides.
    """
    return bool(own.wish and other.wish and own.wish != other.wish and not lower)


def rank(names: Collection[str], chosen: str, current: str = "") -> list[str]:
    """
    The transports of a link's paths, the one to be used first, the one to fall back to next.

    @param chosen: what is to carry the link; until it is there what carries it stays.
    @param current: what carries it, empty when nothing does.
    """
    first = chosen if chosen in names else current
    order = {name: place for place, name in enumerate(AUTOMATIC)}
    ranked = sorted(names, key=lambda name: (name != first, order.get(name, len(order)), name))
    # What falls back is what the ways keep ready: another one would be made and given up in turn.
    return ranked[:1] + sorted(ranked[1:], key=lambda name: name != FALLBACK)
