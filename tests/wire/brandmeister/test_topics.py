"""
Tests of L{bmff.wire.brandmeister.topics}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError
from bmff.wire.brandmeister.topics import Topics


class TopicsTests(SynchronousTestCase):
    """
    The topics of node 2501.
    """

    topics = Topics(2501)

    def test_published(self) -> None:
        """
        Those that are public are as they are public.
        """
        self.assertEqual(self.topics.session, "Master/2501/Session")
        self.assertEqual(self.topics.service, "Master/2501/Service")
        self.assertEqual(self.topics.system, "Master/2501/System")
        self.assertEqual(self.topics.repeater, "Master/2501/Repeater")
        self.assertEqual(
            self.topics.incoming("Message", 2340001, 91), "Master/2501/Incoming/Message/2340001/91"
        )
        self.assertEqual(
            self.topics.outgoing("Data", 2340001, 91), "Master/2501/Outgoing/Data/2340001/91"
        )

    def test_commands(self) -> None:
        """
        The parties of a command are read from its topic, which the filter covers.
        """
        self.assertEqual(self.topics.commands, "Master/2501/Outgoing/Command/#")
        self.assertEqual(
            self.topics.partiesOf("Master/2501/Outgoing/Command/2340001/91"), (2340001, 91)
        )

    def test_badCommands(self) -> None:
        """
        Whatever else the filter covers is refused.
        """
        for topic in (
            "Master/2501/Outgoing/Command",
            "Master/2501/Outgoing/Command/1",
            "Master/2501/Outgoing/Command/1/2/3",
            "Master/2501/Outgoing/Command/a/2",
            "Master/2501/Outgoing/Command/\u00b2/2",
            "Master/2501/Outgoing/Command/-1/2",
            "Master/2501/Outgoing/Command/4294967296/2",
            "Master/2502/Outgoing/Command/1/2",
        ):
            self.assertRaises(ProtocolError, self.topics.partiesOf, topic)
