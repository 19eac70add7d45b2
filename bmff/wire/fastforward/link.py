"""
The relation of two nodes: what they tell each other, over whichever path holds it.

Control messages are reliable and in order: what each wants to hear (L{interest}), where radios are,
and application messages, a payload for a named handler. Frames of calls flow beside them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from struct import Struct
from typing import Final, Protocol

from bmff.dmr.frame import Frame
from bmff.errors import ProtocolError
from bmff.wire.fastforward.control import ControlReceiver, ControlSender, Full
from bmff.wire.fastforward.interest import Change, Interest
from bmff.wire.fastforward.messages import (
    Acknowledgement,
    Answer,
    Challenge,
    Goodbye,
    Measurement,
    Message,
    Missing,
    Segment,
)
from bmff.wire.fastforward.order import Order
from bmff.wire.fastforward.path import KEPT_TIME, Path
from bmff.wire.fastforward.session import Session

INTEREST: Final = 1  # kinds of control messages
LOCATIONS: Final = 2
APPLICATION: Final = 3
WHOLE_WANTED: Final = 4
MOST_LOCATIONS: Final = 1000  # in one message
MOST_FORMER: Final = 4  # paths that were left, of which packets can still be sent again
MOST_COPIES: Final = 128  # packets that are sent again for one question
LONGEST_NAME: Final = 64  # bytes of an application message's handler
PATIENCE: Final = 5.0  # seconds that interests may differ, and between two requests for the whole

_location = Struct(">IIBI")


@dataclass(frozen=True, slots=True)
class RadioLocation:
    """
    Where a radio was heard.

    @ivar radio: its ID.
    @ivar peer: the hotspot or repeater that heard it.
    @ivar slot: 1 or 2.
    @ivar age: seconds since then.
    """

    radio: int
    peer: int
    slot: int
    age: float


class LinkWatcher(Protocol):
    """
    What a link tells of.
    """

    def interestChanged(self, link: Link, change: Change) -> None:
        """
        The other node wants to hear other talkgroups.
        """

    def locationsReceived(self, link: Link, locations: list[RadioLocation], now: float) -> None:
        """
        The other node tells where radios are.
        """

    def applicationReceived(self, link: Link, name: str, payload: bytes) -> None:
        """
        The other node has a message for a handler.
        """

    def goodbyeReceived(self, link: Link, path: Path, reason: str) -> None:
        """
        The other node ends a path.
        """

    def capabilitiesChanged(self, link: Link) -> None:
        """
        The other node can do something else, or wants something else, than before.
        """

    def challengeAnswered(self, link: Link, path: Path, value: int) -> None:
        """
        The other end of a path proves that it lives where the challenge was sent.
        """


class NodeState(Protocol):
    """
    What every measurement says of this node.

    @ivar interest: its own.
    @ivar lag: microseconds by which its last turn came late.
    @ivar load: thousandths of a processor.
    """

    @property
    def interest(self) -> Interest: ...

    @property
    def lag(self) -> int: ...

    @property
    def load(self) -> int: ...

    def capabilitiesFor(self, node: int) -> str:
        """
        How this node is reached, and what it wants for its link with another; see
        L{bmff.wire.fastforward.capabilities}.
        """


class Link:
    """
    A link while both processes live.

    @ivar node: the other node's ID.
    @ivar bootID: the other process's, 64 bits.
    @ivar path: what carries it.
    @ivar heardOn: the path on which frames came last.
    @ivar order: the frames that come, in the order of their calls.
    @ivar interest: what the other node wants to hear.
    @ivar ready: whether its first whole interest has come.
    @ivar seenAt: the address that the other node sees us at.
    @ivar capabilities: the other node's, as it tells them.
    @ivar since: when it began, monotonic seconds.
    @ivar takeFrame: called with each frame that comes and the time.
    @ivar wake: called when a path is to be looked at more often than before.
    @ivar restarted: called when the other node has forgotten what it was told.
    @ivar dropped: messages that had no effect, by reason.
    """

    def __init__(
        self,
        node: int,
        bootID: int,
        state: NodeState,
        watcher: LinkWatcher,
        now: float,
        name: int,
    ) -> None:
        """
        @param name: 32 random bits, not 0: what control messages count in.
        """
        self.node = node
        self.bootID = bootID
        self.path: Path | None = None
        self.heardOn: Path | None = None
        self.interest = Interest()
        self.ready = False
        self.seenAt = ""
        self.capabilities = ""
        self.since = now
        self.dropped: Counter[str] = Counter()
        self._state = state
        self._watcher = watcher
        self._former: deque[Path] = deque(maxlen=MOST_FORMER)
        self._holdUntil = -inf
        self._changeUntil = -inf
        self._sender = ControlSender(name)
        self._receiver = ControlReceiver()
        self._agreedAt = now  # when the interest was last known to be that of the other end
        self._askedAt = -inf
        self.takeFrame: Callable[[Frame, float], None] = self._strayFrame
        self.order = Order(self._framePassed)
        self._calls = self.order.calls
        self.wake: Callable[[], None] = _nothing
        self.restarted: Callable[[], None] = _nothing
        self._told = state.interest.version
        self.sendControl(INTEREST, state.interest.whole())

    def begin(self) -> None:
        """
        The link is in use from now on, and is told each change of interest; those since it was
        made are made up for.
        """
        if self._state.interest.version != self._told:
            self.sendControl(INTEREST, self._state.interest.whole())

    def usePath(self, path: Path) -> None:
        """
        From now on L{path} carries the link.
        """
        before, self.path = self.path, path
        if before is not None and before is not path:
            self._leave(before)
        self._sender.pathChanged()

    def _leave(self, path: Path) -> None:
        """
        A path carries the link no longer: what it has not sent goes out on the one that does.
        """
        if path not in self._former:
            self._former.append(path)
        if self.path is not None:
            self.path.giveFrames(path.takeFrames())

    def pathLost(self, path: Path, now: float) -> None:
        """
        A path has ended, and the link goes on: what was under way on it is asked for again.
        """
        self._leave(path)
        if self.heardOn is path and self.path is not None:
            self.pathHeard(self.path, now)

    # Out.

    def sendFrame(self, index: int, frame: Frame) -> None:
        """
        Queue a frame of a call until L{flush}.

        @param index: its number in the call, counted from 0.
        """
        if self.path is not None:
            self.path.sendFrame(index, frame)

    def sendControl(self, kind: int, body: bytes) -> None:
        """
        Queue a control message until L{flush}.

        @raise bmff.wire.fastforward.control.Full: too much waits already.
        """
        self._sender.send(bytes((kind,)) + body)

    def sendLocations(self, locations: list[RadioLocation]) -> None:
        """
        Tell where radios are.
        """
        for at in range(0, len(locations), MOST_LOCATIONS):
            self.sendControl(
                LOCATIONS,
                b"".join(
                    _location.pack(
                        each.radio, each.peer, each.slot, min(int(each.age * 10), 2**32 - 1)
                    )
                    for each in locations[at : at + MOST_LOCATIONS]
                ),
            )

    def sendApplication(self, name: str, payload: bytes) -> None:
        """
        Send a message to a named handler of the other node.

        @param name: 1 to 64 bytes of UTF-8.
        @raise ValueError: the name is of another length.
        @raise bmff.wire.fastforward.control.Full: too much waits already.
        """
        data = name.encode()
        if not 1 <= len(data) <= LONGEST_NAME:
            raise ValueError(f"a handler's name has 1 to {LONGEST_NAME} bytes")
        self.sendControl(APPLICATION, bytes((len(data),)) + data + payload)

    def flush(self, now: float) -> None:
        """
        Send what is queued.
        """
        path = self.path
        if path is None or path.blocked:
            if path is not None:
                path.flush(now)
            return
        if self._receiver.due:
            path.sendMessage(self._receiver.acknowledgement())
        if self._sender.queued:
            for segment in self._sender.outgoing(now, path.roundTrip, self._receiver.name):
                path.sendMessage(segment)
        path.flush(now)

    @property
    def unanswered(self) -> bool:
        """
        Whether L{flush} has something to send.
        """
        path = self.path
        return self._receiver.due or bool(self._sender.queued) or (path is not None and path.queued)

    def measure(self, now: float) -> None:
        """
        Tell the other node at once how this one does, and what it wants.
        """
        if self.path is not None:
            self.path.measure(now)

    def deadline(self) -> float:
        """
        When L{timeout} is to be called at the latest.
        """
        due = self.order.deadline()
        if self.path is None or self.path.blocked or not self._sender.queued:
            return due
        return min(due, self._sender.deadline())

    def timeout(self, now: float) -> None:
        """
        Repeat control messages that are due, and let pass frames that have waited long enough.
        """
        self.order.release(now)
        self.flush(now)

    # In: see PathOwner.

    def frameReceived(self, index: int, frame: Frame, now: float) -> None:
        """
        See L{bmff.wire.fastforward.path.PathOwner}.
        """
        call = self._calls.get(frame.stream)
        if call is not None and call.next == index and not call.held:
            call.next = index + 1
            self.takeFrame(frame, now)
        else:
            self.order.frameReceived(index, frame, now, self._holdUntil)

    def _framePassed(self, frame: Frame, now: float) -> None:
        self.takeFrame(frame, now)

    def pathHeard(self, path: Path, now: float) -> None:
        """
        See L{bmff.wire.fastforward.path.PathOwner}.
        """
        before, self.heardOn = self.heardOn, path
        if before is None or before is path or not before.isBusy(now):
            return
        for session in before.sessions:
            if session.received:
                path.sendMessage(session.rest())
        self.restAsked(now + path.arrivals.patience(max(path.roundTrip, before.roundTrip)))

    def pathAwake(self, path: Path) -> None:
        """
        See L{bmff.wire.fastforward.path.PathOwner}.
        """
        self.wake()

    def gapOpened(self, until: float) -> None:
        """
        See L{bmff.wire.fastforward.path.PathOwner}.
        """
        self._holdUntil = max(self._holdUntil, until)

    def restAsked(self, until: float) -> None:
        """
        See L{bmff.wire.fastforward.path.PathOwner}.
        """
        self._changeUntil = max(self._changeUntil, until)
        self._holdUntil = max(self._holdUntil, until)

    def gapsClosed(self, now: float) -> None:
        """
        See L{bmff.wire.fastforward.path.PathOwner}.
        """
        if now >= self._changeUntil:  # else nobody knows how much of the end is still to come
            self._holdUntil = -inf
            self.order.releaseAll(now)

    def sessionNamed(self, index: int) -> Session | None:
        """
        See L{bmff.wire.fastforward.path.PathOwner}.
        """
        for path in self._paths():
            for session in path.sessions:
                if session.localIndex == index:
                    return session
        return None

    def _paths(self) -> list[Path]:
        """
        The paths that have carried the link lately.
        """
        found = list(self._former)
        for path in (self.heardOn, self.path):
            if path is not None and path not in found:
                found.append(path)
        return found

    def _missingReceived(self, path: Path, question: Missing, now: float) -> None:
        """
        Send again what is missing; where there is nothing to be sent again, say so.
        """
        wanted = set(question.counters)
        count = 0
        for each in self._paths():
            for session, counter, at, frames in each.sent:
                if session != question.session or now > at + KEPT_TIME:
                    continue
                if counter in wanted or (question.after is not None and counter >= question.after):
                    wanted.discard(counter)
                    if count < MOST_COPIES:
                        path.sendCopies(session, counter, frames)
                        path.packetsRepeated += 1
                        count += 1
        for counter in sorted(wanted)[:MOST_COPIES]:
            path.sendCopies(question.session, counter, b"")

    def _strayFrame(self, frame: Frame, now: float) -> None:
        """
        A frame has come before anybody wants it.
        """
        self.dropped["frame before the link"] += 1

    def messageReceived(self, path: Path, message: Message, now: float) -> None:
        """
        See L{bmff.wire.fastforward.path.PathOwner}.
        """
        match message:
            case Segment():
                if self._receiver.begin(message, self._sender.name):
                    self._restart()
                for whole in self._receiver.segmentReceived(message):
                    self._controlReceived(whole, now)
            case Acknowledgement(name=name, number=number):
                self._sender.acknowledged(name, number)
            case Missing():
                self._missingReceived(path, message, now)
            case Goodbye(reason=reason):
                self._watcher.goodbyeReceived(self, path, reason)
            case Challenge(value=value):
                path.sendMessage(Answer(value))
            case Answer(value=value):
                self._watcher.challengeAnswered(self, path, value)

    def _restart(self) -> None:
        """
        The other node has ended the link and begun it anew: tell it everything once more.
        """
        self._sender.restart()
        self.sendControl(INTEREST, self._state.interest.whole())
        self.restarted()

    def measured(self, path: Path, measurement: Measurement, now: float) -> None:
        """
        See L{bmff.wire.fastforward.path.PathOwner}.
        """
        self.seenAt = measurement.seenAt
        if measurement.capabilities != self.capabilities:
            self.capabilities = measurement.capabilities
            self._watcher.capabilitiesChanged(self)
        known = self.interest
        same = measurement.interestVersion == known.version
        if not self.ready or (same and measurement.interestDigest == known.digest):
            self._agreedAt = now
        elif same or now >= self._agreedAt + PATIENCE:
            self._askWhole(now)

    def makeMeasurement(self, path: Path, now: float) -> Measurement:
        """
        See L{bmff.wire.fastforward.path.PathOwner}.
        """
        state = self._state
        own = state.interest
        return path.measurement(
            now,
            state.lag,
            state.load,
            (own.version, own.digest),
            (path.remote, state.capabilitiesFor(self.node)),
        )

    def _controlReceived(self, message: bytes, now: float) -> None:
        kind, body = message[:1], message[1:]
        try:
            match kind:
                case b"\x01":
                    self._interestReceived(body, now)
                case b"\x02":
                    self._watcher.locationsReceived(self, _decodeLocations(body), now)
                case b"\x03":
                    self._applicationReceived(body)
                case b"\x04":
                    self.sendControl(INTEREST, self._state.interest.whole())
                case _:
                    self.dropped["unknown control message"] += 1
        except ProtocolError as error:
            self.dropped[error.reason] += 1
        except Full:
            self.dropped["control queue full"] += 1

    def _interestReceived(self, body: bytes, now: float) -> None:
        change = self.interest.take(body)
        if change is None:
            self._askWhole(now)
            return
        self.ready = True
        self._askedAt = -inf
        self._watcher.interestChanged(self, change)

    def _applicationReceived(self, body: bytes) -> None:
        size = body[0] if body else 0
        if not 1 <= size <= LONGEST_NAME or len(body) < 1 + size:
            raise ProtocolError("truncated application message")
        name = body[1 : 1 + size].decode("utf-8", "replace")
        self._watcher.applicationReceived(self, name, body[1 + size :])

    def _askWhole(self, now: float) -> None:
        if now >= self._askedAt + PATIENCE:
            self._askedAt = now
            try:
                self.sendControl(WHOLE_WANTED, b"")
            except Full:
                self.dropped["control queue full"] += 1


def _nothing() -> None:
    """
    Nobody wants to know.
    """


def _decodeLocations(body: bytes) -> list[RadioLocation]:
    if len(body) % _location.size:
        raise ProtocolError("truncated locations")
    found = []
    for radio, peer, slot, age in _location.iter_unpack(body):
        if slot not in {1, 2} or radio > 0xFFFFFF:
            raise ProtocolError("no location")
        found.append(RadioLocation(radio, peer, slot, age / 10))
    return found
