"""
Tests of C{bmff.transports.vsock} with the kernel's own vSockets.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from bmff.ibmff import ITransport, TransportSettings
from bmff.testing import transports
from bmff.testing.connections import StreamContract
from bmff.testing.requirements import requires
from bmff.testing.transports import Inbox, TransportCase
from bmff.transports import vsock
from bmff.transports.vsockconnection import AgreeingConnection, RecordConnection
from bmff.transports.vsockfamily import VSocketFamily
from tests.transports.test_vsock import RecordFrames

LOCAL = "1"  # VMADDR_CID_LOCAL
PATIENCE = 20.0  # seconds: the guest is slow
NOTICED = 2.0  # seconds
CYCLES = 500  # connects and closes


class LackingFamily(VSocketFamily):
    """
    The kernel's vSockets without some of their kinds.
    """

    def __init__(self, missing: Iterable[int] = ()) -> None:
        self._missing = frozenset(missing)

    def make(self, kind: int) -> socket.socket:
        """
        @see: L{VSocketFamily.make}
        """
        if kind in self._missing:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return super().make(kind)


class GuestCase(TransportCase):
    """
    Nodes on the guest, which is its own neighbour.
    """

    reactor: Any = reactor
    address = LOCAL
    missing: tuple[int, ...] = ()
    kind = socket.SOCK_STREAM
    above = 0

    def setUp(self) -> None:
        """
        Time enough.
        """
        self.patch(transports, "PATIENCE", PATIENCE)
        super().setUp()

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{TransportCase.makeTransport}
        """
        family = LackingFamily(self.missing)
        return vsock.VSocketTransport(self.reactor, TransportSettings(port), (), family)

    def connectRaw(self, port: int) -> socket.socket:
        """
        @see: L{bmff.testing.connections.ConnectionContract.connectRaw}
        """
        raw = socket.socket(socket.AF_VSOCK, self.kind)
        raw.connect((int(LOCAL), port + self.above))
        return raw


@requires("vsock")
class RecordTests(GuestCase, RecordFrames, TestCase):
    """
    Records keep the contract.
    """

    kind = socket.SOCK_SEQPACKET
    above = vsock.RECORDS

    async def test_kind(self) -> None:
        """
        Two nodes whose kernel has records use them.
        """
        path, _, other, _ = await self.pair()
        self.assertEqual({type(path), type(other)}, {RecordConnection})

    async def test_refused(self) -> None:
        """
        Packets that the kernel refuses again and again, of which it may have sent a part, hurt
        none of those that it takes.
        """
        path, _, _, inbox = await self.pair()
        taken: list[bytes] = []
        for number in range(2000):
            packet = number.to_bytes(4, "big") * (1 + number * 37 % 3000)
            if path.sendPacket(packet):
                taken.append(packet)
            elif number % 50 == 0:
                await self.quiet()
        await self.until(lambda: path.sendPacket(b"end") or None)
        await self.until(lambda: inbox.packets and inbox.packets[-1] == b"end")
        self.assertEqual(inbox.packets[:-1], taken)
        self.assertLess(len(taken), 2000)

    async def test_killed(self) -> None:
        """
        The end of the peer's process is noticed at once.
        """
        _, door = self.listening(0)
        script = (
            "import socket, sys\n"
            f"sock = socket.socket(socket.AF_VSOCK, {int(self.kind)})\n"
            f"sock.connect(({LOCAL}, int(sys.argv[1])))\n"
            "sock.send(b'hello\\1')\n"
            "sys.stdin.read()"
        )
        command = [sys.executable, "-I", "-S", "-c", script, str(self.ports[0] + self.above)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        try:
            await self.until(lambda: door.opened)
            inbox = door.opened[0][1]
            began = self.reactor.seconds()
            process.send_signal(signal.SIGKILL)
            await self.until(lambda: inbox.lost)
            took = self.reactor.seconds() - began
        finally:
            process.kill()
            process.communicate()
        print(f"vsock: the end of a process was noticed after {took:.3f} s")
        self.assertLess(took, NOTICED)

    async def test_flat(self) -> None:
        """
        Paths that come and go leave nothing behind.
        """
        transport, _ = self.listening(0)
        _, door = self.listening(1)
        found: list[tuple[int, int]] = []
        for cycle in range(CYCLES):
            path, inbox = await self.connect(transport)
            path.sendPacket(b"hello")
            await self.until(lambda: door.opened)
            ((other, otherInbox),) = door.opened
            (path if cycle % 2 else other).loseConnection()
            await self.gone(inbox, otherInbox)
            door.opened.clear()
            door.strays.clear()
            if cycle in (CYCLES // 5, CYCLES - 1):
                found.append((len(os.listdir("/proc/self/fd")), _resident()))
        (descriptors, memory), (descriptorsThen, memoryThen) = found
        self.assertEqual(descriptors, descriptorsThen)
        self.assertLess(memoryThen - memory, 4 << 20)

    async def gone(self, *inboxes: Inbox) -> None:
        """
        Wait until these have been told that their paths are gone.
        """
        await self.until(lambda: all(inbox.lost for inbox in inboxes))


@requires("vsock")
class StreamTests(GuestCase, StreamContract, TestCase):
    """
    Streams keep the contract, where the kernel has no records.
    """

    missing: tuple[int, ...] = (socket.SOCK_SEQPACKET,)

    async def test_kind(self) -> None:
        """
        Two nodes without records use streams; without datagrams they stay such.
        """
        path, _, other, _ = await self.pair()
        self.assertEqual({type(path), type(other)}, {AgreeingConnection})
        self.assertTrue(path.reliable and other.reliable)

    async def test_otherKind(self) -> None:
        """
        A node that has records reaches one that has none.
        """
        self.listening(1)
        self.missing = ()
        transport, _ = self.listening(0)
        path, _ = await self.connect(transport)
        self.assertIsInstance(path, AgreeingConnection)

    async def test_unknown(self) -> None:
        """
        A context ID that nobody has is the reason.
        """
        attempt = self.make().connect("4711", self.ports[1], Inbox())
        self.assertIn("CID 4711", await self.unavailable(attempt))

    assertIsInstance: Any


def _resident() -> int:
    """
    Bytes of memory that this process has.
    """
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
