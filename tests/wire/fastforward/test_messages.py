"""
Tests of L{bmff.wire.fastforward.messages}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import DATA_SYNC, SLOT_2, VOICE_HEADER, Frame
from bmff.errors import ProtocolError
from bmff.testing.mutation import mutations
from bmff.wire.fastforward.messages import (
    FRAME,
    FRAME_SIZE,
    HEAD_SIZE,
    Acknowledgement,
    Answer,
    Challenge,
    Copies,
    Goodbye,
    Measurement,
    Message,
    Missing,
    Segment,
    bodyAt,
    decodeFrame,
    decodeMessage,
    encodeFrame,
)

_text = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), max_size=60)
_32 = st.integers(0, 2**32 - 1)
_48 = st.integers(0, 2**48 - 1)
_64 = st.integers(0, 2**64 - 1)


def missing(session: int, first: int, places: set[int], after: int | None) -> Missing:
    """
    A question for packets behind a first one.
    """
    counters = [first + place - min(places) for place in sorted(places)]
    return Missing(session, tuple(counters), after)


MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Segment, _32, _32, _32, st.booleans(), st.binary(max_size=1100)),
    st.builds(Acknowledgement, _32, _32),
    st.builds(
        Measurement,
        *(_32, _32, _32, _64, _64, _64, _32),
        *(st.integers(0, 2**16 - 1), _32, _64, _text, _text),
    ),
    st.builds(Goodbye, _text),
    st.builds(Challenge, _64),
    st.builds(Answer, _64),
    st.builds(missing, _32, st.integers(0, 2**63), st.sets(st.integers(0, 255)), st.none() | _48),
    st.builds(Copies, _32, _64, st.integers(0, 5).map(lambda count: (b"\x01" + bytes(50)) * count)),
)
EXAMPLES: tuple[Message, ...] = (
    Segment(5, 6, 7, True, b"interest"),
    Acknowledgement(5, 7),
    Measurement(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, "192.0.2.1:54000", "udp,tcp"),
    Goodbye("the node stops"),
    Challenge(0x0102030405060708),
    Answer(0x0102030405060708),
    Missing(7, (1000, 1001, 1255), 1256),
    Copies(7, 1000, b"\x01" + bytes(50)),
)


def decode(data: bytes) -> Message | None:
    """
    The message that these bytes begin with.
    """
    return decodeMessage(data[0], bodyAt(data, 0))


class MessageTests(SynchronousTestCase):
    """
    Every message but frames.
    """

    @given(MESSAGES)
    def test_roundTrip(self, message: Message) -> None:
        """
        A message is decoded to what it was, and says how long it is.
        """
        data = message.encode()
        self.assertEqual(decode(data + b"more"), message)
        self.assertEqual(len(data), HEAD_SIZE + len(bodyAt(data, 0)))

    def test_worked(self) -> None:
        """
        The bytes are those of the documentation.
        """
        expected = (
            "02 0015 00000005 00000006 00000007 01 696e746572657374",
            "03 0008 00000005 00000007",
            (
                "04 004e 00000001 00000002 00000003 0000000000000004 0000000000000005"
                "0000000000000006 00000007 0008 00000009 000000000000000a"
                "0f 3139322e302e322e313a3534303030 07 7564702c746370"
            ),
            "05 000f 0e 746865206e6f64652073746f7073",
            "06 0008 0102030405060708",
            "07 0008 0102030405060708",
            (
                "08 0034 00000007 00000000000004e8 00000000000003e8"
                "0300000000000000000000000000000000000000000000000000000000000080"
            ),
            "09 003f 00000007 00000000000003e8 01" + "00" * 50,
        )
        for message, text in zip(EXAMPLES, expected, strict=True):
            self.assertEqual(message.encode().hex(), text.replace(" ", ""))

    def test_everyCut(self) -> None:
        """
        A message that is cut anywhere is refused.
        """
        for message in EXAMPLES:
            data = message.encode()
            for end in range(1, len(data)):
                with self.assertRaises(ProtocolError):
                    decode(data[:end])

    def test_everyShorterBody(self) -> None:
        """
        A body that ends early is refused, or is what ends anywhere: the data of a segment, the
        counters that are missing, the frames of a copy.
        """
        for message in EXAMPLES:
            kind, body = message.encode()[0], message.encode()[HEAD_SIZE:]
            for end in range(len(body)):
                try:
                    found = decodeMessage(kind, body[:end])
                except ProtocolError:
                    continue
                expected: tuple[Message, ...] = (
                    Segment(5, 6, 7, True, b"interest"[: end - 13]),
                    Missing(7, () if end == 20 else (1000, 1001), 1256),
                    Copies(7, 1000, b""),
                )
                self.assertIn(found, expected)

    def test_unknown(self) -> None:
        """
        A kind that is not known is no mistake: its length says where the next message begins.
        """
        unknown = b"\xfe\x00\x03abc"
        self.assertIsNone(decode(unknown))
        self.assertEqual(bodyAt(unknown, 0), b"abc")

    def test_mutations(self) -> None:
        """
        Mutated messages are messages or are refused, never anything worse.
        """
        accepted = refused = 0
        for data in mutations(4, [message.encode() for message in EXAMPLES]):
            try:
                decode(data or b"\0")
                accepted += 1
            except ProtocolError:
                refused += 1
        self.assertGreater(min(accepted, refused), 0)

    def test_text(self) -> None:
        """
        Of a text what cannot be printed is left out, and at most 255 bytes are sent.
        """
        self.assertEqual(decode(Goodbye("a\x1b[31m\nb").encode()), Goodbye("a[31mb"))
        self.assertEqual(decode(Goodbye("x" * 300).encode()), Goodbye("x" * 255))

    def test_clipped(self) -> None:
        """
        What does not fit into a measurement is told as the largest that does.
        """
        message = Measurement(0, 0, 2**40, 0, 0, 0, 2**40, 2**20, 0, 0)
        found = decode(message.encode())
        expected = Measurement(0, 0, 2**32 - 1, 0, 0, 0, 2**32 - 1, 2**16 - 1, 0, 0)
        self.assertEqual(found, expected)


class FrameTests(SynchronousTestCase):
    """
    Frames of calls.
    """

    def test_worked(self) -> None:
        """
        A frame has 51 bytes: kind, index, source, destination, flags, stream, burst, BER, RSSI.
        """
        frame = Frame.make(
            sequence=0,
            source=0x23B479,
            destination=91,
            flags=SLOT_2 | DATA_SYNC | VOICE_HEADER,
            stream=0xDEADBEEF,
            burst=bytes(range(33)),
            ber=2,
            rssi=70,
        )
        data = encodeFrame(0x0102, frame)
        text = "01 00000102 23b479 00005b a1 deadbeef" + bytes(range(33)).hex() + "02 46"
        self.assertEqual(data.hex(), text.replace(" ", ""))
        self.assertEqual((len(data), FRAME_SIZE, data[0]), (51, 51, FRAME))

    @given(_32, st.binary(min_size=6, max_size=6), st.binary(min_size=40, max_size=40))
    def test_roundTrip(self, index: int, numbers: bytes, body: bytes) -> None:
        """
        A frame comes back unchanged at any offset, its sequence number the low byte of its index.
        """
        frame = Frame(bytes((index & 0xFF,)) + numbers, body)
        found = decodeFrame(b"before" + encodeFrame(index, frame) + b"after", 6)
        self.assertEqual((found.addressing, found.body), (frame.addressing, frame.body))
