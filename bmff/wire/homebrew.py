"""
The messages of the HomeBrew protocol as MMDVM programs speak it, bytes to values and back.

Published: DL5DI, G4KLX, DG1HT, "IPSC Protocol Specs for homebrew DMR repeater" (2015-07-26); the
tags and lengths below are those of its MMDVM variant. All integers are big-endian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from typing import Final, TypeAlias

from bmff.dmr.frame import Frame
from bmff.errors import ProtocolError

FRAME_SIZE: Final = 55  # bytes; DMRGateway drops every other length, so we send no other
SHORT_FRAME_SIZE: Final = 53  # bytes: the form of 2015, without BER and RSSI
LARGEST_OPTIONS: Final = 500  # bytes of text; clients have room for 300
_CONFIGURATION_SIZE: Final = 302  # bytes


def packID(peerID: int) -> bytes:
    """
    A hotspot's or repeater's ID as the wire carries it, 4 bytes.
    """
    return peerID.to_bytes(4, "big")


def keyDigest(nonce: bytes, passphrase: bytes) -> bytes:
    """
    The answer to a challenge: SHA-256 of nonce and passphrase, 32 bytes.
    """
    return sha256(nonce + passphrase).digest()


def decodeFrame(data: bytes) -> Frame:
    """
    The frame in a DMRD datagram whose tag and length (53 or 55 bytes) the caller has checked.

    The ID at 11 to 14 says who sends, not what is said, and stays with the caller.
    """
    if len(data) == SHORT_FRAME_SIZE:
        return Frame(data[4:11], data[15:] + b"\0\0")
    return Frame(data[4:11], data[15:])


def encodeFrame(frame: Frame, wireID: bytes) -> bytes:
    """
    A DMRD datagram of 55 bytes for the peer whose 4-byte ID is L{wireID}.
    """
    return b"DMRD" + frame.addressing + wireID + frame.body


@dataclass(frozen=True, slots=True)
class Login:
    """
    RPTL: a peer asks for a challenge.
    """

    peerID: int

    def encode(self) -> bytes:
        return b"RPTL" + packID(self.peerID)


@dataclass(frozen=True, slots=True)
class Key:
    """
    RPTK: a peer answers the challenge.

    @ivar digest: see L{keyDigest}, 32 bytes.
    """

    peerID: int
    digest: bytes

    def encode(self) -> bytes:
        return b"RPTK" + packID(self.peerID) + self.digest


@dataclass(frozen=True, slots=True)
class Station:
    """
    RPTC: what a hotspot or repeater says of itself. A number that it does not say is L{None}.

    @ivar callsign: up to 8 characters.
    @ivar rxFrequency: Hz, on which the station receives.
    @ivar txFrequency: Hz.
    @ivar power: W, 0 to 99.
    @ivar colourCode: 0 to 15.
    @ivar latitude: degrees, north positive.
    @ivar longitude: degrees, east positive.
    @ivar height: m above ground.
    @ivar slots: which slots it serves: 1, 2, 3 (both), 4 (simplex hotspot), 0 (none).
    """

    peerID: int
    callsign: str = ""
    rxFrequency: int | None = None
    txFrequency: int | None = None
    power: int | None = None
    colourCode: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    height: int | None = None
    location: str = ""
    description: str = ""
    slots: int = 3
    url: str = ""
    software: str = ""
    package: str = ""

    @property
    def simplex(self) -> bool:
        """
        Whether it hears only slot 2, having one frequency for both directions.
        """
        return self.slots == 4 or (bool(self.rxFrequency) and self.rxFrequency == self.txFrequency)

    def encode(self) -> bytes:
        return b"".join(
            (
                b"RPTC",
                packID(self.peerID),
                _field(self.callsign, 8),
                _field(f"{self.rxFrequency or 0:09d}", 9),
                _field(f"{self.txFrequency or 0:09d}", 9),
                _field(f"{self.power or 0:02d}", 2),
                _field(f"{self.colourCode or 0:02d}", 2),
                _field(f"{self.latitude or 0.0:08.4f}", 8),
                _field(f"{self.longitude or 0.0:09.4f}", 9),
                _field(f"{self.height or 0:03d}", 3),
                _field(self.location, 20),
                _field(self.description, 19),
                _field(str(self.slots), 1),
                _field(self.url, 124),
                _field(self.software, 40),
                _field(self.package, 40),
            )
        )


@dataclass(frozen=True, slots=True)
class OptionsText:
    """
    RPTO: a peer's options, see L{bmff.wire.options}.
    """

    peerID: int
    text: str

    def encode(self) -> bytes:
        return b"RPTO" + packID(self.peerID) + self.text.encode("ascii", "replace")


@dataclass(frozen=True, slots=True)
class Ping:
    """
    RPTPING: a peer is alive.
    """

    peerID: int

    def encode(self) -> bytes:
        return b"RPTPING" + packID(self.peerID)


@dataclass(frozen=True, slots=True)
class Close:
    """
    RPTCL: a peer leaves.
    """

    peerID: int

    def encode(self) -> bytes:
        return b"RPTCL" + packID(self.peerID)


@dataclass(frozen=True, slots=True)
class AliasBlock:
    """
    DMRA: one block of the talker alias that a radio sends along with its voice.

    @ivar source: the radio ID.
    @ivar block: 0 (header) to 3.
    @ivar data: 7 bytes; 3 from the DMRGateways that cut the rest off.
    """

    peerID: int
    source: int
    block: int
    data: bytes

    def encode(self) -> bytes:
        return (
            b"DMRA"
            + packID(self.peerID)
            + _packRadio(self.source)
            + bytes((self.block,))
            + self.data
        )


@dataclass(frozen=True, slots=True)
class RadioPosition:
    """
    DMRG: the GPS information that a radio sends along with its voice.

    @ivar source: the radio ID.
    @ivar data: 7 bytes of ETSI TS 102 361-2 §7.1.1.3; 3 from the DMRGateways that cut the rest off.
    """

    peerID: int
    source: int
    data: bytes

    def encode(self) -> bytes:
        return b"DMRG" + packID(self.peerID) + _packRadio(self.source) + self.data


@dataclass(frozen=True, slots=True)
class HomePosition:
    """
    RPTG: where a station has moved to.

    @ivar latitude: degrees, north positive.
    @ivar longitude: degrees, east positive.
    """

    peerID: int
    latitude: float
    longitude: float

    def encode(self) -> bytes:
        text = f"{self.latitude:+08.4f}{self.longitude:+09.4f}"
        return b"RPTG" + packID(self.peerID) + text.encode("ascii")


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """
    RPTACK: a step is done; the first one of a login carries the challenge.

    @ivar value: 4 bytes: the nonce, or the peer's ID, which clients do not check.
    """

    value: bytes

    def encode(self) -> bytes:
        return b"RPTACK" + self.value


@dataclass(frozen=True, slots=True)
class Refuse:
    """
    MSTNAK: the master does not know the peer, or refuses it; the peer logs in anew.
    """

    peerID: int

    def encode(self) -> bytes:
        return b"MSTNAK" + packID(self.peerID)


@dataclass(frozen=True, slots=True)
class Pong:
    """
    MSTPONG: the answer to a ping. Some masters send the ID in little-endian order.
    """

    peerID: int

    def encode(self) -> bytes:
        return b"MSTPONG" + packID(self.peerID)


@dataclass(frozen=True, slots=True)
class Closing:
    """
    MSTCL: the master leaves.
    """

    peerID: int

    def encode(self) -> bytes:
        return b"MSTCL" + packID(self.peerID)


@dataclass(frozen=True, slots=True)
class Beacon:
    """
    RPTSBKN: the master asks the peer to send a roaming beacon.
    """

    peerID: int

    def encode(self) -> bytes:
        return b"RPTSBKN" + packID(self.peerID)


@dataclass(frozen=True, slots=True)
class Voice:
    """
    DMRD: a frame and the peer that sends it, or that it is for.
    """

    peerID: int
    frame: Frame

    def encode(self) -> bytes:
        return encodeFrame(self.frame, packID(self.peerID))


Message: TypeAlias = (
    Login
    | Key
    | Station
    | OptionsText
    | Ping
    | Close
    | AliasBlock
    | RadioPosition
    | HomePosition
    | Acknowledge
    | Refuse
    | Pong
    | Closing
    | Beacon
    | Voice
)


def decode(data: bytes) -> Message:
    """
    The message in one datagram, whichever side sent it.

    @raise ProtocolError: it is no message of this protocol, or one of the dialects that are
        ignored: hexadecimal text, the link of MMDVMHost with a gateway, DMRGateway's trunking.
    """
    row = _DECODERS.get(data[:4])
    if row is None or not data.startswith(row[0]):
        raise ProtocolError(_IGNORED.get(data[:4], "unknown tag"))
    return row[1](data)


def cleanText(data: bytes) -> str:
    """
    Text that a peer sent, without padding and without anything that a terminal would obey.
    """
    text = data.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(character for character in text if character.isprintable()).strip()


def _field(text: str, size: int) -> bytes:
    return text.encode("utf-8", "replace")[:size].ljust(size)


def _packRadio(radioID: int) -> bytes:
    return radioID.to_bytes(3, "big")


def _number(data: bytes) -> int | None:
    text = data.strip(b" \0")
    return int(text) if text.isdigit() else None


def _degrees(data: bytes, largest: float) -> float | None:
    try:
        value = float(data.strip(b" \0"))
    except ValueError:
        return None
    return value if isfinite(value) and abs(value) <= largest else None


def _exactly(data: bytes, size: int) -> None:
    if len(data) != size:
        raise ProtocolError("wrong length")


def _oneOf(data: bytes, sizes: tuple[int, ...]) -> None:
    if len(data) not in sizes:
        raise ProtocolError("wrong length")


def _bare(
    make: Callable[[int], Message], tag: bytes, *, idOptional: bool = False
) -> tuple[bytes, Callable[[bytes], Message]]:
    """
    The row of a message that is a tag and an ID.
    """
    size = len(tag) + 4

    def decoder(data: bytes) -> Message:
        if idOptional and len(data) == len(tag):
            return make(0)
        _exactly(data, size)
        return make(int.from_bytes(data[len(tag) :], "big"))

    return tag, decoder


def _key(data: bytes) -> Key:
    _exactly(data, 40)
    return Key(_peerID(data), data[8:])


def _peerID(data: bytes) -> int:
    return int.from_bytes(data[4:8], "big")


def _station(data: bytes) -> Station:
    _exactly(data, _CONFIGURATION_SIZE)
    slots = _number(data[97:98])
    return Station(
        peerID=_peerID(data),
        callsign=cleanText(data[8:16]),
        rxFrequency=_number(data[16:25]),
        txFrequency=_number(data[25:34]),
        power=_number(data[34:36]),
        colourCode=_number(data[36:38]),
        latitude=_degrees(data[38:46], 90.0),
        longitude=_degrees(data[46:55], 180.0),
        height=_number(data[55:58]),
        location=cleanText(data[58:78]),
        description=cleanText(data[78:97]),
        slots=slots if slots is not None and slots <= 4 else 3,
        url=cleanText(data[98:222]),
        software=cleanText(data[222:262]),
        package=cleanText(data[262:302]),
    )


def _closeOrStation(data: bytes) -> Close | Station:
    # 302 bytes that begin with RPTCL are a station whose ID begins with 0x4C.
    if len(data) == 9 and data[4:5] == b"L":
        return Close(int.from_bytes(data[5:], "big"))
    return _station(data)


def _options(data: bytes) -> OptionsText:
    if not 8 <= len(data) <= 8 + LARGEST_OPTIONS:
        raise ProtocolError("wrong length")
    return OptionsText(_peerID(data), cleanText(data[8:]))


def _alias(data: bytes) -> AliasBlock:
    _oneOf(data, (15, 19))
    if data[11] > 3:
        raise ProtocolError("no such alias block")
    return AliasBlock(_peerID(data), int.from_bytes(data[8:11], "big"), data[11], data[12:])


def _position(data: bytes) -> RadioPosition:
    _oneOf(data, (14, 18))
    return RadioPosition(_peerID(data), int.from_bytes(data[8:11], "big"), data[11:])


def _home(data: bytes) -> HomePosition:
    _exactly(data, 25)
    latitude = _degrees(data[8:16], 90.0)
    longitude = _degrees(data[16:25], 180.0)
    if latitude is None or longitude is None:
        raise ProtocolError("no position")
    return HomePosition(_peerID(data), latitude, longitude)


def _acknowledge(data: bytes) -> Acknowledge:
    _exactly(data, 10)
    return Acknowledge(data[6:])


def _voice(data: bytes) -> Voice:
    _oneOf(data, (FRAME_SIZE, SHORT_FRAME_SIZE))
    return Voice(int.from_bytes(data[11:15], "big"), decodeFrame(data))


# By the first four bytes: the whole tag and what reads the rest.
_DECODERS: dict[bytes, tuple[bytes, Callable[[bytes], Message]]] = {
    b"DMRD": (b"DMRD", _voice),
    b"DMRA": (b"DMRA", _alias),
    b"DMRG": (b"DMRG", _position),
    b"RPTL": _bare(Login, b"RPTL"),
    b"RPTK": (b"RPTK", _key),
    b"RPTC": (b"RPTC", _closeOrStation),
    b"RPTO": (b"RPTO", _options),
    b"RPTP": _bare(Ping, b"RPTPING"),
    b"RPTG": (b"RPTG", _home),
    b"RPTA": (b"RPTACK", _acknowledge),
    b"RPTS": _bare(Beacon, b"RPTSBKN", idOptional=True),
    b"MSTN": _bare(Refuse, b"MSTNAK"),
    b"MSTP": _bare(Pong, b"MSTPONG"),
    b"MSTC": _bare(Closing, b"MSTCL"),
}

_IGNORED: dict[bytes, str] = {
    b"RPTR": "text dialect",  # RPTRSSI
    b"RPTI": "text dialect",  # RPTINTR
    b"MSTA": "dialect of 2015",  # MSTACK
    b"DMRC": "gateway dialect",
    b"DMRP": "gateway dialect",
    b"DMRB": "gateway dialect",
    b"DMRT": "trunking dialect",
    b"DTCL": "trunking dialect",
    b"DTCK": "trunking dialect",
    b"DTCC": "trunking dialect",
    b"DTCO": "trunking dialect",
    b"DTCP": "trunking dialect",
    b"DTCA": "trunking dialect",
    b"DTCN": "trunking dialect",
    b"DTCS": "trunking dialect",
}
