"""
Tests of C{bmff.transports.tcp}, and of what it shares with other transports on connections.
"""

from __future__ import annotations

import socket
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from bmff.errors import TransportUnavailable
from bmff.ibmff import ITransport, TransportSettings
from bmff.sockets import names
from bmff.sockets.listener import Listener
from bmff.testing.connections import StreamContract
from bmff.testing.transports import Door, Inbox
from bmff.transports import strangers, tcp
from tests.sockets.ports import hasIPv6
from tests.transports.names import NamedReactor


class TCPTests(StreamContract, TestCase):
    """
    TCP keeps the contract, here on IPv4.
    """

    reactor: Any = reactor
    address = "127.0.0.1"

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{StreamContract.makeTransport}
        """
        return tcp.make(reactor, TransportSettings(port, (self.address,)))

    def connectRaw(self, port: int) -> socket.socket:
        """
        @see: L{StreamContract.connectRaw}
        """
        return socket.create_connection((self.address, port))

    async def test_goneBeforeSeen(self) -> None:
        """
        A connection that is gone when it is looked at is nobody's, and ends an attempt of ours.
        """

        def gone(transport: object, sock: socket.socket) -> bytes:
            raise OSError(107, "Transport endpoint is not connected")

        _, door = self.listening(1)
        self.patch(tcp.TCPTransport, "keyOf", gone)
        await self.closed(self.raw())
        reason = await self.unavailable(self.make().connect(self.address, self.ports[1], Inbox()))
        self.assertIn("not connected", reason)
        self.assertEqual(door.strays, [])

    def test_noIPv6(self) -> None:
        """
        On a host without IPv6 its addresses are left out.
        """
        self.patch(socket, "has_dualstack_ipv6", lambda: False)
        transport = tcp.make(reactor, TransportSettings(self.ports[0], ("::1",)))
        error = self.assertRaises(TransportUnavailable, transport.listen, Door())
        self.assertEqual(error.reason, "no host to listen on")

    def test_takenSince(self) -> None:
        """
        A number that another program takes between binding and listening is refused.
        """

        def taken(listener: Listener) -> None:
            raise OSError(98, "Address already in use")

        self.patch(Listener, "start", taken)
        error = self.assertRaises(TransportUnavailable, self.make().listen, Door())
        self.assertEqual(error.reason, "Address already in use")

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

    def named(self, **names: list[str]) -> tuple[NamedReactor, ITransport]:
        """
        A transport that knows these names.
        """
        naming = NamedReactor(names)
        settings = TransportSettings(self.ports[0], (self.address,))
        return naming, tcp.make(naming, settings)

    async def test_name(self) -> None:
        """
        A host name is looked up, and its addresses are tried until one answers.
        """
        _, door = self.listening(1)
        _, transport = self.named(home=["127.0.0.3", "::1", "127.0.0.1"])
        inbox = Inbox()
        path = await self.result(transport.connect("home", self.ports[1], inbox))
        path.sendPacket(b"packet")
        await self.until(lambda: door.opened)
        await self.result(transport.stopListening())
        self.assertEqual(len(inbox.lost), 1)

    async def test_nameOfNobody(self) -> None:
        """
        When none of a name's addresses answers the last one is the reason.
        """
        _, transport = self.named(home=["127.0.0.3", "127.0.0.4"])
        reason = await self.unavailable(transport.connect("home", self.ports[1], Inbox()))
        self.assertIn("127.0.0.4", reason)

    async def test_unknownName(self) -> None:
        """
        A name that has no address is the reason.
        """
        _, transport = self.named(nowhere=[])
        reason = await self.unavailable(transport.connect("nowhere", 1, Inbox()))
        self.assertIn("nowhere", reason)

    async def test_slowName(self) -> None:
        """
        A name that nobody answers for is given up, and its late answer is dropped.
        """
        self.patch(names, "PATIENCE", 0.01)
        naming, transport = self.named()
        attempt = transport.connect("slow", 1, Inbox())
        self.assertIn("slow", await self.unavailable(attempt))
        naming.asked[0].resolutionComplete()

    async def test_stopWhileAsking(self) -> None:
        """
        Stopping while a name is looked up ends the attempt.
        """
        _, transport = self.named()
        attempt = transport.connect("slow", 1, Inbox())
        await self.result(transport.stopListening())
        self.assertEqual(await self.unavailable(attempt), "stopped")

    async def test_strangersLimit(self) -> None:
        """
        Of those who connect and say nothing the oldest is closed when there are too many; one who
        is known is not among them.
        """
        self.patch(strangers, "MOST_STRANGERS", 3)
        first, _, inbox = await self.rawPair()
        silent = [self.raw() for _ in range(4)]
        await self.closed(silent[0])
        first.send(self.frame(b"packet"))
        await self.until(lambda: inbox.packets)
        silent[1].send(self.frame(b"packet"))
        await self.until(lambda: len(self.door.opened) == 2)

    async def test_strangersTime(self) -> None:
        """
        Who connects and says nothing is closed after a while; one who is known is not.
        """
        self.patch(strangers, "STRANGER_TIME", 0.05)
        first, _, inbox = await self.rawPair()
        await self.closed(self.raw())
        first.send(self.frame(b"packet"))
        await self.until(lambda: inbox.packets)

    def test_badHosts(self) -> None:
        """
        An address that is not this host's, one that is no address, and none at all are refused
        with the reason, and nothing stays bound.
        """
        for hosts in ((self.address, "192.0.2.1"), (self.address, "localhost"), ()):
            transport = tcp.make(reactor, TransportSettings(self.ports[0], hosts))
            error = self.assertRaises(TransportUnavailable, transport.listen, Door())
            self.assertIn("listen on", error.reason)
        self.listening(0)


class TCP6Tests(TCPTests):
    """
    TCP keeps the contract on IPv6.
    """

    address = "::1"

    def setUp(self) -> None:
        """
        @raise SkipTest: there is no IPv6.
        """
        if not hasIPv6():
            raise SkipTest("no IPv6 loopback (::1 cannot be bound)")
        super().setUp()
