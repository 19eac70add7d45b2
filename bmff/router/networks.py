"""
Other networks that peers lead to: a call never returns to one that it came from.

Of the nodes with a peer at one network a single one sends calls out to it; the others stand by.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from bmff.router.call import Call, Peer, Remote, Slot
from bmff.router.trunk import Trunk


class Networks:
    """
    The networks that the peers of this node lead to, and those that other nodes have.

    @ivar standBy: networks that another node sends calls out to, so that this one does not.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        """
        @param changed: called when L{live} has another content.
        """
        self.standBy: frozenset[str] = frozenset()
        self._changed = changed
        self._peers: dict[str, list[Peer | Trunk]] = {}
        self._elsewhere: dict[Remote, frozenset[str]] = {}

    @property
    def live(self) -> Collection[str]:
        """
        The networks that a peer or bridge of this node leads to.
        """
        return self._peers.keys()

    def join(self, peer: Peer | Trunk) -> None:
        """
        A peer has logged in, or a bridge is there.
        """
        if peer.network:
            peers = self._peers.setdefault(peer.network, [])
            peers.append(peer)
            if len(peers) == 1:
                self._changed()

    def leave(self, peer: Peer | Trunk) -> None:
        """
        A peer or a bridge is gone.
        """
        if peer.network:
            self._peers[peer.network].remove(peer)
            if not self._peers[peer.network]:
                del self._peers[peer.network]
                self._changed()

    def mayHear(self, call: Call, peer: Peer | Trunk) -> bool:
        """
        Whether a call may be offered to a peer or a bridge.

        A private call goes one way only, to where its radio was heard: no other node sends it.
        """
        network = peer.network
        return not network or (
            network != call.network and (call.private or network not in self.standBy)
        )

    def mayCross(self, call: Call, remote: Remote) -> bool:
        """
        Whether a call may be offered to another node.

        One with a peer at the network that the call came from hears it there, and would send it
        back, as frames between nodes do not say where they came from.
        """
        return not call.network or call.network not in self._elsewhere.get(remote, ())

    def change(
        self, remote: Remote, networks: frozenset[str], standBy: frozenset[str]
    ) -> tuple[list[Slot], list[Slot]]:
        """
        Another node has these networks now, so that this one stands by for those.

        @return: the slots that hear a call and may no longer, and those that may hear calls again.
        """
        before, self.standBy = self.standBy, standBy
        if networks:
            self._elsewhere[remote] = networks
        else:
            self._elsewhere.pop(remote, None)
        leaving = [
            slot
            for slot in self._slots(standBy - before)
            if slot.call is not None and not slot.call.private and slot in slot.call.listeners
        ]
        return leaving, self._slots(before - standBy)

    def _slots(self, networks: Collection[str]) -> list[Slot]:
        return [
            slot
            for network in networks
            for peer in self._peers.get(network, ())
            if isinstance(peer, Peer)
            for slot in peer.slots
        ]
