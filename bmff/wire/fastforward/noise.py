"""
The Noise handshake C{NNpsk0_25519_AESGCM_SHA256}: fresh keys for two that share a secret.

The Noise Protocol Framework, revision 34 (noiseprotocol.org). The pattern is::

    -> psk, e
    <- e, ee

so the tag of message 1 proves the secret before anybody has done a Diffie-Hellman.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from hmac import digest
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bmff.errors import ProtocolError

KEY_SIZE: Final = 32  # bytes, of every key here
TAG_SIZE: Final = 16  # bytes
OVERHEAD: Final = KEY_SIZE + TAG_SIZE  # bytes that a message has beyond its payload

_NAME: Final = b"Noise_NNpsk0_25519_AESGCM_SHA256"  # 32 bytes, so it is its own first hash

_FIRST: Final = bytes(12)  # the nonce of number 0: a key of the handshake seals one payload only


@dataclass(frozen=True, slots=True)
class Keys:
    """
    What a handshake gives one of its ends.

    @ivar send: the key of what this end sends, 32 bytes.
    @ivar receive: the key of what it receives, 32 bytes.
    @ivar handshakeHash: 32 bytes that both ends have, and no other handshake.
    """

    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)
    handshakeHash: bytes


def _derive(chain: bytes, material: bytes) -> tuple[bytes, bytes, bytes]:
    """
    HKDF with the first two outputs, and the secret that a third one is made with.
    """
    secret = digest(chain, material, "sha256")
    first = digest(secret, b"\x01", "sha256")
    return first, digest(secret, first + b"\x02", "sha256"), secret


class _Symmetric:
    """
    The state that both ends keep alike: chaining key, hash and cipher key.

    @ivar hash: of all that was said.
    """

    __slots__ = ("_chain", "_key", "hash")

    def __init__(self, prologue: bytes, psk: bytes) -> None:
        """
        The state after the prologue and the token psk.
        """
        chain, hashed, secret = _derive(_NAME, psk)
        self._chain = chain
        self._key = digest(secret, hashed + b"\x03", "sha256")
        self.hash = sha256(sha256(_NAME + prologue).digest() + hashed).digest()

    def copy(self) -> _Symmetric:
        """
        The same state, to go on from without spoiling this one.
        """
        state = _Symmetric.__new__(_Symmetric)
        state._chain, state._key, state.hash = self._chain, self._key, self.hash
        return state

    def mixEphemeral(self, public: bytes) -> None:
        """
        The token e, in a handshake that has a psk.
        """
        self._mixHash(public)
        self._mixKey(public)

    def mixExchange(self, private: X25519PrivateKey, public: bytes) -> None:
        """
        The token ee.

        @raise ProtocolError: the public key is one of those whose secret everybody knows.
        """
        try:
            shared = private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:  # all zero
            raise ProtocolError("weak key") from None
        self._mixKey(shared)

    def seal(self, payload: bytes) -> bytes:
        """
        The payload of a message.
        """
        sealed = AESGCM(self._key).encrypt(_FIRST, payload, self.hash)
        self._mixHash(sealed)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """
        The payload in a message.

        @raise ProtocolError: the tag is wrong.
        """
        try:
            payload = AESGCM(self._key).decrypt(_FIRST, sealed, self.hash)
        except InvalidTag:
            raise ProtocolError("tag") from None
        self._mixHash(sealed)
        return payload

    def split(self) -> tuple[bytes, bytes]:
        """
        The keys of what comes after: the initiator's, then the responder's.
        """
        first, second, _ = _derive(self._chain, b"")
        return first, second

    def _mixHash(self, data: bytes) -> None:
        self.hash = sha256(self.hash + data).digest()

    def _mixKey(self, material: bytes) -> None:
        self._chain, self._key, _ = _derive(self._chain, material)


class Initiator:
    """
    The end that speaks first.
    """

    __slots__ = ("_keys", "_private", "_public", "_state", "_written")

    def __init__(self, prologue: bytes, psk: bytes, ephemeral: bytes) -> None:
        """
        @param prologue: what both ends must agree on beforehand.
        @param psk: the shared secret, 32 bytes.
        @param ephemeral: a private key, 32 random bytes that are used for nothing else.
        """
        self._private = X25519PrivateKey.from_private_bytes(ephemeral)
        self._public = self._private.public_key().public_bytes_raw()
        self._state = _Symmetric(prologue, psk)
        self._state.mixEphemeral(self._public)
        self._written = False
        self._keys: Keys | None = None

    def writeMessage1(self, payload: bytes) -> bytes:
        """
        The first message. It is written once, for a second payload under its key would lay both
        of them open.
        """
        if self._written:
            raise RuntimeError("message 1 is written once")
        self._written = True
        return self._public + self._state.seal(payload)

    def readMessage2(self, data: bytes) -> bytes:
        """
        The payload of the answer. One that cannot be read changes nothing.

        @raise ProtocolError: it is not the answer of somebody who knows the secret.
        """
        if len(data) < OVERHEAD:
            raise ProtocolError("truncated")
        state = self._state.copy()
        state.mixEphemeral(data[:KEY_SIZE])
        state.mixExchange(self._private, data[:KEY_SIZE])
        payload = state.open(data[KEY_SIZE:])
        send, receive = state.split()
        self._keys = Keys(send, receive, state.hash)
        return payload

    def split(self) -> Keys:
        """
        The keys, once message 2 has been read.
        """
        if self._keys is None:
            raise RuntimeError("message 2 has not been read")
        return self._keys


class Responder:
    """
    The end that answers.
    """

    __slots__ = ("_keys", "_remote", "_state")

    def __init__(self, prologue: bytes, psk: bytes) -> None:
        """
        @param prologue: what both ends must agree on beforehand.
        @param psk: the shared secret, 32 bytes.
        """
        self._state = _Symmetric(prologue, psk)
        self._remote: bytes | None = None
        self._keys: Keys | None = None

    def readMessage1(self, data: bytes) -> bytes:
        """
        The payload of the first message, without a Diffie-Hellman. One that cannot be read
        changes nothing.

        @raise ProtocolError: it is not from somebody who knows the secret.
        """
        if len(data) < OVERHEAD:
            raise ProtocolError("truncated")
        state = self._state.copy()
        state.mixEphemeral(data[:KEY_SIZE])
        payload = state.open(data[KEY_SIZE:])
        self._state, self._remote = state, data[:KEY_SIZE]
        return payload

    def writeMessage2(self, payload: bytes, ephemeral: bytes) -> bytes:
        """
        The answer, with the Diffie-Hellman. It is written once.

        @param ephemeral: a private key, 32 random bytes that are used for nothing else.
        @raise ProtocolError: the peer's key is one of those whose secret everybody knows.
        """
        if self._remote is None or self._keys is not None:
            raise RuntimeError("message 2 is written once, after message 1 has been read")
        private = X25519PrivateKey.from_private_bytes(ephemeral)
        public = private.public_key().public_bytes_raw()
        self._state.mixEphemeral(public)
        self._state.mixExchange(private, self._remote)
        sealed = self._state.seal(payload)
        receive, send = self._state.split()
        self._keys = Keys(send, receive, self._state.hash)
        return public + sealed

    def split(self) -> Keys:
        """
        The keys, once message 2 has been written.
        """
        if self._keys is None:
            raise RuntimeError("message 2 has not been written")
        return self._keys
