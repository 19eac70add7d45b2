"""
What the resources of the API have in common: JSON answers (RFC 8259) that nobody keeps, what may be
posted by whom, and answers that come later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from bmff.web.rights import Right, refused, visitorOf
from bmff.web.schema import Schema, violation
from bmff.web.site import LARGEST_BODY

LARGEST_ORDER: Final = LARGEST_BODY
JSON: Final = "application/json"
MESSAGEPACK: Final = "application/msgpack"
_KEPT: Final = 20.0  # times as long as it took to make, an answer is kept

Encode = Callable[[object], bytes]


def encodeJSON(content: object) -> bytes:
    """
    JSON, one line.
    """
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def answer(request: Request, content: object, status: int = 200) -> bytes:
    """
    The body of an answer, its headers set.
    """
    return answerBytes(request, encodeJSON(content), JSON, status)


def answerBytes(request: Request, body: bytes, kind: str = JSON, status: int = 200) -> bytes:
    """
    A body as it is, its headers set.
    """
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", kind.encode("ascii"))
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    return body


def missing(request: Request) -> bytes:
    """
    The answer where there is nothing.
    """
    return answer(request, {"error": "no such resource"}, 404)


def barred(request: Request, right: Right) -> bytes | None:
    """
    A refusal of whoever may not do something; L{None} when it may.
    """
    visitor = visitorOf(request)
    if visitor.right >= right:
        return None
    refused(request, f"no right to {right.name.lower()}")
    if visitor.known:
        return answer(request, {"error": f"this token has no right to {right.name.lower()}"}, 403)
    request.setHeader(b"WWW-Authenticate", b'Bearer realm="bmff"')
    return answer(request, {"error": "this takes a token"}, 401)


class Missing(Resource):
    """
    What is not there: 404.
    """

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """
        Say so.
        """
        return missing(request)


class Refusal(Resource):
    """
    Whatever is asked for, this is the answer.
    """

    isLeaf = True

    def __init__(self, status: int, reason: str, noted: str) -> None:
        """
        @param reason: for who asks.
        @param noted: for the log.
        """
        super().__init__()
        self._status = status
        self._reason = reason
        self._noted = noted

    def render(self, request: Request) -> bytes:
        """
        Say so.
        """
        refused(request, self._noted)
        return answer(request, {"error": self._reason}, self._status)


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
        return missing(request)


class Reading(Resource):
    """
    A resource that can only be read; what it answers is said by those made from it.
    """

    isLeaf = True
    right = Right.LOOK

    def render(self, request: Request) -> bytes | int:
        """
        Answer GET and HEAD, refuse the rest.
        """
        if request.postpath:
            return missing(request)
        if request.method not in {b"GET", b"HEAD"}:
            request.setHeader(b"Allow", b"GET, HEAD")
            return answer(request, {"error": "only GET is allowed here"}, 405)
        refusal = barred(request, self.right)
        return refusal if refusal is not None else self.read(request)

    def read(self, request: Request) -> bytes | int:
        """
        Answer.
        """
        raise NotImplementedError


class Kept:
    """
    An answer that is costly to make and kept for a moment, so that who asks for it all the time
    takes no more than a twentieth of the process.
    """

    def __init__(self, make: Callable[[], bytes], clock: Callable[[], float] | None) -> None:
        """
        @param clock: monotonic seconds; without it nothing is kept.
        """
        self._make = make
        self._clock = clock
        self._until = 0.0
        self._body = b""

    def body(self) -> bytes:
        """
        The answer as it is now, or was a moment ago.
        """
        if self._clock is None:
            return self._make()
        begun = self._clock()
        if begun >= self._until:
            self._body = self._make()
            ended = self._clock()
            self._until = ended + (ended - begun) * _KEPT
        return self._body


class View(Reading):
    """
    A resource that can only be read.
    """

    def __init__(
        self,
        content: Callable[[], dict[str, Any]],
        *,
        blurred: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        kind: str = JSON,
        encode: Encode = encodeJSON,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """
        @param content: makes the answer.
        @param blurred: makes of it what those get who may only look.
        @param kind: the media type of the answer.
        @param encode: makes its bytes.
        @param clock: monotonic seconds; without it nothing is kept.
        """
        super().__init__()
        self._content = content
        self._blurred = blurred
        self._kind = kind
        self._encode = encode
        self._exact = Kept(self._made, clock)
        self._coarse = Kept(self._madeCoarse, clock)

    def read(self, request: Request) -> bytes:
        """
        Answer.
        """
        exact = self._blurred is None or visitorOf(request).right >= Right.READ
        kept = self._exact if exact else self._coarse
        return answerBytes(request, kept.body(), self._kind)

    def _made(self) -> bytes:
        return self._encode(self._content())

    def _madeCoarse(self) -> bytes:
        assert self._blurred is not None
        return self._encode(self._blurred(self._content()))


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


class Posting(Resource):
    """
    A resource that is posted to; what it does is said by those made from it.
    """

    isLeaf = True
    right = Right.CONTROL

    def __init__(self, schema: Schema | None = None) -> None:
        """
        @param schema: what a body has to be like.
        """
        super().__init__()
        self._schema = schema

    def render(self, request: Request) -> bytes | int:
        """
        Do what a POST says that comes from where it may, refuse the rest.
        """
        if request.postpath:
            return missing(request)
        if request.method != b"POST":
            request.setHeader(b"Allow", b"POST")
            return answer(request, {"error": "only POST is allowed here"}, 405)
        refusal = barred(request, self.right)
        if refusal is not None:
            return refusal
        try:
            checkOrigin(request)
            order = orderOf(request, self._schema)
        except Refused as error:
            refused(request, "wrong origin" if error.status == 403 else "wrong body")
            return answer(request, {"error": error.reason}, error.status)
        return self.post(request, order)

    def post(self, request: Request, order: dict[str, Any]) -> bytes | int:
        """
        Do it and answer.
        """
        raise NotImplementedError


class Action(Posting):
    """
    A resource that does something when it is posted to: its body, a JSON object, says what.
    """

    _log = Logger()

    def __init__(
        self,
        act: Callable[[dict[str, Any]], Coroutine[Deferred[Any], Any, dict[str, Any]]],
        schema: Schema | None = None,
    ) -> None:
        """
        @param act: is given the body and makes the answer, or raises L{Refused}.
        @param schema: what a body has to be like.
        """
        super().__init__(schema)
        self._act = act

    def post(self, request: Request, order: dict[str, Any]) -> int:
        """
        Do it, and answer when it is done.
        """
        visitor = visitorOf(request)
        acting = Deferred.fromCoroutine(self._act(order))
        request.notifyFinish().addErrback(lambda _: acting.cancel())  # who asked has hung up
        acting.addErrback(self._failed, request).addCallback(self._done, request)
        self._log.info(
            "{source}{token} asks for {path}",
            source=visitor.source,
            token=f" ({visitor.token})" if visitor.token else "",
            path=request.path.decode("ascii", "replace"),
        )
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


def checkOrigin(request: Request) -> None:
    """
    See that a request does not come from a page of somebody else's (RFC 6454).

    @raise Refused: it does, or a browser does not say where it comes from.
    """
    headers = request.requestHeaders
    origin = _only(headers.getRawHeaders(b"origin"))
    if origin is None:
        if visitorOf(request).byCookie or headers.hasHeader(b"sec-fetch-site"):
            raise Refused(403, "the origin is not told")
        return
    host = _only(headers.getRawHeaders(b"host"))
    scheme = "https" if request.isSecure() else "http"
    if host is None or origin.lower() != f"{scheme}://{host.lower()}":
        raise Refused(403, "this comes from a page of somebody else's")


def orderOf(request: Request, schema: Schema | None = None) -> dict[str, Any]:
    """
    What the body of a request says.

    @raise Refused: it is no JSON object, or is not as it has to be.
    """
    kind = _only(request.requestHeaders.getRawHeaders(b"content-type")) or ""
    if kind.partition(";")[0].strip().lower() != JSON:
        raise Refused(415, f"the body has to be {JSON}")
    body = request.content.read(LARGEST_ORDER + 1) if request.content is not None else b""
    if len(body) > LARGEST_ORDER:
        raise Refused(413, f"the body is longer than {LARGEST_ORDER} bytes")
    try:
        order = json.loads(body, parse_float=_number)
    except (ValueError, RecursionError):
        order = None
    if not isinstance(order, dict):
        raise Refused(400, "the body is no JSON object")
    if schema is not None and (reason := violation(schema, order, "the body")):
        raise Refused(400, reason)
    return order


def _number(text: str) -> float:
    """
    A number with a point or an exponent; JSON Schema has 1.0 be a whole number.
    """
    value = float(text)
    return int(value) if value.is_integer() else value


def _only(values: Sequence[bytes | str] | None) -> str | None:
    """
    The one value of a header; empty when there are many, as none of them can be believed.
    """
    if values is None:
        return None
    value = values[0] if len(values) == 1 else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
