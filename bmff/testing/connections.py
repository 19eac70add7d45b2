"""
What every transport on connections promises beside L{bmff.testing.transports}: to a peer that does
not read, breaks off, says nothing or says nonsense.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from twisted.internet.task import deferLater

from bmff.ibmff import IPathTransport
from bmff.testing.transports import Inbox, TransportContract

MOST_TAKEN: Final = 64 << 20  # bytes that a kernel may take for a peer that does not read
_CHUNK: Final = 1 << 16  # bytes


class ConnectionContract(TransportContract):
    """
    The promises of a transport on sockets that keep the boundaries of packets.
    """

    def connectRaw(self, port: int) -> socket.socket:
        """
        Another program's socket, connected to the node of this number.
        """
        raise NotImplementedError

    def frame(self, packet: bytes) -> bytes:
        """
        A packet as it goes into such a socket.
        """
        return packet

    def packetsOf(self, chunks: Sequence[bytes]) -> list[bytes]:
        """
        The packets in what such a socket has read.
        """
        return list(chunks)

    def raw(self) -> socket.socket:
        """
        Another program's socket, connected to the second node.
        """
        raw = self.connectRaw(self.ports[1])
        self.addCleanup(raw.close)
        raw.setblocking(False)
        return raw

    async def rawPair(self) -> tuple[socket.socket, IPathTransport, Inbox]:
        """
        The same, known to the node: the socket, and the node's path and receiver.
        """
        _, self.door = self.listening(1)
        raw = self.raw()
        raw.send(self.frame(b"hello"))
        await self.until(lambda: self.door.opened)
        return raw, *self.door.opened[0]

    async def read(self, raw: socket.socket, enough: Callable[[Sequence[bytes]], bool]) -> None:
        """
        Read until what has been read is enough.
        """
        chunks: list[bytes] = []

        def look() -> bool:
            try:
                chunks.append(raw.recv(_CHUNK))
            except BlockingIOError:
                return False
            return enough(chunks)

        await self.until(look)

    async def closed(self, raw: socket.socket) -> None:
        """
        Wait until the node has closed the connection.
        """

        def look() -> bool:
            try:
                return not raw.recv(_CHUNK)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                return True

        await self.until(look)

    async def test_full(self) -> None:
        """
        For a peer that does not read a packet is refused, in bounded memory and without waiting;
        the receiver is told when the peer reads again, and what was taken arrives whole.
        """
        raw, path, inbox = await self.rawPair()
        taken: list[bytes] = []
        size = 997
        told = -1
        while inbox.writables > told:  # a kernel may find room more than once
            told = inbox.writables
            while path.sendPacket(packet := len(taken).to_bytes(4, "big") + bytes(size)):
                taken.append(packet)
                self.assertLess(len(taken) * size, MOST_TAKEN)
            self.assertFalse(path.sendPacket(b"refused"))
            await self.quiet()
        self.assertEqual(inbox.lost, [])
        total = sum(len(self.frame(packet)) for packet in taken)
        arrived: list[bytes] = []

        def whole(chunks: Sequence[bytes]) -> bool:
            arrived[:] = chunks
            return sum(map(len, chunks)) >= total

        await self.read(raw, whole)
        self.assertEqual(self.packetsOf(arrived), taken)
        await self.until(lambda: inbox.writables > told)
        self.assertTrue(path.sendPacket(b"again"))
        await self.read(raw, lambda chunks: self.packetsOf(chunks) == [b"again"])

    async def test_goneWhileFull(self) -> None:
        """
        A peer that goes away without having read is lost, once, and writes nothing more.
        """
        raw, path, inbox = await self.rawPair()
        while path.sendPacket(bytes(1000)):
            pass
        raw.close()
        await self.until(lambda: inbox.lost)
        told = inbox.writables
        self.assertFalse(path.sendPacket(b"packet"))
        await self.quiet()
        self.assertEqual((len(inbox.lost), inbox.writables), (1, told))

    async def test_processGone(self) -> None:
        """
        When the peer's process is killed the connection is lost, once and with a reason.
        """
        raw, _, inbox = await self.rawPair()
        # The process holds the only copy of the socket, and waits for what never comes.
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            stdin=subprocess.PIPE,
            pass_fds=[raw.fileno()],
        )
        raw.close()
        await self.quiet()
        self.assertEqual(inbox.lost, [])
        process.kill()
        process.communicate()
        await self.until(lambda: inbox.lost)
        await self.quiet()
        self.assertEqual(len(inbox.lost), 1)
        self.assertTrue(inbox.lost[0])

    async def test_lastWords(self) -> None:
        """
        What a peer has sent before it went away is received, although nothing can be sent to it.
        """
        raw, path, inbox = await self.rawPair()
        for number in range(100):
            raw.send(self.frame(b"%d" % number))
        raw.close()
        path.sendPacket(b"packet")
        path.sendPacket(b"packet")
        await self.until(lambda: inbox.lost)
        self.assertEqual(inbox.packets, [b"%d" % number for number in range(100)])

    async def test_manyInATurn(self) -> None:
        """
        What a peer has sent at once takes few turns, but more than one when it is much.
        """
        raw, _, inbox = await self.rawPair()
        for _ in range(200):
            raw.send(self.frame(bytes(100)))
        await self.until(lambda: len(inbox.packets) == 200)
        self.assertEqual(sum(inbox.turns), 200)
        self.assertIn(len(inbox.turns), range(2, 10))

    async def test_silent(self) -> None:
        """
        One who connects and says nothing reaches nobody and hinders nobody; stopping closes it.
        """
        transport, _ = self.listening(0)
        other, door = self.listening(1)
        raw = self.raw()
        path, _ = await self.connect(transport)
        path.sendPacket(b"packet")
        await self.until(lambda: door.opened)
        self.assertEqual(len(door.strays), 1)
        await self.result(other.stopListening())
        await self.closed(raw)

    async def test_goneAtOnce(self) -> None:
        """
        Those who connect and go away at once reach nobody and hinder nobody.
        """
        transport, _ = self.listening(0)
        _, door = self.listening(1)
        for _ in range(20):
            self.connectRaw(self.ports[1]).close()
        path, _ = await self.connect(transport)
        path.sendPacket(b"packet")
        await self.until(lambda: door.opened)
        self.assertEqual(len(door.strays), 1)

    async def test_garbage(self) -> None:
        """
        Noise reaches the receiver as packets or ends the connection; another is not hurt.
        """
        path, _, _, inbox = await self.pair()
        random = Random(2)
        for _ in range(10):
            raw = self.raw()
            raw.send(random.randbytes(2000))
        path.sendPacket(b"packet")
        await self.until(lambda: inbox.packets)
        await self.quiet()
        self.assertEqual((inbox.packets, inbox.lost), ([b"packet"], []))


class StreamContract(ConnectionContract):
    """
    The promises of a transport on streams, two bytes of length before each packet.
    """

    def frame(self, packet: bytes) -> bytes:
        """
        A packet as it goes into the stream.
        """
        return len(packet).to_bytes(2, "big") + packet

    def packetsOf(self, chunks: Sequence[bytes]) -> list[bytes]:
        """
        The packets in what was read from the stream.
        """
        data, packets = b"".join(chunks), []
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            packets.append(data[2:end])
            data = data[end:]
        return packets

    async def test_pieces(self) -> None:
        """
        A stream that comes byte by byte gives the same packets as one that comes at once.
        """
        raw, _, inbox = await self.rawPair()
        packets = [b"a", b"bc", bytes(300), b"end"]
        stream = b"".join(map(self.frame, packets))
        for at in range(len(stream)):
            raw.send(stream[at : at + 1])
            await deferLater(self.reactor, 0)
        await self.until(lambda: b"end" in inbox.packets)
        raw.send(stream)
        await self.until(lambda: len(inbox.packets) == 8)
        self.assertEqual(inbox.packets, packets * 2)

    async def test_noLength(self) -> None:
        """
        A packet of no length ends the connection, after those before it.
        """
        raw, _, inbox = await self.rawPair()
        raw.send(self.frame(b"last") + bytes(2) + self.frame(b"never"))
        await self.until(lambda: inbox.lost)
        await self.closed(raw)
        self.assertEqual(inbox.packets, [b"last"])

    async def test_half(self) -> None:
        """
        Of a packet that breaks off, however long it says that it is, nothing is heard.
        """
        _, self.door = self.listening(1)
        beginnings = (b"\xff", b"\xff\xff", b"\xff\xff" + bytes(3000), b"\x00\x02a")
        raws = [self.raw() for _ in beginnings]
        for raw, beginning in zip(raws, beginnings, strict=True):
            raw.send(self.frame(b"hello") + beginning)
        await self.until(lambda: len(self.door.opened) == len(beginnings))
        inboxes = [inbox for _, inbox in self.door.opened]
        await self.quiet()
        self.assertEqual([inbox.lost for inbox in inboxes], [[]] * len(beginnings))
        for raw in raws:
            raw.close()
        await self.until(lambda: all(inbox.lost for inbox in inboxes))
        self.assertEqual([inbox.packets for inbox in inboxes], [[]] * len(beginnings))
