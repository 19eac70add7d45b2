"""
The master's side of HomeBrew logins: challenge, key, configuration, and what keeps them alive.

The states and answers are those that MMDVM programs expect (see L{bmff.wire.homebrew}). Nothing
that has not been verified changes a session, and nobody can make this side speak to an address that
holds one: clients obey MSTNAK and MSTCL without looking at the ID in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2s
from heapq import heappop, heappush
from hmac import compare_digest
from math import inf
from typing import Final, Protocol, TypeAlias

from bmff.dmr.frame import Frame
from bmff.errors import ProtocolError
from bmff.wire import homebrew
from bmff.wire.homebrew import FRAME_SIZE, SHORT_FRAME_SIZE, Station, decodeFrame
from bmff.wire.options import Options, parseOptions
from bmff.wire.throttle import Throttle

NONCE_PERIOD: Final = 30.0  # seconds; repeats of a login within it get the same challenge
LOGIN_TIMEOUT: Final = 30.0  # seconds from the key to the configuration
PEER_TIMEOUT: Final = 60.0  # seconds of silence: clients give up after as long
REFUSAL_INTERVAL: Final = 1.0  # seconds between two MSTNAK to one address
CHALLENGE_INTERVAL: Final = 0.25  # seconds between two challenges to one address
SLOWEST_REFUSAL: Final = 64.0  # seconds between two MSTNAK for wrong keys, at the longest
REPORT_INTERVAL: Final = 60.0  # seconds between two reports of one refused peer
LARGEST_SESSIONS: Final = 50_000


class Admission(Protocol):
    """
    Who may log in.
    """

    def passphrase(self, peerID: int) -> bytes | None:
        """
        The passphrase that opens L{peerID}, or L{None} when it may not log in.
        """

    def refusal(self, peerID: int) -> str | None:
        """
        Why L{peerID} may not log in, or L{None} when it may.
        """


def _ignore(frame: Frame, now: float) -> None:
    """
    Take a frame of a peer that nobody listens to yet.
    """


class Session:
    """
    One peer that has proved its passphrase.

    @ivar peerID: its ID.
    @ivar wireID: the same as the wire carries it, 4 bytes.
    @ivar entrance: the socket that it came in by.
    @ivar address: where it is.
    @ivar running: whether it has sent its configuration, so that calls may flow.
    @ivar heard: when it last sent anything, monotonic seconds.
    @ivar since: when it logged in, monotonic seconds.
    @ivar station: its configuration.
    @ivar options: the last it sent.
    @ivar proved: a keyed hash of the passphrase that it proved last, 16 bytes.
    @ivar watched: when to look next whether it is silent, monotonic seconds.
    @ivar frameReceived: called with each frame and the time; set it when the session opens.
    """

    __slots__ = (
        "address",
        "closed",
        "entrance",
        "frameReceived",
        "heard",
        "options",
        "peerID",
        "proved",
        "running",
        "since",
        "station",
        "watched",
        "wireID",
    )

    def __init__(self, peerID: int, entrance: Entrance, address: bytes, now: float) -> None:
        self.peerID = peerID
        self.wireID = homebrew.packID(peerID)
        self.entrance = entrance
        self.address = address
        self.heard = self.since = now
        self.running = False
        self.closed = False
        self.station = Station(peerID)
        self.options: Options | None = None
        self.proved = b""
        self.watched = inf
        self.frameReceived: Callable[[Frame, float], None] = _ignore


@dataclass(frozen=True, slots=True)
class Configured:
    """
    A peer has said what it is; calls may flow.

    @ivar first: whether the session was not running before.
    """

    session: Session
    first: bool


@dataclass(frozen=True, slots=True)
class OptionsReceived:
    """
    A peer has sent options; they are in the session.
    """

    session: Session


@dataclass(frozen=True, slots=True)
class Moved:
    """
    A peer has logged in again from another address; its session has gone with it.
    """

    session: Session


@dataclass(frozen=True, slots=True)
class Closed:
    """
    A session has ended.

    @ivar reason: for people.
    """

    session: Session
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """
    A peer was not let in; said once a minute for each.

    @ivar reason: for people.
    """

    peerID: int
    address: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class AliasBlockReceived:
    """
    A block of a radio's talker alias has come, see L{homebrew.AliasBlock}.
    """

    session: Session
    source: int
    block: int
    data: bytes


@dataclass(frozen=True, slots=True)
class PositionReceived:
    """
    A radio's GPS information has come, see L{homebrew.RadioPosition}.
    """

    session: Session
    source: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StationMoved:
    """
    A station has said where it is now; its session's station says so too.
    """

    session: Session


Event: TypeAlias = (
    Configured
    | OptionsReceived
    | Moved
    | Closed
    | Refused
    | AliasBlockReceived
    | PositionReceived
    | StationMoved
)


SessionMessage: TypeAlias = (
    homebrew.OptionsText
    | homebrew.Ping
    | homebrew.Close
    | homebrew.AliasBlock
    | homebrew.RadioPosition
    | homebrew.HomePosition
    | homebrew.Voice
)


class Entrance:
    """
    One socket's side of a master: its sessions by address, and what is to be sent through it.

    @ivar pending: datagrams to be sent, each with its address; whoever sends them clears the list.
    """

    __slots__ = ("_master", "_sessions", "pending")

    def __init__(self, master: Master) -> None:
        self.pending: list[tuple[bytes, bytes]] = []
        self._master = master
        self._sessions: dict[bytes, Session] = {}

    def receive(self, data: bytes, address: bytes, now: float) -> tuple[Event, ...]:
        """
        Take one datagram.

        A frame of a running session goes to its C{frameReceived} and nothing is returned.

        @param address: where it came from, an opaque key.
        @param now: monotonic seconds.
        @return: what has happened.
        """
        if data[:4] == b"DMRD":
            session = self._sessions.get(address)
            if (
                session is not None
                and session.running
                and data[11:15] == session.wireID
                and (len(data) == FRAME_SIZE or len(data) == SHORT_FRAME_SIZE)
            ):
                session.heard = now
                session.frameReceived(decodeFrame(data), now)
                return ()
        return self._master.messageReceived(self, data, address, now)

    def sessionAt(self, address: bytes) -> Session | None:
        """
        The session that lives at an address.
        """
        return self._sessions.get(address)

    def bind(self, session: Session) -> None:
        """
        A session lives at its address from now on.
        """
        self._sessions[session.address] = session

    def unbind(self, session: Session) -> None:
        """
        A session lives at its address no longer.
        """
        del self._sessions[session.address]

    def send(self, message: homebrew.Message, address: bytes) -> None:
        """
        Queue one message.
        """
        self.pending.append((message.encode(), address))


class Master:
    """
    All the sessions of one master, whichever socket they came in by.

    @ivar dropped: datagrams that had no effect, by reason.
    @ivar logins: how many keys were verified.
    """

    def __init__(
        self,
        admission: Admission,
        secret: bytes,
        *,
        peerTimeout: float = PEER_TIMEOUT,
        capacity: int = LARGEST_SESSIONS,
    ) -> None:
        """
        @param secret: at least 16 random bytes, new at each start.
        @param peerTimeout: seconds of silence after which a session ends.
        @param capacity: sessions.
        """
        self.dropped: Counter[str] = Counter()
        self.logins = 0
        self._admission = admission
        self._secret = secret
        self._peerTimeout = peerTimeout
        self._capacity = capacity
        self._sessions: dict[int, Session] = {}
        self._deadlines: list[tuple[float, int, Session]] = []
        self._serial = 0
        self._challenges = Throttle(CHALLENGE_INTERVAL)
        self._refusals = Throttle(REFUSAL_INTERVAL)
        self._failures = Throttle(REFUSAL_INTERVAL, longest=SLOWEST_REFUSAL)
        self._reports = Throttle(REPORT_INTERVAL)

    def entrance(self) -> Entrance:
        """
        The side of one more socket.
        """
        return Entrance(self)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def session(self, peerID: int) -> Session | None:
        """
        The session of a peer, running or about to.
        """
        return self._sessions.get(peerID)

    def messageReceived(
        self, entrance: Entrance, data: bytes, address: bytes, now: float
    ) -> tuple[Event, ...]:
        """
        Take a datagram that is no frame of a running session.
        """
        try:
            message = homebrew.decode(data)
        except ProtocolError as error:
            self.dropped[error.reason] += 1
            return ()
        match message:
            case homebrew.Login():
                return self._loginReceived(entrance, message, address, now)
            case homebrew.Key():
                return self._keyReceived(entrance, message, address, now)
            case homebrew.Station():
                return self._stationReceived(entrance, message, address, now)
            case (
                homebrew.Acknowledge()
                | homebrew.Refuse()
                | homebrew.Pong()
                | homebrew.Closing()
                | homebrew.Beacon()
            ):
                self.dropped["master's message"] += 1
                return ()
            case _:
                return self._sessionMessageReceived(entrance, message, address, now)

    def deadline(self) -> float:
        """
        When L{timeout} is to be called at the latest.
        """
        return self._deadlines[0][0] if self._deadlines else inf

    def timeout(self, now: float) -> tuple[Event, ...]:
        """
        End the sessions that have been silent for too long.
        """
        events = []
        while self._deadlines and self._deadlines[0][0] <= now:
            at, _, session = heappop(self._deadlines)
            if session.closed or at != session.watched:
                continue  # another entry of this session counts
            due = session.heard + (self._peerTimeout if session.running else LOGIN_TIMEOUT)
            if due > now:
                self._watch(session, due)
            else:
                reason = "silent" if session.running else "login not finished"
                events.append(self._close(session, reason))
        return tuple(events)

    def disconnect(self, session: Session, reason: str) -> tuple[Event, ...]:
        """
        End a session from this side; the peer logs in anew, 10 s later as a rule.
        """
        if session.closed:
            return ()
        session.entrance.send(homebrew.Closing(session.peerID), session.address)
        return (self._close(session, reason),)

    def passphraseChanged(self, session: Session) -> bool:
        """
        Whether a session was opened by another passphrase than the one that would open it now.
        """
        passphrase = self._admission.passphrase(session.peerID)
        return passphrase is None or not compare_digest(session.proved, self._mark(passphrase))

    def requestBeacon(self, session: Session) -> None:
        """
        Ask a peer to send a roaming beacon.
        """
        session.entrance.send(homebrew.Beacon(session.peerID), session.address)

    def _loginReceived(
        self, entrance: Entrance, message: homebrew.Login, address: bytes, now: float
    ) -> tuple[Event, ...]:
        peerID = message.peerID
        reason = self._admission.refusal(peerID)
        if reason is not None:
            self._refuse(entrance, peerID, address, now)
            return self._report(peerID, address, reason, now)
        if self._challenges.passes(address, now):
            nonce = self._nonce(peerID, address, int(now // NONCE_PERIOD))
            entrance.send(homebrew.Acknowledge(nonce), address)
        else:
            self.dropped["too many logins"] += 1
        return ()

    def _keyReceived(
        self, entrance: Entrance, message: homebrew.Key, address: bytes, now: float
    ) -> tuple[Event, ...]:
        peerID = message.peerID
        passphrase = self._admission.passphrase(peerID)
        if passphrase is None:
            self._refuse(entrance, peerID, address, now)
            reason = self._admission.refusal(peerID) or "no passphrase"
            return self._report(peerID, address, reason, now)
        period = int(now // NONCE_PERIOD)
        if not any(
            compare_digest(
                message.digest,
                homebrew.keyDigest(self._nonce(peerID, address, number), passphrase),
            )
            for number in (period, period - 1)
        ):
            self.dropped["wrong key"] += 1
            if entrance.sessionAt(address) is None and self._failures.passes(
                (peerID, address), now
            ):
                entrance.send(homebrew.Refuse(peerID), address)
            return self._report(peerID, address, "wrong password", now)
        self._failures.forget((peerID, address))
        return self._keyVerified(entrance, peerID, address, self._mark(passphrase), now)

    def _keyVerified(
        self, entrance: Entrance, peerID: int, address: bytes, proved: bytes, now: float
    ) -> tuple[Event, ...]:
        session = self._sessions.get(peerID)
        before = entrance.sessionAt(address)
        events: tuple[Event, ...] = ()
        if before is not None and before is not session:
            events = (self._close(before, f"its address now belongs to {peerID}"),)
        if session is None:
            if len(self._sessions) >= self._capacity:
                self._refuse(entrance, peerID, address, now)
                return (*events, *self._report(peerID, address, "too many peers", now))
            session = Session(peerID, entrance, address, now)
            self._sessions[peerID] = session
            entrance.bind(session)
            self._watch(session, now + LOGIN_TIMEOUT)
        elif before is not session:
            session.entrance.unbind(session)
            session.entrance = entrance
            session.address = address
            session.running = False
            entrance.bind(session)
            self._watch(session, now + LOGIN_TIMEOUT)
            events = (*events, Moved(session))
        # A repeat from the same address takes nothing back: its configuration may be here already.
        session.heard = now
        session.proved = proved
        self.logins += 1
        entrance.send(homebrew.Acknowledge(session.wireID), address)
        return events

    def _stationReceived(
        self, entrance: Entrance, message: Station, address: bytes, now: float
    ) -> tuple[Event, ...]:
        session = entrance.sessionAt(address)
        if session is None or session.peerID != message.peerID:
            self._refuse(entrance, message.peerID, address, now)
            return ()
        first = not session.running
        session.running = True
        session.heard = now
        session.station = message
        if first and now + self._peerTimeout < session.watched:
            self._watch(session, now + self._peerTimeout)
        entrance.send(homebrew.Acknowledge(session.wireID), address)
        return (Configured(session, first),)

    def _sessionMessageReceived(
        self, entrance: Entrance, message: SessionMessage, address: bytes, now: float
    ) -> tuple[Event, ...]:
        """
        Take what only a running session may say.
        """
        session = entrance.sessionAt(address)
        if session is None or session.peerID != message.peerID:
            if isinstance(message, homebrew.Close):
                self.dropped["no session"] += 1
            else:
                self._refuse(entrance, message.peerID, address, now)
        elif isinstance(message, homebrew.Close):
            return (self._close(session, "closed by the peer"),)
        elif session.running:
            session.heard = now
            return self._act(session, message)
        elif self._refusals.passes(address, now):
            # It missed an answer and believes that it is further than it is.
            entrance.send(homebrew.Refuse(session.peerID), address)
        return ()

    def _act(self, session: Session, message: SessionMessage) -> tuple[Event, ...]:
        entrance, address = session.entrance, session.address
        match message:
            case homebrew.OptionsText(text=text):
                session.options = parseOptions(text)
                entrance.send(homebrew.Acknowledge(session.wireID), address)
                return (OptionsReceived(session),)
            case homebrew.AliasBlock(source=source, block=block, data=data):
                return (AliasBlockReceived(session, source, block, data),)
            case homebrew.RadioPosition(source=source, data=data):
                return (PositionReceived(session, source, data),)
            case homebrew.HomePosition(latitude=latitude, longitude=longitude):
                session.station = replace(session.station, latitude=latitude, longitude=longitude)
                return (StationMoved(session),)
            case homebrew.Ping():
                entrance.send(homebrew.Pong(session.peerID), address)
        return ()

    def _refuse(self, entrance: Entrance, peerID: int, address: bytes, now: float) -> None:
        """
        Tell an address that it is not logged in, unless a session of somebody's lives there.
        """
        if entrance.sessionAt(address) is not None:
            self.dropped["another ID at a live address"] += 1
        elif self._refusals.passes(address, now):
            self.dropped["no session"] += 1
            entrance.send(homebrew.Refuse(peerID), address)
        else:
            self.dropped["no session"] += 1

    def _report(self, peerID: int, address: bytes, reason: str, now: float) -> tuple[Event, ...]:
        if not self._reports.passes(peerID, now):
            return ()
        return (Refused(peerID, address, reason),)

    def _close(self, session: Session, reason: str) -> Closed:
        session.closed = True
        session.running = False
        session.entrance.unbind(session)
        del self._sessions[session.peerID]
        return Closed(session, reason)

    def _watch(self, session: Session, due: float) -> None:
        """
        Look at a session at this time, and not when it was to be looked at until now.
        """
        session.watched = due
        self._serial += 1
        heappush(self._deadlines, (due, self._serial, session))

    def _nonce(self, peerID: int, address: bytes, period: int) -> bytes:
        """
        The challenge of a period; nothing is kept until the answer to it has been verified.
        """
        said = homebrew.packID(peerID) + period.to_bytes(8, "big", signed=True) + address
        return blake2s(said, key=self._secret[:32], digest_size=4).digest()

    def _mark(self, passphrase: bytes) -> bytes:
        """
        What tells passphrases apart without telling them.
        """
        return blake2s(passphrase, key=self._secret[:32], digest_size=16, person=b"proved").digest()
