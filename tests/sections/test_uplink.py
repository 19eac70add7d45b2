"""
Tests of L{bmff.sections.uplink}.
"""

from __future__ import annotations

from pathlib import Path

from bmff.config import parseConfiguration
from bmff.sections.uplink import Master, UplinkEntry
from bmff.uplinks import uplinkSettings
from tests.test_config import MistakesCase

LEAST = """
[[uplink]]
name = "north"
master = ["master.example"]
id = 262000199
callsign = "G4TST"
"""


class UplinkTests(MistakesCase):
    """
    What a file says of uplinks.
    """

    def entry(self, text: str = "") -> UplinkEntry:
        """
        The one uplink of a file.
        """
        made = parseConfiguration(f"network = 25011\n{LEAST}{text}", "x", Path("/"))
        self.assertIsNone(made.homebrew)
        (entry,) = made.uplink
        return entry

    def test_least(self) -> None:
        """
        Name, master, ID and callsign are enough, and switch nothing else on.
        """
        settings = uplinkSettings(self.entry())
        self.assertEqual(settings.masters, (("master.example", 62031),))
        self.assertEqual((settings.network, settings.station.slots), ("north", 4))

    def test_masters(self) -> None:
        """
        A master is a name or an address, with a port or without.
        """
        text = LEAST.replace('"master.example"', '"a.example:1", "192.0.2.1", "[2001:db8::1]:5"')
        (entry,) = parseConfiguration(f"network = 25011\n{text}", "x", Path("/")).uplink
        self.assertEqual(
            entry.master,
            (Master("a.example", 1), Master("192.0.2.1", 62031), Master("2001:db8::1", 5)),
        )

    def test_all(self) -> None:
        """
        Every key is read.
        """
        entry = self.entry(
            """
            network = "them"
            password = "other"
            kind = "repeater"
            rx_frequency = 433450000
            tx_frequency = 438450000
            power = 5
            colour_code = 3
            latitude = 52.5
            longitude = 13
            height = 30
            location = "Berlin"
            description = "a node"
            url = "https://example.org"
            options = "TS2=91"
            ping = 5
            static = { 1 = [91], 2 = [26209] }
            accept = ["262*"]
            allow = ["234*"]
            deny = [2340666]
            private = true
            translate = [{ there = 9, here = 26209, slot = 2 }]
            """
        )
        settings = uplinkSettings(entry)
        self.assertEqual(dict(settings.static), {1: (91,), 2: (26209,)})
        station = settings.station
        self.assertEqual((station.colourCode, station.height, station.longitude), (3, 30, 13.0))
        self.assertEqual((settings.ping, settings.private), (5.0, True))
        self.assertEqual((entry.password, settings.network), ("other", "them"))

    def test_mistakes(self) -> None:
        """
        Every mistake is told by its place.
        """
        text = """
            [[uplink]]
            name = ""
            master = []
            id = 0
            callsign = "not one"
            kind = "bridge"
            options = "TS2=\u00e9"
            ping = 1
            static = { 2 = [9] }
            [[uplink]]
            master = ["http://master.example"]
            """
        self.assertEqual(
            self.places(f"network = 25011\n{text}"),
            [
                "uplink[0].name",
                "uplink[0].master",
                "uplink[0].id",
                "uplink[0].callsign",
                "uplink[0].kind",
                "uplink[0].options",
                "uplink[0].ping",
                "uplink[0].static",
                "uplink[1].master[0]",
                "uplink[1].name",
                "uplink[1].id",
                "uplink[1].callsign",
            ],
        )
