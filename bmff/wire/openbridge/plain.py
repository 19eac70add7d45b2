"""
A bridge of the plain protocol: frames under a key, and nothing else; no login, no sign of life.

Published: the BrandMeister wiki, "Open Bridge".
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

from bmff.dmr.frame import Frame
from bmff.wire.openbridge.bridge import Bridge, Event, Outbox, Terms
from bmff.wire.openbridge.packets import (
    CONTROL,
    DEAD,
    ENHANCED,
    PLAIN,
    PLAIN_BODY,
    PLAIN_SIZE,
    Origin,
    encodePlain,
    isPlain,
)
from bmff.wire.openbridge.signature import Signature
from bmff.wire.openbridge.streams import Stream

_NO_QUALITY: Final = bytes(2)  # BER and RSSI, which these frames do not tell


class PlainBridge(Bridge):
    """
    A bridge of the plain protocol. It is up as soon as its address is known.
    """

    def __init__(self, terms: Terms, signature: Signature, outbox: Outbox) -> None:
        super().__init__(terms, signature, outbox)
        self._origin = Origin(terms.peer)  # all that is known of calls from there

    def receive(self, data: bytes, now: float, wall: float) -> tuple[Event, ...]:
        """
        See L{Bridge.receive}.
        """
        if len(data) != PLAIN_SIZE:
            self._count(data)
            return ()
        code = data[PLAIN_BODY:]
        if not compare_digest(self.signature.sha1(data[:PLAIN_BODY]), code):
            self.dropped["wrong signature"] += 1
            return ()
        frame = Frame(data[4:11], data[15:PLAIN_BODY] + _NO_QUALITY)
        stream = self._live.get(frame.stream)
        if stream is None:
            stream = self._beginPlain(data, frame, now)
            if stream is None:
                return ()
        self._take(stream, frame, code, now)
        return ()

    def opens(self, data: bytes) -> bool:
        """
        See L{Bridge.opens}.
        """
        return isPlain(data) and compare_digest(
            self.signature.sha1(data[:PLAIN_BODY]), data[PLAIN_BODY:]
        )

    def isFrame(self, data: bytes) -> bool:
        """
        See L{Bridge.isFrame}.
        """
        return isPlain(data)

    def encode(self, frame: Frame) -> bytes:
        """
        The datagram of a frame that goes out.
        """
        return encodePlain(frame, self.serverID, self.signature, bothSlots=self.terms.bothSlots)

    def _beginPlain(self, data: bytes, frame: Frame, now: float) -> Stream | None:
        """
        The stream that a datagram begins. Whoever has the key says the rest of it under the same
        tag and ID.
        """
        if data[:4] != PLAIN:
            self._count(data)
        elif data[11:15] != self.peerID and self.terms.checkID:
            self.dropped["wrong ID"] += 1
        else:
            return self._begin(frame, self._origin, now)
        return None

    def _count(self, data: bytes) -> None:
        """
        Count what is no frame.
        """
        tag = data[:4]
        if tag == PLAIN:
            reason = "wrong length"
        elif tag == ENHANCED or tag in CONTROL:
            reason = "enhanced packet on a plain bridge"
        else:
            reason = "dead dialect" if tag in DEAD else "unknown tag"
        self.dropped[reason] += 1
