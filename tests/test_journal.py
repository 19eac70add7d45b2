"""
Tests of L{bmff.journal}.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bmff.events import (
    BridgeEnded,
    BridgeMoved,
    BridgeStarted,
    CallEnded,
    CallStarted,
    DuplicatePeerSeen,
    Event,
    Events,
    LoginRefused,
    OptionsNotUnderstood,
    PeerLost,
    PeerMoved,
    PeerRegistered,
    RadioPositionReceived,
    RadioRegistered,
    SubscriptionChanged,
    TalkerAliasReceived,
)
from bmff.journal import Journal, kindOfCall

STARTED = CallStarted(0xBEEF, 2340001, 91, False, False, 7, 2, 3)
ENDED = CallEnded(0xBEEF, 2340001, 91, False, False, 7, 2, "terminator", 5.16, 75, 25, 2, 1)


class JournalTests(SynchronousTestCase):
    """
    The lines of node 25011.
    """

    def setUp(self) -> None:
        self.journal = Journal(25011)

    def logged(self, *events: Event) -> list[LogEvent]:
        """
        What is logged of some events.
        """
        with capturedLogs() as captured:
            for event in events:
                self.journal(event)
        return list(captured)

    def line(self, event: Event) -> str | None:
        """
        The one line of an event.
        """
        (logged,) = self.logged(event)
        return formatEvent(logged)

    def test_peers(self) -> None:
        """
        A peer's coming and going, and why it went.
        """
        self.assertEqual(
            self.line(PeerRegistered(7, "G4TST", "192.0.2.1:4000")),
            "25011: peer 7 G4TST is here, at 192.0.2.1:4000",
        )
        self.assertEqual(
            self.line(PeerLost(7, "G4TST", "silent")), "25011: peer 7 G4TST is gone: silent"
        )

    def test_refused(self) -> None:
        """
        Who was not let in is a warning, with the address.
        """
        (logged,) = self.logged(LoginRefused(7, "[2001:db8::1]:4000", "banned"))
        self.assertEqual(formatEvent(logged), "25011: peer 7 at [2001:db8::1]:4000 refused: banned")
        self.assertEqual(logged["log_level"], LogLevel.warn)

    def test_moved(self) -> None:
        """
        A peer's move; to move to and fro is a warning.
        """
        self.assertEqual(
            self.line(PeerMoved(7, "G4TST", "192.0.2.1:4001")),
            "25011: peer 7 G4TST has moved to 192.0.2.1:4001",
        )
        (logged,) = self.logged(DuplicatePeerSeen(7, "G4TST", "192.0.2.1:4001"))
        self.assertEqual(
            formatEvent(logged),
            "25011: peer 7 G4TST moves to and fro, now at 192.0.2.1:4001: two hotspots seem to use "
            "one ID",
        )
        self.assertEqual(logged["log_level"], LogLevel.warn)

    def test_options(self) -> None:
        """
        Options that have no effect, as they came.
        """
        self.assertEqual(
            self.line(OptionsNotUnderstood(7, "BREW={node}")),
            "25011: peer 7: options not understood: BREW={node}",
        )

    def test_talkgroups(self) -> None:
        """
        What a slot hears, what was keyed apart from what was set.
        """
        for static, dynamic, words in (
            ((), (), "nothing"),
            ((91, 92), (), "91, 92"),
            ((), (777, 778), "777, 778 (keyed)"),
            ((91,), (777,), "91 and 777 (keyed)"),
        ):
            self.assertEqual(
                self.line(SubscriptionChanged(7, 1, static, dynamic)),
                f"25011: peer 7 slot 1 hears {words}",
            )

    def test_callEnded(self) -> None:
        """
        A call has one line, at its end; its figures are fields as well.
        """
        (logged,) = self.logged(STARTED, ENDED)
        self.assertEqual(
            formatEvent(logged),
            "25011: call 0000beef 2340001 > TG 91 by 7 slot 2: 5.2 s, 75 frames, 25.0 % lost, "
            "ended by terminator",
        )
        for key, value in (("frames", 75), ("lost", 25), ("duplicates", 2), ("late", 1)):
            self.assertEqual(logged[key], value)

    def test_kinds(self) -> None:
        """
        A call's kind is said by the same word wherever it is.
        """
        for private, data, words in (
            (False, False, "TG"),
            (True, False, "radio"),
            (False, True, "data to TG"),
            (True, True, "data to radio"),
        ):
            ended = replace(ENDED, private=private, data=data)
            self.assertIn(f"2340001 > {words} 91 by", self.line(ended) or "")
            self.assertEqual(kindOfCall(replace(STARTED, private=private, data=data)), words)

    def test_noFrames(self) -> None:
        """
        A call of no frame has lost none.
        """
        self.assertIn("0.0 % lost", self.line(replace(ENDED, frames=0, lost=0)) or "")

    def test_bridges(self) -> None:
        """
        A bridge's coming, moving and going, one line each; that it is down is a warning.
        """
        for event, line in (
            (
                BridgeStarted(3102, "north", "192.0.2.1:62035"),
                "25011: bridge north is up, to 192.0.2.1:62035, its calls are by peer 3102",
            ),
            (
                BridgeMoved(3102, "north", "192.0.2.2:62035"),
                "25011: bridge north has moved to 192.0.2.2:62035",
            ),
            (
                BridgeEnded(3102, "north", "no sign of life"),
                "25011: bridge north is down: no sign of life",
            ),
        ):
            self.assertEqual(self.line(event), line)
        (logged,) = self.logged(BridgeEnded(3102, "north", "no sign of life"))
        self.assertEqual(logged["log_level"], LogLevel.warn)

    def test_silent(self) -> None:
        """
        What a radio says within a call or as data has no line: there would be one for each second,
        and a position is nobody's business.
        """
        events = (
            TalkerAliasReceived(5, "Michael"),
            RadioPositionReceived(5, 51.5, -0.12),
            RadioRegistered(5, True, 1, 2),
        )
        self.assertEqual(self.logged(*events), [])

    def test_braces(self) -> None:
        """
        A callsign that looks like a format is shown as it is.
        """
        line = self.line(PeerLost(7, "{node}", "{reason}"))
        self.assertEqual(line, "25011: peer 7 {node} is gone: {reason}")

    def test_watcherFailed(self) -> None:
        """
        A watcher's exception is logged with its traceback and the event's name.
        """
        events = Events(self.journal.watcherFailed)

        def broken(event: Event) -> None:
            raise RuntimeError("broken")

        events.watch(broken)
        with capturedLogs() as captured:
            events.publish(STARTED)
        (logged,) = captured
        self.assertEqual(formatEvent(logged), "25011: a watcher failed on CallStarted")
        self.assertEqual(logged["log_failure"].getErrorMessage(), "broken")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
