"""
What somebody says in a virtual day: the frames of one transmission, and what became of them.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

from bmff.dmr.burst import terminator, voiceHeader
from bmff.dmr.frame import (
    CSBK,
    DATA_HEADER,
    DATA_SYNC,
    PRIVATE,
    RATE_12,
    SLOT_2,
    TERMINATOR,
    VOICE,
    VOICE_HEADER,
    VOICE_SYNC,
    Frame,
)
from bmff.dmr.lc import FullLinkControl
from bmff.dmr.voice import superframe

if TYPE_CHECKING:  # it holds talks itself
    from tests.dayhotspot import DayHotspot


class Talk:
    """
    One transmission; of data, all that belong together.

    @ivar hotspot: where it is made; L{None} when a bridge brings it.
    @ivar source: the radio that talks.
    @ivar destination: whom it is for, as its frames say.
    @ivar private: whether that is a radio.
    @ivar data: whether it is data.
    @ivar frames: all of it.
    @ivar sent: how many of them were sent.
    @ivar ours: the destination as its node knows it; what a dialled talkgroup is under 9.
    @ivar began: when its first frame was routed, seconds; negative when none was.
    @ivar refused: whether its node has not taken its first frame, and will take none.
    @ivar routed: frames that were routed, by node.
    @ivar origin: the node that it comes to, by number.
    @ivar crossing: the nodes that it is to come to over links, all of it, each with a hotspot for
        whose sake.
    @ivar whole: the hotspots and slots that are to hear all of what their node routes, by node.
    @ivar certain: whether every frame that was sent is to be routed.
    """

    def __init__(
        self,
        hotspot: DayHotspot | None,
        source: int,
        destination: int,
        frames: list[Frame],
    ) -> None:
        self.hotspot = hotspot
        self.source = source
        self.destination = destination
        self.private = frames[0].private
        self.data = frames[-1].isData
        self.frames = frames
        self.sent = 0
        self.ours = destination
        self.began = -1.0
        self.refused = False
        self.routed: dict[int, int] = {}
        self.origin = -1
        self.crossing: list[tuple[int, DayHotspot]] = []
        self.whole: list[tuple[int, DayHotspot, int]] = []
        self.certain = False

    @property
    def over(self) -> bool:
        """
        Whether all of it has been sent.
        """
        return self.sent >= len(self.frames)

    def next(self) -> Frame:
        """
        The next frame to be sent.
        """
        self.sent += 1
        return self.frames[self.sent - 1]


@lru_cache(512)
def makeBursts(lc: FullLinkControl) -> tuple[bytes, bytes, tuple[bytes, ...]]:
    """
    The header, the terminator and the superframe of a call.
    """
    return voiceHeader(lc), terminator(lc), superframe(lc)


def voiceFrames(
    stream: int,
    source: int,
    destination: int,
    slot: int,
    private: bool,
    length: int,
    lc: FullLinkControl | None = None,
) -> list[Frame]:
    """
    A voice transmission: a header, bursts, a terminator.

    @param length: bursts between header and terminator.
    @param lc: what its bursts say; the same for all when absent, as they take long to make.
    """
    header, last, bursts = makeBursts(lc or FullLinkControl.group(91, 1))
    parts = [(DATA_SYNC | VOICE_HEADER, header)]
    parts += [
        (VOICE | number % 6 if number % 6 else VOICE_SYNC, bursts[number % 6])
        for number in range(length)
    ]
    parts.append((DATA_SYNC | TERMINATOR, last))
    way = (SLOT_2 if slot == 2 else 0) | (PRIVATE if private else 0)
    return [
        Frame.make(
            sequence=sequence,
            source=source,
            destination=destination,
            flags=flags | way,
            stream=stream,
            burst=burst,
        )
        for sequence, (flags, burst) in enumerate(parts)
    ]


def dataFrames(
    random: Random, stream: int, source: int, destination: int, slot: int, private: bool
) -> list[Frame]:
    """
    A message as an MMDVMHost sends it: each preamble a stream of its own, header and blocks one.

    @param stream: the first of five stream IDs.
    """
    way = (SLOT_2 if slot == 2 else 0) | (PRIVATE if private else 0) | DATA_SYNC
    preambles = random.choice((1, 1, 2, 4))
    parts = [(stream + number, 0, CSBK) for number in range(preambles)]
    parts.append((stream + preambles, 0, DATA_HEADER))
    parts += [(stream + preambles, number, RATE_12) for number in range(1, random.randint(2, 4))]
    return [
        Frame.make(
            sequence=sequence,
            source=source,
            destination=destination,
            flags=way | dataType,
            stream=one,
            burst=random.randbytes(33),
        )
        for one, sequence, dataType in parts
    ]
