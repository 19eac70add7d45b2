"""
The client's side of a HomeBrew login: what a hotspot does towards its master.

Its times are those of MMDVM programs: a login or a step of it is tried again after 10 s, a ping
goes out every 10 s, and a master that has been silent for 60 s is given up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from math import inf
from typing import Final, TypeAlias

from bmff.dmr.frame import Frame
from bmff.errors import ProtocolError
from bmff.wire import homebrew
from bmff.wire.homebrew import Station

RETRY: Final = 10.0  # seconds
PING: Final = 10.0  # seconds
GIVE_UP: Final = 60.0  # seconds


class State(Enum):
    """
    How far a login is.
    """

    IDLE = auto()  # until the next attempt
    CHALLENGE = auto()  # RPTL is sent
    KEY = auto()  # RPTK is sent
    CONFIGURATION = auto()  # RPTC is sent
    OPTIONS = auto()  # RPTO is sent
    RUNNING = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """
    The master has taken everything; calls may flow.
    """


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """
    The login has failed or ended; it is tried again unless this side closed it.

    @ivar reason: for people.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class BeaconRequested:
    """
    The master wants a roaming beacon.
    """


Event: TypeAlias = LoggedIn | LoggedOut | BeaconRequested


class Client:
    """
    One login.

    @ivar state: how far it is.
    @ivar dropped: how many datagrams had no meaning.
    """

    def __init__(
        self,
        station: Station,
        passphrase: bytes,
        options: str,
        frameReceived: Callable[[Frame, float], None],
        *,
        retry: float = RETRY,
        ping: float = PING,
        giveUp: float = GIVE_UP,
    ) -> None:
        """
        @param station: what it says of itself, its ID among it.
        @param options: the text of RPTO; none is sent when it is empty.
        @param frameReceived: called with each frame and the time.
        @param retry: seconds until a step is tried again.
        @param ping: seconds between pings.
        @param giveUp: seconds of silence after which the master is given up.
        """
        self.state = State.IDLE
        self.dropped = 0
        self._station = station
        self._peerID = station.peerID
        self._wireID = homebrew.packID(station.peerID)
        self._passphrase = passphrase
        self._options = options
        self._frameReceived = frameReceived
        self._retry = retry
        self._ping = ping
        self._giveUp = giveUp
        self._heard = 0.0
        self._next = inf  # the next attempt or ping
        self._outgoing: list[bytes] = []

    def start(self, now: float) -> None:
        """
        Log in.
        """
        self._login(now)

    def receive(self, data: bytes, now: float) -> tuple[Event, ...]:
        """
        Take one datagram of the master's.
        """
        try:
            message = homebrew.decode(data)
        except ProtocolError:
            self.dropped += 1
            return ()
        match message:
            case homebrew.Voice(peerID=peerID, frame=frame):
                # Masters put the receiver's ID there; any other is not for us.
                if self.state is State.RUNNING and peerID == self._peerID:
                    self._heard = now
                    self._frameReceived(frame, now)
                else:
                    self.dropped += 1
            case homebrew.Acknowledge(value=value):
                return self._acknowledged(value, now)
            case homebrew.Pong():  # some masters send the ID in another order: it is not checked
                self._heard = now
            case homebrew.Refuse():
                return self._failed("refused", now)
            case homebrew.Closing():
                return self._failed("closed by the master", now)
            case homebrew.Beacon() if self.state is State.RUNNING:
                return (BeaconRequested(),)
            case _:
                self.dropped += 1
        return ()

    def outgoing(self) -> list[bytes]:
        """
        The datagrams to be sent, once.
        """
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def deadline(self) -> float:
        """
        When L{timeout} is to be called at the latest.
        """
        if self.state is State.RUNNING:
            return min(self._next, self._heard + self._giveUp)
        return self._next

    def timeout(self, now: float) -> tuple[Event, ...]:
        """
        Try again, ping, or give up.
        """
        if self.state is State.RUNNING and now >= self._heard + self._giveUp:
            return self._failed("the master is silent", now)
        if now < self._next:
            return ()
        if self.state is State.RUNNING:
            self._say(homebrew.Ping(self._peerID), now, self._ping)
        else:
            self._login(now)
        return ()

    def sendFrame(self, frame: Frame) -> None:
        """
        Send one frame; dropped when not logged in.
        """
        if self.state is State.RUNNING:
            self._outgoing.append(homebrew.encodeFrame(frame, self._wireID))

    def sendOptions(self, options: str) -> None:
        """
        Say other options; at once when logged in, and at each login from now on.
        """
        self._options = options
        if self.state is State.RUNNING:
            self._outgoing.append(homebrew.OptionsText(self._peerID, options).encode())

    def close(self) -> None:
        """
        Leave, and do not come back until L{start}.
        """
        if self.state is State.RUNNING:
            self._outgoing.append(homebrew.Close(self._peerID).encode())
        self.state = State.CLOSED
        self._next = inf

    def _login(self, now: float) -> None:
        self.state = State.CHALLENGE
        self._say(homebrew.Login(self._peerID), now, self._retry)

    def _acknowledged(self, value: bytes, now: float) -> tuple[Event, ...]:
        self._heard = now
        match self.state:
            case State.CHALLENGE:
                self.state = State.KEY
                digest = homebrew.keyDigest(value, self._passphrase)
                self._say(homebrew.Key(self._peerID, digest), now, self._retry)
            case State.KEY:
                self.state = State.CONFIGURATION
                self._say(self._station, now, self._retry)
            case State.CONFIGURATION if self._options:
                self.state = State.OPTIONS
                self._say(homebrew.OptionsText(self._peerID, self._options), now, self._retry)
            case State.CONFIGURATION | State.OPTIONS:
                self.state = State.RUNNING
                self._next = now + self._ping
                return (LoggedIn(),)
        return ()

    def _failed(self, reason: str, now: float) -> tuple[Event, ...]:
        if self.state in {State.IDLE, State.CLOSED}:
            return ()
        self.state = State.IDLE
        self._next = now + self._retry
        return (LoggedOut(reason),)

    def _say(self, message: homebrew.Message, now: float, again: float) -> None:
        self._outgoing.append(message.encode())
        self._next = now + again
