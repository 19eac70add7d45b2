"""
The Hamming(15,11,3) and Hamming(13,9,3) codes of BPTC(196,96), ETSI TS 102 361-1 §B.3.

Both have the generator x^4 + x + 1, which makes the shorter one the longer one with two leading
zeros: one table of syndromes and one L{encode} do for both.
"""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 15  # bits of the longer word
_GENERATOR: Final = 0b10011


def _bitSyndromes() -> list[int]:
    """
    The syndrome of an error in each bit, the lowest first: the powers of x modulo the generator.
    """
    powers = [1]
    while len(powers) < _LONGEST:
        power = powers[-1] << 1
        powers.append(power ^ _GENERATOR if power >> 4 else power)
    return powers


def _allSyndromes() -> bytes:
    syndromes = [0]
    for syndrome in _bitSyndromes():
        syndromes += [syndrome ^ lower for lower in syndromes]
    return bytes(syndromes)


_SYNDROMES: Final = _allSyndromes()
_ERRORS: Final = {0: 0} | {syndrome: 1 << bit for bit, syndrome in enumerate(_bitSyndromes())}


def encode(data: int) -> int:
    """
    The word for some data.

    @param data: 11 or 9 bits.
    @return: 15 or 13 bits, the data in the upper ones.
    """
    return data << 4 | _SYNDROMES[data << 4]


def syndrome(word: int) -> int:
    """
    What tells of errors in a word: 0 when there is none to be seen, else 1 to 15.

    @param word: 15 or 13 bits.
    """
    return _SYNDROMES[word]


def correct(word: int, length: int) -> int:
    """
    A word with its one wrong bit put right; the word itself when that bit would not be in it, which
    shows that more than one is wrong.

    @param length: bits of the word, 15 or 13.
    """
    error = _ERRORS[_SYNDROMES[word]]
    return word if error >> length else word ^ error
