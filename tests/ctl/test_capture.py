"""
Tests of L{bmff.ctl.capture}.
"""

from __future__ import annotations

from io import BytesIO
from struct import pack

from twisted.trial.unittest import SynchronousTestCase

from bmff.ctl.capture import copyCapture
from bmff.errors import ConfigurationError
from bmff.testing.mutation import mutations
from tests.pcaps import (
    ETHERNET,
    RAW,
    block,
    enhanced,
    interface,
    oldPacket,
    pcap,
    readPcap,
    section,
    simple,
)

PACKETS = (b"first", b"the second", b"", b"4444")
NAMES = block(4, b"names of hosts, which nobody here reads.")


class CaptureTests(SynchronousTestCase):
    """
    Copies of captures.

    @ivar seen: the link type, the packet and the missing bytes of each packet.
    """

    def setUp(self) -> None:
        self.seen: list[tuple[int, bytes, int]] = []

    def copy(self, data: bytes, *, cut: bool = False) -> bytes:
        """
        A copy in which each packet is without its first two bytes.

        @param cut: whether the file must be found to end in the middle of a record.
        """
        target = BytesIO()

        def change(linkType: int, packet: bytes, missing: int) -> bytes:
            self.seen.append((linkType, packet, missing))
            return packet[2:]

        self.assertEqual(copyCapture(BytesIO(data), target, change, "some.pcap"), not cut)
        return target.getvalue()

    def refused(self, data: bytes) -> str:
        """
        Why a file is refused.
        """
        with self.assertRaises(ConfigurationError) as caught:
            self.copy(data)
        return str(caught.exception)

    def test_pcap(self) -> None:
        """
        In the older format, in either byte order, times stay and sizes are those of the packets.
        """
        for order in "<>":
            self.seen.clear()
            copied = self.copy(
                pcap(PACKETS, ETHERNET, order=order),
            )
            self.assertEqual(copied, pcap([each[2:] for each in PACKETS], ETHERNET, order=order))
            self.assertEqual(self.seen, [(ETHERNET, each, 0) for each in PACKETS])

    def test_nanoseconds(self) -> None:
        """
        Times in nanoseconds stay what they are, as the file says them so.
        """
        data = pcap(PACKETS)
        nano = b"\x4d\x3c\xb2\xa1" + data[4:]
        self.assertEqual(self.copy(nano), nano[:4] + self.copy(data)[4:])

    def test_checksumBits(self) -> None:
        """
        A link type that says what its frames end with is read as the link type that it is.
        """
        data = bytearray(pcap(PACKETS, ETHERNET))
        data[23] = 0x54
        self.assertEqual(self.copy(bytes(data))[20:24], bytes((1, 0, 0, 0x54)))
        self.assertEqual({linkType for linkType, *_ in self.seen}, {ETHERNET})

    def test_limit(self) -> None:
        """
        What was not captured of a packet is told, and is missing afterwards too.
        """
        copied = self.copy(pcap([b"a long packet"], limit=6))
        self.assertEqual(self.seen, [(RAW, b"a long", 7)])
        self.assertEqual([(each.size, each.data) for each in readPcap(copied)], [(11, b"long")])

    def test_pcapng(self) -> None:
        """
        In the newer format packets of every kind of block are changed, each with the link type of
        its own interface; everything else stays, comments too. Sections may differ in byte order.
        """
        data, expected, seen = [], [], []
        for order in "<>":
            fixed = section(order) + interface(ETHERNET, order, 9) + interface(RAW, order)
            data += [
                fixed,
                block(4, b"name", order),
                enhanced(b"first", 1, order, comment=b"hear this..."),
                enhanced(b"second", 0, order, missing=5),
                oldPacket(b"third", 1, order),
                simple(b"fourth", order),
                simple(b"of nine b", order, missing=3),
                block(5, b"statistics..", order),
            ]
            expected += [
                fixed,
                block(4, b"name", order),
                enhanced(b"rst", 1, order, comment=b"hear this..."),
                enhanced(b"cond", 0, order, missing=5),
                oldPacket(b"ird", 1, order),
                simple(b"urth", order),
                simple(b" nine b", order, missing=3),
                block(5, b"statistics..", order),
            ]
            seen += [
                (RAW, b"first", 0),
                (ETHERNET, b"second", 5),
                (RAW, b"third", 0),
                (ETHERNET, b"fourth", 0),
                (ETHERNET, b"of nine b", 3),
            ]
        self.assertEqual(self.copy(b"".join(data)), b"".join(expected))
        self.assertEqual(self.seen, seen)

    def test_cut(self) -> None:
        """
        Of a file that ends in the middle of a record everything before that is copied.
        """
        for records, head in (
            ([pcap([each])[24:] for each in PACKETS[:2]], pcap([])),
            ([enhanced(each) for each in PACKETS[:2]], section() + interface(RAW)),
        ):
            ends = [len(head), len(head) + len(records[0])]
            whole = head + b"".join(records)
            first = self.copy(head + records[0])
            for size in range(len(head), len(whole)):
                copied = self.copy(whole[:size], cut=size not in ends)
                self.assertEqual(copied, first if size >= ends[1] else head)

    def test_noCapture(self) -> None:
        """
        A file of another kind is refused by its name, as is an empty one.
        """
        for data in (b"", b"\x1f\x8b\x08\x00 zipped", b"network = 1\n", b"\xa1\xb2"):
            self.assertEqual(self.refused(data), "some.pcap: is no capture file (pcap or pcapng)")

    def test_broken(self) -> None:
        """
        A capture file whose sizes make no sense is refused with what is wrong.
        """
        head = section() + interface(RAW)
        for data, reason in (
            (pcap([]) + pack("<IIII", 0, 0, 1 << 31, 4), "a record of 2147483648 bytes"),
            (section()[:8] + bytes(20), "a section without a byte order"),
            (head + pack("<II", 6, 13), "a block of 13 bytes"),
            (head + pack("<II", 6, 8), "a block of 8 bytes"),
            (head + pack("<II", 6, 1 << 31), "a record of 2147483636 bytes"),
            (head + enhanced(b"x")[:-4] + bytes(4), "a block that ends with another size"),
            (head + block(6, bytes(8)), "a block that is too short"),
            (head + block(6, bytes(12) + pack("<II", 9, 9)), "a packet that is longer than"),
            (head + enhanced(b"x", number=1), "a packet of an interface that"),
            (section() + simple(b"x"), "a packet of an interface that"),
        ):
            self.assertIn(f"some.pcap: is broken: it has {reason}", self.refused(data))

    def test_mutations(self) -> None:
        """
        Whatever a file is, it is copied, found to be cut, or refused.
        """
        captures = [
            pcap(PACKETS),
            section() + interface(RAW) + enhanced(b"first") + NAMES + oldPacket(b"x"),
            section(">") + interface(RAW, ">") + simple(b"first", ">"),
        ]
        outcomes = {True: 0, False: 0, None: 0}
        for data in mutations(1, captures, 5000):
            try:
                whole = copyCapture(BytesIO(data), BytesIO(), lambda *each: each[1], "some.pcap")
            except ConfigurationError:
                outcomes[None] += 1
            else:
                outcomes[whole] += 1
        self.assertTrue(all(count > 100 for count in outcomes.values()), outcomes)
