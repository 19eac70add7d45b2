"""
A key log: the keys of sessions as lines of text, and what reads captured packets by them.

One line is one session as one of its ends has it, in the spirit of the key logs of TLS ("The
SSLKEYLOGFILE Format for TLS", draft-ietf-tls-keylogfile); numbers and keys are in hex::

    BMFF_FF1 <local index, 8> <remote index, 8> <key of what it sends, 64> <of what it gets, 64>

Empty lines and those that begin with C{#} say nothing. Who has the line can read all that the
session carried, so a node writes none unless it was told to. It does so through a
C{keyLog: Callable[[str], None]}, L{None} when it is off, which gets the line of each session when
its keys are made, without an end of line::

    if self._keyLog is not None:
        self._keyLog(LoggedSession.of(established).encode())
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bmff.errors import ProtocolError
from bmff.wire.fastforward.handshake import Established
from bmff.wire.fastforward.messages import TIME_SIZE
from bmff.wire.fastforward.session import DATA, HEADER_SIZE, TAG_SIZE

LABEL: Final = "BMFF_FF1"
# The type of a data packet that was opened: its header and its messages, without a tag. It is for
# files alone. No node sends it, and every node drops it as it does all unknown types.
CLEAR: Final = DATA | 0x80

_LINE: Final = re.compile(
    rf"{LABEL} ([0-9a-f]{{8}}) ([0-9a-f]{{8}}) ([0-9a-f]{{64}}) ([0-9a-f]{{64}})"
)
_SMALLEST: Final = HEADER_SIZE + TIME_SIZE + TAG_SIZE
_TYPE: Final = bytes((DATA,))
_ZEROS: Final = bytes(4)


@dataclass(frozen=True, slots=True)
class LoggedSession:
    """
    One line of a key log.

    @ivar localIndex: what packets to the end that wrote it name the session by, 32 bits.
    @ivar remoteIndex: what packets from there name it by, 32 bits.
    @ivar sendKey: the key of packets from there, 32 bytes.
    @ivar receiveKey: the key of packets to there, 32 bytes.
    """

    localIndex: int
    remoteIndex: int
    sendKey: bytes = field(repr=False)
    receiveKey: bytes = field(repr=False)

    @classmethod
    def of(cls, established: Established) -> LoggedSession:
        """
        The line of a session that a handshake has made.
        """
        keys = established.keys
        return cls(established.localIndex, established.remoteIndex, keys.send, keys.receive)

    def encode(self) -> str:
        """
        The line, without an end of line.
        """
        indexes = f"{self.localIndex:08x} {self.remoteIndex:08x}"
        return f"{LABEL} {indexes} {self.sendKey.hex()} {self.receiveKey.hex()}"

    @classmethod
    def decode(cls, line: str) -> LoggedSession:
        """
        The session of a line; large letters and spaces around it make no difference.

        @raise ProtocolError: there is none.
        """
        found = _LINE.fullmatch(line.strip().lower().replace(LABEL.lower(), LABEL, 1))
        if found is None:
            raise ProtocolError("malformed line")
        local, remote, send, receive = found.groups()
        return cls(int(local, 16), int(remote, 16), bytes.fromhex(send), bytes.fromhex(receive))


class KeyLog:
    """
    Sessions that were logged, by one node or by several.

    @ivar sessions: the sessions, each once.
    @ivar skipped: lines that were neither a session nor empty nor a comment. A log that is being
        written may end in one.
    """

    __slots__ = ("_keys", "sessions", "skipped")

    def __init__(self, lines: Iterable[str]) -> None:
        """
        @param lines: a log's, with or without ends of line.
        """
        self.skipped = 0
        found: dict[LoggedSession, None] = {}
        for line in lines:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                found[LoggedSession.decode(line)] = None
            except ProtocolError:
                self.skipped += 1
        self.sessions = tuple(found)
        # Indexes are random, so two sessions may have the same one: the tag says which it is. Both
        # ends may have logged a session: its keys are kept once.
        self._keys: dict[int, dict[bytes, None]] = {}
        for session in self.sessions:
            self._keys.setdefault(session.localIndex, {})[session.receiveKey] = None
            self._keys.setdefault(session.remoteIndex, {})[session.sendKey] = None

    def knows(self, packet: bytes) -> bool:
        """
        Whether a packet can be one with messages, of a session that is in the log.
        """
        return looksSealed(packet) and int.from_bytes(packet[1:5], "big") in self._keys

    def open(self, packet: bytes) -> bytes:
        """
        A packet with its messages in the clear and the type L{CLEAR}. Unlike a session this opens
        it as often as it is asked to, in any order.

        @raise ProtocolError: it is too short, of a session that is not in the log, or forged.
        """
        if not looksSealed(packet):
            raise ProtocolError("not a sealed packet")
        nonce = _ZEROS + packet[5:HEADER_SIZE]
        reason = "unknown session"
        for key in self._keys.get(int.from_bytes(packet[1:5], "big"), ()):
            try:
                messages = AESGCM(key).decrypt(nonce, packet[HEADER_SIZE:], None)
            except InvalidTag:
                reason = "forged packet"  # or of another session with this index: the next key
            else:
                return bytes((CLEAR,)) + packet[1:HEADER_SIZE] + messages
        raise ProtocolError(reason)


def looksSealed(packet: bytes) -> bool:
    """
    Whether a packet can be one with messages: by its type, its size, and its counter, which no
    session brings to 32 bits.
    """
    return packet[:1] == _TYPE and len(packet) >= _SMALLEST and packet[5:9] == _ZEROS
