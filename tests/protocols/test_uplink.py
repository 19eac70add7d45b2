"""
Tests of L{bmff.protocols.uplink}: logins at a master of another network.
"""

from __future__ import annotations

from itertools import islice

from bmff.dmr.frame import TERMINATOR, Frame
from bmff.dmr.voice import voiceCall
from bmff.events import (
    CallEnded,
    PeerLost,
    PeerRegistered,
    UplinkEnded,
    UplinkRefused,
    UplinkStarted,
)
from bmff.protocols.homebrew import HomeBrew
from bmff.protocols.turn import Turn
from bmff.protocols.uplink import (
    LONGEST_RETRY,
    RETRY,
    RETURN,
    STEP,
    TRIES,
    Phase,
    Uplink,
)
from bmff.router.router import Router
from bmff.sockets.addresses import packAddress
from bmff.testing.everybody import Everybody
from bmff.testing.mutation import mutations
from bmff.wire.homebrew import Station, Voice
from tests.protocols.test_homebrew import PASSWORD
from tests.protocols.uplinkcase import HERE, ID, PEER, UplinkTestCase

FRAME = Frame.make(
    sequence=0, source=2340001, destination=91, flags=0xA1, stream=5, burst=bytes(range(33))
)


class LoginTests(UplinkTestCase):
    """
    How it logs in and out.
    """

    def test_login(self) -> None:
        """
        It is a hotspot at their master, with its options, and a peer here that leads to their
        network.
        """
        uplink = self.uplink()
        self.assertTrue(uplink.running)
        session = self.homebrew.master.session(ID)
        assert session is not None
        assert session.options is not None
        self.assertEqual(session.station.callsign, "G4TST")
        self.assertEqual(session.options.static, {2: (91,)})
        self.assertIs(self.here.reach.peers[PEER], uplink.peer)
        self.assertEqual(set(self.here.reach.networks.live), {"north"})
        self.assertEqual(self.world.events, [UplinkStarted(PEER, "theirs", "192.0.2.1:62031")])

    def test_stays(self) -> None:
        """
        It stays logged in for two hours in which nobody talks.
        """
        uplink = self.uplink()
        self.clock.pump([1.0] * 7_200)
        self.assertTrue(uplink.running)
        self.assertEqual(uplink.logins, 1)

    def test_stop(self) -> None:
        """
        One that is stopped says good-bye, leaves nothing open, and may be started again.
        """
        uplink = self.uplink()
        for number in (1, 2):
            uplink.stop()
            self.advance(0.1)
            self.assertEqual(
                [each.reason for each in self.events if isinstance(each, PeerLost)],
                ["closed by the peer"] * number,
            )
            self.assertEqual((self.here.reach.peers, self.world.open), ({}, []))
            self.assertEqual(self.world.events[-1], UplinkEnded(PEER, "theirs", "stopped"))
            uplink.start()
            self.advance(0.1)
            self.assertTrue(uplink.running)

    def test_sixth(self) -> None:
        """
        A master that has an IPv6 address alone is reached.
        """
        self.world.names["master.example"] = ["2001:db8::1"]
        self.assertTrue(self.uplink().running)

    def test_numeric(self) -> None:
        """
        Of a name's addresses the next is tried when one does not answer, then those of the next
        master, and nobody is told of the ones that failed.
        """
        self.world.names = {"master.example": ["192.0.2.66"], "other": ["192.0.2.67", "192.0.2.1"]}
        uplink = self.uplink(masters=(("master.example", 62031), ("other", 62031)))
        self.advance(2 * STEP * TRIES - 1.0)
        self.assertFalse(uplink.running)
        self.advance(2.0)
        self.assertTrue(uplink.running)
        self.assertEqual(len(self.world.events), 1)
        self.assertEqual(len(self.world.open), 1)

    def test_strangers(self) -> None:
        """
        What does not come from the master's address is not listened to.
        """
        uplink = self.uplink()
        (socket,) = self.world.open
        stranger = packAddress("192.0.2.1", 62030)
        for data in (b"MSTNAK" + bytes(4), Voice(ID, FRAME).encode()):
            self.network.carry(data, stranger, socket.port.address)
        self.advance(0.1)
        self.assertTrue(uplink.running)
        self.assertEqual((uplink.strangers, uplink.peer.framesReceived), (2, 0))

    def test_lateName(self) -> None:
        """
        An answer about a name that comes after the end, or after the next start, starts nothing.
        """
        self.world.late = True
        uplink = self.uplink()
        self.assertEqual(uplink.phase, Phase.LOOKING)
        uplink.stop()
        uplink.start()
        uplink.stop()
        self.world.answer()
        self.advance(0.1)
        self.assertEqual(self.world.sockets, [])
        uplink.start()
        self.world.answer()
        self.advance(0.1)
        self.assertTrue(uplink.running)

    def test_beacon(self) -> None:
        """
        A master that wants a beacon gets none, and keeps its uplink.
        """
        uplink = self.uplink()
        self.homebrew.requestBeacons()
        self.advance(0.1)
        self.assertTrue(uplink.running)

    def test_mutations(self) -> None:
        """
        Whatever a master sends, nothing is raised, and the uplink comes back.
        """
        uplink = self.uplink()
        messages = [
            b"RPTACK" + bytes(4),
            b"RPTACK",
            b"MSTPONG" + bytes(4),
            b"MSTNAK" + bytes(4),
            b"MSTCL",
            b"RPTSBKN",
            Voice(ID, FRAME).encode(),
        ]
        for number, data in enumerate(islice(mutations(1, messages), 6000)):
            uplink.datagramReceived(data, uplink.master, self.clock.seconds())
            uplink.flush()
            if number % 20 == 0:
                uplink.tryNow()
                self.clock.pump([0.1] * 3)
        self.assertGreater(uplink.peer.framesReceived, 20)
        self.clock.pump([0.1] * 2000)
        self.assertTrue(uplink.running)


class FailureTests(UplinkTestCase):
    """
    Masters that cannot be had.
    """

    def attempts(self, seconds: int) -> list[int]:
        """
        The seconds in which an attempt begins, each with its first look at the name.
        """
        found = []
        for second in range(seconds):
            before = len(self.world.asked)
            self.advance(1.0)
            found += [second] * (len(self.world.asked) > before)
        return found

    def reasons(self) -> list[str]:
        """
        Why it could not log in, as far as it was told.
        """
        return [each.reason for each in self.world.events if isinstance(each, UplinkRefused)]

    def test_wrongPassword(self) -> None:
        """
        A wrong password is told once, in plain words, and tried again after 10 s, 20 s, 40 s and
        then every minute; with the right one it is in, and may tell anew.
        """
        self.world.secret = b"wrong"
        uplink = self.uplink()
        self.assertEqual(
            self.world.events,
            [UplinkRefused(PEER, "theirs", "192.0.2.1:62031", "it refuses our password")],
        )
        self.assertEqual(uplink.reason, "it refuses our password")
        gaps = self.attempts(260)
        self.assertEqual(gaps, [9, 29, 70, 130, 190, 250])
        self.assertEqual(self.reasons(), ["it refuses our password"])
        self.assertEqual((self.world.open, self.here.reach.peers), ([], {}))
        self.world.secret = PASSWORD
        uplink.tryNow()
        self.advance(0.1)
        self.assertTrue(uplink.running)
        self.assertEqual(uplink.reason, "")

    def test_unknown(self) -> None:
        """
        A master that does not let the ID in is told of in other words.
        """
        self.access.refused[ID] = "banned"
        self.uplink()
        self.assertEqual(self.reasons(), ["it does not let our ID in"])

    def test_noSecret(self) -> None:
        """
        Without a password nobody is asked for anything.
        """
        self.world.secret = None
        self.uplink()
        self.assertEqual(self.reasons(), ["its password is not in the secrets file"])
        self.assertEqual((self.world.asked, self.world.sockets), ([], []))

    def test_noSocket(self) -> None:
        """
        Without a socket it is tried again.
        """
        self.world.full = True
        uplink = self.uplink()
        self.assertEqual(self.reasons(), ["no socket: too many open files"])
        self.world.full = False
        self.advance(RETRY + 0.5)
        self.assertTrue(uplink.running)

    def test_silent(self) -> None:
        """
        A master that says nothing is asked three times in ten seconds, and then after a growing
        pause; it is told once.
        """
        self.network.cut("192.0.2.1")
        uplink = self.uplink()
        self.advance(STEP * TRIES)
        self.assertEqual(self.network.sent, TRIES)
        self.assertEqual(self.reasons(), ["no answer"])
        gaps = self.attempts(400)
        self.assertEqual(gaps[-1] - gaps[-2], LONGEST_RETRY + STEP * TRIES)
        self.assertEqual(self.reasons(), ["no answer"])
        self.network.heal()
        self.advance(LONGEST_RETRY + STEP * TRIES)
        self.assertTrue(uplink.running)

    def test_noName(self) -> None:
        """
        A name that leads nowhere is told once, and looked up again until it leads somewhere.
        """
        self.world.names.clear()
        uplink = self.uplink()
        self.advance(300.0)
        self.assertEqual(
            self.world.events,
            [
                UplinkRefused(
                    PEER, "theirs", "master.example:62031", "no address for master.example"
                )
            ],
        )
        self.assertGreater(len(self.world.asked), 5)
        self.world.names["master.example"] = ["192.0.2.1"]
        self.advance(LONGEST_RETRY)
        self.assertTrue(uplink.running)

    def test_refusedAgain(self) -> None:
        """
        A master that ends each login at once is not asked more than once a minute in the end.
        """
        uplink = self.uplink()
        begun = self.clock.seconds()
        while self.clock.seconds() < begun + 600.0:
            self.advance(1.0)
            session = self.homebrew.master.session(ID)
            if session is not None:
                now = self.clock.seconds()
                self.homebrew.happened(self.homebrew.master.disconnect(session, "test"), now)
                for port in self.homebrew._ports.values():
                    port.sendPending()
        self.assertLess(uplink.logins, 15)
        self.assertGreater(uplink.logins, 9)


class ReturnTests(UplinkTestCase):
    """
    Masters that go away and come back.
    """

    def restart(self) -> None:
        """
        Another process is at the master's address, which knows nobody.
        """
        for port in self.masters:
            self.network.unbind(port)
        router = Router(self.events.append)
        turn = Turn(self.clock, router)
        self.homebrew = HomeBrew(self.clock, turn, self.events.append, Everybody(), bytes(32))
        for port, host in zip(tuple(self.masters), ("192.0.2.1", "2001:db8::1"), strict=True):
            receiver = self.homebrew.port()
            self.masters.remove(port)
            receiver.transport = self.network.bind(receiver, host, 62031)
            self.masters.append(receiver.transport)

    def test_cleanRestart(self) -> None:
        """
        When a master says good-bye and comes back, its uplink is there 2 s later.
        """
        uplink = self.uplink()
        self.advance(120.0)
        self.homebrew.stop()
        self.restart()
        self.advance(0.1)
        self.assertFalse(uplink.running)
        self.assertEqual(
            self.world.events[1:], [UplinkEnded(PEER, "theirs", "closed by the master")]
        )
        self.assertEqual(self.here.reach.peers, {})
        self.advance(RETURN + 0.1)
        self.assertTrue(uplink.running)

    def test_crash(self) -> None:
        """
        When a master has crashed, the uplink notices with its next ping, and is there soon after.
        """
        uplink = self.uplink()
        self.advance(120.0)
        self.restart()
        self.advance(10.0 + RETURN + 0.2)
        self.assertTrue(uplink.running)
        self.assertEqual(uplink.logins, 2)
        self.assertIn(
            UplinkEnded(PEER, "theirs", "it does not know us any longer"), self.world.events
        )

    def test_moved(self) -> None:
        """
        When a master is silent, its name is looked up again: one that has moved is followed, and
        calls cross there.
        """
        uplink = self.uplink()
        self.advance(120.0)
        for port in self.masters:
            self.network.unbind(port)
        receiver = self.homebrew.port()
        receiver.transport = self.network.bind(receiver, "203.0.113.9", 62031)
        self.world.names["master.example"] = ["203.0.113.9"]
        self.advance(60.0 + RETURN + 0.5)
        self.assertTrue(uplink.running)
        self.assertEqual(uplink.master, packAddress("203.0.113.9", 62031))
        self.assertEqual(self.world.asked, ["master.example"] * 2)
        self.masters[0] = receiver.transport
        there, talker = self.hotspot(1, "TS2=91"), self.listener(2)
        self.assertHeard(there, self.say(talker))

    def test_inCall(self) -> None:
        """
        A call that comes in ends when its master goes; who heard it is sent a terminator.
        """
        self.uplink()
        there, listener = self.hotspot(1), self.listener(2, "TS2=91")
        there.talk(list(self.frames(14)))
        self.advance(1.0)
        self.homebrew.stop()
        self.advance(0.5)
        self.assertEqual(listener.heard[-1].dataType, TERMINATOR)
        (ended,) = (each for each in self.own if isinstance(each, CallEnded))
        self.assertEqual(ended.peer, PEER)
        self.assertIn(ended.reason, {"terminator", "peer lost"})

    def frames(self, superframes: int) -> list[Frame]:
        """
        A call on 91.
        """
        return list(voiceCall(source=5, destination=91, stream=9, superframes=superframes))

    def test_loss(self) -> None:
        """
        With one datagram of twenty lost both ways it stays logged in for four hours, and of
        the calls about so many frames arrive as of any over such a way.
        """
        uplink = self.uplink()
        there, talker = self.hotspot(1, "TS2=91"), self.listener(2)
        self.network.loss = 0.05
        self.clock.pump([1.0] * 14_400)
        self.assertTrue(uplink.running)
        self.assertLess(uplink.logins, 4)
        for hotspot in (there, talker):
            self.assertTrue(hotspot.running)
        sent = sum(len(self.say(talker)) for _ in range(40))
        self.assertGreater(len(there.heard) / sent, 0.80)

    def test_loginsWithLoss(self) -> None:
        """
        With one datagram of twenty lost, sixty logins take ten seconds at most, but for few.
        """
        self.network.loss = 0.05
        slow = 0
        uplink = self.uplink()
        for _ in range(60):
            uplink.stop()
            uplink.start()
            self.advance(10.0)
            slow += not uplink.running
        self.assertLess(slow, 5)


class OddMaster:
    """
    A master that answers as xlxd does: no IDs but that of the pong, which is the wrong way round,
    and frames under the ID of somebody else.
    """

    def __init__(self, case: UplinkTestCase) -> None:
        self.received: list[bytes] = []
        self.steps: list[bytes] = []
        self._port = case.network.bind(self, "192.0.2.50", 62030)
        self._client = b""

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        self.received.append(data)
        self._client = address
        tag = data[:4]
        if tag == b"RPTL":
            self.send(b"RPTACK\x12\x34\x56\x78")
        elif tag in {b"RPTK", b"RPTC", b"RPTO"} and data[:5] != b"RPTCL":
            self.send(b"RPTACK")
        elif tag == b"RPTP":
            self.send(b"MSTPONG" + data[7:][::-1])

    def flush(self) -> None:
        pass

    def send(self, data: bytes) -> None:
        """
        Send one datagram to who was heard last.
        """
        self._port.sendTo(data, self._client)


class OddMasterTests(UplinkTestCase):
    """
    A master that is not ours.
    """

    def setUp(self) -> None:
        super().setUp()
        self.odd = OddMaster(self)
        self.up: Uplink = self.uplink(masters=(("192.0.2.50", 62030),), options="")

    def uplink(self, **more: object) -> Uplink:
        """
        The odd master's address is its name.
        """
        self.world.names["192.0.2.50"] = ["192.0.2.50"]
        return super().uplink(**more)

    def test_stays(self) -> None:
        """
        It is logged in, and its pongs keep it so.
        """
        self.assertTrue(self.up.running)
        self.advance(300.0)
        self.assertEqual((self.up.running, self.up.logins), (True, 1))
        pings = [data for data in self.odd.received if data[:7] == b"RPTPING"]
        self.assertIn(len(pings), {29, 30})

    def test_stop(self) -> None:
        """
        One that is stopped says good-bye and leaves no timer, whatever it was doing.
        """
        for seconds in (0.1, 0.0005, 0.0015):  # logged in, and in the midst of it
            self.up.start()
            self.clock.advance(seconds)
            self.up.stop()
            self.assertEqual(self.up.phase, Phase.STOPPED)
            self.advance(0.1)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([data[:5] for data in self.odd.received].count(b"RPTCL"), 1)
        self.odd.send(b"RPTACK")
        self.advance(0.1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bytes(self) -> None:
        """
        A frame goes out in 55 bytes under our own ID there, its sequence, stream and burst as they
        came.
        """
        frames = self.say(self.listener(2, slots=3), 91)
        sent = [data for data in self.odd.received if data[:4] == b"DMRD"]
        self.assertEqual(
            sent,
            [b"DMRD" + one.addressing + ID.to_bytes(4, "big") + one.body for one in frames],
        )
        self.assertEqual({len(data) for data in sent}, {55})

    def test_slot(self) -> None:
        """
        What is said on slot 1 here is on slot 2 there, the only one that it has.
        """
        frames = self.say(self.listener(2, slots=3), 91, slot=1)
        sent = [data for data in self.odd.received if data[:4] == b"DMRD"]
        self.assertEqual(len(sent), len(frames))
        self.assertEqual({data[15] & 0x80 for data in sent}, {0x80})

    def test_anyID(self) -> None:
        """
        Frames come in under whatever ID, in 53 bytes, too.
        """
        listener = self.listener(2, "TS2=91")
        self.odd.send(Voice(3, FRAME).encode()[:53])
        self.advance(0.1)
        (heard,) = listener.heard
        self.assertEqual(heard.burst, FRAME.burst)

    def test_bareEnd(self) -> None:
        """
        A good-bye without an ID is one.
        """
        self.advance(120.0)
        for number, data in enumerate((b"MSTCL", b"MSTNAK"), 2):
            self.odd.send(data)
            self.advance(0.1)
            self.assertFalse(self.up.running)
            self.advance(RETURN + 0.2)
            self.assertEqual((self.up.running, self.up.logins), (True, number))
            self.advance(70.0)


class RegisteredTests(UplinkTestCase):
    """
    What their master sees.
    """

    def test_repeater(self) -> None:
        """
        A repeater's uplink has two slots there, a hotspot's has one.
        """
        self.uplink(station=Station(ID, "G4TST", slots=3))
        peer = self.homebrew.peer(ID)
        assert peer is not None
        self.assertFalse(peer.simplex)
        (seen,) = (each for each in self.events if isinstance(each, PeerRegistered))
        self.assertTrue(seen.address.startswith(HERE))
