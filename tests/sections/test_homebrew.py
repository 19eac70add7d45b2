"""
Tests of L{bmff.sections.homebrew}.
"""

from __future__ import annotations

from pathlib import Path

from bmff.config import parseConfiguration
from bmff.sections.homebrew import Homebrew
from tests.test_config import MistakesCase


class TalkgroupTests(MistakesCase):
    """
    Talkgroups as ranges, and numbers that are others at a hotspot.
    """

    def section(self, text: str) -> Homebrew:
        made = parseConfiguration(f"network = 25011\n[homebrew]\n{text}", "x", Path("/")).homebrew
        assert made is not None
        return made

    def test_ranges(self) -> None:
        """
        A list of talkgroups takes numbers, ranges, beginnings, and all.
        """
        section = self.section('allow_talkgroups = [91, "2620-2629", "99999*"]')
        self.assertEqual(
            [each.ranges for each in section.allowTalkgroups],
            [
                ((91, 91),),
                ((2620, 2629),),
                ((99_999, 99_999), (999_990, 999_999), (9_999_900, 9_999_999)),
            ],
        )
        section = self.section('deny_talkgroups = ["*"]')
        self.assertEqual(section.denyTalkgroups[0].ranges, ((1, 16_777_214),))

    def test_badRanges(self) -> None:
        """
        What is no talkgroup is told with its place.
        """
        for text, part in (
            ('["2629-2620"]', "ends before it begins"),
            ("[16777215]", "is no talkgroup"),
            ("[0]", "is no talkgroup"),
            ('["abc"]', "is no talkgroup, range"),
            ("[true]", "must be a talkgroup"),
            ('["99999999*"]', "no talkgroup begins with"),
        ):
            said = self.mistake(f"[homebrew]\ndeny_talkgroups = {text}")
            self.assertIn("homebrew.deny_talkgroups[0]", said)
            self.assertIn(part, said)

    def test_translate(self) -> None:
        """
        A number there is another one here, a radio is written as one.
        """
        section = self.section(
            "[homebrew.peer.2345678]\n"
            'translate = [{there = 8, here = 2628, slot = 2}, {there = "radio 5", here = 26205}]'
        )
        first, second = section.peer[2345678].translate
        self.assertEqual((first.there, first.here, first.slot), ((8, False), (2628, False), 2))
        self.assertEqual((second.there, second.here, second.slot), ((5, True), (26205, False), 0))
        for text in ('{there = "radio x", here = 1}', "{there = 0, here = 1}", "{here = 1}"):
            said = self.mistake(f"[homebrew.peer.1]\ntranslate = [{text}]")
            self.assertIn("homebrew.peer.1.translate[0]", said)
