"""
Tests of L{bmff.wire.fastforward.handshake} under mutated messages.
"""

from __future__ import annotations

from collections.abc import Callable

from bmff.errors import ProtocolError
from bmff.testing.mutation import mutations
from bmff.wire.fastforward.handshake import (
    Accepted,
    CookieDemanded,
)
from tests.wire.fastforward.handshakes import (
    INDEX,
    KEYS,
    NODE,
    PEER,
    HandshakeCase,
    begin,
    mac,
    macKey,
    makeResponder,
)


class MutationTests(HandshakeCase):
    """
    Mutated messages at both ends.
    """

    def setUp(self) -> None:
        super().setUp()
        self.handshake = begin()
        self.initiation = self.handshake.initiation()
        other = makeResponder()
        accepted = other.initiationReceived(
            self.initiation, b"peer", 1000.0, INDEX, b"\x22" * 32, "udp"
        )
        for _ in range(99):
            with self.assertRaisesRegex(ProtocolError, "replayed"):
                other.initiationReceived(self.initiation, b"peer", 1000.0, 1, b"", "udp")
        demanded = other.initiationReceived(self.initiation, b"peer", 1000.0, 1, b"", "udp")
        self.response, self.reply = accepted.answer, demanded.answer
        cookie = self.handshake.cookieReceived(self.reply)
        self.messages = (
            self.initiation,
            self.handshake.initiation(cookie),
            self.response,
            self.reply,
        )

    def refuseAll(self, take: Callable[[bytes], object], good: bytes) -> None:
        """
        Nothing is taken but what is good, and that still is in the end.
        """
        for data in mutations(2, self.messages):
            if data != good:
                try:
                    taken = take(data)
                except ProtocolError:
                    continue
                self.fail(f"{data.hex()} was taken as {taken}")
        take(good)

    def test_initiation(self) -> None:
        """
        No mutated message is let in, or gets as far as the tag, but one whose C{mac2} alone is
        another: that is not looked at while nobody has to have one.
        """
        reasons = set()
        for data in mutations(3, self.messages):
            self.now += 1
            try:
                answer = self.receive(data)
            except ProtocolError as error:
                if error.reason not in ("replayed initiation", "tag", "identity"):
                    reasons.add(error.reason)
                    continue
            else:
                self.assertIsInstance(answer, Accepted)
            self.assertEqual(data[:-16], self.initiation[:-16])
        self.assertEqual(self.responder.accepted, 1)
        self.assertEqual(self.responder.dropped["tag"], 0)
        self.assertLessEqual(
            {"wrong type", "truncated", "version", "text length", "environment", "mac1"}, reasons
        )

    def test_crowdedInitiation(self) -> None:
        """
        Under load none is let in but the very one with the cookie.
        """
        self.crowd()
        withCookie = self.messages[1]
        for data in mutations(4, self.messages):
            if data == withCookie:
                continue
            try:
                answer = self.receive(data)
            except ProtocolError:
                continue
            self.assertIsInstance(answer, CookieDemanded)
            self.assertEqual(data[:-16], self.initiation[:-16])
        self.accept(withCookie)

    def test_holdersInitiation(self) -> None:
        """
        Who can make every mac1 still cannot change what the initiator said.
        """
        key = macKey(KEYS["group"].psk, NODE)
        covered = self.initiation[:-32]
        tags = 0
        for data in mutations(5, (covered,)):
            # The index of the initiator's session is what only the mac1 vouches for.
            if data[5:] == covered[5:] and data[:1] == covered[:1]:
                continue
            self.now += 1
            with self.assertRaises(ProtocolError) as caught:
                self.receive(data + mac(key, data) + bytes(16))
            tags += caught.exception.reason == "tag"
        self.assertGreater(tags, 1000)
        self.accept(self.initiation)

    def test_response(self) -> None:
        """
        The initiator takes no mutated message for a response.
        """
        self.refuseAll(self.handshake.responseReceived, self.response)

    def test_holdersResponse(self) -> None:
        """
        Nor one from somebody who can make every mac1.
        """
        key = macKey(KEYS["group"].psk, PEER)
        covered = self.response[:-16]
        reasons = set()
        for data in mutations(6, (covered,), 5000):
            # The index of the responder's session is what only the mac1 vouches for.
            if data[5:] == covered[5:] and data[:1] == covered[:1]:
                continue
            with self.assertRaises(ProtocolError) as caught:
                self.handshake.responseReceived(data + mac(key, data))
            reasons.add(caught.exception.reason)
        self.assertIn("tag", reasons)
        self.handshake.responseReceived(self.response)

    def test_cookie(self) -> None:
        """
        The initiator takes no mutated message for a cookie reply.
        """
        self.refuseAll(self.handshake.cookieReceived, self.reply)
