"""
Reads what radios write: puts the text messages in data calls together.
"""

from __future__ import annotations

from collections.abc import Callable

from bmff.dmr import bptc, dataheader
from bmff.dmr.applications import decodeApplication
from bmff.dmr.burst import information
from bmff.dmr.datagram import Datagram
from bmff.dmr.dataheader import ProprietaryHeader
from bmff.dmr.datamessage import Assembly
from bmff.dmr.frame import DATA_HEADER, Frame
from bmff.dmr.tms import TextMessage
from bmff.errors import ProtocolError
from bmff.events import Event, TextReceived
from bmff.router.call import Call


class Reader:
    """
    Takes the frames of one data call beside its listeners. What cannot be read is passed over: it
    goes its way all the same.
    """

    __slots__ = ("_assembly", "_call", "_publish")

    def __init__(self, publish: Callable[[Event], None], call: Call) -> None:
        """
        @param publish: is told of each text.
        """
        self._publish = publish
        self._call = call
        self._assembly: Assembly | None = None

    def sendFrame(self, frame: Frame) -> None:
        """
        See L{bmff.router.call.RemoteSink}.
        """
        try:
            self._read(frame)
        except ProtocolError:
            self._assembly = None

    def close(self) -> None:
        """
        See L{bmff.router.call.RemoteSink}. A data call pauses between its blocks, so a message may
        go on afterwards.
        """

    def _read(self, frame: Frame) -> None:
        dataType = frame.dataType
        if dataType == DATA_HEADER:
            header = dataheader.decode(bptc.decode(information(frame.burst)))
            self._assembly = None
            if not isinstance(header, ProprietaryHeader):
                self._assembly = Assembly(header)
        elif dataType is not None and self._assembly is not None:
            assembly = self._assembly
            assembly.add(dataType, information(frame.burst))
            if assembly.complete:
                self._assembly = None
                self._whole(assembly.payload())

    def _whole(self, payload: bytes) -> None:
        said = decodeApplication(Datagram.decode(payload))
        if isinstance(said, TextMessage):
            call = self._call
            self._publish(
                TextReceived(
                    source=call.source,
                    destination=call.destination,
                    private=call.private,
                    peer=call.ingress.peerID,
                    text=said.text,
                )
            )
