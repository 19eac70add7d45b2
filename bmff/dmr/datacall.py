"""
Whole data messages as bursts and as frames, a preamble first, ETSI TS 102 361-3 §5 and
TS 102 361-2 §7.1.2.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bmff.dmr import bptc
from bmff.dmr.applications import applicationDatagram
from bmff.dmr.burst import SlotType, dataBurst
from bmff.dmr.csbk import Preamble
from bmff.dmr.datablock import encodeBlock
from bmff.dmr.dataheader import MessageHeader
from bmff.dmr.datamessage import blocksOf, unconfirmedHeader
from bmff.dmr.frame import CSBK, DATA_HEADER, DATA_SYNC, PRIVATE, RATE_12, SLOT_2, Frame
from bmff.dmr.tms import TextMessage

PREAMBLES: Final = 4  # bursts: a radio that saves power listens once in 0.24 s at least


def dataBursts(
    header: MessageHeader,
    payload: bytes,
    *,
    dataType: int = RATE_12,
    preambles: int = PREAMBLES,
    colourCode: int = 1,
) -> Iterator[tuple[int, bytes]]:
    """
    The bursts of a message as a base station sends them, each with its data type.

    @param payload: what the message carries, as many bytes as the header announces.
    @param dataType: the rate of its blocks, as a data type.
    @param preambles: how many bursts wake the receiver before.
    @param colourCode: 0 to 15; a repeater puts its own in place of it.
    @raise ValueError: when the header announces other blocks than the payload takes.
    """
    blocks = blocksOf(header, payload, dataType)
    for after in range(preambles + len(blocks), len(blocks), -1):
        preamble = Preamble(header.destination, header.source, min(after, 255), header.group)
        bits = bptc.encode(preamble.encode())
        yield CSBK, dataBurst(bits, SlotType(colourCode, CSBK))
    bits = bptc.encode(header.encode())
    yield DATA_HEADER, dataBurst(bits, SlotType(colourCode, DATA_HEADER))
    for block in blocks:
        bits = encodeBlock(dataType, block)
        yield dataType, dataBurst(bits, SlotType(colourCode, dataType))


def dataCall(
    header: MessageHeader,
    payload: bytes,
    *,
    stream: int,
    slot: int = 2,
    dataType: int = RATE_12,
    preambles: int = PREAMBLES,
    colourCode: int = 1,
) -> Iterator[Frame]:
    """
    The frames of a message, to be sent 60 ms apart, all under one stream ID.

    @param stream: the stream ID, 32 bits, not 0.
    @param slot: 1 or 2.
    @see: L{dataBursts}, for the others.
    """
    call = DATA_SYNC | (SLOT_2 if slot == 2 else 0) | (0 if header.group else PRIVATE)
    bursts = dataBursts(
        header, payload, dataType=dataType, preambles=preambles, colourCode=colourCode
    )
    for sequence, (kind, burst) in enumerate(bursts):
        yield Frame.make(
            sequence=sequence,
            source=header.source,
            destination=header.destination,
            flags=call | kind,
            stream=stream,
            burst=burst,
        )


def textCall(
    text: str,
    *,
    source: int,
    destination: int,
    stream: int,
    group: bool = False,
    slot: int = 2,
    sequence: int = 0,
    preambles: int = PREAMBLES,
    colourCode: int = 1,
) -> Iterator[Frame]:
    """
    The frames of a text message as most makes of radios read it, to be sent 60 ms apart.

    @param text: what it says.
    @param source: the radio ID that it is to be from, 24 bits.
    @param destination: the talkgroup or radio ID, 24 bits.
    @param stream: the stream ID, 32 bits, not 0.
    @param group: whether the destination is a talkgroup.
    @param slot: 1 or 2.
    @param sequence: another one for each message to this radio, 7 bits: some radios show none that
        has the number of the last one.
    @raise ValueError: when the text is too long for one message.
    """
    datagram = applicationDatagram(
        TextMessage(text, sequence),
        source=source,
        destination=destination,
        group=group,
        identification=sequence,
    )
    payload = datagram.encode()
    header = unconfirmedHeader(payload, destination=destination, source=source, group=group)
    return dataCall(
        header,
        payload,
        stream=stream,
        slot=slot,
        preambles=preambles,
        colourCode=colourCode,
    )
