"""
Tests of L{bmff.web.resource.Action}, over a real socket.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.task import deferLater

from bmff.web.control import controlSite
from bmff.web.resource import LARGEST_ORDER, Action, Refused
from tests.web.case import Caller, SocketTestCase

reactor: Any = anyReactor  # mypy does not know which reactor there is


class ActionTests(SocketTestCase):
    """
    A resource that is posted to.
    """

    def setUp(self) -> None:
        super().setUp()
        self.orders: list[dict[str, Any]] = []
        self.wait: Deferred[None] | None = None
        self.error: Exception | None = None
        self.serve(controlSite([("path", Action(self.act))], None))

    async def act(self, order: dict[str, Any]) -> dict[str, Any]:
        self.orders.append(order)
        if self.wait is not None:
            await self.wait
        if self.error is not None:
            raise self.error
        return {"path": order}

    async def test_done(self) -> None:
        """
        The body says what is done, and the answer what became of it.
        """
        answer = await self.request("/path", "POST", b'{"node": 1}')
        self.assertEqual((answer.status, answer.content), (200, {"path": {"node": 1}}))
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(self.orders, [{"node": 1}])

    async def test_later(self) -> None:
        """
        The answer comes when it is known.
        """
        self.wait = Deferred()
        reactor.callLater(0.02, self.wait.callback, None)
        answer = await self.request("/path", "POST", b"{}")
        self.assertEqual((answer.status, answer.content), (200, {"path": {}}))

    async def test_hungUp(self) -> None:
        """
        Who hangs up is not waited for any more.
        """
        cancelled: list[Deferred[None]] = []
        self.wait = Deferred(cancelled.append)
        request = (
            b"POST /path HTTP/1.1\r\nHost: node\r\n"
            b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        )
        caller = await connectProtocol(UNIXClientEndpoint(reactor, self.path), Caller(request))
        while not self.orders:
            await deferLater(reactor, 0.01)
        assert caller.transport is not None
        caller.transport.loseConnection()
        await caller.ended
        while not cancelled:
            await deferLater(reactor, 0.01)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_refused(self) -> None:
        """
        What is refused is answered with its own status and reason.
        """
        self.error = Refused(409, "not now")
        answer = await self.request("/path", "POST", b"{}")
        self.assertEqual((answer.status, answer.content), (409, {"error": "not now"}))

    async def test_failed(self) -> None:
        """
        Our own mistake is logged; who asks is told no more than that there is one.
        """
        self.error = KeyError("secret")
        answer = await self.request("/path", "POST", b"{}")
        self.assertEqual(answer.status, 500)
        self.assertNotIn("secret", answer.content["error"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    async def test_methods(self) -> None:
        """
        Nothing is done but by POST.
        """
        for method in ("GET", "PUT", "DELETE"):
            answer = await self.request("/path", method, b"{}")
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST"))
        self.assertEqual((await self.request("/path/1", "POST", b"{}")).status, 404)
        self.assertEqual(self.orders, [])

    async def test_body(self) -> None:
        """
        A body that is no JSON object, or too long, does nothing.
        """
        deep = b"[" * LARGEST_ORDER
        for body in (b"", b"{", b"[]", b"1", b"\xff\xfe", deep):
            answer = await self.request("/path", "POST", body)
            self.assertEqual((answer.status, answer.content["error"][:8]), (400, "the body"))
        answer = await self.request("/path", "POST", b'{"a": "' + bytes(LARGEST_ORDER) + b'"}')
        self.assertEqual(answer.status, 413)
        self.assertEqual(self.orders, [])
