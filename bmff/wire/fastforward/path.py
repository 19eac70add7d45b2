"""
One path of a link: sessions that follow one another, packets with many messages, measurements, and
on datagrams the repair of what is lost.

It knows neither socket nor clock: whoever has the transport gives it packets and the time, and
takes packets from it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from struct import Struct
from typing import Final, Protocol

from bmff.dmr.frame import DATA_SYNC, DATA_TYPE, KIND, TERMINATOR, VOICE_HEADER, Frame
from bmff.errors import ProtocolError
from bmff.wire.fastforward.arrivals import Arrivals
from bmff.wire.fastforward.messages import (
    COPIES_SIZE,
    FRAME,
    FRAME_SIZE,
    HEAD_SIZE,
    TIME_SIZE,
    Copies,
    Measurement,
    Message,
    bodyAt,
    decodeMessage,
    encodeFrame,
)
from bmff.wire.fastforward.pulse import ALIVE, PROBE, Pulse
from bmff.wire.fastforward.quality import Quality
from bmff.wire.fastforward.session import HEADER_SIZE, TAG_SIZE, Session
from bmff.wire.fastforward.sessions import Sessions
from bmff.wire.fastforward.waiting import Waiting

BUSY: Final = 0.25  # seconds between two measurements while a call is on
IDLE: Final = 1.0  # seconds between two measurements else
LARGEST_PACKET: Final = 1400  # bytes on datagrams, so that none is cut up on its way
LARGEST_STREAM_PACKET: Final = 16_384  # bytes where the transport has no such limit
SECOND_COPY: Final = 0.02  # seconds until a copy goes out alone, and what was sent is told
AWAKE: Final = 0.01  # seconds between two looks at a path on which frames flow
KEPT: Final = 256  # packets that can be sent again
KEPT_TIME: Final = 0.5  # seconds that they can
_MASK: Final = 0xFFFFFFFF
_IMPORTANT: Final = (DATA_SYNC | VOICE_HEADER, DATA_SYNC | TERMINATOR)
_FLAGS: Final = KIND | DATA_TYPE
_KIND: Final = 11  # offset of a frame's flags in its message
_indexAt = Struct(">I").unpack_from


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

    @ivar heardOn: the path on which frames came last.
    """

    heardOn: Path | None

    def frameReceived(self, index: int, frame: Frame, now: float) -> None:
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

    def pathHeard(self, path: Path, now: float) -> None:
        """
        Frames come on a path, and came on another before.
        """

    def pathAwake(self, path: Path) -> None:
        """
        A path has to be looked at more often than before.
        """

    def gapOpened(self, until: float) -> None:
        """
        Something is missing, and may still come until then.
        """

    def restAsked(self, until: float) -> None:
        """
        The end of a session was asked for, and may come until then.
        """

    def gapsClosed(self, now: float) -> None:
        """
        Nothing is missing on a path any more.
        """

    def sessionNamed(self, index: int) -> Session | None:
        """
        The session that the other end's packets name so, on whichever path.
        """


class Path:
    """
    One path.

    @ivar traits: its transport's.
    @ivar remote: the other end's address, for people and for the other end.
    @ivar pulse: whether the other end lives.
    @ivar quality: what the other end's measurements say of it.
    @ivar arrivals: how evenly packets come.
    @ivar packetsSent: how many.
    @ivar packetsReceived: how many.
    @ivar framePackets: how many packets had frames in them.
    @ivar framesSent: how many.
    @ivar framesReceived: how many.
    @ivar framesDropped: how many did not leave because the transport was full.
    @ivar packetsRepeated: how many packets' frames were sent again because they were asked for.
    @ivar packetsRepaired: how many packets that were missing came as copies.
    @ivar blocked: whether the transport has refused a packet and takes none at the moment.
    @ivar awake: whether frames flow, or something is missing.
    @ivar proved: called with the time when the other end uses a session that it has begun, before
        what is in its packet is taken.
    @ivar sent: the packets that can be sent again: session, counter, time, frames.
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
        self.pulse = Pulse(now)
        self.quality = Quality()
        self.arrivals = Arrivals()
        self.packetsSent = self.packetsReceived = self.framePackets = 0
        self.framesSent = self.framesReceived = self.framesDropped = 0
        self.packetsRepeated = self.packetsRepaired = 0
        self.dropped: Counter[str] = Counter()
        self.blocked = False
        self.awake = False
        self.proved: Callable[[float], None] | None = None
        self.sent: deque[tuple[int, int, float, bytes]] = deque(maxlen=KEPT)
        self._send = send
        self._reliable = traits.reliable
        self._limit = (LARGEST_STREAM_PACKET if traits.reliable else LARGEST_PACKET) - (
            HEADER_SIZE + TIME_SIZE + TAG_SIZE
        )
        self._sessions = Sessions()
        self._heardIn: Session | None = None
        self._frames: list[bytes] = []  # queued
        self._important = False  # whether one of them may begin or end a call
        self._messages: list[bytes] = []  # queued beside them
        self._size = 0  # bytes of those
        self._waiting = Waiting()
        self._again: list[Copies] = []  # go out with the next packet
        self._repaired = False  # whether a gap was closed by copies in this packet
        self._tellAt = inf  # when that and what was sent is told at the latest
        self._measureAt = inf
        self._lookAt = inf

    @property
    def session(self) -> Session | None:
        """
        The session that packets are sent in.
        """
        return self._sessions.current

    @property
    def sessions(self) -> tuple[Session, ...]:
        """
        The sessions that are read.
        """
        return self._sessions.read()

    @property
    def indexes(self) -> tuple[int, ...]:
        """
        The session indexes that are still read.
        """
        return tuple(session.localIndex for session in self._sessions.read())

    @property
    def heard(self) -> float:
        """
        When the last authentic packet came, monotonic seconds.
        """
        return self.pulse.heard

    @property
    def roundTrip(self) -> float:
        """
        Seconds; 0 before it is known.
        """
        return self.quality.roundTrip or 0.0

    def isBusy(self, now: float) -> bool:
        """
        Whether a call is on.
        """
        return self.pulse.isBusy(now)

    # Sessions.

    def useSession(self, session: Session, now: float) -> None:
        """
        A session that this end has begun: it is used at once, and the other end hears so.
        """
        self._promote(session, now)
        self.measure(now)

    def expectSession(self, session: Session) -> None:
        """
        A session that the other end has begun: it is used from its first packet on.
        """
        self._sessions.following = session

    def _promote(self, session: Session, now: float) -> None:
        self._sessions.promote(session, now)
        self.quality.sessionChanged()
        if self._measureAt == inf:
            self._measureAt = now + BUSY
        if self._waiting and not self.blocked:
            self.writable(now)

    # Out.

    def sendFrame(self, index: int, frame: Frame) -> None:
        """
        Queue a frame of a call; L{flush} sends it.
        """
        self._frames.append(encodeFrame(index, frame))
        if frame.flags & KIND == DATA_SYNC:
            self._important = True

    def sendMessage(self, message: Message) -> None:
        """
        Queue another message.
        """
        data = message.encode()
        self._messages.append(data)
        self._size += len(data)

    def sendCopies(self, session: int, counter: int, frames: bytes) -> None:
        """
        Queue the frames of a packet, which was perhaps sent over another path, once more.

        @param session: as it was named in that packet.
        """
        most = (self._limit - COPIES_SIZE) // FRAME_SIZE * FRAME_SIZE
        for at in range(0, len(frames) or 1, most):
            self.sendMessage(Copies(session, counter, frames[at : at + most]))

    def sealed(self, message: Message, now: float) -> bytes | None:
        """
        A packet with one message, to be sent elsewhere than where the path leads.
        """
        session = self._sessions.current
        if session is None:
            return None
        return session.seal((int(now * 1e6) & _MASK).to_bytes(TIME_SIZE, "big") + message.encode())

    def takeFrames(self) -> list[bytes]:
        """
        The frames that have not left, for another path to send.
        """
        frames = [frame for _, frame in self._waiting.take()] + self._frames
        self._frames = []
        return frames

    def giveFrames(self, frames: list[bytes]) -> None:
        """
        Queue frames that another path has not sent, before all others.
        """
        self._frames[:0] = frames
        self._important = True

    @property
    def queued(self) -> bool:
        """
        Whether L{flush} has something to send.
        """
        return bool(self._frames or self._messages)

    def flush(self, now: float) -> None:
        """
        Seal and send what is queued.
        """
        frames, messages = self._frames, self._messages
        if not frames and not messages:
            return
        session = self._sessions.current
        if self.blocked or session is None or now >= session.expires:
            self._frames = []
            self.framesDropped += self._waiting.put([(now, frame) for frame in frames], now)
            return
        if self._again:
            for copies in self._again:
                self.sendMessage(copies)
            self._again.clear()
        size = self._size
        if size + len(frames) * FRAME_SIZE > self._limit:
            self._frames = []
            self._sendParts(session, [(now, frame) for frame in frames], now)
            return
        front = (int(now * 1e6) & _MASK).to_bytes(TIME_SIZE, "big")
        if messages:
            front += b"".join(messages)
            self._messages = []
            self._size = 0
        if not frames:
            taken = self._sendPacket(session, front, now)
        else:
            self._frames = []
            taken = self._sendFrames(session, front, frames, now)
        if not taken and self._reliable:
            self._messages = messages
            self._size = size
            self._waiting.put([(now, frame) for frame in frames], now)

    def _sendPacket(self, session: Session, messages: bytes, now: float) -> bool:
        """
        @return: whether the transport took it.
        """
        if self._send(session.seal(messages)):
            self.packetsSent += 1
            return True
        self.blocked = self._reliable
        return False

    def _sendFrames(self, session: Session, front: bytes, frames: list[bytes], now: float) -> bool:
        """
        Send a packet with frames, and keep them for a while.

        @param front: what comes before them in the packet.
        @return: whether the transport took it.
        """
        body = frames[0] if len(frames) == 1 else b"".join(frames)
        counter = session.sent
        taken = self._sendPacket(session, front + body, now)
        if taken:
            self.framePackets += 1
            self.framesSent += len(frames)
        elif self._reliable:
            return False
        else:
            self.framesDropped += len(frames)
        self.pulse.lastFrame = now
        self.sent.append((session.remoteIndex, counter, now, body))
        if not self._reliable:
            self._tellAt = now + SECOND_COPY
            if self._important or self.quality.redundant:
                self._important = False
                if not self.quality.redundant:
                    body = b"".join(each for each in frames if each[_KIND] & _FLAGS in _IMPORTANT)
                if body:
                    self._again.append(Copies(session.remoteIndex, counter, body))
        if not self.awake:
            self._wake(now)
        return taken

    def _sendParts(self, session: Session, frames: list[tuple[float, bytes]], now: float) -> None:
        """
        Send what is queued in as many packets as it takes.

        @param frames: each with when it was first to be sent.
        """
        messages, self._messages, self._size = self._messages, [], 0
        while (messages or frames) and not self.blocked:
            taken = size = 0
            for message in messages:
                if taken and size + len(message) > self._limit:
                    break
                taken += 1
                size += len(message)
            count = max((self._limit - size) // FRAME_SIZE, 0 if taken else 1)
            front = (int(now * 1e6) & _MASK).to_bytes(TIME_SIZE, "big") + b"".join(messages[:taken])
            part = [frame for _, frame in frames[:count]]
            if part:
                sent = self._sendFrames(session, front, part, now)
            else:
                sent = self._sendPacket(session, front, now)
            if sent or not self._reliable:
                del messages[:taken]
                del frames[:count]
        for message in messages:
            self._messages.append(message)
            self._size += len(message)
        self.framesDropped += self._waiting.put(frames, now)

    def writable(self, now: float) -> None:
        """
        The transport takes packets again.
        """
        self.blocked = False
        self.framesDropped += self._waiting.put([], now)
        waited = self._waiting.take()
        frames, self._frames = self._frames, []
        session = self._sessions.current
        waited += [(now, frame) for frame in frames]
        if session is None or now >= session.expires:
            self.framesDropped += self._waiting.put(waited, now)
        elif waited or self._messages:
            self._sendParts(session, waited, now)

    # In.

    def packetReceived(self, packet: bytes, now: float) -> None:
        """
        Take a data packet; whatever is wrong with it is counted.
        """
        try:
            session = self._sessions.current
            if session is None or packet[1:5] != session.name:
                session = self._sessions.find(packet, now)
            highest = session.highest
            messages = session.open(packet)
            if session is self._sessions.following:
                self._promote(session, now)
                if self.proved is not None:  # before the messages: it says whose they are
                    self.proved(now)
            self.packetsReceived += 1
            pulse = self.pulse
            pulse.heard = now
            pulse.probes = 0
            irregular = (
                (highest < 0 or session.highest != highest + 1)
                and not self._reliable
                and self._jumped(session, highest, packet, now)
            )
            if not session.received & 3:  # often enough to know how they come
                self.arrivals.packetReceived(int.from_bytes(messages[:TIME_SIZE], "big"), now)
            at, end = TIME_SIZE, len(messages)
            owner = self.owner
            if owner.heardOn is not self and _hasFrame(messages):
                owner.pathHeard(self, now)
            while at < end:
                if messages[at] == FRAME:
                    following = at + FRAME_SIZE
                    if following > end:
                        raise ProtocolError("truncated frame")
                    self.framesReceived += 1
                    pulse.lastFrame = now
                    owner.frameReceived(
                        _indexAt(messages, at + 1)[0],
                        Frame(messages[at + 4 : at + 11], messages[at + 11 : following]),
                        now,
                    )
                    at = following
                else:
                    body = bodyAt(messages, at)
                    self._messageReceived(decodeMessage(messages[at], body), now)
                    at += HEAD_SIZE + len(body)
            if irregular or self._repaired:
                self._repaired = False
                self._ask(now)
                if not self._isMissing():
                    owner.gapsClosed(now)
        except ProtocolError as error:
            self.dropped[error.reason] += 1

    def _jumped(self, session: Session, highest: int, packet: bytes, now: float) -> bool:
        """
        A packet has come that is the first one, or does not follow the one before it.

        @param highest: the session's highest counter before it; -1 before the first.
        @return: whether something is or was missing.
        """
        counter = int.from_bytes(packet[5:HEADER_SIZE], "big")
        if highest < 0:
            self._sessionHeard(session, now)
        if counter > highest + 1:
            session.gaps.opened(highest + 1, counter, now, self.arrivals.wait)
            self.owner.gapOpened(now + self.arrivals.patience(self.roundTrip))
            if not self.awake:
                self._wake(now)
            return True
        if counter <= highest:
            seen = session.gaps.came(counter)
            if seen is not None:
                self.arrivals.closedItself(now - seen)
                return True
        return False

    def _sessionHeard(self, session: Session, now: float) -> None:
        """
        The first packet of a session has come: ask for what may be missing at the end of the one
        before it.
        """
        before, self._heardIn = self._heardIn, session
        if before is not None and before.received and self.isBusy(now):
            self.sendMessage(before.rest())
            self.owner.restAsked(now + self.arrivals.patience(self.roundTrip))

    def _ask(self, now: float) -> None:
        """
        Ask for what is missing and due.
        """
        for session in self._sessions.read():
            if now >= session.gaps.deadline():
                question = session.gaps.question(session.localIndex, now, self.roundTrip)
                if question is not None:
                    self.sendMessage(question)

    def _messageReceived(self, message: Message | None, now: float) -> None:
        if isinstance(message, Measurement):
            current = self._sessions.current
            self.quality.learn(message, current.sent if current is not None else 0, now)
            self.owner.measured(self, message, now)
        elif isinstance(message, Copies):
            self._copiesReceived(message, now)
        elif message == ALIVE:
            self.pulse.answered()
        elif message is not None:
            self.owner.messageReceived(self, message, now)

    def _copiesReceived(self, message: Copies, now: float) -> None:
        """
        The frames of a packet have come once more, or for the first time.
        """
        session = self.owner.sessionNamed(message.session)
        if session is not None:
            if session.has(message.counter):
                return
            if session.gaps.came(message.counter) is not None:
                self.packetsRepaired += 1
                self.arrivals.lost()
        frames = message.frames
        if frames:
            self.pulse.lastFrame = now
        for at in range(0, len(frames), FRAME_SIZE):
            frame = Frame(frames[at + 4 : at + 11], frames[at + 11 : at + FRAME_SIZE])
            self.owner.frameReceived(_indexAt(frames, at + 1)[0], frame, now)
        self._repaired = True

    # Time.

    def _wake(self, now: float) -> None:
        self.awake = True
        self._lookAt = now + AWAKE
        self.owner.pathAwake(self)

    def deadline(self) -> float:
        """
        When L{timeout} is to be called at the latest.
        """
        due = min(self._measureAt, self.pulse.deadline(self._sessions.current is not None))
        if self.awake:
            due = min(due, self._lookAt)
        return due

    def timeout(self, now: float) -> bool:
        """
        Send a measurement, a probe, a copy or a question if one is due.

        @return: whether the path is alive.
        """
        established = self._sessions.current is not None
        if now >= self.pulse.deadline(established):
            if self.pulse.isDead(established):
                return False
            self.pulse.probed(now, self.roundTrip, self.quality.remoteLag)
            self._probe(now)
        if self.awake:
            self._look(now)
        if now >= self._measureAt:
            self.measure(now)
        return True

    def _look(self, now: float) -> None:
        """
        See to what is due while frames flow.
        """
        self._lookAt = now + AWAKE
        self._ask(now)
        if now >= self._tellAt:
            self._tellAt = inf
            self.measure(now)
        else:
            self.flush(now)
        if not self._isMissing() and self._tellAt == inf and not self.isBusy(now):
            self.awake = False

    def _isMissing(self) -> bool:
        """
        Whether something is missing, and worth waiting for.
        """
        return any(session.gaps.missing for session in self._sessions.read())

    def _probe(self, now: float) -> None:
        if not self.blocked:
            self.sendMessage(PROBE)
            self.flush(now)

    def doubt(self, now: float) -> None:
        """
        Another path to the same process has ended: see at once whether this one lives. What is
        still on its way from there proves nothing.
        """
        self.pulse.doubt(now, self.roundTrip, self.quality.remoteLag)
        self._probe(now)

    def stalled(self, now: float) -> None:
        """
        This end has not looked for a while: what it has not heard says nothing.
        """
        self.pulse.stalled(now)

    def measure(self, now: float) -> None:
        """
        Send a measurement.
        """
        self._measureAt = now + (BUSY if self.isBusy(now) else IDLE)
        if self._sessions.current is not None and not self.blocked:
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
        session = self._sessions.current
        assert session is not None
        echo, hold = self.quality.echo(now)
        return Measurement(
            time=int(now * 1e6) & _MASK,
            echo=echo,
            hold=hold,
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


def _hasFrame(messages: bytes) -> bool:
    """
    Whether there is a frame among the messages of a packet.
    """
    at, end = TIME_SIZE, len(messages)
    while at < end and messages[at] != FRAME:
        at += HEAD_SIZE + int.from_bytes(messages[at + 1 : at + HEAD_SIZE], "big")
    return at < end
