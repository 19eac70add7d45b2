"""
A feed as a resource: one answer that does not end.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from bmff.web.feed import Feed
from bmff.web.resource import Reading, answer
from bmff.web.rights import Right, Visitor, refused, visitorOf

EVENT_STREAM = "text/event-stream"


@implementer(IPushProducer)
class StreamListener:
    """
    One who reads a stream; see L{bmff.web.feed.Listener}.
    """

    def __init__(self, request: Request, feed: Feed, holds: Callable[[Visitor], bool]) -> None:
        """
        @param holds: whether what a visitor has shown is good still.
        """
        self.exact = visitorOf(request).right >= Right.READ
        self.full = False
        self.position = 0
        self._request = request
        self._feed = feed
        self._holds = holds

    def send(self, data: bytes) -> None:
        """
        @see: L{bmff.web.feed.Listener.send}
        """
        self._request.write(data)

    def mayStay(self) -> bool:
        """
        @see: L{bmff.web.feed.Listener.mayStay}
        """
        return self._holds(visitorOf(self._request))

    def leave(self) -> None:
        """
        @see: L{bmff.web.feed.Listener.leave}
        """
        if self.full:
            refused(self._request, "stream read too slowly")
            self._request.channel.forceAbortClient()
        else:
            self._request.unregisterProducer()
            self._request.finish()

    def pauseProducing(self) -> None:
        """
        The reader takes no more at the moment.
        """
        self.full = True

    def resumeProducing(self) -> None:
        """
        It does again.
        """
        self.full = False
        self._feed.serve(self)

    def stopProducing(self) -> None:
        """
        It is gone.
        """
        self._feed.leave(self)


class Stream(Reading):
    """
    The stream of a feed.
    """

    def __init__(self, feed: Feed, holds: Callable[[Visitor], bool] = lambda visitor: True) -> None:
        """
        @param holds: whether what a visitor has shown is good still.
        """
        super().__init__()
        self._feed = feed
        self._holds = holds

    def read(self, request: Request) -> bytes | int:
        """
        Begin to tell.
        """
        if self._feed.full:
            refused(request, "too many streams")
            request.setHeader(b"Retry-After", b"10")
            return answer(request, {"error": "too many streams are open"}, 503)
        request.setHeader(b"Content-Type", EVENT_STREAM.encode())
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        request.setHeader(b"X-Accel-Buffering", b"no")  # nginx would keep it back
        if request.method == b"HEAD":
            return b""
        listener = StreamListener(request, self._feed, self._holds)
        request.registerProducer(listener, True)
        request.notifyFinish().addBoth(lambda _: self._feed.leave(listener))
        last = request.requestHeaders.getRawHeaders(b"last-event-id", [b""])[0]
        text = last.decode("ascii", "replace") if isinstance(last, bytes) else str(last)
        self._feed.join(listener, text[:64])
        return NOT_DONE_YET
