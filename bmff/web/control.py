"""
The control socket: the API on a UNIX socket, for those whom the kernel vouches for.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from time import monotonic
from typing import Any, Final, cast

from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from bmff.web.refusals import Refusals
from bmff.web.resource import Branch, Refusal, missing
from bmff.web.rights import Right, Visitor
from bmff.web.site import ApiSite

SOCKET_MODE: Final = 0o660
_SO_PEERGROUPS: Final = 59  # linux/asm-generic/socket.h; not in Python's socket module
_CREDENTIALS = struct.Struct("i2I")  # struct ucred of unix(7): pid, uid, gid
_LARGEST_OPTION: Final = 1024  # bytes; Python's getsockopt asks for no more


def credentials(connection: socket.socket) -> tuple[int, frozenset[int]]:
    """
    Who is at the other end of a UNIX socket, by the kernel's word: user ID and all group IDs.
    """
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(packed)
    groups = {gid}
    try:
        rest = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _LARGEST_OPTION)
    except OSError:
        pass  # before Linux 4.13, or in more than 256 groups: the primary one has to do
    else:
        groups.update(struct.unpack(f"{len(rest) // 4}I", rest))
    return uid, frozenset(groups)


class Gate(Resource):
    """
    Lets our own user, root and the members of one group pass to what is behind it.
    """

    def __init__(self, behind: IResource, controlGroup: int | None) -> None:
        """
        @param controlGroup: a group ID.
        """
        super().__init__()
        self._behind = behind
        self._controlGroup = controlGroup

    def getChild(self, path: bytes, request: Request) -> IResource:
        """
        What is behind the gate, or a refusal.
        """
        transport: Any = request.transport  # twisted.internet.unix.Server
        uid, groups = credentials(transport.socket)
        if uid in {0, os.geteuid()} or self._controlGroup in groups:
            request.visitor = Visitor(Right.CONTROL, f"user {uid}")  # type: ignore[attr-defined]
            return cast(IResource, self._behind.getChildWithDefault(path, request))
        request.visitor = Visitor(Right.NOTHING, f"user {uid}")  # type: ignore[attr-defined]
        return Refusal(403, "not one of the node's own users", "strange user")

    def render(self, request: Request) -> bytes:
        """
        There is nothing at the gate itself.
        """
        return missing(request)


def controlSite(
    views: Iterable[tuple[str, IResource]],
    controlGroup: int | None,
    refusals: Refusals | None = None,
    reactor: Any = None,
) -> ApiSite:
    """
    The site for the control socket.

    @param views: names and resources.
    @param controlGroup: the ID of the group whose members may use it.
    @param refusals: where it is noted what is refused.
    @param reactor: for what takes time; the process's own when absent.
    """
    root = Branch()
    for name, view in views:
        root.putChild(name.encode("ascii"), view)
    return ApiSite(Gate(root, controlGroup), refusals or Refusals(monotonic), reactor)
