"""
Tests of L{bmff.web.admission}, L{bmff.web.signin} and L{bmff.web.site}: who may do what, over TCP.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bmff.web.admission import Admission, hostOf
from bmff.web.cookies import LIFETIME, MOST, Cookies
from bmff.web.refusals import Refusals
from bmff.web.rights import Right
from tests.web.apicase import OPERATOR, READER, STATION, ApiTestCase, SomeToken

reactor: Any = _reactor  # mypy does not know which reactor there is
LOOK_ONLY = "/peers"
VERB = "/undrain"


class HostTests(SynchronousTestCase):
    """
    The host that a request names.
    """

    def test_forms(self) -> None:
        """
        Ports, brackets, capitals and a last dot do not matter.
        """
        for text, host in (
            ("Node.Example.ORG:8080", "node.example.org"),
            ("node.example.org.", "node.example.org"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:80", "::1"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("", ""),
        ):
            self.assertEqual(hostOf(text), host)


class CookiesTests(SynchronousTestCase):
    """
    Cookies of browsers.
    """

    def setUp(self) -> None:
        self.now = 0.0
        self.cookies = Cookies(25011, lambda: self.now)

    def test_life(self) -> None:
        """
        A cookie stands for its token until its time is over or it is given back.
        """
        one, other = self.cookies.make("me", b"digest"), self.cookies.make("me", b"digest")
        self.assertNotEqual(one, other)
        self.assertEqual(self.cookies.find(one), ("me", b"digest"))
        self.cookies.end(other)
        self.assertIsNone(self.cookies.find(other))
        self.now = LIFETIME
        self.assertIsNone(self.cookies.find(one))

    def test_bounded(self) -> None:
        """
        There are never more than so many; the oldest is forgotten.
        """
        first, *rest = (self.cookies.make("me", b"") for _ in range(MOST + 1))
        self.assertEqual(len(self.cookies), MOST)
        self.assertIsNone(self.cookies.find(first))
        self.assertIsNotNone(self.cookies.find(rest[0]))


class RefusalsTests(SynchronousTestCase):
    """
    The log of what is refused.
    """

    def test_onceAMinute(self) -> None:
        """
        A source is named once a minute, however often it comes and for whatever reason.
        """
        now = [0.0]
        refusals = Refusals(lambda: now[0])
        with capturedLogs() as captured:
            for _ in range(1000):
                refusals.note("192.0.2.1", "wrong token")
            refusals.note("192.0.2.1", "wrong host")
            refusals.note("192.0.2.2", "wrong token")
            now[0] = 61.0
            refusals.note("192.0.2.1", "wrong token")
        lines = [formatEvent(event) for event in captured]
        self.assertEqual(
            lines,
            [
                "the API refuses 192.0.2.1: wrong token",
                "the API refuses 192.0.2.2: wrong token",
                "the API refuses 192.0.2.1: wrong token",
            ],
        )
        self.assertEqual(refusals.counts, {"wrong token": 1002, "wrong host": 1})


class RightsTests(ApiTestCase):
    """
    What tokens are good for.
    """

    async def test_loopback(self) -> None:
        """
        Who is on this host may look without a token, and change nothing.
        """
        self.assertEqual((await self.request(LOOK_ONLY)).status, 200)
        answer = await self.request(VERB, {})
        self.assertEqual((answer.status, answer.content), (401, {"error": "this takes a token"}))
        self.assertEqual(answer.headers["www-authenticate"], 'Bearer realm="bmff"')

    async def test_proxy(self) -> None:
        """
        What a proxy of this host hands on has not come from this host.
        """
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            answer = await self.request(LOOK_ONLY, headers={name: "192.0.2.7"})
            self.assertEqual(answer.status, 401)

    async def test_read(self) -> None:
        """
        A token to read changes nothing, and the refusal is noted.
        """
        self.assertEqual((await self.request(LOOK_ONLY, token=READER)).status, 200)
        answer = await self.request(VERB, {}, token=READER)
        self.assertEqual(answer.status, 403)
        self.assertEqual(self.node.refusals.counts, {"no right to control": 1})

    async def test_control(self) -> None:
        """
        A token to control does.
        """
        self.assertEqual((await self.request(VERB, {}, token=OPERATOR)).status, 200)

    async def test_revoked(self) -> None:
        """
        A token that was taken out of the file is good no longer, and neither is one of an unknown
        right.
        """
        self.node.tokens["me"] = SomeToken.of("own everything", OPERATOR)
        self.assertEqual((await self.request(VERB, {}, token=OPERATOR)).status, 403)
        del self.node.tokens["me"]
        self.assertEqual((await self.request(VERB, {}, token=OPERATOR)).status, 401)

    async def test_wrong(self) -> None:
        """
        A token that is not good is refused also where none is needed, and not looked for in the
        address.
        """
        for header in ("Bearer nonsense", "Bearer", "Basic bWU6bWU=", f"bearer{OPERATOR}"):
            answer = await self.request(LOOK_ONLY, headers={"Authorization": header})
            self.assertEqual((header, answer.status), (header, 401))
        self.assertEqual((await self.request(f"{VERB}?token={OPERATOR}", {})).status, 401)
        self.assertEqual(self.node.refusals.counts["wrong token"], 4)

    async def test_positions(self) -> None:
        """
        Exact positions and addresses of hotspots take a token.
        """
        self.node.hotspot(STATION)
        (vague,) = (await self.request("/peers")).content["peers"]
        (exact,) = (await self.request("/peers", token=READER)).content["peers"]
        place = ("latitude", "longitude", "height")
        self.assertEqual([vague[name] for name in place], [51.5, -0.1, None])
        self.assertEqual([exact[name] for name in place], [51.5074, -0.1278, 20])
        self.assertIsNone(vague["address"])
        self.assertTrue(exact["address"].startswith("198.51.100.2:"))


class PublicTests(ApiTestCase):
    """
    A source that is not this host. The address is replaced, as tests have only loopback.
    """

    async def test_health(self) -> None:
        """
        Whoever calls a node by its name sees whether it is well, and no more.
        """
        self.patch(Admission, "_anonymous", lambda *_: Right.NOTHING)
        answer = await self.request("/health/link:25013")
        self.assertEqual(answer.status, 503)
        (check,) = answer.content
        self.assertEqual((check["Status"], check["Output"]), ("critical", ""))
        for resource in ("/peers", "/metrics", "/openapi.json", "/events", "/status/system.json"):
            self.assertEqual((await self.request(resource)).status, 401)
        self.assertEqual((await self.request("/session")).content["session"]["right"], "nothing")


class NameTests(ApiTestCase):
    """
    How the node is called.
    """

    async def test_known(self) -> None:
        """
        Its own address, localhost and the names of the configuration are its names.
        """
        for host in ("127.0.0.1", "localhost:1", "NODE.example.org", f"127.0.0.1:{self.port}"):
            answer = await self.request(LOOK_ONLY, headers={"Host": host})
            self.assertEqual((host, answer.status), (host, 200))

    async def test_strange(self) -> None:
        """
        Any other is refused, with a good token too: a page of somebody else's may have had its
        name point here.
        """
        for host in ("evil.example.com", "127.0.0.2", "", "node.example.org.evil.example.com"):
            answer = await self.request(LOOK_ONLY, token=OPERATOR, headers={"Host": host})
            self.assertEqual((host, answer.status), (host, 421))
        self.assertEqual(self.node.refusals.counts, {"wrong host": 4})


class OriginTests(ApiTestCase):
    """
    Where verbs come from.
    """

    async def test_origin(self) -> None:
        """
        A page of the node's own may use verbs, others may not.
        """
        own = f"http://127.0.0.1:{self.port}"
        for origin, status in (
            (own, 200),
            ("http://evil.example.com", 403),
            ("null", 403),
            (own.replace("http", "https"), 403),
            ("http://127.0.0.1:1", 403),
        ):
            answer = await self.request(VERB, {}, token=OPERATOR, headers={"Origin": origin})
            self.assertEqual((origin, answer.status), (origin, status))
        self.assertEqual(self.node.refusals.counts, {"wrong origin": 4})

    async def test_kind(self) -> None:
        """
        A verb takes JSON and says so: a form of somebody else's page cannot.
        """
        for kind, status in (
            ("application/json; charset=utf-8", 200),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
            ("", 415),
        ):
            headers = {"Content-Type": kind}
            answer = await self.request(VERB, {}, token=OPERATOR, headers=headers)
            self.assertEqual((kind, answer.status), (kind, status))

    async def test_order(self) -> None:
        """
        An order is as the description says, to the letter.
        """
        orders: tuple[Any, ...] = (
            {"peer": 1, "more": 1},
            {"peer": "1"},
            {"peer": True},
            {"peer": 0},
            {"peer": 1 << 32},
            {},
            [],
            {"peer": 1, "reason": ""},
            {"peer": 1, "reason": "\n"},
            {"peer": 1, "reason": None},
        )
        for order in orders:
            answer = await self.request("/ban", order, token=OPERATOR)
            self.assertEqual((order, answer.status), (order, 400))
        self.assertEqual(self.node.orders.banned, {})


class CookieTests(ApiTestCase):
    """
    A browser's way in.
    """

    async def signIn(self, token: str = OPERATOR) -> str:
        """
        @return: the cookie that is given.
        """
        answer = await self.request("/login", {"token": token})
        self.assertEqual(answer.status, 200)
        cookie, *attributes = answer.headers["set-cookie"].split("; ")
        self.assertEqual(
            {each.lower() for each in attributes},
            {"max-age=43200", "path=/", "httponly", "samesite=strict"},
        )
        self.assertTrue(cookie.startswith("bmff-25011="))
        self.assertNotIn(token, cookie)
        return cookie

    async def test_in(self) -> None:
        """
        A cookie is as good as its token, where the browser says that the page is ours.
        """
        headers = {"Cookie": await self.signIn(), "Origin": f"http://127.0.0.1:{self.port}"}
        answer = await self.request(VERB, {}, headers=headers)
        self.assertEqual(answer.status, 200)
        session = (await self.request("/session", headers=headers)).content["session"]
        self.assertEqual(session, {"token": "me", "right": "control"})

    async def test_noOrigin(self) -> None:
        """
        It is not where the browser does not.
        """
        answer = await self.request(VERB, {}, headers={"Cookie": await self.signIn()})
        self.assertEqual(answer.status, 403)

    async def test_out(self) -> None:
        """
        It ends when it is given back, and with its token.
        """
        cookie = await self.signIn(READER)
        headers = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{self.port}"}
        self.assertEqual((await self.request("/logout", {}, headers=headers)).status, 200)
        answer = await self.request("/session", headers=headers)
        self.assertEqual(answer.content["session"], {"token": None, "right": "look"})
        headers["Cookie"] = await self.signIn(READER)
        del self.node.tokens["board"]
        answer = await self.request("/session", headers=headers)
        self.assertEqual(answer.content["session"], {"token": None, "right": "look"})

    async def test_wrong(self) -> None:
        """
        There is none for a token that is not good, and a page of somebody else's gets none.
        """
        answer = await self.request("/login", {"token": "nonsense"})
        self.assertEqual(answer.status, 401)
        self.assertNotIn("set-cookie", answer.headers)
        headers = {"Origin": "http://evil.example.com"}
        answer = await self.request("/login", {"token": OPERATOR}, headers=headers)
        self.assertEqual(answer.status, 403)
        self.assertNotIn("set-cookie", answer.headers)


class LimitTests(ApiTestCase):
    """
    What costs nothing to send and would cost us.
    """

    def serve(self, node: Any, **limits: Any) -> None:
        super().serve(node, receiveTime=0.2, connections=3)

    async def test_tooLong(self) -> None:
        """
        A body that says that it is too long is refused before it comes.
        """
        headers = {"Content-Length": "1000000000"}
        answer = await self.request(VERB, method="POST", token=OPERATOR, headers=headers)
        self.assertEqual(answer.status, 413)
        self.assertEqual(self.node.refusals.counts, {"body too long": 1})
        self.assertEqual((await self.request(LOOK_ONLY)).status, 200)

    async def test_slow(self) -> None:
        """
        A request that comes byte by byte has no more time than any other.
        """
        caller = await self.connect(b"POST /undrain HTTP/1.1\r\nContent-Length: 4000\r\n")
        begun = reactor.seconds()
        while not caller.ended.called:
            await deferLater(reactor, 0.02)
            if caller.transport is not None:
                caller.transport.write(b"X: y\r\n")
            self.assertLess(reactor.seconds() - begun, 5.0)
        self.assertEqual(self.node.refusals.counts, {"request too slow": 1})

    async def test_idle(self) -> None:
        """
        A connection on which nothing comes is closed, and that is no offence.
        """
        caller = await self.connect(b"")
        self.assertEqual(await caller.ended, b"")
        self.assertEqual(self.node.refusals.counts, {})

    async def test_many(self) -> None:
        """
        There are never more connections than so many; more of them are closed at once.
        """
        callers = [await self.connect(b"GET") for _ in range(8)]
        for caller in callers:
            await caller.ended
        self.assertEqual(self.node.refusals.counts["too many connections"], 5)
        self.assertEqual((await self.request(LOOK_ONLY)).status, 200)

    async def test_deep(self) -> None:
        """
        A body that nests is no order.
        """
        body = json.dumps({"peer": [[[[1]]]]}).encode()
        for each in (b"[" * 4000, b'{"peer":' * 400, body):
            answer = await self.request("/ban", method="POST", token=OPERATOR, body=each)
            self.assertEqual(answer.status, 400)
