"""
A transport in memory, on a virtual clock: two nodes or more in one process, over whatever way the
test wants between them.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.logger import Logger
from zope.interface import implementer

from bmff.errors import TransportUnavailable
from bmff.ibmff import (
    IAcceptor,
    IPathReceiver,
    IPathTransport,
    ITransport,
    TransportSettings,
)
from bmff.sockets.descriptor import CLOSED_HERE, CLOSED_THERE, LARGEST, NOBODY
from bmff.transports.lifetime import Lifetime
from bmff.transports.strangers import Reception, Stranger

_LOG_INTERVAL: Final = 1.0  # seconds between two reports of a receiver's failures


class MemoryNetwork:
    """
    What all transports of a test are on. Every number may be changed at any time.

    Where it is not reliable it behaves as datagrams do: a path is there at once, whether somebody
    listens or not, its end is not told to the other side, and what finds no room is lost.

    @ivar clock: the time of everything on it.
    @ivar reliable: whether every packet arrives or the connection ends.
    @ivar ordered: whether packets keep their order.
    @ivar trusted: whether both ends are vouched for.
    @ivar latency: seconds that each packet takes.
    @ivar jitter: seconds that it may take in addition, evenly spread; without C{ordered} more than
        the pitch of the packets reorders them.
    @ivar loss: the share of packets that is lost, 0 to 1; nothing where it is reliable.
    @ivar room: packets on the way in one direction; one more is refused.
    @ivar transports: those that listen, by their port.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        reliable: bool = True,
        ordered: bool = True,
        trusted: bool = False,
        seed: int = 0,
    ) -> None:
        self.clock = clock
        self.reliable = reliable
        self.ordered = ordered
        self.trusted = trusted
        self.latency = 0.001
        self.jitter = 0.0
        self.loss = 0.0
        self.room = 256
        self.transports: dict[int, MemoryTransport] = {}
        self._random = Random(seed)

    def make(self, settings: TransportSettings) -> MemoryTransport:
        """
        The transport of one node.
        """
        return MemoryTransport(self, settings)

    def delay(self) -> float:
        """
        Seconds until the next packet arrives.
        """
        return self.latency + self.jitter * self._random.random()

    def loses(self) -> bool:
        """
        Whether the next packet is lost.
        """
        return not self.reliable and self._random.random() < self.loss


@implementer(IPathTransport)
class MemoryPath:
    """
    One end of a connection.

    @ivar receiver: takes what comes; L{NOBODY} when the connection is gone.
    @ivar peer: the other end; L{None} where nobody listened.
    @ivar stalled: whether what comes waits instead of being handed over; see L{resume}.
    @ivar refused: packets that were not taken.
    """

    name = "memory"
    _log = Logger()

    def __init__(self, transport: MemoryTransport, receiver: IPathReceiver, remote: str) -> None:
        network = transport.network
        self.receiver = receiver
        self.peer: MemoryPath | None = None
        self.reliable = network.reliable
        self.ordered = network.ordered
        self.trusted = network.trusted
        self.remote = remote
        self.stalled = False
        self.refused = 0
        self._transport = transport
        self._network = network
        self._coming: list[tuple[float, int, bytes]] = []  # when each arrives
        self._number = count()
        self._latest = 0.0
        self._waiting = False
        self._nextReport = float("-inf")

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{IPathTransport.sendPacket}
        """
        peer = self.peer
        if self.receiver is NOBODY or not 0 < len(data) <= LARGEST:
            self.refused += 1
            return False
        if peer is not None and len(peer._coming) >= self._network.room:
            self.refused += 1
            self._waiting = self.reliable
            return False
        if peer is not None and not self._network.loses():
            peer._expect(data)
        return True

    def _expect(self, data: bytes) -> None:
        """
        A packet is on its way here.
        """
        arrival = self._network.clock.seconds() + self._network.delay()
        if self.ordered:
            arrival = self._latest = max(self._latest, arrival)
        heappush(self._coming, (arrival, next(self._number), data))
        self._network.clock.callLater(
            max(0.0, arrival - self._network.clock.seconds()), self._deliver
        )

    def _deliver(self) -> None:
        """
        Hand over all that has arrived, as one turn.
        """
        now = self._network.clock.seconds()
        first = self.receiver
        if self.stalled or not (self._coming and self._coming[0][0] <= now):
            return
        while self._coming and self._coming[0][0] <= now:
            data = heappop(self._coming)[2]
            self._call(self.receiver.packetReceived, data, now)
        self._call(first.flush)
        if self.receiver is not first:
            self._call(self.receiver.flush)
        if self.peer is not None and self.peer._waiting:
            self.peer._waiting = False
            self._network.clock.callLater(0, self.peer._writable)

    def _writable(self) -> None:
        self._call(self.receiver.writable)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        """
        Call a receiver, and log what it raises at most once a second.
        """
        try:
            function(*arguments)
        except Exception:
            now = self._network.clock.seconds()
            if now >= self._nextReport:
                self._nextReport = now + _LOG_INTERVAL
                self._log.failure("memory: the receiver failed")

    def resume(self) -> None:
        """
        Hand over what has waited.
        """
        self.stalled = False
        self._deliver()

    def moveTo(self, conversation: object) -> None:
        """
        @see: L{IPathTransport.moveTo}
        """
        if not self.reliable and isinstance(conversation, MemoryConversation):
            other = conversation.connection.peer
            if other is not None and other is not self.peer:
                conversation.connection.drop("its address is another's now")
                self.peer, other.peer = other, self
                self.remote = conversation.remote

    def loseConnection(self) -> None:
        """
        @see: L{IPathTransport.loseConnection}
        """
        peer = self.peer
        if self.drop(CLOSED_HERE) and peer is not None and self.reliable:
            latest = max(self._network.latency, peer._latest - self._network.clock.seconds())
            self._network.clock.callLater(latest, peer.drop, CLOSED_THERE)

    def drop(self, reason: str) -> bool:
        """
        End this end; the receiver is told in a later turn.

        @param reason: for people.
        @return: whether it was not over before.
        """
        receiver, self.receiver = self.receiver, NOBODY
        if receiver is NOBODY:
            return False
        self._coming.clear()
        self._network.clock.callLater(0, self._tell, receiver, reason)
        return True

    def _tell(self, receiver: IPathReceiver, reason: str) -> None:
        self._transport.ended(self)
        self._call(receiver.connectionLost, reason)


class MemoryConversation(Stranger):
    """
    The other end of a connection until it is known.

    @ivar connection: our end.
    """

    connection: MemoryPath

    def close(self) -> None:
        """
        @see: L{IConversation.close}
        """
        if self.connection.reliable:  # of a sender of datagrams nothing would be kept
            super().close()


@implementer(ITransport)
class MemoryTransport(Reception):
    """
    The transport of one node.

    @ivar network: what it is on.
    @ivar port: the node's number.
    """

    name = "memory"

    def __init__(self, network: MemoryNetwork, settings: TransportSettings) -> None:
        super().__init__(network.clock)
        self.network = network
        self.port = settings.port
        self._acceptor: IAcceptor | None = None
        self._life = Lifetime()

    def listen(self, acceptor: IAcceptor) -> None:
        """
        @see: L{ITransport.listen}
        """
        if self.port in self.network.transports:
            raise TransportUnavailable(f"{self.port} is in use")
        self._acceptor = acceptor
        self.network.transports[self.port] = self

    def connect(self, address: str, port: int, receiver: IPathReceiver) -> Deferred[IPathTransport]:
        """
        @see: L{ITransport.connect}
        """
        return self._life.attempt(self._connect(port, receiver))

    async def _connect(self, port: int, receiver: IPathReceiver) -> IPathTransport:
        await deferLater(self.network.clock, self.network.latency)
        other = self.network.transports.get(port)
        if other is None and self.network.reliable:
            raise TransportUnavailable(f"nobody is at {port}")
        path = self._add(receiver, f"memory:{port}")
        if other is not None:
            other.accept(path, self.port)
        return path

    def accept(self, peer: MemoryPath, port: int) -> None:
        """
        Somebody connects.

        @param port: the number of its node.
        """
        if self._acceptor is not None:
            conversation = MemoryConversation(self, self._acceptor, port.to_bytes(2, "big"))
            path = self._add(conversation, f"memory:{port}")
            if path.reliable:
                self.greet(conversation, path)
            else:
                conversation.begin(path, None)
            path.peer, peer.peer = peer, path

    def _add(self, receiver: IPathReceiver, remote: str) -> MemoryPath:
        path = MemoryPath(self, receiver, remote)
        self._life.paths.add(path)
        return path

    def ended(self, path: MemoryPath) -> None:
        """
        An end is gone, and its receiver is told now.
        """
        self._life.ended(path)

    def stopListening(self) -> Deferred[None]:
        """
        @see: L{ITransport.stopListening}
        """
        if self.network.transports.get(self.port) is self:
            del self.network.transports[self.port]
        return self._life.stop()
