"""
HTTP (RFC 9112) with limits: how long a request may take to arrive, how long it may be, and how many
connections there are.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as BaseRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from bmff.web.refusals import Refusals
from bmff.web.rights import NOBODY, Visitor

LARGEST_BODY: Final = 4096  # bytes
RECEIVE_TIME: Final = 20.0  # seconds from the end of one request to that of the next
MOST_CONNECTIONS: Final = 512
TURN_TIME: Final = 0.001  # seconds that requests may take of one turn


class ApiRequest(Request):
    """
    A request whose body has a limit.

    @ivar visitor: who makes it; set by the gate.
    """

    visitor: Visitor = NOBODY
    channel: ApiChannel
    _length = 0
    _tooLong = False

    def refused(self, reason: str) -> None:
        """
        Note that it is refused.
        """
        source = self.visitor.source if self.visitor is not NOBODY else sourceOf(self.transport)
        self.channel.site.refusals.note(source, reason)

    def gotLength(self, length: int | None) -> None:
        """
        Refuse a body that says that it is too long, before it comes.
        """
        super().gotLength(min(length or 0, LARGEST_BODY))
        if length is not None and length > LARGEST_BODY:
            self._cutOff()

    def handleContentChunk(self, data: bytes) -> None:
        """
        Take a part of the body, and refuse one that turns out too long.
        """
        self._length += len(data)
        if self._length > LARGEST_BODY:
            self._cutOff()
        elif not self._tooLong:
            super().handleContentChunk(data)

    def process(self) -> None:
        """
        Wait for a turn that has time for this, unless it has been answered.
        """
        if not self._tooLong:
            self.channel.site.queue(self)

    def processNow(self) -> None:
        """
        Answer, unless nobody is there any more.
        """
        if not self._disconnected:
            super().process()

    def _cutOff(self) -> None:
        if self._tooLong:
            return
        self._tooLong = True
        self.refused("body too long")
        reason = {"error": f"the body is longer than {LARGEST_BODY} bytes"}
        body = json.dumps(reason, separators=(",", ":")).encode() + b"\n"
        transport: Any = self.channel.transport
        transport.write(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\n"
            b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        self.channel.loseConnection()


class ApiChannel(HTTPChannel):
    """
    A connection. Twisted's own lets a request come as slowly as it likes, as long as something
    comes.
    """

    site: ApiSite

    def connectionMade(self) -> None:
        """
        One more.
        """
        self.site.opened(self)
        super().connectionMade()

    def resetTimeout(self) -> None:
        """
        What comes gives no more time.
        """

    def timeoutConnection(self) -> None:
        """
        It has had its time. A connection that nothing came on was only idle.
        """
        if self.requests or self._receivedHeaderSize:
            self.site.refusals.note(sourceOf(self.transport), "request too slow")
        self.forceAbortClient()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        One less.
        """
        self.site.closed(self)
        super().connectionLost(reason)


class ApiSite(Site):
    """
    A site without an access log: an operator's own look is no event.

    @ivar refusals: what was refused.
    @ivar connections: those that are open.
    @ivar requests: how many were answered.
    """

    noisy = False
    protocol = ApiChannel  # type: ignore[assignment]  # which speaks HTTP/1.1 alone
    requestFactory = ApiRequest

    def __init__(
        self,
        resource: IResource,
        refusals: Refusals,
        reactor: Any = None,
        *,
        receiveTime: float = RECEIVE_TIME,
        connections: int = MOST_CONNECTIONS,
    ) -> None:
        """
        @param receiveTime: seconds.
        @param connections: how many there may be.
        """
        super().__init__(resource, requestFactory=ApiRequest, timeout=receiveTime, reactor=reactor)
        self.refusals = refusals
        self.requests = 0
        self.connections: set[ApiChannel] = set()
        self._most = connections
        self._waiting: deque[ApiRequest] = deque()
        self._turn: IDelayedCall | None = None

    def queue(self, request: ApiRequest) -> None:
        """
        Answer a request soon. Many that come at once are answered in many turns, as frames wait
        meanwhile.
        """
        self._waiting.append(request)
        if self._turn is None:
            self._turn = self.reactor.callLater(0, self._answer)

    def _answer(self) -> None:
        self._turn = None
        end = self.reactor.seconds() + TURN_TIME
        while self._waiting:
            self._waiting.popleft().processNow()
            if self.reactor.seconds() >= end:
                break
        if self._waiting:
            self._turn = self.reactor.callLater(0, self._answer)

    def stopFactory(self) -> None:
        """
        Nobody listens any more; what waits is not answered.
        """
        self._waiting.clear()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        super().stopFactory()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """
        @return: the protocol of a connection; L{None}, which closes it, when there are too many.
        """
        if len(self.connections) >= self._most:
            self.refusals.note(getattr(addr, "host", "this host"), "too many connections")
            return None
        return super().buildProtocol(addr)

    def opened(self, channel: ApiChannel) -> None:
        """
        A connection is there.
        """
        self.connections.add(channel)

    def closed(self, channel: ApiChannel) -> None:
        """
        A connection is gone.
        """
        self.connections.discard(channel)

    def log(self, request: BaseRequest) -> None:
        """
        Count, and write nothing.
        """
        self.requests += 1


def sourceOf(transport: Any) -> str:
    """
    Where a connection comes from, for people.
    """
    return str(getattr(transport.getPeer(), "host", "this host"))
