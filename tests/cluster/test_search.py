"""
Tests of L{bmff.cluster.search}: which node is reached how, and when it is tried.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from bmff.cluster.cluster import TICK
from bmff.cluster.search import LONG_LIFE, LONGEST_PAUSE, TARGET_PAUSE
from bmff.cluster.ways import HIGHER_WAITS, ROW_LIFE, Target
from bmff.errors import TransportUnavailable
from bmff.events import NodeUnreachable
from bmff.ibmff import OverrideRow
from bmff.wire.fastforward.capabilities import Capabilities
from bmff.wire.fastforward.link import Link
from tests.cluster.case import WALL, ClusterTestCase


class SearchTests(ClusterTestCase):
    """
    How other nodes are found and reached.
    """

    def test_rows(self) -> None:
        """
        A node in the registry is reached over UDP at the address in its row, under the default key.
        """
        self.rows.put(2502)
        self.cluster()
        self.assertEqual(self.links.asked, [(0.0, 2502, "udp", "192.0.2.2", 54002, "group")])

    def test_overrides(self) -> None:
        """
        An override says transport, address, port and key, whether the node has a row or not.
        """
        self.rows.put(2502)
        self.rows.overrides[2502] = OverrideRow(2502, "pair", "unix", "", 54002)
        self.rows.overrides[2503] = OverrideRow(2503, 0, "tcp", "example.net", 443)
        self.cluster()
        self.assertEqual(
            self.links.asked,
            [
                (0.0, 2502, "unix", "", 54002, "pair"),
                (0.0, 2503, "tcp", "example.net", 443, "group"),
            ],
        )

    def test_automatic(self) -> None:
        """
        An override to C{auto} leaves the way as it is, and may name a key; without a row there is
        no way.
        """
        self.rows.put(2502)
        for node in (2502, 2503):
            self.rows.overrides[node] = OverrideRow(node, "pair", "auto", "", 0)
        self.cluster()
        self.assertEqual(self.links.asked, [(0.0, 2502, "udp", "192.0.2.2", 54002, "pair")])

    def test_itself(self) -> None:
        """
        Rows, overrides and targets that name this node itself are passed over.
        """
        self.rows.put(2501)
        self.rows.overrides[2501] = OverrideRow(2501, 0, "tcp", "example.net", 443)
        cluster = self.cluster(Target(2501, "192.0.2.1", 54000))
        self.advance(5)
        self.assertEqual((self.links.asked, cluster.ways.wanted()), ([], {}))

    def test_registryAway(self) -> None:
        """
        Rows do not grow old while the registry cannot be read: one that was fresh when it was read
        last counts, one that was not does not.
        """
        self.rows.age = 3600.0
        self.rows.put(2502, age=3600.0 + ROW_LIFE - 1)
        self.rows.put(2503, age=3600.0 + ROW_LIFE + 1)
        self.cluster()
        self.assertEqual([asked[1] for asked in self.links.asked], [2502])

    def test_stale(self) -> None:
        """
        A row that has not been renewed for a minute is passed over.
        """
        self.rows.put(2502, age=ROW_LIFE + 1)
        self.rows.put(2503, age=ROW_LIFE - 1)
        self.cluster()
        self.assertEqual([node for _, node, *_ in self.links.asked], [2503])

    def test_byHand(self) -> None:
        """
        A row that no node has written counts whatever its age, and its node is not waited for, as
        it may not read this registry; one of a node that has not run yet is passed over.
        """
        for node, seen in ((2502, WALL - 10 * ROW_LIFE), (2503, WALL), (2504, 0.0)):
            self.rows.put(node)
            self.rows.nodes[node] = replace(self.rows.nodes[node], boot=0, seen=seen)
        cluster = self.cluster(nodeID=2505)
        self.assertEqual(sorted(cluster.ways.wanted()), [2502, 2503])
        self.assertEqual((self.times(2502), self.times(2503)), ([0.0], [0.0]))

    def test_stopped(self) -> None:
        """
        The row of a node that has said that it stops is passed over at once.
        """
        self.rows.put(2502, age=WALL)
        self.assertEqual(self.cluster().ways.wanted(), {})

    def test_higherWaits(self) -> None:
        """
        The higher node ID leaves the beginning to the lower one for 2 s.
        """
        self.rows.put(2502)
        self.rows.put(2504)
        self.cluster(nodeID=2503)
        self.advance(5)
        self.assertEqual(self.times(2504)[0], 0.0)
        self.assertLess(abs(self.times(2502)[0] - HIGHER_WAITS), TICK)

    def test_onlyItKnows(self) -> None:
        """
        The higher one begins at once when the lower one cannot know where it is.
        """
        self.cluster(Target(2502, "192.0.2.2", 54000), nodeID=2503)
        self.assertEqual(self.times(2502), [0.0])

    def test_backOff(self) -> None:
        """
        A node that cannot be reached is tried after 1 s, then 2 s, up to every 60 s, with some
        jitter; why is told once.
        """
        self.rows.put(2502)
        cluster = self.cluster()
        self.advance(400)
        pauses = [after - before for before, after in pairwise(self.times(2502))]
        for pause, expected in zip(
            pauses, (1, 2, 4, 8, 16, 32, *[LONGEST_PAUSE] * 9), strict=False
        ):
            self.assertTrue(0.75 * expected <= pause <= 1.25 * expected + TICK, pauses)
        self.assertGreater(len(pauses), 8)
        self.assertNotEqual(len({round(pause, 1) for pause in pauses[6:]}), 1)
        self.assertEqual(self.told, [NodeUnreachable(2502, "udp", "no answer")])
        self.assertEqual(cluster.search(2502), "no answer")

    def test_whereUDPDoesNotPass(self) -> None:
        """
        After 10 s without an answer over UDP, TCP is tried as well, and after 10 s more TLS.
        """
        self.rows.put(2502)
        cluster = self.cluster()
        cluster.ways.own = Capabilities(frozenset({"udp", "tcp", "tls"}))
        self.advance(60)
        first: dict[str, float] = {}
        for at, _, transport, *_ in self.links.asked:
            first.setdefault(transport, at)
        self.assertEqual(list(first), ["udp", "tcp", "tls"])
        self.assertTrue(10 <= first["tcp"] - first["udp"] <= 20, first)
        self.assertTrue(10 <= first["tls"] - first["tcp"] <= 20, first)

    def test_reasons(self) -> None:
        """
        Another reason is told again.
        """
        self.rows.put(2502)
        self.cluster()
        self.links.reason = "no such device"
        self.advance(10)
        self.assertEqual(
            [event.reason for event in self.told if isinstance(event, NodeUnreachable)],
            ["no answer", "no such device"],
        )

    def test_targets(self) -> None:
        """
        A configured target is tried every 10 s from the first time on, never later and no more than
        a tenth sooner, however long it is away.
        """
        self.cluster(Target(2502, "example.net", 54000))
        self.advance(400)
        pauses = [after - before for before, after in pairwise(self.times(2502))]
        self.assertGreaterEqual(len(pauses), 40)
        self.assertLess(max(pauses), TARGET_PAUSE + 0.001)
        self.assertGreater(min(pauses), 0.9 * TARGET_PAUSE - 0.001)
        self.assertEqual(self.links.asked[0][2:], ("udp", "example.net", 54000, "group"))

    def test_slowTarget(self) -> None:
        """
        An attempt at a target that takes 5 s to fail does not put off the next one.
        """
        self.links.reason = ""
        self.cluster(Target(2502, "example.net", 54000))
        for number in range(10):
            self.advance(5)
            self.links.open[number].errback(TransportUnavailable("no answer"))
            self.advance(5)
        pauses = [after - before for before, after in pairwise(self.times(2502))]
        self.assertEqual(len(pauses), 10)
        self.assertLess(max(pauses), TARGET_PAUSE + 0.001)

    def test_diedYoung(self) -> None:
        """
        A link that ends within 5 minutes is one more failure: the pause after it goes on doubling,
        with what failed before and with further such links.
        """
        self.rows.put(2502)
        cluster = self.cluster()
        self.advance(2)
        self.assertEqual(len(self.times(2502)), 2)
        self.links.reason = ""
        for expected in (4, 8, 16, 32, 60, 60):
            link = self.linkUp(cluster, 2502)
            self.advance(LONG_LIFE - 10 if expected == 8 else 5)
            self.rows.put(2502)
            self.links.open.clear()
            asked, ended = len(self.times(2502)), self.clock.seconds()
            self.linkDown(cluster, link)
            self.advance(1.25 * expected + TICK)
            pause = self.times(2502)[asked] - ended
            self.assertTrue(0.75 * expected <= pause <= 1.25 * expected + TICK, (expected, pause))
            (attempt,) = self.links.open
            attempt.callback(None)

    def test_left(self) -> None:
        """
        A path that a link has left for another one was no failure: when it is wanted again it is
        tried at once.
        """
        self.rows.put(2502)
        self.rows.overrides[2502] = OverrideRow(2502, 0, "tcp", "192.0.2.2", 54002)
        self.links.reason = ""
        cluster = self.cluster()
        cluster.ways.own = Capabilities(frozenset({"udp", "tcp", "unix"}))
        link = self.linkUp(cluster, 2502)
        link.capabilities = cluster.ways.own.encode()
        self.links.paths.add((2502, "tcp"))
        cluster.pathStarted(link, "tcp")
        self.advance(1)
        self.rows.overrides[2502] = OverrideRow(2502, 0, "unix", "", 54002)
        cluster.overridesChanged()
        self.links.paths.discard((2502, "tcp"))
        cluster.pathEnded(link, "tcp", "another path is better")
        self.rows.overrides[2502] = OverrideRow(2502, 0, "tcp", "192.0.2.2", 54002)
        self.links.asked.clear()
        cluster.overridesChanged()
        self.assertEqual(
            [one[:3] for one in self.links.asked], [(self.clock.seconds(), 2502, "tcp")]
        )

    def test_rowAway(self) -> None:
        """
        A link's age is not forgotten when the node's row is away for a moment.
        """
        self.links.reason = ""
        self.rows.put(2502)
        cluster = self.cluster()
        self.links.open[0].callback(None)
        link = self.linkUp(cluster, 2502)
        self.rows.nodes.clear()
        self.advance(5)
        self.rows.put(2502)
        self.linkDown(cluster, link)
        tried, ended = len(self.times(2502)), self.clock.seconds()
        self.advance(2)
        (at,) = self.times(2502)[tried:]
        self.assertGreaterEqual(at - ended, 0.75)

    def test_livedLong(self) -> None:
        """
        A link that has lived for 5 minutes makes up for all failures: after it the node is tried
        at once, then after 1 s, 2 s and so on.
        """
        self.rows.put(2502)
        cluster = self.cluster()
        self.advance(30)
        link = self.linkUp(cluster, 2502)
        self.advance(LONG_LIFE)
        tried, ended = len(self.times(2502)), self.clock.seconds()
        self.linkDown(cluster, link)
        self.advance(10)
        later = [at - ended for at in self.times(2502)[tried:]]
        self.assertGreater(len(later), 2)
        self.assertLessEqual(later[0], TICK)
        for pause, expected in zip(
            [after - before for before, after in pairwise(later)], (1, 2), strict=False
        ):
            self.assertTrue(0.75 * expected <= pause <= 1.25 * expected + TICK, later)

    def test_livedLongHigher(self) -> None:
        """
        After a link that has lived long the higher node ID leaves 2 s to the lower one, as at
        first.
        """
        self.rows.put(2502)
        self.links.reason = ""
        cluster = self.cluster(nodeID=2503)
        link = self.linkUp(cluster, 2502)
        self.advance(LONG_LIFE)
        self.linkDown(cluster, link)
        ended = self.clock.seconds()
        self.advance(5)
        (first,) = self.times(2502)
        self.assertTrue(HIGHER_WAITS <= first - ended <= HIGHER_WAITS + TICK)

    def test_targetDied(self) -> None:
        """
        A target whose link has died young is tried within 10 s.
        """
        self.links.reason = ""
        cluster = self.cluster(Target(2502, "example.net", 54000))
        self.links.open[0].callback(None)
        for _ in range(4):
            link = self.linkUp(cluster, 2502)
            self.advance(5)
            self.linkDown(cluster, link)
            tried, ended = len(self.times(2502)), self.clock.seconds()
            self.advance(TARGET_PAUSE)
            (at,) = self.times(2502)[tried:]
            self.assertGreater(at, ended + 0.9 * TARGET_PAUSE - 0.001)
            self.links.open[-1].callback(None)

    def test_noLinkCame(self) -> None:
        """
        An attempt that succeeds and leaves no link is not followed by one after the other.
        """
        self.links.reason = ""
        self.rows.put(2502)
        self.cluster()
        self.links.open[0].callback(None)
        self.advance(0.5)
        self.assertEqual(len(self.times(2502)), 1)
        self.advance(2)
        self.assertEqual(len(self.times(2502)), 2)

    def test_toldAgain(self) -> None:
        """
        When a link has been there, the reason of the next failure is told although it is the same.
        """
        self.rows.put(2502)
        cluster = self.cluster()
        link = self.linkUp(cluster, 2502)
        self.assertEqual(cluster.search(2502), "")
        self.advance(1)
        self.linkDown(cluster, link)
        self.advance(10)
        told = [event for event in self.told if isinstance(event, NodeUnreachable)]
        self.assertEqual(told, [NodeUnreachable(2502, "udp", "no answer")] * 2)

    def test_oneAtATime(self) -> None:
        """
        While one attempt is under way there is no second one.
        """
        self.links.reason = ""
        self.rows.put(2502)
        self.cluster()
        self.advance(20)
        self.assertEqual(len(self.links.asked), 1)

    def test_gone(self) -> None:
        """
        When a node's row goes, the attempt to reach it is given up, and nothing is told.
        """
        self.links.reason = ""
        self.rows.put(2502)
        self.cluster()
        del self.rows.nodes[2502]
        self.advance(1)
        self.assertTrue(self.links.open[0].called)
        self.assertEqual(self.told, [])

    def test_linkedMeanwhile(self) -> None:
        """
        An attempt that fails when there is a link already, which the other end has made, is not
        told as a failure.
        """
        self.links.reason = ""
        self.rows.put(2502)
        cluster = self.cluster()
        self.links.links[2502] = Link(2502, 7, cluster, cluster, 0.0, 1)
        self.links.paths.add((2502, "udp"))
        self.advance(1)
        self.links.open[0].errback(TransportUnavailable("no answer"))
        self.assertEqual(self.told, [])
        self.assertEqual(cluster.search(2502), "")

    def test_stop(self) -> None:
        """
        Who stops gives up its attempts, tells nothing and looks no more.
        """
        self.links.reason = ""
        self.rows.put(2502)
        cluster = self.cluster()
        cluster.stop()
        self.assertTrue(self.links.open[0].called)
        self.assertEqual((self.told, self.clock.getDelayedCalls()), ([], []))
