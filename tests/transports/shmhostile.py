"""
A process at the other end of shared memory that does what it should not, again and again.

Run as C{python -m tests.transports.shmhostile PATH WAY SECONDS}. It connects, says hello,
misbehaves in this way until the node closes, and connects anew; when the time is over it ends. As
C{bells} or C{forked}, with or without a user to become, it only waits.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Final

from tests.transports.shmpeer import HEAD, MAGIC, SIZE, START, TAIL, SharedPeer

_PUNCH: Final = 3  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_PAGE: Final = 4096
_libc: Final = ctypes.CDLL(None, use_errno=True)
_random: Final = Random(os.getpid())


def punch(peer: SharedPeer, at: int, size: int) -> None:
    """
    Punch a hole into the memory.
    """
    at, length = ctypes.c_long(at), ctypes.c_long(size)  # type: ignore[assignment]
    if _libc.fallocate(peer.file, _PUNCH, at, length):
        raise OSError(ctypes.get_errno(), "fallocate")


def noise(peer: SharedPeer) -> None:
    """
    Random bytes anywhere, and a ring.
    """
    size = _random.randrange(1, 300)
    at = _random.choice((0, START, SIZE, _random.randrange(2 * SIZE - size)))
    peer.map[at : at + size] = _random.randbytes(size)
    peer.ring()


def places(peer: SharedPeer) -> None:
    """
    Places where an end cannot be, and one where it nearly could.
    """
    at = _random.choice((HEAD, SIZE + TAIL))
    peer.put(at, _random.choice((1, 4096, 4097, 1 << 32, (1 << 64) - 1, _random.getrandbits(64))))
    peer.ring()


def holes(peer: SharedPeer) -> None:
    """
    Holes under packets that are on their way.
    """
    for _ in range(8):
        peer.send(_random.randbytes(100))
    page = _random.randrange(2 * SIZE // _PAGE)
    punch(peer, page * _PAGE, _PAGE)
    if _random.random() < 0.1:
        punch(peer, 0, 2 * SIZE)


def flood(peer: SharedPeer) -> None:
    """
    Rings for nothing.
    """
    for _ in range(100):
        peer.ring()


def drain(peer: SharedPeer) -> None:
    """
    Packets, while the node's own bell is kept silent.
    """
    peer.send(b"packet")
    try:
        os.eventfd_read(peer.otherBell)
    except BlockingIOError:
        return


def stop(peer: SharedPeer) -> None:
    """
    Everything that waits is made to wait, and what would is done.
    """
    for descriptor in (peer.bell, peer.otherBell, peer.sock.fileno()):
        os.set_blocking(descriptor, True)
    if select.select([], [peer.bell], [], 0)[1]:
        os.eventfd_write(peer.bell, 0xFFFF_FFFF_FFFF_FFFE)
    peer.send(b"packet")
    if select.select([peer.otherBell], [], [], 0)[0]:
        os.eventfd_read(peer.otherBell)


def shrink(peer: SharedPeer) -> None:
    """
    The memory taken away, or what is written to be denied.
    """
    for size in (0, _PAGE, 4 * SIZE):
        try:
            os.ftruncate(peer.file, size)
        except PermissionError:
            continue
        raise SystemExit("the memory can be changed")
    punch(peer, 0, 2 * SIZE)
    peer.ring()


def both(peer: SharedPeer) -> None:
    """
    Random bytes at every place at once, and no end.
    """
    peer.map[:] = _random.randbytes(2 * SIZE)
    peer.ring()


WAYS: Final[dict[str, tuple[bool, Callable[[SharedPeer], None]]]] = {
    "noise": (True, noise),
    "places": (True, places),
    "holes": (True, holes),
    "flood": (True, flood),
    "flood-socket": (False, flood),
    "drain": (True, drain),
    "stop": (True, stop),
    "shrink": (False, shrink),
    "both": (False, both),
}


def alive(peer: SharedPeer) -> bool:
    """
    Whether the node still wants this end.
    """
    try:
        while peer.sock.recv(100, socket.MSG_DONTWAIT):
            continue
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False
    return False


def misbehave(path: str, how: str, seconds: float) -> None:
    """
    Do it until the time is over.
    """
    bells, act = WAYS[how]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        peer = SharedPeer(path, bells)
        peer.send(b"hello")
        while not peer.word(TAIL) and alive(peer) and time.monotonic() < end:
            time.sleep(0.0005)  # until it was heard
        while alive(peer) and time.monotonic() < end:
            act(peer)
        peer.close()


def main() -> None:
    """
    What the command line says.
    """
    path, how, *more = sys.argv[1:]
    if how in WAYS:
        misbehave(path, how, float(more[0]))
        return
    if more:
        os.setuid(int(more[0]))
    peer = SharedPeer(path, bells=True)
    if peer.sock.recv(100) != MAGIC + b"\1":  # no doorbells, then
        peer.otherBell = -1
    peer.send(b"hello")
    if how == "forked" and not os.fork():
        sys.stdin.close()  # the other process's end comes by a signal, this one's by the test's
        select.select([peer.sock], [], [], 10)
        while alive(peer):
            time.sleep(0.01)
        return
    sys.stdin.read()


if __name__ == "__main__":
    main()
