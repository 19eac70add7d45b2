"""
Tests of L{bmff.wire.fastforward.handshake}.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from bmff.errors import ConfigurationError, ProtocolError
from bmff.wire.fastforward.handshake import (
    TRUSTS,
    Accepted,
    Admitted,
    CookieDemanded,
    InitiatorHandshake,
    PreSharedKey,
)
from bmff.wire.fastforward.noise import Initiator, Responder, _Symmetric
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
        self.assertEqual(len(message), 5 + len(encoded) + 32 + 33 + 16 + 16)
        self.assertEqual(message[-32:-16], mac(macKey(psk, NODE), message[:-32]))
        self.assertEqual(message[-16:], bytes(16))
        cookie = b"c" * 16
        repeated = handshake.initiation(cookie)
        self.assertEqual(repeated, message[:-16] + mac(cookie, message[:-16]))
        answer = self.accept(message).answer
        self.assertEqual(answer[:9], b"\x02\x22\x22\x22\x22\x11\x11\x11\x11")
        self.assertEqual(answer[-16:], mac(macKey(psk, PEER), answer[:-16]))
        self.assertEqual(len(answer), 82)
        shortest = begin(Prologue("", PEER, NODE, "k", "t"), KEYS["group"]).initiation()
        longest = begin(Prologue("e" * 32, PEER, NODE, "k" * 32, "t" * 16), KEYS["group"])
        self.assertEqual((len(shortest), len(longest.initiation())), (124, 202))

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


class TrustTests(HandshakeCase):
    """
    Whether the packets of a session go unsealed.
    """

    def beginTrusting(self, trusts: bool = True) -> InitiatorHandshake:
        """
        A handshake whose initiator says what the kernel has told it.
        """
        return InitiatorHandshake(
            PROLOGUE,
            KEYS["group"],
            index=PEER_INDEX,
            bootID=PEER_BOOT,
            wall=WALL,
            ephemeral=b"\x11" * 32,
            trusts=trusts,
        )

    def answer(self, data: bytes, trusts: bool = True) -> Accepted:
        """
        Let an initiation in, saying whether this end trusts.
        """
        admitted = self.responder.admit(data, b"peer", self.now, "udp")
        assert isinstance(admitted, Admitted), admitted
        return self.responder.respond(admitted, INDEX, b"\x22" * 32, trusts)

    def test_agreed(self) -> None:
        """
        A session is trusted if both ends trust, and both know the same of it.
        """
        for here, there in product((False, True), repeat=2):
            self.responder = makeResponder()
            handshake = self.beginTrusting(here)
            accepted = self.answer(handshake.initiation(), there)
            established = handshake.responseReceived(accepted.answer)
            found = established.trusted, accepted.established.trusted
            self.assertEqual(found, (here and there,) * 2, (here, there))

    def test_atOnce(self) -> None:
        """
        Who knows beforehand whether it trusts takes and answers an initiation at once, and gives
        the same answer.
        """
        message = self.beginTrusting().initiation()
        for trusts in (False, True):
            self.responder = makeResponder()
            stepwise = self.answer(message, trusts)
            self.responder = makeResponder()
            atOnce = self.responder.initiationReceived(
                message, b"peer", self.now, INDEX, b"\x22" * 32, "udp", trusts
            )
            self.assertEqual(atOnce, stepwise)
            self.assertEqual(self.responder.accepted, 1)

    def test_notAsked(self) -> None:
        """
        Neither end trusts unless it says so.
        """
        handshake = begin()
        self.assertFalse(self.answer(handshake.initiation()).established.trusted)
        handshake = self.beginTrusting()
        self.responder = makeResponder()
        accepted = self.accept(handshake.initiation())
        self.assertFalse(accepted.established.trusted)
        self.assertFalse(handshake.responseReceived(accepted.answer).trusted)

    def test_renewed(self) -> None:
        """
        A handshake that is begun anew says the same as before.
        """
        for trusts in (False, True):
            self.responder = makeResponder()
            renewed = self.beginTrusting(trusts).renewed(index=7, wall=WALL, ephemeral=b"\x33" * 32)
            accepted = self.answer(renewed.initiation())
            self.assertEqual(accepted.established.trusted, trusts)
            self.assertEqual(renewed.responseReceived(accepted.answer).trusted, trusts)

    def initiationWith(self, flags: int) -> bytes:
        """
        An initiation with any flags, put together as the tables say.
        """
        encoded, psk = PROLOGUE.encode(), KEYS["group"].psk
        noise = Initiator(encoded, psk, b"\x11" * 32)
        message = noise.writeMessage1(WALL.to_bytes(8) + PEER_BOOT.to_bytes(8) + bytes((flags,)))
        covered = b"\x01" + PEER_INDEX.to_bytes(4) + encoded + message
        return covered + mac(macKey(psk, NODE), covered) + bytes(16)

    def responseWith(self, flags: int, initiation: bytes) -> bytes:
        """
        The response to an initiation with any flags, put together in the same way.
        """
        encoded, psk = PROLOGUE.encode(), KEYS["group"].psk
        noise = Responder(encoded, psk)
        noise.readMessage1(initiation[5 + len(encoded) : -32])
        message = noise.writeMessage2(BOOT.to_bytes(8) + bytes((flags,)), b"\x22" * 32)
        covered = b"\x02" + INDEX.to_bytes(4) + PEER_INDEX.to_bytes(4) + message
        return covered + mac(macKey(psk, PEER), covered)

    def test_flags(self) -> None:
        """
        Sent is bit 0 alone, and set only by who trusts.
        """
        self.assertEqual(TRUSTS, 1)
        for trusts in (False, True):
            self.responder = makeResponder()
            initiation = self.beginTrusting(trusts).initiation()
            self.assertEqual(initiation, self.initiationWith(int(trusts)))
            answer = self.answer(initiation, trusts).answer
            self.assertEqual(answer, self.responseWith(int(trusts), initiation))

    def test_otherBits(self) -> None:
        """
        Bits that this version does not know are passed over, at both ends.
        """
        for flags in range(0x100):
            self.responder = makeResponder()
            accepted = self.answer(self.initiationWith(flags))
            self.assertEqual(accepted.established.trusted, bool(flags & 1), flags)
            handshake = self.beginTrusting()
            response = self.responseWith(flags, handshake.initiation())
            self.assertEqual(handshake.responseReceived(response).trusted, bool(flags & 1), flags)

    def test_flipped(self) -> None:
        """
        No bit of the flags can be turned on the way: not by a stranger, whom the C{mac1} stops, and
        not by who can make every C{mac1}, whom the tag stops.
        """
        psk = KEYS["group"].psk
        for trusts in (False, True):
            self.responder = makeResponder()
            handshake = self.beginTrusting(trusts)
            initiation = handshake.initiation()
            for bit in range(8):
                covered = _flip(initiation[:-32], bit)
                self.refuse(covered + initiation[-32:], "mac1")
                self.refuse(covered + mac(macKey(psk, NODE), covered) + bytes(16), "tag")
            response = self.answer(initiation, trusts).answer
            for bit in range(8):
                covered = _flip(response[:-16], bit)
                with self.assertRaisesRegex(ProtocolError, "^mac1$"):
                    handshake.responseReceived(covered + response[-16:])
                with self.assertRaisesRegex(ProtocolError, "^tag$"):
                    handshake.responseReceived(covered + mac(macKey(psk, PEER), covered))
            self.assertEqual(handshake.responseReceived(response).trusted, trusts)

    def test_sizes(self) -> None:
        """
        Greetings without flags, and longer ones, are refused.
        """
        encoded, psk = PROLOGUE.encode(), KEYS["group"].psk
        for tail in (b"", b"\x00\x00"):
            noise = Initiator(encoded, psk, b"\x11" * 32)
            message = noise.writeMessage1(WALL.to_bytes(8) + PEER_BOOT.to_bytes(8) + tail)
            covered = b"\x01" + PEER_INDEX.to_bytes(4) + encoded + message
            with self.assertRaises(ProtocolError):
                self.receive(covered + mac(macKey(psk, NODE), covered) + bytes(16))
            handshake = self.beginTrusting()
            answering = Responder(encoded, psk)
            answering.readMessage1(handshake.initiation()[5 + len(encoded) : -32])
            message = answering.writeMessage2(BOOT.to_bytes(8) + tail, b"\x22" * 32)
            covered = b"\x02" + INDEX.to_bytes(4) + PEER_INDEX.to_bytes(4) + message
            with self.assertRaisesRegex(ProtocolError, "^wrong length$"):
                handshake.responseReceived(covered + mac(macKey(psk, PEER), covered))
        self.assertEqual(self.responder.accepted, 0)

    def test_twoSteps(self) -> None:
        """
        An initiation that is admitted counts as let in when it is answered, which it is once; its
        time stamp is kept before. Under load it is answered with a cookie.
        """
        message = self.beginTrusting().initiation()
        admitted = self.responder.admit(message, b"peer", self.now, "udp")
        assert isinstance(admitted, Admitted)
        self.assertEqual((admitted.prologue, admitted.trusts), (PROLOGUE, True))
        self.assertEqual(self.responder.accepted, 0)
        self.refuse(message, "replayed initiation")
        self.responder.respond(admitted, INDEX, b"\x22" * 32)
        self.assertEqual(self.responder.accepted, 1)
        self.assertRaises(RuntimeError, self.responder.respond, admitted, INDEX, b"\x22" * 32)
        self.now += 2
        self.crowd()
        demanded = self.responder.admit(message, b"peer", self.now, "udp")
        self.assertIsInstance(demanded, CookieDemanded)

    def test_weakKey(self) -> None:
        """
        A public key whose secret everybody knows is refused when the initiation is to be answered.
        """
        encoded, psk = PROLOGUE.encode(), KEYS["group"].psk
        state = _Symmetric(encoded, psk)
        state.mixEphemeral(bytes(32))
        sealed = state.seal(WALL.to_bytes(8) + PEER_BOOT.to_bytes(8) + b"\x01")
        covered = b"\x01" + PEER_INDEX.to_bytes(4) + encoded + bytes(32) + sealed
        message = covered + mac(macKey(psk, NODE), covered) + bytes(16)
        self.refuse(message, "weak key")


def _flip(covered: bytes, bit: int) -> bytes:
    """
    A message up to its C{mac1}, with a bit of the flags, which the tag follows, turned.
    """
    changed = bytearray(covered)
    changed[-17] ^= 1 << bit
    return bytes(changed)


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
