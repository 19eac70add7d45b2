"""
The uplinks of a node as a service: their sockets, names and passwords, and which of several uplinks
to one network sends a talkgroup out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from bmff.access import ranges, translation
from bmff.dmr.numbers import isLocal
from bmff.dmr.ranges import Ranges
from bmff.errors import ConfigurationError, Mistake, TransportUnavailable
from bmff.events import Event
from bmff.protocols.turn import Turn
from bmff.protocols.uplink import Phase, Socket, Uplink
from bmff.protocols.uplinkpeer import UplinkSettings
from bmff.sections.homebrew import Translated
from bmff.sections.values import IDs, Talkgroups
from bmff.sockets.addresses import IPV6_SIZE, formatAddress
from bmff.sockets.datagrams import DatagramPort, DatagramReceiver
from bmff.sockets.names import lookUp
from bmff.wire.homebrew import Station

HOTSPOT: Final = "hotspot"  # simplex: one call at a time
REPEATER: Final = "repeater"  # two slots
# What uplinks are known by here, counted from 1: above the IDs of hotspots, which have nine digits,
# and within 32 bits.
FIRST_PEER: Final = 4_200_000_000
# What the master is told that we are, of which some make a difference.
SOFTWARE: Final = "bmff"
PACKAGE: Final = "MMDVM"

Opener: TypeAlias = Callable[[DatagramReceiver, int], Socket]


class Entry(Protocol):
    """
    What the configuration says of one uplink.

    @ivar name: what people call it.
    @ivar master: host names or addresses in numbers, each with its port, tried in turn.
    @ivar id: our ID there.
    @ivar network: the network that it leads to, to which calls from there do not return; one of
        the uplink's own name when L{None}.
    @ivar password: the id of the secret; the uplink's name when L{None}.
    @ivar kind: L{HOTSPOT} or L{REPEATER}.
    @ivar callsign: and what follows is told to the master; see L{Station}.
    @ivar options: what the master is told in RPTO; nothing when empty.
    @ivar ping: seconds between two pings.
    @ivar static: the talkgroups that cross both ways, by slot and by our numbers.
    @ivar accept: the talkgroups that may come in beside those, by our numbers.
    @ivar allow: the radios whose calls cross; any when empty.
    @ivar deny: the radios whose calls do not.
    @ivar private: whether private calls cross.
    @ivar translate: the numbers that are others there.
    """

    @property
    def name(self) -> str: ...

    @property
    def master(self) -> Sequence[tuple[str, int]]: ...

    @property
    def id(self) -> int: ...

    @property
    def network(self) -> str | None: ...

    @property
    def password(self) -> str | None: ...

    @property
    def kind(self) -> str: ...

    @property
    def callsign(self) -> str: ...

    @property
    def rxFrequency(self) -> int: ...

    @property
    def txFrequency(self) -> int: ...

    @property
    def power(self) -> int: ...

    @property
    def colourCode(self) -> int: ...

    @property
    def latitude(self) -> float: ...

    @property
    def longitude(self) -> float: ...

    @property
    def height(self) -> int: ...

    @property
    def location(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def options(self) -> str: ...

    @property
    def ping(self) -> float: ...

    @property
    def static(self) -> Mapping[int, tuple[int, ...]]: ...

    @property
    def accept(self) -> tuple[Talkgroups, ...]: ...

    @property
    def allow(self) -> tuple[IDs, ...]: ...

    @property
    def deny(self) -> tuple[IDs, ...]: ...

    @property
    def private(self) -> bool: ...

    @property
    def translate(self) -> tuple[Translated, ...]: ...


class Keys(Protocol):
    """
    The secrets (L{bmff.keys.Secrets}).
    """

    def bridgePassword(self, secretID: str) -> bytes | None: ...


_EVERY_RADIO: Final = Ranges([(0, 0xFFFFFF)])


def uplinkSettings(entry: Entry) -> UplinkSettings:
    """
    An uplink as the protocol wants it described.
    """
    allowed, denied = ranges(entry.allow), ranges(entry.deny)
    return UplinkSettings(
        name=entry.name,
        network=entry.name if entry.network is None else entry.network,
        masters=tuple((host, port) for host, port in entry.master),
        station=_station(entry),
        options=entry.options,
        static=dict(entry.static),
        accepted=ranges(entry.accept),
        refused=denied | (_EVERY_RADIO - allowed) if allowed else denied,
        private=entry.private,
        translation=translation(entry.translate),
        ping=entry.ping,
        radios=tuple(
            (rule.here.number, rule.slot or 2) for rule in entry.translate if rule.here.private
        ),
    )


def _station(entry: Entry) -> Station:
    hotspot = entry.kind == HOTSPOT
    return Station(
        peerID=entry.id,
        callsign=entry.callsign,
        rxFrequency=entry.rxFrequency,
        txFrequency=entry.rxFrequency if hotspot else entry.txFrequency,
        power=entry.power,
        colourCode=entry.colourCode,
        latitude=entry.latitude,
        longitude=entry.longitude,
        height=entry.height,
        location=entry.location,
        description=entry.description,
        slots=4 if hotspot else 3,
        url=entry.url,
        software=SOFTWARE,
        package=PACKAGE,
    )


class UplinkService(Service):
    """
    Runs the uplinks of one node.

    @ivar uplinks: those, in the order of the configuration.
    @ivar alive: see L{bmff.reload.Reloadable}.
    """

    alive: Final = frozenset({"uplink"})
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        turn: Turn,
        entries: Sequence[Entry],
        keys: Keys,
        publish: Callable[[Event], None],
        opener: Opener | None = None,
    ) -> None:
        """
        @param turn: the node's, with its router.
        @param publish: is told what happens.
        @param opener: makes the sockets; L{None} for those of the host.
        @raise ConfigurationError: an entry cannot be meant so.
        """
        self.uplinks: list[Uplink] = []
        self._reactor = reactor
        self._turn = turn
        self._keys = keys
        self._publish = publish
        self._opener = opener or partial(openSocket, reactor)
        self._entries: dict[str, Entry] = {}  # by name
        self._numbers: dict[str, int] = {}  # what they are known by, those that are gone too
        self._passphrases: dict[str, bytes | None] = {}
        self.prepare(entries)()

    def prepare(self, section: Sequence[Entry]) -> Callable[[], None]:
        """
        See L{bmff.reload.Reloadable}. An uplink of which nothing has changed stays logged in, with
        its calls; one that has changed logs out and in again.
        """
        mistakes = [mistake for each in enumerate(section) for mistake in _mistakes(*each)]
        names = [entry.name for entry in section]
        for number, name in enumerate(names):
            if name in names[:number]:
                mistakes.append(Mistake(f"uplink[{number}].name", f"{name!a} is there twice"))
        if mistakes:
            raise ConfigurationError(mistakes)
        return partial(self._takeOn, section)

    def _takeOn(self, section: Sequence[Entry]) -> None:
        entries = {entry.name: entry for entry in section}
        there = {uplink.settings.name: uplink for uplink in self.uplinks}
        for name, uplink in tuple(there.items()):
            if entries.get(name) != self._entries[name]:
                if uplink.phase is not Phase.STOPPED:
                    self._log.info("uplink {name} is given up", name=name)
                uplink.stop()
                del there[name]
                self._passphrases.pop(name, None)
        self._entries = entries
        fresh = [name for name in entries if name not in there]
        there |= {name: self._make(entries[name]) for name in fresh}
        self.uplinks = [there[name] for name in entries]
        if self.running:
            for uplink in self.uplinks:
                if uplink.settings.name in fresh:
                    self._log.info("uplink {name} is new", name=uplink.settings.name)
                    uplink.start()
            for uplink in self.uplinks:  # the order may be another one
                self.changed(uplink, self._reactor.seconds())

    def _make(self, entry: Entry) -> Uplink:
        """
        An uplink that is not started. Who had a number under its name keeps it, and nobody has
        another's: what was told of its calls stays true.
        """
        number = self._numbers.setdefault(entry.name, FIRST_PEER + len(self._numbers) + 1)
        return Uplink(self._reactor, self._turn, uplinkSettings(entry), number, self)

    def startService(self) -> None:
        """
        Log in everywhere.
        """
        super().startService()
        for uplink in self.uplinks:
            uplink.start()

    def stopService(self) -> None:
        """
        Log out everywhere.
        """
        super().stopService()
        for uplink in self.uplinks:
            uplink.stop()

    def reviewSecrets(self) -> None:
        """
        The secrets may have changed: who waits for the next attempt with another password than the
        last makes it at once. A login that stands is left alone.
        """
        for uplink in self.uplinks:
            if self._passphrases.get(uplink.settings.name) != self._lookIn(uplink):
                uplink.tryNow()

    def describe(self) -> list[dict[str, Any]]:
        """
        How each uplink is, for people and programs.
        """
        return [_described(uplink) for uplink in self.uplinks]

    def find(self, host: str, port: int) -> Deferred[list[bytes]]:
        """
        See L{bmff.protocols.uplink.Surroundings}.
        """
        return lookUp(self._reactor, host, port)

    def openSocket(self, receiver: DatagramReceiver, addressSize: int) -> Socket:
        """
        See L{bmff.protocols.uplink.Surroundings}.
        """
        return self._opener(receiver, addressSize)

    def passphrase(self, uplink: Uplink) -> bytes | None:
        """
        See L{bmff.protocols.uplink.Surroundings}.
        """
        passphrase = self._passphrases[uplink.settings.name] = self._lookIn(uplink)
        return passphrase

    def changed(self, uplink: Uplink, now: float) -> None:
        """
        See L{bmff.protocols.uplink.Surroundings}.

        Of several uplinks to one network that are logged in the first sends a talkgroup out, so
        that no call arrives there twice; the others take its place when it is gone.
        """
        taken: set[int] = set()
        shares = []
        for each in self.uplinks:
            if each.running and each.settings.network == uplink.settings.network:
                wanted = each.peer.wanted
                shares.append((each, {slot: numbers - taken for slot, numbers in wanted.items()}))
                taken.update(*wanted.values())
        for each, share in reversed(shares):  # who is to leave a call does so before another begins
            each.peer.hear(share, now)

    def publish(self, event: Event) -> None:
        """
        See L{bmff.protocols.uplink.Surroundings}.
        """
        self._publish(event)

    def _lookIn(self, uplink: Uplink) -> bytes | None:
        entry = self._entries[uplink.settings.name]
        secretID = entry.name if entry.password is None else entry.password
        return self._keys.bridgePassword(secretID) or None


def openSocket(reactor: Any, receiver: DatagramReceiver, addressSize: int) -> Socket:
    """
    A socket of the host, at a port that the kernel chooses, which listens.

    @raise TransportUnavailable: there is none to be had.
    """
    host = "::" if addressSize == IPV6_SIZE else "0.0.0.0"
    try:
        port = DatagramPort(reactor, host, 0, receiver)
    except CannotListenError as error:
        raise TransportUnavailable(f"no socket: {error.socketError}") from None
    port.startListening()
    return port


def _mistakes(number: int, entry: Entry) -> Iterable[Mistake]:
    """
    What cannot be meant so, by its place.
    """
    place = f"uplink[{number}]"
    if not entry.master:
        yield Mistake(f"{place}.master", "must name a master at least")
    if entry.kind not in {HOTSPOT, REPEATER}:
        yield Mistake(f"{place}.kind", f'must be "{HOTSPOT}" or "{REPEATER}"')
    if entry.kind == REPEATER and entry.rxFrequency and entry.rxFrequency == entry.txFrequency:
        yield Mistake(
            f"{place}.tx_frequency", "is the other one's: masters take that for a hotspot"
        )
    ours = {talkgroup for talkgroups in entry.static.values() for talkgroup in talkgroups}
    for talkgroup in sorted(ours):
        if isLocal(talkgroup):
            yield Mistake(
                f"{place}.static",
                f"{talkgroup} means something else on each node and does not leave it; take "
                "another number for it here, and name both in translate",
            )
    for rule in entry.translate:
        if isLocal(rule.here.number) and not rule.here.private:
            yield Mistake(
                f"{place}.translate", f"{rule.here.number} is no number that calls come in under"
            )


def _described(uplink: Uplink) -> dict[str, Any]:
    peer, settings = uplink.peer, uplink.settings
    return {
        "name": settings.name,
        "network": settings.network,
        "peer": peer.peerID,
        "id": settings.station.peerID,
        "state": uplink.phase.name.lower(),
        "address": formatAddress(uplink.master) if uplink.master else None,
        "reason": uplink.reason or None,
        "logins": uplink.logins,
        "frames_sent": peer.framesSent,
        "frames_received": peer.framesReceived,
        "dropped": dict(peer.dropped),
    }
