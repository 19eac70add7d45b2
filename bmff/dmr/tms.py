"""
Text messages as Motorola's radios send them to one another on UDP port 4007 (TMS), and other makes
after them: as has been seen in the field, since no standard of them was published.

Two bytes of length; flags and kind; an address, mostly empty; a byte with five bits of the sequence
number and one with the alphabet and two more; then the text, which radios begin with an empty line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bmff.errors import ProtocolError

PORT: Final = 4007
LONGEST: Final = 140  # characters that radios show; more are cut off by some

_EXTENDED: Final = 0x80  # another byte of head follows
_WANTS_ANSWER: Final = 0x40
_RESERVED: Final = 0x20  # always set
_KIND: Final = 0x1F
_TEXT: Final = 0x00
_ANSWER: Final = 0x1F
_LITTLE_ENDIAN: Final = 0x04  # alphabet: UCS-2, the low byte first
_CODEC: Final = "utf-16-le"
_BREAK: Final = "\r\n"


@dataclass(frozen=True, slots=True)
class TextMessage:
    """
    A text.

    @ivar text: what it says.
    @ivar sequence: by which number the answer names it, 7 bits; some radios show a message whose
        number is that of the last one no second time.
    @ivar wantsAnswer: whether the receiver is to answer.
    """

    text: str
    sequence: int = 0
    wantsAnswer: bool = False

    def encode(self) -> bytes:
        """
        The payload of its datagram.
        """
        flags = _EXTENDED | _RESERVED | (_WANTS_ANSWER if self.wantsAnswer else 0) | _TEXT
        number = _EXTENDED | self.sequence & 0x1F
        alphabet = (self.sequence & 0x60) | _LITTLE_ENDIAN
        text = (_BREAK + self.text).encode(_CODEC, "replace")
        return _measured(bytes((flags, 0, number, alphabet)) + text)


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """
    That a text has come.

    @ivar sequence: its number, 7 bits.
    """

    sequence: int

    def encode(self) -> bytes:
        """
        The payload of its datagram.
        """
        head = bytes((_EXTENDED | _RESERVED | _ANSWER, 0))
        low, high = self.sequence & 0x1F, self.sequence & 0x60
        return _measured(head + (bytes((_EXTENDED | low, high)) if high else bytes((low,))))


def decode(payload: bytes) -> TextMessage | TextAnswer:
    """
    What is in a datagram.

    @raise ProtocolError: when it is neither a text nor an answer to one, or is cut off.
    """
    body = payload[2 : 2 + int.from_bytes(payload[:2], "big")]
    if len(body) < 2 or len(body) + 2 < 2 + int.from_bytes(payload[:2], "big"):
        raise ProtocolError("text message cut off")
    flags = body[0]
    place = 2 + body[1]  # past the address
    heads = []
    more = flags & _EXTENDED
    while more:
        if place >= len(body):
            raise ProtocolError("text message cut off")
        heads.append(body[place])
        more = body[place] & _EXTENDED
        place += 1
    sequence = (heads[0] & 0x1F if heads else 0) | (heads[1] & 0x60 if len(heads) > 1 else 0)
    if flags & _KIND == _ANSWER:
        return TextAnswer(sequence)
    if flags & _KIND != _TEXT:
        raise ProtocolError("text message of an unknown kind")
    text = body[place:].decode(_CODEC, "replace").partition("\0")[0]
    return TextMessage(text.removeprefix(_BREAK), sequence, bool(flags & _WANTS_ANSWER))


def _measured(body: bytes) -> bytes:
    return len(body).to_bytes(2, "big") + body
