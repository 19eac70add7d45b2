"""
What takes a call in place of listeners: a number at which the node itself does something.
"""

from __future__ import annotations

from typing import Protocol

from bmff.dmr.frame import Frame
from bmff.router.call import Call, Peer, RemoteSink


class Service(Protocol):
    """
    One service, or one kind of number.
    """

    def takes(self, peer: Peer, frame: Frame) -> bool:
        """
        Whether a call of a peer is for it, by the call's first frame.
        """

    def begin(self, call: Call, now: float) -> RemoteSink | None:
        """
        A call for it begins, or goes on after a pause if it is data.

        @return: what is given its frames; L{None} when the call itself is enough.
        """
