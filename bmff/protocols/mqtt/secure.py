"""
TLS to a broker (RFC 8446): Python's own C{ssl} on memory, between a transport and a protocol.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from bmff.errors import ConfigurationError, Mistake, TransportUnavailable

_READ: Final = 1 << 14  # bytes, a record of TLS


def makeContext(
    authorities: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """
    How a broker has to prove who it is, and what is shown to it.

    @param authorities: the file of the certificates that vouch for it, PEM; those of this host
        when L{None}.
    @param certificate: the file of the client's own certificate, if it has one.
    @param key: the file of its private key; in the same file when L{None}.
    @raise ConfigurationError: one of them cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which asks for a certificate and its name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        if authorities is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(authorities)
    except OSError as error:  # C{SSLError} is one
        raise _unusable("mqtt.ca", authorities, error) from None
    try:
        if certificate is not None:
            # An empty passphrase: OpenSSL would ask for one at the terminal.
            context.load_cert_chain(certificate, key, b"")
    except OSError as error:
        raise _unusable("mqtt.certificate", certificate, error) from None
    return context


def _unusable(place: str, path: Path | None, error: OSError) -> ConfigurationError:
    reason = error.strerror or getattr(error, "reason", None) or error
    return ConfigurationError([Mistake(place, f"{path} cannot be used: {reason}")])


@implementer(ITransport)
class SecureConnection(Protocol):
    """
    Speaks TLS on its transport, and is the transport of what is spoken inside.
    """

    transport: Any

    def __init__(self, context: ssl.SSLContext, host: str, inner: IProtocol) -> None:
        """
        @param host: the name that the other end's certificate has to have.
        """
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._secure = False
        self._early: list[bytes] = []
        self._reason: TransportUnavailable | None = None
        self._inner = inner

    def connectionMade(self) -> None:
        """
        Begin the handshake. What is inside begins at once: what it writes waits.
        """
        self._shakeHands()
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
            ended = True  # with a good-bye (RFC 8446 §6.1)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        except ssl.SSLError as error:
            self._fail(error)
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
            self._answer()  # an alert, which says why
            self._fail(error)
            return False
        self._secure = True
        early, self._early = self._early, []
        self.writeSequence(early)
        return True

    def _fail(self, error: ssl.SSLError) -> None:
        said = getattr(error, "verify_message", None) or error.reason or "failed"
        self._reason = TransportUnavailable(f"TLS: {str(said).replace('_', ' ').lower()}")
        self._secure = False
        self.transport.loseConnection()

    def _answer(self) -> None:
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())

    # The transport of what is inside.

    def write(self, data: bytes) -> None:
        """
        @see: L{ITransport.write}
        """
        if not self._secure:
            self._early.append(data)  # one CONNECT: nobody sends more before the answer
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._fail(error)
        self._answer()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """
        @see: L{ITransport.writeSequence}
        """
        for data in iovec:
            self.write(data)

    def loseConnection(self) -> None:
        """
        @see: L{ITransport.loseConnection}
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

    def getPeer(self) -> IAddress:
        """
        @see: L{ITransport.getPeer}
        """
        return self.transport.getPeer()  # type: ignore[no-any-return]

    def getHost(self) -> IAddress:
        """
        @see: L{ITransport.getHost}
        """
        return self.transport.getHost()  # type: ignore[no-any-return]

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
class _Wrapping:
    """
    Puts TLS around what another factory makes.
    """

    def __init__(self, factory: IProtocolFactory, context: ssl.SSLContext, host: str) -> None:
        self._factory = factory
        self._context = context
        self._host = host

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """
        @see: L{IProtocolFactory.buildProtocol}
        """
        inner = self._factory.buildProtocol(addr)
        return None if inner is None else SecureConnection(self._context, self._host, inner)

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


@implementer(IStreamClientEndpoint)
class SecureEndpoint:
    """
    Connects as another endpoint does, and speaks TLS there.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, context: ssl.SSLContext, host: str) -> None:
        """
        @param host: the name that the other end's certificate has to have.
        """
        self._endpoint = endpoint
        self._context = context
        self._host = host

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        @see: L{IStreamClientEndpoint.connect}
        """
        return self._endpoint.connect(_Wrapping(protocolFactory, self._context, self._host))
