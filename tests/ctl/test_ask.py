"""
Tests of L{bmff.ctl.ask}, against a real control socket.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

from twisted.internet.threads import deferToThread

from bmff.ctl import ask
from bmff.ctl.main import main
from bmff.web import control
from bmff.web.control import controlSite
from bmff.web.resource import View
from tests.nodes import Home
from tests.web.case import SocketTestCase

SLOTS = {
    "1": {"static": [91, 2350], "dynamic": [777], "call": None},
    "2": {"static": [], "dynamic": [], "call": None},
}
PEER = {
    "id": 2340002,
    "callsign": "G4TST",
    "address": "192.0.2.1:4000",
    "since": "2026-01-01T12:00:00.000+00:00",
    "slots": SLOTS,
    "software": "20260101",
    "package": "MMDVM",
}
SIMPLEX = {
    **PEER,
    "id": 7,
    "callsign": "N0CALL",
    "address": "[2001:db8::1]:4000",
    "slots": {"2": {"static": [], "dynamic": [92], "call": None}},
    "package": "",
    "software": "",
}
ON = {
    "stream": "0000beef",
    "source": 2340001,
    "destination": 91,
    "private": False,
    "data": False,
    "peer": 2340002,
    "slot": 2,
    "duration": 1.25,
    "frames": 20,
    "lost": 0,
    "listeners": 3,
}
ENDED = {
    **ON,
    "stream": "00000001",
    "destination": 2340009,
    "private": True,
    "data": True,
    "duration": 12.0,
    "reason": "silence",
}
del ENDED["listeners"]
COUNTERS = {
    "router": {"dropped": {"slot busy": 3}},
    "homebrew": {
        "logins": 5,
        "dropped": {"truncated": 1, "wrong key": 20},
        "sockets": [
            {
                "address": "0.0.0.0:62031",
                "received": 1000,
                "too_long": 1,
                "kernel_drops": 2,
                "receive_errors": 0,
                "failed": 3,
                "sent": 900,
                "send_drops": 4,
                "send_errors": 5,
            }
        ],
    },
}


class AskTestCase(SocketTestCase):
    """
    A control socket that answers what the test wants.

    @ivar out: what was printed to the standard output.
    @ivar err: what was printed to the standard error.
    """

    def setUp(self) -> None:
        super().setUp()
        self.out = self.err = ""

    def answer(self, **contents: dict[str, Any]) -> None:
        """
        Have the socket answer so.
        """
        views: list[tuple[str, View]] = [
            (name, View(self.saying(content))) for name, content in contents.items()
        ]
        self.serve(controlSite(views, None))

    def saying(self, content: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        return lambda: content

    async def command(self, *arguments: str) -> int:
        """
        Run a command in another thread, as it waits for its answer.

        @return: its exit code.
        """
        out, err = StringIO(), StringIO()
        patches = self.patch(sys, "stdout", out), self.patch(sys, "stderr", err)
        try:
            code: int = await deferToThread(main, arguments)
        finally:
            for patch in patches:
                patch.restore()
        self.out, self.err = out.getvalue(), err.getvalue()
        return code

    async def refused(self, *arguments: str) -> str:
        """
        Run a command whose answer is no: exit code 1, and one line on the standard error.

        @return: the line.
        """
        self.assertEqual(await self.command(*arguments), 1)
        self.assertEqual(self.out, "")
        (line,) = self.err.splitlines()
        self.assertTrue(line.startswith("bmffctl: "), line)
        return line.removeprefix("bmffctl: ")


class AnswerTests(AskTestCase):
    """
    A node that answers.
    """

    async def test_peers(self) -> None:
        """
        A line for each peer, what was keyed marked with a star.
        """
        self.answer(peers={"peers": [SIMPLEX, PEER]})
        self.assertEqual(await self.command("peers", "--socket", self.path), 0)
        heading, simplex, peer = self.out.splitlines()
        self.assertEqual(
            heading,
            "     ID  CALL    ADDRESS             SINCE (UTC)          SLOT 1        SLOT 2  "
            "SOFTWARE",
        )
        self.assertEqual(
            simplex,
            "      7  N0CALL  [2001:db8::1]:4000  2026-01-01 12:00:00  -             92*",
        )
        self.assertEqual(
            peer,
            "2340002  G4TST   192.0.2.1:4000      2026-01-01 12:00:00  91 2350 777*  -       "
            "MMDVM 20260101",
        )

    async def test_calls(self) -> None:
        """
        A line for each call, those that are on first.
        """
        self.answer(calls={"calls": [ON], "ended": [ENDED]})
        self.assertEqual(await self.command("calls", "-s", self.path), 0)
        heading, on, ended = self.out.splitlines()
        self.assertEqual(
            heading,
            "STREAM       FROM  TO             KIND      PEER  SLOT  LENGTH  FRAMES  LOST  STATE",
        )
        self.assertEqual(
            on,
            "0000beef  2340001  TG 91          voice  2340002     2  1.2 s       20     0  "
            "on, 3 listen",
        )
        self.assertEqual(
            ended,
            "00000001  2340001  radio 2340009  data   2340002     2  12.0 s      20     0  silence",
        )

    async def test_counters(self) -> None:
        """
        A line for each reason for which something was dropped, the most frequent first, and one
        for each socket; a node without hotspots has none.
        """
        self.answer(counters={"counters": COUNTERS})
        self.assertEqual(await self.command("counters", "-s", self.path), 0)
        self.assertEqual(
            self.out.splitlines(),
            [
                "WHERE     DROPPED    TIMES",
                "router    slot busy      3",
                "homebrew  wrong key     20",
                "homebrew  truncated      1",
                "",
                (
                    "SOCKET         RECEIVED  TOO LONG  KERNEL DROPS  FAILED  SENT  SEND DROPS  "
                    "SEND ERRORS"
                ),
                (
                    "0.0.0.0:62031      1000         1             2       3   900           4"
                    "            5"
                ),
            ],
        )
        self.path += "2"
        self.answer(counters={"counters": {"router": {"dropped": {}}}})
        self.assertEqual(await self.command("counters", "-s", self.path), 0)
        self.assertEqual(len(self.out.splitlines()), 3)

    async def test_nothing(self) -> None:
        """
        Where nothing is to be told there is the heading.
        """
        self.answer(peers={"peers": []}, calls={"calls": [], "ended": []})
        for command in ("peers", "calls"):
            self.assertEqual(await self.command(command, "--socket", self.path), 0)
            self.assertEqual(len(self.out.splitlines()), 1)

    async def test_json(self) -> None:
        """
        With C{--json} what the node says is printed as it is, also what this version does not
        know.
        """
        content = {"peers": [{"id": 7, "callsign": "\N{SNOWMAN}"}], "more": None}
        self.answer(peers=content)
        self.assertEqual(await self.command("peers", "--json", "--socket", self.path), 0)
        self.assertEqual(json.loads(self.out), content)

    async def test_configuration(self) -> None:
        """
        A configuration names the socket.
        """
        self.answer(peers={"peers": [PEER]})
        home = Home()
        self.addCleanup(home.remove)
        path = home.write(f'network = 25011\n[web]\nsocket = "{self.path}"\n')
        self.assertEqual(await self.command("peers", "--config", str(path)), 0)
        self.assertIn("G4TST", self.out)

    async def test_mistakes(self) -> None:
        """
        A running node can be asked while its file has mistakes, unless they hide where it is.
        """
        self.answer(peers={"peers": [PEER]})
        home = Home()
        self.addCleanup(home.remove)
        text = f'network = 25011\n[web]\nsocket = "{self.path}"\n'
        path = home.write(text + "[homebrew]\nlisten = 7\n[nonsense]\n")
        self.assertEqual(await self.command("peers", "--config", str(path)), 0)
        self.assertIn("G4TST", self.out)
        home.write(text.replace("25011", '"25011"'), path.name)
        self.assertEqual(await self.command("peers", "--config", str(path)), 1)
        self.assertIn("network: ", self.err)

    async def test_onlyOne(self) -> None:
        """
        Without a name the only socket of the state folder is asked; of two one has to be named.
        """
        self.patch(os, "environ", {**os.environ, "STATE_DIRECTORY": self.folder})
        self.path = os.path.join(self.folder, "bmnode.25011.sock")
        self.answer(peers={"peers": [PEER]})
        self.assertEqual(await self.command("peers"), 0)
        self.assertIn("G4TST", self.out)
        first, self.path = self.path, os.path.join(self.folder, "bmnode.25012.sock")
        self.answer(peers={"peers": []})
        line = await self.refused("peers")
        self.assertIn("more than one node runs here", line)
        self.assertIn(f"{first}, {self.path}", line)


class NoAnswerTests(AskTestCase):
    """
    A node that does not answer, or not as it should.
    """

    async def test_noNode(self) -> None:
        """
        Where there is no socket no node runs.
        """
        line = await self.refused("peers", "--socket", self.path)
        self.assertEqual(line, f"no node runs here: {self.path} is not there")
        self.patch(os, "environ", {**os.environ, "STATE_DIRECTORY": self.folder})
        line = await self.refused("calls")
        self.assertIn(f"no control socket in {self.folder}", line)

    async def test_crashed(self) -> None:
        """
        A socket that nobody listens on was left by a node that crashed.
        """
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(self.path)
        line = await self.refused("peers", "--socket", self.path)
        self.assertEqual(line, f"no node listens on {self.path}; did it crash?")

    async def test_notAllowed(self) -> None:
        """
        Who may not use the socket is told so, by the node or by the kernel.
        """
        self.answer(peers={"peers": []})
        self.patch(control, "credentials", lambda connection: (12345, frozenset()))
        line = await self.refused("peers", "--socket", self.path)
        self.assertEqual(line, f"{self.path}: not one of the node's own users")

        def forbidden(connection: object) -> None:
            raise PermissionError(13, "Permission denied")

        self.patch(ask.UnixConnection, "connect", forbidden)  # root may connect to anything
        line = await self.refused("peers", "--socket", self.path)
        self.assertEqual(
            line,
            f"you may not use {self.path} (its folder has mode 0700); see control_group in the "
            "guide",
        )
        line = await self.refused("peers", "--socket", f"{self.folder}/none/node.sock")
        self.assertIn("node.sock; see", line)

    async def test_older(self) -> None:
        """
        A node that does not know what it is asked for says so.
        """
        self.answer(peers={"peers": []})
        line = await self.refused("calls", "--socket", self.path)
        self.assertEqual(line, f"{self.path}: no such resource")

    async def test_foreign(self) -> None:
        """
        What is at the socket but is no node of ours is told in one line.
        """
        for answer in (
            b"",
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
            b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n[]",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        ):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(self.path)
                sock.listen()
                serving = deferToThread(serveOnce, sock, answer)
                line = await self.refused("peers", "--socket", self.path)
                await serving
            self.assertIn(self.path, line)
            os.unlink(self.path)

    async def test_silent(self) -> None:
        """
        A node that hangs is given up.
        """
        self.patch(ask, "TIMEOUT", 0.05)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(self.path)
            sock.listen()
            line = await self.refused("peers", "--socket", self.path)
        self.assertEqual(line, f"{self.path}: timed out")

    async def test_noFile(self) -> None:
        """
        A configuration that cannot be read is told as C{check} tells it.
        """
        self.assertEqual(await self.command("peers", "--config", f"{self.folder}/none"), 1)
        self.assertIn("none: cannot be read", self.err)

    async def test_longPath(self) -> None:
        """
        A path that is too long for a socket is told in one line.
        """
        line = await self.refused("peers", "--socket", "/" + "x" * 200)
        self.assertIn("too long", line)


def serveOnce(sock: socket.socket, answer: bytes) -> None:
    """
    Take one connection, read a request and answer it.
    """
    connection, _ = sock.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(answer)
