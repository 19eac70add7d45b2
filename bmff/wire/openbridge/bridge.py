"""
What the two kinds of bridges have in common: streams that come in are taken once, streams that go
out may be stopped by the other end.

A bridge is a state machine: it takes datagrams that came from its address, with the time, and says
by L{Bridge.deadline} when it wants to be told the time again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final, TypeAlias

from bmff.dmr.frame import DATA_SYNC, DATA_TYPE, KIND, SLOT_2, TERMINATOR, Frame
from bmff.dmr.ranges import Ranges
from bmff.wire.openbridge.crossing import FREE, Crossing
from bmff.wire.openbridge.packets import Origin, Quench, onSlot1
from bmff.wire.openbridge.signature import Signature
from bmff.wire.openbridge.streams import (
    GENERATION,
    LARGEST_LIVE,
    SILENCE,
    Memory,
    Stream,
    nameOf,
)
from bmff.wire.throttle import Throttle

LOOK: Final = 1.0  # seconds between two looks at what has fallen silent or is due
QUENCH_INTERVAL: Final = 1.0  # seconds between two BCSQ about one stream
ROAMING_SILENCE: Final = 25.0  # seconds without a word from where a bridge was until it may move
LARGEST_QUENCHED: Final = 4096  # talkgroups of which the other end may have a stream stopped

# Made here, as Python would make them for each frame.
_END: Final = DATA_SYNC | TERMINATOR
_END_MASK: Final = KIND | DATA_TYPE
_FULL: Final = GENERATION - 1


@dataclass(frozen=True, slots=True)
class Terms:
    """
    What the two ends of a bridge have agreed on.

    @ivar server: our ID, which stands in each of our frames, 32 bits.
    @ivar peer: the other end's ID, 32 bits.
    @ivar checkID: whether frames under another ID than C{peer} are dropped.
    @ivar bothSlots: whether frames keep their slot; else all are on slot 1.
    @ivar strict: whether frames are taken from the other end's own addresses alone.
    @ivar roaming: whether the other end may change its address.
    @ivar maximumAge: seconds that a frame of the enhanced protocol may be old, or ahead of us.
    @ivar crossing: which talkgroups cross.
    @ivar servers: where calls of the enhanced protocol may have begun; L{None} for anywhere.
    """

    server: int
    peer: int
    checkID: bool = True
    bothSlots: bool = False
    strict: bool = True
    roaming: bool = False
    maximumAge: float = 5.0
    crossing: Crossing = FREE
    servers: Ranges | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """
    Calls may go out over a bridge from now on.
    """

    bridge: Bridge


@dataclass(frozen=True, slots=True)
class Lost:
    """
    Calls may go out over a bridge no longer.

    @ivar reason: for people.
    """

    bridge: Bridge
    reason: str


@dataclass(frozen=True, slots=True)
class Moved:
    """
    A bridge's other end is at another address.
    """

    bridge: Bridge


Event: TypeAlias = Opened | Lost | Moved
Deliver: TypeAlias = Callable[[Frame, float], None]
# Where what is to be sent is put, each datagram with its address.
Outbox: TypeAlias = list[tuple[bytes, bytes]]


def _refuseAll(frame: Frame, origin: Origin) -> Deliver | None:
    """
    Refuse the streams of a bridge that nobody has taken into use.
    """
    return None


class Bridge:
    """
    One bridge, plain or enhanced.

    @ivar terms: what is agreed on.
    @ivar address: where packets for it go, an opaque key; L{None} as long as that is not known.
    @ivar addresses: where its packets may come from.
    @ivar up: whether calls may go out over it.
    @ivar admit: called with the first frame of a stream and where it began; says what takes its
        frames, or L{None} when the stream is not wanted.
    @ivar signature: of our packets and theirs.
    @ivar quenched: the stream, by talkgroup or radio, that the other end has asked us to stop last.
    @ivar dropped: packets that had no effect, by reason.
    @ivar framesReceived: frames that were news.
    @ivar quenchesSent: how often we asked the other end to stop a stream.
    @ivar quenchesReceived: how often it asked us.
    @ivar signsReceived: how often it has said that it is there.
    @ivar serverID: our ID as the wire carries it, 4 bytes.
    @ivar peerID: the other end's, 4 bytes.
    """

    def __init__(self, terms: Terms, signature: Signature, outbox: Outbox) -> None:
        self.terms = terms
        self.signature = signature
        self.address: bytes | None = None
        self.addresses: tuple[bytes, ...] = ()
        self.up = False
        self.admit: Callable[[Frame, Origin], Deliver | None] = _refuseAll
        self.quenched: dict[int, int] = {}
        self.dropped: Counter[str] = Counter()
        self.framesReceived = 0
        self.quenchesSent = 0
        self.quenchesReceived = 0
        self.signsReceived = 0
        self.serverID = terms.server.to_bytes(4, "big")
        self.peerID = terms.peer.to_bytes(4, "big")
        self._outbox = outbox
        self._live: dict[int, Stream] = {}
        self._frameHeard = -inf  # of a stream that is over
        self._over = Memory()
        self._own = Memory()
        self._quenches = Throttle(QUENCH_INTERVAL)
        self._look = -inf

    def receive(self, data: bytes, now: float, wall: float) -> tuple[Event, ...]:
        """
        Take a datagram that came from one of its addresses.

        A frame goes to what C{admit} has said for its stream.

        @param now: monotonic seconds.
        @param wall: seconds since 1970.
        @return: what has happened.
        """
        raise NotImplementedError

    def receiveElsewhere(
        self, data: bytes, address: bytes, now: float, wall: float
    ) -> tuple[Event, ...]:
        """
        Take a datagram that L{opens} and that came from another address than its own.

        A bridge moves with what the other end can only have said just now, and only when nothing
        has come from its present address for a while: whoever copies packets moves no bridge that
        is in use.
        """
        if not self.terms.roaming:
            if self.terms.strict or not self.isFrame(data):
                self.dropped["foreign address"] += 1
                return ()
            return self.receive(data, now, wall)
        if self.address is not None and now < self.lastHeard(data) + ROAMING_SILENCE:
            self.dropped["foreign address"] += 1
            return ()
        before = self.framesReceived + self.signsReceived
        events = self.receive(data, now, wall)
        if self.framesReceived + self.signsReceived == before:
            return events
        return (*self.useAddresses((address,), now), *events)

    def useAddresses(self, addresses: tuple[bytes, ...], now: float) -> tuple[Event, ...]:
        """
        The other end is at these addresses; packets for it go to the first one, unless they go to
        another of them already.

        @return: what has happened.
        """
        self.addresses = addresses
        if self.address in addresses:
            return ()
        first = self.address is None
        self.address = addresses[0] if addresses else None
        if self.address is None:
            return self._lose("it has no address")
        return self._reached(now) if first else (Moved(self),)

    def close(self) -> tuple[Event, ...]:
        """
        The bridge is used no longer.
        """
        self._live.clear()
        return self._lose("closed")

    def opens(self, data: bytes) -> bool:
        """
        Whether its key has signed a datagram.
        """
        raise NotImplementedError

    def isFrame(self, data: bytes) -> bool:
        """
        Whether a datagram has the form of one of its frames.
        """
        raise NotImplementedError

    def lastHeard(self, data: bytes) -> float:
        """
        When something was heard that weighs as much as this datagram, monotonic seconds.
        """
        return max((stream.heard for stream in self._live.values()), default=self._frameHeard)

    def deadline(self) -> float:
        """
        When L{timeout} is to be called at the latest, monotonic seconds.
        """
        return self._look

    def timeout(self, now: float) -> tuple[Event, ...]:
        """
        Do what has become due.

        @return: what has happened.
        """
        if now < self._look:
            return ()
        self._look = now + LOOK
        for number, stream in tuple(self._live.items()):
            if now >= stream.heard + SILENCE:
                self._end(number, stream, now)
        return ()

    def stream(self, number: int) -> Stream | None:
        """
        The stream under an ID that comes over this bridge now.
        """
        return self._live.get(number)

    def sends(self, frame: Frame, now: float) -> None:
        """
        A stream of which this is a frame goes out over this bridge, and shall not come back.

        @param frame: with the other network's numbers.
        """
        self._own.note(nameOf(frame), now)

    def refuse(self, frame: Frame, now: float) -> None:
        """
        Ask the other end to stop a stream, where its protocol can.

        @param frame: the frame of it that was refused.
        """

    def _reached(self, now: float) -> tuple[Event, ...]:
        """
        The first address is known.
        """
        return self._open()

    def _open(self) -> tuple[Event, ...]:
        if self.up or self.address is None:
            return ()
        self.up = True
        return (Opened(self),)

    def _lose(self, reason: str) -> tuple[Event, ...]:
        if not self.up:
            return ()
        self.up = False
        return (Lost(self, reason),)

    def _begin(self, frame: Frame, origin: Origin, now: float) -> Stream | None:
        """
        The stream that a frame begins; L{None} when it may not.
        """
        name = nameOf(frame)
        if self._own.holds(name, now):
            self.dropped["our own stream"] += 1
            self.refuse(frame, now)
        elif self._over.holds(name, now):
            self.dropped["stream that is over"] += 1
        elif len(self._live) >= LARGEST_LIVE:
            self.dropped["too many streams"] += 1
        else:
            stream = self._live[frame.stream] = Stream(name, frame, origin, now)
            stream.deliver = self.admit(frame, origin)
            return stream
        return None

    def _take(self, stream: Stream, frame: Frame, code: bytes, now: float) -> None:
        """
        Take a frame of a stream that is on, once.

        @param code: of the packet.
        """
        codes = stream.codes
        count = len(codes)
        codes.add(code)
        if len(codes) == count or (stream.recent and stream.knows(frame, code)):
            self.dropped["replayed"] += 1
            return
        if count == _FULL:
            stream.age()
        stream.heard = now
        self.framesReceived += 1
        flags = frame.flags
        if flags >= SLOT_2 and not self.terms.bothSlots:
            frame = onSlot1(frame)
        deliver = stream.deliver
        if deliver is not None:
            deliver(frame, now)
        else:
            self.dropped["filtered"] += 1
            self.refuse(frame, now)
        if flags & _END_MASK == _END:
            self._end(frame.stream, stream, now)

    def _end(self, number: int, stream: Stream, now: float) -> None:
        """
        A stream is over.
        """
        self._live.pop(number, None)
        self._over.note(stream.name, now)
        self._frameHeard = max(self._frameHeard, stream.heard)

    def _quench(self, frame: Frame, now: float) -> None:
        """
        Send a BCSQ about a frame's stream, at most one a stream and second.
        """
        if self.address is None or not self._quenches.passes(frame.stream, now):
            return
        stream = self._live.get(frame.stream)
        destination = frame.destination if stream is None else stream.destination
        packet = Quench(destination, frame.stream).encode(self.signature)
        self._outbox.append((packet, self.address))
        self.quenchesSent += 1
