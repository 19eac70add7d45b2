"""
All bridges of a node: finds whose packet it is, by the address that it came from, else by the ID in
it and its key, with little work for strangers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import inf
from typing import Final, Protocol

from bmff.wire.openbridge.bridge import Bridge, Event, Outbox
from bmff.wire.openbridge.packets import CONTROL, ENHANCED, PLAIN

STRANGERS: Final = 200  # keys tried a second for packets from unknown addresses
MOST_TRIED: Final = 8  # keys tried for one packet
_FRAMES: Final = (PLAIN, ENHANCED)


class Place(Protocol):
    """
    What takes the packets from one address.
    """

    def receive(self, data: bytes, now: float, wall: float) -> tuple[Event, ...]: ...


class _Shared:
    """
    Several bridges whose other ends have one address, and another ID or key each.
    """

    def __init__(self, bridges: tuple[Bridge, ...]) -> None:
        self._bridges = bridges

    def receive(self, data: bytes, now: float, wall: float) -> tuple[Event, ...]:
        """
        See L{Bridge.receive}.
        """
        frame = data[:4] in _FRAMES
        likely = [
            bridge
            for bridge in self._bridges
            if not frame or data[11:15] == bridge.peerID or not bridge.terms.checkID
        ]
        for bridge in likely[:-1]:
            if bridge.opens(data):
                return bridge.receive(data, now, wall)
        # The last one counts what is wrong.
        return (likely or self._bridges)[-1].receive(data, now, wall)


class Exchange:
    """
    The bridges, by where they are.

    @ivar outbox: what is to be sent, each datagram with its address; whoever sends it clears it.
    @ivar places: what takes the packets from each address.
    @ivar dropped: packets of strangers, by reason.
    """

    def __init__(self) -> None:
        self.outbox: Outbox = []
        self.places: dict[bytes, Place] = {}
        self.dropped: Counter[str] = Counter()
        self._bridges: list[Bridge] = []
        self._likely: dict[bytes, tuple[Bridge, ...]] = {}  # by the ID that their frames carry
        self._anyID: tuple[Bridge, ...] = ()
        self._roaming: tuple[Bridge, ...] = ()
        self._second = -inf
        self._tried = 0

    def __iter__(self) -> Iterator[Bridge]:
        return iter(tuple(self._bridges))

    def __len__(self) -> int:
        return len(self._bridges)

    def add(self, bridge: Bridge) -> None:
        """
        One bridge more; it must have been made with this C{outbox}.
        """
        self._bridges.append(bridge)
        self._placesMoved()

    def remove(self, bridge: Bridge) -> tuple[Event, ...]:
        """
        A bridge is used no longer.

        @return: what has happened.
        """
        self._bridges.remove(bridge)
        self._placesMoved()
        return bridge.close()

    def useAddresses(
        self, bridge: Bridge, addresses: tuple[bytes, ...], now: float
    ) -> tuple[Event, ...]:
        """
        A bridge's other end is at these addresses.

        @return: what has happened.
        """
        events = bridge.useAddresses(addresses, now)
        self._placesMoved()
        return events

    def receive(self, data: bytes, address: bytes, now: float, wall: float) -> tuple[Event, ...]:
        """
        Take one datagram.

        @param address: where it came from, an opaque key.
        @param now: monotonic seconds.
        @param wall: seconds since 1970.
        @return: what has happened.
        """
        place = self.places.get(address)
        if place is not None:
            return place.receive(data, now, wall)
        return self.receiveElsewhere(data, address, now, wall)

    def outgoing(self) -> Outbox:
        """
        What is to be sent now.
        """
        waiting = self.outbox.copy()
        self.outbox.clear()
        return waiting

    def deadline(self) -> float:
        """
        When L{timeout} is to be called at the latest, monotonic seconds.
        """
        return min((bridge.deadline() for bridge in self._bridges), default=inf)

    def timeout(self, now: float) -> tuple[Event, ...]:
        """
        Do what has become due.

        @return: what has happened.
        """
        return tuple(event for bridge in self for event in bridge.timeout(now))

    def receiveElsewhere(
        self, data: bytes, address: bytes, now: float, wall: float
    ) -> tuple[Event, ...]:
        """
        Take a datagram from an address where no bridge is.
        """
        tag = data[:4]
        if tag in _FRAMES:
            likely = self._likely.get(data[11:15], self._anyID)
        elif tag in CONTROL and self._roaming:
            # Control packets name nobody: of many bridges others are tried each time.
            first = int(now * 997) % len(self._roaming)
            likely = self._roaming[first:] + self._roaming[:first]
        else:
            likely = ()
        for bridge in likely[:MOST_TRIED]:
            if not self._mayTry(now):
                self.dropped["too many strangers"] += 1
                return ()
            if bridge.opens(data):
                before = bridge.addresses
                events = bridge.receiveElsewhere(data, address, now, wall)
                if bridge.addresses != before:
                    self._placesMoved()
                return events
        self.dropped["stranger"] += 1
        return ()

    def _mayTry(self, now: float) -> bool:
        """
        Whether one more key may be tried for a stranger in this second.
        """
        if now >= self._second + 1.0:
            self._second = now
            self._tried = 0
        self._tried += 1
        return self._tried <= STRANGERS

    def _placesMoved(self) -> None:
        """
        Note anew who is where, and who may be elsewhere.
        """
        there: dict[bytes, list[Bridge]] = {}
        for bridge in self._bridges:
            for address in bridge.addresses:
                there.setdefault(address, []).append(bridge)
        self.places.clear()  # the same table: sockets look into it
        for address, bridges in there.items():
            self.places[address] = bridges[0] if len(bridges) == 1 else _Shared(tuple(bridges))
        movable = [one for one in self._bridges if one.terms.roaming or not one.terms.strict]
        self._anyID = tuple(one for one in movable if not one.terms.checkID)
        self._likely = {
            peerID: (
                *(one for one in movable if one.peerID == peerID and one.terms.checkID),
                *self._anyID,
            )
            for peerID in {one.peerID for one in movable}
        }
        self._roaming = tuple(one for one in movable if one.terms.roaming)
