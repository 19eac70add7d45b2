"""
HTTP over TLS (RFC 8446, RFC 9110 section 4.2.2): Python's own C{ssl} on memory, between a transport
and a protocol; the certificate is read again when its file has changed.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import ConfigurationError, Mistake
from bmff.sockets.certificate import openKey

_READ: Final = 1 << 14  # bytes, a record of TLS
_PROTOCOLS: Final = ["http/1.1"]


def makeContext(certificate: Path, key: Path) -> ssl.SSLContext:
    """
    Who the node is to those that reach it over TLS.

    @param certificate: the file of its certificate and those that vouch for it, PEM.
    @param key: the file of its private key, PEM, which nobody else may read.
    @raise ConfigurationError: one of them cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_PROTOCOLS)
    descriptor = openKey(key)
    try:
        # An empty passphrase: OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, f"/proc/self/fd/{descriptor}", b"")
    except OSError as error:  # C{SSLError} is one
        reason = f"{certificate} and {key} cannot be used: {error.strerror or error}"
        raise ConfigurationError([Mistake("web.certificate", reason)]) from None
    finally:
        os.close(descriptor)
    return context


class Certificates:
    """
    The context of new connections. Files that have become unusable change nothing.
    """

    _log = Logger()

    def __init__(self, certificate: Path, key: Path) -> None:
        """
        @raise ConfigurationError: as L{makeContext}.
        """
        self._files = certificate, key
        self._stamp = self._look()
        self._context = makeContext(certificate, key)

    def context(self) -> ssl.SSLContext:
        """
        The context for a connection that is there now.
        """
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._context = makeContext(*self._files)
                self._log.info("the API has a new certificate: {file}", file=self._files[0])
            except ConfigurationError as error:
                self._log.error("the API keeps its old certificate: {reason}", reason=str(error))
        return self._context

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for path in self._files:
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)


@implementer(ISSLTransport)
class SecureConnection(Protocol):
    """
    Speaks TLS on its transport, and is the transport of what is spoken inside.
    """

    transport: Any

    def __init__(self, context: ssl.SSLContext, inner: IProtocol) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._secure = False
        self._inner = inner

    def connectionMade(self) -> None:
        """
        What is inside begins at once, so that its time limit is also one of the handshake.
        """
        self._inner.makeConnection(self)

    def dataReceived(self, data: bytes) -> None:
        """
        Hand on all that can be opened. None may stay in here, as no descriptor would tell of it.
        """
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
        except ssl.SSLError:
            ended = True
        self._answer()
        if opened:
            self._inner.dataReceived(b"".join(opened))
        if ended:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        @see: L{IProtocol.connectionLost}
        """
        self._secure = False
        self._inner.connectionLost(reason)

    def _shakeHands(self) -> bool:
        """
        @return: whether the handshake is over.
        """
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._answer()
            return False
        except ssl.SSLError:
            self._answer()  # an alert, which says why
            self.transport.loseConnection()
            return False
        self._secure = True
        self._answer()
        return True

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
        if not self._secure or not data:
            return  # nobody has asked yet, or nobody is there any more
        try:
            self._tls.write(data)
        except ssl.SSLError:
            self.transport.abortConnection()
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

    def __init__(self, factory: IProtocolFactory, certificates: Certificates) -> None:
        self._factory = factory
        self._certificates = certificates

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """
        @see: L{IProtocolFactory.buildProtocol}
        """
        inner = self._factory.buildProtocol(addr)
        if inner is None:
            return None
        return SecureConnection(self._certificates.context(), inner)

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
