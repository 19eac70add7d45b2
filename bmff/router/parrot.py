"""
The parrot: what is said to it on 9990 comes back to where it was said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bmff.dmr.frame import Frame
from bmff.dmr.numbers import PARROT
from bmff.router.announcement import Announcer
from bmff.router.call import Call, Peer, Slot
from bmff.router.rewriting import FrameRewriting
from bmff.router.translation import Form

PAUSE: Final = 1.0  # seconds between the end of a call and its repetition
LARGEST: Final = 64  # recordings that are made or played at once
LONGEST: Final = 3000  # frames that are kept of one, 180 s


class Parrot:
    """
    Takes calls to 9990, as talkgroup or as radio, and answers in kind.

    @ivar busy: recordings that are made or played.
    """

    def __init__(self, announcer: Announcer) -> None:
        self.busy = 0
        self._announcer = announcer

    def takes(self, peer: Peer, frame: Frame) -> bool:
        """
        See L{bmff.router.service.Service}.
        """
        return frame.destination == PARROT and not frame.isData

    def begin(self, call: Call, now: float) -> Recording | None:
        """
        See L{bmff.router.service.Service}.
        """
        if self.busy >= LARGEST or call.slot is None:
            return None
        self.busy += 1
        return Recording(self, call, call.slot)

    def recorded(self, recording: Recording) -> None:
        """
        A call has ended: say it again.
        """
        due = recording.call.heard + PAUSE
        frames = recording.play()
        if not self._announcer.announce(frames, recording.slot, due, self._played):
            self._played()

    def _played(self) -> None:
        self.busy -= 1


class Recording:
    """
    Keeps the frames of one call.

    @ivar call: the call.
    @ivar slot: where it came from, and is answered.
    """

    __slots__ = ("_frames", "_parrot", "call", "slot")

    def __init__(self, parrot: Parrot, call: Call, slot: Slot) -> None:
        self._parrot = parrot
        self._frames: list[Frame] = []
        self.call = call
        self.slot = slot

    def sendFrame(self, frame: Frame) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """
        if len(self._frames) < LONGEST:
            self._frames.append(frame)

    def close(self) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """
        self._parrot.recorded(self)

    def play(self) -> Iterator[Frame]:
        """
        The frames again, under a stream ID of their own. A private call is answered by the parrot
        itself, to whom has called.
        """
        call = self.call
        stream = ((call.stream ^ 0xFFFF_FFFF) or 1).to_bytes(4, "big")
        rewriting = None
        if call.private:
            rewriting = FrameRewriting(call.linkControl(), Form(call.source, True), source=PARROT)
        for number, heard in enumerate(self._frames):
            frame = heard if rewriting is None else rewriting.rewrite(heard)
            addressing = bytes((number & 0xFF,)) + frame.addressing[1:]
            yield Frame(addressing, frame.body[:1] + stream + frame.body[5:])
