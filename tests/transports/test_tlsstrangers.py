"""
Tests of those whom C{bmff.transports.tls} does not let in.
"""

from __future__ import annotations

import socket
import ssl
from random import Random
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from bmff.transports import tls
from tests.transports.tlscase import STRANGE, THEIRS, TLSCase


def framed(packet: bytes) -> bytes:
    """
    A packet as it goes into the stream.
    """
    return len(packet).to_bytes(2, "big") + packet


class StrangerTests(TLSCase, TestCase):
    """
    Tests of those who are not let in.
    """

    async def refused(self, context: ssl.SSLContext) -> str:
        """
        Have another program connect, in vain.

        @return: the reason that was counted; the only one.
        """
        transport, door = self.listening(1)
        node: Any = transport
        raw = self.connectRaw(self.ports[1], context)
        self.addCleanup(raw.close)
        raw.setblocking(False)
        raw.send(framed(b"let me in"))
        await self.closed(raw)
        await self.until(lambda: node.rejected)
        await self.quiet()
        self.assertEqual((door.strays, len(node.strangers)), ([], 0))
        self.assertEqual(sum(node.rejected.values()), 1)
        await self.result(transport.stopListening())
        return str(next(iter(node.rejected)))

    async def test_notKnown(self) -> None:
        """
        Who shows a certificate that is not known is closed, and logged with its fingerprint.
        """
        with capturedLogs() as logs:
            reason = await self.refused(self.context(STRANGE))
        self.assertEqual(reason, "shows a certificate that is not known")
        (said,) = (formatEvent(one) for one in logs if one.get("reason") == reason)
        self.assertIn("as node 25099", said)
        self.assertIn(self.certify(STRANGE), said)

    async def test_knownLater(self) -> None:
        """
        Who is known from now on is let in from now on, and who is not any more is not.
        """
        await self.refused(self.context(STRANGE))
        self.known[STRANGE] = self.certify(STRANGE)
        _, door = self.listening(1)
        raw = self.connectRaw(self.ports[1], self.context(STRANGE))
        self.addCleanup(raw.close)
        raw.send(framed(b"packet"))
        await self.until(lambda: door.opened)
        del self.known[STRANGE]
        raw = self.connectRaw(self.ports[1], self.context(STRANGE))
        self.addCleanup(raw.close)
        raw.setblocking(False)
        await self.closed(raw)
        self.assertEqual(len(door.opened), 1)

    async def test_otherName(self) -> None:
        """
        A certificate that is known as another node's is refused: the name in it counts.
        """
        self.known[THEIRS] = self.certify(STRANGE)
        reason = await self.refused(self.context(STRANGE))
        self.assertEqual(reason, "shows a certificate in another node's name")

    async def test_noCertificate(self) -> None:
        """
        Who shows no certificate is refused.
        """
        reason = await self.refused(self.context(None))
        self.assertEqual(reason, "peer did not return a certificate")

    async def test_otherProtocol(self) -> None:
        """
        Who names another protocol, or none, is refused.
        """
        for names in (["h2", "http/1.1"], ["bmff-ff/2"], []):
            context = self.context()
            context.set_alpn_protocols(names)
            self.assertEqual(await self.refused(context), "speaks another protocol")

    async def test_oldVersion(self) -> None:
        """
        Who speaks TLS 1.2 alone is refused.
        """
        context = self.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertEqual(await self.refused(context), "unsupported protocol")

    async def test_plain(self) -> None:
        """
        Who speaks no TLS, or noise, or stops in the middle of a record, is closed with a reason and
        hinders nobody.
        """
        self.patch(tls, "CONNECT_TIME", 0.2)
        transport, door = self.listening(1)
        node: Any = transport
        random = Random(3)
        beginnings = [framed(b"packet"), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"]
        beginnings += [b"\x16\x03\x01" + random.randbytes(800) for _ in range(10)]
        for beginning in beginnings:
            raw = socket.create_connection((self.address, self.ports[1]))
            self.addCleanup(raw.close)
            raw.setblocking(False)
            raw.send(beginning)
        path, _ = await self.connect(self.make(0))
        path.sendPacket(b"packet")
        await self.until(lambda: door.opened)
        await self.until(lambda: sum(node.rejected.values()) == len(beginnings))
        self.assertEqual(len(door.strays), 1)
        self.assertIn("http request", node.rejected)
        self.assertIn("no end of the handshake in 5 s", node.rejected)

    async def test_mutated(self) -> None:
        """
        A greeting that was changed or cut anywhere gives a reason, or goes on with the handshake;
        the node goes on.
        """
        self.patch(tls, "MOST_HANDSHAKES", 10_000)
        self.patch(tls, "CONNECT_TIME", 0.1)
        transport, door = self.listening(1)
        node: Any = transport
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with self.assertRaises(ssl.SSLWantReadError):
            self.context().wrap_bio(incoming, outgoing).do_handshake()
        greeting, random = outgoing.read(), Random(4)
        for number in range(60):
            changed = bytearray(greeting)
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
            raw = socket.create_connection((self.address, self.ports[1]))
            raw.sendall(changed[: random.randrange(len(changed))] if number % 2 else changed)
            await self.quiet()
            raw.close()
        await self.until(lambda: sum(node.rejected.values()) == 60)
        path, _ = await self.connect(self.make(0))
        path.sendPacket(b"packet")
        await self.until(lambda: door.opened)

    async def test_tooMany(self) -> None:
        """
        Of very many who connect within a second most are not looked at.
        """
        self.patch(tls, "MOST_HANDSHAKES", 3)
        transport, _ = self.listening(1)
        node: Any = transport
        raws = [socket.create_connection((self.address, self.ports[1])) for _ in range(5)]
        await self.until(lambda: node.tooMany == 2)
        for raw in raws:
            raw.setblocking(False)
            self.addCleanup(raw.close)
        await self.closed(raws[3])
        await self.closed(raws[4])
        self.assertEqual(len(node.strangers), 3)
