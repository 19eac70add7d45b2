"""
Capture files that tests make: datagrams of FastForward as tcpdump would write them.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack, unpack_from
from typing import Final, NamedTuple

ETHERNET: Final = 1  # link types
RAW: Final = 101
PORT: Final = 54000


class Captured(NamedTuple):
    """
    One packet of a capture file.

    @ivar time: seconds and microseconds, as they stand there.
    @ivar size: bytes that it had.
    @ivar data: what was captured of it.
    """

    time: tuple[int, int]
    size: int
    data: bytes


def checksum(data: bytes) -> int:
    """
    The Internet checksum, written down as RFC 1071 has it.
    """
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4(
    payload: bytes,
    *,
    source: int = 1,
    to: int = 2,
    ports: tuple[int, int] = (PORT, PORT),
    summed: bool = True,
    options: bytes = b"",
    fragment: int = 0,
    protocol: int = 17,
) -> bytes:
    """
    A datagram over IPv4 from 10.0.0.C{source} to 10.0.0.C{to}.

    @param summed: whether it has the checksum of UDP.
    """
    addresses = bytes((10, 0, 0, source, 10, 0, 0, to))
    size = 8 + len(payload)
    body = pack(">HHH", *ports, size)
    pseudo = addresses + pack(">HH", 17, size)
    body += pack(">H", checksum(pseudo + body + payload) or 0xFFFF if summed else 0) + payload
    whole = 20 + len(options) + size
    head = pack(">BBHHHBB", 0x45 + len(options) // 4, 0, whole, 7, fragment, 64, protocol)
    head += pack(">H", checksum(head + bytes(2) + addresses + options)) + addresses + options
    return head + body


def ipv6(payload: bytes, *, options: bytes = b"", following: int = 17) -> bytes:
    """
    A datagram over IPv6 from fd00::1 to fd00::2.

    @param options: headers between those of IPv6 and UDP.
    @param following: the kind of the first one.
    """
    addresses = bytes((0xFD,)).ljust(15, b"\0") + b"\1" + bytes((0xFD,)).ljust(15, b"\0") + b"\2"
    size = 8 + len(payload)
    body = pack(">HHH", PORT, PORT, size)
    body += pack(">H", checksum(addresses + pack(">II", size, 17) + body + payload)) + payload
    head = pack(">IHBB", 6 << 28, len(options) + size, following, 64)
    return head + addresses + options + body


def ethernet(packet: bytes, tags: bytes = b"") -> bytes:
    """
    A frame of Ethernet.
    """
    return b"\2aaaaa\2bbbbb" + tags + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00") + packet


def tcp(data: bytes, number: int) -> bytes:
    """
    A TCP segment over IPv4 from C{PORT}.

    @param number: of its first byte.
    """
    head = pack(">HHIIBBHHH", PORT, 40000, number, 1, 0x50, 0x18, 1000, 0, 0)
    size = 20 + len(head) + len(data)
    addresses = bytes((10, 0, 0, 1, 10, 0, 0, 2))
    return pack(">BBHHHBBH", 0x45, 0, size, 7, 0, 64, 6, 0) + addresses + head + data


def pcap(
    packets: Iterable[bytes], linkType: int = RAW, *, order: str = "<", limit: int = 65535
) -> bytes:
    """
    A file in the older format.

    @param limit: bytes that are captured of each packet.
    """
    parts = [pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, limit, linkType)]
    for number, packet in enumerate(packets):
        data = packet[:limit]
        parts += (pack(order + "IIII", 1_750_000_000 + number, 250, len(data), len(packet)), data)
    return b"".join(parts)


def readPcap(data: bytes, order: str = "<") -> list[Captured]:
    """
    The packets of such a file.
    """
    at, found = 24, []
    while at < len(data):
        seconds, microseconds, captured, size = unpack_from(order + "IIII", data, at)
        at += 16
        found.append(Captured((seconds, microseconds), size, data[at : at + captured]))
        at += captured
    assert at == len(data), "cut"
    return found


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """
    A block of the newer format.
    """
    size = pack(order + "I", len(body) + 12)
    return pack(order + "I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    """
    The block that a section of the newer format begins with.
    """
    return block(0x0A0D0D0A, pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(linkType: int, order: str = "<", limit: int = 0) -> bytes:
    """
    The block of an interface.
    """
    name = pack(order + "HH", 2, 4) + b"eth0" + bytes(4)
    return block(1, pack(order + "HHI", linkType, 0, limit) + name, order)


def enhanced(
    packet: bytes, number: int = 0, order: str = "<", comment: bytes = b"", missing: int = 0
) -> bytes:
    """
    The block of a packet.

    @param number: of its interface.
    @param comment: as many bytes as four divide.
    """
    body = pack(order + "IIIII", number, 7, 9, len(packet), len(packet) + missing)
    body += packet + bytes(-len(packet) % 4)
    if comment:
        body += pack(order + "HH", 1, len(comment)) + comment + bytes(4)
    return block(6, body, order)


def oldPacket(packet: bytes, number: int = 0, order: str = "<") -> bytes:
    """
    The same as files of old have it.
    """
    body = pack(order + "HHIIII", number, 0, 7, 9, len(packet), len(packet))
    return block(2, body + packet + bytes(-len(packet) % 4), order)


def simple(packet: bytes, order: str = "<", missing: int = 0) -> bytes:
    """
    The same without a time.
    """
    padding = bytes(-len(packet) % 4)
    return block(3, pack(order + "I", len(packet) + missing) + packet + padding, order)
