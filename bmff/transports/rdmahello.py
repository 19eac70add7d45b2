"""
What two ends of an RDMA connection tell each other while they connect: the private data of
rdma_cm (rdma_connect(3), rdma_accept(3), rdma_reject(3)).

A hello is the same in both directions::

    4 bytes  "bmFF"
    1 byte   bytes of the hello, all of it
    1 byte   version, 1
    2 bytes  receives: messages that this end has room for
    4 bytes  size: bytes of each

The numbers are in network byte order. Its length stands in it because the network pads it with
zeros, to 56 bytes on the way there and 196 back. A longer one is of a later time, and what is not
known of it is passed over. A refusal is "bmFF", one byte of length, 0, and the reason in UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from bmff.errors import ProtocolError

MAGIC: Final = b"bmFF"
VERSION: Final = 1
REFUSED: Final = 0  # in the place of a version
LARGEST_REASON: Final = 100  # bytes
MOST_RECEIVES: Final = 4096
FEWEST_BYTES: Final = 256
MOST_BYTES: Final = 1 << 20

_HELLO: Final = Struct("!4sBBHI")
_HEAD: Final = Struct("!4sBB")


@dataclass(frozen=True, slots=True)
class Hello:
    """
    What one end can take.

    @ivar receives: messages that it has room for, 1 to 4096.
    @ivar size: bytes of each, 256 to 1048576.
    """

    receives: int
    size: int

    def encode(self) -> bytes:
        """
        As private data.
        """
        return _HELLO.pack(MAGIC, _HELLO.size, VERSION, self.receives, self.size)


def decodeHello(data: bytes) -> Hello:
    """
    The hello in private data.

    @raise ProtocolError: there is none, or it says what cannot be.
    """
    if len(data) < _HELLO.size:
        raise ProtocolError("no hello")
    magic, length, version, receives, size = _HELLO.unpack_from(data)
    if magic != MAGIC:
        raise ProtocolError("no hello")
    if version != VERSION:
        raise ProtocolError("a hello of another version")
    if not _HELLO.size <= length <= len(data):
        raise ProtocolError("a hello of a wrong length")
    if not (0 < receives <= MOST_RECEIVES and FEWEST_BYTES <= size <= MOST_BYTES):
        raise ProtocolError("a hello with impossible numbers")
    return Hello(receives, size)


def encodeRefusal(reason: str) -> bytes:
    """
    A refusal as private data.

    @param reason: for people; cut to L{LARGEST_REASON} bytes.
    """
    text = reason.encode()[:LARGEST_REASON]
    return _HEAD.pack(MAGIC, _HEAD.size + len(text), REFUSED) + text


def decodeRefusal(data: bytes) -> str:
    """
    The reason in private data, empty when there is none.
    """
    if len(data) < _HEAD.size:
        return ""
    magic, length, version = _HEAD.unpack_from(data)
    if magic != MAGIC or version != REFUSED or length > len(data):
        return ""
    text = data[_HEAD.size : length].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
