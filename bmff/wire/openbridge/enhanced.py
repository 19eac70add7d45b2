"""
A bridge of the enhanced protocol: frames that tell when and where they were sent, signs of life,
and a way to stop a stream, as FreeDMR, ADN and RYSEN speak it.
"""

from __future__ import annotations

from hmac import compare_digest
from math import inf
from typing import Final

from bmff.dmr.frame import Frame
from bmff.errors import ProtocolError
from bmff.wire.openbridge.bridge import LARGEST_QUENCHED, Bridge, Event, Outbox, Terms
from bmff.wire.openbridge.packets import (
    BODY_4,
    BODY_5,
    CONTROL,
    DEAD,
    ENHANCED,
    ENHANCED_HEAD,
    OLDEST_VERSION,
    PLAIN,
    TRAILER_4,
    TRAILER_5,
    VERSION,
    KeepAlive,
    Origin,
    Quench,
    Stun,
    Version,
    decodeControl,
    encodeEnhanced,
    enhancedVersion,
    isPlain,
    packTrailer,
)
from bmff.wire.openbridge.signature import Signature
from bmff.wire.openbridge.streams import Stream
from bmff.wire.throttle import Throttle

KEEP_ALIVE_INTERVAL: Final = 10.0  # seconds between two BCKA
ALIVE: Final = 60.0  # seconds after a BCKA in which frames are sent
VERSION_INTERVAL: Final = 60.0  # seconds between two BCVE
HINT_INTERVAL: Final = 10.0  # seconds between two BCVE that answer plain frames
MOST_HOPS: Final = 10
_SERVERS: Final = range(1000, 10_000_000)  # IDs that servers have, of 4 to 7 digits


class EnhancedBridge(Bridge):
    """
    A bridge of the enhanced protocol. It is up as long as the other end says that it is there.

    @ivar version: the protocol's version that it is spoken to in, 4 or 5.
    """

    def __init__(self, terms: Terms, signature: Signature, outbox: Outbox) -> None:
        super().__init__(terms, signature, outbox)
        self.version = VERSION
        self._aliveUntil = -inf
        self._signHeard = -inf
        self._keepAliveAt = -inf
        self._versionAt = -inf
        self._hints = Throttle(HINT_INTERVAL, capacity=1)

    def receive(self, data: bytes, now: float, wall: float) -> tuple[Event, ...]:
        """
        See L{Bridge.receive}.
        """
        if data[:4] != ENHANCED:
            return self._otherReceived(data, now)
        version = enhancedVersion(data)
        if version == VERSION:
            code = data[BODY_5:]
            right = compare_digest(self.signature.blake2(data[:BODY_5]), code)
            _, time, server, repeater, hops = TRAILER_5.unpack_from(data, ENHANCED_HEAD)
        elif version:
            code = data[BODY_4:]
            right = compare_digest(self.signature.blake2(data[:BODY_4]), code)
            _, time, server, hops = TRAILER_4.unpack_from(data, ENHANCED_HEAD)
            repeater = 0
        else:
            self.dropped["wrong length or version"] += 1
            return ()
        if not right:
            self.dropped["wrong signature"] += 1
        elif abs(wall - time * 1e-9) > self.terms.maximumAge:
            self.dropped["too old" if wall > time * 1e-9 else "from the future"] += 1
        else:
            self.version = version
            frame = Frame(data[4:11], data[15:ENHANCED_HEAD])
            if hops >= MOST_HOPS:  # it would be one more here
                self.dropped["too many hops"] += 1
                self._quench(frame, now)
                return ()
            stream = self._live.get(frame.stream)
            if stream is None:
                if data[11:15] != self.peerID and self.terms.checkID:
                    self.dropped["wrong ID"] += 1
                    return ()
                stream = self._beginFrom(frame, Origin(server, repeater, hops), now)
                if stream is None:
                    return ()
            self._take(stream, frame, code, now)
        return ()

    def opens(self, data: bytes) -> bool:
        """
        See L{Bridge.opens}.
        """
        version = enhancedVersion(data) if data[:4] == ENHANCED else 0
        if version:
            end = BODY_5 if version == VERSION else BODY_4
            return compare_digest(self.signature.blake2(data[:end]), data[end:])
        if data[:4] not in CONTROL:
            return False
        try:
            return not isinstance(decodeControl(data, self.signature), Stun)
        except ProtocolError:  # whoever asks counts it
            return False

    def isFrame(self, data: bytes) -> bool:
        """
        See L{Bridge.isFrame}.
        """
        return data[:4] == ENHANCED

    def lastHeard(self, data: bytes) -> float:
        """
        See L{Bridge.lastHeard}. A sign of life can be copied, so a frame weighs more.
        """
        frameHeard = super().lastHeard(data)
        return frameHeard if self.isFrame(data) else max(frameHeard, self._signHeard)

    def deadline(self) -> float:
        """
        See L{Bridge.deadline}.
        """
        due = min(self._look, self._keepAliveAt, self._versionAt)
        return min(due, self._aliveUntil) if self.up else due

    def timeout(self, now: float) -> tuple[Event, ...]:
        """
        See L{Bridge.timeout}.
        """
        super().timeout(now)
        if now >= self._keepAliveAt:
            self._keepAliveAt = now + KEEP_ALIVE_INTERVAL
            self._say(KeepAlive())
        if now >= self._versionAt:
            self._versionAt = now + VERSION_INTERVAL
            self._say(Version(VERSION))
        if self.up and now >= self._aliveUntil:
            return self._lose("no sign of life")
        return ()

    def encode(self, frame: Frame, trailer: tuple[bytes, bytes], wall: float) -> bytes:
        """
        The datagram of a frame that goes out.

        @param trailer: see L{packTrailer}.
        @param wall: seconds since 1970.
        """
        return encodeEnhanced(
            frame,
            self.serverID,
            trailer,
            int(wall * 1e9),
            self.signature,
            bothSlots=self.terms.bothSlots,
        )

    def trailer(self, origin: Origin) -> tuple[bytes, bytes]:
        """
        What the frames of a call tell of it, in the version that is spoken now.
        """
        return packTrailer(self.version, origin)

    def refuse(self, frame: Frame, now: float) -> None:
        """
        See L{Bridge.refuse}.
        """
        self._quench(frame, now)

    def _beginFrom(self, frame: Frame, origin: Origin, now: float) -> Stream | None:
        servers = self.terms.servers
        if origin.server not in _SERVERS:
            self.dropped["no server's ID"] += 1
        elif servers is not None and origin.server not in servers:
            self.dropped["call from another server"] += 1
            self._quench(frame, now)
        else:
            return self._begin(frame, origin, now)
        return None

    def _otherReceived(self, data: bytes, now: float) -> tuple[Event, ...]:
        """
        Take what is no frame of this protocol.
        """
        tag = data[:4]
        if tag == PLAIN:
            self._plainReceived(data, now)
            return ()
        if tag not in CONTROL:
            self.dropped["dead dialect" if tag in DEAD else "unknown tag"] += 1
            return ()
        try:
            packet = decodeControl(data, self.signature)
        except ProtocolError as error:
            self.dropped[error.reason] += 1
            return ()
        match packet:
            case KeepAlive():
                self.signsReceived += 1
                self._signHeard = now
                self._aliveUntil = now + ALIVE
                return self._open()
            case Version(version=version):
                if version < OLDEST_VERSION:
                    self.dropped["version too old"] += 1
                else:
                    self.version = min(version, VERSION)
            case Quench(destination=destination, stream=stream):
                self._quenchReceived(destination, stream)
            case Stun():
                self.dropped["stun"] += 1
        return ()

    def _plainReceived(self, data: bytes, now: float) -> None:
        """
        Tell an end that speaks the plain protocol what is spoken here, and do not hear it.
        """
        if not isPlain(data):
            self.dropped["wrong length"] += 1
            return
        end = len(data) - 20
        if not compare_digest(self.signature.sha1(data[:end]), data[end:]):
            self.dropped["wrong signature"] += 1
            return
        self.dropped["plain frame on an enhanced bridge"] += 1
        if self._hints.passes(None, now):
            self._say(Version(VERSION))

    def _quenchReceived(self, destination: int, stream: int) -> None:
        """
        The other end does not want a stream of ours.
        """
        self.quenchesReceived += 1
        quenched = self.quenched
        if quenched.pop(destination, None) is None and len(quenched) >= LARGEST_QUENCHED:
            del quenched[next(iter(quenched))]
        quenched[destination] = stream

    def _say(self, packet: KeepAlive | Version) -> None:
        if self.address is not None:
            self._outbox.append((packet.encode(self.signature), self.address))

    def _reached(self, now: float) -> tuple[Event, ...]:
        """
        The first address is known: say at once that we are here. The other end may have said so.
        """
        self._keepAliveAt = self._versionAt = now
        return self._open() if now < self._aliveUntil else ()
