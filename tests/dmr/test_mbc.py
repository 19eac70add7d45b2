"""
Tests of L{bmff.dmr.mbc}.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.csbk import CSBK
from bmff.dmr.mbc import MultiBlock
from bmff.errors import ProtocolError
from tests.dmr.test_csbk import csbks


def unmarked(block: bytes) -> bytes:
    """
    A block without the bit that tells the last one.
    """
    return bytes((block[0] & 0x7F,)) + block[1:]


messages = st.builds(
    MultiBlock,
    csbks.map(lambda csbk: replace(csbk, last=False)),
    st.lists(st.binary(min_size=12, max_size=12).map(unmarked), max_size=2).map(tuple),
    st.binary(min_size=10, max_size=10).map(unmarked),
)


class MultiBlockTests(SynchronousTestCase):
    """
    Tests of signalling in several blocks.
    """

    @given(messages)
    def test_roundTrip(self, message: MultiBlock) -> None:
        """
        What was encoded is decoded; the header has a mask of its own.
        """
        header, *blocks = message.encode()
        self.assertEqual(MultiBlock.decode(header, blocks), message)
        self.assertRaises(ProtocolError, CSBK.decode, header)

    @given(messages, st.data())
    def test_cut(self, message: MultiBlock, data: st.DataObject) -> None:
        """
        A message whose last block is missing or doubled, or any is damaged, is seen as such.
        """
        header, *blocks = message.encode()
        place = data.draw(st.integers(0, len(blocks) - 1))
        self.assertRaises(ProtocolError, MultiBlock.decode, header, blocks[:-1])
        self.assertRaises(ProtocolError, MultiBlock.decode, header, [*blocks, blocks[-1]])
        at = data.draw(st.integers(0, 11))
        wrong = bytearray(blocks[place])
        wrong[at] ^= data.draw(st.integers(1, 255))
        self.assertRaises(
            ProtocolError,
            MultiBlock.decode,
            header,
            [*blocks[:place], bytes(wrong), *blocks[place + 1 :]],
        )

    @given(st.binary(max_size=13), st.lists(st.binary(max_size=13), max_size=5))
    def test_anything(self, header: bytes, blocks: list[bytes]) -> None:
        """
        Any bytes are a message, or a peer's fault.
        """
        try:
            message = MultiBlock.decode(header, blocks)
        except ProtocolError:
            return
        self.assertEqual(len(message.encode()), 1 + len(blocks))
