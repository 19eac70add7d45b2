"""
Tests of L{bmff.peertexts}.
"""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.config import parseConfiguration
from bmff.errors import ConfigurationError
from bmff.peertexts import talkgroupsIn, translationIn
from bmff.sections.homebrew import PeerEntry

_number = st.integers(1, 2**24 - 2)
_side = st.one_of(_number.map(str), _number.map('"radio {}"'.format))
_rule = st.builds("{{ there = {}, here = {}, slot = {} }}".format, _side, _side, st.integers(0, 2))
_between = st.sampled_from([",", ";", ", ", " ; "])


def entry(line: str) -> PeerEntry:
    """
    What the configuration makes of a line of a hotspot.
    """
    text = f"network = 25011\n[homebrew.peer.1]\n{line}"
    section = parseConfiguration(text, "x", Path("/")).homebrew
    assert section is not None
    return section.peer[1]


class TalkgroupTests(SynchronousTestCase):
    """
    Lists of talkgroups.
    """

    def test_forms(self) -> None:
        """
        Each item means what it means in the configuration.
        """
        self.assertEqual(
            talkgroupsIn(" 91, 2600-2699;262* ,*"),
            entry('allow_talkgroups = [91, "2600-2699", "262*", "*"]').allowTalkgroups,
        )

    def test_empty(self) -> None:
        """
        A text with nothing in it is an empty list.
        """
        for text in ("", " "):
            self.assertEqual(talkgroupsIn(text), entry("allow_talkgroups = []").allowTalkgroups)

    def test_bad(self) -> None:
        """
        An item that means nothing is named, as is one that is missing.
        """
        for text, said in (
            ("91, x", "'x' is no talkgroup"),
            ("91,", "'' is no talkgroup"),
            ("91 92", "'91 92' is no talkgroup"),
            ("9-1", "ends before it begins"),
        ):
            error = self.assertRaises(ValueError, talkgroupsIn, text)
            self.assertIn(said, str(error))

    def test_once(self) -> None:
        """
        A text is read once, however many rows have it.
        """
        self.assertIs(talkgroupsIn("91, 4321"), talkgroupsIn(", ".join(["91", "4321"])))


class TranslationTests(SynchronousTestCase):
    """
    Rules of other numbers.
    """

    @settings(deadline=None)  # a busy machine
    @given(st.lists(_rule, max_size=5), _between)
    def test_forms(self, rules: list[str], between: str) -> None:
        """
        Rules mean what they mean in the configuration, whichever separator stands between them.
        """
        expected = entry(f"translate = [{', '.join(rules)}]").translate
        self.assertEqual(translationIn(between.join(rules)), expected)

    def test_bad(self) -> None:
        """
        What is no rule is told, by the number of the rule where there are several.
        """
        good = "{there = 8, here = 9}"
        for text, said in (
            ("8 = 9", "must be rules such as"),
            (f"{good} {good}", "must be rules such as"),
            (f"{good},", "must be rules such as"),
            (f"[{good}]", "must be rules such as"),
            (f"{good}; {{there: 8}}", "rule 2 is not written as in the configuration"),
            (f"{good}; {{there = 8}}", "rule 2: here: is missing"),
            (f"{good}; {{there = 0, here = 9}}", "rule 2: there: must be a talkgroup, or a radio"),
            ("{there = 8, here = 9, slot = 3}", "rule 1: slot: must be 0 to 2 as a slot"),
            ("{}", "rule 1: there: is missing; here: is missing"),
        ):
            error = self.assertRaises(ValueError, translationIn, text)
            self.assertIn(said, str(error), text)

    @settings(deadline=None)  # a busy machine
    @given(st.text(alphabet="{}[],;= \"'\\#thereslo1290", max_size=40))
    def test_anything(self, text: str) -> None:
        """
        Whatever is in a text, it is rules or is refused for people; it is never more than the
        configuration would take.
        """
        try:
            rules = translationIn(text)
        except ValueError as error:
            self.assertTrue(str(error))
        else:
            self.assertEqual(entry(f"translate = [{text.replace(';', ',')}]").translate, rules)

    def test_notConfigurationError(self) -> None:
        """
        What is wrong is an error of a value: whoever reads a row says where it stands.
        """
        for text in ("{there = 8}", "{there: 8}"):
            self.assertNotIsInstance(
                self.assertRaises(ValueError, translationIn, text), ConfigurationError
            )
