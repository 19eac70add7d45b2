"""
How many OpenBridge frames a second one processor takes in: receive, verify, see that each is new,
route.

Beside it runs a plain loop that does for each frame what OpenBridge servers begin with: recvfrom,
hmac.digest, struct; it keeps nothing and routes nothing. For the enhanced protocol the loop has
blake2b in place of the HMAC. The frames wait in the socket's buffer before the time begins.
All of it is in one process on one processor, in turn; what counts is the time that the process had
it for, as other programs want it too.
"""

from __future__ import annotations

import gc
import hmac
import os
import socket
import struct
import time
from hashlib import blake2b
from statistics import median
from typing import Any

from twisted.internet.task import Clock

from benchmarks._report import Report, arguments
from bmff.dmr.frame import VOICE_SYNC, Frame
from bmff.protocols.openbridge import BridgeSettings, OpenBridge
from bmff.protocols.turn import Turn
from bmff.router.router import Router
from bmff.sockets.datagrams import DatagramPort
from bmff.wire.openbridge.bridge import Terms
from bmff.wire.openbridge.packets import EnhancedFrame, Origin, PlainFrame
from bmff.wire.openbridge.signature import Signature

CALLS = 100
FRAMES = 20  # of each call in one round
KEY = b"a passphrase"
OURS, THEIRS = 2501, 2621
BUFFER = 16 << 20  # bytes
_PLAIN = struct.Struct(">4sB3s3sIB4s33s20s")
_ENHANCED = struct.Struct(">4sB3s3sIB4s33sBBBQIIB16s")


class ReadingClock(Clock):
    """
    A reactor whose descriptors are read by hand.
    """

    def addReader(self, reader: object) -> None:
        pass

    def removeReader(self, reader: object) -> None:
        pass

    def seconds(self) -> float:
        return time.monotonic()


class Ours:
    """
    A bridge on a real socket, with a router behind it.

    @ivar target: where it is.
    """

    def __init__(self, enhanced: bool, sender: socket.socket) -> None:
        clock: Any = ReadingClock()
        self.router = Router(lambda event: None, talkLimit=0.0)
        turn = Turn(clock, self.router)
        self.openBridge = OpenBridge(clock, turn, time.time, lambda trunk, state: None)
        receiver = self.openBridge.port(8)
        self.port = DatagramPort(clock, "127.0.0.1", 0, receiver, size=128, receiveBuffer=BUFFER)
        receiver.transport = self.port
        self.target = (self.port.host, self.port.port)
        settings = BridgeSettings("theirs", "theirs", Terms(OURS, THEIRS), enhanced)
        trunk = self.openBridge.addBridge(settings, KEY)
        host, port = sender.getsockname()
        place = socket.inet_aton(host)
        family = struct.pack("=H", socket.AF_INET)
        self.openBridge.useAddresses(trunk, (family + struct.pack(">H", port) + place,))

    def drain(self, count: int) -> float:
        """
        Frames a second.
        """
        before = self.router.framesRouted
        begin = time.process_time()
        while self.port.received < count:
            self.port.doRead()
        seconds = time.process_time() - begin
        self.port.received = 0
        routed = self.router.framesRouted - before
        if routed != count:
            wrong = [bridge.dropped for bridge in self.openBridge.exchange]
            raise SystemExit(f"openbridge: {routed} of {count} were routed: {wrong}")
        return count / seconds


class Theirs:
    """
    A plain loop.

    @ivar target: where it is.
    """

    def __init__(self, enhanced: bool) -> None:
        self._enhanced = enhanced
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, 33, BUFFER)  # SO_RCVBUFFORCE
        self.target = self._socket.getsockname()

    def drain(self, count: int) -> float:
        """
        Frames a second.
        """
        key = KEY.ljust(20, b"\0")
        receive = self._socket.recvfrom
        body = 73 if self._enhanced else 53
        layout = _ENHANCED if self._enhanced else _PLAIN
        begin = time.process_time()
        for _ in range(count):
            data, _ = receive(2048)
            if self._enhanced:
                code = blake2b(data[:body], key=key, digest_size=16).digest()
            else:
                code = hmac.digest(key, data[:body], "sha1")
            if not hmac.compare_digest(code, data[body:]):
                raise SystemExit("openbridge: the reference is broken")
            fields = layout.unpack(data)
            int.from_bytes(fields[2], "big")
            int.from_bytes(fields[3], "big")
        return count / (time.process_time() - begin)


def packets(first: int, enhanced: bool) -> list[bytes]:
    """
    The next frames of each call.
    """
    signature = Signature(KEY)
    made = []
    for sequence in range(first, first + FRAMES):
        for call in range(CALLS):
            frame = Frame.make(
                sequence=sequence & 0xFF,
                source=1 + call,
                destination=10_000 + call,
                flags=VOICE_SYNC,
                stream=1 + call,
                burst=sequence.to_bytes(33, "big"),
            )
            packet: PlainFrame | EnhancedFrame = PlainFrame(THEIRS, frame)
            if enhanced:
                packet = EnhancedFrame(THEIRS, frame, time.time_ns(), Origin(THEIRS))
            made.append(packet.encode(signature))
    return made


def main() -> None:
    """
    Measure and print.
    """
    asked = arguments(__doc__.strip().splitlines()[0], rounds=25)
    os.sched_setaffinity(0, {0})
    gc.set_threshold(50_000, 20, 100)
    found: dict[str, list[float]] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        ends = {
            (name, enhanced): Ours(enhanced, sender) if name == "ours" else Theirs(enhanced)
            for name in ("ours", "loop")
            for enhanced in (False, True)
        }
        gc.freeze()  # as a node does when it has started
        for turn in range(asked.rounds + 1):
            for (name, enhanced), end in ends.items():
                sent = packets(turn * FRAMES, enhanced)
                for data in sent:
                    sender.sendto(data, end.target)
                rate = end.drain(len(sent))
                if turn:  # the first warms everything up
                    label = f"{name}, {'enhanced' if enhanced else 'plain'}"
                    found.setdefault(label, []).append(rate)
    rates = {label: median(each) for label, each in found.items()}
    Report(
        "openbridge",
        {
            case: rates[f"ours, {kind}"] / rates[f"loop, {kind}"]
            for case, kind in (("openbridge", "plain"), ("enhanced", "enhanced"))
        },
        {
            "bar": "openbridge >= 1.0",
            **{f"frames a second, {label}": round(rate) for label, rate in rates.items()},
        },
        "a plain loop of recvfrom, hmac.digest (enhanced: blake2b) and struct",
    ).show(asked.json)


if __name__ == "__main__":
    main()
