"""
Tests of C{bmff.transports.udp}.
"""

from __future__ import annotations

import socket
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from bmff.errors import TransportUnavailable
from bmff.ibmff import ITransport, TransportSettings
from bmff.sockets.addresses import packAddress
from bmff.testing.transports import Door, Inbox, TransportCase, TransportContract
from bmff.transports import udp
from tests.sockets.ports import hasIPv6
from tests.transports.names import NamedReactor


class Witness:
    """
    A receiver that writes down when it was given something.
    """

    def __init__(self, order: list[bytes]) -> None:
        self._order = order

    def packetReceived(self, data: bytes, now: float) -> None:
        self._order.append(data)

    def flush(self) -> None:
        self._order.append(b"flushed")

    def writable(self) -> None:
        pass

    def connectionLost(self, reason: str) -> None:
        pass


class UDPTests(TransportContract, TestCase):
    """
    UDP keeps the contract, here on IPv4.
    """

    reactor: Any = reactor
    reliable = ordered = connected = False
    address = "127.0.0.1"
    largest = udp.LARGEST

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{TransportContract.makeTransport}
        """
        return udp.make(reactor, TransportSettings(port, (self.address,)))

    async def test_move(self) -> None:
        """
        A path that has moved sends to the new address and hears it; the old one is strange again,
        and a path that was at the new one is lost.
        """
        path, inbox, other, otherInbox = await self.pair()
        guest, _ = self.listening(2)
        guestPath, guestInbox = await self.connect(guest)
        guestPath.sendPacket(b"here I am")
        await self.until(lambda: len(self.door.opened) == 2)
        displaced = self.door.opened[1][1]
        other.moveTo(self.door.strays[1][1])
        self.assertTrue(other.sendPacket(b"moved"))
        await self.until(lambda: guestInbox.packets and displaced.lost)
        self.assertEqual((guestInbox.packets, inbox.packets), ([b"moved"], []))
        guestPath.sendPacket(b"heard")
        path.sendPacket(b"strange")
        await self.until(lambda: otherInbox.packets and len(self.door.strays) == 3)
        self.assertEqual(otherInbox.packets, [b"heard"])
        self.assertEqual(self.door.strays[2][0], b"strange")

    async def test_moveNowhere(self) -> None:
        """
        A path that is told to move to where it is, or on another transport, or after its end,
        stays.
        """
        path, inbox, other, _ = await self.pair()
        other.moveTo(self.door.strays[0][1])
        other.moveTo(object())
        other.sendPacket(b"packet")
        await self.until(lambda: inbox.packets)
        conversation = self.door.strays[0][1]
        other.loseConnection()
        other.moveTo(conversation)
        self.assertFalse(other.sendPacket(b"packet"))
        path.sendPacket(b"packet")
        await self.until(lambda: len(self.door.strays) == 2)

    async def test_secondPath(self) -> None:
        """
        There is one path to an address; another is refused and the first is not hurt.
        """
        _, inbox, other, _ = await self.pair()
        reason = await self.unavailable(
            self._transports[0].connect(self.address, self.ports[1], Inbox())
        )
        self.assertIn(str(self.ports[1]), reason)
        other.sendPacket(b"packet")
        await self.until(lambda: inbox.packets)

    async def test_bounded(self) -> None:
        """
        The number of open paths is bounded; one that ends makes room.
        """
        self.patch(udp, "MOST_PATHS", 3)
        transport, _ = self.listening(0)
        paths = [await self.connect(transport, which) for which in range(3)]
        attempt = transport.connect(self.address, 1, Inbox())
        self.assertIn("3 paths", await self.unavailable(attempt))
        path, inbox = paths[0]
        path.loseConnection()
        await self.until(lambda: inbox.lost)
        await self.result(transport.connect(self.address, 1, Inbox()))

    async def test_name(self) -> None:
        """
        A host name is looked up; the first of its addresses that can be reached counts.
        """
        naming = NamedReactor({"home": ["127.0.0.1", "::1"], "nowhere": []})
        transport = udp.make(naming, TransportSettings(self.ports[0], (self.address,)))
        transport.listen(Door())
        _, door = self.listening(1)
        inbox = Inbox()
        path = await self.result(transport.connect("home", self.ports[1], inbox))
        path.sendPacket(b"packet")
        await self.until(lambda: door.opened)
        attempt = transport.connect("nowhere", self.ports[1], Inbox())
        self.assertIn("nowhere", await self.unavailable(attempt))
        await self.result(transport.stopListening())
        self.assertEqual(len(inbox.lost), 1)

    async def test_openAfterStop(self) -> None:
        """
        Of a transport that has stopped nobody gets a path.
        """
        transport, _ = self.listening(0)
        other, door = self.listening(1, opens=False)
        path, _ = await self.connect(transport)
        path.sendPacket(b"packet")
        await self.until(lambda: door.strays)
        await self.result(other.stopListening())
        conversation = door.strays[0][1]
        self.assertFalse(conversation.sendPacket(b"answer"))
        self.assertRaises(TransportUnavailable, conversation.open, Inbox())

    async def test_strangers(self) -> None:
        """
        A turn with very many packets from strangers hears only some of them, after the packets of
        those who are known; the rest is counted.
        """
        await self.pair()
        host = self._transports[0].hosts[0]  # type: ignore[attr-defined]
        order: list[bytes] = []
        known = next(iter(host.paths))
        self.patch(host.paths[known], "receiver", Witness(order))
        self.patch(host._acceptor, "strayReceived", lambda data, *_: order.append(data))
        strangers = [packAddress(self.address, port) for port in range(1, 101)]
        for address in strangers:
            host.datagramReceived(b"stranger", address, 0.0)
        host.datagramReceived(b"known", known, 0.0)
        host.flush()
        self.assertEqual(order, [b"known", b"flushed", *[b"stranger"] * udp.MOST_STRAYS])
        self.assertEqual(host.straysDropped, 100 - udp.MOST_STRAYS)

    async def test_empty(self) -> None:
        """
        An empty datagram is nobody's packet.
        """
        await self.pair()
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as raw:
            raw.sendto(b"", (self.address, self.ports[1]))
            raw.sendto(b"packet", (self.address, self.ports[1]))
            await self.until(lambda: len(self.door.strays) == 2)
        self.assertEqual([packet for packet, _ in self.door.strays], [b"hello", b"packet"])

    async def test_failingFlush(self) -> None:
        """
        A receiver that raises when it is flushed keeps nobody else from being flushed.
        """
        path, _, _, inbox = await self.pair()
        guest, _ = self.listening(2)
        guestPath, _ = await self.connect(guest)
        guestPath.sendPacket(b"hello")
        await self.until(lambda: len(self.door.opened) == 2)
        guestInbox = self.door.opened[1][1]
        self.patch(inbox, "flush", lambda: 1 / 0)
        path.sendPacket(b"packet")
        guestPath.sendPacket(b"packet")
        await self.until(lambda: guestInbox.turns)
        await self.quiet()
        self.assertEqual(sum(guestInbox.turns), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class UDP6Tests(UDPTests):
    """
    UDP keeps the contract on IPv6.
    """

    address = "::1"

    def setUp(self) -> None:
        """
        @raise SkipTest: there is no IPv6.
        """
        if not hasIPv6():
            raise SkipTest("no IPv6 loopback (::1 cannot be bound)")
        super().setUp()


class HostsTests(TransportCase, TestCase):
    """
    Tests of a node with several addresses.
    """

    reactor: Any = reactor
    hosts: tuple[str, ...] = ()

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{TransportContract.makeTransport}
        """
        return udp.make(reactor, TransportSettings(port, self.hosts))

    async def greet(self, address: str) -> str:
        """
        Say hello to the second node.

        @return: whom it says it has heard.
        """
        transport, _ = self.listening(0)
        self.hosts = (address,)
        _, door = self.listening(1)
        path = await self.result(transport.connect(address, self.ports[1], Inbox()))
        path.sendPacket(b"hello")
        await self.until(lambda: door.strays)
        remote: str = door.strays[0][1].remote
        return remote

    async def test_both(self) -> None:
        """
        A node on all addresses of both families reaches each family from its own socket.
        """
        if not hasIPv6():
            raise SkipTest("no IPv6 loopback (::1 cannot be bound)")
        self.hosts = ("0.0.0.0", "::")
        self.assertEqual(await self.greet("::1"), f"[::1]:{self.ports[0]}")

    async def test_nearest(self) -> None:
        """
        Of two addresses of a family a node speaks from the one that the way leads from.
        """
        self.hosts = ("127.0.0.2", "127.0.0.1")
        self.assertEqual(await self.greet("127.0.0.1"), f"127.0.0.1:{self.ports[0]}")

    async def test_noFamily(self) -> None:
        """
        An address of a family that the node has no address in cannot be reached.
        """
        self.hosts = ("127.0.0.1",)
        transport, _ = self.listening(0)
        self.assertIn("no way", await self.unavailable(transport.connect("::1", 1, Inbox())))

    async def test_noWay(self) -> None:
        """
        Neither can one that none of several addresses leads to.
        """
        self.hosts = ("127.0.0.2", "127.0.0.3")
        transport, _ = self.listening(0)
        for address in ("127.0.0.1", "255.255.255.255"):
            attempt = transport.connect(address, 1, Inbox())
            self.assertIn("no way", await self.unavailable(attempt))

    async def test_noIPv6(self) -> None:
        """
        On a host without IPv6 its addresses are left out.
        """
        self.patch(socket, "has_dualstack_ipv6", lambda: False)
        self.hosts = ("127.0.0.1", "::")
        transport, _ = self.listening(0)
        self.assertIn("no way", await self.unavailable(transport.connect("::1", 1, Inbox())))

    async def test_badHosts(self) -> None:
        """
        An address that is not this host's, one that is no address, and none at all are refused
        with the reason, and nothing stays bound.
        """
        for hosts in (("127.0.0.1", "192.0.2.1"), ("127.0.0.1", "localhost"), ()):
            self.hosts = hosts
            error = self.assertRaises(TransportUnavailable, self.make().listen, Door())
            self.assertIn("listen on", error.reason)
        self.hosts = ("127.0.0.1",)
        self.listening(0)
