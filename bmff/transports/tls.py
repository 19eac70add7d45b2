"""
FastForward on TLS 1.3 (RFC 8446) over TCP: both ends show a certificate that is known by its
fingerprint, as BrandMeister publishes; for networks that let nothing else through.
"""

from __future__ import annotations

import socket
from collections import Counter
from typing import Final, TypeVar, cast

from twisted.logger import Logger
from twisted.python.failure import Failure

from bmff.errors import ConfigurationError, TransportUnavailable
from bmff.ibmff import (
    IAcceptor,
    IPathReceiver,
    IPathTransport,
    ITransport,
    TLSSettings,
    TransportSettings,
)
from bmff.sockets.addresses import formatAddress
from bmff.sockets.certificate import Certificate
from bmff.sockets.descriptor import NOBODY, Connection
from bmff.sockets.tls import TLSConnection
from bmff.sockets.tlscontext import makeContext
from bmff.transports.connected import CONNECT_TIME, TransportReactor
from bmff.transports.streams import StreamTransport
from bmff.transports.tcp import UNSENT

MOST_HANDSHAKES: Final = 50  # that others may begin in a second; one takes 1.5 ms
LOG_INTERVAL: Final = 10.0  # seconds between two reports of connections that were refused
_TCP_NOTSENT_LOWAT: Final[int] = getattr(socket, "TCP_NOTSENT_LOWAT", 25)  # linux/tcp.h

UNFINISHED: Final = f"no end of the handshake in {CONNECT_TIME:g} s"

T = TypeVar("T")


def make(reactor: object, settings: TransportSettings) -> ITransport:
    """
    @see: L{bmff.ibmff.ITransportMaker.make}
    """
    if settings.tls is None:
        raise TransportUnavailable("not switched on (fastforward.tls)")
    try:
        return TLSTransport(cast(TransportReactor, reactor), settings, settings.tls)
    except ConfigurationError as error:
        raise TransportUnavailable(str(error)) from error


class TLSTransport(StreamTransport):
    """
    Connections of TLS, at all the node's hosts.

    @ivar rejected: connections that were not let in, by reason.
    @ivar tooMany: connections that were not looked at, as there were too many in a second.
    """

    name = "tls"
    secure = True
    _log = Logger()

    def __init__(
        self, reactor: TransportReactor, settings: TransportSettings, tls: TLSSettings
    ) -> None:
        """
        @raise ConfigurationError: others can read the private key, or it cannot be read.
        @raise TransportUnavailable: certificate and key cannot be used.
        """
        super().__init__(reactor, settings)
        self.rejected: Counter[str] = Counter()
        self.tooMany = 0
        self._fingerprints = tls.fingerprints
        self._server = makeContext(tls.certificate, tls.key, server=True)
        self._client = makeContext(tls.certificate, tls.key, server=False)
        self._begun, self._second = 0, float("-inf")
        self._nextReport = float("-inf")

    def judge(self, certificate: Certificate) -> str:
        """
        Why a certificate does not pass; nothing when it does.
        """
        known = self._fingerprints()
        if known.get(certificate.node) == certificate.fingerprint:
            return ""
        if certificate.fingerprint in known.values():
            return "shows a certificate in another node's name"
        return "shows a certificate that is not known"

    def _accepted(self, sock: socket.socket, acceptor: IAcceptor) -> None:
        """
        Somebody has connected.
        """
        now = self._reactor.seconds()
        if now >= self._second + 1:
            self._begun, self._second = 0, now
        self._begun += 1
        if self._begun > MOST_HANDSHAKES:
            self.tooMany += 1
            sock.close()
        else:
            super()._accepted(sock, acceptor)

    def makeConnection(self, sock: socket.socket, receiver: IPathReceiver) -> Connection:
        """
        @see: L{ConnectedTransport.makeConnection}
        """
        connection = self._make(sock, receiver, server=True)
        connection.secured.addErrback(self._reject, connection)
        return connection

    def _make(self, sock: socket.socket, receiver: IPathReceiver, *, server: bool) -> TLSConnection:
        """
        @param server: whether the other end has connected.
        @raise OSError: the other end is gone.
        """
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, UNSENT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection = TLSConnection(
            self._reactor,
            sock,
            receiver,
            context=self._server if server else self._client,
            server=server,
            judge=self.judge,
            name=self.name,
            remote=formatAddress(self.keyOf(sock)),
        )
        limit = self._reactor.callLater(CONNECT_TIME, connection.giveUp, UNFINISHED)

        def ended(result: T) -> T:
            if limit.active():
                limit.cancel()
            return result

        connection.secured.addBoth(ended)
        return connection

    async def _connect(self, address: str, port: int, receiver: IPathReceiver) -> IPathTransport:
        sock = await self.reach(address, port)
        try:
            # Who connects hears how the handshake ends, and the receiver nothing until then.
            connection = self._make(sock, NOBODY, server=False)
        except OSError as error:  # gone again
            sock.close()
            raise TransportUnavailable(error.strerror or str(error)) from error
        self._start(connection)
        await connection.secured
        connection.receiver = receiver
        return connection

    def _reject(self, failure: Failure, connection: TLSConnection) -> None:
        """
        Somebody who has connected is not let in.
        """
        reason = failure.getErrorMessage()
        self.rejected[reason] += 1
        shown, now = connection.certificate, self._reactor.seconds()
        if shown is not None and now >= self._nextReport:
            self._nextReport = now + LOG_INTERVAL
            self._log.warn(
                "tls {remote} as node {node} {reason}: {fingerprint}",
                remote=connection.remote,
                node=shown.node,
                reason=reason,
                fingerprint=shown.fingerprint,
            )
