"""
Tests of L{bmff.wire.homebrew}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import Frame
from bmff.errors import ProtocolError
from bmff.testing.mutation import mutations
from bmff.wire import homebrew
from bmff.wire.homebrew import (
    Acknowledge,
    AliasBlock,
    Beacon,
    Close,
    Closing,
    HomePosition,
    Key,
    Login,
    Message,
    OptionsText,
    Ping,
    Pong,
    RadioPosition,
    Refuse,
    Station,
    Voice,
    decode,
)
from tests.captures import PACKETS

FRAME = Frame.make(
    sequence=7,
    source=2340001,
    destination=91,
    flags=0x90,
    stream=0xDEADBEEF,
    burst=bytes(range(33)),
)
EXAMPLES: tuple[Message, ...] = (
    Login(2340001),
    Key(2340001, bytes(range(32))),
    Station(2340001, "G4TST", 435_000_000, 430_000_000, 1, 3, 51.5, -0.12, 10, "Here", "Test"),
    OptionsText(2340001, "TS2=91,92;SINGLE=0"),
    Ping(2340001),
    Close(2340001),
    AliasBlock(2340001, 2340001, 0, b"G4TST M"),
    AliasBlock(2340001, 2340001, 3, b"G4T"),
    RadioPosition(2340001, 2340001, b"1234567"),
    RadioPosition(2340001, 2340001, b"123"),
    HomePosition(2340001, -51.5, 0.25),
    Acknowledge(b"\x01\x02\x03\x04"),
    Refuse(2340001),
    Pong(2340001),
    Closing(2340001),
    Beacon(2340001),
    Voice(2340001, FRAME),
)

ids = st.integers(0, 0xFFFFFFFF)
texts = st.text(st.characters(codec="ascii", exclude_categories=("C", "Z")), max_size=8)
stations = st.builds(
    Station,
    peerID=ids,
    callsign=texts,
    rxFrequency=st.integers(0, 999_999_999),
    txFrequency=st.integers(0, 999_999_999),
    power=st.integers(0, 99),
    colourCode=st.integers(0, 15),
    latitude=st.integers(-90, 90).map(float),
    longitude=st.integers(-180, 180).map(float),
    height=st.integers(0, 999),
    location=texts,
    description=texts,
    slots=st.integers(0, 4),
    url=texts,
    software=texts,
    package=texts,
)


def same(one: Message, other: Message) -> bool:
    """
    Whether two messages say the same; frames are compared by what they carry.
    """
    if isinstance(one, Voice) and isinstance(other, Voice):
        return (
            one.peerID == other.peerID
            and one.frame.addressing == other.frame.addressing
            and one.frame.body == other.frame.body
        )
    return one == other


class CodecTests(SynchronousTestCase):
    """
    Bytes to values and back.
    """

    def test_roundTrip(self) -> None:
        """
        Each message is read back as it was written.
        """
        for message in EXAMPLES:
            self.assertTrue(same(decode(message.encode()), message), message)

    @given(stations)
    def test_stations(self, station: Station) -> None:
        """
        A configuration has 302 bytes and is read back as it was written, whatever it says.
        """
        data = station.encode()
        self.assertEqual(len(data), 302)
        self.assertEqual(decode(data), station)

    def test_lengths(self) -> None:
        """
        Each message has the length that the programs of the field send.
        """
        sizes = [len(message.encode()) for message in EXAMPLES]
        self.assertEqual(sizes, [8, 40, 302, 26, 11, 9, 19, 15, 18, 14, 25, 10, 10, 11, 9, 11, 55])

    def test_everyCut(self) -> None:
        """
        A message that was cut is refused or read as another one, with nothing else raised.
        """
        for message in EXAMPLES:
            data = message.encode()
            for size in range(len(data)):
                try:
                    read = decode(data[:size])
                except ProtocolError:
                    continue
                self.assertIsInstance(
                    read,
                    OptionsText | AliasBlock | RadioPosition | Beacon | Voice,
                    (message, size),
                )

    def test_mutations(self) -> None:
        """
        Whatever is done to a message, it is read or refused.
        """
        messages = [message.encode() for message in EXAMPLES]
        refused = 0
        for data in mutations(1, messages):
            try:
                decode(data)
            except ProtocolError:
                refused += 1
        self.assertGreater(refused, 1000)

    def test_short(self) -> None:
        """
        A frame of 53 bytes, the form of 2015, is read with its missing tail as zeros.
        """
        data = Voice(2340001, FRAME).encode()[:53]
        message = decode(data)
        assert isinstance(message, Voice)
        self.assertEqual(message.frame.burst, FRAME.burst)
        self.assertEqual(len(message.encode()), 55)

    def test_closeOrStation(self) -> None:
        """
        RPTCL is told from an RPTC whose ID begins with the same byte.
        """
        station = decode(Station(0x4C000001).encode())
        assert isinstance(station, Station)
        self.assertEqual(station.peerID, 0x4C000001)
        self.assertEqual(decode(b"RPTCL\x00\x23\xb4\xa2"), Close(2340002))

    def test_ignored(self) -> None:
        """
        Messages of dialects that are ignored are refused under a name of their own.
        """
        for data, reason in (
            (b"DMRC" + bytes(115), "gateway dialect"),
            (b"DMRT" + bytes(40), "trunking dialect"),
            (b"DTCPING" + bytes(4), "trunking dialect"),
            (b"RPTRSSI0023b4a2:1-120.0", "text dialect"),
            (b"XXXX", "unknown tag"),
            (b"", "unknown tag"),
        ):
            error = self.assertRaises(ProtocolError, decode, data)
            self.assertEqual(error.reason, reason)

    def test_oddStations(self) -> None:
        """
        What a station says badly is unknown, and no control character gets through.
        """
        data = bytearray(Station(1, callsign="G4TST").encode())
        data[16:25] = b"43x000000"
        data[34:36] = b"  "
        data[38:46] = b"nan     "
        data[46:55] = b"1e99     "
        data[58:78] = b"\x1b[31mred\x07".ljust(20, b"\0")
        data[97:98] = b"9"
        station = decode(bytes(data))
        assert isinstance(station, Station)
        self.assertEqual(
            (station.rxFrequency, station.power, station.latitude, station.longitude),
            (None, None, None, None),
        )
        self.assertEqual(station.location, "[31mred")
        self.assertEqual(station.slots, 3)

    def test_simplex(self) -> None:
        """
        A hotspot is simplex by its slots or by having one frequency.
        """
        self.assertTrue(Station(1, slots=4).simplex)
        self.assertTrue(Station(1, rxFrequency=435, txFrequency=435).simplex)
        self.assertFalse(Station(1, rxFrequency=435, txFrequency=430).simplex)
        self.assertFalse(Station(1, rxFrequency=0, txFrequency=0).simplex)

    def test_captures(self) -> None:
        """
        Everything that a real MMDVMHost, DMRGateway and master said is read, and written as it was.
        """
        for packet in PACKETS:
            message = decode(packet.data)
            if isinstance(message, Station):
                self.assertEqual(message.callsign, "G4TST")
                self.assertEqual((message.latitude, message.longitude), (51.5, -0.12))
                self.assertEqual((message.slots, message.simplex), (4, True))
            else:
                self.assertEqual(message.encode(), packet.data)

    def test_keyDigest(self) -> None:
        """
        The key that a real client sent follows from the nonce and the passphrase.
        """
        challenge, key = decode(PACKETS[1].data), decode(PACKETS[2].data)
        assert isinstance(challenge, Acknowledge)
        assert isinstance(key, Key)
        self.assertEqual(homebrew.keyDigest(challenge.value, b"s3cr37w0rd"), key.digest)
