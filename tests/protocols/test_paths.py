"""
Links that change their path while people talk: overrides that come and go, paths that end, nodes
that stand still.
"""

from __future__ import annotations

from bmff.dmr.frame import Frame
from bmff.events import LinkEnded, PathChanged, PathEnded
from bmff.ibmff import OverrideRow
from bmff.router.call import Peer
from tests.protocols.fastforwardcase import FastForwardTestCase, VirtualNode, makeCall

STEP = 0.005  # seconds


class PathTestCase(FastForwardTestCase):
    """
    Two nodes that share UDP and a reliable transport, with a call each way.
    """

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.pair()
        self.talkers = (self.here.peer(10), self.there.peer(20))
        self.here.peer(11, 92)
        self.there.peer(21, 91)
        self.advance(1.0)
        self.lateness: list[float] = []
        self._sent: dict[tuple[int, int], float] = {}
        self._calls = 0
        for node, other in ((self.here, self.there), (self.there, self.here)):
            self._listen(node, other)

    def _listen(self, node: VirtualNode, other: VirtualNode) -> None:
        link = node.link(other.nodeID)
        take = link.takeFrame

        def takeFrame(frame: Frame, now: float) -> None:
            self.lateness.append(now - self._sent[frame.stream, frame.sequence])
            take(frame, now)

        link.takeFrame = takeFrame

    def override(self, transport: str | None, at: VirtualNode | None = None) -> None:
        """
        Change the row that says how the far node is reached, in the registry of both.
        """
        node = at or self.here
        target = self.there if node is self.here else self.here
        port = target.nodeID if transport == "memory" else 54000
        if transport is None:
            self.rows.overrides.pop(target.nodeID, None)
        else:
            self.rows.overrides[target.nodeID] = OverrideRow(
                target.nodeID, 0, transport, target.host, port
            )
        for each in (self.here, self.there):
            each.cluster.overridesChanged()

    def talk(self, superframes: int = 28) -> tuple[list[Frame], list[Frame]]:
        """
        A call each way, about 10 s.
        """
        self._calls += 1
        calls = (
            makeCall(91, superframes=superframes, stream=self._calls * 2),
            makeCall(92, superframes=superframes, stream=self._calls * 2 + 1, source=2340002),
        )
        for node, peer, frames in zip((self.here, self.there), self.talkers, calls, strict=True):
            for number, frame in enumerate(frames):
                self.clock.callLater(number * 0.06, self._send, node, peer, frame)
        return calls

    def _send(self, node: VirtualNode, peer: Peer, frame: Frame) -> None:
        self._sent[frame.stream, frame.sequence] = self.clock.seconds()
        node.send(peer, frame)

    def run_(self, seconds: float, step: float = STEP) -> None:
        """
        Let time pass.
        """
        self.clock.pump([step] * round(seconds / step))

    def assertWhole(self, calls: tuple[list[Frame], list[Frame]], latest: float = 0.1) -> None:
        """
        Each frame was heard, once, and none later than this.
        """
        self.assertHeard(self.there, 21, calls[0])
        self.assertHeard(self.here, 11, calls[1])
        self.assertLessEqual(max(self.lateness), latest)

    def over(self) -> tuple[str, str]:
        """
        What carries the link at each end.
        """
        paths = self.here.link(2502).path, self.there.link(2501).path
        names = tuple(path.traits.name if path is not None else "" for path in paths)
        return names[0], names[1]

    def end(self, node: VirtualNode, transport: str) -> None:
        """
        A connection is closed under the link.
        """
        for connection in tuple(node.fastForward.connections):
            if connection.transport.name == transport:
                connection.transport.loseConnection()


class OverrideTests(PathTestCase):
    """
    Rows that change while calls go on.
    """

    def test_there(self) -> None:
        """
        An override that is added moves the link within the call: at both ends, in a moment, and
        nothing is lost or late.
        """
        calls = self.talk()
        self.run_(3.0)
        self.assertEqual(self.over(), ("udp", "udp"))
        self.override("memory")
        self.run_(0.06)
        self.assertEqual(self.over(), ("memory", "memory"))
        self.run_(9.0)
        self.assertWhole(calls)
        self.assertEqual(self.here.happened(LinkEnded), [])

    def test_back(self) -> None:
        """
        When it is taken away the link goes back to the path that has stood by.
        """
        self.override("memory")
        self.run_(3.0)
        calls = self.talk()
        self.run_(3.0)
        self.assertEqual(self.over(), ("memory", "memory"))
        self.override(None)
        self.run_(0.06)
        self.assertEqual(self.over(), ("udp", "udp"))
        self.run_(9.0)
        self.assertWhole(calls)

    def test_manyTimes(self) -> None:
        """
        To and fro 100 times within calls no frame is lost, doubled or late, and no path is left
        behind.
        """
        calls = []
        for _ in range(10):
            calls.append(self.talk())
            for change in range(10):
                self.run_(1.0)
                self.override("memory" if change % 2 == 0 else "udp")
            self.run_(2.0)
        self.assertWhole(
            (
                [frame for there, _ in calls for frame in there],
                [frame for _, back in calls for frame in back],
            )
        )
        for node in (self.here, self.there):
            self.assertLessEqual(len(node.fastForward.connections), 2)

    def test_higher(self) -> None:
        """
        A row that only the higher node ID has counts as well.
        """
        calls = self.talk()
        self.run_(1.0)
        self.override("memory", at=self.there)
        self.run_(0.2)
        self.assertEqual(self.over(), ("memory", "memory"))
        self.run_(12.0)
        self.assertWhole(calls)

    def test_bothAtOnce(self) -> None:
        """
        Where both ends get the row at nearly the same moment both begin a path, and for a moment
        each may know of its own alone. Frames that are on their way on the one that does not stay
        come all the same, and it is closed afterwards.
        """
        calls = []
        self.streams.latency = 0.04
        for apart in range(12):
            calls.append(self.talk())
            self.run_(1.0 + 0.01 * apart)
            first, second = (self.there, self.here) if apart % 2 else (self.here, self.there)
            self.override("memory", at=first)
            self.run_(0.01 * (apart // 2))
            self.override("memory", at=second)
            self.run_(1.0)
            self.assertEqual(self.over(), ("memory", "memory"))
            for node in (self.here, self.there):
                self.override("udp", at=node)
            self.run_(9.0)
            for node in (self.here, self.there):
                self.assertLessEqual(len(node.fastForward.connections), 2)
        self.assertWhole(
            (
                [frame for there, _ in calls for frame in there],
                [frame for _, back in calls for frame in back],
            ),
            latest=0.2,
        )

    def test_disagreement(self) -> None:
        """
        Where both ends have a row, that of the lower node ID counts; the other is overruled.
        """
        self.override("udp")
        self.override("memory", at=self.there)
        self.run_(5.0)
        self.assertEqual(self.over(), ("udp", "udp"))
        self.assertTrue(self.there.cluster.ways.overruled(self.there.link(2501)))
        self.assertFalse(self.here.cluster.ways.overruled(self.here.link(2502)))

    def test_notToBeHad(self) -> None:
        """
        An override to a transport that this node does not have leaves the link where it is.
        """
        calls = self.talk()
        self.run_(1.0)
        self.override("rdma")
        self.run_(12.0)
        self.assertEqual(self.over(), ("udp", "udp"))
        self.assertWhole(calls)

    def test_leadsNowhere(self) -> None:
        """
        An override to where nobody is leaves the link where it is.
        """
        calls = self.talk()
        self.run_(1.0)
        self.rows.overrides[2502] = OverrideRow(2502, 0, "memory", "", 9999)
        self.here.cluster.overridesChanged()
        self.run_(12.0)
        self.assertEqual(self.over(), ("udp", "udp"))
        self.assertWhole(calls)

    def test_first(self) -> None:
        """
        A node whose override leads nowhere is reached over UDP when there is no link yet.
        """
        self.rows.overrides[2503] = OverrideRow(2503, 0, "memory", "", 9999)
        third = self.node(2503, start=False)
        self.run_(5.0)
        path = self.here.link(2503).path
        assert path is not None
        self.assertEqual(path.traits.name, "udp")
        third.stop()


class LossTests(PathTestCase):
    """
    Paths that end, and ends that stand still.
    """

    def setUp(self) -> None:
        super().setUp()
        self.override("memory")
        self.run_(3.0)
        self.assertEqual(self.over(), ("memory", "memory"))

    def test_closed(self) -> None:
        """
        A path that is closed within a call loses nothing: UDP stands by, and what was under way is
        sent there.
        """
        for closer in (self.here, self.there):
            calls = self.talk(10)
            self.run_(1.003)
            self.end(closer, "memory")
            self.run_(0.05)
            self.assertEqual(self.over(), ("udp", "udp"))
            self.run_(7.0)
            self.assertEqual(self.over(), ("memory", "memory"))
            self.assertEqual(self.here.happened(LinkEnded), [])
            self.assertWhole(calls)
            self.here.outlet.__init__()  # type: ignore[misc]
            self.there.outlet.__init__()  # type: ignore[misc]

    def test_told(self) -> None:
        """
        The end of a path and the change to another are events.
        """
        self.end(self.here, "memory")
        self.run_(0.5)
        ended = [event for event in self.there.paths if isinstance(event, PathEnded)]
        self.assertEqual([(event.node, event.transport) for event in ended], [(2501, "memory")])
        changes = [event for event in self.there.told if isinstance(event, PathChanged)]
        self.assertEqual(changes[-1].transport, "udp")

    def test_processGone(self) -> None:
        """
        When the other process is gone and its path closes the link is down within 50 ms, although
        UDP stood by; its calls end.
        """
        self.talk()
        self.run_(8.0, step=0.001)  # so fine that the round trip is known as it is, 2 ms
        self.there.vanish()
        self.end(self.here, "memory")
        self.run_(0.05, step=0.001)
        self.assertNotIn(2502, self.here.fastForward.links)
        self.assertEqual([call for call in self.here.router.calls.values() if call.remotes], [])

    def test_blackHole(self) -> None:
        """
        When nothing gets through for 5 s on the path that is used, the other one is used 1.3 s
        later at the latest; nothing ends.
        """
        self.override("udp")
        self.run_(3.0)
        self.assertEqual(self.over(), ("udp", "udp"))
        self.talk()
        self.run_(2.0)
        self.lateness.clear()
        self.network.loss = 1.0
        self.run_(1.3)
        self.assertEqual(self.over(), ("memory", "memory"))
        heard = len(self.lateness)
        self.run_(1.0)
        self.assertGreater(len(self.lateness), heard + 20)
        self.assertEqual(self.here.happened(LinkEnded), [])


class OutageTests(PathTestCase):
    """
    Where there is no other path.
    """

    def test_comesBack(self) -> None:
        """
        A link whose only path lets nothing through for 5 s ends, and comes back by itself within
        3 s; what is said from then on is heard.
        """
        self.network.loss = 1.0
        self.talk()
        self.run_(5.0)
        for node in (self.here, self.there):
            self.assertEqual(node.fastForward.links, {})
        self.network.loss = 0.0
        self.run_(3.0)
        self.assertEqual(self.over(), ("udp", "udp"))
        self.run_(5.0)
        calls = self.talk(4)
        for node, other in ((self.here, self.there), (self.there, self.here)):
            node.outlet.heard.clear()
            self._listen(node, other)
        self.lateness.clear()
        self.run_(3.0)
        self.assertWhole(calls)

    def test_shortOutage(self) -> None:
        """
        An outage of half a second ends nothing.
        """
        self.talk()
        self.run_(2.0)
        self.network.loss = 1.0
        self.run_(0.5)
        self.network.loss = 0.0
        self.run_(9.0)
        for node in (self.here, self.there):
            self.assertEqual(node.happened(LinkEnded), [])
