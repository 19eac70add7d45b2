"""
The Golay(20,8,7) code that protects the slot type of a data burst, ETSI TS 102 361-1 §B.3.1.

It is the extended Golay(24,12,8) code without its first four data bits, so any two words differ in
8 bits or more: three errors are corrected and four are seen.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

from bmff.errors import ProtocolError

_LENGTH: Final = 20  # bits of a word: 8 of data, 11 of remainder, 1 of parity
_GENERATOR: Final = 0xC75  # x^11 + x^10 + x^6 + x^5 + x^4 + x^2 + 1


def _encode(value: int) -> int:
    remainder = value << 11
    for shift in range(7, -1, -1):
        if remainder >> 11 + shift & 1:
            remainder ^= _GENERATOR << shift
    word = value << 11 | remainder
    return word << 1 | word.bit_count() & 1


_WORDS: Final = tuple(_encode(value) for value in range(256))


def _syndrome(word: int) -> int:
    return (_WORDS[word >> 12] ^ word) & 0xFFF


_ERRORS: Final = {
    _syndrome(error): error
    for count in range(4)
    for error in map(sum, combinations([1 << bit for bit in range(_LENGTH)], count))
}


def encode(value: int) -> int:
    """
    The word for a value.

    @param value: 8 bits.
    @return: 20 bits, the value in the upper 8.
    """
    return _WORDS[value]


def decode(word: int) -> int:
    """
    The value of a word in which up to three bits are wrong.

    @param word: 20 bits.
    @return: 8 bits.
    @raise ProtocolError: when more are wrong than the code corrects.
    """
    error = _ERRORS.get(_syndrome(word))
    if error is None:
        raise ProtocolError("uncorrectable Golay word")
    return (word ^ error) >> 12
