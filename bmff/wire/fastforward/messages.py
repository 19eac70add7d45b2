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

FRAME_SIZE: Final = 51  # bytes: kind 1, index 4, source 3, destination 3, body 40

_packIndex = Struct(">BI").pack
_head = Struct(">BH")
_segment = Struct(">IB")
_acknowledgement = Struct(">I")
_measurement = Struct(">IIIQQQIHIQ")
_challenge = Struct(">Q")


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

    @ivar number: counted from 1 through the life of a link, 32 bits.
    @ivar last: whether the control message ends with it.
    @ivar data: at most L{bmff.wire.fastforward.control.SEGMENT_SIZE} bytes.
    """

    number: int
    last: bool
    data: bytes

    def encode(self) -> bytes:
        body = _segment.pack(self.number, self.last) + self.data
        return _head.pack(SEGMENT, len(body)) + body


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """
    All segments up to a number have come.
    """

    number: int

    def encode(self) -> bytes:
        return _head.pack(ACKNOWLEDGEMENT, 4) + _acknowledgement.pack(self.number)


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


Message: TypeAlias = Segment | Acknowledgement | Measurement | Goodbye | Challenge | Answer


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
    number, last = _segment.unpack_from(body)
    return Segment(number, bool(last), body[_segment.size :])


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


_DECODERS: Final[dict[int, Callable[[bytes], Message]]] = {
    SEGMENT: _decodeSegment,
    ACKNOWLEDGEMENT: lambda body: Acknowledgement(*_acknowledgement.unpack(body)),
    MEASUREMENT: _decodeMeasurement,
    GOODBYE: lambda body: Goodbye(_unpackText(body)[0]),
    CHALLENGE: lambda body: Challenge(*_challenge.unpack(body)),
    ANSWER: lambda body: Answer(*_challenge.unpack(body)),
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
