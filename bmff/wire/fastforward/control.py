"""
Control messages: whole, once and in order on every transport, from path to path.

A control message is cut into numbered segments. The receiver acknowledges the last number up to
which it has all; the sender repeats what is not acknowledged in time, and everything at once when
the path has changed. The numbers of one link are a row with a name of its own, so that a link which
one end has begun anew is not taken for the one before it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from math import inf
from typing import Final

from bmff.wire.fastforward.messages import Acknowledgement, Segment

SEGMENT_SIZE: Final = 1100  # bytes, so that one fits into a packet beside a measurement
IN_FLIGHT: Final = 32  # segments
LARGEST_MESSAGE: Final = 65_536  # bytes
LARGEST_QUEUE: Final = 262_144  # bytes that wait to be sent
MOST_ROWS: Final = 8  # rows that are over and not begun again
FIRST_REPEAT: Final = 0.2  # seconds; before the round trip is known
SLOWEST_REPEAT: Final = 5.0  # seconds


class Full(Exception):
    """
    More waits to be sent than may.
    """


class ControlSender:
    """
    The sending half.

    @ivar name: of the row of numbers that it counts, 32 bits; never 0.
    @ivar queued: bytes that wait for an acknowledgement or to be sent.
    @ivar repeated: segments that were sent again.
    """

    def __init__(self, name: int) -> None:
        """
        @param name: 32 bits, another one than any before it between these two processes.
        """
        self.name = name
        self.queued = 0
        self.repeated = 0
        self._waiting: deque[Segment] = deque()
        # By number: the segment, when it is due again, the pause that it has waited by then.
        self._flying: dict[int, tuple[Segment, float, float]] = {}
        self._number = 0

    def restart(self) -> None:
        """
        Begin a new row: the other end knows nothing of this one any more. What waited is gone.
        """
        self.name = self.name % 0xFFFFFFFF + 1
        self.queued = 0
        self._waiting.clear()
        self._flying.clear()
        self._number = 0

    def send(self, message: bytes) -> None:
        """
        Queue a control message.

        @raise Full: it does not fit any more; nothing was queued.
        """
        if len(message) > LARGEST_MESSAGE or self.queued + len(message) > LARGEST_QUEUE:
            raise Full
        for at in range(0, len(message) or 1, SEGMENT_SIZE):
            self._number += 1
            last = at + SEGMENT_SIZE >= len(message)
            data = message[at : at + SEGMENT_SIZE]
            self._waiting.append(Segment(self.name, 0, self._number, last, data))
        self.queued += len(message)

    def outgoing(self, now: float, roundTrip: float, other: int = 0) -> list[Segment]:
        """
        The segments to be sent now: those that are due again, and new ones as far as may fly.

        @param roundTrip: seconds, as far as it is known.
        @param other: the name of the other end's row, as far as it is known.
        """
        outgoing = []
        for number, (segment, dueAt, pause) in self._flying.items():
            if now >= dueAt:
                longer = min(2 * pause, SLOWEST_REPEAT)
                self._flying[number] = (segment, now + longer, longer)
                self.repeated += 1
                outgoing.append(segment)
        pause = max(FIRST_REPEAT, 2 * roundTrip)
        while self._waiting and len(self._flying) < IN_FLIGHT:
            segment = self._waiting.popleft()
            self._flying[segment.number] = (segment, now + pause, pause)
            outgoing.append(segment)
        return [replace(segment, other=other) for segment in outgoing]

    def deadline(self) -> float:
        """
        When L{outgoing} has something again if nothing is acknowledged.
        """
        if not self._flying:
            return inf if not self._waiting else -inf
        return min(dueAt for _, dueAt, _ in self._flying.values())

    def acknowledged(self, name: int, number: int) -> None:
        """
        Everything up to a number of a row has come.
        """
        if name != self.name:
            return
        for flying in [each for each in self._flying if each <= number]:
            segment, _, _ = self._flying.pop(flying)
            self.queued -= len(segment.data)

    def pathChanged(self) -> None:
        """
        What was under way may be lost: it is due at once.
        """
        self._flying = {
            number: (segment, -inf, FIRST_REPEAT / 2)
            for number, (segment, _, _) in self._flying.items()
        }


class ControlReceiver:
    """
    The receiving half.

    @ivar name: of the row that is received; 0 before the first.
    @ivar due: whether an acknowledgement is to be sent.
    @ivar refused: control messages that were larger than any may be, and passed over.
    """

    def __init__(self) -> None:
        self.name = 0
        self._over: deque[int] = deque(maxlen=MOST_ROWS)
        self.due = False
        self.refused = 0
        self._number = 0
        self._early: dict[int, Segment] = {}
        self._part: list[bytes] = []
        self._size = 0

    def begin(self, segment: Segment, own: int) -> bool:
        """
        See to which row a segment belongs, before it is taken.

        The other end may have ended the link and begun it anew while this end still had it: then
        it counts anew, and does not know our row.

        @param own: the name of the row that this end sends.
        @return: whether the other end knows nothing of what this end has sent so far.
        """
        if segment.name == self.name or segment.other not in {0, own} or segment.name in self._over:
            return False
        known = self.name != 0
        if known:
            self._over.append(self.name)  # what is still on its way of it comes too late
        self.name = segment.name
        self._number = 0
        self._early.clear()
        self._part.clear()
        self._size = 0
        return known and segment.other == 0

    def segmentReceived(self, segment: Segment) -> list[bytes]:
        """
        Take a segment.

        @return: the control messages that are whole now, in order.
        """
        if segment.name != self.name:
            return []  # of a row that is over
        self.due = True
        ahead = segment.number - self._number
        if not 0 < ahead <= IN_FLIGHT:
            return []
        self._early[segment.number] = segment
        whole = []
        while (following := self._early.pop(self._number + 1, None)) is not None:
            self._number += 1
            self._size += len(following.data)
            if self._size <= LARGEST_MESSAGE:
                self._part.append(following.data)
            else:
                self._part.clear()
            if following.last:
                if self._size <= LARGEST_MESSAGE:
                    whole.append(b"".join(self._part))
                else:
                    self.refused += 1
                self._part.clear()
                self._size = 0
        return whole

    def acknowledgement(self) -> Acknowledgement:
        """
        What has come; it need not be said again until the next segment.
        """
        self.due = False
        return Acknowledgement(self.name, self._number)
