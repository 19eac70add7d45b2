"""
One frame of a call: a DMR burst with what the network says about it.

HomeBrew (DL5DI, G4KLX, DG1HT, "IPSC Protocol Specs for homebrew DMR repeater", 2015, in the form
that MMDVM uses), OpenBridge and FastForward carry these fields in the same order, so a frame keeps
them as received and to send it again is slicing.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

SLOT_2: Final = 0x80  # flag: time slot 2, else 1
PRIVATE: Final = 0x40  # flag: to a radio, else to a talkgroup
KIND: Final = 0x30  # mask of the frame type
VOICE: Final = 0x00  # a voice burst without sync, B to F
VOICE_SYNC: Final = 0x10  # a voice burst with sync, A
DATA_SYNC: Final = 0x20  # a data burst; its data type is in the low four bits
DATA_TYPE: Final = 0x0F  # mask of the data type, or of the voice sequence 0..5 = A..F

# Data types, ETSI TS 102 361-1 §9.3.6.
PI_HEADER: Final = 0
VOICE_HEADER: Final = 1
TERMINATOR: Final = 2
CSBK: Final = 3
MBC_HEADER: Final = 4
MBC_CONTINUATION: Final = 5
DATA_HEADER: Final = 6
RATE_12: Final = 7
RATE_34: Final = 8
IDLE: Final = 9
RATE_1: Final = 10

_OF_DATA: Final = frozenset(
    (CSBK, MBC_HEADER, MBC_CONTINUATION, DATA_HEADER, RATE_12, RATE_34, RATE_1)
)

ADDRESSING_SIZE: Final = 7  # bytes: sequence 1, source 3, destination 3
BODY_SIZE: Final = 40  # bytes: flags 1, stream ID 4, burst 33, BER 1, RSSI 1
FRAME_PERIOD: Final = 0.06  # seconds between two frames of a call, ETSI TS 102 361-1 §4.2

_unpackAddressing = Struct(">BHBHB").unpack
_packAddressing = Struct(">BHBHB").pack
_unpackHead = Struct(">BI").unpack_from
_packHead = Struct(">BI").pack


class Frame:
    """
    One frame: 60 ms of a call. Never changed after it is made.

    It has slots and is not frozen because one is made for each datagram (0.4 against 1.4 us).

    @ivar sequence: the sequence number in the stream, 0 to 255, wrapping.
    @ivar source: the radio ID that transmits, 24 bits.
    @ivar destination: the talkgroup, or the radio ID when L{PRIVATE} is set, 24 bits.
    @ivar flags: slot, kind of call, frame type and data type, 8 bits.
    @ivar stream: the stream ID, 32 bits; 0 is not a valid one.
    @ivar addressing: sequence, source and destination as carried, 7 bytes.
    @ivar body: flags, stream ID, burst, BER and RSSI as carried, 40 bytes.
    """

    __slots__ = (
        "addressing",
        "body",
        "destination",
        "flags",
        "sequence",
        "source",
        "stream",
    )

    def __init__(self, addressing: bytes, body: bytes) -> None:
        """
        @param addressing: 7 bytes.
        @param body: 40 bytes.
        """
        self.addressing = addressing
        self.body = body
        self.sequence, high, low, to, toLow = _unpackAddressing(addressing)
        self.source: int = high << 8 | low
        self.destination: int = to << 8 | toLow
        self.flags, self.stream = _unpackHead(body)

    @classmethod
    def make(
        cls,
        *,
        sequence: int,
        source: int,
        destination: int,
        flags: int,
        stream: int,
        burst: bytes,
        ber: int = 0,
        rssi: int = 0,
    ) -> Frame:
        """
        A frame from its fields.

        @param burst: 33 bytes.
        @param ber: errors in the burst's voice bits, 0 to 141.
        @param rssi: received strength as -dBm, 0 when unknown.
        """
        return cls(
            _packAddressing(
                sequence & 0xFF, source >> 8, source & 0xFF, destination >> 8, destination & 0xFF
            ),
            _packHead(flags, stream) + burst + bytes((ber, rssi)),
        )

    @property
    def slot(self) -> int:
        """
        The time slot, 1 or 2.
        """
        return 2 if self.flags & SLOT_2 else 1

    @property
    def private(self) -> bool:
        """
        Whether the destination is a radio.
        """
        return bool(self.flags & PRIVATE)

    @property
    def dataType(self) -> int | None:
        """
        The data type, 0 to 15, of a data burst; L{None} for voice.
        """
        return self.flags & DATA_TYPE if self.flags & KIND == DATA_SYNC else None

    @property
    def isData(self) -> bool:
        """
        Whether it belongs to data, not to voice.
        """
        return self.dataType in _OF_DATA

    @property
    def burst(self) -> bytes:
        """
        The DMR burst, 33 bytes.
        """
        return self.body[5:38]

    @property
    def ber(self) -> int:
        """
        Errors in the burst's voice bits, 0 to 141.
        """
        return self.body[38]

    @property
    def rssi(self) -> int:
        """
        Received signal strength as -dBm; 0 when unknown.
        """
        return self.body[39]

    def __repr__(self) -> str:
        kind = "private" if self.private else "group"
        return (
            f"<Frame {self.stream:08x}#{self.sequence} {self.source}>{self.destination} "
            f"{kind} slot {self.slot} flags {self.flags:02x}>"
        )
