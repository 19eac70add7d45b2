"""
What a bridge remembers of streams, so that nothing that was received once is taken again.

The plain protocol says nothing of time: a packet that was copied on its way is as good tomorrow.
So the codes of all packets of a stream that is on are kept, and the names of streams that are over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bmff.dmr.frame import Frame
from bmff.wire.openbridge.packets import Origin

SILENCE: Final = 2.0  # seconds without a frame after which a stream is over, as the router has it
REMEMBERED: Final = 86_400.0  # seconds that a stream that is over may not begin again for
LARGEST_REMEMBERED: Final = 32_768  # streams; the one that was over first is forgotten
LARGEST_LIVE: Final = 1024  # streams at once
# A call repeats itself honestly: sequence number and place in the superframe are the same after
# 768 frames (46 s), and silence is always the same burst. So a code that was here is refused in
# any case for 383 to 766 frames, and after that unless its frame is the very next one.
GENERATION: Final = 383  # codes
LARGEST_OLDER: Final = 4096  # codes of a stream, 4 min of it, beside the last two generations


class Stream:
    """
    One stream that comes over a bridge.

    @ivar name: see L{nameOf}.
    @ivar destination: its talkgroup or radio in the other network.
    @ivar origin: where it began.
    @ivar heard: when the last frame came, monotonic seconds.
    @ivar sequence: the sequence number of the last frame, once there are older codes.
    @ivar codes: the codes of its last packets, fewer than L{GENERATION}.
    @ivar recent: the codes of as many packets before those.
    @ivar older: the codes of packets before those.
    @ivar deliver: takes each frame and the time; L{None} when the stream is not wanted.
    """

    __slots__ = (
        "codes",
        "deliver",
        "destination",
        "heard",
        "name",
        "older",
        "origin",
        "recent",
        "sequence",
    )

    def __init__(self, name: bytes, frame: Frame, origin: Origin, now: float) -> None:
        self.name = name
        self.destination = frame.destination
        self.origin = origin
        self.heard = now
        self.sequence = frame.sequence
        self.codes: set[bytes] = set()
        self.recent: set[bytes] = set()
        self.older: set[bytes] = set()
        self.deliver: Callable[[Frame, float], None] | None = None

    def knows(self, frame: Frame, code: bytes) -> bool:
        """
        Whether a packet that is not among the last ones was here before that.
        """
        step = (frame.sequence - self.sequence) & 0xFF
        if code in self.recent or (code in self.older and step != 1):
            return True
        self.sequence = frame.sequence
        return False

    def age(self) -> None:
        """
        A generation of codes is full.
        """
        if len(self.older) > LARGEST_OLDER:
            self.older.clear()
        self.older |= self.recent
        self.recent = self.codes
        self.codes = set()


class Memory:
    """
    Names, each for a while, in bounded space.
    """

    def __init__(self, duration: float = REMEMBERED, capacity: int = LARGEST_REMEMBERED) -> None:
        """
        @param duration: seconds that a name is remembered for.
        @param capacity: names; the first is forgotten for one more.
        """
        self._duration = duration
        self._capacity = capacity
        self._names: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._names)

    def note(self, name: bytes, now: float) -> None:
        """
        Remember a name from now on.
        """
        if self._names.pop(name, None) is None and len(self._names) >= self._capacity:
            del self._names[next(iter(self._names))]
        self._names[name] = now

    def holds(self, name: bytes, now: float) -> bool:
        """
        Whether a name is remembered.
        """
        noted = self._names.get(name)
        return noted is not None and now < noted + self._duration


def nameOf(frame: Frame) -> bytes:
    """
    What a stream is known by when it is over: source, destination and stream ID, 10 bytes.

    The stream ID alone would do if all servers drew it by chance.
    """
    return frame.addressing[1:] + frame.body[1:5]
