"""
Tests of what may befall an RDMA connection: ends that do not take anything, refuse, or come and go,
and devices that are switched off or taken away.
"""

from __future__ import annotations

import gc
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bmff.errors import TransportUnavailable
from bmff.ibmff import ITransport, TransportSettings
from bmff.sockets.addresses import packAddress
from bmff.testing import transports
from bmff.testing.requirements import requires
from bmff.testing.transports import Door, Inbox, TransportCase
from bmff.transports import rdma
from bmff.transports.rdmaaddress import sockaddrOf
from bmff.transports.rdmahello import Hello, encodeRefusal
from bmff.transports.rdmaidentifier import Happening, Identifier
from bmff.transports.rdmaqueue import RECEIVES

reactor: Any = anyReactor  # mypy does not know which reactor there is

ADDRESS = "10.99.0.1"  # of the guest's device
NOBODY = "192.0.2.7"  # is at this address
DEVICE, INTERFACE = "rxe0", "dummy0"
LINK_LAYER = Path("/sys/class/infiniband/rxe0/ports/1")
CYCLES = 500
WARM = 100  # cycles until memory is as large as it gets
GROWTH = 2 << 20  # bytes that the rest may add
PATIENCE = 20.0  # seconds
GONE = 10.0  # seconds; messages are sent again for 2 s, on a clock that is not true here


def command(*words: str) -> None:
    """
    Change the guest's network.
    """
    subprocess.run(words, check=True, timeout=60)


def residentSize() -> int:
    """
    Bytes of this process in memory.
    """
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@requires("rdma")
class RDMAFailureTests(TransportCase, TestCase):
    """
    Connections on the guest's device.
    """

    reactor: Any = reactor
    address = ADDRESS
    timeout = 400

    def setUp(self) -> None:
        """
        The guest is slow.
        """
        self.patch(transports, "PATIENCE", PATIENCE)
        super().setUp()

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{TransportCase.makeTransport}
        """
        return rdma.make(reactor, TransportSettings(port))

    async def within(self, seconds: float, inbox: Inbox) -> str:
        """
        Wait until a connection is lost.

        @return: the reason.
        """
        begun = time.monotonic()
        while not inbox.lost:
            if time.monotonic() > begun + seconds:
                self.fail(f"not lost in {seconds} s")
            await deferLater(reactor, 0.01)
        return inbox.lost[0]

    async def test_gid(self) -> None:
        """
        A node is reached by the GIDs of its device, the one that stands for an IPv4 address and the
        link-local one, with and without its interface.
        """
        transport, _ = self.listening(0)
        self.listening(1)
        gids = [(LINK_LAYER / "gids" / str(row)).read_text().strip() for row in range(2)]
        found = ["0x" + gid.replace(":", "") for gid in gids]
        self.assertEqual({gid[:6] for gid in found}, {"0xfe80", "0x0000"})
        found += [f"{gid}%{INTERFACE}" for gid in found if gid.startswith("0xfe80")]
        for gid in found:
            inbox = Inbox()
            path = await self.result(transport.connect(gid, self.ports[1], inbox))
            self.assertTrue(path.sendPacket(b"packet"))
        await self.until(lambda: len(self._transports) == 2)
        await self.quiet()

    async def test_addresses(self) -> None:
        """
        An address that no device has is refused with the reason, to connect to and to listen on.
        """
        transport, _ = self.listening(0)
        for address in ("127.0.0.1", "2001:db8::1", "0x20010db8" + "0" * 24):
            reason = await self.unavailable(transport.connect(address, self.ports[1], Inbox()))
            self.assertIn(": ", reason)
        other = rdma.make(reactor, TransportSettings(self.ports[2], (NOBODY,)))
        self._transports.append(other)
        error = self.assertRaises(TransportUnavailable, other.listen, None)
        self.assertIn(NOBODY, error.reason)

    async def test_stops(self) -> None:
        """
        To an end that takes nothing any more a packet is refused once its room is used up; when it
        goes on all that was taken arrives, in order, and the sender is told.
        """
        path, inbox, other, otherInbox = await self.pair()
        await self.quiet()
        end: Any = other
        reactor.removeReader(end)
        taken = 0
        while path.sendPacket(b"%d" % taken):
            taken += 1
            self.assertLess(taken, 2 * RECEIVES)
        self.assertGreater(taken, RECEIVES // 2)
        await deferLater(reactor, 1.0)
        self.assertFalse(path.sendPacket(b"refused"))
        self.assertEqual((inbox.writables, inbox.lost, otherInbox.packets), (0, [], []))
        reactor.addReader(end)
        await self.until(lambda: inbox.writables)
        await self.received(otherInbox, taken)
        self.assertEqual(otherInbox.packets, [b"%d" % number for number in range(taken)])
        self.assertTrue(path.sendPacket(b"again"))

    async def test_noRoom(self) -> None:
        """
        A message that meets no room, which an end that counts right never sends, ends the
        connection with the device's own reason.
        """
        path, inbox, other, _ = await self.pair()
        await self.quiet()
        end: Any = other
        reactor.removeReader(end)
        cheat: Any = path
        for number in range(2):
            while path.sendPacket(b"packet"):
                pass
            await deferLater(reactor, 0.3)
            cheat._credits.taken += RECEIVES * (1 - number) // 2
            cheat._wanted = 0
            cheat._turn()
        self.assertIn("RNR", await self.within(GONE, inbox))

    async def test_refused(self) -> None:
        """
        One who connects without our hello, or refuses us, is told or tells the reason.
        """
        transport, door = self.listening(1)
        client: Any = self.make(0)
        for hello, reason in (
            (b"GET / HTTP/1.1\r\n\r\n", "refused: no hello"),
            (Hello(4, 4096).encode(), "refused: too little room for a packet"),
        ):
            identifier = Identifier(client._channel)
            await self.result(self.deferred(identifier.resolve(self.sockaddr(1))))
            queue = client._queueFor(identifier)
            found = await self.unavailable(self.deferred(identifier.connect(hello)))
            self.assertEqual(found, reason)
            queue.close()
            identifier.close()
        self.assertEqual(door.strays, [])
        host: Any = transport
        self.assertEqual(host.refused, 2)

        def asked(happening: Happening) -> None:
            Identifier(client._channel, happening.identifier).reject(encodeRefusal("full today"))

        listener = Identifier(client._channel)
        listener.watcher = asked
        listener.listen(self.sockaddr(2), only=False)
        reason = await self.unavailable(transport.connect(ADDRESS, self.ports[2], Inbox()))
        self.assertIn("refused: full today", reason)
        listener.close()

    @staticmethod
    def deferred(coroutine: Any) -> Any:
        """
        What a coroutine will give.
        """
        return Deferred.fromCoroutine(coroutine)

    def sockaddr(self, which: int) -> bytes:
        """
        Where one of the nodes is.
        """
        return sockaddrOf(packAddress(ADDRESS, self.ports[which]))

    async def test_cycles(self) -> None:
        """
        Five hundred connections that come and go leave nothing: memory and descriptors are as many
        as they were after the first hundred.
        """
        transport, _ = self.listening(0)
        _, door = self.listening(1)
        size = descriptors = 0
        begun = time.monotonic()
        for number in range(CYCLES):
            if number == WARM:
                gc.collect()
                size, descriptors = residentSize(), len(os.listdir("/proc/self/fd"))
            await self.cycle(transport, door)
        gc.collect()
        growth = residentSize() - size
        print(f"{CYCLES} cycles: {time.monotonic() - begun:.1f} s, {growth >> 10} KiB more")
        self.assertEqual(len(os.listdir("/proc/self/fd")), descriptors)
        self.assertLess(growth, GROWTH)

    async def cycle(self, transport: ITransport, door: Door) -> None:
        """
        A connection comes, carries a packet, and goes.
        """
        inbox = Inbox()
        path = await self.result(transport.connect(ADDRESS, self.ports[1], inbox))
        path.sendPacket(b"packet")
        await self.until(lambda: door.opened)
        other, otherInbox = door.opened.pop()
        door.strays.clear()
        other.loseConnection()
        await self.until(lambda: inbox.lost and otherInbox.lost)
        hosts: list[Any] = self._transports
        await self.until(lambda: not any(host._life.paths for host in hosts))

    async def test_down(self) -> None:
        """
        When the interface of the device is switched off a connection is lost, at the latest after
        messages have not arrived.
        """
        path, inbox, _, otherInbox = await self.pair()
        await self.quiet()
        self.addCleanup(self.mend)
        command("ip", "link", "set", INTERFACE, "down")
        begun = time.monotonic()
        path.sendPacket(b"packet")
        reason = await self.within(GONE, inbox)
        print(f"interface down: {reason!r} after {time.monotonic() - begun:.1f} s")
        self.assertEqual(otherInbox.packets, [])

    async def mend(self) -> None:
        """
        Switch the interface on, and make the device anew: one of software does not carry what
        connections are agreed on with (its queue pair 1) after it could not send once.
        """
        command("ip", "link", "set", INTERFACE, "up")
        await self.remove()
        command("rdma", "link", "add", DEVICE, "type", "rxe", "netdev", INTERFACE)

    async def remove(self) -> None:
        """
        Take the device away; whoever uses it has to let go meanwhile.
        """
        removal = subprocess.Popen(["rdma", "link", "delete", DEVICE])
        begun = time.monotonic()
        while removal.poll() is None:
            if time.monotonic() > begun + GONE:
                raise AssertionError("somebody does not let go of the device")
            await deferLater(reactor, 0.01)
        self.assertEqual(removal.returncode, 0)
        print(f"device removed in {time.monotonic() - begun:.1f} s")

    async def test_removed(self) -> None:
        """
        When the device is taken away its connections are lost with that reason and given back, so
        that it can go; when there is one again it is used by the same transports.
        """
        _, inbox, _, otherInbox = await self.pair()
        await self.quiet()
        await self.remove()
        reasons = await self.within(GONE, inbox), await self.within(GONE, otherInbox)
        self.assertIn("the RDMA device was removed", reasons)
        command("rdma", "link", "add", DEVICE, "type", "rxe", "netdev", INTERFACE)
        await self.again()

    async def again(self) -> None:
        """
        A path can be made between the two transports that there are.
        """
        before = len(self.door.opened)
        path: Any = None
        for _ in range(20):
            try:
                path, _ = await self.connect(self._transports[0])
                break
            except TransportUnavailable as error:
                print(f"not yet: {error.reason}")
                await deferLater(reactor, 0.5)
        path.sendPacket(b"packet")
        await self.until(lambda: len(self.door.opened) > before)
