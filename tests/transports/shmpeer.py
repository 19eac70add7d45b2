"""
Another program at the end of a path through shared memory, which need not be honest. The layout is
written down here once more, so that it does not change unseen.
"""

from __future__ import annotations

import os
import socket
from array import array
from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, fcntl
from mmap import mmap
from typing import Final

MAGIC: Final = b"bmff-shm-1"
SEALS: Final = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL
SLOT: Final = 64
SLOTS: Final = 4096
START: Final = 256
SIZE: Final = 331776  # bytes of a ring
HEAD, TAIL, ASLEEP, STARVED = 0, 64, 128, 192  # places in a ring
BELL: Final = b"\1"


def memory(size: int = 2 * SIZE, seals: int = SEALS) -> int:
    """
    A descriptor of shared memory.
    """
    descriptor = os.memfd_create("peer", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl(descriptor, F_ADD_SEALS, seals)
    return descriptor


class SharedPeer:
    """
    Connects to a node and offers it memory, then writes packets to the one ring and reads from the
    other; it looks like a socket as far as the contract uses one.

    @ivar sock: the socket.
    @ivar file: the memory's descriptor.
    @ivar map: the memory, the ring that this end writes first.
    @ivar bell: the doorbell of this end, -1 when it is the socket.
    @ivar otherBell: that of the node.
    """

    def __init__(self, path: str, bells: bool = False) -> None:
        """
        @param bells: whether to offer eventfds.
        """
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.connect(path)
        self.file = memory()
        self.map = mmap(self.file, 2 * SIZE)
        self.bell = self.otherBell = -1
        self._head = self._tail = 0
        given = [self.file]
        if bells:
            self.bell, self.otherBell = (os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2))
            given += [self.bell, self.otherBell]
        offer(self.sock, MAGIC + (b"\1" if bells else b"\0"), given)

    def put(self, at: int, number: int) -> None:
        """
        Write a word.
        """
        self.map[at : at + 8] = number.to_bytes(8, "little")

    def word(self, at: int) -> int:
        """
        Read a word.
        """
        return int.from_bytes(self.map[at : at + 8], "little")

    def write(self, packet: bytes) -> None:
        """
        Write a packet, and say so to nobody.
        """
        at = START + self._head % SLOTS * SLOT
        self.map[at + 8 : at + 8 + len(packet)] = packet
        self.put(at, self._head << 16 | len(packet))
        self._head += (len(packet) + 8 + SLOT - 1) // SLOT
        self.put(HEAD, self._head)

    def ring(self) -> None:
        """
        Ring the node's bell.
        """
        try:
            if self.otherBell >= 0:
                os.eventfd_write(self.otherBell, 1)
            else:
                self.sock.send(BELL, socket.MSG_DONTWAIT)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return  # it has been rung enough, or the node is gone

    def send(self, packet: bytes) -> None:
        """
        Send a packet.
        """
        self.write(packet)
        if self.word(ASLEEP):
            self.put(ASLEEP, 0)
            self.ring()

    def recv(self, size: int) -> bytes:
        """
        Receive a packet.

        @raise BlockingIOError: there is none.
        """
        packet = self.read()
        if packet is not None:
            return packet
        while self.sock.recv(size, socket.MSG_DONTWAIT):
            continue
        return self.read() or b""

    def read(self) -> bytes | None:
        """
        Read a packet from the ring, if there is one.
        """
        if self.word(SIZE + HEAD) == self._tail:
            return None
        at = SIZE + START + self._tail % SLOTS * SLOT
        length = self.word(at) & 0xFFFF
        if self.word(at) >> 16 != self._tail:
            raise ValueError("not the slot that it should be")
        self._tail += (length + 8 + SLOT - 1) // SLOT
        self.put(SIZE + TAIL, self._tail)
        if self.word(SIZE + STARVED):
            self.put(SIZE + STARVED, 0)
            self.ring()
        return self.map[at + 8 : at + 8 + length]

    def fileno(self) -> int:
        """
        The socket's descriptor.
        """
        return self.sock.fileno()

    def setblocking(self, blocking: bool) -> None:
        """
        It never waits.
        """

    def close(self) -> None:
        """
        Go away.
        """
        if self.sock.fileno() >= 0:
            self.sock.close()
            self.map.close()
            for descriptor in (self.file, self.bell, self.otherBell):
                if descriptor >= 0:
                    os.close(descriptor)


def offer(sock: socket.socket, message: bytes, descriptors: list[int]) -> None:
    """
    Send a message with descriptors.
    """
    rights = array("i", descriptors)
    sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else [])
