"""
Tests of C{bmff.transports.shm} with peers that are not honest.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fcntl import F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import LoopingCall, deferLater
from twisted.trial.unittest import TestCase

from bmff.ibmff import ITransport, TransportSettings
from bmff.transports import shm, shmconnection
from tests.transports.shmhostile import WAYS, punch
from tests.transports.shmpeer import (
    BELL,
    HEAD,
    MAGIC,
    SEALS,
    SIZE,
    SLOTS,
    START,
    TAIL,
    SharedPeer,
    memory,
    offer,
)
from tests.transports.test_shm import Patience, descriptors, mappings

ROOT = Path(__file__).parents[2]
SOAK = bool(os.environ.get("BMFF_SOAK"))
SECONDS = (60.0 if SOAK else 5.0) / len(WAYS)  # for each way
REASONS = {
    "a slot of the ring is not what it should be",
    "packets that nobody rang for",
    "rings without need",
    "something else than a ring on the socket",
    "the reader of the ring is where it cannot be",
    "the writer of the ring is where it cannot be",
}
LONGEST_STOP = 1.0  # seconds that the reactor may have stood still


class HostileCase(Patience, TestCase):
    """
    A node, and another program's end of its memory.
    """

    reactor: Any = reactor

    def setUp(self) -> None:
        """
        A node that listens.
        """
        super().setUp()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        _, self.door = self.listening(0)

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{Patience.makeTransport}
        """
        return shm.make(reactor, TransportSettings(port, (), self.folder))

    @property
    def path(self) -> str:
        """
        The node's file.
        """
        return os.path.join(self.folder, shm.NAME.format(self.ports[0]))

    async def peer(self, bells: bool = False) -> tuple[SharedPeer, Any, Any]:
        """
        The other program, known to the node; the node's path and its receiver.
        """
        known = len(self.door.opened)
        peer = SharedPeer(self.path, bells)
        self.addCleanup(peer.close)
        peer.send(b"hello")
        await self.until(lambda: len(self.door.opened) > known)
        await self.quiet()
        return peer, *self.door.opened[known]


class ReasonTests(HostileCase):
    """
    Each thing that an honest end does not do ends the path, with its reason.
    """

    async def ends(self, act: Callable[[SharedPeer], object], reason: str) -> None:
        """
        Do it with either kind of doorbell.
        """
        for bells in (False, True):
            peer, path, inbox = await self.peer(bells)
            act(peer)
            peer.ring()
            await self.lost(inbox)
            self.assertIn(reason, inbox.lost[0])
            self.assertEqual(inbox.packets, [])
            self.assertFalse(path.sendPacket(b"packet"))
            await self.quiet()
            self.assertEqual(len(inbox.lost), 1)
            peer.close()

    async def test_head(self) -> None:
        """
        A writer that says it is behind its reader, or more than a ring ahead.
        """
        for head in (0, SLOTS + 2, 1 << 63, (1 << 64) - 1):
            await self.ends(partial(SharedPeer.put, at=HEAD, number=head), "writer of the ring")

    async def test_tail(self) -> None:
        """
        A reader that says it is ahead of its writer, or behind where it was: heard of when the ring
        is full.
        """
        for tail in (4 * SLOTS, (1 << 64) - 1):
            peer, path, inbox = await self.peer()
            peer.put(SIZE + TAIL, tail)
            while path.sendPacket(bytes(1000)):
                continue
            await self.lost(inbox)
            self.assertIn("reader of the ring", inbox.lost[0])

    async def test_tailBack(self) -> None:
        """
        The same of a reader that goes back.
        """
        peer, path, inbox = await self.peer()
        while path.sendPacket(bytes(1000)):
            pass
        while peer.read() is not None:
            continue
        await self.until(lambda: inbox.writables)
        while path.sendPacket(bytes(1000)):
            pass
        peer.put(SIZE + TAIL, 1)
        peer.ring()
        await self.lost(inbox)
        self.assertIn("reader of the ring", inbox.lost[0])

    async def test_slot(self) -> None:
        """
        A slot of another number, of no length, or longer than what is said to be written.
        """
        at = START + 64

        def write(word: int) -> Callable[[SharedPeer], None]:
            def act(peer: SharedPeer) -> None:
                peer.put(at, word)
                peer.put(HEAD, 2)

            return act

        for word in (0, 5, 2 << 16 | 5, 1 << 16, 1 << 16 | 57, (1 << 64) - 1):
            await self.ends(write(word), "a slot of the ring")

    async def test_hole(self) -> None:
        """
        A hole where packets were.
        """

        def act(peer: SharedPeer) -> None:
            for _ in range(SLOTS // 2):
                peer.write(b"packet")
            punch(peer, 4096, SIZE - 4096)

        peer, _, inbox = await self.peer()
        act(peer)
        peer.ring()
        await self.lost(inbox)
        self.assertIn("a slot of the ring", inbox.lost[0])
        self.assertLess(len(inbox.packets), 64)

    async def test_holeInFront(self) -> None:
        """
        A hole where the places are.
        """
        await self.ends(lambda peer: punch(peer, 0, 4096), "writer of the ring")

    async def test_flood(self) -> None:
        """
        Rings without need; few are forgiven.
        """

        def act(peer: SharedPeer) -> None:
            for _ in range(30):
                peer.ring()

        await self.ends(act, "rings without need")
        peer, _, inbox = await self.peer()
        for _ in range(5):
            peer.ring()
            await self.quiet()
        self.assertEqual(inbox.lost, [])

    async def test_hugeRing(self) -> None:
        """
        As many rings at once as a doorbell holds.
        """
        peer, _, inbox = await self.peer(bells=True)
        os.eventfd_write(peer.otherBell, (1 << 64) - 2)
        await self.lost(inbox)
        self.assertEqual(inbox.lost, ["rings without need"])

    async def test_silence(self) -> None:
        """
        Packets that nobody rings for.
        """
        self.patch(shmconnection, "LOOK_INTERVAL", 0.02)
        peer, _, inbox = await self.peer()
        peer.write(b"packet")
        await self.lost(inbox)
        self.assertEqual((inbox.packets, inbox.lost), ([], ["packets that nobody rang for"]))

    async def test_lostRing(self) -> None:
        """
        A reader that has made room and does not say so is found out, and the sender goes on.
        """
        self.patch(shmconnection, "LOOK_INTERVAL", 0.02)
        peer, path, inbox = await self.peer()
        while path.sendPacket(bytes(1000)):
            pass
        peer.put(SIZE + 192, 0)
        while peer.read() is not None:
            continue
        await self.until(lambda: inbox.writables)
        self.assertTrue(path.sendPacket(b"packet"))

    async def test_message(self) -> None:
        """
        Something else than a ring on the socket.
        """
        peer, _, inbox = await self.peer()
        peer.sock.send(BELL * 2)
        await self.lost(inbox)
        self.assertEqual(inbox.lost, ["something else than a ring on the socket"])

    async def test_writesOn(self) -> None:
        """
        One that has closed its socket and writes on is heard no longer than a ring is long.
        """
        peer, _, inbox = await self.peer()
        peer.sock.close()
        while not inbox.lost:
            for _ in range(100):
                peer.write(b"packet")
            await deferLater(self.reactor, 0)
        self.assertLessEqual(len(inbox.packets), SLOTS + 64)
        peer.map.close()
        os.close(peer.file)

    async def test_descriptorsLater(self) -> None:
        """
        Descriptors that come with a ring stay out.
        """
        peer, _, inbox = await self.peer()
        before = descriptors()
        offer(peer.sock, BELL, [peer.file] * 10)
        await self.quiet()
        self.assertEqual((descriptors(), inbox.lost), (before, []))


class OfferedTests(HostileCase):
    """
    What is offered as memory and is not: refused with a reason, and closed.
    """

    async def refused(self, message: bytes, given: list[int]) -> str:
        """
        Offer it.

        @return: the reason that the other end hears.
        """
        await self.quiet()  # the reactor runs, and has opened what it needs
        before = descriptors(), mappings()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(self.path)
            offer(sock, message, given)
            sock.setblocking(False)
            heard: list[bytes] = []

            def closed() -> bool:
                try:
                    heard.append(sock.recv(300))
                except BlockingIOError:
                    return False
                return not heard[-1]

            await self.until(closed)
        self.assertEqual((descriptors(), mappings()), before)
        self.assertEqual(self.door.strays, [])
        self.assertEqual(heard[0][: len(MAGIC) + 1], MAGIC + b"\2")
        return heard[0][len(MAGIC) + 1 :].decode()

    async def test_message(self) -> None:
        """
        A message of another version, or none at all.
        """
        file = memory()
        self.addCleanup(os.close, file)
        for message in (b"bmff-shm-9\0", MAGIC, MAGIC + b"\3", b"x", bytes(5000)):
            self.assertIn("not an offer", await self.refused(message, [file]))

    async def test_number(self) -> None:
        """
        More descriptors than there should be, or fewer.
        """
        file = memory()
        self.addCleanup(os.close, file)
        for message, count in (
            (MAGIC + b"\0", 0),
            (MAGIC + b"\0", 2),
            (MAGIC + b"\0", 200),
            (MAGIC + b"\1", 1),
            (MAGIC + b"\1", 2),
        ):
            self.assertIn("another number", await self.refused(message, [file] * count))

    async def test_kinds(self) -> None:
        """
        A file, a folder, a pipe, a socket and a doorbell instead of memory.
        """
        ends = os.pipe()
        sock = socket.socket()
        self.addCleanup(sock.close)
        name = os.path.join(self.folder, "file")
        Path(name).write_bytes(bytes(2 * SIZE))
        others = [os.open(name, os.O_RDWR), os.open(self.folder, os.O_RDONLY), os.eventfd(0), *ends]
        for one in others:
            self.addCleanup(os.close, one)
        for one in (*others, sock.fileno()):
            self.assertIn("not of memory", await self.refused(MAGIC + b"\0", [one]))

    async def test_memory(self) -> None:
        """
        Memory that could become smaller, is of another size, or cannot be written.
        """
        cases = (
            ("not sealed", memory(seals=0)),
            ("not sealed", memory(seals=F_SEAL_GROW | F_SEAL_SEAL)),
            ("not sealed", memory(seals=F_SEAL_SHRINK | F_SEAL_GROW)),
            ("another size", memory(2 * SIZE - 1)),
            ("another size", memory(4096)),
            ("another size", memory(2 * SIZE + 4096)),
            ("cannot be written", memory(seals=SEALS | F_SEAL_WRITE)),
        )
        for reason, file in cases:
            self.assertIn(reason, await self.refused(MAGIC + b"\0", [file]))
            os.close(file)

    async def test_readOnly(self) -> None:
        """
        Memory that was opened to be read.
        """
        file = memory()
        reading = os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
        self.addCleanup(os.close, file)
        self.addCleanup(os.close, reading)
        self.assertIn("cannot be written", await self.refused(MAGIC + b"\0", [reading]))

    async def test_bells(self) -> None:
        """
        Something else than doorbells behind good memory.
        """
        file = memory()
        self.addCleanup(os.close, file)
        reason = await self.refused(MAGIC + b"\1", [file, file, file])
        self.assertIn("not of a doorbell", reason)

    async def test_strangers(self) -> None:
        """
        Of those who connect and say nothing only so many are kept.
        """
        self.patch(shm, "MOST_STRANGERS", 5)
        await self.quiet()
        before = descriptors()
        socks = []
        for _ in range(20):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sock.connect(self.path)
            socks.append(sock)
        transport: Any = self._transports[0]
        await self.until(lambda: transport.strangersDropped == 15)
        self.assertEqual(len(transport.strangers), 5)
        for sock in socks:
            sock.close()
        await self.until(lambda: not transport.strangers)
        self.assertEqual(descriptors(), before)


class ProcessTests(HostileCase):
    """
    A process that misbehaves for a while, beside a path that is honest.
    """

    timeout = 30.0 + SECONDS

    async def attack(self, how: str) -> None:
        """
        Let it: its paths are closed with a reason, nothing waits for it, and nothing is left.
        """
        honest, _ = await self.connect(self.listening(1)[0], 0)
        honest.sendPacket(b"honest")
        await self.until(lambda: self.door.opened)
        honestInbox = self.door.opened[0][1]
        await self.quiet()
        before = descriptors(), mappings()
        stops = [0.0, self.reactor.seconds()]

        def tick() -> None:
            now = self.reactor.seconds()
            stops[0], stops[1] = max(stops[0], now - stops[1]), now
            honest.sendPacket(b"honest")
            for path, inbox in self.door.opened[-2:]:
                if not inbox.lost:
                    path.sendPacket(b"packet")

        ticks = LoopingCall(tick)
        ticks.clock = self.reactor
        ticks.start(0.005).addErrback(lambda failure: self.fail(str(failure)))
        command = [sys.executable, "-m", "tests.transports.shmhostile", self.path, how]
        process = subprocess.Popen([*command, str(SECONDS)], cwd=ROOT)
        try:
            deadline = self.reactor.seconds() + SECONDS + 10
            while process.poll() is None and self.reactor.seconds() < deadline:
                await deferLater(self.reactor, 0.01)
            self.assertEqual(process.poll(), 0)
        finally:
            process.kill()
            process.wait()
            ticks.stop()
        await self.lost(*(inbox for _, inbox in self.door.opened[1:]))
        reasons = {reason for _, inbox in self.door.opened[1:] for reason in inbox.lost}
        self.assertTrue(reasons & REASONS, reasons)
        count = len(honestInbox.packets)
        honest.sendPacket(b"honest")
        await self.until(lambda: len(honestInbox.packets) > count)
        self.assertLess(stops[0], LONGEST_STOP)
        self.assertEqual((descriptors(), mappings()), before)

    async def test_noise(self) -> None:
        """
        Random bytes in the ring.
        """
        await self.attack("noise")

    async def test_both(self) -> None:
        """
        Nothing but random bytes in the memory.
        """
        await self.attack("both")

    async def test_places(self) -> None:
        """
        Places where no end can be.
        """
        await self.attack("places")

    async def test_holes(self) -> None:
        """
        Holes in the memory, while packets are on their way.
        """
        await self.attack("holes")

    async def test_shrink(self) -> None:
        """
        Memory that cannot be made smaller, and is emptied.
        """
        await self.attack("shrink")

    async def test_flood(self) -> None:
        """
        A doorbell that is rung without end.
        """
        await self.attack("flood")

    async def test_floodSocket(self) -> None:
        """
        The same of a socket.
        """
        await self.attack("flood-socket")

    async def test_drain(self) -> None:
        """
        A doorbell that is kept silent.
        """
        self.patch(shmconnection, "LOOK_INTERVAL", 0.05)
        await self.attack("drain")

    async def test_stop(self) -> None:
        """
        Doorbells that would make us wait are not used with one who is not trusted.
        """
        self.patch(shm.SharedMemoryTransport, "trusts", lambda self, user: False)
        self.patch(shmconnection, "LOOK_INTERVAL", 0.05)
        await self.attack("stop")
