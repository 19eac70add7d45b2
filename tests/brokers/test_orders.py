"""
Tests of L{bmff.brokers.orders}.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bmff.brokers.orders import Commands, Orders
from bmff.wire.brandmeister.commands import KINDS
from bmff.wire.brandmeister.topics import Topics
from tests.brokers.case import REFUSED, Doer

NOW = 1.7e9
TOPIC = "Master/2501/Outgoing/Command/2340001/7"


class OrdersTests(SynchronousTestCase):
    """
    The commands of node 2501.
    """

    def setUp(self) -> None:
        self.doer = Doer()
        doer: Commands = self.doer
        self.now = NOW - 60
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.orders = Orders(Topics(2501), KINDS, doer, lambda: self.now, self.tell)
        self.now = NOW

    def tell(self, topic: str, payload: bytes) -> None:
        """
        What has become of one.
        """
        self.told.append((topic, json.loads(payload)))

    def give(
        self, topic: str = TOPIC, retained: bool = False, identifier: str = "a", **fields: Any
    ) -> None:
        """
        Give a command.
        """
        said = {"id": identifier, "time": self.now, "command": "drop", "source": 1} | fields
        self.orders.received(topic, json.dumps(said).encode(), retained)

    def test_verbs(self) -> None:
        """
        Each kind calls its verb, and its report goes where its sender looks.
        """
        self.give(identifier="a")
        self.give(identifier="b", command="message", destination=2, text="hi")
        self.give(identifier="c", command="link", peer=7, slot=2, talkgroup=91)
        self.give(identifier="d", command="unlink", peer=7, slot=2)
        self.assertEqual(
            self.doer.did,
            [
                ("drop", 1, 0),
                ("message", 1, 2, True, "hi"),
                ("link", 7, 2, 91),
                ("unlink", 7, 2, 0),
            ],
        )
        self.assertEqual(self.orders.done, 4)
        self.assertEqual(
            self.told[0],
            (
                "Master/2501/Incoming/Report/2340001/7",
                {"Event": "Command-Report", "ID": "a", "Done": True},
            ),
        )

    def test_retained(self) -> None:
        """
        A command that the broker had kept is dropped, and does not spend its ID.
        """
        self.give(retained=True)
        self.assertEqual((self.doer.did, self.told), ([], []))
        self.assertEqual(self.orders.dropped, {"command retained": 1})
        self.give()
        self.assertEqual(len(self.doer.did), 1)

    def test_dropped(self) -> None:
        """
        What is old, seen, of a kind that is off, or none, is dropped, counted, and not answered.
        """
        self.orders = Orders(Topics(2501), ["drop"], self.doer, lambda: NOW - 60, self.tell)
        self.orders._wallClock = lambda: self.now
        self.give()
        self.give()
        self.give(identifier="old", time=NOW - 11)
        self.give(identifier="off", command="link", peer=7, slot=2, talkgroup=91)
        self.give(topic="Master/2501/Outgoing/Command/x/y", identifier="b")
        self.orders.received(TOPIC, b"reboot", False)
        self.assertEqual(len(self.doer.did), 1)
        self.assertEqual(len(self.told), 1)
        self.assertEqual(
            self.orders.dropped,
            {
                "command seen before": 1,
                "command too old": 1,
                "command not allowed": 1,
                "topic of no command": 1,
                "command is no JSON": 1,
            },
        )

    def test_refused(self) -> None:
        """
        Whoever asks for what cannot be is told why.
        """
        self.doer.refusal = REFUSED
        self.give()
        self.assertEqual(self.told[0][1]["Reason"], "no such peer")
        self.assertEqual(self.orders.dropped, {"command refused": 1})

    def test_failed(self) -> None:
        """
        A fault of the node is logged, and the sender learns no more than that.
        """
        self.doer.refusal = RuntimeError("secret")
        self.give()
        self.assertEqual(self.told[0][1]["Reason"], "the node has failed")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_later(self) -> None:
        """
        A command that takes its time is reported when it is done.
        """
        self.doer.waiting = Deferred()
        self.give()
        self.assertEqual((self.told, self.orders.done), ([], 0))
        self.doer.waiting.callback(None)
        self.assertEqual((len(self.told), self.orders.done), (1, 1))
