"""
Tests of L{bmff.dmr.trellis}.
"""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr import trellis
from bmff.errors import ProtocolError

DATA = bytes.fromhex("00112233445566778899aabbccddeeff0123")

# Tables B.7 to B.9 of ETSI TS 102 361-1 as they stand there: the point for each state and input,
# its two symbols, and which symbol is sent at which place.
POINTS = [
    [0, 8, 4, 12, 2, 10, 6, 14],
    [4, 12, 2, 10, 6, 14, 0, 8],
    [1, 9, 5, 13, 3, 11, 7, 15],
    [5, 13, 3, 11, 7, 15, 1, 9],
    [3, 11, 7, 15, 1, 9, 5, 13],
    [7, 15, 1, 9, 5, 13, 3, 11],
    [2, 10, 6, 14, 0, 8, 4, 12],
    [6, 14, 0, 8, 4, 12, 2, 10],
]
SYMBOLS = [
    (1, -1),
    (-1, -1),
    (3, -3),
    (-3, -3),
    (-3, -1),
    (3, -1),
    (-1, -3),
    (1, -3),
    (-3, 3),
    (3, 3),
    (-1, 1),
    (1, 1),
    (1, 3),
    (-1, 3),
    (3, 1),
    (-3, 1),
]
BITS = {1: "00", 3: "01", -1: "10", -3: "11"}
NEIGHBOURS = {1: (3, -1), 3: (1,), -1: (1, -3), -3: (-1,)}
PLACES = [
    *(0, 1, 8, 9, 16, 17, 24, 25, 32, 33, 40, 41, 48, 49, 56, 57, 64, 65, 72, 73, 80, 81, 88, 89),
    *(96, 97, 2, 3, 10, 11, 18, 19, 26, 27, 34, 35, 42, 43, 50, 51, 58, 59, 66, 67, 74, 75, 82, 83),
    *(90, 91, 4, 5, 12, 13, 20, 21, 28, 29, 36, 37, 44, 45, 52, 53, 60, 61, 68, 69, 76, 77, 84, 85),
    *(92, 93, 6, 7, 14, 15, 22, 23, 30, 31, 38, 39, 46, 47, 54, 55, 62, 63, 70, 71, 78, 79, 86, 87),
    *(94, 95),
]

blocks = st.binary(min_size=18, max_size=18)


def symbols(data: bytes) -> list[int]:
    """
    The symbols that are sent for some data, by the tables.
    """
    bits = "".join(f"{byte:08b}" for byte in data) + "000"
    state = 0
    ordered: list[int] = []
    for place in range(0, len(bits), 3):
        following = int(bits[place : place + 3], 2)
        ordered += SYMBOLS[POINTS[state][following]]
        state = following
    return [ordered[place] for place in PLACES]


def asBits(sent: list[int]) -> int:
    """
    Symbols as bits, the first as the highest.
    """
    return int("".join(BITS[symbol] for symbol in sent), 2)


class TrellisTests(SynchronousTestCase):
    """
    Tests of the trellis code.
    """

    @given(blocks)
    def test_tables(self, data: bytes) -> None:
        """
        A block is what the published tables make of its data.
        """
        self.assertEqual(trellis.encode(data), asBits(symbols(data)))

    @given(blocks)
    def test_roundTrip(self, data: bytes) -> None:
        """
        What was encoded is decoded.
        """
        self.assertEqual(trellis.decode(trellis.encode(data)), data)

    def test_oneError(self) -> None:
        """
        One wrong bit is put right, whichever it is.
        """
        block = trellis.encode(DATA)
        for place in range(196):
            self.assertEqual(trellis.decode(block ^ 1 << place), DATA)

    def test_spreadErrors(self) -> None:
        """
        Symbols far from one another that were taken for their neighbours are put right together.
        """
        sent = symbols(DATA)
        random = Random(34)
        for _ in range(100):
            wrong = list(sent)
            # Every eighth pair of symbols, in the order before they are spread out.
            for place in range(random.randrange(16), 98, 16):
                at = PLACES.index(place)
                wrong[at] = random.choice(NEIGHBOURS[sent[at]])
            self.assertEqual(trellis.decode(asBits(wrong)), DATA)

    def test_noise(self) -> None:
        """
        Noise is taken for no block.
        """
        random = Random(43)
        for _ in range(200):
            self.assertRaises(ProtocolError, trellis.decode, random.getrandbits(196))

    @given(st.integers(0, (1 << 196) - 1))
    def test_anything(self, bits: int) -> None:
        """
        Any 196 bits are decoded to 18 bytes, or are a peer's fault.
        """
        try:
            data = trellis.decode(bits)
        except ProtocolError as error:
            self.assertEqual(error.reason, "uncorrectable trellis block")
        else:
            self.assertEqual(len(data), 18)
