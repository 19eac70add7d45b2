"""
The block product turbo code BPTC(196,96) of data bursts, ETSI TS 102 361-1 §B.1.1.

A block is a matrix of 13 rows and 15 columns: nine rows of Hamming(15,11,3), and under them four
that make each column a word of Hamming(13,9,3). (The code is linear, so those four are words of
Hamming(15,11,3) too.) Its bits are sent in another order, so that a burst of errors is spread out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bmff.dmr import hamming
from bmff.errors import ProtocolError

DATA_SIZE: Final = 12  # bytes
_LENGTH: Final = 196  # bits of a block: one reserved, then the matrix row by row
_WIDTH: Final = 15  # columns
_HEIGHT: Final = 13  # rows
_ROUNDS: Final = 5  # of correction; a block that needs more has not been seen to come right

# Bit i of a block is sent as bit 181 i mod 196; 13 is the inverse of 181.
_SENT: Final = [place * 13 % _LENGTH for place in range(_LENGTH)]
_UNSENT: Final = [place * 181 % _LENGTH for place in range(_LENGTH)]


def encode(data: bytes) -> int:
    """
    The block for some data.

    @param data: 12 bytes.
    @return: 196 bits in the order of sending, the first as the highest.
    """
    value = int.from_bytes(data, "big")  # with three reserved bits above it, nine times 11 bits
    rows = [hamming.encode(value >> shift & 0x7FF) for shift in range(88, -1, -11)]
    columns = [hamming.encode(column) for column in _transpose(rows, _WIDTH)]
    block = "".join(f"{row:015b}" for row in _transpose(columns, _HEIGHT))
    return _reorder("0" + block, _SENT)


def decode(bits: int) -> bytes:
    """
    The data of a block, in which up to three bits may be wrong anywhere, and mostly more.

    @param bits: 196 bits in the order of sending, the first as the highest.
    @return: 12 bytes.
    @raise ProtocolError: when its errors cannot be corrected.
    """
    block = _reorder(f"{bits:0196b}", _UNSENT)
    rows = [block >> shift & 0x7FFF for shift in range(180, -1, -_WIDTH)]
    for _ in range(_ROUNDS):
        columns = _transpose(rows, _WIDTH)
        if not (any(map(hamming.syndrome, rows)) or any(map(hamming.syndrome, columns))):
            return _data(rows)
        columns = [hamming.correct(column, _HEIGHT) for column in columns]
        rows = [hamming.correct(row, _WIDTH) for row in _transpose(columns, _HEIGHT)]
    raise ProtocolError("uncorrectable BPTC block")


def _reorder(bits: str, order: Sequence[int]) -> int:
    return int("".join([bits[place] for place in order]), 2)


def _transpose(words: Sequence[int], length: int) -> list[int]:
    """
    The columns of a matrix whose rows are words of L{length} bits.
    """
    rows = [f"{word:0{length}b}" for word in words]
    return [int("".join(column), 2) for column in zip(*rows, strict=True)]


def _data(rows: Sequence[int]) -> bytes:
    value = 0
    for row in rows[:9]:
        value = value << 11 | row >> 4
    return (value & (1 << 96) - 1).to_bytes(DATA_SIZE, "big")  # without the reserved bits
