"""
Tests of L{bmff.dmr.datagram}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.datagram import Datagram, groupAddress, numberOf, radioAddress
from bmff.errors import ProtocolError
from bmff.testing.mutation import mutations
from tests.dmr.test_crc import MESSAGE

ports = st.integers(0, 0xFFFF)
addresses = st.integers(0, 0xFFFFFFFF)
datagrams = st.builds(Datagram, addresses, addresses, ports, ports, st.binary(max_size=200), ports)


class DatagramTests(SynchronousTestCase):
    """
    Tests of IPv4 and UDP.
    """

    def test_real(self) -> None:
        """
        A datagram that a radio sent is read, and made again bit for bit.
        """
        datagram = Datagram.decode(MESSAGE)
        self.assertEqual(datagram.source, radioAddress(0x21EE03))
        self.assertEqual(datagram.destination, radioAddress(0x036717))
        self.assertEqual((datagram.sourcePort, datagram.destinationPort), (4007, 4007))
        self.assertEqual(datagram.encode(), MESSAGE[:58])

    @given(datagrams, st.binary(max_size=20))
    def test_roundTrip(self, datagram: Datagram, rest: bytes) -> None:
        """
        What was encoded is decoded, whatever follows.
        """
        self.assertEqual(Datagram.decode(datagram.encode() + rest), datagram)

    @given(datagrams, st.data())
    def test_damage(self, datagram: Datagram, draw: st.DataObject) -> None:
        """
        One wrong bit is seen, whichever it is.
        """
        wrong = bytearray(datagram.encode())
        place = draw.draw(st.integers(0, 8 * len(wrong) - 1))
        wrong[place // 8] ^= 1 << place % 8
        if wrong[26:28] != b"\0\0":  # which says that there is no checksum
            self.assertRaises(ProtocolError, Datagram.decode, bytes(wrong))

    @given(datagrams)
    def test_cut(self, datagram: Datagram) -> None:
        """
        A datagram that is cut off anywhere is a peer's fault.
        """
        data = datagram.encode()
        for length in range(len(data)):
            self.assertRaises(ProtocolError, Datagram.decode, data[:length])

    def test_noChecksum(self) -> None:
        """
        A datagram whose sender left out the checksum is read.
        """
        data = bytearray(MESSAGE)
        data[26:28] = b"\0\0"
        self.assertEqual(Datagram.decode(bytes(data)), Datagram.decode(MESSAGE))

    def test_mutations(self) -> None:
        """
        Any bytes are a datagram, or a peer's fault.
        """
        for data in mutations(4, [MESSAGE], 5000):
            try:
                datagram = Datagram.decode(data)
            except ProtocolError:
                continue
            self.assertEqual(Datagram.decode(datagram.encode()), datagram)

    def test_tooLong(self) -> None:
        """
        What does not fit into a datagram is refused.
        """
        self.assertRaises(ValueError, Datagram(0, 0, 0, 0, bytes(0xFFFF)).encode)

    def test_addresses(self) -> None:
        """
        Addresses hold radio IDs and talkgroups in their last three bytes.
        """
        self.assertEqual(radioAddress(0x010203), 0x0C010203)
        self.assertEqual(groupAddress(91), 0xE100005B)
        self.assertEqual(numberOf(radioAddress(2623266)), 2623266)
