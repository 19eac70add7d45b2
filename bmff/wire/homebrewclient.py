"""
The client's side of a HomeBrew login: what a hotspot does towards its master.

Its times are those of MMDVM programs: a login or a step of it is tried again after 10 s, a ping
goes out every 10 s, and a master that has been silent for 60 s is given up.

Masters differ in what they put behind a tag, and clients of the field do not look at it: xlxd
(github.com/LX3JL/xlxd) sends RPTACK, MSTNAK and MSTCL without any ID, the ID of MSTPONG in
little-endian order, and frames under the ID of whoever talks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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

_FRAME_SIZES: Final = (homebrew.FRAME_SIZE, homebrew.SHORT_FRAME_SIZE)  # bytes
# Messages of masters that leave the ID out.
_BARE: Final[dict[bytes, homebrew.Message]] = {
    b"RPTACK": homebrew.Acknowledge(b""),
    b"MSTNAK": homebrew.Refuse(0),
    b"MSTCL": homebrew.Closing(0),
}


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
    The login has failed or ended; it is tried again unless this side closed it, or was to try no
    more than a few times.

    @ivar reason: for people.
    @ivar step: how far it was; not compared.
    """

    reason: str
    step: State = field(default=State.RUNNING, compare=False)


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
        tries: int = 0,
        anyID: bool = False,
    ) -> None:
        """
        @param station: what it says of itself, its ID among it.
        @param options: the text of RPTO; none is sent when it is empty.
        @param frameReceived: called with each frame and the time.
        @param retry: seconds until a step is tried again.
        @param ping: seconds between pings.
        @param giveUp: seconds of silence after which the master is given up.
        @param tries: how many logins may stay without an answer; what has failed then, or was
            refused, is not tried again until L{start}. 0 to try for ever.
        @param anyID: whether frames are taken that do not carry our ID.
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
        self._tries = tries
        self._anyID = anyID
        self._tried = 0
        self._nonce = b""
        self._heard = 0.0
        self._next = inf  # the next attempt or ping
        self._outgoing: list[bytes] = []

    def start(self, now: float) -> None:
        """
        Log in.
        """
        self._tried = 0
        self._login(now)

    def receive(self, data: bytes, now: float) -> tuple[Event, ...]:
        """
        Take one datagram of the master's.
        """
        if data[:4] == b"DMRD":
            self._voiceReceived(data, now)
            return ()
        try:
            message = _BARE.get(data) or homebrew.decode(data)
        except ProtocolError:
            self.dropped += 1
            return ()
        return self._messageReceived(message, now)

    def _messageReceived(self, message: homebrew.Message, now: float) -> tuple[Event, ...]:
        match message:
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
        elif self._tries and self._tried >= self._tries:
            return self._failed("no answer", now)
        else:
            # From the beginning: a step that is repeated is refused by some masters.
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

    def _voiceReceived(self, data: bytes, now: float) -> None:
        if (
            self.state is State.RUNNING
            and len(data) in _FRAME_SIZES
            # Masters put the receiver's ID there; any other is not for us, as a rule.
            and (data[11:15] == self._wireID or self._anyID)
        ):
            self._heard = now
            self._frameReceived(homebrew.decodeFrame(data), now)
        else:
            self.dropped += 1

    def _login(self, now: float) -> None:
        self._tried += 1
        self.state = State.CHALLENGE
        self._say(homebrew.Login(self._peerID), now, self._retry)

    def _acknowledged(self, value: bytes, now: float) -> tuple[Event, ...]:
        self._heard = now
        match self.state:
            case State.CHALLENGE if not value:
                self.dropped += 1  # there is nothing to answer to
            case State.KEY if value == self._nonce:
                self.dropped += 1  # the challenge once more
            case State.CHALLENGE:
                self.state = State.KEY
                self._nonce = value
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
        step, self.state = self.state, State.IDLE
        self._next = inf if self._tries else now + self._retry
        return (LoggedOut(reason, step),)

    def _say(self, message: homebrew.Message, now: float, again: float) -> None:
        self._outgoing.append(message.encode())
        self._next = now + again
