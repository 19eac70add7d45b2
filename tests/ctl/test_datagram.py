"""
Tests of L{bmff.ctl.datagram}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.ctl.datagram import LINK_TYPES, findDatagram
from bmff.testing.mutation import mutations
from tests.pcaps import ethernet, ipv4, ipv6, tcp

PAYLOADS = st.binary(max_size=60)
COOKED = bytes.fromhex("0000000100060242424242420000")  # Linux, version 1, without its last field
COOKED2 = bytes.fromhex("0000000000020001000602424242424200 00".replace(" ", ""))
# Ways to the same packet: link type and what stands before it, of IPv4 and of IPv6.
LINKS = {
    "null": (0, b"\2\0\0\0", b"\x1e\0\0\0"),
    "loop": (108, b"\0\0\0\2", b"\0\0\0\x1e"),
    "raw": (101, b"", b""),
    "raw 12": (12, b"", b""),
    "raw 14": (14, b"", b""),
    "cooked": (113, COOKED + b"\x08\x00", COOKED + b"\x86\xdd"),
    "cooked 2": (276, b"\x08\x00" + COOKED2, b"\x86\xdd" + COOKED2),
    "VLAN": (1, b"a" * 12 + b"\x81\0\0\7\x08\0", b"a" * 12 + b"\x81\0\0\7\x86\xdd"),
    "two VLANs": (
        1,
        b"a" * 12 + b"\x88\xa8\0\7\x81\0\0\7\x08\0",
        b"a" * 12 + b"\x91\0\0\7\x81\0\0\7\x86\xdd",
    ),
    "Ethernet": (1, b"a" * 12 + b"\x08\x00", b"a" * 12 + b"\x86\xdd"),
}


class DatagramTests(SynchronousTestCase):
    """
    Where a datagram is, and how it is changed.
    """

    @given(st.sampled_from(sorted(LINKS)), PAYLOADS, PAYLOADS, st.booleans(), st.binary(max_size=9))
    def test_withPayload(
        self, link: str, payload: bytes, other: bytes, isIPv6: bool, behind: bytes
    ) -> None:
        """
        On every kind of link a packet with another payload is the one that would have been made
        with that, to the last bit of its checksums; what stands around it stays.
        """
        linkType, *heads = LINKS[link]
        head, make = heads[isIPv6], ipv6 if isIPv6 else ipv4
        datagram = findDatagram(linkType, head + make(payload) + behind)
        assert datagram is not None
        self.assertEqual(datagram.payload, payload)
        self.assertEqual(datagram.withPayload(other), head + make(other) + behind)

    def test_bareFamilies(self) -> None:
        """
        Links that carry one version of IP alone are read.
        """
        for linkType, packet in ((228, ipv4(b"four")), (229, ipv6(b"six"))):
            datagram = findDatagram(linkType, packet)
            assert datagram is not None
            self.assertIn(datagram.payload, (b"four", b"six"))
        self.assertEqual(LINK_TYPES, {linkType for linkType, *_ in LINKS.values()} | {228, 229})

    def test_wrongChecksum(self) -> None:
        """
        Checksums that the network card had not filled in yet are right afterwards.
        """
        packet = bytearray(ipv4(b"abc"))
        packet[10:12], packet[26:28] = b"\0\0", b"\x12\x34"
        datagram = findDatagram(101, bytes(packet))
        assert datagram is not None
        self.assertEqual(datagram.withPayload(b"abc"), ipv4(b"abc"))

    def test_noChecksum(self) -> None:
        """
        Where the sender has left out the checksum of UDP there is none afterwards.
        """
        datagram = findDatagram(101, ipv4(b"abc", summed=False))
        assert datagram is not None
        self.assertEqual(datagram.withPayload(b"de"), ipv4(b"de", summed=False))

    def test_options(self) -> None:
        """
        Options of IP stay, in either version.
        """
        more = b"\x94\x04\0\0"
        for packet, changed in (
            (ipv4(b"abc", options=more), ipv4(b"de", options=more)),
            (
                ipv6(b"abc", options=b"\x3c\0" + bytes(6) + b"\x11\1" + bytes(14), following=0),
                ipv6(b"de", options=b"\x3c\0" + bytes(6) + b"\x11\1" + bytes(14), following=0),
            ),
        ):
            datagram = findDatagram(101, packet)
            assert datagram is not None
            self.assertEqual(datagram.withPayload(b"de"), changed)

    def test_others(self) -> None:
        """
        What is no whole UDP datagram over IP is none: TCP, fragments, packets that were cut, other
        protocols and links.
        """
        whole = ethernet(ipv4(b"payload"))
        assert findDatagram(1, whole) is not None
        for linkType, packet in (
            (101, tcp(b"payload", 1)),
            (101, ipv4(b"payload", protocol=47)),
            (101, ipv4(b"payload", fragment=0x2000)),
            (101, ipv4(b"payload", fragment=1)),
            (101, ipv6(b"payload", options=b"\x11" + bytes(7), following=44)),
            (101, ipv6(b"payload", following=6)),
            (1, b"a" * 12 + b"\x08\x06" + bytes(28)),
            (1, b"a" * 12 + b"\x81\0\0\7"),
            (147, whole),
            (101, b""),
            *((1, whole[:size]) for size in range(len(whole))),
        ):
            self.assertIsNone(findDatagram(linkType, packet), packet)

    def test_mutations(self) -> None:
        """
        Whatever a packet is, it gives a datagram within its bytes or none.
        """
        packets = [ipv4(b"payload"), ipv6(b"payload"), ipv4(b"x", options=bytes(8))]
        packets += [head + packets[0] for _, head, _ in LINKS.values()]
        found = 0
        for packet in mutations(1, packets, 5000):
            for linkType in (1, 101, 113, 276):
                datagram = findDatagram(linkType, packet)
                if datagram is not None:
                    found += 1
                    self.assertLessEqual(datagram.end, len(packet))
                    self.assertLessEqual(len(datagram.withPayload(b"")), len(packet))
        self.assertGreater(found, 100)
