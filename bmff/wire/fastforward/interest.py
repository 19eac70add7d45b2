"""
What a node wants to hear: talkgroups, kept the same at both ends of a link by versioned changes.

A node tells its whole interest once and then only changes, each under the next version. The digest
of all talkgroups goes with the version in measurements; where versions agree and digests do not,
the whole is told again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2s
from struct import Struct
from typing import Final

from bmff.dmr.numbers import isLocal
from bmff.dmr.ranges import Ranges
from bmff.errors import ProtocolError

LARGEST: Final = 20_000  # talkgroups of one node, which fit into one control message
LARGEST_RANGES: Final = 1_000  # ranges of talkgroups of one node
_counts = Struct(">IBII")
_WHOLE: Final = 1  # flag: this is all
_RANGES: Final = 2  # flag: ranges follow, in place of those that were told before
_ID_SIZE: Final = 3
_COUNT_SIZE: Final = 2


def _mark(item: bytes) -> int:
    return int.from_bytes(blake2s(item, digest_size=8).digest(), "big")


def _packed(number: int) -> bytes:
    return number.to_bytes(_ID_SIZE, "big")


@dataclass(frozen=True, slots=True)
class Change:
    """
    What has become of an interest.

    @ivar added: talkgroups that it had not named.
    @ivar removed: talkgroups that it names no longer; a range may hold them still.
    @ivar ranges: whether its ranges are others.
    """

    added: list[int]
    removed: list[int]
    ranges: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """
    An interest, or a change of one, as it is told.

    @ivar version: the one that it leads to.
    @ivar whole: whether it is all.
    @ivar added: talkgroups.
    @ivar removed: talkgroups.
    @ivar ranges: all ranges; L{None} in a change in which they stay.
    """

    version: int
    whole: bool
    added: list[int]
    removed: list[int]
    ranges: Ranges | None = None


class Interest:
    """
    One node's interest, its own or what it knows of another's.

    @ivar version: counted from 0, which is nothing yet.
    @ivar digest: 64 bits, the same for the same talkgroups.
    @ivar talkgroups: those that it names.
    @ivar ranges: what it holds beside them, as bridges do.
    """

    def __init__(self) -> None:
        self.version = 0
        self.digest = 0
        self.talkgroups: set[int] = set()
        self.ranges = Ranges()

    def __contains__(self, talkgroup: int) -> bool:
        return talkgroup in self.talkgroups or (talkgroup in self.ranges and not isLocal(talkgroup))

    def change(
        self, added: Iterable[int], removed: Iterable[int], ranges: Ranges | None = None
    ) -> bytes | None:
        """
        Change one's own interest. What would be more than L{LARGEST} or L{LARGEST_RANGES} is left
        out.

        @param ranges: those that it has now; L{None} for those that it has.
        @return: the change as a message; L{None} when there is none.
        """
        if ranges is not None and len(ranges) > LARGEST_RANGES:
            ranges = Ranges([*ranges][:LARGEST_RANGES])
        if ranges == self.ranges:
            ranges = None
        new = sorted({each for each in added if not isLocal(each)} - self.talkgroups)
        gone = sorted(self.talkgroups & set(removed))
        del new[LARGEST - len(self.talkgroups) + len(gone) :]
        if not new and not gone and ranges is None:
            return None
        self._apply(new, gone, ranges)
        self.version += 1
        return encode(Told(self.version, False, new, gone, ranges))

    def whole(self) -> bytes:
        """
        One's own interest whole, as a message.
        """
        if self.version == 0:
            self.version = 1
        return encode(Told(self.version, True, sorted(self.talkgroups), [], self.ranges))

    def take(self, message: bytes) -> Change | None:
        """
        Take what another node has told.

        @return: what has come and gone; L{None} when a change was missed and the whole is needed.
        @raise ProtocolError: it is malformed.
        """
        told = decode(message)
        ranges = told.ranges
        if told.whole:
            wanted = set(told.added)
            new, gone = sorted(wanted - self.talkgroups), sorted(self.talkgroups - wanted)
            ranges = ranges or Ranges()
        elif told.version != self.version + 1 or self.version == 0:
            return None
        else:
            new = sorted(set(told.added) - self.talkgroups)
            gone = sorted(self.talkgroups & set(told.removed))
        if len(self.talkgroups) + len(new) - len(gone) > LARGEST:
            raise ProtocolError("too many talkgroups")
        change = Change(new, gone, ranges is not None and ranges != self.ranges)
        self._apply(new, gone, ranges)
        self.version = told.version
        return change

    def _apply(self, new: Iterable[int], gone: Iterable[int], ranges: Ranges | None) -> None:
        for talkgroup in new:
            self.talkgroups.add(talkgroup)
            self.digest ^= _mark(_packed(talkgroup))
        for talkgroup in gone:
            self.talkgroups.discard(talkgroup)
            self.digest ^= _mark(_packed(talkgroup))
        if ranges is not None:
            for first, last in (*self.ranges, *ranges):
                self.digest ^= _mark(_packed(first) + _packed(last))
            self.ranges = ranges


def encode(told: Told) -> bytes:
    """
    An interest or a change of one: version, flags, two lists of 24-bit talkgroups, and ranges.
    """
    ranges = told.ranges or Ranges()
    tell = bool(ranges) or (told.ranges is not None and not told.whole)
    flags = (_WHOLE if told.whole else 0) | (_RANGES if tell else 0)
    message = _counts.pack(told.version, flags, len(told.added), len(told.removed))
    message += b"".join(map(_packed, (*told.added, *told.removed)))
    if tell:
        message += len(ranges).to_bytes(_COUNT_SIZE, "big")
        message += b"".join(_packed(end) for ends in ranges for end in ends)
    return message


def decode(message: bytes) -> Told:
    """
    What L{encode} made a message of.

    @raise ProtocolError: it is malformed, or names a talkgroup that never leaves a node.
    """
    if len(message) < _counts.size:
        raise ProtocolError("truncated interest")
    version, flags, added, removed = _counts.unpack_from(message)
    end = _counts.size + _ID_SIZE * (added + removed)
    ranges = _decodeRanges(message[end:]) if flags & _RANGES else None
    if len(message) < end or (ranges is None and len(message) != end):
        raise ProtocolError("truncated interest")
    ids = _numbers(message[_counts.size : end])
    if any(map(isLocal, ids[:added])):
        raise ProtocolError("local talkgroup")
    return Told(version, bool(flags & _WHOLE), ids[:added], ids[added:], ranges)


def _decodeRanges(data: bytes) -> Ranges:
    count = int.from_bytes(data[:_COUNT_SIZE], "big")
    ends = data[_COUNT_SIZE:]
    if len(data) < _COUNT_SIZE or len(ends) != 2 * _ID_SIZE * count or count > LARGEST_RANGES:
        raise ProtocolError("malformed ranges of talkgroups")
    numbers = _numbers(ends)
    return Ranges(zip(numbers[::2], numbers[1::2], strict=True))


def _numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + _ID_SIZE], "big") for at in range(0, len(data), _ID_SIZE)]
