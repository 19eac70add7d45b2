"""
What every transport promises, as tests that a transport of a third party passes as well.

A test class takes L{TransportContract} and C{twisted.trial.unittest.TestCase} as its bases, in this
order, and says how a transport is made and which reactor there is. The sockets are real and so is
the time: a test waits until something is so, and fails when it is not within L{PATIENCE}.
L{bmff.testing.connections} adds what a transport on connections promises.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from random import Random
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from zope.interface import implementer
from zope.interface.verify import verifyObject

from bmff.errors import TransportUnavailable
from bmff.ibmff import (
    IAcceptor,
    IConversation,
    IPathReceiver,
    IPathTransport,
    ITransport,
)

PATIENCE: Final = 5.0  # seconds
BURST: Final = 1000  # packets
_LOOK_INTERVAL: Final = 0.001  # seconds
_QUIET: Final = 5  # looks after which nothing more is expected

T = TypeVar("T")


@implementer(IPathReceiver)
class Inbox:
    """
    A receiver that keeps what it is given.

    @ivar packets: the packets.
    @ivar turns: how many packets each turn had.
    @ivar writables: how often it was told to go on.
    @ivar lost: the reasons why the connection was gone.
    @ivar path: the path that it is the receiver of, if it was opened by a L{Door}.
    @ivar fails: whether it raises at packets that begin with C{bad}.
    @ivar closes: whether it closes the path at the next packet.
    """

    path: IPathTransport

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.turns: list[int] = []
        self.writables = 0
        self.lost: list[str] = []
        self.fails = False
        self.closes = False
        self._turn = 0

    def packetReceived(self, data: bytes, now: float) -> None:
        """
        Keep it, then close or raise if so told.
        """
        self.packets.append(data)
        self._turn += 1
        if self.closes:
            self.path.loseConnection()
        if self.fails and data.startswith(b"bad"):
            raise ValueError(data)

    def flush(self) -> None:
        """
        The turn is over.
        """
        self.turns.append(self._turn)
        self._turn = 0

    def writable(self) -> None:
        """
        Count it.
        """
        self.writables += 1

    def connectionLost(self, reason: str) -> None:
        """
        Keep the reason.
        """
        self.lost.append(reason)


@implementer(IAcceptor)
class Door:
    """
    An acceptor that keeps what it is given.

    @ivar opens: whether it knows everybody at the first packet.
    @ivar strays: packet and sender of each.
    @ivar turns: how many strays each turn had.
    @ivar opened: path and inbox of everybody known.
    """

    def __init__(self, opens: bool = True) -> None:
        self.opens = opens
        self.strays: list[tuple[bytes, IConversation]] = []
        self.turns: list[int] = []
        self.opened: list[tuple[IPathTransport, Inbox]] = []
        self._turn = 0

    def strayReceived(self, data: bytes, conversation: IConversation, now: float) -> None:
        """
        Keep it, and know the sender if so told.
        """
        self.strays.append((data, conversation))
        self._turn += 1
        if self.opens:
            inbox = Inbox()
            inbox.path = conversation.open(inbox)
            self.opened.append((inbox.path, inbox))

    def flush(self) -> None:
        """
        The turn is over.
        """
        self.turns.append(self._turn)
        self._turn = 0


def freePorts(number: int) -> list[int]:
    """
    Numbers that nobody on this host has for UDP or TCP. They are below those that the kernel hands
    out, and other ones than a test in another process takes at the same time.
    """
    first = 20000 + os.getpid() % 60 * 200
    ports: list[int] = []
    for port in Random().sample(range(first, first + 200), 200):
        try:
            with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                udp.bind(("", port))
                tcp.bind(("", port))
        except OSError:
            continue
        ports.append(port)
        if len(ports) == number:
            break
    return ports


class TransportCase:
    """
    What tests of a transport stand on.

    @cvar reliable: what the paths are to say of themselves.
    @cvar ordered: the same.
    @cvar trusted: the same.
    @cvar connected: whether an end hears that the other is gone or was never there.
    @cvar address: where the other node is, as the transport takes it.
    @cvar largest: bytes of the longest packet.
    @ivar reactor: the reactor that the tests run on; set by the class that has these.
    @ivar ports: the numbers of three nodes.
    @ivar door: the second node's acceptor, in a L{pair}.
    """

    reliable = True
    ordered = True
    trusted = False
    connected = True
    address = ""
    largest = 0xFFFF
    reactor: Any
    ports: list[int]
    door: Door

    # What trial's TestCase brings.
    addCleanup: Callable[..., Any]
    assertEqual: Callable[..., Any]
    assertFalse: Callable[..., Any]
    assertGreater: Callable[..., Any]
    assertIn: Callable[..., Any]
    assertLess: Callable[..., Any]
    assertNotEqual: Callable[..., Any]
    assertNotIn: Callable[..., Any]
    assertRaises: Callable[..., Any]
    assertTrue: Callable[..., Any]
    fail: Callable[..., Any]
    failureResultOf: Callable[..., Any]
    flushLoggedErrors: Callable[..., list[Any]]
    mktemp: Callable[..., str]
    patch: Callable[..., Any]

    def makeTransport(self, port: int) -> ITransport:
        """
        The transport of a node of this number.
        """
        raise NotImplementedError

    def setUp(self) -> None:
        """
        Three numbers, nobody there.
        """
        self._sockets = self._openSockets()
        self._transports: list[ITransport] = []
        self.ports = freePorts(3)
        self.addCleanup(self.finish)

    async def finish(self) -> None:
        """
        Everything stops, and every socket is closed; the last thing that a test does.
        """
        for transport in self._transports:
            await self.result(transport.stopListening())
        await self.until(lambda: self._openSockets() <= self._sockets)

    @staticmethod
    def _openSockets() -> set[str]:
        """
        The sockets of this process, of which the reactor has none of its own.
        """
        found = set()
        for number in os.listdir("/proc/self/fd"):
            try:
                found.add(os.readlink(f"/proc/self/fd/{number}"))
            except FileNotFoundError:  # the folder's own
                continue
        return {name for name in found if name.startswith("socket:")}

    async def until(self, condition: Callable[[], object]) -> None:
        """
        Wait until something is so.
        """
        deadline = self.reactor.seconds() + PATIENCE
        while not condition():
            if self.reactor.seconds() > deadline:
                self.fail(f"not within {PATIENCE} s")
            await deferLater(self.reactor, _LOOK_INTERVAL)

    async def quiet(self) -> None:
        """
        Wait until what is under way has arrived.
        """
        for _ in range(_QUIET):
            await deferLater(self.reactor, _LOOK_INTERVAL)

    async def received(self, inbox: Inbox, number: int) -> None:
        """
        Wait until so many packets have come.
        """
        await self.until(lambda: len(inbox.packets) >= number)

    async def result(self, deferred: Deferred[T]) -> T:
        """
        Wait for a result.
        """
        await self.until(lambda: deferred.called)
        return await deferred

    async def unavailable(self, deferred: Deferred[Any]) -> str:
        """
        Wait for an attempt to fail.

        @return: the reason.
        """
        try:
            await self.result(deferred)
        except TransportUnavailable as error:
            return error.reason
        self.fail("there is a path")
        return ""

    def make(self, which: int = 0) -> ITransport:
        """
        The transport of one of the nodes; stopped at the end of the test.
        """
        transport = self.makeTransport(self.ports[which])
        self._transports.append(transport)
        return transport

    def listening(self, which: int, opens: bool = True) -> tuple[ITransport, Door]:
        """
        The same, listening.
        """
        transport, door = self.make(which), Door(opens)
        transport.listen(door)
        return transport, door

    async def connect(self, transport: ITransport, which: int = 1) -> tuple[IPathTransport, Inbox]:
        """
        A path from a transport to one of the nodes.
        """
        inbox = Inbox()
        path = await self.result(transport.connect(self.address, self.ports[which], inbox))
        return path, inbox

    async def pair(self) -> tuple[IPathTransport, Inbox, IPathTransport, Inbox]:
        """
        Two nodes that know each other: path and inbox of each, the one that has connected first.
        """
        transport, _ = self.listening(0)
        _, self.door = self.listening(1)
        path, inbox = await self.connect(transport)
        path.sendPacket(b"hello")
        await self.until(lambda: self.door.opened)
        return path, inbox, *self.door.opened[0]


class TransportContract(TransportCase):
    """
    The promises of every transport.
    """

    async def test_interfaces(self) -> None:
        """
        All that is handed out has the methods of its interface, and says truly what it is.
        """
        path, _, other, _ = await self.pair()
        verifyObject(ITransport, self._transports[0])
        for end in (path, other):
            verifyObject(IPathTransport, end)
            says = (end.name, end.reliable, end.ordered, end.trusted)
            name = self._transports[0].name
            self.assertEqual(says, (name, self.reliable, self.ordered, self.trusted))
            self.assertTrue(end.remote)

    async def test_sizes(self) -> None:
        """
        Packets of every size from 1 byte to the largest arrive whole, in both directions.
        """
        path, inbox, other, otherInbox = await self.pair()
        sizes = (1, 2, 3, 64, 255, 256, 257, 1400, self.largest - 1, self.largest)
        for number, size in enumerate(sizes):
            packet = bytes([number + 1]) * size
            for sender, receiver in ((path, otherInbox), (other, inbox)):
                receiver.packets.clear()
                self.assertTrue(sender.sendPacket(packet))
                await self.received(receiver, 1)
                self.assertEqual(receiver.packets, [packet])

    async def test_badSizes(self) -> None:
        """
        A packet of no bytes, or of more than any transport takes, is refused and hurts nobody.
        """
        path, _, _, inbox = await self.pair()
        self.assertFalse(path.sendPacket(b""))
        self.assertFalse(path.sendPacket(bytes(0x10000)))
        self.assertTrue(path.sendPacket(b"next"))
        await self.until(lambda: inbox.packets)
        self.assertEqual(inbox.packets, [b"next"])

    async def test_burst(self) -> None:
        """
        Of a thousand packets in a row what arrives is whole and arrives once; where the transport
        is reliable that is all that it took, and in order where it says so.
        """
        path, inbox, _, otherInbox = await self.pair()
        random = Random(1)
        burst = [b"%06d" % number + random.randbytes(number % 300) for number in range(BURST)]
        taken = []
        for packet in burst:
            while not path.sendPacket(packet):
                if not self.reliable:
                    break
                inbox.writables = 0
                await self.until(lambda: inbox.writables)
            else:
                taken.append(packet)
        if self.reliable:
            await self.until(lambda: len(otherInbox.packets) >= len(taken))
        else:
            await self.until(lambda: path.sendPacket(b"end") and b"end" in otherInbox.packets)
        await self.quiet()
        arrived = [packet for packet in otherInbox.packets if packet != b"end"]
        self.assertEqual(len(arrived), len(set(arrived)))
        self.assertTrue(arrived)
        self.assertTrue(set(arrived) <= set(taken))
        if self.reliable:
            self.assertEqual(sorted(arrived), taken)
        if self.ordered:
            self.assertEqual(arrived, sorted(arrived))

    async def test_flush(self) -> None:
        """
        A receiver is flushed once a turn, after the turn's packets, and in no other turn.
        """
        path, _, _, inbox = await self.pair()
        await self.quiet()
        inbox.turns.clear()
        for _ in range(10):
            path.sendPacket(b"packet")
        await self.until(lambda: len(inbox.packets) == 10)
        await self.quiet()
        self.assertEqual(sum(inbox.turns), 10)
        self.assertNotIn(0, inbox.turns)
        self.assertLess(len(inbox.turns), 10)

    async def test_stray(self) -> None:
        """
        What strangers send reaches the acceptor, which is flushed once a turn and can answer
        without knowing them; the key of a sender stays the same.
        """
        transport, _ = self.listening(0)
        _, door = self.listening(1, opens=False)
        path, inbox = await self.connect(transport)
        for _ in range(3):
            path.sendPacket(b"packet")
            await self.quiet()
        await self.until(lambda: len(door.strays) == 3)
        await self.quiet()
        self.assertEqual([packet for packet, _ in door.strays], [b"packet"] * 3)
        self.assertEqual(len({conversation.key for _, conversation in door.strays}), 1)
        self.assertEqual(sum(door.turns), 3)
        self.assertNotIn(0, door.turns)
        conversation = door.strays[0][1]
        verifyObject(IConversation, conversation)
        self.assertTrue(conversation.sendPacket(b"answer"))
        await self.until(lambda: inbox.packets)
        self.assertEqual(inbox.packets, [b"answer"])

    async def test_open(self) -> None:
        """
        From C{open} on what a stranger sends goes to the receiver alone, and a stranger is opened
        once.
        """
        path, _, _, inbox = await self.pair()
        door = self.door
        path.sendPacket(b"packet")
        await self.until(lambda: inbox.packets)
        self.assertEqual([packet for packet, _ in door.strays], [b"hello"])
        self.assertEqual(inbox.packets, [b"packet"])
        self.assertRaises(TransportUnavailable, door.strays[0][1].open, Inbox())

    async def test_closeStranger(self) -> None:
        """
        A stranger that is closed is not heard on that connection any more, and nobody else is hurt.
        """
        transport, _ = self.listening(0)
        _, door = self.listening(1, opens=False)
        path, inbox = await self.connect(transport)
        path.sendPacket(b"packet")
        await self.until(lambda: door.strays)
        door.strays[0][1].close()
        if self.connected:
            await self.until(lambda: inbox.lost)
            self.assertRaises(TransportUnavailable, door.strays[0][1].open, Inbox())
        await self.quiet()
        self.assertEqual(len(inbox.lost), 1 if self.connected else 0)

    async def test_loseConnection(self) -> None:
        """
        An end that is closed hears so once, in a later turn, takes and gets no more packets; the
        other end hears it once if the transport is such that it can.
        """
        path, inbox, other, otherInbox = await self.pair()
        other.sendPacket(b"on its way")
        path.loseConnection()
        path.loseConnection()
        self.assertEqual(inbox.lost, [])
        self.assertFalse(path.sendPacket(b"packet"))
        await self.until(lambda: inbox.lost and (otherInbox.lost or not self.connected))
        other.sendPacket(b"packet")
        await self.quiet()
        self.assertEqual(inbox.packets, [])
        self.assertEqual(len(inbox.lost), 1)
        self.assertEqual(len(otherInbox.lost), 1 if self.connected else 0)
        self.assertEqual(otherInbox.packets, [])

    async def test_lastPacket(self) -> None:
        """
        What was taken just before the end still arrives.
        """
        path, _, _, inbox = await self.pair()
        path.sendPacket(b"good-bye")
        path.loseConnection()
        await self.until(lambda: inbox.packets and (inbox.lost or not self.connected))
        self.assertEqual(inbox.packets, [b"good-bye"])

    async def test_closeInPacket(self) -> None:
        """
        A receiver may close from within C{packetReceived}, and gets nothing of what came behind.
        """
        path, _, _, inbox = await self.pair()
        inbox.closes = True
        for number in range(10):
            path.sendPacket(b"%d" % number)
        await self.until(lambda: inbox.lost)
        await self.quiet()
        self.assertEqual(inbox.packets, [b"0"])
        self.assertEqual(len(inbox.lost), 1)

    async def test_failingReceiver(self) -> None:
        """
        What a receiver raises is logged, once for a storm, and the packets behind it arrive.
        """
        path, _, _, inbox = await self.pair()
        inbox.fails = True
        for _ in range(5):
            path.sendPacket(b"bad")
        path.sendPacket(b"good")
        await self.until(lambda: b"good" in inbox.packets)
        self.assertEqual(inbox.packets, [b"bad"] * 5 + [b"good"])
        self.assertEqual(inbox.lost, [])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_nobody(self) -> None:
        """
        To connect where nobody listens fails with the reason, where the transport can know.
        """
        transport, _ = self.listening(0)
        inbox = Inbox()
        attempt = transport.connect(self.address, self.ports[1], inbox)
        if self.connected:
            self.assertTrue(await self.unavailable(attempt))
        else:
            await self.result(attempt)
        await self.quiet()
        self.assertEqual((inbox.packets, inbox.lost), ([], []))

    async def test_taken(self) -> None:
        """
        A number that another node of the host has is refused with a reason, and the other node is
        not hurt.
        """
        transport, _ = self.listening(0)
        _, door = self.listening(1)
        intruder = self.make(1)
        error = self.assertRaises(TransportUnavailable, intruder.listen, Door())
        self.assertTrue(error.reason)
        path, _ = await self.connect(transport)
        path.sendPacket(b"packet")
        await self.until(lambda: door.opened)

    async def test_stop(self) -> None:
        """
        When a transport stops every receiver of its own has been told, and the number is free.
        """
        _, inbox, _, otherInbox = await self.pair()
        await self.result(self._transports[0].stopListening())
        self.assertEqual(len(inbox.lost), 1)
        await self.result(self._transports[1].stopListening())
        self.assertEqual(len(otherInbox.lost), 1)
        self.listening(0)
        self.listening(1)

    async def test_stopTwice(self) -> None:
        """
        To stop what never listened, or has stopped, does nothing.
        """
        transport = self.make()
        await self.result(transport.stopListening())
        await self.result(transport.stopListening())

    async def test_stopInConnect(self) -> None:
        """
        To stop in the middle of connecting ends the attempt, or the path that came of it.
        """
        self.listening(1)
        transport, _ = self.listening(0)
        inbox = Inbox()
        attempt = transport.connect(self.address, self.ports[1], inbox)
        attempt.addErrback(lambda failure: failure.trap(TransportUnavailable) and None)
        await self.result(transport.stopListening())
        path = await self.result(attempt)
        self.assertEqual(len(inbox.lost), 0 if path is None else 1)
        await self.unavailable(transport.connect(self.address, self.ports[1], Inbox()))

    async def test_cancel(self) -> None:
        """
        An attempt that is cancelled does not succeed later.
        """
        self.listening(1)
        transport, _ = self.listening(0)
        inbox = Inbox()
        attempt = transport.connect(self.address, self.ports[1], inbox)
        if not attempt.called:
            attempt.cancel()
            failure = self.failureResultOf(attempt)
            self.assertTrue(failure.check(CancelledError, TransportUnavailable))
            await self.quiet()
            self.assertEqual((inbox.packets, inbox.lost), ([], []))
