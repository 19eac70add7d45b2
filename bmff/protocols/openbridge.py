"""
OpenBridge on UDP: bridges to servers of other networks, each a trunk of the router.

The packets and what is remembered of them are those of L{bmff.wire.openbridge}; this is where they
meet sockets and routing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Final, Protocol, TypeAlias

from twisted.internet.interfaces import IReactorTime

from bmff.dmr.burst import linkControlOf
from bmff.dmr.frame import Frame
from bmff.dmr.numbers import isLocal
from bmff.dmr.ranges import Ranges
from bmff.protocols.alarm import Alarm
from bmff.protocols.turn import Turn
from bmff.router.call import Call, Peer, RemoteSink
from bmff.router.rewriting import FrameRewriting
from bmff.router.router import Router
from bmff.router.translation import Form, Translation
from bmff.router.trunk import Trunk
from bmff.wire.openbridge import bridge as wire
from bmff.wire.openbridge.bridge import Deliver, Terms
from bmff.wire.openbridge.enhanced import EnhancedBridge
from bmff.wire.openbridge.exchange import Exchange
from bmff.wire.openbridge.packets import Origin
from bmff.wire.openbridge.plain import PlainBridge
from bmff.wire.openbridge.signature import Signature

TICK: Final = 1.0  # seconds
EVERYTHING: Final = Ranges(((1, 0xFFFFFE),))

WireBridge: TypeAlias = PlainBridge | EnhancedBridge


class DatagramTransport(Protocol):
    """
    What a socket has to be able to do, see L{bmff.sockets.datagrams.DatagramPort}.
    """

    def sendTo(self, data: bytes, address: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """
    What the operator says of a bridge.

    @ivar name: what people call it.
    @ivar network: the name of the network that it leads to; no call returns to one.
    @ivar terms: what is agreed on with the other end.
    @ivar enhanced: whether the enhanced protocol is spoken.
    @ivar wanted: the talkgroups of ours that go out over it.
    @ivar brought: the talkgroups, by our numbers, that it may bring.
    @ivar private: whether private calls may come and go, beside those to the radios that
        C{translation} names.
    @ivar translation: their numbers and ours.
    """

    name: str
    network: str
    terms: Terms
    enhanced: bool = False
    wanted: Ranges = EVERYTHING
    brought: Ranges = EVERYTHING
    private: bool = True
    translation: Translation = field(default_factory=Translation)


class OpenBridgeTrunk(Trunk):
    """
    One bridge as the router sees it.

    @ivar settings: what the operator says of it.
    @ivar bridge: its state.
    @ivar framesSent: frames that went out.
    @ivar framesQuenched: frames that did not, as the other end does not want their stream.
    @ivar reason: why calls may go out no longer; empty when they may, or never might.
    """

    def __init__(
        self, openBridge: OpenBridge, settings: BridgeSettings, bridge: WireBridge
    ) -> None:
        terms = settings.terms
        super().__init__(terms.peer, settings.network, settings.wanted, settings.translation)
        self.settings = settings
        self.bridge = bridge
        self.framesSent = 0
        self.framesQuenched = 0
        self.reason = ""
        self._openBridge = openBridge
        self._route: Deliver = partial(openBridge.router.route, self)
        bridge.admit = self._admit

    @property
    def name(self) -> str:
        """
        What people call it.
        """
        return self.settings.name

    def hears(self, talkgroup: int) -> bool:
        """
        See L{Trunk.hears}.
        """
        if not self.bridge.up or not super().hears(talkgroup):
            return False
        theirs = self.translation.outward(0, Form(talkgroup))
        number = talkgroup if theirs is None else theirs.destination
        return number not in self.settings.terms.crossing.never

    def mayBring(self, destination: int, private: bool) -> bool:
        """
        Whether a call may come in over it, if its radio is not one that C{translation} names.

        @param destination: our number for the talkgroup or radio.
        """
        if private:
            return self.settings.private
        return destination in self.settings.brought and not isLocal(destination)

    def openSink(self, call: Call) -> RemoteSink:
        """
        See L{Trunk.openSink}.
        """
        theirs = self.form(call)
        if call.private and theirs is None and not self.settings.private:
            return Silence()
        origin = self._originOf(call)
        number = call.destination if theirs is None else theirs.destination
        private = call.private if theirs is None else theirs.private
        terms = self.settings.terms
        if not private and not terms.crossing.allows(number, origin.server, terms.peer):
            return Silence()
        sinkOf = PlainSink if isinstance(self.bridge, PlainBridge) else EnhancedSink
        return sinkOf(self, self._openBridge, call, origin)

    def refused(self, frame: Frame, reason: str, now: float) -> None:
        """
        See L{Trunk.refused}.
        """
        self.bridge.refuse(frame, now)

    def _originOf(self, call: Call) -> Origin:
        """
        Where a call began, as far as is known.
        """
        ingress = call.ingress
        if isinstance(ingress, OpenBridgeTrunk):
            stream = ingress.bridge.stream(call.stream)
            if stream is not None:
                before = stream.origin
                return Origin(before.server, before.repeater, before.hops + 1)
        own = self.settings.terms.server
        if isinstance(ingress, Peer):
            return Origin(own, ingress.peerID & 0xFFFFFFFF)
        return Origin(own if isinstance(ingress, Trunk) else ingress.peerID)

    def _admit(self, frame: Frame, origin: Origin) -> Deliver | None:
        """
        What takes the frames of a stream that comes in, or L{None} when it may not.
        """
        terms = self.settings.terms
        theirs = Form(frame.destination, frame.private)
        ours = self.translation.inward(0, theirs)
        if not theirs.private and not terms.crossing.allows(
            theirs.destination, origin.server, terms.server
        ):
            return None
        target = ours or theirs
        named = ours is not None and ours.private  # the operator has said so of this very radio
        if not named and not self.mayBring(target.destination, target.private):
            return None
        if ours is None:
            return self._route
        return self._takeRewritten(FrameRewriting(linkControlOf(frame), ours, frame.source))

    def _takeRewritten(self, rewriting: FrameRewriting) -> Deliver:
        rewrite, route = rewriting.rewrite, self._route

        def take(frame: Frame, now: float) -> None:
            route(rewrite(frame), now)

        return take

    def __repr__(self) -> str:
        return f"<OpenBridgeTrunk {self.name}>"


class Silence:
    """
    The sink of a call that may not cross.
    """

    __slots__ = ()

    def sendFrame(self, frame: Frame) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """

    def close(self) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """


class _Sink:
    """
    Sends the frames of one call over one bridge.
    """

    __slots__ = ("_bridge", "_call", "_openBridge", "_stream", "_trunk")

    def __init__(
        self, trunk: OpenBridgeTrunk, openBridge: OpenBridge, call: Call, origin: Origin
    ) -> None:
        self._trunk = trunk
        self._openBridge = openBridge
        self._call = call
        self._stream = 0

    def close(self) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """

    def _wants(self, frame: Frame) -> bytes | None:
        """
        Where a frame is to go; L{None} when nobody wants it there.
        """
        trunk = self._trunk
        bridge = trunk.bridge
        stream = frame.stream
        if stream != self._stream:
            self._stream = stream
            bridge.sends(frame, self._call.heard)
        if bridge.quenched and bridge.quenched.get(frame.destination) == stream:
            trunk.framesQuenched += 1
            return None
        return bridge.address if bridge.up else None


class PlainSink(_Sink):
    """
    Sends the frames of one call in the plain protocol.
    """

    __slots__ = ("_encode",)

    def __init__(
        self, trunk: OpenBridgeTrunk, openBridge: OpenBridge, call: Call, origin: Origin
    ) -> None:
        super().__init__(trunk, openBridge, call, origin)
        bridge = trunk.bridge
        assert isinstance(bridge, PlainBridge)
        self._encode = bridge.encode

    def sendFrame(self, frame: Frame) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """
        address = self._wants(frame)
        if address is not None:
            self._trunk.framesSent += 1
            self._openBridge.send(self._encode(frame), address)


class EnhancedSink(_Sink):
    """
    Sends the frames of one call in the enhanced protocol.
    """

    __slots__ = ("_encode", "_trailer", "_wallClock")

    def __init__(
        self, trunk: OpenBridgeTrunk, openBridge: OpenBridge, call: Call, origin: Origin
    ) -> None:
        super().__init__(trunk, openBridge, call, origin)
        bridge = trunk.bridge
        assert isinstance(bridge, EnhancedBridge)
        self._encode = bridge.encode
        self._trailer = bridge.trailer(origin)
        self._wallClock = openBridge.wallClock

    def sendFrame(self, frame: Frame) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """
        address = self._wants(frame)
        if address is not None:
            self._trunk.framesSent += 1
            packet = self._encode(frame, self._trailer, self._wallClock())
            self._openBridge.send(packet, address)


class OpenBridgePort:
    """
    One socket of the bridges: IPv4 or IPv6.

    @ivar transport: the socket; to be set before the first datagram.
    """

    transport: DatagramTransport

    def __init__(self, openBridge: OpenBridge) -> None:
        self._openBridge = openBridge
        self._exchange = openBridge.exchange
        self._places = openBridge.exchange.places
        self._wallClock = openBridge.wallClock
        self._now = -inf
        self._wall = 0.0

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        """
        See L{bmff.sockets.datagrams.DatagramReceiver}.
        """
        if now != self._now:  # once for all that is read at once
            self._now = now
            self._wall = self._wallClock()
        place = self._places.get(address)
        if place is not None:
            events = place.receive(data, now, self._wall)
        else:
            events = self._exchange.receiveElsewhere(data, address, now, self._wall)
        if events:
            self._openBridge.happened(events, now)

    def flush(self) -> None:
        """
        See L{bmff.sockets.datagrams.DatagramReceiver}.
        """
        self._openBridge.turnEnded()


class OpenBridge:
    """
    All the bridges of a node, on one socket for each family of addresses.

    @ivar exchange: their states.
    @ivar router: the node's.
    @ivar wallClock: seconds since 1970.
    @ivar trunks: the bridges, by name.
    @ivar unsent: packets for which there is no socket of their family.
    """

    def __init__(
        self,
        clock: IReactorTime,
        turn: Turn,
        wallClock: Callable[[], float],
        happened: Callable[[OpenBridgeTrunk, str], None],
    ) -> None:
        """
        @param clock: monotonic.
        @param turn: the node's, with its router.
        @param wallClock: seconds since 1970.
        @param happened: is told of changes of a bridge's state, for people.
        """
        self.exchange = Exchange()
        self.router: Router = turn.router
        self.wallClock = wallClock
        self.trunks: dict[str, OpenBridgeTrunk] = {}
        self.unsent = 0
        self._clock = clock
        self._turn = turn
        self._happened = happened
        self._byBridge: dict[wire.Bridge, OpenBridgeTrunk] = {}
        self._ports: dict[int, OpenBridgePort] = {}  # by the size of their addresses
        self._alarm = Alarm(clock, self.exchange.deadline, self._due, TICK)

    def port(self, addressSize: int) -> OpenBridgePort:
        """
        The receiver for the socket of one family of addresses; set its C{transport}.

        @param addressSize: bytes of the keys of its addresses (L{bmff.sockets.addresses}).
        @raise ValueError: there is one already.
        """
        if addressSize in self._ports:
            raise ValueError("there is a socket for these addresses already")
        port = self._ports[addressSize] = OpenBridgePort(self)
        return port

    def dropPort(self, port: OpenBridgePort) -> None:
        """
        The socket of a port could not be had.
        """
        self._ports = {size: one for size, one in self._ports.items() if one is not port}

    def addBridge(self, settings: BridgeSettings, passphrase: bytes) -> OpenBridgeTrunk:
        """
        One bridge more; it waits for L{useAddresses}.

        @raise ValueError: there is one of that name, or the passphrase is empty.
        """
        if settings.name in self.trunks:
            raise ValueError(f"there is a bridge {settings.name!a} already")
        make = EnhancedBridge if settings.enhanced else PlainBridge
        bridge = make(settings.terms, Signature(passphrase), self.exchange.outbox)
        trunk = OpenBridgeTrunk(self, settings, bridge)
        self.trunks[settings.name] = self._byBridge[bridge] = trunk
        self.exchange.add(bridge)
        self._alarm.rearm()
        return trunk

    def removeBridge(self, trunk: OpenBridgeTrunk) -> None:
        """
        A bridge is used no longer; its calls end.
        """
        now = self._clock.seconds()
        self.happened(self.exchange.remove(trunk.bridge), now)
        self.router.reach.locations.lost(trunk)
        del self.trunks[trunk.name], self._byBridge[trunk.bridge]

    def useAddresses(self, trunk: OpenBridgeTrunk, addresses: tuple[bytes, ...]) -> None:
        """
        A bridge's other end is at these addresses, see L{wire.Bridge.useAddresses}.
        """
        now = self._clock.seconds()
        self.happened(self.exchange.useAddresses(trunk.bridge, addresses, now), now)
        self.happened(trunk.bridge.timeout(now), now)
        self.turnEnded()
        self._alarm.rearm()

    def useKey(self, trunk: OpenBridgeTrunk, passphrase: bytes) -> None:
        """
        A bridge has another key from now on.

        @raise ValueError: it is empty.
        """
        trunk.bridge.signature = Signature(passphrase)

    def send(self, data: bytes, address: bytes) -> None:
        """
        Send one datagram from the socket of its family.
        """
        port = self._ports.get(len(address))
        if port is None:
            self.unsent += 1
        else:
            port.transport.sendTo(data, address)

    def turnEnded(self) -> None:
        """
        All that was read at once has been dealt with.
        """
        if self.exchange.outbox:
            for data, address in self.exchange.outgoing():
                self.send(data, address)
        self._turn.ended()

    def stop(self) -> None:
        """
        End all bridges. Nobody is told: the protocol has no word for it.
        """
        for trunk in tuple(self.trunks.values()):
            self.removeBridge(trunk)
        self._turn.ended()
        self._alarm.stop()
        self._ports.clear()

    def happened(self, events: tuple[wire.Event, ...], now: float) -> None:
        """
        Take what the bridges report.
        """
        for event in events:
            trunk = self._byBridge[event.bridge]
            match event:
                case wire.Opened():
                    trunk.reason = ""
                    self.router.reach.addTrunk(trunk)
                    self._happened(trunk, "up")
                case wire.Lost(reason=reason):
                    trunk.reason = reason
                    self.router.removeTrunk(trunk, now)
                    self._happened(trunk, f"down: {reason}")
                case wire.Moved():
                    self._happened(trunk, "moved")

    def _due(self, now: float) -> None:
        self.happened(self.exchange.timeout(now), now)
        self.turnEnded()
