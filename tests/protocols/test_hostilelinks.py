"""
Tests of L{bmff.protocols.fastforward} under what nobody should send, and of addresses that move.
"""

from __future__ import annotations

from random import Random

from bmff.events import LinkEnded
from bmff.sockets.addresses import packAddress
from bmff.testing.mutation import MUTATIONS, mutate
from bmff.wire.fastforward.handshake import PreSharedKey
from tests.protocols.fastforwardcase import FastForwardTestCase, VirtualNode, makeCall

ATTACKER = "203.0.113.66"


class Attacker:
    """
    Somebody on the network who can write any sender's address, and remembers what comes back.
    """

    def __init__(self, case: FastForwardTestCase, host: str = ATTACKER) -> None:
        self.received: list[bytes] = []
        self.port = case.network.bind(self, host, 54000)

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        self.received.append(data)

    def flush(self) -> None:
        pass


class AddressTests(FastForwardTestCase):
    """
    A path follows its other end to another address only when that has proved to live there.
    """

    def remotes(self, node: VirtualNode) -> list[str]:
        return [one.transport.remote for one in node.fastForward.connections]

    def test_moves(self) -> None:
        """
        A node whose NAT gives it another address in mid-call keeps its link; what it says is heard
        without a gap, what it hears has one of no more than half a second.
        """
        here, there = self.pair()
        one, _ = there.peer(1, 91), here.peer(2, 91)
        other = here.peer(3, 92)
        there.peer(4, 92)
        self.advance(0.1)
        frames, back = makeCall(91), makeCall(92, stream=78, source=2340002)
        there.talk(one, frames)
        here.talk(other, back)
        self.advance(2)
        there.datagrams.move("198.51.100.77")
        self.advance(6)
        self.assertHeard(here, 2, frames)
        self.assertGreater(len(there.heard(4)), 86 - 8)
        self.assertEqual(self.remotes(here), ["198.51.100.77:54000"])
        path = here.link(2502).path
        assert path is not None
        self.assertEqual(path.remote, "198.51.100.77:54000")
        self.assertEqual(there.link(2501).seenAt, "198.51.100.77:54000")
        self.assertEqual(here.happened(LinkEnded) + there.happened(LinkEnded), [])

    def test_movesAtARekey(self) -> None:
        """
        So does one whose first packet from the new address begins a handshake, if the link is by
        its own connection; else the link is made anew within a few seconds.
        """
        here, there = self.pair()
        for node in (here, there):
            node.keys.keys["new"] = PreSharedKey(b"n" * 32)
        here.datagrams.move("198.51.100.77")
        here.fastForward.switchKey("new")
        self.advance(5)
        self.assertLinked(here, there)
        self.assertEqual(self.remotes(there), ["198.51.100.77:54000"])
        self.assertEqual(here.happened(LinkEnded) + there.happened(LinkEnded), [])
        there.datagrams.move("198.51.100.78")
        self.rows.places[2502] = ("198.51.100.78", 0.0)
        there.fastForward.switchKey("group")
        self.advance(15)
        self.assertLinked(here, there)

    def test_challengedFirst(self) -> None:
        """
        Nothing but a challenge goes to the new address before it is proved.
        """
        _, there = self.pair()
        self.advance(0.5)
        there.datagrams.move("198.51.100.77")
        del self.network.carried[:]
        self.advance(1.2)
        new = there.address
        first = next(n for n, (_, sender, _) in enumerate(self.network.carried) if sender == new)
        proved = [n for n, (_, sender, _) in enumerate(self.network.carried) if sender == new][1]
        sent = [data for data, _, to in self.network.carried[first:proved] if to == new]
        # Header, time, a challenge, tag.
        self.assertEqual([len(data) for data in sent], [13 + 4 + 11 + 16])

    def test_copies(self) -> None:
        """
        Who copies a node's packets and sends them from an address of its own, ahead of the
        originals, never moves the path, though it is challenged; what it sent is heard once.
        """
        here, there = self.pair()
        talker, _ = there.peer(1, 91), here.peer(2, 91)
        self.advance(0.1)
        attacker = Attacker(self)
        carry = self.network.carry

        def copied(data: bytes, sender: bytes, receiver: bytes) -> None:
            if sender == there.address:
                latency, self.network.latency = self.network.latency, 0.0
                carry(data, attacker.port.address, receiver)
                self.network.latency = latency
            carry(data, sender, receiver)

        self.network.carry = copied  # type: ignore[method-assign]
        frames = makeCall()
        there.talk(talker, frames)
        self.advance(6)
        self.assertHeard(here, 2, frames)
        self.assertEqual(self.remotes(here), ["192.0.2.2:54000"])
        self.assertIn(len(attacker.received), range(5, 30))
        self.assertEqual({len(data) for data in attacker.received}, {13 + 4 + 11 + 16})
        self.assertEqual(here.happened(LinkEnded) + there.happened(LinkEnded), [])

    def test_forwardedChallenge(self) -> None:
        """
        A challenge that the attacker passes on to the node is answered from the node's address,
        which moves nothing.
        """
        here, there = self.pair()
        attacker = Attacker(self)
        carry = self.network.carry

        def copied(data: bytes, sender: bytes, receiver: bytes) -> None:
            if sender == there.address:
                latency, self.network.latency = self.network.latency, 0.0
                if len(data) > 60:  # measurements, not answers
                    carry(data, attacker.port.address, receiver)
                self.network.latency = latency
            if receiver == attacker.port.address:
                carry(data, sender, there.address)
            carry(data, sender, receiver)

        self.network.carry = copied  # type: ignore[method-assign]
        self.advance(6)
        self.assertEqual(self.remotes(here), ["192.0.2.2:54000"])
        self.assertGreater(len(attacker.received), 3)
        self.assertLinked(here, there)


class HostileTests(FastForwardTestCase):
    """
    Two nodes with a call between them, and somebody who writes packets.
    """

    def record(self, here: VirtualNode, there: VirtualNode) -> list[bytes]:
        """
        What two nodes and a third one under a wrong key send while a call of stream 77 is on.
        """
        stranger = VirtualNode(
            self, 2501, "203.0.113.5", self.rows, keys={"group": PreSharedKey(b"?" * 32)}
        )
        self.connect(stranger, there).addErrback(lambda _: None)
        here.talk(here.router.reach.peers[1], makeCall())
        self.advance(6)
        stranger.vanish()
        return [data for data, _, _ in self.network.carried]

    def test_mutations(self) -> None:
        """
        Of forged, replayed, reflected, truncated packets, and such under a wrong key, from the
        nodes' own addresses and from strange ones, none is accepted; the call is whole, the link
        stays, every table is bounded.
        """
        here, there = self.pair()
        talker, _ = here.peer(1, 91), there.peer(2, 91)
        self.advance(0.1)
        messages = self.record(here, there)
        random = Random(9)
        frames = makeCall(stream=78, superframes=max(14, MUTATIONS // 500 // 6 + 1))
        positions = iter(frames)
        path = there.link(2501).path
        assert path is not None
        genuine = path.packetsReceived - self.sentTo(there)
        for number in range(MUTATIONS):
            data = random.choice(messages)
            if random.random() < 0.8:
                data = mutate(random, data, messages)
            address = here.address
            if random.random() < 0.3:
                address = packAddress("203.0.113.9", random.randrange(1, 65536))
            there.datagrams.datagramReceived(data, address, self.clock.seconds())
            if number % 500 == 0:
                here.send(talker, next(positions))
                self.clock.pump([0.01] * 6)
        for frame in positions:
            here.send(talker, frame)
            self.clock.pump([0.01] * 6)
        self.advance(1)
        self.clock.pump([0.002] * 2)  # what is on its way arrives
        self.assertHeard(there, 2, makeCall() + frames)
        self.assertEqual(path.packetsReceived - self.sentTo(there), genuine)
        self.assertLinked(here, there)
        self.assertEqual(here.happened(LinkEnded) + there.happened(LinkEnded), [])
        ff = there.fastForward
        self.assertEqual((len(ff.connections), len(ff.links)), (1, 1))
        self.assertLess(len(ff.handshakes._byIndex), 10)
        self.assertLess(len(ff.handshakes._responder._timestamps), 10)
        self.assertLess(len(ff.dropped) + len(ff.handshakes.refused) + len(path.dropped), 30)
        self.assertEqual(len(there.datagrams.paths), 1)

    def sentTo(self, node: VirtualNode) -> int:
        """
        How many data packets its neighbour has sent to a node.
        """
        (neighbour,) = node.fastForward.links
        return sum(
            data[:1] == b"\x04" and receiver == node.address and sender != node.address
            for data, sender, receiver in self.network.carried
            if sender == packAddress(f"192.0.2.{neighbour % 100}", 54000)
        )

    def test_reflected(self) -> None:
        """
        What a node has sent, sent back to it, is refused, handshakes and all.
        """
        here, there = self.pair()
        talker, _ = here.peer(1), there.peer(2, 91)
        carry = self.network.carry

        def reflected(data: bytes, sender: bytes, receiver: bytes) -> None:
            carry(data, sender, receiver)
            carry(data, receiver, sender)

        self.network.carry = reflected  # type: ignore[method-assign]
        frames = makeCall()
        self.advance(0.1)
        here.talk(talker, frames)
        self.advance(6)
        self.assertHeard(there, 2, frames)
        self.assertEqual(here.outlet.heard, [])
        self.assertLinked(here, there)

    def test_refusedWhenUnknown(self) -> None:
        """
        A data packet from nobody is counted and gets no answer.
        """
        here = self.node(2501)
        attacker = Attacker(self)
        for data in (b"", b"\x04", b"\x04" + bytes(40), b"\x02" + bytes(80), b"\x09junk"):
            self.network.carry(data, attacker.port.address, here.address)
        self.advance(0.1)
        self.assertEqual(here.fastForward.dropped, {"unknown session": 5})
        self.assertEqual(attacker.received, [])
