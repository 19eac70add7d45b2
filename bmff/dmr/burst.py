"""
The data burst, 33 bytes that carry 196 bits, a sync and a slot type, and the two kinds of it that
begin and end a voice call, the header and the terminator, ETSI TS 102 361-1 §6.2, §7.1 and §9.1.

From the first bit to the last: 98 bits of information, 10 of the slot type, 48 of sync, 10 of the
slot type, 98 of information.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bmff.dmr import bptc, golay, reedsolomon
from bmff.dmr.frame import TERMINATOR, VOICE_HEADER, Frame
from bmff.dmr.lc import FullLinkControl
from bmff.errors import ProtocolError

SIZE: Final = 33  # bytes

_HALF: Final = (1 << 98) - 1  # of the information
_HALF_SLOT_TYPE: Final = (1 << 10) - 1
_MASKS: Final = {
    VOICE_HEADER: reedsolomon.HEADER_MASK,
    TERMINATOR: reedsolomon.TERMINATOR_MASK,
}


class Sync(IntEnum):
    """
    The patterns in the middle of a burst, which tell its kind and its sender, 48 bits, §9.1.1.
    """

    BS_VOICE = 0x755FD7DF75F7
    BS_DATA = 0xDFF57D75DF5D
    MS_VOICE = 0x7F7D5DD57DFD
    MS_DATA = 0xD5D7F77FD757
    MS_REVERSE_CHANNEL = 0x77D55F7DFD77
    DIRECT_1_VOICE = 0x5D577F7757FF
    DIRECT_1_DATA = 0xF7FDD5DDFD55
    DIRECT_2_VOICE = 0x7DFFD5F55D5F
    DIRECT_2_DATA = 0xD7557F5FF7F5


@dataclass(frozen=True, slots=True)
class SlotType:
    """
    What a data burst says of itself, §9.1.3.

    @ivar colourCode: which system it belongs to, 0 to 15.
    @ivar dataType: what it carries, 0 to 15, as in L{bmff.dmr.frame}.
    """

    colourCode: int
    dataType: int


def sync(burst: bytes) -> Sync | None:
    """
    The sync of a burst; L{None} when it has none, or one with an error.

    @param burst: 33 bytes.
    @raise ProtocolError: when they are not 33.
    """
    try:
        return Sync(_bits(burst) >> 108 & (1 << 48) - 1)
    except ValueError:
        return None


def slotType(burst: bytes) -> SlotType:
    """
    The slot type of a data burst.

    @param burst: 33 bytes.
    @raise ProtocolError: when they are not 33, or it has more than three errors.
    """
    bits = _bits(burst)
    value = golay.decode((bits >> 156 & _HALF_SLOT_TYPE) << 10 | bits >> 98 & _HALF_SLOT_TYPE)
    return SlotType(value >> 4, value & 0x0F)


def colourCode(burst: bytes) -> int:
    """
    The colour code, 0 to 15, of a data burst.

    @param burst: 33 bytes.
    @raise ProtocolError: when they are not 33, or its slot type cannot be read.
    """
    return slotType(burst).colourCode


def information(burst: bytes) -> int:
    """
    The 196 bits that a data burst carries, the first as the highest.

    @param burst: 33 bytes.
    @raise ProtocolError: when they are not 33.
    """
    bits = _bits(burst)
    return bits >> 166 << 98 | bits & _HALF


def dataBurst(bits: int, slot: SlotType, pattern: Sync = Sync.BS_DATA) -> bytes:
    """
    A data burst, 33 bytes.

    @param bits: the 196 bits that it is to carry, the first as the highest.
    @param slot: what it is to say of itself.
    @param pattern: its sync.
    """
    word = golay.encode(slot.colourCode << 4 | slot.dataType)
    burst = bits >> 98
    burst = burst << 10 | word >> 10
    burst = burst << 48 | pattern
    burst = burst << 10 | word & _HALF_SLOT_TYPE
    burst = burst << 98 | bits & _HALF
    return burst.to_bytes(SIZE, "big")


def decodeVoiceHeader(burst: bytes) -> FullLinkControl:
    """
    The Link Control of a voice header or a terminator.

    @param burst: 33 bytes.
    @raise ProtocolError: when it is neither, or has more errors than its codes correct.
    """
    mask = _MASKS.get(slotType(burst).dataType)
    if mask is None:
        raise ProtocolError("burst without a Link Control")
    word = bptc.decode(information(burst))
    return FullLinkControl.fromBytes(reedsolomon.decode(word, mask))


def linkControlOf(frame: Frame) -> FullLinkControl:
    """
    The Link Control of a call, as far as its first frame tells: that of a voice header, else, and
    where that was received too badly, what the network says of the call.
    """
    if frame.dataType == VOICE_HEADER:
        try:
            return decodeVoiceHeader(frame.burst)
        except ProtocolError:
            pass
    make = FullLinkControl.private if frame.private else FullLinkControl.group
    return make(frame.destination, frame.source)


def voiceHeader(lc: FullLinkControl, colourCode: int = 1) -> bytes:
    """
    The burst that begins a voice call, 33 bytes, as a base station sends it.

    @param colourCode: 0 to 15; a repeater puts its own in place of it.
    """
    return _linkControlBurst(lc, SlotType(colourCode, VOICE_HEADER))


def terminator(lc: FullLinkControl, colourCode: int = 1) -> bytes:
    """
    The burst that ends a voice call, 33 bytes, as a base station sends it.

    @param colourCode: 0 to 15; a repeater puts its own in place of it.
    """
    return _linkControlBurst(lc, SlotType(colourCode, TERMINATOR))


def _linkControlBurst(lc: FullLinkControl, slot: SlotType) -> bytes:
    word = reedsolomon.encode(lc.toBytes(), _MASKS[slot.dataType])
    return dataBurst(bptc.encode(word), slot)


def _bits(burst: bytes) -> int:
    if len(burst) != SIZE:
        raise ProtocolError("burst of a wrong size")
    return int.from_bytes(burst, "big")
