"""
What the tests of TLS share: nodes with certificates, and another program that speaks with them.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor

from bmff.ibmff import ITransport, TLSSettings, TransportSettings
from bmff.sockets.certificate import makeCertificate
from bmff.sockets.tlscontext import PROTOCOL
from bmff.testing.transports import TransportCase
from bmff.transports import tls
from tests.transports.tunnel import Tunnel

OURS: Final = 25011
THEIRS: Final = 25012
STRANGE: Final = 25099


class TLSCase(TransportCase):
    """
    Nodes with certificates of their own; all of them but one are known to all.

    @ivar known: the fingerprints that are known, by node ID.
    """

    reactor: Any = reactor
    address = "127.0.0.1"

    def setUp(self) -> None:
        """
        Three certificates.
        """
        super().setUp()
        self.folder = Path(self.mktemp())
        self.known = {node: self.certify(node) for node in (OURS, THEIRS)}
        self.certify(STRANGE)

    def certify(self, node: int) -> str:
        """
        Make the certificate of a node.

        @return: its fingerprint.
        """
        certificate, key = self.files(node)
        return makeCertificate(node, certificate, key).fingerprint

    def files(self, node: int) -> tuple[Path, Path]:
        """
        A node's certificate and private key.
        """
        return self.folder / f"{node}.crt", self.folder / f"{node}.key"

    def settings(self, node: int, port: int, **fields: Any) -> TransportSettings:
        """
        The settings of a node that lets in who is known.
        """
        certificate, key = map(str, self.files(node))
        secure = TLSSettings(certificate, key, lambda: self.known)
        return TransportSettings(port, (self.address,), tls=secure, **fields)

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{TransportCase.makeTransport}
        """
        return tls.make(reactor, self.settings((OURS, THEIRS, OURS)[self.ports.index(port)], port))

    def context(self, node: int | None = OURS) -> ssl.SSLContext:
        """
        What another program speaks with, which shows a node's certificate or none.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols([PROTOCOL])
        if node is not None:
            context.load_cert_chain(*self.files(node))
        return context

    def connectRaw(self, port: int, context: ssl.SSLContext | None = None) -> socket.socket:
        """
        Another program's socket, which speaks through TLS with the node of this number.
        """
        tunnel = Tunnel((self.address, port), context or self.context())
        tunnel.start()
        return tunnel.inner

    async def closed(self, raw: socket.socket) -> None:
        """
        Wait until the node has closed a connection.
        """

        def look() -> bool:
            try:
                return not raw.recv(1 << 16)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                return True

        await self.until(look)
