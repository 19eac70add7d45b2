"""
Tests of C{bmff.sockets.datagrams}: what a port receives and how it lives.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import cast
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from bmff.sockets import mmsg
from bmff.sockets.addresses import packAddress
from bmff.sockets.datagrams import DatagramPort, DatagramReactor, DatagramReceiver
from tests.sockets.ports import (
    PATIENCE,
    FullSocket,
    Inbox,
    ReadingClock,
    Sink,
    drain,
    hasIPv6,
    reportErrors,
    waitFor,
)


class Faulty(Inbox):
    """
    A receiver that raises at what begins with C{bad}, and at a flush when told so.
    """

    flushFails = False

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        if data.startswith(b"bad"):
            raise ValueError(data)
        super().datagramReceived(data, address, now)

    def flush(self) -> None:
        super().flush()
        if self.flushFails:
            raise KeyError("flush")


class PortTests(SynchronousTestCase):
    """
    The promises of a port, here IPv4 and many datagrams a call; subclasses change that.

    @cvar host: where it is bound.
    @cvar batched: whether it may use recvmmsg and sendmmsg.
    """

    host = "127.0.0.1"
    batched = True

    def setUp(self) -> None:
        if ":" in self.host and not hasIPv6():
            raise SkipTest("no IPv6 loopback (::1 cannot be bound)")
        if self.batched and not mmsg.available:
            raise SkipTest("no recvmmsg and sendmmsg (C library or sandbox)")
        self.patch(mmsg, "available", self.batched)
        self.clock = ReadingClock()
        self.inbox = Inbox()
        self.peer = Sink(self.host)
        self.addCleanup(self.peer.close)

    def open(self, receiver: DatagramReceiver, size: int = 512) -> DatagramPort:
        """
        A port that listens until the test ends.
        """
        port = DatagramPort(self.clock, self.host, 0, receiver, size=size)
        self.addCleanup(port.stopListening)
        port.startListening()
        return port

    def adopt(self, receiveBuffer: int = 4 << 20) -> tuple[socket.socket, DatagramPort]:
        """
        A socket made elsewhere with a receive buffer of 4 KiB, and the port on it.
        """
        sock = socket.socket(self.peer.socket.family, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind((self.host, 0))
        return sock, DatagramPort.adopt(self.clock, sock, self.inbox, receiveBuffer=receiveBuffer)

    def test_received(self) -> None:
        """
        A datagram is handed on with its sender's address and the turn's time.
        """
        port = self.open(self.inbox)
        self.clock.advance(12.5)
        self.peer.send(b"one", port)
        drain(port, 1)
        self.assertEqual(self.inbox.datagrams, [(b"one", self.peer.address, 12.5)])
        self.assertEqual((port.received, port.failed, port.receiveErrors), (1, 0, 0))

    def test_senders(self) -> None:
        """
        Of many datagrams each keeps its length, its order and its own sender's address.
        """
        port = self.open(self.inbox)
        sinks = [self.peer, Sink(self.host), Sink(self.host)]
        expected = []
        for number in range(40):
            sink = sinks[number % 3]
            data = bytes((number,)) * (number * 13)
            sink.send(data, port)
            expected.append((data, sink.address, 0.0))
        for sink in sinks[1:]:
            sink.close()
        drain(port, 40)
        self.assertEqual(self.inbox.datagrams, expected)

    def test_turn(self) -> None:
        """
        A turn reads at most 64 datagrams and is flushed once; the next reads the rest.
        """
        port = self.open(self.inbox)
        for number in range(150):
            self.peer.send(bytes((number,)), port)
        drain(port, 150)
        self.assertEqual(self.inbox.data, [bytes((number,)) for number in range(150)])
        self.assertEqual(sum(self.inbox.turns), 150)
        self.assertLessEqual(max(self.inbox.turns), 64)

    def test_nothing(self) -> None:
        """
        A turn that finds nothing is no error.
        """
        port = self.open(self.inbox)
        port.doRead()
        self.assertEqual((self.inbox.datagrams, self.inbox.turns), ([], [0]))
        self.assertEqual((port.received, port.receiveErrors), (0, 0))

    def test_tooLong(self) -> None:
        """
        Datagrams up to the size are received whole, longer ones dropped and counted.
        """
        port = self.open(self.inbox, size=100)
        for length in (101, 100, 0, 4000, 99):
            self.peer.send(bytes(length), port)
        drain(port, 3)
        self.assertEqual(self.inbox.data, [bytes(100), b"", bytes(99)])
        self.assertEqual((port.received, port.tooLong), (3, 2))

    def test_tooLongAlone(self) -> None:
        """
        A turn that finds one datagram, too long, hands nothing on.
        """
        port = self.open(self.inbox, size=100)
        self.peer.send(bytes(101), port)
        self.assertTrue(waitFor(port))
        port.doRead()
        self.assertEqual((self.inbox.data, port.received, port.tooLong), ([], 0, 1))

    def test_receiverRaises(self) -> None:
        """
        An exception at one datagram is logged and counted, and costs no other datagram; the turn
        is flushed all the same.
        """
        inbox = Faulty()
        port = self.open(inbox)
        for data in (b"bad", b"a", b"b", b"bad", b"bad", b"c", b"bad"):
            self.peer.send(data, port)
        drain(port, 7)
        self.assertEqual(inbox.data, [b"a", b"b", b"c"])
        self.assertEqual((port.received, port.failed), (7, 4))
        self.assertEqual(sum(inbox.turns), 3)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_failuresLogged(self) -> None:
        """
        Of a receiver's failures one a second is logged.
        """
        port = self.open(Faulty())
        for seconds, logged in ((0.0, 1), (0.5, 0), (0.75, 1), (5.0, 1)):
            self.clock.advance(seconds)
            self.peer.send(b"bad", port)
            drain(port, port.received + 1)
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), logged)

    def test_flushRaises(self) -> None:
        """
        An exception at a flush is logged and counted, and the port reads on.
        """
        inbox = Faulty()
        inbox.flushFails = True
        port = self.open(inbox)
        for count in (1, 2):
            self.peer.send(b"a", port)
            drain(port, count)
        self.assertEqual(inbox.data, [b"a", b"a"])
        self.assertEqual((len(self.flushLoggedErrors(KeyError)), port.failed), (1, 2))

    def test_stoppedByReceiver(self) -> None:
        """
        Once its receiver has stopped a port, it hands nothing more on.
        """
        stopped = Inbox()

        class Stopping(Inbox):
            def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
                stopped.datagramReceived(data, address, now)
                port.stopListening()

        port = self.open(Stopping())
        for data in (b"a", b"b", b"c"):
            self.peer.send(data, port)
        self.assertTrue(waitFor(port))
        port.doRead()
        self.assertEqual(stopped.data, [b"a"])

    def test_sendTo(self) -> None:
        """
        A datagram reaches its address and is counted.
        """
        port = self.open(self.inbox)
        self.assertTrue(port.sendTo(b"hello", self.peer.address))
        data, name = self.peer.socket.recvfrom(100)
        self.assertEqual((data, packAddress(*name[:2])), (b"hello", port.address))
        self.assertEqual((port.sent, port.sendDrops, port.sendErrors), (1, 0, 0))

    def test_sendToUnusable(self) -> None:
        """
        A datagram to an address that cannot be used is counted and not raised.
        """
        port = self.open(self.inbox)
        self.assertFalse(port.sendTo(b"hello", packAddress(self.host, 0)))
        self.assertEqual((port.sent, port.sendDrops, port.sendErrors), (0, 0, 1))

    def test_sendToFull(self) -> None:
        """
        A datagram for which the kernel has no room is dropped and counted.
        """
        for reason in (errno.EAGAIN, errno.ENOBUFS):
            sock = FullSocket(self.peer.socket.family, socket.SOCK_DGRAM)
            sock.bind((self.host, 0))
            sock.reason = reason
            port = DatagramPort.adopt(self.clock, sock, self.inbox)
            self.addCleanup(port.stopListening)
            self.assertFalse(port.sendTo(b"hello", self.peer.address))
            self.assertEqual((port.sent, port.sendDrops, port.sendErrors), (0, 1, 0))

    def test_earlierError(self) -> None:
        """
        The ICMP error of one datagram takes neither the next one nor the reading away.
        """
        sock, port = self.adopt()
        reportErrors(sock)
        gone = Sink(self.host)
        gone.close()
        self.assertTrue(port.sendTo(b"lost", gone.address))
        self.assertTrue(port.sendTo(b"kept", self.peer.address))
        self.assertEqual(self.peer.receive(1), [b"kept"])
        self.assertTrue(port.sendTo(b"lost", gone.address))
        port.doRead()
        self.peer.send(b"answer", port)
        drain(port, 1)
        self.assertEqual(self.inbox.data, [b"answer"])
        self.assertEqual((port.sent, port.sendErrors, port.receiveErrors), (3, 0, 1))

    def test_adopt(self) -> None:
        """
        A socket bound elsewhere becomes a port at its address, that does not wait.
        """
        sock, port = self.adopt()
        self.assertEqual((port.host, port.port), sock.getsockname()[:2])
        self.assertFalse(os.get_blocking(sock.fileno()))
        port.startListening()
        self.peer.send(b"hello", port)
        drain(port, 1)
        self.assertEqual(self.inbox.data, [b"hello"])
        port.stopListening()
        self.assertEqual(sock.fileno(), -1)

    def test_adoptOther(self) -> None:
        """
        Only a UDP socket is adopted.
        """
        with socket.socket(self.peer.socket.family, socket.SOCK_STREAM) as stream:
            self.assertRaises(ValueError, DatagramPort.adopt, self.clock, stream, self.inbox)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
            self.assertRaises(ValueError, DatagramPort.adopt, self.clock, local, self.inbox)

    def test_listening(self) -> None:
        """
        A port is bound when it is made, read once it listens, and closed when it stops.
        """
        port = DatagramPort(self.clock, self.host, 0, self.inbox)
        self.addCleanup(port.stopListening)
        self.assertGreater(port.port, 0)
        self.assertEqual(port.address, packAddress(self.host, port.port))
        self.assertEqual(self.clock.readers, [])
        port.startListening()
        self.assertEqual(self.clock.readers, [port])
        port.stopListening()
        self.assertEqual((self.clock.readers, port.fileno()), ([], -1))
        port.stopListening()
        self.assertFalse(port.sendTo(b"late", self.peer.address))
        self.assertEqual(port.sendErrors, 1)

    def test_listeningAgain(self) -> None:
        """
        A stopped port listens again at the same address, and its counters go on.
        """
        port = self.open(self.inbox)
        address = port.address
        self.peer.send(b"one", port)
        drain(port, 1)
        port.stopListening()
        port.startListening()
        self.assertEqual(port.address, address)
        self.peer.send(b"two", port)
        drain(port, 2)
        self.assertEqual((self.inbox.data, port.received), ([b"one", b"two"], 2))

    def test_connectionLost(self) -> None:
        """
        When the reactor lets go of a port its socket is closed.
        """
        sock, port = self.adopt()
        port.connectionLost(Failure(CONNECTION_LOST))
        self.assertEqual((sock.fileno(), port.fileno()), (-1, -1))

    def test_addressInUse(self) -> None:
        """
        A port that somebody else has is refused in Twisted's way, and nothing is left open.
        """
        before = len(os.listdir("/proc/self/fd"))
        with self.assertRaises(CannotListenError) as caught:
            DatagramPort(self.clock, self.host, self.peer.name[1], self.inbox)
        self.assertEqual(caught.exception.port, self.peer.name[1])
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_hostName(self) -> None:
        """
        A host is given by number; names are not looked up.
        """
        self.assertRaises(ValueError, DatagramPort, self.clock, "localhost", 0, self.inbox)

    def test_buffers(self) -> None:
        """
        The buffers are raised, and the port tells how large they really are.
        """
        port = self.open(self.inbox)
        with socket.socket(fileno=os.dup(port.fileno())) as sock:
            for option, told in (
                (socket.SO_RCVBUF, port.receiveBuffer),
                (socket.SO_SNDBUF, port.sendBuffer),
            ):
                self.assertEqual(told, sock.getsockopt(socket.SOL_SOCKET, option))
                self.assertGreaterEqual(
                    told, self.peer.socket.getsockopt(socket.SOL_SOCKET, option)
                )
        sock, adopted = self.adopt(receiveBuffer=8192)
        self.assertGreaterEqual(adopted.receiveBuffer, 2 * 8192)

    def test_buffersNotLowered(self) -> None:
        """
        A buffer that is larger than asked for stays.
        """
        _, port = self.adopt(receiveBuffer=64)
        self.assertGreaterEqual(port.receiveBuffer, 2 * 4096)

    def test_bothFamilies(self) -> None:
        """
        An IPv6 port leaves the same port number of IPv4 free, and the other way round.
        """
        if not hasIPv6():
            raise SkipTest("no IPv6 loopback (::1 cannot be bound)")
        anyHost, other = ("::", "0.0.0.0") if ":" in self.host else ("0.0.0.0", "::")
        first = DatagramPort(self.clock, anyHost, 0, self.inbox)
        self.addCleanup(first.stopListening)
        second = DatagramPort(self.clock, other, first.port, self.inbox)
        self.addCleanup(second.stopListening)
        self.assertEqual(first.port, second.port)

    def test_kernelDrops(self) -> None:
        """
        What the kernel drops for want of buffer is counted, once a later datagram has come; the
        plain path is not told and counts none.
        """
        _, port = self.adopt(receiveBuffer=0)
        for _ in range(2):
            for _ in range(500):
                self.peer.send(b"flood", port)
            while waitFor(port, 0):
                port.doRead()
        self.peer.send(b"last", port)
        drain(port, port.received + 1)
        self.assertEqual(self.inbox.data[-1], b"last")
        self.assertLess(port.received, 1001)
        self.assertEqual(port.kernelDrops, 1001 - port.received if self.batched else 0)


class PlainPortTests(PortTests):
    """
    The same without recvmmsg and sendmmsg.
    """

    batched = False


class IPv6PortTests(PortTests):
    """
    The same over IPv6.
    """

    host = "::1"


class PlainIPv6PortTests(IPv6PortTests):
    """
    The same over IPv6 without recvmmsg and sendmmsg.
    """

    batched = False


class ReactorTests(TestCase):
    """
    A port on the real reactor.
    """

    async def test_echo(self) -> None:
        """
        The reactor wakes a port for what comes, and it can answer from there.
        """
        answered: Deferred[bytes] = Deferred()

        class Echo(Inbox):
            def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
                server.sendTo(data.upper(), address)

        class Asking(Inbox):
            def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
                answered.callback(data)

        server = DatagramPort(cast(DatagramReactor, reactor), "127.0.0.1", 0, Echo())
        client = DatagramPort(cast(DatagramReactor, reactor), "127.0.0.1", 0, Asking())
        for port in (server, client):
            verifyObject(IReadDescriptor, port)
            self.addCleanup(port.stopListening)
            port.startListening()
        self.assertTrue(client.sendTo(b"hello", server.address))
        answered.addTimeout(PATIENCE, reactor)
        self.assertEqual(await answered, b"HELLO")
