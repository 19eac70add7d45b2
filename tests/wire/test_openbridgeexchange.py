"""
Tests of L{bmff.wire.openbridge.exchange}: many bridges behind one socket, strangers, and bridges
that move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bmff.wire.openbridge.bridge import Bridge, Event, Moved, Opened, Terms
from bmff.wire.openbridge.enhanced import EnhancedBridge
from bmff.wire.openbridge.exchange import STRANGERS, Exchange
from bmff.wire.openbridge.plain import PlainBridge
from bmff.wire.openbridge.signature import Signature
from tests.wire.openbridgecase import (
    ADDRESS,
    ELSEWHERE,
    OURS,
    THEIRS,
    WALL,
    BridgeTestCase,
    control,
    enhanced,
    plain,
)


class ExchangeTestCase(BridgeTestCase):
    """
    An exchange whose bridges the test adds.
    """

    def setUp(self) -> None:
        super().setUp()
        self.exchange = Exchange()
        self.came: list[tuple[Bridge, int]] = []  # bridge and sequence number of each frame

    def bridge(
        self,
        peer: int = THEIRS,
        key: bytes = b"passw0rd",
        *addresses: bytes,
        make: type[PlainBridge] | type[EnhancedBridge] = PlainBridge,
        **terms: Any,
    ) -> Bridge:
        """
        One bridge more.
        """
        bridge = make(Terms(OURS, peer, **terms), Signature(key), self.exchange.outbox)
        bridge.admit = lambda first, origin: (
            lambda frame, now: self.came.append((bridge, frame.sequence))
        )
        self.exchange.add(bridge)
        self.exchange.useAddresses(bridge, addresses, self.now)
        self.exchange.timeout(self.now)
        self.exchange.outgoing()
        return bridge

    def come(self, data: bytes, address: bytes = ADDRESS) -> tuple[Event, ...]:
        """
        A datagram comes.
        """
        return self.exchange.receive(data, address, self.now, WALL)


class PlaceTests(ExchangeTestCase):
    """
    Whose packet it is.
    """

    def test_address(self) -> None:
        """
        A packet belongs to the bridge that is at its address.
        """
        one = self.bridge(1, b"one", b"there")
        two = self.bridge(2, b"two", b"elsewhere", b"or there")
        self.come(plain(0, 1, key=b"one"), b"there")
        self.come(plain(1, 2, key=b"two"), b"elsewhere")
        self.come(plain(2, 2, key=b"two"), b"or there")
        self.come(plain(3, 2, key=b"two"), b"there")
        self.assertEqual(self.came, [(one, 0), (two, 1), (two, 2)])
        self.assertEqual(one.dropped["wrong signature"], 1)
        self.assertEqual((len(self.exchange), list(self.exchange)), (2, [one, two]))

    def test_shared(self) -> None:
        """
        Bridges to one address are told apart by ID and key.
        """
        one = self.bridge(1, b"one", ADDRESS)
        two = self.bridge(2, b"two", ADDRESS)
        three = self.bridge(2, b"three", ADDRESS)
        four = self.bridge(4, b"four", ADDRESS, make=EnhancedBridge)
        for number, (peer, key) in enumerate(((1, b"one"), (2, b"two"), (2, b"three"))):
            self.come(plain(number, peer, key=key))
        self.assertEqual(self.came, [(one, 0), (two, 1), (three, 2)])
        self.assertEqual(self.come(control(b"BCKA", key=b"four")), (Opened(four),))
        self.come(enhanced(3, 4, key=b"four"))
        self.assertEqual(self.came[3:], [(four, 3)])
        self.come(plain(4, 9, key=b"nobody"))
        self.assertEqual(sum(sum(bridge.dropped.values()) for bridge in self.exchange), 1)

    def test_removed(self) -> None:
        """
        A bridge that was removed hears nothing more.
        """
        bridge = self.bridge(1, b"one", ADDRESS)
        self.exchange.remove(bridge)
        self.come(plain(0, 1, key=b"one"))
        self.assertEqual((self.came, bridge.up), ([], False))
        self.assertEqual(self.exchange.dropped, {"stranger": 1})

    def test_deadline(self) -> None:
        """
        The first bridge that is due is told the time, and what is to be sent is gathered.
        """
        self.assertEqual(self.exchange.deadline(), float("inf"))
        self.bridge(1, b"one", ADDRESS, make=EnhancedBridge)
        self.bridge(2, b"two", ELSEWHERE, make=EnhancedBridge)
        end = self.now + 10.0
        while self.exchange.deadline() <= end:
            self.now = self.exchange.deadline()
            self.exchange.timeout(self.now)
        self.assertEqual(
            self.exchange.outgoing(),
            [(control(b"BCKA", key=b"one"), ADDRESS), (control(b"BCKA", key=b"two"), ELSEWHERE)],
        )
        self.assertEqual(self.exchange.outgoing(), [])


class StrangerTests(ExchangeTestCase):
    """
    Packets from unknown addresses.
    """

    def test_strict(self) -> None:
        """
        A frame from a foreign address is dropped, though its key is right.
        """
        bridge = self.bridge(THEIRS, b"passw0rd", ADDRESS)
        self.come(plain(0), ELSEWHERE)
        self.assertEqual((self.came, bridge.address), ([], ADDRESS))
        self.assertEqual(self.exchange.dropped, {"stranger": 1})

    def test_notStrict(self) -> None:
        """
        Where it is said so, frames may come from anywhere; answers go to where they always went.
        """
        bridge = self.bridge(THEIRS, b"passw0rd", ADDRESS, strict=False)
        other = self.bridge(9, b"other", b"third", strict=False, checkID=False)
        self.come(plain(0), ELSEWHERE)
        self.come(plain(1, 77, key=b"other"), ELSEWHERE)
        self.assertEqual(self.came, [(bridge, 0), (other, 1)])
        self.assertEqual((bridge.address, bridge.addresses), (ADDRESS, (ADDRESS,)))

    def test_keepAliveMovesNothing(self) -> None:
        """
        A sign of life from a new address, which anybody can have copied, does not move a bridge;
        nor does it where the bridge may roam, but is in use.
        """
        for roaming in (False, True):
            bridge = self.bridge(THEIRS, b"passw0rd", ADDRESS, make=EnhancedBridge, roaming=roaming)
            self.come(control(b"BCKA"))
            self.now += 20.0
            self.assertEqual(self.come(control(b"BCKA"), ELSEWHERE), ())
            self.assertEqual(bridge.address, ADDRESS)
            self.assertEqual(bridge.dropped["foreign address"], int(roaming))
            self.exchange.remove(bridge)

    def test_keepAliveMoves(self) -> None:
        """
        A bridge that may roam moves when its address has been silent for a while, and is told at
        its new one that we are here.
        """
        bridge = self.bridge(THEIRS, b"passw0rd", ADDRESS, make=EnhancedBridge, roaming=True)
        self.come(control(b"BCKA"))
        self.now += 26.0
        self.assertEqual(self.come(control(b"BCKA"), ELSEWHERE), (Moved(bridge),))
        self.assertEqual(bridge.address, ELSEWHERE)
        self.come(enhanced(0), ELSEWHERE)
        self.come(enhanced(1), ADDRESS)
        self.assertEqual(self.came, [(bridge, 0)])

    def test_frameMoves(self) -> None:
        """
        A fresh frame weighs more than signs of life: those may be copies.
        """
        bridge = self.bridge(THEIRS, b"passw0rd", ADDRESS, make=EnhancedBridge, roaming=True)
        self.come(control(b"BCKA"))
        self.now += 1.0
        self.come(enhanced(0, key=b"wrong"), ELSEWHERE)
        self.assertEqual(bridge.address, ADDRESS)
        self.assertEqual(self.come(enhanced(0), ELSEWHERE), (Moved(bridge),))
        self.come(enhanced(1, stream=8), ADDRESS)
        self.assertEqual((bridge.address, self.came), (ELSEWHERE, [(bridge, 0)]))
        self.come(control(b"BCKA"), ADDRESS)
        self.assertEqual(bridge.address, ELSEWHERE)

    def test_replayMovesNothing(self) -> None:
        """
        A copied frame moves no bridge, however long its address has been silent.
        """
        bridge = self.bridge(THEIRS, b"passw0rd", ADDRESS, roaming=True)
        self.come(plain(0))
        self.come(plain(1))
        self.now += 1800.0
        self.exchange.timeout(self.now)
        for packet in (plain(0), plain(1)):
            self.assertEqual(self.come(packet, ELSEWHERE), ())
        self.assertEqual((bridge.address, len(self.came)), (ADDRESS, 2))
        self.come(plain(0, stream=9), ELSEWHERE)
        self.assertEqual((bridge.address, len(self.came)), (ELSEWHERE, 3))

    def test_unknownAddress(self) -> None:
        """
        A bridge without an address gets one with the first sign of life, and is up.
        """
        one = self.bridge(1, b"one", make=EnhancedBridge, roaming=True)
        two = self.bridge(2, b"two", roaming=True)
        self.assertEqual(self.come(control(b"BCKA", key=b"one")), (Opened(one),))
        self.assertEqual(self.come(plain(0, 2, key=b"two"), ELSEWHERE), (Opened(two),))
        self.exchange.timeout(self.now)
        self.assertIn((control(b"BCKA", key=b"one"), ADDRESS), self.exchange.outgoing())

    def counting(
        self, opens: Callable[[bytes], bool], tried: list[bytes]
    ) -> Callable[[bytes], bool]:
        """
        The same, and what was tried is noted.
        """

        def noting(data: bytes) -> bool:
            tried.append(data)
            return opens(data)

        return noting

    def test_bounded(self) -> None:
        """
        Strangers have few keys tried for them in a second, and the bridges go on meanwhile.
        """
        tried: list[bytes] = []
        for number in range(40):
            bridge = self.bridge(
                THEIRS, b"key %d" % number, b"%d" % number, make=EnhancedBridge, roaming=True
            )
            self.patch(bridge, "opens", self.counting(bridge.opens, tried))
        for number in range(1000):
            self.come(enhanced(number & 0xFF), ELSEWHERE)
            self.come(control(b"BCKA"), ELSEWHERE)
            self.come(b"anything", ELSEWHERE)
        self.assertEqual(len(tried), STRANGERS)
        self.assertGreater(self.exchange.dropped["too many strangers"], 1000)
        self.come(enhanced(0, key=b"key 3"), b"3")
        self.assertEqual(len(self.came), 1)
        self.now += 1.0
        self.come(enhanced(0), ELSEWHERE)
        self.assertGreater(len(tried), STRANGERS)

    def test_manyRoam(self) -> None:
        """
        Of many bridges each is found by its sign of life after some of them.
        """
        bridges = [
            self.bridge(THEIRS, b"key %d" % number, make=EnhancedBridge, roaming=True)
            for number in range(20)
        ]
        for _ in range(12):
            for number in range(20):
                self.now += 1.037
                self.come(control(b"BCKA", key=b"key %d" % number), b"at %d" % number)
        self.assertEqual(
            [bridge.address for bridge in bridges], [b"at %d" % number for number in range(20)]
        )
