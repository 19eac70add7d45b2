"""
A node and a peer that begin handshakes of FastForward, for their tests.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2s

from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError
from bmff.wire.fastforward.handshake import (
    Accepted,
    CookieDemanded,
    HandshakeResponder,
    InitiatorHandshake,
    PreSharedKey,
)
from bmff.wire.fastforward.prologue import Prologue

NODE, PEER = 2502, 2501
KEYS = {
    "group": PreSharedKey(b"g" * 32),
    "pair": PreSharedKey(b"p" * 32, frozenset((NODE, PEER))),
}
PROLOGUE = Prologue("network", PEER, NODE, "group", "udp")
WALL = 1_750_000_000_000_000  # microseconds
BOOT, PEER_BOOT = 0xB007_0000_0000_0001, 0xB007_0000_0000_0002
INDEX, PEER_INDEX = 0x22222222, 0x11111111


def begin(
    prologue: Prologue = PROLOGUE, key: PreSharedKey | None = None, wall: int = WALL
) -> InitiatorHandshake:
    """
    The peer's side of a handshake.
    """
    return InitiatorHandshake(
        prologue,
        key or KEYS[prologue.key],
        index=PEER_INDEX,
        bootID=PEER_BOOT,
        wall=wall,
        ephemeral=b"\x11" * 32,
    )


def makeResponder(capacity: int = 4096) -> HandshakeResponder:
    """
    The node's side of all of them.
    """
    return HandshakeResponder(
        nodeID=NODE,
        environment="network",
        keys=KEYS.get,
        bootID=BOOT,
        secret=b"s" * 32,
        capacity=capacity,
    )


def mac(key: bytes, data: bytes) -> bytes:
    """
    BLAKE2s-128 with a key.
    """
    return blake2s(data, key=key, digest_size=16).digest()


def macKey(psk: bytes, nodeID: int) -> bytes:
    """
    The key of a mac1, as documented.
    """
    return blake2s(b"bmff-ff-mac1" + psk + nodeID.to_bytes(4)).digest()


class HandshakeCase(SynchronousTestCase):
    """
    A node that takes initiations.
    """

    def setUp(self) -> None:
        self.responder = makeResponder()
        self.now = 1000.0
        self.crowdWall = 0

    def receive(
        self, data: bytes, *, address: bytes = b"peer", transport: str = "udp"
    ) -> Accepted | CookieDemanded:
        """
        Hand an initiation to the node, at L{now}.
        """
        return self.responder.initiationReceived(
            data, address, self.now, INDEX, b"\x22" * 32, transport
        )

    def accept(self, data: bytes, *, address: bytes = b"peer", transport: str = "udp") -> Accepted:
        """
        The same for one that is let in.
        """
        answer = self.receive(data, address=address, transport=transport)
        assert isinstance(answer, Accepted), answer
        return answer

    def demand(self, data: bytes, *, address: bytes = b"peer") -> bytes:
        """
        The same for one that is answered with a cookie.

        @return: the cookie reply.
        """
        answer = self.receive(data, address=address)
        assert isinstance(answer, CookieDemanded), answer
        return answer.answer

    def refuse(self, data: bytes, reason: str, *, transport: str = "udp") -> None:
        """
        The same for one that is refused, which is counted by its reason and nowhere else.
        """
        dropped = self.responder.dropped.copy()
        accepted = self.responder.accepted
        with self.assertRaises(ProtocolError) as caught:
            self.receive(data, transport=transport)
        self.assertEqual(caught.exception.reason, reason)
        dropped[reason] += 1
        self.assertEqual(self.responder.dropped, dropped)
        self.assertEqual(self.responder.accepted, accepted)

    def crowd(self) -> None:
        """
        As many initiations as are let in without a cookie within the second from L{now}.
        """
        other = replace(PROLOGUE, initiator=2599)
        for _ in range(100):
            self.crowdWall += 1
            self.accept(begin(other, wall=self.crowdWall).initiation())
