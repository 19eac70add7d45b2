"""
Tests of C{bmff.sockets.descriptor}: what a connection promises apart from any transport.
"""

from __future__ import annotations

import select
import socket

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from bmff.ibmff import IPathReceiver, IPathTransport
from bmff.sockets.descriptor import (
    CLOSED_HERE,
    CLOSED_THERE,
    LARGEST,
    STREAM_TURN,
    TURN,
    Connection,
    Nobody,
    SequencedConnection,
    StreamConnection,
)
from bmff.testing.transports import Inbox
from tests.sockets.descriptors import DescriptorClock, Faulty, waitToWrite


def frame(packet: bytes) -> bytes:
    """
    A packet as it goes into a stream.
    """
    return len(packet).to_bytes(2, "big") + packet


class Successor(Inbox):
    """
    A receiver that hands the connection on at the first packet.
    """

    def __init__(self, heir: Inbox) -> None:
        super().__init__()
        self.heir = heir
        self.connection: Connection

    def packetReceived(self, data: bytes, now: float) -> None:
        super().packetReceived(data, now)
        self.connection.receiver = self.heir


class ConnectionCase(SynchronousTestCase):
    """
    What the tests of both kinds stand on: a connection, and a plain socket at the other end.
    """

    kind = socket.SOCK_SEQPACKET
    connectionClass: type[Connection] = SequencedConnection

    def setUp(self) -> None:
        self.clock = DescriptorClock()
        self.inbox = Inbox()
        self.connection = self.connect(self.inbox)

    def connect(self, inbox: Inbox) -> Connection:
        """
        A connection whose other end is C{far}.
        """
        near, self.far = socket.socketpair(socket.AF_UNIX, self.kind)
        self.addCleanup(near.close)
        self.addCleanup(self.far.close)
        self.far.setblocking(False)
        connection = self.connectionClass(self.clock, near, inbox, name="test", remote="there")
        connection.start()
        return connection

    def fill(self, packet: bytes = bytes(500)) -> int:
        """
        Send until the kernel is full.

        @return: how many packets it has taken.
        """
        taken = 0
        while self.connection.sendPacket(packet):
            taken += 1
        return taken

    def drain(self) -> bytes:
        """
        Read all that the other end has got.
        """
        chunks = []
        while True:
            try:
                chunks.append(self.far.recv(1 << 16))
            except BlockingIOError:
                return b"".join(chunks)


class CommonTests(ConnectionCase):
    """
    The promises of a connection, here of one that keeps boundaries; a subclass changes that.
    """

    def put(self, *packets: bytes) -> None:
        """
        Send from the other end.
        """
        for packet in packets:
            self.far.send(packet)

    def test_interfaces(self) -> None:
        """
        A connection is a path and a descriptor, and nobody is a receiver.
        """
        verifyObject(IPathTransport, self.connection)
        verifyClass(IReadWriteDescriptor, type(self.connection))
        verifyObject(IPathReceiver, Nobody())
        self.assertEqual(self.connection.logPrefix(), "test there")

    def test_immediate(self) -> None:
        """
        What is sent is in the kernel when C{sendPacket} returns.
        """
        self.assertTrue(self.connection.sendPacket(b"packet"))
        self.assertTrue(self.drain().endswith(b"packet"))
        self.assertEqual((self.connection.packetsSent, self.connection.refused), (1, 0))

    def test_received(self) -> None:
        """
        All packets of one turn carry the time of its start, and are counted.
        """
        self.clock.advance(7)
        times: list[float] = []
        self.patch(self.inbox, "packetReceived", lambda data, now: times.append(now))
        self.put(b"a", b"b")
        self.connection.doRead()
        self.assertEqual(times, [7.0, 7.0])
        self.assertEqual(self.connection.packetsReceived, 2)

    def test_nothing(self) -> None:
        """
        A turn in which nothing is there hands over nothing and flushes nobody.
        """
        self.connection.doRead()
        self.assertEqual((self.inbox.turns, self.inbox.lost), ([], []))

    def test_waiting(self) -> None:
        """
        The reactor is asked for room once a packet was refused, until there is; the receiver is
        told once however many were refused.
        """
        self.assertEqual(self.clock.writers, [])
        taken = self.fill()
        self.assertEqual(self.clock.writers, [self.connection])
        self.assertFalse(self.connection.sendPacket(b"packet"))
        self.assertEqual((self.connection.packetsSent, self.connection.refused), (taken, 2))
        self.drain()
        self.assertTrue(waitToWrite(self.connection))
        for _ in range(3):
            if self.clock.writers:
                self.connection.doWrite()
        self.assertEqual((self.clock.writers, self.inbox.writables), ([], 1))
        self.assertTrue(self.connection.sendPacket(b"packet"))

    def test_badSizeNotAwaited(self) -> None:
        """
        A packet of a size that never fits is refused without waiting for room.
        """
        self.assertFalse(self.connection.sendPacket(bytes(LARGEST + 1)))
        self.assertFalse(self.connection.sendPacket(b""))
        self.assertEqual((self.clock.writers, self.connection.refused), ([], 2))

    def test_succession(self) -> None:
        """
        When the receiver is replaced in mid-turn the rest goes to the new one, and both are
        flushed, once.
        """
        first = Successor(self.inbox)
        self.connection.receiver = first
        first.connection = self.connection
        self.put(b"a", b"b", b"c")
        self.connection.doRead()
        self.assertEqual((first.packets, self.inbox.packets), ([b"a"], [b"b", b"c"]))
        self.assertEqual((first.turns, self.inbox.turns), ([1], [2]))

    def test_end(self) -> None:
        """
        The other end's closing is told in a later turn, once, after what it had sent.
        """
        self.put(b"last")
        self.far.close()
        self.connection.doRead()
        self.connection.doRead()
        self.assertEqual((self.inbox.packets, self.inbox.lost), ([b"last"], []))
        self.assertEqual((self.clock.readers, self.connection.fileno()), ([], -1))
        self.connection.connectionLost(Failure(CONNECTION_LOST))
        self.connection.doRead()
        self.clock.advance(0)
        self.assertEqual(self.inbox.lost, [CLOSED_THERE])

    def test_loseConnection(self) -> None:
        """
        Our own closing is told in a later turn, once, and closes the socket at once.
        """
        lost: list[Connection] = []
        self.connection.lost = lost.append
        self.connection.loseConnection()
        self.assertEqual(self.far.recv(1), b"")
        self.connection.loseConnection()
        self.assertEqual((self.inbox.lost, lost), ([], []))
        self.clock.advance(0)
        self.assertEqual((self.inbox.lost, lost), ([CLOSED_HERE], [self.connection]))
        self.assertFalse(self.connection.sendPacket(b"packet"))
        self.assertEqual(self.clock.writers, [])

    def test_loseWhileFull(self) -> None:
        """
        A connection that is closed while it waits for room lets go of the reactor and is not told
        of any.
        """
        self.fill()
        self.connection.loseConnection()
        self.assertEqual((self.clock.writers, self.clock.readers), ([], []))
        self.clock.advance(0)
        self.assertEqual((self.inbox.writables, self.inbox.lost), (0, [CLOSED_HERE]))

    def test_reactorStops(self) -> None:
        """
        When the reactor lets go of the socket the receiver is told at once: there may be no later
        turn.
        """
        self.connection.connectionLost(Failure(CONNECTION_LOST))
        self.assertEqual(len(self.inbox.lost), 1)
        self.assertEqual(self.connection.fileno(), -1)

    def test_sendFails(self) -> None:
        """
        When nothing can be sent any more what has come before is still received, then the reason
        is told.
        """
        self.put(b"last")
        self.far.close()
        self.assertFalse(self.connection.sendPacket(b"packet"))
        self.assertEqual(self.clock.writers, [])
        self.connection.doRead()
        self.connection.doRead()
        self.clock.advance(0)
        self.assertEqual(self.inbox.packets, [b"last"])
        self.assertEqual(self.inbox.lost, ["Broken pipe"])

    def test_reset(self) -> None:
        """
        An error of the kernel is the reason that is told.
        """
        self.put(b"packet")
        self.connection.sendPacket(b"unread")
        self.far.close()  # with something unread, so that it breaks off
        self.connection.doRead()
        self.connection.doRead()
        self.clock.advance(0)
        self.assertEqual(self.inbox.lost, ["Connection reset by peer"])

    def test_faulty(self) -> None:
        """
        Whatever the receiver raises is counted, and logged at most once a second; the connection
        goes on.
        """
        faulty = Faulty()
        self.connection.receiver = faulty
        self.put(b"a", b"b")
        self.connection.doRead()
        self.assertEqual((faulty.packets, faulty.turns), ([b"a", b"b"], [2]))
        self.assertEqual(self.connection.failed, 3)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.clock.advance(1)
        self.fill()
        self.drain()
        while self.clock.writers:
            self.connection.doWrite()
        self.assertEqual((faulty.writables, self.connection.failed), (1, 4))
        self.connection.loseConnection()
        self.clock.advance(0)
        self.assertEqual((len(faulty.lost), self.connection.failed), (1, 5))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_faultySuccessor(self) -> None:
        """
        A receiver that took over in mid-turn and raises when it is flushed is counted as well.
        """
        first = Successor(Faulty())
        self.connection.receiver = first
        first.connection = self.connection
        self.put(b"a")
        self.connection.doRead()
        self.assertEqual(self.connection.failed, 1)
        self.flushLoggedErrors(ValueError)

    def test_closeInPacket(self) -> None:
        """
        A receiver that closes gets nothing of what came behind.
        """
        self.inbox.path, self.inbox.closes = self.connection, True
        self.put(b"a", b"b", b"c")
        self.connection.doRead()
        self.clock.advance(0)
        self.assertEqual((self.inbox.packets, self.inbox.lost), ([b"a"], [CLOSED_HERE]))

    def test_stays(self) -> None:
        """
        A connection does not move.
        """
        self.connection.moveTo(object())
        self.connection.sendPacket(b"packet")
        self.assertTrue(self.drain().endswith(b"packet"))


class SequencedTests(ConnectionCase):
    """
    The promises of a socket that keeps boundaries.
    """

    def test_turn(self) -> None:
        """
        One turn takes a bounded number of packets, the next one the rest.
        """
        for number in range(TURN + 5):
            self.far.send(b"%d" % number)
        self.connection.doRead()
        self.assertEqual(self.inbox.turns, [TURN])
        self.connection.doRead()
        self.assertEqual(self.inbox.turns, [TURN, 5])
        self.assertEqual(self.inbox.packets, [b"%d" % number for number in range(TURN + 5)])

    def test_largest(self) -> None:
        """
        The largest packet is received whole; one byte more ends the connection.
        """
        self.far.send(bytes(LARGEST))
        self.far.send(bytes(LARGEST + 1))
        self.connection.doRead()
        self.clock.advance(0)
        self.assertEqual(self.inbox.packets, [bytes(LARGEST)])
        self.assertEqual(self.inbox.lost, ["a packet too long"])

    def test_unknownQueue(self) -> None:
        """
        Where the kernel does not tell how much is queued, each turn takes one packet.
        """
        self.patch(SequencedConnection, "_left", lambda self: 0)
        self.far.send(b"a")
        self.far.send(b"b")
        self.connection.doRead()
        self.assertEqual(self.inbox.packets, [b"a"])
        self.connection.doRead()
        self.assertEqual(self.inbox.packets, [b"a", b"b"])


class StreamTests(CommonTests):
    """
    A stream keeps the promises of a connection, and its own.
    """

    kind = socket.SOCK_STREAM
    connectionClass = StreamConnection

    def put(self, *packets: bytes) -> None:
        """
        Send from the other end, all at once.
        """
        self.far.send(b"".join(map(frame, packets)))

    def feed(self, chunk: bytes) -> None:
        """
        Send bytes from the other end, and have them read.
        """
        while chunk:
            chunk = chunk[self.far.send(chunk) :]
            while select.select([self.connection], [], [], 0)[0]:
                self.connection.doRead()

    @given(
        packets=st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=12),
        cuts=st.lists(st.integers(1, 700), max_size=40),
    )
    def test_cuts(self, packets: list[bytes], cuts: list[int]) -> None:
        """
        However the stream is cut, its packets are the same.
        """
        inbox = Inbox()
        self.connection = self.connect(inbox)
        stream = b"".join(map(frame, packets))
        for cut in cuts:
            self.feed(stream[:cut])
            stream = stream[cut:]
        self.feed(stream)
        self.assertEqual(inbox.packets, packets)
        self.assertEqual((sum(inbox.turns), 0 in inbox.turns), (len(packets), False))
        self.connection.loseConnection()
        self.far.close()

    def test_largest(self) -> None:
        """
        Packets of the largest size come whole at any place in the buffer.
        """
        packets = [bytes([number]) * (LARGEST - number % 3) for number in range(8)]
        for packet in packets:
            self.feed(frame(b"x") + frame(packet))
        self.assertTrue(self.inbox.packets[1::2] == packets)  # the difference would be long

    def test_turn(self) -> None:
        """
        One turn takes a bounded number of bytes.
        """
        self.far.send(frame(b"x") * STREAM_TURN)
        self.connection.doRead()
        self.assertEqual(self.inbox.turns, [STREAM_TURN // 3])

    @given(st.binary(max_size=5), st.binary(max_size=40))
    def test_noLength(self, before: bytes, after: bytes) -> None:
        """
        A packet of no length ends the connection; what is before it is received, nothing behind.
        """
        inbox = Inbox()
        self.connection = self.connect(inbox)
        packets = [before] if before else []
        self.far.send(b"".join(map(frame, packets)) + bytes(2) + after)
        self.connection.doRead()
        self.clock.advance(0)
        self.assertEqual(inbox.packets, packets)
        self.assertEqual(inbox.lost, ["a packet of no length"])
        self.far.close()

    def test_rest(self) -> None:
        """
        The rest of a packet that the kernel took a part of goes out first, and nothing is refused
        for it alone.
        """
        packet = bytes(range(250)) * 200
        taken = 0
        while not self.clock.writers:
            taken += self.connection.sendPacket(packet)
        got = bytearray()
        while self.clock.writers:
            got += self.drain()
            self.assertTrue(waitToWrite(self.connection))
            self.connection.doWrite()
        got += self.drain()
        self.assertEqual(bytes(got), frame(packet) * taken)

    def test_restLost(self) -> None:
        """
        When the rest cannot be sent any more the connection ends, and nobody is told of room.
        """
        while not self.clock.writers:
            self.connection.sendPacket(bytes(50000))
        self.far.close()
        self.connection.doWrite()
        self.assertEqual(self.clock.writers, [])
        self.assertFalse(self.connection.sendPacket(b"packet"))
        self.connection.doRead()
        self.connection.doRead()
        self.clock.advance(0)
        self.assertEqual((len(self.inbox.lost), self.inbox.writables), (1, 0))
