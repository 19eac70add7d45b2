"""
The Reed-Solomon(12,9) code that protects a full Link Control, ETSI TS 102 361-1 §B.3.6.

Its symbols are the bytes, as elements of GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1; its generator is
(x + a)(x + a^2)(x + a^3) with a = 2. One wrong byte is corrected and two are seen.
"""

from __future__ import annotations

from typing import Final

from bmff.errors import ProtocolError

DATA_SIZE: Final = 9  # bytes
SIZE: Final = 12  # bytes, with three of parity
HEADER_MASK: Final = b"\x96\x96\x96"  # over the parity of a voice header, §B.3.12
TERMINATOR_MASK: Final = b"\x99\x99\x99"  # over that of a terminator
_GENERATOR: Final = (0x0E, 0x38, 0x40)  # its coefficients below x^3, the highest first


def _powers() -> list[int]:
    powers = [1]
    while len(powers) < 255:
        power = powers[-1] << 1
        powers.append(power ^ 0x11D if power >> 8 else power)
    return powers


_POWERS: Final = _powers() * 2  # of a; twice, so that a sum of two logarithms is an index
_LOGARITHMS: Final = {power: exponent for exponent, power in enumerate(_POWERS[:255])}


def _multiply(left: int, right: int) -> int:
    if left == 0 or right == 0:
        return 0
    return _POWERS[_LOGARITHMS[left] + _LOGARITHMS[right]]


def parity(data: bytes) -> bytes:
    """
    The three bytes that follow the data, without a mask.

    @param data: 9 bytes.
    """
    first = second = third = 0
    for byte in data:
        factor = byte ^ first
        first = second ^ _multiply(factor, _GENERATOR[0])
        second = third ^ _multiply(factor, _GENERATOR[1])
        third = _multiply(factor, _GENERATOR[2])
    return bytes((first, second, third))


def encode(data: bytes, mask: bytes) -> bytes:
    """
    Data with its masked parity.

    @param data: 9 bytes.
    @param mask: 3 bytes, L{HEADER_MASK} or L{TERMINATOR_MASK}.
    @return: 12 bytes.
    """
    return data + _mask(parity(data), mask)


def decode(word: bytes, mask: bytes) -> bytes:
    """
    The data of a word in which one byte may be wrong.

    @param word: 12 bytes, the last three masked.
    @param mask: 3 bytes, L{HEADER_MASK} or L{TERMINATOR_MASK}.
    @return: 9 bytes.
    @raise ProtocolError: when more is wrong than the code corrects.
    """
    symbols = bytearray(word[:DATA_SIZE] + _mask(word[DATA_SIZE:], mask))
    one, two, three = (_evaluate(symbols, exponent) for exponent in (1, 2, 3))
    if one or two or three:
        # An error e in the coefficient of x^n gives e a^n, e a^2n and e a^3n.
        if 0 in {one, two, three} or _multiply(one, three) != _multiply(two, two):
            raise ProtocolError("uncorrectable Reed-Solomon word")
        place = (_LOGARITHMS[two] - _LOGARITHMS[one]) % 255
        if place >= SIZE:
            raise ProtocolError("uncorrectable Reed-Solomon word")
        symbols[SIZE - 1 - place] ^= _POWERS[(_LOGARITHMS[one] - place) % 255]
    return bytes(symbols[:DATA_SIZE])


def _evaluate(symbols: bytearray, exponent: int) -> int:
    """
    The word as a polynomial, its first byte the highest coefficient, at a^exponent.
    """
    value = 0
    for symbol in symbols:
        value = _multiply(value, _POWERS[exponent]) ^ symbol
    return value


def _mask(parityBytes: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ over for byte, over in zip(parityBytes, mask, strict=True))
