"""
Tests of L{bmff.protocols.mqtt.packets}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError
from bmff.protocols.mqtt.packets import Packets
from tests.protocols.mqtt.scripted import PINGRESP, PUBLISH, packet


class PacketsTests(SynchronousTestCase):
    """
    The cutting of a stream.
    """

    @given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
    def test_anyCut(self, bodies: list[bytes], step: int) -> None:
        """
        However the bytes come, the same packets come out, each as soon as it is whole.
        """
        wanted = [packet(PUBLISH, body) for body in bodies]
        stream = b"".join(wanted)
        packets = Packets()
        found = []
        for place in range(0, len(stream), step):
            packets.feed(stream[place : place + step])
            while (one := packets.next()) is not None:
                found.append(one)
        self.assertEqual(found, wanted)
        self.assertEqual(len(packets), 0)

    def test_tooLong(self) -> None:
        """
        A packet that is too long is refused by its length, before it has come.
        """
        packets = Packets(100)
        packets.feed(packet(PUBLISH, bytes(98)))
        self.assertIsNotNone(packets.next())
        packets.feed(packet(PUBLISH, bytes(200))[:3])
        self.assertRaises(ProtocolError, packets.next)

    def test_noLength(self) -> None:
        """
        A length of five digits is none.
        """
        packets = Packets()
        packets.feed(b"\x30\xff\xff\xff\xff\x01")
        self.assertRaises(ProtocolError, packets.next)

    def test_empty(self) -> None:
        """
        A packet may have nothing in it.
        """
        packets = Packets()
        packets.feed(packet(PINGRESP) * 2)
        self.assertEqual([packets.next(), packets.next()], [b"\xd0\0"] * 2)
        self.assertIsNone(packets.next())
