"""
Another node as the router sees it: a listener whose link carries what it wants to hear.
"""

from __future__ import annotations

from bmff.dmr.frame import Frame
from bmff.router.call import Call
from bmff.router.router import Router
from bmff.wire.fastforward.link import Link


class RemoteNode:
    """
    Another node as the router sees it; see L{bmff.router.call.Remote}.

    @ivar link: the link to it.
    @ivar router: the node's own.
    @ivar dirty: whether it is to be flushed at the end of the turn.
    """

    __slots__ = ("dirty", "link", "router")

    def __init__(self, link: Link, router: Router) -> None:
        self.link = link
        self.router = router
        self.dirty = False

    @property
    def peerID(self) -> int:
        """
        Its node ID.
        """
        return self.link.node

    def hears(self, talkgroup: int) -> bool:
        """
        See L{bmff.router.call.Remote}. Nothing is sent before its whole interest has come.
        """
        return talkgroup in self.link.interest

    def openSink(self, call: Call) -> LinkSink:
        """
        See L{bmff.router.call.Remote}.
        """
        return LinkSink(self, call)

    def flush(self, now: float) -> None:
        """
        See L{bmff.router.router.Flushable}.
        """
        self.dirty = False
        self.link.flush(now)


class LinkSink:
    """
    Sends the frames of one call to one node.
    """

    __slots__ = ("_call", "_remote")

    def __init__(self, remote: RemoteNode, call: Call) -> None:
        self._remote = remote
        self._call = call

    def sendFrame(self, frame: Frame) -> None:
        """
        Queue a frame until the end of the turn; see L{bmff.router.call.RemoteSink}.
        """
        remote = self._remote
        path = remote.link.path
        if path is None:
            return
        path.sendFrame(self._call.index, frame)
        if not remote.dirty:
            remote.dirty = True
            remote.router.dirty.append(remote)

    def close(self) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """
