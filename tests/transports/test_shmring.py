"""
Tests of C{bmff.sockets.ring}, apart from any process.
"""

from __future__ import annotations

import os
from collections import deque
from multiprocessing import get_context
from random import Random
from select import select

from hypothesis import given, settings
from hypothesis.strategies import binary, integers, lists, one_of
from twisted.trial.unittest import TestCase

from bmff.errors import ProtocolError
from bmff.sockets.descriptor import LARGEST
from bmff.sockets.ring import MOST, SIZE, SLOT, SLOTS, RingReader, RingWriter
from bmff.sockets.sharedmemory import SharedMemory, checkMemory, makeMemory

GUARD = 4096  # bytes on both sides of a ring that nobody may write
HUGE = 2 << 20  # bytes of a huge page
RACE = 20000  # packets


class Ends:
    """
    Both ends of a ring in the middle of a piece of memory.

    @ivar writer: the one end.
    @ivar reader: the other.
    """

    def __init__(self) -> None:
        descriptor = makeMemory(SIZE + 2 * GUARD)
        self.shared = SharedMemory(descriptor, SIZE + 2 * GUARD)
        os.close(descriptor)
        memory, words = self.shared.memory, self.shared.words
        self.writer = RingWriter(memory, words, GUARD)
        self.reader = RingReader(memory, words, GUARD)

    def guarded(self) -> bool:
        """
        Whether nothing was written outside of the ring.
        """
        memory = self.shared.memory
        return not any(memory[:GUARD]) and not any(memory[GUARD + SIZE :])


class RingTests(TestCase):
    """
    A ring gives what was put into it, in order, and stays within its memory.
    """

    def ends(self) -> Ends:
        """
        Both ends of a new ring.
        """
        ends = Ends()
        self.addCleanup(ends.shared.close)
        return ends

    @settings(max_examples=60, deadline=None)
    @given(
        lists(one_of(integers(1, LARGEST), integers(1, 200), integers(-20, -1)), max_size=200),
        binary(min_size=1, max_size=8),
    )
    def test_model(self, steps: list[int], pattern: bytes) -> None:
        """
        A ring behaves as a queue whose room is counted in slots: a packet of so many bytes is put
        at each positive step, so many are taken at each negative one.
        """
        ends = Ends()
        model: deque[bytes] = deque()
        held = 0
        for step in steps:
            if step > 0:
                packet = (pattern * (step // len(pattern) + 1))[:step]
                slots = -(-(step + 8) // SLOT)
                fits = held + slots <= SLOTS
                self.assertEqual(ends.writer.put(packet) is not None, fits)
                if fits:
                    model.append(packet)
                    held += slots
                continue
            for _ in range(-step):
                taken = ends.reader.take()
                self.assertEqual(taken, model.popleft() if model else None)
                held -= -(-(len(taken) + 8) // SLOT) if taken else 0
            ends.reader.release()
        self.assertTrue(ends.guarded())
        ends.shared.close()

    def test_end(self) -> None:
        """
        The largest packet fits wherever it begins, also in the last slot, and nothing is written
        behind the ring.
        """
        ends = self.ends()
        largest = Random(1).randbytes(LARGEST)
        for first in (SLOTS - 1, SLOTS - 2, SLOTS // 2):
            place = ends.reader.tail
            for _ in range((first - place) % SLOTS):
                ends.writer.put(b"x")
                ends.reader.take()
            ends.reader.release()
            self.assertEqual(ends.reader.tail % SLOTS, first)
            self.assertIsNotNone(ends.writer.put(largest))
            self.assertEqual(ends.reader.take(), largest)
            ends.reader.release()
        self.assertTrue(ends.guarded())

    def test_sleep(self) -> None:
        """
        The writer is told once for each rest that the reader sleeps; a reader that wants to rest is
        told what has come already.
        """
        ends = self.ends()
        self.assertIs(ends.writer.put(b"a"), False)
        self.assertTrue(ends.reader.rest())
        ends.reader.take()
        self.assertFalse(ends.reader.rest())
        self.assertEqual([ends.writer.put(b"b") for _ in range(3)], [True, False, False])

    def test_starve(self) -> None:
        """
        The reader is told once that the writer waits for room, and there is room when a packet of
        any size would be taken.
        """
        ends = self.ends()
        while ends.writer.put(bytes(1000)) is not None:
            continue
        self.assertFalse(ends.writer.hasRoom())
        ends.reader.release()
        self.assertTrue(ends.reader.starved)
        ends.reader.starved = False
        ends.reader.take()
        ends.reader.release()
        self.assertFalse(ends.reader.starved)
        self.assertFalse(ends.writer.hasRoom())
        while ends.reader.tail < MOST:
            ends.reader.take()
        self.assertFalse(ends.writer.hasRoom())
        ends.reader.rest()
        self.assertTrue(ends.reader.starved)
        self.assertTrue(ends.writer.hasRoom())
        self.assertIsNotNone(ends.writer.put(bytes(LARGEST)))

    def test_noise(self) -> None:
        """
        Whatever is in the memory, each end gives packets or L{ProtocolError}, and stays within the
        ring.
        """
        random = Random(3)
        errors = 0
        for _ in range(300):
            ends = Ends()
            memory = ends.shared.memory
            for number in range(random.randrange(60)):
                ends.writer.put(bytes(number + 1))
            size = random.choice((8, 300, SIZE))
            at = GUARD + random.choice((0, 64, 256, random.randrange(SIZE - size + 1)))
            at = min(at, GUARD + SIZE - size)
            memory[at : at + size] = random.randbytes(size)
            try:
                while (packet := ends.reader.take()) is not None:
                    self.assertIn(len(packet), range(1, LARGEST + 1))
                for _ in range(20):
                    ends.writer.put(bytes(LARGEST))
            except ProtocolError:
                errors += 1
            self.assertTrue(ends.guarded())
            ends.shared.close()
        self.assertGreater(errors, 100)

    def test_race(self) -> None:
        """
        Between two processes every packet arrives whole, in order, and none is slept through.
        """
        descriptor = makeMemory(SIZE)
        self.addCleanup(os.close, descriptor)
        bell = os.eventfd(0)
        self.addCleanup(os.close, bell)
        context = get_context("fork")
        process = context.Process(target=_write, args=(descriptor, bell), daemon=True)
        process.start()
        try:
            shared = SharedMemory(descriptor, SIZE)
            self.addCleanup(shared.close)
            reader = RingReader(shared.memory, shared.words, 0)
            for number in range(RACE):
                while (packet := reader.take()) is None:
                    if not reader.rest():
                        self.assertTrue(_rung(bell), f"slept through packet {number}")
                reader.release()
                self.assertEqual(packet, number.to_bytes(4, "big") * (number % 40 + 1))
        finally:
            process.kill()
            process.join()

    def test_hugePages(self) -> None:
        """
        The memory of a path is of a size that memory of huge pages cannot have.
        """
        self.assertTrue(2 * SIZE % HUGE)

    def test_adopt(self) -> None:
        """
        What one process makes the other finds good, and nobody can change its size.
        """
        descriptor = makeMemory(SIZE)
        self.addCleanup(os.close, descriptor)
        checkMemory(descriptor, SIZE)
        self.assertRaises(PermissionError, os.ftruncate, descriptor, SIZE - 1)
        self.assertRaises(PermissionError, os.ftruncate, descriptor, SIZE + 1)


def _write(descriptor: int, bell: int) -> None:
    """
    The process that writes.
    """
    shared = SharedMemory(descriptor, SIZE)
    writer = RingWriter(shared.memory, shared.words, 0)
    for number in range(RACE):
        packet = number.to_bytes(4, "big") * (number % 40 + 1)
        while (asleep := writer.put(packet)) is None:
            os.sched_yield()
        if asleep:
            os.eventfd_write(bell, 1)
        if number % 7 == 0:  # let the reader fall asleep now and then
            os.sched_yield()
    os._exit(0)


def _rung(bell: int) -> bool:
    """
    Wait for a ring.
    """
    if not select([bell], [], [], 5)[0]:
        return False
    os.eventfd_read(bell)
    return True
