"""
Tests of L{bmff.protocols.homebrew}: a master and its hotspots on a virtual network.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import TERMINATOR, Frame
from bmff.dmr.position import Position, encodePosition
from bmff.dmr.talkeralias import encodeTalkerAlias
from bmff.dmr.voice import voiceCall
from bmff.events import (
    CallEnded,
    DuplicatePeerSeen,
    Event,
    LoginRefused,
    OptionsNotUnderstood,
    PeerLost,
    PeerMoved,
    PeerRegistered,
    RadioPositionReceived,
    SubscriptionChanged,
    TalkerAliasReceived,
)
from bmff.protocols.homebrew import LONGEST_COMPLAINT, HomeBrew
from bmff.protocols.turn import Turn
from bmff.router.router import Router
from bmff.sockets.addresses import formatAddress
from bmff.testing.everybody import Everybody, SomeSettings
from bmff.testing.hotspots import VirtualHotspot
from bmff.testing.network import VirtualNetwork
from bmff.wire.homebrew import AliasBlock, OptionsText, RadioPosition, Station
from bmff.wire.homebrewclient import BeaconRequested, LoggedIn, LoggedOut

PASSWORD = b"passw0rd"


class HomeBrewTestCase(SynchronousTestCase):
    """
    A master on one IPv4 and one IPv6 address.

    @cvar talkLimit: seconds, 0 for none.
    """

    talkLimit = 180.0

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = VirtualNetwork(self.clock)
        self.events: list[Event] = []
        self.access = Everybody()
        self.router = Router(self.events.append, talkLimit=self.talkLimit)
        self.homebrew = HomeBrew(
            self.clock, Turn(self.clock, self.router), self.events.append, self.access, bytes(32)
        )
        self.masters = []
        for host in ("192.0.2.1", "2001:db8::1"):
            receiver = self.homebrew.port()
            port = self.network.bind(receiver, host, 62031)
            receiver.transport = port
            self.masters.append(port)

    def hotspot(
        self,
        peerID: int,
        options: str = "",
        *,
        slots: int = 3,
        host: str = "198.51.100.1",
        password: bytes = PASSWORD,
    ) -> VirtualHotspot:
        """
        A hotspot that is logged in, if it is let in.
        """
        master = self.masters[1 if ":" in host else 0]
        station = Station(peerID, f"N{peerID}", slots=slots)
        hotspot = VirtualHotspot(self.network, master.address, station, password, options, host)
        hotspot.start()
        self.advance(0.1)
        return hotspot

    def advance(self, seconds: float) -> None:
        """
        Let time pass in steps of 10 ms.
        """
        self.clock.pump([0.01] * round(seconds * 100))

    def talk(self, hotspot: VirtualHotspot, **call: int) -> list[Frame]:
        """
        A call of 14 superframes.
        """
        frames = list(
            voiceCall(
                source=call.get("source", 2340001),
                destination=call.get("destination", 91),
                stream=call.get("stream", 77),
                slot=call.get("slot", 2),
                private=bool(call.get("private", 0)),
            )
        )
        hotspot.talk(frames)
        self.advance(len(frames) * 0.06 + 0.1)
        return frames


class CallTests(HomeBrewTestCase):
    """
    Calls between hotspots.
    """

    def test_hundredHear(self) -> None:
        """
        A call of 86 frames reaches each of 100 hotspots whole, its bursts unchanged.
        """
        talker = self.hotspot(1)
        listeners = [self.hotspot(100 + number, "TS2=91") for number in range(100)]
        frames = self.talk(talker)
        self.assertEqual(len(frames), 86)
        for listener in listeners:
            self.assertEqual(
                [frame.body for frame in listener.heard], [frame.body for frame in frames]
            )
            self.assertEqual(
                [frame.addressing for frame in listener.heard],
                [frame.addressing for frame in frames],
            )
        self.assertEqual(talker.heard, [])

    def test_always55(self) -> None:
        """
        A frame of 53 bytes leaves with 55, under the receiver's own ID.
        """
        talker, listener = self.hotspot(1), self.hotspot(2, "TS2=91")
        (frame, *_) = voiceCall(source=5, destination=91, stream=9)
        talker.port.sendTo(
            b"DMRD" + frame.addressing + (1).to_bytes(4, "big") + frame.body[:38],
            self.masters[0].address,
        )
        self.advance(0.1)
        data = listener.received[-1]
        self.assertEqual((len(data), data[11:15]), (55, (2).to_bytes(4, "big")))

    def test_simplexHearsSlot1(self) -> None:
        """
        What is said on slot 1 reaches a simplex hotspot on slot 2.
        """
        talker, listener = self.hotspot(1), self.hotspot(2, "TS1=91", slots=4)
        frames = self.talk(talker, slot=1)
        self.assertEqual({frame.slot for frame in listener.heard}, {2})
        self.assertEqual(
            [frame.burst for frame in listener.heard], [frame.burst for frame in frames]
        )

    def test_bothFamilies(self) -> None:
        """
        A call reaches hotspots on IPv4 and IPv6 alike.
        """
        talker = self.hotspot(1, host="2001:db8::5")
        four = self.hotspot(2, "TS2=91")
        six = self.hotspot(3, "TS2=91", host="2001:db8::6")
        self.talk(talker)
        self.assertEqual((len(four.heard), len(six.heard)), (86, 86))

    def test_reordered(self) -> None:
        """
        On a network that loses, doubles and reorders nobody hears a frame twice or out of order.
        """
        talker, listener = self.hotspot(1), self.hotspot(2, "TS2=91")
        self.network.jitter, self.network.loss, self.network.duplication = 0.2, 0.05, 0.05
        self.talk(talker)
        self.advance(3)
        self.network.jitter = self.network.loss = self.network.duplication = 0.0
        (ended,) = [event for event in self.events if isinstance(event, CallEnded)]
        self.assertGreater(ended.duplicates + ended.late, 0)
        self.assertGreater(ended.lost, 0)
        self.assertGreater(len(listener.heard), 30)

    def test_private(self) -> None:
        """
        A private call reaches the hotspot where its radio was last heard.
        """
        a, b, c = self.hotspot(1), self.hotspot(2), self.hotspot(3, "TS2=91")
        self.talk(b, source=555, destination=92, stream=1)
        self.advance(6)
        self.talk(a, source=444, destination=555, private=1, stream=2)
        self.assertEqual((len(b.heard), len(c.heard)), (86, 0))

    def test_movesWithinACall(self) -> None:
        """
        A hotspot whose address changes hears on at the new one as soon as it has logged in.
        """
        talker = self.hotspot(1)
        listener = self.hotspot(2, "TS2=91")
        other = self.hotspot(3, "TS2=91")
        talker.talk(voiceCall(source=5, destination=91, stream=9, superframes=100))
        self.advance(1)
        listener.move()
        before = len(listener.heard)
        self.advance(25)
        self.assertTrue(listener.running)
        self.assertGreater(len(listener.heard), before)
        self.assertGreater(len(other.heard), 400)
        self.assertIn(LoggedOut("refused"), listener.happened)

    def test_talkerVanishes(self) -> None:
        """
        When a talker is cut off its listeners get a terminator after 2 s.
        """
        talker, listener = self.hotspot(1), self.hotspot(2, "TS2=91")
        talker.talk(list(voiceCall(source=5, destination=91, stream=9))[:20])
        self.advance(1.2)
        talker.vanish()
        self.advance(2.2)
        self.assertEqual(listener.heard[-1].dataType, TERMINATOR)
        self.assertEqual(len(listener.heard), 21)


class LoginTests(HomeBrewTestCase):
    """
    Hotspots come and go.
    """

    def test_events(self) -> None:
        """
        A peer's coming, its talkgroups and its going are told.
        """
        hotspot = self.hotspot(7, "TS1=91,92")
        hotspot.client.close()
        hotspot.flush()
        self.advance(0.1)
        address = next(event for event in self.events if isinstance(event, PeerRegistered)).address
        self.assertTrue(address.startswith("198.51.100.1:"))
        self.assertEqual(
            self.events,
            [
                PeerRegistered(7, "N7", address),
                SubscriptionChanged(7, 1, (91, 92), ()),
                PeerLost(7, "N7", "closed by the peer"),
            ],
        )

    def test_verified(self) -> None:
        """
        A login tells that the peer has proved its secret; a configuration that comes again tells
        that it is no login.
        """
        hotspot = self.hotspot(7)
        hotspot.port.sendTo(Station(7, "N7").encode(), self.masters[0].address)
        self.advance(0.1)
        told = [event for event in self.events if isinstance(event, PeerRegistered)]
        self.assertEqual(
            [(event.verified, event.again) for event in told], [(True, False), (True, True)]
        )

    def test_endPeer(self) -> None:
        """
        A peer that is elsewhere ends without a word to it: its call ends for who hears it, the
        reason is told, and it is sent nothing any more.
        """
        talker, listener = self.hotspot(7, "TS2=92"), self.hotspot(8, "TS2=91,92")
        talker.talk(list(voiceCall(source=5, destination=91, stream=9))[:8])
        self.advance(0.5)
        received = len(talker.received)
        self.events.clear()
        self.homebrew.endPeer(7, "logged in at node 2502")
        self.masters[0].receiver.flush()
        listener.talk(list(voiceCall(source=6, destination=92, stream=10))[:8])
        self.advance(0.6)
        self.assertEqual(len(talker.received), received)
        self.assertEqual(listener.heard[-1].dataType, TERMINATOR)
        ended, lost = (
            [event for event in self.events if isinstance(event, kind)]
            for kind in (CallEnded, PeerLost)
        )
        self.assertEqual([event.reason for event in ended[:1]], ["peer lost"])
        self.assertEqual(lost, [PeerLost(7, "N7", "logged in at node 2502")])
        self.assertIsNone(self.homebrew.peer(7))
        self.assertIsNone(self.homebrew.master.session(7))

    def test_endPeerOfOthers(self) -> None:
        """
        What is to be sent to others goes out all the same; a peer that is not here is passed over.
        """
        here = self.hotspot(7)
        other = self.hotspot(8)
        before = len(here.received), len(other.received)
        session = self.homebrew.master.session(8)
        assert session is not None
        self.homebrew.master.requestBeacon(session)
        self.homebrew.endPeer(7, "logged in at node 2502")
        self.homebrew.endPeer(9, "logged in at node 2502")
        self.masters[0].receiver.flush()
        self.advance(0.1)
        self.assertEqual((len(here.received), len(other.received)), (before[0], before[1] + 1))
        self.assertEqual(len(self.homebrew.master), 1)

    def test_loggedInAnew(self) -> None:
        """
        A peer that has ended so and is here after all notices at its next ping and logs in anew.
        """
        hotspot = self.hotspot(7)
        self.homebrew.endPeer(7, "logged in at node 2502")
        self.advance(30)
        self.assertTrue(hotspot.running)
        self.assertIsNotNone(self.homebrew.peer(7))

    def test_wrongPassword(self) -> None:
        """
        A wrong password is told once, and the hotspot comes back every 10 s in vain.
        """
        hotspot = self.hotspot(7, password=b"guess")
        self.advance(50)
        self.assertFalse(hotspot.running)
        refused = [event for event in self.events if isinstance(event, LoginRefused)]
        self.assertEqual([event.reason for event in refused], ["wrong password"])

    def test_survivesALossyNetwork(self) -> None:
        """
        With 10 % loss each way hotspots log in and stay for an hour, pinging every 10 s.
        """
        self.network.loss = 0.1
        hotspots = [self.hotspot(1 + number) for number in range(10)]
        self.advance(60)
        self.events.clear()
        for _ in range(60):
            self.clock.pump([1.0] * 60)
        self.assertTrue(all(hotspot.running for hotspot in hotspots))
        self.assertEqual([event for event in self.events if isinstance(event, PeerLost)], [])

    def test_silent(self) -> None:
        """
        A hotspot that vanishes is gone after a minute.
        """
        self.hotspot(7).vanish()
        self.clock.pump([1.0] * 70)
        self.assertIn(PeerLost(7, "N7", "silent"), self.events)
        self.assertEqual(self.router.reach.peers, {})

    def test_stop(self) -> None:
        """
        A master that stops says so, and its hotspots are back 10 s after another one runs.
        """
        hotspots = [self.hotspot(1 + number) for number in range(3)]
        self.homebrew.stop()
        self.advance(0.1)
        self.assertFalse(any(hotspot.running for hotspot in hotspots))
        self.assertTrue(
            all(LoggedOut("closed by the master") in hotspot.happened for hotspot in hotspots)
        )
        self.advance(11)
        self.assertTrue(all(hotspot.running for hotspot in hotspots))

    def test_reviewAccess(self) -> None:
        """
        When the rules change those leave who are no longer allowed, and the others' talkgroups
        follow.
        """
        one, other = self.hotspot(1), self.hotspot(2)
        self.access.refused[1] = "banned"
        self.access.peers[2] = SomeSettings(static={2: (2350,)})
        self.homebrew.reviewAccess()
        self.advance(0.1)
        self.assertEqual((one.running, other.running), (False, True))
        self.assertIn(PeerLost(1, "N1", "banned"), self.events)
        self.assertIn(SubscriptionChanged(2, 2, (2350,), ()), self.events)

    def test_passwordChanged(self) -> None:
        """
        When the password changes those leave who logged in with the one before, and those stay
        who know the new one; nobody leaves twice.
        """
        self.hotspot(1)
        self.access.password = b"another"
        new = self.hotspot(2, password=b"another")
        for _ in range(2):
            self.homebrew.reviewAccess()
            self.advance(0.1)
        self.assertTrue(new.running)
        lost = [event for event in self.events if isinstance(event, PeerLost)]
        self.assertEqual(lost, [PeerLost(1, "N1", "its password has changed")])

    def test_moved(self) -> None:
        """
        A hotspot whose address changes is told with the new one, before it is here again.
        """
        hotspot = self.hotspot(7)
        hotspot.move()
        self.events.clear()
        self.clock.pump([0.1] * 250)
        self.assertTrue(hotspot.running)
        address = formatAddress(hotspot.port.address)
        self.assertEqual(
            self.events, [PeerMoved(7, "N7", address), PeerRegistered(7, "N7", address)]
        )

    def test_twoOfOneID(self) -> None:
        """
        Two hotspots that take one ID from each other are told of once a minute, as long as they
        do.
        """
        self.hotspot(7)
        other = self.hotspot(7, host="198.51.100.2")
        self.clock.pump([0.1] * 3000)
        told = [event for event in self.events if isinstance(event, DuplicatePeerSeen)]
        self.assertIn(len(told), (4, 5))
        self.assertEqual((told[0].peer, told[0].callsign), (7, "N7"))
        moved = [event for event in self.events if isinstance(event, PeerMoved)]
        self.assertGreater(len(moved), 10)
        other.vanish()
        self.clock.pump([0.1] * 300)
        self.events.clear()
        self.clock.pump([0.1] * 1200)
        self.assertEqual(self.events, [])

    def test_movesNowAndThen(self) -> None:
        """
        A hotspot whose address changes every minute is no two hotspots.
        """
        hotspot = self.hotspot(7)
        for _ in range(6):
            hotspot.move()
            self.clock.pump([0.1] * 600)
        moved = [event for event in self.events if isinstance(event, PeerMoved)]
        self.assertEqual(len(moved), 6)
        self.assertEqual([one for one in self.events if isinstance(one, DuplicatePeerSeen)], [])

    def test_optionsNotUnderstood(self) -> None:
        """
        What is not understood of options is told when it changes, printable and not at length.
        """
        hotspot = self.hotspot(7)
        for text in ("TS2=x", "TS2=x;TS1=91", "TS2=91", "TS2=x", "A\t=1;" + "B" * 250):
            hotspot.client.sendOptions(text)
            hotspot.flush()
            self.advance(0.1)
        told = [event for event in self.events if isinstance(event, OptionsNotUnderstood)]
        self.assertEqual([one.text for one in told[:2]], ["TS2=x", "TS2=x"])
        (last,) = told[2:]
        self.assertTrue(last.text.isprintable())
        self.assertTrue(last.text.endswith("BBB..."))
        self.assertEqual(len(last.text), LONGEST_COMPLAINT)

    def test_optionsNotAllowed(self) -> None:
        """
        A peer that may not set its talkgroups has those that the operator gave it.
        """
        self.access.peers[1] = SomeSettings(static={1: (2350,)}, options=False)
        self.hotspot(1, "TS1=91;SINGLE=1")
        peer = self.homebrew.peer(1)
        assert peer is not None
        self.assertEqual(peer.slot(1).static, {2350})
        self.assertFalse(peer.single)

    def test_optionsAdd(self) -> None:
        """
        Options add to what the operator has set; C{SINGLE} and C{TIMER} count; new options
        replace the old ones; C{DISC=1} leaves what was keyed.
        """
        self.access.peers[1] = SomeSettings(static={1: (2350,)})
        hotspot = self.hotspot(1, "TS1=91;SINGLE=1;TIMER=2")
        peer = self.homebrew.peer(1)
        assert peer is not None
        self.assertEqual(peer.slot(1).static, {91, 2350})
        self.assertEqual((peer.single, peer.dynamicTimeout), (True, 120.0))
        self.talk(hotspot, destination=777)
        self.assertEqual(list(peer.slot(2).dynamic), [777])
        hotspot.client.sendOptions("TS2=92;DISC=1")
        hotspot.flush()
        self.advance(0.1)
        self.assertEqual(peer.slot(1).static, {2350})
        self.assertEqual(peer.slot(2).static, {92})
        self.assertEqual(peer.slot(2).dynamic, {})

    def test_keyedTalkgroupsSurviveAReturn(self) -> None:
        """
        A hotspot that logs in anew without having been gone keeps what it keyed; one that now
        has other slots begins anew.
        """
        hotspot = self.hotspot(1)
        self.talk(hotspot, destination=777)
        hotspot.move()
        self.clock.pump([1.0] * 25)
        peer = self.homebrew.peer(1)
        assert peer is not None
        self.assertEqual(list(peer.slot(2).dynamic), [777])
        hotspot.port.sendTo(Station(1, slots=4).encode(), self.masters[0].address)
        self.advance(0.1)
        peer = self.homebrew.peer(1)
        assert peer is not None
        self.assertTrue(peer.simplex)
        self.assertEqual(peer.slot(2).dynamic, {})
        self.assertTrue(self.hotspot(2, "TS2=91").running)
        self.talk(hotspot)  # and its frames reach the router as the new peer's
        self.assertEqual(list(peer.slot(2).dynamic), [91])

    def test_beacons(self) -> None:
        """
        Every hotspot is asked for a beacon.
        """
        hotspots = [self.hotspot(1), self.hotspot(2)]
        self.homebrew.requestBeacons()
        self.advance(0.1)
        for hotspot in hotspots:
            self.assertEqual(hotspot.happened, [LoggedIn(), BeaconRequested()])

    def test_talkerAlias(self) -> None:
        """
        A talker alias is told when it has grown, however often it is sent.
        """
        hotspot = self.hotspot(1)
        blocks = encodeTalkerAlias("G4TST Michael")
        for _ in range(3):
            for number, data in enumerate(blocks):
                hotspot.port.sendTo(
                    AliasBlock(1, 2340001, number, data).encode(), self.masters[0].address
                )
        self.advance(0.1)
        told = [event for event in self.events if isinstance(event, TalkerAliasReceived)]
        self.assertEqual(told[-1], TalkerAliasReceived(2340001, "G4TST Michael"))
        self.assertLessEqual(len(told), len(blocks))

    def test_position(self) -> None:
        """
        A radio's position is told; one that was cut off is counted.
        """
        hotspot = self.hotspot(1)
        data = encodePosition(Position(latitude=51.5, longitude=-0.12))
        for part in (data, data[:3]):
            hotspot.port.sendTo(RadioPosition(1, 2340001, part).encode(), self.masters[0].address)
        self.advance(0.1)
        (told,) = [event for event in self.events if isinstance(event, RadioPositionReceived)]
        self.assertLess(abs(told.latitude - 51.5) + abs(told.longitude + 0.12), 0.001)
        self.assertEqual((told.radio, told.origin, told.peer), (2340001, "call", 1))
        self.assertEqual(self.homebrew.master.dropped["position cut off"], 1)

    def test_optionsOfAStranger(self) -> None:
        """
        Options under a live ID from elsewhere change nothing.
        """
        self.hotspot(1, "TS2=91")
        stranger = VirtualHotspot(self.network, self.masters[0].address, Station(1))
        stranger.port.sendTo(OptionsText(1, "TS2=666").encode(), self.masters[0].address)
        self.advance(0.1)
        peer = self.homebrew.peer(1)
        assert peer is not None
        self.assertEqual(peer.slot(2).static, {91})
