"""
Who may do what with the API on the network: tokens, cookies, and those who show neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from typing import Any, Final, cast

from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from bmff.web.cookies import Cookies
from bmff.web.resource import Refusal, missing
from bmff.web.rights import RIGHTS, Right, Token, Visitor

_FORWARDED: Final = (b"forwarded", b"x-forwarded-for", b"x-real-ip")


@dataclass(frozen=True, slots=True)
class Admission:
    """
    The rules.

    @ivar tokens: gives those that are good now, by name.
    @ivar cookies: those of browsers.
    @ivar hosts: the names by which the node may be called, in small letters; its addresses and
        C{localhost} may be used anyway. A page of somebody else's that has its own name point to
        this node comes with that name.
    @ivar public: whether everybody may look; else only this host does who shows no token.
    """

    tokens: Callable[[], Mapping[str, Token]]
    cookies: Cookies
    hosts: frozenset[str] = field(default_factory=frozenset)
    public: bool = False

    def visitor(self, request: Request) -> Visitor | None:
        """
        Who makes a request; L{None} when a token is shown that is not good.
        """
        source = str(getattr(request.getClientAddress(), "host", "?"))
        shown = request.requestHeaders.getRawHeaders(b"authorization")
        if shown is not None:
            found = self.bearer(shown[0]) if len(shown) == 1 else None
            return None if found is None else Visitor(found[0], source, *found[1:])
        cookie = request.getCookie(self.cookies.name.encode())
        login = self.cookies.find(cookie.decode("ascii", "replace")) if cookie else None
        if login is not None and (right := self.rightOf(*login)) is not Right.NOTHING:
            return Visitor(right, source, *login, byCookie=True)
        return Visitor(self._anonymous(request, source), source)

    def bearer(self, header: str | bytes) -> tuple[Right, str, bytes] | None:
        """
        What an C{Authorization} header proves (RFC 6750 §2.1): right, name and digest of a token.
        """
        text = header.decode("utf-8", "replace") if isinstance(header, bytes) else header
        scheme, _, secret = text.strip().partition(" ")
        return self.token(secret.strip()) if scheme.lower() == "bearer" else None

    def token(self, secret: str) -> tuple[Right, str, bytes] | None:
        """
        What a token proves.
        """
        digest = sha256(secret.encode("utf-8", "replace")).digest()
        found = None
        for name, token in self.tokens().items():
            if compare_digest(token.digest, digest):
                found = RIGHTS.get(token.right, Right.NOTHING), name, digest
        return found

    def rightOf(self, name: str, digest: bytes) -> Right:
        """
        What a token may do now, which was shown before.
        """
        token = self.tokens().get(name)
        if token is None or not compare_digest(token.digest, digest):
            return Right.NOTHING
        return RIGHTS.get(token.right, Right.NOTHING)

    def holds(self, visitor: Visitor) -> bool:
        """
        Whether what a visitor has shown is good still.
        """
        return not visitor.token or self.rightOf(visitor.token, visitor.digest) >= visitor.right

    def _anonymous(self, request: Request, source: str) -> Right:
        if self.public:
            return Right.LOOK
        headers = request.requestHeaders
        if any(headers.hasHeader(name) for name in _FORWARDED):
            return Right.NOTHING  # a proxy of this host speaks for somebody elsewhere
        return Right.LOOK if _isLoopback(source) else Right.NOTHING

    def mayBeCalled(self, request: Request) -> bool:
        """
        Whether the host that a request names is this node.
        """
        named = request.requestHeaders.getRawHeaders(b"host", [])
        if len(named) != 1:
            return False
        host = hostOf(str(_text(named[0])))
        own: Any = request.getHost()
        return host in self.hosts or host in {"localhost", _canonical(str(own.host))}


class NetworkGate(Resource):
    """
    Finds out who asks, and lets those pass that call the node by its name.
    """

    def __init__(self, behind: IResource, admission: Admission) -> None:
        super().__init__()
        self._behind = behind
        self._admission = admission

    def getChild(self, path: bytes, request: Request) -> IResource:
        """
        What is behind the gate, or a refusal.
        """
        if not self._admission.mayBeCalled(request):
            return Refusal(421, "the node is not called so; see hosts in the guide", "wrong host")
        visitor = self._admission.visitor(request)
        if visitor is None:
            request.setHeader(b"WWW-Authenticate", b'Bearer realm="bmff", error="invalid_token"')
            return Refusal(401, "this token is not good", "wrong token")
        request.visitor = visitor  # type: ignore[attr-defined]
        return cast(IResource, self._behind.getChildWithDefault(path, request))

    def render(self, request: Request) -> bytes:
        """
        There is nothing at the gate itself.
        """
        return missing(request)


def hostOf(text: str) -> str:
    """
    The host of a C{Host} header or an origin, without its port, in small letters.
    """
    host = text.strip().lower()
    if host.startswith("["):
        return _canonical(host[1:].partition("]")[0])
    return _canonical(host.rpartition(":")[0] if host.count(":") == 1 else host).rstrip(".")


def _canonical(host: str) -> str:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower()
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _isLoopback(source: str) -> bool:
    try:
        return ip_address(_canonical(source)).is_loopback
    except ValueError:
        return False


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
