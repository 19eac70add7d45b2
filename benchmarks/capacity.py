"""
How many frames a second one processor passes: seal, UDP, open, route, with a thousand calls on.

The frames of a turn leave in one packet; how much that saves is shown by sending sixteen at once
and one at a time. The same is done through shared memory, where nothing is sealed. Beside it runs a
bare loop of seal, send, receive and open with sixteen a packet, and one that does for each frame
what OpenBridge servers do: recvfrom, HMAC-SHA1, struct, sendto.
All of it is in one process on one processor, in turn.
"""

from __future__ import annotations

import hmac
import os
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from benchmarks._report import Report, arguments
from bmff.cluster.remote import RemoteNode
from bmff.dmr.frame import SLOT_2, VOICE_SYNC, Frame
from bmff.router.router import Router
from bmff.sockets.ring import SIZE, RingReader, RingWriter
from bmff.sockets.sharedmemory import SharedMemory, makeMemory
from bmff.wire.fastforward.interest import Interest
from bmff.wire.fastforward.link import Link
from bmff.wire.fastforward.path import Path, Traits
from bmff.wire.fastforward.session import Session

CALLS = 1000
MOST = 16  # frames a packet
UDP = Traits("udp", reliable=False, trusted=False)
SHM = Traits("shm", reliable=True, trusted=True)
KEYS = (bytes(32), bytes(range(32)))
ROUNDS_OF_CALLS = 20  # frames of each call in one round
_OPENBRIDGE = struct.Struct(">4sB3s3sIB4s33s20s")


class State:
    """
    What measurements say; there are none here.
    """

    interest = Interest()
    lag = load = 0

    def capabilitiesFor(self, node: int) -> str:
        return ""


class Nobody:
    """
    Watches a link and does nothing.
    """

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def makeEnd(
    local: int,
    remote: int,
    keys: tuple[bytes, bytes],
    send: Callable[[bytes], bool],
    traits: Traits = UDP,
) -> tuple[Router, Link, Path]:
    """
    One end of a link whose session is there already; nothing is sealed where that is needless.
    """
    router = Router(lambda event: None, talkLimit=0.0)
    watcher: Any = Nobody()
    link = Link(remote, 1, State(), watcher, 0.0, 1)
    path = Path(link, traits, "", send, time.monotonic())
    link.usePath(path)
    session = Session(
        *keys, local, remote, initiator=True, now=time.monotonic(), sealed=not traits.trusted
    )
    path.useSession(session, time.monotonic())
    node = RemoteNode(link, router)
    link.takeFrame = partial(router.route, node)
    return router, link, path


def frames(sequence: int) -> list[Frame]:
    """
    The next frame of each call.
    """
    return [
        Frame.make(
            sequence=sequence & 0xFF,
            source=1 + call,
            destination=10_000 + call,
            flags=SLOT_2 | VOICE_SYNC,
            stream=1 + call,
            burst=bytes(33),
        )
        for call in range(CALLS)
    ]


def through(batch: int, first: int, receive: Callable[[], Any], ends: Any) -> float:
    """
    Frames a second with L{batch} frames a packet.

    @param first: the number of the first frame in each call.
    """
    numbers = range(first, first + ROUNDS_OF_CALLS)
    rounds = [frames(number) for number in numbers]
    path, router, far = ends
    before = router.framesRouted
    begin = time.perf_counter()
    for index, calls in zip(numbers, rounds, strict=True):
        for at in range(0, CALLS, batch):
            now = time.monotonic()
            for frame in calls[at : at + batch]:
                path.sendFrame(index, frame)
            path.flush(now)
            far.packetReceived(receive(), now)
    seconds = time.perf_counter() - begin
    routed = int(router.framesRouted - before)
    if routed != CALLS * len(rounds):
        wrong = {**far.dropped, **router.dropped}
        raise SystemExit(f"capacity: {routed} of {CALLS * len(rounds)} were routed: {wrong}")
    return routed / seconds


def bare(sockets: Any) -> float:
    """
    Frames a second of a loop that seals, sends, receives and opens, and does nothing else.
    """
    sender, receiver = sockets
    near = Session(*KEYS, 1, 2, initiator=True, now=0.0)
    far = Session(KEYS[1], KEYS[0], 2, 1, initiator=False, now=0.0)
    messages = bytes(4 + 51 * MOST)
    to = receiver.getsockname()
    count = CALLS * ROUNDS_OF_CALLS // MOST
    begin = time.perf_counter()
    for _ in range(count):
        sender.sendto(near.seal(messages), to)
        far.open(receiver.recv(2048))
    return count * MOST / (time.perf_counter() - begin)


def openBridge(sockets: Any) -> float:
    """
    Frames a second of a plain OpenBridge server: receive, verify, take apart, sign, send.
    """
    sender, receiver = sockets
    key, to = bytes(20), receiver.getsockname()
    body = b"DMRD" + bytes(49)
    data = body + hmac.digest(key, body, "sha1")
    count = CALLS * ROUNDS_OF_CALLS
    begin = time.perf_counter()
    for _ in range(count):
        sender.sendto(data, to)
        got, _ = receiver.recvfrom(2048)
        if not hmac.compare_digest(hmac.digest(key, got[:53], "sha1"), got[53:]):
            raise SystemExit("capacity: the reference is broken")
        _OPENBRIDGE.unpack(got)
        int.from_bytes(got[5:8], "big")
        int.from_bytes(got[8:11], "big")
    return count / (time.perf_counter() - begin)


def makeRing() -> tuple[Callable[[bytes], bool], Callable[[], bytes | None]]:
    """
    What sends and what receives through shared memory.
    """
    descriptor = makeMemory(SIZE)
    shared = SharedMemory(descriptor, SIZE)
    os.close(descriptor)
    writer = RingWriter(shared.memory, shared.words, 0)
    reader = RingReader(shared.memory, shared.words, 0)

    def send(data: bytes) -> bool:
        return writer.put(data) is not None

    def receive() -> bytes | None:
        packet = reader.take()
        reader.release()
        return packet

    return send, receive


def main() -> None:
    """
    Measure and print.
    """
    asked = arguments(__doc__.strip().splitlines()[0], rounds=7)
    os.sched_setaffinity(0, {0})
    sender, receiver = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for one in (sender, receiver):
        one.bind(("127.0.0.1", 0))
    to = receiver.getsockname()
    _, _, path = makeEnd(1, 2, KEYS, lambda data: bool(sender.sendto(data, to)))
    router, _, far = makeEnd(2, 1, (KEYS[1], KEYS[0]), lambda data: True)
    receiver.recv(2048)  # the first measurement
    put, take = makeRing()
    _, _, inner = makeEnd(1, 2, KEYS, put, SHM)
    innerRouter, _, innerFar = makeEnd(2, 1, (KEYS[1], KEYS[0]), lambda data: True, SHM)
    take()
    ways: dict[str, tuple[Callable[[], Any], Any]] = {
        "": (partial(receiver.recv, 2048), (path, router, far)),
        "shm ": (take, (inner, innerRouter, innerFar)),
    }
    found: dict[str, list[float]] = {
        name: [] for name in ("16", "1", "shm 16", "shm 1", "bare", "openbridge")
    }
    sequence = 0
    for turn in range(asked.rounds + 1):
        for batch in (MOST, 1):
            for way, (receive, ends) in ways.items():
                found[f"{way}{batch}"].append(through(batch, sequence, receive, ends))
            sequence += ROUNDS_OF_CALLS
        found["bare"].append(bare((sender, receiver)))
        found["openbridge"].append(openBridge((sender, receiver)))
        if turn == 0:
            for rates in found.values():
                rates.clear()
    rate = {name: median(each) for name, each in found.items()}
    Report(
        "capacity",
        {
            "udp": rate["16"] / rate["1"],
            "bare": rate["16"] / rate["bare"],
            "openbridge": rate["16"] / rate["openbridge"],
            "shm/udp": rate["shm 16"] / rate["16"],
            "shm/udp/1": rate["shm 1"] / rate["1"],
        },
        {f"frames a second, {name}": round(figure) for name, figure in rate.items()},
        "one frame a packet (udp), a bare loop (bare), a plain OpenBridge loop (openbridge),"
        " UDP with as many frames a packet (shm/udp: sixteen, shm/udp/1: one)",
    ).show(asked.json)


if __name__ == "__main__":
    main()
