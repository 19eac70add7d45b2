"""
The datagrams that radios send in data messages: UDP (RFC 768) in IPv4 (RFC 791), between addresses
whose last 24 bits are a radio ID or a talkgroup, as Motorola's radios do it and others after them.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from bmff.errors import ProtocolError

RADIO_NETWORK: Final = 12  # first byte of a radio's address
SERVER_NETWORK: Final = 13  # of what a radio talks to as an application
GROUP_NETWORK: Final = 225  # of a talkgroup's

_IP: Final = Struct(">BBHHHBBHII")
_UDP: Final = Struct(">HHHH")
_PSEUDO: Final = Struct(">IIHH")
_UDP_PROTOCOL: Final = 17
_TIME_TO_LIVE: Final = 64
_FRAGMENTED: Final = 0x3FFF  # more fragments, or not the first one


@dataclass(frozen=True, slots=True)
class Datagram:
    """
    One datagram.

    @ivar source: from where, 32 bits.
    @ivar destination: to where, 32 bits.
    @ivar sourcePort: 16 bits.
    @ivar destinationPort: which application it is for, 16 bits.
    @ivar payload: what that is told.
    @ivar identification: tells it from others, 16 bits.
    """

    source: int
    destination: int
    sourcePort: int
    destinationPort: int
    payload: bytes
    identification: int = 0

    @classmethod
    def decode(cls, data: bytes) -> Datagram:
        """
        The datagram in a data message; what follows it is ignored.

        @raise ProtocolError: when it is cut off, a checksum is wrong, or it is a part of one, or
            none of UDP.
        """
        if len(data) < _IP.size or data[0] >> 4 != 4:
            raise ProtocolError("no IPv4 datagram")
        _, _, total, identification, fragment, _, protocol, _, source, destination = (
            _IP.unpack_from(data)
        )
        head = 4 * (data[0] & 0x0F)
        if head < _IP.size or not head + _UDP.size <= total <= len(data):
            raise ProtocolError("IPv4 datagram cut off")
        if _sum(data[:head]) != 0xFFFF:
            raise ProtocolError("wrong checksum of an IPv4 datagram")
        if protocol != _UDP_PROTOCOL or fragment & _FRAGMENTED:
            raise ProtocolError("no UDP datagram")
        sourcePort, destinationPort, length, checksum = _UDP.unpack_from(data, head)
        if not _UDP.size <= length <= total - head:
            raise ProtocolError("UDP datagram cut off")
        datagram = data[head : head + length]
        pseudo = _PSEUDO.pack(source, destination, _UDP_PROTOCOL, length)
        if checksum and _sum(pseudo + datagram) != 0xFFFF:
            raise ProtocolError("wrong checksum of a UDP datagram")
        payload = datagram[_UDP.size :]
        return cls(source, destination, sourcePort, destinationPort, payload, identification)

    def encode(self) -> bytes:
        """
        Its bytes.

        @raise ValueError: when they are too many for a datagram.
        """
        length = _UDP.size + len(self.payload)
        if length + _IP.size > 0xFFFF:
            raise ValueError(f"a datagram cannot carry {len(self.payload)} bytes")
        pseudo = _PSEUDO.pack(self.source, self.destination, _UDP_PROTOCOL, length)
        ports = self.sourcePort, self.destinationPort, length
        # Zero would mean that there is no checksum.
        checksum = 0xFFFF - _sum(pseudo + _UDP.pack(*ports, 0) + self.payload) or 0xFFFF
        first = (0x45, 0, _IP.size + length, self.identification, 0, _TIME_TO_LIVE, _UDP_PROTOCOL)
        addresses = self.source, self.destination
        head = _IP.pack(*first, 0xFFFF - _sum(_IP.pack(*first, 0, *addresses)), *addresses)
        return head + _UDP.pack(*ports, checksum) + self.payload


def radioAddress(radio: int) -> int:
    """
    The address of a radio.

    @param radio: its ID, 24 bits.
    """
    return RADIO_NETWORK << 24 | radio


def groupAddress(talkgroup: int) -> int:
    """
    The address of a talkgroup, 24 bits.
    """
    return GROUP_NETWORK << 24 | talkgroup


def numberOf(address: int) -> int:
    """
    The radio ID or talkgroup in an address.
    """
    return address & 0xFFFFFF


def _sum(data: bytes) -> int:
    """
    The sum of 16-bit words in one's complement (RFC 1071).
    """
    if len(data) % 2:
        data += b"\0"
    # Sixteen bits carried around are the remainder modulo 0xFFFF, of which zero has two forms.
    total = int.from_bytes(data, "big")
    return total % 0xFFFF or (0xFFFF if total else 0)
