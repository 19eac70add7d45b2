"""
The interfaces that a plugin provides, and those of the parts that it is given.

A transport is what FastForward runs on: it carries whole packets between two nodes. It says what it
is (reliable, ordered, trusted), and the link above switches its own parts by that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface, implementer

from bmff.errors import TransportUnavailable
from bmff.routing import CallRequest, Decision


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """
    Who a node is to those that reach it over TLS, and who they have to be.

    @ivar certificate: the file of the node's certificate, PEM.
    @ivar key: the file of its private key, PEM, which nobody else may read.
    @ivar fingerprints: gives those of the certificates that are trusted at this moment, by node ID:
        SHA-256 of the DER form, 64 small digits of hex.
    """

    certificate: str
    key: str
    fingerprints: Callable[[], Mapping[int, str]]


@dataclass(frozen=True, slots=True)
class VSocketSettings:
    """
    Where a node's vSockets lead.

    @ivar hypervisor: the name that the nodes of one hypervisor have for it.
    @ivar monitors: the UNIX sockets of virtual machine monitors on this host, whose guests may
        connect.
    """

    hypervisor: str
    monitors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """
    What every transport of a node is made from.

    @ivar port: the node's own number, 1 to 65535; the same for all its transports.
    @ivar hosts: numeric addresses to listen on, IPv4 and IPv6.
    @ivar folder: where UNIX sockets are.
    @ivar trust: user IDs that are trusted on this host beside our own and root.
    @ivar tls: what TLS needs; L{None} where it is not wanted.
    @ivar vsock: what vSockets need; L{None} where they are not wanted.
    @ivar shared: what the transports of one node have in common, by any name that they agree on.
    """

    port: int
    hosts: tuple[str, ...] = ("0.0.0.0", "::")
    folder: str = "/tmp"
    trust: tuple[int, ...] = ()
    tls: TLSSettings | None = None
    vsock: VSocketSettings | None = None
    shared: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """
    What every registry is made from; each takes what it needs.

    @ivar file: the database of a registry that is a file.
    @ivar addresses: where its servers are, as descriptions of endpoints
        (C{"tcp:127.0.0.1:3301"}), in the order that they are tried in.
    @ivar user: who logs in there.
    @ivar password: gives that user's password as it is at this moment; raises
        L{bmff.errors.ConfigurationError} where there is none.
    @ivar transports: what overrides may name, each with what its address is, see
        L{ITransportMaker.addresses}; whatever looks like a name when L{None}.
    """

    file: Path
    addresses: tuple[str, ...] = ()
    user: str = ""
    password: Callable[[], str] = str
    transports: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class NodeRow:
    """
    What a node says of itself to those who share its registry.

    @ivar node: its ID.
    @ivar address: host name or numeric address that others reach it at.
    @ivar port: its FastForward number, 1 to 65535.
    @ivar boot: its boot ID, 64 random bits, new at each start; 0 when no node has written the row.
    @ivar pid: its process, or the one that has written the row for it.
    @ivar seen: when it last said so, seconds since 1970; 0 when it is not there. A row that no node
        has written does not age.
    @ivar fingerprint: that of its certificate, SHA-256 of the DER form as 64 small digits of hex;
        empty when it has none.
    """

    node: int
    address: str
    port: int
    boot: int
    pid: int
    seen: float
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class OverrideRow:
    """
    How the readers of this registry reach a node: a row of OverriddenNodes.

    @ivar node: its ID.
    @ivar key: the id of the key in the secrets file; 0 or empty for the default one.
    @ivar transport: the name of a transport plugin, or C{"auto"}.
    @ivar address: as the transport takes it.
    @ivar port: its number, 0 to 65535.
    """

    node: int
    key: str | Literal[0]
    transport: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class PeerRow:
    """
    What is said of one hotspot or repeater; what is L{None} is as the configuration says.

    @ivar peer: its ID, 1 to 0xFFFFFFFF; one of seven digits stands for all hotspots of that radio.
    @ivar secret: the id of its password in the secrets file.
    @ivar banned: whether it is kept out; when false it is let in whatever the lists say.
    @ivar single: whether keying a talkgroup leaves the one keyed before.
    @ivar timeout: seconds until a talkgroup that was keyed is left, 0 for never, 86400 at most.
    @ivar options: whether it may set its own talkgroups.
    @ivar dial: whether a private call to a talkgroup's number links that talkgroup.
    @ivar autoStatic: whether, when it is simplex, it keeps what was keyed until it keys another.
    @ivar holdOff: seconds after its own talk in which other static talkgroups are held back, 0 for
        none, 3600 at most.
    @ivar allowTalkgroups: those that it may key and hear, as the configuration writes their list
        (C{"91, 2600-2699"}); any when empty.
    @ivar denyTalkgroups: those that it may not, in the same form; none when empty.
    @ivar translate: the numbers that are others there, as the configuration writes its rules
        (C{"{there = 8, here = 2628, slot = 2}"}), with commas or semicolons between them; none of
        its own when empty.
    """

    peer: int
    secret: str | None = None
    banned: bool | None = None
    single: bool | None = None
    timeout: float | None = None
    options: bool | None = None
    dial: bool | None = None
    autoStatic: bool | None = None
    holdOff: float | None = None
    allowTalkgroups: str | None = None
    denyTalkgroups: str | None = None
    translate: str | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """
    A talkgroup that is always sent to a hotspot or repeater, beside those of the configuration.

    @ivar peer: its ID, as in L{PeerRow}.
    @ivar slot: 1 or 2.
    @ivar talkgroup: 1 to 0xFFFFFE, none that means a service.
    """

    peer: int
    slot: int
    talkgroup: int


@dataclass(frozen=True, slots=True)
class BadRow:
    """
    A row in the database that cannot be used; the others are.

    @ivar table: the name of its table, as in L{IRegistry.watch}.
    @ivar text: the row as it is there, shortened.
    @ivar reason: what is wrong with it, for people.
    @ivar node: the node that it is about; L{None} where that is not to be known.
    @ivar peer: the hotspot or repeater that it is about; L{None} where that is not to be known.
    """

    table: str
    text: str
    reason: str
    node: int | None = None
    peer: int | None = None


class RegistryUnavailable(Exception):
    """
    The registry cannot write now; what it knows can still be read.

    @ivar reason: for people, as one phrase.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class IPathReceiver(Interface):
    """
    Takes what comes in on one connection; provided by the link, called by the transport.
    """

    def packetReceived(data: bytes, now: float) -> None:
        """
        One whole packet has come.

        @param now: monotonic seconds, the same for all packets of one turn.
        """

    def flush() -> None:
        """
        The turn is over: all that was read at once has been handed over.
        """

    def writable() -> None:
        """
        C{sendPacket} has refused a packet before, and would take one now. Never called where the
        transport is not reliable: what it refuses is lost like any other.
        """

    def connectionLost(reason: str) -> None:
        """
        The connection is gone; neither side will hear anything more on it.

        @param reason: for people.
        """


class IPathTransport(Interface):
    """
    One connection to another node.
    """

    name = Attribute("the transport's name, C{'udp'}")
    reliable = Attribute("whether every packet arrives or the connection ends")
    ordered = Attribute("whether packets arrive in the order that they were sent in")
    trusted = Attribute("whether the kernel vouches for the other end, so that sealing is needless")
    remote = Attribute("the other end's address, for people")

    def sendPacket(data: bytes) -> bool:
        """
        Hand one packet to the kernel now; never waits, never raises.

        @param data: 1 to 65535 bytes, on UDP as many as the way there carries; others are refused
            for ever.
        @return: whether it was taken. If not, C{writable} is called when one will be, unless the
            transport is not reliable or the connection is gone.
        """

    def moveTo(conversation: object) -> None:
        """
        The other end is at another address from now on, which it has proved; a path that was open
        to that address is lost. Only datagrams can follow; on a connection nothing happens.

        @param conversation: the L{IConversation} from there.
        """

    def loseConnection() -> None:
        """
        End it: no packet comes any more, and C{connectionLost} follows in a later turn.
        """


class IConversation(Interface):
    """
    Somebody who has sent something and is not known yet. Nothing is kept of a sender of datagrams
    until C{open}.
    """

    name = Attribute("the transport's name")
    key = Attribute("the address as bytes, the same for the same sender")
    remote = Attribute("the address, for people")

    def sendPacket(data: bytes) -> bool:
        """
        Answer, without knowing the sender yet.
        """

    def open(receiver: IPathReceiver) -> IPathTransport:
        """
        Know the sender from now on: what comes from there goes to L{receiver}.

        @raise bmff.errors.TransportUnavailable: the sender is gone or is known already, or too many
            paths are open.
        """

    def close() -> None:
        """
        Want nothing more of the sender; a connection is closed.
        """


class IAcceptor(Interface):
    """
    Takes packets of those who are not known yet; provided by the node, called by transports.
    """

    def strayReceived(data: bytes, conversation: IConversation, now: float) -> None:
        """
        One packet of somebody unknown has come.
        """

    def flush() -> None:
        """
        The turn is over.
        """


class ITransport(Interface):
    """
    One transport at work on a node.
    """

    name = Attribute("its name, C{'udp'}")

    def listen(acceptor: IAcceptor) -> None:
        """
        Take connections from now on.

        @raise bmff.errors.TransportUnavailable: it is not to be had here, with the reason.
        """

    def connect(address: str, port: int, receiver: IPathReceiver) -> Deferred[IPathTransport]:
        """
        Connect to another node.

        @param address: what an override's row holds; empty where the transport needs none.
        @param port: the other node's number, 1 to 65535.
        @return: a C{Deferred} of an L{IPathTransport}, which fails with
            L{bmff.errors.TransportUnavailable}; cancelling it gives the attempt up.
        """

    def stopListening() -> Deferred[None]:
        """
        Close everything.

        @return: a C{Deferred} that fires when it is closed.
        """


class ITransportMaker(Interface):
    """
    A plugin: makes a transport. It imports nothing heavy until it is asked.
    """

    name = Attribute("the transport's name, which overrides use")
    addresses = Attribute(
        "what the address in an override's row is: C{'host'}, a host name or an address in numbers;"
        " C{'none'}, nothing; C{'any'}, whatever the transport makes of it, as for a maker that"
        " does not say"
    )

    def make(reactor: object, settings: TransportSettings) -> ITransport:
        """
        Make the transport of one node.

        @param reactor: the reactor, its clock monotonic.
        @raise bmff.errors.TransportUnavailable: it is not to be had on this host.
        """


@implementer(IPlugin, ITransportMaker)
class ModuleTransport:
    """
    A transport that is made by C{make(reactor, settings)} of a module, which is imported only then.

    @ivar name: the transport's name, which overrides use.
    @ivar addresses: what the address in an override's row is, see L{ITransportMaker.addresses}.
    """

    def __init__(self, name: str, module: str, addresses: str = "any") -> None:
        self.name = name
        self.addresses = addresses
        self._module = module

    def make(self, reactor: object, settings: TransportSettings) -> ITransport:
        """
        @see: L{ITransportMaker.make}
        """
        try:
            module = import_module(self._module)
        except ImportError as error:
            raise TransportUnavailable(str(error)) from error
        transport: ITransport = module.make(reactor, settings)
        return transport


class IRegistryMaker(Interface):
    """
    A plugin: opens a registry.
    """

    name = Attribute("the registry's name, which the configuration uses")

    def make(reactor: object, settings: RegistrySettings) -> IRegistry:
        """
        Make the registry of one node; it is opened by its C{start}.

        @param reactor: the reactor, its clock monotonic.
        @param settings: what the C{[registry]} section of the configuration says.
        @raise bmff.errors.ConfigurationError: that cannot be used.
        """


class IRegistry(Interface):
    """
    What nodes know together. All rows are kept in memory: reading asks nobody. A change made by any
    process reaches every reader within a second.
    """

    nodes = Attribute("rows L{bmff.ibmff.NodeRow}, a mapping by node ID")
    overrides = Attribute(
        "rows L{bmff.ibmff.OverrideRow}, a mapping by node ID; one that cannot be used any more"
        " leaves the row that was there before, so that the link stays where it is"
    )
    peers = Attribute(
        "rows L{bmff.ibmff.PeerRow}, a mapping by the peer's ID; one that cannot be used any more"
        " leaves the row that was there before, so that nobody is let in by a slip"
    )
    subscriptions = Attribute(
        "rows L{bmff.ibmff.SubscriptionRow}, a mapping by (peer's ID, slot, talkgroup)"
    )
    age = Attribute("seconds since the rows were last known to be current, infinite until then")
    available = Attribute("whether it reaches its database; if not, it goes on with what it knows")
    reason = Attribute("why it is not available, for people; empty when it is")
    badRows = Attribute("rows that cannot be used, a tuple of L{bmff.ibmff.BadRow}")

    def start() -> Deferred[None]:
        """
        Open it and read everything; again only when what C{stop} gave has fired.

        @return: a C{Deferred} that fires when all rows are in memory, or when a server cannot be
            reached now: it is not C{available} then, and goes on trying. It fails with
            L{bmff.errors.ConfigurationError} when the operator has to do something first.
        """

    def stop() -> Deferred[None]:
        """
        Close it, after what is being written; may be called more than once.

        @return: a C{Deferred} that fires when it is closed.
        """

    def watch(watcher: Callable[[str], object]) -> Callable[[], None]:
        """
        Tell of changes. A mapping is never changed, but replaced by another one.

        @param watcher: called with the name of the table (C{"nodes"}, C{"overrides"}, C{"peers"},
            C{"subscriptions"}) after its mapping was replaced.
        @return: a callable that ends this.
        """

    def put(row: NodeRow | OverrideRow | PeerRow | SubscriptionRow) -> Deferred[None]:
        """
        Write a row, in place of one with the same key.

        @return: a C{Deferred} that fires when it is written and in the mapping; it fails with
            L{bmff.errors.ConfigurationError} for a row that cannot be used or that this user may
            not write, and with L{RegistryUnavailable}.
        """

    def remove(table: str, key: int | tuple[int, int, int]) -> Deferred[None]:
        """
        Take a row away, if there is one.

        @param table: its name, as in L{watch}.
        @param key: what the row has in the table's mapping.
        @return: a C{Deferred} that fires when it is gone; it fails with L{RegistryUnavailable},
            and with L{bmff.errors.ConfigurationError} when this user may not remove it.
        """


@implementer(IPlugin, IRegistryMaker)
class ModuleRegistry:
    """
    A registry that is made by C{make(reactor, settings)} of a module, which is imported only then.

    @ivar name: the registry's name, which the configuration uses.
    """

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self._module = module

    def make(self, reactor: object, settings: RegistrySettings) -> IRegistry:
        """
        @see: L{IRegistryMaker.make}
        """
        registry: IRegistry = import_module(self._module).make(reactor, settings)
        return registry


class IRouting(Interface):
    """
    A plugin: an operator's own rule about calls.
    """

    name = Attribute("the rule's name, which the configuration uses")

    def decide(request: CallRequest) -> Decision | None:
        """
        Say what is to become of a call. This is asked once, when the call begins, within the turn
        that its first frame came in: it must not wait for anything.

        What it raises is logged and counted, and the call goes on as if there were no such rule.

        @return: L{None} where this rule has nothing to say.
        """
