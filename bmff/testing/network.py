"""
A network of datagrams in memory, on a virtual clock: latency, jitter, loss, doubles, reordering
and cuts, the same for all or for one direction between two, by a seed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import TypeAlias

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from bmff.sockets.addresses import formatAddress, packAddress, unpackAddress
from bmff.sockets.datagrams import DatagramReceiver, FanOut, PlainFanOut
from bmff.testing.impairment import Impairer, Impairment

# An address, or a host, which stands for all of its ports.
Place: TypeAlias = bytes | str


class VirtualNetwork:
    """
    Carries datagrams between ports that are known by their address.

    Every number may be changed at any time. C{latency}, C{jitter}, C{loss} and C{duplication} are
    those of C{impairment}, which counts wherever L{impair} has said nothing else.

    @ivar clock: the time of everything on it.
    @ivar seed: what its chance was made from; a test that fails should tell it.
    @ivar sent: how many datagrams were sent.
    @ivar lost: how many of them were lost, those to nobody among them.
    """

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self.clock = clock
        self.seed = seed
        self.sent = 0
        self.lost = 0
        self._random = Random(seed)
        self._ports: dict[bytes, VirtualPort] = {}
        self._impairment = Impairment(delay=0.001)
        self._rules: list[tuple[_Direction, Impairment]] = []
        self._cuts: list[_Direction] = []
        self._ways: dict[tuple[bytes, bytes], _Way] = {}
        self._version = 0  # of all that was said about impairments

    @property
    def impairment(self) -> Impairment:
        """
        What the network does to datagrams of which nothing else is said.
        """
        return self._impairment

    @property
    def latency(self) -> float:
        """
        Seconds that each datagram takes.
        """
        return self._impairment.delay

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._become(replace(self._impairment, delay=seconds))

    @property
    def jitter(self) -> float:
        """
        Seconds that it may take in addition, evenly spread; more than the pitch of the datagrams
        reorders them.
        """
        return self._impairment.jitter

    @jitter.setter
    def jitter(self, seconds: float) -> None:
        self._become(replace(self._impairment, jitter=seconds))

    @property
    def loss(self) -> float:
        """
        The share that is lost, 0 to 1.
        """
        return self._impairment.loss

    @loss.setter
    def loss(self, share: float) -> None:
        self._become(replace(self._impairment, loss=share))

    @property
    def duplication(self) -> float:
        """
        The share that arrives twice, 0 to 1.
        """
        return self._impairment.duplication

    @duplication.setter
    def duplication(self, share: float) -> None:
        self._become(replace(self._impairment, duplication=share))

    def _become(self, impairment: Impairment) -> None:
        self._impairment = impairment
        self._version += 1

    def impair(
        self,
        impairment: Impairment,
        *,
        sender: Place | None = None,
        receiver: Place | None = None,
    ) -> None:
        """
        Say what becomes of datagrams from now on; of what is said about one direction the last
        counts. Said about all, it takes the place of whatever was said before, the latency too.

        @param sender: from here alone; L{None} for everybody.
        @param receiver: to here alone; L{None} for everybody.
        @raise ValueError: a place is no address.
        """
        if sender is None and receiver is None:
            self._rules.clear()
            self._become(impairment)
            return
        direction = _Direction(sender, receiver)
        self._rules = [rule for rule in self._rules if rule[0] != direction]
        self._rules.append((direction, impairment))
        self._version += 1

    def cut(self, one: Place, other: Place | None = None) -> None:
        """
        From now on nothing gets through between two places; what is on its way still arrives.

        @param other: L{None} for everybody, so that the first is alone.
        @raise ValueError: a place is no address.
        """
        self._cuts += (_Direction(one, other), _Direction(other, one))
        self._version += 1

    def heal(self, one: Place | None = None, other: Place | None = None) -> None:
        """
        Take back what L{cut} did, when it was called with the same places in either order; without
        any place, all cuts.
        """
        if one is None and other is None:
            self._cuts.clear()
        else:
            mended = (_Direction(one, other), _Direction(other, one))
            self._cuts = [cut for cut in self._cuts if cut not in mended]
        self._version += 1

    def impairer(self, sender: bytes, receiver: bytes) -> Impairer[bytes]:
        """
        What impairs one direction between two addresses; it counts what it did.
        """
        return self._way(sender, receiver).impairer

    def _way(self, sender: bytes, receiver: bytes) -> _Way:
        """
        One direction, with the impairment that it has now.
        """
        way = self._ways.get((sender, receiver))
        if way is None:
            way = self._ways[sender, receiver] = _Way(self._random)
        if way.version != self._version:
            way.version = self._version
            way.impairer.impairment = self._impairmentOf(sender, receiver)
        return way

    def _impairmentOf(self, sender: bytes, receiver: bytes) -> Impairment:
        impairment = self._impairment
        for direction, own in self._rules:
            if direction.has(sender, receiver):
                impairment = own
        if any(direction.has(sender, receiver) for direction in self._cuts):
            return replace(impairment, cut=True)
        return impairment

    def bind(
        self, receiver: DatagramReceiver, host: str = "192.0.2.1", port: int = 0
    ) -> VirtualPort:
        """
        A port at an address; an unused one when L{port} is 0.

        @raise ValueError: the address is in use.
        """
        while port == 0:
            drawn = self._random.randrange(1024, 65536)
            if packAddress(host, drawn) not in self._ports:
                port = drawn
        address = packAddress(host, port)
        if address in self._ports:
            raise ValueError(f"{formatAddress(address)} is in use")
        bound = self._ports[address] = VirtualPort(self, address, receiver)
        return bound

    def unbind(self, port: VirtualPort) -> None:
        """
        Nobody is at the port's address any more.
        """
        self._ports.pop(port.address, None)

    def carry(self, data: bytes, sender: bytes, receiver: bytes) -> None:
        """
        Take a datagram on its way; the sender's address may be any.
        """
        self.sent += 1
        way = self._way(sender, receiver)
        impairer = way.impairer
        before = impairer.lost
        leaving = impairer.take(data, self.clock.seconds())
        self.lost += impairer.lost - before
        self._send(leaving, sender, receiver)
        self._wait(way, sender, receiver)

    def _send(self, leaving: Iterable[tuple[float, bytes]], sender: bytes, receiver: bytes) -> None:
        for delay, data in leaving:
            self.clock.callLater(delay, self._deliver, data, sender, receiver)

    def _wait(self, way: _Way, sender: bytes, receiver: bytes) -> None:
        """
        Look again when the next datagram is held back no longer.
        """
        if not way.impairer.holding:
            if way.wake is not None:
                way.wake.cancel()
                way.wake = None
        elif way.wake is None:
            delay = max(0.0, way.impairer.deadline() - self.clock.seconds())
            way.wake = self.clock.callLater(delay, self._release, way, sender, receiver)

    def _release(self, way: _Way, sender: bytes, receiver: bytes) -> None:
        way.wake = None
        self._send(way.impairer.timeout(self.clock.seconds()), sender, receiver)
        self._wait(way, sender, receiver)

    def _deliver(self, data: bytes, sender: bytes, receiver: bytes) -> None:
        port = self._ports.get(receiver)
        if port is None:
            self.lost += 1
            return
        port.receiver.datagramReceived(data, sender, self.clock.seconds())
        port.receiver.flush()


class VirtualPort:
    """
    One port; stands in for L{bmff.sockets.datagrams.DatagramPort}.

    @ivar address: where it is, as raw socket address.
    @ivar receiver: takes what arrives.
    """

    def __init__(self, network: VirtualNetwork, address: bytes, receiver: DatagramReceiver) -> None:
        self.address = address
        self.receiver = receiver
        self._network = network

    def sendTo(self, data: bytes, address: bytes) -> bool:
        """
        Send one datagram.
        """
        self._network.carry(data, self.address, address)
        return True

    def fanOut(self, prefixSize: int, middleSize: int, suffixSize: int) -> FanOut:
        """
        A table of receivers.
        """
        return PlainFanOut(self.sendTo)


class _Way:
    """
    One direction between two addresses.

    @ivar impairer: what becomes of its datagrams.
    @ivar version: which of all that was said about impairments it knows.
    @ivar wake: when what is held back is looked at.
    """

    __slots__ = ("impairer", "version", "wake")

    def __init__(self, random: Random) -> None:
        self.impairer: Impairer[bytes] = Impairer(Impairment(), random)
        self.version = -1
        self.wake: IDelayedCall | None = None


class _Direction:
    """
    Directions of which something is said.
    """

    def __init__(self, sender: Place | None, receiver: Place | None) -> None:
        """
        @raise ValueError: a place is no address.
        """
        self._ends = _place(sender), _place(receiver)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Direction) and self._ends == other._ends

    def __hash__(self) -> int:
        return hash(self._ends)

    def has(self, sender: bytes, receiver: bytes) -> bool:
        """
        Whether datagrams between these addresses go there.
        """
        ends = zip(self._ends, (sender, receiver), strict=True)
        return all(place is None or place in (end, _hostOf(end)) for place, end in ends)


def _place(place: Place | None) -> Place | None:
    """
    A place in the one way of writing that is compared.
    """
    if isinstance(place, str):
        return _hostOf(packAddress(place, 0))
    if place is not None:
        unpackAddress(place)
    return place


def _hostOf(address: bytes) -> str:
    return unpackAddress(address)[0]
