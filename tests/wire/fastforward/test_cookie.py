"""
Tests of L{bmff.wire.fastforward.cookie}, in the handshake that asks for it.
"""

from __future__ import annotations

from bmff.errors import ProtocolError
from bmff.wire.fastforward.handshake import (
    Accepted,
    HandshakeResponder,
    PreSharedKey,
)
from tests.wire.fastforward.handshakes import (
    BOOT,
    KEYS,
    NODE,
    WALL,
    HandshakeCase,
    begin,
    makeResponder,
)


class CookieTests(HandshakeCase):
    """
    Initiations that come too fast.
    """

    def test_demanded(self) -> None:
        """
        The hundred and first initiation within a second is answered with a cookie and nothing else,
        and is let in when it comes again with it.
        """
        self.crowd()
        handshake = begin()
        reply = self.demand(handshake.initiation())
        self.assertEqual(self.responder.cookiesDemanded, 1)
        self.assertEqual(self.responder.accepted, 100)
        self.assertEqual(reply[:5], b"\x03\x11\x11\x11\x11")
        self.assertEqual(len(reply), 53)
        accepted = self.accept(handshake.initiation(handshake.cookieReceived(reply)))
        self.assertEqual(handshake.responseReceived(accepted.answer).bootID, BOOT)

    def test_window(self) -> None:
        """
        A second counts from each initiation: cookies end when the last second had fewer.
        """
        self.crowd()
        self.now += 0.999
        self.demand(begin().initiation())
        self.now += 0.001
        self.accept(begin().initiation())  # the hundred of a second ago count no longer

    def test_uncounted(self) -> None:
        """
        What fails its mac1 does not make the node ask others for cookies.
        """
        foreign = begin(key=PreSharedKey(b"x" * 32)).initiation()
        for _ in range(1000):
            self.assertRaises(ProtocolError, self.receive, foreign)
        self.accept(begin().initiation())

    def test_otherAddress(self) -> None:
        """
        A cookie is good only where it was sent to.
        """
        self.crowd()
        handshake = begin()
        cookie = handshake.cookieReceived(self.demand(handshake.initiation()))
        again = self.demand(handshake.initiation(cookie), address=b"elsewhere")
        self.assertNotEqual(handshake.cookieReceived(again), cookie)
        self.accept(handshake.initiation(cookie))

    def test_renewed(self) -> None:
        """
        A cookie is good for the handshake begun anew.
        """
        self.crowd()
        handshake = begin()
        cookie = handshake.cookieReceived(self.demand(handshake.initiation()))
        renewed = handshake.renewed(index=7, wall=WALL + 1, ephemeral=b"\x33" * 32)
        self.accept(renewed.initiation(cookie))

    def test_expires(self) -> None:
        """
        A cookie is good for as long as its secret and the next one are, and then no longer.
        """
        self.now = 1199.5
        self.crowd()
        cookie = begin().cookieReceived(self.demand(begin().initiation()))
        for now, good in ((1200.5, True), (1319.5, True), (1320.5, False)):
            self.responder = makeResponder()
            self.now = now
            self.crowd()
            answer = self.receive(begin().initiation(cookie))
            self.assertEqual(isinstance(answer, Accepted), good, now)

    def test_sealed(self) -> None:
        """
        Only who has the key and sent that very initiation can open the reply.
        """
        self.crowd()
        handshake = begin()
        reply = self.demand(handshake.initiation())
        with self.assertRaisesRegex(ProtocolError, "^tag$"):
            begin(key=PreSharedKey(b"x" * 32)).cookieReceived(reply)
        with self.assertRaisesRegex(ProtocolError, "^tag$"):
            begin(wall=WALL + 1).cookieReceived(reply)
        other = handshake.renewed(index=7, wall=WALL, ephemeral=b"\x33" * 32)
        with self.assertRaisesRegex(ProtocolError, "^session index$"):
            other.cookieReceived(reply)
        handshake.cookieReceived(reply)

    def test_nonces(self) -> None:
        """
        Replies to one and the same initiation never share a nonce, nor with another start.
        """
        nonces: set[bytes] = set()
        for secret in (b"s" * 32, b"t" * 32):
            self.responder = HandshakeResponder(
                nodeID=NODE, environment="network", keys=KEYS.get, bootID=BOOT, secret=secret
            )
            self.crowd()
            nonces.update(self.demand(begin().initiation())[5:21] for _ in range(100))
        self.assertEqual(len(nonces), 200)

    def test_beforeTimestamp(self) -> None:
        """
        Under load a replayed initiation is not even decrypted.
        """
        message = begin().initiation()
        self.accept(message)
        self.now += 10
        for _ in range(100):
            self.refuse(message, "replayed initiation")
        self.demand(message)
