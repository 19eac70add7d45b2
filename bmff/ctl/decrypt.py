"""
C{bmffctl decrypt}: opens the FastForward packets of a capture by a key log, for Wireshark.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from secrets import token_hex

from twisted.python import usage

from bmff.ctl.capture import copyCapture
from bmff.ctl.datagram import LINK_TYPES, findDatagram
from bmff.errors import ConfigurationError, Mistake, ProtocolError
from bmff.keys import checkStatus
from bmff.wire.fastforward.keylog import KeyLog, looksSealed

# What a key log can be at most: 10,000 nodes that make a session every two minutes for an hour.
LARGEST_LOG = 1 << 26  # bytes


class DecryptOptions(usage.Options):
    """
    The options of C{bmffctl decrypt}.
    """

    synopsis = "CAPTURE KEYLOG OUTPUT"
    longdesc = (
        "Opens the FastForward packets over UDP in a capture file (pcap, pcapng) whose sessions "
        "are in a key log, and writes the same capture with their messages in the clear. "
        "Everything else is copied as it is. Wireshark shows it with etc/wireshark/fastforward.lua."
    )

    def parseArgs(self, capture: str, keyLog: str, output: str) -> None:  # type: ignore[override]
        """
        @param capture: the capture file.
        @param keyLog: the key log that a node has written.
        @param output: the file to write.
        """
        self["capture"], self["keyLog"], self["output"] = capture, keyLog, output

    def run(self) -> int:
        """
        Write the capture, and say how many packets were opened.

        @return: 1 when the capture ends in the middle of a packet; what comes before is written.
        @raise ConfigurationError: one of the files is not what it should be; none was written.
        """
        capture, keyLog, output = (Path(self[name]) for name in ("capture", "keyLog", "output"))
        if output.exists() and any(
            source.exists() and output.samefile(source) for source in (capture, keyLog)
        ):
            raise _wrong(output, "is read as well; name another file to write")
        opening = Opening(readKeyLog(keyLog))
        whole = writeOpened(capture, output, opening)
        for line in opening.lines():
            print(line)
        if not whole:
            print(f"{self['capture']}: ends in the middle of a packet", file=sys.stderr)
        return 0 if whole else 1


class Opening:
    """
    What becomes of the packets of a capture.

    @ivar opened: packets that were opened.
    @ivar unknown: packets that look like FastForward's, of sessions that are not in the log.
    @ivar failed: packets that name a session of the log, but are not sealed with its keys.
    @ivar cut: packets that were not captured whole.
    @ivar passed: packets of all other kinds.
    @ivar foreign: packets of a kind of network that is not read, by its link type.
    """

    def __init__(self, log: KeyLog) -> None:
        self.opened = self.unknown = self.failed = self.cut = self.passed = 0
        self.foreign: dict[int, int] = {}
        self._log = log

    def change(self, linkType: int, packet: bytes, missing: int) -> bytes:
        """
        A packet with its messages in the clear, or as it is; see L{bmff.ctl.capture.Change}.
        """
        if linkType not in LINK_TYPES:
            self.foreign[linkType] = self.foreign.get(linkType, 0) + 1
            return packet
        if missing:
            self.cut += 1
            return packet
        datagram = findDatagram(linkType, packet)
        payload = b"" if datagram is None else datagram.payload
        if datagram is None or not looksSealed(payload):
            self.passed += 1
            return packet
        if not self._log.knows(payload):
            self.unknown += 1
            return packet
        try:
            clear = self._log.open(payload)
        except ProtocolError:
            self.failed += 1
            return packet
        self.opened += 1
        return datagram.withPayload(clear)

    def lines(self) -> list[str]:
        """
        All that for people.
        """
        lines = []
        if self._log.skipped:
            lines.append(f"{self._log.skipped} lines of the key log were skipped: they are no keys")
        lines += [
            f"{self.opened} packets opened",
            f"{self.unknown} unknown: their session is not in the key log",
            f"{self.failed} failed: they are not sealed with the keys of the session they name",
        ]
        if self.cut:
            lines.append(f"{self.cut} cut off when they were captured: capture them whole (-s 0)")
        for linkType, count in sorted(self.foreign.items()):
            lines.append(f"{count} copied as they are: link type {linkType} is not read")
        lines.append(f"{self.passed} others copied as they are")
        return lines


def readKeyLog(path: Path) -> KeyLog:
    """
    The key log in a file that nobody else can read.

    @raise ConfigurationError: it cannot be read, others can read it, or it has no keys.
    """
    try:
        # What is checked is what is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            checkStatus(path, status)
            if status.st_size > LARGEST_LOG:
                raise _wrong(path, f"is larger than {LARGEST_LOG} bytes")
            with open(descriptor, encoding="ascii", errors="replace", closefd=False) as file:
                log = KeyLog(file.read(LARGEST_LOG).splitlines())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from None
    if not log.sessions:
        raise _wrong(path, "holds no keys of a session")
    return log


def writeOpened(capture: Path, output: Path, opening: Opening) -> bool:
    """
    Write a capture with its packets opened. What they say is private: only the user may read the
    file, which is there when it is finished.

    @return: whether the capture is whole.
    @raise ConfigurationError: a file is not what it should be.
    """
    try:
        source = open(capture, "rb")  # noqa: SIM115  # another error than that of the output
    except OSError as error:
        raise _wrong(capture, f"cannot be read: {error.strerror}") from None
    unnamed = output.with_name(f".{output.name}.{token_hex(8)}")
    with source:
        if os.path.lexists(output) and (output.is_symlink() or not output.is_file()):
            raise _wrong(output, "is there and is not a file")
        try:
            descriptor = os.open(
                unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise _wrong(output, f"cannot be written: {error.strerror}") from None
        try:
            with open(descriptor, "wb") as target:
                whole = copyCapture(source, target, opening.change, str(capture))
            os.rename(unnamed, output)
        except OSError as error:
            raise _wrong(capture, f"cannot be copied to {output}: {error.strerror}") from None
        finally:
            unnamed.unlink(missing_ok=True)
    return whole


def _wrong(path: Path, message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(str(path), message)])
