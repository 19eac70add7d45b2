"""
Tests of C{bmff.sockets.fanout}: one datagram to many.
"""

from __future__ import annotations

import ctypes
import errno
import socket
from struct import pack
from unittest import SkipTest

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.sockets import mmsg
from bmff.sockets.addresses import packAddress
from bmff.sockets.datagrams import DatagramPort, FanOut, PlainFanOut
from bmff.sockets.fanout import TableFanOut
from tests.sockets.ports import FullSocket, Inbox, ReadingClock, Sink, hasIPv6, reportErrors

PREFIX = b"DMRD-prefix"
SUFFIX = bytes(range(40))


class FullCall:
    """
    sendmmsg of a kernel whose buffer becomes full.

    @ivar room: datagrams that it still takes.
    @ivar calls: how often it was called.
    """

    def __init__(self, room: int, reason: int = errno.EAGAIN) -> None:
        self.room = room
        self.calls = 0
        self._reason = reason
        self._call = mmsg.sendmmsg

    def __call__(self, descriptor: int, rows: object, count: int, flags: int) -> int:
        self.calls += 1
        if not self.room:
            ctypes.set_errno(self._reason)
            return -1
        took = self._call(descriptor, rows, min(count, self.room), flags)
        self.room -= took
        return took


class FanOutTests(SynchronousTestCase):
    """
    The promises of a fan-out, here IPv4 and many datagrams a call; subclasses change that.

    @cvar host: where the port is bound.
    @cvar batched: whether it may use sendmmsg.
    """

    host = "127.0.0.1"
    batched = True

    def setUp(self) -> None:
        if ":" in self.host and not hasIPv6():
            raise SkipTest("no IPv6 loopback (::1 cannot be bound)")
        if self.batched and not mmsg.available:
            raise SkipTest("no recvmmsg and sendmmsg (C library or sandbox)")
        self.patch(mmsg, "available", self.batched)
        sock = FullSocket(
            socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_DGRAM
        )
        sock.room = 1_000_000
        sock.bind((self.host, 0))
        self.socket = sock
        self.port = DatagramPort.adopt(ReadingClock(), sock, Inbox())
        self.addCleanup(self.port.stopListening)
        self.fan = self.port.fanOut(len(PREFIX), 4, len(SUFFIX))
        self.bad = packAddress(self.host, 0)

    def sinks(self, count: int) -> list[Sink]:
        """
        Sockets to send to.
        """
        sinks = [Sink(self.host) for _ in range(count)]
        for sink in sinks:
            self.addCleanup(sink.close)
        return sinks

    def fill(self, room: int) -> None:
        """
        Let the kernel take only so many datagrams more.
        """
        self.socket.room = room
        self.patch(mmsg, "sendmmsg", FullCall(room))

    def counted(self) -> tuple[int, int, int]:
        """
        What the port counts.
        """
        return self.port.sent, self.port.sendDrops, self.port.sendErrors

    def test_kind(self) -> None:
        """
        The table is used where it can be, and only there.
        """
        self.assertIs(type(self.fan), TableFanOut if self.batched else PlainFanOut)

    def test_everyRow(self) -> None:
        """
        Every row gets its own datagram, whatever their number; rows may be added at any time.
        """
        sinks = self.sinks(40)
        for number, sink in enumerate(sinks):
            self.assertEqual(len(self.fan), number)
            self.fan.add(sink.address, pack(">I", number))
            self.fan.send(PREFIX, SUFFIX)
            for other, earlier in enumerate(sinks[: number + 1]):
                expected = PREFIX + pack(">I", other) + SUFFIX
                self.assertEqual(earlier.receive(1), [expected])
        self.assertEqual(self.counted(), (40 * 41 // 2, 0, 0))

    def test_eachSend(self) -> None:
        """
        Each send carries its own prefix and suffix.
        """
        sinks = self.sinks(3)
        for sink in sinks:
            self.fan.add(sink.address, b"mine")
        for number in range(5):
            self.fan.send(bytes((number,)) * len(PREFIX), bytes((number + 9,)) * len(SUFFIX))
        expected = [
            bytes((number,)) * len(PREFIX) + b"mine" + bytes((number + 9,)) * len(SUFFIX)
            for number in range(5)
        ]
        for sink in sinks:
            self.assertEqual(sink.receive(5), expected)

    def test_noRows(self) -> None:
        """
        Without rows nothing is sent.
        """
        self.fan.send(PREFIX, SUFFIX)
        self.assertEqual(self.counted(), (0, 0, 0))

    def test_thousands(self) -> None:
        """
        More rows than the kernel takes at one call are sent as well.
        """
        sinks = self.sinks(12)
        for number in range(2100):
            self.fan.add(sinks[number % 12].address, pack(">I", number))
        self.fan.send(PREFIX, SUFFIX)
        self.assertEqual(self.counted(), (2100, 0, 0))
        for first, sink in enumerate(sinks):
            expected = [PREFIX + pack(">I", number) + SUFFIX for number in range(first, 2100, 12)]
            self.assertEqual(sink.receive(175), expected)

    def test_remove(self) -> None:
        """
        The last row moves into the place of a removed one.
        """
        sinks = self.sinks(4)
        for sink in sinks:
            self.fan.add(sink.address, b"mine")
        self.fan.remove(1)
        self.fan.remove(1)
        self.assertEqual(len(self.fan), 2)
        self.fan.send(PREFIX, SUFFIX)
        expected = PREFIX + b"mine" + SUFFIX
        self.assertEqual([sinks[0].receive(1), sinks[2].receive(1)], [[expected], [expected]])
        self.assertEqual([sink.empty() for sink in sinks], [True] * 4)

    def test_removeUnknown(self) -> None:
        """
        A row that is not there cannot be removed.
        """
        self.fan.add(self.bad, b"mine")
        for row in (-1, 1):
            self.assertRaises(IndexError, self.fan.remove, row)
        self.assertEqual(len(self.fan), 1)

    def test_clear(self) -> None:
        """
        A cleared fan-out sends to nobody, and to those added later.
        """
        before, after = self.sinks(2)
        for _ in range(20):
            self.fan.add(before.address, b"past")
        self.fan.clear()
        self.assertEqual(len(self.fan), 0)
        for _ in range(2):
            self.fan.add(after.address, b"next")
        self.fan.send(PREFIX, SUFFIX)
        self.assertEqual(after.receive(2), [PREFIX + b"next" + SUFFIX] * 2)
        self.assertTrue(before.empty())

    def test_unusable(self) -> None:
        """
        Rows whose address cannot be used are counted and stop no other, wherever they are.
        """
        (sink,) = self.sinks(1)
        # The long one first: nothing of it may go out with the shorter ones.
        patterns = "++++++++++- - -+ +- +-+ -+- --+ +-- --+--+- ---"
        for pattern in patterns.split():
            with self.subTest(pattern):
                self.fan.clear()
                sent, _, errors = self.counted()
                for number, mark in enumerate(pattern):
                    self.fan.add(sink.address if mark == "+" else self.bad, pack(">I", number))
                self.fan.send(PREFIX, SUFFIX)
                good = [number for number, mark in enumerate(pattern) if mark == "+"]
                self.assertEqual(
                    sink.receive(len(good)),
                    [PREFIX + pack(">I", number) + SUFFIX for number in good],
                )
                self.assertTrue(sink.empty())
                counted = (sent + len(good), 0, errors + len(pattern) - len(good))
                self.assertEqual(self.counted(), counted)

    def test_earlierError(self) -> None:
        """
        A row's ICMP error, which the kernel reports at the next row, costs no other row.
        """
        reportErrors(self.socket)
        gone, sink = self.sinks(2)
        gone.close()
        for address in (gone, sink, gone, gone, sink, gone):
            self.fan.add(address.address, b"mine")
        for _ in range(3):
            self.fan.send(PREFIX, SUFFIX)
            self.assertEqual(sink.receive(2), [PREFIX + b"mine" + SUFFIX] * 2)
        self.assertEqual(self.counted(), (18, 0, 0))

    def test_earlierErrorBetweenCalls(self) -> None:
        """
        Nor does it where more rows than the kernel takes at one call come to an end.
        """
        reportErrors(self.socket)
        gone, *sinks = self.sinks(9)
        gone.close()
        for number in range(1023):
            self.fan.add(sinks[number % 8].address, b"mine")
        self.fan.add(gone.address, b"mine")
        self.fan.add(sinks[0].address, b"last")
        self.fan.send(PREFIX, SUFFIX)
        self.assertEqual(self.counted(), (1025, 0, 0))
        self.assertEqual(sinks[0].receive(129)[-1], PREFIX + b"last" + SUFFIX)

    def test_full(self) -> None:
        """
        Rows for which the kernel has no room are dropped and counted, never waited for.
        """
        (sink,) = self.sinks(1)
        for number in range(9):
            self.fan.add(sink.address, pack(">I", number))
        self.fill(3)
        self.fan.send(PREFIX, SUFFIX)
        self.assertEqual(self.counted(), (3, 6, 0))
        self.fan.send(PREFIX, SUFFIX)
        self.assertEqual(self.counted(), (3, 15, 0))
        expected = [PREFIX + pack(">I", number) + SUFFIX for number in range(3)]
        self.assertEqual(sink.receive(3), expected)
        self.assertTrue(sink.empty())

    def test_closed(self) -> None:
        """
        What is sent after the port was stopped is counted and goes nowhere.
        """
        (sink,) = self.sinks(1)
        for count in (1, 5):
            while len(self.fan) < count:
                self.fan.add(sink.address, b"mine")
            self.port.stopListening()
            self.fan.send(PREFIX, SUFFIX)
        self.assertEqual(self.counted(), (0, 0, 6))
        self.assertTrue(sink.empty())

    def test_listeningAgain(self) -> None:
        """
        A fan-out outlives its port's stop and start.
        """
        (sink,) = self.sinks(1)
        for _ in range(2):
            self.fan.add(sink.address, b"mine")
        self.port.stopListening()
        self.port.startListening()
        self.fan.send(PREFIX, SUFFIX)
        self.assertEqual(sink.receive(2), [PREFIX + b"mine" + SUFFIX] * 2)


class PlainFanOutTests(FanOutTests):
    """
    The same without sendmmsg.
    """

    batched = False


class IPv6FanOutTests(FanOutTests):
    """
    The same over IPv6.
    """

    host = "::1"


class PlainIPv6FanOutTests(IPv6FanOutTests):
    """
    The same over IPv6 without sendmmsg.
    """

    batched = False


class TableFanOutTests(SynchronousTestCase):
    """
    What only the table can promise.
    """

    def setUp(self) -> None:
        if not mmsg.available:
            raise SkipTest("no recvmmsg and sendmmsg (C library or sandbox)")
        self.port = DatagramPort(ReadingClock(), "127.0.0.1", 0, Inbox())
        self.addCleanup(self.port.stopListening)
        self.fan = self.port.fanOut(len(PREFIX), 4, len(SUFFIX))
        self.calls = FullCall(1_000_000)
        self.patch(mmsg, "sendmmsg", self.calls)

    def test_oneCall(self) -> None:
        """
        Two and more rows, up to 1024, cost one system call.
        """
        sink = Sink("127.0.0.1")
        self.addCleanup(sink.close)
        for _ in range(2):
            self.fan.add(sink.address, b"mine")
        self.fan.send(PREFIX, SUFFIX)
        self.assertEqual((self.calls.calls, self.port.sent), (1, 2))

    def test_bounded(self) -> None:
        """
        Rows that all fail cost at most two calls each.
        """
        for _ in range(300):
            self.fan.add(packAddress("127.0.0.1", 0), b"mine")
        self.fan.send(PREFIX, SUFFIX)
        self.assertEqual((self.port.sent, self.port.sendErrors), (0, 300))
        self.assertLessEqual(self.calls.calls, 600)

    def test_closed(self) -> None:
        """
        A closed port is asked once.
        """
        for _ in range(300):
            self.fan.add(packAddress("127.0.0.1", 1), b"mine")
        self.port.stopListening()
        self.fan.send(PREFIX, SUFFIX)
        self.assertLessEqual(self.calls.calls, 2)

    def test_wrongSizes(self) -> None:
        """
        A row of another size or family is refused, and leaves the rows as they were.
        """
        address = packAddress("127.0.0.1", 1)
        for wrong, middle in (
            (packAddress("::1", 1), b"mine"),
            (address, b"min"),
            (address, b"mines"),
            (b"", b"mine"),
        ):
            self.assertRaises(ValueError, self.fan.add, wrong, middle)
        self.assertEqual(len(self.fan), 0)
        for _ in range(2):
            self.fan.add(address, b"mine")
        self.assertRaises(ValueError, self.fan.send, PREFIX[1:], SUFFIX)
        self.assertRaises(ValueError, self.fan.send, PREFIX, SUFFIX + b"x")
        self.assertEqual(self.port.sent, 0)


class RowTests(SynchronousTestCase):
    """
    Rows under any changes.
    """

    def rows(self, fan: FanOut, wire: list[bytes]) -> list[bytes]:
        """
        What a send hands to each row, the middle alone.
        """
        wire.clear()
        fan.send(b"<", b">")
        return [data[1:-1] for data in wire]

    @given(st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=80))
    def test_changes(self, changes: list[int | None]) -> None:
        """
        After any additions and removals, a fan-out and a list whose last row fills the gap agree.
        """
        wire: list[bytes] = []
        fan = PlainFanOut(lambda data, address: wire.append(data))
        model: list[bytes] = []
        for number, change in enumerate(changes):
            if change is None or change >= len(model):
                model.append(pack(">I", number))
                fan.add(packAddress("192.0.2.1", number), model[-1])
            else:
                model[change] = model[-1]
                model.pop()
                fan.remove(change)
            self.assertEqual(len(fan), len(model))
        self.assertEqual(self.rows(fan, wire), model)
