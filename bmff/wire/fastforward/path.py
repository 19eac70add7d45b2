"""
One path of a link: sessions that follow one another, packets with many messages, measurements.

It knows neither socket nor clock: whoever has the transport gives it packets and the time, and
takes packets from it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

from bmff.dmr.frame import DATA_SYNC, DATA_TYPE, KIND, TERMINATOR, Frame
from bmff.errors import ProtocolError
from bmff.wire.fastforward.messages import (
    FRAME,
    FRAME_SIZE,
    HEAD_SIZE,
    TIME_SIZE,
    Challenge,
    Measurement,
    Message,
    bodyAt,
    decodeFrame,
    decodeMessage,
    encodeFrame,
)
from bmff.wire.fastforward.session import HEADER_SIZE, READ_AFTER, TAG_SIZE, Session, indexOf

BUSY: Final = 0.25  # seconds between two measurements while a call is on
IDLE: Final = 1.0  # seconds between two measurements else
STILL_BUSY: Final = 1.0  # seconds after the last frame that a path counts as busy
SILENCE: Final = 3.0  # seconds without a packet after which an idle path is probed
BUSY_SILENCE: Final = 1.0  # seconds after which a busy one is
PROBES: Final = 3  # that go unanswered until a path is dead
PROBE_INTERVAL: Final = 0.05  # seconds between two probes at the least; twice the round trip else
PROBE: Final = Challenge(0)  # who lives answers it in the same turn
LARGEST_PACKET: Final = 1400  # bytes on datagrams, so that none is cut up on its way
LARGEST_STREAM_PACKET: Final = 16_384  # bytes where the transport has no such limit
LONGEST_WAIT: Final = 0.12  # seconds that a frame waits for a transport that is full
MOST_WAITING: Final = 64  # frames
MOST_ENDS: Final = 64  # terminators that wait in addition
MOST_OLD: Final = 3  # sessions that were replaced and are still read
_MASK: Final = 0xFFFFFFFF
_KIND: Final = 11  # offset of a frame's flags in its message
_END: Final = DATA_SYNC | TERMINATOR


@dataclass(frozen=True, slots=True)
class Traits:
    """
    What a transport is, as far as a path cares.

    @ivar name: its name.
    @ivar reliable: whether nothing is lost on it.
    @ivar trusted: whether the kernel vouches for the other end.
    """

    name: str
    reliable: bool
    trusted: bool


class PathOwner(Protocol):
    """
    The link that a path belongs to.
    """

    def frameReceived(self, frame: Frame, now: float) -> None:
        """
        A frame of a call has come.
        """

    def messageReceived(self, path: Path, message: Message, now: float) -> None:
        """
        Another message than a frame or a measurement has come.
        """

    def measured(self, path: Path, measurement: Measurement, now: float) -> None:
        """
        The other end has told how it does.
        """

    def makeMeasurement(self, path: Path, now: float) -> Measurement:
        """
        How this end does, but for what the path knows itself.
        """


class Path:
    """
    One path.

    @ivar traits: its transport's.
    @ivar remote: the other end's address, for people and for the other end.
    @ivar heard: when the last authentic packet came, monotonic seconds.
    @ivar roundTrip: smoothed, seconds; L{None} before it is known.
    @ivar loss: the share of our packets that the other end misses, 0 to 1, smoothed.
    @ivar remoteLag: seconds by which the other end's turns come late.
    @ivar packetsSent: how many.
    @ivar packetsReceived: how many.
    @ivar framePackets: how many packets had frames in them.
    @ivar framesSent: how many.
    @ivar framesReceived: how many.
    @ivar framesDropped: how many did not leave because the transport was full.
    @ivar blocked: whether the transport has refused a packet and takes none at the moment.
    @ivar dropped: packets that had no effect, by reason.
    """

    def __init__(
        self,
        owner: PathOwner,
        traits: Traits,
        remote: str,
        send: Callable[[bytes], bool],
        now: float,
    ) -> None:
        """
        @param remote: the other end's address.
        @param send: hands a packet to the transport; says whether it was taken.
        """
        self.owner = owner
        self.traits = traits
        self.remote = remote
        self.heard = now
        self.roundTrip: float | None = None
        self.loss = 0.0
        self.remoteLag = 0.0
        self.packetsSent = self.packetsReceived = self.framePackets = 0
        self.framesSent = self.framesReceived = self.framesDropped = 0
        self.dropped: Counter[str] = Counter()
        self._send = send
        self._limit = (LARGEST_STREAM_PACKET if traits.reliable else LARGEST_PACKET) - (
            HEADER_SIZE + TIME_SIZE + TAG_SIZE
        )
        self._current: Session | None = None
        self._next: Session | None = None
        self._old: list[tuple[Session, float]] = []  # each with when it is not read any more
        self._queue: list[bytes] = []
        self._queued = 0  # bytes in it
        self.blocked = False
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._lastFrame = -inf
        self._measureAt = inf
        self._probes = 0  # sent since something was heard
        self._probeAt = -inf
        self._echo: tuple[int, float] | None = None
        self._reported = (0, 0)

    @property
    def session(self) -> Session | None:
        """
        The session that packets are sent in.
        """
        return self._current

    @property
    def indexes(self) -> tuple[int, ...]:
        """
        The session indexes that are still read.
        """
        sessions = (self._current, self._next, *(old for old, _ in self._old))
        return tuple(session.localIndex for session in sessions if session is not None)

    def isBusy(self, now: float) -> bool:
        """
        Whether a call is on.
        """
        return now < self._lastFrame + STILL_BUSY

    # Sessions.

    def useSession(self, session: Session, now: float) -> None:
        """
        A session that this end has begun: it is used at once, and the other end hears so.
        """
        self._promote(session, now)
        self._measure(now)

    def expectSession(self, session: Session) -> None:
        """
        A session that the other end has begun: it is used from its first packet on.
        """
        self._next = session

    def _promote(self, session: Session, now: float) -> None:
        for old in (self._current, self._next):
            if old is not None and old is not session:
                self._old.append((old, now + READ_AFTER))
        del self._old[:-MOST_OLD]
        self._current = session
        self._next = None
        self._reported = (0, 0)
        if self._measureAt == inf:
            self._measureAt = now + BUSY
        if self._waiting and not self.blocked:
            self.writable(now)

    # Out.

    def sendFrame(self, index: int, frame: Frame) -> None:
        """
        Queue a frame of a call; L{flush} sends it.
        """
        self._queue.append(encodeFrame(index, frame))
        self._queued += FRAME_SIZE
        self.framesSent += 1

    def sendMessage(self, message: Message) -> None:
        """
        Queue another message.
        """
        data = message.encode()
        self._queue.append(data)
        self._queued += len(data)

    def flush(self, now: float) -> None:
        """
        Seal and send what is queued.
        """
        queue = self._queue
        if not queue:
            return
        session = self._current
        if self.blocked or session is None or not session.mayStillSend(now):
            self._hold(now)
            return
        self._queue = []
        stamp = (int(now * 1e6) & _MASK).to_bytes(TIME_SIZE, "big")
        parts = [queue] if self._queued <= self._limit else self._parts(queue)
        self._queued = 0
        for part in parts:
            if self.blocked:
                self._queue += part
                continue
            if part[0][0] == FRAME or any(message[0] == FRAME for message in part):
                self._lastFrame = now
                self.framePackets += 1
            self._sendPacket(session, stamp + b"".join(part), part)
        if self._queue:
            self._hold(now)

    def _parts(self, queue: list[bytes]) -> list[list[bytes]]:
        parts: list[list[bytes]] = [[]]
        size = 0
        for message in queue:
            size += len(message)
            if size > self._limit and parts[-1]:
                parts.append([])
                size = len(message)
            parts[-1].append(message)
        return parts

    def _sendPacket(self, session: Session, messages: bytes, queue: list[bytes]) -> None:
        if self._send(session.seal(messages)):
            self.packetsSent += 1
        elif self.traits.reliable:
            self.blocked = True
            self._queue += queue
        else:
            self.framesDropped += sum(message[0] == FRAME for message in queue)

    def _hold(self, now: float) -> None:
        """
        Keep what cannot be sent now: the newest frames for a moment, the rest for as long as it
        takes.
        """
        kept = []
        for message in self._queue:
            if message[0] == FRAME:
                self._waiting.append((now, message))
            else:
                kept.append(message)
        self._queue = kept
        self._queued = sum(map(len, kept))
        surplus = len(self._waiting) - MOST_WAITING
        if surplus <= 0 and (not self._waiting or now <= self._waiting[0][0] + LONGEST_WAIT):
            return
        ends = 0
        waiting: deque[tuple[float, bytes]] = deque()
        for at, message in reversed(self._waiting):
            if len(waiting) - ends < MOST_WAITING and now <= at + LONGEST_WAIT:
                waiting.appendleft((at, message))
            elif _isEnd(message) and now <= at + SILENCE and ends < MOST_ENDS:
                waiting.appendleft((at, message))  # worth more than the middle of a call
                ends += 1
            else:
                self.framesDropped += 1
        self._waiting = waiting

    def writable(self, now: float) -> None:
        """
        The transport takes packets again.
        """
        self.blocked = False
        self._hold(now)
        held, self._waiting = self._waiting, deque()
        self._queue = [message for _, message in held] + self._queue
        self._queued += len(held) * FRAME_SIZE
        self.flush(now)
        if self._waiting:  # refused again: what waits still has waited since it was first refused
            since = [at for at, _ in held][-len(self._waiting) :]
            self._waiting = deque(
                (at, message) for at, (_, message) in zip(since, self._waiting, strict=True)
            )

    # In.

    def packetReceived(self, packet: bytes, now: float) -> None:
        """
        Take a data packet; whatever is wrong with it is counted.
        """
        try:
            messages = self._open(packet, now)
            self.packetsReceived += 1
            self.heard = now
            self._probes = 0
            at, end = TIME_SIZE, len(messages)
            while at < end:
                if messages[at] == FRAME:
                    if at + FRAME_SIZE > end:
                        raise ProtocolError("truncated frame")
                    self.framesReceived += 1
                    self._lastFrame = now
                    self.owner.frameReceived(decodeFrame(messages, at), now)
                    at += FRAME_SIZE
                else:
                    body = bodyAt(messages, at)
                    self._messageReceived(decodeMessage(messages[at], body), now)
                    at += HEAD_SIZE + len(body)
        except ProtocolError as error:
            self.dropped[error.reason] += 1

    def _open(self, packet: bytes, now: float) -> bytes:
        index = indexOf(packet)
        current = self._current
        if current is not None and current.localIndex == index:
            return current.open(packet)
        following = self._next
        if following is not None and following.localIndex == index:
            messages = following.open(packet)
            self._promote(following, now)
            return messages
        for old, until in self._old:
            if old.localIndex == index and now < until:
                return old.open(packet)
        raise ProtocolError("unknown session")

    def _messageReceived(self, message: Message | None, now: float) -> None:
        if isinstance(message, Measurement):
            self._echo = (message.time, now)
            self._learn(message, now)
            self.owner.measured(self, message, now)
        elif message is not None:
            self.owner.messageReceived(self, message, now)

    def _learn(self, measurement: Measurement, now: float) -> None:
        """
        What a measurement of the other end says about the path.
        """
        if measurement.echo:
            gone = (int(now * 1e6) - measurement.echo & _MASK) - measurement.hold
            if 0 <= gone < 60_000_000:
                sample = gone / 1e6
                before = self.roundTrip
                self.roundTrip = sample if before is None else before + (sample - before) / 8
        self.remoteLag = measurement.lag / 1e6
        highest, received = measurement.highest, measurement.received
        sent, arrived = highest - self._reported[0], received - self._reported[1]
        if sent > 0 and self._current is not None and highest < self._current.sent:
            share = min(1.0, max(0.0, 1 - arrived / sent))
            self.loss += (share - self.loss) / 8
            self._reported = (highest, received)

    # Time.

    def deadline(self) -> float:
        """
        When L{timeout} is to be called at the latest.
        """
        silence = BUSY_SILENCE if self.heard < self._lastFrame + STILL_BUSY else SILENCE
        return min(self._measureAt, max(self.heard + silence, self._probeAt))

    def timeout(self, now: float) -> bool:
        """
        Send a measurement or a probe if one is due.

        @return: whether the path is alive.
        """
        silence = BUSY_SILENCE if self.heard < self._lastFrame + STILL_BUSY else SILENCE
        if now >= self.heard + silence and now >= self._probeAt:
            if self._probes == PROBES or self._current is None:
                return False
            self._probes += 1
            self._probeAt = now + max(PROBE_INTERVAL, 2 * (self.roundTrip or 0.0))
            if not self.blocked:
                self.sendMessage(PROBE)
                self.flush(now)
        if now >= self._measureAt:
            self._measure(now)
        return True

    def stalled(self, now: float) -> None:
        """
        This end has not looked for a while: what it has not heard says nothing.
        """
        self.heard = now
        self._probes = 0

    def _measure(self, now: float) -> None:
        self._measureAt = now + (BUSY if self.isBusy(now) else IDLE)
        if self._current is not None and not self.blocked:
            self.sendMessage(self.owner.makeMeasurement(self, now))
            self.flush(now)

    def measurement(
        self, now: float, lag: int, load: int, interest: tuple[int, int], texts: tuple[str, str]
    ) -> Measurement:
        """
        A measurement with what this path knows.

        @param lag: microseconds.
        @param load: thousandths of a processor.
        @param interest: version and digest.
        @param texts: the address that the other end is seen at, and this node's capabilities.
        """
        session = self._current
        assert session is not None
        echo, at = self._echo or (0, now)
        return Measurement(
            time=int(now * 1e6) & _MASK,
            echo=echo,
            hold=int((now - at) * 1e6),
            highest=max(session.highest, 0),
            received=session.received,
            sent=session.sent,
            lag=lag,
            load=load,
            interestVersion=interest[0],
            interestDigest=interest[1],
            seenAt=texts[0],
            capabilities=texts[1],
        )


def _isEnd(message: bytes) -> bool:
    """
    Whether a frame's message ends its call.
    """
    return message[_KIND] & (KIND | DATA_TYPE) == _END
