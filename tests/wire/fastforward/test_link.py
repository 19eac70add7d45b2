"""
Tests of L{bmff.wire.fastforward.link}: two links over two paths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import Frame
from bmff.dmr.voice import voiceCall
from bmff.testing.mutation import mutations
from bmff.wire.fastforward.control import Full
from bmff.wire.fastforward.interest import Change, Interest, Told, encode
from bmff.wire.fastforward.link import (
    APPLICATION,
    INTEREST,
    LOCATIONS,
    WHOLE_WANTED,
    Link,
    RadioLocation,
)
from bmff.wire.fastforward.messages import Challenge
from bmff.wire.fastforward.path import Path, Traits
from bmff.wire.fastforward.session import Session

UDP = Traits("udp", reliable=False, trusted=False)


@dataclass
class State:
    """
    A node as its links tell of it.
    """

    interest: Interest = field(default_factory=Interest)
    lag: int = 0
    load: int = 0

    def capabilitiesFor(self, node: int) -> str:
        return "tcp,udp"


class Watcher:
    """
    Remembers what a link tells.
    """

    def __init__(self) -> None:
        self.told: list[object] = []

    def interestChanged(self, link: Link, change: Change) -> None:
        self.told.append((change.added, change.removed))

    def locationsReceived(self, link: Link, locations: list[RadioLocation], now: float) -> None:
        self.told.append(locations)

    def applicationReceived(self, link: Link, name: str, payload: bytes) -> None:
        self.told.append((name, payload))

    def goodbyeReceived(self, link: Link, path: Path, reason: str) -> None:
        self.told.append(reason)

    def capabilitiesChanged(self, link: Link) -> None:
        pass

    def challengeAnswered(self, link: Link, path: Path, value: int) -> None:
        self.told.append(value)


class End:
    """
    One end of a link.
    """

    def __init__(self, node: int) -> None:
        self.state, self.watcher = State(), Watcher()
        self.out: list[bytes] = []
        self.full = False
        self.link = Link(node, 5, self.state, self.watcher, 0.0, node)
        self.path = Path(self.link, UDP, "192.0.2.9:54000", self._send, 0.0)

    def _send(self, data: bytes) -> bool:
        self.out.append(data)
        return True

    def change(self, added: list[int], removed: list[int]) -> None:
        message = self.state.interest.change(added, removed)
        assert message is not None
        self.link.sendControl(INTEREST, message)


class LinkTestCase(SynchronousTestCase):
    """
    Two ends with a path between them.
    """

    def setUp(self) -> None:
        self.now = 0.0
        self.here, self.there = End(2502), End(2501)
        one, other = bytes(32), b"x" * 32
        self.there.path.expectSession(Session(one, other, 1, 2, initiator=False, now=0.0))
        self.here.path.useSession(Session(other, one, 2, 1, initiator=True, now=0.0), 0.0)
        for end in (self.here, self.there):
            end.link.usePath(end.path)

    def carry(self) -> None:
        """
        Bring to each end what the other has sent, until all is silent.
        """
        while True:
            for end in (self.here, self.there):
                end.link.flush(self.now)
            if not (self.here.out or self.there.out):
                return
            for sender, receiver in ((self.here, self.there), (self.there, self.here)):
                packets, sender.out = sender.out, []
                for packet in packets:
                    receiver.path.packetReceived(packet, self.now)

    def measure(self, seconds: float) -> None:
        """
        Let measurements go to and fro.
        """
        end = self.now + seconds
        while self.now < end:
            self.now += 0.25
            for one in (self.here, self.there):
                one.path.timeout(self.now)
            self.carry()


class InterestTests(LinkTestCase):
    """
    What the other node wants to hear.
    """

    def test_first(self) -> None:
        """
        A link is ready when the first whole interest has come, be it empty.
        """
        self.assertFalse(self.there.link.ready)
        self.carry()
        self.assertTrue(self.there.link.ready)
        self.assertEqual(self.there.watcher.told, [([], [])])
        self.assertEqual(self.here.link.deadline(), inf)

    def test_changedMeanwhile(self) -> None:
        """
        A change between the making of a link and its first use is not missed.
        """
        self.here.state.interest.change([91], [])  # nobody tells a link that is not in use
        self.here.link.begin()
        self.carry()
        self.assertEqual(self.there.link.interest.talkgroups, {91})
        self.assertEqual(self.there.link.interest.digest, self.here.state.interest.digest)

    def test_changes(self) -> None:
        """
        Changes follow, and both ends agree.
        """
        self.carry()
        self.here.change([91, 2350], [])
        self.here.change([92], [91])
        self.carry()
        self.assertEqual(self.there.watcher.told[1:], [([91, 2350], []), ([92], [91])])
        self.assertEqual(self.there.link.interest.talkgroups, {92, 2350})
        self.assertEqual(self.there.link.interest.digest, self.here.state.interest.digest)

    def test_digestDiffers(self) -> None:
        """
        Where versions agree and digests do not the whole is told again, once.
        """
        self.carry()
        self.here.change([91], [])
        self.carry()
        self.there.link.interest.talkgroups.clear()
        self.there.link.interest.digest = 0
        self.measure(3)
        self.assertEqual(self.there.link.interest.talkgroups, {91})
        self.assertEqual(self.there.watcher.told[2:], [([91], [])])

    def test_versionDiffers(self) -> None:
        """
        A change that was never sent is found by the version that measurements carry.
        """
        self.carry()
        self.here.state.interest.change([91], [])  # and the queue was full
        self.measure(10)
        self.assertEqual(self.there.link.interest.talkgroups, {91})

    def test_missed(self) -> None:
        """
        Who has missed a change asks for the whole, once.
        """
        self.carry()
        self.here.state.interest.change([91], [])
        self.here.change([92], [])
        self.here.change([93], [])
        self.carry()
        self.assertEqual(self.there.link.interest.talkgroups, {91, 92, 93})
        self.assertEqual(self.there.watcher.told[1:], [([91, 92, 93], [])])

    def test_tooMany(self) -> None:
        """
        Requests for the whole that come faster than it can be told raise nothing.
        """
        self.here.change(list(range(10_000, 30_000)), [])
        for _ in range(50):
            self.there.link.sendControl(WHOLE_WANTED, b"")
        self.carry()
        self.assertEqual(len(self.there.link.interest.talkgroups), 20_000)
        self.assertGreater(self.here.link.dropped["control queue full"], 0)


class MessageTests(LinkTestCase):
    """
    What else passes.
    """

    def test_locations(self) -> None:
        """
        Where radios are arrives, ages in tenths of a second, in as many messages as it takes.
        """
        places = [RadioLocation(1 + n, 250100 + n, 1 + n % 2, n / 10) for n in range(2500)]
        self.carry()
        self.here.link.sendLocations(places)
        self.carry()
        told = self.there.watcher.told[1:]
        self.assertEqual([len(each) for each in told if isinstance(each, list)], [1000, 1000, 500])
        found = [place for each in told if isinstance(each, list) for place in each]
        for place, sent in zip(found, places, strict=True):
            self.assertEqual(place.radio, sent.radio)
            self.assertEqual((place.peer, place.slot), (sent.peer, sent.slot))
            self.assertLessEqual(abs(place.age - sent.age), 0.1001)

    def test_application(self) -> None:
        """
        A message for a named handler arrives with its payload, however large it may be.
        """
        self.carry()
        self.here.link.sendApplication("weather", b"sun" * 10_000)
        self.here.link.sendApplication("é" * 32, b"")
        self.carry()
        self.assertEqual(
            self.there.watcher.told[1:], [("weather", b"sun" * 10_000), ("é" * 32, b"")]
        )

    def test_applicationRefused(self) -> None:
        """
        A name of 0 or 65 bytes and a payload that is too large are refused to the caller.
        """
        for name in ("", "x" * 65):
            with self.assertRaises(ValueError):
                self.here.link.sendApplication(name, b"")
        with self.assertRaises(Full):
            self.here.link.sendApplication("weather", bytes(65_536))

    def test_strayFrames(self) -> None:
        """
        A frame that comes before anybody wants it is counted.
        """
        frame = next(voiceCall(source=5, destination=91, stream=9))
        self.here.link.sendFrame(0, frame)
        self.carry()
        self.assertEqual(self.there.link.dropped["frame before the link"], 1)

    def test_frames(self) -> None:
        """
        Frames go to who takes them.
        """
        heard: list[Frame] = []
        self.there.link.takeFrame = lambda frame, now: heard.append(frame)
        frame = next(voiceCall(source=5, destination=91, stream=9))
        self.here.link.sendFrame(0, frame)
        self.carry()
        (found,) = heard
        self.assertEqual((found.addressing, found.body), (frame.addressing, frame.body))

    def test_challenge(self) -> None:
        """
        A challenge is answered.
        """
        self.carry()
        self.here.path.sendMessage(Challenge(77))
        self.carry()
        self.assertEqual(self.here.watcher.told[1:], [77])

    def test_seenAt(self) -> None:
        """
        Each end learns the address that it is seen at, and what the other can do.
        """
        self.measure(2)
        self.assertEqual(self.here.link.seenAt, "192.0.2.9:54000")
        self.assertEqual(self.here.link.capabilities, "tcp,udp")

    def test_lostPath(self) -> None:
        """
        What was under way on a path that is gone goes again on the next one.
        """
        self.carry()
        self.here.change([91], [])
        self.here.link.flush(self.now)
        self.here.out.clear()
        self.here.link.usePath(self.here.path)
        self.assertLess(self.here.link.deadline(), self.now)
        self.carry()
        self.assertEqual(self.there.link.interest.talkgroups, {91})

    def test_mutations(self) -> None:
        """
        Mutated control messages from the other node raise nothing; each is taken or counted.
        """
        self.carry()
        place = bytes.fromhex("00000005 0003d0a5 02 0000000a")
        bodies = [
            bytes((INTEREST,)) + encode(Told(1, True, [91, 92], [])),
            bytes((LOCATIONS,)) + place * 3,
            bytes((APPLICATION,)) + b"\x07weatherpayload",
            bytes((WHOLE_WANTED,)),
            b"\x7funknown",
        ]
        for data in mutations(11, bodies, 5_000):
            self.here.link.sendControl(data[0] if data else 0, data[1:])
            self.carry()
            self.now += 0.01
        self.assertGreater(len(self.there.watcher.told), 500)
        self.assertGreater(sum(self.there.link.dropped.values()), 500)


class ChangeTests(LinkTestCase):
    """
    Another path carries the link than before.
    """

    def second(self) -> tuple[Path, Path]:
        """
        One more path between the ends, over a reliable transport.
        """
        one, other = b"y" * 32, b"z" * 32
        tcp = Traits("tcp", reliable=True, trusted=False)
        near = Path(self.here.link, tcp, "", lambda data: not self.full and self.take(data), 0.0)
        far = Path(self.there.link, tcp, "", lambda data: True, 0.0)
        far.expectSession(Session(one, other, 11, 12, initiator=False, now=0.0))
        near.useSession(Session(other, one, 12, 11, initiator=True, now=0.0), 0.0)
        self.far = far
        return near, far

    def setUp(self) -> None:
        super().setUp()
        self.full = False
        self.way: list[bytes] = []
        self.heard: list[int] = []
        self.carry()
        self.there.link.takeFrame = lambda frame, now: self.heard.append(frame.sequence)
        self.frames = list(voiceCall(source=5, destination=91, stream=9))

    def take(self, data: bytes) -> bool:
        self.way.append(data)
        return True

    def deliver(self) -> None:
        """
        What was sent on the second path arrives.
        """
        way, self.way = self.way, []
        for packet in way:
            self.far.packetReceived(packet, self.now)

    def test_waiting(self) -> None:
        """
        Frames that wait for a transport which is full leave on the path that takes over.
        """
        near, _ = self.second()
        self.here.link.usePath(near)
        self.deliver()
        self.full = True
        for index, frame in enumerate(self.frames[:5]):
            self.here.link.sendFrame(index, frame)
            self.here.link.flush(self.now)
        self.assertEqual(self.heard, [])
        self.here.link.usePath(self.here.path)
        self.here.link.sendFrame(5, self.frames[5])
        self.carry()
        self.assertEqual(self.heard, [*range(6)])

    def test_rest(self) -> None:
        """
        What was under way on a path that is left is sent again on the next one, and comes before
        what follows it.
        """
        near, _ = self.second()
        self.here.link.usePath(near)
        for index, frame in enumerate(self.frames[:10]):
            self.here.link.sendFrame(index, frame)
            self.here.link.flush(self.now)
            if index == 5:
                self.deliver()
        self.way.clear()  # the connection is gone, and the rest with it
        self.here.link.usePath(self.here.path)
        self.here.link.sendFrame(10, self.frames[10])
        self.carry()
        self.assertEqual(self.heard, [*range(11)])
        self.assertEqual(self.here.path.packetsRepeated, 4)

    def test_largeRest(self) -> None:
        """
        A packet of a reliable transport that was larger than a datagram may be is sent again in
        pieces that fit.
        """
        near, _ = self.second()
        self.here.link.usePath(near)
        self.here.link.sendFrame(0, self.frames[0])
        self.here.link.flush(self.now)
        self.deliver()
        for index, frame in enumerate(self.frames[1:60], 1):
            self.here.link.sendFrame(index, frame)
        self.here.link.flush(self.now)
        self.way.clear()
        self.here.link.usePath(self.here.path)
        self.here.link.sendFrame(60, self.frames[60])
        self.here.out.clear()
        sizes: list[int] = []
        self.here.path._send = lambda data: sizes.append(len(data)) or self.here._send(data)  # type: ignore[func-returns-value]
        self.carry()
        self.assertEqual(self.heard, [*range(61)])
        self.assertLessEqual(max(sizes), 1400)
