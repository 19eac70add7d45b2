"""
Tests of what goes wrong on today's servers: that each fault of L{tests.faults} has tests, and those
tests that stand nowhere else.
"""

from __future__ import annotations

from importlib import import_module
from unittest import TestCase

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import embedded
from bmff.dmr.csbk import CSBK as ControlBlock
from bmff.dmr.frame import (
    CSBK,
    DATA_HEADER,
    DATA_SYNC,
    MBC_CONTINUATION,
    MBC_HEADER,
    PRIVATE,
    RATE_1,
    RATE_12,
    RATE_34,
    SLOT_2,
    TERMINATOR,
    VOICE_HEADER,
    Frame,
)
from bmff.dmr.lc import FullLinkControl
from bmff.dmr.voice import voiceCall
from bmff.events import Event, PeerLost, PeerRegistered
from bmff.protocols.turn import Turn
from bmff.router.announcement import Announcer
from bmff.router.parrot import Parrot
from bmff.router.router import Router
from bmff.router.translation import Form, Rule, Translation
from bmff.wire.homebrew import Key, Login, keyDigest
from tests.dmr.test_rewriting import carried, carrying
from tests.faults import FAULTS
from tests.protocols.test_homebrew import HomeBrewTestCase
from tests.router.case import RouterTestCase
from tests.router.test_trunks import EVERYTHING, RecordingTrunk, TrunkTestCase


class TableTests(SynchronousTestCase):
    """
    The table of faults.
    """

    def test_named(self) -> None:
        """
        Each fault has tests, and each of them is there and says what it shows.
        """
        for fault in FAULTS:
            self.assertTrue(fault.tests, fault.what)
            for name in fault.tests:
                module, case, method = name.rsplit(".", 2)
                found = getattr(import_module(module), case)
                self.assertTrue(issubclass(found, TestCase), name)
                self.assertTrue(method.startswith("test_"), name)
                self.assertTrue(getattr(found, method).__doc__, name)

    def test_own(self) -> None:
        """
        What is tested here stands in the table.
        """
        named = {name for fault in FAULTS for name in fault.tests}
        for case in (LoginTests, BridgeTests, LinkControlTests, DataTests):
            for method in vars(case):
                if method.startswith("test_"):
                    self.assertIn(f"tests.test_faults.{case.__name__}.{method}", named)


class LoginTests(HomeBrewTestCase):
    """
    Faults of logins.
    """

    def test_loginInACall(self) -> None:
        """
        Logins from elsewhere under the IDs of talker and listener change nothing in their call
        (hblink3, HBlink4, RYSEN, DMRHub: eight of eight frames before, none of eight after).
        """
        talker, listener = self.hotspot(1), self.hotspot(2, "TS2=91")
        elsewhere = self.hotspot(3, host="203.0.113.7")
        frames = list(voiceCall(source=5, destination=91, stream=9))
        talker.talk(frames)
        for peerID in (1, 2) * 20:
            self.advance(0.12)
            elsewhere.port.sendTo(Login(peerID).encode(), self.masters[0].address)
        self.advance(3.0)
        self.assertEqual([frame.body for frame in listener.heard], [one.body for one in frames])
        self.assertEqual([one for one in self.events if isinstance(one, PeerLost)], [])

    def test_configurationOfAGateway(self) -> None:
        """
        What MMDVMHost says to a gateway of its own opens no session and is not answered; frames
        from there are heard by nobody (hblink3 lets it in without a password).
        """
        listener, stranger = self.hotspot(2, "TS2=91"), self.hotspot(3, password=b"wrong")
        self.advance(1.0)
        del stranger.received[:]
        said = b"DMRC" + (7).to_bytes(4, "big") + b"G4TST".ljust(111)
        stranger.port.sendTo(said, self.masters[0].address)
        for frame in voiceCall(source=5, destination=91, stream=9, superframes=2):
            data = b"DMRD" + frame.addressing + (7).to_bytes(4, "big") + frame.body
            stranger.port.sendTo(data, self.masters[0].address)
        self.advance(0.1)
        self.assertEqual(listener.heard, [])
        self.assertIsNone(self.homebrew.master.session(7))
        acknowledged = [data for data in stranger.received if data[:6] == b"RPTACK"]
        self.assertEqual(acknowledged, [])
        registered = [one.peer for one in self.events if isinstance(one, PeerRegistered)]
        self.assertEqual(registered, [2])

    def test_wrongKeyFromALiveAddress(self) -> None:
        """
        A key is verified wherever it comes from: a wrong one from the address of a live session is
        not acknowledged, and the session goes on (RYSEN acknowledges it unseen).
        """
        hotspot = self.hotspot(1)
        hotspot.port.sendTo(Login(1).encode(), self.masters[0].address)
        self.advance(0.1)
        nonce = hotspot.received[-1][6:]
        del hotspot.received[:]
        digest = keyDigest(nonce, b"a guess")
        hotspot.port.sendTo(Key(1, digest).encode(), self.masters[0].address)
        self.advance(0.1)
        self.assertEqual(hotspot.received, [])
        self.assertEqual(self.homebrew.master.dropped["wrong key"], 1)
        self.assertIsNotNone(self.homebrew.peer(1))

    def test_talksWithoutPings(self) -> None:
        """
        A hotspot that does not ping while it talks, for more than two minutes, stays and is heard
        to its end (hblink3 throws such clients out at their first word).
        """
        talker, listener = self.hotspot(1), self.hotspot(2, "TS2=91")
        talker.vanish()  # nothing of its login runs any more, but its radio does
        frames = list(voiceCall(source=5, destination=91, stream=9, superframes=350))
        address = talker.port.address
        for frame in frames:
            data = b"DMRD" + frame.addressing + (1).to_bytes(4, "big") + frame.body
            self.network.carry(data, address, self.masters[0].address)
            self.clock.advance(0.06)
        self.advance(0.1)
        self.assertEqual(len(listener.heard), len(frames))
        self.assertNotIn(PeerLost(1, "N1", "silent"), self.events)

    def test_optionsOfHBlink(self) -> None:
        """
        Options as hblink3's clients send them count (its masters log them, and that is all).
        """
        talker, listener = self.hotspot(1), self.hotspot(2, "Type=HBlink;TS2=91;TIMER=1")
        frames = self.talk(talker)
        self.assertEqual(len(listener.heard), len(frames))
        self.assertEqual(self.homebrew.master.dropped.total(), 0)

    def test_privateFromABridge(self) -> None:
        """
        A private call that a bridge brings, on slot 1 and without BER and RSSI, reaches a simplex
        hotspot on slot 2 and in 55 bytes (hblink3 sends 53 on slot 1, which is lost twice; HBlink4
        sends 53).
        """
        hotspot = self.hotspot(1, slots=4)
        self.talk(hotspot, source=555, destination=91, stream=1)
        self.advance(6.0)
        trunk = RecordingTrunk(3102, "other")
        self.router.reach.addTrunk(trunk)
        call = voiceCall(
            source=3120101, destination=555, stream=2, slot=1, private=True, superframes=2
        )
        frames = [Frame(frame.addressing, frame.body[:38] + b"\0\0") for frame in call]
        for frame in frames:
            self.router.route(trunk, frame, self.clock.seconds())
        self.advance(0.1)
        heard = [data for data in hotspot.received if data[:4] == b"DMRD"]
        self.assertEqual(len(heard), len(frames))
        self.assertEqual({len(data) for data in heard}, {55})
        self.assertEqual({data[15] & (SLOT_2 | PRIVATE) for data in heard}, {SLOT_2 | PRIVATE})
        self.assertEqual([data[20:53] for data in heard], [frame.burst for frame in frames])


class BridgeTests(TrunkTestCase):
    """
    Faults of bridges, and of what they do to frames.
    """

    def test_groupData(self) -> None:
        """
        Group data of every kind crosses bit for bit, and where its talkgroup has another number a
        control block says so, with nothing else changed (the bridges of hblink3, RYSEN and ADN
        destroy 22 bits of it and leave its talkgroup; hblink3 3.0 drops it and blocks at rate 1/2).
        """
        talker = self.peer(1)
        self.peer(2, {2: (91,)})
        plain = self.trunk(3102, "plain")
        numbers = Translation([Rule(theirs=Form(77), ours=Form(91))])
        other = self.trunk(3103, "other", translation=numbers)
        kinds = (MBC_HEADER, MBC_CONTINUATION, DATA_HEADER, RATE_12, RATE_34, RATE_1)
        block = ControlBlock(0x3D, bytes.fromhex("800500005b23b4a1"))
        burst = carrying(block.encode(), CSBK)
        sent = [(CSBK, burst), *((kind, bytes([kind]) * 33) for kind in kinds)]
        for sequence, (kind, each) in enumerate(sent):
            self.send(talker, sequence, flags=DATA_SYNC | kind, burst=each, source=2340001)
        for heard in ([frame for _, frame in self.heardBy(2)], plain.sent):
            self.assertEqual([(one.dataType, one.burst) for one in heard], sent)
        self.assertEqual({frame.destination for frame in other.sent}, {77})
        self.assertEqual(len(other.sent), len(sent))
        after = ControlBlock.decode(carried(other.sent[0].burst))
        self.assertEqual((after.destination, after.source), (77, 2340001))
        self.assertEqual(other.sent[0].burst, carrying(after.encode(), CSBK))

    def test_parrotStopsNobody(self) -> None:
        """
        While the parrot says something again, at its pitch and under a stream ID of its own, other
        calls go on (hblink3's sleeps between its frames, and everything with it).
        """
        self.router.services.append(Parrot(Announcer(self.router, self.router.deadlines)))
        talker, other = self.peer(1), self.peer(3)
        self.peer(2, {2: (91,)})
        self.call(talker, 20, destination=9990, stream=5)
        self.advance(1.0)
        most = 0
        for sequence in range(20):
            before = len(self.heardBy(1)), len(self.heardBy(2))
            self.send(other, sequence, stream=6)
            self.assertEqual(len(self.heardBy(2)), before[1] + 1)
            self.advance(0.06)
            most = max(most, len(self.heardBy(1)) - before[0])
        self.assertGreater(len(self.heardBy(1)), 17)
        self.assertLessEqual(most, 2)
        self.assertNotIn(5, self.streamsHeardBy(1))

    def test_twoBridges(self) -> None:
        """
        A talkgroup goes out over as many bridges as want it (HBlink4: over one).
        """
        trunks = [self.trunk(3102, "one"), self.trunk(3103, "two"), self.trunk(3104, "three")]
        self.call(self.peer(1), stream=5)
        self.bring(trunks[0], 0, stream=6)
        self.assertEqual([trunk.streams for trunk in trunks], [[5], [5, 6], [5, 6]])
        self.assertEqual(trunks[0].wanted, EVERYTHING)


class LinkControlTests(SynchronousTestCase):
    """
    Faults of codes.
    """

    def test_everyOption(self) -> None:
        """
        Whatever the service options, the embedded Link Control has no wrong bit: the bits of each
        of its columns add up to an even number, ETSI TS 102 361-1 section B.2.1 (dmr_utils3 has
        one wrong bit in burst D when the options 0x10 and 0x08 differ, which decoders put right, so
        that nobody sees it).
        """
        for options in range(256):
            lc = FullLinkControl(0, 0, options, 91, 2340001)
            fragments = embedded.encode(lc)
            bits = "".join(f"{each:032b}" for each in fragments)
            for column in range(16):
                ones = bits[8 * column : 8 * column + 8].count("1")
                self.assertEqual(ones % 2, 0, f"options {options:02x}, column {column}")
            self.assertEqual(embedded.decode(fragments), lc)


class DataTests(RouterTestCase):
    """
    Faults with data and with what is remembered.
    """

    def test_incompleteMessage(self) -> None:
        """
        Messages that break off after a preamble, a header or a block leave nothing behind, and a
        call whose end is lost is cleared up as ever (hblink3: a KeyError ends its loop for good).
        """
        talker = self.peer(1)
        listener = self.peer(2, {2: (91,)})
        parts = ((CSBK, 1), (CSBK, 2), (DATA_HEADER, 3), (RATE_12, 3))
        for number in range(1, 5):
            for sequence, (kind, stream) in enumerate(parts[:number]):
                flags = DATA_SYNC | kind
                self.send(talker, sequence, flags=flags, stream=10 * number + stream)
            self.advance(0.5 * number)
        self.send(talker, 0, flags=DATA_SYNC | VOICE_HEADER, stream=99)
        self.advance(2.1)
        self.assertEqual(self.heardBy(2)[-1][1].dataType, TERMINATOR)
        self.assertEqual(self.ended()[-1].reason, "silence")
        self.assertEqual((self.router.calls, self.router._dataCalls), ({}, {}))
        self.assertEqual((talker.slot(2).call, listener.slot(2).call), (None, None))
        self.call(talker, stream=100)
        self.assertEqual(self.streamsHeardBy(2)[-1], 100)

    def test_failureInATurn(self) -> None:
        """
        Something that fails when it is due keeps nothing else from being done (hblink3: its timed
        loop stops for good at the first error).
        """
        clock = Clock()
        events: list[Event] = []
        router = Router(events.append)
        turn = Turn(clock, router)
        self.router = router
        peer = self.peer(1)
        self.now = 0.0
        self.send(peer, 0, stream=5)

        def fail(subject: object, now: float) -> None:
            raise KeyError(subject)

        router.deadlines.schedule(1.0, fail, None)
        turn.ended()
        self.assertRaises(KeyError, clock.pump, [0.1] * 12)
        clock.pump([0.1] * 20)
        self.assertEqual(router.calls, {})
        self.send(peer, 0, stream=6)
        turn.ended()
        clock.pump([0.1] * 30)
        self.assertEqual(router.calls, {})

    def test_positionsBlockNobody(self) -> None:
        """
        Positions that a radio sends all the time, as data without an end, keep nobody from hearing
        voice on another talkgroup (hblink3: until it is restarted).
        """
        sender, talker = self.peer(1), self.peer(3)
        self.peer(2, {2: (91, 92)})
        for number in range(1, 20):
            self.send(sender, 0, flags=DATA_SYNC | CSBK, destination=92, stream=1000 + number)
            self.advance(0.7)
            before = len(self.heardBy(2))
            self.call(talker, 5, stream=number, source=7)
            self.assertEqual(len(self.heardBy(2)), before + 5)

    def test_noFlood(self) -> None:
        """
        A private call goes to where its radio was heard, and nowhere else, however long ago that
        was (hblink3: to everybody after a minute; HBlink4 has forgotten it after ten).
        """
        caller, there = self.peer(1), self.peer(2)
        others = [self.peer(number, {1: (91,), 2: (91, 92)}) for number in range(3, 8)]
        self.call(there, source=555, destination=91, stream=1, slot=1)
        del self.outlet.heard[:]
        for stream, pause in ((2, 70.0), (3, 700.0), (4, 3600.0)):
            self.advance(pause)
            self.call(caller, source=444, destination=555, private=True, stream=stream)
        self.assertEqual(self.streamsHeardBy(2), [2, 3, 4])
        self.assertEqual({slot for slot, _ in self.heardBy(2)}, {1})
        self.assertEqual([self.heardBy(other.peerID) for other in others], [[]] * 5)
