"""
A network of datagrams in memory, on a virtual clock: latency, jitter, loss, doubles, by a seed.
"""

from __future__ import annotations

from random import Random

from twisted.internet.task import Clock

from bmff.sockets.addresses import formatAddress, packAddress
from bmff.sockets.datagrams import DatagramReceiver, FanOut, PlainFanOut


class VirtualNetwork:
    """
    Carries datagrams between ports that are known by their address.

    Every number may be changed at any time.

    @ivar clock: the time of everything on it.
    @ivar latency: seconds that each datagram takes.
    @ivar jitter: seconds that it may take in addition, evenly spread; more than the pitch of the
        datagrams reorders them.
    @ivar loss: the share that is lost, 0 to 1.
    @ivar duplication: the share that arrives twice, 0 to 1.
    @ivar sent: how many datagrams were sent.
    @ivar lost: how many of them were lost, those to nobody among them.
    """

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self.clock = clock
        self.latency = 0.001
        self.jitter = 0.0
        self.loss = 0.0
        self.duplication = 0.0
        self.sent = 0
        self.lost = 0
        self._random = Random(seed)
        self._ports: dict[bytes, VirtualPort] = {}

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
        if self._random.random() < self.loss:
            self.lost += 1
            return
        copies = 2 if self._random.random() < self.duplication else 1
        for _ in range(copies):
            delay = self.latency + self.jitter * self._random.random()
            self.clock.callLater(delay, self._deliver, data, sender, receiver)

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
