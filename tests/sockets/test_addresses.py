"""
Tests of C{bmff.sockets.addresses}.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.sockets.addresses import formatAddress, packAddress, unpackAddress

ports = st.integers(0, 0xFFFF)
# Nearly keys: family, port, flow information or IPv4 address, the rest.
pieces = (
    st.sampled_from([packAddress("::", 0)[:2], packAddress("0.0.0.0", 0)[:2]]),
    st.binary(min_size=2, max_size=2),
    st.sampled_from([bytes(4), bytes((0, 0, 0, 1))]),
    st.one_of(st.just(b""), st.binary(min_size=20, max_size=20), st.binary(max_size=24)),
)


class AddressTests(SynchronousTestCase):
    """
    A key stands for one address and port.
    """

    @given(st.ip_addresses(v=4), ports)
    def test_roundTripIPv4(self, host: IPv4Address, port: int) -> None:
        """
        An IPv4 key has 8 bytes and gives back what it was made of.
        """
        address = packAddress(str(host), port)
        self.assertEqual(len(address), 8)
        self.assertEqual(unpackAddress(address), (str(host), port))

    @given(st.ip_addresses(v=6), ports, st.integers(0, 0xFFFFFFFF))
    def test_roundTripIPv6(self, host: IPv6Address, port: int, scope: int) -> None:
        """
        An IPv6 key has 28 bytes and gives back what it was made of.
        """
        address = packAddress(str(host), port, scope)
        self.assertEqual(len(address), 28)
        name, *rest = unpackAddress(address)
        self.assertEqual(IPv6Address(name), host)
        self.assertEqual(rest, [port, 0, scope])

    def test_layout(self) -> None:
        """
        Port and address lie in network order behind the family.
        """
        self.assertEqual(packAddress("192.0.2.1", 0xF247)[2:], bytes.fromhex("f247c0000201"))
        self.assertEqual(
            packAddress("2001:db8::1", 0xF247)[2:24],
            bytes.fromhex("f247 00000000 20010db8000000000000000000000001"),
        )

    def test_oneKeyForOneAddress(self) -> None:
        """
        Two ways to write an address give one key.
        """
        self.assertEqual(packAddress("2001:DB8:0::1", 1), packAddress("2001:db8::1", 1))

    def test_format(self) -> None:
        """
        Addresses are written as people write them.
        """
        self.assertEqual(formatAddress(packAddress("192.0.2.1", 62031)), "192.0.2.1:62031")
        self.assertEqual(formatAddress(packAddress("2001:db8::1", 62031)), "[2001:db8::1]:62031")
        self.assertEqual(formatAddress(packAddress("fe80::1", 62031, 2)), "[fe80::1%2]:62031")

    def test_scopeInHost(self) -> None:
        """
        A scope may stand behind the host, as a number or as an interface's name.
        """
        self.assertEqual(packAddress("fe80::1%7", 1), packAddress("fe80::1", 1, 7))
        index, name = socket.if_nameindex()[0]
        self.assertEqual(packAddress(f"fe80::1%{name}", 1), packAddress("fe80::1", 1, index))

    def test_notNumeric(self) -> None:
        """
        What is not a numeric address is refused; nothing is looked up.
        """
        hosts = ("", "localhost", "192.0.2", "192.0.2.256", "::g", "fe80::1%", "192.0.2.1%1")
        for host in (*hosts, "fe80::1%no such", "fe80::1%4294967296", "1.2.3.4\0", "::1\0"):
            with self.assertRaises(ValueError, msg=host):
                packAddress(host, 1)

    def test_notAPort(self) -> None:
        """
        Ports end at 65535.
        """
        for port in (-1, 0x10000):
            self.assertRaises(ValueError, packAddress, "192.0.2.1", port)
            self.assertRaises(ValueError, packAddress, "::1", port)

    @given(st.one_of(st.binary(max_size=40), st.builds(lambda *parts: b"".join(parts), *pieces)))
    def test_notAKey(self, data: bytes) -> None:
        """
        Bytes are a key that packs again to the same, or are refused.
        """
        try:
            host, port, *rest = unpackAddress(data)
        except ValueError:
            self.assertRaises(ValueError, formatAddress, data)
        else:
            self.assertEqual(packAddress(str(host), int(port), *rest[1:]), data)
