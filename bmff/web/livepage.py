"""
The live page of a node: a page, its style, its script and its icon, read once and kept in memory;
what they may do is said by a content security policy (W3C CSP Level 3).
"""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import Final

from twisted.web.http import CACHED
from twisted.web.resource import IResource
from twisted.web.server import Request

from bmff.web.resource import Missing, Reading, answerBytes
from bmff.web.rights import Right

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",  # forms are sent by the script alone, so no token is put into a URL
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # so no text of a radio becomes markup
        "trusted-types 'none'",
    )
)
_KINDS: Final = {
    "page.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_FIRST: Final = "page.html"


class PageFile(Reading):
    """
    One file. Whoever calls the node by its name may have it: it holds nothing of the node.
    """

    right = Right.NOTHING

    def __init__(self, body: bytes, kind: str) -> None:
        """
        @param kind: its media type.
        """
        super().__init__()
        self._body = body
        self._kind = kind
        self._tag = f'"{sha256(body).hexdigest()[:16]}"'.encode()

    def read(self, request: Request) -> bytes:
        """
        Answer; only that it is the same when the browser has it.
        """
        body = answerBytes(request, self._body, self._kind)
        # It may be kept, and asked for each time: a node that is new has a page that is new.
        request.setHeader(b"Cache-Control", b"no-cache")
        request.setHeader(b"Content-Security-Policy", POLICY.encode())
        request.setHeader(b"Referrer-Policy", b"no-referrer")
        request.setHeader(b"Cross-Origin-Opener-Policy", b"same-origin")
        request.setHeader(b"Cross-Origin-Resource-Policy", b"same-origin")
        return b"" if request.setETag(self._tag) is CACHED else body


class LivePage(PageFile):
    """
    The page itself, with the others below it; see L{bmff.web.api.root}.
    """

    isLeaf = False

    def __init__(self) -> None:
        folder = files("bmff.web").joinpath("page")
        bodies = {name: folder.joinpath(name).read_bytes() for name in _KINDS}
        super().__init__(bodies[_FIRST], _KINDS[_FIRST])
        for name, body in bodies.items():
            if name != _FIRST:
                self.putChild(name.encode("ascii"), PageFile(body, _KINDS[name]))

    def getChild(self, path: bytes, request: Request) -> IResource:
        """
        There are no others.
        """
        return Missing()
