"""
The quadratic residue code QR(16,7,6) that protects the EMB field of a voice burst,
ETSI TS 102 361-1 §B.3.2.

It is the cyclic QR(17,9,5) code without its first two data bits, and with a bit of parity, so any
two words differ in 6 bits or more: two errors are corrected and three are seen.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

from bmff.errors import ProtocolError

_LENGTH: Final = 16  # bits of a word: 7 of data, 8 of remainder, 1 of parity
_GENERATOR: Final = 0x139  # x^8 + x^5 + x^4 + x^3 + 1


def _encode(value: int) -> int:
    remainder = value << 8
    for shift in range(6, -1, -1):
        if remainder >> 8 + shift & 1:
            remainder ^= _GENERATOR << shift
    word = value << 8 | remainder
    return word << 1 | word.bit_count() & 1


_WORDS: Final = tuple(_encode(value) for value in range(128))


def _syndrome(word: int) -> int:
    return (_WORDS[word >> 9] ^ word) & 0x1FF


_ERRORS: Final = {
    _syndrome(error): error
    for count in range(3)
    for error in map(sum, combinations([1 << bit for bit in range(_LENGTH)], count))
}


def encode(value: int) -> int:
    """
    The word for a value.

    @param value: 7 bits.
    @return: 16 bits, the value in the upper 7.
    """
    return _WORDS[value]


def decode(word: int) -> int:
    """
    The value of a word in which up to two bits are wrong.

    @param word: 16 bits.
    @return: 7 bits.
    @raise ProtocolError: when more are wrong than the code corrects.
    """
    error = _ERRORS.get(_syndrome(word))
    if error is None:
        raise ProtocolError("uncorrectable quadratic residue word")
    return (word ^ error) >> 9
