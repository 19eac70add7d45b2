"""
A way to another network that carries any number of calls at once and has no slots, as OpenBridge.
"""

from __future__ import annotations

from bmff.dmr.frame import Frame
from bmff.dmr.numbers import isLocal
from bmff.dmr.ranges import Ranges
from bmff.router.call import Call, RemoteSink
from bmff.router.translation import Form, Translation


class Trunk:
    """
    One bridge as the router sees it; a protocol makes a class of its own from this.

    @ivar peerID: what it is known by in events, 1 to 4294967295.
    @ivar network: the name of the network that it leads to; no call returns to one.
    @ivar wanted: the talkgroups of ours that go out over it.
    @ivar translation: their numbers and ours.
    """

    def __init__(
        self,
        peerID: int,
        network: str,
        wanted: Ranges,
        translation: Translation | None = None,
    ) -> None:
        self.peerID = peerID
        self.network = network
        self.wanted = wanted
        self.translation = translation or Translation()

    def hears(self, talkgroup: int) -> bool:
        """
        Whether calls to a talkgroup of ours are to go out over it.
        """
        return talkgroup in self.wanted and not isLocal(talkgroup)

    def form(self, call: Call) -> Form | None:
        """
        What a call's number is there; L{None} when it is the same.
        """
        if not self.translation:
            return None
        return self.translation.outward(0, Form(call.destination, call.private))

    def inward(self, slot: int, form: Form) -> Form | None:
        """
        What a number of theirs is here; L{None} when it is the same.
        """
        return self.translation.inward(0, form)

    def openSink(self, call: Call) -> RemoteSink:
        """
        A sink for one call, whose frames have the other network's numbers.
        """
        raise NotImplementedError

    def refused(self, frame: Frame, reason: str, now: float) -> None:
        """
        The router does not take a frame of ours.

        @param reason: as it counts it.
        """
