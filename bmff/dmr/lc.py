"""
The full Link Control of a voice call, which says who talks to whom, ETSI TS 102 361-1 §7.1 and
§9.1.6 and TS 102 361-2 §7.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from bmff.errors import ProtocolError

# Opcodes (FLCO) of a Link Control that carries addresses, TS 102 361-2 §B.1.
GROUP_CALL: Final = 0
PRIVATE_CALL: Final = 3

_LAYOUT: Final = Struct(">BBBBHBH")  # opcode, feature set, options, two addresses of 24 bits
_PROTECTED: Final = 0x80
_OPCODE: Final = 0x3F


@dataclass(frozen=True, slots=True)
class FullLinkControl:
    """
    The Link Control of a voice header, a terminator or, embedded, of a superframe.

    @ivar flco: the opcode, 6 bits; L{GROUP_CALL}, L{PRIVATE_CALL}, or one that is not a call's,
        whose addresses are then not addresses.
    @ivar fid: the feature set, 8 bits: 0 the standard's, else a manufacturer's.
    @ivar options: the service options (emergency, privacy, broadcast, priority), 8 bits.
    @ivar destination: the talkgroup or the radio ID, 24 bits.
    @ivar source: the radio ID that talks, 24 bits.
    @ivar protected: the protect flag.
    """

    flco: int
    fid: int
    options: int
    destination: int
    source: int
    protected: bool = False

    @classmethod
    def group(cls, destination: int, source: int) -> FullLinkControl:
        """
        A plain call to a talkgroup.
        """
        return cls(GROUP_CALL, 0, 0, destination, source)

    @classmethod
    def private(cls, destination: int, source: int) -> FullLinkControl:
        """
        A plain call to a radio.
        """
        return cls(PRIVATE_CALL, 0, 0, destination, source)

    @classmethod
    def fromBytes(cls, data: bytes) -> FullLinkControl:
        """
        The Link Control in its 9 bytes; the reserved bit is ignored.

        @raise ProtocolError: when they are not 9.
        """
        if len(data) != _LAYOUT.size:
            raise ProtocolError("Link Control of a wrong size")
        first, fid, options, high, low, sourceHigh, sourceLow = _LAYOUT.unpack(data)
        return cls(
            first & _OPCODE,
            fid,
            options,
            high << 16 | low,
            sourceHigh << 16 | sourceLow,
            bool(first & _PROTECTED),
        )

    def toBytes(self) -> bytes:
        """
        Its 9 bytes.
        """
        return _LAYOUT.pack(
            self.flco | (_PROTECTED if self.protected else 0),
            self.fid,
            self.options,
            self.destination >> 16,
            self.destination & 0xFFFF,
            self.source >> 16,
            self.source & 0xFFFF,
        )
