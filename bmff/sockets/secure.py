"""
TLS between a transport and a protocol of Twisted's (RFC 8446): Python's own C{ssl} on memory.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import TransportUnavailable

_READ: Final = 1 << 14  # bytes, a record of TLS


@implementer(ISSLTransport)
class SecureConnection(Protocol):
    """
    Speaks TLS on its transport, and is the transport of what is spoken inside.
    """

    transport: Any

    def __init__(self, context: ssl.SSLContext, inner: IProtocol, host: str | None = None) -> None:
        """
        @param host: the name that the other end's certificate has to have; L{None} where the other
            end has connected.
        """
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=host is None, server_hostname=host
        )
        self._begins = host is not None
        self._secure = self._broken = False
        self._early: list[bytes] = []
        self._reason: TransportUnavailable | None = None
        self._inner = inner

    def connectionMade(self) -> None:
        """
        Begin the handshake where this end has connected. What is inside begins at once, so that its
        time limit is also one of the handshake: what it writes waits.
        """
        if self._begins:
            self._shakeHands()
        self._inner.makeConnection(self)

    def dataReceived(self, data: bytes) -> None:
        """
        Hand on all that can be opened. None may stay in here, as no descriptor would tell of it.
        """
        if self._broken:
            return
        self._incoming.write(data)
        if not self._secure and not self._shakeHands():
            return
        opened: list[bytes] = []
        ended = False
        try:
            while piece := self._tls.read(_READ):
                opened.append(piece)
            ended = True  # with a good-bye (RFC 8446 section 6.1)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        except ssl.SSLError as error:
            self._fail(error)
        self._answer()
        if opened:
            self._inner.dataReceived(b"".join(opened))
        if ended or self._broken:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        @see: L{IProtocol.connectionLost}
        """
        self._secure = False
        self._early.clear()
        self._inner.connectionLost(reason if self._reason is None else Failure(self._reason))

    def _shakeHands(self) -> bool:
        """
        @return: whether the handshake is over.
        """
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._answer()
            return False
        except ssl.SSLError as error:
            self._fail(error)
            self._answer()  # an alert, which says why
            self.transport.loseConnection()
            return False
        self._secure = True
        self._answer()
        early, self._early = self._early, []
        self.writeSequence(early)
        return True

    def _fail(self, error: ssl.SSLError) -> None:
        said = getattr(error, "verify_message", None) or error.reason or "failed"
        self._reason = TransportUnavailable(f"TLS: {str(said).replace('_', ' ').lower()}")
        self._secure, self._broken = False, True

    def _answer(self) -> None:
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())

    # The transport of what is inside.

    @property
    def disconnecting(self) -> bool:
        """
        Whether it is being closed; L{twisted.protocols.basic.LineReceiver} looks at this.
        """
        return bool(self.transport.disconnecting)

    def write(self, data: bytes) -> None:
        """
        @see: L{ISSLTransport.write}
        """
        if self._broken or not data:
            return
        if not self._secure:
            self._early.append(data)  # a greeting: nobody sends more before the answer
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._fail(error)
            self.transport.abortConnection()  # not when the other end has read the rest
            return
        self._answer()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """
        @see: L{ISSLTransport.writeSequence}
        """
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """
        @see: L{ISSLTransport.loseConnection}
        """
        if self._secure:
            with suppress(ssl.SSLError):  # it waits for the other end's answer; nobody else does
                self._tls.unwrap()
            self._answer()
        self.transport.loseConnection()

    def abortConnection(self) -> None:
        """
        Close at once.
        """
        self.transport.abortConnection()

    def getPeerCertificate(self) -> None:
        """
        @see: L{ISSLTransport.getPeerCertificate}
        """

    def getPeer(self) -> Any:
        """
        @see: L{ISSLTransport.getPeer}
        """
        return self.transport.getPeer()

    def getHost(self) -> Any:
        """
        @see: L{ISSLTransport.getHost}
        """
        return self.transport.getHost()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        @see: L{ISSLTransport.setTcpNoDelay}
        """
        self.transport.setTcpNoDelay(enabled)

    def getTcpNoDelay(self) -> bool:
        """
        @see: L{ISSLTransport.getTcpNoDelay}
        """
        return bool(self.transport.getTcpNoDelay())

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """
        @see: L{ISSLTransport.setTcpKeepAlive}
        """
        self.transport.setTcpKeepAlive(enabled)

    def getTcpKeepAlive(self) -> bool:
        """
        @see: L{ISSLTransport.getTcpKeepAlive}
        """
        return bool(self.transport.getTcpKeepAlive())

    def loseWriteConnection(self) -> None:
        """
        @see: L{ISSLTransport.loseWriteConnection}
        """
        self.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        What is inside is told when the way out is full: the bytes of TLS are as many.
        """
        self.transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """
        It is told no more.
        """
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """
        Read nothing for a while.
        """
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        Go on reading.
        """
        self.transport.resumeProducing()


@implementer(IProtocolFactory)
class SecureFactory:
    """
    Puts TLS around what another factory makes.
    """

    noisy = False

    def __init__(
        self,
        factory: IProtocolFactory,
        context: Callable[[], ssl.SSLContext],
        host: str | None = None,
    ) -> None:
        """
        @param context: what a connection is to be made with that is there now.
        @param host: see L{SecureConnection}.
        """
        self._factory = factory
        self._context = context
        self._host = host

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """
        @see: L{IProtocolFactory.buildProtocol}
        """
        inner = self._factory.buildProtocol(addr)
        return None if inner is None else SecureConnection(self._context(), inner, self._host)

    def doStart(self) -> None:
        """
        @see: L{IProtocolFactory.doStart}
        """
        self._factory.doStart()

    def doStop(self) -> None:
        """
        @see: L{IProtocolFactory.doStop}
        """
        self._factory.doStop()
