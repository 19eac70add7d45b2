"""
Tests of C{bmff.transports.tls}.
"""

from __future__ import annotations

import ctypes
import socket
import ssl
import sys
from types import SimpleNamespace
from typing import Any
from unittest import SkipTest

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bmff.errors import TransportUnavailable
from bmff.ibmff import TransportSettings
from bmff.testing.connections import StreamContract
from bmff.testing.transports import Door, Inbox
from bmff.transports import tcp, tls
from tests.sockets.ports import hasIPv6
from tests.transports.tlscase import OURS, THEIRS, TLSCase


class TLSTests(TLSCase, StreamContract, TestCase):
    """
    TLS keeps the contract, here on IPv4.
    """

    async def test_options(self) -> None:
        """
        Packets go out at once, what waits unsent is little, and a dead host is noticed.
        """
        _, path, _ = await self.rawPair()
        descriptor: Any = path
        with socket.socket(fileno=socket.dup(descriptor.fileno())) as sock:
            self.assertTrue(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            self.assertEqual(sock.getsockopt(socket.IPPROTO_TCP, 25), tcp.UNSENT)

    async def test_sealed(self) -> None:
        """
        What is sent is sealed by TLS 1.3, and nothing of it, of the certificates or of their
        owners can be read on the way.
        """
        said: list[bytes] = []

        class Heard(socket.socket):
            def send(self, data: Any, flags: int = 0) -> int:
                said.append(bytes(data))
                return super().send(data, flags)

        self.patch(socket, "socket", Heard)
        path, _, other, _ = await self.pair()
        certificate: Any = other
        self.assertEqual(certificate.certificate.node, OURS)
        self.assertTrue(path.sendPacket(b"a word in confidence"))
        on = b"".join(said)
        self.assertTrue(on.startswith(b"\x16\x03\x01"))
        self.assertEqual(said[-1][:3], b"\x17\x03\x03")
        for secret in (b"confidence", b"hello", b"25011", b"25012"):
            self.assertNotIn(secret, on)

    async def test_farewell(self) -> None:
        """
        A connection that is closed here ends by the words of TLS, so that the other end knows that
        nothing was cut off.
        """
        _, door = self.listening(1)
        connection = await deferToThread(self.shake, self.context())
        with connection:
            connection.sendall(self.frame(b"hello"))
            await self.until(lambda: door.opened)
            door.opened[0][0].loseConnection()
            data = await deferToThread(connection.recv, 100)
            self.assertEqual(data, b"")

    async def test_changeOfKeys(self) -> None:
        """
        A packet may come in many records, with others of TLS between them.
        """
        raw, _, inbox = await self.rawPair()
        packet = bytes(range(256)) * 255
        raw.setblocking(True)
        await deferToThread(raw.sendall, self.frame(packet) * 20)
        await self.received(inbox, 20)
        self.assertEqual(inbox.packets, [packet] * 20)

    def shake(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """
        Connect to the second node with another program's TLS; blocks.
        """
        sock = socket.create_connection((self.address, self.ports[1]), 5.0)
        return context.wrap_socket(sock, suppress_ragged_eofs=False)


class TLS6Tests(TLSCase, StreamContract, TestCase):
    """
    TLS keeps the contract on IPv6.
    """

    address = "::1"

    def setUp(self) -> None:
        """
        @raise SkipTest: there is no IPv6.
        """
        if not hasIPv6():
            raise SkipTest("no IPv6 loopback (::1 cannot be bound)")
        super().setUp()


class AttemptTests(TLSCase, TestCase):
    """
    Tests of connecting to a node that is not the right one.
    """

    async def test_notKnown(self) -> None:
        """
        A node whose certificate is not known is not connected to, and the receiver hears nothing.
        """
        self.listening(1)
        known, self.known = self.known, {OURS: self.known[OURS]}
        inbox = Inbox()
        attempt = self.make(0).connect(self.address, self.ports[1], inbox)
        self.assertEqual(await self.unavailable(attempt), "shows a certificate that is not known")
        await self.quiet()
        self.assertEqual((inbox.packets, inbox.lost), ([], []))
        self.known = known

    async def test_notWanted(self) -> None:
        """
        A node that does not know our certificate ends the connection, and we hear of it.
        """
        self.listening(1)
        del self.known[OURS]
        inbox = Inbox()
        attempt = self.make(0).connect(self.address, self.ports[1], inbox)
        try:
            await self.result(attempt)
        except TransportUnavailable as error:
            self.assertTrue(error.reason)
        else:
            await self.until(lambda: inbox.lost)
        self.assertEqual(inbox.packets, [])

    async def test_plain(self) -> None:
        """
        A node that speaks no TLS is not connected to.
        """
        plain = tcp.make(reactor, TransportSettings(self.ports[1], (self.address,)))
        self._transports.append(plain)
        plain.listen(Door())
        self.patch(tls, "CONNECT_TIME", 0.2)
        self.assertTrue(await self.unavailable(self.attempt()))

    async def test_silent(self) -> None:
        """
        An attempt at one who takes the connection and says nothing is given up.
        """
        self.patch(tls, "CONNECT_TIME", 0.05)
        with socket.socket(socket.AF_INET) as silent:
            silent.bind((self.address, 0))
            self.ports[1] = silent.getsockname()[1]
            silent.listen()
            reason = await self.unavailable(self.attempt())
        self.assertEqual(reason, tls.UNFINISHED)

    async def test_gone(self) -> None:
        """
        An attempt at one who hangs up in the handshake fails with the reason, as does one that is
        gone before it is looked at.
        """
        with socket.socket(socket.AF_INET) as server:
            server.bind((self.address, 0))
            self.ports[1] = server.getsockname()[1]
            server.listen()
            attempt = self.attempt()
            accepted, _ = await deferToThread(server.accept)
            accepted.close()
            self.assertTrue(await self.unavailable(attempt))

            def gone(transport: object, sock: socket.socket) -> bytes:
                raise OSError(107, "Transport endpoint is not connected")

            self.patch(tls.TLSTransport, "keyOf", gone)
            self.assertIn("not connected", await self.unavailable(self.attempt()))

    async def test_stop(self) -> None:
        """
        To stop in the middle of the handshake ends the attempt.
        """
        with socket.socket(socket.AF_INET) as silent:
            silent.bind((self.address, 0))
            self.ports[1] = silent.getsockname()[1]
            silent.listen()
            transport = self.make(0)
            attempt = transport.connect(self.address, self.ports[1], Inbox())
            accepted, _ = await deferToThread(silent.accept)
            self.addCleanup(accepted.close)
            await deferToThread(accepted.recv, 1)
            await self.result(transport.stopListening())
            self.assertEqual(await self.unavailable(attempt), "stopped")

    def attempt(self) -> Deferred[Any]:
        """
        Connect to the second number.
        """
        return self.make(0).connect(self.address, self.ports[1], Inbox())


class MakeTests(TLSCase, TestCase):
    """
    Tests of certificates and keys that cannot be used.
    """

    def refusal(self, port: int = 1) -> str:
        """
        Why there is no TLS.
        """
        settings = self.settings(OURS, port)
        return str(self.assertRaises(TransportUnavailable, tls.make, reactor, settings).reason)

    def test_off(self) -> None:
        """
        Where nothing is said of certificates there is no TLS.
        """
        error = self.assertRaises(TransportUnavailable, tls.make, reactor, TransportSettings(1))
        self.assertIn("not switched on", error.reason)

    def test_key(self) -> None:
        """
        A key that others can read, of another certificate, with a passphrase, or none is refused
        with the reason, and nothing is asked for at the terminal.
        """
        _, key = self.files(OURS)
        key.chmod(0o604)
        self.assertIn("others can read it", self.refusal())
        key.chmod(0o600)
        secret = load_pem_private_key(key.read_bytes(), None)
        sealed = BestAvailableEncryption(b"word")
        key.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
        self.assertIn("cannot be used", self.refusal())
        key.write_bytes(self.files(THEIRS)[1].read_bytes())
        self.assertIn("cannot be used", self.refusal())
        key.unlink()
        self.assertIn("cannot be read", self.refusal())

    def test_certificate(self) -> None:
        """
        A certificate that is not there is refused with the reason.
        """
        self.files(OURS)[0].unlink()
        self.assertIn("No such file", self.refusal())

    def test_otherPython(self) -> None:
        """
        Where OpenSSL cannot be told to leave the judgement to us there is no TLS, and nobody is
        let in unseen.
        """
        self.patch(ctypes, "CDLL", lambda name: object())
        self.assertIn("keeps its OpenSSL to itself", self.refusal())
        self.patch(sys, "implementation", SimpleNamespace(name="pypy"))
        self.assertIn("only CPython", self.refusal())
