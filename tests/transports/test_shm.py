"""
Tests of C{bmff.transports.shm}.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from select import select
from statistics import median
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from bmff.errors import TransportUnavailable
from bmff.ibmff import IPathTransport, ITransport, TransportSettings
from bmff.testing.transports import Door, Inbox, TransportCase
from bmff.transports import shm
from tests.transports import test_unix
from tests.transports.shmpeer import MAGIC, SharedPeer

ROOT = Path(__file__).parents[2]
CYCLES = 200  # connects and closes
NOTICED = 0.05  # seconds, the median


def descriptors() -> int:
    """
    How many file descriptors this process has.
    """
    return len(os.listdir("/proc/self/fd"))


def mappings() -> int:
    """
    How many pieces of shared memory of this kind it has.
    """
    return Path("/proc/self/maps").read_text("ascii", "replace").count("memfd:FastForward")


class Patience(TransportCase):
    """
    What these tests wait for.
    """

    async def known(self, door: Door, number: int) -> None:
        """
        Wait until so many have been known.
        """
        await self.until(lambda: len(door.opened) >= number)

    async def lost(self, *inboxes: Inbox) -> None:
        """
        Wait until these have been told that their paths are gone.
        """
        await self.until(lambda: all(inbox.lost for inbox in inboxes))


class SharedMemoryTests(Patience, test_unix.UNIXTests):
    """
    Shared memory keeps the contract, and its sockets keep the rules of those of C{unix}.
    """

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{test_unix.UNIXTests.makeTransport}
        """
        return shm.make(reactor, TransportSettings(port, (), self.folder, self.trust))

    def connectRaw(self, port: int) -> Any:
        """
        @see: L{test_unix.UNIXTests.connectRaw}
        """
        return SharedPeer(self.path(port))

    def path(self, port: int) -> str:
        """
        The file of a node.
        """
        return os.path.join(self.folder, f"FastForward.{port}.shm.sock")

    async def test_replaced(self) -> None:
        """
        A file that another has put in the place stays when the transport stops.
        """
        transport, _ = self.listening(0)
        os.rename(self.path(self.ports[0]), os.path.join(self.folder, "moved"))
        self.leave()
        await self.result(transport.stopListening())
        self.assertTrue(os.path.lexists(self.path(self.ports[0])))

    async def test_otherUser(self) -> None:
        """
        Another user gets the same path, which says that the kernel does not vouch for it, and no
        doorbell that both could hold.
        """
        if os.geteuid():
            raise SkipTest("only root can become another user")
        _, door = self.listening(0)
        process = self.spawn("bells", self.ports[0], str(test_unix.STRANGER))
        await self.until(lambda: door.opened)
        path: Any = door.opened[0][0]
        self.assertFalse(path.trusted)
        self.assertIn(str(test_unix.STRANGER), path.remote)
        self.assertIn(str(process.pid), path.remote)
        self.assertEqual(_eventfds(), 0)

    async def test_tooLong(self) -> None:
        """
        A packet that is said to be longer than any of ours ends the connection.
        """
        raw, _, inbox = await self.rawPair()
        raw.send(bytes(0x10000))
        await self.until(lambda: inbox.lost)
        self.assertEqual(inbox.packets, [])
        self.assertEqual(inbox.lost, ["a slot of the ring is not what it should be"])

    def spawn(self, how: str, which: int, *more: str) -> subprocess.Popen[bytes]:
        """
        A process that connects to a node, says hello and waits; killed at the end of the test.

        @param how: C{bells}, or C{forked} for one with a child that holds the same socket.
        @param more: the user that it becomes.
        """
        command = [sys.executable, "-m", "tests.transports.shmhostile", self.path(which), how]
        process = subprocess.Popen([*command, *more], cwd=ROOT, stdin=subprocess.PIPE)

        def end() -> None:
            process.kill()
            process.communicate()

        self.addCleanup(end)
        return process

    async def test_bells(self) -> None:
        """
        Ends that trust each other have a doorbell each, others have none, and both kinds carry.
        """
        _, inbox, other, _ = await self.pair()
        self.assertEqual(_eventfds(), 2)
        other.sendPacket(b"answer")
        await self.until(lambda: inbox.packets)
        self.patch(shm.SharedMemoryTransport, "trusts", lambda self, user: False)
        path, inbox = await self.connect(self._transports[0])
        path.sendPacket(b"hello")
        await self.until(lambda: len(self.door.opened) == 2)
        self.assertEqual(_eventfds(), 2)
        self.door.opened[1][0].sendPacket(b"answer")
        await self.until(lambda: inbox.packets)

    async def test_oneTrusts(self) -> None:
        """
        Where only one end trusts the other there are no doorbells.
        """
        for trusting in (0, 1):
            transport, _ = self.listening(0)
            other, door = self.listening(1)
            distrusting: Any = (other, transport)[trusting]
            distrusting.trusts = lambda user: False
            path, inbox = await self.connect(transport)
            path.sendPacket(b"hello")
            await self.known(door, 1)
            door.opened[0][0].sendPacket(b"answer")
            await self.received(inbox, 1)
            self.assertEqual(_eventfds(), 0)
            await self.result(transport.stopListening())
            await self.result(other.stopListening())

    async def test_oneRing(self) -> None:
        """
        A burst rings once, for the reader that sleeps.
        """
        path, _, _, inbox = await self.pair()
        await self.quiet()
        connection: Any = path
        rings: list[int] = []
        ring = connection._ring
        self.patch(connection, "_ring", lambda: rings.append(ring()))
        for _ in range(50):
            path.sendPacket(b"packet")
        await self.received(inbox, 50)
        self.assertEqual(len(rings), 1)

    async def test_flat(self) -> None:
        """
        Paths that come and go leave nothing behind.
        """
        transport, _ = self.listening(0)
        _, door = self.listening(1)
        found = set()
        for cycle in range(CYCLES):
            if cycle in (5, CYCLES - 1):
                found.add((descriptors(), mappings()))
            one, inbox = await self.connect(transport)
            one.sendPacket(b"hello")
            await self.known(door, cycle + 1)
            (one if cycle % 2 else door.opened[cycle][0]).loseConnection()
            await self.lost(inbox, door.opened[cycle][1])
        self.assertEqual(len(found), 1)

    async def test_killed(self) -> None:
        """
        The end of the peer's process is noticed at once.
        """
        _, door = self.listening(0)
        took = []
        for cycle in range(5):
            process = self.spawn("bells", self.ports[0])
            await self.known(door, cycle + 1)
            await self.quiet()
            inbox = door.opened[cycle][1]
            began = self.reactor.seconds()
            process.send_signal(signal.SIGKILL)
            await self.lost(inbox)
            took.append(self.reactor.seconds() - began)
            self.assertEqual(len(inbox.lost), 1)
        self.assertLess(median(took), NOTICED)

    async def test_processEnded(self) -> None:
        """
        A process that has ended is noticed although another holds its socket.
        """
        _, door = self.listening(0)
        process = self.spawn("forked", self.ports[0])
        await self.until(lambda: door.opened)
        inbox = door.opened[0][1]
        await self.quiet()
        self.assertEqual(inbox.lost, [])
        process.kill()
        await self.until(lambda: inbox.lost)
        self.assertEqual(inbox.lost, ["the other end's process has ended"])

    def test_processor(self) -> None:
        """
        Where stores may be seen in another order there is no shared memory, and that is the reason.
        """
        self.patch(platform, "machine", lambda: "aarch64")
        error = self.assertRaises(TransportUnavailable, self.makeTransport, 1)
        self.assertIn("aarch64", error.reason)


class OfferTests(Patience, TestCase):
    """
    What the end that connects makes of another program that answers it.
    """

    reactor: Any = reactor

    def setUp(self) -> None:
        """
        A program that listens where a node would.
        """
        super().setUp()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(self.listener.close)
        name = shm.NAME.format(self.ports[1])
        self.listener.bind(os.path.join(self.folder, name))
        self.listener.listen()

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{TransportCase.makeTransport}
        """
        return shm.make(reactor, TransportSettings(port, (), self.folder))

    async def offered(self) -> tuple[Deferred[IPathTransport], socket.socket]:
        """
        An attempt to connect that has made its offer, and the other program's socket.
        """
        attempt = self.make().connect("", self.ports[1], Inbox())
        sock, _ = self.listener.accept()
        self.addCleanup(sock.close)
        await self.until(lambda: select([sock], [], [], 0)[0])
        return attempt, sock

    async def test_answers(self) -> None:
        """
        An answer that is none fails with the reason, what the other says is shown safely, and
        nothing is left behind.
        """
        await self.quiet()  # the reactor runs, and has opened what it needs
        before = descriptors(), mappings()
        for answer, reason in (
            (b"", "closed by the other end"),
            (b"noise", "does not know"),
            (bytes(5000), "does not know"),
            (MAGIC + b"\2no \x1b[0m room", "refused: no ?[0m room"),
        ):
            attempt, sock = await self.offered()
            sock.recv(100)
            if answer:
                sock.send(answer)
            sock.close()
            self.assertIn(reason, await self.unavailable(attempt))
        self.assertEqual((descriptors(), mappings()), before)

    async def test_bellsNotOffered(self) -> None:
        """
        An end that has offered no doorbells takes none.
        """
        self.patch(shm.SharedMemoryTransport, "trusts", lambda self, user: False)
        attempt, sock = await self.offered()
        sock.send(MAGIC + b"\1")
        self.assertIn("does not know", await self.unavailable(attempt))

    async def test_noAnswer(self) -> None:
        """
        One that never answers is given up.
        """
        self.patch(shm, "CONNECT_TIME", 0.05)
        await self.quiet()  # the reactor runs, and has opened what it needs
        before = descriptors(), mappings()
        attempt, sock = await self.offered()
        self.assertIn("no answer in 0.05 s", await self.unavailable(attempt))
        sock.close()
        self.assertEqual((descriptors(), mappings()), before)

    async def test_cancelled(self) -> None:
        """
        An attempt that is cancelled before the answer leaves nothing behind.
        """
        await self.quiet()  # the reactor runs, and has opened what it needs
        before = descriptors(), mappings()
        attempt, sock = await self.offered()
        attempt.cancel()
        self.failureResultOf(attempt, CancelledError)
        self.assertEqual(sock.recv(100)[: len(MAGIC)], MAGIC)
        self.assertEqual(sock.recv(100), b"")
        sock.close()
        self.assertEqual((descriptors(), mappings()), before)

    async def test_noDescriptors(self) -> None:
        """
        Where the process has no file descriptor left that is the reason.
        """
        await self.quiet()  # the reactor runs, and has opened what it needs
        before = descriptors(), mappings()

        def fail(*args: object) -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(os, "eventfd", fail)
        attempt, sock = await self.offered()
        self.assertIn("Too many open files", await self.unavailable(attempt))
        sock.close()
        self.assertEqual((descriptors(), mappings()), before)


def _eventfds() -> int:
    """
    How many doorbells this process holds, each counted once.
    """
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{number}") == "anon_inode:[eventfd]":
                about = Path(f"/proc/self/fdinfo/{number}").read_text("ascii")
                found.add(re.search(r"eventfd-id:\s*(\d+)", about)[1])  # type: ignore[index]
        except FileNotFoundError:  # the folder's own
            continue
    return len(found)
