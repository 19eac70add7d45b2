"""
The parts of a node that its API tells of and acts on, as far as it has them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bmff.events import Event
from bmff.ibmff import NodeRow, OverrideRow
from bmff.router.call import Call
from bmff.router.router import Router
from bmff.sockets.datagrams import DatagramPort
from bmff.web.links import Links
from bmff.web.orders import Orders
from bmff.web.overrides import OverriddenLinks, OverrideRows
from bmff.web.refusals import Refusals
from bmff.web.steering import SteeredLinks
from bmff.web.views import Moments
from bmff.wire.homebrewmaster import Event as LoginEvent
from bmff.wire.homebrewmaster import Master


class Rows(OverrideRows, Protocol):
    """
    What nodes know together, see L{bmff.ibmff.IRegistry}.
    """

    @property
    def nodes(self) -> Mapping[int, NodeRow]: ...

    def put(self, row: NodeRow | OverrideRow) -> Any: ...

    def remove(self, table: str, key: int) -> Any: ...


class Choices(Links, SteeredLinks, OverriddenLinks, Protocol):
    """
    What the links of a node run over, see L{bmff.linkservice.Choices}.
    """


class LinkParts(Protocol):
    """
    The links of a node, see L{bmff.linkservice.LinkService}.
    """

    @property
    def failure(self) -> str: ...

    @property
    def port(self) -> int: ...

    def describeNodes(self) -> list[dict[str, Any]]: ...


class Logins(Protocol):
    """
    The HomeBrew master, see L{bmff.protocols.homebrew.HomeBrew}.
    """

    @property
    def master(self) -> Master: ...

    def reviewAccess(self) -> None: ...

    def happened(self, events: tuple[LoginEvent, ...], now: float) -> None: ...


class Broker(Protocol):
    """
    The connection to an MQTT broker.
    """

    @property
    def connected(self) -> bool:
        """
        Whether the broker has let us in.
        """

    @property
    def reason(self) -> str:
        """
        Why not, for people.
        """


class Outbox(Protocol):
    """
    What is to be told to a broker, see L{bmff.protocols.mqtt.outbox.Outbox}.
    """

    def __len__(self) -> int: ...

    @property
    def dropped(self) -> int: ...


class Changed(Protocol):
    """
    What has become of a changed file, see L{bmff.reload.Reloaded}.
    """

    @property
    def applied(self) -> Sequence[str]: ...

    @property
    def waiting(self) -> Sequence[str]: ...


class Bridges(Protocol):
    """
    The bridges to other networks, see L{bmff.bridges.BridgeService}.
    """

    @property
    def dropped(self) -> Mapping[str, int]: ...

    def describe(self) -> list[dict[str, Any]]: ...


class Uplinks(Protocol):
    """
    The logins at other networks, see L{bmff.uplinks.UplinkService}.
    """

    def describe(self) -> list[dict[str, Any]]: ...


class Messages(Protocol):
    """
    Sends text messages to radios, see L{bmff.router.texts.Texts}.
    """

    def send(
        self, text: str, *, source: int, destination: int, now: float, group: bool = False
    ) -> bool:
        """
        Send one.

        @return: whether it is on its way; not when there are too many others.
        @raise ValueError: the text is too long.
        """


@dataclass(frozen=True, slots=True)
class Parts:
    """
    What there is of a node.

    @ivar network: the node ID.
    @ivar environment: the name of the network of nodes.
    @ivar version: of the program.
    @ivar boot: of this process, 64 random bits.
    @ivar clock: the reactor, its clock monotonic.
    @ivar moments: what the time is.
    @ivar wallClock: seconds since 1970.
    @ivar watch: adds a watcher of events, see L{bmff.events.Events.watch}.
    @ivar router: who hears whom.
    @ivar refusals: what the API has refused.
    @ivar orders: what an operator has ordered by hand; L{None} without HomeBrew.
    @ivar homebrew: the HomeBrew master, if there is one.
    @ivar ports: its sockets; those count that are there when somebody asks.
    @ivar links: the links to other nodes, if there are any.
    @ivar choices: what those run over.
    @ivar registry: what nodes know together.
    @ivar describeRegistry: what is said of that.
    @ivar bridges: the bridges to other networks, if there are any.
    @ivar uplinks: the logins at other networks, if there are any.
    @ivar drop: ends a call; L{None} where that cannot be done.
    @ivar reload: reads the configuration file again; L{None} where that cannot be done.
    @ivar messages: sends texts.
    @ivar broker: the connection to an MQTT broker, if there is one.
    @ivar outbox: what waits for it.
    @ivar describeBroker: what is said of that; L{None} where there is none.
    @ivar dropped: by protocol what has had no effect there, by reason.
    @ivar transports: the names of those that work here.
    @ivar public: how others reach this node, if that is known.
    """

    network: int
    environment: str
    version: str
    boot: int
    clock: Any
    moments: Moments
    wallClock: Callable[[], float]
    watch: Callable[[Callable[[Event], None]], object]
    router: Router
    refusals: Refusals
    orders: Orders | None = None
    homebrew: Logins | None = None
    ports: Sequence[DatagramPort] = ()
    links: LinkParts | None = None
    choices: Choices | None = None
    registry: Rows | None = None
    describeRegistry: Callable[[], dict[str, Any]] | None = None
    bridges: Bridges | None = None
    uplinks: Uplinks | None = None
    drop: Callable[[Call], None] | None = None
    reload: Callable[[], Changed] | None = None
    messages: Messages | None = None
    broker: Broker | None = None
    outbox: Outbox | None = None
    describeBroker: Callable[[], dict[str, Any]] | None = None
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    transports: Collection[str] = ()
    public: str = ""
