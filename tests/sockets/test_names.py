"""
Tests of C{bmff.sockets.names}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bmff.errors import TransportUnavailable
from bmff.sockets.addresses import packAddress
from bmff.sockets.names import MOST, PATIENCE, lookUp

reactor: Any = _reactor  # mypy does not know which reactor there is


class Resolver(Clock):
    """
    A reactor that keeps time and who asks for a name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = self
        self.asked: list[Any] = []

    def resolveHostName(self, receiver: Any, host: str, port: int) -> None:
        """
        Answer later.
        """
        receiver.resolutionBegan(None)
        self.asked.append(receiver)


class LookUpTests(SynchronousTestCase):
    """
    Tests of L{lookUp} with answers of our own.
    """

    def setUp(self) -> None:
        self.resolver: Any = Resolver()

    def reason(self, looking: Deferred[list[bytes]]) -> str:
        """
        Why there is no address.
        """
        error = self.failureResultOf(looking, TransportUnavailable).value
        assert isinstance(error, TransportUnavailable)
        return error.reason

    def test_numeric(self) -> None:
        """
        For a numeric address nobody is asked.
        """
        for host in ("192.0.2.1", "2001:db8::1"):
            keys = self.successResultOf(lookUp(self.resolver, host, 54000))
            self.assertEqual(keys, [packAddress(host, 54000)])
        self.assertEqual(self.resolver.asked, [])

    def test_answer(self) -> None:
        """
        All addresses of a name are given in their order, with the scope; what is no address on a
        network is left out, and so is what is too many.
        """
        looking = lookUp(self.resolver, "host", 7)
        answer = self.resolver.asked[0]
        answer.addressResolved(UNIXAddress(b"/nowhere"))
        for number in range(MOST + 1):
            answer.addressResolved(IPv6Address("TCP", f"fe80::{number + 1}", 7, 0, 3))
        self.assertNoResult(looking)
        answer.resolutionComplete()
        keys = [packAddress(f"fe80::{number + 1}", 7, 3) for number in range(MOST)]
        self.assertEqual(self.successResultOf(looking), keys)
        self.assertEqual(self.resolver.getDelayedCalls(), [])

    def test_nothing(self) -> None:
        """
        A name without addresses, no name, and a port that is none are refused.
        """
        looking = lookUp(self.resolver, "host", 7)
        self.resolver.asked[0].resolutionComplete()
        self.assertEqual(self.reason(looking), "no address for host")
        self.assertIn("numeric", self.reason(lookUp(self.resolver, "", 7)))
        self.assertIn("65536", self.reason(lookUp(self.resolver, "host", 65536)))

    def test_late(self) -> None:
        """
        An answer that takes too long is not waited for, and hurts nobody when it comes.
        """
        looking = lookUp(self.resolver, "host", 7)
        self.resolver.advance(PATIENCE)
        self.assertIn("host", self.reason(looking))
        self.resolver.asked[0].resolutionComplete()


class RealTests(TestCase):
    """
    Tests of L{lookUp} with the host's own names.
    """

    async def test_localhost(self) -> None:
        """
        The reactor's resolver answers for the host itself.
        """
        keys = await lookUp(reactor, "localhost", 7)
        loopback = {packAddress("127.0.0.1", 7), packAddress("::1", 7)}
        self.assertTrue(keys)
        self.assertTrue(set(keys) <= loopback)
