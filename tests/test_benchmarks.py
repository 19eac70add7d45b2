"""
Tests of L{benchmarks}: they run, and print what they promise. Their figures are not judged here.
"""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import api, broker, fanout, rewrite
from benchmarks._attack import first, flood, forge
from benchmarks._hotspots import Place, crosses
from benchmarks._late import Heard, leftAlone, nextArrival, noteArrivals, stamped
from benchmarks._links import KEY
from benchmarks._node import compileReference
from benchmarks._report import Report
from benchmarks._web import Visit
from benchmarks.flood import bench
from benchmarks.scale import BEARABLE, processors, runningGroup, show
from bmff.errors import ProtocolError
from bmff.testing.requirements import requires
from bmff.wire.fastforward.handshake import Accepted, HandshakeResponder
from bmff.wire.fastforward.prologue import Prologue


class BenchmarkTests(SynchronousTestCase):
    """
    The references in C, and one small run.
    """

    @requires("cc")
    def test_references(self) -> None:
        """
        Each reference compiles.
        """
        with TemporaryDirectory() as folder:
            for name in ("fan", "sink", "pp"):
                self.assertTrue(compileReference(name, Path(folder)).exists())

    @requires("cc")
    def test_fanout(self) -> None:
        """
        The fan-out through a node is measured beside the reference's, nothing lost on the way.
        """
        with TemporaryDirectory() as folder:
            for name in ("fan", "sink"):
                compileReference(name, Path(folder))
            theirs, ours = fanout.measure(10, 1, Path(folder), packets=1000)
        self.assertEqual((len(theirs), len(ours)), (1, 1))
        self.assertGreater(min(theirs + ours), 0)

    @requires("cc", "mosquitto")
    def test_everything(self) -> None:
        """
        A node with everything on is measured beside one with everything off: neither loses any of
        the call, and metrics were read meanwhile.
        """
        with TemporaryDirectory() as folder:
            program = compileReference("sink", Path(folder)).parent
            paces, worth, read = fanout.measureEverything(10, 1, program, packets=1000)
        for found in (paces, worth):
            self.assertEqual({case: len(each) for case, each in found.items()}, {"on": 1, "off": 1})
        self.assertGreater(min(paces["on"] + paces["off"]), 0)
        self.assertGreater(read, 0)

    @requires("cc")
    def test_rewrite(self) -> None:
        """
        A call under other numbers, and one that a rule sends elsewhere, reach all that the plain
        one does.
        """
        with TemporaryDirectory() as folder:
            found = rewrite.measure(1, compileReference("sink", Path(folder)), 30, 2)
        self.assertEqual({case: len(each) for case, each in found.items()}, dict.fromkeys(found, 1))
        self.assertEqual(set(found), {"plain", "rewrite", "rule"})
        self.assertGreater(min(each for (each,) in found.values()), 0)

    def test_report(self) -> None:
        """
        A report in JSON is one object with what compares benchmarks.
        """
        output = StringIO()
        with redirect_stdout(output):
            Report("some", {"10": 0.98765}, {"packets": 5}, "C").show(True)
        self.assertEqual(
            json.loads(output.getvalue()),
            {
                "benchmark": "some",
                "ratios": {"10": 0.988},
                "figures": {"packets": 5},
                "reference": "C",
            },
        )


class AttackTests(SynchronousTestCase):
    """
    What the attacker of L{benchmarks.flood} sends.
    """

    def setUp(self) -> None:
        self.prologue = Prologue("", 1001, 1002, "benchmark", "udp")
        self.responder = HandshakeResponder(
            nodeID=1002, environment="", keys=lambda _: KEY, bootID=1, secret=bytes(32)
        )

    def receive(self, message: bytes, now: float) -> object:
        """
        What the node says to a message.
        """
        return self.responder.initiationReceived(message, b"", now, 1, bytes(range(32)), "udp")

    def test_forged(self) -> None:
        """
        No forged message is let in, and most get as far as their C{mac1}.
        """
        random = Random(2)
        for place in range(500):
            message = forge(random, self.prologue)
            with self.assertRaises(ProtocolError):
                self.receive(message, float(place))
        self.assertGreater(self.responder.dropped["mac1"], 350)
        self.assertEqual(self.responder.dropped.total(), 500)
        self.assertEqual(self.responder.accepted, 0)

    def test_recorded(self) -> None:
        """
        The message that the attacker replays is a good one the first time, and only then.
        """
        message = first(self.prologue, KEY)
        self.assertIsInstance(self.receive(message, 0.0), Accepted)
        with self.assertRaises(ProtocolError):
            self.receive(message, 0.0)
        self.assertEqual(self.responder.dropped, Counter({"replayed initiation": 1}))

    def test_pace(self) -> None:
        """
        Each queue is sent at its own pace, however long the attacker was held up.
        """
        sent = [0, 0]

        def send(number: int) -> None:
            sent[number] += 1

        found = flood([(2000, lambda: send(0)), (500, lambda: send(1))], *self.soon(0.1))
        self.assertEqual(found.counts, tuple(sent))
        self.assertLessEqual(sent[0], 200)
        self.assertLessEqual(abs(sent[0] / 4 - sent[1]), 1)
        self.assertGreater(found.pause, 0)

    def soon(self, seconds: float) -> tuple[float, float]:
        """
        From now on, for some time.
        """
        now = time.monotonic()
        return now, now + seconds


class FloodTests(SynchronousTestCase):
    """
    L{benchmarks.flood} in small.
    """

    def test_rounds(self) -> None:
        """
        A round tells of every frame of the calls, at both ends, and in an attack of every message
        that the node refused.
        """
        with bench(2) as running:
            quiet = running.round(0.6, None)
            attacked = running.round(0.6, (500, 100))
        for each in (quiet, attacked):
            self.assertEqual((each.sent, each.lost), (40, 0))
            self.assertEqual(each.accepted, 0)
            self.assertGreater(each.renewed, 0)
            self.assertLessEqual(each.late(0.5), each.late(1.0))
        self.assertEqual((quiet.forged, quiet.counted["refused: mac1"]), (0, 0))
        self.assertGreater(attacked.counted["refused: mac1"], 100)
        self.assertGreater(attacked.counted["refused: replayed initiation"], 10)


class LateTests(SynchronousTestCase):
    """
    How late frames are.
    """

    def test_arrival(self) -> None:
        """
        A frame tells how long it was on its way, by the kernel's time of its arrival and not by
        the moment at which it is read; what is not there is not waited for.
        """
        listener, talker = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.addCleanup(listener.close)
        self.addCleanup(talker.close)
        listener.bind(("127.0.0.1", 0))
        noteArrivals(listener)
        with self.assertRaises(BlockingIOError):
            nextArrival(listener)
        for _ in range(500):  # the kernel begins to note times a while after it was asked to
            before = time.time_ns()
            talker.sendto(stamped(7, 91, 0, before, stream=5), listener.getsockname())
            after = time.time_ns()
            time.sleep(0.002)
            arrival = nextArrival(listener)
            self.assertEqual((arrival.stream, arrival.stamp), (5, before))
            if arrival.late <= (after - before) / 1e9:
                break
        else:
            self.fail("frames are counted until they are read")
        talker.sendto(stamped(7, 91, 0, before - 2_000_000_000), listener.getsockname())
        arrival = nextArrival(listener)
        self.assertEqual(arrival.stream, 7)
        self.assertGreater(arrival.late, 2.0)

    def test_shares(self) -> None:
        """
        What a share of the frames keeps to is one of them, the latest for all; what was not heard
        is lost.
        """
        heard = Heard([each / 1000 for each in range(1000)], 1003)
        self.assertEqual(
            [heard.late(each) for each in (0.0, 0.5, 0.999, 1.0)], [0, 0.5, 0.999, 0.999]
        )
        self.assertEqual(heard.lost, 3)

    def test_leftAlone(self) -> None:
        """
        A round counts in which others left the processor alone with and without.
        """
        self.assertEqual(leftAlone([0.0, 0.5, 0.1, 0.1], [0.1, 0.0, 0.9, 0.0]), [0, 3])


class ApiTests(SynchronousTestCase):
    """
    L{benchmarks.api} in small.
    """

    def test_rounds(self) -> None:
        """
        A round tells of every frame of the calls, and with visitors of every answer, each of them
        200, and of events on all streams.
        """
        visit = Visit(api.PATHS, 60, 3)
        with api.bench(2, 3) as running:
            control = running.round(0.6, 5, None)
            visited = running.round(0.6, 5, visit)
        for each in (control, visited):
            self.assertEqual(each.told.heard().lost, 0)
            self.assertGreater(each.heard.sent, 10)
            self.assertGreater(each.told.shorts, 2)
            self.assertLessEqual(each.heard.late(0.5), each.heard.late(1.0))
        self.assertIsNone(control.visited)
        seen = visited.visited
        assert seen is not None
        self.assertEqual((seen.refused, seen.broken, seen.streams), ({}, 0, 3))
        self.assertEqual(seen.answered, seen.sent)
        self.assertEqual({path for path, _ in seen.statuses}, set(api.PATHS))
        self.assertGreater(seen.told, 0)
        output = StringIO()
        with redirect_stdout(output):
            api.show([control], [visited], True)
        report = json.loads(output.getvalue())
        self.assertEqual(set(report["ratios"]), {"p50", "p99", "p99.9"})
        self.assertEqual(report["figures"]["answers that were not 200 (bar: 0)"], 0)


class BrokerTests(SynchronousTestCase):
    """
    L{benchmarks.broker} in small.
    """

    @requires("mosquitto")
    def test_rounds(self) -> None:
        """
        Whatever happens to the broker, a round tells of every frame and of as many events as were
        wanted, and waits until the broker has the right states.
        """
        self.patch(broker, "AFTER", 0.2)
        self.patch(broker, "PROVEN", 0.2)
        cases = (broker.CONTROL, broker.QUIET, *broker.AWAY)
        with broker.bench(2) as running:
            found = {case: [running.round(case, 60, 300)] for case in cases}
        for case, (each,) in found.items():
            self.assertEqual((case, each.lost), (case, 0))
            self.assertEqual(each.events, 0 if case == broker.QUIET else 60)
            self.assertGreater(min(part.sent for part in each.parts.values()), 0)
            self.assertGreaterEqual(each.right, 0)
            self.assertGreaterEqual(each.memory[1], max(each.memory[0], each.memory[2]))
        for case in ("killed", "restarted"):
            self.assertGreater(found[case][0].outbox["connections"], 0)
        output = StringIO()
        with redirect_stdout(output):
            broker.show(found, True)
        report = json.loads(output.getvalue())
        self.assertEqual(set(report["ratios"]), set(broker.AWAY))


class ScaleTests(SynchronousTestCase):
    """
    L{benchmarks.scale} in small.
    """

    def test_places(self) -> None:
        """
        No two units have a hotspot, a radio or a talkgroup in common, and what a unit hears of the
        one before is what that one calls. One call in five crosses.
        """
        places = [Place(number, 4, 0, 100) for number in range(4)]
        calls = range(100)
        for ids in (
            [one.hotspot(kind, call // 2) for one in places for kind in range(3) for call in calls],
            [one.radio(call) for one in places for call in calls for _ in range(2)],
            [
                one.talkgroup(call, far)
                for one in places
                for call in calls
                for far in (False, True) * 2
            ],
        ):
            self.assertEqual(set(Counter(ids).values()), {2})
        self.assertEqual([one.before.number for one in places], [3, 0, 1, 2])
        self.assertEqual(sum(map(crosses, calls)), 20)

    def test_units(self) -> None:
        """
        Two units carry what they send, a fifth of it from one node to the other, or nothing; the
        case of one unit's size that there are too few processors for is named with the reason.
        """
        cpus = processors()
        with runningGroup([cpus[0], cpus[-1]], 20) as group:
            crossing = group.trial(0.4, True, 16)
            apart = group.trial(0.4, False, 16)
            transports = group.transports
        for each in (crossing, apart):
            self.assertLessEqual(each.loss, BEARABLE)
            self.assertGreater(min(unit.rate for unit in each.units), 0)
        self.assertLess(abs(crossing.crossed - 0.2), 0.02)
        self.assertEqual(apart.crossed, 0)
        output = StringIO()
        with redirect_stdout(output):
            found = {"1": [apart], "2": [crossing], "2/0": [apart]}
            show(found, {1: [1.0], 2: [1.5]}, 2, transports, True)
        report = json.loads(output.getvalue())
        self.assertEqual(report["benchmark"], "scale")
        self.assertEqual(set(report["ratios"]), {"2", "2/0"})
        self.assertEqual(report["ratios"]["2/0"], 1)
        self.assertEqual(set(report["figures"]["left out"]), {"4"})
