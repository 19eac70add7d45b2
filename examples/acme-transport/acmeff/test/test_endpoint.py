"""
Tests of C{acmeff}: it keeps bmff's contract on TCP and on UNIX sockets, and is bounded.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import capturedLogs
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from acmeff import endpoint
from bmff.errors import TransportUnavailable
from bmff.ibmff import ITransport, ITransportMaker, TransportSettings
from bmff.testing.connections import StreamContract
from bmff.testing.transports import Door, Inbox
from bmff.transports import packetprotocol, strangers

reactor: Any = anyReactor  # mypy does not know which reactor there is

HOST = "127.0.0.1"


class TCPTests(StreamContract, TestCase):
    """
    The contract on TCP.
    """

    reactor = reactor
    address = f"tcp:{HOST}:{{port}}"
    listensAt = f"tcp:{{port}}:interface={HOST}"

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{StreamContract.makeTransport}
        """
        self.patch(os, "environ", {endpoint.LISTEN: self.listensAt})
        return endpoint.make(reactor, TransportSettings(port))

    def connectRaw(self, port: int) -> socket.socket:
        """
        @see: L{StreamContract.connectRaw}
        """
        return socket.create_connection((HOST, port))

    async def test_muchBeforeTheEnd(self) -> None:
        """
        What is more than a turn's and came before the end is received before the end is told.
        """
        raw, _, inbox = await self.rawPair()
        packets = [b"%d" % number + bytes(400) for number in range(100)]
        raw.sendall(b"".join(map(self.frame, packets)))
        raw.close()
        await self.until(lambda: inbox.lost)
        self.assertEqual(inbox.packets, packets)

    async def test_closedWhileFull(self) -> None:
        """
        A connection to a peer that does not read is closed after a while all the same.
        """
        self.patch(packetprotocol, "CLOSE_TIME", 0.05)
        _, path, inbox = await self.rawPair()
        while path.sendPacket(bytes(5000)):
            pass
        path.loseConnection()
        await self.until(lambda: inbox.lost)
        self.assertEqual(inbox.lost, ["closed here"])

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

    async def test_strangersTime(self) -> None:
        """
        Who connects and says nothing is closed after a while; one who is known is not.
        """
        self.patch(strangers, "STRANGER_TIME", 0.05)
        first, _, inbox = await self.rawPair()
        await self.closed(self.raw())
        first.send(self.frame(b"packet"))
        await self.until(lambda: inbox.packets)

    async def test_badAddresses(self) -> None:
        """
        What is no endpoint string is refused with the reason, to connect to or to listen at.
        """
        transport = self.make()
        for address in ("", "127.0.0.1", "pigeon:loft", "tcp", "tcp:host:nowhere"):
            reason = await self.unavailable(transport.connect(address, 1, Inbox()))
            self.assertTrue(reason.startswith(f"{address}: ") and len(reason) > len(address) + 2)
            self.listensAt = address or "none"
            error = self.assertRaises(TransportUnavailable, self.make().listen, Door())
            self.assertTrue(error.reason.startswith(f"{self.listensAt}: "))


class UNIXTests(TCPTests):
    """
    The contract on UNIX sockets, where the other end has no address.
    """

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self._path = f"{folder}/{{port}}.sock"
        self.address = self.listensAt = f"unix:{self._path}"

    def connectRaw(self, port: int) -> socket.socket:
        """
        @see: L{StreamContract.connectRaw}
        """
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(self._path.replace("{port}", str(port)))
        return raw


@implementer(IStreamServerEndpoint)
class SlowEndpoint:
    """
    An endpoint that takes its time, as that of a hidden service does.

    @ivar listening: what L{listen} has returned.
    """

    def __init__(self) -> None:
        self.listening: Deferred[Any] = Deferred()

    def listen(self, protocolFactory: object) -> Deferred[Any]:
        """
        Not yet.
        """
        return self.listening


class OpenPort:
    """
    What such an endpoint gives in the end.

    @ivar stopped: how often it was closed.
    """

    stopped = 0

    def stopListening(self) -> Deferred[None]:
        """
        Count it.
        """
        self.stopped += 1
        return succeed(None)


class SlowTests(SynchronousTestCase):
    """
    Endpoints that listen later than at once.
    """

    def setUp(self) -> None:
        self.slow = SlowEndpoint()
        self.patch(endpoint, "serverFromString", lambda reactor, description: self.slow)
        self.transport = endpoint.EndpointTransport(reactor, "onion:80")
        self.transport.listen(Door())

    def test_listens(self) -> None:
        """
        What listens later is closed at the end.
        """
        port = OpenPort()
        self.slow.listening.callback(port)
        self.successResultOf(self.transport.stopListening())
        self.assertEqual(port.stopped, 1)

    def test_fails(self) -> None:
        """
        What fails later is said in the log, as nobody else asks, and stops like any other.
        """
        with capturedLogs() as logged:
            self.slow.listening.errback(OSError("no Tor here"))
        self.assertEqual([each["reason"] for each in logged], ["onion:80: no Tor here"])
        self.successResultOf(self.transport.stopListening())

    def test_stopped(self) -> None:
        """
        What does not listen yet when all stops is given up.
        """
        with capturedLogs() as logged:
            self.successResultOf(self.transport.stopListening())
        self.assertTrue(self.slow.listening.called)
        self.assertEqual(logged, [])


class PluginTests(SynchronousTestCase):
    """
    The plugin.
    """

    def test_found(self) -> None:
        """
        Twisted finds the transport, once, and it says what it lacks.
        """
        (maker,) = (one for one in getPlugins(ITransportMaker) if one.name == "acme-endpoint")
        verifyObject(ITransportMaker, maker)
        self.patch(os, "environ", {})
        error = self.assertRaises(TransportUnavailable, maker.make, reactor, TransportSettings(1))
        self.assertEqual(error.reason, "ACME_FF_LISTEN names no endpoint to listen at")
