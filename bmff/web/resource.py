"""
What all resources of the API have in common: JSON answers, and JSON for what goes wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.web.resource import IResource, Resource
from twisted.web.server import Request


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
