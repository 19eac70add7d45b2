"""
Tests of L{bmff.bridges}: the sockets, names and keys of a node's bridges.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IResolutionReceiver
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bmff.bridges import LOOKUP_INTERVAL, BridgeService, bridgeSettings
from bmff.dmr.ranges import Ranges
from bmff.errors import ConfigurationError
from bmff.protocols.turn import Turn
from bmff.router.router import Router
from bmff.router.translation import Form
from bmff.sections.homebrew import Translated
from bmff.sections.openbridge import BridgeEntry, OpenBridge
from bmff.sections.values import (
    Address,
    IDs,
    Number,
    Talkgroups,
    makeAddress,
    makeIDs,
    makeNumber,
    makeTalkgroups,
)
from bmff.sockets.addresses import packAddress
from bmff.toml import Schema, parseTable
from bmff.wire.openbridge.crossing import ENHANCED, FREE
from tests.sockets.ports import ReadingClock, hasIPv6
from tests.wire import openbridgecase as other

HERE = Address("127.0.0.1", 0)
SPANS = (Talkgroups(((10, 99),)), Talkgroups(((2350, 2359),)))


def entry(name: str = "theirs", **more: Any) -> BridgeEntry:
    """
    One bridge of a configuration.
    """
    return BridgeEntry(name, other.THEIRS, **{"host": "192.0.2.1", "send": SPANS, **more})


class SomeKeys:
    """
    The secrets; the test may change them.
    """

    def __init__(self) -> None:
        self.passwords: dict[str, bytes] = {"theirs": b"passw0rd"}

    def bridgePassword(self, secretID: str) -> bytes | None:
        return self.passwords.get(secretID)


class NamingClock(ReadingClock):
    """
    A reactor that knows some names.

    @ivar names: their addresses.
    @ivar asked: the names that were asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = self
        self.names: dict[str, list[str]] = {}
        self.asked: list[str] = []

    def resolveHostName(
        self, receiver: IResolutionReceiver, name: str, port: int = 0, *rest: object
    ) -> None:
        self.asked.append(name)
        for host in self.names.get(name, ()):
            family = IPv6Address if ":" in host else IPv4Address
            receiver.addressResolved(family("UDP", host, port))
        receiver.resolutionComplete()


class SettingsTests(SynchronousTestCase):
    """
    What becomes of a configuration.
    """

    def test_plain(self) -> None:
        """
        What is not said is the plain protocol, strict, a network of its own, under the node's ID.
        """
        settings = bridgeSettings(entry(), 2501)
        self.assertEqual((settings.name, settings.network), ("theirs", "theirs"))
        self.assertEqual((settings.terms.server, settings.terms.peer), (2501, other.THEIRS))
        self.assertEqual((settings.terms.crossing, settings.terms.servers), (FREE, None))
        self.assertEqual(settings.wanted, Ranges([(10, 99), (2350, 2359)]))
        self.assertEqual(settings.brought, settings.wanted)
        self.assertFalse(settings.translation)

    def test_enhanced(self) -> None:
        """
        The enhanced protocol keeps local talkgroups apart, unless it is said otherwise.
        """
        for said, crossing in ((None, ENHANCED), (True, ENHANCED), (False, FREE)):
            one = entry(enhanced=True, localTalkgroups=said)
            self.assertEqual(bridgeSettings(one, 2501).terms.crossing, crossing)

    def test_said(self) -> None:
        """
        What is said counts.
        """
        one = entry(
            network="them",
            id=77,
            accept=(Talkgroups(((1, 2),)),),
            servers=(IDs(((2600, 2699),)),),
            translate=(Translated(Number(99), Number(2350)),),
        )
        settings = bridgeSettings(one, 2501)
        self.assertEqual((settings.network, settings.terms.server), ("them", 77))
        self.assertEqual(settings.brought, Ranges([(1, 2)]))
        self.assertEqual(settings.terms.servers, Ranges([(2600, 2699)]))
        self.assertEqual(settings.translation.inward(0, Form(99)), Form(2350))
        self.assertEqual(settings.translation.outward(0, Form(2350)), Form(99))


class SectionTests(SynchronousTestCase):
    """
    The section of a configuration.
    """

    def read(self, text: str) -> OpenBridge:
        """
        What a file says.
        """
        types: dict[type, Callable[[Any], object]] = {
            Address: makeAddress,
            IDs: makeIDs,
            Talkgroups: makeTalkgroups,
            Number: makeNumber,
        }
        return Schema(OpenBridge, types).read(parseTable(text, "file"))

    def test_read(self) -> None:
        """
        Bridges are tables of a list.
        """
        section = self.read(
            """
            listen = ["127.0.0.1:62036"]
            [[bridge]]
            name = "Brand"
            peer = 3102
            host = "bm.example"
            send = ["310*", 91]
            [[bridge]]
            name = "Free"
            peer = 2341
            roaming = true
            enhanced = true
            local_talkgroups = false
            check_peer = false
            both_slots = true
            translate = [{there = 9, here = 2350}]
            """
        )
        self.assertEqual(section.listen, (Address("127.0.0.1", 62036),))
        one, two = (bridgeSettings(each, 2501) for each in section.bridge)
        self.assertIn(91, one.wanted)
        self.assertNotIn(92, one.wanted)
        self.assertTrue(two.terms.bothSlots and two.enhanced and not two.terms.checkID)
        self.assertEqual(two.translation.inward(0, Form(9)), Form(2350))

    def test_mistakes(self) -> None:
        """
        Every mistake is told by its place.
        """
        with self.assertRaises(ConfigurationError) as caught:
            self.read(
                """
                listen = ["127.0.0.1:1", "127.0.0.1:2"]
                [[bridge]]
                name = ""
                peer = 0
                maximum_age = 3600
                """
            )
        self.assertEqual(
            [mistake.place for mistake in caught.exception.mistakes],
            ["listen", "bridge[0].name", "bridge[0].peer", "bridge[0].maximum_age"],
        )


class ServiceTestCase(SynchronousTestCase):
    """
    A service whose configuration the test says.
    """

    def setUp(self) -> None:
        self.clock = NamingClock()
        self.keys = SomeKeys()
        self.router = Router(lambda event: None)
        self.turn = Turn(self.clock, self.router)

    def service(self, **page: Any) -> BridgeService:
        """
        A service that is not started.
        """
        service = BridgeService(
            self.clock,
            self.turn,
            OpenBridge(**{"listen": (HERE,), **page}),
            other.OURS,
            self.keys,
            lambda: other.WALL,
        )
        self.addCleanup(service.stopService)
        return service

    def address(self, service: BridgeService, name: str = "theirs") -> bytes | None:
        """
        Where a bridge's packets go.
        """
        return service.openBridge.trunks[name].bridge.address


class ServiceTests(ServiceTestCase):
    """
    How it starts and stops.
    """

    def test_heard(self) -> None:
        """
        It binds with its first rights, reads from its start on, hears frames on a real socket, and
        closes at its end.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
            program.bind(("127.0.0.1", 0))
            host, port = program.getsockname()
            service = self.service(bridge=(entry(host=host, port=port),))
            service.privilegedStartService()
            (bound,) = service.ports
            self.assertEqual(self.clock.readers, [])
            service.startService()
            self.assertEqual(self.clock.readers, [bound])
            packet = other.plain(0, flags=0x21)
            program.sendto(packet, (bound.host, bound.port))
            while not bound.received:
                bound.doRead()
            self.assertEqual(self.router.framesRouted, 1)
        service.stopService()
        self.assertEqual((self.clock.readers, service.ports, bound.descriptor), ([], [], -1))
        self.assertEqual(self.router.calls, {})
        self.turn.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_again(self) -> None:
        """
        It may be started once more after its end.
        """
        service = self.service(bridge=(entry(host="192.0.2.7"),))
        for _ in range(2):
            service.startService()
            self.assertTrue(service.openBridge.trunks["theirs"].bridge.up)
            self.assertEqual(len(self.router.reach.trunks), 1)
            service.stopService()
            self.assertEqual(len(self.router.reach.trunks), 0)

    def test_families(self) -> None:
        """
        It may listen on one address of each family, and no more.
        """
        if not hasIPv6():
            self.skipTest("no ::1 on this host")
        service = self.service(listen=(HERE, Address("::1", 0)))
        service.startService()
        self.assertEqual(len(service.ports), 2)
        with self.assertRaises(ConfigurationError) as caught:
            self.service(listen=(HERE, HERE)).privilegedStartService()
        self.assertEqual(
            str(caught.exception), "openbridge.listen: may name one IPv4 and one IPv6 address"
        )

    def test_inUse(self) -> None:
        """
        An address that is in use is told, and nothing stays open.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            service = self.service(listen=(Address("127.0.0.1", port),))
            with self.assertRaises(ConfigurationError) as caught:
                service.startService()
        self.assertIn(f"cannot listen on 127.0.0.1:{port}", str(caught.exception))
        self.assertEqual((service.ports, service.openBridge.trunks), ([], {}))

    def test_secrets(self) -> None:
        """
        Each bridge without a key or an address, or with a name that is taken, is told by its place.
        """
        entries = (
            entry(),
            entry("other", password="none"),
            entry(password="theirs"),
            entry("x"),
            entry("y", host=""),
        )
        service = self.service(bridge=entries)
        with self.assertRaises(ConfigurationError) as caught:
            service.privilegedStartService()
        self.assertEqual(
            [mistake.place for mistake in caught.exception.mistakes],
            [
                "openbridge.bridge[1].password",
                "openbridge.bridge[2].name",
                "openbridge.bridge[3].password",
                "openbridge.bridge[4].host",
            ],
        )
        self.assertNotIn("passw0rd", str(caught.exception))
        self.assertEqual(service.ports, [])

    def test_newSecrets(self) -> None:
        """
        A changed secret is the bridge's key from then on; one that is gone leaves the key. Neither
        is logged.
        """
        service = self.service(bridge=(entry(),))
        service.startService()
        bridge = service.openBridge.trunks["theirs"].bridge
        before = bridge.signature
        service.reviewSecrets()
        self.assertIs(bridge.signature, before)
        with capturedLogs() as logs:
            self.keys.passwords["theirs"] = b"another"
            service.reviewSecrets()
            self.keys.passwords.clear()
            service.reviewSecrets()
        self.assertTrue(bridge.opens(other.plain(0, key=b"another")))
        said = [formatEvent(event) for event in logs]
        self.assertEqual(
            said,
            [
                "bridge theirs has another key",
                "bridge theirs keeps its key: its secret is gone",
            ],
        )


class NameTests(ServiceTestCase):
    """
    Where a bridge's name leads.
    """

    def start(self, host: str = "them.example", **more: Any) -> BridgeService:
        """
        A service with one bridge.
        """
        service = self.service(bridge=(entry(host=host, **more),))
        service.startService()
        return service

    def test_again(self) -> None:
        """
        A name is asked for again every minute, and a bridge moves with it.
        """
        self.clock.names["them.example"] = ["192.0.2.7"]
        service = self.start()
        self.assertEqual(self.address(service), packAddress("192.0.2.7", 62035))
        self.clock.names["them.example"] = ["192.0.2.8"]
        self.clock.advance(LOOKUP_INTERVAL)
        self.assertEqual(self.address(service), packAddress("192.0.2.8", 62035))
        self.assertEqual(len(self.clock.asked), 2)

    def test_order(self) -> None:
        """
        Another order of the same addresses moves nothing.
        """
        self.clock.names["them.example"] = ["192.0.2.7", "192.0.2.8"]
        service = self.start()
        self.clock.names["them.example"].reverse()
        self.clock.advance(LOOKUP_INTERVAL)
        self.assertEqual(self.address(service), packAddress("192.0.2.7", 62035))

    def test_away(self) -> None:
        """
        While nobody knows the name, the last address stays, and that is said once.
        """
        self.clock.names["them.example"] = ["192.0.2.7"]
        service = self.start()
        del self.clock.names["them.example"]
        with capturedLogs() as logs:
            self.clock.advance(LOOKUP_INTERVAL)
            self.clock.advance(LOOKUP_INTERVAL)
        self.assertEqual(
            [formatEvent(event) for event in logs],
            ["bridge theirs: no address for them.example"],
        )
        self.assertEqual(self.address(service), packAddress("192.0.2.7", 62035))

    def test_roamed(self) -> None:
        """
        A bridge that has moved by itself stays where it is while its name leads where it led.
        """
        self.clock.names["them.example"] = ["192.0.2.7"]
        service = self.start(enhanced=True, roaming=True)
        there = packAddress("192.0.2.99", 4000)
        exchange = service.openBridge.exchange
        exchange.receive(other.control(b"BCKA"), there, self.clock.seconds(), other.WALL)
        self.assertEqual(self.address(service), there)
        self.clock.advance(LOOKUP_INTERVAL)
        self.assertEqual(self.address(service), there)

    def test_otherFamily(self) -> None:
        """
        Addresses that no socket reaches are left out.
        """
        self.clock.names["them.example"] = ["2001:db8::7", "192.0.2.7"]
        service = self.start()
        self.assertEqual(self.address(service), packAddress("192.0.2.7", 62035))
        self.clock.names["them.example"] = ["2001:db8::7"]
        with capturedLogs() as logs:
            self.clock.advance(LOOKUP_INTERVAL)
        self.assertIn("no address that we can reach", str(formatEvent(logs[-1])))
        self.assertEqual(self.address(service), packAddress("192.0.2.7", 62035))

    def test_stopped(self) -> None:
        """
        Nothing is asked after the end.
        """
        self.clock.names["them.example"] = ["192.0.2.7"]
        service = self.start()
        service.stopService()
        self.clock.advance(LOOKUP_INTERVAL)
        self.assertEqual(len(self.clock.asked), 1)
