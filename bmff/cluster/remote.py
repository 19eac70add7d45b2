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
    """

    __slots__ = ("_dirty", "_router", "link")

    def __init__(self, link: Link, router: Router) -> None:
        self.link = link
        self._router = router
        self._dirty = False

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
        return talkgroup in self.link.interest.talkgroups

    def openSink(self, call: Call) -> LinkSink:
        """
        See L{bmff.router.call.Remote}.
        """
        return LinkSink(self, call)

    def sendFrame(self, index: int, frame: Frame) -> None:
        """
        Queue a frame until the end of the turn.
        """
        self.link.sendFrame(index, frame)
        if not self._dirty:
            self._dirty = True
            self._router.dirty.append(self)

    def flush(self, now: float) -> None:
        """
        See L{bmff.router.router.Flushable}.
        """
        self._dirty = False
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
        See L{bmff.router.call.RemoteSink}.
        """
        self._remote.sendFrame(self._call.index, frame)

    def close(self) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """
