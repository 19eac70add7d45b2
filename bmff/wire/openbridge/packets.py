"""
The packets of OpenBridge, bytes to values and back: the plain protocol (DMRD), the enhanced one in
its versions 4 and 5 (DMRE), and the enhanced one's control packets (BCKA, BCVE, BCSQ, BCST).

Published: the BrandMeister wiki, "Open Bridge"; the enhanced protocol as FreeDMR, ADN and RYSEN
speak it. All integers are big-endian. On the way of a frame L{bmff.wire.openbridge.plain} and
L{bmff.wire.openbridge.enhanced} slice these layouts themselves and make no value of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from struct import Struct
from typing import Final, TypeAlias

from bmff.dmr.frame import SLOT_2, Frame
from bmff.errors import ProtocolError
from bmff.wire.openbridge.signature import SHA1_SIZE, Signature

PLAIN: Final = b"DMRD"
PLAIN_BODY: Final = 53  # bytes that are signed
PLAIN_SIZE: Final = PLAIN_BODY + SHA1_SIZE

ENHANCED: Final = b"DMRE"
ENHANCED_HEAD: Final = 55  # bytes: those of a frame with BER and RSSI
VERSION: Final = 5  # the one that is spoken
OLDEST_VERSION: Final = 4  # that is still spoken, to those who have no other
SIZE_5: Final = 89  # bytes
BODY_5: Final = 73  # bytes that are signed
SIZE_4: Final = 85
BODY_4: Final = 69
# From the version on: version, time in ns, source server, (version 5: source repeater,) hops.
TRAILER_5: Final = Struct(">BQIIB")
TRAILER_4: Final = Struct(">BQIB")

KEEP_ALIVE: Final = b"BCKA"
CONTROL: Final = frozenset((KEEP_ALIVE, b"BCVE", b"BCSQ", b"BCST"))
# Forms that nobody sends any more, or that no server reads.
DEAD: Final = frozenset((b"DMRF", b"EOBP"))

_QUENCH_BODY: Final = 11  # bytes that are signed: tag, talkgroup, stream
_SLOT_1: Final = tuple(bytes((flags & ~SLOT_2,)) for flags in range(256))


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Where a call began, as the enhanced protocol tells.

    @ivar server: the ID of the server, 32 bits.
    @ivar repeater: the ID of the repeater or hotspot, 32 bits; 0 when that is not known.
    @ivar hops: the bridges that it has crossed when it arrives over this one, 1 to 255.
    """

    server: int
    repeater: int = 0
    hops: int = 1


@dataclass(frozen=True, slots=True)
class PlainFrame:
    """
    DMRD: a frame in the plain protocol, which carries neither BER nor RSSI.

    @ivar server: the ID of the server that sends it, 32 bits.
    """

    server: int
    frame: Frame

    def encode(self, signature: Signature) -> bytes:
        return encodePlain(self.frame, self.server.to_bytes(4, "big"), signature, bothSlots=True)


@dataclass(frozen=True, slots=True)
class EnhancedFrame:
    """
    DMRE: a frame in the enhanced protocol.

    @ivar server: the ID of the server that sends it, 32 bits.
    @ivar time: when it was sent, ns since 1970.
    @ivar version: 4 or 5.
    """

    server: int
    frame: Frame
    time: int
    origin: Origin
    version: int = VERSION

    def encode(self, signature: Signature) -> bytes:
        return encodeEnhanced(
            self.frame,
            self.server.to_bytes(4, "big"),
            packTrailer(self.version, self.origin),
            self.time,
            signature,
            bothSlots=True,
        )


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """
    BCKA: the bridge is there. It says nothing else, not even when.
    """

    def encode(self, signature: Signature) -> bytes:
        return KEEP_ALIVE + signature.sha1(KEEP_ALIVE)


@dataclass(frozen=True, slots=True)
class Version:
    """
    BCVE: the version of the enhanced protocol that a bridge speaks.
    """

    version: int

    def encode(self, signature: Signature) -> bytes:
        said = bytes((self.version,))
        return b"BCVE" + said + signature.sha1(said)


@dataclass(frozen=True, slots=True)
class Quench:
    """
    BCSQ: a bridge does not want a stream.

    @ivar destination: its talkgroup, 24 bits.
    @ivar stream: its stream ID, 32 bits.
    """

    destination: int
    stream: int

    def encode(self, signature: Signature) -> bytes:
        said = b"BCSQ" + self.destination.to_bytes(3, "big") + self.stream.to_bytes(4, "big")
        return said + signature.sha1(said)


@dataclass(frozen=True, slots=True)
class Stun:
    """
    BCST: a bridge shall be silent. No receiver of the field can verify one, so none obeys.
    """


Packet: TypeAlias = PlainFrame | EnhancedFrame | KeepAlive | Version | Quench | Stun


def encodePlain(
    frame: Frame, server: bytes, signature: Signature, *, bothSlots: bool = False
) -> bytes:
    """
    A frame in the plain protocol, 73 bytes.

    @param server: the ID of the server that sends it, 4 bytes.
    @param bothSlots: whether the frame keeps its slot; else it is on slot 1.
    """
    body = frame.body
    flags = body[:1] if bothSlots else _SLOT_1[frame.flags]
    data = b"".join((PLAIN, frame.addressing, server, flags, body[1:38]))
    return data + signature.sha1(data)


def packTrailer(version: int, origin: Origin) -> tuple[bytes, bytes]:
    """
    What a frame of the enhanced protocol says after its RSSI, before and after the time.
    """
    server = origin.server.to_bytes(4, "big")
    repeater = origin.repeater.to_bytes(4, "big") if version >= VERSION else b""
    return bytes((version,)), server + repeater + bytes((origin.hops,))


def encodeEnhanced(
    frame: Frame,
    server: bytes,
    trailer: tuple[bytes, bytes],
    time: int,
    signature: Signature,
    *,
    bothSlots: bool = False,
) -> bytes:
    """
    A frame in the enhanced protocol, 85 or 89 bytes.

    @param server: the ID of the server that sends it, 4 bytes.
    @param trailer: see L{packTrailer}.
    @param time: ns since 1970.
    @param bothSlots: whether the frame keeps its slot; else it is on slot 1.
    """
    body = frame.body
    flags = body[:1] if bothSlots else _SLOT_1[frame.flags]
    version, origin = trailer
    stamp = time.to_bytes(8, "big")
    data = b"".join((ENHANCED, frame.addressing, server, flags, body[1:], version, stamp, origin))
    return data + signature.blake2(data)


def onSlot1(frame: Frame) -> Frame:
    """
    A frame with its slot bit clear.
    """
    return Frame(frame.addressing, _SLOT_1[frame.flags] + frame.body[1:])


def isPlain(data: bytes) -> bool:
    """
    Whether some bytes have the form of a frame in the plain protocol.
    """
    return len(data) == PLAIN_SIZE and data[:4] == PLAIN


def enhancedVersion(data: bytes) -> int:
    """
    The version of a DMRE; 0 when its length is none that we know, or is that of another version.
    """
    if len(data) == SIZE_5 and data[ENHANCED_HEAD] == VERSION:
        return VERSION
    if len(data) == SIZE_4 and data[ENHANCED_HEAD] == OLDEST_VERSION:
        return OLDEST_VERSION
    return 0


def decode(data: bytes, signature: Signature) -> Packet:
    """
    The packet in one datagram, whichever side sent it.

    @raise ProtocolError: it is none, or another key has signed it.
    """
    tag = data[:4]
    if tag == PLAIN:
        return _plain(data, signature)
    if tag == ENHANCED:
        return _enhanced(data, signature)
    if tag in CONTROL:
        return decodeControl(data, signature)
    raise ProtocolError("dead dialect" if tag in DEAD else "unknown tag")


def decodeControl(data: bytes, signature: Signature) -> KeepAlive | Version | Quench | Stun:
    """
    The control packet in a datagram whose tag is one of L{CONTROL}.

    @raise ProtocolError: it is too long or too short, or another key has signed it.
    """
    tag = data[:4]
    if tag == b"BCST":
        return Stun()
    signed = data[:-SHA1_SIZE]
    if len(signed) != {KEEP_ALIVE: 4, b"BCVE": 5}.get(tag, _QUENCH_BODY):
        raise ProtocolError("wrong length")
    # Only the number of a version is signed.
    code = signature.sha1(signed[4:] if tag == b"BCVE" else signed)
    if not compare_digest(code, data[-SHA1_SIZE:]):
        raise ProtocolError("wrong signature")
    if tag == KEEP_ALIVE:
        return KeepAlive()
    if tag == b"BCVE":
        return Version(signed[4])
    return Quench(int.from_bytes(signed[4:7], "big"), int.from_bytes(signed[7:], "big"))


def _plain(data: bytes, signature: Signature) -> PlainFrame:
    if not isPlain(data):
        raise ProtocolError("wrong length")
    if not compare_digest(signature.sha1(data[:PLAIN_BODY]), data[PLAIN_BODY:]):
        raise ProtocolError("wrong signature")
    return PlainFrame(
        int.from_bytes(data[11:15], "big"), Frame(data[4:11], data[15:PLAIN_BODY] + b"\0\0")
    )


def _enhanced(data: bytes, signature: Signature) -> EnhancedFrame:
    version = enhancedVersion(data)
    if not version:
        raise ProtocolError("wrong length or version")
    end = BODY_5 if version == VERSION else BODY_4
    if not compare_digest(signature.blake2(data[:end]), data[end:]):
        raise ProtocolError("wrong signature")
    if version == VERSION:
        _, time, server, repeater, hops = TRAILER_5.unpack_from(data, ENHANCED_HEAD)
    else:
        _, time, server, hops = TRAILER_4.unpack_from(data, ENHANCED_HEAD)
        repeater = 0
    frame = Frame(data[4:11], data[15:ENHANCED_HEAD])
    sender = int.from_bytes(data[11:15], "big")
    return EnhancedFrame(sender, frame, time, Origin(server, repeater, hops), version)
