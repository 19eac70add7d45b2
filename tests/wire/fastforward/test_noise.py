"""
Tests of L{bmff.wire.fastforward.noise}, against the vectors that the Noise community publishes.
"""

from __future__ import annotations

import json
from hashlib import sha256
from hmac import digest
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError
from bmff.wire.fastforward.noise import OVERHEAD, Initiator, Responder

DATA = Path(__file__).parents[2] / "data"
VECTORS = json.loads((DATA / "noise-nnpsk0-25519-aesgcm-sha256.json").read_text("utf-8"))

PSK = bytes(range(32))
# Points whose product with any private key is zero (RFC 7748 §6.1).
WEAK = (
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
)


def pair(prologue: bytes = b"prologue", psk: bytes = PSK) -> tuple[Initiator, Responder]:
    """
    Two ends that have spoken to nobody yet, the initiator's always the same.
    """
    return Initiator(b"prologue", PSK, b"\x11" * 32), Responder(prologue, psk)


class VectorTests(SynchronousTestCase):
    """
    The published vectors.
    """

    def test_vectors(self) -> None:
        """
        Each message of both ends, the hash, and the messages sealed with the keys afterwards have
        the published bytes.
        """
        self.assertGreater(len(VECTORS), 0)
        for vector in VECTORS:
            read = {
                name: bytes.fromhex(vector[name])
                for name in ("init_prologue", "init_ephemeral", "resp_prologue", "resp_ephemeral")
            }
            messages = [
                (bytes.fromhex(one["payload"]), bytes.fromhex(one["ciphertext"]))
                for one in vector["messages"]
            ]
            initiator = Initiator(
                read["init_prologue"],
                bytes.fromhex(vector["init_psks"][0]),
                read["init_ephemeral"],
            )
            responder = Responder(read["resp_prologue"], bytes.fromhex(vector["resp_psks"][0]))
            (payload1, message1), (payload2, message2), *transport = messages
            self.assertEqual(initiator.writeMessage1(payload1), message1)
            self.assertEqual(responder.readMessage1(message1), payload1)
            self.assertEqual(responder.writeMessage2(payload2, read["resp_ephemeral"]), message2)
            self.assertEqual(initiator.readMessage2(message2), payload2)
            ours, theirs = initiator.split(), responder.split()
            self.assertEqual(ours.handshakeHash.hex(), vector["handshake_hash"])
            self.assertEqual(theirs.handshakeHash, ours.handshakeHash)
            self.assertEqual((theirs.send, theirs.receive), (ours.receive, ours.send))
            self.assertGreaterEqual(len(transport), 4)
            for number, (payload, sealed) in enumerate(transport):
                key = (ours.send, ours.receive)[number % 2]
                nonce = bytes(4) + (number // 2).to_bytes(8)
                self.assertEqual(AESGCM(key).encrypt(nonce, payload, b""), sealed)


class RefusalTests(SynchronousTestCase):
    """
    What is not read, and what that leaves behind.
    """

    def test_prologue(self) -> None:
        """
        Message 1 is not read by who means another prologue.
        """
        initiator, responder = pair(prologue=b"other")
        with self.assertRaisesRegex(ProtocolError, "^tag$"):
            responder.readMessage1(initiator.writeMessage1(b""))

    def test_psk(self) -> None:
        """
        Message 1 is not read by who has another secret.
        """
        initiator, responder = pair(psk=bytes(32))
        with self.assertRaisesRegex(ProtocolError, "^tag$"):
            responder.readMessage1(initiator.writeMessage1(b""))

    def test_everyBit(self) -> None:
        """
        A message with any bit of it changed is not read, and the one as sent still is.
        """
        initiator, responder = pair()
        message = initiator.writeMessage1(b"one")
        self._refuse(responder.readMessage1, message)
        self.assertEqual(responder.readMessage1(message), b"one")
        message = responder.writeMessage2(b"two", b"\x22" * 32)
        self._refuse(initiator.readMessage2, message)
        self.assertEqual(initiator.readMessage2(message), b"two")
        self.assertEqual(initiator.split().send, responder.split().receive)

    def _refuse(self, read: object, message: bytes) -> None:
        assert callable(read)
        for bit in range(len(message) * 8):
            changed = bytearray(message)
            changed[bit // 8] ^= 1 << bit % 8
            with self.assertRaises(ProtocolError):
                read(bytes(changed))

    def test_everyCut(self) -> None:
        """
        A message that is cut anywhere is not read.
        """
        initiator, responder = pair()
        message = initiator.writeMessage1(b"one")
        for end in range(len(message)):
            with self.assertRaises(ProtocolError):
                responder.readMessage1(message[:end])
        responder.readMessage1(message)
        message = responder.writeMessage2(b"two", b"\x22" * 32)
        for end in range(len(message)):
            with self.assertRaises(ProtocolError):
                initiator.readMessage2(message[:end])

    def test_weakAnswer(self) -> None:
        """
        The initiator takes no public key whose secret everybody knows.
        """
        initiator, _ = pair()
        initiator.writeMessage1(b"")
        for public in WEAK:
            with self.assertRaisesRegex(ProtocolError, "^weak key$"):
                initiator.readMessage2(public + bytes(OVERHEAD))

    def test_weakMessage(self) -> None:
        """
        Nor does the responder, even from somebody who knows the secret.
        """
        for public in WEAK:
            _, responder = pair()
            self.assertEqual(responder.readMessage1(message1(public, b"payload")), b"payload")
            with self.assertRaisesRegex(ProtocolError, "^weak key$"):
                responder.writeMessage2(b"", b"\x22" * 32)

    def test_order(self) -> None:
        """
        A message is written once, keys are there only after both, and neither is in a text.
        """
        initiator, responder = pair()
        self.assertRaises(RuntimeError, responder.writeMessage2, b"", b"\x22" * 32)
        message = initiator.writeMessage1(b"")
        self.assertRaises(RuntimeError, initiator.writeMessage1, b"")
        responder.readMessage1(message)
        self.assertRaises(RuntimeError, initiator.split)
        self.assertRaises(RuntimeError, responder.split)
        responder.writeMessage2(b"", b"\x22" * 32)
        self.assertRaises(RuntimeError, responder.writeMessage2, b"", b"\x22" * 32)
        keys = responder.split()
        self.assertNotIn(repr(keys.send), repr(keys))
        self.assertNotIn(repr(keys.receive), repr(keys))


def message1(public: bytes, payload: bytes) -> bytes:
    """
    Message 1 with any public key, written straight from the framework's text.
    """
    name = b"Noise_NNpsk0_25519_AESGCM_SHA256"

    def hkdf(chain: bytes, material: bytes) -> tuple[bytes, bytes, bytes]:
        secret = digest(chain, material, "sha256")
        first = digest(secret, b"\x01", "sha256")
        second = digest(secret, first + b"\x02", "sha256")
        return first, second, digest(secret, second + b"\x03", "sha256")

    hashed = sha256(name + b"prologue").digest()
    chain, mixed, _ = hkdf(name, PSK)
    hashed = sha256(hashed + mixed).digest()
    hashed = sha256(hashed + public).digest()
    chain, key, _ = hkdf(chain, public)
    return public + AESGCM(key).encrypt(bytes(12), payload, hashed)
