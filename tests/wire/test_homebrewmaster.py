"""
Tests of L{bmff.wire.homebrewmaster}.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import Frame
from bmff.testing.mutation import mutations
from bmff.wire.homebrew import (
    Acknowledge,
    AliasBlock,
    Close,
    HomePosition,
    Key,
    Login,
    Message,
    OptionsText,
    Ping,
    RadioPosition,
    Station,
    Voice,
    keyDigest,
)
from bmff.wire.homebrewmaster import (
    AliasBlockReceived,
    Closed,
    Configured,
    Event,
    Master,
    Moved,
    OptionsReceived,
    PositionReceived,
    Refused,
    Session,
    StationMoved,
)
from tests.captures import PACKETS, PASSPHRASE

HOME = b"home"
AWAY = b"away"
ID = 2340002
PASSWORD = b"s3cr37w0rd"


class EverybodyBut:
    """
    Lets all in but some.
    """

    def __init__(self, *refused: int) -> None:
        self.refused = set(refused)
        self.password = PASSWORD

    def passphrase(self, peerID: int) -> bytes | None:
        return None if peerID in self.refused else self.password

    def refusal(self, peerID: int) -> str | None:
        return "banned" if peerID in self.refused else None


def frame(sequence: int = 0) -> Frame:
    return Frame.make(
        sequence=sequence, source=1, destination=91, flags=0x90, stream=5, burst=bytes(33)
    )


class MasterTestCase(SynchronousTestCase):
    """
    A master with one socket.
    """

    def setUp(self) -> None:
        self.now = 1000.0
        self.admission = EverybodyBut(666)
        self.master = Master(self.admission, bytes(32), capacity=100)
        self.entrance = self.master.entrance()
        self.events: list[Event] = []
        self.frames: list[tuple[int, Frame]] = []

    def say(self, message: Message | bytes, address: bytes = HOME) -> list[bytes]:
        """
        Hand a message to the master.

        @return: its answers, which all go to where the message came from.
        """
        data = message if isinstance(message, bytes) else message.encode()
        self.events += self.entrance.receive(data, address, self.now)
        for event in self.events:
            if isinstance(event, Configured):
                self.listen(event.session)
        answers, self.entrance.pending = self.entrance.pending, []
        self.assertTrue(all(to == address for _, to in answers))
        return [answer for answer, _ in answers]

    def listen(self, session: Session) -> None:
        session.frameReceived = lambda frame, now: self.frames.append((session.peerID, frame))

    def challenge(self, peerID: int = ID, address: bytes = HOME) -> bytes:
        """
        The nonce that a login is answered with.
        """
        self.now += 1
        (answer,) = self.say(Login(peerID), address)
        self.assertEqual(answer[:6], b"RPTACK")
        return answer[6:]

    def key(
        self, peerID: int = ID, address: bytes = HOME, password: bytes = PASSWORD
    ) -> list[bytes]:
        digest = keyDigest(self.challenge(peerID, address), password)
        return self.say(Key(peerID, digest), address)

    def logIn(self, peerID: int = ID, address: bytes = HOME) -> None:
        """
        A whole login.
        """
        acknowledged = [Acknowledge(peerID.to_bytes(4, "big")).encode()]
        self.assertEqual(self.key(peerID, address), acknowledged)
        self.assertEqual(self.say(Station(peerID, "G4TST"), address), acknowledged)

    def alive(self, peerID: int = ID, address: bytes = HOME) -> bool:
        """
        Whether a peer's frames flow.
        """
        before = len(self.frames)
        self.say(Voice(peerID, frame()), address)
        return len(self.frames) > before

    def closed(self) -> list[tuple[int, str]]:
        return [
            (event.session.peerID, event.reason)
            for event in self.events
            if isinstance(event, Closed)
        ]


class LoginTests(MasterTestCase):
    """
    The steps of a login.
    """

    def test_login(self) -> None:
        """
        Challenge, key, configuration, options: each is acknowledged, and frames flow then.
        """
        self.logIn()
        self.assertEqual(self.say(OptionsText(ID, "TS2=91")), [b"RPTACK" + ID.to_bytes(4, "big")])
        self.assertTrue(self.alive())
        self.assertEqual([type(event) for event in self.events], [Configured, OptionsReceived])
        session = self.master.session(ID)
        assert session is not None
        assert session.options is not None
        self.assertEqual(session.station.callsign, "G4TST")
        self.assertEqual(session.options.static, {2: (91,)})

    def test_wrongPassword(self) -> None:
        """
        A wrong key is refused, leaves no session, and is reported.
        """
        self.assertEqual(self.key(password=b"guess"), [b"MSTNAK" + ID.to_bytes(4, "big")])
        self.assertEqual(len(self.master), 0)
        self.assertEqual(self.events, [Refused(ID, HOME, "wrong password")])

    def test_notAdmitted(self) -> None:
        """
        An ID that may not log in is refused at its first word, and reported once a minute.
        """
        for _ in range(30):
            self.assertEqual(self.say(Login(666)), [b"MSTNAK" + (666).to_bytes(4, "big")])
            self.now += 3
        self.assertEqual(self.events, [Refused(666, HOME, "banned")] * 2)

    def test_sameChallenge(self) -> None:
        """
        A login that is repeated gets the same nonce; another address or ID gets another one.
        """
        self.now = 990.0
        first = self.challenge()
        self.assertEqual(self.challenge(), first)
        self.assertNotEqual(self.challenge(address=AWAY), first)
        self.assertNotEqual(self.challenge(peerID=ID + 1), first)

    def test_challengeOfBefore(self) -> None:
        """
        A challenge is good for 30 s at least and 60 s at most.
        """
        nonce = self.challenge()
        self.now += 29
        self.assertEqual(len(self.say(Key(ID, keyDigest(nonce, PASSWORD)))), 1)
        self.assertEqual(len(self.master), 1)
        nonce = self.challenge(ID + 1, AWAY)
        self.now += 60
        self.say(Key(ID + 1, keyDigest(nonce, PASSWORD)), AWAY)
        self.assertEqual(len(self.master), 1)

    def test_nothingKept(self) -> None:
        """
        Logins without a key leave nothing behind but bounded tables.
        """
        random = Random(1)
        for _ in range(20_000):
            self.now += 0.001
            self.entrance.receive(
                Login(random.getrandbits(31)).encode(), random.randbytes(8), self.now
            )
        self.assertEqual(len(self.master), 0)
        self.assertEqual(self.master.deadline(), float("inf"))
        self.assertEqual(len(self.master._challenges), 4096)

    def test_repeatedKey(self) -> None:
        """
        A key that is repeated, as its answer was lost, is acknowledged and takes nothing back.
        """
        nonce = self.challenge()
        message = Key(ID, keyDigest(nonce, PASSWORD))
        self.assertEqual(self.say(message), self.say(message))
        self.say(Station(ID))
        self.assertEqual(len(self.say(message)), 1)
        self.assertTrue(self.alive())
        self.assertEqual(len(self.say(Station(ID))), 1)
        self.assertTrue(self.alive())

    def test_outOfOrder(self) -> None:
        """
        A configuration, options or ping without a login is refused; a frame too.
        """
        refusal = [b"MSTNAK" + ID.to_bytes(4, "big")]
        for message in (Station(ID), OptionsText(ID, "x=1"), Ping(ID), Voice(ID, frame())):
            self.now += 2
            self.assertEqual(self.say(message), refusal, message)
        self.now += 2
        self.assertEqual(self.say(Close(ID)), [])
        self.key()
        self.now += 2
        self.assertEqual(self.say(Ping(ID)), refusal)
        self.assertFalse(self.alive())

    def test_loginNotFinished(self) -> None:
        """
        Who proves his password but never configures is forgotten after 30 s.
        """
        self.key()
        self.now += 31
        self.assertLessEqual(self.master.deadline(), self.now)
        self.events += self.master.timeout(self.now)
        self.assertEqual(self.closed(), [(ID, "login not finished")])
        self.assertEqual(len(self.master), 0)

    def test_full(self) -> None:
        """
        When the master is full a newcomer is refused and those who are here stay.
        """
        for number in range(100):
            self.logIn(1000 + number, number.to_bytes(2, "big"))
        self.assertEqual(self.key(), [b"MSTNAK" + ID.to_bytes(4, "big")])
        self.assertEqual(len(self.master), 100)
        self.assertIn(Refused(ID, HOME, "too many peers"), self.events)

    def test_anotherIDAtTheAddress(self) -> None:
        """
        A client that logs in under another ID from the same address has left its old one.
        """
        self.logIn()
        self.logIn(ID + 1)
        self.assertFalse(self.alive(ID))
        self.assertTrue(self.alive(ID + 1))
        self.assertEqual(self.closed(), [(ID, f"its address now belongs to {ID + 1}")])

    def test_capture(self) -> None:
        """
        A real client's login, pings and call, its key apart, which hangs on the nonce.
        """
        for packet in PACKETS:
            if packet.sender == "master":
                continue
            self.now = 1000 + packet.seconds
            if packet.data[:4] == b"RPTL":
                (answer,) = self.say(packet.data)
                nonce = answer[6:]
            elif packet.data[:4] == b"RPTK":
                self.say(Key(ID, keyDigest(nonce, PASSPHRASE)))
            elif packet.data[:5] == b"RPTCL":
                self.assertEqual(len(self.master), 1)
                self.say(packet.data)
            else:
                answers = self.say(packet.data)
                self.assertEqual(len(answers), 0 if packet.data[:4] == b"DMRD" else 1)
        self.assertEqual(len(self.frames), 26)
        self.assertEqual(self.closed(), [(ID, "closed by the peer")])


class SessionTests(MasterTestCase):
    """
    What a live session may say.
    """

    def setUp(self) -> None:
        super().setUp()
        self.logIn()

    def test_ping(self) -> None:
        """
        A ping is answered.
        """
        self.assertEqual(self.say(Ping(ID)), [b"MSTPONG" + ID.to_bytes(4, "big")])

    def test_lostPing(self) -> None:
        """
        A client that pings every 10 s may lose four of them; one that is silent for 60 s is gone.
        """
        self.say(Ping(ID))
        self.now += 50
        self.assertEqual(self.master.timeout(self.now), ())
        self.say(Ping(ID))
        self.now += 59
        self.assertEqual(self.master.timeout(self.now), ())
        self.now += 1.1
        self.assertLessEqual(self.master.deadline(), self.now)
        self.events += self.master.timeout(self.now)
        self.assertEqual(self.closed(), [(ID, "silent")])

    def test_voiceIsLife(self) -> None:
        """
        A client that talks need not ping.
        """
        for _ in range(30):
            self.now += 30
            self.assertTrue(self.alive())
            self.assertEqual(self.master.timeout(self.now), ())

    def test_shortPatience(self) -> None:
        """
        A master with little patience has it from the configuration on, not from the end of the
        time that a login gets.
        """
        self.master = Master(self.admission, bytes(32), peerTimeout=15.0)
        self.entrance = self.master.entrance()
        self.logIn()
        self.now += 14.9
        self.assertEqual(self.master.timeout(self.now), ())
        self.now += 0.1
        self.assertLessEqual(self.master.deadline(), self.now)
        self.events += self.master.timeout(self.now)
        self.assertEqual(self.closed(), [(ID, "silent")])

    def test_oneDeadline(self) -> None:
        """
        However often a session moves and is configured, one deadline of it is left.
        """
        for number in range(20):
            self.logIn(address=b"%d" % number)
        before = self.master.deadline()
        for _ in range(5):
            self.now += 50
            self.say(Ping(ID), b"19")
            self.assertEqual(self.master.timeout(self.now), ())
        self.assertGreater(self.master.deadline(), before)
        self.assertEqual(len(self.master._deadlines), 1)

    def test_passphraseChanged(self) -> None:
        """
        A session knows by which passphrase it was opened, not the passphrase itself; a new login
        under the new one counts, an attempt under another does not.
        """
        session = self.master.session(ID)
        assert session is not None
        self.assertFalse(self.master.passphraseChanged(session))
        self.assertNotIn(PASSWORD, session.proved)
        self.assertEqual(len(session.proved), 16)
        self.admission.password = b"another"
        self.assertTrue(self.master.passphraseChanged(session))
        self.key()
        self.assertTrue(self.master.passphraseChanged(session))
        self.key(password=b"another")
        self.assertFalse(self.master.passphraseChanged(session))
        self.admission.refused.add(ID)
        self.assertTrue(self.master.passphraseChanged(session))

    def test_close(self) -> None:
        """
        A client that leaves is gone at once, and is not answered.
        """
        self.assertEqual(self.say(Close(ID)), [])
        self.assertEqual(self.closed(), [(ID, "closed by the peer")])
        self.assertFalse(self.alive())

    def test_disconnect(self) -> None:
        """
        A session that this side ends is told so.
        """
        session = self.master.session(ID)
        assert session is not None
        self.events += self.master.disconnect(session, "stopped")
        self.assertEqual(self.entrance.pending, [(b"MSTCL" + ID.to_bytes(4, "big"), HOME)])
        self.assertEqual(self.closed(), [(ID, "stopped")])
        self.assertEqual(self.master.disconnect(session, "stopped"), ())

    def test_beacon(self) -> None:
        """
        A beacon is asked for by name.
        """
        session = self.master.session(ID)
        assert session is not None
        self.master.requestBeacon(session)
        self.assertEqual(self.entrance.pending, [(b"RPTSBKN" + ID.to_bytes(4, "big"), HOME)])

    def test_extras(self) -> None:
        """
        Talker alias, GPS in both lengths and the home position are reported.
        """
        session = self.master.session(ID)
        assert session is not None
        self.events.clear()
        self.say(AliasBlock(ID, 5, 0, b"1234567"))
        self.say(AliasBlock(ID, 5, 1, b"123"))
        self.say(RadioPosition(ID, 5, b"1234567"))
        self.say(RadioPosition(ID, 5, b"123"))
        self.say(HomePosition(ID, 51.5, -0.12))
        self.assertEqual(
            self.events,
            [
                AliasBlockReceived(session, 5, 0, b"1234567"),
                AliasBlockReceived(session, 5, 1, b"123"),
                PositionReceived(session, 5, b"1234567"),
                PositionReceived(session, 5, b"123"),
                StationMoved(session),
            ],
        )
        self.assertEqual((session.station.latitude, session.station.longitude), (51.5, -0.12))

    def test_configurationAgain(self) -> None:
        """
        A client may say anew what it is.
        """
        self.say(Station(ID, "G4NEW"))
        session = self.master.session(ID)
        assert session is not None
        self.assertEqual(session.station.callsign, "G4NEW")
        self.assertEqual(
            [event.first for event in self.events if isinstance(event, Configured)], [True, False]
        )

    def test_shortFrames(self) -> None:
        """
        Frames of 53 bytes are taken, of any other odd length not.
        """
        data = Voice(ID, frame()).encode()
        for size, taken in ((53, 1), (54, 1), (52, 1), (55, 2)):
            self.say(data[:size])
            self.assertEqual(len(self.frames), taken)
        self.say(data + b"\0")
        self.assertEqual(len(self.frames), 2)


class HostileTests(MasterTestCase):
    """
    What strangers can do to a live session: nothing.
    """

    def setUp(self) -> None:
        super().setUp()
        self.logIn()

    def test_loginFromElsewhere(self) -> None:
        """
        A login, a wrong key, a configuration or a goodbye from elsewhere change nothing.
        """
        for message in (
            Login(ID),
            Key(ID, bytes(32)),
            Station(ID, "EVIL"),
            OptionsText(ID, "TS2=1"),
            Close(ID),
            Ping(ID),
            Voice(ID, frame()),
        ):
            self.now += 2
            self.say(message, AWAY)
            self.assertTrue(self.alive(), message)
        self.assertFalse(self.alive(address=AWAY))
        self.assertEqual(self.closed(), [])

    def test_moves(self) -> None:
        """
        A client at a new address is refused there, logs in anew, and takes its session with it.
        """
        self.now += 2
        self.assertEqual(self.say(Ping(ID), AWAY), [b"MSTNAK" + ID.to_bytes(4, "big")])
        session = self.master.session(ID)
        self.key(address=AWAY)
        self.assertFalse(self.alive(address=HOME))
        self.say(Station(ID, "G4TST"), AWAY)
        self.assertTrue(self.alive(address=AWAY))
        self.assertIs(self.master.session(ID), session)
        self.assertEqual(len([event for event in self.events if isinstance(event, Moved)]), 1)

    def test_keyOfElsewhere(self) -> None:
        """
        A key that was overheard is worth nothing from another address.
        """
        nonce = self.challenge(ID + 1, HOME + b"2")
        key = Key(ID + 1, keyDigest(nonce, PASSWORD))
        self.say(key, AWAY)
        self.assertIsNone(self.master.session(ID + 1))

    def test_refusalsAreRare(self) -> None:
        """
        An address is refused once a second, however much comes from it.
        """
        answers = []
        for _ in range(100):
            self.now += 0.05
            answers += self.say(Voice(ID, frame()), AWAY)
        self.assertLessEqual(len(answers), 6)

    def test_noWeapon(self) -> None:
        """
        Nothing with a forged sender makes the master say MSTNAK or MSTCL to a live client, but
        about its own session.
        """
        other = ID + 1
        for message in (
            Login(666),
            Key(666, bytes(32)),
            Key(other, bytes(32)),
            Key(ID, bytes(32)),
            Station(other),
            OptionsText(other, "x=1"),
            Ping(other),
            Close(other),
            Voice(other, frame()),
        ):
            self.now += 2
            self.assertEqual(self.say(message, HOME), [], message)
        self.assertTrue(self.alive())

    def test_wrongKeysAreSlowed(self) -> None:
        """
        Wrong keys are answered ever more rarely, and a right one at once all the same.
        """
        self.say(Close(ID))
        answered = []
        nonce = self.challenge()
        begin = self.now
        while self.now < begin + 300:
            self.now += 0.5
            if self.say(Key(ID, bytes(32))):
                answered.append(self.now)
        pauses = [later - sooner for sooner, later in pairwise(answered)]
        self.assertEqual(pauses, sorted(pauses))
        self.assertGreaterEqual(pauses[-1], 64)
        self.assertNotEqual(nonce, b"")
        self.logIn()

    def test_failuresOfOthers(self) -> None:
        """
        Wrong keys for an ID from one address do not slow it at another one.
        """
        self.say(Close(ID))
        for _ in range(100):
            self.say(Key(ID, bytes(32)), AWAY)
        self.assertEqual(self.key(password=b"typo"), [b"MSTNAK" + ID.to_bytes(4, "big")])

    def test_mutations(self) -> None:
        """
        Whatever comes, from the session's own address or another, nothing is raised, tables stay
        bounded, and the session's own frames flow unless it was closed.
        """
        messages = [
            message.encode()
            for message in (
                Login(ID),
                Key(ID, bytes(32)),
                Station(ID, "G4TST"),
                OptionsText(ID, "TS2=91"),
                Ping(ID),
                AliasBlock(ID, 5, 0, b"1234567"),
                RadioPosition(ID, 5, b"1234567"),
                HomePosition(ID, 1.0, 2.0),
                Voice(ID, frame()),
            )
        ]
        random = Random(3)
        for data in mutations(3, messages):
            self.now += 0.01
            address = random.choice((HOME, AWAY, random.randbytes(4)))
            self.entrance.receive(data, address, self.now)
            self.entrance.pending.clear()
        self.assertLessEqual(len(self.master), 1)
        self.assertLess(len(self.master.dropped), 30)
        if self.master.session(ID) is None:
            self.logIn()
        self.frames.clear()
        session = self.master.session(ID)
        assert session is not None
        self.listen(session)
        self.assertTrue(self.alive())
