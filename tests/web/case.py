"""
What the tests of C{bmff.web} share: a site on a UNIX socket, and requests to it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.server import Site

from bmff.web.control import SOCKET_MODE

reactor: Any = _reactor  # mypy does not know which reactor there is


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What came back, until the connection was closed.

    @ivar status: 0 when nothing came.
    @ivar headers: by name in small letters.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, data: bytes) -> Answer:
        """
        The answer in these bytes.
        """
        if not data:
            return cls(0, {}, b"")
        head, _, body = data.partition(b"\r\n\r\n")
        first, *rest = head.decode("ascii").split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in rest)}
        return cls(int(first.split()[1]), headers, body)

    @property
    def content(self) -> Any:
        """
        The body, which has to be JSON and say so.
        """
        assert self.headers["content-type"] == "application/json", self.headers
        return json.loads(self.body)


class Caller(Protocol):
    """
    Sends some bytes and waits for the end.

    @ivar ended: fires with all that came.
    """

    def __init__(self, data: bytes) -> None:
        self.ended: Deferred[bytes] = Deferred()
        self._data = data
        self._received: list[bytes] = []

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._data)

    def dataReceived(self, data: bytes) -> None:
        self._received.append(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.ended.callback(b"".join(self._received))


class SocketTestCase(TestCase):
    """
    A folder for sockets, with a short path: a socket's may have 107 bytes and trial's are longer.

    @ivar folder: the folder's path.
    @ivar path: the socket's path.
    """

    timeout = 20

    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="bmff")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "node.sock")

    def serve(self, site: Site) -> None:
        """
        Have a site on the socket until the test is over.
        """
        port = reactor.listenUNIX(self.path, site, mode=SOCKET_MODE)
        self.addCleanup(port.stopListening)

    async def send(self, data: bytes) -> Answer:
        """
        Send bytes to the socket.

        @return: what came until the other side hung up.
        """
        caller = await connectProtocol(UNIXClientEndpoint(reactor, self.path), Caller(data))
        return Answer.of(await caller.ended)

    async def request(self, resource: str, method: str = "GET", body: bytes = b"") -> Answer:
        """
        Make one request.
        """
        head = f"{method} {resource} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        kind = "Content-Type: application/json\r\n" if method == "POST" else ""
        return await self.send(f"{head}{kind}{length}\r\n".encode() + body)
