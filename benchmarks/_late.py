"""
How late frames are: what the benchmarks have in common that ask for it. A frame carries the moment
that it is counted from in its burst; who hears it on a socket takes the kernel's time of its
arrival (C{SO_TIMESTAMPNS}, socket(7) of Linux), so that it does not count when it is read.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from struct import Struct
from typing import Final

from bmff.dmr.frame import SLOT_2, VOICE_SYNC, Frame
from bmff.wire.homebrew import encodeFrame, packID

SHARES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
OTHERS: Final = 0.15  # the share of the node's processor at which a round is spoiled
_SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h; not in Python's socket module
_TIMESPEC: Final = Struct("@qq")
_STAMP: Final = Struct(">Q")  # nanoseconds since 1970, in the burst
_STREAM_AT: Final = 16  # offsets in a datagram
_BURST_AT: Final = 20


def stamped(
    number: int,
    talkgroup: int,
    sequence: int,
    stamp: int,
    *,
    stream: int = 0,
    flags: int = SLOT_2 | VOICE_SYNC,
) -> bytes:
    """
    A frame as a hotspot sends it, with a moment in its burst.

    @param number: the ID of radio and hotspot.
    @param stamp: nanoseconds since 1970.
    @param stream: its stream ID; the number when 0.
    """
    frame = Frame.make(
        sequence=sequence,
        source=number,
        destination=talkgroup,
        flags=flags,
        stream=stream or number,
        burst=_STAMP.pack(stamp) + bytes(25),
    )
    return encodeFrame(frame, packID(number))


def noteArrivals(listener: socket.socket) -> None:
    """
    Have the kernel tell when each datagram came.
    """
    listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    listener.setblocking(False)


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    A frame that has come.

    @ivar stream: its stream ID.
    @ivar stamp: the moment in its burst, nanoseconds since 1970.
    @ivar late: how much later it came, seconds.
    """

    stream: int
    stamp: int
    late: float


def nextArrival(listener: socket.socket) -> Arrival:
    """
    The next frame at a socket of L{noteArrivals}.

    @raise BlockingIOError: there is none.
    """
    data, ancillary, _, _ = listener.recvmsg(512, 64)
    seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2][: _TIMESPEC.size])
    (stamp,) = _STAMP.unpack_from(data, _BURST_AT)
    stream = int.from_bytes(data[_STREAM_AT:_BURST_AT])
    return Arrival(stream, stamp, (seconds * 1_000_000_000 + nanoseconds - stamp) / 1e9)


@dataclass(frozen=True, slots=True)
class Heard:
    """
    How late the frames of a round were.

    @ivar lateness: of every frame that was heard, seconds, sorted.
    @ivar sent: frames sent.
    """

    lateness: Sequence[float]
    sent: int

    @property
    def lost(self) -> int:
        """
        Frames sent and not heard.
        """
        return self.sent - len(self.lateness)

    def late(self, share: float) -> float:
        """
        The lateness that L{share} of the frames heard keep to, seconds.
        """
        return self.lateness[min(int(len(self.lateness) * share), len(self.lateness) - 1)]


def milliseconds(rounds: Iterable[Heard], share: float) -> list[float]:
    """
    The lateness that a share of the frames keeps to, of each round.
    """
    return [round(1000 * each.late(share), 2) for each in rounds]


def middle(rounds: Sequence[Heard], share: float, counting: Iterable[int]) -> float:
    """
    The median of that, in milliseconds, of the rounds that count.
    """
    found = milliseconds(rounds, share)
    return median(found[number] for number in counting)


def leftAlone(*kinds: Sequence[float]) -> list[int]:
    """
    The numbers of those rounds in which other programs left the node's processor to it.

    @param kinds: for each kind of round the share of that processor that others took, by number.
    """
    return [number for number, each in enumerate(zip(*kinds, strict=True)) if max(each) < OTHERS]


def busy(processor: int) -> float:
    """
    Seconds that a processor has worked since the host's start, for whomever (proc(5) of Linux).
    """
    (line,) = (
        line
        for line in Path("/proc/stat").read_text().splitlines()
        if line.startswith(f"cpu{processor} ")
    )
    # User, nice and system, the two kinds of interrupt, and what the host took away (steal).
    worked = [int(each) for each in line.split()[1:9]]
    return (sum(worked) - worked[3] - worked[4]) / os.sysconf("SC_CLK_TCK")


def processorSeconds(pid: int) -> float:
    """
    Seconds of a processor that a process has had.
    """
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """
    The memory that a process has, MiB.
    """
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
