"""
Tests of L{bmff.wire.openbridge.plain}, L{bmff.wire.openbridge.enhanced} and
L{bmff.wire.openbridge.streams}: what bridges take, what they refuse and what they say.
"""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import Frame
from bmff.dmr.ranges import Ranges
from bmff.testing.mutation import mutations
from bmff.wire.openbridge.bridge import Lost, Moved, Opened
from bmff.wire.openbridge.packets import EnhancedFrame, Origin, decode
from bmff.wire.openbridge.signature import Signature
from bmff.wire.openbridge.streams import LARGEST_LIVE, Memory
from tests.wire.openbridgecase import (
    ADDRESS,
    ELSEWHERE,
    OURS,
    PASSPHRASE,
    TERMINATOR,
    VOICE_HEADER,
    WALL,
    BridgeTestCase,
    control,
    enhanced,
    plain,
)


def call(make: Any, count: int = 10, **more: Any) -> list[bytes]:
    """
    The packets of a call.
    """
    flags = [VOICE_HEADER, *(number % 6 for number in range(count - 2)), TERMINATOR]
    return [make(number & 0xFF, flags=each, **more) for number, each in enumerate(flags)]


class PlainTests(BridgeTestCase):
    """
    The plain protocol.
    """

    def test_up(self) -> None:
        """
        A bridge is up as soon as its address is known, and no longer.
        """
        bridge = self.plainBridge()
        self.assertTrue(bridge.up)
        self.assertEqual(bridge.useAddresses((), 1.0), (Lost(bridge, "it has no address"),))
        self.assertEqual(bridge.useAddresses((ADDRESS,), 1.0), (Opened(bridge),))
        self.assertEqual(bridge.useAddresses((ELSEWHERE,), 1.0), (Moved(bridge),))
        self.assertEqual(bridge.useAddresses((ADDRESS, ELSEWHERE), 1.0), ())
        self.assertEqual(bridge.address, ELSEWHERE)

    def test_frames(self) -> None:
        """
        The frames of a call are taken as they are.
        """
        bridge = self.plainBridge()
        packets = call(plain)
        self.assertEqual(self.give(bridge, *packets, pitch=0.06), ())
        self.assertEqual([frame.addressing for frame in self.heard], [p[4:11] for p in packets])
        self.assertEqual(
            [frame.body for frame in self.heard], [p[15:53] + b"\0\0" for p in packets]
        )

    def test_replayed(self) -> None:
        """
        The same packets are not taken again: not at once, not 6 s later, not an hour later, not in
        another order, not without the first ones.
        """
        bridge = self.plainBridge()
        packets = call(plain, 60)
        self.give(bridge, *packets, pitch=0.06)
        self.assertEqual(len(self.heard), 60)
        for pause in (0.0, 6.0, 3600.0, 6 * 3600.0):
            self.wait(bridge, pause)
            self.give(bridge, *packets, pitch=0.06)
            self.give(bridge, *packets[30:], pitch=0.06)
            self.give(bridge, *reversed(packets))
        self.assertEqual(len(self.heard), 60)

    def test_replayedWithin(self) -> None:
        """
        Within a long call none of its packets is taken a second time in its place or another,
        whatever its sequence number.
        """
        bridge = self.plainBridge()
        packets = [
            plain(number & 0xFF, flags=number % 6, burst=number.to_bytes(33, "big"))
            for number in range(1500)
        ]
        random = Random(5)
        for number, packet in enumerate(packets):
            self.give(bridge, packet, pitch=0.06)
            old = packets[random.randrange(max(0, number - 380), number + 1)]
            self.give(bridge, old)
        self.assertEqual(len(self.heard), 1500)
        self.assertEqual(bridge.dropped["replayed"], 1500)
        # Long after, too, unless it pretends to be the very next frame.
        self.give(bridge, *(p for p in packets if p[4] != 1500 & 0xFF))
        self.assertEqual(len(self.heard), 1500)

    def test_silence(self) -> None:
        """
        A call that repeats itself, as silence does every 768 frames, is heard whole.
        """
        bridge = self.plainBridge()
        packets = [plain(number & 0xFF, flags=number % 6) for number in range(3000)]
        self.assertEqual(packets[0], packets[768])
        self.give(bridge, *packets, pitch=0.06)
        self.assertEqual(len(self.heard), 3000)

    def test_unfinished(self) -> None:
        """
        A call that just stopped is over as well: its rest does not come back.
        """
        bridge = self.plainBridge()
        packets = call(plain, 60)
        self.give(bridge, *packets[:30], pitch=0.06)
        self.wait(bridge, 3.5)
        self.give(bridge, *packets, pitch=0.06)
        self.assertEqual(len(self.heard), 30)
        self.assertEqual(bridge.dropped["stream that is over"], 60)

    def test_pause(self) -> None:
        """
        A stream goes on after 1.5 s without a frame.
        """
        bridge = self.plainBridge()
        packets = call(plain, 60)
        self.give(bridge, *packets[:30], pitch=0.06)
        self.wait(bridge, 1.5)
        self.give(bridge, *packets[30:], pitch=0.06)
        self.assertEqual(len(self.heard), 60)

    def test_ourOwn(self) -> None:
        """
        What we sent does not come back, whichever ID it carries.
        """
        bridge = self.plainBridge(checkID=False)
        (packet, *_) = call(plain)
        bridge.sends(Frame(packet[4:11], packet[15:53] + b"\0\0"), self.now)
        self.give(bridge, *call(plain))
        self.assertEqual((self.heard, bridge.dropped["our own stream"]), ([], 10))

    def test_many(self) -> None:
        """
        There may be many streams at once, to a limit, and each ends by itself.
        """
        bridge = self.plainBridge()
        for number in range(LARGEST_LIVE + 5):
            self.give(bridge, plain(0, stream=1 + number))
        self.assertEqual(len(self.heard), LARGEST_LIVE)
        self.assertEqual(bridge.dropped["too many streams"], 5)
        self.wait(bridge, 4.0)
        self.give(bridge, plain(0, stream=99999))
        self.assertEqual(len(self.heard), LARGEST_LIVE + 1)

    def test_refused(self) -> None:
        """
        What has another key, ID, length or tag is dropped and counted.
        """
        bridge = self.plainBridge()
        for packet, reason in (
            (plain(0, key=b"another"), "wrong signature"),
            (plain(0, 9999), "wrong ID"),
            (plain(0)[:-1], "wrong length"),
            (enhanced(0), "enhanced packet on a plain bridge"),
            (control(b"BCKA"), "enhanced packet on a plain bridge"),
            (b"DMRF", "dead dialect"),
            (b"", "unknown tag"),
        ):
            self.give(bridge, packet)
            self.assertEqual(bridge.dropped, {reason: 1})
            bridge.dropped.clear()
        self.assertEqual((self.heard, self.outbox), ([], []))

    def test_anyID(self) -> None:
        """
        Where it is said so, the ID does not matter.
        """
        bridge = self.plainBridge(checkID=False)
        self.give(bridge, plain(0, 9999))
        self.assertEqual(len(self.heard), 1)

    def test_slots(self) -> None:
        """
        All frames are on slot 1, both ways, unless both slots are spoken of.
        """
        for both, slots in ((False, 1), (True, 2)):
            bridge = self.plainBridge(bothSlots=both)
            self.give(bridge, plain(0, flags=0x90, stream=10 + both))
            frame = self.heard.pop()
            self.assertEqual((frame.slot, frame.flags & 0x7F), (slots, 0x10))
            on2 = Frame(frame.addressing, b"\x90" + frame.body[1:])
            self.assertEqual(bridge.encode(on2)[15], 0x90 if both else 0x10)

    def test_filtered(self) -> None:
        """
        A stream that is not wanted is counted, and asked about once.
        """
        self.wanted = False
        bridge = self.plainBridge()
        self.give(bridge, *call(plain))
        self.assertEqual((len(self.origins), bridge.dropped["filtered"]), (1, 10))
        self.assertEqual(self.outbox, [])


class EnhancedTests(BridgeTestCase):
    """
    The enhanced protocol.
    """

    def test_signs(self) -> None:
        """
        A bridge says at once and every 10 s that it is there, and every 60 s what it speaks.
        """
        bridge = self.enhancedBridge(begun=False)
        self.wait(bridge, 0.0)
        self.assertEqual(self.sent(), [control(b"BCKA"), control(b"BCVE", b"\5")])
        self.wait(bridge, 59.5)
        self.assertEqual(self.sent(), [control(b"BCKA")] * 5)
        self.wait(bridge, 1.0)
        self.assertEqual(self.sent(), [control(b"BCKA"), control(b"BCVE", b"\5")])

    def test_alive(self) -> None:
        """
        It is up for 60 s after a sign of life of the other end.
        """
        bridge = self.enhancedBridge()
        self.assertFalse(bridge.up)
        self.assertEqual(self.give(bridge, control(b"BCKA")), (Opened(bridge),))
        self.wait(bridge, 50.0)
        self.assertEqual(self.give(bridge, control(b"BCKA")), ())
        self.assertEqual(self.wait(bridge, 59.9), ())
        self.assertTrue(bridge.up)
        self.assertEqual(self.wait(bridge, 0.2), (Lost(bridge, "no sign of life"),))
        self.assertEqual(self.give(bridge, control(b"BCKA")), (Opened(bridge),))

    def test_frames(self) -> None:
        """
        Frames keep BER and RSSI, and tell where the call began.
        """
        bridge = self.enhancedBridge()
        self.give(bridge, *call(enhanced, origin=(2621, 262101, 3)))
        self.assertEqual({(one.ber, one.rssi) for one in self.heard}, {(3, 71)})
        self.assertEqual(self.origins, [Origin(2621, 262101, 3)])

    def test_version(self) -> None:
        """
        Whoever speaks version 4 is spoken to in version 4; versions that are dead are not spoken.
        """
        bridge = self.enhancedBridge()
        for packet, version in (
            (enhanced(0, version=4), 4),
            (control(b"BCVE", b"\5"), 5),
            (control(b"BCVE", b"\4"), 4),
            (control(b"BCVE", b"\2"), 4),
            (enhanced(1), 5),
            (control(b"BCVE", b"\7"), 5),
        ):
            self.give(bridge, packet)
            self.assertEqual(bridge.version, version)
            data = bridge.encode(self.heard[0], bridge.trailer(Origin(OURS, 77)), WALL)
            read = decode(data, Signature(PASSPHRASE))
            assert isinstance(read, EnhancedFrame)
            self.assertEqual((read.version, read.server, read.origin.hops), (version, OURS, 1))
        self.assertEqual(bridge.dropped["version too old"], 1)

    def test_age(self) -> None:
        """
        A frame that is older than 5 s, or as far ahead, is dropped; the limit can be set.
        """
        for limit in (5.0, 15.0):
            bridge = self.enhancedBridge(maximumAge=limit)
            for stream, age in enumerate((6.0, -6.0, 4.9, -4.9, 20.0, -20.0), 1):
                self.give(bridge, enhanced(0, stream=stream, time=WALL - age))
            self.assertEqual(len(self.heard), 2 if limit == 5.0 else 4)
            self.assertEqual(bridge.dropped["too old"], 2 if limit == 5.0 else 1)
            self.assertEqual(bridge.dropped["from the future"], 2 if limit == 5.0 else 1)
            self.heard.clear()

    def test_replayed(self) -> None:
        """
        The same packets are not taken again while they are still young.
        """
        bridge = self.enhancedBridge()
        packets = call(enhanced)
        self.give(bridge, *packets, *packets, *packets[3:])
        self.wait(bridge, 3.5)
        self.give(bridge, *packets[2:])
        self.assertEqual(len(self.heard), 10)

    def test_hops(self) -> None:
        """
        A frame that has crossed 10 bridges is dropped and quenched.
        """
        bridge = self.enhancedBridge()
        self.give(bridge, enhanced(0, origin=(2621, 0, 9), stream=1))
        self.assertEqual(len(self.heard), 1)
        self.give(bridge, enhanced(0, origin=(2621, 0, 10), stream=2))
        self.assertEqual((len(self.heard), bridge.dropped["too many hops"]), (1, 1))
        self.assertEqual(self.sent(), [control(b"BCSQ", bytes.fromhex("00092e00000002"))])

    def test_servers(self) -> None:
        """
        The server where a call began has an ID of 4 to 7 digits, and may have to be a known one.
        """
        for servers, taken in ((None, {1000, 9_999_999, 2621}), (Ranges([(2600, 2699)]), {2621})):
            bridge = self.enhancedBridge(servers=servers)
            self.origins.clear()
            for number, server in enumerate((0, 999, 1000, 9_999_999, 10_000_000, 2621), 1):
                self.give(bridge, enhanced(0, stream=number, origin=(server, 0, 1)))
            self.assertEqual({origin.server for origin in self.origins}, taken)
            self.assertEqual(bridge.dropped["no server's ID"], 3)
            self.assertEqual(len(self.sent()), 0 if servers is None else 2)

    def test_filtered(self) -> None:
        """
        A stream that is not wanted is quenched, once a second.
        """
        self.wanted = False
        bridge = self.enhancedBridge()
        packets = [enhanced(n, time=WALL + n * 0.06) for n in range(100)]
        self.give(bridge, *packets, pitch=0.06)
        quench = control(b"BCSQ", bytes.fromhex("00092e01020304"))
        sent = [data for data in self.sent() if data[:4] == b"BCSQ"]
        self.assertEqual(sent, [quench] * 6)
        self.assertEqual(bridge.quenchesSent, 6)

    def test_refuse(self) -> None:
        """
        A quench names their number of the talkgroup, whatever it is here.
        """
        bridge = self.enhancedBridge()
        self.give(bridge, enhanced(0))
        here = Frame(self.heard[0].addressing[:4] + b"\0\0\x63", self.heard[0].body)
        bridge.refuse(here, self.now)
        self.assertEqual(self.sent(), [control(b"BCSQ", bytes.fromhex("00092e01020304"))])

    def test_quenched(self) -> None:
        """
        A quench is remembered for the last stream of each talkgroup.
        """
        bridge = self.enhancedBridge()
        for stream in (b"\0\0\0\1", b"\0\0\0\2"):
            self.give(bridge, control(b"BCSQ", b"\x00\x09\x2e" + stream))
        self.assertEqual((bridge.quenched, bridge.quenchesReceived), ({2350: 2}, 2))
        for number in range(5000):
            said = number.to_bytes(3, "big") + bytes(4)
            self.give(bridge, control(b"BCSQ", said))
        self.assertLess(len(bridge.quenched), 5000)

    def test_plainFrame(self) -> None:
        """
        Whoever speaks the plain protocol is told the version, once in 10 s, and not heard.
        """
        bridge = self.enhancedBridge()
        self.give(bridge, *call(plain), plain(0, key=b"another"))
        self.assertEqual((self.heard, self.sent()), ([], [control(b"BCVE", b"\5")]))

    def test_stun(self) -> None:
        """
        BCST is counted, and nothing else.
        """
        bridge = self.enhancedBridge()
        self.give(bridge, control(b"BCKA"), b"BCST" + bytes(20))
        self.assertTrue(bridge.up)
        self.assertEqual(bridge.dropped, {"stun": 1})

    def test_refused(self) -> None:
        """
        What has another key, ID, length or tag is dropped and counted.
        """
        bridge = self.enhancedBridge()
        for packet, reason in (
            (enhanced(0, key=b"another"), "wrong signature"),
            (enhanced(0, version=4, key=b"another"), "wrong signature"),
            (control(b"BCKA", key=b"another"), "wrong signature"),
            (control(b"BCSQ", bytes(7), key=b"another"), "wrong signature"),
            (enhanced(0, 9999), "wrong ID"),
            (enhanced(0)[:-1], "wrong length or version"),
            (control(b"BCKA")[:-1], "wrong length"),
            (b"DMRD", "wrong length"),
            (b"EOBP", "dead dialect"),
            (b"RPTL", "unknown tag"),
        ):
            self.give(bridge, packet)
            self.assertEqual(bridge.dropped, {reason: 1})
            bridge.dropped.clear()
        self.assertEqual((self.heard, bridge.up, self.outbox), ([], False, []))

    def test_mutations(self) -> None:
        """
        Nothing that was changed on its way is heard or obeyed.
        """
        bridge = self.enhancedBridge()
        whole = [enhanced(1), enhanced(2, version=4), control(b"BCKA"), control(b"BCVE", b"\4")]
        for data in mutations(3, whole, 20_000):
            if data not in whole:
                self.give(bridge, data)
        self.assertEqual((self.heard, bridge.up, bridge.version), ([], False, 5))
        self.assertLess(len(bridge.dropped), 10)


class MemoryTests(SynchronousTestCase):
    """
    What is remembered of streams that are over.
    """

    def test_bounded(self) -> None:
        """
        Names are remembered for their time, and only so many; the first ones are forgotten.
        """
        memory = Memory(10.0, 3)
        for number in range(5):
            memory.note(bytes((number,)), float(number))
        self.assertEqual(len(memory), 3)
        held = [memory.holds(bytes((number,)), 5.0) for number in range(5)]
        self.assertEqual(held, [False, False, True, True, True])
        self.assertTrue(memory.holds(b"\4", 13.9))
        self.assertFalse(memory.holds(b"\4", 14.0))
        memory.note(b"\2", 20.0)
        self.assertEqual(len(memory), 3)
