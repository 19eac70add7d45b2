"""
The other networks that nodes have live ones to: of the nodes at one network the lowest sends.

Each node tells in an application message C{"networks"} which it has: all their names, sorted, each
as one byte with its length and so many bytes of UTF-8.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from bmff.cluster.remote import RemoteNode
from bmff.errors import ProtocolError
from bmff.router.router import Router

NETWORKS: Final = "networks"  # the name of the message
LONGEST: Final = 64  # bytes of a network's name
LARGEST: Final = 256  # networks of one node


def encodeNetworks(names: Collection[str]) -> bytes:
    """
    The payload that names these networks; a name that is too long, or one too many, is left out.
    """
    coded = sorted(data for data in (name.encode() for name in names) if 1 <= len(data) <= LONGEST)
    return b"".join(bytes((len(data),)) + data for data in coded[:LARGEST])


def decodeNetworks(payload: bytes) -> frozenset[str]:
    """
    The networks that a payload names.

    @raise ProtocolError: it is malformed, or names too many.
    """
    names: list[str] = []
    at = 0
    while at < len(payload):
        end = at + 1 + payload[at]
        if not at + 1 < end <= len(payload) or payload[at] > LONGEST or len(names) == LARGEST:
            raise ProtocolError("malformed networks")
        try:
            names.append(payload[at + 1 : end].decode())
        except UnicodeDecodeError:
            raise ProtocolError("malformed networks") from None
        at = end
    return frozenset(names)


class NetworkNews:
    """
    Settles for each network whether this node sends calls out to it or stands by.
    """

    def __init__(self, nodeID: int, router: Router) -> None:
        self._nodeID = nodeID
        self._router = router
        self._told = b""
        self._elsewhere: dict[RemoteNode, frozenset[str]] = {}

    def whole(self) -> bytes:
        """
        What a new link is told, also that there are none: the other end may know the link longer.
        """
        return self._told

    def change(self) -> bytes | None:
        """
        What every node is to be told, if that has changed.
        """
        now = encodeNetworks(self._router.reach.networks.live)
        if now == self._told:
            return None
        self._told = now
        return now

    def received(self, remote: RemoteNode, payload: bytes, now: float) -> None:
        """
        Another node has told its networks.

        @raise ProtocolError: it is malformed.
        """
        self._take(remote, decodeNetworks(payload), now)

    def remoteLost(self, remote: RemoteNode, now: float) -> None:
        """
        Another node is gone, and its networks with it.
        """
        self._take(remote, (), now)

    def _take(self, remote: RemoteNode, names: Iterable[str], now: float) -> None:
        names = frozenset(names)
        if names:
            self._elsewhere[remote] = names
        else:
            self._elsewhere.pop(remote, None)
        lower = [each for one, each in self._elsewhere.items() if one.peerID < self._nodeID]
        self._router.reach.setNetworks(remote, names, frozenset().union(*lower), now)
