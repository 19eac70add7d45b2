"""
The messages in a packet: frames of calls, and what two nodes say to one another about them.

A packet's messages follow a send time (32 bits, microseconds). A message begins with its kind, one
byte. A frame has a fixed size and the layout that HomeBrew has, so that it is read and written by
slicing; every other message has a length of 16 bits after its kind. A kind that is not known is
passed over. All integers are big-endian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError
from typing import Final, TypeAlias

from bmff.dmr.frame import Frame
from bmff.errors import ProtocolError

TIME_SIZE: Final = 4  # bytes before the first message
FRAME: Final = 1  # kind
SEGMENT: Final = 2
ACKNOWLEDGEMENT: Final = 3
MEASUREMENT: Final = 4
GOODBYE: Final = 5
CHALLENGE: Final = 6
ANSWER: Final = 7
MISSING: Final = 8
COPIES: Final = 9

FRAME_SIZE: Final = 51  # bytes: kind 1, index 4, source 3, destination 3, body 40
COPIES_SIZE: Final = 15  # bytes of a copy before its frames
MISSING_SPAN: Final = 256  # counters that one message can name

_packIndex = Struct(">BI").pack
_head = Struct(">BH")
_segment = Struct(">IIIB")
_acknowledgement = Struct(">II")
_measurement = Struct(">IIIQQQIHIQ")
_challenge = Struct(">Q")
_missing = Struct(">IQQ")
_copies = Struct(">IQ")
_NOTHING_AFTER: Final = 0xFFFFFFFFFFFFFFFF


def encodeFrame(index: int, frame: Frame) -> bytes:
    """
    The message of a frame.

    @param index: its number in its call, 32 bits, counted from 0 by the node that the call came to.
    """
    return _packIndex(FRAME, index) + frame.addressing[1:] + frame.body


def decodeFrame(messages: bytes, at: int) -> Frame:
    """
    The frame at an offset. Its sequence number is the low byte of its number in its call.
    """
    return Frame(messages[at + 4 : at + 11], messages[at + 11 : at + FRAME_SIZE])


@dataclass(frozen=True, slots=True)
class Segment:
    """
    A part of a control message; acknowledged and repeated until it is.

    @ivar name: of the row that the sender counts in, 32 random bits, not 0.
    @ivar other: of the row that the receiver counts in; 0 before the sender knows it.
    @ivar number: counted from 1 in its row, 32 bits.
    @ivar last: whether the control message ends with it.
    @ivar data: at most L{bmff.wire.fastforward.control.SEGMENT_SIZE} bytes.
    """

    name: int
    other: int
    number: int
    last: bool
    data: bytes

    def encode(self) -> bytes:
        body = _segment.pack(self.name, self.other, self.number, self.last) + self.data
        return _head.pack(SEGMENT, len(body)) + body


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """
    All segments of a row up to a number have come.

    @ivar name: the row's.
    @ivar number: 0 when none has.
    """

    name: int
    number: int

    def encode(self) -> bytes:
        return _head.pack(ACKNOWLEDGEMENT, 8) + _acknowledgement.pack(self.name, self.number)


@dataclass(frozen=True, slots=True)
class Measurement:
    """
    How a path does, and how a node does; four a second while a call is on, else one.

    @ivar time: the sender's clock, microseconds modulo 2**32.
    @ivar echo: the C{time} of the last measurement that the sender has got; 0 before the first.
    @ivar hold: microseconds that the sender has had it.
    @ivar highest: the highest counter that the sender has got on this path.
    @ivar received: how many packets the sender has got in this session.
    @ivar sent: how many packets the sender has sent in this session.
    @ivar lag: microseconds by which the sender's last turn came late.
    @ivar load: thousandths of a processor that the sender uses.
    @ivar interestVersion: of the sender's interest.
    @ivar interestDigest: of the sender's interest, 64 bits.
    @ivar seenAt: the address that the sender sees the receiver at, as text.
    @ivar capabilities: the transports that the sender has, and what they need to be reached.
    """

    time: int
    echo: int
    hold: int
    highest: int
    received: int
    sent: int
    lag: int
    load: int
    interestVersion: int
    interestDigest: int
    seenAt: str = ""
    capabilities: str = ""

    def encode(self) -> bytes:
        body = (
            _measurement.pack(
                self.time,
                self.echo,
                min(self.hold, 0xFFFFFFFF),
                self.highest,
                self.received,
                self.sent,
                min(self.lag, 0xFFFFFFFF),
                min(self.load, 0xFFFF),
                self.interestVersion,
                self.interestDigest,
            )
            + _packText(self.seenAt)
            + _packText(self.capabilities)
        )
        return _head.pack(MEASUREMENT, len(body)) + body


@dataclass(frozen=True, slots=True)
class Goodbye:
    """
    The sender ends the path, and with its last path the link.

    @ivar reason: for people.
    """

    reason: str

    def encode(self) -> bytes:
        body = _packText(self.reason)
        return _head.pack(GOODBYE, len(body)) + body


@dataclass(frozen=True, slots=True)
class Challenge:
    """
    Whoever gets this at a new address proves with an L{Answer} that it lives there.

    @ivar value: 64 random bits.
    """

    value: int

    def encode(self) -> bytes:
        return _head.pack(CHALLENGE, 8) + _challenge.pack(self.value)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    The answer to a L{Challenge}, sent from where it came to.
    """

    value: int

    def encode(self) -> bytes:
        return _head.pack(ANSWER, 8) + _challenge.pack(self.value)


@dataclass(frozen=True, slots=True)
class Missing:
    """
    Packets of a session have not come: the frames in them are to be sent again.

    @ivar session: as it is named in those packets, 32 bits.
    @ivar counters: theirs, rising, within L{MISSING_SPAN} of the first.
    @ivar after: neither has anything from this counter on; L{None} where that is not said.
    """

    session: int
    counters: tuple[int, ...]
    after: int | None = None

    def encode(self) -> bytes:
        first = self.counters[0] if self.counters else 0
        bits = 0
        for counter in self.counters:
            bits |= 1 << (counter - first)
        after = _NOTHING_AFTER if self.after is None else self.after
        body = _missing.pack(self.session, after, first)
        body += bits.to_bytes((bits.bit_length() + 7) // 8, "little")
        return _head.pack(MISSING, len(body)) + body


@dataclass(frozen=True, slots=True)
class Copies:
    """
    The frames of a packet once more.

    @ivar session: as it was named in that packet, 32 bits.
    @ivar counter: that packet's.
    @ivar frames: their messages, one after the other.
    """

    session: int
    counter: int
    frames: bytes

    def encode(self) -> bytes:
        body = _copies.pack(self.session, self.counter) + self.frames
        return _head.pack(COPIES, len(body)) + body


Message: TypeAlias = (
    Segment | Acknowledgement | Measurement | Goodbye | Challenge | Answer | Missing | Copies
)


def decodeMessage(kind: int, body: bytes) -> Message | None:
    """
    A message that is no frame; L{None} for a kind that is not known.

    @raise ProtocolError: it is malformed.
    """
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return None
    try:
        return decoder(body)
    except StructError:
        raise ProtocolError("truncated message") from None


def _decodeSegment(body: bytes) -> Segment:
    name, other, number, last = _segment.unpack_from(body)
    return Segment(name, other, number, bool(last), body[_segment.size :])


def _decodeMeasurement(body: bytes) -> Measurement:
    time, echo, hold, highest, received, sent, lag, load, version, digest = (
        _measurement.unpack_from(body)
    )
    seenAt, rest = _unpackText(body[_measurement.size :])
    capabilities, _ = _unpackText(rest)
    return Measurement(
        *(time, echo, hold, highest, received, sent),
        *(lag, load, version, digest, seenAt, capabilities),
    )


def _decodeMissing(body: bytes) -> Missing:
    session, after, first = _missing.unpack_from(body)
    bitmap = body[_missing.size :]
    if len(bitmap) * 8 > MISSING_SPAN:
        raise ProtocolError("too much missing")
    bits = int.from_bytes(bitmap, "little")
    counters = tuple(first + each for each in range(bits.bit_length()) if bits >> each & 1)
    return Missing(session, counters, None if after == _NOTHING_AFTER else after)


def _decodeCopies(body: bytes) -> Copies:
    session, counter = _copies.unpack_from(body)
    frames = body[_copies.size :]
    if len(frames) % FRAME_SIZE or set(frames[::FRAME_SIZE]) - {FRAME}:
        raise ProtocolError("copies of something else")
    return Copies(session, counter, frames)


_DECODERS: Final[dict[int, Callable[[bytes], Message]]] = {
    SEGMENT: _decodeSegment,
    ACKNOWLEDGEMENT: lambda body: Acknowledgement(*_acknowledgement.unpack(body)),
    MEASUREMENT: _decodeMeasurement,
    GOODBYE: lambda body: Goodbye(_unpackText(body)[0]),
    CHALLENGE: lambda body: Challenge(*_challenge.unpack(body)),
    ANSWER: lambda body: Answer(*_challenge.unpack(body)),
    MISSING: _decodeMissing,
    COPIES: _decodeCopies,
}


def bodyAt(messages: bytes, at: int) -> bytes:
    """
    The body of the message at an offset, which is no frame.

    @raise ProtocolError: it is cut off.
    """
    begin = at + _head.size
    end = begin + int.from_bytes(messages[at + 1 : begin], "big")
    if end > len(messages) or begin > len(messages):
        raise ProtocolError("truncated message")
    return messages[begin:end]


HEAD_SIZE: Final = _head.size  # bytes before the body


def _packText(text: str) -> bytes:
    data = text.encode()[:255]
    return bytes((len(data),)) + data


def _unpackText(data: bytes) -> tuple[str, bytes]:
    if not data or len(data) < 1 + data[0]:
        raise ProtocolError("truncated message")
    text = data[1 : 1 + data[0]].decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable()), data[1 + data[0] :]
