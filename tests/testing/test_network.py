"""
Tests of L{bmff.testing.network} and of the hotspots on it.
"""

from __future__ import annotations

from itertools import pairwise

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bmff.sockets.addresses import packAddress, unpackAddress
from bmff.testing.hotspots import VirtualHotspot
from bmff.testing.impairment import Impairment
from bmff.testing.network import VirtualNetwork, VirtualPort
from bmff.wire.homebrew import Login, Station


class Inbox:
    """
    A receiver that keeps what it is given.

    @ivar datagrams: data and when, seconds.
    @ivar senders: who sent each.
    @ivar flushed: how often it was flushed.
    """

    def __init__(self) -> None:
        self.datagrams: list[tuple[bytes, float]] = []
        self.senders: list[bytes] = []
        self.flushed = 0

    @property
    def data(self) -> list[bytes]:
        """
        The data alone.
        """
        return [data for data, _ in self.datagrams]

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        self.datagrams.append((data, now))
        self.senders.append(address)

    def flush(self) -> None:
        self.flushed += 1


class NetworkTestCase(SynchronousTestCase):
    """
    Two ports.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.make(seed=1)

    def make(self, seed: int) -> None:
        """
        A new network.
        """
        self.network = VirtualNetwork(self.clock, seed)
        self.inbox = Inbox()
        self.sender = self.network.bind(Inbox())
        self.port = self.network.bind(self.inbox, "2001:db8::1", 62031)

    def send(self, count: int, pitch: float = 0.0) -> list[bytes]:
        """
        Send numbered datagrams, and wait until all have arrived.

        @param pitch: seconds between two of them.
        """
        sent = [number.to_bytes(2, "big") for number in range(count)]
        for data in sent:
            self.sender.sendTo(data, self.port.address)
            self.clock.advance(pitch)
        self.clock.pump([0.01] * 300)
        return sent


class CarryTests(NetworkTestCase):
    """
    What happens to a datagram on its way.
    """

    def test_latency(self) -> None:
        """
        A datagram takes its latency, carries its sender's address, and ends a turn.
        """
        self.network.latency = 0.25
        self.assertTrue(self.sender.sendTo(b"hello", self.port.address))
        self.clock.advance(0.24)
        self.assertEqual(self.inbox.datagrams, [])
        self.clock.advance(0.01)
        self.assertEqual(self.inbox.datagrams, [(b"hello", 0.25)])
        self.assertEqual(self.inbox.senders, [self.sender.address])
        self.assertEqual(self.inbox.flushed, 1)

    def test_inOrder(self) -> None:
        """
        Without jitter datagrams arrive in the order in which they were sent, also at once.
        """
        self.assertEqual(self.send(500), self.inbox.data)

    def test_jitter(self) -> None:
        """
        Jitter reorders, and neither loses nor doubles.
        """
        self.network.jitter = 0.2
        sent = self.send(500, pitch=0.01)
        self.assertNotEqual(self.inbox.data, sent)
        self.assertEqual(sorted(self.inbox.data), sent)

    def test_jitterBounds(self) -> None:
        """
        Each datagram takes the latency and no more than the jitter in addition.
        """
        self.network.latency, self.network.jitter = 0.5, 0.25
        for _ in range(100):
            self.sender.sendTo(b"", self.port.address)
        self.clock.pump([0.01] * 200)
        moments = [moment for _, moment in self.inbox.datagrams]
        self.assertEqual(len(moments), 100)
        self.assertGreaterEqual(min(moments), 0.5)
        self.assertLessEqual(max(moments), 0.76)
        self.assertGreater(max(moments) - min(moments), 0.15)

    def test_loss(self) -> None:
        """
        The share that is lost is what it was set to, and is counted.
        """
        self.network.loss = 0.1
        self.send(2000)
        lost = 2000 - len(self.inbox.data)
        self.assertTrue(140 <= lost <= 260, lost)
        self.assertEqual((self.network.sent, self.network.lost), (2000, lost))

    def test_allLost(self) -> None:
        """
        A share of 1 loses all, a share of 0 none.
        """
        self.network.loss = 1.0
        self.send(100)
        self.assertEqual(self.inbox.data, [])
        self.network.loss = 0.0
        self.send(100)
        self.assertEqual(len(self.inbox.data), 100)

    def test_duplication(self) -> None:
        """
        The share that arrives twice is what it was set to.
        """
        self.network.duplication = 0.1
        sent = self.send(2000)
        self.assertTrue(140 <= len(self.inbox.data) - 2000 <= 260)
        self.assertEqual(sorted(set(self.inbox.data)), sent)
        self.assertEqual(self.network.lost, 0)

    def test_seed(self) -> None:
        """
        The same seed makes the same of the same traffic, another seed does not.
        """
        heard = []
        for seed in (5, 5, 6):
            self.make(seed)
            self.network.jitter = self.network.loss = self.network.duplication = 0.2
            self.send(200, pitch=0.01)
            heard.append(self.inbox.data)
        self.assertEqual(heard[0], heard[1])
        self.assertNotEqual(heard[0], heard[2])

    def test_fanOut(self) -> None:
        """
        A port's fan-out sends each row its own middle.
        """
        fanOut = self.sender.fanOut(2, 1, 2)
        other = Inbox()
        fanOut.add(self.port.address, b"1")
        fanOut.add(self.network.bind(other).address, b"2")
        fanOut.send(b"ab", b"yz")
        self.clock.advance(0.01)
        self.assertEqual((self.inbox.data, other.data), ([b"ab1yz"], [b"ab2yz"]))


class ImpairTests(NetworkTestCase):
    """
    What is said about all directions, or about one.
    """

    def setUp(self) -> None:
        super().setUp()
        self.answers = Inbox()
        self.sender.receiver = self.answers

    def talk(self, count: int = 100) -> tuple[int, int]:
        """
        Send in both directions.

        @return: how many have arrived in each since the last time.
        """
        for inbox in (self.inbox, self.answers):
            inbox.datagrams.clear()
        for number in range(count):
            self.sender.sendTo(number.to_bytes(2, "big"), self.port.address)
            self.port.sendTo(number.to_bytes(2, "big"), self.sender.address)
        self.clock.pump([0.01] * 100)
        return len(self.inbox.data), len(self.answers.data)

    def test_numbers(self) -> None:
        """
        The network's numbers are those of its impairment, and changing one leaves the others.
        """
        self.assertEqual(self.network.impairment, Impairment(delay=0.001))
        self.network.impair(Impairment(loss=0.5, burst=3, delay=0.2))
        self.network.jitter, self.network.duplication = 0.3, 0.4
        self.assertEqual((self.network.loss, self.network.latency), (0.5, 0.2))
        self.network.loss, self.network.latency = 0.6, 0.1
        self.assertEqual(
            self.network.impairment,
            Impairment(loss=0.6, burst=3, delay=0.1, jitter=0.3, duplication=0.4),
        )
        with self.assertRaisesRegex(ValueError, "loss is a share, 0 to 1"):
            self.network.loss = 5.0

    def test_seedTold(self) -> None:
        """
        The seed can be read.
        """
        self.assertEqual(VirtualNetwork(self.clock, 77).seed, 77)

    def test_oneDirection(self) -> None:
        """
        One direction between two addresses is impaired and no other, whatever the network's
        numbers become; what was done is counted there.
        """
        self.network.impair(
            Impairment(loss=1.0), sender=self.sender.address, receiver=self.port.address
        )
        self.assertEqual(self.talk(), (0, 100))
        self.network.loss = 1.0
        self.network.impair(Impairment(), sender=self.sender.address, receiver=self.port.address)
        self.assertEqual(self.talk(), (100, 0))
        there = self.network.impairer(self.sender.address, self.port.address)
        back = self.network.impairer(self.port.address, self.sender.address)
        self.assertEqual((there.taken, there.lost, back.taken, back.lost), (200, 100, 200, 100))
        self.assertEqual((self.network.sent, self.network.lost), (400, 200))

    def test_host(self) -> None:
        """
        A host stands for all its ports, and what was said last about a direction counts.
        """
        other = self.network.bind(Inbox(), "192.0.2.1", 7)
        self.network.impair(Impairment(cut=True), sender="192.0.2.1")
        self.assertEqual(self.talk(), (0, 100))
        other.sendTo(b"", self.port.address)
        self.clock.advance(1)
        self.assertEqual(self.inbox.data, [])
        self.network.impair(Impairment(), receiver=self.port.address)
        self.assertEqual(self.talk(), (100, 100))
        self.network.impair(Impairment(cut=True), sender="192.0.2.1")
        self.assertEqual(self.talk(), (0, 100))
        self.network.impair(Impairment())
        self.assertEqual(self.talk(), (100, 100))
        self.network.impair(Impairment(cut=True), receiver="2001:DB8:0::1")
        self.assertEqual(self.talk(), (0, 100))

    def test_noPlace(self) -> None:
        """
        A place that is no address is refused.
        """
        for place in ("somewhere", b"12345678"):
            with self.assertRaises(ValueError):
                self.network.impair(Impairment(), sender=place)
            with self.assertRaises(ValueError):
                self.network.cut("192.0.2.1", place)

    def test_bursts(self) -> None:
        """
        Each direction has bursts of its own.
        """
        self.network.impair(Impairment(loss=0.3, burst=5, exact=True))
        there, back = self.talk(1000)
        for count, heard in ((there, self.inbox), (back, self.answers)):
            self.assertTrue(600 <= count <= 800, count)
            numbers = [int.from_bytes(data, "big") for data in heard.data]
            gaps = {after - before - 1 for before, after in pairwise(numbers)}
            self.assertEqual(gaps, {0, 5})

    def test_reordering(self) -> None:
        """
        What is held back until others have passed arrives in time, also when nobody follows, and
        leaves nothing on the clock.
        """
        self.network.impair(Impairment(reordering=0.2, displacement=2, hold=0.5))
        sent = self.send(500, pitch=0.06)
        self.assertNotEqual(self.inbox.data, sent)
        self.assertEqual(sorted(self.inbox.data), sent)
        moments = [
            moment - 0.06 * int.from_bytes(data, "big") for data, moment in self.inbox.datagrams
        ]
        # Two that pass, and the pitch by which the clock goes on.
        self.assertLessEqual(max(moments), 3 * 0.06 + 1e-6)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.network.impair(Impairment(reordering=1.0, hold=0.5))
        self.sender.sendTo(b"last", self.port.address)
        self.clock.advance(0.49)
        self.assertNotEqual(self.inbox.data[-1], b"last")
        self.clock.pump([0.01] * 2)
        self.assertEqual(self.inbox.data[-1], b"last")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cut(self) -> None:
        """
        A cut ends both directions between two places and no other until it heals; what is on its
        way arrives, and the impairment is the old one afterwards.
        """
        third = Inbox()
        other = self.network.bind(third)
        self.network.impair(Impairment(delay=0.5), receiver=self.port.address)
        self.sender.sendTo(b"under way", self.port.address)
        self.network.cut(self.sender.address, self.port.address)
        self.clock.advance(0.5)
        self.assertEqual(self.inbox.data, [b"under way"])
        self.assertEqual(self.talk(), (0, 0))
        self.sender.sendTo(b"around", other.address)
        self.clock.advance(1)
        self.assertEqual(third.data, [b"around"])
        self.network.heal(self.port.address, self.sender.address)
        self.assertEqual(self.talk(), (100, 100))
        self.assertGreater(min(moment for _, moment in self.inbox.datagrams), 2.9)

    def test_alone(self) -> None:
        """
        A place can be cut off from everybody; each cut heals by itself or with all others.
        """
        self.network.cut(self.port.address)
        self.network.cut("192.0.2.1", "2001:db8::1")
        self.assertEqual(self.talk(), (0, 0))
        self.network.heal(self.port.address)
        self.assertEqual(self.talk(), (0, 0))
        self.network.cut(self.port.address)
        self.network.heal()
        self.assertEqual(self.talk(), (100, 100))


class BindTests(NetworkTestCase):
    """
    Ports and their addresses.
    """

    def test_chosen(self) -> None:
        """
        Ports that the network chooses are all different, and none is reserved.
        """
        ports = [self.network.bind(Inbox()) for _ in range(500)]
        self.assertEqual(len({port.address for port in ports}), 500)
        self.assertGreaterEqual(min(unpackAddress(port.address)[1] for port in ports), 1024)

    def test_given(self) -> None:
        """
        A port that is asked for by its number has it, on any host where it is not in use.
        """
        self.assertEqual(self.port.address, packAddress("2001:db8::1", 62031))
        other = self.network.bind(Inbox(), "2001:db8::2", 62031)
        self.assertEqual(other.address, packAddress("2001:db8::2", 62031))

    def test_inUse(self) -> None:
        """
        An address that is in use is not given out again until it is let go.
        """
        with self.assertRaisesRegex(ValueError, r"\[2001:db8::1\]:62031 is in use"):
            self.network.bind(Inbox(), "2001:db8::1", 62031)
        self.network.unbind(self.port)
        self.assertIsInstance(self.network.bind(Inbox(), "2001:db8::1", 62031), VirtualPort)

    def test_nobody(self) -> None:
        """
        What arrives where nobody is, or nobody is any more, is lost.
        """
        self.sender.sendTo(b"", packAddress("192.0.2.77", 1))
        self.sender.sendTo(b"", self.port.address)
        self.network.unbind(self.port)
        self.network.unbind(self.port)
        self.clock.advance(1.0)
        self.assertEqual(self.inbox.data, [])
        self.assertEqual((self.network.sent, self.network.lost), (2, 2))

    def test_lateComer(self) -> None:
        """
        A datagram goes to who is at its address when it arrives.
        """
        address = packAddress("192.0.2.77", 77)
        self.sender.sendTo(b"hello", address)
        inbox = Inbox()
        self.network.bind(inbox, "192.0.2.77", 77)
        self.clock.advance(1.0)
        self.assertEqual(inbox.data, [b"hello"])


class HotspotTests(NetworkTestCase):
    """
    A hotspot and a master that never answers.
    """

    def setUp(self) -> None:
        super().setUp()
        self.hotspot = VirtualHotspot(self.network, self.port.address, Station(7))

    def test_retries(self) -> None:
        """
        It tries again every 10 s by itself.
        """
        self.hotspot.start()
        self.clock.pump([0.5] * 70)
        self.assertEqual(self.inbox.data, [Login(7).encode()] * 4)
        self.assertFalse(self.hotspot.running)

    def test_moves(self) -> None:
        """
        One that moves speaks from another address, and nothing reaches it at the old one.
        """
        before = self.hotspot.port.address
        self.hotspot.start()
        self.hotspot.move()
        self.clock.pump([0.5] * 25)
        first, second = self.inbox.senders
        self.assertEqual(first, before)
        self.assertEqual(second, self.hotspot.port.address)
        self.port.sendTo(b"old", before)
        self.port.sendTo(b"new", second)
        self.clock.advance(1.0)
        self.assertEqual(self.hotspot.received, [b"new"])

    def test_vanishes(self) -> None:
        """
        One that vanishes says nothing more and leaves nothing on the clock.
        """
        self.hotspot.start()
        self.hotspot.vanish()
        self.clock.pump([0.5] * 50)
        self.assertEqual(len(self.inbox.data), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
