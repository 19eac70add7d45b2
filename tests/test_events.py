"""
Tests of L{bmff.events}.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError

from twisted.trial.unittest import SynchronousTestCase

from bmff.events import Event, Events, PeerLost, PeerRegistered

HERE = PeerRegistered(7, "G4TST", "192.0.2.1:4000")
GONE = PeerLost(7, "G4TST", "silent")


class EventsTests(SynchronousTestCase):
    """
    Those who watch.
    """

    def setUp(self) -> None:
        self.failures: list[tuple[Event, Exception]] = []
        self.events = Events(lambda event, error: self.failures.append((event, error)))
        self.seen: list[tuple[str, Event]] = []

    def watch(self, name: str) -> None:
        self.events.watch(lambda event: self.seen.append((name, event)))

    def test_nobody(self) -> None:
        """
        An event that nobody watches is no failure.
        """
        self.events.publish(HERE)
        self.assertEqual(self.events.failed, 0)

    def test_order(self) -> None:
        """
        Each event goes to everybody, in the order in which they began to watch.
        """
        for name in "cab":
            self.watch(name)
        self.events.publish(HERE)
        self.events.publish(GONE)
        expected = [(name, event) for event in (HERE, GONE) for name in "cab"]
        self.assertEqual(self.seen, expected)

    def test_unwatch(self) -> None:
        """
        Who ends his watch is told nothing more, the others are; to end it twice is as once.
        """
        seen: list[Event] = []
        unwatch = self.events.watch(seen.append)
        self.watch("b")
        self.events.publish(HERE)
        unwatch()
        unwatch()
        self.events.publish(GONE)
        self.assertEqual(seen, [HERE])
        self.assertEqual(self.seen, [("b", HERE), ("b", GONE)])

    def test_failure(self) -> None:
        """
        A watcher that raises costs the others nothing, is reported with the event, and is told
        the next one.
        """
        error = RuntimeError("broken")
        told: list[Event] = []

        def broken(event: Event) -> None:
            told.append(event)
            raise error

        self.watch("a")
        self.events.watch(broken)
        self.watch("b")
        self.events.publish(HERE)
        self.events.publish(GONE)
        self.assertEqual(self.seen, [("a", HERE), ("b", HERE), ("a", GONE), ("b", GONE)])
        self.assertEqual(told, [HERE, GONE])
        self.assertEqual(self.failures, [(HERE, error), (GONE, error)])
        self.assertEqual(self.events.failed, 2)

    def test_failureUnheard(self) -> None:
        """
        Where nobody wants to know of failures they are counted all the same.
        """
        events = Events()

        def broken(event: Event) -> None:
            raise RuntimeError

        events.watch(broken)
        events.publish(HERE)
        self.assertEqual(events.failed, 1)

    def test_exits(self) -> None:
        """
        What is meant to end the process is not swallowed.
        """

        def interrupted(event: Event) -> None:
            raise KeyboardInterrupt

        self.events.watch(interrupted)
        self.assertRaises(KeyboardInterrupt, self.events.publish, HERE)

    def test_watchWithin(self) -> None:
        """
        Who begins or ends a watch while an event is told changes the next event, not this one.
        """
        seen: list[Event] = []

        def once(event: Event) -> None:
            unwatch()
            self.events.watch(seen.append)

        unwatch = self.events.watch(once)
        self.watch("b")
        self.events.publish(HERE)
        self.assertEqual((seen, self.seen), ([], [("b", HERE)]))
        self.events.publish(GONE)
        self.assertEqual(seen, [GONE])

    def test_values(self) -> None:
        """
        Events are values: equal by what they say, and nobody changes one that others see too.
        """
        self.assertEqual(HERE, PeerRegistered(7, "G4TST", "192.0.2.1:4000"))
        self.assertEqual(len({HERE, PeerRegistered(7, "G4TST", "192.0.2.1:4000"), GONE}), 2)
        with self.assertRaises(FrozenInstanceError):
            GONE.reason = "banned"  # type: ignore[misc]
