"""
Tests of C{bmff.sockets.mmsg}: the tables by themselves.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import sys
from importlib.util import module_from_spec, spec_from_file_location
from struct import pack
from unittest import SkipTest

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.sockets import mmsg
from tests.sockets.ports import Sink, reportErrors


class TableTests(SynchronousTestCase):
    """
    Tables on a socket, without a port.
    """

    def setUp(self) -> None:
        if not mmsg.available:
            raise SkipTest("no recvmmsg and sendmmsg (C library or sandbox)")
        self.sink = Sink("127.0.0.1")
        self.addCleanup(self.sink.close)
        self.sender = Sink("127.0.0.1")
        self.addCleanup(self.sender.close)
        self.descriptor = self.sender.socket.fileno()

    def receive(self, table: mmsg.ReceiveTable, count: int) -> list[tuple[bytes, bytes]]:
        """
        So many datagrams, by as many calls as that takes.
        """
        received: list[tuple[bytes, bytes]] = []
        while len(received) < count:
            self.assertTrue(self.sink.wait())
            received += table.receive()
        return received

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from([(0, 4, 0), (0, 0, 3), (3, 0, 0), (11, 4, 40)]),
        st.integers(1, 9),
        st.lists(st.one_of(st.none(), st.integers(0, 20)), max_size=60),
    )
    def test_rows(
        self, sizes: tuple[int, int, int], capacity: int, changes: list[int | None]
    ) -> None:
        """
        Whatever was added and removed, each row's datagram arrives, in the rows' order.
        """
        table = mmsg.SendTable(socket.AF_INET, *sizes, capacity)
        model: list[bytes] = []
        for number, change in enumerate(changes):
            if change is None or change >= len(model):
                model.append(pack(">I", number)[: sizes[1]])
                table.add(self.sink.address, model[-1])
            else:
                model[change] = model[-1]
                model.pop()
                table.remove(change)
        prefix, suffix = b"p" * sizes[0], b"s" * sizes[2]
        self.assertEqual(table.send(self.descriptor, prefix, suffix), len(model))
        expected = [prefix + middle + suffix for middle in model]
        self.assertEqual(self.sink.receive(len(model)), expected)
        self.assertTrue(self.sink.empty())

    def test_sendStops(self) -> None:
        """
        A send stops at a row that fails, and the rows from any on can be sent by themselves.
        """
        table = mmsg.SendTable(socket.AF_INET, 1, 1, 1)
        unusable = self.sink.address[:2] + bytes(2) + self.sink.address[4:]
        for address, middle in (
            (self.sink.address, b"a"),
            (unusable, b"b"),
            (self.sink.address, b"c"),
        ):
            table.add(address, middle)
        self.assertEqual(table.send(self.descriptor, b"<", b">"), 1)
        self.assertEqual(table.sendFrom(self.descriptor, 1), -1)
        self.assertEqual(ctypes.get_errno(), errno.EINVAL)
        self.assertEqual(table.sendFrom(self.descriptor, 2), 1)
        self.assertEqual(self.sink.receive(2), [b"<a>", b"<c>"])

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 8), st.integers(1, 32))
    def test_receive(self, lengths: list[int], count: int, size: int) -> None:
        """
        Datagrams up to the size are received whole with their sender, the rest is counted.
        """
        table = mmsg.ReceiveTable(socket.AF_INET, count, size)
        table.attach(self.sink.socket)
        sent = [bytes((number,)) * length for number, length in enumerate(lengths)]
        for data in sent:
            self.sender.socket.sendto(data, self.sink.name)
        whole = [(data, self.sender.address) for data in sent if len(data) <= size]
        received: list[tuple[bytes, bytes]] = []
        while len(received) + table.tooLong < len(sent):
            self.assertTrue(self.sink.wait())
            turn = table.receive()
            self.assertLessEqual(len(turn), count)
            received += turn
        self.assertEqual(received, whole)
        self.assertEqual((table.tooLong, table.errors), (len(sent) - len(whole), 0))

    def test_receiveNothing(self) -> None:
        """
        A table does not wait, not even on a socket that would.
        """
        table = mmsg.ReceiveTable(socket.AF_INET)
        self.sink.socket.setblocking(True)
        table.attach(self.sink.socket)
        self.assertEqual((list(table.receive()), table.errors), ([], 0))

    def test_receiveError(self) -> None:
        """
        An error of the socket is counted, and the next call receives.
        """
        table = mmsg.ReceiveTable(socket.AF_INET)
        table.attach(self.sink.socket)
        reportErrors(self.sink.socket)
        gone = Sink("127.0.0.1")
        gone.close()
        self.sink.socket.sendto(b"lost", gone.name)
        self.assertEqual((list(table.receive()), table.errors), ([], 1))
        self.sender.socket.sendto(b"kept", self.sink.name)
        self.assertEqual(self.receive(table, 1), [(b"kept", self.sender.address)])

    def test_detached(self) -> None:
        """
        A table without a socket receives nothing and counts the attempt.
        """
        table = mmsg.ReceiveTable(socket.AF_INET)
        table.attach(self.sink.socket)
        table.attach(None)
        self.sender.socket.sendto(b"late", self.sink.name)
        self.assertEqual((list(table.receive()), table.errors), ([], 1))

    def test_dropsAnew(self) -> None:
        """
        The kernel counts for each socket anew; the table's count goes on.
        """
        table = mmsg.ReceiveTable(socket.AF_INET)
        total = 0
        for _ in range(2):
            self.sink = Sink("127.0.0.1")
            self.addCleanup(self.sink.close)
            self.sink.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            table.attach(self.sink.socket)
            for _ in range(300):
                self.sender.socket.sendto(b"flood", self.sink.name)
            received = 0
            while not self.sink.empty():
                received += len(table.receive())
            self.sender.socket.sendto(b"last", self.sink.name)
            received += len(self.receive(table, 1))
            total += 301 - received
            self.assertGreater(received, 1)
            self.assertEqual(table.drops, total)
        self.assertGreater(total, 0)


class MissingTests(SynchronousTestCase):
    """
    A system without the calls.
    """

    def test_otherSystem(self) -> None:
        """
        There the module can be imported, says that nothing is available, and a call fails as on a
        kernel without it.
        """
        self.patch(sys, "platform", "darwin")
        spec = spec_from_file_location("elsewhere", mmsg.__file__)
        assert spec is not None
        assert spec.loader is not None
        elsewhere = module_from_spec(spec)
        spec.loader.exec_module(elsewhere)
        self.assertFalse(elsewhere.available)
        table = elsewhere.SendTable(socket.AF_INET, 1, 1, 1)
        self.assertEqual((table.send(1, b"<", b">"), ctypes.get_errno()), (-1, errno.ENOSYS))
