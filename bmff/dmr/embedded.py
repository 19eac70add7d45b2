"""
What is embedded in the middle of a voice burst without sync: the EMB field, and a quarter of a Link
Control, ETSI TS 102 361-1 §7.1.3, §9.1.2 and §B.2.1.

The Link Control and its checksum of 5 bits are a matrix of seven rows of Hamming(16,11,4), which is
Hamming(15,11,3) with a bit of parity, and under them their sum. (The code is linear, so that is a
row of it too.) It is sent column by column, four columns in each of the bursts B to E.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce
from operator import xor
from typing import Final

from bmff.dmr import hamming, quadraticresidue
from bmff.dmr.burst import SIZE
from bmff.dmr.lc import FullLinkControl
from bmff.errors import ProtocolError

_HEIGHT: Final = 8  # rows, the sum included
_ROW_SHIFTS: Final = (40, 30, 20, 10, 0)  # of the rows that end in a bit of the checksum
_CORRECTABLE: Final = 3  # wrong bits; two matrices differ in 8 or more


class LCSS(IntEnum):
    """
    Link Control start and stop: which fragment a burst carries, §9.3.3.
    """

    SINGLE = 0  # or nothing at all
    FIRST = 1
    LAST = 2
    CONTINUATION = 3


@dataclass(frozen=True, slots=True)
class EMB:
    """
    What a voice burst without sync says of itself, §9.1.2.

    @ivar colourCode: which system it belongs to, 0 to 15.
    @ivar lcss: which fragment it carries.
    @ivar pi: the pre-emption and power control indicator: whether it carries something for the
        other slot, not a fragment.
    """

    colourCode: int
    lcss: LCSS
    pi: bool = False

    @classmethod
    def fromBurst(cls, burst: bytes) -> EMB:
        """
        That of a voice burst.

        @param burst: 33 bytes, of a voice burst B to F.
        @raise ProtocolError: when they are not 33, or it has more than two errors.
        """
        bits = _centre(burst)
        value = quadraticresidue.decode(bits >> 40 << 8 | bits & 0xFF)
        return cls(value >> 3, LCSS(value & 3), bool(value & 4))

    def toCentre(self, fragment: int = 0) -> int:
        """
        The 48 bits in the middle of a burst with this field.

        @param fragment: the 32 bits that it is to carry; 0, the null message, says nothing.
        """
        word = quadraticresidue.encode(self.colourCode << 3 | self.pi << 2 | self.lcss)
        return word >> 8 << 40 | fragment << 8 | word & 0xFF


def fragment(burst: bytes) -> int:
    """
    The 32 bits that are embedded in a voice burst.

    @param burst: 33 bytes, of a voice burst B to F.
    @raise ProtocolError: when they are not 33.
    """
    return _centre(burst) >> 8 & 0xFFFFFFFF


def encode(lc: FullLinkControl) -> tuple[int, ...]:
    """
    The fragments of a Link Control, 32 bits each, for the bursts B, C, D and E.
    """
    data = lc.toBytes()
    value = int.from_bytes(data, "big")
    checksum = _checksum(data)
    rows = [_row(value >> shift & 0x7FF) for shift in (61, 50)]
    for place, shift in enumerate(_ROW_SHIFTS):
        rows.append(_row((value >> shift & 0x3FF) << 1 | checksum >> 4 - place & 1))
    rows.append(reduce(xor, rows))
    columns = zip(*[f"{row:016b}" for row in rows], strict=True)
    matrix = int("".join(map("".join, columns)), 2)
    return tuple(matrix >> shift & 0xFFFFFFFF for shift in (96, 64, 32, 0))


def decode(fragments: Sequence[int]) -> FullLinkControl:
    """
    The Link Control in fragments in which up to three bits are wrong anywhere, and mostly more.

    @param fragments: four, of 32 bits each, from the bursts B, C, D and E.
    @raise ProtocolError: when their errors cannot be corrected.
    """
    matrix = "".join([f"{fragment:032b}" for fragment in fragments])
    rows = _correct([int(matrix[row::_HEIGHT], 2) for row in range(_HEIGHT)])
    value = rows[0] >> 5 << 11 | rows[1] >> 5
    checksum = 0
    for row in rows[2:7]:
        value = value << 10 | row >> 6
        checksum = checksum << 1 | row >> 5 & 1
    data = value.to_bytes(9, "big")
    if checksum != _checksum(data):
        raise ProtocolError("wrong checksum of an embedded Link Control")
    return FullLinkControl.fromBytes(data)


def _centre(burst: bytes) -> int:
    if len(burst) != SIZE:
        raise ProtocolError("burst of a wrong size")
    return int.from_bytes(burst[13:20], "big") >> 4 & (1 << 48) - 1


def _checksum(data: bytes) -> int:
    """
    The checksum of a Link Control, 0 to 30, §B.3.11.
    """
    return sum(data) % 31


def _row(data: int) -> int:
    """
    The word of Hamming(16,11,4) for 11 bits.
    """
    word = hamming.encode(data)
    return word << 1 | word.bit_count() & 1


def _correctRow(row: int) -> int:
    """
    A row with its one wrong bit put right; the row itself when it has none, or two.
    """
    return _row(hamming.correct(row >> 1, 15) >> 4) if row.bit_count() & 1 else row


def _correct(received: Sequence[int]) -> list[int]:
    """
    The eight rows without errors.

    All rows together must sum to zero, which puts right a single row that its own code does not:
    one with two errors, or one with three that was taken for another.
    """
    rows = [_correctRow(row) for row in received]
    total = reduce(xor, rows)
    suspects = [place for place, row in enumerate(rows) if hamming.syndrome(row >> 1)]
    if total or suspects:
        suspects = suspects or [place for place in range(_HEIGHT) if rows[place] != received[place]]
        if len(suspects) != 1:
            raise ProtocolError("uncorrectable embedded Link Control")
        (suspect,) = suspects
        rows[suspect] ^= total
        if (rows[suspect] ^ received[suspect]).bit_count() > _CORRECTABLE:
            raise ProtocolError("uncorrectable embedded Link Control")
    return rows
