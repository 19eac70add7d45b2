"""
The position that a radio sends along with its voice: the 7 bytes of the Link Control's GPS Info,
ETSI TS 102 361-2 §7.1.1.3 and §7.2.15 to §7.2.17.

After four reserved bits come the error (3 bits), the longitude (25) and the latitude (24), both as
two's complement parts of the circle and of the half circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bmff.errors import ProtocolError

UNKNOWN_ERROR: Final = 7

_SIZE: Final = 7  # bytes
_LONGITUDE_BITS: Final = 25
_LATITUDE_BITS: Final = 24
_LONGITUDE_STEP: Final = 360 / (1 << _LONGITUDE_BITS)  # degrees
_LATITUDE_STEP: Final = 180 / (1 << _LATITUDE_BITS)  # degrees


@dataclass(frozen=True, slots=True)
class Position:
    """
    Where a radio is, to about a metre.

    @ivar latitude: degrees, north positive, -90 to 90.
    @ivar longitude: degrees, east positive, -180 to 180.
    @ivar error: how far from it the radio may be: 0 to 5 for less than 2 * 10**error m, 6 for more
        than 200 km, L{UNKNOWN_ERROR}.
    """

    latitude: float
    longitude: float
    error: int = UNKNOWN_ERROR


def decodePosition(data: bytes) -> Position:
    """
    The position in 7 bytes; more are ignored.

    @raise ProtocolError: when there are fewer.
    """
    if len(data) < _SIZE:
        raise ProtocolError("position cut off")
    value = int.from_bytes(data[:_SIZE], "big")
    return Position(
        latitude=_signed(value, _LATITUDE_BITS) * _LATITUDE_STEP,
        longitude=_signed(value >> _LATITUDE_BITS, _LONGITUDE_BITS) * _LONGITUDE_STEP,
        error=value >> _LATITUDE_BITS + _LONGITUDE_BITS & 0x07,
    )


def encodePosition(position: Position) -> bytes:
    """
    The 7 bytes for a position; 180 degrees east are sent as 180 west.
    """
    # The north pole itself has no code: it would be the south pole's.
    latitude = min(round(position.latitude / _LATITUDE_STEP), (1 << _LATITUDE_BITS - 1) - 1)
    longitude = round(position.longitude / _LONGITUDE_STEP)
    value = position.error << _LONGITUDE_BITS | longitude & (1 << _LONGITUDE_BITS) - 1
    value = value << _LATITUDE_BITS | latitude & (1 << _LATITUDE_BITS) - 1
    return value.to_bytes(_SIZE, "big")


def _signed(value: int, bits: int) -> int:
    """
    The lowest bits of a value as a number in two's complement.
    """
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value
