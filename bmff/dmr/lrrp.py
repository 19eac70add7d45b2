"""
Where radios are, asked and answered on UDP port 4001 as Motorola's radios do it (the location
request and response protocol, LRRP): as has been seen in the field, since no standard of it was
published.

A document has a kind, a length, and elements, each a byte that names it and its value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

from bmff.errors import ProtocolError

PORT: Final = 4001

_LONGEST: Final = 255  # bytes of elements
_LONGEST_NUMBER: Final = 5  # bytes: more than 32 bits
_LATITUDE_STEP: Final = 180 / (1 << 32)  # degrees
_LONGITUDE_STEP: Final = 360 / (1 << 32)
_DIRECTION_STEP: Final = 2  # degrees
_INTERVAL: Final = bytes((0x34, 0x31))  # a trigger that comes again, and in how many seconds


class Kind(IntEnum):
    """
    What a document is.
    """

    REQUEST = 0x05
    REPORT = 0x07
    START_REQUEST = 0x09  # reports whenever something triggers one
    START_ANSWER = 0x0B
    TRIGGERED_REPORT = 0x0D
    STOP_REQUEST = 0x0F
    STOP_ANSWER = 0x11
    VERSION_REQUEST = 0x14
    VERSION_ANSWER = 0x15


_REPORTS: Final = frozenset(
    (Kind.REPORT, Kind.START_ANSWER, Kind.TRIGGERED_REPORT, Kind.STOP_ANSWER)
)


@dataclass(frozen=True, slots=True)
class LocationDocument:
    """
    One document.

    @ivar kind: what it is.
    @ivar request: which request it is or answers, up to 255 bytes.
    @ivar result: 0, or why there is no position.
    @ivar latitude: degrees, north positive; L{None} without a position.
    @ivar longitude: degrees, east positive; L{None} without a position.
    @ivar radius: metres around it where the radio is, or L{None}.
    @ivar altitude: metres, or L{None}.
    @ivar speed: metres a second, or L{None}.
    @ivar direction: degrees from north to east, in steps of two, or L{None}.
    @ivar moment: when it was there, or L{None}.
    @ivar rest: elements of a request, and those of a report from the first unknown one on, as they
        are.
    """

    kind: Kind
    request: bytes = b""
    result: int = 0
    latitude: float | None = None
    longitude: float | None = None
    radius: float | None = None
    altitude: float | None = None
    speed: float | None = None
    direction: int | None = None
    moment: datetime | None = None
    rest: bytes = b""

    def encode(self) -> bytes:
        """
        The payload of its datagram; of a report only what a request or a result is.

        @raise ValueError: when it has more than 255 bytes of elements.
        """
        body = b""
        if self.request:
            body += bytes((0x22, len(self.request))) + self.request
        if self.result:
            body += b"\x37" + _variable(self.result)
        body += self.rest
        if len(body) > _LONGEST:
            raise ValueError(f"a location document cannot have {len(body)} bytes")
        return bytes((self.kind, len(body))) + body


def locationRequest(request: int, interval: int = 0) -> LocationDocument:
    """
    The question where a radio is.

    @param request: by which number the answer names it, 32 bits.
    @param interval: in how many seconds it is to say that again and again; 0 for once.
    """
    named = request.to_bytes(4, "big")
    if interval:
        return LocationDocument(Kind.START_REQUEST, named, rest=_INTERVAL + _variable(interval))
    return LocationDocument(Kind.REQUEST, named)


def decode(payload: bytes) -> LocationDocument:
    """
    What is in a datagram.

    @raise ProtocolError: when it is cut off, or of an unknown kind.
    """
    if len(payload) < 2 or len(payload) < 2 + payload[1]:
        raise ProtocolError("location document cut off")
    try:
        document = LocationDocument(Kind(payload[0]))
    except ValueError:
        raise ProtocolError("location document of an unknown kind") from None
    elements = _Elements(payload[2 : 2 + payload[1]])
    while not elements.ended:
        place = elements.place
        name = elements.byte()
        if name == 0x22:
            document = replace(document, request=elements.take(elements.byte()))
        elif document.kind in _REPORTS and name in _READERS:
            document = _READERS[name](elements, document)
        else:
            return replace(document, rest=elements.data[place:])
    return document


class _Elements:
    """
    The elements of a document, read one after the other.
    """

    __slots__ = ("data", "place")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    @property
    def ended(self) -> bool:
        return self.place >= len(self.data)

    def take(self, count: int) -> bytes:
        end = self.place + count
        if end > len(self.data):
            raise ProtocolError("location document cut off")
        taken = self.data[self.place : end]
        self.place = end
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def variable(self) -> int:
        """
        A number in as many bytes as it takes, seven bits in each.
        """
        value = 0
        for _ in range(_LONGEST_NUMBER):
            byte = self.byte()
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                return value
        raise ProtocolError("location document with a number that is too long")

    def decimal(self) -> float:
        """
        Such a number, and parts of 128 in the same way.
        """
        whole = self.variable()
        start = self.place
        part = self.variable()
        return whole + part / (1 << 7 * (self.place - start))

    def coordinates(self) -> tuple[float, float]:
        """
        Latitude, whose first bit is its sign, and longitude, in two's complement.
        """
        north = int.from_bytes(self.take(4), "big")
        east = int.from_bytes(self.take(4), "big", signed=True)
        latitude = (north & 0x7FFFFFFF) * _LATITUDE_STEP
        return (-latitude if north >> 31 else latitude), east * _LONGITUDE_STEP


def _result(elements: _Elements, document: LocationDocument) -> LocationDocument:
    return replace(document, result=elements.variable())


def _success(elements: _Elements, document: LocationDocument) -> LocationDocument:
    return document


def _moment(elements: _Elements, document: LocationDocument) -> LocationDocument:
    bits = int.from_bytes(elements.take(5), "big")
    fields = (bits >> 26, bits >> 22 & 15, bits >> 17 & 31, bits >> 12 & 31, bits >> 6 & 63)
    try:
        return replace(document, moment=datetime(*fields, bits & 63, tzinfo=UTC))
    except ValueError:
        raise ProtocolError("location document of no day") from None


def _point(elements: _Elements, document: LocationDocument) -> LocationDocument:
    latitude, longitude = elements.coordinates()
    return replace(document, latitude=latitude, longitude=longitude)


def _circle(elements: _Elements, document: LocationDocument) -> LocationDocument:
    return replace(_point(elements, document), radius=elements.decimal())


def _cylinder(elements: _Elements, document: LocationDocument) -> LocationDocument:
    document = replace(_circle(elements, document), altitude=elements.decimal())
    elements.decimal()  # how wrong the altitude may be
    return document


def _highPoint(elements: _Elements, document: LocationDocument) -> LocationDocument:
    return replace(_point(elements, document), altitude=elements.decimal())


def _direction(elements: _Elements, document: LocationDocument) -> LocationDocument:
    return replace(document, direction=elements.byte() * _DIRECTION_STEP)


def _speed(elements: _Elements, document: LocationDocument) -> LocationDocument:
    return replace(document, speed=elements.decimal())


def _climb(elements: _Elements, document: LocationDocument) -> LocationDocument:
    elements.decimal()
    return document


_READERS: Final[dict[int, Callable[[_Elements, LocationDocument], LocationDocument]]] = {
    0x34: _moment,
    0x37: _result,
    0x38: _success,
    0x51: _circle,
    0x55: _cylinder,
    0x56: _direction,
    0x66: _point,
    0x69: _highPoint,
    0x6A: _highPoint,
    0x6C: _speed,
    0x70: _climb,
}


def _variable(value: int) -> bytes:
    """
    A number in as many bytes as it takes, seven bits in each.
    """
    data = bytes((value & 0x7F,))
    while value := value >> 7:
        data = bytes((0x80 | value & 0x7F,)) + data
    return data
