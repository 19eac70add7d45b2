"""
Our numbers in place of theirs, in what a peer or a bridge brings.
"""

from __future__ import annotations

from typing import Final

from bmff.dmr.burst import linkControlOf
from bmff.dmr.frame import DATA_SYNC, DATA_TYPE, KIND, PRIVATE, TERMINATOR, Frame
from bmff.router.call import Peer, Routes
from bmff.router.rewriting import FrameRewriting
from bmff.router.translation import Form
from bmff.router.trunk import Trunk

LARGEST: Final = 64  # streams, more than a peer has at once; the one begun first is forgotten
_END: Final = DATA_SYNC | TERMINATOR


class Inward:
    """
    Takes the frames of one peer or bridge that has other numbers, and routes them under ours.
    """

    def __init__(self, routes: Routes, ingress: Peer | Trunk) -> None:
        self._routes = routes
        self._ingress = ingress
        self._streams: dict[tuple[int, int, int], FrameRewriting | None] = {}

    @property
    def idle(self) -> bool:
        """
        Whether no stream is on that it has seen.
        """
        return not self._streams

    def frameReceived(self, frame: Frame, now: float) -> None:
        """
        Route a frame.

        @param now: monotonic seconds.
        """
        key = (frame.stream, frame.destination, frame.flags & PRIVATE)
        try:
            rewriting = self._streams[key]
        except KeyError:
            rewriting = self._begin(key, frame)
        if frame.flags & (KIND | DATA_TYPE) == _END:
            del self._streams[key]
        if rewriting is not None:
            frame = rewriting.rewrite(frame)
        self._routes.route(self._ingress, frame, now)

    def _begin(self, key: tuple[int, int, int], frame: Frame) -> FrameRewriting | None:
        if len(self._streams) >= LARGEST:
            del self._streams[next(iter(self._streams))]
        theirs = Form(frame.destination, frame.private)
        ours = self._ingress.inward(frame.slot, theirs)
        rewriting = None
        if ours is not None:
            # The network says who talks; a header that says somebody else is put right.
            rewriting = FrameRewriting(linkControlOf(frame), ours, frame.source)
        self._streams[key] = rewriting
        return rewriting
