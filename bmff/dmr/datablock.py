"""
The blocks of a data message: what a burst of each rate carries, and the serial number and check of
a confirmed block, ETSI TS 102 361-1 §8.2.2, §9.2.2, §9.2.7 and §B.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bmff.dmr import bptc, crc, trellis
from bmff.dmr.frame import RATE_1, RATE_12, RATE_34
from bmff.errors import ProtocolError

# Bytes that a burst carries, by data type.
SIZES: Final = {RATE_12: bptc.DATA_SIZE, RATE_34: trellis.DATA_SIZE, RATE_1: 24}
CONFIRMED_HEAD: Final = 2  # bytes of serial number and check

_MASKS: Final = {
    RATE_12: crc.RATE_12_MASK,
    RATE_34: crc.RATE_34_MASK,
    RATE_1: crc.RATE_1_MASK,
}
_HALF: Final = (1 << 96) - 1
_RESERVED: Final = 4  # bits in the middle of what a burst of rate 1 carries, two on either side


def encodeBlock(dataType: int, data: bytes) -> int:
    """
    What a burst carries for some data.

    @param dataType: L{RATE_12}, L{RATE_34} or L{RATE_1}.
    @param data: as many bytes as L{SIZES} says.
    @return: 196 bits, the first as the highest.
    """
    if dataType == RATE_12:
        return bptc.encode(data)
    if dataType == RATE_34:
        return trellis.encode(data)
    value = int.from_bytes(data, "big")
    return value >> 96 << 96 + _RESERVED | value & _HALF


def decodeBlock(dataType: int, bits: int) -> bytes:
    """
    The data in what a burst carries, with errors put right where its rate can.

    @param dataType: L{RATE_12}, L{RATE_34} or L{RATE_1}.
    @param bits: 196 bits, the first as the highest.
    @return: as many bytes as L{SIZES} says.
    @raise ProtocolError: when it is another data type, or its errors cannot be corrected.
    """
    if dataType == RATE_12:
        return bptc.decode(bits)
    if dataType == RATE_34:
        return trellis.decode(bits)
    if dataType == RATE_1:
        return (bits >> 96 + _RESERVED << 96 | bits & _HALF).to_bytes(SIZES[RATE_1], "big")
    raise ProtocolError("burst without a data block")


@dataclass(frozen=True, slots=True)
class ConfirmedBlock:
    """
    A block with a serial number and a check of its own, §9.2.2.

    @ivar serial: its place in the message, 0 to 127.
    @ivar data: what it carries, 10, 16 or 22 bytes by its rate.
    """

    serial: int
    data: bytes

    @classmethod
    def decode(cls, dataType: int, block: bytes) -> ConfirmedBlock:
        """
        The block in what L{decodeBlock} gives.

        @raise ProtocolError: when it is of a wrong size, or its check fails.
        """
        if len(block) != SIZES.get(dataType):
            raise ProtocolError("block of a wrong size")
        head = int.from_bytes(block[:CONFIRMED_HEAD], "big")
        serial, data = head >> 9, block[CONFIRMED_HEAD:]
        if crc.crc9(data, serial) ^ _MASKS[dataType] != head & 0x1FF:
            raise ProtocolError("wrong CRC of a block")
        return cls(serial, data)

    def encode(self, dataType: int) -> bytes:
        """
        Its bytes, for L{encodeBlock}.
        """
        check = crc.crc9(self.data, self.serial) ^ _MASKS[dataType]
        return (self.serial << 9 | check).to_bytes(CONFIRMED_HEAD, "big") + self.data
