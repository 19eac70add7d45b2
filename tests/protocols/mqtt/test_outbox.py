"""
Tests of L{bmff.protocols.mqtt.outbox}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bmff.protocols.mqtt.outbox import LARGEST, PATIENCE, Message, Outbox


class OutboxTests(SynchronousTestCase):
    """
    What is kept, and in which order it goes.
    """

    def setUp(self) -> None:
        self.outbox = Outbox(messages=5, states=3, inFlight=100)

    def taken(self) -> list[Message]:
        """
        All that goes out now.
        """
        found = []
        while (message := self.outbox.take()) is not None:
            found.append(message)
        return found

    def topics(self) -> list[str]:
        """
        The topics of all that goes out now.
        """
        return [message.topic for message in self.taken()]

    def test_order(self) -> None:
        """
        Messages go in their order, states before all of them.
        """
        self.outbox.put("one", b"")
        self.outbox.setState("state", b"here")
        self.outbox.put("two", b"")
        self.assertEqual(self.topics(), ["state", "one", "two"])

    def test_fullDropsOldest(self) -> None:
        """
        When too many wait the oldest are dropped and counted.
        """
        for number in range(8):
            self.outbox.put(f"{number}", b"")
        self.assertEqual(self.outbox.dropped, 3)
        self.assertEqual(self.topics(), ["3", "4", "5", "6", "7"])

    def test_fullByBytes(self) -> None:
        """
        Few large messages are too many as well, and what has gone makes room.
        """
        outbox = Outbox(messages=100, size=3000)
        for number in range(4):
            outbox.put(f"{number}", bytes(1000))
        self.assertEqual((outbox.dropped, len(outbox)), (2, 2))
        self.assertLessEqual(outbox.size, 3000)
        while outbox.take() is not None:
            pass
        self.assertEqual(outbox.size, 0)

    def test_stateLastWord(self) -> None:
        """
        Of a state that changes often only the last word goes.
        """
        for number in range(1000):
            self.outbox.setState("state", b"%d" % number)
        (message,) = self.taken()
        self.assertEqual((message.payload, message.state), (b"999", True))

    def test_sameState(self) -> None:
        """
        A state that has not changed is not said again, unless that is asked for.
        """
        self.outbox.setState("state", b"here")
        self.taken()
        self.outbox.setState("state", b"here")
        self.assertEqual(self.taken(), [])
        self.outbox.repeatState("state")
        self.outbox.repeatState("unknown")
        self.assertEqual(self.topics(), ["state"])

    def test_tooManyStates(self) -> None:
        """
        More states than may be are dropped and counted; those that are there go on.
        """
        for name in "abcd":
            self.outbox.setState(name, b"1")
        self.outbox.setState("a", b"2")
        self.assertEqual(self.outbox.dropped, 1)
        self.assertEqual(list(self.outbox.states), ["a", "b", "c"])

    def test_cleared(self) -> None:
        """
        A state that is no more is forgotten once the broker has forgotten it, not before.
        """
        self.outbox.setState("state", b"here")
        self.taken()
        self.outbox.clearState("state")
        self.outbox.reset()
        self.assertIn("state", self.outbox.states)
        (message,) = self.taken()
        self.assertEqual(message.payload, b"")
        self.outbox.acknowledged(message)
        self.assertEqual(list(self.outbox.states), [])

    def test_clearedAndBack(self) -> None:
        """
        A state that comes back while its end is on the way stays.
        """
        self.outbox.clearState("state")
        (message,) = self.taken()
        self.outbox.setState("state", b"here")
        self.outbox.acknowledged(message)
        (message,) = self.taken()
        self.assertEqual(message.payload, b"here")
        self.outbox.acknowledged(message)
        self.assertEqual(list(self.outbox.states), ["state"])

    def test_reset(self) -> None:
        """
        After a lost connection what was not acknowledged goes again, in order and before the rest,
        and every state does.
        """
        self.outbox.setState("state", b"here")
        for number in range(3):
            self.outbox.put(f"{number}", b"")
        first, second, *_ = self.taken()
        self.outbox.acknowledged(first)
        self.outbox.acknowledged(second)
        self.outbox.put("3", b"")
        self.outbox.reset()
        self.assertEqual(self.outbox.published, 2)
        self.assertEqual(self.topics(), ["state", "1", "2", "3"])

    def test_resetWhenFull(self) -> None:
        """
        What goes again is the oldest, and the first to be dropped where there are too many.
        """
        self.outbox.put("old", b"")
        self.taken()
        for number in range(5):
            self.outbox.put(f"{number}", b"")
        self.outbox.reset()
        self.assertEqual(self.outbox.dropped, 1)
        self.assertEqual(self.topics(), ["0", "1", "2", "3", "4"])

    def test_acknowledgedLate(self) -> None:
        """
        An acknowledgement of what was on the connection before counts for nothing.
        """
        self.outbox.put("one", b"")
        (message,) = self.taken()
        self.outbox.reset()
        self.outbox.acknowledged(message)
        self.assertEqual(self.outbox.published, 0)
        self.assertEqual(self.topics(), ["one"])

    def test_inFlight(self) -> None:
        """
        No more go out than may wait for the broker's word.
        """
        outbox = Outbox(inFlight=2)
        for number in range(3):
            outbox.put(f"{number}", b"")
        first = outbox.take()
        outbox.take()
        self.assertIsNone(outbox.take())
        assert first is not None
        outbox.acknowledged(first)
        self.assertIsNotNone(outbox.take())

    def test_tooLarge(self) -> None:
        """
        What no broker need take is dropped at once.
        """
        self.outbox.put("large", bytes(LARGEST + 1))
        self.outbox.setState("large", bytes(LARGEST + 1))
        self.outbox.put("small", bytes(LARGEST))
        self.assertEqual(self.outbox.dropped, 2)
        self.assertEqual(self.topics(), ["small"])

    def test_poison(self) -> None:
        """
        A message that ends one connection after another is given up, the others go on.
        """
        for name in ("bad", "good"):
            self.outbox.put(name, b"")
        for _ in range(PATIENCE):
            self.assertEqual(self.topics(), ["bad", "good"])
            self.outbox.reset()
        self.assertEqual((self.topics(), self.outbox.dropped), (["good"], 1))

    def test_poisonState(self) -> None:
        """
        So is a state, until it changes.
        """
        self.outbox.setState("bad", b"1")
        self.outbox.put("good", b"")
        for _ in range(PATIENCE):
            self.assertEqual(self.topics(), ["bad", "good"])
            self.outbox.reset()
        self.assertEqual(self.topics(), ["good"])
        self.outbox.setState("bad", b"2")
        self.assertEqual(self.topics(), ["bad"])

    def test_poorConnection(self) -> None:
        """
        However many connections are lost, as long as anything is acknowledged, or nothing was on
        its way, nothing is given up.
        """
        self.outbox.put("first", b"")
        for number in range(5 * PATIENCE):
            self.outbox.put(f"{number}", b"")
            *_, last = self.taken()
            self.outbox.acknowledged(last)
            self.outbox.reset()
            self.outbox.reset()
        self.assertEqual(self.outbox.dropped, 0)
        self.assertEqual(self.topics(), ["first"])
