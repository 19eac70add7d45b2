"""
Tests of L{bmff.cluster.choice} and L{bmff.wire.fastforward.capabilities}: which transport carries a
link.
"""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.cluster.choice import chooseTransport, isOverruled, rank
from bmff.wire.fastforward.capabilities import LARGEST, Capabilities

HERE = Capabilities(frozenset(("udp", "tcp", "unix", "shm")), "0123456789abcdef", 54000)
WISHES = ("", "tcp", "unix", "vsock")


def withWish(capabilities: Capabilities, wish: str) -> Capabilities:
    """
    The same with another wish.
    """
    return Capabilities(capabilities.transports, capabilities.host, capabilities.port, wish)


class ChoiceTests(SynchronousTestCase):
    """
    What two ends come to.
    """

    def test_sameAnswer(self) -> None:
        """
        Whatever the two want, both ends choose the same.
        """
        for mine, theirs in product(WISHES, WISHES):
            here, there = withWish(HERE, mine), withWish(HERE, theirs)
            self.assertEqual(
                chooseTransport(here, there, True), chooseTransport(there, here, False)
            )

    def test_wishes(self) -> None:
        """
        The wish of the lower node ID counts, else that of the other; the one that does not is
        overruled.
        """
        here, there = withWish(HERE, "tcp"), withWish(HERE, "unix")
        self.assertEqual(chooseTransport(here, there, True), "tcp")
        self.assertEqual(chooseTransport(here, there, False), "unix")
        self.assertEqual(chooseTransport(HERE, there, True), "unix")
        self.assertEqual(
            (isOverruled(here, there, True), isOverruled(here, there, False)), (False, True)
        )
        self.assertFalse(isOverruled(here, HERE, False))

    def test_automatic(self) -> None:
        """
        Without a wish it is the fastest that both have; TCP never.
        """
        self.assertEqual(chooseTransport(HERE, HERE, True), "shm")
        for names, expected in (
            ({"unix", "udp", "tcp"}, "unix"),
            ({"udp", "tcp"}, "udp"),
            ({"tcp"}, "udp"),
        ):
            other = Capabilities(frozenset(names), HERE.host, 54001)
            self.assertEqual(chooseTransport(HERE, other, True), expected)

    def test_apart(self) -> None:
        """
        What needs one host is not chosen between two, or where a host or a number is not told.
        """
        for host, port in (("fedcba9876543210", 54001), ("", 54001), (HERE.host, 0)):
            other = Capabilities(HERE.transports, host, port)
            self.assertEqual(chooseTransport(HERE, other, True), "udp")

    def test_oneHypervisor(self) -> None:
        """
        vSockets are chosen between a host and its guest where both name the same hypervisor, and
        nowhere else; RDMA comes before them.
        """
        names = frozenset(("udp", "vsock"))

        def told(hypervisor: str, cid: int, port: int = 54000) -> Capabilities:
            return Capabilities(names, "", port, "", hypervisor, cid)

        host = told("esx7", 2)
        for other, expected in (
            (told("esx7", 3), "vsock"),
            (told("esx8", 3), "udp"),
            (told("", 0), "udp"),
            (told("esx7", 2), "udp"),
            (told("esx7", 3, 0), "udp"),
        ):
            self.assertEqual(chooseTransport(host, other, True), expected)
            self.assertEqual(chooseTransport(other, host, False), expected)
        self.assertEqual(chooseTransport(told("esx7", 4), told("esx7", 3), True), "udp")
        self.assertEqual(chooseTransport(told("", 0), told("", 0), True), "udp")

    def test_rank(self) -> None:
        """
        The chosen transport is the first, UDP stands by; until the chosen one is there, what
        carries the link stays.
        """
        self.assertEqual(rank(("udp", "tcp", "unix"), "tcp"), ["tcp", "udp", "unix"])
        self.assertEqual(rank(("udp", "unix"), "udp"), ["udp", "unix"])
        self.assertEqual(rank(("udp", "tcp"), "unix", "tcp"), ["tcp", "udp"])
        self.assertEqual(rank(("udp", "tcp"), "unix", "shm"), ["udp", "tcp"])


class CapabilityTests(SynchronousTestCase):
    """
    What nodes tell each other.
    """

    @given(
        st.frozensets(st.from_regex(r"[a-z]{1,12}", fullmatch=True), max_size=60),
        st.from_regex(r"([0-9a-f]{16})?", fullmatch=True),
        st.integers(0, 65535),
        st.from_regex(r"[a-z]{0,12}", fullmatch=True),
    )
    def test_roundTrip(self, names: frozenset[str], host: str, port: int, wish: str) -> None:
        """
        It arrives as it was told, but for names that a measurement has no room for.
        """
        told = Capabilities(names, host, port, wish).encode()
        self.assertLessEqual(len(told), LARGEST)
        found = Capabilities.decode(told)
        self.assertEqual((found.host, found.port, found.wish), (host, port, wish))
        self.assertLessEqual(found.transports, names)
        if len(",".join(names)) < 180:
            self.assertEqual(found.transports, names)

    @given(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True), st.integers(1, 0xFFFF_FFFE))
    def test_hypervisor(self, hypervisor: str, cid: int) -> None:
        """
        The place at a hypervisor arrives whole, or not at all where a part of it is missing.
        """
        told = Capabilities(hypervisor=hypervisor, cid=cid)
        self.assertEqual(Capabilities.decode(told.encode()), told)
        for half in (Capabilities(hypervisor=hypervisor), Capabilities(cid=cid)):
            self.assertEqual(Capabilities.decode(half.encode()), Capabilities())
        for text in (
            f"v={cid}",
            f"v=@{hypervisor}",
            f"v=0@{hypervisor}",
            f"v=4294967295@{hypervisor}",
        ):
            found = Capabilities.decode(text)
            self.assertEqual((found.hypervisor, found.cid), ("", 0))

    @given(st.text(max_size=255))
    def test_anything(self, text: str) -> None:
        """
        Whatever another node tells raises nothing, and no port is out of range.
        """
        found = Capabilities.decode(text)
        self.assertLessEqual(found.port, 65535)
        self.assertNotIn("", found.transports)
