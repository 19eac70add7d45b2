"""
Tests of C{bmff.testing.memory}: that a transport in memory keeps the contract of real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from bmff.ibmff import ITransport, TransportSettings
from bmff.testing.memory import MemoryNetwork
from bmff.testing.transports import TransportContract
from bmff.transports import strangers

STEP = 0.001  # seconds
STEPS = 1000
SOON = 1.0  # seconds; what is under way is there by then


class MemoryTests(TransportContract, TestCase):
    """
    In memory the contract is kept, here as by a reliable transport that is trusted.
    """

    trusted = True

    def setUp(self) -> None:
        """
        A network of its own.
        """
        super().setUp()
        self.reactor = self.clock = Clock()
        self.network = MemoryNetwork(
            self.clock, reliable=self.reliable, ordered=self.ordered, trusted=self.trusted
        )

    def makeTransport(self, port: int) -> ITransport:
        """
        @see: L{TransportContract.makeTransport}
        """
        return self.network.make(TransportSettings(port))

    async def until(self, condition: Callable[[], object]) -> None:
        """
        Let the time pass until something is so.
        """
        for _ in range(STEPS):
            if condition():
                return
            self.clock.advance(STEP)
        self.fail("it never came so")

    async def quiet(self) -> None:
        """
        Let the time pass until nothing is under way; that a stranger waits is nothing.
        """
        while any(call.getTime() < self.clock.seconds() + SOON for call in self.coming()):
            self.clock.advance(STEP)

    def coming(self) -> list[Any]:
        """
        What waits for its time.
        """
        return list(self.clock.getDelayedCalls())

    async def test_strangers(self) -> None:
        """
        Who connects and is not known is closed after a while, and so is the oldest of too many;
        where nothing is kept of a sender nobody is.
        """
        self.patch(strangers, "MOST_STRANGERS", 2)
        transport, _ = self.listening(0)
        _, door = self.listening(1, opens=False)
        inboxes = [(await self.connect(transport))[1] for _ in range(3)]
        await self.quiet()
        self.assertEqual([len(inbox.lost) for inbox in inboxes], [int(self.connected), 0, 0])
        self.clock.advance(strangers.STRANGER_TIME)
        await self.quiet()
        self.assertEqual([len(inbox.lost) for inbox in inboxes], [int(self.connected)] * 3)
        self.assertEqual((door.strays, self.coming()), ([], []))

    async def test_latency(self) -> None:
        """
        A packet takes as long as the network says.
        """
        path, _, _, inbox = await self.pair()
        self.network.latency = 0.25
        path.sendPacket(b"packet")
        self.clock.advance(0.249)
        self.assertEqual(inbox.packets, [])
        self.clock.advance(0.002)
        self.assertEqual(inbox.packets, [b"packet"])

    async def test_stall(self) -> None:
        """
        An end that does not read has packets refused; when it reads again the sender is told.
        """
        path, inbox, other, otherInbox = await self.pair()
        far: Any = other
        far.stalled = True
        sent = 0
        while path.sendPacket(b"packet"):
            sent += 1
        await self.quiet()
        self.assertEqual((sent, inbox.writables, otherInbox.packets), (self.network.room, 0, []))
        far.resume()
        await self.quiet()
        self.assertEqual(inbox.writables, 1 if self.reliable else 0)
        self.assertEqual(len(otherInbox.packets), sent)
        self.assertTrue(path.sendPacket(b"packet"))


class LossyMemoryTests(MemoryTests):
    """
    In memory the contract is kept as by datagrams.
    """

    reliable = ordered = trusted = connected = False

    async def test_loss(self) -> None:
        """
        Packets are lost and change their order as the network says.
        """
        path, _, _, inbox = await self.pair()
        self.network.loss = 0.5
        self.network.jitter = 0.05
        for number in range(200):
            path.sendPacket(b"%03d" % number)
        await self.quiet()
        self.assertIn(len(inbox.packets), range(70, 130))
        self.assertNotEqual(inbox.packets, sorted(inbox.packets))

    async def test_move(self) -> None:
        """
        A path that has moved speaks with the new end, and the old one is heard no more.
        """
        _, inbox, other, otherInbox = await self.pair()
        guest, _ = self.listening(2)
        guestPath, guestInbox = await self.connect(guest)
        guestPath.sendPacket(b"here I am")
        await self.until(lambda: len(self.door.strays) == 2)
        other.moveTo(self.door.strays[1][1])
        other.sendPacket(b"moved")
        guestPath.sendPacket(b"heard")
        await self.quiet()
        self.assertEqual((guestInbox.packets, inbox.packets), ([b"moved"], []))
        self.assertEqual(otherInbox.packets, [b"heard"])
