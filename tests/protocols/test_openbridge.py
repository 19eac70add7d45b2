"""
Tests of L{bmff.protocols.openbridge}: nodes and other programs bridged over a virtual network.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.burst import decodeVoiceHeader
from bmff.dmr.frame import CSBK, DATA_SYNC, PRIVATE, SLOT_2, Frame
from bmff.dmr.ranges import Ranges
from bmff.dmr.voice import voiceCall
from bmff.events import CallEnded, CallStarted, Event
from bmff.protocols.openbridge import BridgeSettings, OpenBridge, OpenBridgeTrunk
from bmff.protocols.turn import Turn
from bmff.router.call import Peer
from bmff.router.router import Router
from bmff.router.translation import Form, Rule, Translation
from bmff.sockets.addresses import packAddress
from bmff.testing.network import VirtualNetwork, VirtualPort
from bmff.wire.openbridge.bridge import Terms
from bmff.wire.openbridge.crossing import ENHANCED
from bmff.wire.openbridge.packets import EnhancedFrame, PlainFrame, decode
from bmff.wire.openbridge.signature import Signature
from tests.wire import openbridgecase as other

KEY = b"passw0rd"
PORT = 62035
TALKGROUP = 2350


class Ear:
    """
    An outlet with peers that remember what they hear; its own sink.

    @ivar heard: the frames of each peer.
    """

    def __init__(self) -> None:
        self.heard: dict[int, list[Frame]] = {}
        self._peers: list[Peer] = []

    def openSink(self, slot: int) -> EarSink:
        return EarSink(self, slot)


class EarSink:
    """
    Hands each frame to the peers.
    """

    def __init__(self, ear: Ear, slot: int) -> None:
        self._ear = ear
        self._peers: list[Peer] = []

    def add(self, peer: Peer) -> None:
        self._peers.append(peer)

    def remove(self, peer: Peer) -> None:
        self._peers.remove(peer)

    def sendFrame(self, frame: Frame) -> None:
        for peer in self._peers:
            self._ear.heard.setdefault(peer.peerID, []).append(frame)

    def close(self) -> None:
        self._peers.clear()


class SomeNode:
    """
    One node: its router, its bridges and its hotspots.

    @ivar events: what happened in it.
    @ivar states: what was told of its bridges.
    """

    def __init__(self, network: VirtualNetwork, number: int) -> None:
        self.network = network
        self.number = number
        self.events: list[Event] = []
        self.states: list[tuple[str, str]] = []
        self.ear = Ear()
        self.skew = 0.0
        clock = network.clock
        self.router = Router(self.events.append)
        self.turn = Turn(clock, self.router)
        self.openBridge = OpenBridge(
            clock,
            self.turn,
            lambda: other.WALL + clock.seconds() + self.skew,
            lambda trunk, state: self.states.append((trunk.name, state)),
        )
        self.ports: list[VirtualPort] = []
        for host in (f"192.0.2.{number % 100}", f"2001:db8::{number % 100}"):
            receiver = self.openBridge.port(len(packAddress(host, 0)))
            port = network.bind(receiver, host, PORT)
            receiver.transport = port
            self.ports.append(port)

    def bridgeTo(
        self,
        address: bytes,
        peer: int,
        name: str = "",
        *,
        key: bytes = KEY,
        terms: dict[str, Any] | None = None,
        **settings: Any,
    ) -> OpenBridgeTrunk:
        """
        One end of a bridge.
        """
        name = name or str(peer)
        trunk = self.openBridge.addBridge(
            BridgeSettings(name, name, Terms(self.number, peer, **(terms or {})), **settings), key
        )
        self.openBridge.useAddresses(trunk, (address,))
        return trunk

    def hotspot(self, peerID: int, *talkgroups: int) -> Peer:
        """
        A hotspot that hears talkgroups on slot 2.
        """
        peer = Peer(peerID, self.ear)
        now = self.network.clock.seconds()
        self.router.addPeer(peer, now)
        self.router.setStatic(peer, {1: (), 2: talkgroups}, now)
        return peer

    def heard(self, peerID: int) -> list[Frame]:
        """
        What a hotspot has heard.
        """
        return self.ear.heard.get(peerID, [])

    def talk(self, peer: Peer, frames: list[Frame]) -> None:
        """
        A hotspot sends these, one each 60 ms.
        """
        for number, frame in enumerate(frames):
            self.network.clock.callLater(number * 0.06, self.say, peer, frame)

    def say(self, peer: Peer, frame: Frame) -> None:
        """
        A hotspot sends one frame.
        """
        self.router.route(peer, frame, self.network.clock.seconds())
        self.openBridge.turnEnded()


class Program:
    """
    Another program at one address, which keeps what it gets.

    @ivar got: its datagrams.
    """

    def __init__(self, network: VirtualNetwork, host: str = "198.51.100.7") -> None:
        self.got: list[bytes] = []
        self.port = network.bind(self, host, PORT)

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        self.got.append(data)

    def flush(self) -> None:
        pass


class BridgedTestCase(SynchronousTestCase):
    """
    A virtual network.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = VirtualNetwork(self.clock)

    def node(self, number: int) -> SomeNode:
        """
        One node more.
        """
        return SomeNode(self.network, number)

    def join(self, one: SomeNode, two: SomeNode, family: int = 0, **settings: Any) -> None:
        """
        A bridge between two nodes.
        """
        one.bridgeTo(two.ports[family].address, two.number, **settings)
        two.bridgeTo(one.ports[family].address, one.number, **settings)
        self.advance(0.1)

    def advance(self, seconds: float) -> None:
        """
        Let time pass in steps of 10 ms.
        """
        self.clock.pump([0.01] * round(seconds * 100))

    def call(self, destination: int = TALKGROUP, **more: Any) -> list[Frame]:
        """
        The frames of a call of two superframes.
        """
        more = {"source": 2340001, "stream": 0x1234, "superframes": 2, **more}
        return list(voiceCall(destination=destination, **more))

    def assertHeard(self, heard: list[Frame], said: list[Frame]) -> None:
        """
        The same bursts of the same stream, in the same order.
        """
        self.assertEqual(
            [(one.stream, one.sequence, one.source, one.burst) for one in heard],
            [(one.stream, one.sequence, one.source, one.burst) for one in said],
        )


class NodesTests(BridgedTestCase):
    """
    Nodes of ours.
    """

    def test_bothWays(self) -> None:
        """
        A call crosses a bridge in either direction, bit for bit, in both protocols and families.
        """
        number = 0
        for enhanced in (False, True):
            for family in (0, 1):
                one, two = self.node(1001 + number), self.node(1002 + number)
                number += 2
                self.join(one, two, family, enhanced=enhanced)
                here, there = one.hotspot(11, TALKGROUP), two.hotspot(22, TALKGROUP)
                forth = self.call(stream=1)
                one.talk(here, forth)
                self.advance(2.0)
                back = self.call(stream=2, source=2340002)
                self.advance(6.0)
                two.talk(there, back)
                self.advance(2.0)
                self.assertHeard(two.heard(22), forth)
                self.assertHeard(one.heard(11), back)
                for node in (one, two):
                    ends = [event for event in node.events if isinstance(event, CallEnded)]
                    self.assertEqual({event.reason for event in ends}, {"terminator"})
                    node.openBridge.stop()

    def test_parallel(self) -> None:
        """
        Any number of calls cross at once.
        """
        one, two = self.node(1001), self.node(1002)
        self.join(one, two)
        for number in range(20):
            talker = one.hotspot(100 + number)
            two.hotspot(200 + number, 3000 + number)
            one.talk(talker, self.call(3000 + number, stream=1 + number, source=2340100 + number))
        self.advance(2.0)
        for number in range(20):
            self.assertEqual(len(two.heard(200 + number)), 14)

    def test_ring(self) -> None:
        """
        In a ring of three a call reaches everybody once, and the copies are stopped.
        """
        for enhanced in (False, True):
            nodes = [self.node(1001 + 3 * enhanced + number) for number in range(3)]
            for one, two in ((0, 1), (1, 2), (2, 0)):
                self.join(nodes[one], nodes[two], enhanced=enhanced)
            peers = [node.hotspot(11 + number, TALKGROUP) for number, node in enumerate(nodes)]
            before = self.network.sent
            said = self.call(superframes=20)
            nodes[0].talk(peers[0], said)
            self.advance(10.0)
            self.assertEqual(nodes[0].heard(11), [])
            for number in (1, 2):
                self.assertHeard(nodes[number].heard(11 + number), said)
                calls = [one for one in nodes[number].events if isinstance(one, CallStarted)]
                self.assertEqual(len(calls), 1)
            sent = self.network.sent - before
            if enhanced:
                self.assertLess(sent, 2 * len(said) + 40)  # with the signs of life
                trunks = [nodes[n].openBridge.trunks[str(nodes[3 - n].number)] for n in (1, 2)]
                self.assertGreater(sum(trunk.framesQuenched for trunk in trunks), len(said))
            else:
                self.assertEqual(sent, 4 * len(said))
            for node in nodes:
                node.openBridge.stop()

    def test_neverBack(self) -> None:
        """
        A call from a network never returns to it, by no bridge that leads there.
        """
        node, program = self.node(1001), Program(self.network)
        second = Program(self.network, "198.51.100.8")
        third = Program(self.network, "198.51.100.9")
        for each, peer, network in (
            (program, other.THEIRS, "theirs"),
            (second, 3103, "theirs"),
            (third, 3104, "elsewhere"),
        ):
            trunk = node.openBridge.addBridge(
                BridgeSettings(str(peer), network, Terms(1001, peer)), KEY
            )
            node.openBridge.useAddresses(trunk, (each.port.address,))
        program.port.sendTo(other.plain(0, flags=0x21), node.ports[0].address)
        program.port.sendTo(other.plain(1, flags=0x10), node.ports[0].address)
        self.advance(0.1)
        self.assertEqual((program.got, second.got, len(third.got)), ([], [], 2))

    def test_hops(self) -> None:
        """
        What goes on over a second bridge tells where it began, and one hop more.
        """
        node = self.node(1001)
        program, second = Program(self.network), Program(self.network, "198.51.100.8")
        node.bridgeTo(program.port.address, other.THEIRS, enhanced=True)
        node.bridgeTo(second.port.address, 3103, enhanced=True)
        second.port.sendTo(other.control(b"BCKA"), node.ports[0].address)
        self.advance(0.1)
        packet = other.enhanced(0, flags=0x21, origin=(2621, 262199, 4))
        program.port.sendTo(packet, node.ports[0].address)
        self.advance(0.1)
        frames = [data for data in second.got if data[:4] == b"DMRE"]
        read = decode(frames[0], Signature(KEY))
        assert isinstance(read, EnhancedFrame)
        self.assertEqual((read.server, read.frame.rssi), (1001, 71))
        self.assertEqual(
            (read.origin.server, read.origin.repeater, read.origin.hops), (2621, 262199, 5)
        )


class ProgramTests(BridgedTestCase):
    """
    Other programs, by their own encoder.
    """

    def setUp(self) -> None:
        super().setUp()
        self.here = self.node(other.OURS)
        self.program = Program(self.network)
        self.target = self.here.ports[0].address

    def send(self, *packets: bytes) -> None:
        """
        The program sends these, and some time passes.
        """
        for packet in packets:
            self.program.port.sendTo(packet, self.target)
        self.advance(0.1)

    def frames(self) -> list[bytes]:
        """
        The frames that the program got.
        """
        return [data for data in self.program.got if data[:3] == b"DMR"]

    def test_plain(self) -> None:
        """
        A program of the plain protocol is heard and hears, on slot 1, under our ID.
        """
        self.here.bridgeTo(self.program.port.address, other.THEIRS)
        peer = self.here.hotspot(11, TALKGROUP)
        self.send(other.plain(0, flags=0x21), other.plain(1, flags=0x10))
        self.assertEqual([len(frame.body) for frame in self.here.heard(11)], [40, 40])
        self.advance(8.0)
        said = self.call(stream=99)
        self.here.talk(peer, said)
        self.advance(2.0)
        self.assertEqual(len(self.frames()), len(said))
        for data, frame in zip(self.frames(), said, strict=True):
            self.assertEqual(
                data,
                other.plain(
                    frame.sequence,
                    other.OURS,
                    source=frame.source,
                    flags=frame.flags & ~SLOT_2,
                    stream=99,
                    burst=frame.burst,
                ),
            )

    def test_enhanced(self) -> None:
        """
        A program of the enhanced protocol gets frames once it has said that it is there, as young
        as they are, with the server and the hotspot that they come from.
        """
        self.here.bridgeTo(self.program.port.address, other.THEIRS, enhanced=True)
        peer = self.here.hotspot(234567, TALKGROUP)
        self.advance(1.1)
        self.assertEqual(
            self.program.got[:2], [other.control(b"BCKA"), other.control(b"BCVE", b"\5")]
        )
        said = self.call(stream=98)
        self.here.talk(peer, said)
        self.advance(2.0)
        self.assertEqual(self.frames(), [])
        self.send(other.control(b"BCKA"))
        said = self.call(stream=99, source=2340009)
        self.here.talk(peer, said)
        self.advance(2.0)
        self.assertEqual(len(self.frames()), len(said))
        time = round(int.from_bytes(self.frames()[0][56:64], "big") * 1e-9, 2)
        self.assertEqual(
            self.frames()[0],
            other.enhanced(
                0,
                other.OURS,
                source=2340009,
                flags=0x21,
                stream=99,
                burst=said[0].burst,
                quality=b"\0\0",
                origin=(other.OURS, 234567, 1),
                stamp=self.frames()[0][56:64],
            ),
        )
        self.assertLess(abs(time - (other.WALL + self.clock.seconds() - 2.0)), 0.03)

    def test_inMidCall(self) -> None:
        """
        A bridge that comes up in mid-call gets the rest of the call; one that falls silent for 60 s
        gets nothing more.
        """
        self.here.bridgeTo(self.program.port.address, other.THEIRS, enhanced=True)
        peer = self.here.hotspot(11, TALKGROUP)
        self.here.talk(peer, self.call(superframes=200))
        self.advance(10.0)
        self.assertEqual(self.frames(), [])
        self.send(other.control(b"BCKA"))
        self.advance(55.0)
        self.assertGreater(len(self.frames()), 900)
        self.advance(6.0)
        count = len(self.frames())
        self.advance(1.0)
        self.assertEqual(len(self.frames()), count)
        self.assertEqual(self.here.states, [("3102", "up"), ("3102", "down: no sign of life")])

    def test_version4(self) -> None:
        """
        A program that speaks version 4 gets version 4.
        """
        self.here.bridgeTo(self.program.port.address, other.THEIRS, enhanced=True)
        peer = self.here.hotspot(11, TALKGROUP)
        self.send(other.control(b"BCKA"), other.enhanced(0, flags=0x21, version=4))
        self.assertEqual(len(self.here.heard(11)), 1)
        self.advance(8.0)
        self.here.talk(peer, self.call(stream=99))
        self.advance(2.0)
        self.assertEqual({len(data) for data in self.frames()}, {85})

    def test_quenched(self) -> None:
        """
        A stream that the program does not want is sent no more; the next one is.
        """
        trunk = self.here.bridgeTo(self.program.port.address, other.THEIRS, enhanced=True)
        peer = self.here.hotspot(11, TALKGROUP)
        self.send(other.control(b"BCKA"))
        self.here.talk(peer, self.call(stream=98))
        self.advance(0.2)
        before = len(self.frames())
        self.send(other.control(b"BCSQ", TALKGROUP.to_bytes(3, "big") + b"\0\0\0\x62"))
        self.advance(2.0)
        self.assertLess(len(self.frames()), before + 3)
        self.assertGreater(trunk.framesQuenched, 8)
        self.program.got.clear()
        self.here.talk(peer, self.call(stream=99))
        self.advance(2.0)
        self.assertEqual(len(self.frames()), 14)

    def test_quenches(self) -> None:
        """
        A copy of a stream that is on from elsewhere is quenched, once a second, by the number that
        the program knows.
        """
        self.here.bridgeTo(
            self.program.port.address,
            other.THEIRS,
            enhanced=True,
            wanted=Ranges(),
            translation=Translation([Rule(Form(99), Form(TALKGROUP))]),
        )
        self.send(other.control(b"BCKA"))
        peer = self.here.hotspot(11)
        self.here.talk(peer, self.call(stream=0x99, superframes=10))
        self.advance(0.1)
        self.program.got.clear()
        for number in range(20):
            packet = other.enhanced(
                number,
                flags=0x01,
                destination=99,
                stream=0x99,
                time=other.WALL + self.clock.seconds(),
            )
            self.send(packet)
        quench = other.control(b"BCSQ", b"\0\0\x63" + b"\0\0\0\x99")
        sent = [data for data in self.program.got if data[:4] == b"BCSQ"]
        self.assertIn(len(sent), (2, 3))
        self.assertEqual(set(sent), {quench})
        self.assertEqual(self.here.router.dropped["stream of another ingress"], 20)

    def test_replayed(self) -> None:
        """
        A call that was copied on its way is heard once: not 6 s later again, nor an hour later.
        """
        self.here.bridgeTo(self.program.port.address, other.THEIRS)
        self.here.hotspot(11, TALKGROUP)
        packets = [other.plain(n, flags=n % 6) for n in range(8)] + [other.plain(8, flags=0x22)]
        self.send(*packets)
        self.assertEqual(len(self.here.heard(11)), 9)
        for pause in (6.0, 20.0, 3600.0):
            self.clock.advance(pause)
            self.send(*packets)
        self.assertEqual(len(self.here.heard(11)), 9)

    def test_rewritten(self) -> None:
        """
        A talkgroup with another number there is ours here, in the frames and in the bursts, and
        goes out as theirs.
        """
        self.here.bridgeTo(
            self.program.port.address,
            other.THEIRS,
            translation=Translation([Rule(Form(99), Form(TALKGROUP))]),
        )
        peer = self.here.hotspot(11, TALKGROUP)
        (header, *_) = self.call(99, slot=1)
        self.send(other.plain(0, flags=0x21, destination=99, burst=header.burst))
        (heard,) = self.here.heard(11)
        self.assertEqual((heard.destination, heard.stream), (TALKGROUP, 0x01020304))
        self.assertEqual(decodeVoiceHeader(heard.burst).destination, TALKGROUP)
        self.advance(10.0)
        self.here.talk(peer, self.call(stream=99))
        self.advance(2.0)
        read = decode(self.frames()[0], Signature(KEY))
        assert isinstance(read, PlainFrame)
        self.assertEqual(read.frame.destination, 99)
        self.assertEqual(decodeVoiceHeader(read.frame.burst).destination, 99)

    def test_filters(self) -> None:
        """
        Only wanted talkgroups go out, only accepted ones come in, local ones never do either.
        """
        self.here.bridgeTo(
            self.program.port.address,
            other.THEIRS,
            enhanced=True,
            wanted=Ranges([(1, 3000)]),
            brought=Ranges([(1, 2999)]),
            terms={"crossing": ENHANCED},
        )
        self.send(other.control(b"BCKA"))
        numbers = (9, 50, 2350, 3000, 4000, 9990)
        peers = {number: self.here.hotspot(number, number) for number in numbers}
        for number in numbers:
            self.send(
                other.enhanced(
                    0,
                    flags=0x21,
                    destination=number,
                    stream=number,
                    time=other.WALL + self.clock.seconds(),
                )
            )
        self.assertEqual([len(self.here.heard(number)) for number in numbers], [0, 0, 1, 0, 0, 0])
        self.advance(10.0)
        self.send(other.control(b"BCKA"))
        self.program.got.clear()
        for number in (9, 50, 2350, 3000, 3001):
            peer = peers.get(number) or self.here.hotspot(number)
            self.here.talk(peer, self.call(number, stream=10_000 + number, source=number + 1))
        self.advance(2.0)
        self.assertEqual(
            {int.from_bytes(data[8:11], "big") for data in self.frames()}, {2350, 3000}
        )

    def test_sameServer(self) -> None:
        """
        A talkgroup of one server does not go to another; one of a country does not leave it.
        """
        terms = {"crossing": ENHANCED}
        trunk = self.here.bridgeTo(self.program.port.address, 2502, enhanced=True, terms=terms)
        self.send(other.control(b"BCKA"))
        peer = self.here.hotspot(11)
        for stream, number in enumerate((150, 850, 91), 1):
            self.here.talk(peer, self.call(number, stream=stream, source=stream))
            self.advance(3.0)
        self.assertTrue(trunk.hears(150))
        self.assertEqual({data[10] + data[9] * 256 for data in self.frames()}, {850, 91})

    def test_private(self) -> None:
        """
        A private call, data too, goes back to where its radio was heard, bit for bit, if private
        calls may cross.
        """
        for private in (True, False):
            node, program = (
                self.node(1010 + private),
                Program(self.network, f"203.0.113.{1 + private}"),
            )
            node.bridgeTo(program.port.address, other.THEIRS, private=private)
            peer = node.hotspot(11, TALKGROUP)
            program.port.sendTo(other.plain(0, flags=0x22, source=777), node.ports[0].address)
            program.port.sendTo(
                other.plain(0, flags=0x21, source=777, stream=5), node.ports[0].address
            )
            self.advance(8.0)
            frame = Frame.make(
                sequence=0,
                source=2340001,
                destination=777,
                flags=PRIVATE | SLOT_2 | DATA_SYNC | CSBK,
                stream=55,
                burst=bytes(range(33, 66)),
            )
            node.say(peer, frame)
            self.advance(0.1)
            if not private:
                self.assertEqual(program.got, [])
                continue
            read = decode(program.got[0], Signature(KEY))
            assert isinstance(read, PlainFrame)
            self.assertEqual(read.frame.burst, frame.burst)
            self.assertEqual(read.frame.flags, PRIVATE | DATA_SYNC | CSBK)

    def test_privateIn(self) -> None:
        """
        A private call comes in if private calls may cross.
        """
        for private, heard in ((True, 1), (False, 0)):
            node, program = (
                self.node(1010 + private),
                Program(self.network, f"203.0.113.{1 + private}"),
            )
            node.bridgeTo(program.port.address, other.THEIRS, private=private)
            node.hotspot(2340077)
            program.port.sendTo(
                other.plain(0, flags=0x61, destination=2340077), node.ports[0].address
            )
            self.advance(0.1)
            self.assertEqual(len(node.heard(2340077)), heard)

    def test_wallClockSteps(self) -> None:
        """
        A step of the wall clock ends no call that comes in, and none that goes out.
        """
        self.here.bridgeTo(self.program.port.address, other.THEIRS)
        self.here.hotspot(11, TALKGROUP)
        self.send(other.plain(0, flags=0x21))
        self.here.skew = 3600.0
        self.send(other.plain(1, flags=0x10))
        self.here.skew = -3600.0
        self.send(other.plain(2, flags=0x01))
        self.assertEqual(len(self.here.heard(11)), 3)

    def test_removed(self) -> None:
        """
        A bridge that is removed ends its calls.
        """
        trunk = self.here.bridgeTo(self.program.port.address, other.THEIRS)
        self.here.hotspot(11, TALKGROUP)
        self.send(other.plain(0, flags=0x21))
        self.here.openBridge.removeBridge(trunk)
        (ended,) = [event for event in self.here.events if isinstance(event, CallEnded)]
        self.assertEqual(ended.reason, "bridge lost")
        self.send(other.plain(1, flags=0x10))
        self.assertEqual(len(self.here.heard(11)), 2)  # with the terminator that was made
        self.assertEqual(self.here.openBridge.exchange.dropped, {"stranger": 1})

    def test_newKey(self) -> None:
        """
        A bridge may get another key while it is in use.
        """
        trunk = self.here.bridgeTo(self.program.port.address, other.THEIRS)
        self.here.hotspot(11, TALKGROUP)
        self.send(other.plain(0, flags=0x21))
        self.here.openBridge.useKey(trunk, b"another")
        self.send(other.plain(1, flags=0x10), other.plain(2, flags=0x01, key=b"another"))
        self.assertEqual([frame.sequence for frame in self.here.heard(11)], [0, 2])

    def test_noSocket(self) -> None:
        """
        What cannot be sent, as there is no socket of its family, is counted.
        """
        lonely = OpenBridge(self.clock, self.here.turn, lambda: 0.0, lambda trunk, state: None)
        lonely.send(b"data", packAddress("::1", 1))
        self.assertEqual(lonely.unsent, 1)

    def test_mistakes(self) -> None:
        """
        A name is given once, and so is a socket for each family.
        """
        self.here.bridgeTo(self.program.port.address, other.THEIRS)
        self.assertRaises(ValueError, self.here.bridgeTo, b"", other.THEIRS)
        self.assertRaises(ValueError, self.here.openBridge.port, len(self.target))
        self.assertNotIn("passw0rd", repr(self.here.openBridge.trunks))
