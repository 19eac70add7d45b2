"""
Tests of L{bmff.web.control} and L{bmff.web.resource}, over a real socket.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path
from subprocess import run
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bmff.web import control
from bmff.web.control import controlSite, credentials
from bmff.web.resource import View
from tests.web.case import SocketTestCase

ROOT = Path(__file__).parent.parent.parent
GROUP = 4242  # a group ID that nobody has by chance


class CredentialsTests(SynchronousTestCase):
    """
    Who is at the other end.
    """

    def test_own(self) -> None:
        """
        A socket of one's own is at the other end one's own user, with all the groups.
        """
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        uid, groups = credentials(one)
        self.assertEqual(uid, os.geteuid())
        self.assertEqual(groups, {os.getegid(), *os.getgroups()})

    def test_groups(self) -> None:
        """
        The groups are all of them, not the primary one alone.
        """
        if os.geteuid() != 0:
            self.skipTest("only root can give a process groups that it chooses")
        script = (
            "import socket\n"
            "from bmff.web.control import credentials\n"
            "one, other = socket.socketpair()\n"
            "print(sorted(credentials(one)[1]))"
        )
        given = [GROUP, GROUP + 1]
        done = run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            extra_groups=given,
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(done.stdout, f"{sorted({os.getegid(), *given})}\n")


class ControlTestCase(SocketTestCase):
    """
    A control socket with one view.
    """

    controlGroup: int | None = GROUP

    def setUp(self) -> None:
        super().setUp()
        self.asked = 0
        self.serve(controlSite([("peers", View(self.content))], self.controlGroup))

    def content(self) -> dict[str, Any]:
        """
        What the view says.
        """
        self.asked += 1
        return {"peers": [{"callsign": "G4TST \N{SNOWMAN}"}]}


class RequestTests(ControlTestCase):
    """
    Requests of the node's own user.
    """

    async def test_get(self) -> None:
        """
        A view answers with JSON that is not kept by anybody on the way.
        """
        answer = await self.request("/peers")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.content, {"peers": [{"callsign": "G4TST \N{SNOWMAN}"}]})
        self.assertTrue(answer.body.isascii())
        self.assertTrue(answer.body.endswith(b"\n"))
        self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")

    async def test_query(self) -> None:
        """
        A query that nobody understands does not matter.
        """
        self.assertEqual((await self.request("/peers?page=2")).status, 200)

    async def test_head(self) -> None:
        """
        HEAD says what GET would, without the body.
        """
        whole, head = await self.request("/peers"), await self.request("/peers", "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        for name in ("content-type", "content-length", "cache-control"):
            self.assertEqual(head.headers[name], whole.headers[name])

    async def test_missing(self) -> None:
        """
        What is not there is 404 in JSON, above a view and below it too.
        """
        for resource in (
            "/",
            "/nothing",
            "/peers/",
            "/peers/7",
            "//peers",
            "/Peers",
            "/%70eers/..",
        ):
            answer = await self.request(resource)
            self.assertEqual((resource, answer.status), (resource, 404))
            self.assertEqual(answer.content, {"error": "no such resource"})
        self.assertEqual(self.asked, 0)

    async def test_methods(self) -> None:
        """
        A view can only be read: all else is 405, and says what is allowed.
        """
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"):
            answer = await self.request("/peers", method, b"{}")
            self.assertEqual((method, answer.status), (method, 405))
            self.assertEqual(answer.headers["allow"], "GET, HEAD")
            self.assertEqual(answer.content, {"error": "only GET is allowed here"})
        self.assertEqual(self.asked, 0)

    async def test_many(self) -> None:
        """
        A connection may carry many requests.
        """
        one = b"GET /peers HTTP/1.1\r\nHost: node\r\n"
        data = (one + b"\r\n") * 9 + one + b"Connection: close\r\n\r\n"
        self.assertEqual((await self.send(data)).status, 200)
        self.assertEqual(self.asked, 10)

    async def test_mode(self) -> None:
        """
        The socket is for its user and its group alone.
        """
        status = os.stat(self.path)
        self.assertTrue(stat.S_ISSOCK(status.st_mode))
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o660)

    async def test_broken(self) -> None:
        """
        A view that fails is 500, tells nothing of the reason, and costs the others nothing.
        """

        def broken() -> dict[str, Any]:
            raise RuntimeError("secret")

        self.path += "2"
        self.serve(controlSite([("broken", View(broken)), ("peers", View(self.content))], None))
        answer = await self.request("/broken")
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual((await self.request("/peers")).status, 200)


class HostileTests(ControlTestCase):
    """
    What is no request.
    """

    async def refused(self, data: bytes, *statuses: int) -> None:
        """
        Send bytes that are to be refused, and see that the socket serves on.
        """
        answer = await self.send(data)
        self.assertIn(answer.status, statuses, data[:60])
        self.assertEqual(self.asked, 0)
        self.assertEqual((await self.request("/peers")).status, 200)
        self.asked = 0

    async def test_noRequest(self) -> None:
        """
        Bytes that are no HTTP are refused.
        """
        await self.refused(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400)
        await self.refused(b"HELLO\r\n\r\n", 400)
        await self.refused(b"GET /peers HTTP/1.1\r\nno colon\r\n\r\n", 400)
        await self.refused(b"GET /peers HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400)
        await self.refused(b"GET /peers HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400)

    async def test_smuggled(self) -> None:
        """
        A request whose length is told twice is refused, not guessed at.
        """
        await self.refused(
            b"POST /peers HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /peers HTTP/1.1\r\n\r\n",
            400,
        )

    async def test_longLine(self) -> None:
        """
        A line without an end is cut off.
        """
        await self.refused(b"GET /" + b"a" * 100_000, 0, 400)

    async def test_manyHeaders(self) -> None:
        """
        Headers without an end are cut off.
        """
        await self.refused(b"GET /peers HTTP/1.1\r\n" + b"X: y\r\n" * 10_000, 0, 400, 431)

    async def test_bigHeaders(self) -> None:
        """
        Headers of more than 16 kB are refused.
        """
        header = b"X: " + b"y" * 8000 + b"\r\n"
        await self.refused(b"GET /peers HTTP/1.1\r\n" + header * 4 + b"\r\n", 0, 400, 431)

    async def test_body(self) -> None:
        """
        A body that nobody wants is not used, and one that is too long not taken.
        """
        self.assertEqual((await self.request("/nothing", "POST", b"x" * 4000)).status, 404)
        await self.refused(
            b"POST /peers HTTP/1.1\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000, 413
        )
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        head = b"POST /peers HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        await self.refused(head + chunk * 5 + b"0\r\n\r\n", 413)


class StrangerTests(ControlTestCase):
    """
    Users other than the node's own. The kernel's word is replaced, as a test has only one user.
    """

    def come(self, uid: int, *groups: int) -> None:
        """
        Whoever connects from now on is this user.
        """
        self.patch(control, "credentials", lambda connection: (uid, frozenset(groups)))

    async def test_stranger(self) -> None:
        """
        Somebody else is refused whatever he asks for, also what is not there.
        """
        self.come(12345, 12345, 100)
        for resource in ("/peers", "/nothing", "/", "/peers/7"):
            for method in ("GET", "POST"):
                answer = await self.request(resource, method)
                self.assertEqual(answer.status, 403)
                self.assertEqual(answer.content, {"error": "not one of the node's own users"})
        self.assertEqual(self.asked, 0)

    async def test_members(self) -> None:
        """
        The node's own user, root and the members of the control group pass.
        """
        self.patch(os, "geteuid", lambda: 990)
        for uid, group, status in (
            (990, 100, 200),
            (0, 100, 200),
            (12345, GROUP, 200),
            (12345, 100, 403),
            (991, 990, 403),
        ):
            self.come(uid, uid, group)
            answer = await self.request("/peers")
            self.assertEqual((uid, group, answer.status), (uid, group, status))


class NoGroupTests(StrangerTests):
    """
    A control socket without a control group.
    """

    controlGroup = None

    async def test_members(self) -> None:
        """
        Only the node's own user and root pass.
        """
        self.patch(os, "geteuid", lambda: 990)
        for uid, status in ((990, 200), (0, 200), (12345, 403)):
            self.come(uid, uid, GROUP, 0)
            self.assertEqual((await self.request("/peers")).status, status)

    async def test_real(self) -> None:
        """
        Whoever runs this passes by the kernel's own word.
        """
        self.assertEqual((await self.request("/peers")).status, 200)
