"""
The HomeBrew master on UDP: hotspots and repeaters log in, their calls go to the router and back.

The logins are those of L{bmff.wire.homebrewmaster}; this is where they meet sockets and routing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from bmff.dmr.frame import SLOT_2, Frame
from bmff.dmr.position import decodePosition
from bmff.dmr.ranges import Ranges
from bmff.dmr.talkeralias import decodeTalkerAlias
from bmff.errors import ProtocolError
from bmff.events import (
    DuplicatePeerSeen,
    Event,
    LoginRefused,
    OptionsNotUnderstood,
    PeerLost,
    PeerMoved,
    PeerRegistered,
    RadioPositionReceived,
    TalkerAliasReceived,
)
from bmff.protocols.alarm import Alarm
from bmff.protocols.turn import Turn
from bmff.router.call import Peer
from bmff.router.dialling import mayBeDialled
from bmff.router.inward import Inward
from bmff.router.router import Router
from bmff.router.translation import Translation
from bmff.sockets.addresses import formatAddress
from bmff.sockets.datagrams import FanOut
from bmff.wire import homebrewmaster as wire
from bmff.wire.homebrewmaster import Admission, Entrance, Session
from bmff.wire.throttle import Throttle

LOGIN_TICK = 1.0  # seconds
SUSPICIOUS_MOVES = 4  # of one peer
SUSPICIOUS_TIME = 120.0  # seconds in which a single hotspot does not make so many
DUPLICATE_INTERVAL = 60.0  # seconds between two warnings about one peer
LONGEST_COMPLAINT = 200  # characters that are told of options
_PREFIX_SIZE = 11  # bytes of a DMRD before the peer's ID
_ID_SIZE = 4  # bytes
_SUFFIX_SIZE = 40  # bytes after it
_SPARE_TABLES = 64  # that a socket keeps for its next calls


class DatagramTransport(Protocol):
    """
    What a socket has to be able to do, see L{bmff.sockets.datagrams.DatagramPort}.
    """

    def sendTo(self, data: bytes, address: bytes) -> bool: ...

    def fanOut(self, prefixSize: int, middleSize: int, suffixSize: int) -> FanOut: ...


class Settings(Protocol):
    """
    What the operator has set for a peer.

    @ivar static: talkgroups by slot.
    @ivar single: whether keying a talkgroup leaves the one keyed before.
    @ivar dynamicTimeout: seconds until a talkgroup that was keyed is left again, 0 for never.
    @ivar options: whether the peer may set its own talkgroups.
    @ivar dial: whether a private call to a talkgroup's number links it to 9 on slot 2.
    @ivar autoStatic: whether a simplex hotspot keeps what was keyed last until it keys another.
    @ivar holdOff: seconds after its own talk in which other static talkgroups are held back.
    @ivar refused: the talkgroups that it may neither key nor hear.
    @ivar translation: the numbers that are others there.
    """

    @property
    def static(self) -> dict[int, tuple[int, ...]]: ...

    @property
    def single(self) -> bool: ...

    @property
    def dynamicTimeout(self) -> float: ...

    @property
    def options(self) -> bool: ...

    @property
    def dial(self) -> bool: ...

    @property
    def autoStatic(self) -> bool: ...

    @property
    def holdOff(self) -> float: ...

    @property
    def refused(self) -> Ranges: ...

    @property
    def translation(self) -> Translation: ...


class Access(Admission, Protocol):
    """
    Who may log in, and what is set for each.
    """

    def settings(self, peerID: int) -> Settings: ...


class HomeBrewPeer(Peer):
    """
    A peer of the router that is reached over HomeBrew.

    @ivar session: its login.
    @ivar unknown: what was not understood of its options.
    """

    __slots__ = ("_inward", "_layout", "_router", "session", "unknown")

    def __init__(self, session: Session, outlet: HomeBrewPort, router: Router) -> None:
        """
        @param router: is given the session's frames, in our numbers.
        """
        station = session.station
        super().__init__(session.peerID, outlet, slots=station.slots, simplex=station.simplex)
        self.session = session
        self._router = router
        self._inward: Inward | None = None
        session.frameReceived = partial(router.route, self)
        self.unknown: tuple[str, ...] = ()
        self._layout = (station.slots, station.simplex)

    def translationChanged(self) -> None:
        """
        Frames pass a translation only while there is one, or a stream that began under one.
        """
        if self.translates:
            if self._inward is None:
                self._inward = Inward(self._router, self)
                self.session.frameReceived = self._inward.frameReceived
        elif self._inward is not None and self._inward.idle:
            self._inward = None
            self.session.frameReceived = partial(self._router.route, self)

    def fits(self, session: Session) -> bool:
        """
        Whether a login is this peer's, and still has the same slots.
        """
        station = session.station
        return self.session is session and self._layout == (station.slots, station.simplex)


class HomeBrewSink:
    """
    Sends the frames of one call to many peers of one socket with one system call.
    """

    __slots__ = ("_fanOut", "_peers", "_port", "_rows", "_slotFlag")

    def __init__(self, port: HomeBrewPort, fanOut: FanOut, slot: int) -> None:
        self._port = port
        self._fanOut = fanOut
        self._slotFlag = SLOT_2 if slot == 2 else 0
        self._peers: list[Peer] = []  # by row of the table
        self._rows: dict[Peer, int] = {}

    def add(self, peer: Peer) -> None:
        """
        See L{bmff.router.call.Sink}.
        """
        assert isinstance(peer, HomeBrewPeer)
        self._rows[peer] = len(self._peers)
        self._peers.append(peer)
        self._fanOut.add(peer.session.address, peer.session.wireID)

    def remove(self, peer: Peer) -> None:
        """
        See L{bmff.router.call.Sink}.
        """
        row = self._rows.pop(peer)
        self._fanOut.remove(row)
        last = self._peers.pop()
        if last is not peer:
            self._peers[row] = last
            self._rows[last] = row

    def sendFrame(self, frame: Frame) -> None:
        """
        See L{bmff.router.call.Sink}.
        """
        if self._peers:
            body = frame.body
            if (frame.flags ^ self._slotFlag) & SLOT_2:
                body = bytes((frame.flags ^ SLOT_2,)) + body[1:]
            self._fanOut.send(b"DMRD" + frame.addressing, body)

    def close(self) -> None:
        """
        See L{bmff.router.call.Sink}.
        """
        self._peers.clear()
        self._rows.clear()
        self._port.takeBack(self._fanOut)


class HomeBrewPort:
    """
    One socket of a master: receives its datagrams, and is the outlet to the peers behind it.

    @ivar transport: the socket; to be set before the first datagram.
    """

    transport: DatagramTransport

    def __init__(self, homebrew: HomeBrew, entrance: Entrance) -> None:
        self._homebrew = homebrew
        self._entrance = entrance
        self._tables: list[FanOut] = []

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        """
        See L{bmff.sockets.datagrams.DatagramReceiver}.
        """
        events = self._entrance.receive(data, address, now)
        if events:
            self._homebrew.happened(events, now)

    def flush(self) -> None:
        """
        See L{bmff.sockets.datagrams.DatagramReceiver}.
        """
        if self._entrance.pending:
            self.sendPending()
        self._homebrew.turnEnded()

    def endPeer(self, peerID: int, reason: str) -> None:
        """
        See L{HomeBrew.endPeer}.
        """
        self._homebrew.endPeer(peerID, reason)

    def sendPending(self) -> None:
        """
        Send what the logins have to say.
        """
        pending, self._entrance.pending = self._entrance.pending, []
        for data, address in pending:
            self.transport.sendTo(data, address)

    def openSink(self, slot: int) -> HomeBrewSink:
        """
        See L{bmff.router.call.Outlet}.
        """
        table = (
            self._tables.pop()
            if self._tables
            else self.transport.fanOut(_PREFIX_SIZE, _ID_SIZE, _SUFFIX_SIZE)
        )
        return HomeBrewSink(self, table, slot)

    def takeBack(self, table: FanOut) -> None:
        """
        A table is no longer used; the next call may have it.
        """
        table.clear()
        if len(self._tables) < _SPARE_TABLES:
            self._tables.append(table)


class HomeBrew:
    """
    A HomeBrew master, on any number of sockets.

    @ivar master: the logins.
    """

    def __init__(
        self,
        clock: IReactorTime,
        turn: Turn,
        publish: Callable[[Event], None],
        access: Access,
        secret: bytes,
        *,
        peerTimeout: float = wire.PEER_TIMEOUT,
    ) -> None:
        """
        @param clock: monotonic.
        @param turn: the node's, with its router.
        @param publish: is told what happens.
        @param secret: 32 random bytes, new at each start.
        @param peerTimeout: seconds of silence after which a peer is gone.
        """
        self.master = wire.Master(access, secret, peerTimeout=peerTimeout)
        self._clock = clock
        self._turn = turn
        self._router = turn.router
        self._publish = publish
        self._access = access
        self._ports: dict[Entrance, HomeBrewPort] = {}
        self._peers: dict[int, HomeBrewPeer] = {}
        self._aliases: dict[int, tuple[int, dict[int, bytes], str]] = {}
        self._moves: dict[int, deque[float]] = {}  # when each peer moved last
        self._duplicates = Throttle(DUPLICATE_INTERVAL)
        self._loginAlarm = Alarm(clock, self.master.deadline, self._loginsDue, LOGIN_TICK)

    def port(self) -> HomeBrewPort:
        """
        The receiver for one more socket; set its C{transport}.
        """
        entrance = self.master.entrance()
        port = self._ports[entrance] = HomeBrewPort(self, entrance)
        return port

    def peer(self, peerID: int) -> HomeBrewPeer | None:
        """
        A peer through which calls may flow.
        """
        return self._peers.get(peerID)

    def turnEnded(self) -> None:
        """
        All that was read at once has been dealt with.
        """
        self._turn.ended()
        self._loginAlarm.rearm()

    def reviewAccess(self, concerned: Callable[[int], bool] = lambda peerID: True) -> None:
        """
        The access rules have changed: those leave who may no longer be here, the rest gets its
        settings anew.

        @param concerned: whether they have changed for a peer, by its ID; for everybody when not
            given, which takes long where there are many.
        """
        now = self._clock.seconds()
        for session in self.master:
            if not concerned(session.peerID):
                continue
            reason = self._access.refusal(session.peerID)
            if reason is None and self.master.passphraseChanged(session):
                reason = "its password has changed"
            peer = self._peers.get(session.peerID)
            if reason is not None:
                self.happened(self.master.disconnect(session, reason), now)
            elif peer is not None:
                self._applySettings(peer, now)
        self._flush()

    def endPeer(self, peerID: int, reason: str) -> None:
        """
        End a peer's session and calls without a word to it, within a turn.

        It is elsewhere; whoever has its old address by now, or it itself, would obey a good-bye.
        """
        session = self.master.session(peerID)
        if session is None:
            return
        pending = session.entrance.pending
        waiting = len(pending)
        events = self.master.disconnect(session, reason)
        del pending[waiting:]
        self.happened(events, self._clock.seconds())

    def requestBeacons(self) -> None:
        """
        Ask every peer to send a roaming beacon.
        """
        for session in self.master:
            if session.running:
                self.master.requestBeacon(session)
        self._flush()

    def stop(self) -> None:
        """
        Say good-bye to every peer, so that they come back in 10 s and not when they miss us.
        """
        now = self._clock.seconds()
        for session in self.master:
            self.happened(self.master.disconnect(session, "the node stops"), now)
        self._flush()
        self._loginAlarm.stop()

    def happened(self, events: tuple[wire.Event, ...], now: float) -> None:
        """
        Take what the logins report.
        """
        for event in events:
            match event:
                case wire.Configured(session=session, first=first):
                    self._configured(session, first, now)
                case wire.OptionsReceived(session=session):
                    self._optionsReceived(session, now)
                case wire.Moved(session=session):
                    self._moved(session, now)
                case wire.Closed(session=session, reason=reason):
                    self._closed(session, reason, now)
                case wire.Refused(peerID=peerID, address=address, reason=reason):
                    self._publish(LoginRefused(peerID, formatAddress(address), reason))
                case wire.AliasBlockReceived():
                    self._aliasBlockReceived(event)
                case wire.PositionReceived():
                    self._positionReceived(event)

    def _configured(self, session: Session, first: bool, now: float) -> None:
        peer = self._peers.get(session.peerID)
        if peer is None or not peer.fits(session):
            peer = HomeBrewPeer(session, self._ports[session.entrance], self._router)
            self._peers[session.peerID] = peer
            self._router.addPeer(peer, now)
        self._applySettings(peer, now)
        self._publish(
            PeerRegistered(
                session.peerID,
                session.station.callsign,
                formatAddress(session.address),
                verified=bool(session.proved),
                again=not first,
            )
        )

    def _optionsReceived(self, session: Session, now: float) -> None:
        peer = self._peers[session.peerID]
        options = session.options
        if options is not None:
            if options.disconnect:
                self._router.unlink(peer, now)
            if options.unknown != peer.unknown:
                peer.unknown = options.unknown
                if options.unknown:
                    self._publish(OptionsNotUnderstood(peer.peerID, _shown(options.unknown)))
        self._applySettings(peer, now)

    def _applySettings(self, peer: HomeBrewPeer, now: float) -> None:
        """
        Give a peer what the operator has set, and what it may set itself.
        """
        settings = self._access.settings(peer.peerID)
        static = {number: set(settings.static.get(number, ())) for number in (1, 2)}
        peer.single = settings.single
        peer.dynamicTimeout = settings.dynamicTimeout
        if peer.simplex and settings.autoStatic:
            peer.single, peer.dynamicTimeout = True, 0.0
        peer.dials = settings.dial
        peer.holdOff = settings.holdOff
        peer.refused = settings.refused
        peer.translation = settings.translation
        peer.reflector = 0
        options = peer.session.options
        if options is not None and settings.options:
            if options.reflector is not None and mayBeDialled(options.reflector):
                peer.reflector = options.reflector
                static[2].add(options.reflector)
            for number, talkgroups in options.static.items():
                static[number].update(talkgroups)
            if options.single is not None:
                peer.single = options.single
            if options.timer is not None:
                peer.dynamicTimeout = options.timer
        self._router.setStatic(peer, static, now)
        if peer.refused:
            self._router.review(peer, now)
        peer.translationChanged()

    def _moved(self, session: Session, now: float) -> None:
        peer = self._peers.get(session.peerID)
        if peer is None:
            return
        # The session already has its new address.
        self._router.reroutePeer(
            peer, partial(setattr, peer, "outlet", self._ports[session.entrance])
        )
        callsign, address = session.station.callsign, formatAddress(session.address)
        self._publish(PeerMoved(peer.peerID, callsign, address))
        moves = self._moves.setdefault(peer.peerID, deque(maxlen=SUSPICIOUS_MOVES))
        moves.append(now)
        if (
            len(moves) == SUSPICIOUS_MOVES
            and now - moves[0] <= SUSPICIOUS_TIME
            and self._duplicates.passes(peer.peerID, now)
        ):
            self._publish(DuplicatePeerSeen(peer.peerID, callsign, address))

    def _closed(self, session: Session, reason: str, now: float) -> None:
        peer = self._peers.pop(session.peerID, None)
        self._aliases.pop(session.peerID, None)
        self._moves.pop(session.peerID, None)
        if peer is not None:
            self._router.removePeer(peer, now)
            self._publish(PeerLost(session.peerID, session.station.callsign, reason))

    def _aliasBlockReceived(self, event: wire.AliasBlockReceived) -> None:
        """
        Put the blocks of a peer's talker together; a header, or another radio, begins anew.
        """
        peerID = event.session.peerID
        source, blocks, said = self._aliases.get(peerID, (0, {}, ""))
        if source != event.source:
            blocks, said = {}, ""
        elif event.block == 0:
            blocks = {}
        blocks[event.block] = event.data
        text = decodeTalkerAlias(blocks) or ""
        if len(text) > len(said):  # it is sent again and again through a call
            self._publish(TalkerAliasReceived(event.source, text))
            said = text
        self._aliases[peerID] = (event.source, blocks, said)

    def _positionReceived(self, event: wire.PositionReceived) -> None:
        try:
            position = decodePosition(event.data)
        except ProtocolError:
            self.master.dropped["position cut off"] += 1
            return
        self._publish(
            RadioPositionReceived(
                event.source,
                position.latitude,
                position.longitude,
                peer=event.session.peerID,
            )
        )

    def _loginsDue(self, now: float) -> None:
        self.happened(self.master.timeout(now), now)
        self._flush()

    def _flush(self) -> None:
        for port in self._ports.values():
            port.sendPending()
        self.turnEnded()


def _shown(unknown: tuple[str, ...]) -> str:
    """
    What was not understood of options, as a log may show it.
    """
    text = "; ".join(unknown)
    shown = "".join(each if each.isprintable() else "?" for each in text[:LONGEST_COMPLAINT])
    return shown if len(text) <= LONGEST_COMPLAINT else shown[:-3] + "..."
