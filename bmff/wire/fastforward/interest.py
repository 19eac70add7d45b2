"""
What a node wants to hear: talkgroups, kept the same at both ends of a link by versioned changes.

A node tells its whole interest once and then only changes, each under the next version. The digest
of all talkgroups goes with the version in measurements; where versions agree and digests do not,
the whole is told again.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2s
from struct import Struct
from typing import Final

from bmff.dmr.numbers import isLocal
from bmff.errors import ProtocolError

LARGEST: Final = 20_000  # talkgroups of one node, which fit into one control message
_counts = Struct(">IBII")
_ID_SIZE: Final = 3


def _mark(talkgroup: int) -> int:
    digest = blake2s(talkgroup.to_bytes(_ID_SIZE, "big"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class Interest:
    """
    One node's interest, its own or what it knows of another's.

    @ivar version: counted from 0, which is nothing yet.
    @ivar digest: 64 bits, the same for the same talkgroups.
    @ivar talkgroups: what it holds.
    """

    def __init__(self) -> None:
        self.version = 0
        self.digest = 0
        self.talkgroups: set[int] = set()

    def __contains__(self, talkgroup: int) -> bool:
        return talkgroup in self.talkgroups

    def change(self, added: Iterable[int], removed: Iterable[int]) -> bytes | None:
        """
        Change one's own interest. What would be more than L{LARGEST} is left out.

        @return: the change as a message; L{None} when there is none.
        """
        new = sorted({each for each in added if not isLocal(each)} - self.talkgroups)
        gone = sorted(self.talkgroups & set(removed))
        del new[LARGEST - len(self.talkgroups) + len(gone) :]
        if not new and not gone:
            return None
        self._apply(new, gone)
        self.version += 1
        return encode(self.version, False, new, gone)

    def whole(self) -> bytes:
        """
        One's own interest whole, as a message.
        """
        if self.version == 0:
            self.version = 1
        return encode(self.version, True, sorted(self.talkgroups), [])

    def take(self, message: bytes) -> tuple[list[int], list[int]] | None:
        """
        Take what another node has told.

        @return: the talkgroups that have come and gone; L{None} when a change was missed and the
            whole is needed.
        @raise ProtocolError: it is malformed.
        """
        version, whole, added, removed = decode(message)
        if whole:
            wanted = set(added)
            new, gone = sorted(wanted - self.talkgroups), sorted(self.talkgroups - wanted)
        elif version != self.version + 1 or self.version == 0:
            return None
        else:
            new = sorted(set(added) - self.talkgroups)
            gone = sorted(self.talkgroups & set(removed))
        if len(self.talkgroups) + len(new) - len(gone) > LARGEST:
            raise ProtocolError("too many talkgroups")
        self._apply(new, gone)
        self.version = version
        return new, gone

    def _apply(self, new: Iterable[int], gone: Iterable[int]) -> None:
        for talkgroup in new:
            self.talkgroups.add(talkgroup)
            self.digest ^= _mark(talkgroup)
        for talkgroup in gone:
            self.talkgroups.discard(talkgroup)
            self.digest ^= _mark(talkgroup)


def encode(version: int, whole: bool, added: list[int], removed: list[int]) -> bytes:
    """
    An interest or a change of one: version, whether it is whole, two lists of 24-bit talkgroups.
    """
    ids = b"".join(each.to_bytes(_ID_SIZE, "big") for each in (*added, *removed))
    return _counts.pack(version, whole, len(added), len(removed)) + ids


def decode(message: bytes) -> tuple[int, bool, list[int], list[int]]:
    """
    The parts of what L{encode} made.

    @raise ProtocolError: it is malformed, or names a talkgroup that never leaves a node.
    """
    if len(message) < _counts.size:
        raise ProtocolError("truncated interest")
    version, whole, added, removed = _counts.unpack_from(message)
    if len(message) != _counts.size + _ID_SIZE * (added + removed):
        raise ProtocolError("truncated interest")
    ids = [
        int.from_bytes(message[at : at + _ID_SIZE], "big")
        for at in range(_counts.size, len(message), _ID_SIZE)
    ]
    if any(map(isLocal, ids[:added])):
        raise ProtocolError("local talkgroup")
    return version, bool(whole), ids[:added], ids[added:]
