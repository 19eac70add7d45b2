"""
The packets of OpenBridge as another program makes them, written from their published layouts alone,
and a bridge that is tested with them.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import Frame
from bmff.wire.openbridge.bridge import Bridge, Event, Outbox, Terms
from bmff.wire.openbridge.enhanced import EnhancedBridge
from bmff.wire.openbridge.packets import Origin
from bmff.wire.openbridge.plain import PlainBridge
from bmff.wire.openbridge.signature import Signature

PASSPHRASE = b"passw0rd"
OURS, THEIRS = 2501, 3102
ADDRESS, ELSEWHERE = b"there", b"elsewhere"
WALL = 1_700_000_000.0  # seconds since 1970
BURST = bytes(range(33))

VOICE_HEADER, VOICE, TERMINATOR = 0x21, 0x01, 0x22


def cut(passphrase: bytes) -> bytes:
    """
    The key of a passphrase: 20 bytes, filled up with NUL.
    """
    return (passphrase + 20 * b"\0")[:20]


def fields(
    sequence: int,
    server: int = THEIRS,
    *,
    source: int = 2340001,
    destination: int = 2350,
    flags: int = VOICE,
    stream: int = 0x01020304,
    burst: bytes = BURST,
) -> bytes:
    """
    What follows the tag of DMRD and DMRE alike, 49 bytes.
    """
    addresses = source.to_bytes(3, "big") + destination.to_bytes(3, "big")
    return struct.pack(">B6sIBI33s", sequence, addresses, server, flags, stream, burst)


def plain(*arguments: int, key: bytes = PASSPHRASE, **more: Any) -> bytes:
    """
    DMRD, 73 bytes, as hblink3 makes it.
    """
    data = b"DMRD" + fields(*arguments, **more)
    return data + hmac.new(key[:20], data, hashlib.sha1).digest()


def enhanced(
    *arguments: int,
    key: bytes = PASSPHRASE,
    time: float = WALL,
    stamp: bytes = b"",
    version: int = 5,
    origin: tuple[int, int, int] = (3102, 310201, 1),
    quality: bytes = b"\x03\x47",
    **more: Any,
) -> bytes:
    """
    DMRE, 89 bytes in version 5 and 85 in version 4, as RYSEN makes it.

    @param time: seconds since 1970.
    @param stamp: the same as it is sent, if it is to be exact.
    @param origin: server, repeater, hops.
    """
    server, repeater, hops = origin
    data = b"DMRE" + fields(*arguments, **more) + quality
    data += bytes((version,)) + (stamp or round(time * 1e9).to_bytes(8, "big"))
    data += server.to_bytes(4, "big")
    if version >= 5:
        data += repeater.to_bytes(4, "big")
    data += bytes((hops,))
    return data + hashlib.blake2b(data, key=cut(key), digest_size=16).digest()


def control(tag: bytes, said: bytes = b"", *, key: bytes = PASSPHRASE) -> bytes:
    """
    BCKA, BCVE or BCSQ.
    """
    signed = said if tag == b"BCVE" else tag + said
    return tag + said + hmac.new(cut(key), signed, hashlib.sha1).digest()


class BridgeTestCase(SynchronousTestCase):
    """
    One bridge whose time the test says.

    @ivar heard: the frames that came over it.
    @ivar outbox: what it sends.
    @ivar now: monotonic seconds; the wall clock goes with it.
    """

    def setUp(self) -> None:
        self.now = 1000.0
        self.heard: list[Frame] = []
        self.origins: list[Origin] = []
        self.outbox: Outbox = []
        self.wanted = True

    def plainBridge(self, passphrase: bytes = PASSPHRASE, **terms: Any) -> PlainBridge:
        """
        A bridge of the plain protocol.
        """
        signature = Signature(passphrase)
        bridge = PlainBridge(Terms(OURS, THEIRS, **terms), signature, self.outbox)
        self.use(bridge)
        return bridge

    def enhancedBridge(
        self, passphrase: bytes = PASSPHRASE, begun: bool = True, **terms: Any
    ) -> EnhancedBridge:
        """
        A bridge of the enhanced protocol.

        @param begun: whether it has said already that it is there.
        """
        signature = Signature(passphrase)
        bridge = EnhancedBridge(Terms(OURS, THEIRS, **terms), signature, self.outbox)
        self.use(bridge)
        if begun:
            bridge.timeout(self.now)
            self.outbox.clear()
        return bridge

    def use(self, bridge: Bridge) -> None:
        """
        Take a bridge into use.
        """
        bridge.admit = self.admit
        bridge.useAddresses((ADDRESS,), self.now)

    def admit(self, frame: Frame, origin: Origin) -> Any:
        """
        Let a stream in.
        """
        self.origins.append(origin)
        return self.take if self.wanted else None

    def take(self, frame: Frame, now: float) -> None:
        """
        Hear a frame.
        """
        self.heard.append(frame)

    def give(self, bridge: Bridge, *packets: bytes, pitch: float = 0.0) -> tuple[Event, ...]:
        """
        Give packets to a bridge.

        @param pitch: seconds after each.
        """
        events: tuple[Event, ...] = ()
        for packet in packets:
            events += bridge.receive(packet, self.now, WALL + self.now - 1000.0)
            self.wait(bridge, pitch)
        return events

    def wait(self, bridge: Bridge, seconds: float) -> tuple[Event, ...]:
        """
        Let time pass.
        """
        end = self.now + seconds
        events: tuple[Event, ...] = ()
        while bridge.deadline() <= end:
            self.now = max(self.now, bridge.deadline())
            events += bridge.timeout(self.now)
        self.now = end
        return events

    def sent(self) -> list[bytes]:
        """
        What was sent since this was last asked.
        """
        sent = [data for data, _ in self.outbox]
        self.outbox.clear()
        return sent
