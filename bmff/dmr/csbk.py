"""
The control signalling block (CSBK), one burst that orders, asks or announces something,
ETSI TS 102 361-1 §7.2 and §9.1.7, TS 102 361-2 §7.1.2 and TS 102 361-4 §7.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from bmff.dmr import crc
from bmff.errors import ProtocolError

PREAMBLE: Final = 0x3D  # opcode of what wakes a radio before data

# Opcodes whose bytes 4 to 6 are a destination and 7 to 9 a source, by feature set (TS 102 361-2
# §B.2, TS 102 361-4 §B.1); those of Motorola, 0x10, are of radios as they are.
_ADDRESSED: Final = frozenset(
    [(0, opcode) for opcode in (0x04, 0x05, 0x26, PREAMBLE, 0x1C, 0x20, 0x21, 0x22, 0x23)]
    + [(0, opcode) for opcode in range(0x30, 0x38)]  # grants of channels
    + [(0x10, opcode) for opcode in (0x1F, 0x20, 0x24)]  # call alert, its answer, radio check
)

_DATA_SIZE: Final = 8  # bytes
_LAST: Final = 0x80
_PROTECTED: Final = 0x40
_OPCODE: Final = 0x3F
_IS_DATA: Final = 0x80
_GROUP: Final = 0x40


@dataclass(frozen=True, slots=True)
class CSBK:
    """
    One block.

    @ivar opcode: what it says (CSBKO), 6 bits.
    @ivar data: what it says it with, 8 bytes.
    @ivar fid: whose opcode that is: 0 the standard's, else a manufacturer's, 8 bits.
    @ivar last: whether no other block belongs to it.
    @ivar protected: the protect flag.
    """

    opcode: int
    data: bytes
    fid: int = 0
    last: bool = True
    protected: bool = False

    @classmethod
    def decode(cls, block: bytes, mask: int = crc.CSBK_MASK) -> CSBK:
        """
        The block in the 12 bytes of a burst.

        @param mask: over its CRC-CCITT; the header of several blocks has another.
        @raise ProtocolError: when they are not 12, or their check fails.
        """
        data = crc.unseal(block, mask)
        first = data[0]
        return cls(
            first & _OPCODE, data[2:], data[1], bool(first & _LAST), bool(first & _PROTECTED)
        )

    def encode(self, mask: int = crc.CSBK_MASK) -> bytes:
        """
        Its 12 bytes.
        """
        first = self.opcode | (_LAST if self.last else 0) | (_PROTECTED if self.protected else 0)
        return crc.seal(bytes((first, self.fid)) + self.data, mask)

    @property
    def addressed(self) -> bool:
        """
        Whether it is of a kind that says from whom and to whom it is.
        """
        return (self.fid, self.opcode) in _ADDRESSED

    @property
    def destination(self) -> int:
        """
        Where a destination is in a block that is L{addressed}, 24 bits.
        """
        return int.from_bytes(self.data[2:5], "big")

    @property
    def source(self) -> int:
        """
        Where a source is in a block that is L{addressed}, 24 bits.
        """
        return int.from_bytes(self.data[5:8], "big")

    def readdressed(self, destination: int, source: int, group: bool) -> CSBK:
        """
        The same with other addresses.

        @param destination: 24 bits.
        @param source: 24 bits.
        @param group: whether the destination is a talkgroup, where the block says it.
        """
        head = self.data[:2]
        if self.fid == 0 and self.opcode == PREAMBLE:
            head = bytes((head[0] & ~_GROUP | (_GROUP if group else 0), head[1]))
        addresses = destination.to_bytes(3, "big") + source.to_bytes(3, "big")
        return replace(self, data=head + addresses)


@dataclass(frozen=True, slots=True)
class Preamble:
    """
    What wakes a radio that sleeps between calls and tells it what is coming, TS 102 361-2
    §7.1.2.5.

    @ivar destination: the talkgroup or radio ID, 24 bits.
    @ivar source: the radio ID that sends, 24 bits.
    @ivar following: how many bursts are to follow this one, 0 to 255.
    @ivar group: whether the destination is a talkgroup.
    @ivar data: whether data follows, not another CSBK.
    """

    destination: int
    source: int
    following: int
    group: bool = False
    data: bool = True

    @classmethod
    def decode(cls, block: bytes) -> Preamble:
        """
        The preamble in the 12 bytes of a burst.

        @raise ProtocolError: when they are not one.
        """
        csbk = CSBK.decode(block)
        if csbk.fid != 0 or csbk.opcode != PREAMBLE:
            raise ProtocolError("CSBK that is no preamble")
        flags, following = csbk.data[:2]
        return cls(
            csbk.destination,
            csbk.source,
            following,
            bool(flags & _GROUP),
            bool(flags & _IS_DATA),
        )

    def encode(self) -> bytes:
        """
        Its 12 bytes.
        """
        flags = (_IS_DATA if self.data else 0) | (_GROUP if self.group else 0)
        addresses = self.destination.to_bytes(3, "big") + self.source.to_bytes(3, "big")
        return CSBK(PREAMBLE, bytes((flags, self.following)) + addresses).encode()
