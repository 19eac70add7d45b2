"""
Tests of L{bmff.dmr.applications}, and of texts (L{bmff.dmr.tms}), registrations (L{bmff.dmr.ars})
and locations (L{bmff.dmr.lrrp}).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import lrrp, tms
from bmff.dmr.applications import Application, applicationDatagram, decodeApplication
from bmff.dmr.ars import Kind, Registration
from bmff.dmr.datagram import Datagram, numberOf
from bmff.dmr.lrrp import LocationDocument, locationRequest
from bmff.dmr.tms import TextAnswer, TextMessage
from bmff.errors import ProtocolError
from bmff.testing.mutation import mutations
from tests.dmr.test_crc import MESSAGE

sequences = st.integers(0, 127)
# A text ends at its first NUL.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)

LOCATION = bytes.fromhex("0d18220400000001341f9c46d758691ab13ef423a44b2c815e4f")
MESSAGES: list[tuple[Callable[[bytes], object], list[bytes]]] = [
    (
        tms.decode,
        [bytes.fromhex("000ca0008e040d000a0048006900"), bytes.fromhex("0003bf0007")],
    ),
    (
        Registration.decode,
        [bytes.fromhex("000af0200531303035380000"), bytes.fromhex("0002bf01")],
    ),
    (lrrp.decode, [LOCATION, bytes.fromhex("090c220300000134321ea6b3994c")]),
]


class TextTests(SynchronousTestCase):
    """
    Tests of text messages.
    """

    def test_real(self) -> None:
        """
        Texts that radios sent are read, and an answer.
        """
        text = decodeApplication(Datagram.decode(MESSAGE))
        self.assertEqual(text, TextMessage("@MH JN66ob", 1))
        short = bytes.fromhex("000ca0008e040d000a0048006900")
        self.assertEqual(tms.decode(short), TextMessage("Hi", 14))
        self.assertEqual(TextMessage("Hi", 14).encode(), short)
        self.assertEqual(tms.decode(bytes.fromhex("0003bf0007")), TextAnswer(7))
        self.assertEqual(TextAnswer(7).encode(), bytes.fromhex("0003bf0007"))

    @given(texts, sequences, st.booleans())
    def test_roundTrip(self, text: str, sequence: int, wantsAnswer: bool) -> None:
        """
        What was encoded is decoded.
        """
        message = TextMessage(text, sequence, wantsAnswer)
        self.assertEqual(tms.decode(message.encode()), message)
        self.assertEqual(tms.decode(TextAnswer(sequence).encode()), TextAnswer(sequence))

    def test_surrogate(self) -> None:
        """
        Half a character becomes a question mark.
        """
        self.assertEqual(tms.decode(TextMessage("a\ud800").encode()), TextMessage("a?"))

    def test_address(self) -> None:
        """
        An address before the text is passed over.
        """
        plain = TextMessage("Hi", 3).encode()
        addressed = b"\x00\x0e" + plain[2:3] + b"\x02ab" + plain[4:]
        self.assertEqual(tms.decode(addressed), TextMessage("Hi", 3))


class RegistrationTests(SynchronousTestCase):
    """
    Tests of registrations.
    """

    def test_real(self) -> None:
        """
        A registration that a radio sent is read, and made again bit for bit.
        """
        data = bytes.fromhex("000af0200531303035380000")
        registration = Registration(Kind.REGISTRATION, "10058", initial=True, wantsAnswer=True)
        self.assertEqual(Registration.decode(data), registration)
        self.assertEqual(registration.encode(), data)

    def test_answer(self) -> None:
        """
        The answer says when to register again.
        """
        answer = Registration(Kind.ANSWER, refresh=1)
        self.assertEqual(answer.encode(), bytes.fromhex("0002bf01"))
        self.assertEqual(Registration.decode(answer.encode()), answer)

    def test_departure(self) -> None:
        """
        A radio that is switched off says so in one byte.
        """
        departure = Registration(Kind.DEREGISTRATION)
        self.assertEqual(departure.encode(), bytes.fromhex("000131"))
        self.assertEqual(Registration.decode(departure.encode()), departure)


class LocationTests(SynchronousTestCase):
    """
    Tests of locations.
    """

    def test_report(self) -> None:
        """
        A report that a radio sent says where, how high and when.
        """
        report = lrrp.decode(LOCATION)
        self.assertEqual((report.kind, report.request), (lrrp.Kind.TRIGGERED_REPORT, b"\0\0\0\1"))
        self.assertEqual(report.moment, datetime(2023, 1, 3, 13, 29, 24, tzinfo=UTC))
        self.assertAlmostEqual(report.latitude or 0.0, 18.76807, 5)
        self.assertAlmostEqual(report.longitude or 0.0, 50.12124, 5)
        self.assertAlmostEqual(report.altitude or 0.0, 222.617, 3)

    def test_failure(self) -> None:
        """
        A report without a position says why.
        """
        report = lrrp.decode(bytes.fromhex("0d082204000000013710"))
        self.assertEqual((report.result, report.latitude), (0x10, None))
        self.assertEqual(report.encode(), bytes.fromhex("0d082204000000013710"))

    def test_southWest(self) -> None:
        """
        South has a sign, west is counted in two's complement; a circle has a radius, and speed and
        direction may follow.
        """
        body = bytes.fromhex("51c0000000e0000000" + "0500" + "6c0a40" + "562d")
        report = lrrp.decode(bytes((0x07, len(body))) + body)
        self.assertEqual((report.latitude, report.longitude), (-45.0, -45.0))
        self.assertEqual((report.radius, report.speed, report.direction), (5.0, 10.5, 90))

    def test_requests(self) -> None:
        """
        A request names itself, and may ask for reports again and again.
        """
        self.assertEqual(locationRequest(1).encode(), bytes.fromhex("0506220400000001"))
        often = locationRequest(1, 300)
        self.assertEqual(often.encode(), bytes.fromhex("090a2204000000013431822c"))
        self.assertEqual(lrrp.decode(often.encode()), often)

    def test_unknownElement(self) -> None:
        """
        From an element on that is not known here, a report is kept as it is.
        """
        report = lrrp.decode(bytes.fromhex("0d0538fe010203"))
        self.assertEqual(report.rest, bytes.fromhex("fe010203"))

    def test_endlessNumber(self) -> None:
        """
        A number longer than any radio has is a peer's fault, not one that no float can hold.
        """
        body = bytes((0x6C,)) + b"\xff" * 200 + b"\x01\x01"
        self.assertRaises(ProtocolError, lrrp.decode, bytes((0x07, len(body))) + body)

    def test_noDay(self) -> None:
        """
        A moment that no calendar has is a peer's fault.
        """
        self.assertRaises(ProtocolError, lrrp.decode, bytes.fromhex("0d0634ffffffffff"))


class ApplicationTests(SynchronousTestCase):
    """
    Tests of all of them.
    """

    def test_roundTrip(self) -> None:
        """
        What is said comes back from the datagram that says it, to a radio or a talkgroup.
        """
        said: list[Application] = [
            TextMessage("Hello", 5),
            TextAnswer(5),
            Registration(Kind.ANSWER, refresh=2),
            locationRequest(9),
        ]
        for one in said:
            for group in (False, True):
                datagram = applicationDatagram(one, source=1, destination=91, group=group)
                self.assertEqual(decodeApplication(Datagram.decode(datagram.encode())), one)
                self.assertEqual(numberOf(datagram.destination), 91)
                self.assertEqual(datagram.destination >> 24, 225 if group else 12)

    def test_unknownPort(self) -> None:
        """
        A datagram to another port is not read.
        """
        self.assertRaises(ProtocolError, decodeApplication, Datagram(1, 2, 53, 53, b"\0\0"))

    def test_cut(self) -> None:
        """
        What is cut off anywhere is a peer's fault.
        """
        for decode, messages in MESSAGES:
            for message in messages:
                for length in range(len(message)):
                    self.assertRaises(ProtocolError, decode, message[:length])

    def test_mutations(self) -> None:
        """
        Any bytes are a message, or a peer's fault.
        """
        for decode, messages in MESSAGES:
            read = 0
            for data in mutations(7, messages, 5000):
                try:
                    value = decode(data)
                except ProtocolError:
                    continue
                read += isinstance(
                    value, TextMessage | TextAnswer | Registration | LocationDocument
                )
            self.assertGreater(read, 500)
