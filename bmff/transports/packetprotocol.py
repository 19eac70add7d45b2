"""
Packets on any stream of Twisted's, two bytes of length before each, as a protocol that endpoints
listen and connect with (docs/fastforward.md, section 3; L{twisted.internet.endpoints}).

It is what a transport of a third party is made of, together with L{bmff.transports.strangers} and
L{bmff.transports.lifetime}. bmff's own transports have sockets of their own, which refuse a packet
as soon as the kernel does (L{bmff.sockets.descriptor}).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import TransportUnavailable
from bmff.ibmff import IAcceptor, IPathReceiver, IPathTransport
from bmff.sockets.descriptor import CLOSED_HERE, CLOSED_THERE, LARGEST, NOBODY
from bmff.sockets.failures import ReceiverFailures
from bmff.transports.connected import CONNECT_TIME
from bmff.transports.lifetime import Lifetime
from bmff.transports.strangers import Reception, Stranger

TURN: Final = 16 << 10  # bytes that one turn hands over, but for the rest of its last packet
CLOSE_TIME: Final = 1.0  # seconds for what was sent last to go out


@implementer(IPathTransport, IPushProducer)
class PacketProtocol(ReceiverFailures, Protocol):
    """
    One connection.

    Twisted keeps what the kernel does not take, and says when that is more than 64 KiB; from then
    on packets are refused until there is room.

    @cvar trusted: a stream of Twisted's does not say who is at its other end.
    @ivar receiver: takes the packets; may be replaced at any time.
    @ivar name: the transport's name.
    @ivar remote: the other end's address, for people.
    @ivar packetsReceived: packets handed to the receiver.
    @ivar packetsSent: packets taken by L{sendPacket}.
    @ivar refused: packets that it did not take.
    """

    reliable = True
    ordered = True
    trusted = False
    transport: Any
    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        receiver: IPathReceiver,
        life: Lifetime,
        *,
        name: str,
        made: Callable[[PacketProtocol], object] | None = None,
    ) -> None:
        """
        @param life: has this connection from its beginning to its end.
        @param made: called with this connection when there is one.
        """
        self.receiver = receiver
        self.name = name
        self.remote = ""
        self.packetsReceived = 0
        self.packetsSent = 0
        self.refused = 0
        self._reactor = reactor
        self._life = life
        self._made = made
        self._held = bytearray()  # what has come and is not handed over
        self._busy = False  # a turn is on, or another one comes for what is held
        self._again: IDelayedCall | None = None  # that one
        self._full = False  # Twisted says when it is not
        self._waiting = False  # a packet was refused since
        self._last = receiver  # is told of the end
        self._reason = ""  # of the end, once it has begun
        self._closing = False  # in the middle of ending it
        self._abort: IDelayedCall | None = None

    async def connect(self, endpoint: IStreamClientEndpoint) -> PacketProtocol:
        """
        Be the connection that an endpoint makes.

        @raise TransportUnavailable: it makes none within L{CONNECT_TIME}, with the reason.
        """
        attempt: Deferred[Any] = connectProtocol(endpoint, self)
        try:
            await attempt.addTimeout(CONNECT_TIME, self._reactor, _late)
        except TransportUnavailable:
            raise
        except Exception as error:  # an endpoint may fail with anything
            raise TransportUnavailable(str(error) or type(error).__name__) from error
        return self

    def connectionMade(self) -> None:
        """
        There is a connection.
        """
        self.remote = _format(self.transport.getPeer())
        self._life.paths.add(self)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)
        if self._life.stopped:  # it was being made meanwhile
            self.loseConnection()
        elif self._made is not None:
            self._made(self)

    # What goes out.

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{IPathTransport.sendPacket}
        """
        size = len(data)
        if self._full or self._reason or not 0 < size <= LARGEST:
            self.refused += 1
            self._waiting = self._full
            return False
        self.transport.write(size.to_bytes(2, "big") + data)
        self.packetsSent += 1
        return True

    def pauseProducing(self) -> None:
        """
        Twisted keeps enough.
        """
        self._full = True

    def stopProducing(self) -> None:
        """
        Twisted will send nothing more.
        """
        self._full = True

    def resumeProducing(self) -> None:
        """
        There is room again: the receiver is told, if it waits.
        """
        self._full = False
        if self._waiting:
            self._waiting = False
            self._call(self.receiver.writable)

    # What comes in.

    def dataReceived(self, data: bytes) -> None:
        """
        Hand over the packets that are whole now, or as many as a turn takes.
        """
        if not self._reason:
            self._held += data
            if not self._busy:
                self._begin()

    def _begin(self) -> None:
        """
        A turn; where it leaves something, others have theirs before the next, and nothing is read
        until then: what comes is to wait at its sender.
        """
        self._busy = True
        if self._turn():
            if self._again is None:
                self.transport.pauseProducing()
            self._again = self._reactor.callLater(0, self._begin)
        else:
            self._busy = False
            self._resume()

    def _resume(self) -> None:
        again, self._again = self._again, None
        if again is not None:
            if again.active():
                again.cancel()
            self.transport.resumeProducing()

    def _turn(self) -> bool:
        """
        Hand over packets.

        @return: whether there may be more than a turn takes.
        """
        now, first, held, at = self._reactor.seconds(), self.receiver, self._held, 0
        while at < TURN and len(held) - at > 2 and not self._reason:
            start = at + 2
            stop = start + (held[at] << 8 | held[at + 1])
            if stop > len(held) or stop == start:
                break
            try:
                self.receiver.packetReceived(bytes(held[start:stop]), now)
            except Exception:
                self._receiverFailed(self._reactor.seconds())
            self.packetsReceived += 1
            at = stop
        if at:
            del held[:at]
            self._call(first.flush)
            if self.receiver is not first:
                self._call(self.receiver.flush)
        if len(held) >= 2 and not (held[0] or held[1]):
            self._lose("a packet of no length")
        return at >= TURN and len(held) > 2 and not self._reason

    # Whom it goes to.

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            function(*arguments)
        except Exception:
            self._receiverFailed(self._reactor.seconds())

    # The end.

    def moveTo(self, conversation: object) -> None:
        """
        A connection does not move.
        """

    def loseConnection(self) -> None:
        """
        @see: L{IPathTransport.loseConnection}
        """
        self._lose(CLOSED_HERE)

    def _lose(self, reason: str) -> None:
        """
        End it, in L{CLOSE_TIME} at the latest: a peer that does not read keeps Twisted waiting.
        """
        if self._reason:
            return
        self._over(reason)
        abort = getattr(self.transport, "abortConnection", self.transport.loseConnection)
        self._abort = self._reactor.callLater(CLOSE_TIME, abort)
        self._closing = True
        self._resume()  # the other end's goodbye is to be read
        self.transport.unregisterProducer()  # for which Twisted waits
        self.transport.loseConnection()
        self._closing = False

    def _over(self, reason: str) -> None:
        """
        From now on nothing is sent, and what comes is nobody's.
        """
        self._reason = reason
        self._last, self.receiver = self.receiver, NOBODY
        self._held = bytearray()
        self._waiting = False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is gone. What came before the end is handed over before the end is told.
        """
        if self._again is not None:
            if self._again.active():
                self._again.cancel()
            self._again = None
            while self._turn():
                continue
        if not self._reason:
            over = CLOSED_THERE if reason.check(ConnectionDone) else reason.getErrorMessage()
            self._over(over or type(reason.value).__name__)
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        if self._closing:  # in the middle of what the receiver does
            self._reactor.callLater(0, self._tell)
        else:
            self._tell()

    def _tell(self) -> None:
        self._call(self._last.connectionLost, self._reason)
        self._life.ended(self)


class PacketFactory(Factory):
    """
    What an endpoint listens with: a stranger is at the other end of each connection.
    """

    noisy = False

    def __init__(
        self, reactor: IReactorTime, reception: Reception, life: Lifetime, acceptor: IAcceptor
    ) -> None:
        """
        @param reception: the transport, where strangers wait to be known.
        @param life: has all connections of that transport.
        @param acceptor: takes what strangers send.
        """
        self._reactor = reactor
        self._reception = reception
        self._life = life
        self._acceptor = acceptor

    def buildProtocol(self, addr: IAddress | None) -> PacketProtocol:
        """
        Somebody connects.
        """
        name = self._reception.name
        return PacketProtocol(self._reactor, NOBODY, self._life, name=name, made=self._greet)

    def _greet(self, connection: PacketProtocol) -> None:
        stranger = Stranger(self._reception, self._acceptor, connection.remote.encode())
        connection.receiver = stranger
        self._reception.greet(stranger, connection)


def _late(result: Any, seconds: float) -> Any:
    """
    An attempt has taken too long.
    """
    if isinstance(result, Failure):
        raise TransportUnavailable(f"no connection in {seconds:g} s")
    return result


def _format(address: Any) -> str:
    """
    An address of Twisted's as people write it.
    """
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None or port is None:
        return str(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
