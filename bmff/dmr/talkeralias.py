"""
The talker alias, the name of its user that a radio sends along with its voice,
ETSI TS 102 361-2 §7.1.1.4, §7.1.1.5, §7.2.18 and §7.2.19.

It comes as up to four blocks of 7 bytes, the first of which begins with the encoding (2 bits) and
the length in code units (5 bits). Seven-bit characters follow at once, all others one bit later.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

_BLOCKS: Final = 4
_BLOCK_SIZE: Final = 7  # bytes
_HEADER: Final = 7  # bits: encoding and length
_LONGEST: Final = 31  # code units, all that the length can say


class AliasEncoding(IntEnum):
    """
    How the characters of a talker alias are carried, §7.2.18.
    """

    ISO_7_BIT = 0
    ISO_8_BIT = 1
    UTF_8 = 2
    UTF_16 = 3


# Each encoding of whole bytes: Python's name, and the bytes of a code unit.
_CODECS: Final = {
    AliasEncoding.ISO_8_BIT: ("latin-1", 1),
    AliasEncoding.UTF_8: ("utf-8", 1),
    AliasEncoding.UTF_16: ("utf-16-be", 2),
}


def decodeTalkerAlias(blocks: Mapping[int, bytes]) -> str | None:
    """
    The text in the blocks that have come, up to the first that is missing or cut off.

    @param blocks: by number, 0 to 3, up to 7 bytes each.
    @return: text that can be printed, without spaces around it; L{None} when there is none.
    """
    data = _joined(blocks)
    if not data:
        return None
    encoding = AliasEncoding(data[0] >> 6)
    length = data[0] >> 1 & 0x1F
    if encoding is AliasEncoding.ISO_7_BIT:
        text = _septets(data, length)
    else:
        codec, size = _CODECS[encoding]
        # What is cut in mid-character, or wrong, is left out.
        text = data[1 : 1 + length * size].decode(codec, "ignore")
    text = text.partition("\0")[0]  # some radios count the padding
    return "".join(filter(str.isprintable, text)).strip() or None


def encodeTalkerAlias(
    text: str, encoding: AliasEncoding = AliasEncoding.UTF_8
) -> tuple[bytes, ...]:
    """
    The blocks for a text, each 7 bytes and as many as it takes; what has no room is left out.

    @param encoding: its room is 31 characters with 7 bits, 27 with 8, 27 bytes of UTF-8, or 26 of
        UTF-16.
    @raise UnicodeEncodeError: when the encoding lacks one of the characters.
    """
    if encoding is AliasEncoding.ISO_7_BIT:
        septets = text.encode("ascii")[:_LONGEST]
        length = len(septets)
        body = "".join(f"{septet:07b}" for septet in septets)
    else:
        codec, size = _CODECS[encoding]
        room = (_BLOCKS * _BLOCK_SIZE - 1) // size * size
        data = text.encode(codec)[:room].decode(codec, "ignore").encode(codec)
        length = len(data) // size
        body = "0" + "".join(f"{byte:08b}" for byte in data)
    bits = f"{encoding:02b}{length:05b}{body}"
    blocks = [bits[i : i + 8 * _BLOCK_SIZE] for i in range(0, len(bits), 8 * _BLOCK_SIZE)]
    return tuple(
        int(block.ljust(8 * _BLOCK_SIZE, "0"), 2).to_bytes(_BLOCK_SIZE, "big") for block in blocks
    )


def _joined(blocks: Mapping[int, bytes]) -> bytes:
    data = b""
    for number in range(_BLOCKS):
        block = blocks.get(number, b"")
        data += block[:_BLOCK_SIZE]
        if len(block) < _BLOCK_SIZE:
            break
    return data


def _septets(data: bytes, length: int) -> str:
    """
    The characters of 7 bits that follow the header and are all there.
    """
    bits = "".join(f"{byte:08b}" for byte in data)[_HEADER:]
    length = min(length, len(bits) // 7)
    return "".join(chr(int(bits[7 * i : 7 * i + 7], 2)) for i in range(length))
