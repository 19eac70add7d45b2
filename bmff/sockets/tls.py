"""
Packets on a TLS connection (RFC 8446): OpenSSL works on memory, the socket is read and written as
every L{Connection}'s, so a packet is sealed and handed to the kernel at once.

What the kernel has not taken of a sealed packet is kept, as its seal has a number that must not be
left out; until it has gone no other packet is taken.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from twisted.internet.defer import Deferred

from bmff.errors import TransportUnavailable
from bmff.ibmff import IPathReceiver
from bmff.sockets.certificate import Certificate
from bmff.sockets.descriptor import (
    CLOSED_THERE,
    LARGEST,
    STREAM_TURN,
    ConnectionReactor,
    StreamConnection,
)
from bmff.sockets.fanout import FULL
from bmff.sockets.tlscontext import PROTOCOL

# A whole packet and what OpenSSL answers by itself, such as a change of keys (RFC 8446 §4.6.3).
MOST_KEPT: Final = 2 * LARGEST  # bytes


class TLSConnection(StreamConnection):
    """
    A connection that carries packets when both ends have shown their certificates.

    @ivar secured: fires when it carries packets; fails with L{TransportUnavailable} when it will
        not.
    @ivar certificate: the other end's; L{None} until it has passed.
    """

    # A turn's bytes, and as many that have waited for the rest of their record.
    room = 2 + LARGEST + 3 * STREAM_TURN

    def __init__(
        self,
        reactor: ConnectionReactor,
        sock: socket.socket,
        receiver: IPathReceiver,
        *,
        context: ssl.SSLContext,
        server: bool,
        judge: Callable[[Certificate], str],
        name: str,
        remote: str,
    ) -> None:
        """
        @param server: whether the other end has connected.
        @param judge: says why a certificate does not pass; nothing when it does.
        """
        super().__init__(reactor, sock, receiver, name=name, remote=remote)
        self.certificate: Certificate | None = None
        self.secured: Deferred[TLSConnection] = Deferred(lambda _: self.loseConnection())
        self._server = server
        self._judge = judge
        self._secure = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server)
        self._sealed = memoryview(bytearray(STREAM_TURN))

    def start(self) -> None:
        """
        Read from now on, and begin the handshake if that is up to this end.
        """
        super().start()
        if not self._server:
            self._shakeHands()

    def giveUp(self, reason: str) -> None:
        """
        Close the socket unless the handshake is over.

        @param reason: for people.
        """
        if not self._secure:
            self._lose(reason)

    def sendPacket(self, data: bytes) -> bool:
        """
        @see: L{IPathTransport.sendPacket}
        """
        size = len(data)
        if self._blocked or not self._secure or not 0 < size <= LARGEST:
            return self._refuse()
        try:
            self._tls.write(size.to_bytes(2, "big") + data)
        except ssl.SSLError as error:
            self._hangUp(error)
            return self._refuse()
        sealed = self._outgoing.read()
        try:
            taken = self._send(sealed)
        except OSError as error:
            if error.errno not in FULL:
                return self._sendFailed(error)
            taken = 0
        if taken < len(sealed):
            self._rest = sealed[taken:]
            self._awaitRoom()
        self.packetsSent += 1
        return True

    def doRead(self) -> None:
        """
        Read once, and hand over all packets that are whole now.
        """
        now = self._reactor.seconds()
        try:
            taken = self._receiveInto(self._sealed)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if not taken:
            self._lose(self._reason)
            return
        self._incoming.write(self._sealed[:taken])
        if self._secure or self._shakeHands():
            self._open(now)

    def _open(self, now: float) -> None:
        """
        Open what has come, and hand over the packets in it.
        """
        held = end = self._held
        buffer, incoming, tls = self._buffer, self._incoming, self._tls
        ended = ""
        try:
            # To be told by an exception that there is no more takes longer than to open a packet.
            while not ended and (incoming.pending or tls.pending()):
                size = int(tls.read(STREAM_TURN, buffer[end:]))
                end += size
                if not size:
                    ended = CLOSED_THERE
        except ssl.SSLWantReadError:  # the rest of a record is still to come
            ended = ""
        except ssl.SSLError as error:
            ended = _reasonOf(error)
        if end > held:
            self._handOver(end, now)
        if self._outgoing.pending:
            self._answer()
        if ended:
            self._lose(ended)

    def _shakeHands(self) -> bool:
        """
        Go on with the handshake as far as that is possible now.

        @return: whether the connection carries packets from now on.
        """
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._answer()
            return False
        except ssl.SSLError as error:
            self._answer()  # an alert, which says why
            self._lose(_reasonOf(error))
            return False
        self._answer()
        if self._socket is None:
            return False
        wrong = self._look()
        if wrong:
            self._lose(wrong)
            return False
        self._secure = True
        self.secured.callback(self)
        return self._socket is not None

    def _look(self) -> str:
        """
        Look at who the other end is.

        @return: why it is not wanted; nothing when it is.
        """
        if self._tls.selected_alpn_protocol() != PROTOCOL:
            return "speaks another protocol"
        shown = self._tls.getpeercert(True)
        if shown is None:
            return "shows no certificate"
        try:
            certificate = Certificate.decode(shown)
        except ValueError:
            return "shows a certificate that cannot be read"
        self.certificate = certificate
        return self._judge(certificate)

    def _answer(self) -> None:
        """
        Send what OpenSSL has to say by itself.
        """
        self._rest += self._outgoing.read()
        if not self._rest or self._blocked:
            if len(self._rest) > MOST_KEPT:
                self._lose("asks for more than it reads")
            return
        try:
            self._rest = self._rest[self._send(self._rest) :]
        except OSError as error:
            if error.errno not in FULL:
                self._rest = b""
                self._hangUp(error)
                return
        if self._rest:
            self._awaitRoom()

    def _tell(self, receiver: IPathReceiver, reason: str) -> None:
        """
        Tell those concerned, once, that the connection is gone.
        """
        super()._tell(receiver, reason)
        if not self.secured.called:
            self.secured.errback(TransportUnavailable(reason))

    def _close(self) -> None:
        if self._secure and self._socket is not None:
            self._secure = False
            self._sayGoodbye()
        super()._close()

    def _sayGoodbye(self) -> None:
        """
        Tell the other end that this end sends no more, if it takes that now (RFC 8446 §6.1).
        """
        if self._rest:
            return  # it would have to go out behind this
        with suppress(ssl.SSLError):  # it wants the other end's answer, or is broken
            self._tls.unwrap()
        try:
            self._send(self._outgoing.read())
        except OSError:
            return  # the kernel has no room, or the other end was first


def _reasonOf(error: ssl.SSLError) -> str:
    """
    What OpenSSL found wrong, for people; one of a bounded number of phrases.
    """
    return (error.reason or "TLS failed").replace("_", " ").lower()
