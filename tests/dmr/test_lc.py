"""
Tests of L{bmff.dmr.lc}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.lc import FullLinkControl
from bmff.errors import ProtocolError

bytesOf = st.integers(0, 0xFF)
addresses = st.integers(0, 0xFFFFFF)
linkControls = st.builds(
    FullLinkControl, st.integers(0, 0x3F), bytesOf, bytesOf, addresses, addresses, st.booleans()
)


class FullLinkControlTests(SynchronousTestCase):
    """
    Tests of L{FullLinkControl}.
    """

    def test_layout(self) -> None:
        """
        The Link Control of a real call is read, and written as it was.
        """
        data = bytes.fromhex("001020000c302f9be5")
        lc = FullLinkControl.fromBytes(data)
        self.assertEqual(lc, FullLinkControl(0, 0x10, 0x20, 3120, 3120101))
        self.assertEqual(lc.toBytes(), data)

    def test_group(self) -> None:
        """
        A plain group call is opcode 0 of the standard's features, with no options.
        """
        lc = FullLinkControl.group(destination=91, source=2340001)
        self.assertEqual(lc.toBytes().hex(), "000000" + "00005b" + "23b4a1")

    def test_private(self) -> None:
        """
        A plain private call is opcode 3 of the standard's features, with no options.
        """
        lc = FullLinkControl.private(destination=2340002, source=2340001)
        self.assertEqual(lc.toBytes().hex(), "030000" + "23b4a2" + "23b4a1")

    def test_flags(self) -> None:
        """
        The protect flag is the first bit; the reserved one after it is ignored.
        """
        lc = FullLinkControl.fromBytes(b"\xc3" + bytes(8))
        self.assertEqual((lc.flco, lc.protected), (3, True))
        self.assertEqual(lc.toBytes()[0], 0x83)

    @given(linkControls)
    def test_roundTrip(self, lc: FullLinkControl) -> None:
        """
        Every Link Control is read as it was written.
        """
        self.assertEqual(FullLinkControl.fromBytes(lc.toBytes()), lc)

    def test_size(self) -> None:
        """
        What has not 9 bytes is a peer's fault.
        """
        for size in (*range(9), 10, 12):
            self.assertRaises(ProtocolError, FullLinkControl.fromBytes, bytes(size))
