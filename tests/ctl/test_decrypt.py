"""
Tests of L{bmff.ctl.decrypt}.
"""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_IMODE

from bmff.wire.fastforward.keylog import CLEAR, LoggedSession
from bmff.wire.fastforward.session import HEADER_SIZE, Session
from tests.ctl.case import CtlTestCase
from tests.pcaps import (
    RAW,
    enhanced,
    ethernet,
    interface,
    ipv4,
    ipv6,
    pcap,
    readPcap,
    section,
    tcp,
)

SESSION = LoggedSession(0x11111111, 0x22222222, bytes(range(32)), bytes(range(32, 64)))


def sender(remoteIndex: int = SESSION.remoteIndex, key: bytes = SESSION.sendKey) -> Session:
    """
    The end of a session that sends.
    """
    return Session(key, bytes(32), 0x11111111, remoteIndex, initiator=True, now=0.0)


class DecryptTests(CtlTestCase):
    """
    C{bmffctl decrypt}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.capture, self.keys, self.output = (
            self.home.folder / name for name in ("in.pcap", "keys.log", "out.pcap")
        )
        self.writeKeys(f"# keys\n{SESSION.encode()}\n")

    def writeKeys(self, text: str, mode: int = 0o600) -> None:
        """
        Write the key log.
        """
        self.keys.write_text(text)
        os.chmod(self.keys, mode)

    def decrypt(self, data: bytes) -> int:
        """
        Run the command.

        @param data: the capture.
        @return: its exit code.
        """
        self.capture.write_bytes(data)
        return self.command("decrypt", *map(str, (self.capture, self.keys, self.output)))

    def refused(self, path: Path, message: str) -> None:
        """
        The files are refused in one line that begins with one of them, and nothing is written.
        """
        self.assertEqual(self.decrypt(pcap([])), 1)
        self.assertEqual((self.out, self.err), ("", f"{path}: {message}\n"))
        self.assertFalse(self.output.exists())

    def test_opened(self) -> None:
        """
        The packets of a session in the log are in the clear, those around them as they were, and
        all are counted.
        """
        end = sender()
        packets = [end.seal(f"time, message {number}".encode()) for number in range(3)]
        clear = [
            bytes((CLEAR,)) + packet[1:HEADER_SIZE] + f"time, message {number}".encode()
            for number, packet in enumerate(packets)
        ]
        others = [
            ipv4(sender(0x33333333).seal(b"time")),  # another session
            ipv4(sender(key=b"x" * 32).seal(b"time")),  # a forgery
            ipv4(b"a name is looked up"),
            tcp(packets[0], 1),
        ]
        before = [ipv4(packets[0]), *others[:2], ipv6(packets[1]), *others[2:], ipv4(packets[2])]
        after = [ipv4(clear[0]), *others[:2], ipv6(clear[1]), *others[2:], ipv4(clear[2])]
        self.assertEqual(self.decrypt(pcap(before)), 0)
        self.assertEqual(self.err, "")
        self.assertEqual(
            self.out.splitlines(),
            [
                "3 packets opened",
                "1 unknown: their session is not in the key log",
                "1 failed: they are not sealed with the keys of the session they name",
                "2 others copied as they are",
            ],
        )
        self.assertEqual(self.output.read_bytes(), pcap(after))

    def test_bothDirections(self) -> None:
        """
        The log of one end opens what was sent to it as well.
        """
        packet = sender(SESSION.localIndex, SESSION.receiveKey).seal(b"time")
        self.assertEqual(self.decrypt(pcap([ipv4(packet)])), 0)
        self.assertIn("1 packets opened\n", self.out)

    def test_pcapng(self) -> None:
        """
        A capture in the newer format is one afterwards.
        """
        packet = sender().seal(b"time")
        clear = bytes((CLEAR,)) + packet[1:HEADER_SIZE] + b"time"
        head = section() + interface(RAW) + interface(1) + interface(147)
        strange = enhanced(b"strange", 2)
        before = enhanced(ipv4(packet)) + enhanced(ethernet(ipv4(packet)), 1) + strange
        after = enhanced(ipv4(clear)) + enhanced(ethernet(ipv4(clear)), 1) + strange
        self.assertEqual(self.decrypt(head + before), 0)
        self.assertEqual(self.output.read_bytes(), head + after)
        self.assertIn("2 packets opened\n", self.out)
        self.assertIn("1 copied as they are: link type 147 is not read\n", self.out)

    def test_private(self) -> None:
        """
        What is written only its owner may read, also where there was a file that others could.
        """
        self.output.write_text("old")
        os.chmod(self.output, 0o644)
        self.assertEqual(self.decrypt(pcap([])), 0)
        self.assertEqual(self.output.read_bytes(), pcap([]))
        self.assertEqual(S_IMODE(self.output.stat().st_mode), 0o600)
        self.assertEqual(sorted(os.listdir(self.home.folder)), ["in.pcap", "keys.log", "out.pcap"])

    def test_notWhole(self) -> None:
        """
        Packets that were not captured whole are counted apart, with what to do.
        """
        self.assertEqual(self.decrypt(pcap([ipv4(sender().seal(bytes(99)))], limit=96)), 0)
        self.assertIn("0 packets opened\n", self.out)
        self.assertIn("1 cut off when they were captured: capture them whole (-s 0)\n", self.out)

    def test_cut(self) -> None:
        """
        Of a capture that ends in the middle of a packet all others are opened; that it ends so is
        said, and the exit code is 1.
        """
        packets = [ipv4(sender().seal(b"time")) for _ in range(2)]
        self.assertEqual(self.decrypt(pcap(packets)[:-1]), 1)
        self.assertIn("1 packets opened\n", self.out)
        self.assertEqual(self.err, f"{self.capture}: ends in the middle of a packet\n")
        (packet,) = readPcap(self.output.read_bytes())
        self.assertEqual(packet.data[28], CLEAR)

    def test_skippedLines(self) -> None:
        """
        Lines of the log that are no keys are counted; the others do their work.
        """
        self.writeKeys(f"{SESSION.encode()}\n\nBMFF_FF1 half a li")
        self.assertEqual(self.decrypt(pcap([ipv4(sender().seal(b"time"))])), 0)
        self.assertEqual(
            self.out.splitlines()[:2],
            ["1 lines of the key log were skipped: they are no keys", "1 packets opened"],
        )

    def test_logOfOthers(self) -> None:
        """
        A key log that others can read is refused, with what to do about it.
        """
        os.chmod(self.keys, 0o644)
        message = "has mode 0644, and must have 0600, or 0640 of a group of this process"
        self.refused(self.keys, f"{message}; type: chmod 600 {self.keys}")

    def test_badLog(self) -> None:
        """
        A key log that is not there, is a folder, or holds no keys is refused.
        """
        self.writeKeys("# nothing yet\n")
        self.refused(self.keys, "holds no keys of a session")
        self.keys.write_bytes(bytes(range(256)))
        self.refused(self.keys, "holds no keys of a session")
        self.keys.unlink()
        self.refused(self.keys, "cannot be read: No such file or directory")
        self.keys.mkdir()
        self.refused(self.keys, "is not a file")

    def test_badCapture(self) -> None:
        """
        A capture that is none, or cannot be read, is refused, and what was begun is gone.
        """
        self.assertEqual(self.decrypt(b"no capture"), 1)
        message = f"{self.capture}: is no capture file (pcap or pcapng)\n"
        self.assertEqual((self.out, self.err), ("", message))
        self.assertEqual(sorted(os.listdir(self.home.folder)), ["in.pcap", "keys.log"])
        self.capture.unlink()
        words = [str(self.capture), str(self.keys), str(self.output)]
        self.assertEqual(self.command("decrypt", *words), 1)
        self.assertEqual(self.err, f"{self.capture}: cannot be read: No such file or directory\n")
        self.capture.mkdir()
        self.assertEqual(self.command("decrypt", *words), 1)
        self.assertEqual(self.err, f"{self.capture}: cannot be read: Is a directory\n")

    def test_badOutput(self) -> None:
        """
        What is read is not written over, nor what is no file, and where nothing can be written
        that is said.
        """
        self.capture.write_bytes(pcap([]))
        beside = self.home.folder / "link"
        beside.symlink_to("/dev/null")
        for output, message in (
            (self.capture, "is read as well; name another file to write"),
            (self.keys, "is read as well; name another file to write"),
            (Path("/dev/null"), "is there and is not a file"),
            (beside, "is there and is not a file"),
            (self.home.folder / "no" / "out", "cannot be written: No such file or directory"),
        ):
            words = [str(self.capture), str(self.keys), str(output)]
            self.assertEqual(self.command("decrypt", *words), 1)
            self.assertEqual((self.out, self.err), ("", f"{output}: {message}\n"))
        self.assertEqual(self.capture.read_bytes(), pcap([]))

    def test_words(self) -> None:
        """
        It takes three files.
        """
        self.assertEqual(self.command("decrypt", "in.pcap", "keys.log"), 2)
        self.assertEqual(self.err, "bmffctl: Wrong number of arguments.\n")
