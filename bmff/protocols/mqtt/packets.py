"""
Cuts what a broker sends into MQTT control packets (MQTT 3.1.1 §2.2).
"""

from __future__ import annotations

from typing import Final

from bmff.errors import ProtocolError

LARGEST: Final = 1 << 18  # bytes of one packet; nobody has that much to tell a node
_MOST_DIGITS: Final = 4  # of the remaining length


class Packets:
    """
    Collects bytes until a packet is whole.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        """
        @param largest: bytes that a packet may have.
        """
        self._largest = largest
        self._buffer = bytearray()

    def __len__(self) -> int:
        """
        How many bytes wait.
        """
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """
        Bytes have come.
        """
        self._buffer += data

    def next(self) -> bytes | None:
        """
        Take the next packet that is whole; L{None} when there is none.

        @raise ProtocolError: what comes is none, or too long a one.
        """
        buffer = self._buffer
        length = 0
        for digit in range(1, _MOST_DIGITS + 1):
            if digit >= len(buffer):
                return None
            length |= (buffer[digit] & 0x7F) << 7 * (digit - 1)
            if not buffer[digit] & 0x80:
                break
        else:
            raise ProtocolError("length of an MQTT packet")
        end = 1 + digit + length
        if end > self._largest:
            raise ProtocolError("MQTT packet too long")
        if end > len(buffer):
            return None
        packet = bytes(buffer[:end])
        del buffer[:end]
        return packet
