"""
A call under another number: rewritten once for each number, not for each listener.

Of data the headers and the control signalling say the new number (L{bmff.dmr.rewriting}); the
blocks pass bit for bit, with the number that the radio has put into an IPv4 address in them. It is
left there because frames pass one at a time. The checksum of the IPv4 header stands before the
addresses and the check of the message at its end, in other blocks: who changes an address has to
hold back blocks, 60 ms each, or to guess what comes, and a wrong guess ruins a message that was
right. Blocks of a confirmed message may come again alone, in a transmission of their own, and would
have to be changed as they were before. In an encrypted or compressed message the address cannot be
changed at all. DMRGateway, which many hotspots have behind them, leaves them as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from bmff.dmr.frame import DATA_TYPE, KIND, PRIVATE, Frame
from bmff.dmr.lc import GROUP_CALL, PRIVATE_CALL, FullLinkControl
from bmff.dmr.rewriting import Rewriting
from bmff.router.translation import Form


class FrameRewriting:
    """
    Puts another destination into the frames of one call, and into their bursts.
    """

    __slots__ = ("_addresses", "_kind", "_rewriting")

    def __init__(self, lc: FullLinkControl, form: Form, source: int | None = None) -> None:
        """
        @param lc: the call's own Link Control, as far as it is known.
        @param form: whom it is to be for.
        @param source: who is to talk, whatever the Link Control says; L{None} for who it says.
        """
        if source is None:
            source = lc.source
        self._addresses = source.to_bytes(3, "big") + form.destination.to_bytes(3, "big")
        self._kind = PRIVATE if form.private else 0
        flco = PRIVATE_CALL if form.private else GROUP_CALL
        target = replace(lc, flco=flco, destination=form.destination, source=source)
        self._rewriting = Rewriting(lc, target)

    def rewrite(self, frame: Frame) -> Frame:
        """
        A frame of the call under the other number.
        """
        body = frame.body
        burst = self._rewriting.rewrite(frame.flags & (KIND | DATA_TYPE), body[5:38])
        flags = frame.flags & ~PRIVATE | self._kind
        return Frame(
            frame.addressing[:1] + self._addresses,
            bytes((flags,)) + body[1:5] + burst + body[38:],
        )


class FrameSink(Protocol):
    """
    Takes frames, see L{bmff.router.call.RemoteSink}.
    """

    def sendFrame(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


class RewritingSink:
    """
    Hands each frame of a call, rewritten once, to all sinks that want it so.

    @ivar sinks: those.
    """

    __slots__ = ("_rewriting", "sinks")

    def __init__(self, lc: FullLinkControl, form: Form, source: int) -> None:
        """
        See L{FrameRewriting}.
        """
        self.sinks: list[FrameSink] = []
        self._rewriting = FrameRewriting(lc, form, source)

    def rewrite(self, frame: Frame) -> Frame:
        """
        See L{FrameRewriting.rewrite}.
        """
        return self._rewriting.rewrite(frame)

    def sendFrame(self, frame: Frame) -> None:
        """
        Send a frame to all of them, rewritten.
        """
        if self.sinks:
            frame = self._rewriting.rewrite(frame)
            for sink in self.sinks:
                sink.sendFrame(frame)

    def close(self) -> None:
        """
        The call is over.
        """
        for sink in self.sinks:
            sink.close()
        self.sinks.clear()
