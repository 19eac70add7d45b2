"""
Tests of C{bmff.sockets.connector}.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IWriteDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from bmff.errors import TransportUnavailable
from bmff.sockets.connector import Connector
from tests.sockets.descriptors import DescriptorClock, waitToWrite

TIMEOUT = 3.0  # seconds


class ConnectorTests(SynchronousTestCase):
    """
    Tests of L{Connector}.
    """

    def setUp(self) -> None:
        self.clock = DescriptorClock()
        self.socket = socket.socket()
        self.addCleanup(self.socket.close)
        self.connector = Connector(self.clock, self.socket)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.server.close)
        self.address = self.server.getsockname()

    def reason(self, connecting: Deferred[socket.socket]) -> str:
        """
        Why there is no connection; then the socket is closed and nothing is left behind.
        """
        error = self.failureResultOf(connecting, TransportUnavailable).value
        assert isinstance(error, TransportUnavailable)
        self.left()
        return error.reason

    def left(self) -> None:
        """
        Nothing is left of the attempt.
        """
        self.assertEqual((self.clock.writers, self.clock.getDelayedCalls()), ([], []))
        self.assertEqual(self.connector.fileno(), -1)

    def test_connect(self) -> None:
        """
        The socket is handed over when it is connected, not blocking, and is let go of.
        """
        verifyObject(IWriteDescriptor, self.connector)
        self.assertEqual(self.connector.logPrefix(), "Connector")
        connecting = self.connector.connect(self.address, TIMEOUT)
        self.assertNoResult(connecting)
        self.assertTrue(waitToWrite(self.connector))
        self.connector.doWrite()
        self.assertIs(self.successResultOf(connecting), self.socket)
        self.assertEqual(self.socket.getpeername(), self.address)
        self.assertFalse(self.socket.getblocking())
        self.assertEqual((self.clock.writers, self.clock.getDelayedCalls()), ([], []))
        self.connector.connectionLost(Failure(CONNECTION_LOST))
        self.assertGreater(self.socket.fileno(), 0)

    def test_refused(self) -> None:
        """
        A refusal is the reason, whichever way the reactor notices it.
        """
        self.server.close()
        connecting = self.connector.connect(self.address, TIMEOUT)
        self.assertTrue(waitToWrite(self.connector))
        self.connector.doWrite()
        self.assertEqual(self.reason(connecting), "Connection refused")
        self.connector = Connector(self.clock, socket.socket())
        connecting = self.connector.connect(self.address, TIMEOUT)
        self.assertTrue(waitToWrite(self.connector))
        self.connector.connectionLost(Failure(CONNECTION_LOST))
        self.assertEqual(self.reason(connecting), "Connection refused")

    def test_timeout(self) -> None:
        """
        An attempt that takes too long is given up.
        """
        connecting = self.connector.connect(self.address, TIMEOUT)
        self.clock.advance(TIMEOUT)
        self.assertEqual(self.reason(connecting), "no answer in 3 s")

    def test_cancel(self) -> None:
        """
        A cancelled attempt is given up.
        """
        connecting = self.connector.connect(self.address, TIMEOUT)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.left()

    def test_noAddress(self) -> None:
        """
        What is no address is the reason.
        """
        addresses: tuple[Any, ...] = (
            (socket.AF_INET, ("127.0.0.1", 65536), "65535"),
            (socket.AF_UNIX, "/" + 200 * "x", "too long"),
        )
        for family, address, reason in addresses:
            self.connector = Connector(self.clock, socket.socket(family))
            self.assertIn(reason, self.reason(self.connector.connect(address, TIMEOUT)))

    def test_atOnce(self) -> None:
        """
        Where there is nothing to wait for, as on this host, both ends of it come as well: the
        connection in a later turn, the refusal at once.
        """
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "socket")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            self.connector = Connector(self.clock, socket.socket(socket.AF_UNIX))
            reason = self.reason(self.connector.connect(path, TIMEOUT))
            self.assertEqual(reason, "Connection refused")
            server.listen()
            with socket.socket(socket.AF_UNIX) as sock:
                self.connector = Connector(self.clock, sock)
                connecting = self.connector.connect(path, TIMEOUT)
                self.assertNoResult(connecting)
                self.connector.doWrite()
                self.assertIs(self.successResultOf(connecting), sock)
