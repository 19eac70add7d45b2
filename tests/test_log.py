"""
Tests for L{bmff.log}.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from enum import IntEnum
from io import StringIO
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.python.log import LogPublisher as OlderPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from bmff import log


class Mute(Exception):
    """
    An error without a text.
    """

    def __str__(self) -> str:
        raise ValueError("mute")

    __repr__ = __str__


class Colour(IntEnum):
    """
    A number with a name.
    """

    RED = 1


class LogTests(SynchronousTestCase):
    """
    The observer.
    """

    def setUp(self) -> None:
        self.stream = StringIO()
        self.patch(sys, "stdout", self.stream)
        self.observer = log.json()

    def line(self) -> dict[str, Any]:
        """
        What was written: one line of JSON, an object.
        """
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        self.assertTrue(text.isascii())
        self.assertEqual(text.count("\n"), 1)
        self.assertTrue(text.endswith("\n"))

        def refuse(word: str) -> None:
            self.fail(f"{word} is not JSON")

        made = json.loads(text, parse_constant=refuse)
        assert isinstance(made, dict)
        return made

    def logged(self, **fields: object) -> dict[str, Any]:
        """
        What is written of an event with some fields.
        """
        self.observer({"log_level": LogLevel.info, "log_time": 0.0, **fields})
        return self.line()

    def test_interface(self) -> None:
        """
        It is what C{twistd --logger} wants: made without an argument, an observer.
        """
        self.assertTrue(verifyObject(ILogObserver, self.observer))

    def test_event(self) -> None:
        """
        A line has time, level, namespace, the message as formatted, and the event's fields.
        """
        before = datetime.now(UTC)
        logger = Logger("bmff.node", observer=self.observer)
        logger.warn("{peer}: call {stream:08x} ended", peer=2345678, stream=0xBEEF, loss=0.5)
        line = self.line()
        time = datetime.fromisoformat(line.pop("time"))
        self.assertEqual(time.utcoffset(), before.utcoffset())
        self.assertTrue(before <= time <= datetime.now(UTC))
        self.assertEqual(
            line,
            {
                "level": "warn",
                "namespace": "bmff.node",
                "message": "2345678: call 0000beef ended",
                "peer": 2345678,
                "stream": 0xBEEF,
                "loss": 0.5,
            },
        )

    def test_failure(self) -> None:
        """
        A failure is there as text, with its traceback.
        """
        logger = Logger(observer=self.observer)
        try:
            raise ValueError("it broke")
        except ValueError:
            logger.failure("while {what}", what="routing")
        line = self.line()
        self.assertEqual((line["level"], line["message"]), ("critical", "while routing"))
        self.assertIn("Traceback", line["failure"])
        self.assertIn("ValueError: it broke", line["failure"])

    def test_oddFailure(self) -> None:
        """
        A failure without a text, and what is none, make a line as well.
        """
        self.assertIn("Mute", self.logged(log_failure=Failure(Mute()))["failure"])
        self.assertEqual(self.logged(log_failure=5)["failure"], "5")

    def test_oddValues(self) -> None:
        """
        What JSON has no word for is text; what is no simple value is left out.
        """
        line = self.logged(
            log_format="{data} {thing} {nan}",
            data=b"caf\xc3\xa9\xff",
            nan=float("nan"),
            infinite=float("-inf"),
            huge=2**5000,
            lone="\ud800",
            colour=Colour.RED,
            none=None,
            true=True,
            thing=Mute(),
            table={1: 2},
            listed=[1],
        )
        self.assertEqual(line["data"], "café\\xff")
        self.assertEqual((line["nan"], line["infinite"]), ("nan", "-inf"))
        self.assertEqual(line["huge"], hex(2**5000))
        self.assertEqual((line["lone"], line["colour"]), ("\ud800", 1))
        self.assertEqual((line["none"], line["true"]), (None, True))
        self.assertNotIn("thing", line)
        self.assertNotIn("table", line)
        self.assertNotIn("listed", line)
        self.assertIn("data", line["message"])

    def test_ownFields(self) -> None:
        """
        A field of an event takes the place of none that every line has.
        """
        line = self.logged(log_format="{time}", time="t", level="l", message="m", namespace="n")
        self.assertEqual(line["time"], "1970-01-01T00:00:00.000000+00:00")
        self.assertEqual((line["level"], line["message"], line["namespace"]), ("info", "t", ""))

    def test_lines(self) -> None:
        """
        A message of many lines is one line of JSON.
        """
        self.assertEqual(self.logged(log_format="a\nb\u2028c")["message"], "a\nb\u2028c")

    def test_bare(self) -> None:
        """
        An event with nothing in it, or with a time that is none, makes a line.
        """
        self.observer({})
        line = self.line()
        self.assertEqual((line["time"], line["level"], line["message"]), (None, "info", ""))
        for time in (float("nan"), float("inf"), 1e300, -1e300, "noon", None, 2**5000):
            self.assertIsNone(self.logged(log_time=time)["time"], time)

    def test_olderInterface(self) -> None:
        """
        An event of Twisted's older interface makes a line with its text.
        """
        OlderPublisher(self.observer, self.observer).msg("old")
        line = self.line()
        self.assertEqual((line["message"], line["level"]), ("old", "info"))

    def test_stdout(self) -> None:
        """
        It writes where the standard output was when it was made, not to what logging makes of it.
        """
        taken = StringIO()
        self.patch(sys, "stdout", taken)
        self.logged(log_format="x")
        self.assertEqual(taken.getvalue(), "")

    def test_stream(self) -> None:
        """
        An output that is gone stops no other observer of the same publisher.
        """
        seen: list[LogEvent] = []

        @implementer(ILogObserver)
        def other(event: LogEvent) -> None:
            seen.append(event)

        self.stream.close()
        LogPublisher(self.observer, other)({"log_format": "x"})
        self.assertEqual(seen[0]["log_format"], "x")

    @given(
        st.dictionaries(
            st.text() | st.sampled_from(["log_format", "log_level", "log_namespace", "log_time"]),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text()
            | st.binary()
            | st.builds(object)
            | st.lists(st.integers()),
        )
    )
    def test_anything(self, event: dict[str, Any]) -> None:
        """
        Whatever an event holds, it makes one line of JSON.
        """
        self.observer(event)
        self.assertIn("message", self.line())
