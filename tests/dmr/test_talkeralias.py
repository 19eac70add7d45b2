"""
Tests of L{bmff.dmr.talkeralias}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.talkeralias import AliasEncoding, decodeTalkerAlias, encodeTalkerAlias

ASCII = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
PRINTABLE = st.characters(exclude_categories=["C", "Z"])
LATIN_1 = st.characters(max_codepoint=0xFF, exclude_categories=["C", "Z"])
# A character takes up to four bytes in UTF-8 and UTF-16, so six are sure to have room.
TEXTS = st.one_of(
    st.tuples(st.just(AliasEncoding.ISO_7_BIT), st.text(ASCII, max_size=31)),
    st.tuples(st.just(AliasEncoding.ISO_8_BIT), st.text(LATIN_1, max_size=27)),
    st.tuples(st.just(AliasEncoding.UTF_8), st.text(PRINTABLE, max_size=6)),
    st.tuples(st.just(AliasEncoding.UTF_16), st.text(PRINTABLE, max_size=6)),
)


def decoded(*blocks: str) -> str | None:
    """
    The text of blocks in hex, the header first.
    """
    return decodeTalkerAlias(dict(enumerate(map(bytes.fromhex, blocks))))


class DecodingTests(SynchronousTestCase):
    """
    Tests of L{decodeTalkerAlias}.
    """

    def test_sevenBits(self) -> None:
        """
        Seven-bit characters begin right after the length, and cross the blocks.
        """
        bits = "00" + "01001" + "".join(f"{ord(letter):07b}" for letter in "G4KLX/Jon")
        data = int(bits.ljust(112, "0"), 2).to_bytes(14, "big")
        self.assertEqual(decodeTalkerAlias({0: data[:7], 1: data[7:]}), "G4KLX/Jon")

    def test_eightBits(self) -> None:
        """
        Eight-bit characters begin at the second byte.
        """
        self.assertEqual(decoded("50" + b"DL5DI ".hex(), "4af6726700" + "0000"), "DL5DI Jö")
        self.assertEqual(decoded("54" + b"DL5DI ".hex(), "4af6726700" + "0000"), "DL5DI Jörg")

    def test_utf8(self) -> None:
        """
        The length of UTF-8 counts bytes; what is cut in mid-character is left out.
        """
        self.assertEqual(decoded("8c" + "c3b6e282acff"), "ö€")
        self.assertEqual(decoded("88" + "c3b6e282acff"), "ö")

    def test_utf16(self) -> None:
        """
        The length of UTF-16 counts units of two bytes, the high one first.
        """
        self.assertEqual(decoded("c8" + "04200430" + "0434", "0438043e" + "ffffff"), "Ради")

    def test_order(self) -> None:
        """
        It does not matter in which order the blocks came.
        """
        blocks = dict(enumerate(encodeTalkerAlias("DL5DI Jörg, Köln am Rhein")))
        self.assertEqual(len(blocks), 4)
        self.assertEqual(
            decodeTalkerAlias(dict(reversed(blocks.items()))), "DL5DI Jörg, Köln am Rhein"
        )

    def test_missingBlocks(self) -> None:
        """
        The text ends where a block is missing, and without the header there is none.
        """
        blocks = dict(enumerate(encodeTalkerAlias("abcdefghijklmnopqrstuvwxyz")))
        self.assertEqual(decodeTalkerAlias({0: blocks[0]}), "abcdef")
        self.assertEqual(decodeTalkerAlias({0: blocks[0], 2: blocks[2]}), "abcdef")
        del blocks[3]
        self.assertEqual(decodeTalkerAlias(blocks), "abcdefghijklmnopqrst")
        self.assertIsNone(decodeTalkerAlias({1: blocks[1], 2: blocks[2]}))
        self.assertIsNone(decodeTalkerAlias({}))

    def test_shortBlocks(self) -> None:
        """
        The text ends where a block is cut off, in each encoding after the last whole character.
        """
        texts = {
            encoding: decodeTalkerAlias({0: encodeTalkerAlias("abcdefghi", encoding)[0][:3]})
            for encoding in AliasEncoding
        }
        self.assertEqual(
            texts,
            {
                AliasEncoding.ISO_7_BIT: "ab",
                AliasEncoding.ISO_8_BIT: "ab",
                AliasEncoding.UTF_8: "ab",
                AliasEncoding.UTF_16: "a",
            },
        )

    def test_longBlocks(self) -> None:
        """
        Of a block only seven bytes count, and blocks that do not exist count for nothing.
        """
        blocks = dict(enumerate(encodeTalkerAlias("abcdefgh")))
        blocks[0] += b"!!!"
        blocks[4] = blocks[-1] = b"?" * 7
        self.assertEqual(decodeTalkerAlias(blocks), "abcdefgh")

    def test_controlCharacters(self) -> None:
        """
        What cannot be printed is left out: line breaks, escapes, changes of direction.
        """
        self.assertEqual(decoded("4c" + b"A\r\n\x1bB\x85".hex()), "AB")
        self.assertEqual(decoded("c6" + "0041" + "202e" + "0042"), "AB")

    def test_padding(self) -> None:
        """
        Spaces around the text and all from the first zero on are padding.
        """
        self.assertEqual(decoded("4c" + b" AB \0C".hex()), "AB")
        self.assertIsNone(decoded("4c" + b"   \0\0\0".hex()))

    @given(st.dictionaries(st.integers(0, 255), st.binary(max_size=9)))
    def test_noise(self, blocks: dict[int, bytes]) -> None:
        """
        Any blocks give a text that can be printed, of at most 31 characters, or none.
        """
        text = decodeTalkerAlias(blocks)
        if text is not None:
            self.assertTrue(text.isprintable(), text)
            self.assertIn(len(text), range(1, 32))


class EncodingTests(SynchronousTestCase):
    """
    Tests of L{encodeTalkerAlias}.
    """

    @given(TEXTS)
    def test_roundTrip(self, sent: tuple[AliasEncoding, str]) -> None:
        """
        A text that has room is read as it was written, in up to four blocks of 7 bytes.
        """
        encoding, text = sent
        blocks = encodeTalkerAlias(text, encoding)
        self.assertEqual({len(block) for block in blocks}, {7})
        self.assertIn(len(blocks), range(1, 5))
        self.assertEqual(decodeTalkerAlias(dict(enumerate(blocks))), text or None)

    def test_room(self) -> None:
        """
        A text that is too long ends where the room does.
        """
        rooms = {
            encoding: decodeTalkerAlias(dict(enumerate(encodeTalkerAlias("x" * 99, encoding))))
            for encoding in AliasEncoding
        }
        self.assertEqual(
            rooms,
            {
                AliasEncoding.ISO_7_BIT: "x" * 31,
                AliasEncoding.ISO_8_BIT: "x" * 27,
                AliasEncoding.UTF_8: "x" * 27,
                AliasEncoding.UTF_16: "x" * 13,
            },
        )

    def test_wholeCharacters(self) -> None:
        """
        A character of several bytes is sent whole or not at all.
        """
        utf8 = encodeTalkerAlias("€" * 10)
        utf16 = encodeTalkerAlias("x" + "\N{GRINNING FACE}" * 7, AliasEncoding.UTF_16)
        utf16Odd = encodeTalkerAlias("\N{GRINNING FACE}" * 7, AliasEncoding.UTF_16)
        self.assertEqual(utf8[0][0] >> 1 & 0x1F, 27)
        self.assertEqual(utf16[0][0] >> 1 & 0x1F, 13)
        self.assertEqual(utf16Odd[0][0] >> 1 & 0x1F, 12)

    def test_blocks(self) -> None:
        """
        No more blocks are made than the text takes.
        """
        self.assertEqual(len(encodeTalkerAlias("G4KLX")), 1)
        self.assertEqual(len(encodeTalkerAlias("DL5DI Jon")), 2)
        self.assertEqual(len(encodeTalkerAlias("DL5DI/J", AliasEncoding.ISO_7_BIT)), 1)

    def test_encodingLacksCharacter(self) -> None:
        """
        A character that the encoding does not have is refused.
        """
        for encoding in (AliasEncoding.ISO_7_BIT, AliasEncoding.ISO_8_BIT):
            self.assertRaises(UnicodeEncodeError, encodeTalkerAlias, "Ради", encoding)
