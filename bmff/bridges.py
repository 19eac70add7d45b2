"""
The bridges of a node as a service: opens and closes the sockets of OpenBridge, finds the other ends
by their names, and gives each bridge its key.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Protocol

from twisted.application.service import Service
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from bmff.access import ranges, translation
from bmff.errors import ConfigurationError, Mistake, TransportUnavailable
from bmff.protocols.openbridge import BridgeSettings, OpenBridge, OpenBridgeTrunk
from bmff.protocols.turn import Turn
from bmff.sections.openbridge import BridgeEntry
from bmff.sections.openbridge import OpenBridge as OpenBridgeSection
from bmff.sections.values import Address
from bmff.sockets.addresses import IPV4_SIZE, IPV6_SIZE
from bmff.sockets.datagrams import DatagramPort
from bmff.sockets.names import lookUp
from bmff.systemd import Supervisor
from bmff.wire.openbridge.bridge import Terms
from bmff.wire.openbridge.crossing import ENHANCED, FREE

LARGEST_PACKET: Final = 128  # bytes; 89 are the most that is sent
LOOKUP_INTERVAL: Final = 60.0  # seconds between two looks for where a name leads


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
    """

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
    ) -> None:
        """
        @param turn: the node's, with its router.
        @param network: the node's ID.
        @param wallClock: seconds since 1970.
        @param supervisor: what may have opened the sockets.
        """
        self.ports: list[DatagramPort] = []
        self.openBridge = OpenBridge(reactor, turn, wallClock, self._bridgeChanged)
        self._reactor = reactor
        self._section = section
        self._network = network
        self._keys = keys
        self._supervisor = supervisor or Supervisor()
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
            mistakes = list(self._addBridges())
            if mistakes:
                raise ConfigurationError(mistakes)
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

    def _addBridges(self) -> Iterable[Mistake]:
        """
        Make the bridges, and tell of those that cannot be made.
        """
        for number, entry in enumerate(self._section.bridge):
            place = f"openbridge.bridge[{number}]"
            if not (entry.host or entry.roaming):
                yield Mistake(f"{place}.host", "is missing; where it changes, set roaming = true")
                continue
            secretID = entry.name if entry.password is None else entry.password
            password = self._keys.bridgePassword(secretID)
            if not password:
                yield Mistake(
                    f"{place}.password",
                    f"names the secret {secretID!a}, which is not in [bridges] of the secrets file",
                )
                continue
            try:
                trunk = self.openBridge.addBridge(bridgeSettings(entry, self._network), password)
            except ValueError as error:
                yield Mistake(f"{place}.name", str(error))
                continue
            self._passwords[entry.name] = (secretID, password)
            if entry.host:
                self._places[entry.name] = _Place(
                    self._reactor,
                    trunk.name,
                    entry.host,
                    entry.port,
                    partial(self.useAddresses, trunk),
                )

    def useAddresses(self, trunk: OpenBridgeTrunk, addresses: Iterable[bytes]) -> None:
        """
        A bridge's name leads to these addresses; those that no socket reaches are left out.
        """
        sizes = {len(port.address) for port in self.ports}
        reachable = tuple(address for address in addresses if len(address) in sizes)
        if not reachable:
            self._log.warn("bridge {name}: no address that we can reach", name=trunk.name)
            return
        self.openBridge.useAddresses(trunk, reachable)

    def _close(self) -> None:
        for place in self._places.values():
            place.stop()
        self._places.clear()
        self._passwords.clear()
        self.openBridge.stop()
        for port in self.ports:
            port.stopListening()
        self.ports.clear()

    def _bridgeChanged(self, trunk: OpenBridgeTrunk, state: str) -> None:
        self._log.info("bridge {name} is {state}", name=trunk.name, state=state)


class _Place:
    """
    Looks again and again where a bridge's name leads.
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
        self._tell(addresses)

    def _notFound(self, failure: Failure) -> None:
        """
        The last addresses stay.
        """
        self._asking = False
        failure.trap(TransportUnavailable)
        if not self._failed and not self._stopped:
            self._failed = True
            self._log.warn(
                "bridge {name}: {reason}", name=self._name, reason=failure.getErrorMessage()
            )
