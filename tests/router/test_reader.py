"""
Tests of L{bmff.router.reader}: what is told of the data that radios send.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime

from bmff.dmr.applications import Application, applicationDatagram
from bmff.dmr.ars import PORT as REGISTRATIONS
from bmff.dmr.ars import Kind, Registration
from bmff.dmr.datacall import dataCall
from bmff.dmr.datagram import SERVER_NETWORK, Datagram, radioAddress
from bmff.dmr.dataheader import ConfirmedHeader
from bmff.dmr.datamessage import unconfirmedHeader
from bmff.dmr.frame import RATE_12, RATE_34, Frame
from bmff.dmr.lrrp import PORT as LOCATIONS
from bmff.dmr.tms import TextMessage
from bmff.events import Event, RadioPositionReceived, RadioRegistered, TextReceived
from bmff.router.call import Peer
from bmff.router.repeats import LARGEST, WINDOW, Repeats
from bmff.testing.mutation import mutations
from tests.router.case import RouterTestCase

RADIO = 2340001
SERVER = 234999
# 18.76807 N, 50.12124 E, 222.6 m high, on 3 January 2023 at 13:29:24.
REPORT = bytes.fromhex("0d18220400000001341f9c46d758691ab13ef423a44b2c815e4f")
TOLD = (TextReceived, RadioPositionReceived, RadioRegistered)


class ReaderTestCase(RouterTestCase):
    """
    A hotspot with a radio that sends data.
    """

    def setUp(self) -> None:
        super().setUp()
        self.stream = 0

    def report(self, payload: bytes = REPORT, identification: int = 0) -> bytes:
        """
        The datagram of a report to a server.
        """
        server = SERVER_NETWORK << 24 | SERVER
        return Datagram(
            radioAddress(RADIO), server, LOCATIONS, LOCATIONS, payload, identification
        ).encode()

    def said(self, said: Application, identification: int = 0) -> bytes:
        """
        The datagram that says something to the server.
        """
        return applicationDatagram(
            said, source=RADIO, destination=SERVER, identification=identification
        ).encode()

    def frames(
        self, datagram: bytes, *, confirmed: bool = False, dataType: int = RATE_12, slot: int = 2
    ) -> list[Frame]:
        """
        The frames of a message that carries it.
        """
        self.stream += 1
        header = unconfirmedHeader(datagram, destination=SERVER, source=RADIO, dataType=dataType)
        if not confirmed:
            call = dataCall(header, datagram, stream=self.stream, slot=slot, dataType=dataType)
            return list(call)
        size = {RATE_12: 10, RATE_34: 16}[dataType]
        blocks = -(-(len(datagram) + 4) // size)
        asked = ConfirmedHeader(
            destination=SERVER,
            source=RADIO,
            blocks=blocks,
            padOctets=blocks * size - 4 - len(datagram),
        )
        call = dataCall(asked, datagram, stream=self.stream, slot=slot, dataType=dataType)
        return list(call)

    def play(self, peer: Peer, frames: Iterable[Frame]) -> None:
        """
        The hotspot sends these, and falls silent.
        """
        for frame in frames:
            self.router.route(peer, frame, self.now)
            self.advance(0.06)
        self.advance(3.0)

    def told(self) -> list[Event]:
        """
        What was told since this was last asked.
        """
        told: list[Event] = [event for event in self.events if isinstance(event, TOLD)]
        self.events.clear()
        return told


class RegistrationTests(ReaderTestCase):
    """
    Radios say that they are there, and that they go.
    """

    def test_comesAndGoes(self) -> None:
        """
        A radio that registers is told of, and when it leaves; by the number that the network has of
        it, whatever it says itself.
        """
        peer = self.peer(1)
        here = Registration(Kind.REGISTRATION, "10058", initial=True, wantsAnswer=True)
        self.play(peer, self.frames(self.said(here), slot=1))
        self.play(peer, self.frames(self.said(Registration(Kind.DEREGISTRATION))))
        self.assertEqual(
            self.told(), [RadioRegistered(RADIO, True, 1, 1), RadioRegistered(RADIO, False, 1, 2)]
        )

    def test_users(self) -> None:
        """
        A user who comes shows that his radio is there; one who goes does not take it along.
        """
        peer = self.peer(1)
        for kind in (Kind.USER_REGISTRATION, Kind.USER_DEREGISTRATION):
            self.play(peer, self.frames(self.said(Registration(kind, "1", "Anna"))))
        self.assertEqual(self.told(), [RadioRegistered(RADIO, True, 1, 2)])

    def test_servers(self) -> None:
        """
        What a server asks or answers is no registration of anybody.
        """
        peer = self.peer(1)
        for kind in (Kind.QUERY, Kind.ANSWER, Kind.USER_ANSWER):
            self.play(peer, self.frames(self.said(Registration(kind))))
        self.assertEqual(self.told(), [])


class PositionTests(ReaderTestCase):
    """
    Radios say where they are.
    """

    def test_position(self) -> None:
        """
        A report is told of with all that it says, confirmed or not, at any rate.
        """
        peer = self.peer(1)
        for number, confirmed in enumerate((False, True)):
            for rate in (RATE_12, RATE_34):
                data = self.report(identification=number << 8 | rate)
                self.play(peer, self.frames(data, confirmed=confirmed, dataType=rate))
                (told,) = self.told()
                assert isinstance(told, RadioPositionReceived)
                self.assertEqual((told.radio, told.peer, told.slot), (RADIO, 1, 2))
                self.assertEqual(told.origin, "LRRP")
                self.assertAlmostEqual(told.latitude, 18.76807, 5)
                self.assertAlmostEqual(told.longitude, 50.12124, 5)
                self.assertAlmostEqual(told.altitude or 0.0, 222.617, 3)
                moment = datetime(2023, 1, 3, 13, 29, 24, tzinfo=UTC)
                self.assertEqual(told.moment, moment.timestamp())
                self.assertEqual((told.radius, told.speed, told.direction), (None, None, None))

    def test_moving(self) -> None:
        """
        So are the radius around it, speed and direction.
        """
        body = bytes.fromhex("51c0000000e0000000" + "0500" + "6c0a40" + "562d")
        self.play(self.peer(1), self.frames(self.report(bytes((0x07, len(body))) + body)))
        expected = RadioPositionReceived(
            RADIO, -45.0, -45.0, "LRRP", 1, 2, radius=5.0, speed=10.5, direction=90
        )
        self.assertEqual(self.told(), [expected])

    def test_nowhere(self) -> None:
        """
        A report without a position, and a request, tell of none.
        """
        peer = self.peer(1)
        for payload in ("0d082204000000013710", "0506220400000001"):
            self.play(peer, self.frames(self.report(bytes.fromhex(payload))))
        self.assertEqual(self.told(), [])

    def test_endlessNumber(self) -> None:
        """
        A number of hundreds of digits harms nothing: the report goes its way unread.
        """
        endless = b"\xff" * 200 + b"\x01"
        body = bytes((0x6C,)) + endless + b"\x01"
        peer = self.peer(1)
        frames = self.frames(self.report(bytes((0x07, len(body))) + body))
        self.play(peer, frames)
        self.assertEqual(self.told(), [])
        self.assertEqual(self.router.framesRouted, len(frames))


class HostileTests(ReaderTestCase):
    """
    Datagrams whose checks are right and whose contents are anything.
    """

    def test_mutations(self) -> None:
        """
        Whatever is in them, they go their way, and what is told of them can be told as JSON.
        """
        peer = self.peer(1)
        messages = [
            REPORT,
            bytes.fromhex("071351c0000000e000000005006c0a40562d"),
            Registration(Kind.REGISTRATION, "10058", initial=True).encode(),
        ]
        told = sent = 0
        for number, payload in enumerate(mutations(11, messages, 400)):
            port = (LOCATIONS, REGISTRATIONS)[number % 2]
            datagram = Datagram(radioAddress(RADIO), SERVER, port, port, payload).encode()
            for frame in self.frames(datagram, confirmed=bool(number & 2)):
                self.router.route(peer, frame, self.now)
                sent += 1
            for event in self.told():
                json.dumps(asdict(event), allow_nan=False)
                told += 1
        self.assertEqual(self.router.framesRouted, sent)
        self.assertGreater(told, 20)


class RepeatTests(ReaderTestCase):
    """
    A radio that hears no answer says it again.
    """

    def test_again(self) -> None:
        """
        A datagram is told of once, however often it comes in a short while and by whatever hotspot;
        another one of the same radio is another.
        """
        one, two = self.peer(1), self.peer(2)
        datagram = self.said(TextMessage("Hello", 3))
        for peer in (one, two, one):
            self.play(peer, self.frames(datagram))
        self.assertEqual(len(self.told()), 1)
        self.play(one, self.frames(self.said(TextMessage("Hello", 4))))
        self.assertEqual(len(self.told()), 1)

    def test_still(self) -> None:
        """
        A radio that stands still and says so again and again is told of now and then.
        """
        peer = self.peer(1)
        for _ in range(20):
            self.play(peer, self.frames(self.report()))
        told = len(self.told())
        self.assertTrue(5 <= told < 12, told)

    def test_blocks(self) -> None:
        """
        Of a confirmed message that came in part the missing blocks may come again alone.
        """
        peer = self.peer(1)
        frames = self.frames(self.report(), confirmed=True)
        lost = frames.pop(-4)
        for frame in frames:
            self.router.route(peer, frame, self.now)
            self.advance(0.06)
        self.assertEqual(self.told(), [])
        header = ConfirmedHeader(destination=SERVER, source=RADIO, blocks=1, full=False)
        start, block = dataCall(header, b"", stream=99, preambles=0)
        self.router.route(peer, start, self.now)
        again = Frame(block.addressing, block.body[:5] + lost.burst + block.body[38:])
        self.router.route(peer, again, self.now)
        (told,) = self.told()
        self.assertIsInstance(told, RadioPositionReceived)

    def test_bounded(self) -> None:
        """
        Any number of messages leaves a bounded number behind, and one that was forgotten is new.
        """
        repeats = Repeats()
        for number in range(3 * LARGEST):
            self.assertTrue(repeats.isNew(number, 1, b"x", 1.0))
        self.assertEqual(len(repeats), LARGEST)
        self.assertTrue(repeats.isNew(0, 1, b"x", 1.0))
        self.assertFalse(repeats.isNew(0, 1, b"x", 1.0 + WINDOW / 2))
        self.assertTrue(repeats.isNew(0, 1, b"x", 1.0 + WINDOW))
