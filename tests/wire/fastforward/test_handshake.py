"""
Tests of L{bmff.wire.fastforward.handshake}.
"""

from __future__ import annotations

from dataclasses import replace

from bmff.errors import ConfigurationError, ProtocolError
from bmff.wire.fastforward.handshake import (
    PreSharedKey,
)
from bmff.wire.fastforward.prologue import Prologue
from tests.wire.fastforward.handshakes import (
    BOOT,
    INDEX,
    KEYS,
    NODE,
    PEER,
    PEER_BOOT,
    PEER_INDEX,
    PROLOGUE,
    WALL,
    HandshakeCase,
    begin,
    mac,
    macKey,
    makeResponder,
)


class RoundTripTests(HandshakeCase):
    """
    Two ends that share a key.
    """

    def test_established(self) -> None:
        """
        Both ends get the same keys, each other's session index and boot ID, and the node learns
        who the peer is.
        """
        for key in ("group", "pair"):
            prologue = replace(PROLOGUE, key=key)
            handshake = begin(prologue)
            accepted = self.accept(handshake.initiation())
            theirs, ours = accepted.established, handshake.responseReceived(accepted.answer)
            self.assertEqual(accepted.prologue, prologue)
            self.assertEqual((ours.localIndex, ours.remoteIndex), (PEER_INDEX, INDEX))
            self.assertEqual((theirs.localIndex, theirs.remoteIndex), (INDEX, PEER_INDEX))
            self.assertEqual((ours.bootID, theirs.bootID), (BOOT, PEER_BOOT))
            self.assertEqual(ours.keys.send, theirs.keys.receive)
            self.assertEqual(ours.keys.receive, theirs.keys.send)
            self.assertEqual(ours.keys.handshakeHash, theirs.keys.handshakeHash)
            self.assertNotEqual(ours.keys.send, ours.keys.receive)
        self.assertEqual(self.responder.accepted, 2)
        self.assertEqual(self.responder.dropped.total(), 0)

    def test_layout(self) -> None:
        """
        The messages are those of the tables, and no answer is longer than the shortest initiation.
        """
        handshake = begin()
        message = handshake.initiation()
        encoded = PROLOGUE.encode()
        psk = KEYS["group"].psk
        self.assertEqual(message[: 5 + len(encoded)], b"\x01\x11\x11\x11\x11" + encoded)
        self.assertEqual(len(message), 5 + len(encoded) + 32 + 32 + 16 + 16)
        self.assertEqual(message[-32:-16], mac(macKey(psk, NODE), message[:-32]))
        self.assertEqual(message[-16:], bytes(16))
        cookie = b"c" * 16
        repeated = handshake.initiation(cookie)
        self.assertEqual(repeated, message[:-16] + mac(cookie, message[:-16]))
        answer = self.accept(message).answer
        self.assertEqual(answer[:9], b"\x02\x22\x22\x22\x22\x11\x11\x11\x11")
        self.assertEqual(answer[-16:], mac(macKey(psk, PEER), answer[:-16]))
        self.assertEqual(len(answer), 81)
        shortest = begin(Prologue("", PEER, NODE, "k", "t"), KEYS["group"]).initiation()
        longest = begin(Prologue("e" * 32, PEER, NODE, "k" * 32, "t" * 16), KEYS["group"])
        self.assertEqual((len(shortest), len(longest.initiation())), (123, 201))

    def test_again(self) -> None:
        """
        An initiation that was lost is sent again byte for byte.
        """
        handshake = begin()
        self.assertEqual(handshake.initiation(), handshake.initiation())
        accepted = self.accept(handshake.initiation())
        self.assertEqual(handshake.responseReceived(accepted.answer).remoteIndex, INDEX)

    def test_renewed(self) -> None:
        """
        A handshake whose response was lost is begun anew and let in, with other keys, even when
        the wall clock has been set back.
        """
        handshake = begin()
        first = self.accept(handshake.initiation())
        renewed = handshake.renewed(index=7, wall=WALL - 3_600_000_000, ephemeral=b"\x33" * 32)
        self.assertEqual(renewed.timestamp, WALL + 1)
        second = self.accept(renewed.initiation())
        self.assertNotEqual(first.established.keys, second.established.keys)
        with self.assertRaisesRegex(ProtocolError, "^session index$"):
            renewed.responseReceived(first.answer)
        established = renewed.responseReceived(second.answer)
        self.assertEqual(established.localIndex, 7)
        self.assertEqual(established.keys.send, second.established.keys.receive)
        later = renewed.renewed(index=8, wall=WALL + 50, ephemeral=b"\x44" * 32)
        self.assertEqual(later.timestamp, WALL + 50)

    def test_responseOnce(self) -> None:
        """
        A response gives its keys once: the same keys twice would mean the same nonces twice.
        """
        handshake = begin()
        answer = self.accept(handshake.initiation()).answer
        handshake.responseReceived(answer)
        with self.assertRaisesRegex(ProtocolError, "^repeated response$"):
            handshake.responseReceived(answer)

    def test_secret(self) -> None:
        """
        No text of what a handshake gives shows a secret.
        """
        self.assertNotIn("gggg", repr(KEYS["group"]))
        established = self.accept(begin().initiation()).established
        self.assertNotIn(repr(established.keys.send), repr(established))


class RefusalTests(HandshakeCase):
    """
    What is refused, and in which order.
    """

    def test_wrongKey(self) -> None:
        """
        Who has another secret under the same id is refused before anything is decrypted.
        """
        self.refuse(begin(key=PreSharedKey(b"x" * 32)).initiation(), "mac1")

    def test_unknownKey(self) -> None:
        """
        So is a key id that the node does not have.
        """
        self.refuse(begin(replace(PROLOGUE, key="gone"), KEYS["group"]).initiation(), "unknown key")

    def test_environment(self) -> None:
        """
        A node of another environment is refused, whatever it knows.
        """
        self.refuse(begin(replace(PROLOGUE, environment="test")).initiation(), "environment")

    def test_otherResponder(self) -> None:
        """
        What is for another node is refused.
        """
        self.refuse(begin(replace(PROLOGUE, responder=2503)).initiation(), "responder")

    def test_reflected(self) -> None:
        """
        What the node itself sent is refused, and so is what says that the node sent it to itself.
        """
        own = begin(replace(PROLOGUE, initiator=NODE, responder=PEER))
        self.refuse(own.initiation(), "reflected")
        self.refuse(begin(replace(PROLOGUE, initiator=NODE)).initiation(), "reflected")

    def test_transport(self) -> None:
        """
        An initiation is good only on the transport that it was made for.
        """
        message = begin().initiation()
        self.refuse(message, "transport", transport="tcp")
        self.accept(message)

    def test_otherNodesMac(self) -> None:
        """
        A mac1 for another node is none for this one, although the key is the same.
        """
        message = begin().initiation()
        covered = message[:-32]
        forged = covered + mac(macKey(KEYS["group"].psk, PEER), covered) + bytes(16)
        self.refuse(forged, "mac1")

    def test_tag(self) -> None:
        """
        A prologue that was changed by somebody who can make the mac1 fails the tag.
        """
        message = begin().initiation()
        covered = message[:-32].replace(PEER.to_bytes(4), (2509).to_bytes(4))
        self.refuse(covered + mac(macKey(KEYS["group"].psk, NODE), covered) + bytes(16), "tag")

    def test_identity(self) -> None:
        """
        A node ID that is not listed for the key is refused; a key without a list is everybody's.
        """
        stranger = replace(PROLOGUE, initiator=2509, key="pair")
        self.refuse(begin(stranger).initiation(), "identity")
        self.accept(begin(replace(stranger, key="group")).initiation())

    def test_identityOfResponder(self) -> None:
        """
        A handshake with a node that is not listed for the key is not begun.
        """
        error = self.assertRaises(
            ConfigurationError, begin, replace(PROLOGUE, responder=2509, key="pair")
        )
        self.assertEqual(str(error), "fastforward.pair.nodes: does not list 2509")

    def test_order(self) -> None:
        """
        Of several faults the one that is the cheapest to see is named.
        """
        faults: list[tuple[str, dict[str, str | int]]] = [
            ("environment", {"environment": "test"}),
            ("reflected", {"initiator": NODE}),
            ("transport", {"transport": "tcp"}),
            ("unknown key", {"key": "gone"}),
        ]
        wrong = PreSharedKey(b"x" * 32)
        for number, (reason, _) in enumerate(faults):
            prologue = PROLOGUE
            for _, fields in faults[number:]:
                prologue = replace(prologue, **fields)  # type: ignore[arg-type]
            self.refuse(begin(prologue, wrong).initiation(), reason)

    def test_type(self) -> None:
        """
        Other packets of FastForward are no initiations, and an empty one is none.
        """
        message = begin().initiation()
        for other in (b"", b"\x00", b"\x02", b"\x03", b"\x04", b"\xff"):
            self.refuse(other + message[1:] if other else b"", "wrong type")

    def test_everyCut(self) -> None:
        """
        A message of any kind that is cut anywhere is refused, and changes nothing.
        """
        handshake = begin()
        message = handshake.initiation()
        for end in range(len(message)):
            with self.assertRaises(ProtocolError):
                self.receive(message[:end])
        accepted = self.accept(message)
        for end in range(len(accepted.answer)):
            with self.assertRaises(ProtocolError):
                handshake.responseReceived(accepted.answer[:end])
        self.now += 10
        self.crowd()
        reply = self.demand(message)
        for end in range(len(reply)):
            with self.assertRaises(ProtocolError):
                handshake.cookieReceived(reply[:end])
        handshake.cookieReceived(reply)
        handshake.responseReceived(accepted.answer)

    def test_otherResponse(self) -> None:
        """
        The response to another handshake, and one to a node that is not the initiator, are refused.
        """
        handshake = begin()
        answer = self.accept(handshake.initiation()).answer
        other = self.accept(begin(wall=WALL + 1).initiation()).answer
        with self.assertRaisesRegex(ProtocolError, "^tag$"):
            handshake.responseReceived(other)
        forged = answer[:-16] + mac(macKey(KEYS["group"].psk, NODE), answer[:-16])
        with self.assertRaisesRegex(ProtocolError, "^mac1$"):
            handshake.responseReceived(forged)
        handshake.responseReceived(answer)


class ReplayTests(HandshakeCase):
    """
    Timestamps.
    """

    def test_replayed(self) -> None:
        """
        An initiation is let in once, from wherever it comes.
        """
        message = begin().initiation()
        self.accept(message)
        self.refuse(message, "replayed initiation")
        with self.assertRaisesRegex(ProtocolError, "^replayed initiation$"):
            self.receive(message, address=b"elsewhere")

    def test_older(self) -> None:
        """
        One that was made before the last that was let in is refused, a later one is not, and a
        refused one moves nothing.
        """
        self.accept(begin(wall=WALL).initiation())
        self.refuse(begin(wall=WALL - 1).initiation(), "replayed initiation")
        self.refuse(begin(wall=0).initiation(), "replayed initiation")
        self.accept(begin(wall=WALL + 1).initiation())
        self.refuse(begin(wall=WALL + 1).initiation(), "replayed initiation")

    def test_forgedMovesNothing(self) -> None:
        """
        What fails the tag, or says to be a node that the key does not prove, keeps no timestamp.
        """
        latest = begin(wall=2**64 - 1).initiation()
        covered = bytearray(latest[:-32])
        covered[-1] ^= 1
        forged = bytes(covered) + mac(macKey(KEYS["group"].psk, NODE), bytes(covered)) + bytes(16)
        self.refuse(forged, "tag")
        stranger = replace(PROLOGUE, initiator=2509, key="pair")
        self.refuse(begin(stranger, wall=2**64 - 1).initiation(), "identity")
        self.accept(begin(wall=1).initiation())
        self.refuse(begin(stranger, wall=1).initiation(), "identity")

    def test_eachItsOwn(self) -> None:
        """
        Nodes, keys and transports do not shut each other out: not the holder of a group key a node
        that has its own, and not the paths that a node makes at once.
        """
        self.accept(begin(wall=2**64 - 1).initiation())
        self.accept(begin(replace(PROLOGUE, key="pair"), wall=1).initiation())
        self.accept(begin(replace(PROLOGUE, initiator=2503), wall=1).initiation())
        unix = begin(replace(PROLOGUE, transport="unix"), wall=1).initiation()
        self.accept(unix, transport="unix")
        self.refuse(unix, "replayed initiation", transport="unix")

    def test_bounded(self) -> None:
        """
        A full table forgets the node that was let in longest ago, and no other.
        """
        self.responder = makeResponder(capacity=2)

        def message(node: int, wall: int) -> bytes:
            return begin(replace(PROLOGUE, initiator=node), wall=wall).initiation()

        self.accept(message(1, 5))
        self.accept(message(2, 5))
        self.accept(message(1, 6))
        self.accept(message(3, 5))
        self.refuse(message(1, 6), "replayed initiation")
        self.refuse(message(3, 5), "replayed initiation")
        self.accept(message(2, 5))
