"""
What the tests of descriptors of L{bmff.sockets} share: a reactor that only keeps time, and a
receiver that can raise and close.
"""

from __future__ import annotations

import select

from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor

from bmff.testing.transports import Inbox
from tests.sockets.ports import PATIENCE, ReadingClock


class DescriptorClock(ReadingClock):
    """
    A clock that knows what is read and what is to be written.

    @ivar writers: the descriptors added and not removed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.writers: list[IWriteDescriptor] = []

    def addWriter(self, writer: IWriteDescriptor) -> None:
        if writer not in self.writers:
            self.writers.append(writer)

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        if writer in self.writers:
            self.writers.remove(writer)


class Faulty(Inbox):
    """
    A receiver that raises at everything it is told.
    """

    def packetReceived(self, data: bytes, now: float) -> None:
        super().packetReceived(data, now)
        raise ValueError(data)

    def flush(self) -> None:
        super().flush()
        raise ValueError("flush")

    def writable(self) -> None:
        super().writable()
        raise ValueError("writable")

    def connectionLost(self, reason: str) -> None:
        super().connectionLost(reason)
        raise ValueError(reason)


def waitToRead(descriptor: IReadDescriptor) -> bool:
    """
    Wait until there is something to read.

    @return: whether there is.
    """
    return bool(select.select([descriptor], [], [], PATIENCE)[0])


def waitToWrite(descriptor: IWriteDescriptor) -> bool:
    """
    Wait until there is room to write.

    @return: whether there is.
    """
    return bool(select.select([], [descriptor], [], PATIENCE)[1])
