"""
The cyclic redundancy checks of data: CRC-CCITT, CRC-9 and CRC-32, and the masks that tell apart
what they protect, ETSI TS 102 361-1 §B.3.8 to §B.3.12.
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import Final

from bmff.errors import ProtocolError

SIZE: Final = 12  # bytes of a block whose last two are a CRC-CCITT

# Over the CRC-CCITT.
PI_HEADER_MASK: Final = 0x6969
CSBK_MASK: Final = 0xA5A5
MBC_HEADER_MASK: Final = 0xAAAA
DATA_HEADER_MASK: Final = 0xCCCC

# Over the CRC-9 of a confirmed block.
RATE_12_MASK: Final = 0x0F0
RATE_34_MASK: Final = 0x1FF
RATE_1_MASK: Final = 0x10F

_GENERATOR_9: Final = 0x259  # x^9 + x^6 + x^4 + x^3 + 1
_GENERATOR_32: Final = 0x104C11DB7
_SERIAL_BITS: Final = 7


def _remainder(value: int, degree: int, generator: int) -> int:
    """
    What is left of a byte, times x^degree, after division by a generator.
    """
    value <<= degree
    for shift in range(7, -1, -1):
        if value >> degree + shift & 1:
            value ^= generator << shift
    return value


_TABLE_9: Final = tuple(_remainder(byte, 9, _GENERATOR_9) for byte in range(256))
_TABLE_32: Final = tuple(_remainder(byte, 32, _GENERATOR_32) for byte in range(256))


def ccitt(data: bytes) -> int:
    """
    The CRC-CCITT of some bytes, 16 bits, inverted and without a mask, §B.3.8.
    """
    return crc_hqx(data, 0) ^ 0xFFFF


def crc9(data: bytes, serial: int) -> int:
    """
    The CRC-9 of a confirmed block, inverted and without a mask, §B.3.10.

    @param serial: the block's serial number, 7 bits, which counts as the last bits of the data.
    """
    value = 0
    for byte in data:
        value = value << 8 & 0x1FF ^ _TABLE_9[value >> 1 ^ byte]
    # The last seven bits, not a whole byte, go in one by one.
    for shift in range(_SERIAL_BITS - 1, -1, -1):
        divides = (value >> 8 ^ serial >> shift) & 1
        value = (value << 1 ^ (_GENERATOR_9 if divides else 0)) & 0x1FF
    return value ^ 0x1FF


def crc32(data: bytes) -> bytes:
    """
    The CRC-32 of a message as it stands behind it, 4 bytes, §B.3.9.

    The bytes go in in pairs, the second of each first; it is sent with its lowest byte first.

    @param data: an even number of bytes.
    """
    swapped = bytearray(data)
    swapped[::2], swapped[1::2] = data[1::2], data[::2]
    value = 0
    for byte in swapped:
        value = value << 8 & 0xFFFFFFFF ^ _TABLE_32[value >> 24 ^ byte]
    return value.to_bytes(4, "little")


def seal(data: bytes, mask: int) -> bytes:
    """
    A block with its masked CRC-CCITT.

    @param data: 10 bytes.
    @return: 12 bytes.
    """
    return data + (ccitt(data) ^ mask).to_bytes(2, "big")


def unseal(block: bytes, mask: int) -> bytes:
    """
    What is in a block whose CRC-CCITT is right.

    @param block: 12 bytes.
    @return: 10 bytes.
    @raise ProtocolError: when they are not 12, or the check fails.
    """
    if len(block) != SIZE:
        raise ProtocolError("block of a wrong size")
    data = block[:-2]
    if ccitt(data) ^ mask != int.from_bytes(block[-2:], "big"):
        raise ProtocolError("wrong CRC of a block")
    return data
