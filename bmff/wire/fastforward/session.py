"""
The keys of one path for two minutes: seals what it sends, opens what it gets, once each.

A data packet is its type, the receiver's session index and a 64-bit counter, then the messages,
sealed with AES-256-GCM under a nonce of four zero bytes and the counter, as in the Noise Protocol
Framework §12.4. On a trusted path the messages follow as they are.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bmff.errors import ProtocolError
from bmff.wire.fastforward.gaps import Gaps
from bmff.wire.fastforward.messages import MISSING_SPAN, Missing

DATA: Final = 4  # the type of a data packet
HEADER_SIZE: Final = 13  # bytes: type 1, session index 4, counter 8
TAG_SIZE: Final = 16  # bytes
WINDOW: Final = 2048  # counters behind the highest that may still come
REKEY_INITIATOR: Final = 120.0  # seconds of a session's life at which its initiator makes a new one
REKEY_RESPONDER: Final = 150.0  # seconds at which the responder does, if the initiator did not
REKEY_PACKETS: Final = 1 << 28
LIFETIME: Final = 180.0  # seconds after which nothing is sent any more
READ_AFTER: Final = 10.0  # seconds that a session is read after it was replaced

_ZEROS: Final = bytes(4)
_MASK: Final = (1 << WINDOW) - 1
_SHORTEST: Final = HEADER_SIZE + 4


def indexOf(packet: bytes) -> int:
    """
    The session index that a data packet names.

    @raise ProtocolError: it is too short to be one.
    """
    if len(packet) < _SHORTEST:
        raise ProtocolError("truncated packet")
    return int.from_bytes(packet[1:5], "big")


class Session:
    """
    One session of a path.

    @ivar localIndex: what the other end names in its packets, 32 bits.
    @ivar remoteIndex: what we name in ours.
    @ivar initiator: whether this end began it.
    @ivar made: when, monotonic seconds.
    @ivar sent: how many packets were sealed; the next one's counter.
    @ivar received: how many packets were opened.
    @ivar highest: the highest counter that was opened, -1 before the first.
    @ivar sealed: whether packets are encrypted.
    @ivar name: how packets to this end name it, the 4 bytes of C{localIndex}.
    @ivar expires: when its keys are too old to send under, monotonic seconds.
    @ivar gaps: what is missing of it.
    """

    __slots__ = (
        "_decrypt",
        "_encrypt",
        "_prefix",
        "_seen",
        "expires",
        "gaps",
        "highest",
        "initiator",
        "localIndex",
        "made",
        "name",
        "received",
        "remoteIndex",
        "sealed",
        "sent",
    )

    def __init__(
        self,
        sendKey: bytes,
        receiveKey: bytes,
        localIndex: int,
        remoteIndex: int,
        *,
        initiator: bool,
        now: float,
        sealed: bool = True,
    ) -> None:
        """
        @param sendKey: 32 bytes, used for nothing else.
        @param receiveKey: 32 bytes.
        @param sealed: false only where the kernel vouches for the other end.
        """
        self.localIndex = localIndex
        self.remoteIndex = remoteIndex
        self.initiator = initiator
        self.made = now
        self.sent = 0
        self.received = 0
        self.highest = -1
        self.sealed = sealed
        self.name = localIndex.to_bytes(4, "big")
        self.expires = now + LIFETIME
        self.gaps = Gaps()
        self._prefix = bytes((DATA,)) + remoteIndex.to_bytes(4, "big")
        self._seen = 0  # bit n: the counter highest - n was opened
        self._encrypt = AESGCM(sendKey).encrypt
        self._decrypt = AESGCM(receiveKey).decrypt

    def seal(self, messages: bytes) -> bytes:
        """
        The next packet.
        """
        counter = self.sent
        self.sent = counter + 1
        count = counter.to_bytes(8, "big")
        if not self.sealed:
            return self._prefix + count + messages
        return self._prefix + count + self._encrypt(_ZEROS + count, messages, None)

    def open(self, packet: bytes) -> bytes:
        """
        The messages in a packet that names this session.

        @raise ProtocolError: it was forged, was opened before, or comes too late.
        """
        if len(packet) < _SHORTEST:
            raise ProtocolError("truncated packet")
        count = packet[5:HEADER_SIZE]
        counter = int.from_bytes(count, "big")
        ahead = counter - self.highest
        if ahead <= 0:
            if ahead <= -WINDOW:
                raise ProtocolError("too late")
            if self._seen >> -ahead & 1:
                raise ProtocolError("replayed packet")
        if self.sealed:
            try:
                messages = self._decrypt(_ZEROS + count, packet[HEADER_SIZE:], None)
            except InvalidTag:
                raise ProtocolError("forged packet") from None
        else:
            messages = packet[HEADER_SIZE:]
        # Only now: what was forged must leave no mark.
        if ahead == 1:
            self._seen = (self._seen << 1 | 1) & _MASK
            self.highest = counter
        elif ahead > 0:
            self._seen = (self._seen << ahead | 1) & _MASK if ahead < WINDOW else 1
            self.highest = counter
        else:
            self._seen |= 1 << -ahead
        self.received += 1
        return messages

    def has(self, counter: int) -> bool:
        """
        Whether a packet was opened; true also of one that would come too late.
        """
        ahead = counter - self.highest
        return ahead <= 0 and (ahead <= -WINDOW or bool(self._seen >> -ahead & 1))

    def rest(self) -> Missing:
        """
        The question for all that has not come, at its end too.
        """
        end = self.highest + 1
        missing = (counter for counter in self.gaps.missing if counter >= end - MISSING_SPAN)
        return Missing(self.localIndex, tuple(sorted(missing)), end)

    def wantsRekey(self, now: float) -> bool:
        """
        Whether this end ought to make a new session.
        """
        age = now - self.made
        if self.initiator:
            return age >= REKEY_INITIATOR or self.sent >= REKEY_PACKETS
        return age >= REKEY_RESPONDER

    def mayStillSend(self, now: float) -> bool:
        """
        Whether its keys are young enough to be used.
        """
        return now < self.expires
