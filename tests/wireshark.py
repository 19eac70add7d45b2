"""
What the tests of C{etc/wireshark/fastforward.lua} share: packets, and tshark to show them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from subprocess import run
from typing import Any, Final

from bmff.dmr.frame import Frame
from bmff.dmr.ranges import Ranges
from bmff.testing.requirements import requires
from bmff.wire.fastforward import link
from bmff.wire.fastforward.interest import Told, encode
from bmff.wire.fastforward.keylog import CLEAR
from bmff.wire.fastforward.messages import (
    FRAME_SIZE,
    TIME_SIZE,
    Acknowledgement,
    Answer,
    Challenge,
    Copies,
    Goodbye,
    Measurement,
    Missing,
    Segment,
    encodeFrame,
)
from bmff.wire.fastforward.pulse import PROBE
from bmff.wire.fastforward.session import HEADER_SIZE
from tests.pcaps import ipv4, pcap
from tests.wire.fastforward.handshakes import INDEX, HandshakeCase

SCRIPT: Final = Path(__file__).parent.parent / "etc" / "wireshark" / "fastforward.lua"
COLUMN: Final = 'gui.column.format:"Info","%i"'
ROW: Final = 0x12345678
TIME: Final = (1_000_000).to_bytes(4, "big")
BURST: Final = bytes(range(33))
MEASUREMENT: Final = Measurement(
    *(4_000_000_000, 2, 3, 1 << 40, 5, 6, 7, 8, 9, 0xFEDCBA9876543210),
    *("192.0.2.1:54000", "udp,tcp,é"),
)


def segment(number: int, data: bytes, *, last: bool = True, row: int = ROW) -> bytes:
    """
    The message of a segment.
    """
    return Segment(row, 0xABCD, number, last, data).encode()


# One of each kind of message with which a packet can go on behind it.
MESSAGES: Final = {
    "segment 7: interest, whole: 2 talkgroups": segment(
        7, bytes((link.INTEREST,)) + encode(Told(3, True, [91, 26200], []))
    ),
    "segment 8: interest: 0 added, 0 removed, 1 ranges": segment(
        8, bytes((link.INTEREST,)) + encode(Told(4, False, [], [], Ranges([(100, 200)])))
    ),
    "acknowledgement 8": Acknowledgement(ROW, 8).encode(),
    "measurement": MEASUREMENT.encode(),
    "goodbye: the node stops": Goodbye("the node stops").encode(),
    "challenge": Challenge(0x0123456789ABCDEF).encode(),
    "probe": PROBE.encode(),
    "answer": Answer(0x0123456789ABCDEF).encode(),
    "missing 5 7 20 and all from 25": Missing(INDEX, (5, 7, 20), 25).encode(),
    "copies of packet 5: none": Copies(INDEX, 5, b"").encode(),
    "unknown message (kind 200), 3 bytes": b"\xc8\0\3abc",
}


def clear(*messages: bytes, index: int = INDEX, counter: int = 0) -> bytes:
    """
    A packet that was opened.
    """
    head = bytes((CLEAR,)) + index.to_bytes(4, "big") + counter.to_bytes(8, "big")
    return b"".join((head, TIME, *messages))


def frame(flags: int, *, destination: int = 91, rssi: int = 47) -> bytes:
    """
    The message of a frame.
    """
    made = Frame.make(
        sequence=5,
        source=2621001,
        destination=destination,
        flags=flags,
        stream=0xCAFE0001,
        burst=BURST,
        ber=3,
        rssi=rssi,
    )
    return encodeFrame(5, made)


def messagesIn(packet: bytes) -> list[int]:
    """
    Where the messages of a packet in the clear begin.
    """
    at, found = HEADER_SIZE + TIME_SIZE, []
    while at < len(packet):
        found.append(at)
        at += FRAME_SIZE if packet[at] == 1 else 3 + int.from_bytes(packet[at + 1 : at + 3], "big")
    return found


@requires("tshark")
class WiresharkCase(HandshakeCase):
    """
    Captures that tshark shows.
    """

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.capture = self.folder / "some.pcap"

    def tshark(self, *options: str) -> str:
        """
        What tshark prints of the capture; an error of the script is none of it.
        """
        command = ["tshark", "-X", f"lua_script:{SCRIPT}", "-r", str(self.capture), *options]
        done = run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in (done.stdout, done.stderr):
            self.assertNotIn("Lua", text)
        return done.stdout

    def words(self, packets: Sequence[bytes], *options: str) -> list[str]:
        """
        The Info column of packets of IP.
        """
        self.capture.write_bytes(pcap(packets))
        return self.tshark("-o", COLUMN, *options).rstrip("\n").split("\n")

    def details(self, *options: str) -> list[dict[str, Any]]:
        """
        What of FastForward is in the packets of the capture, by field.
        """
        text = self.tshark("-T", "json", "--no-duplicate-keys", *options)
        layers = [packet["_source"]["layers"] for packet in json.loads(text)]
        return [layer.get("fastforward", {}) for layer in layers]

    def fields(self, *packets: bytes) -> list[dict[str, Any]]:
        """
        The same for packets of FastForward over UDP.
        """
        self.capture.write_bytes(pcap(map(ipv4, packets)))
        return self.details()

    def shows(self, details: dict[str, Any], **expected: object) -> None:
        """
        Assert what fields there are.

        @param expected: the end of each field's name, with C{__} for the full stops.
        """
        for name, value in expected.items():
            field = f"fastforward.{name.replace('__', '.')}"
            self.assertEqual(details.get(field), value, f"{field} in {details}")
