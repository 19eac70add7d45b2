"""
Tests of L{bmff.wire.fastforward.prologue}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError
from bmff.testing.mutation import mutations
from bmff.wire.fastforward.prologue import Prologue

EXAMPLES = (
    Prologue("", 2501, 2502, "group", "udp"),
    Prologue("prüfung", 0, 0xFFFFFFFF, "k" * 32, "t" * 16),
    Prologue("e" * 32, 25011, 25012, "1", "unix"),
)


def texts(smallest: int, largest: int) -> st.SearchStrategy[str]:
    """
    Texts with a number of bytes between these.
    """
    letters = st.characters(codec="utf-8")
    return st.text(letters, min_size=smallest, max_size=largest).filter(
        lambda text: len(text.encode()) <= largest
    )


prologues = st.builds(
    Prologue,
    environment=texts(0, 32),
    initiator=st.integers(0, 0xFFFFFFFF),
    responder=st.integers(0, 0xFFFFFFFF),
    key=texts(1, 32),
    transport=texts(1, 16),
)


class PrologueTests(SynchronousTestCase):
    """
    Bytes and back.
    """

    def test_layout(self) -> None:
        """
        The bytes are those of the table.
        """
        self.assertEqual(
            Prologue("env", 0x01020304, 0x05060708, "key", "udp").encode(),
            b"bmff-ff-1\x03env\x01\x02\x03\x04\x05\x06\x07\x08\x03key\x03udp",
        )

    @given(prologues)
    def test_roundTrip(self, prologue: Prologue) -> None:
        """
        Every prologue comes back from its bytes.
        """
        self.assertEqual(Prologue.decode(prologue.encode()), prologue)

    def test_everyCut(self) -> None:
        """
        A prologue that is cut anywhere, or has something after it, is none.
        """
        for example in EXAMPLES:
            encoded = example.encode()
            for end in range(len(encoded)):
                with self.assertRaises(ProtocolError):
                    Prologue.decode(encoded[:end])
            with self.assertRaisesRegex(ProtocolError, "^wrong length$"):
                Prologue.decode(encoded + b"\x00")

    def test_mutations(self) -> None:
        """
        Whatever is decoded has those bytes and no others; the rest is refused.
        """
        decoded = 0
        for data in mutations(1, [example.encode() for example in EXAMPLES]):
            try:
                prologue = Prologue.decode(data)
            except ProtocolError:
                continue
            decoded += 1
            self.assertEqual(prologue.encode(), data)
        self.assertGreater(decoded, 1000)

    def test_refused(self) -> None:
        """
        Another version, a text that is too long or empty, and what is not UTF-8 are refused.
        """
        encoded = EXAMPLES[0].encode()
        for data, reason in (
            (encoded.replace(b"ff-1", b"ff-2"), "version"),
            (encoded.replace(b"\x05group", b"\x21" + b"k" * 33), "text length"),
            (encoded.replace(b"\x05group", b"\x00"), "text length"),
            (encoded.replace(b"\x03udp", b"\x11" + b"t" * 17), "text length"),
            (encoded.replace(b"group", b"gr\xffup"), "text"),
        ):
            with self.assertRaisesRegex(ProtocolError, f"^{reason}$"):
                Prologue.decode(data)

    def test_limits(self) -> None:
        """
        No prologue is made that could not be sent.
        """
        for environment, node, key, transport in (
            ("ü" * 17, 1, "key", "udp"),
            ("", -1, "key", "udp"),
            ("", 1 << 32, "key", "udp"),
            ("", 1, "", "udp"),
            ("", 1, "k" * 33, "udp"),
            ("", 1, "key", ""),
            ("", 1, "key", "t" * 17),
        ):
            self.assertRaises(ValueError, Prologue, environment, node, 2, key, transport)
            self.assertRaises(ValueError, Prologue, environment, 2, node, key, transport)
