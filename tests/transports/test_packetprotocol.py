"""
Tests of L{bmff.transports.packetprotocol} on a stream in memory and a virtual clock: what peers do
to it, and what it does to the stream. That it keeps the contract on real streams is tested with
C{examples/acme-transport}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyClass

from bmff.errors import TransportUnavailable
from bmff.ibmff import IPathTransport
from bmff.testing.transports import Door, Inbox
from bmff.transports import strangers
from bmff.transports.connected import CONNECT_TIME
from bmff.transports.lifetime import Lifetime
from bmff.transports.packetprotocol import CLOSE_TIME, TURN, PacketFactory, PacketProtocol
from bmff.transports.strangers import STRANGER_TIME, Reception

HERE, THERE = IPv4Address("TCP", "192.0.2.1", 54000), IPv4Address("TCP", "192.0.2.2", 54000)
LARGEST = 0xFFFF


def framed(*packets: bytes) -> bytes:
    """
    Packets as they are on the stream.
    """
    return b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)


class Stream(StringTransport):
    """
    A stream of Twisted's. As Twisted's own it waits for a producer that is registered before it
    ends, and keeps what the other end does not read.

    @ivar aborted: whether it was told not to wait.
    @ivar endsAtOnce: whether C{connectionLost} comes in the middle of C{loseConnection}.
    @ivar protocol: what reads it.
    """

    aborted = False
    endsAtOnce = False
    protocol: PacketProtocol

    def loseConnection(self) -> None:
        """
        End when all is sent.
        """
        assert self.producer is None, "it would wait for the producer for ever"
        super().loseConnection()
        if self.endsAtOnce:
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        """
        End now.
        """
        self.aborted = True


class ProtocolCase(SynchronousTestCase):
    """
    One connection.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.life = Lifetime()
        self.inbox = Inbox()
        self.connection, self.stream = self.connected()

    def connected(self, peer: Any = THERE) -> tuple[PacketProtocol, Stream]:
        """
        A connection to somebody, with the same receiver.
        """
        connection = PacketProtocol(self.clock, self.inbox, self.life, name="test")
        stream = Stream(hostAddress=HERE, peerAddress=peer)
        stream.protocol = connection
        self.inbox.path = connection
        connection.makeConnection(stream)
        return connection, stream

    def ends(self, connection: PacketProtocol, error: Exception) -> None:
        """
        The stream ends.
        """
        connection.connectionLost(Failure(error))


class ReadingTests(ProtocolCase):
    """
    What comes in.
    """

    @settings(deadline=None)  # a busy machine
    @given(
        some.lists(some.binary(min_size=1, max_size=300), max_size=20),
        some.lists(some.integers(1, 400), min_size=1, max_size=10),
    )
    def test_cuts(self, packets: list[bytes], sizes: list[int]) -> None:
        """
        However the stream is cut into pieces, the same packets come of it.
        """
        inbox = self.inbox = Inbox()
        connection, _ = self.connected()
        stream, turn = framed(*packets), 0
        while stream:
            size = sizes[turn % len(sizes)]
            connection.dataReceived(stream[:size])
            stream, turn = stream[size:], turn + 1
        self.clock.advance(0)
        self.assertEqual(inbox.packets, packets)
        self.assertNotIn(0, inbox.turns)

    @settings(deadline=None)
    @given(some.lists(some.binary(max_size=200), max_size=20))
    def test_noise(self, chunks: list[bytes]) -> None:
        """
        Whatever comes, it is packets of at least a byte or the end, and no more is kept of it than
        a packet that has not come whole.
        """
        inbox = self.inbox = Inbox()
        connection, stream = self.connected()
        for chunk in chunks:
            connection.dataReceived(chunk)
        self.assertNotIn(b"", inbox.packets)
        came = b"".join(chunks)
        if not stream.disconnecting:
            self.assertEqual(came[: len(framed(*inbox.packets))], framed(*inbox.packets))
        else:
            self.assertTrue(came.startswith(framed(*inbox.packets) + b"\0\0"))

    def test_noLength(self) -> None:
        """
        A packet of no length ends the connection, after those before it; what comes behind it is
        not kept, however much it is.
        """
        self.connection.dataReceived(framed(b"last") + b"\0\0" + framed(b"never"))
        self.assertTrue(self.stream.disconnecting)
        self.connection.dataReceived(framed(bytes(LARGEST)))
        self.assertEqual(self.connection._held, b"")
        self.ends(self.connection, ConnectionDone())
        self.assertEqual(self.inbox.packets, [b"last"])
        self.assertEqual(self.inbox.lost, ["a packet of no length"])
        self.assertEqual(self.inbox.turns, [1])

    def test_noLengthInPieces(self) -> None:
        """
        It does so however its length comes.
        """
        self.connection.dataReceived(b"\0")
        self.assertFalse(self.stream.disconnecting)
        self.connection.dataReceived(b"\0")
        self.assertTrue(self.stream.disconnecting)

    def test_longest(self) -> None:
        """
        A packet of the largest length that comes byte by byte comes whole, once, in one turn.
        """
        packet = bytes(range(256)) * 256
        for byte in framed(packet[:LARGEST]):
            self.connection.dataReceived(bytes([byte]))
        self.assertEqual((self.inbox.packets, self.inbox.turns), ([packet[:LARGEST]], [1]))

    def test_half(self) -> None:
        """
        Of a packet that breaks off nothing is heard.
        """
        self.connection.dataReceived(b"\xff\xff" + bytes(3000))
        self.ends(self.connection, ConnectionLost())
        self.assertEqual((self.inbox.packets, self.inbox.turns), ([], []))
        self.assertEqual(len(self.inbox.lost), 1)

    def test_fair(self) -> None:
        """
        Of much that has come at once a turn hands over a part; until the rest has gone nothing is
        read, and one connection's rest does not hold up another.
        """
        packets = [b"%04d" % number + bytes(1000) for number in range(60)]
        other, _ = self.connected()
        otherInbox = Inbox()
        other.receiver = otherInbox
        self.connection.dataReceived(framed(*packets))
        self.assertLess(len(self.inbox.packets) * 1006, TURN + 1006)
        self.assertEqual(self.stream.producerState, "paused")
        other.dataReceived(framed(b"mine"))
        self.assertEqual(otherInbox.packets, [b"mine"])
        between: list[int] = []
        self.clock.callLater(0, lambda: between.append(len(self.inbox.turns)))
        self.clock.advance(0)
        self.assertEqual((between, len(self.inbox.turns)), ([2], 4))
        self.assertEqual(self.inbox.packets, packets)
        self.assertEqual(self.stream.producerState, "producing")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_moreWhilePaused(self) -> None:
        """
        What a stream gives although it is paused waits in its order.
        """
        packets = [b"%04d" % number + bytes(1000) for number in range(40)]
        self.connection.dataReceived(framed(*packets[:20]))
        first = list(self.inbox.packets)
        self.connection.dataReceived(framed(*packets[20:]))
        self.assertEqual(self.inbox.packets, first)
        self.clock.advance(0)
        self.assertEqual(self.inbox.packets, packets)

    def test_within(self) -> None:
        """
        What comes while a receiver is in the middle of a packet comes behind it.
        """
        inbox, connection = self.inbox, self.connection

        class Eager(Inbox):
            def packetReceived(self, data: bytes, now: float) -> None:
                if data == b"1":
                    connection.dataReceived(framed(b"3"))
                inbox.packetReceived(data, now)

        connection.receiver = Eager()
        connection.dataReceived(framed(b"1", b"2"))
        self.assertEqual(inbox.packets, [b"1", b"2", b"3"])

    def test_oneTime(self) -> None:
        """
        All packets of a turn have the same time, and one flush behind them.
        """
        times: list[float] = []
        self.patch(self.inbox, "packetReceived", lambda data, now: times.append(now))
        self.clock.advance(5)
        self.connection.dataReceived(framed(b"a", b"b"))
        self.assertEqual((times, len(self.inbox.turns)), ([5.0, 5.0], 1))

    def test_heir(self) -> None:
        """
        A receiver that is replaced in the middle of a turn gets no more of it, its heir the rest,
        and both are flushed.
        """
        heir, inbox, connection = Inbox(), self.inbox, self.connection

        class Leaving(Inbox):
            def packetReceived(self, data: bytes, now: float) -> None:
                inbox.packetReceived(data, now)
                connection.receiver = heir

            def flush(self) -> None:
                inbox.flush()

        connection.receiver = Leaving()
        connection.dataReceived(framed(b"his", b"hers"))
        self.assertEqual((inbox.packets, heir.packets), ([b"his"], [b"hers"]))
        self.assertEqual((inbox.turns, heir.turns), ([1], [1]))


class FailingReceiver(Inbox):
    """
    A receiver with a bug in each of its methods.
    """

    def flush(self) -> None:
        """
        Count, and fail.
        """
        super().flush()
        raise RuntimeError("flush")

    def writable(self) -> None:
        """
        Count, and fail.
        """
        super().writable()
        raise RuntimeError("writable")

    def connectionLost(self, reason: str) -> None:
        """
        Count, and fail.
        """
        super().connectionLost(reason)
        raise RuntimeError("connectionLost")


class FailingTests(ProtocolCase):
    """
    Receivers that raise.
    """

    def test_fails(self) -> None:
        """
        What a receiver raises, whatever it was told, is counted and hurts nothing: packets go on,
        the end is told, and the connection is over.
        """
        receiver = FailingReceiver()
        receiver.fails = True
        self.connection.receiver = receiver
        self.connection.dataReceived(framed(b"bad", b"good"))
        self.connection.pauseProducing()
        self.connection.sendPacket(b"refused")
        self.connection.resumeProducing()
        self.ends(self.connection, ConnectionDone())
        self.assertEqual(receiver.packets, [b"bad", b"good"])
        self.assertEqual((receiver.turns, receiver.writables, len(receiver.lost)), ([2], 1, 1))
        self.assertEqual(self.connection.failed, 4)
        self.assertEqual(self.life.paths, set())
        self.assertEqual(len(self.flushLoggedErrors(ValueError, RuntimeError)), 1)

    def test_log(self) -> None:
        """
        A storm is one line a second.
        """
        self.inbox.fails = True
        for _ in range(3):
            self.connection.dataReceived(framed(*[b"bad"] * 10))
            self.clock.advance(1)
        self.assertEqual(self.connection.failed, 30)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 3)


class WritingTests(ProtocolCase):
    """
    What goes out.
    """

    def test_sizes(self) -> None:
        """
        A packet goes out whole behind its length, at once; one of no bytes or too many is refused.
        """
        sizes = (1, 255, 256, LARGEST)
        for size in sizes:
            self.assertTrue(self.connection.sendPacket(bytes(size)))
            self.assertEqual(self.stream.value(), framed(bytes(size)))
            self.stream.clear()
        for size in (0, LARGEST + 1):
            self.assertFalse(self.connection.sendPacket(bytes(size)))
        self.assertEqual(self.stream.value(), b"")
        self.assertEqual((self.connection.packetsSent, self.connection.refused), (len(sizes), 2))

    def test_full(self) -> None:
        """
        When the stream has enough, packets are refused and not kept; the receiver is told of room
        if one was refused, and only then.
        """
        self.assertIs(self.stream.producer, self.connection)
        self.assertTrue(self.stream.streaming)
        for refused in (0, 1, 0, 2):
            self.stream.clear()
            self.inbox.writables = 0
            self.connection.pauseProducing()
            for _ in range(refused):
                self.assertFalse(self.connection.sendPacket(b"refused"))
            self.connection.resumeProducing()
            self.assertEqual(self.inbox.writables, min(refused, 1))
            self.assertTrue(self.connection.sendPacket(b"taken"))
            self.assertEqual(self.stream.value(), framed(b"taken"))

    def test_fullAgain(self) -> None:
        """
        A receiver that is told of room and fills it is told again.
        """
        connection, inbox = self.connection, self.inbox
        connection.pauseProducing()
        connection.sendPacket(b"refused")

        class Filling(Inbox):
            def writable(self) -> None:
                inbox.writable()
                connection.sendPacket(b"taken")
                connection.pauseProducing()
                connection.sendPacket(b"refused")

        connection.receiver = Filling()
        connection.resumeProducing()
        connection.resumeProducing()
        self.assertEqual(inbox.writables, 2)


class EndTests(ProtocolCase):
    """
    How it ends.
    """

    def test_closed(self) -> None:
        """
        What is closed here sends and hears nothing more, and the end is told when it has come.
        """
        self.connection.loseConnection()
        self.connection.loseConnection()
        self.assertTrue(self.stream.disconnecting)
        self.assertFalse(self.connection.sendPacket(b"packet"))
        self.connection.dataReceived(framed(b"packet"))
        self.assertEqual((self.inbox.lost, self.stream.value()), ([], b""))
        self.ends(self.connection, ConnectionDone())
        self.assertEqual((self.inbox.packets, self.inbox.lost), ([], ["closed here"]))
        self.assertEqual((self.clock.getDelayedCalls(), self.stream.aborted), ([], False))

    def test_closedWhileFull(self) -> None:
        """
        To a peer that does not read it is closed in time all the same, and nobody is told of room.
        """
        self.connection.pauseProducing()
        self.connection.sendPacket(b"refused")
        self.connection.loseConnection()
        self.clock.advance(CLOSE_TIME / 2)
        self.assertFalse(self.stream.aborted)
        self.connection.resumeProducing()
        self.clock.advance(CLOSE_TIME / 2)
        self.assertTrue(self.stream.aborted)
        self.ends(self.connection, ConnectionLost())
        self.assertEqual((self.inbox.lost, self.inbox.writables), (["closed here"], 0))

    def test_closedInPacket(self) -> None:
        """
        A receiver that closes in the middle of a turn gets nothing of what came behind, in this
        turn or the next; the stream is read on, as its end has to be seen.
        """
        self.inbox.closes = True
        self.connection.dataReceived(framed(*[bytes(1000)] * 60))
        self.assertEqual(len(self.inbox.packets), 1)
        other, stream = self.connected()
        self.inbox.closes = False
        other.dataReceived(framed(*[bytes(1000)] * 60))
        received = len(self.inbox.packets)
        other.loseConnection()
        self.assertEqual(stream.producerState, "producing")
        self.clock.advance(0)
        self.assertEqual(len(self.inbox.packets), received)

    def test_laterTurn(self) -> None:
        """
        Even where a stream ends at once, who has closed it is told in a later turn.
        """
        self.stream.endsAtOnce = True
        self.connection.loseConnection()
        self.assertEqual(self.inbox.lost, [])
        self.clock.advance(0)
        self.assertEqual(self.inbox.lost, ["closed here"])
        self.assertEqual((self.life.paths, self.clock.getDelayedCalls()), (set(), []))

    def test_muchBeforeTheEnd(self) -> None:
        """
        What is more than a turn's and came before the end is received before the end is told.
        """
        packets = [b"%04d" % number + bytes(1000) for number in range(60)]
        self.connection.dataReceived(framed(*packets))
        self.ends(self.connection, ConnectionDone())
        self.assertEqual(
            (self.inbox.packets, self.inbox.lost), (packets, ["closed by the other end"])
        )
        self.clock.advance(0)
        self.assertEqual((len(self.inbox.lost), self.clock.getDelayedCalls()), (1, []))

    def test_reasons(self) -> None:
        """
        The end has a reason, whatever has ended the stream.
        """
        for error in (ConnectionDone(), ConnectionLost(), OSError(), ValueError("no such pigeon")):
            connection, _ = self.connected()
            self.ends(connection, error)
        self.assertEqual(self.inbox.lost[0], "closed by the other end")
        self.assertEqual(self.inbox.lost[2:], ["OSError", "no such pigeon"])
        self.assertTrue(self.inbox.lost[1])

    def test_stopped(self) -> None:
        """
        When all ends, every connection is closed, one that is made meanwhile as well, and the end
        of all waits until the receivers have been told.
        """
        stopping = self.life.stop()
        late, lateStream = self.connected()
        self.assertTrue(self.stream.disconnecting)
        self.assertTrue(lateStream.disconnecting)
        self.ends(self.connection, ConnectionDone())
        self.assertNoResult(stopping)
        stopping.addCallback(lambda _: self.assertEqual(len(self.inbox.lost), 2))
        self.ends(late, ConnectionDone())
        self.successResultOf(stopping)

    def test_remote(self) -> None:
        """
        An address is told as people write it.
        """
        addresses = (THERE, IPv6Address("TCP", "2001:db8::1", 1), HostnameAddress(b"a.example", 2))
        said = [self.connected(each)[0].remote for each in addresses]
        self.assertEqual(said[:2], ["192.0.2.2:54000", "[2001:db8::1]:1"])
        self.assertTrue(said[2])
        self.assertIn("/run/x", self.connected(UNIXAddress("/run/x"))[0].remote)


@implementer(IStreamClientEndpoint)
class Endpoint:
    """
    An endpoint that gives what the test says.
    """

    def __init__(self, answer: Callable[[Any], Deferred[Any]]) -> None:
        self.connect = answer


def giving(result: Deferred[Any]) -> Callable[[Any], Deferred[Any]]:
    """
    The answer of an endpoint, whoever asks.
    """
    return lambda _: result


class ConnectTests(SynchronousTestCase):
    """
    Connecting over an endpoint.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.connection = PacketProtocol(self.clock, Inbox(), Lifetime(), name="test")

    def attempt(self, answer: Callable[[Any], Deferred[Any]]) -> Deferred[PacketProtocol]:
        """
        An attempt to connect.
        """
        return Deferred.fromCoroutine(self.connection.connect(Endpoint(answer)))

    def reason(self, attempt: Deferred[Any]) -> str:
        """
        Why it failed.
        """
        error = self.failureResultOf(attempt, TransportUnavailable).value
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return str(error)

    def test_connects(self) -> None:
        """
        It becomes the connection that the endpoint makes.
        """

        def answer(factory: Any) -> Deferred[Any]:
            protocol = factory.buildProtocol(THERE)
            protocol.makeConnection(Stream(hostAddress=HERE, peerAddress=THERE))
            done: Deferred[Any] = Deferred()
            done.callback(protocol)
            return done

        self.assertIs(self.successResultOf(self.attempt(answer)), self.connection)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_fails(self) -> None:
        """
        Whatever the endpoint fails with is a reason.
        """
        for error, reason in ((OSError("no route"), "no route"), (KeyError(), "KeyError")):
            self.assertEqual(self.reason(self.attempt(giving(fail(error)))), reason)

    def test_late(self) -> None:
        """
        An endpoint that says nothing is given up, whatever it does when it is.
        """
        cancels: Sequence[Any] = (None, lambda each: each.errback(OSError("given up")))
        for cancel in cancels:
            attempt = self.attempt(giving(Deferred(cancel)))
            self.clock.advance(CONNECT_TIME)
            self.assertEqual(self.reason(attempt), f"no connection in {CONNECT_TIME:g} s")


class Host(Reception):
    """
    A transport that strangers connect to.
    """

    name = "test"


class FactoryTests(SynchronousTestCase):
    """
    Those who connect.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.host = Host(self.clock)
        self.life = Lifetime()
        self.door = Door(opens=False)
        self.factory = PacketFactory(self.clock, self.host, self.life, self.door)

    def comes(self, port: int = 1) -> tuple[PacketProtocol, Stream]:
        """
        Somebody connects.
        """
        address = IPv4Address("TCP", "192.0.2.3", port)
        connection = self.factory.buildProtocol(address)
        stream = Stream(hostAddress=HERE, peerAddress=address)
        connection.makeConnection(stream)
        return connection, stream

    def test_interface(self) -> None:
        """
        A connection has what the node wants of a path.
        """
        verifyClass(IPathTransport, PacketProtocol)

    def test_stranger(self) -> None:
        """
        Who has connected is a stranger, by their address, until they are opened; then the limit
        of time is theirs no more.
        """
        connection, stream = self.comes(7)
        connection.dataReceived(framed(b"hello"))
        ((packet, conversation),) = self.door.strays
        self.assertEqual((packet, conversation.key), (b"hello", b"192.0.2.3:7"))
        self.assertEqual((conversation.name, conversation.remote), ("test", "192.0.2.3:7"))
        self.assertTrue(conversation.sendPacket(b"answer"))
        self.assertEqual(stream.value(), framed(b"answer"))
        inbox = Inbox()
        self.assertIs(conversation.open(inbox), connection)
        self.assertRaises(TransportUnavailable, conversation.open, Inbox())
        connection.dataReceived(framed(b"packet"))
        self.assertEqual((inbox.packets, len(self.door.strays)), ([b"packet"], 1))
        self.assertEqual((self.host.strangers, self.clock.getDelayedCalls()), ({}, []))

    def test_time(self) -> None:
        """
        A stranger is closed after a while, and forgotten when it is gone.
        """
        connection, stream = self.comes()
        self.clock.advance(STRANGER_TIME)
        self.assertTrue(stream.disconnecting)
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.host.strangers, self.life.paths), ({}, set()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_number(self) -> None:
        """
        The oldest of too many is closed for the newest, and counted.
        """
        self.patch(strangers, "MOST_STRANGERS", 3)
        streams = [self.comes(port)[1] for port in range(1, 6)]
        closed = [stream.disconnecting for stream in streams]
        self.assertEqual(closed, [True, True, False, False, False])
        self.assertEqual((len(self.host.strangers), self.host.strangersDropped), (3, 2))

    def test_closed(self) -> None:
        """
        A stranger that was closed cannot be opened, and what it still sends is nobody's.
        """
        connection, stream = self.comes()
        connection.dataReceived(framed(b"hello"))
        conversation = self.door.strays[0][1]
        conversation.close()
        conversation.close()
        self.assertTrue(stream.disconnecting)
        self.assertRaises(TransportUnavailable, conversation.open, Inbox())
        connection.dataReceived(framed(b"more"))
        self.assertEqual(len(self.door.strays), 1)

    def test_failingAcceptor(self) -> None:
        """
        An acceptor that raises hurts nobody.
        """
        self.patch(self.door, "strayReceived", lambda *_: 1 / 0)
        connection, stream = self.comes()
        connection.dataReceived(framed(b"hello", b"hello"))
        self.assertEqual((connection.failed, stream.disconnecting), (2, False))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
