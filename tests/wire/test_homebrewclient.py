"""
Tests of L{bmff.wire.homebrewclient}, against the bytes of a master.
"""

from __future__ import annotations

from hashlib import sha256
from math import inf

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import Frame
from bmff.testing.mutation import mutations
from bmff.wire.homebrew import Station, Voice
from bmff.wire.homebrewclient import (
    BeaconRequested,
    Client,
    Event,
    LoggedIn,
    LoggedOut,
    State,
)

ID = 2340002
WIRE_ID = b"\x00\x23\xb4\xa2"
NONCE = b"\x0a\x7e\xd4\x98"
PASSWORD = b"s3cr37w0rd"
ACK = b"RPTACK" + WIRE_ID
LOGIN = b"RPTL" + WIRE_ID
KEY = b"RPTK" + WIRE_ID + sha256(NONCE + PASSWORD).digest()
PING = b"RPTPING" + WIRE_ID
STATION = Station(ID, "G4TST", slots=4)
FRAME = Frame.make(
    sequence=7, source=2340001, destination=91, flags=0x90, stream=5, burst=bytes(range(33))
)


class ClientTestCase(SynchronousTestCase):
    """
    A client and its clock.
    """

    options = ""

    def setUp(self) -> None:
        self.now = 1000.0
        self.frames: list[Frame] = []
        self.client = Client(
            STATION, PASSWORD, self.options, lambda frame, now: self.frames.append(frame)
        )

    def hear(self, *messages: bytes) -> list[Event]:
        """
        What the client reports of the master's messages.
        """
        return [event for data in messages for event in self.client.receive(data, self.now)]

    def said(self) -> list[bytes]:
        """
        What the client has to say.
        """
        return self.client.outgoing()

    def wait(self, seconds: float) -> list[Event]:
        """
        Let time pass, waking the client when it wants to be woken and not before.

        @return: what it reports.
        """
        events: list[Event] = []
        end = self.now + seconds
        while self.client.deadline() <= end:
            self.now = max(self.now, self.client.deadline())
            events += self.client.timeout(self.now)
            self.assertGreater(self.client.deadline(), self.now)
        self.now = end
        self.assertEqual(self.client.timeout(self.now), ())
        return events

    def logIn(self) -> None:
        """
        A whole login.
        """
        self.client.start(self.now)
        self.hear(b"RPTACK" + NONCE, ACK)
        while self.client.state is not State.RUNNING:
            self.hear(ACK)
        self.said()


class LoginTests(ClientTestCase):
    """
    The steps of a login.
    """

    def test_steps(self) -> None:
        """
        Login, key, configuration: each is said once the one before is acknowledged, and then the
        client is logged in.
        """
        self.assertEqual(self.said(), [])
        self.client.start(self.now)
        self.assertEqual(self.said(), [LOGIN])
        self.assertEqual(self.hear(b"RPTACK" + NONCE), [])
        self.assertEqual(self.said(), [KEY])
        self.assertEqual(self.hear(ACK), [])
        (configuration,) = self.said()
        self.assertEqual(configuration[:16], b"RPTC" + WIRE_ID + b"G4TST   ")
        self.assertEqual(len(configuration), 302)
        self.assertEqual(self.hear(ACK), [LoggedIn()])
        self.assertEqual(self.said(), [])
        self.assertIs(self.client.state, State.RUNNING)

    def test_acknowledgedByAnyone(self) -> None:
        """
        What follows RPTACK is not looked at but in the first one: masters put different things
        there.
        """
        self.client.start(self.now)
        self.hear(b"RPTACK" + NONCE)
        self.assertEqual(self.hear(b"RPTACK" + bytes(4), b"RPTACK\xff\xff\xff\xff"), [LoggedIn()])

    def test_cutOff(self) -> None:
        """
        An acknowledgement of another length is dropped.
        """
        self.client.start(self.now)
        self.assertEqual(self.hear(b"RPTACK", b"RPTACK" + NONCE[:3], ACK + b"\0"), [])
        self.assertEqual(self.said(), [LOGIN])
        self.assertEqual(self.client.dropped, 3)

    def test_retry(self) -> None:
        """
        Whichever step is not answered, the login begins again after 10 s, for ever.
        """
        for answers in ((), (b"RPTACK" + NONCE,), (b"RPTACK" + NONCE, ACK)):
            self.client.start(self.now)
            self.hear(*answers)
            self.assertEqual(len(self.said()), 1 + len(answers))
            self.assertEqual(self.client.deadline(), self.now + 10.0)
            self.assertEqual(self.wait(9.9), [])
            self.assertEqual(self.said(), [])
            self.assertEqual(self.wait(0.1), [])
            self.assertEqual(self.said(), [LOGIN])
            self.assertEqual(self.wait(100.0), [])
            self.assertEqual(self.said(), [LOGIN] * 10)

    def test_refused(self) -> None:
        """
        A login that is refused at any step has failed, and is tried again after 10 s.
        """
        for answers in ((), (b"RPTACK" + NONCE,), (b"RPTACK" + NONCE, ACK)):
            self.client.start(self.now)
            self.hear(*answers)
            self.said()
            self.assertEqual(self.hear(b"MSTNAK" + WIRE_ID), [LoggedOut("refused")])
            self.assertIs(self.client.state, State.IDLE)
            self.assertEqual(self.hear(b"MSTNAK" + WIRE_ID), [])
            self.assertEqual(self.wait(9.9), [])
            self.assertEqual(self.said(), [])
            self.wait(0.1)
            self.assertEqual(self.said(), [LOGIN])

    def test_lateAnswer(self) -> None:
        """
        What comes while the client waits for its next attempt starts nothing.
        """
        self.client.start(self.now)
        self.hear(b"MSTNAK" + WIRE_ID)
        self.said()
        self.assertEqual(self.hear(ACK, b"MSTPONG" + WIRE_ID, b"MSTCL" + WIRE_ID), [])
        self.assertEqual(self.said(), [])
        self.assertIs(self.client.state, State.IDLE)

    def test_beforeStart(self) -> None:
        """
        One that was not started says nothing, wants nothing and believes nothing.
        """
        self.assertEqual(self.client.deadline(), inf)
        self.assertEqual(self.client.timeout(self.now), ())
        self.assertEqual(self.hear(ACK, b"MSTNAK" + WIRE_ID, Voice(ID, FRAME).encode()), [])
        self.client.sendFrame(FRAME)
        self.assertEqual((self.said(), self.frames), ([], []))

    def test_challengeTwice(self) -> None:
        """
        A challenge that comes twice is no acknowledgement of the answer to it.
        """
        self.client.start(self.now)
        self.hear(b"RPTACK" + NONCE, b"RPTACK" + NONCE)
        self.assertEqual(self.said(), [LOGIN, KEY])
        self.assertIs(self.client.state, State.KEY)

    def test_bare(self) -> None:
        """
        A master may leave all IDs out, but not the challenge.
        """
        self.client.start(self.now)
        self.assertEqual(self.hear(b"RPTACK"), [])
        self.assertEqual(self.said(), [LOGIN])
        events = self.hear(b"RPTACK" + NONCE, b"RPTACK", b"RPTACK")
        self.assertEqual(events, [LoggedIn()])
        self.assertEqual(self.hear(b"MSTCL"), [LoggedOut("closed by the master")])
        self.client.start(self.now)
        self.assertEqual(self.hear(b"MSTNAK"), [LoggedOut("refused")])

    def test_step(self) -> None:
        """
        How far a login was is told when it fails.
        """
        steps = (State.CHALLENGE, State.KEY, State.CONFIGURATION, State.RUNNING)
        answers = (b"RPTACK" + NONCE, ACK, ACK)
        for number, step in enumerate(steps):
            self.client.start(self.now)
            self.hear(*answers[:number])
            (event,) = self.hear(b"MSTNAK" + WIRE_ID)
            assert isinstance(event, LoggedOut)
            self.assertIs(event.step, step)


class TriesTests(ClientTestCase):
    """
    A client that is not to try for ever, and takes frames under any ID.
    """

    def setUp(self) -> None:
        super().setUp()
        self.client = Client(
            STATION,
            PASSWORD,
            "",
            lambda frame, now: self.frames.append(frame),
            retry=3.0,
            tries=3,
            anyID=True,
        )

    def test_noAnswer(self) -> None:
        """
        Whichever step is not answered, the login begins anew, three times in all; then it has
        failed and waits to be started.
        """
        for answers in ((), (b"RPTACK" + NONCE,), (b"RPTACK" + NONCE, ACK)):
            self.client.start(self.now)
            self.hear(*answers)
            self.said()
            self.assertEqual(self.wait(8.9), [])
            self.assertEqual(self.said(), [LOGIN] * 2)
            (event,) = self.wait(0.1)
            self.assertEqual(event, LoggedOut("no answer"))
            self.assertEqual(self.client.deadline(), inf)
            self.assertIs(self.client.state, State.IDLE)

    def test_refused(self) -> None:
        """
        One that is refused waits to be started; so does one that was logged in.
        """
        for login in (False, True):
            self.client.start(self.now)
            if login:
                self.logIn()
            self.hear(b"MSTNAK" + WIRE_ID)
            self.said()
            self.assertEqual(self.wait(1000.0), [])
            self.assertEqual((self.said(), self.client.deadline()), ([], inf))

    def test_anyID(self) -> None:
        """
        Frames under another ID are taken, and are a sign of life.
        """
        self.logIn()
        for number in range(10):
            self.assertEqual(self.wait(50.0), [])
            self.hear(Voice(ID + number, FRAME).encode())
        self.assertEqual(len(self.frames), 10)
        self.assertIs(self.client.state, State.RUNNING)


class OptionsTests(ClientTestCase):
    """
    A client with options.
    """

    options = "TS2=91"

    def test_login(self) -> None:
        """
        Options are the login's last step.
        """
        self.client.start(self.now)
        self.assertEqual(self.hear(b"RPTACK" + NONCE, ACK, ACK), [])
        self.assertEqual(self.said()[-1], b"RPTO" + WIRE_ID + b"TS2=91")
        self.assertEqual(self.hear(ACK), [LoggedIn()])

    def test_notAnswered(self) -> None:
        """
        A master that does not answer options is asked to log in again.
        """
        self.client.start(self.now)
        self.hear(b"RPTACK" + NONCE, ACK, ACK)
        self.said()
        self.wait(10.0)
        self.assertEqual(self.said(), [LOGIN])

    def test_others(self) -> None:
        """
        Other options are said at once when logged in, and in place of the first ones at each
        login from then on.
        """
        self.client.sendOptions("TS2=92")
        self.assertEqual(self.said(), [])
        self.client.start(self.now)
        self.hear(b"RPTACK" + NONCE, ACK, ACK)
        self.assertEqual(self.said()[-1], b"RPTO" + WIRE_ID + b"TS2=92")
        self.hear(ACK)
        self.client.sendOptions("TS2=93")
        self.assertEqual(self.said(), [b"RPTO" + WIRE_ID + b"TS2=93"])
        self.assertEqual(self.hear(ACK), [])
        self.hear(b"MSTCL" + WIRE_ID)
        self.logIn()
        self.assertIs(self.client.state, State.RUNNING)


class RunningTests(ClientTestCase):
    """
    A client that is logged in.
    """

    def setUp(self) -> None:
        super().setUp()
        self.logIn()

    def test_ping(self) -> None:
        """
        It pings every 10 s as long as the master answers.
        """
        for _ in range(100):
            self.assertEqual(self.wait(9.9), [])
            self.assertEqual(self.said(), [])
            self.assertEqual(self.wait(0.1), [])
            self.assertEqual(self.said(), [PING])
            self.hear(b"MSTPONG" + WIRE_ID)
        self.assertIs(self.client.state, State.RUNNING)

    def test_oddPong(self) -> None:
        """
        The ID in a pong may be in another order, or any: the pong counts.
        """
        for _ in range(10):
            for odd in (WIRE_ID[::-1], bytes(4), b"\xff\xff\xff\xff"):
                self.assertEqual(self.wait(20.0), [])
                self.assertEqual(self.hear(b"MSTPONG" + odd), [])
        self.assertEqual(self.client.dropped, 0)

    def test_giveUp(self) -> None:
        """
        A master that has been silent for 60 s is given up, and the login begins again 10 s later.
        """
        self.now += 0.5
        self.hear(b"MSTPONG" + WIRE_ID)  # in between two pings
        self.assertEqual(self.wait(59.9), [])
        self.assertEqual(self.said(), [PING] * 6)
        self.assertEqual(self.wait(0.1), [LoggedOut("the master is silent")])
        self.assertEqual(self.wait(9.9), [])
        self.assertEqual(self.said(), [])
        self.wait(0.1)
        self.assertEqual(self.said(), [LOGIN])

    def test_voiceIsLife(self) -> None:
        """
        A master that sends frames is not silent.
        """
        for _ in range(10):
            self.assertEqual(self.wait(50.0), [])
            self.hear(Voice(ID, FRAME).encode())
        self.assertIs(self.client.state, State.RUNNING)

    def test_frames(self) -> None:
        """
        A frame under the client's ID is taken, with 55 bytes or 53; under another one, or with
        any other length, it is dropped.
        """
        data = Voice(ID, FRAME).encode()
        self.hear(data)
        (heard,) = self.frames
        self.assertEqual((heard.addressing, heard.body), (FRAME.addressing, FRAME.body))
        self.hear(data[:53])
        self.assertEqual(len(self.frames), 2)
        self.hear(Voice(ID + 1, FRAME).encode(), data[:54], data + b"\0", data[:15])
        self.assertEqual(len(self.frames), 2)
        self.assertEqual(self.client.dropped, 4)

    def test_strangersAreNoLife(self) -> None:
        """
        Frames for another ID and messages without meaning do not keep a login alive.
        """
        events: list[Event] = []
        for _ in range(6):
            events += self.hear(Voice(ID + 1, FRAME).encode(), b"MSTACK" + WIRE_ID, b"")
            events += self.wait(10.0)
        self.assertEqual(events, [LoggedOut("the master is silent")])

    def test_sendFrame(self) -> None:
        """
        A frame goes out in 55 bytes, under the client's own ID.
        """
        self.client.sendFrame(FRAME)
        (data,) = self.said()
        self.assertEqual(data, b"DMRD" + FRAME.addressing + WIRE_ID + FRAME.body)
        self.assertEqual(len(data), 55)
        self.assertEqual(self.said(), [])

    def test_refused(self) -> None:
        """
        A master that no longer knows the client, or leaves, ends the login whatever ID it names;
        frames are dropped both ways until the next one.
        """
        for tag, reason in ((b"MSTNAK", "refused"), (b"MSTCL", "closed by the master")):
            self.assertEqual(self.hear(tag + bytes(4)), [LoggedOut(reason)])
            self.client.sendFrame(FRAME)
            self.hear(Voice(ID, FRAME).encode())
            self.assertEqual((self.said(), self.frames), ([], []))
            self.wait(10.0)
            self.assertEqual(self.said(), [LOGIN])
            self.logIn()

    def test_beacon(self) -> None:
        """
        A beacon is asked for with an ID or without one.
        """
        self.assertEqual(self.hear(b"RPTSBKN" + WIRE_ID, b"RPTSBKN"), [BeaconRequested()] * 2)

    def test_close(self) -> None:
        """
        One that is closed says so once, does not come back, and hears nothing.
        """
        self.client.close()
        self.client.close()
        self.assertEqual(self.said(), [b"RPTCL" + WIRE_ID])
        self.assertEqual(self.client.deadline(), inf)
        self.assertEqual(
            self.hear(b"MSTCL" + WIRE_ID, b"MSTNAK" + WIRE_ID, ACK, Voice(ID, FRAME).encode()), []
        )
        self.client.sendFrame(FRAME)
        self.assertEqual(self.wait(1000.0), [])
        self.assertEqual((self.said(), self.frames), ([], []))
        self.assertIs(self.client.state, State.CLOSED)

    def test_closeWithinALogin(self) -> None:
        """
        One that is closed before it is logged in just stops.
        """
        self.client.start(self.now)
        self.said()
        self.client.close()
        self.assertEqual(self.said(), [])
        self.assertEqual(self.client.deadline(), inf)

    def test_startAgain(self) -> None:
        """
        One that was closed logs in when it is started again.
        """
        self.client.close()
        self.said()
        self.logIn()
        self.client.sendFrame(FRAME)
        self.assertEqual(len(self.said()), 1)


class MutationTests(ClientTestCase):
    """
    A master gone mad.
    """

    options = "TS2=91"

    def test_mutations(self) -> None:
        """
        Whatever comes, a client raises nothing, answers a datagram with one at most, hears only
        frames under its own ID, and still can log in afterwards.
        """
        master = [
            b"RPTACK" + NONCE,
            ACK,
            ACK,
            ACK,
            b"MSTPONG" + WIRE_ID,
            b"MSTNAK" + WIRE_ID,
            b"MSTCL" + WIRE_ID,
            b"RPTSBKN" + WIRE_ID,
            Voice(ID, FRAME).encode(),
            Voice(ID, FRAME).encode()[:53],
        ]
        seen = set()
        for number, data in enumerate(mutations(1, master)):
            if number % 20 == 0:
                self.logIn()
            before = len(self.frames)
            self.hear(data)
            self.assertLessEqual(len(self.said()), 1)
            if len(self.frames) > before:
                self.assertEqual((data[:4], data[11:15]), (b"DMRD", WIRE_ID))
            seen.add(self.client.state)
            self.now += 1.0
            self.client.timeout(self.now)
            self.said()
        self.assertIn(State.RUNNING, seen)
        self.assertIn(State.IDLE, seen)
        self.assertGreater(len(self.frames), 1000)
        self.assertGreater(self.client.dropped, 10_000)
        self.logIn()
        self.assertIs(self.client.state, State.RUNNING)
