"""
Memory that an RDMA device reads from and writes to by itself, cut into slots (ibv_reg_mr(3)).
"""

from __future__ import annotations

from ctypes import addressof, c_char
from mmap import MADV_DONTFORK, MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Final

from bmff.transports.rdmaverbs import LOCAL_WRITE, MemoryRegion, Verbs

SLOT_SIZE: Final = 4096  # bytes: a page


class SlotPool:
    """
    Slots of registered memory.

    @ivar memory: all of it.
    @ivar address: where it is.
    @ivar key: what the device knows it by (lkey).
    """

    def __init__(self, verbs: Verbs, domain: int, slots: int) -> None:
        """
        @param domain: the protection domain of the device.
        @param slots: how many.
        @raise OSError: so much may not be locked.
        """
        self._verbs = verbs
        self._map = mmap(-1, slots * SLOT_SIZE, MAP_PRIVATE | MAP_ANONYMOUS)
        # A child would get the pages that the device knows, and the parent copies of them.
        self._map.madvise(MADV_DONTFORK)
        self.address = addressof(c_char.from_buffer(self._map))
        try:
            size = len(self._map)
            self._region = verbs.ibv_reg_mr(domain, self.address, size, LOCAL_WRITE)
        except OSError:
            self._map.close()
            raise
        self.key = int(MemoryRegion.from_address(self._region).lkey)
        self.memory = memoryview(self._map)

    def close(self) -> None:
        """
        Give the memory back; nothing uses it any more.

        @raise OSError: the device still does, and the memory stays.
        """
        self._verbs.ibv_dereg_mr(self._region)
        self.memory.release()
        self._map.close()
