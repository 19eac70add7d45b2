"""
Tests of L{bmff.brokers.meter}.
"""

from __future__ import annotations

from bmff.brokers.meter import Meter
from bmff.brokers.reports import Reading
from tests.router.case import RouterTestCase


class MeterTests(RouterTestCase):
    """
    What is read of a router.
    """

    def test_readings(self) -> None:
        """
        Each call that is on has a reading, with the frames that came and those that did not.
        """
        peer = self.peer(7)
        meter = Meter(self.router)
        self.assertEqual(list(meter()), [])
        for sequence in (0, 1, 2, 5):
            self.send(peer, sequence)
            self.advance(0.06)
        self.assertEqual(list(meter()), [Reading(77, 2340001, 4, 2)])

    def test_strength(self) -> None:
        """
        The strength is what the given function finds.
        """
        peer = self.peer(7)
        self.send(peer, 0)
        meter = Meter(self.router, lambda call: call.source % 100)
        self.assertEqual([reading.rssi for reading in meter()], [1])
