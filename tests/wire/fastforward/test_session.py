"""
Tests of L{bmff.wire.fastforward.session}.
"""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError
from bmff.testing.mutation import mutations
from bmff.wire.fastforward.session import (
    DATA,
    LIFETIME,
    REKEY_INITIATOR,
    REKEY_PACKETS,
    REKEY_RESPONDER,
    WINDOW,
    Session,
    indexOf,
)

KEYS = bytes(range(32)), bytes(range(32, 64))


def makePair(sealed: bool = True) -> tuple[Session, Session]:
    """
    Both ends of a session.
    """
    send, receive = KEYS
    here = Session(send, receive, 0x11111111, 0x22222222, initiator=True, now=0.0, sealed=sealed)
    there = Session(receive, send, 0x22222222, 0x11111111, initiator=False, now=0.0, sealed=sealed)
    return here, there


class SessionTests(SynchronousTestCase):
    """
    What one end seals the other opens, once.
    """

    def refused(self, session: Session, packet: bytes) -> str:
        """
        Why a packet is refused.
        """
        with self.assertRaises(ProtocolError) as caught:
            session.open(packet)
        return str(caught.exception)

    @given(st.lists(st.binary(max_size=60), min_size=1, max_size=20))
    def test_roundTrip(self, texts: list[bytes]) -> None:
        """
        Packets open to what was sealed, at both ends, whatever it is.
        """
        here, there = makePair()
        for text in texts:
            self.assertEqual(there.open(here.seal(b"time" + text)), b"time" + text)
            self.assertEqual(here.open(there.seal(b"back" + text)), b"back" + text)
        self.assertEqual((here.sent, there.received), (len(texts), len(texts)))

    def test_layout(self) -> None:
        """
        A packet is its type, the receiver's index, a counter, and the sealed messages with a tag.
        """
        here, there = makePair()
        here.seal(b"first")
        packet = here.seal(b"messages")
        self.assertEqual(packet[:13].hex(), "04" + "22222222" + "0000000000000001")
        self.assertEqual(len(packet), 13 + 8 + 16)
        self.assertEqual(indexOf(packet), there.localIndex)

    def test_replay(self) -> None:
        """
        A packet is opened once, however often it comes.
        """
        here, there = makePair()
        packets = [here.seal(b"%04d" % number) for number in range(10)]
        Random(1).shuffle(packets)
        for packet in packets:
            there.open(packet)
        for packet in packets:
            self.assertEqual(self.refused(there, packet), "replayed packet")
        self.assertEqual(there.received, 10)

    def test_window(self) -> None:
        """
        A packet that is 2047 behind the highest is opened, one that is 2048 behind is not.
        """
        here, there = makePair()
        packets = [here.seal(b"text") for _ in range(WINDOW + 2)]
        there.open(packets[WINDOW])
        self.assertEqual(there.open(packets[1]), b"text")
        self.assertEqual(self.refused(there, packets[0]), "too late")
        self.assertEqual(self.refused(there, packets[1]), "replayed packet")
        there.open(packets[WINDOW + 1])
        self.assertEqual(self.refused(there, packets[1]), "too late")
        self.assertEqual(there.open(packets[2]), b"text")

    def test_jump(self) -> None:
        """
        After a jump over more than a window all that came before is too late, the rest is not.
        """
        here, there = makePair()
        there.open(here.seal(b"text"))
        here.sent += 3 * WINDOW
        late = here.seal(b"late")
        there.open(here.seal(b"text"))
        self.assertEqual(there.open(late), b"late")
        self.assertEqual(self.refused(there, late), "replayed packet")

    @given(st.permutations(range(30)), st.data())
    def test_anyOrder(self, order: list[int], data: st.DataObject) -> None:
        """
        In whatever order and however often packets come, each is opened exactly once.
        """
        here, there = makePair()
        packets = [here.seal(b"%04d" % number) for number in range(30)]
        again = data.draw(st.lists(st.sampled_from(range(30)), max_size=20))
        opened = []
        for number in [*order, *again]:
            try:
                opened.append(int(there.open(packets[number])))
            except ProtocolError:
                continue
        self.assertEqual(opened, order)

    def test_forgedLeavesNoMark(self) -> None:
        """
        A forged packet from far ahead is refused and moves nothing: the next real one is opened.
        """
        here, there = makePair()
        real = here.seal(b"real")
        forged = real[:5] + (1 << 40).to_bytes(8, "big") + real[13:]
        self.assertEqual(self.refused(there, forged), "forged packet")
        self.assertEqual((there.highest, there.received), (-1, 0))
        self.assertEqual(there.open(real), b"real")

    def test_everyCut(self) -> None:
        """
        A packet that is cut anywhere is refused and leaves no mark.
        """
        here, there = makePair()
        packet = here.seal(b"messages")
        for end in range(len(packet)):
            self.assertIn(self.refused(there, packet[:end]), ("truncated packet", "forged packet"))
        self.assertEqual(there.open(packet), b"messages")

    def test_wrongKey(self) -> None:
        """
        What was sealed under other keys is refused, and so is one's own, reflected.
        """
        here, there = makePair()
        stranger = Session(bytes(32), bytes(32), 1, there.localIndex, initiator=True, now=0.0)
        self.assertEqual(self.refused(there, stranger.seal(b"text")), "forged packet")
        self.assertEqual(self.refused(here, here.seal(b"text")), "forged packet")

    def test_trusted(self) -> None:
        """
        On a trusted path the messages go as they are, and a replay is refused all the same.
        """
        here, there = makePair(sealed=False)
        packet = here.seal(b"messages")
        self.assertEqual(packet[13:], b"messages")
        self.assertEqual(there.open(packet), b"messages")
        self.assertEqual(self.refused(there, packet), "replayed packet")
        self.assertEqual(self.refused(there, packet[:16]), "truncated packet")

    def test_mutations(self) -> None:
        """
        Of the mutations of packets none is opened but one that is a packet, the first time.
        """
        here, there = makePair()
        packets = [here.seal(b"time" + bytes(number)) for number in range(40)]
        genuine = set(packets)
        opened: set[bytes] = set()
        for data in mutations(3, packets):
            try:
                # As a path does before it asks the session.
                if data[:1] != bytes((DATA,)) or indexOf(data) != there.localIndex:
                    continue
                there.open(data)
            except ProtocolError:
                continue
            self.assertIn(data, genuine)
            self.assertNotIn(data, opened)
            opened.add(data)
        self.assertEqual(there.received, len(opened))


class LifeTests(SynchronousTestCase):
    """
    How long a session lives.
    """

    def test_rekey(self) -> None:
        """
        The initiator wants a new session after 120 s, the responder after 150 s.
        """
        here, there = makePair()
        self.assertFalse(here.wantsRekey(REKEY_INITIATOR - 0.01))
        self.assertTrue(here.wantsRekey(REKEY_INITIATOR))
        self.assertFalse(there.wantsRekey(REKEY_RESPONDER - 0.01))
        self.assertTrue(there.wantsRekey(REKEY_RESPONDER))

    def test_packets(self) -> None:
        """
        The initiator wants a new one after 2**28 packets, too.
        """
        here, _ = makePair()
        here.sent = REKEY_PACKETS - 1
        self.assertFalse(here.wantsRekey(1.0))
        here.seal(b"text")
        self.assertTrue(here.wantsRekey(1.0))

    def test_lifetime(self) -> None:
        """
        Nothing is sent under keys that are 180 s old.
        """
        here, _ = makePair()
        self.assertTrue(here.mayStillSend(LIFETIME - 0.01))
        self.assertFalse(here.mayStillSend(LIFETIME))
