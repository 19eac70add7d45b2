"""
Tests of C{bmff.transports.streams}, and of the port that TCP and TLS share.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from bmff.errors import TransportUnavailable
from bmff.ibmff import ITransport, TransportSettings
from bmff.sockets import sharedport
from bmff.sockets.listener import Listener
from bmff.testing.connections import StreamContract
from bmff.testing.transports import Door
from bmff.transports import streams, tcp, tls
from tests.transports.tlscase import THEIRS, TLSCase


class StreamsTests(StreamContract, TestCase):
    """
    TCP keeps the contract where it is alone on its port, and where TLS is there as well.
    """

    reactor: Any = reactor
    address = "127.0.0.1"

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{StreamContract.makeTransport}
        """
        return streams.make(reactor, TransportSettings(port, (self.address,)))

    def connectRaw(self, port: int) -> socket.socket:
        """
        @see: L{StreamContract.connectRaw}
        """
        return socket.create_connection((self.address, port))


class SharedPortTests(TLSCase, TestCase):
    """
    Tests of TCP and TLS on one port.
    """

    def both(self, secureFirst: bool = False) -> dict[str, tuple[ITransport, Door]]:
        """
        The second node listens for both.
        """
        settings = self.settings(THEIRS, self.ports[1])
        made = [streams.make(reactor, settings), tls.make(reactor, settings)]
        found = {}
        for transport in reversed(made) if secureFirst else made:
            self._transports.append(transport)
            door = Door()
            transport.listen(door)
            found[transport.name] = transport, door
        return found

    async def hears(self, door: Door, secure: bool) -> None:
        """
        See that what is sent over one of them is heard at a door.
        """
        before = len(door.opened)
        if secure:
            transport = self.make(0)
        else:
            transport = tcp.make(reactor, TransportSettings(self.ports[0], (self.address,)))
            self._transports.append(transport)
        path, _ = await self.connect(transport)
        path.sendPacket(b"packet")
        await self.until(lambda: len(door.opened) > before)
        self.assertEqual(door.opened[-1][0].name, "tls" if secure else "tcp")

    async def test_both(self) -> None:
        """
        Each hears its own, whichever was there first; where one stops the other goes on, and when
        both have stopped the port is free.
        """
        for secureFirst in (False, True):
            both = self.both(secureFirst)
            for name, (_, door) in both.items():
                await self.hears(door, name == "tls")
            await self.result(both["tcp"][0].stopListening())
            await self.hears(both["tls"][1], True)
            await self.result(both["tls"][0].stopListening())
        both = self.both()
        await self.result(both["tls"][0].stopListening())
        await self.hears(both["tcp"][1], False)

    async def test_stopped(self) -> None:
        """
        Where TLS has stopped its connections find nobody.
        """
        both = self.both()
        raw = socket.create_connection((self.address, self.ports[1]))
        self.addCleanup(raw.close)
        await self.quiet()
        await self.result(both["tls"][0].stopListening())
        raw.send(b"\x16\x03\x01")
        raw.setblocking(False)
        await self.closed(raw)
        self.assertEqual(both["tcp"][1].strays, [])

    async def test_twice(self) -> None:
        """
        A number is not listened to twice over one transport.
        """
        settings = self.settings(THEIRS, self.ports[1])
        for _ in range(2):
            self._transports.append(streams.make(reactor, settings))
        self._transports[0].listen(Door())
        error = self.assertRaises(TransportUnavailable, self._transports[1].listen, Door())
        self.assertEqual(error.reason, "tcp listens already")

    async def test_silent(self) -> None:
        """
        Who says nothing is closed after a while, the oldest when there are too many; one who goes
        away is forgotten, and all are when the node stops.
        """
        self.patch(sharedport, "MOST_WAITING", 3)
        both = self.both()
        port = self._transports[0]._settings.shared[streams.PORT]  # type: ignore[attr-defined]
        raws = [socket.create_connection((self.address, self.ports[1])) for _ in range(4)]
        for raw in raws:
            raw.setblocking(False)
            self.addCleanup(raw.close)
        await self.closed(raws[0])
        self.assertEqual((len(port.arrivals), port.dropped), (3, 1))
        raws[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        for raw in raws[1:3]:
            raw.close()
        await self.until(lambda: len(port.arrivals) == 1)
        self.patch(sharedport, "WAITING_TIME", 0.02)
        late = socket.create_connection((self.address, self.ports[1]))
        self.addCleanup(late.close)
        late.setblocking(False)
        await self.closed(late)
        self.assertEqual(len(port.arrivals), 1)
        for transport, _ in both.values():
            await self.result(transport.stopListening())
        await self.closed(raws[3])

    def test_takenSince(self) -> None:
        """
        A number that another program takes between binding and listening is refused.
        """

        def taken(listener: Listener) -> None:
            raise OSError(98, "Address already in use")

        self.patch(Listener, "start", taken)
        error = self.assertRaises(TransportUnavailable, self.make().listen, Door())
        self.assertEqual(error.reason, "Address already in use")
