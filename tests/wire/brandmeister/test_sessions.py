"""
Tests of L{bmff.wire.brandmeister.sessions}, C{services} and C{payloads}.
"""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.wire.brandmeister.payloads import LONGEST_TEXT, encodeObject, encodeText
from bmff.wire.brandmeister.services import (
    Repeater,
    location,
    nodeState,
    registration,
    report,
    system,
    telemetry,
)
from bmff.wire.brandmeister.sessions import Session, sessionID

SESSION = Session(
    2501, 0xDEADBEEF, 2340001, 91, False, False, "HomeBrew", 234000101, "F1ABC", 2, 3, 1.7e9
)


class SessionTests(SynchronousTestCase):
    """
    The payloads of a call.
    """

    @given(
        st.integers(1000, 9_999_999),
        st.integers(1, 0xFFFFFFFF),
        st.floats(0, 1e10, allow_nan=False),
    )
    def test_sessionID(self, network: int, stream: int, started: float) -> None:
        """
        A session's ID is a UUID of version 1 whose time is the call's beginning.
        """
        found = sessionID(network, stream, started)
        self.assertEqual((found.version, found.variant), (1, RFC_4122))
        seconds = (found.time - 0x01B21DD213814000) / 1e7
        self.assertLess(abs(seconds - started), 1e-5)
        self.assertNotEqual(found, sessionID(network + 1, stream, started))
        self.assertNotEqual(found, sessionID(network, stream ^ 1, started))

    def test_start(self) -> None:
        """
        A call's beginning has the fields of the public pages.
        """
        said = json.loads(SESSION.start())
        self.assertEqual(UUID(said.pop("SessionID")).version, 1)
        self.assertEqual(
            said,
            {
                "Event": "Session-Start",
                "Master": 2501,
                "SessionType": 7,
                "LinkName": "HomeBrew",
                "ContextID": 234000101,
                "LinkCall": "F1ABC",
                "Slot": 2,
                "SourceID": 2340001,
                "DestinationID": 91,
                "Route": 3,
                "Start": 1.7e9,
            },
        )

    def test_kinds(self) -> None:
        """
        A private call is of kind 5, a group call of kind 7.
        """
        self.assertEqual(SESSION.kind, 7)
        self.assertEqual(replace(SESSION, private=True).kind, 5)
        self.assertEqual(replace(SESSION, data=True).kind, 6)
        self.assertEqual(replace(SESSION, data=True, private=True).kind, 4)

    def test_update(self) -> None:
        """
        A name that is known later comes with the same ID.
        """
        said = json.loads(replace(SESSION, alias="Anna").update())
        self.assertEqual((said["Event"], said["TalkerAlias"]), ("Session-Update", "Anna"))
        self.assertEqual(said["SessionID"], SESSION.sessionID)

    def test_stop(self) -> None:
        """
        A call's end says how long it was, in units of 60 ms, and how much was lost.
        """
        said = json.loads(
            SESSION.stop(state="terminator", stopped=1.7e9 + 4.5, frames=75, lost=25, late=1)
        )
        self.assertEqual(said["Event"], "Session-Stop")
        self.assertEqual((said["State"], said["Stop"]), ("terminator", 1.7e9 + 4.5))
        self.assertEqual((said["DataCount"], said["LossCount"], said["TotalCount"]), (75, 25, 100))

    def test_quality(self) -> None:
        """
        Strength and loss are told by the session's ID.
        """
        self.assertEqual(
            json.loads(SESSION.signalStrength(-87)),
            {
                "Event": "Signal-Strength",
                "Master": 2501,
                "SessionID": SESSION.sessionID,
                "Strength": -87,
            },
        )
        said = json.loads(SESSION.lossRate(2, 100))
        self.assertEqual(
            (said["Event"], said["LossCount"], said["TotalCount"]), ("Loss-Rate", 2, 100)
        )


class ServiceTests(SynchronousTestCase):
    """
    The other payloads.
    """

    def test_radio(self) -> None:
        """
        What radios say of themselves.
        """
        self.assertEqual(
            json.loads(registration(7, "ARS")),
            {"Event": "Registration", "RegisterType": "ARS", "SourceID": 7},
        )
        self.assertEqual(json.loads(registration(7, "ARS", here=False))["Event"], "De-Registration")
        self.assertEqual(
            json.loads(location(7, 48.1234567, -11.5, Altitude=None, Speed=3.0)),
            {
                "Event": "Location-Report",
                "SourceID": 7,
                "Latitude": 48.123457,
                "Longitude": -11.5,
                "Speed": 3.0,
            },
        )
        self.assertEqual(
            json.loads(telemetry(7, 9, {"Voltage": 12.1}))["Values"], {"Voltage": 12.1}
        )

    def test_node(self) -> None:
        """
        What is said of nodes.
        """
        self.assertEqual(
            json.loads(nodeState("online", 0xAB, 5.0)),
            {"State": "online", "Boot": "00000000000000ab", "Since": 5.0},
        )
        self.assertEqual(
            json.loads(system("Link-Stop", 2502, Reason="silence")),
            {"Event": "Link-Stop", "Node": 2502, "Reason": "silence"},
        )

    def test_repeater(self) -> None:
        """
        What is said of a hotspot, without the address that it is at.
        """
        repeater = Repeater(7, "F1ABC", True, 5.0)
        self.assertEqual(
            json.loads(repeater.state({2: ((91,), (262,))})),
            {
                "State": "online",
                "ContextID": 7,
                "LinkCall": "F1ABC",
                "Verified": True,
                "Since": 5.0,
                "Slots": {"2": {"Static": [91], "Dynamic": [262]}},
            },
        )
        self.assertEqual(
            json.loads(repeater.event("Disconnect", "silence")),
            {"Event": "Disconnect", "ContextID": 7, "LinkCall": "F1ABC", "Reason": "silence"},
        )

    def test_report(self) -> None:
        """
        What has become of a command.
        """
        self.assertEqual(
            json.loads(report("a", True)), {"Event": "Command-Report", "ID": "a", "Done": True}
        )
        self.assertEqual(json.loads(report("a", False, "no"))["Reason"], "no")

    def test_text(self) -> None:
        """
        Texts are UTF-16LE; half a character does no harm, and what is too long is cut.
        """
        self.assertEqual(encodeText("\u00e4\U0001f600"), "\u00e4\U0001f600".encode("utf-16-le"))
        self.assertEqual(encodeText("\ud800").decode("utf-16-le"), "?")
        self.assertEqual(len(encodeText("x" * 5000)), 2 * LONGEST_TEXT)
        self.assertEqual(json.loads(encodeObject(TalkerAlias="\ud800")), {"TalkerAlias": "?"})
