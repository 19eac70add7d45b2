"""
The prologue of a FastForward handshake: who speaks to whom, under which key, over what.

It goes in clear before the first message of the handshake and is mixed into it (Noise Protocol
Framework, revision 34, §6), so that neither end gets keys from a handshake meant otherwise::

    9           "bmff-ff-1"
    1 + 0..32   environment: length, UTF-8
    4           node ID of the initiator
    4           node ID of the responder
    1 + 1..32   key id: length, UTF-8
    1 + 1..16   name of the transport: length, UTF-8

Numbers are big-endian, here and in all of FastForward.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from bmff.errors import ProtocolError

VERSION: Final = b"bmff-ff-1"
LARGEST_ENVIRONMENT: Final = 32  # bytes
LARGEST_KEY_ID: Final = 32  # bytes
LARGEST_TRANSPORT: Final = 16  # bytes

_nodes: Final = Struct(">II")


@dataclass(frozen=True, slots=True)
class Prologue:
    """
    What two ends agree on before they speak.

    @ivar environment: the name of the network that both belong to, up to 32 bytes of UTF-8; may
        be empty.
    @ivar initiator: the node ID of the end that speaks first, 32 bits.
    @ivar responder: the node ID of the other end, 32 bits.
    @ivar key: the id of the key that both have, 1 to 32 bytes of UTF-8.
    @ivar transport: the name of the transport, 1 to 16 bytes of UTF-8.
    """

    environment: str
    initiator: int
    responder: int
    key: str
    transport: str

    def __post_init__(self) -> None:
        if not (0 <= self.initiator <= 0xFFFFFFFF and 0 <= self.responder <= 0xFFFFFFFF):
            raise ValueError("a node ID has 32 bits")
        if (
            len(self.environment.encode()) > LARGEST_ENVIRONMENT
            or not 1 <= len(self.key.encode()) <= LARGEST_KEY_ID
            or not 1 <= len(self.transport.encode()) <= LARGEST_TRANSPORT
        ):
            raise ValueError("environment, key id or transport is too long, or empty")

    def encode(self) -> bytes:
        """
        The bytes of it, 22 to 100.
        """
        return b"".join(
            (
                VERSION,
                _encodeText(self.environment),
                _nodes.pack(self.initiator, self.responder),
                _encodeText(self.key),
                _encodeText(self.transport),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Prologue:
        """
        The prologue that has these bytes, and no others.

        @raise ProtocolError: there is none.
        """
        if not data.startswith(VERSION):
            raise ProtocolError("version")
        environment, at = _decodeText(data, len(VERSION), 0, LARGEST_ENVIRONMENT)
        if len(data) < at + _nodes.size:
            raise ProtocolError("truncated")
        initiator, responder = _nodes.unpack_from(data, at)
        key, at = _decodeText(data, at + _nodes.size, 1, LARGEST_KEY_ID)
        transport, at = _decodeText(data, at, 1, LARGEST_TRANSPORT)
        if at != len(data):
            raise ProtocolError("wrong length")
        return cls(environment, initiator, responder, key, transport)


def _encodeText(text: str) -> bytes:
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


def _decodeText(data: bytes, at: int, smallest: int, largest: int) -> tuple[str, int]:
    """
    The text that begins with its length at C{at}.

    @return: the text, and where the next thing begins.
    @raise ProtocolError: it is cut, too long or too short, or not UTF-8.
    """
    if at >= len(data):
        raise ProtocolError("truncated")
    end = at + 1 + data[at]
    if end > len(data):
        raise ProtocolError("truncated")
    if not smallest <= data[at] <= largest:
        raise ProtocolError("text length")
    try:
        return data[at + 1 : end].decode(), end
    except UnicodeDecodeError:
        raise ProtocolError("text") from None
