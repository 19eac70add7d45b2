"""
A call that is another call as well, because a rule sends it to one more number.
"""

from __future__ import annotations

from bmff.dmr.frame import Frame
from bmff.dmr.ranges import Ranges
from bmff.router.call import Call, Routes
from bmff.router.translation import Form
from bmff.router.trunk import Trunk


class Relay(Trunk):
    """
    Where the other call comes from. It has a stream ID of its own, as a stream has one destination.

    @ivar target: whom the other call is for.
    """

    def __init__(self, routes: Routes, call: Call, target: Form) -> None:
        super().__init__(call.ingress.peerID, call.network, Ranges())
        self.target = target
        self._routes = routes
        number = target.destination << 1 | target.private
        self._mask = (number * 0x9E3779B1 & 0xFFFFFFFF) or 1  # spreads near numbers apart

    def openSink(self, call: Call) -> RelaySink:
        """
        A sink for the frames of the call with the other number in them.
        """
        return RelaySink(self, self._routes, call, self._mask)


class RelaySink:
    """
    Makes the other call.
    """

    __slots__ = ("_call", "_mask", "_relay", "_routes")

    def __init__(self, relay: Relay, routes: Routes, call: Call, mask: int) -> None:
        self._relay = relay
        self._routes = routes
        self._call = call
        self._mask = mask

    def sendFrame(self, frame: Frame) -> None:
        """
        Route a frame as one of the other call.
        """
        body = frame.body
        stream = (frame.stream ^ self._mask) or self._mask
        other = body[:1] + stream.to_bytes(4, "big") + body[5:]
        self._routes.route(self._relay, Frame(frame.addressing, other), self._call.heard)

    def close(self) -> None:
        """
        The call is over; the other one has had its terminator too, or falls silent.
        """
