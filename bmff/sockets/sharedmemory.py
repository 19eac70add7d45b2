"""
Memory that is shared with another process, of a size that neither can change (memfd_create(2) and
the seals of fcntl(2) of Linux).

Memory whose file another process makes shorter kills who touches it. The seals forbid that for
ever. Nothing forbids the other process to punch holes into it: what was there reads as zero then.
"""

from __future__ import annotations

import os
from fcntl import F_ADD_SEALS, F_GET_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, fcntl
from mmap import MAP_SHARED, mmap

from bmff.errors import ProtocolError

_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL


class SharedMemory:
    """
    Memory that is mapped here and can be mapped by another process.

    @ivar memory: the memory.
    @ivar words: the same as words of 8 bytes.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        """
        @param descriptor: of the memory; it may be closed afterwards.
        @param size: bytes, a multiple of 8.
        @raise OSError: it cannot be mapped to be read and written.
        """
        self.memory = mmap(descriptor, size, MAP_SHARED)
        self._bytes = memoryview(self.memory)
        self.words = self._bytes.cast("Q")

    def close(self) -> None:
        """
        Let go of it.
        """
        self.words.release()
        self._bytes.release()
        self.memory.close()


def makeMemory(size: int) -> int:
    """
    Make memory that can be given to another process.

    @param size: bytes.
    @return: its file descriptor.
    @raise OSError: there is none to be had.
    """
    descriptor = os.memfd_create("FastForward", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        fcntl(descriptor, F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def checkMemory(descriptor: int, size: int) -> None:
    """
    Make sure that what another process has given is memory that stays as it is.

    @param descriptor: of anything at all.
    @param size: bytes that it is to have. Where that is no multiple of 2 MiB, memory of huge pages
        is refused as well, of which there may be too few when they are touched.
    @raise ProtocolError: it is not.
    """
    try:
        # First: only memory has seals, and of another kind of file nothing should be asked, as its
        # file system may never answer.
        seals = fcntl(descriptor, F_GET_SEALS)
    except OSError as error:
        raise ProtocolError("a descriptor that is not of memory") from error
    if seals & _SEALS != _SEALS:
        raise ProtocolError("memory that is not sealed")
    if os.fstat(descriptor).st_size != size:
        raise ProtocolError("memory of another size")
