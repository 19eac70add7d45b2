"""
The parrot: what is said to it on 9990 comes back to where it was said.
"""

from __future__ import annotations

from typing import Final

from bmff.dmr.frame import FRAME_PERIOD, Frame
from bmff.dmr.numbers import PARROT
from bmff.router.announcement import Announcement
from bmff.router.call import Call, Peer, Routes, Slot
from bmff.router.deadlines import Deadlines
from bmff.router.rewriting import FrameRewriting
from bmff.router.translation import Form

PAUSE: Final = 1.0  # seconds between the end of a call and its repetition
LARGEST: Final = 64  # recordings that are made or played at once, of up to the talk limit each
LONGEST: Final = 3000  # frames that are kept of one, 180 s


class Parrot:
    """
    Takes calls to 9990, as talkgroup or as radio, and answers in kind.

    @ivar busy: recordings that are made or played.
    """

    def __init__(self, routes: Routes, deadlines: Deadlines) -> None:
        """
        @param deadlines: rings for each frame that is played.
        """
        self.busy = 0
        self._routes = routes
        self._deadlines = deadlines

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
        if not recording.frames:
            self.busy -= 1
            return
        self._deadlines.schedule(recording.call.heard + PAUSE, self._play, Playback(recording))

    def _play(self, playback: Playback, now: float) -> None:
        self._routes.route(playback.announcement, playback.next(), now)
        if playback.left:
            # From when it was due, not from now: the pitch does not drift.
            playback.due = max(playback.due + FRAME_PERIOD, now - FRAME_PERIOD)
            self._deadlines.schedule(playback.due, self._play, playback)
        else:
            self.busy -= 1


class Recording:
    """
    Keeps the frames of one call.

    @ivar call: the call.
    @ivar slot: where it came from, and is answered.
    @ivar frames: those that it has had.
    """

    __slots__ = ("_parrot", "call", "frames", "slot")

    def __init__(self, parrot: Parrot, call: Call, slot: Slot) -> None:
        self._parrot = parrot
        self.call = call
        self.slot = slot
        self.frames: list[Frame] = []

    def sendFrame(self, frame: Frame) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """
        if len(self.frames) < LONGEST:
            self.frames.append(frame)

    def close(self) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """
        self._parrot.recorded(self)


class Playback:
    """
    A recording as it is played.

    @ivar announcement: where its call comes from.
    @ivar due: when the next frame is, monotonic seconds.
    """

    __slots__ = ("_at", "_frames", "_rewriting", "_stream", "announcement", "due")

    def __init__(self, recording: Recording) -> None:
        call = recording.call
        self.announcement = Announcement(recording.slot)
        self.due = call.heard + PAUSE
        self._frames = recording.frames
        self._at = 0
        self._stream = (call.stream ^ 0xFFFF_FFFF) or 1
        self._rewriting: FrameRewriting | None = None
        if call.private:  # answered by the parrot itself, to whom has called
            lc = call.linkControl()
            self._rewriting = FrameRewriting(lc, Form(call.source, True), source=PARROT)

    @property
    def left(self) -> int:
        """
        How many frames are still to be played.
        """
        return len(self._frames) - self._at

    def next(self) -> Frame:
        """
        The next frame, under a stream ID of its own.
        """
        frame = self._frames[self._at]
        self._at += 1
        if self._rewriting is not None:
            frame = self._rewriting.rewrite(frame)
        body = frame.body
        addressing = bytes((self._at - 1 & 0xFF,)) + frame.addressing[1:]
        return Frame(addressing, body[:1] + self._stream.to_bytes(4, "big") + body[5:])
