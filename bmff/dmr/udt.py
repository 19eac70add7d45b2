"""
The text in the blocks of unified data transport, ETSI TS 102 361-4 §7.2.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from bmff.dmr.datablock import SIZES
from bmff.dmr.dataheader import UDTHeader
from bmff.dmr.frame import RATE_12
from bmff.errors import ProtocolError

MOST_BLOCKS: Final = 4
_CHECK_SIZE: Final = 2  # bytes at the end of the blocks


class Form(IntEnum):
    """
    How the blocks are to be read, TS 102 361-1 §9.3.29.
    """

    BINARY = 0
    ADDRESS = 1
    BCD = 2
    ISO_7_BIT = 3
    ISO_8_BIT = 4
    NMEA = 5
    IP_ADDRESS = 6
    UTF_16 = 7
    MANUFACTURER_8 = 8
    MANUFACTURER_9 = 9
    ADDRESS_AND_UTF_16 = 10


def decodeText(header: UDTHeader, payload: bytes) -> str:
    """
    The text of a message.

    @param payload: what its blocks carry.
    @raise ProtocolError: when it is none of text.
    """
    nibbles = 2 * len(payload) - header.padNibbles % 2
    if header.form == Form.ISO_7_BIT:
        count = max(nibbles, 0) * 4 // 7
        bits = "".join(f"{byte:08b}" for byte in payload)
        text = "".join(chr(int(bits[7 * i : 7 * i + 7], 2)) for i in range(count))
    elif header.form == Form.ISO_8_BIT:
        text = payload.decode("latin-1")
    elif header.form == Form.UTF_16:
        text = payload.decode("utf-16-be", "ignore")
    elif header.form == Form.ADDRESS_AND_UTF_16:
        text = payload[3:].decode("utf-16-be", "ignore")
    elif header.form == Form.BCD:
        digits = "0123456789*#+???"
        text = "".join(digits[byte >> 4] + digits[byte & 15] for byte in payload)
        text = text[: max(nibbles, 0)]
    else:
        raise ProtocolError("unified data that is no text")
    return text.partition("\0")[0]


def encodeText(
    text: str, *, destination: int, source: int, group: bool = False, form: Form = Form.UTF_16
) -> tuple[UDTHeader, bytes]:
    """
    The header and the payload for a text.

    @param destination: the talkgroup or radio ID, 24 bits.
    @param source: the radio ID that sends, 24 bits.
    @param group: whether the destination is a talkgroup.
    @param form: L{Form.ISO_7_BIT}, L{Form.ISO_8_BIT} or L{Form.UTF_16}.
    @raise ValueError: when the form lacks one of the characters, or it takes more than four blocks.
    """
    if form is Form.UTF_16:
        payload = text.encode("utf-16-be")
        nibbles = 2 * len(payload)
    elif form is Form.ISO_8_BIT:
        payload = text.encode("latin-1")
        nibbles = 2 * len(payload)
    elif form is Form.ISO_7_BIT:
        bits = "".join(f"{byte:07b}" for byte in text.encode("ascii"))
        nibbles = -(-len(bits) // 4)
        size = -(-nibbles // 2)
        payload = int(bits.ljust(8 * size, "0") or "0", 2).to_bytes(size, "big")
    else:
        raise ValueError(f"{form.name} is no form of text")
    size = SIZES[RATE_12]
    blocks = max(-(-(len(payload) + _CHECK_SIZE) // size), 1)
    if blocks > MOST_BLOCKS:
        raise ValueError(f"a text of {len(payload)} bytes takes more than {MOST_BLOCKS} blocks")
    header = UDTHeader(
        destination=destination,
        source=source,
        group=group,
        form=form,
        blocks=blocks,
        padNibbles=2 * (blocks * size - _CHECK_SIZE) - nibbles,
    )
    return header, payload
