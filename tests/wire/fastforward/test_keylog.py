"""
Tests of L{bmff.wire.fastforward.keylog}.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.errors import ProtocolError
from bmff.wire.fastforward.keylog import CLEAR, KeyLog, LoggedSession, looksSealed
from bmff.wire.fastforward.session import DATA, HEADER_SIZE, Session
from tests.wire.fastforward.handshakes import HandshakeCase, begin

INDEXES = st.integers(0, 0xFFFFFFFF)
KEYS = st.binary(min_size=32, max_size=32)
SESSIONS = st.builds(LoggedSession, INDEXES, INDEXES, KEYS, KEYS)
SESSION = LoggedSession(0x11111111, 0x22222222, bytes(range(32)), bytes(range(32, 64)))
LINE = (
    "BMFF_FF1 11111111 22222222 "
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f "
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
)


def ends(session: LoggedSession, *, sealed: bool = True) -> tuple[Session, Session]:
    """
    Both ends of a session; the first one is who logged it.
    """
    keys, indexes = (session.sendKey, session.receiveKey), (session.localIndex, session.remoteIndex)
    return (
        Session(*keys, *indexes, initiator=True, now=0.0, sealed=sealed),
        Session(*keys[::-1], *indexes[::-1], initiator=False, now=0.0, sealed=sealed),
    )


class LineTests(SynchronousTestCase):
    """
    One line of a log.
    """

    def test_line(self) -> None:
        """
        A line is the label, both indexes and both keys in hex.
        """
        self.assertEqual(SESSION.encode(), LINE)
        self.assertEqual(LoggedSession.decode(LINE), SESSION)

    @given(SESSIONS)
    def test_roundTrip(self, session: LoggedSession) -> None:
        """
        A line decodes to the session that it was made of, in large letters and between spaces too.
        """
        line = session.encode()
        for written in (line, f"  {line}\r\n", line.upper()):
            self.assertEqual(LoggedSession.decode(written), session)

    @given(st.data())
    def test_changed(self, data: st.DataObject) -> None:
        """
        A line that lacks a character, or has one more or another one that is no digit of hex, is
        no session.
        """
        at = data.draw(st.integers(0, len(LINE) - 1))
        strange = data.draw(st.sampled_from("gxyz-#é"))
        for line in (
            LINE[:at] + LINE[at + 1 :],
            LINE[:at] + strange + LINE[at:],
            LINE[:at] + strange + LINE[at + 1 :],
        ):
            with self.assertRaises(ProtocolError):
                LoggedSession.decode(line)

    def test_secret(self) -> None:
        """
        What is printed of a session has no key in it.
        """
        self.assertNotIn("000102", repr(SESSION))
        self.assertNotIn(repr(SESSION.sendKey), repr(SESSION))


class HandshakeTests(HandshakeCase):
    """
    The lines of a session that two nodes made.
    """

    def test_bothEnds(self) -> None:
        """
        The line of either end opens the packets of both.
        """
        handshake = begin()
        accepted = self.accept(handshake.initiation())
        initiator = LoggedSession.of(handshake.responseReceived(accepted.answer))
        responder = LoggedSession.of(accepted.established)
        self.assertEqual(
            responder,
            LoggedSession(
                initiator.remoteIndex,
                initiator.localIndex,
                initiator.receiveKey,
                initiator.sendKey,
            ),
        )
        here, there = ends(initiator)
        for line in (initiator.encode(), responder.encode()):
            log = KeyLog([line])
            for end in (here, there):
                packet = end.seal(b"time, messages")
                self.assertTrue(log.knows(packet))
                clear = bytes((CLEAR,)) + packet[1:HEADER_SIZE] + b"time, messages"
                self.assertEqual(log.open(packet), clear)


class KeyLogTests(SynchronousTestCase):
    """
    A whole log.
    """

    def refused(self, log: KeyLog, packet: bytes) -> str:
        """
        Why a packet is not opened.
        """
        with self.assertRaises(ProtocolError) as caught:
            log.open(packet)
        return str(caught.exception)

    def test_lines(self) -> None:
        """
        Empty lines and comments say nothing, lines that are no session are counted, a session that
        was logged twice is one.
        """
        log = KeyLog(
            ["# keys\n", "\n", "  \n", f"{LINE}\n", f"{LINE}\r\n", LINE[:-1], "CLIENT_RANDOM 1 2\n"]
        )
        self.assertEqual((log.sessions, log.skipped), ((SESSION,), 2))
        self.assertEqual(KeyLog([]).sessions, ())

    def test_sameIndex(self) -> None:
        """
        Sessions of other nodes can have the same index: each packet is opened with its own key.
        """
        other = replace(SESSION, sendKey=b"o" * 32, receiveKey=b"p" * 32)
        log = KeyLog(session.encode() for session in (SESSION, other))
        for session in (SESSION, other):
            for end in ends(session):
                self.assertEqual(log.open(end.seal(b"message"))[HEADER_SIZE:], b"message")

    def test_anyOrder(self) -> None:
        """
        What was captured twice or late is opened all the same.
        """
        end, _ = ends(SESSION)
        packets = [end.seal(f"message {number}".encode()) for number in range(3)]
        log = KeyLog([LINE])
        opened = [log.open(packet)[HEADER_SIZE:] for packet in (*packets[::-1], packets[1])]
        self.assertEqual(opened, [b"message 2", b"message 1", b"message 0", b"message 1"])

    def test_refused(self) -> None:
        """
        A packet is not opened when it was changed, is of another session, or has no seal.
        """
        log = KeyLog([LINE])
        end, _ = ends(SESSION)
        packet = end.seal(b"time")
        self.assertEqual(log.open(packet)[HEADER_SIZE:], b"time")
        for at in (5 + 7, HEADER_SIZE, len(packet) - 1):
            changed = bytearray(packet)
            changed[at] ^= 1
            self.assertEqual(self.refused(log, bytes(changed)), "forged packet")
        stranger, _ = ends(replace(SESSION, remoteIndex=0x33333333))
        self.assertFalse(log.knows(stranger.seal(b"time")))
        self.assertEqual(self.refused(log, stranger.seal(b"time")), "unknown session")
        plain, _ = ends(SESSION, sealed=False)
        self.assertEqual(self.refused(log, plain.seal(b"time")), "not a sealed packet")
        self.assertEqual(self.refused(log, plain.seal(bytes(40))), "forged packet")

    def test_looks(self) -> None:
        """
        Only what has the type, the size and a counter of a sealed packet looks like one.
        """
        end, _ = ends(SESSION)
        packet = end.seal(b"time")
        self.assertTrue(looksSealed(packet))
        for other in (
            packet[:-1],
            b"",
            bytes((DATA + 1,)) + packet[1:],
            bytes((CLEAR,)) + packet[1:],
            packet[:5] + b"\1" + packet[6:],  # no session sends as many
        ):
            self.assertFalse(looksSealed(other), other)
            self.assertFalse(KeyLog([LINE]).knows(other))
