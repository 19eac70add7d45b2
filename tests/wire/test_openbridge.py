"""
Tests of L{bmff.wire.openbridge.packets} and L{bmff.wire.openbridge.signature}: the layouts, the
keys, and bytes of all kinds.
"""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import Frame
from bmff.errors import ProtocolError
from bmff.testing.mutation import mutations
from bmff.wire.openbridge.crossing import ENHANCED, FREE
from bmff.wire.openbridge.packets import (
    EnhancedFrame,
    KeepAlive,
    Origin,
    PlainFrame,
    Quench,
    Stun,
    Version,
    decode,
)
from bmff.wire.openbridge.signature import Signature
from tests.wire.openbridgecase import (
    BURST,
    PASSPHRASE,
    THEIRS,
    WALL,
    control,
    cut,
    enhanced,
    plain,
)

SIGNATURE = Signature(PASSPHRASE)
LONG = b"a passphrase of more than twenty characters"


def frame(ber: int = 0, rssi: int = 0) -> Frame:
    """
    The frame of the other program's packets.
    """
    return Frame.make(
        sequence=7,
        source=2340001,
        destination=2350,
        flags=0x01,
        stream=0x01020304,
        burst=BURST,
        ber=ber,
        rssi=rssi,
    )


class SignatureTests(SynchronousTestCase):
    """
    The two codes of a key.
    """

    @given(st.binary(min_size=1, max_size=40), st.binary(max_size=200))
    def test_codes(self, passphrase: bytes, data: bytes) -> None:
        """
        They are HMAC-SHA1 and keyed BLAKE2b-128 under the first 20 bytes, filled up with NUL.
        """
        signature = Signature(passphrase)
        key = cut(passphrase)
        self.assertEqual(signature.sha1(data), hmac.new(key, data, hashlib.sha1).digest())
        code = hashlib.blake2b(data, key=key, digest_size=16).digest()
        self.assertEqual(signature.blake2(data), code)

    def test_longKey(self) -> None:
        """
        What stands after 20 characters makes no difference, as on the servers that cut it off.
        """
        data = plain(7, key=LONG)
        for passphrase in (LONG, LONG[:20]):
            packet = decode(data, Signature(passphrase))
            assert isinstance(packet, PlainFrame)
            self.assertEqual(packet.encode(Signature(passphrase)), data)
        whole = hmac.new(LONG, data[:53], hashlib.sha1).digest()
        with self.assertRaises(ProtocolError):
            decode(data[:53] + whole, Signature(LONG))

    def test_shortKey(self) -> None:
        """
        A short key is filled up for BLAKE2b, where that makes a difference.
        """
        data = enhanced(7)
        decode(data, SIGNATURE)
        raw = hashlib.blake2b(data[:73], key=PASSPHRASE, digest_size=16).digest()
        with self.assertRaises(ProtocolError):
            decode(data[:73] + raw, SIGNATURE)

    def test_empty(self) -> None:
        """
        There is no empty key.
        """
        self.assertRaises(ValueError, Signature, b"")

    def test_untold(self) -> None:
        """
        No text of it holds the key.
        """
        self.assertEqual(repr(SIGNATURE), "<Signature>")


class PacketTests(SynchronousTestCase):
    """
    The layouts.
    """

    def test_plain(self) -> None:
        """
        DMRD is 73 bytes: those of another program are read, and ours are the same.
        """
        data = plain(7)
        packet = PlainFrame(THEIRS, frame())
        self.assertEqual(len(data), 73)
        self.assertEqual(packet.encode(SIGNATURE), data)
        read = decode(data, SIGNATURE)
        assert isinstance(read, PlainFrame)
        self.assertEqual(read.server, THEIRS)
        self.assertEqual(
            (read.frame.addressing, read.frame.body), (frame().addressing, frame().body)
        )

    def test_plainTellsNoQuality(self) -> None:
        """
        A frame with BER and RSSI leaves without them, and one that comes in has zeroes: it leaves
        over HomeBrew with 55 bytes, as DMRGateway wants it.
        """
        data = PlainFrame(THEIRS, frame(3, 71)).encode(SIGNATURE)
        self.assertEqual(data, plain(7))
        read = decode(data, SIGNATURE)
        assert isinstance(read, PlainFrame)
        self.assertEqual((len(read.frame.body), read.frame.ber, read.frame.rssi), (40, 0, 0))

    def test_plainLengths(self) -> None:
        """
        A DMRD of 55 bytes under a code, 75 in all, is none.
        """
        data = plain(7)[:53] + b"\3\x47"
        data += hmac.new(PASSPHRASE, data, hashlib.sha1).digest()
        with self.assertRaises(ProtocolError) as caught:
            decode(data, SIGNATURE)
        self.assertEqual(caught.exception.reason, "wrong length")

    def test_enhanced(self) -> None:
        """
        DMRE is 89 bytes in version 5 and 85 in version 4, which does not tell the repeater.
        """
        for version, size, repeater in ((5, 89, 310201), (4, 85, 0)):
            data = enhanced(7, version=version)
            packet = EnhancedFrame(
                THEIRS, frame(3, 71), int(WALL * 1e9), Origin(3102, repeater, 1), version
            )
            self.assertEqual(len(data), size)
            self.assertEqual(packet.encode(SIGNATURE), data)
            read = decode(data, SIGNATURE)
            assert isinstance(read, EnhancedFrame)
            self.assertEqual(read.frame.body, frame(3, 71).body)
            self.assertEqual(
                (read.server, read.time, read.origin, read.version),
                (packet.server, packet.time, packet.origin, version),
            )

    def test_places(self) -> None:
        """
        Every field stands where the other programs look for it.
        """
        data = EnhancedFrame(
            0x0A0B0C0D, frame(3, 71), 0x0102030405060708, Origin(0x11121314, 0x21222324, 9)
        ).encode(SIGNATURE)
        self.assertEqual(data[:4], b"DMRE")
        self.assertEqual(data[4:11].hex(), "07" + "23b4a1" + "00092e")
        self.assertEqual(data[11:15].hex(), "0a0b0c0d")
        self.assertEqual(data[15:20].hex(), "0101020304")
        self.assertEqual(data[20:53], BURST)
        self.assertEqual(data[53:56], b"\x03\x47\x05")
        self.assertEqual(data[56:64].hex(), "0102030405060708")
        self.assertEqual(data[64:73].hex(), "11121314" + "21222324" + "09")

    def test_control(self) -> None:
        """
        The control packets are those of the other programs; of a version only its number is signed.
        """
        quench = bytes.fromhex("00092e" + "01020304")
        for data, size, packet in (
            (control(b"BCKA"), 24, KeepAlive()),
            (control(b"BCVE", b"\5"), 25, Version(5)),
            (control(b"BCSQ", quench), 31, Quench(2350, 0x01020304)),
        ):
            self.assertEqual(len(data), size)
            self.assertEqual(packet.encode(SIGNATURE), data)
            self.assertEqual(decode(data, SIGNATURE), packet)

    def test_stun(self) -> None:
        """
        BCST is read for what it is, whatever its code, as nobody can verify it.
        """
        self.assertEqual(decode(b"BCST" + bytes(20), SIGNATURE), Stun())

    def test_foreign(self) -> None:
        """
        Packets under another key, dead dialects and others are refused, each for its reason.
        """
        other = Signature(b"another")
        for data, reason in (
            (plain(7), "wrong signature"),
            (enhanced(7), "wrong signature"),
            (control(b"BCKA"), "wrong signature"),
            (control(b"BCVE", b"\5"), "wrong signature"),
            (control(b"BCKA")[:-1], "wrong length"),
            (enhanced(7)[:-1], "wrong length or version"),
            (enhanced(7, version=3), "wrong length or version"),
            (b"DMRF" + bytes(74), "dead dialect"),
            (b"EOBP" + bytes(80), "dead dialect"),
            (b"RPTL\0\0\0\1", "unknown tag"),
            (b"", "unknown tag"),
        ):
            with self.assertRaises(ProtocolError) as caught:
                decode(data, other)
            self.assertEqual(caught.exception.reason, reason, data)

    def test_mutations(self) -> None:
        """
        Whatever became of a packet on its way is refused, but what nobody signs.
        """
        packets = (
            plain(7),
            enhanced(7),
            enhanced(7, version=4),
            control(b"BCKA"),
            control(b"BCVE", b"\5"),
            control(b"BCSQ", bytes(7)),
        )
        refused = 0
        for data in mutations(1, packets, 20_000):
            try:
                packet = decode(data, SIGNATURE)
            except ProtocolError:
                refused += 1
            else:
                self.assertTrue(data in packets or isinstance(packet, Stun), data)
        self.assertGreater(refused, 18_000)

    @given(st.binary(max_size=120))
    def test_anything(self, data: bytes) -> None:
        """
        Bytes of any kind are refused by the error for it.
        """
        if data[:4] != b"BCST":
            self.assertRaises(ProtocolError, decode, data, SIGNATURE)


class CrossingTests(SynchronousTestCase):
    """
    Which talkgroups cross.
    """

    def test_enhanced(self) -> None:
        """
        Local numbers never do, some keep to one server, some to one country.
        """
        for talkgroup, own, country, abroad in (
            (9, False, False, False),
            (79, False, False, False),
            (80, True, True, False),
            (89, True, True, False),
            (90, True, True, True),
            (91, True, True, True),
            (92, True, False, False),
            (199, True, False, False),
            (200, True, True, True),
            (800, True, True, False),
            (899, True, True, False),
            (9989, True, True, True),
            (9990, False, False, False),
            (9999, False, False, False),
            (900_999, False, False, False),
            (2350, True, True, True),
        ):
            found = tuple(ENHANCED.allows(talkgroup, one, 23411) for one in (23410, 2342, 2621))
            self.assertEqual(found, (own, country, abroad), talkgroup)

    def test_free(self) -> None:
        """
        Without rules everything crosses.
        """
        self.assertTrue(FREE.allows(9, 2621, 2342))
