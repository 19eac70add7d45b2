"""
Capture files, copied with the packets in them changed: pcap and pcapng, as tcpdump and Wireshark
write them.

Whatever is no packet (interfaces, names, comments, times) is copied to the byte, which libraries
that take a capture apart and write a new one do not do: they keep the link type of one interface,
and times as floating-point numbers. Published: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from struct import error as StructError
from typing import BinaryIO, Final, TypeAlias

from bmff.errors import ConfigurationError, Mistake

LARGEST: Final = 1 << 24  # bytes of one record; the largest snapshot length of tcpdump is 256 KiB

# Given a link type, what was captured of a packet and how many bytes of it were not: the packet to
# put in its place.
Change: TypeAlias = Callable[[int, bytes, int], bytes]

_MAGICS: Final = {  # of pcap, with times in microseconds and in nanoseconds: the byte order
    b"\xa1\xb2\xc3\xd4": ">",
    b"\xa1\xb2\x3c\x4d": ">",
    b"\xd4\xc3\xb2\xa1": "<",
    b"\x4d\x3c\xb2\xa1": "<",
}
_SECTION: Final = b"\x0a\x0d\x0d\x0a"  # of a pcapng section, in both byte orders
_INTERFACE: Final = 1  # kinds of blocks
_OLD_PACKET: Final = 2
_SIMPLE_PACKET: Final = 3
_PACKET: Final = 6
_AROUND: Final = 12  # bytes of a block before and after its body: its kind, its size twice
_ORDERS: Final = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}


class _Cut(Exception):
    """
    The file ends in the middle of a record.
    """


def copyCapture(source: BinaryIO, target: BinaryIO, change: Change, name: str) -> bool:
    """
    Copy a capture file.

    @param change: gives each packet anew.
    @param name: of the source, for people.
    @return: whether the file is whole; else it ends in the middle of a record, as one does whose
        writer was killed, and all before that is copied.
    @raise ConfigurationError: it is no capture file, or a broken one.
    """
    magic = source.read(4)
    try:
        if magic in _MAGICS:
            _Pcap(source, target, change, name, _MAGICS[magic]).copy(magic)
        elif magic == _SECTION:
            _Pcapng(source, target, change, name).copy(magic)
        else:
            raise _wrong(name, "is no capture file (pcap or pcapng)")
    except _Cut:
        return False
    return True


class _Copy:
    """
    What the copies of both formats share.
    """

    def __init__(self, source: BinaryIO, target: BinaryIO, change: Change, name: str) -> None:
        self.source = source
        self.target = target
        self.change = change
        self.name = name

    def take(self, size: int) -> bytes:
        """
        The next bytes of the source.

        @raise _Cut: there are not as many.
        @raise ConfigurationError: nobody writes as many at once.
        """
        if not 0 <= size <= LARGEST:
            raise _wrong(self.name, f"is broken: it has a record of {size} bytes")
        data = self.source.read(size)
        if len(data) < size:
            raise _Cut
        return data


class _Pcap(_Copy):
    """
    The older format: a header, then each packet with its time and two lengths.
    """

    def __init__(
        self, source: BinaryIO, target: BinaryIO, change: Change, name: str, order: str
    ) -> None:
        super().__init__(source, target, change, name)
        self._linkType = Struct(order + "I")
        self._record = Struct(order + "8sII")

    def copy(self, magic: bytes) -> None:
        """
        @param magic: the first bytes, which were read.
        """
        header = self.take(20)
        # The upper half says whether frames end with a checksum.
        linkType = self._linkType.unpack_from(header, 16)[0] & 0xFFFF
        self.target.write(magic + header)
        while head := self.source.read(self._record.size):
            if len(head) < self._record.size:
                raise _Cut
            time, captured, size = self._record.unpack(head)
            data = self.take(captured)
            missing = max(0, size - captured)
            data = self.change(linkType, data, missing)
            self.target.write(self._record.pack(time, len(data), len(data) + missing) + data)


class _Pcapng(_Copy):
    """
    The newer format: blocks of many kinds, in sections that have their own byte order.
    """

    def copy(self, magic: bytes) -> None:
        """
        @param magic: the first bytes, which were read.
        """
        kind = magic
        while kind:
            if len(kind) < 4:
                raise _Cut
            if kind == magic:
                self._beginSection(kind)
            else:
                self._copyBlock(kind)
            kind = self.source.read(4)

    def _beginSection(self, kind: bytes) -> None:
        size, mark = self.take(4), self.take(4)
        if mark not in _ORDERS:
            raise self._broken("a section without a byte order")
        order = _ORDERS[mark]
        self._number = Struct(order + "I")
        self._short = Struct(order + "H")
        self._interfaces: list[tuple[int, int]] = []  # link type, bytes kept of a packet
        rest = self.take(self._bodySize(size) - len(mark)) + self._takeEnd(size)
        self.target.write(kind + size + mark + rest)

    def _copyBlock(self, kind: bytes) -> None:
        size = self.take(4)
        body = self.take(self._bodySize(size))
        self._takeEnd(size)
        try:
            body = self._changed(self._number.unpack(kind)[0], body)
        except StructError:
            raise self._broken("a block that is too short") from None
        size = self._number.pack(len(body) + _AROUND)
        self.target.write(b"".join((kind, size, body, size)))

    def _bodySize(self, size: bytes) -> int:
        number = int(self._number.unpack(size)[0])
        if number < _AROUND or number % 4:
            raise self._broken(f"a block of {number} bytes")
        return number - _AROUND

    def _takeEnd(self, size: bytes) -> bytes:
        end = self.take(4)
        if end != size:
            raise self._broken("a block that ends with another size than it begins with")
        return end

    def _changed(self, kind: int, body: bytes) -> bytes:
        """
        The body of a block with its packet, if it has one, changed.

        @raise StructError: it is cut off.
        """
        if kind == _INTERFACE:
            (linkType,), (limit,) = self._short.unpack_from(body), self._number.unpack_from(body, 4)
            self._interfaces.append((linkType, limit or LARGEST))
        elif kind in {_PACKET, _OLD_PACKET}:
            # The interface, in two sizes, and the time; then both sizes and the packet.
            (interface,) = (self._number if kind == _PACKET else self._short).unpack_from(body)
            (captured,), (size,) = (self._number.unpack_from(body, at) for at in (12, 16))
            return body[:12] + self._changedPacket(interface, captured, size, body[20:])
        elif kind == _SIMPLE_PACKET:
            (size,) = self._number.unpack_from(body)
            captured = min(size, self._interfaceAt(0)[1], len(body) - 4)
            return self._changedPacket(0, captured, size, body[4:])[4:]
        return body

    def _changedPacket(self, interface: int, captured: int, size: int, rest: bytes) -> bytes:
        """
        @param rest: what was captured, what fills it up to four bytes, options.
        @return: both sizes and the rest, anew.
        """
        if captured > len(rest):
            raise self._broken("a packet that is longer than its block")
        missing = max(0, size - captured)
        data = self.change(self._interfaceAt(interface)[0], rest[:captured], missing)
        sizes = self._number.pack(len(data)) + self._number.pack(len(data) + missing)
        return b"".join((sizes, data, bytes(-len(data) % 4), rest[captured + -captured % 4 :]))

    def _interfaceAt(self, index: int) -> tuple[int, int]:
        if index >= len(self._interfaces):
            raise self._broken("a packet of an interface that it does not name")
        return self._interfaces[index]

    def _broken(self, what: str) -> ConfigurationError:
        return _wrong(self.name, f"is broken: it has {what}")


def _wrong(name: str, message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(name, message)])
