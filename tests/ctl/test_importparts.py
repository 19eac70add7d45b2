"""
Tests of the parts of C{bmff.ctl.importing}, and of the page about it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from bmff.config import parseConfiguration
from bmff.ctl.importing.accesslist import both, count, parseAccessList, singly, written
from bmff.ctl.importing.bridging import Bridging, Member, readBridging
from bmff.ctl.importing.document import Document
from bmff.ctl.importing.numbering import FIRST_FREE, Numbering
from bmff.ctl.importing.remarks import Remarks
from bmff.ctl.importing.translatetable import Rule, beside, shared
from bmff.dmr.ranges import Ranges
from bmff.errors import ConfigurationError
from bmff.ibmff import IRouting
from bmff.router.translation import Form, Translation
from bmff.router.translation import Rule as RouterRule
from bmff.routing import CallRequest, Destination
from tests.ctl.test_import import row
from tests.nodes import ROOT


class RulesTests(SynchronousTestCase):
    """
    Tests of L{readBridging}.
    """

    def read(self, text: str) -> tuple[Bridging, str]:
        """
        What a text says, and what could not be read of it.
        """
        remarks = Remarks()
        return readBridging(text, "rules.py", remarks), "\n".join(remarks)

    def test_row(self) -> None:
        """
        A row is read with all that it says.
        """
        more = {"TO_TYPE": "on", "TIMEOUT": 1.5, "ON": [1], "OFF": (2,), "RESET": {3}}
        found, left = self.read(f"BRIDGES = {{'X': [{row('A', 2, 91, ACTIVE=False, **more)}]}}")
        self.assertEqual(left, "")
        self.assertEqual(
            found.bridges["X"], (Member("A", 2, 91, False, 1.5, "ON", (1,), (2,), (3,)),)
        )
        self.assertIsNone(found.units)

    def test_calls(self) -> None:
        """
        Around a number a call is taken off; a name is what it was given before.
        """
        found, _ = self.read(
            "T: int = hex_str_3(91)\nL = [T]\n"
            "BRIDGES = {'X': [{'SYSTEM': 'A', 'TS': 1, 'TGID': bytes_3(T), 'ON': L}]}\n"
            "UNIT = ['A']\n"
        )
        self.assertEqual(found.bridges["X"], (Member("A", 1, 91, True, on=(91,)),))
        self.assertEqual(found.units, frozenset("A"))

    def test_refused(self) -> None:
        """
        Bridges that a program makes, or that there are none of, are refused.
        """
        for text in (
            "",
            "BRIDGES = {",
            "BRIDGES = dict(a=1)",
            "BRIDGES = [x for x in y]",
            "BRIDGES = 5",
            "BRIDGES = " + "[" * 10_000,
            "\0",
            "BRIDGES = {}\nUNIT = f(1, 2)",
        ):
            with self.assertRaises(ConfigurationError, msg=text[:40]):
                self.read(text)

    def test_badRows(self) -> None:
        """
        A row that makes no sense is named, and the others stay.
        """
        rows = [row("A", 3, 1), row("A", 1, 0), 5, {"TS": 1}, row("A", 1, 91), {"TGID": "x"}]
        found, left = self.read(f"BRIDGES = {{'X': {rows!r}, 'Y': 5}}")
        self.assertEqual(found.bridges, {"X": (Member("A", 1, 91, True, 2.0),), "Y": ()})
        for number in (1, 2, 3, 4, 6):
            self.assertIn(f"row {number}", left)
        self.assertNotIn("row 5", left)
        self.assertIn("'Y': is no list", left)


class PartsTests(SynchronousTestCase):
    """
    Tests of the smaller parts.
    """

    whole = Ranges([(1, 9999)])

    def test_accessList(self) -> None:
        """
        A list lets through what it names, or all else.
        """
        for text, through, kept in (
            ("PERMIT:ALL", (1, 9999), ()),
            ("DENY:ALL", (), (1, 9999)),
            (" permit : 5 , 7-9 ", (5, 7, 9), (4, 6, 10)),
            ("DENY:0-5,9999", (6, 9998), (1, 5, 9999)),
            ("PERMIT:", (), (1,)),
            ("DENY:", (1, 9999), ()),
        ):
            found = parseAccessList(text, self.whole)
            self.assertTrue(all(number in found for number in through), text)
            self.assertFalse(any(number in found for number in kept), text)
        for text in ("", "ALL", "PERMIT", "PERMIT:a", "DENY:1-", "ALLOW:1", "DENY:²"):
            with self.assertRaises(ValueError):
                parseAccessList(text, self.whole)

    @given(*[st.sets(st.integers(1, 40), max_size=20)] * 2)
    def test_sets(self, one: set[int], other: set[int]) -> None:
        """
        Sets of numbers behave as sets do, and are written so that they can be read again.
        """
        first, second = (Ranges((each, each) for each in numbers) for numbers in (one, other))
        common = both(first, second)
        self.assertEqual(singly(common), tuple(sorted(one & other)))
        self.assertEqual(count(common), len(one & other))
        text = ",".join(map(str, written(first)))
        self.assertEqual(parseAccessList(f"PERMIT:{text}", self.whole), first)

    @given(st.dictionaries(st.text(min_size=1), st.text() | st.integers(-9, 9) | st.booleans()))
    def test_document(self, values: dict[str, object]) -> None:
        """
        Whatever is written in a document is read again as it was.
        """
        values = {
            key: value
            for key, value in values.items()
            if not any("\ud800" <= letter <= "\udfff" for letter in f"{key}{value}")
        }
        document = Document()
        document.comment("one\nline\r only")
        document.table({"a": 900.0, "b": 0.25, "c": [1, {"x": True}]})
        document.table(values, "t", "x.y")
        document.table(values, "rows", several=True)
        document.table({}, "rows", several=True)
        found = tomllib.loads(document.text)
        self.assertEqual((found["a"], found["b"], found["c"]), (900, 0.25, [1, {"x": True}]))
        self.assertEqual(found["t"]["x.y"], values)
        self.assertEqual(found["rows"], [values, {}])

    @given(*[st.lists(st.tuples(*[st.integers(1, 5)] * 2, st.integers(1, 2)), max_size=6)] * 2)
    def test_beside(self, own: list[Rule], common: list[Rule]) -> None:
        """
        Whatever the common rules say, a hotspot has the numbers of its own rules and no others;
        where the common ones are its own, nothing is said.
        """
        own, common = ([rule for rule in each if rule[0] != rule[1]] for each in (own, common))
        said = beside(tuple(own), tuple(common))
        found, wanted = self.translation([*said, *common]), self.translation(own)
        for slot, number in product((1, 2), range(1, 6)):
            form = Form(number)
            self.assertEqual(found.inward(slot, form) or form, wanted.inward(slot, form) or form)
            self.assertEqual(found.outward(slot, form) or form, wanted.outward(slot, form) or form)
        self.assertEqual(beside(tuple(own), tuple(own)), ())

    def translation(self, rules: Iterable[Rule]) -> Translation:
        """
        What the router makes of rules.
        """
        return Translation(RouterRule(Form(there), Form(here), slot) for there, here, slot in rules)

    def test_shared(self) -> None:
        """
        What all lists hold is shared, in the order of the first.
        """
        one, two, three = (1, 91, 1), (2, 92, 2), (3, 93, 1)
        self.assertEqual(shared([(one, two, three), (three, one)]), (one, three))
        self.assertEqual(shared([(one,), ()]), ())
        self.assertEqual(shared([]), ())

    def test_local(self) -> None:
        """
        A talkgroup that never leaves a node is no number for a bridge that does.
        """
        for systems, number in ((("A", "B"), 9), (("A", "O"), FIRST_FREE)):
            members = {"X": [Member(each, 2, 9, True) for each in systems]}
            found = Numbering(members, frozenset("AB"), frozenset("AB"), Remarks())
            self.assertEqual(found.numbers, {"X": number})


class PageTests(SynchronousTestCase):
    """
    C{docs/coming-from-hblink.md}.
    """

    def block(self, language: str, number: int = 0) -> str:
        """
        A block of the page in some language.
        """
        page = (ROOT / "docs" / "coming-from-hblink.md").read_text()
        return page.split(f"\n```{language}\n")[number + 1].partition("\n```")[0]

    def test_rule(self) -> None:
        """
        The rule refuses the radios that it names, and no others.
        """
        names: dict[str, Any] = {}
        exec(self.block("python"), names)
        rule = names["radios"]
        verifyObject(IRouting, rule)
        for source, refused in ((9, True), (10, False)):
            request = CallRequest(1, source, Destination(91), False, 1, 2)
            self.assertEqual(rule.decide(request) is not None, refused)

    def test_configuration(self) -> None:
        """
        The configuration is one.
        """
        self.assertEqual(parseConfiguration(self.block("toml"), "page", ROOT).network, 3101)
        self.assertEqual(tomllib.loads(self.block("toml", 1)), {"routing": {"rules": ["radios"]}})
