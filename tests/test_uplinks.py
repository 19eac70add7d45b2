"""
Tests of L{bmff.uplinks}: what becomes of a configuration, several uplinks together, and one over
sockets of this host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bmff.dmr.frame import Frame
from bmff.dmr.voice import voiceCall
from bmff.errors import ConfigurationError, TransportUnavailable
from bmff.events import Event, UplinkEnded, UplinkRefused, UplinkStarted
from bmff.protocols.homebrew import HomeBrew
from bmff.protocols.hotspot import Hotspot
from bmff.protocols.turn import Turn
from bmff.router.call import Peer
from bmff.router.router import Router
from bmff.router.translation import Form
from bmff.sections.homebrew import Translated
from bmff.sections.values import IDs, Number, Talkgroups
from bmff.sockets.addresses import IPV4_SIZE, IPV6_SIZE, packAddress
from bmff.sockets.datagrams import DatagramPort, DatagramReceiver
from bmff.testing.everybody import Everybody
from bmff.testing.hotspots import VirtualHotspot
from bmff.uplinks import FIRST_PEER, UplinkService, openSocket, uplinkSettings
from bmff.wire.homebrew import Station
from bmff.wire.homebrewclient import Client
from tests.protocols.test_homebrew import PASSWORD
from tests.protocols.uplinkcase import HERE, OpenSocket, UplinkTestCase
from tests.router.case import RecordingOutlet
from tests.sockets.ports import hasIPv6
from tests.test_bridges import NamingClock

PATIENCE = 10.0  # seconds


@dataclass(frozen=True)
class SomeEntry:
    """
    One uplink of a configuration; see L{bmff.uplinks.Entry}.
    """

    name: str = "north"
    master: tuple[tuple[str, int], ...] = (("master.example", 62031),)
    id: int = 262000199
    network: str | None = None
    password: str | None = None
    kind: str = "hotspot"
    callsign: str = "G4TST"
    rxFrequency: int = 433_450_000
    txFrequency: int = 0
    power: int = 1
    colourCode: int = 1
    latitude: float = 0.0
    longitude: float = 0.0
    height: int = 0
    location: str = ""
    description: str = ""
    url: str = ""
    options: str = "TS2=91"
    ping: float = 10.0
    static: Mapping[int, tuple[int, ...]] = field(default_factory=lambda: {2: (91,)})
    accept: tuple[Talkgroups, ...] = ()
    allow: tuple[IDs, ...] = ()
    deny: tuple[IDs, ...] = ()
    private: bool = False
    translate: tuple[Translated, ...] = ()


class SomeKeys:
    """
    The secrets; the test may change them.
    """

    def __init__(self) -> None:
        self.passwords = {"north": PASSWORD, "south": PASSWORD, "second": PASSWORD}

    def bridgePassword(self, secretID: str) -> bytes | None:
        return self.passwords.get(secretID)


class SettingsTests(SynchronousTestCase):
    """
    What becomes of a configuration.
    """

    def test_plain(self) -> None:
        """
        What is not said is a hotspot, in a network of its own, that no radio is kept out of.
        """
        settings = uplinkSettings(SomeEntry())
        self.assertEqual((settings.name, settings.network), ("north", "north"))
        self.assertTrue(settings.station.simplex)
        self.assertEqual(settings.station.slots, 4)
        self.assertEqual(settings.station.txFrequency, 433_450_000)
        self.assertNotIn(2340001, settings.refused)
        self.assertFalse(settings.translation)

    def test_said(self) -> None:
        """
        What is said counts.
        """
        settings = uplinkSettings(
            SomeEntry(
                network="them",
                kind="repeater",
                txFrequency=439_000_000,
                allow=(IDs(((2340000, 2349999),)),),
                deny=(IDs(((2340666, 2340666),)),),
                accept=(Talkgroups(((262, 262),)),),
                translate=(
                    Translated(Number(9), Number(26209), 2),
                    Translated(Number(9990, True), Number(999_001, True)),
                ),
            )
        )
        self.assertEqual(settings.network, "them")
        self.assertEqual((settings.station.slots, settings.station.simplex), (3, False))
        refused = [radio for radio in (2340001, 2340666, 2350001) if radio in settings.refused]
        self.assertEqual(refused, [2340666, 2350001])
        self.assertIn(262, settings.accepted)
        self.assertEqual(settings.translation.inward(2, Form(9)), Form(26209))
        self.assertEqual(settings.radios, ((999_001, 2),))

    def test_mistakes(self) -> None:
        """
        What cannot be meant so is told by its place, all of it.
        """
        clock = Clock()
        entries = [
            SomeEntry(),
            SomeEntry(),
            SomeEntry("a", master=()),
            SomeEntry("b", kind="bridge"),
            SomeEntry("c", kind="repeater", txFrequency=433_450_000),
            SomeEntry("d", static={2: (91, 9)}),
            SomeEntry("e", translate=(Translated(Number(91), Number(9)),)),
            SomeEntry("f", kind="repeater", rxFrequency=0),
        ]
        with self.assertRaises(ConfigurationError) as caught:
            UplinkService(
                clock,
                Turn(clock, Router(lambda event: None)),
                entries,
                SomeKeys(),
                lambda event: None,
            )
        self.assertEqual(
            [mistake.place for mistake in caught.exception.mistakes],
            [
                "uplink[2].master",
                "uplink[3].kind",
                "uplink[4].tx_frequency",
                "uplink[5].static",
                "uplink[6].translate",
                "uplink[1].name",
            ],
        )


class ServiceTestCase(UplinkTestCase):
    """
    A service on the virtual network, whose reactor knows names.
    """

    def setUp(self) -> None:
        super().setUp()
        self.keys = SomeKeys()
        self.published: list[Event] = []
        self.naming = NamingClock()
        self.naming.names["master.example"] = ["192.0.2.1"]
        self.clock.nameResolver = self.naming  # type: ignore[attr-defined]
        self.sockets: list[OpenSocket] = []

    def opener(self, receiver: DatagramReceiver, addressSize: int) -> OpenSocket:
        """
        A socket on the virtual network.
        """
        one = OpenSocket(self.network, self.network.bind(receiver, HERE))
        self.sockets.append(one)
        return one

    def service(self, *entries: SomeEntry) -> UplinkService:
        """
        A service that has had the time to log in.
        """
        service = UplinkService(
            self.clock, self.turn, entries, self.keys, self.published.append, self.opener
        )
        service.startService()
        self.addCleanup(service.stopService)
        self.advance(0.1)
        return service


class SeveralTests(ServiceTestCase):
    """
    Uplinks together.
    """

    def both(self) -> tuple[UplinkService, VirtualHotspot, VirtualHotspot]:
        """
        Two uplinks to one network, a hotspot there and one here.
        """
        service = self.service(
            SomeEntry(), SomeEntry("second", network="north", id=262000198, password="north")
        )
        self.assertEqual([each.running for each in service.uplinks], [True, True])
        return service, self.hotspot(1, "TS2=91"), self.listener(2, "TS2=91")

    def test_sameNetwork(self) -> None:
        """
        Of two uplinks to one network the first sends, so that a call arrives there once, and what
        comes over both is heard once; nothing goes back.
        """
        service, there, here = self.both()
        first, second = service.uplinks
        frames = self.say(here)
        self.assertHeard(there, frames)
        self.assertEqual((first.peer.framesSent, second.peer.framesSent), (len(frames), 0))
        frames = self.say(there)
        self.assertHeard(here, frames)
        # Each was sent the call, and one was the first with it.
        self.assertEqual(first.peer.framesReceived, len(frames))
        self.assertEqual(second.peer.framesReceived, 2 * len(frames))
        self.assertHeard(there, self.say(here))
        self.assertEqual(second.peer.framesSent, 0)
        self.assertEqual(self.router.dropped["stream of another ingress"], 0)

    def test_answer(self) -> None:
        """
        An answer at once goes out over the first alone, also when the second was the one over
        which the question came.
        """
        service, there, here = self.both()
        first, second = service.uplinks
        frames = list(voiceCall(source=5, destination=91, stream=9, superframes=2))
        for frame in frames:
            second.peer.frameReceived(frame, self.clock.seconds())
        self.advance(0.1)
        self.assertHeard(here, frames)
        self.say(here)
        self.assertEqual((first.peer.framesSent, second.peer.framesSent), (14, 0))
        there.heard.clear()

    def test_takesOver(self) -> None:
        """
        When the first is gone, the second sends, also what was in the midst of it; when it is
        back, it does again.
        """
        service, there, here = self.both()
        first, second = service.uplinks
        frames = list(voiceCall(source=5, destination=91, stream=9, superframes=10))
        here.talk(frames)
        self.advance(1.0)
        first.stop()
        self.advance(len(frames) * 0.06 + 6.0)
        self.assertGreater(second.peer.framesSent, 40)
        self.assertGreater(first.peer.framesSent, 10)
        there.heard.clear()
        first.start()
        self.advance(0.1)
        before = second.peer.framesSent
        self.assertHeard(there, self.say(here))
        self.assertEqual(second.peer.framesSent, before)

    def test_otherNetworks(self) -> None:
        """
        A call that comes in from one network goes out to another, once and not back.
        """
        router = Router(self.events.append)
        master = HomeBrew(
            self.clock, Turn(self.clock, router), self.events.append, Everybody(), bytes(32)
        )
        receiver = master.port()
        receiver.transport = self.network.bind(receiver, "203.0.113.5", 62031)
        south = replace(SomeEntry("south"), master=(("203.0.113.5", 62031),))
        service = self.service(SomeEntry(), south)
        there = self.hotspot(1, "TS2=91")
        frames = self.say(there)
        self.assertEqual([each.peer.framesSent for each in service.uplinks], [0, len(frames)])
        self.assertEqual(router.framesRouted, len(frames))
        self.assertHeard(there, [])


class NameTests(ServiceTestCase):
    """
    Names and passwords.
    """

    def test_noName(self) -> None:
        """
        A name that leads nowhere is told.
        """
        self.naming.names.clear()
        service = self.service(SomeEntry())
        reason = "no address for master.example"
        self.assertEqual(
            self.published,
            [UplinkRefused(FIRST_PEER + 1, "north", "master.example:62031", reason)],
        )
        (said,) = service.describe()
        self.assertEqual((said["state"], said["reason"]), ("waiting", reason))
        self.assertIsNone(said["address"])

    def test_described(self) -> None:
        """
        An uplink is described with where it is and what crossed.
        """
        service = self.service(SomeEntry())
        frames = self.say(self.listener(2))
        (said,) = service.describe()
        self.assertEqual(
            said,
            {
                "name": "north",
                "network": "north",
                "peer": FIRST_PEER + 1,
                "id": 262000199,
                "state": "running",
                "address": "192.0.2.1:62031",
                "reason": None,
                "logins": 1,
                "frames_sent": len(frames),
                "frames_received": 0,
                "dropped": {},
            },
        )

    def test_secrets(self) -> None:
        """
        A password that has been put right is tried at once, one that is as it was is not, and who
        is logged in stays so.
        """
        self.keys.passwords["north"] = b"wrong"
        service = self.service(SomeEntry(), SomeEntry("second", id=262000198))
        first, second = service.uplinks
        self.assertEqual((first.running, second.running), (False, True))
        asked = len(self.sockets)
        service.reviewSecrets()
        self.advance(0.1)
        self.assertEqual(len(self.sockets), asked)
        self.keys.passwords = {"north": PASSWORD, "second": b"other"}
        service.reviewSecrets()
        self.advance(0.1)
        self.assertEqual((first.running, second.running), (True, True))
        self.assertEqual(second.logins, 1)

    def test_again(self) -> None:
        """
        A service that was stopped may be started again.
        """
        service = self.service(SomeEntry())
        service.stopService()
        self.advance(0.1)
        self.assertEqual([each.open for each in self.sockets], [False])
        service.startService()
        self.advance(0.1)
        self.assertTrue(service.uplinks[0].running)
        kinds = [type(event) for event in self.published]
        self.assertEqual(kinds, [UplinkStarted, UplinkEnded, UplinkStarted])


class SocketTests(TestCase):
    """
    Sockets of this host.
    """

    timeout = 30

    def test_families(self) -> None:
        """
        A socket is opened for the family of the address.
        """
        clock = NamingClock()
        sizes = [IPV4_SIZE, *([IPV6_SIZE] if hasIPv6() else [])]
        for size in sizes:
            port = openSocket(clock, self, size)
            assert isinstance(port, DatagramPort)
            self.assertEqual((len(port.address), clock.readers), (size, [port]))
            port.stopListening()
            self.assertEqual(clock.readers, [])

    def test_none(self) -> None:
        """
        That there is no socket to be had is no mistake of ours.
        """

        def refuse(*rest: object) -> None:
            raise CannotListenError("0.0.0.0", 0, OSError(24, "Too many open files"))

        self.patch(DatagramPort, "__init__", refuse)
        with self.assertRaises(TransportUnavailable) as caught:
            openSocket(NamingClock(), self, IPV4_SIZE)
        self.assertIn("Too many open files", str(caught.exception))

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        """
        Nobody sends.
        """

    def flush(self) -> None:
        """
        Nothing came.
        """

    async def until(self, condition: Callable[[], object]) -> None:
        """
        Let the reactor work until something is so.
        """
        end = reactor.seconds() + PATIENCE
        while not condition():
            self.assertLess(reactor.seconds(), end)
            await deferLater(reactor, 0.01)

    def test_loopback(self) -> None:
        """
        Over real sockets it logs in at a master whose name is looked up, and a call is heard
        there, burst for burst.
        """
        return Deferred.fromCoroutine(self.loopback())  # type: ignore[return-value]

    async def loopback(self) -> None:
        """
        See L{test_loopback}.
        """
        theirs = Router(lambda event: None)
        turn = Turn(reactor, theirs)
        master = HomeBrew(reactor, turn, lambda event: None, Everybody(), bytes(32))
        receiver = master.port()
        receiver.transport = port = DatagramPort(reactor, "127.0.0.1", 0, receiver)
        port.startListening()
        heard: list[Frame] = []
        client = Client(
            Station(1, "G4TST"), PASSWORD, "TS2=91", lambda frame, now: heard.append(frame)
        )
        there = Hotspot(reactor, packAddress("127.0.0.1", port.port), client, lambda event: None)
        there.transport = ear = DatagramPort(reactor, "127.0.0.1", 0, there)
        ear.startListening()
        there.start()
        ours = Router(lambda event: None)
        own = Turn(reactor, ours)
        entry = replace(SomeEntry(), master=(("localhost", port.port),))
        service = UplinkService(reactor, own, [entry], SomeKeys(), lambda event: None)
        service.startService()
        try:
            (uplink,) = service.uplinks
            await self.until(lambda: uplink.running and theirs.reach.peers.get(1))
            talker = Peer(2, RecordingOutlet())
            ours.addPeer(talker, reactor.seconds())
            frames = list(voiceCall(source=5, destination=91, stream=9, superframes=2))
            for frame in frames:
                ours.route(talker, frame, reactor.seconds())
            await self.until(lambda: len(heard) == len(frames))
            self.assertEqual([one.burst for one in heard], [one.burst for one in frames])
            there.sendFrame(next(voiceCall(source=6, destination=91, stream=10)))
            await self.until(lambda: uplink.peer.framesReceived)
        finally:
            service.stopService()
            there.stop()
            await self.until(lambda: 262000199 not in theirs.reach.peers)
            master.stop()
            turn.stop()
            own.stop()
            for each in (port, ear):
                each.stopListening()
