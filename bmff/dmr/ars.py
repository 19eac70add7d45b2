"""
How a radio says that it is there, on UDP port 4005, as Motorola's radios do it (the automatic
registration service, ARS): as has been seen in the field, since no standard of it was published.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bmff.errors import ProtocolError

PORT: Final = 4005

_EXTENDED: Final = 0x80  # another byte of head follows
_WANTS_ANSWER: Final = 0x40
_PRIORITY: Final = 0x20
_CONTROL: Final = 0x10
_KIND: Final = 0x0F
_INITIAL: Final = 0x20  # event, in the second byte: the radio was switched on
_EVENT: Final = 0x60
_REFUSED: Final = 0x80  # in the second byte of an answer that has no time


class Kind(IntEnum):
    """
    What a message says.
    """

    REGISTRATION = 0
    DEREGISTRATION = 1
    QUERY = 4
    USER_REGISTRATION = 5
    USER_DEREGISTRATION = 6
    USER_ANSWER = 7
    ANSWER = 15


@dataclass(frozen=True, slots=True)
class Registration:
    """
    One message of the service.

    @ivar kind: what it says.
    @ivar device: the radio ID in digits; empty where the kind has none.
    @ivar user: the name of its user, mostly empty.
    @ivar initial: whether the radio was just switched on.
    @ivar wantsAnswer: whether it is to be answered.
    @ivar refresh: of an answer, in how many half hours the radio shall register again.
    """

    kind: Kind
    device: str = ""
    user: str = ""
    initial: bool = False
    wantsAnswer: bool = False
    refresh: int = 0

    @classmethod
    def decode(cls, payload: bytes) -> Registration:
        """
        What is in a datagram.

        @raise ProtocolError: when it is cut off, or of an unknown kind.
        """
        length = int.from_bytes(payload[:2], "big")
        body = payload[2 : 2 + length]
        if not body or len(body) < length:
            raise ProtocolError("registration cut off")
        flags = body[0]
        try:
            kind = Kind(flags & _KIND)
        except ValueError:
            raise ProtocolError("registration of an unknown kind") from None
        wantsAnswer = bool(flags & _WANTS_ANSWER)
        if not flags & _EXTENDED:
            return cls(kind, wantsAnswer=wantsAnswer)
        if len(body) < 2:
            raise ProtocolError("registration cut off")
        second = body[1]
        if kind in {Kind.ANSWER, Kind.USER_ANSWER}:
            return cls(kind, refresh=second & 0x7F, wantsAnswer=wantsAnswer)
        device, place = _text(body, 2)
        user, _ = _text(body, place)
        return cls(kind, device, user, second & _EVENT == _INITIAL, wantsAnswer)

    def encode(self) -> bytes:
        """
        The payload of its datagram.
        """
        answers = self.kind in {Kind.ANSWER, Kind.USER_ANSWER}
        extended = answers or bool(self.device or self.user or self.initial)
        flags = _CONTROL | _PRIORITY | self.kind
        flags |= (_EXTENDED if extended else 0) | (_WANTS_ANSWER if self.wantsAnswer else 0)
        body = bytes((flags,))
        if answers:
            body += bytes((self.refresh,))
        elif extended:
            body += bytes((_INITIAL if self.initial else _EVENT & 0x40,))
            body += _counted(self.device) + _counted(self.user) + _counted("")
        return len(body).to_bytes(2, "big") + body


def _text(body: bytes, place: int) -> tuple[str, int]:
    """
    A text behind its length, and where what follows it begins; nothing at the end of the body.
    """
    if place >= len(body):
        return "", place
    end = place + 1 + body[place]
    if end > len(body):
        raise ProtocolError("registration cut off")
    return body[place + 1 : end].decode("utf-8", "replace").rstrip("\0"), end


def _counted(text: str) -> bytes:
    data = text.encode("utf-8")
    return bytes((len(data),)) + data
