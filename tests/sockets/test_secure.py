"""
Tests of L{bmff.sockets.secure}: both ends of TLS in one process, with no socket.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from bmff.sockets.secure import SecureFactory
from tests.authority import Authority

HOST = "node.example"


class Inner(Protocol):
    """
    What is spoken inside.

    @ivar heard: what has come.
    @ivar reasons: why it is over.
    """

    greeting = b""
    transport: Any

    def __init__(self) -> None:
        self.heard = b""
        self.reasons: list[str] = []

    def connectionMade(self) -> None:
        """
        Say the greeting at once.
        """
        if self.greeting:
            self.transport.write(self.greeting)

    def dataReceived(self, data: bytes) -> None:
        """
        Keep it.
        """
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Keep why.
        """
        self.reasons.append(reason.getErrorMessage())


class End:
    """
    One end, on a transport that keeps what it is given.

    @ivar inner: what is spoken inside.
    @ivar secure: the connection.
    @ivar transport: what that writes to.
    """

    def __init__(self, context: ssl.SSLContext, host: str | None, greeting: bytes = b"") -> None:
        self.inner = Inner()
        self.inner.greeting = greeting
        factory = SecureFactory(Factory.forProtocol(lambda: self.inner), lambda: context, host)
        self.transport: Any = StringTransport()
        secure: Any = factory.buildProtocol(self.transport.getPeer())
        self.secure = secure
        self.secure.makeConnection(self.transport)

    def take(self) -> bytes:
        """
        What this end has sent since.
        """
        data: bytes = self.transport.value()
        self.transport.clear()
        return data


class SecureConnectionTests(SynchronousTestCase):
    """
    Bytes arrive as they were sent, or the connection ends and says why.
    """

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        authority = Authority(folder)
        authority.issue("node", HOST)
        self.there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.there.load_cert_chain(folder / "node.pem", folder / "node.key")
        self.here = ssl.create_default_context(cafile=str(authority.certificate))

    def pair(self, host: str = HOST, **greetings: bytes) -> tuple[End, End]:
        """
        Two ends, as far as they get with one another.
        """
        client = End(self.here, host, greetings.get("client", b""))
        server = End(self.there, None, greetings.get("server", b""))
        self.exchange(client, server)
        return client, server

    def exchange(self, one: End, other: End) -> None:
        """
        Carry what each has sent to the other, until neither has anything.
        """
        moved = True
        while moved:
            moved = False
            for sender, receiver in ((one, other), (other, one)):
                data = sender.take()
                if data:
                    receiver.secure.dataReceived(data)
                    moved = True

    def test_interface(self) -> None:
        """
        It is what Twisted takes for a transport of TLS, by which HTTP knows that it is secure.
        """
        client, _ = self.pair()
        verifyObject(ISSLTransport, client.secure)

    def test_early(self) -> None:
        """
        What is written before the handshake is over arrives, in order, and not in clear.
        """
        client = End(self.here, HOST, b"hello")
        self.assertNotIn(b"hello", client.transport.value())
        client, server = self.pair(client=b"hello", server=b"welcome")
        client.secure.write(b" again")
        self.exchange(client, server)
        self.assertEqual((server.inner.heard, client.inner.heard), (b"hello again", b"welcome"))

    def test_large(self) -> None:
        """
        What fills many records arrives whole, also in pieces of single bytes.
        """
        client, server = self.pair()
        sent = bytes(range(256)) * 300
        client.secure.writeSequence([sent[:5], b"", sent[5:]])
        data = client.take()
        for place in range(0, len(data), 997):
            server.secure.dataReceived(data[place : place + 997])
        self.assertEqual(server.inner.heard, sent)

    def test_otherName(self) -> None:
        """
        A certificate for another name ends it with the reason, and the other end is told.
        """
        client, server = self.pair("other.example")
        self.assertTrue(client.transport.disconnecting)
        self.assertTrue(server.transport.disconnecting)
        client.secure.connectionLost()
        server.secure.connectionLost()
        self.assertIn("hostname mismatch", client.inner.reasons[0].lower())
        self.assertTrue(server.inner.reasons[0].startswith("TLS: "), server.inner.reasons)

    def test_clear(self) -> None:
        """
        Somebody who speaks no TLS is turned away, and nothing of it reaches what is inside.
        """
        server = End(self.there, None)
        server.secure.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTrue(server.transport.disconnecting)
        server.secure.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        server.secure.write(b"never sent")
        self.assertNotIn(b"never sent", server.transport.value())
        server.secure.connectionLost()
        self.assertEqual(server.inner.heard, b"")
        self.assertEqual(server.inner.reasons, ["TLS: http request"])

    def test_forged(self) -> None:
        """
        A record that was changed on its way ends it; what came before is handed over.
        """
        client, server = self.pair()
        client.secure.write(b"before")
        whole = client.take()
        client.secure.write(b"changed")
        changed = bytearray(client.take())
        changed[-1] ^= 1
        server.secure.dataReceived(whole + changed)
        self.assertEqual(server.inner.heard, b"before")
        self.assertTrue(server.transport.disconnecting)

    def test_goodbye(self) -> None:
        """
        An end that closes says so, so that nobody can cut what it has sent short unseen.
        """
        client, server = self.pair()
        client.secure.write(b"last")
        client.secure.loseConnection()
        self.exchange(client, server)
        self.assertEqual(server.inner.heard, b"last")
        self.assertTrue(server.transport.disconnecting)
        server.secure.connectionLost()
        self.assertEqual(server.inner.reasons, [connectionDone.getErrorMessage()])

    def test_refused(self) -> None:
        """
        Where what is inside wants nobody there is no connection.
        """

        class Closed(Factory):
            def buildProtocol(self, addr: object) -> None:
                """
                Want nobody.
                """

        factory = SecureFactory(Closed(), lambda: self.there)
        self.assertIsNone(factory.buildProtocol(StringTransport().getPeer()))
