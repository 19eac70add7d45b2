"""
A UDP datagram in a captured packet: where its payload is, and the packet with another payload.

Published: RFC 768 (UDP), RFC 791 (IPv4), RFC 8200 (IPv6), RFC 1071 (the checksum), and the list of
link types of tcpdump.org.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_NULL: Final = 0  # link types: a loopback of BSD, whose first four bytes say little
_ETHERNET: Final = 1
_LOOP: Final = 108
# Link types that say what a packet is: where they do, and where the packet begins.
_TYPED: Final = {_ETHERNET: (12, 14), 113: (14, 16), 276: (0, 20)}  # 113, 276: Linux "cooked"
_UNTYPED: Final = {_NULL: 4, _LOOP: 4, 12: 0, 14: 0, 101: 0, 228: 0, 229: 0}  # others: bare IP
LINK_TYPES: Final = frozenset(_TYPED) | frozenset(_UNTYPED)

_IP: Final = frozenset((b"\x08\x00", b"\x86\xdd"))
_VLAN: Final = frozenset((b"\x81\x00", b"\x88\xa8", b"\x91\x00"))
_UDP: Final = 17
_UDP_SIZE: Final = 8  # bytes of its header
# Headers between IPv6 and UDP. Behind a routing header the checksum would need another address.
_OPTIONS: Final = frozenset((0, 60))


@dataclass(frozen=True, slots=True)
class Datagram:
    """
    A whole UDP datagram over IP, within the packet that was captured.

    @ivar packet: all of it, with the link's header and what may follow the datagram.
    @ivar at: where the header of IP begins.
    @ivar udp: where the header of UDP begins.
    @ivar end: where the payload ends.
    """

    packet: bytes
    at: int
    udp: int
    end: int

    @property
    def payload(self) -> bytes:
        """
        What it carries.
        """
        return self.packet[self.udp + _UDP_SIZE : self.end]

    def withPayload(self, payload: bytes) -> bytes:
        """
        The packet with another payload, and with the sizes and checksums that belong to it.

        @param payload: not so long that IP could not carry it.
        """
        ip = bytearray(self.packet[self.at : self.udp])
        size = _UDP_SIZE + len(payload)
        isIPv4 = ip[0] >> 4 == 4
        # Capturing hosts often see checksums that the network card has not filled in yet.
        if isIPv4:
            ip[2:4] = (len(ip) + size).to_bytes(2, "big")
            ip[10:12] = bytes(2)
            ip[10:12] = _checksum(ip).to_bytes(2, "big")
            addresses = bytes(ip[12:20])
        else:
            ip[4:6] = (len(ip) - 40 + size).to_bytes(2, "big")
            addresses = bytes(ip[8:40])
        ports = self.packet[self.udp : self.udp + 4]
        head = ports + size.to_bytes(2, "big")
        # On IPv4 a sender may leave the checksum out, and then there is none to set right.
        if isIPv4 and self.packet[self.udp + 6 : self.udp + _UDP_SIZE] == bytes(2):
            checksum = 0
        else:
            pseudo = addresses + size.to_bytes(4, "big") + _UDP.to_bytes(4, "big")
            checksum = _checksum(pseudo + head + bytes(2) + payload) or 0xFFFF
        return b"".join(
            (
                *(self.packet[: self.at], ip, head),
                *(checksum.to_bytes(2, "big"), payload, self.packet[self.end :]),
            )
        )


def findDatagram(linkType: int, packet: bytes) -> Datagram | None:
    """
    The datagram in a captured packet; L{None} when there is none, or only a part of one.

    @param linkType: as a capture file names it.
    """
    at = _beginOfIP(linkType, packet)
    if at is None or at >= len(packet):
        return None
    version = packet[at] >> 4
    found = None
    if version == 4:
        found = _findInIPv4(packet, at)
    elif version == 6:
        found = _findInIPv6(packet, at)
    if found is None:
        return None
    udp, end = found
    size = int.from_bytes(packet[udp + 4 : udp + 6], "big")
    if size < _UDP_SIZE or udp + size > end or end > len(packet):
        return None
    return Datagram(packet, at, udp, udp + size)


def _beginOfIP(linkType: int, packet: bytes) -> int | None:
    if linkType not in _TYPED:
        return _UNTYPED.get(linkType)
    place, at = _TYPED[linkType]
    kind = packet[place : place + 2]
    while kind in _VLAN and linkType == _ETHERNET:
        kind = packet[at + 2 : at + 4]
        at += 4
    return at if kind in _IP else None


def _findInIPv4(packet: bytes, at: int) -> tuple[int, int] | None:
    """
    Where UDP begins and IP ends.
    """
    udp = at + 4 * (packet[at] & 0x0F)
    if len(packet) < udp + _UDP_SIZE or udp < at + 20 or packet[at + 9] != _UDP:
        return None
    if int.from_bytes(packet[at + 6 : at + 8], "big") & 0x3FFF:  # a fragment
        return None
    return udp, at + int.from_bytes(packet[at + 2 : at + 4], "big")


def _findInIPv6(packet: bytes, at: int) -> tuple[int, int] | None:
    """
    Where UDP begins and IP ends. A fragment has a header of its own, and is not looked into.
    """
    udp = at + 40
    if len(packet) < udp:
        return None
    following = packet[at + 6]
    while following in _OPTIONS and len(packet) >= udp + 8:
        following = packet[udp]
        udp += 8 * (packet[udp + 1] + 1)
    if following != _UDP or len(packet) < udp + _UDP_SIZE:
        return None
    return udp, at + 40 + int.from_bytes(packet[at + 4 : at + 6], "big")


def _checksum(data: bytes | bytearray) -> int:
    """
    The Internet checksum, 16 bits.
    """
    padded = bytes(data) + bytes(len(data) % 2)
    # The sum of 16-bit words with the carries added back is the number modulo 0xFFFF.
    rest = int.from_bytes(padded, "big") % 0xFFFF
    return ~(rest or 0xFFFF) & 0xFFFF if any(padded) else 0xFFFF
