"""
A data message as blocks: padded, checked and cut, and put together again from what has come of it,
ETSI TS 102 361-1 §8.2.1 and §8.2.2, and TS 102 361-4 §7.2 for unified data transport.
"""

from __future__ import annotations

from typing import Final

from bmff.dmr import crc
from bmff.dmr.datablock import CONFIRMED_HEAD, SIZES, ConfirmedBlock, decodeBlock
from bmff.dmr.dataheader import SAP, MessageHeader, UDTHeader, UnconfirmedHeader
from bmff.dmr.frame import RATE_12
from bmff.errors import ProtocolError

MOST_BLOCKS: Final = 127
_CHECK_SIZE: Final = 4  # bytes of the CRC-32 at the end of a message
_UDT_CHECK_SIZE: Final = 2  # bytes of the CRC-CCITT at the end of the blocks of UDT


def unconfirmedHeader(
    payload: bytes,
    *,
    destination: int,
    source: int,
    group: bool = False,
    sap: int = SAP.IP,
    dataType: int = RATE_12,
) -> UnconfirmedHeader:
    """
    The header of a message that nobody acknowledges.

    @param payload: what it carries.
    @param destination: the talkgroup or radio ID, 24 bits.
    @param source: the radio ID that sends, 24 bits.
    @param group: whether the destination is a talkgroup.
    @param sap: the service access point, 4 bits.
    @param dataType: the rate of its blocks, as a data type.
    @raise ValueError: when that takes more than L{MOST_BLOCKS} blocks.
    """
    size = SIZES[dataType]
    blocks = -(-(len(payload) + _CHECK_SIZE) // size)
    if blocks > MOST_BLOCKS:
        raise ValueError(f"a message of {len(payload)} bytes takes more than {MOST_BLOCKS} blocks")
    return UnconfirmedHeader(
        destination=destination,
        source=source,
        group=group,
        sap=sap,
        blocks=blocks,
        padOctets=blocks * size - _CHECK_SIZE - len(payload),
    )


def blocksOf(header: MessageHeader, payload: bytes, dataType: int = RATE_12) -> tuple[bytes, ...]:
    """
    The blocks that follow a header, each for L{bmff.dmr.datablock.encodeBlock}.

    @param payload: what the message carries.
    @param dataType: the rate of the blocks, as a data type.
    @raise ValueError: when the header counts other blocks than that takes.
    """
    size = SIZES[dataType]
    step = size - CONFIRMED_HEAD if header.confirmed else size
    checkSize = _UDT_CHECK_SIZE if isinstance(header, UDTHeader) else _CHECK_SIZE
    length = header.blocks * step - checkSize
    if not 0 <= length - len(payload) < step + checkSize and header.blocks:
        raise ValueError(f"{len(payload)} bytes do not fill {header.blocks} blocks")
    padded = payload.ljust(max(length, 0), b"\0")
    whole = padded + _check(header, padded)
    blocks = [whole[place * step : (place + 1) * step] for place in range(header.blocks)]
    if header.confirmed:
        blocks = [
            ConfirmedBlock(serial, data).encode(dataType) for serial, data in enumerate(blocks)
        ]
    return tuple(blocks)


def _check(header: MessageHeader, padded: bytes) -> bytes:
    """
    What stands behind a message.
    """
    if isinstance(header, UDTHeader):
        return crc.ccitt(padded).to_bytes(_UDT_CHECK_SIZE, "big")
    return crc.crc32(padded)


class Assembly:
    """
    What has come of one message. It holds no more than its header has announced.

    @ivar header: its header.
    """

    __slots__ = ("_blocks", "_dataType", "_next", "header")

    def __init__(self, header: MessageHeader) -> None:
        self.header = header
        self._blocks: list[bytes | None] = [None] * header.blocks
        self._dataType: int | None = None
        self._next = 0

    @property
    def missing(self) -> tuple[int, ...]:
        """
        The places of the blocks that have not come, or not in a state to be read, from 0.
        """
        return tuple(place for place, block in enumerate(self._blocks) if block is None)

    @property
    def complete(self) -> bool:
        """
        Whether all blocks have come.
        """
        return None not in self._blocks

    def add(self, dataType: int, bits: int, place: int | None = None) -> None:
        """
        Take a burst that follows the header.

        @param dataType: its data type.
        @param bits: the 196 bits that it carries.
        @param place: which block it is, from 0, where the network can tell; else it is the one
            after that which was taken last. A confirmed block says so itself.
        @raise ProtocolError: when it cannot be read, or does not belong to the message; its place
            is then still L{missing}.
        """
        if place is None:
            place = self._next
        self._next = place + 1
        block = decodeBlock(dataType, bits)
        if self.header.confirmed:
            confirmed = ConfirmedBlock.decode(dataType, block)
            place, block = confirmed.serial, confirmed.data
            self._next = place + 1
        if not 0 <= place < len(self._blocks):
            raise ProtocolError("block that the header does not announce")
        if self._dataType is None:
            self._dataType = dataType
        elif self._dataType != dataType:
            raise ProtocolError("blocks of different rates")
        self._blocks[place] = block

    def payload(self) -> bytes:
        """
        What the message carries.

        @raise ProtocolError: when blocks are missing, or its check fails.
        """
        whole = b"".join([block for block in self._blocks if block is not None])
        if not self.complete or not whole:
            raise ProtocolError("blocks missing")
        size = _UDT_CHECK_SIZE if isinstance(self.header, UDTHeader) else _CHECK_SIZE
        padded = whole[:-size]
        if _check(self.header, padded) != whole[-size:]:
            raise ProtocolError("wrong CRC of a message")
        length = len(padded) - self.header.padding
        if length < 0:
            raise ProtocolError("more padding than message")
        return padded[:length]
