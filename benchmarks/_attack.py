"""
An attacker in a process of its own: first messages of FastForward handshakes, forged and replayed,
as fast as asked (what they look like: L{bmff.wire.fastforward.handshake}).

Most come from ports of its own, every fourth bears the address of a node that the attacked one has
a link with, where the kernel lets us write addresses (raw sockets, raw(7) of Linux, for root).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection as Pipe
from random import Random
from struct import Struct
from typing import Final

from bmff.wire.fastforward.handshake import (
    INITIATION,
    InitiatorHandshake,
    PreSharedKey,
)
from bmff.wire.fastforward.prologue import Prologue
from bmff.wire.fastforward.session import DATA

POOL: Final = 4000  # different forged messages, sent again and again
PORTS: Final = 8  # of the attacker's own
PITCH: Final = 0.001  # seconds between two batches
ATTACK_CPU: Final = 1

_ip: Final = Struct(">BBHHHBBH4s4s")
_udp: Final = Struct(">HHHH")

Send = Callable[[bytes], object]


def forge(random: Random, prologue: Prologue) -> bytes:
    """
    A message of somebody without the key. Eight of ten are right but for their C{mac1} and what
    is sealed; the others are cut, of random bytes, or data of no session.
    """
    encoded = prologue.encode()
    head = bytes((INITIATION,)) + random.randbytes(4) + encoded
    tail = random.randbytes(len(first(prologue, PreSharedKey(bytes(32)))) - len(head))
    kind = random.randrange(10)
    if kind == 0:
        whole = head + tail
        return whole[: random.randrange(1, len(whole))]
    if kind == 1:
        type_ = random.choice((INITIATION, DATA, random.randrange(256)))
        return bytes((type_,)) + random.randbytes(random.randrange(1, 400))
    return head + tail


def first(prologue: Prologue, key: PreSharedKey) -> bytes:
    """
    A first message.
    """
    return handshake(prologue, key).initiation()


def handshake(prologue: Prologue, key: PreSharedKey) -> InitiatorHandshake:
    """
    A handshake of somebody who has L{key}.
    """
    return InitiatorHandshake(
        prologue,
        key,
        index=int.from_bytes(os.urandom(4)),
        bootID=1,
        wall=time.time_ns() // 1000,
        ephemeral=os.urandom(32),
    )


def ownPorts(victim: tuple[str, int]) -> list[socket.socket]:
    """
    Sockets of the attacker's own.
    """
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(PORTS)]
    for one in sockets:
        one.connect(victim)
    return sockets


def inTheNameOf(near: tuple[str, int], victim: tuple[str, int]) -> Send | None:
    """
    Sends as if another had; L{None} where the kernel does not allow that.
    """
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    except PermissionError:
        return None
    addresses = [socket.inet_aton(host) for host, _ in (near, victim)]

    def send(data: bytes) -> object:
        size = _udp.size + len(data)
        head = _ip.pack(0x45, 0, _ip.size + size, 0, 0, 64, socket.IPPROTO_UDP, 0, *addresses)
        return raw.sendto(head + _udp.pack(near[1], victim[1], size, 0) + data, victim)

    return send


@dataclass(frozen=True, slots=True)
class Sent:
    """
    What an attack has sent.

    @ivar counts: messages, of each queue.
    @ivar pause: the longest time that the attacker itself was held up, seconds; what it missed is
        sent at once after it.
    """

    counts: tuple[int, ...]
    pause: float


def flood(queues: Sequence[tuple[float, Callable[[], object]]], begin: float, end: float) -> Sent:
    """
    Send from each queue at its pace.

    @param queues: messages a second, and what sends the next one.
    @param begin: monotonic seconds.
    """
    sent = [0] * len(queues)
    time.sleep(max(0.0, begin - time.monotonic()))
    before, pause = begin, 0.0
    while (now := time.monotonic()) < end:
        pause, before = max(pause, now - before), now
        for number, (rate, send) in enumerate(queues):
            due = int((now - begin) * rate)
            for _ in range(due - sent[number]):
                send()
            sent[number] = due
        time.sleep(PITCH)
    return Sent(tuple(sent), pause)


def attack(
    control: Pipe,
    near: tuple[str, int],
    victim: tuple[str, int],
    recorded: bytes,
    own: tuple[Prologue, PreSharedKey],
    pretended: Prologue,
) -> None:
    """
    The attacker's process: says when it is ready, and floods when told a beginning, an end, and
    the two rates; answers with what it L{Sent}, forged and replayed.

    @param near: the address of the node that the victim has a link with.
    @param recorded: the first message of that link's handshake.
    @param own: a handshake that the attacker may make itself, and records.
    @param pretended: what forged messages say.
    """
    os.sched_setaffinity(0, {ATTACK_CPU})
    sockets = ownPorts(victim)
    message = first(*own)
    sockets[0].settimeout(5)
    sockets[0].send(message)
    sockets[0].recv(512)  # it was let in, once
    random = Random(1)
    forged = cycle([forge(random, pretended) for _ in range(POOL)])
    sends: list[Send] = [one.send for one in sockets]
    spoofed = inTheNameOf(near, victim)
    ways = cycle([*sends[1:4], spoofed, *sends[4:7], spoofed] if spoofed else sends)
    again: list[tuple[Send, bytes]] = [
        (sends[0], message),  # from where it came from
        (sends[1], message),
        (sends[2], recorded),
        (spoofed or sends[3], recorded),
    ]
    replays = cycle(again)

    def sendForged() -> None:
        next(ways)(next(forged))

    def sendReplay() -> None:
        way, data = next(replays)
        way(data)

    control.send(spoofed is not None)
    while (order := control.recv()) is not None:
        begin, end, forgedRate, replayRate = order
        queues = [(forgedRate, sendForged), (replayRate, sendReplay)]
        control.send(flood(queues, begin, end))
