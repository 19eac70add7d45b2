"""
Tests of rows about hotspots that change while these are logged in: a real registry in a file, and
hotspots on a virtual network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from bmff.access import Access
from bmff.dmr.frame import TERMINATOR
from bmff.dmr.voice import voiceCall
from bmff.errors import ConfigurationError
from bmff.events import Event, LoginRefused, PeerLost
from bmff.ibmff import IRegistry, PeerRow, SubscriptionRow
from bmff.protocols.homebrew import HomeBrew, HomeBrewPeer
from bmff.protocols.turn import Turn
from bmff.registry.embedded import EmbeddedRegistry
from bmff.router.router import Router
from bmff.sections.homebrew import Homebrew, PeerEntry
from bmff.testing.hotspots import VirtualHotspot
from bmff.testing.network import VirtualNetwork
from bmff.wire.homebrew import Station
from tests.test_access import SomePasswords

reactor: Any = anyReactor  # mypy does not know which reactor there is
PASSWORDS = {"hotspots": b"all", "own": b"mine"}


class RegisteredPeerTests(TestCase):
    """
    Hotspots of a node that is told of changes in its registry.
    """

    async def setUp(self) -> None:  # type: ignore[override]
        self.registry: IRegistry = EmbeddedRegistry(reactor, Path(self.mktemp(), "r.sqlite"))
        self.addCleanup(self.registry.stop)
        self.clock = Clock()
        self.network = VirtualNetwork(self.clock)
        self.events: list[Event] = []
        settings = Homebrew(static={2: (91,)}, peer={3: PeerEntry(single=True)})
        access = Access(settings, SomePasswords(PASSWORDS), self.registry)
        self.homebrew = HomeBrew(
            self.clock,
            Turn(self.clock, Router(self.events.append)),
            self.events.append,
            access,
            bytes(32),
        )
        receiver = self.homebrew.port()
        self.port = receiver.transport = self.network.bind(receiver, "192.0.2.1", 62031)
        self.registry.watch(self.rowsChanged)
        await self.registry.start()

    def rowsChanged(self, table: str) -> None:
        """
        What a node does with a change.
        """
        if table in ("peers", "subscriptions"):
            self.homebrew.reviewAccess()

    def hotspot(self, peerID: int, password: bytes = b"all") -> VirtualHotspot:
        """
        A hotspot that has tried to log in.
        """
        station = Station(peerID, f"N{peerID}", slots=3)
        hotspot = VirtualHotspot(self.network, self.port.address, station, password)
        hotspot.start()
        self.advance(0.1)
        return hotspot

    def peer(self, peerID: int) -> HomeBrewPeer:
        """
        One that is logged in.
        """
        peer = self.homebrew.peer(peerID)
        assert peer is not None
        return peer

    def advance(self, seconds: float) -> None:
        """
        Let time pass for the hotspots, in steps of 10 ms.
        """
        self.clock.pump([0.01] * round(seconds * 100))

    async def write(self, *rows: Any) -> None:
        """
        Write rows, and let the hotspots hear what becomes of them.
        """
        for row in rows:
            await self.registry.put(row)
        self.advance(0.1)

    @property
    def lost(self) -> list[tuple[int, str]]:
        """
        Whose sessions have ended, and why.
        """
        return [(one.peer, one.reason) for one in self.events if isinstance(one, PeerLost)]

    async def test_ban(self) -> None:
        """
        A ban ends the sessions of all hotspots of the radio, and no other, and keeps them out
        until it is taken back; then they come by themselves.
        """
        hotspots = [self.hotspot(each) for each in (234567801, 234567802, 2345679)]
        await self.write(PeerRow(2345678, banned=True))
        self.assertEqual([each.running for each in hotspots], [False, False, True])
        self.assertEqual(self.lost, [(234567801, "banned"), (234567802, "banned")])
        self.advance(30.0)
        refused = {one.peer for one in self.events if isinstance(one, LoginRefused)}
        self.assertEqual(refused, {234567801, 234567802})
        await self.registry.remove("peers", 2345678)
        self.advance(65.0)
        self.assertTrue(all(each.running for each in hotspots))

    async def test_secret(self) -> None:
        """
        A new secret ends a session that was proved with the old one; to name the one that was
        proved ends none.
        """
        one, other = self.hotspot(1), self.hotspot(2)
        await self.write(PeerRow(1, secret="own"), PeerRow(2, secret="hotspots"))
        self.assertEqual((one.running, other.running), (False, True))
        self.assertEqual(self.lost, [(1, "its password has changed")])
        one.vanish()
        self.assertTrue(self.hotspot(1, b"mine").running)

    async def test_midCall(self) -> None:
        """
        A talkgroup that is added in the middle of a call is heard from the next frame, and no
        longer when it is taken away: there the call ends in order. What the configuration says
        stays.
        """
        talker, listener, usual = self.hotspot(1), self.hotspot(2), self.hotspot(3)
        frames = list(voiceCall(source=2340001, destination=92, stream=7, slot=2))
        talker.talk(frames)
        self.advance(1.0)
        self.assertEqual(listener.heard, [])
        await self.write(SubscriptionRow(2, 2, 92))
        self.advance(0.9)
        heard = len(listener.heard)
        self.assertTrue(10 <= heard <= 18, heard)
        await self.registry.remove("subscriptions", (2, 2, 92))
        self.advance(len(frames) * 0.06)
        rest = listener.heard[heard:]  # at most one was on its way
        self.assertLessEqual(len(rest), 2)
        self.assertEqual(rest[-1].dataType, TERMINATOR)
        self.assertEqual(usual.heard, [])
        self.advance(10.0)
        talker.talk(list(voiceCall(source=2340001, destination=91, stream=8, slot=2)))
        self.advance(len(frames) * 0.06 + 1.0)
        self.assertEqual(len(usual.heard), len(frames))

    async def test_settings(self) -> None:
        """
        What else a row says counts for a hotspot that is here, without an end of its session.
        """
        hotspot = self.hotspot(3)
        self.assertEqual((self.peer(3).single, self.peer(3).dynamicTimeout), (True, 900.0))
        await self.write(PeerRow(3, single=False, timeout=60))
        self.assertEqual((self.peer(3).single, self.peer(3).dynamicTimeout), (False, 60))
        await self.registry.remove("peers", 3)
        self.assertEqual((self.peer(3).single, self.peer(3).dynamicTimeout), (True, 900.0))
        self.assertTrue(hotspot.running)
        self.assertEqual(self.lost, [])

    async def test_deny(self) -> None:
        """
        A talkgroup that a row denies is not heard any more by a hotspot that is subscribed to it,
        nor may it be keyed there, until the row says otherwise; other talkgroups are.
        """
        talker, listener = self.hotspot(1), self.hotspot(2)
        await self.write(SubscriptionRow(2, 2, 92))
        stream = 6

        def heard(talkgroup: int, speaker: VirtualHotspot, ear: VirtualHotspot) -> int:
            nonlocal stream
            stream += 1
            before = len(ear.heard)
            speaker.talk(
                list(voiceCall(source=2340001, destination=talkgroup, stream=stream, slot=2))
            )
            self.advance(20.0)
            return len(ear.heard) - before

        self.assertGreater(heard(91, talker, listener), 5)
        self.assertGreater(heard(91, listener, talker), 5)
        await self.write(PeerRow(2, denyTalkgroups="90-91"))
        self.assertEqual(heard(91, talker, listener), 0)
        self.assertEqual(heard(91, listener, talker), 0)
        self.assertGreater(heard(92, talker, listener), 5)
        await self.write(PeerRow(2, allowTalkgroups="91"))
        self.assertEqual(heard(92, talker, listener), 0)
        self.assertGreater(heard(91, talker, listener), 5)
        await self.registry.remove("peers", 2)
        self.assertGreater(heard(92, talker, listener), 5)
        self.assertTrue(listener.running)
        self.assertEqual(self.lost, [])

    async def test_denyMidCall(self) -> None:
        """
        A talkgroup that is denied in the middle of a call is not heard from the next frame on: for
        that hotspot the call ends in order, and for the others it goes on.
        """
        talker, listener, usual = self.hotspot(1), self.hotspot(2), self.hotspot(3)
        frames = list(voiceCall(source=2340001, destination=91, stream=7, slot=2))
        talker.talk(frames)
        self.advance(0.5)
        heard = len(listener.heard)
        self.assertGreater(heard, 2)
        await self.write(PeerRow(2, denyTalkgroups="91"))
        self.advance(len(frames) * 0.06)
        rest = listener.heard[heard:]  # at most two were on their way
        self.assertLessEqual(len(rest), 3)
        self.assertEqual(rest[-1].dataType, TERMINATOR)
        self.assertEqual(len(usual.heard), len(frames))

    async def test_translate(self) -> None:
        """
        Numbers that a row makes others count both ways from the next call of a hotspot that is
        logged in, and are its own again when the row is gone.
        """
        talker, listener = self.hotspot(1), self.hotspot(2)
        calls = iter(range(7, 100))

        def heard(talkgroup: int, speaker: VirtualHotspot, ear: VirtualHotspot) -> set[int]:
            del ear.heard[:]
            frames = voiceCall(source=2340001, destination=talkgroup, stream=next(calls), slot=2)
            speaker.talk(list(frames))
            self.advance(20.0)
            return {frame.destination for frame in ear.heard}

        self.assertEqual(heard(91, talker, listener), {91})
        await self.write(PeerRow(2, translate="{there = 8, here = 91, slot = 2}"))
        self.assertEqual(heard(91, talker, listener), {8})
        self.assertEqual(heard(8, listener, talker), {91})
        await self.write(PeerRow(2, translate="{there = 7, here = 91}; {there = 6, here = 92}"))
        self.assertEqual(heard(91, talker, listener), {7})
        await self.registry.remove("peers", 2)
        self.assertEqual(heard(91, talker, listener), {91})
        self.assertTrue(listener.running)

    async def test_services(self) -> None:
        """
        Dialling, talkgroups that stay and hold-off count for a hotspot that is here, too.
        """
        self.hotspot(3)
        await self.write(PeerRow(3, dial=False, holdOff=7.5))
        peer = self.peer(3)
        self.assertEqual((peer.dials, peer.holdOff), (False, 7.5))
        await self.registry.remove("peers", 3)
        self.assertEqual((peer.dials, peer.holdOff), (True, 0.0))

    async def test_unreadable(self) -> None:
        """
        A row that cannot be read leaves a hotspot what the row before it said.
        """
        self.hotspot(3)
        await self.write(PeerRow(3, denyTalkgroups="91"))
        with self.assertRaises(ConfigurationError):
            await self.registry.put(PeerRow(3, denyTalkgroups="everything"))
        self.assertIn(91, self.peer(3).refused)

    async def test_options(self) -> None:
        """
        A hotspot that may no longer set its own talkgroups has only those that the operator set.
        """
        hotspot = VirtualHotspot(
            self.network, self.port.address, Station(1, "N1", slots=3), b"all", "TS2=95"
        )
        hotspot.start()
        self.advance(0.1)
        await self.write(SubscriptionRow(1, 1, 96))
        peer = self.peer(1)
        self.assertEqual({*peer.slots[1].static}, {91, 95})
        await self.write(PeerRow(1, options=False))
        self.assertEqual(({*peer.slots[0].static}, {*peer.slots[1].static}), ({96}, {91}))
