"""
The messages of an RDMA connection: what stands in one work request, and packets that are longer
than one.

A message is 4 bytes and what belongs to a packet::

    1 byte   kind: 0 room, 1 the packet goes on, 2 the packet ends, 3 good-bye
    1 byte   0
    2 bytes  how many messages this end has taken and made room again for, modulo 65536

C{room} and C{good-bye} have nothing behind that.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from bmff.errors import ProtocolError

HEADER: Final = Struct("!BBH")
ROOM: Final = 0
MORE: Final = 1
END: Final = 2
GOODBYE: Final = 3
LARGEST: Final = 0xFFFF  # bytes of a packet


class Assembly:
    """
    Puts packets together that came in several messages.
    """

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def packet(self, kind: int, part: bytes) -> bytes | None:
        """
        One message has come.

        @param part: what was behind its header.
        @return: the packet that it ends, if it does.
        @raise ProtocolError: it is impossible.
        """
        if kind == END:
            if part and not self._size:
                return part
            whole = self._whole(part)
            self._parts.clear()
            self._size = 0
            return whole
        if kind == MORE:
            self._parts.append(part)
            self._size += len(part)
            if not part or self._size > LARGEST:
                raise ProtocolError("a packet of impossible length")
            return None
        if kind > GOODBYE:
            raise ProtocolError("a message of unknown kind")
        if part:
            raise ProtocolError("a message with something behind it")
        return None

    def _whole(self, part: bytes) -> bytes:
        if not part or self._size + len(part) > LARGEST:
            raise ProtocolError("a packet of impossible length")
        return b"".join((*self._parts, part))
