"""
The header of a data message: from whom, to whom, what it is and how many blocks follow,
ETSI TS 102 361-1 §8.2.1 and §9.2, TS 102 361-4 §7.1 for unified data transport.

Each format has a value of its own; all but the proprietary one begin alike: who is to answer, the
service access point (SAP), destination and source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self, TypedDict

from bmff.dmr import crc
from bmff.errors import ProtocolError

_GROUP: Final = 0x80
_RESPONSE: Final = 0x40
_FORMAT: Final = 0x0F
_FULL: Final = 0x80


class Format(IntEnum):
    """
    What a header is, §9.3.17.
    """

    UDT = 0
    RESPONSE = 1
    UNCONFIRMED = 2
    CONFIRMED = 3
    DEFINED_SHORT = 13
    RAW_SHORT = 14  # or a status
    PROPRIETARY = 15


class SAP(IntEnum):
    """
    Whom a message is for in the radio, §9.3.18; other numbers are possible.
    """

    UDT = 0
    TCP_COMPRESSED = 2
    UDP_COMPRESSED = 3
    IP = 4
    ARP = 5
    PROPRIETARY = 9
    SHORT_DATA = 10


class _Beginning(TypedDict):
    """
    The fields of L{AddressedHeader}.
    """

    destination: int
    source: int
    group: bool
    responseRequested: bool
    sap: int


def _beginning(data: bytes) -> _Beginning:
    return {
        "destination": int.from_bytes(data[2:5], "big"),
        "source": int.from_bytes(data[5:8], "big"),
        "group": bool(data[0] & _GROUP),
        "responseRequested": bool(data[0] & _RESPONSE),
        "sap": data[1] >> 4,
    }


def _count(data: bytes) -> int:
    """
    The bits 4 and 5 of the first byte, and 0 to 3 of the second: 6 bits.
    """
    return data[0] & 0x30 | data[1] & 0x0F


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressedHeader:
    """
    What all formats but the proprietary one begin with.

    @ivar destination: the talkgroup or radio ID, 24 bits.
    @ivar source: the radio ID that sends, 24 bits.
    @ivar group: whether the destination is a talkgroup.
    @ivar responseRequested: whether an answer is wanted.
    @ivar sap: the service access point, 4 bits, as in L{SAP}.
    """

    destination: int
    source: int
    group: bool = False
    responseRequested: bool = False
    sap: int = SAP.IP

    @property
    def confirmed(self) -> bool:
        """
        Whether each block that follows has a serial number and a check of its own.
        """
        return False

    @property
    def padding(self) -> int:
        """
        How many bytes at the end of the message, before its check, are none of it.
        """
        return 0

    def _encode(self, kind: Format, count: int, tail: bytes) -> bytes:
        """
        @param count: the bits 4 and 5 of the first byte, and 0 to 3 of the second.
        @param tail: what follows the addresses, 2 bytes.
        """
        first = (_GROUP if self.group else 0) | (_RESPONSE if self.responseRequested else 0)
        head = bytes((first | count & 0x30 | kind, self.sap << 4 | count & 0x0F))
        addresses = self.destination.to_bytes(3, "big") + self.source.to_bytes(3, "big")
        return crc.seal(head + addresses + tail, crc.DATA_HEADER_MASK)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnconfirmedHeader(AddressedHeader):
    """
    Of a message that nobody acknowledges, §9.2.6.

    @ivar blocks: how many follow, 0 to 127.
    @ivar padOctets: bytes of padding before the check of the message, 0 to 31.
    @ivar full: whether this is the first attempt to send it, not the repetition of some blocks.
    @ivar fragment: the number of this fragment; 8 of the only or, with more, the last one, 4 bits.
    """

    blocks: int
    padOctets: int = 0
    full: bool = True
    fragment: int = 0

    @classmethod
    def fromData(cls, data: bytes) -> Self:
        """
        The header in 10 bytes whose check was right and whose format is this one.
        """
        return cls(
            **_beginning(data),
            blocks=data[8] & 0x7F,
            padOctets=_count(data) & 0x1F,
            full=bool(data[8] & _FULL),
            fragment=data[9] & 0x0F,
        )

    @property
    def padding(self) -> int:
        """
        How many bytes before the check of the message are none of it.
        """
        return self.padOctets

    def encode(self) -> bytes:
        """
        Its 12 bytes.
        """
        tail = bytes(((_FULL if self.full else 0) | self.blocks, self.fragment))
        return self._encode(Format.UNCONFIRMED, self.padOctets, tail)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedHeader(AddressedHeader):
    """
    Of a message whose receiver answers which blocks are missing, §9.2.1.

    @ivar blocks: how many follow, 0 to 127.
    @ivar padOctets: bytes of padding before the check of the message, 0 to 31.
    @ivar full: whether this is the first attempt to send it, not the repetition of some blocks.
    @ivar resynchronize: whether the receiver shall take over the sequence number.
    @ivar sequence: of the message, N(S), 3 bits.
    @ivar fragment: the number of this fragment; 8 of the only or, with more, the last one, 4 bits.
    """

    blocks: int
    padOctets: int = 0
    full: bool = True
    resynchronize: bool = False
    sequence: int = 0
    fragment: int = 8

    @classmethod
    def fromData(cls, data: bytes) -> Self:
        """
        The header in 10 bytes whose check was right and whose format is this one.
        """
        return cls(
            **_beginning(data),
            blocks=data[8] & 0x7F,
            padOctets=_count(data) & 0x1F,
            full=bool(data[8] & _FULL),
            resynchronize=bool(data[9] & 0x80),
            sequence=data[9] >> 4 & 7,
            fragment=data[9] & 0x0F,
        )

    @property
    def confirmed(self) -> bool:
        """
        Each block that follows has a serial number and a check of its own.
        """
        return True

    @property
    def padding(self) -> int:
        """
        How many bytes before the check of the message are none of it.
        """
        return self.padOctets

    def encode(self) -> bytes:
        """
        Its 12 bytes.
        """
        last = (0x80 if self.resynchronize else 0) | self.sequence << 4 | self.fragment
        tail = bytes(((_FULL if self.full else 0) | self.blocks, last))
        return self._encode(Format.CONFIRMED, self.padOctets, tail)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHeader(AddressedHeader):
    """
    The answer to a confirmed message, §9.2.4 and table 8.3: kind 1 of class 0 says that all came,
    class 2 that the blocks follow whose bits say which did.

    @ivar blocks: how many follow, 0 to 127.
    @ivar responseClass: 2 bits.
    @ivar responseType: 3 bits.
    @ivar status: 3 bits: the sequence number that it answers, or what is wrong.
    """

    blocks: int = 0
    responseClass: int = 0
    responseType: int = 1
    status: int = 0

    @classmethod
    def fromData(cls, data: bytes) -> Self:
        """
        The header in 10 bytes whose check was right and whose format is this one.
        """
        return cls(
            **_beginning(data),
            blocks=data[8] & 0x7F,
            responseClass=data[9] >> 6,
            responseType=data[9] >> 3 & 7,
            status=data[9] & 7,
        )

    def encode(self) -> bytes:
        """
        Its 12 bytes.
        """
        last = self.responseClass << 6 | self.responseType << 3 | self.status
        return self._encode(Format.RESPONSE, 0, bytes((self.blocks, last)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusHeader(AddressedHeader):
    """
    A message that is nothing but a number whose meaning both ends know, §9.2.11.

    @ivar sourcePort: 3 bits.
    @ivar destinationPort: 3 bits.
    @ivar status: the number, 10 bits.
    """

    sourcePort: int = 0
    destinationPort: int = 0
    status: int
    sap: int = SAP.SHORT_DATA

    @classmethod
    def fromData(cls, data: bytes) -> Self:
        """
        The header in 10 bytes whose check was right and whose format is this one.
        """
        return cls(
            **_beginning(data),
            sourcePort=data[8] >> 5,
            destinationPort=data[8] >> 2 & 7,
            status=(data[8] & 3) << 8 | data[9],
        )

    @property
    def blocks(self) -> int:
        """
        None follow.
        """
        return 0

    def encode(self) -> bytes:
        """
        Its 12 bytes.
        """
        tail = self.sourcePort << 13 | self.destinationPort << 10 | self.status
        return self._encode(Format.RAW_SHORT, 0, tail.to_bytes(2, "big"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RawShortHeader(AddressedHeader):
    """
    Of a short message whose form is not said, §9.2.11.

    @ivar blocks: how many follow, 1 to 63.
    @ivar sourcePort: 3 bits.
    @ivar destinationPort: 3 bits.
    @ivar resynchronize: whether the receiver shall take over the sequence number.
    @ivar full: whether this is the first attempt to send it.
    @ivar padBits: bits of padding before the check of the message, 8 bits.
    """

    blocks: int
    sourcePort: int = 0
    destinationPort: int = 0
    resynchronize: bool = False
    full: bool = True
    padBits: int = 0
    sap: int = SAP.SHORT_DATA

    @classmethod
    def fromData(cls, data: bytes) -> Self:
        """
        The header in 10 bytes whose check was right and whose format is this one.
        """
        return cls(
            **_beginning(data),
            blocks=_count(data),
            sourcePort=data[8] >> 5,
            destinationPort=data[8] >> 2 & 7,
            resynchronize=bool(data[8] & 2),
            full=bool(data[8] & 1),
            padBits=data[9],
        )

    @property
    def confirmed(self) -> bool:
        """
        Each block has a check of its own when an answer is wanted.
        """
        return self.responseRequested

    @property
    def padding(self) -> int:
        """
        How many whole bytes before the check of the message are none of it.
        """
        return self.padBits // 8

    def encode(self) -> bytes:
        """
        Its 12 bytes.
        """
        flags = (2 if self.resynchronize else 0) | self.full
        ports = self.sourcePort << 5 | self.destinationPort << 2 | flags
        return self._encode(Format.RAW_SHORT, self.blocks, bytes((ports, self.padBits)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinedShortHeader(AddressedHeader):
    """
    Of a short message whose form is said, such as a text in one of 13 alphabets, §9.2.12.

    @ivar blocks: how many follow, 0 to 63.
    @ivar form: the DD format, 6 bits: 0 binary, 1 BCD, 2 7-bit characters, 3 to 17 ISO 8859-1 to
        -16, 18 UTF-8, 19 UTF-16, 20 UTF-16 big end first, 21 little end first, 22 to 24 UTF-32.
    @ivar resynchronize: whether the receiver shall take over the sequence number.
    @ivar full: whether this is the first attempt to send it.
    @ivar padBits: bits of padding before the check of the message, 8 bits.
    """

    blocks: int
    form: int = 0
    resynchronize: bool = False
    full: bool = True
    padBits: int = 0
    sap: int = SAP.SHORT_DATA

    @classmethod
    def fromData(cls, data: bytes) -> Self:
        """
        The header in 10 bytes whose check was right and whose format is this one.
        """
        return cls(
            **_beginning(data),
            blocks=_count(data),
            form=data[8] >> 2,
            resynchronize=bool(data[8] & 2),
            full=bool(data[8] & 1),
            padBits=data[9],
        )

    @property
    def confirmed(self) -> bool:
        """
        Each block has a check of its own when an answer is wanted.
        """
        return self.responseRequested

    @property
    def padding(self) -> int:
        """
        How many whole bytes before the check of the message are none of it.
        """
        return self.padBits // 8

    def encode(self) -> bytes:
        """
        Its 12 bytes.
        """
        form = self.form << 2 | (2 if self.resynchronize else 0) | self.full
        return self._encode(Format.DEFINED_SHORT, self.blocks, bytes((form, self.padBits)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UDTHeader(AddressedHeader):
    """
    Of unified data transport, short data that belongs to signalling, §9.2.13.

    @ivar form: how the blocks are to be read, 4 bits, as in L{bmff.dmr.udt}.
    @ivar blocks: how many follow, 1 to 4.
    @ivar padNibbles: half bytes of padding before the check of the blocks, 5 bits.
    @ivar supplementary: whether they belong to a supplementary service.
    @ivar protected: the protect flag.
    @ivar opcode: what they are for, 6 bits.
    @ivar flags: emergency (2) and option (1), 2 bits.
    """

    form: int
    blocks: int = 1
    padNibbles: int = 0
    supplementary: bool = False
    protected: bool = False
    opcode: int = 0
    flags: int = 0
    sap: int = SAP.UDT

    @classmethod
    def fromData(cls, data: bytes) -> Self:
        """
        The header in 10 bytes whose check was right and whose format is this one.
        """
        return cls(
            **_beginning(data),
            form=data[1] & 0x0F,
            blocks=(data[8] & 3) + 1,
            padNibbles=data[8] >> 3,
            supplementary=bool(data[9] & 0x80),
            protected=bool(data[9] & 0x40),
            opcode=data[9] & 0x3F,
            flags=data[0] >> 4 & 3,
        )

    @property
    def padding(self) -> int:
        """
        How many whole bytes before the check of the blocks are none of it.
        """
        return self.padNibbles // 2

    def encode(self) -> bytes:
        """
        Its 12 bytes.
        """
        last = (0x80 if self.supplementary else 0) | (0x40 if self.protected else 0) | self.opcode
        tail = bytes((self.padNibbles << 3 | self.blocks - 1, last))
        return self._encode(Format.UDT, self.flags << 4 | self.form, tail)


@dataclass(frozen=True, slots=True)
class ProprietaryHeader:
    """
    A second header, of which a manufacturer says what is in it, §9.2.9.

    @ivar sap: whom the message is for in the radio, 4 bits.
    @ivar fid: the manufacturer, 8 bits.
    @ivar data: 8 bytes.
    """

    sap: int
    fid: int
    data: bytes

    def encode(self) -> bytes:
        """
        Its 12 bytes.
        """
        head = bytes((self.sap << 4 | Format.PROPRIETARY, self.fid))
        return crc.seal(head + self.data, crc.DATA_HEADER_MASK)


# The headers that blocks may follow.
MessageHeader = (
    UnconfirmedHeader
    | ConfirmedHeader
    | ResponseHeader
    | StatusHeader
    | RawShortHeader
    | DefinedShortHeader
    | UDTHeader
)
DataHeader = MessageHeader | ProprietaryHeader


def _rawOrStatus(data: bytes) -> RawShortHeader | StatusHeader:
    """
    The header in 10 bytes: without blocks it is a status.
    """
    return RawShortHeader.fromData(data) if _count(data) else StatusHeader.fromData(data)


_DECODERS: Final[Mapping[Format, Callable[[bytes], MessageHeader]]] = {
    Format.UDT: UDTHeader.fromData,
    Format.RESPONSE: ResponseHeader.fromData,
    Format.UNCONFIRMED: UnconfirmedHeader.fromData,
    Format.CONFIRMED: ConfirmedHeader.fromData,
    Format.DEFINED_SHORT: DefinedShortHeader.fromData,
    Format.RAW_SHORT: _rawOrStatus,
}


def decode(block: bytes) -> DataHeader:
    """
    The header in the 12 bytes of a burst; bits without a meaning are ignored.

    @raise ProtocolError: when they are not 12, their check fails, or the format is unknown.
    """
    data = crc.unseal(block, crc.DATA_HEADER_MASK)
    try:
        kind = Format(data[0] & _FORMAT)
    except ValueError:
        raise ProtocolError("data header of an unknown format") from None
    if kind is Format.PROPRIETARY:
        return ProprietaryHeader(data[0] >> 4, data[1], data[2:])
    return _DECODERS[kind](data)
