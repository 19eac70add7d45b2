"""
Tests of L{bmff.router.locations}.
"""

from __future__ import annotations

import gc
from weakref import ref

from bmff.router.locations import Location
from tests.router.test_remotes import RemotesTestCase
from tests.router.test_trunks import RecordingTrunk


class LostTests(RemotesTestCase):
    """
    What leads to radios and is gone.
    """

    def test_linkEnded(self) -> None:
        """
        A node that is gone is kept by none of the radios that it heard, and a private call to one
        of them goes nowhere.
        """
        remote = self.remote(2502)
        self.router.reach.addRemote(remote)
        locations = self.router.reach.locations
        for radio in range(100, 200):
            locations.told(radio, Location(7, 2, self.now, remote))
        self.route(remote, 0, source=555, stream=5)
        self.router.removeRemote(remote, self.now)
        gone = ref(remote)
        del remote
        # What is left holds no more than numbers.
        self.events.clear()
        self.advance(200.0)
        gc.collect()
        self.assertIsNone(gone())
        self.assertIsNone(locations.get(150))
        self.assertEqual(list(locations.local()), [])
        self.call(self.peer(1), destination=555, private=True)
        self.assertEqual(self.outlet.heard, [])

    def test_linkedAgain(self) -> None:
        """
        When the node is back, what it tells counts, though it was heard earlier by its link before.
        """
        first, again = self.remote(2502), self.remote(2502)
        locations = self.router.reach.locations
        locations.told(555, Location(7, 2, self.now, first))
        locations.lost(first)
        locations.told(555, Location(7, 2, self.now - 1.0, again))
        found = locations.get(555)
        assert found is not None
        self.assertIs(found.remote, again)
        self.assertEqual(found.heard, self.now)

    def test_bridge(self) -> None:
        """
        So it is with a bridge, and another node is told nothing of what was heard over it.
        """
        trunk = RecordingTrunk(3102, "there")
        locations = self.router.reach.locations
        locations.heard(555, Location(0, 2, self.now, trunk=trunk))
        self.assertEqual([radio for radio, _ in locations.local()], [555])
        locations.lost(trunk)
        self.assertEqual(list(locations.local()), [])
        gone = ref(trunk)
        del trunk
        gc.collect()
        self.assertIsNone(gone())

    def test_others(self) -> None:
        """
        Those who are there still are found as before.
        """
        one, two = self.remote(2502), self.remote(2503)
        locations = self.router.reach.locations
        locations.told(555, Location(7, 2, self.now, one))
        locations.told(556, Location(8, 1, self.now, two))
        locations.lost(one)
        self.assertEqual(locations.get(556), Location(8, 1, self.now, two))
