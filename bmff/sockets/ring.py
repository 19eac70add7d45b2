"""
Packets in memory that two processes share: one writes, one reads, and neither believes the other
(a ring of one producer and one consumer, as in Lamport, "Proving the Correctness of Multiprocess
Programs", 1977).

A ring is a row of slots of 64 bytes. A packet begins at a slot with one word: the number of that
slot, counted from the ring's first day, and the packet's length; it goes on through as many slots
as it needs. One that begins in the last slots runs on into memory behind them, so that every
packet is in one piece. Four words in front, each in a cache line of its own, say how far the writer
and the reader are, whether the reader sleeps, and whether the writer waits for room.

Each end keeps its own place to itself, and checks what the other says against it: whatever is
written into the memory, nothing is read or written outside of the ring.

The order of stores is that of x86-64: a reader that sees the writer's place sees the packet as
well. Only a store and a later load may change places, and between those stands a L{Fence}.
"""

from __future__ import annotations

import platform
import sys
from mmap import PAGESIZE, mmap
from threading import Lock
from typing import Final

from bmff.errors import ProtocolError, TransportUnavailable
from bmff.sockets.descriptor import LARGEST

SLOTS: Final = 4096
SLOT: Final = 64  # bytes
_WORD: Final = 8  # bytes, also of what stands before a packet
_START: Final = 256  # bytes before the first slot
_UP: Final = SLOT - 1 + _WORD  # (length + _UP) // SLOT slots hold a packet
_SHIFT: Final = 6  # of a slot's number to its place
_MASK: Final = SLOTS - 1
MOST: Final = (LARGEST + _UP) // SLOT  # slots of one packet

_PAST: Final = MOST * SLOT  # behind the last slot
SIZE: Final = -(-(_START + SLOTS * SLOT + _PAST) // PAGESIZE) * PAGESIZE  # bytes of a ring

# Words of a ring, by their place; each is written by one end, but the last two, which the one who
# wants to be told puts up and the other takes down.
_HEAD: Final = 0  # the writer's: the number of the next slot to be written
_TAIL: Final = 8  # the reader's: the number of the next slot to be read
_ASLEEP: Final = 16  # whether the reader wants to be told of the next packet
_STARVED: Final = 24  # whether the writer wants to be told of the next room


def checkProcessor() -> None:
    """
    @raise TransportUnavailable: Python cannot keep the order of stores on this processor.
    """
    machine = platform.machine()
    if machine != "x86_64" or sys.maxsize < 1 << 62:
        raise TransportUnavailable(
            f"shared memory needs the order of stores of x86_64, this is {machine}"
        )


class Fence:
    """
    Has all stores before it seen before anything is loaded after it. Python has no instruction for
    that, but to take a free lock and to give it back are two that imply it. (Measured: 0.1 us, a
    C{with} statement three times that.)

    @ivar acquire: the first half.
    @ivar release: the second half; nobody else has the lock, so that neither waits.
    """

    def __init__(self) -> None:
        lock = Lock()
        self.acquire = lock.acquire
        self.release = lock.release


class RingWriter:
    """
    The end of a ring that writes.
    """

    def __init__(self, memory: mmap, words: memoryview, at: int) -> None:
        """
        @param memory: that the ring is in, all zero where nobody has written yet.
        @param words: the same as words of 8 bytes.
        @param at: where the ring begins, in bytes.
        """
        self._memory = memory
        self._words = words
        self._slots = at + _START
        self._headAt, self._tailAt, self._asleepAt, self._starvedAt = (
            at // _WORD + word for word in (_HEAD, _TAIL, _ASLEEP, _STARVED)
        )
        fence = Fence()
        self._fence, self._fenced = fence.acquire, fence.release
        self._head = 0
        self._tail = 0  # the last that was seen
        self._limit = SLOTS

    @property
    def seen(self) -> int:
        """
        Where the reader was when that was last of interest: the number of its next slot.
        """
        return self._tail

    def put(self, packet: bytes) -> bool | None:
        """
        Write a packet.

        @param packet: 1 to L{LARGEST} bytes.
        @return: whether the reader sleeps and is to be told, which is said once for each sleep;
            L{None} when there is no room.
        @raise ProtocolError: the reader's place is impossible.
        """
        size = len(packet)
        head = self._head
        end = head + (size + _UP >> _SHIFT)
        if end > self._limit and not self._room(end):
            return None
        at = self._slots + ((head & _MASK) << _SHIFT)
        words = self._words
        self._memory[at + _WORD : at + _WORD + size] = packet
        words[at >> 3] = head << 16 | size
        self._head = words[self._headAt] = end
        self._fence()
        self._fenced()
        if words[self._asleepAt]:
            words[self._asleepAt] = 0
            return True
        return False

    def hasRoom(self) -> bool:
        """
        Whether a packet of any size would be taken; if not, the reader is asked to tell when it has
        made room.

        @raise ProtocolError: the reader's place is impossible.
        """
        end = self._head + MOST
        if self._room(end):
            return True
        self._words[self._starvedAt] = 1
        self._fence()
        self._fenced()
        return self._room(end)

    def _room(self, end: int) -> bool:
        """
        Look how far the reader is.
        """
        tail = self._words[self._tailAt]
        if not self._tail <= tail <= self._head:
            raise ProtocolError("the reader of the ring is where it cannot be")
        self._tail = tail
        self._limit = tail + SLOTS
        return end <= self._limit


class RingReader:
    """
    The end of a ring that reads.

    @ivar tail: the number of the next slot to be read.
    @ivar head: the number of the slot behind those that are known to be written.
    @ivar starved: whether the writer waits for room and was not told yet that there is.
    """

    def __init__(self, memory: mmap, words: memoryview, at: int) -> None:
        """
        @param memory: that the ring is in, all zero where nobody has written yet.
        @param words: the same as words of 8 bytes.
        @param at: where the ring begins, in bytes.
        """
        self._memory = memory
        self._words = words
        self._slots = at + _START
        self._headAt, self._tailAt, self._asleepAt, self._starvedAt = (
            at // _WORD + word for word in (_HEAD, _TAIL, _ASLEEP, _STARVED)
        )
        fence = Fence()
        self._fence, self._fenced = fence.acquire, fence.release
        self.head = 0
        self.tail = 0
        self.starved = False

    @property
    def waiting(self) -> bool:
        """
        Whether the writer says that it has written more than was read.
        """
        waiting: bool = self._words[self._headAt] != self.tail
        return waiting

    def take(self) -> bytes | None:
        """
        Read a packet, if there is one.

        @raise ProtocolError: what the writer says is impossible.
        """
        tail = self.tail
        words = self._words
        if tail == self.head:
            head = words[self._headAt]
            if head == tail:
                return None
            if not tail < head <= tail + SLOTS:
                raise ProtocolError("the writer of the ring is where it cannot be")
            self.head = head
        at = self._slots + ((tail & _MASK) << _SHIFT)
        word = words[at >> 3]
        size = word & 0xFFFF
        end = tail + (size + _UP >> _SHIFT)
        if word >> 16 != tail or not size or end > self.head:
            raise ProtocolError("a slot of the ring is not what it should be")
        self.tail = end
        return self._memory[at + _WORD : at + _WORD + size]

    def rest(self) -> bool:
        """
        Give back the room of all that was read, and ask to be told of the next packet.

        @return: whether one has come in the meantime, of which nobody may tell.
        """
        words = self._words
        tail = words[self._tailAt] = self.tail
        words[self._asleepAt] = 1
        self._fence()
        self._fenced()
        if words[self._starvedAt]:
            words[self._starvedAt] = 0
            self.starved = True
        more: bool = words[self._headAt] != tail
        return more

    def release(self) -> None:
        """
        Give back the room of all that was read.
        """
        self._words[self._tailAt] = self.tail
        self._fence()
        self._fenced()
        if self._words[self._starvedAt]:
            self._words[self._starvedAt] = 0
            self.starved = True
