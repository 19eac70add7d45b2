"""
Tests of L{bmff.wire.brandmeister.commands}.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError
from bmff.wire.brandmeister.commands import (
    AGE,
    LARGEST,
    Command,
    DropCall,
    Freshness,
    LinkTalkgroup,
    Order,
    SendMessage,
    UnlinkTalkgroup,
    decodeCommand,
)

NOW = 1.7e9
LINK = {"id": "a", "time": NOW, "command": "link", "peer": 7, "slot": 2, "talkgroup": 91}

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def decode(**fields: Any) -> Order:
    """
    What the command with these fields asks for.
    """
    return decodeCommand(json.dumps({"id": "a", "time": NOW} | fields).encode()).order


class DecodingTests(SynchronousTestCase):
    """
    What a payload asks for.
    """

    def test_kinds(self) -> None:
        """
        Each kind of command.
        """
        self.assertEqual(
            decode(command="message", source=1, destination=2, text="hi"),
            SendMessage(1, 2, True, "hi"),
        )
        self.assertEqual(
            decode(command="message", source=1, destination=2, text="hi", private=False),
            SendMessage(1, 2, False, "hi"),
        )
        self.assertEqual(decode(command="drop", source=1), DropCall(1, 0))
        self.assertEqual(decode(command="drop", source=1, stream=5), DropCall(1, 5))
        self.assertEqual(
            decode(command="link", peer=7, slot=1, talkgroup=91), LinkTalkgroup(7, 1, 91)
        )
        self.assertEqual(decode(command="unlink", peer=7, slot=1), UnlinkTalkgroup(7, 1, 0))

    def test_whole(self) -> None:
        """
        ID, time and kind come with it.
        """
        self.assertEqual(
            decodeCommand(json.dumps(LINK).encode()),
            Command("a", NOW, "link", LinkTalkgroup(7, 2, 91)),
        )

    @given(st.sampled_from(sorted(LINK)), _JSON)
    def test_mutated(self, key: str, value: object) -> None:
        """
        Whatever stands in one field, it is a command or it is refused.
        """
        payload = json.dumps(LINK | {key: value}).encode("utf-8", "replace")
        try:
            found = decodeCommand(payload)
        except ProtocolError:
            return
        self.assertIsInstance(found, Command)

    def test_refused(self) -> None:
        """
        What has no ID, no time, no kind, or a number that is none, is refused.
        """
        for change in (
            {"id": ""},
            {"id": 1},
            {"id": "x" * 65},
            {"id": "\n"},
            {"time": True},
            {"time": "now"},
            {"time": float("nan")},
            {"time": -1},
            {"command": "reboot"},
            {"command": None},
            {"peer": 0},
            {"peer": True},
            {"peer": 1 << 32},
            {"slot": 3},
            {"talkgroup": 0},
            {"talkgroup": 1.0},
        ):
            payload = json.dumps(LINK | change).encode()
            self.assertRaises(ProtocolError, decodeCommand, payload)
        for missing in LINK:
            rest = {key: value for key, value in LINK.items() if key != missing}
            self.assertRaises(ProtocolError, decodeCommand, json.dumps(rest).encode())
        for text in ("", "x" * 1001, None):
            self.assertRaises(
                ProtocolError, decode, command="message", source=1, destination=2, text=text
            )

    def test_noJSON(self) -> None:
        """
        What is no object of JSON is refused, however deep or long it is.
        """
        for payload in (b"", b"\xff", b"[]", b"3", b"[" * LARGEST, b"9" * 5000, b" " * 9000):
            self.assertRaises(ProtocolError, decodeCommand, payload)


class FreshnessTests(SynchronousTestCase):
    """
    Which commands pass.
    """

    def setUp(self) -> None:
        self.freshness = Freshness(NOW - 100)

    def passes(self, identifier: str, time: float, now: float) -> bool:
        """
        Whether a command passes.
        """
        try:
            self.freshness.check(Command(identifier, time, "drop", DropCall(1, 0)), now)
        except ProtocolError:
            return False
        return True

    def test_once(self) -> None:
        """
        A command passes once, at whatever time its copy comes.
        """
        self.assertTrue(self.passes("a", NOW + AGE, NOW))
        for late in range(40):
            self.assertFalse(self.passes("a", NOW + AGE, NOW + late))
        self.assertTrue(self.passes("b", NOW + 40, NOW + 40))

    def test_age(self) -> None:
        """
        One that is older than 10 s, or that far ahead, does not pass.
        """
        self.assertFalse(self.passes("a", NOW - AGE - 0.1, NOW))
        self.assertFalse(self.passes("b", NOW + AGE + 0.1, NOW))
        self.assertTrue(self.passes("c", NOW - AGE, NOW))

    def test_beforeStart(self) -> None:
        """
        One from before the start does not pass: the process before may have done it.
        """
        self.freshness = Freshness(NOW - 2)
        self.assertFalse(self.passes("a", NOW - 3, NOW))
        self.assertTrue(self.passes("b", NOW - 1, NOW))

    def test_bounded(self) -> None:
        """
        No more are remembered than may be; when there is no room none passes, until there is.
        """
        self.freshness = Freshness(NOW - 100, 3)
        found = [self.passes(f"{number}", NOW, NOW) for number in range(5)]
        self.assertEqual(found, [True, True, True, False, False])
        self.assertTrue(self.passes("late", NOW + 21, NOW + 21))

    def test_clockSteps(self) -> None:
        """
        A step of the wall clock by an hour, either way, shuts nobody out.
        """
        self.freshness = Freshness(NOW - 10_000, 3)
        for number in range(3):
            self.passes(f"{number}", NOW, NOW)
        self.assertTrue(self.passes("back", NOW - 3600, NOW - 3600))
        self.assertTrue(self.passes("forth", NOW + 3600, NOW + 3600))
