"""
An uplink: the node logs in to the HomeBrew master of another network, as a hotspot or repeater
does, and calls cross between the two.

The login is that of L{bmff.wire.homebrewclient}; this is where it meets names, sockets and routing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum, auto
from functools import partial
from math import inf
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bmff.errors import TransportUnavailable
from bmff.events import Event, UplinkEnded, UplinkRefused, UplinkStarted
from bmff.protocols.alarm import Alarm
from bmff.protocols.turn import Turn
from bmff.protocols.uplinkpeer import UplinkPeer, UplinkSettings
from bmff.sockets.addresses import formatAddress
from bmff.sockets.datagrams import DatagramReceiver
from bmff.wire import homebrew, homebrewclient
from bmff.wire.homebrewclient import Client, LoggedIn, LoggedOut, State

TICK: Final = 0.1  # seconds
STEP: Final = 10.0 / 3  # seconds until a login that is not answered begins anew
TRIES: Final = 3  # logins at one address without an answer
RETURN: Final = 2.0  # seconds until the next login when a long one has ended
SETTLED: Final = 60.0  # seconds that make a login a long one
RETRY: Final = 10.0  # seconds until the next login when one has failed
LONGEST_RETRY: Final = 60.0  # seconds that the above doubles up to

_REFUSED: Final[Mapping[State, str]] = {
    State.CHALLENGE: "it does not let our ID in",
    State.KEY: "it refuses our password",
    State.CONFIGURATION: "it refuses what our station says of itself",
    State.OPTIONS: "it refuses our options",
    State.RUNNING: "it does not know us any longer",
}
_UNANSWERED: Final[Mapping[State, str]] = {
    State.CHALLENGE: "no answer",
    State.KEY: "no answer to our password",
    State.CONFIGURATION: "no answer to what our station says of itself",
    State.OPTIONS: "no answer to our options",
}


class Socket(Protocol):
    """
    What a socket has to be able to do, see L{bmff.sockets.datagrams.DatagramPort}.
    """

    def sendTo(self, data: bytes, address: bytes) -> bool: ...

    def stopListening(self) -> None: ...


class Surroundings(Protocol):
    """
    What an uplink needs of the world outside.
    """

    def find(self, host: str, port: int) -> Deferred[list[bytes]]:
        """
        Where a name leads now, see L{bmff.sockets.names.lookUp}.
        """

    def openSocket(self, receiver: DatagramReceiver, addressSize: int) -> Socket:
        """
        A socket of its own, which listens.

        @param addressSize: bytes of the keys of its addresses (L{bmff.sockets.addresses}).
        @raise TransportUnavailable: there is none to be had.
        """

    def passphrase(self, uplink: Uplink) -> bytes | None:
        """
        What the master is to be answered with; L{None} when nobody knows.
        """

    def changed(self, uplink: Uplink, now: float) -> None:
        """
        An uplink is logged in, or no longer. What goes out is said with L{UplinkPeer.hear}.
        """

    def publish(self, event: Event) -> None:
        """
        Something has happened.
        """


class Phase(Enum):
    """
    What an uplink is doing.
    """

    STOPPED = auto()
    LOOKING = auto()  # for where a name leads
    TRYING = auto()  # to log in
    RUNNING = auto()
    WAITING = auto()  # until the next attempt


class Uplink:
    """
    Keeps one login to another network alive and carries calls there and back.

    The masters and all their addresses are tried in turn, names being looked up anew each time,
    then it waits.

    @ivar settings: what the operator says of it.
    @ivar peer: itself as the router sees it while it is logged in.
    @ivar phase: what it is doing.
    @ivar master: the address that is spoken to, or was last.
    @ivar reason: why it is not logged in; empty when it is, or when nobody knows yet.
    @ivar logins: how often it has logged in.
    @ivar strangers: datagrams that did not come from the master.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        turn: Turn,
        settings: UplinkSettings,
        peerID: int,
        surroundings: Surroundings,
    ) -> None:
        """
        @param clock: monotonic.
        @param turn: the node's, with its router.
        @param peerID: see L{UplinkPeer}.
        """
        self.settings = settings
        self.peer = UplinkPeer(peerID, settings, turn.router, self._send)
        self.phase = Phase.STOPPED
        self.master = b""
        self.reason = ""
        self.logins = 0
        self.strangers = 0
        self._clock = clock
        self._turn = turn
        self._surroundings = surroundings
        self._wireID = homebrew.packID(settings.station.peerID)
        self._client: Client | None = None
        self._socket: Socket | None = None
        self._masters: deque[tuple[str, int]] = deque()
        self._addresses: deque[bytes] = deque()
        self._attempt = 0  # answers about names that were asked for in another are too late
        self._failures: dict[str, str] = {}  # of this attempt: addresses by reason
        self._told: set[str] = set()  # reasons, since the last login
        self._failed = 0  # attempts, since the last long login
        self._since = 0.0
        self._due = inf
        self._alarm = Alarm(clock, self._deadline, self._ring, TICK)

    # What it is asked to do.

    def start(self) -> None:
        """
        Log in, again and again if need be.
        """
        if self.phase is Phase.STOPPED:
            self._begin()
            self.flush()

    def stop(self) -> None:
        """
        Log out.
        """
        now = self._clock.seconds()
        before, self.phase = self.phase, Phase.STOPPED
        self._attempt += 1
        self._failed = 0
        self._told.clear()
        if before is Phase.RUNNING:
            self._leave("stopped", now)
        if self._client is not None:
            self._client.close()
        self.flush()
        self._close()
        self._alarm.stop()

    def tryNow(self) -> None:
        """
        Do not wait for the next attempt, as something has changed that may make it succeed.
        """
        if self.phase is Phase.WAITING:
            self._begin()
            self.flush()

    @property
    def running(self) -> bool:
        """
        Whether it is logged in.
        """
        return self.phase is Phase.RUNNING

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        """
        See L{bmff.sockets.datagrams.DatagramReceiver}. Only the master is listened to.
        """
        if address != self.master or self._client is None:
            self.strangers += 1
            return
        for event in self._client.receive(data, now):
            self._happened(event, now)

    def flush(self) -> None:
        """
        See L{bmff.sockets.datagrams.DatagramReceiver}.
        """
        if self._client is not None and self._socket is not None:
            for data in self._client.outgoing():
                self._socket.sendTo(data, self.master)
        self._turn.ended()
        if self.phase is not Phase.STOPPED:
            self._alarm.rearm()

    # The way to a login.

    def _begin(self) -> None:
        """
        One attempt: all masters, all of their addresses.
        """
        self._attempt += 1
        self._due = inf
        self._failures = {}
        self._addresses.clear()
        self._masters = deque(self.settings.masters)
        self._next()

    def _next(self) -> None:
        """
        Try the next address; look for the next master's when there is none; else wait.
        """
        passphrase = self._surroundings.passphrase(self)
        if passphrase is None:
            self._failures["its password is not in the secrets file"] = ""
            self._masters.clear()
            self._addresses.clear()
        while self._addresses and passphrase is not None:
            address = self._addresses.popleft()
            try:
                self._try(address, passphrase)
            except TransportUnavailable as error:
                self._failures[str(error)] = formatAddress(address)
            else:
                return
        if self._masters:
            host, port = self._masters.popleft()
            self.phase = Phase.LOOKING
            found = self._surroundings.find(host, port)
            found.addCallbacks(
                partial(self._found, self._attempt),
                partial(self._notFound, self._attempt, f"{host}:{port}"),
            )
            found.addErrback(self._astray)
            return
        self._wait()

    def _found(self, attempt: int, addresses: list[bytes]) -> None:
        if attempt == self._attempt:
            self._addresses.extend(addresses)
            self._next()
            self.flush()

    def _notFound(self, attempt: int, name: str, failure: Failure) -> None:
        failure.trap(TransportUnavailable)
        if attempt == self._attempt:
            self._failures[failure.getErrorMessage()] = name
            self._next()
            self.flush()

    def _astray(self, failure: Failure) -> None:
        """
        A mistake of ours, in what was done with an answer; the next attempt may do better.
        """
        self._log.failure("uplink {name} is at a loss", failure, name=self.settings.name)
        if self.phase is Phase.LOOKING:
            self._wait()
            self.flush()

    def _try(self, address: bytes, passphrase: bytes) -> None:
        """
        @raise TransportUnavailable: there is no socket for it.
        """
        settings = self.settings
        self._socket = self._surroundings.openSocket(self, len(address))
        self.master = address
        self.phase = Phase.TRYING
        self._client = Client(
            settings.station,
            passphrase,
            settings.options,
            self.peer.frameReceived,
            retry=STEP,
            ping=settings.ping,
            tries=TRIES,
            anyID=True,  # it is the master's address that counts
        )
        self._client.start(self._clock.seconds())

    def _happened(self, event: homebrewclient.Event, now: float) -> None:
        match event:
            case LoggedIn():
                self._loggedIn(now)
            case LoggedOut():
                self._loggedOut(event, now)
            case _:
                pass  # a beacon is for radios

    def _loggedIn(self, now: float) -> None:
        self.phase = Phase.RUNNING
        self.reason = ""
        self.logins += 1
        self._since = now
        self._told.clear()
        self.peer.join(now)
        self._surroundings.changed(self, now)
        self._publish(
            UplinkStarted(self.peer.peerID, self.settings.name, formatAddress(self.master))
        )

    def _loggedOut(self, event: LoggedOut, now: float) -> None:
        reason = _plain(event)
        if self.phase is not Phase.RUNNING:
            self._close()
            self._failures[reason] = formatAddress(self.master)
            self._next()
            return
        self.phase = Phase.WAITING
        self._leave(reason, now)
        self._close()
        if now >= self._since + SETTLED:
            self._failed = 0
            self._due = now + RETURN
        else:
            self._due = now + self._pause()

    def _leave(self, reason: str, now: float) -> None:
        """
        Calls cross no longer.
        """
        self.reason = reason
        self.peer.leave(now)
        self._surroundings.changed(self, now)
        self._publish(UplinkEnded(self.peer.peerID, self.settings.name, reason))

    def _send(self, addressing: bytes, body: bytes) -> None:
        """
        Send a frame.
        """
        if self._socket is not None:
            self._socket.sendTo(b"DMRD" + addressing + self._wireID + body, self.master)

    def _close(self) -> None:
        self._client = None
        if self._socket is not None:
            self._socket.stopListening()
            self._socket = None

    def _wait(self) -> None:
        """
        An attempt has failed: say so, and make the next one later.
        """
        self.phase = Phase.WAITING
        self._due = self._clock.seconds() + self._pause()
        for reason, address in self._failures.items():
            self.reason = reason
            if reason not in self._told:
                self._told.add(reason)
                self._publish(UplinkRefused(self.peer.peerID, self.settings.name, address, reason))

    def _pause(self) -> float:
        self._failed += 1
        return min(RETRY * 2.0 ** min(self._failed - 1, 8), LONGEST_RETRY)

    def _publish(self, event: Event) -> None:
        self._surroundings.publish(event)

    # Time.

    def _deadline(self) -> float:
        if self.phase is Phase.WAITING:
            return self._due
        return self._client.deadline() if self._client is not None else inf

    def _ring(self, now: float) -> None:
        if self.phase is Phase.WAITING:
            if now >= self._due:
                self._begin()
        elif self._client is not None:
            for event in self._client.timeout(now):
                self._happened(event, now)
        self.flush()

    def __repr__(self) -> str:
        return f"<Uplink {self.settings.name} {self.phase.name.lower()}>"


def _plain(event: LoggedOut) -> str:
    """
    Why a login has failed or ended, for people.
    """
    if event.reason == "refused":
        return _REFUSED[event.step]
    if event.reason == "no answer":
        return _UNANSWERED[event.step]
    return event.reason
