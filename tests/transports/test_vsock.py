"""
Tests of C{bmff.transports.vsock} where there are no vSockets: on another family of addresses. With
real ones they run in the guest, see L{tests.guest.test_vsock}.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bmff.errors import TransportUnavailable
from bmff.ibmff import ITransport, TransportSettings
from bmff.sockets.connector import Connector
from bmff.testing.connections import ConnectionContract, StreamContract
from bmff.testing.transports import Door, Inbox, TransportCase, TransportContract
from bmff.transports import vmm, vsock
from bmff.transports.vsockaddress import VSocketAddress
from bmff.transports.vsockconnection import VOID, WHOLE, AgreeingConnection, RecordConnection
from tests.transports.vsockfake import FakeFamily, Monitor

DATAGRAMS, RECORDS, STREAMS = socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM


class FakeCase(TransportCase):
    """
    Nodes on one machine of a hypervisor that nobody else has.
    """

    reactor: Any = reactor
    address = "1"
    missing: tuple[int, ...] = ()
    monitors: tuple[str, ...] = ()

    def setUp(self) -> None:
        """
        A folder, whose name is the hypervisor's.
        """
        super().setUp()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.family = FakeFamily(self.folder, self.missing)

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{TransportCase.makeTransport}
        """
        settings = TransportSettings(port)
        return vsock.VSocketTransport(self.reactor, settings, self.monitors, self.family)

    def connectKind(self, kind: int, port: int) -> socket.socket:
        """
        Another program's socket.
        """
        raw = socket.socket(socket.AF_UNIX, kind)
        raw.connect(self.family.address(kind, 1, port))
        return raw


class RecordFrames(ConnectionContract):
    """
    Packets in records.
    """

    def frame(self, packet: bytes) -> bytes:
        """
        @see: L{ConnectionContract.frame}
        """
        return packet + WHOLE

    def packetsOf(self, chunks: Sequence[bytes]) -> list[bytes]:
        """
        @see: L{ConnectionContract.packetsOf}
        """
        return [chunk[:-1] for chunk in chunks]

    async def read(self, raw: socket.socket, enough: Callable[[Sequence[bytes]], bool]) -> None:
        """
        @see: L{ConnectionContract.read}; void records are none.
        """
        await super().read(
            raw, lambda chunks: enough([chunk for chunk in chunks if chunk[-1:] != VOID])
        )

    async def lost(self, inbox: Inbox) -> None:
        """
        Wait until it has been told that its path is gone.
        """
        await self.until(lambda: inbox.lost)

    async def test_void(self) -> None:
        """
        What is left of a packet that was refused is passed over, with the longest of its kind.
        """
        raw, path, inbox = await self.rawPair()
        for piece in (b"", b"a piece of a packet", bytes(0xFFFF)):
            raw.send(piece + VOID)
        raw.send(self.frame(b"packet"))
        await self.received(inbox, 1)
        voids: Any = path
        self.assertEqual((inbox.packets, voids.voids), ([b"packet"], 3))

    async def test_tooLong(self) -> None:
        """
        A record longer than any of ours ends the connection.
        """
        raw, _, inbox = await self.rawPair()
        raw.send(self.frame(bytes(0x10000)))
        await self.until(lambda: inbox.lost)
        self.assertEqual((inbox.packets, inbox.lost), ([], ["a packet too long"]))

    async def test_noPacket(self) -> None:
        """
        A record that neither is whole nor void, or has nothing in it, ends the connection.
        """
        for record in (b"packet\2", b"\xff", WHOLE):
            raw, _, inbox = await self.rawPair()
            raw.send(record)
            await self.lost(inbox)
            self.assertEqual((inbox.packets, inbox.lost), ([], ["a record that is no packet"]))
            await self.result(self._transports.pop().stopListening())


class RecordTests(FakeCase, RecordFrames, TestCase):
    """
    Records keep the contract.
    """

    missing = (DATAGRAMS,)

    def connectRaw(self, port: int) -> socket.socket:
        """
        @see: L{ConnectionContract.connectRaw}
        """
        return self.connectKind(RECORDS, port + vsock.RECORDS)

    async def test_refusedFirst(self) -> None:
        """
        After a refusal the first thing that goes out is what makes void whatever the kernel may
        have sent of the packet.
        """
        raw, path, inbox = await self.rawPair()
        while path.sendPacket(bytes(5000)):
            continue
        chunks: list[bytes] = []

        def look() -> bool:
            try:
                chunks.append(raw.recv(70000))
            except BlockingIOError:
                return False
            return chunks[-1] == VOID

        await self.until(look)
        await self.until(lambda: inbox.writables)
        self.assertEqual(set(chunks[:-1]), {self.frame(bytes(5000))})
        self.assertTrue(path.sendPacket(b"next"))


class StreamTests(FakeCase, StreamContract, TestCase):
    """
    Streams keep the contract.
    """

    missing: tuple[int, ...] = (DATAGRAMS, RECORDS)

    def connectRaw(self, port: int) -> socket.socket:
        """
        @see: L{ConnectionContract.connectRaw}
        """
        return self.connectKind(STREAMS, port)


class PlainStreamTests(StreamTests):
    """
    The same where the second node could take datagrams, and is not offered any.
    """

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{TransportCase.makeTransport}
        """
        self.family = FakeFamily(self.folder, self.missing[port == self.ports[1] :])
        return super().makeTransport(port)


class DatagramTests(FakeCase, TransportContract, TestCase):
    """
    Datagrams beside a stream keep the contract of what may lose packets, but tells of the end.
    """

    reliable = ordered = False

    async def test_boundless(self) -> None:
        """
        For a peer that does not read packets are refused, without waiting and in bounded memory.
        """
        path, inbox, _, _ = await self.pair()
        taken = 0
        while path.sendPacket(bytes(1000)):
            taken += 1
            self.assertLess(taken, 1 << 16)
        self.assertEqual((inbox.lost, inbox.writables), ([], 0))

    async def test_stranger(self) -> None:
        """
        Datagrams for nobody, of no length, or from elsewhere than agreed are counted and dropped.
        """
        await self.pair()
        node: Any = self._transports[1]
        place = self.family.address(DATAGRAMS, 1, self.ports[1])
        elsewhere = FakeFamily(self.folder, cid=7)
        with elsewhere.make(DATAGRAMS) as raw:
            elsewhere.bind(raw, 1)
            for datagram in (b"", b"abc", bytes(4), b"\0\0\0\1packet", b"\xff" * 100):
                raw.sendto(datagram, place)
            await self.until(lambda: node.datagrams.strays == 5)
        self.assertEqual(self.door.opened[0][1].packets, [])

    async def test_streamSpeaks(self) -> None:
        """
        More words on the stream, once datagrams are agreed on, end the path.
        """
        _, _, other, inbox = await self.pair()
        connection: Any = other
        near: Any = self.door.opened[0][0]
        self.assertIs(connection, near)
        mine: Any = self._transports[0]
        (first,) = mine._life.paths
        first._send(b"more")
        await self.until(lambda: inbox.lost)
        self.assertEqual(inbox.lost, ["more on the stream than there should be"])

    async def test_words(self) -> None:
        """
        An offer that is none ends the connection; one that comes byte by byte is taken.
        """
        _, door = self.listening(1)
        for words in (bytes(18), b"\0\0bmff-vs9" + bytes(8), b"\0\0bmff-vs1" + bytes(9)):
            with self.connectKind(STREAMS, self.ports[1]) as raw:
                raw.setblocking(False)
                raw.send(words)
                await self.until(partial(_ended, raw))
        with self.connectKind(STREAMS, self.ports[1]) as raw:
            raw.setblocking(False)
            for byte in b"\0\0bmff-vs1\0\0\0\1\0\0\0\1":
                raw.send(bytes((byte,)))
                await self.quiet()
            answer = raw.recv(100)
            self.assertEqual((len(answer), answer[:10]), (18, b"\0\0bmff-vs1"))
            self.assertEqual(door.strays, [])

    async def test_noAnswer(self) -> None:
        """
        An other end that does not answer the offer gets packets on a stream.
        """
        self.patch(vsock, "AGREE_TIME", 0.05)
        transport, _ = self.listening(0)
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(self.family.address(STREAMS, 1, self.ports[1]))
            silent.listen()
            path, _ = await self.connect(transport)
            self.assertTrue(path.reliable)
            path.sendPacket(b"packet")
            heard = []
            for _ in range(2):
                accepted, _ = silent.accept()
                self.addCleanup(accepted.close)
                heard.append(accepted.recv(100)[:8])
        self.assertEqual(heard, [b"\0\0bmff-v", b"\0\6packet"])


def _ended(raw: socket.socket) -> bool:
    try:
        return not raw.recv(100)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


class KindTests(FakeCase, TestCase):
    """
    What two ends come to.
    """

    async def test_agreed(self) -> None:
        """
        Whatever the two kernels have, a path is there when there is a kind that both have.
        """
        self.patch(vsock, "AGREE_TIME", 1.0)
        kinds = [(), (DATAGRAMS,), (RECORDS,), (DATAGRAMS, RECORDS), (STREAMS,)]
        for mine, theirs in product(kinds, kinds):
            self.family = FakeFamily(self.folder, mine)
            transport, _ = self.listening(0)
            self.family = FakeFamily(self.folder, theirs)
            other, door = self.listening(1)
            lacking = {*mine, *theirs}
            if {RECORDS, STREAMS} <= lacking:
                self.assertTrue(
                    await self.unavailable(transport.connect("1", self.ports[1], Inbox()))
                )
            else:
                path, _ = await self.connect(transport)
                path.sendPacket(b"packet")
                await self.until(partial(len, door.opened))
                expected = (
                    (AgreeingConnection, False)
                    if not {DATAGRAMS, STREAMS} & lacking
                    else (RecordConnection, True)
                    if RECORDS not in lacking
                    else (AgreeingConnection, True)
                )
                for end in (path, door.opened[0][0]):
                    self.assertEqual((type(end), end.reliable), expected, (mine, theirs))
            await self.result(transport.stopListening())
            await self.result(other.stopListening())

    def test_none(self) -> None:
        """
        A kernel without any kind is the reason.
        """
        self.family.missing = {DATAGRAMS, RECORDS, STREAMS}
        error = self.assertRaises(TransportUnavailable, self.make().listen, Door())
        self.assertEqual(error.reason, "No such device")

    def test_off(self) -> None:
        """
        Unless a hypervisor is named no socket is made.
        """
        error = self.assertRaises(TransportUnavailable, vsock.make, reactor, TransportSettings(1))
        self.assertIn("hypervisor", error.reason)

    def test_datagramsTaken(self) -> None:
        """
        A number that another program has for datagrams is refused, and all is closed again.
        """
        with self.family.make(DATAGRAMS) as raw:
            self.family.bind(raw, self.ports[0])
            error = self.assertRaises(TransportUnavailable, self.make().listen, Door())
            self.assertIn("in use", error.reason)
        self.listening(0)

    async def test_exhausted(self) -> None:
        """
        A process without descriptors has no connection, and says why.
        """
        transport, _ = self.listening(0)

        def fail(kind: int) -> socket.socket:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(self.family, "make", fail)
        reason = await self.unavailable(transport.connect("1", self.ports[1], Inbox()))
        self.assertIn("Too many open files", reason)


class AddressTests(SynchronousTestCase):
    """
    Tests of L{VSocketAddress}.
    """

    def test_good(self) -> None:
        """
        A context ID in decimal, or a monitor's socket.
        """
        for text, address in (
            ("1", VSocketAddress(1)),
            ("2", VSocketAddress(2)),
            ("4294967294", VSocketAddress(0xFFFF_FFFE)),
            ("unix:/run/guest.vsock", VSocketAddress(0, "/run/guest.vsock")),
        ):
            self.assertEqual(VSocketAddress.parse(text), address)

    def test_bad(self) -> None:
        """
        Anything else is refused, and quoted.
        """
        for text in ("", "0", "4294967295", "-1", "0x2", "1.0", "\u0661", "9" * 5000, "unix:", "a"):
            error = self.assertRaises(TransportUnavailable, VSocketAddress.parse, text)
            self.assertIn("no context ID", error.reason)
        for text in ("unix:relative", "unix:/a\nb", "unix:/a\0b"):
            self.assertRaises(TransportUnavailable, VSocketAddress.parse, text)


class MonitorTests(FakeCase, StreamContract, TestCase):
    """
    On the way through a monitor to its guest the contract is kept.
    """

    missing = (DATAGRAMS,)

    def setUp(self) -> None:
        """
        A monitor.
        """
        super().setUp()
        self.path = os.path.join(self.folder, "guest.vsock")
        self.address = f"unix:{self.path}"
        self.addCleanup(Monitor(self.family, self.path).stop)

    def connectRaw(self, port: int) -> socket.socket:
        """
        @see: L{ConnectionContract.connectRaw}
        """
        return self.connectKind(STREAMS, port)


class HostTests(FakeCase, StreamContract, TestCase):
    """
    On the way from a guest to its host, through a file with the port in its name, it is kept too.
    """

    missing = (DATAGRAMS, RECORDS, STREAMS)

    def setUp(self) -> None:
        """
        A monitor's name.
        """
        super().setUp()
        self.monitors = (os.path.join(self.folder, "guest.vsock"),)

    def file(self, which: int) -> str:
        """
        The file of a node.
        """
        return f"{self.monitors[0]}_{self.ports[which]}"

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{TransportCase.makeTransport}
        """
        return GuestEnd(self.reactor, TransportSettings(port), self.monitors, self.family)

    def connectRaw(self, port: int) -> socket.socket:
        """
        @see: L{ConnectionContract.connectRaw}
        """
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(f"{self.monitors[0]}_{port}")
        return raw

    async def test_file(self) -> None:
        """
        The monitor may be another user's; the file goes when the transport stops, or whoever holds
        the file has died.
        """
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self.file(0))
        transport, _ = self.listening(0)
        self.assertEqual(stat.S_IMODE(os.stat(self.file(0)).st_mode), 0o666)
        await self.result(transport.stopListening())
        self.assertEqual(os.listdir(self.folder), [])

    def test_foreign(self) -> None:
        """
        What else is at the name stays, and is the reason.
        """
        os.mkdir(self.file(0))
        error = self.assertRaises(TransportUnavailable, self.make().listen, Door())
        self.assertIn("not ours", error.reason)
        self.assertTrue(os.path.isdir(self.file(0)))

    def test_noFolder(self) -> None:
        """
        A folder that is not there is the reason.
        """
        self.monitors = (os.path.join(self.folder, "none", "guest.vsock"),)
        error = self.assertRaises(TransportUnavailable, self.make().listen, Door())
        self.assertIn("No such file", error.reason)


class GuestEnd(vsock.VSocketTransport):
    """
    A node in a guest: to connect to its host is to connect to the file.
    """

    async def reach(self, address: str, port: int) -> socket.socket:
        """
        @see: L{vsock.VSocketTransport.reach}
        """
        place = os.path.dirname(self._guests[0].path)
        path = os.path.join(place, f"guest.vsock_{port}")
        sock = socket.socket(socket.AF_UNIX)
        return await Connector(self._reactor, sock).connect(path, 5.0)


class AnswerTests(FakeCase, TestCase):
    """
    What is made of monitors that do not answer as they should.
    """

    def setUp(self) -> None:
        """
        Another program's socket where a monitor's would be.
        """
        super().setUp()
        self.path = os.path.join(self.folder, "guest.vsock")
        self.address = f"unix:{self.path}"
        self.listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.listener.close)
        self.listener.bind(self.path)
        self.listener.listen()

    async def test_answers(self) -> None:
        """
        A refusal, another program's words, too many of them: a reason, at once.
        """
        for answer, reason in (
            (b"", "nobody listens there"),
            (b"OK 1", "closed by the other end"),
            (b"OK\n", "the answer is none"),
            (b"OK one\n", "the answer is none"),
            (b"220 mail.example ESMTP\r\n", "the answer is none"),
            (bytes(vmm.LONGEST), "the answer is none"),
        ):
            attempt = self.make().connect(self.address, 54001, Inbox())
            sock, _ = self.listener.accept()
            await self.quiet()
            self.assertEqual(sock.recv(100), b"CONNECT 54001\n")
            sock.send(answer)
            sock.close()
            self.assertIn(reason, await self.unavailable(attempt))

    async def test_silence(self) -> None:
        """
        An answer that does not come, or not to its end, is not waited for longer than so.
        """
        self.patch(vsock, "CONNECT_TIME", 0.05)
        for beginning in (b"", b"OK 10"):
            attempt = self.make().connect(self.address, 54001, Inbox())
            sock, _ = self.listener.accept()
            sock.send(beginning)
            self.assertIn("no answer in 0.05 s", await self.unavailable(attempt))
            sock.recv(100)
            self.assertEqual(sock.recv(100), b"")
            sock.close()

    async def test_more(self) -> None:
        """
        What comes right behind the answer are the guest's words.
        """
        inbox = Inbox()
        attempt = self.make().connect(self.address, 54001, inbox)
        sock, _ = self.listener.accept()
        sock.send(b"OK 1073741824\n\0\6packet")
        await self.result(attempt)
        await self.received(inbox, 1)
        self.assertEqual(inbox.packets, [b"packet"])
        sock.close()
        await self.until(lambda: inbox.lost)

    async def test_noMonitor(self) -> None:
        """
        A socket that nobody listens at, or that is not there, is the reason.
        """
        self.listener.close()
        for path, reason in ((self.path, "refused"), (self.path + "x", "No such file")):
            attempt = self.make().connect(f"unix:{path}", 54001, Inbox())
            self.assertIn(reason, await self.unavailable(attempt))
