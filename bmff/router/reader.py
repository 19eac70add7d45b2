"""
Reads what radios send as data: puts the messages of data calls together, and tells of texts,
registrations and positions in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bmff.dmr import bptc, dataheader
from bmff.dmr.applications import Application, decodeApplication
from bmff.dmr.ars import Kind, Registration
from bmff.dmr.burst import information
from bmff.dmr.datagram import Datagram
from bmff.dmr.dataheader import MessageHeader, ProprietaryHeader
from bmff.dmr.datamessage import Assembly
from bmff.dmr.frame import DATA_HEADER, Frame
from bmff.dmr.lrrp import LocationDocument
from bmff.dmr.tms import TextMessage
from bmff.errors import ProtocolError
from bmff.events import Event, RadioPositionReceived, RadioRegistered, TextReceived
from bmff.router.call import Call
from bmff.router.repeats import Repeats

LRRP: Final = "LRRP"

# Whether a radio is there that says so. Of the users of a radio only their coming tells something.
_REGISTERED: Final = {
    Kind.REGISTRATION: True,
    Kind.USER_REGISTRATION: True,
    Kind.DEREGISTRATION: False,
}


class Reader:
    """
    Takes the frames of one data call beside its listeners. What cannot be read is passed over: it
    goes its way all the same.

    @ivar unread: how many bursts and messages could not be read.
    """

    __slots__ = ("_assembly", "_call", "_publish", "_repeats", "unread")

    def __init__(self, publish: Callable[[Event], None], call: Call, repeats: Repeats) -> None:
        """
        @param publish: is told of each text, registration and position.
        @param repeats: the messages that came a moment ago, in any call.
        """
        self.unread = 0
        self._publish = publish
        self._call = call
        self._repeats = repeats
        self._assembly: Assembly | None = None

    def sendFrame(self, frame: Frame) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """
        try:
            self._read(frame)
        except ProtocolError:
            # A block is still missing then; the radio may send it again, or all of them.
            self.unread += 1

    def close(self) -> None:
        """
        See L{bmff.router.call.RemoteSink}. A data call pauses between its blocks, so a message may
        go on afterwards.
        """

    def _read(self, frame: Frame) -> None:
        dataType = frame.dataType
        if dataType == DATA_HEADER:
            before, self._assembly = self._assembly, None
            header = dataheader.decode(bptc.decode(information(frame.burst)))
            if not isinstance(header, ProprietaryHeader):
                repeats = before is not None and _repeats(header, before.header)
                self._assembly = before if repeats else Assembly(header)
        elif dataType is not None and self._assembly is not None:
            assembly = self._assembly
            assembly.add(dataType, information(frame.burst))
            if assembly.complete:
                self._assembly = None
                self._whole(assembly.payload())

    def _whole(self, payload: bytes) -> None:
        said = decodeApplication(Datagram.decode(payload))
        call = self._call
        event = _eventOf(said, call)
        if event is not None and self._repeats.isNew(
            call.source, call.destination, payload, call.heard
        ):
            self._publish(event)


def _repeats(header: MessageHeader, before: MessageHeader) -> bool:
    """
    Whether a header announces single blocks of a confirmed message that came in part, TS 102 361-1
    §8.2.2.2: they say themselves which they are.
    """
    return (
        header.confirmed
        and before.confirmed
        and not getattr(header, "full", True)
        and header.blocks <= before.blocks
        and (header.source, header.destination) == (before.source, before.destination)
    )


def _eventOf(said: Application, call: Call) -> Event | None:
    """
    What is to be told of what a radio said, if anything.

    The network says who it was, whatever the radio says.
    """
    match said:
        case TextMessage():
            return TextReceived(
                source=call.source,
                destination=call.destination,
                private=call.private,
                peer=call.ingress.peerID,
                text=said.text,
            )
        case Registration(kind=kind) if kind in _REGISTERED:
            return RadioRegistered(
                radio=call.source,
                registered=_REGISTERED[kind],
                peer=call.ingress.peerID,
                slot=call.slotNumber,
            )
        case LocationDocument(latitude=float(latitude), longitude=float(longitude)):
            return RadioPositionReceived(
                radio=call.source,
                latitude=latitude,
                longitude=longitude,
                origin=LRRP,
                peer=call.ingress.peerID,
                slot=call.slotNumber,
                radius=said.radius,
                altitude=said.altitude,
                speed=said.speed,
                direction=said.direction,
                moment=said.moment.timestamp() if said.moment is not None else None,
            )
        case _:
            return None
