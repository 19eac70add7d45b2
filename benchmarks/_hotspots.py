"""
The hotspots of many units: which there are, and how one socket serves all that talk or hear at one.

Frames are laid out once for a call, as sendmmsg(2) takes them, and those that are heard are only
counted: the node is to be measured, and not what sends to it.
"""

from __future__ import annotations

import ctypes
import socket
from dataclasses import dataclass
from typing import Final

from bmff.dmr.frame import SLOT_2
from bmff.sockets.addresses import packAddress
from bmff.sockets.mmsg import Iovec, Mmsghdr, ReceiveTable, sendmmsg
from bmff.wire.homebrew import (
    Acknowledge,
    Key,
    Login,
    Message,
    OptionsText,
    Ping,
    Station,
    decode,
    keyDigest,
    packID,
)

CROSSING: Final = 5  # every how many-th call has its listener at the next node
MOST_CALLS: Final = 20_000  # of a unit; so far apart are the IDs of units
PATIENCE: Final = 10.0  # seconds for an answer
BATCH: Final = 256  # datagrams that are received at once
FIRST_ADDRESS: Final = 127 << 24 | 1 << 16  # of hotspots, one after the other
BUFFER: Final = 1 << 20  # bytes
_BODY: Final = 50  # bytes of a datagram that stay the same in a call
_IP_PKTINFO: Final = 8  # ip(7); not in Python's socket module


class _Control(ctypes.Structure):
    # A cmsghdr and the address to send from, which the tables of bmff.sockets have not.
    _fields_ = [
        ("length", ctypes.c_size_t),
        ("level", ctypes.c_int),
        ("type", ctypes.c_int),
        ("pktinfo", ctypes.c_ubyte * 12),
    ]


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a unit is in its group.

    @ivar number: of the unit, from 0.
    @ivar units: how many there are.
    @ivar cpu: its processor.
    @ivar calls: how many it makes, an even number.
    """

    number: int
    units: int
    cpu: int
    calls: int

    def talkgroup(self, call: int, crossing: bool) -> int:
        """
        What a call of this unit is made to. Those that cross have others, so that each is heard at
        one node only.
        """
        return (2 if crossing else 1) * 1_000_000 + self.number * MOST_CALLS + call

    def hotspot(self, kind: int, number: int) -> int:
        """
        The ID of a hotspot.

        @param kind: 0 for those that talk, 1 for those that hear them, 2 for those that hear the
            unit before.
        @param number: which pair of calls it makes or hears.
        """
        return 2_000_000 + self.number * 100_000 + kind * 30_000 + number

    def radio(self, call: int) -> int:
        """
        The ID of the radio that makes a call.
        """
        return 1_000_000 + self.number * MOST_CALLS + call

    @property
    def before(self) -> Place:
        """
        The unit whose crossing calls are heard here.
        """
        return Place((self.number - 1) % self.units, self.units, self.cpu, self.calls)


def crosses(call: int) -> bool:
    """
    Whether a call may be one of those that cross; both of a hotspot may, or none.
    """
    return call // 2 % CROSSING == 0


class Hotspots:
    """
    Duplex hotspots behind one socket. Each has an address of its own within 127.0.0.0/8, since a
    node tells hotspots apart by their addresses: so one system call does for many of them.

    @ivar socket: the socket.
    """

    def __init__(self, master: tuple[str, int], password: bytes) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        # It has no single address to be bound to, and hears this host alone all the same.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        self.socket.bind(("0.0.0.0", 0))
        self.socket.settimeout(PATIENCE)
        self._master = master
        self._password = password
        self._origins: dict[int, bytes] = {}

    def logIn(self, peerID: int, options: str = "") -> bytes:
        """
        Log one more in.

        @return: where it sends from, a C{struct in_pktinfo} of ip(7).
        """
        address = (FIRST_ADDRESS + len(self._origins)).to_bytes(4, "big")
        self._origins[peerID] = origin = bytes(4) + address + bytes(4)
        nonce = self._ask(Login(peerID), origin)
        self._ask(Key(peerID, keyDigest(nonce, self._password)), origin)
        self._ask(Station(peerID, "BENCH", 435_000_000, 430_000_000, slots=3), origin)
        if options:
            self._ask(OptionsText(peerID, options), origin)
        return origin

    def ping(self) -> None:
        """
        Have all of them stay logged in.
        """
        for peerID, origin in self._origins.items():
            self._send(Ping(peerID), origin)

    def _ask(self, message: Message, origin: bytes) -> bytes:
        self._send(message, origin)
        answer = decode(self.socket.recv(512))
        assert isinstance(answer, Acknowledge), answer
        return answer.value

    def _send(self, message: Message, origin: bytes) -> None:
        control = [(socket.IPPROTO_IP, _IP_PKTINFO, origin)]
        self.socket.sendmsg([message.encode()], control, 0, self._master)


class Listeners(Hotspots):
    """
    The hotspots that hear the calls of a unit.

    @ivar heard: frames; every datagram is taken for one.
    """

    def __init__(
        self, place: Place, foreign: bool, master: tuple[str, int], password: bytes
    ) -> None:
        """
        @param foreign: whether it is the calls of the unit before that cross, or those of this one.
        """
        super().__init__(master, password)
        origin = place.before if foreign else place
        for pair in range(place.calls // 2):
            if crosses(2 * pair) or not foreign:
                groups = [origin.talkgroup(2 * pair + slot, foreign) for slot in (0, 1)]
                self.logIn(place.hotspot(1 + foreign, pair), f"TS1={groups[0]};TS2={groups[1]}")
        self.heard = 0
        self._table = ReceiveTable(self.socket.family, BATCH, 64)
        self._table.attach(self.socket)

    def listen(self) -> int:
        """
        Take what is there.

        @return: how many frames.
        """
        count = len(self._table.receive())
        self.heard += count
        return count


class Talkers(Hotspots):
    """
    The hotspots that make the calls of a unit, two each, with the frames as the kernel takes them:
    only the sequence number is written anew, once for all calls.
    """

    def __init__(self, place: Place, master: tuple[str, int], password: bytes) -> None:
        super().__init__(master, password)
        self._place = place
        self._name = (ctypes.c_ubyte * 16)(*packAddress(*master))
        self._prefix = (ctypes.c_ubyte * 5)(*b"DMRD\0")
        self._bodies = (ctypes.c_char * _BODY * place.calls)()
        self._vectors = (Iovec * 2 * place.calls)()
        self._controls = (_Control * place.calls)()
        self._rows = (Mmsghdr * place.calls)()
        for call, row in enumerate(self._rows):
            if call % 2 == 0:
                pktinfo = self.logIn(place.hotspot(0, call // 2))
            length = _Control.pktinfo.offset + len(pktinfo)
            self._controls[call] = _Control(length, socket.IPPROTO_IP, _IP_PKTINFO, tuple(pktinfo))
            self._vectors[call][0] = Iovec(ctypes.addressof(self._prefix), len(self._prefix))
            self._vectors[call][1] = Iovec(ctypes.addressof(self._bodies[call]), _BODY)
            header = row.header
            header.name, header.nameLength = ctypes.addressof(self._name), len(self._name)
            header.vectors, header.vectorCount = ctypes.addressof(self._vectors[call]), 2
            header.control = ctypes.addressof(self._controls[call])
            header.controlLength = ctypes.sizeof(_Control)

    def begin(self, stream: int, crossing: bool, kind: int) -> None:
        """
        Have the next frames belong to these calls.

        @param stream: the ID of the first one.
        @param crossing: whether a share of them is heard at the next node.
        @param kind: their flags but for the slot.
        """
        for call, body in enumerate(self._bodies):
            talkgroup = self._place.talkgroup(call, crossing and crosses(call))
            body.raw = (
                self._place.radio(call).to_bytes(3, "big")
                + talkgroup.to_bytes(3, "big")
                + packID(self._place.hotspot(0, call // 2))
                + bytes((kind | SLOT_2 * (call % 2),))
                + (stream + call).to_bytes(4, "big")
                + bytes(_BODY - 15)  # burst, BER and RSSI
            )

    def send(self, sequence: int, first: int, count: int) -> None:
        """
        Send a frame of each of some calls. What the kernel does not take is lost like any other.

        @param sequence: the frames' number, modulo 256.
        @param first: the first call.
        """
        self._prefix[4] = sequence & 0xFF
        rows = ctypes.byref(self._rows, first * ctypes.sizeof(Mmsghdr))
        sendmmsg(self.socket.fileno(), rows, count, 0)
