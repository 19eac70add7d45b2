"""
Tests of C{bmff.sockets.listener}.
"""

from __future__ import annotations

import errno
import resource
import socket

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from bmff.sockets.listener import REST, TURN, Listener
from tests.sockets.descriptors import DescriptorClock, waitToRead


class AbortingSocket(socket.socket):
    """
    A socket whose first connection ends while it waits.

    @ivar aborted: how many have.
    """

    aborted = 0

    def accept(self) -> tuple[socket.socket, object]:
        if not self.aborted:
            self.aborted += 1
            raise ConnectionAbortedError(errno.ECONNABORTED, "aborted")
        return super().accept()


class ListenerTests(SynchronousTestCase):
    """
    Tests of L{Listener}.
    """

    def setUp(self) -> None:
        self.clock = DescriptorClock()
        self.accepted: list[socket.socket] = []
        self.bound = AbortingSocket()
        self.bound.aborted = 1
        self.bound.bind(("127.0.0.1", 0))
        self.listener = Listener(self.clock, self.bound, self.accepted.append)
        self.addCleanup(self.listener.stop)
        self.listener.start()

    def tearDown(self) -> None:
        for sock in self.accepted:
            sock.close()

    def come(self, number: int) -> None:
        """
        Others connect.
        """
        for _ in range(number):
            self.addCleanup(socket.create_connection(self.bound.getsockname()).close)

    def test_accept(self) -> None:
        """
        Who connects is handed over, a bounded number each turn.
        """
        verifyObject(IReadDescriptor, self.listener)
        self.assertEqual(self.clock.readers, [self.listener])
        self.come(TURN + 3)
        self.assertTrue(waitToRead(self.listener))
        self.listener.doRead()
        self.assertEqual(len(self.accepted), TURN)
        self.listener.doRead()
        self.listener.doRead()
        self.assertEqual((len(self.accepted), self.listener.accepted), (TURN + 3, TURN + 3))

    def test_exhausted(self) -> None:
        """
        Without free descriptors accepting rests a while, and then goes on; nobody is lost.
        """
        self.come(2)
        self.assertTrue(waitToRead(self.listener))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            self.listener.doRead()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual((self.clock.readers, self.listener.exhausted), ([], 1))
        self.clock.advance(REST)
        self.assertEqual(self.clock.readers, [self.listener])
        self.listener.doRead()
        self.assertEqual(len(self.accepted), 2)

    def test_stopWhileResting(self) -> None:
        """
        A listener that is stopped while it rests does not go on.
        """
        self.patch(self.bound, "accept", self._noRoom)
        self.listener.doRead()
        self.listener.stop()
        self.clock.advance(REST)
        self.assertEqual((self.clock.readers, self.clock.getDelayedCalls()), ([], []))

    def _noRoom(self) -> None:
        raise OSError(errno.EMFILE, "no room")

    def test_aborted(self) -> None:
        """
        A connection that ended while it waited keeps none behind it from being accepted.
        """
        self.bound.aborted = 0
        self.come(1)
        self.assertTrue(waitToRead(self.listener))
        self.listener.doRead()
        self.assertEqual((len(self.accepted), self.bound.aborted), (1, 1))

    def test_faulty(self) -> None:
        """
        A connection whose taker raises is closed and logged, and those behind it are accepted.
        """
        self.patch(self.listener, "_connected", self._refuseFirst)
        self.come(2)
        self.assertTrue(waitToRead(self.listener))
        self.listener.doRead()
        self.assertEqual((len(self.accepted), self.listener.failed), (1, 1))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def _refuseFirst(self, sock: socket.socket) -> None:
        if self.listener.accepted == 1:
            raise ValueError(sock)
        self.accepted.append(sock)

    def test_stop(self) -> None:
        """
        A listener may be stopped, twice and from within, and is closed then.
        """
        self.patch(self.listener, "_connected", self._stopped)
        self.come(2)
        self.assertTrue(waitToRead(self.listener))
        self.listener.doRead()
        self.assertEqual((len(self.accepted), self.listener.fileno()), (1, -1))
        self.assertEqual(self.clock.readers, [])
        self.listener.stop()
        self.listener.start()
        self.assertEqual(self.clock.readers, [])

    def _stopped(self, sock: socket.socket) -> None:
        self.accepted.append(sock)
        self.listener.stop()

    def test_reactorStops(self) -> None:
        """
        The socket is closed when the reactor lets go of it.
        """
        self.assertEqual(self.listener.logPrefix(), "Listener")
        self.listener.connectionLost(Failure(CONNECTION_LOST))
        self.assertEqual(self.listener.fileno(), -1)
