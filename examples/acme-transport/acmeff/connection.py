"""
Packets on a stream of Twisted's, two bytes of length before each (docs/fastforward.md, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.ibmff import IPathReceiver, IPathTransport

LARGEST: Final = 0xFFFF  # bytes of a packet
TURN: Final = 16 << 10  # bytes that one turn hands over, about
CLOSE_TIME: Final = 1.0  # seconds for what was sent last to go out
LOG_INTERVAL: Final = 1.0  # seconds between two reports of a receiver's failures


@implementer(IPathTransport, IPushProducer)
class EndpointConnection(Protocol):
    """
    One connection.

    @ivar receiver: takes the packets; may be replaced at any time.
    @ivar remote: the other end's address, for people.
    @ivar gone: fires when the connection is gone and the receiver has been told.
    @ivar failed: times that the receiver raised.
    """

    name = "acme-endpoint"
    reliable = ordered = True
    trusted = False  # an endpoint does not say who is at its other end
    transport: Any
    _log = Logger()

    def __init__(
        self, reactor: Any, receiver: IPathReceiver, connections: set[EndpointConnection]
    ) -> None:
        """@param connections: hold this one as long as it is there."""
        self.receiver, self.remote, self.failed = receiver, "", 0
        self.gone: Deferred[None] = Deferred()
        self._reactor, self._connections = reactor, connections
        self._held = bytearray()  # what has come and is not handed over
        self._full = self._waiting = self._closed = False
        self._again: Any = None  # the next turn, where one was not enough
        self._abort: Any = None
        self._reason, self._nextReport = "", 0.0

    def connectionMade(self) -> None:
        """@see: L{Protocol.connectionMade}"""
        self._connections.add(self)
        peer = self.transport.getPeer()
        self.remote = f"{peer.host} port {peer.port}" if hasattr(peer, "port") else str(peer)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)

    def sendPacket(self, data: bytes) -> bool:
        """@see: L{IPathTransport.sendPacket}"""
        if self._closed or self._full or not 0 < len(data) <= LARGEST:
            self._waiting = self._full
            return False
        self.transport.write(len(data).to_bytes(2, "big") + data)
        return True

    def pauseProducing(self) -> None:
        """@see: L{IPushProducer.pauseProducing}"""
        self._full = True

    def resumeProducing(self) -> None:
        """@see: L{IPushProducer.resumeProducing}"""
        self._full = False
        if self._waiting and not self._closed:
            self._waiting = False
            self._call(self.receiver.writable)

    stopProducing = pauseProducing

    def dataReceived(self, data: bytes) -> None:
        """@see: L{Protocol.dataReceived}"""
        self._held += data
        if self._again is None:
            self._turn()

    def _turn(self) -> None:
        now, first, held, at = self._reactor.seconds(), self.receiver, self._held, 0
        while not self._closed and at < TURN:
            end = at + 2 + int.from_bytes(held[at : at + 2], "big")
            if not at + 2 < end <= len(held):
                break
            self._call(self.receiver.packetReceived, bytes(held[at + 2 : end]), now)
            at = end
        del held[:at]
        if at:
            for receiver in dict.fromkeys((first, self.receiver)):
                self._call(receiver.flush)
        if held[:2] == b"\0\0":
            self._lose("a packet of no length")
        elif at >= TURN and not self._closed:  # others have their turn before the rest
            self.transport.pauseProducing()
            self._again = self._reactor.callLater(0, self._goOn)

    def _goOn(self) -> None:
        self._again = None
        self.transport.resumeProducing()
        self._turn()

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            function(*arguments)
        except Exception:  # one that fails at each packet must not fill the log
            self.failed += 1
            if self._reactor.seconds() >= self._nextReport:
                self._nextReport = self._reactor.seconds() + LOG_INTERVAL
                self._log.failure("the receiver failed, {failed} times", failed=self.failed)

    def moveTo(self, conversation: object) -> None:
        """@see: L{IPathTransport.moveTo}"""

    def loseConnection(self) -> None:
        """@see: L{IPathTransport.loseConnection}"""
        self._lose("closed here")

    def _lose(self, reason: str) -> None:
        if not self._closed:
            self._closed, self._reason = True, reason
            self.transport.unregisterProducer()  # else Twisted waits for this one
            self.transport.loseConnection()
            abort = getattr(self.transport, "abortConnection", self.transport.loseConnection)
            self._abort = self._reactor.callLater(CLOSE_TIME, abort)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """@see: L{Protocol.connectionLost}"""
        while self._again is not None:  # what came before the end
            self._again.cancel()
            self._goOn()
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        self._closed = True
        self._connections.discard(self)
        self._call(self.receiver.connectionLost, self._reason or reason.getErrorMessage())
        self.gone.callback(None)
