"""
What all resources of the API have in common: JSON answers, and JSON for what goes wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

LARGEST_ORDER: Final = 4096  # bytes


def answer(request: Request, content: object, status: int = 200) -> bytes:
    """
    The body of an answer, its headers set.
    """
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


class Missing(Resource):
    """
    What is not there: 404.
    """

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """
        Say so.
        """
        return answer(request, {"error": "no such resource"}, 404)


class Branch(Resource):
    """
    A resource that only has others below it.
    """

    def getChild(self, path: bytes, request: Request) -> IResource:
        """
        What is not below it is missing.
        """
        return Missing()

    def render(self, request: Request) -> bytes:
        """
        It is missing itself.
        """
        return answer(request, {"error": "no such resource"}, 404)


class View(Resource):
    """
    A resource that can only be read.
    """

    isLeaf = True

    def __init__(self, content: Callable[[], dict[str, Any]]) -> None:
        """
        @param content: makes the answer.
        """
        super().__init__()
        self._content = content

    def render(self, request: Request) -> bytes:
        """
        Answer GET and HEAD, refuse the rest.
        """
        if request.postpath:
            return answer(request, {"error": "no such resource"}, 404)
        if request.method not in {b"GET", b"HEAD"}:
            request.setHeader(b"Allow", b"GET, HEAD")
            return answer(request, {"error": "only GET is allowed here"}, 405)
        return answer(request, self._content())


class Refused(Exception):
    """
    What was asked for is not done.

    @ivar status: of the answer, 400 or more.
    @ivar reason: for people.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Action(Resource):
    """
    A resource that does something when it is posted to: its body, a JSON object, says what.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self, act: Callable[[dict[str, Any]], Coroutine[Deferred[Any], Any, dict[str, Any]]]
    ) -> None:
        """
        @param act: is given the body and makes the answer, or raises L{Refused}.
        """
        super().__init__()
        self._act = act

    def render(self, request: Request) -> bytes | int:
        """
        Answer POST, refuse the rest.
        """
        if request.postpath:
            return answer(request, {"error": "no such resource"}, 404)
        if request.method != b"POST":
            request.setHeader(b"Allow", b"POST")
            return answer(request, {"error": "only POST is allowed here"}, 405)
        try:
            order = _order(request)
        except Refused as refused:
            return answer(request, {"error": refused.reason}, refused.status)
        acting = Deferred.fromCoroutine(self._act(order))
        request.notifyFinish().addErrback(lambda _: acting.cancel())  # who asked has hung up
        acting.addErrback(self._failed, request).addCallback(self._done, request)
        return NOT_DONE_YET

    def _failed(self, failure: Failure, request: Request) -> dict[str, Any] | None:
        error = failure.value
        if isinstance(error, CancelledError):
            return None
        if isinstance(error, Refused):
            request.setResponseCode(error.status)
            return {"error": error.reason}
        self._log.failure("{path} failed", failure, path=request.path.decode("ascii", "replace"))
        request.setResponseCode(500)
        return {"error": "the node has made a mistake; its log says more"}

    def _done(self, content: dict[str, Any] | None, request: Request) -> None:
        if content is not None:
            body = answer(request, content, request.code)
            request.setHeader(b"Content-Length", b"%d" % len(body))
            request.write(body)
            request.finish()


def _order(request: Request) -> dict[str, Any]:
    """
    What the body of a request says.

    @raise Refused: it is no JSON object.
    """
    body = request.content.read(LARGEST_ORDER + 1) if request.content is not None else b""
    if len(body) > LARGEST_ORDER:
        raise Refused(413, f"the body is longer than {LARGEST_ORDER} bytes")
    try:
        order = json.loads(body)
    except (ValueError, RecursionError):
        order = None
    if not isinstance(order, dict):
        raise Refused(400, "the body is no JSON object")
    return order
