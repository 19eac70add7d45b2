"""
Tests of L{bmff.brokers.reports}.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bmff.brokers.reports import Reading, Reports
from bmff.events import (
    BridgeEnded,
    BridgeMoved,
    BridgeStarted,
    CallEnded,
    CallStarted,
    DuplicateNodeSeen,
    Event,
    LinkEnded,
    LinkStarted,
    LoginRefused,
    NodeUnreachable,
    PathChanged,
    PeerLost,
    PeerMoved,
    PeerRegistered,
    RadioPositionReceived,
    RadioRegistered,
    SubscriptionChanged,
    TalkerAliasReceived,
    UplinkEnded,
    UplinkRefused,
    UplinkStarted,
)
from bmff.wire.brandmeister.topics import Topics

PEER = PeerRegistered(7, "F1ABC", "192.0.2.1:4000")
STARTED = CallStarted(0xBEEF, 2340001, 91, False, False, 7, 2, 3)
ENDED = CallEnded(0xBEEF, 2340001, 91, False, False, 7, 2, "terminator", 5.16, 75, 25, 2, 1)
TOPICS = Topics(2501)


class Said:
    """
    Remembers what is said.

    @ivar messages: topic and payload of each message.
    @ivar states: payloads by topic.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.states: dict[str, dict[str, Any]] = {}

    def put(self, topic: str, payload: bytes) -> None:
        """
        A message.
        """
        self.messages.append((topic, json.loads(payload)))

    def setState(self, topic: str, payload: bytes) -> None:
        """
        A state.
        """
        self.states[topic] = json.loads(payload)

    def clearState(self, topic: str) -> None:
        """
        A state that is no more.
        """
        self.states.pop(topic, None)


class ReportsTests(SynchronousTestCase):
    """
    What node 2501 says.
    """

    def setUp(self) -> None:
        self.said = Said()
        self.reports = Reports(TOPICS, self.said)

    def told(self, *events: Event, wall: float = 1.7e9) -> list[dict[str, Any]]:
        """
        The messages that come of events.
        """
        before = len(self.said.messages)
        for event in events:
            self.reports.report(event, wall)
        return [said for _, said in self.said.messages[before:]]

    def names(self, *events: Event) -> list[str]:
        """
        The names of those.
        """
        return [said["Event"] for said in self.told(*events)]

    def test_call(self) -> None:
        """
        A call from a hotspot is told with its beginning, its loss and its end, all under one ID.
        """
        self.told(PEER)
        said = self.told(STARTED, wall=1.7e9) + self.told(ENDED, wall=1.7e9 + 5)
        self.assertEqual(
            [one["Event"] for one in said], ["Session-Start", "Loss-Rate", "Session-Stop"]
        )
        self.assertEqual(len({one["SessionID"] for one in said}), 1)
        self.assertEqual((said[0]["LinkName"], said[0]["LinkCall"]), ("HomeBrew", "F1ABC"))
        self.assertEqual((said[2]["Start"], said[2]["Stop"]), (1.7e9, 1.7e9 + 5))
        self.assertEqual({topic for topic, _ in self.said.messages[1:]}, {TOPICS.session})
        self.assertEqual(self.reports.sessions, 0)

    def test_nothingLost(self) -> None:
        """
        Of a call of which nothing is lost no loss is told.
        """
        self.assertEqual(
            self.names(STARTED, replace(ENDED, lost=0)), ["Session-Start", "Session-Stop"]
        )

    def test_otherNodes(self) -> None:
        """
        Calls of other nodes are theirs to tell; those of bridges are ours.
        """
        self.told(LinkStarted(2502, "udp", "192.0.2.2:54000"))
        foreign = replace(STARTED, peer=2502)
        self.assertEqual(self.names(foreign, replace(ENDED, peer=2502)), [])
        said = self.told(replace(STARTED, peer=3102))
        self.assertEqual([one["LinkName"] for one in said], ["Bridge"])

    def test_ownCalls(self) -> None:
        """
        What the node itself says, as its parrot does, is no session.
        """
        self.assertEqual(self.names(replace(STARTED, peer=0), replace(ENDED, peer=0)), [])

    def test_alias(self) -> None:
        """
        A talker's name updates the session of that radio, once for each text.
        """
        self.told(STARTED)
        alias = TalkerAliasReceived(2340001, "Anna")
        said = self.told(alias, alias, TalkerAliasReceived(2340002, "Bert"))
        self.assertEqual([one["TalkerAlias"] for one in said], ["Anna"])
        self.assertEqual(self.told(ENDED)[-1]["TalkerAlias"], "Anna")

    def test_measured(self) -> None:
        """
        Strength and loss of a call are told when they change, and of known calls alone.
        """
        self.told(STARTED)
        before = len(self.said.messages)
        for reading in (
            Reading(0xBEEF, 2340001, 10, 0, 87),
            Reading(0xBEEF, 2340001, 20, 1, 87),
            Reading(0xBEEF, 2340001, 30, 1, 0),
            Reading(0xDEAD, 2340001, 30, 1, 80),
        ):
            self.reports.measured([reading])
        said = [one for _, one in self.said.messages[before:]]
        self.assertEqual([one["Event"] for one in said], ["Signal-Strength", "Loss-Rate"])
        self.assertEqual(said[0]["Strength"], -87)
        self.assertEqual((said[1]["LossCount"], said[1]["TotalCount"]), (1, 21))
        self.assertEqual(self.names(replace(ENDED, lost=1)), ["Session-Stop"])

    def test_data(self) -> None:
        """
        A data call whose last transmission has another stream ends the session that it began.
        """
        data = replace(STARTED, data=True)
        other = replace(STARTED, data=True, stream=0xCAFE, destination=92)
        self.told(other, data)
        said = self.told(replace(ENDED, data=True, stream=0xF00D, lost=0))
        self.assertEqual(
            [(one["Event"], one["DestinationID"]) for one in said], [("Session-Stop", 91)]
        )
        self.assertEqual(self.reports.sessions, 1)

    def test_position(self) -> None:
        """
        A radio's position is told as a service.
        """
        self.told(RadioPositionReceived(2340001, 48.0, 11.0))
        ((topic, said),) = self.said.messages
        self.assertEqual((topic, said["Event"]), (TOPICS.service, "Location-Report"))
        self.assertEqual(
            set(said),
            {"Event", "SourceID", "Latitude", "Longitude"},  # no more than it said
        )

    def test_reportedPosition(self) -> None:
        """
        One that was sent as data may say how high and how fast, in the units of the topic.
        """
        position = RadioPositionReceived(
            2340001, 48.0, 11.0, "LRRP", 1, 2, altitude=222.61, speed=10.5, direction=90
        )
        (said,) = self.told(position)
        self.assertEqual((said["Altitude"], said["Speed"], said["Course"]), (222.6, 37.8, 90))

    def test_registration(self) -> None:
        """
        So are a radio's coming and its going.
        """
        said = self.told(
            RadioRegistered(2340001, True, 1, 2), RadioRegistered(2340001, False, 1, 2)
        )
        common = {"RegisterType": "ARS", "SourceID": 2340001}
        self.assertEqual(
            said, [{"Event": "Registration"} | common, {"Event": "De-Registration"} | common]
        )
        self.assertEqual({topic for topic, _ in self.said.messages}, {TOPICS.service})

    def test_peer(self) -> None:
        """
        A hotspot's state is there as long as it is, with its talkgroups and without its address.
        """
        self.assertEqual(self.names(PEER), ["Connect"])
        self.assertEqual(self.names(SubscriptionChanged(7, 2, (91,), (262,))), [])
        state = self.said.states[TOPICS.repeaterState(7)]
        self.assertEqual(state["Slots"], {"2": {"Static": [91], "Dynamic": [262]}})
        self.assertNotIn("192.0.2.1", json.dumps([state, self.said.messages]))
        self.assertEqual(self.names(PeerMoved(7, "F1ABC", "192.0.2.9:1")), ["Move"])
        said = self.told(PeerLost(7, "F1ABC", "silence"))
        self.assertEqual((said[0]["Event"], said[0]["Reason"]), ("Disconnect", "silence"))
        self.assertEqual(self.said.states, {})

    def test_peerAgain(self) -> None:
        """
        A hotspot that says anew what it is has not come anew.
        """
        self.told(PEER, wall=5.0)
        self.assertEqual(self.told(replace(PEER, again=True, callsign="F2XYZ"), wall=9.0), [])
        state = self.said.states[TOPICS.repeaterState(7)]
        self.assertEqual((state["LinkCall"], state["Since"]), ("F2XYZ", 5.0))

    def test_subscriptionsEitherWay(self) -> None:
        """
        Talkgroups that are told before the hotspot count; those after it has gone leave nothing.
        """
        self.told(SubscriptionChanged(7, 1, (91,), ()), PEER)
        self.assertIn("1", self.said.states[TOPICS.repeaterState(7)]["Slots"])
        self.told(PeerLost(7, "F1ABC", "silence"), SubscriptionChanged(7, 1, (), ()), PEER)
        self.assertEqual(self.said.states[TOPICS.repeaterState(7)]["Slots"], {})

    def test_nodes(self) -> None:
        """
        What becomes of links is told, without addresses.
        """
        events = (
            LinkStarted(2502, "udp", "192.0.2.2:54000"),
            PathChanged(2502, "shm", "192.0.2.2:54000"),
            LinkEnded(2502, "silence"),
            NodeUnreachable(2502, "udp", "no answer"),
            DuplicateNodeSeen(2502, "192.0.2.3:54000"),
        )
        self.assertEqual(
            self.names(*events),
            ["Link-Start", "Path-Change", "Link-Stop", "Unreachable", "Duplicate"],
        )
        self.assertNotIn("192.0.2", json.dumps(self.said.messages))

    def test_networks(self) -> None:
        """
        What becomes of bridges and uplinks is told by name, under the number that sessions have
        from there, with the reason and without addresses.
        """
        server = "192.0.2.9:62031"
        said = self.told(
            BridgeStarted(3102, "north", server),
            BridgeMoved(3102, "north", server),
            BridgeEnded(3102, "north", "no sign of life"),
            UplinkStarted(4_200_000_001, "east", server),
            UplinkEnded(4_200_000_001, "east", "no answer"),
            UplinkRefused(4_200_000_001, "east", server, "no such ID"),
        )
        self.assertEqual(
            [(one["Event"], one["ContextID"], one["Name"], one.get("Reason")) for one in said],
            [
                ("Bridge-Start", 3102, "north", None),
                ("Bridge-Move", 3102, "north", None),
                ("Bridge-Stop", 3102, "north", "no sign of life"),
                ("Uplink-Start", 4_200_000_001, "east", None),
                ("Uplink-Stop", 4_200_000_001, "east", "no answer"),
                ("Uplink-Refused", 4_200_000_001, "east", "no such ID"),
            ],
        )
        self.assertEqual({topic for topic, _ in self.said.messages}, {TOPICS.system})
        self.assertNotIn("192.0.2", json.dumps(self.said.messages))

    def test_others(self) -> None:
        """
        Of other events nothing is told.
        """
        self.assertEqual(self.names(LoginRefused(7, "192.0.2.1:1", "no")), [])
