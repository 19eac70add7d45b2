"""
The bridges of a node as a service: opens and closes the sockets of OpenBridge, finds the other ends
by their names, and gives each bridge its key.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isinf
from typing import Any, Final, Protocol

import attrs
from twisted.application.service import Service
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from bmff.access import ranges, translation
from bmff.errors import ConfigurationError, Mistake, TransportUnavailable
from bmff.events import BridgeEnded, BridgeMoved, BridgeStarted, Event
from bmff.protocols.openbridge import BridgeSettings, OpenBridge, OpenBridgeTrunk
from bmff.protocols.turn import Turn
from bmff.sections.openbridge import BridgeEntry
from bmff.sections.openbridge import OpenBridge as OpenBridgeSection
from bmff.sections.values import Address
from bmff.sockets.addresses import IPV4_SIZE, IPV6_SIZE, formatAddress
from bmff.sockets.datagrams import DatagramPort
from bmff.sockets.names import lookUp
from bmff.systemd import Supervisor
from bmff.wire.openbridge.bridge import Terms
from bmff.wire.openbridge.crossing import ENHANCED, FREE
from bmff.wire.openbridge.enhanced import EnhancedBridge

LARGEST_PACKET: Final = 128  # bytes; 89 are the most that is sent
LOOKUP_INTERVAL: Final = 60.0  # seconds between two looks for where a name leads
# What may become another in a bridge that stays, with all of its calls; these count from the next
# call that begins.
FILTERS: Final = ("send", "accept", "private", "translate", "servers", "localTalkgroups")
_CHANGEABLE: Final = (*FILTERS, "host", "port", "password")


class Keys(Protocol):
    """
    The secrets (L{bmff.keys.Secrets}).
    """

    def bridgePassword(self, secretID: str) -> bytes | None: ...


def bridgeSettings(entry: BridgeEntry, network: int) -> BridgeSettings:
    """
    A bridge as the protocol wants it described.

    @param network: the node's ID.
    """
    servers = ranges(entry.servers)
    apart = entry.enhanced if entry.localTalkgroups is None else entry.localTalkgroups
    terms = Terms(
        server=entry.id if entry.id is not None else network,
        peer=entry.peer,
        checkID=entry.checkPeer,
        bothSlots=entry.bothSlots,
        strict=entry.strict,
        roaming=entry.roaming,
        maximumAge=entry.maximumAge,
        crossing=ENHANCED if apart else FREE,
        servers=servers if len(servers) else None,
    )
    wanted = ranges(entry.send)
    return BridgeSettings(
        name=entry.name,
        network=entry.name if entry.network is None else entry.network,
        terms=terms,
        enhanced=entry.enhanced,
        wanted=wanted,
        brought=wanted if entry.accept is None else ranges(entry.accept),
        private=entry.private,
        translation=translation(entry.translate),
    )


class BridgeService(Service):
    """
    Runs the bridges of one node.

    @ivar openBridge: the bridges.
    @ivar ports: the open sockets.
    @ivar alive: see L{bmff.reload.Reloadable}.
    """

    alive: Final = frozenset({"openbridge.bridge"})
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        turn: Turn,
        section: OpenBridgeSection,
        network: int,
        keys: Keys,
        wallClock: Callable[[], float],
        supervisor: Supervisor | None = None,
        publish: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """
        @param turn: the node's, with its router.
        @param network: the node's ID.
        @param wallClock: seconds since 1970.
        @param supervisor: what may have opened the sockets.
        @param publish: is told what happens.
        """
        self.ports: list[DatagramPort] = []
        self.openBridge = OpenBridge(reactor, turn, wallClock, self._bridgeChanged)
        self._reactor = reactor
        self._publish = publish
        self._section = section
        self._network = network
        self._keys = keys
        self._supervisor = supervisor or Supervisor()
        self._bridges: dict[str, _Wanted] = {}  # those that there are, by name
        self._places: dict[str, _Place] = {}
        self._passwords: dict[str, tuple[str, bytes]] = {}

    def privilegedStartService(self) -> None:
        """
        Bind the sockets and make the bridges.

        @raise ConfigurationError: a socket or a key cannot be had.
        """
        super().privilegedStartService()
        try:
            for endpoint in self._section.listen:
                self._listen(endpoint)
            if not self.ports:
                raise ConfigurationError([Mistake("openbridge.listen", "no address can be had")])
            for wanted in self._wanted(self._section).values():
                self._add(wanted)
        except ConfigurationError:
            self._close()
            raise

    def startService(self) -> None:
        """
        Listen, and look for the other ends.
        """
        if not self.ports:
            self.privilegedStartService()
        super().startService()
        for port in self.ports:
            port.startListening()
            self._log.info("bridges are at {host} port {port}", host=port.host, port=port.port)
        for place in self._places.values():
            place.look()

    def stopService(self) -> None:
        """
        End the bridges and their calls, and close.
        """
        super().stopService()
        self._close()

    def prepare(self, section: OpenBridgeSection) -> Callable[[], None]:
        """
        See L{bmff.reload.Reloadable}. A bridge of which nothing or only L{FILTERS} has changed goes
        on, and so does one with another key, or whose other end is elsewhere; calls end over those
        that are agreed on otherwise, or are not there any more.
        """
        return partial(self._takeOn, section, self._wanted(section))

    def _takeOn(self, section: OpenBridgeSection, wanted: Mapping[str, _Wanted]) -> None:
        self._section = section
        if not self.ports:
            return  # they are made at the start
        for name, before in tuple(self._bridges.items()):
            if not before.becomes(wanted.get(name)):
                self._remove(name)
        for name, each in wanted.items():
            if name in self._bridges:
                self._change(each)
            else:
                self._add(each)
                self._log.info("bridge {name} is new", name=name)

    def reviewSecrets(self) -> None:
        """
        The secrets may have changed: bridges get their keys anew.
        """
        for name, (secretID, before) in tuple(self._passwords.items()):
            password = self._keys.bridgePassword(secretID)
            if password == before:
                continue
            if not password:
                self._log.warn("bridge {name} keeps its key: its secret is gone", name=name)
                continue
            self._passwords[name] = (secretID, password)
            self.openBridge.useKey(self.openBridge.trunks[name], password)
            self._log.info("bridge {name} has another key", name=name)

    @property
    def dropped(self) -> Mapping[str, int]:
        """
        Packets that had no effect and are no bridge's, by reason.
        """
        unsent = self.openBridge.unsent
        return {**self.openBridge.exchange.dropped, **({"no socket": unsent} if unsent else {})}

    def describe(self) -> list[dict[str, Any]]:
        """
        How each bridge is, for people and programs.
        """
        return [self._described(trunk) for trunk in self.openBridge.trunks.values()]

    def _described(self, trunk: OpenBridgeTrunk) -> dict[str, Any]:
        bridge = trunk.bridge
        ago = self._reactor.seconds() - bridge.lastHeard(b"")
        heard = None if isinf(ago) else round(ago, 3)
        enhanced = isinstance(bridge, EnhancedBridge)
        version = bridge.version if isinstance(bridge, EnhancedBridge) else None
        return {
            "name": trunk.name,
            "network": trunk.network,
            "peer": trunk.peerID,
            "id": bridge.terms.server,
            "enhanced": enhanced,
            "version": version if heard is not None else None,
            "state": "up" if bridge.up else "down",
            "reason": self._reason(trunk),
            "address": formatAddress(bridge.address) if bridge.address else None,
            "heard": heard,
            "talkgroups": ", ".join(
                str(first) if first == last else f"{first}-{last}" for first, last in trunk.wanted
            ),
            "frames_sent": trunk.framesSent,
            "frames_received": bridge.framesReceived,
            "frames_quenched": trunk.framesQuenched,
            "quenches_sent": bridge.quenchesSent,
            "quenches_received": bridge.quenchesReceived,
            "dropped": dict(bridge.dropped),
        }

    def _reason(self, trunk: OpenBridgeTrunk) -> str | None:
        """
        Why no calls may go out over a bridge; L{None} when they may.
        """
        bridge = trunk.bridge
        if bridge.up:
            return None
        if bridge.address is not None:
            return trunk.reason or "no sign of life yet"
        place = self._places.get(trunk.name)
        if place is None:
            return "the other end has not come yet"
        return place.reason or "its address is not known yet"

    def _listen(self, endpoint: Address) -> None:
        """
        Bind one socket. Where the host has no IPv6, the node goes on without.
        """
        six = ":" in endpoint.host
        place = "openbridge.listen"
        try:
            receiver = self.openBridge.port(IPV6_SIZE if six else IPV4_SIZE)
        except ValueError:
            raise ConfigurationError(
                [Mistake(place, "may name one IPv4 and one IPv6 address")]
            ) from None
        inherited = self._supervisor.take(endpoint.host, endpoint.port)
        try:
            port = (
                DatagramPort(
                    self._reactor, endpoint.host, endpoint.port, receiver, size=LARGEST_PACKET
                )
                if inherited is None
                else DatagramPort.adopt(self._reactor, inherited, receiver, size=LARGEST_PACKET)
            )
        except (OSError, ValueError, CannotListenError) as error:
            self.openBridge.dropPort(receiver)
            if six and not socket.has_dualstack_ipv6():
                self._log.warn("no IPv6 on this host: not on {endpoint}", endpoint=str(endpoint))
                return
            reason = getattr(error, "socketError", error)
            raise ConfigurationError(
                [Mistake(place, f"cannot listen on {endpoint}: {reason}")]
            ) from None
        receiver.transport = port
        self.ports.append(port)

    def _wanted(self, section: OpenBridgeSection) -> dict[str, _Wanted]:
        """
        The bridges of a section, by name.

        @raise ConfigurationError: with each that cannot be made.
        """
        found: dict[str, _Wanted] = {}
        mistakes = []
        for number, entry in enumerate(section.bridge):
            place = f"openbridge.bridge[{number}]"
            if not (entry.host or entry.roaming):
                reason = "is missing; where it changes, set roaming = true"
                mistakes.append(Mistake(f"{place}.host", reason))
                continue
            secretID = entry.name if entry.password is None else entry.password
            password = self._keys.bridgePassword(secretID)
            if not password:
                reason = f"names the secret {secretID!a}, which is not in [bridges] of the secrets"
                mistakes.append(Mistake(f"{place}.password", f"{reason} file"))
            elif entry.name in found:
                reason = f"there is a bridge {entry.name!a} already"
                mistakes.append(Mistake(f"{place}.name", reason))
            else:
                found[entry.name] = _Wanted(entry, secretID, password)
        if mistakes:
            raise ConfigurationError(mistakes)
        return found

    def _add(self, wanted: _Wanted) -> None:
        entry = wanted.entry
        self._bridges[entry.name] = wanted
        self._passwords[entry.name] = (wanted.secretID, wanted.password)
        self.openBridge.addBridge(bridgeSettings(entry, self._network), wanted.password)
        self._seek(entry)

    def _remove(self, name: str) -> None:
        del self._bridges[name], self._passwords[name]
        self._giveUp(name)
        self.openBridge.removeBridge(self.openBridge.trunks[name])
        self._log.info("bridge {name} is gone", name=name)

    def _change(self, wanted: _Wanted) -> None:
        """
        What is said of a bridge has become another, and it stays.
        """
        entry = wanted.entry
        name = entry.name
        before = self._bridges[name].entry
        self._bridges[name] = wanted
        trunk = self.openBridge.trunks[name]
        if self._passwords[name][1] != wanted.password:
            self.openBridge.useKey(trunk, wanted.password)
            self._log.info("bridge {name} has another key", name=name)
        self._passwords[name] = (wanted.secretID, wanted.password)
        if (entry.host, entry.port) != (before.host, before.port):
            self._giveUp(name)
            self._seek(entry)
        if entry != before:
            settings = bridgeSettings(entry, self._network)
            self._log.info("bridge {name} has changed", name=name)
            # Calls that are on have their sinks, and keep them.
            trunk.settings = settings
            trunk.wanted = settings.wanted
            trunk.translation = settings.translation
            trunk.bridge.terms = settings.terms
            self.openBridge.router.reach.interestChanged()

    def _seek(self, entry: BridgeEntry) -> None:
        """
        Look for a bridge's other end, if somebody says where it is.
        """
        if entry.host:
            trunk = self.openBridge.trunks[entry.name]
            found = partial(self.useAddresses, trunk)
            place = _Place(self._reactor, entry.name, entry.host, entry.port, found)
            self._places[entry.name] = place
            if self.running:
                place.look()

    def _giveUp(self, name: str) -> None:
        place = self._places.pop(name, None)
        if place is not None:
            place.stop()

    def useAddresses(self, trunk: OpenBridgeTrunk, addresses: Iterable[bytes]) -> None:
        """
        A bridge's name leads to these addresses; those that no socket reaches are left out.
        """
        sizes = {len(port.address) for port in self.ports}
        reachable = tuple(address for address in addresses if len(address) in sizes)
        if not reachable:
            self._log.warn("bridge {name}: no address that we can reach", name=trunk.name)
            if trunk.name in self._places:
                self._places[trunk.name].reason = "no address that we can reach"
            return
        self.openBridge.useAddresses(trunk, reachable)

    def _close(self) -> None:
        for place in self._places.values():
            place.stop()
        self._places.clear()
        self._passwords.clear()
        self._bridges.clear()
        self.openBridge.stop()
        for port in self.ports:
            port.stopListening()
        self.ports.clear()

    def _bridgeChanged(self, trunk: OpenBridgeTrunk, state: str) -> None:
        """
        See L{OpenBridge}.
        """
        peer, name = trunk.peerID, trunk.name
        address = formatAddress(trunk.bridge.address) if trunk.bridge.address else ""
        if state == "up":
            self._publish(BridgeStarted(peer, name, address))
        elif state == "moved":
            self._publish(BridgeMoved(peer, name, address))
        else:
            self._publish(BridgeEnded(peer, name, trunk.reason))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """
    One bridge that is to be there.

    @ivar entry: what is said of it.
    @ivar secretID: the id of its secret.
    @ivar password: that secret.
    """

    entry: BridgeEntry
    secretID: str
    password: bytes

    def becomes(self, other: _Wanted | None) -> bool:
        """
        Whether a bridge goes on when it is to be another one, or none.
        """
        if other is None:
            return False
        new = {name: getattr(other.entry, name) for name in _CHANGEABLE}
        return attrs.evolve(self.entry, **new) == other.entry


class _Place:
    """
    Looks again and again where a bridge's name leads.

    @ivar reason: why that is not known; empty when it is, or when nobody has answered yet.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        name: str,
        host: str,
        port: int,
        found: Callable[[Iterable[bytes]], None],
    ) -> None:
        """
        @param name: the bridge's.
        @param found: told of the addresses when they are others than before.
        """
        self.reason = ""
        self._reactor = reactor
        self._name = name
        self._tell = found
        self._host = host
        self._port = port
        self._known: frozenset[bytes] = frozenset()
        self._again: IDelayedCall | None = None
        self._asking = False
        self._failed = False
        self._stopped = False

    def look(self) -> None:
        """
        Ask for the name's addresses now, and again after a while.
        """
        self._again = self._reactor.callLater(LOOKUP_INTERVAL, self.look)
        if not self._asking:
            self._asking = True
            lookUp(self._reactor, self._host, self._port).addCallbacks(self._found, self._notFound)

    def stop(self) -> None:
        """
        Look no more.
        """
        self._stopped = True
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _found(self, addresses: list[bytes]) -> None:
        self._asking = False
        self._failed = False
        # Many servers give their addresses in another order each time.
        if self._stopped or frozenset(addresses) == self._known:
            return
        self._known = frozenset(addresses)
        self.reason = ""
        self._tell(addresses)

    def _notFound(self, failure: Failure) -> None:
        """
        The last addresses stay.
        """
        self._asking = False
        failure.trap(TransportUnavailable)
        self.reason = failure.getErrorMessage()
        if not self._failed and not self._stopped:
            self._failed = True
            self._log.warn(
                "bridge {name}: {reason}", name=self._name, reason=failure.getErrorMessage()
            )
