"""
Tests of L{bmff.dmr.position}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.position import UNKNOWN_ERROR, Position, decodePosition, encodePosition
from bmff.errors import ProtocolError

STEP = 180 / 2**24  # degrees, of the latitude and of the longitude; 1.2 m


class PositionTests(SynchronousTestCase):
    """
    Tests of the position's 7 bytes.
    """

    def test_layout(self) -> None:
        """
        Error, longitude and latitude follow one another; they are parts of 360 and 180 degrees.
        """
        # error 3 | longitude a quarter of the circle | latitude a quarter of the half circle
        data = bytes.fromhex("06" + "800000" + "400000")
        self.assertEqual(decodePosition(data), Position(45.0, 90.0, 3))
        self.assertEqual(encodePosition(Position(45.0, 90.0, 3)), data)

    def test_signs(self) -> None:
        """
        South and west are negative.
        """
        # longitude -1 step in 25 bits, latitude -1 step in 24
        data = bytes.fromhex("0f" + "ffffff" + "ffffff")
        position = decodePosition(data)
        self.assertEqual(position, Position(-STEP, -STEP, UNKNOWN_ERROR))
        self.assertEqual(encodePosition(position), data)

    def test_reserved(self) -> None:
        """
        The reserved bits are ignored.
        """
        data = bytes.fromhex("06800000400000")
        self.assertEqual(decodePosition(b"\xf6" + data[1:]), decodePosition(data))

    def test_edges(self) -> None:
        """
        The poles stay where they are, to one step, and 180 degrees east are 180 degrees west.
        """
        north = decodePosition(encodePosition(Position(90.0, 180.0)))
        self.assertLessEqual(90.0 - north.latitude, STEP)
        self.assertEqual(north.longitude, -180.0)
        south = decodePosition(encodePosition(Position(-90.0, -180.0)))
        self.assertEqual((south.latitude, south.longitude), (-90.0, -180.0))

    @given(
        st.floats(-90, 90),
        st.floats(-180, 180, exclude_max=True),
        st.integers(0, 7),
    )
    def test_roundTrip(self, latitude: float, longitude: float, error: int) -> None:
        """
        Every position is read where it was written, to one step.
        """
        data = encodePosition(Position(latitude, longitude, error))
        self.assertEqual(len(data), 7)
        position = decodePosition(data)
        self.assertLessEqual(abs(position.latitude - latitude), STEP)
        apart = abs(position.longitude - longitude)
        self.assertLessEqual(min(apart, 360 - apart), STEP)
        self.assertEqual(position.error, error)

    @given(st.binary(min_size=7, max_size=7))
    def test_range(self, data: bytes) -> None:
        """
        Any 7 bytes are a place on Earth, and are written as they were but for the reserved bits.
        """
        position = decodePosition(data)
        self.assertLessEqual(abs(position.latitude), 90.0)
        self.assertLessEqual(abs(position.longitude), 180.0)
        self.assertEqual(encodePosition(position), bytes([data[0] & 0x0F]) + data[1:])

    def test_size(self) -> None:
        """
        Fewer than 7 bytes are a peer's fault; more are ignored.
        """
        data = bytes.fromhex("06800000400000")
        for size in range(7):
            self.assertRaises(ProtocolError, decodePosition, data[:size])
        self.assertEqual(decodePosition(data + b"\xff"), decodePosition(data))
