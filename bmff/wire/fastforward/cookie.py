"""
The cookie of FastForward: proof that who speaks can be reached where it speaks from.

It is asked for only while first messages come faster than they should, since each costs more than
it costs to send. The scheme is WireGuard's (J. A. Donenfeld, "WireGuard: Next Generation Kernel
Network Tunnel", NDSS 2017, §5.3 and §5.4.7), with BLAKE2s (RFC 7693) and AES-256-GCM.

A cookie reply, 53 bytes::

    1    type: 3
    4    session index of the initiator
    16   nonce: never the same for one key and node
    16   cookie, sealed
    16   tag

It is sealed by AES-256-GCM under BLAKE2s-256("bmff-ff-cookie", PSK, responder's node ID (4 bytes),
nonce), with 12 zero bytes as the cipher's own nonce and the initiation's C{mac1} as associated
data: only who knows the key and made that very initiation can open it.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2s
from hmac import compare_digest
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bmff.errors import ProtocolError

COOKIE: Final = 3  # type of a cookie reply
COOKIE_SIZE: Final = 16  # bytes
COOKIE_PERIOD: Final = 120.0  # seconds until the secret changes; the one before is good as well
LARGEST_RATE: Final = 100  # first messages a second that cost nothing but their mac1
MAC_SIZE: Final = 16  # bytes

_NONCE_SIZE: Final = 16  # bytes
_LABEL: Final = b"bmff-ff-cookie"
_FIRST: Final = bytes(12)  # each key seals one cookie

_head: Final = Struct(f">BI{_NONCE_SIZE}s")
_REPLY_SIZE: Final = _head.size + COOKIE_SIZE + 16


def mac(key: bytes, data: bytes) -> bytes:
    """
    BLAKE2s-128 with a key, 16 bytes: what C{mac1} and C{mac2} are.
    """
    return blake2s(data, key=key, digest_size=MAC_SIZE).digest()


def _sealingKey(psk: bytes, responder: int, nonce: bytes) -> bytes:
    return blake2s(b"".join((_LABEL, psk, responder.to_bytes(4), nonce))).digest()


def openCookie(data: bytes, *, index: int, mac1: bytes, psk: bytes, responder: int) -> bytes:
    """
    The cookie in a reply to an initiation.

    @param index: the initiation's session index.
    @param mac1: the initiation's.
    @param responder: the node ID that it went to.
    @raise ProtocolError: it is no reply to that initiation from somebody who knows the key.
    """
    if data[:1] != bytes((COOKIE,)):
        raise ProtocolError("wrong type")
    if len(data) != _REPLY_SIZE:
        raise ProtocolError("wrong length")
    _, remoteIndex, nonce = _head.unpack_from(data)
    if remoteIndex != index:
        raise ProtocolError("session index")
    try:
        return AESGCM(_sealingKey(psk, responder, nonce)).decrypt(_FIRST, data[_head.size :], mac1)
    except InvalidTag:
        raise ProtocolError("tag") from None


class Cookies:
    """
    The responder's side: when a cookie is asked for, and which ones are good.

    Nothing is kept for an address: a cookie is a keyed hash of it.
    """

    __slots__ = ("_arrivals", "_nonces", "_secret")

    def __init__(self, secret: bytes) -> None:
        """
        @param secret: 16 to 32 random bytes, new at each start.
        """
        self._secret = secret
        self._nonces = 0
        self._arrivals: deque[float] = deque(maxlen=LARGEST_RATE)

    def crowded(self, now: float) -> bool:
        """
        Count one more first message.

        @param now: monotonic seconds.
        @return: whether more have come within a second, with this one, than may without a cookie.
        """
        arrivals = self._arrivals
        crowded = len(arrivals) == LARGEST_RATE and now - arrivals[0] < 1.0
        arrivals.append(now)
        return crowded

    def verify(self, message: bytes, address: bytes, now: float) -> bool:
        """
        Whether a message ends in a C{mac2} with a cookie that was given to this address.

        @param address: where it came from, an opaque key.
        @param now: monotonic seconds.
        """
        covered, mac2 = message[:-MAC_SIZE], message[-MAC_SIZE:]
        period = int(now // COOKIE_PERIOD)
        return any(
            compare_digest(mac2, mac(self._cookie(address, one), covered))
            for one in (period, period - 1)
        )

    def reply(
        self, *, index: int, mac1: bytes, psk: bytes, responder: int, address: bytes, now: float
    ) -> bytes:
        """
        A cookie reply to an initiation.

        @param index: the initiation's session index.
        @param mac1: the initiation's.
        @param responder: the node ID that it came to.
        @param address: where it came from, an opaque key.
        @param now: monotonic seconds.
        """
        self._nonces += 1
        count = self._nonces.to_bytes(8)
        nonce = blake2s(count, key=self._secret, person=b"nonce", digest_size=_NONCE_SIZE).digest()
        cookie = self._cookie(address, int(now // COOKIE_PERIOD))
        sealed = AESGCM(_sealingKey(psk, responder, nonce)).encrypt(_FIRST, cookie, mac1)
        return _head.pack(COOKIE, index, nonce) + sealed

    def _cookie(self, address: bytes, period: int) -> bytes:
        data = period.to_bytes(8, signed=True) + address
        return blake2s(data, key=self._secret, person=b"cookie", digest_size=COOKIE_SIZE).digest()
