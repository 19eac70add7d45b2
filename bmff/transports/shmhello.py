"""
How two processes agree on shared memory: one message each way over a socket, the first with file
descriptors (SCM_RIGHTS in unix(7) of Linux).

The end that has connected makes memory for two rings and sends it. Where it trusts the other it
adds two eventfds, the doorbells; they are used where the other trusts it too. A doorbell's
O_NONBLOCK is the same for both ends, so whoever has one can make the other wait for ever.
"""

from __future__ import annotations

import os
import socket
from array import array
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bmff.errors import ProtocolError
from bmff.sockets.descriptor import CLOSED_THERE
from bmff.sockets.ring import SIZE
from bmff.sockets.sharedmemory import SharedMemory, checkMemory, makeMemory

MAGIC: Final = b"bmff-shm-1"  # another layout of the rings is another number
PLAIN: Final = MAGIC + b"\0"  # doorbells are bytes on the socket
BELLS: Final = MAGIC + b"\1"  # doorbells are eventfds
REFUSED: Final = MAGIC + b"\2"  # a reason follows
ROOM: Final = 256  # bytes of the longest message
MEMORY: Final = 2 * SIZE  # bytes: the ring of the one who has connected, the other's

_EVENT: Final = "anon_inode:[eventfd]"
_MOST_DESCRIPTORS: Final = 3  # what comes beyond is closed by the kernel
_NOW: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


@dataclass(frozen=True, slots=True)
class Agreement:
    """
    What the two ends have agreed on.

    @ivar memory: the rings.
    @ivar writes: where the ring that this end writes begins, in bytes.
    @ivar reads: where the other begins.
    @ivar bell: an eventfd that the other end rings, -1 when it rings on the socket.
    @ivar otherBell: an eventfd that this end rings, -1 when it rings on the socket.
    """

    memory: SharedMemory
    writes: int
    reads: int
    bell: int
    otherBell: int

    def close(self) -> None:
        """
        Let go of all of it.
        """
        self.memory.close()
        closeAll([one for one in (self.bell, self.otherBell) if one >= 0])


class Offer:
    """
    What the end that has connected offers, until the other has answered.
    """

    def __init__(self, trusted: bool) -> None:
        """
        @param trusted: whether this end trusts the other.
        @raise OSError: there is no memory or no file descriptor left.
        """
        self._trusted = trusted
        self._descriptors: list[int] = []
        try:
            self._descriptors.append(makeMemory(MEMORY))
            for _ in range(2 if trusted else 0):
                self._descriptors.append(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
            self._memory: SharedMemory | None = SharedMemory(self._descriptors[0], MEMORY)
        except OSError:
            closeAll(self._descriptors)
            raise

    def send(self, sock: socket.socket) -> None:
        """
        Make the offer.

        @raise OSError: it cannot be sent.
        """
        message = BELLS if self._trusted else PLAIN
        # send_fds and recv_fds of Python 3.11 take flags and forget them.
        rights = array("i", self._descriptors)
        sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], _NOW)

    def answered(self, answer: bytes) -> Agreement:
        """
        What the answer makes of the offer; ends it.

        @raise ProtocolError: the other end refuses.
        """
        memory, self._memory = self._memory, None
        descriptors, self._descriptors = self._descriptors, []
        assert memory is not None
        bells = [-1, -1]
        if answer == BELLS and self._trusted:
            bells = descriptors[1:]
            descriptors = descriptors[:1]
        closeAll(descriptors)
        if answer not in (PLAIN, BELLS) or (answer == BELLS and bells[0] < 0):
            memory.close()
            raise ProtocolError(_reasonIn(answer))
        return Agreement(memory, 0, SIZE, *bells)

    def close(self) -> None:
        """
        Take it back, unless it was answered.
        """
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        closeAll(self._descriptors)
        self._descriptors = []


def receiveOffer(sock: socket.socket, trusted: bool) -> Agreement:
    """
    Take the other end's offer and answer it.

    @param trusted: whether this end trusts the other.
    @raise BlockingIOError: there is none yet.
    @raise ProtocolError: it is none, and the other end was told so.
    @raise OSError: the other end is gone, or there is no room here.
    """
    rights = array("i")
    message, others, _, _ = sock.recvmsg(
        ROOM,
        socket.CMSG_LEN(_MOST_DESCRIPTORS * rights.itemsize),
        socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC,
    )
    for level, kind, content in others:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            rights.frombytes(content[: len(content) // rights.itemsize * rights.itemsize])
    descriptors = list(rights)
    try:
        agreement = _agree(message, descriptors, trusted)
    except ProtocolError as error:
        with suppress(OSError):  # it need not hear it
            sock.send(REFUSED + error.reason.encode("ascii", "replace"), _NOW)
        raise
    finally:
        closeAll(descriptors)
    try:
        sock.send(BELLS if agreement.bell >= 0 else PLAIN, _NOW)
    except OSError:
        agreement.close()
        raise
    return agreement


def _agree(message: bytes, descriptors: list[int], trusted: bool) -> Agreement:
    """
    Check an offer and take what is needed of it.

    @param descriptors: those that came with it; those that are kept are removed.
    @raise ProtocolError: it is none.
    @raise OSError: there is no room for the memory here.
    """
    if not message:
        raise ProtocolError(CLOSED_THERE)
    if message not in (PLAIN, BELLS):
        raise ProtocolError("not an offer of shared memory that this version knows")
    if len(descriptors) != (3 if message == BELLS else 1):
        raise ProtocolError("another number of descriptors than an offer has")
    checkMemory(descriptors[0], MEMORY)
    if any(os.readlink(f"/proc/self/fd/{one}") != _EVENT for one in descriptors[1:]):
        raise ProtocolError("a descriptor that is not of a doorbell")
    try:
        memory = SharedMemory(descriptors[0], MEMORY)
    except PermissionError as error:  # it was opened to be read, or sealed against writing
        raise ProtocolError("memory that cannot be written") from error
    bells = [-1, -1]
    if trusted and message == BELLS:
        bells = [descriptors.pop(), descriptors.pop()]
    return Agreement(memory, SIZE, 0, *bells)


def _reasonIn(answer: bytes) -> str:
    """
    Why the other end refuses, fit to be shown.
    """
    if not answer:
        return CLOSED_THERE
    if answer.startswith(REFUSED):
        text = answer[len(REFUSED) :].decode("ascii", "replace")
        return "refused: " + "".join(one if one.isprintable() else "?" for one in text)
    return "an answer that this version does not know"


def closeAll(descriptors: list[int]) -> None:
    """
    Close file descriptors.
    """
    for descriptor in descriptors:
        os.close(descriptor)
