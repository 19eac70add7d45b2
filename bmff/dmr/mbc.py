"""
Control signalling that takes more than one burst: a header like a CSBK, and up to three blocks that
continue it (MBC), ETSI TS 102 361-1 §7.4 and §9.1.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bmff.dmr import crc
from bmff.dmr.csbk import CSBK
from bmff.errors import ProtocolError

MOST_BLOCKS: Final = 3  # that continue a header
_LAST: Final = 0x80


@dataclass(frozen=True, slots=True)
class MultiBlock:
    """
    A header and what continues it.

    @ivar header: what the first burst says; there its C{last} is L{False}.
    @ivar blocks: what each burst but the last one continues it with, 12 bytes, without the bit that
        tells the last one.
    @ivar final: what the last one continues it with, 10 bytes, without that bit.
    """

    header: CSBK
    blocks: tuple[bytes, ...]
    final: bytes

    @classmethod
    def decode(cls, header: bytes, blocks: Sequence[bytes]) -> MultiBlock:
        """
        What the bursts say together.

        @param header: 12 bytes.
        @param blocks: all that continue it, 12 bytes each.
        @raise ProtocolError: when some are missing, or a check fails.
        """
        first = CSBK.decode(header, crc.MBC_HEADER_MASK)
        if not 0 < len(blocks) <= MOST_BLOCKS or any(len(block) != crc.SIZE for block in blocks):
            raise ProtocolError("blocks of a wrong number or size")
        if [bool(block[0] & _LAST) for block in blocks] != [False] * (len(blocks) - 1) + [True]:
            raise ProtocolError("last block missing")
        whole = b"".join(blocks)
        if crc.ccitt(whole[:-2]) != int.from_bytes(whole[-2:], "big"):
            raise ProtocolError("wrong CRC of several blocks")
        return cls(first, tuple(map(_unmarked, blocks[:-1])), _unmarked(blocks[-1])[:-2])

    def encode(self) -> tuple[bytes, ...]:
        """
        The 12 bytes of each burst, the header's first.
        """
        final = bytes((self.final[0] | _LAST,)) + self.final[1:]
        whole = b"".join((*self.blocks, final))
        check = crc.ccitt(whole).to_bytes(2, "big")
        return (self.header.encode(crc.MBC_HEADER_MASK), *self.blocks, final + check)


def _unmarked(block: bytes) -> bytes:
    return bytes((block[0] & ~_LAST,)) + block[1:]
