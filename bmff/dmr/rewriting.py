"""
Other addresses in the bursts of a call, all else kept: in the Link Control of header, terminator
and superframes, in control signalling and in the headers of data, ETSI TS 102 361-1 §7.1, §7.2,
§8.2.1 and §9.1.6.

All codes here are linear: to put something else into a burst is to flip the bits in which the codes
of old and new differ. So a burst keeps its slot type, its sync, its reserved bits and even its
errors, which are as correctable as they were.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bmff.dmr import bptc, crc, embedded, reedsolomon
from bmff.dmr.burst import SIZE, information
from bmff.dmr.csbk import CSBK
from bmff.dmr.dataheader import Format
from bmff.dmr.frame import CSBK as CSBK_TYPE
from bmff.dmr.frame import (
    DATA_HEADER,
    DATA_SYNC,
    DATA_TYPE,
    MBC_HEADER,
    PI_HEADER,
    TERMINATOR,
    VOICE_HEADER,
)
from bmff.dmr.lc import GROUP_CALL, PRIVATE_CALL, FullLinkControl
from bmff.errors import ProtocolError

_CALLS: Final = (GROUP_CALL, PRIVATE_CALL)
_DATA_TERMINATOR: Final = 0x30  # opcode of a Link Control that ends data, TS 102 361-3 §7.1.1.1
_GROUP: Final = 0x80  # in the first byte of a data header, and the last of what ends data
_OPCODE: Final = 0x3F
_FIRST_FRAGMENT: Final = 1  # the kind of burst B; C to E follow
_LAST_FRAGMENT: Final = 4
_FRAGMENT: Final = 0xFFFFFFFF0  # its place in the bytes 14 to 18 of a burst
_LOW_HALF: Final = (1 << 98) - 1  # of the information
_MASKS: Final = {
    VOICE_HEADER: reedsolomon.HEADER_MASK,
    TERMINATOR: reedsolomon.TERMINATOR_MASK,
}


class Rewriting:
    """
    Puts other addresses into the bursts of one call, or of one data message.

    Superframes that carry no Link Control of the call but a talker alias or a position pass as they
    are. They are told apart fragment by fragment, since what they carry is known only after four: a
    fragment is the call's when it differs from the expected one in one bit at most, as two valid
    ones differ in two at least.

    @ivar unread: how many bursts, and superframes, could not be read.
    """

    __slots__ = (
        "_addresses",
        "_after",
        "_before",
        "_destination",
        "_expected",
        "_flips",
        "_group",
        "_known",
        "_original",
        "_received",
        "_source",
        "_target",
        "unread",
    )

    def __init__(self, lc: FullLinkControl, target: FullLinkControl) -> None:
        """
        @param lc: what the call says of itself, as far as it is known; its feature set and options
            are learnt from the call when they are others.
        @param target: whom it is to be for, and from whom.
        """
        self.unread = 0
        self._destination = target.destination
        self._source = target.source
        self._addresses = target.toBytes()[3:]
        self._group = target.flco != PRIVATE_CALL
        self._known = False
        self._received: list[int] = []
        self._expect(lc)

    def _expect(self, lc: FullLinkControl) -> None:
        """
        From now on this is the Link Control of the call.
        """
        self._original = lc
        self._target = self._readdressed(lc)
        pairs = zip(embedded.encode(lc), embedded.encode(self._target), strict=True)
        expected, flips = [0], [0]
        for before, after in pairs:
            expected.append(before << 4)
            flips.append((before ^ after) << 4)
        self._expected = tuple(expected)
        self._flips = tuple(flips)
        self._before = [b""] * (_LAST_FRAGMENT + 1)
        self._after = [b""] * (_LAST_FRAGMENT + 1)

    def _readdressed(self, lc: FullLinkControl) -> FullLinkControl:
        """
        A Link Control with the other addresses; itself when it has none.
        """
        if lc.flco not in _CALLS:
            return lc
        flco = GROUP_CALL if self._group else PRIVATE_CALL
        return replace(lc, flco=flco, destination=self._destination, source=self._source)

    def rewrite(self, kind: int, burst: bytes) -> bytes:
        """
        A burst with the other addresses.

        @param kind: its frame type and data type or voice sequence, as in the flags of a
            L{bmff.dmr.frame.Frame}.
        @param burst: 33 bytes.
        @return: 33 bytes; those that came when it has no addresses, or cannot be read.
        """
        if _FIRST_FRAGMENT <= kind <= _LAST_FRAGMENT:
            # Colour code and Link Control are the same in each superframe.
            if burst[14:19] == self._before[kind]:
                return burst[:14] + self._after[kind] + burst[19:]
            return self._rewriteFragment(kind, burst)
        return self._rewriteData(kind & DATA_TYPE, burst) if kind & DATA_SYNC else burst

    def _rewriteFragment(self, kind: int, burst: bytes) -> bytes:
        """
        A voice burst with the other fragment, when it carries the call's.
        """
        before = burst[14:19]
        middle = int.from_bytes(before, "big")
        if not self._known:
            self._learn(kind, middle >> 4 & 0xFFFFFFFF)
        difference = (middle ^ self._expected[kind]) & _FRAGMENT
        if difference & difference - 1:  # more than one bit
            return burst
        after = (middle ^ self._flips[kind]).to_bytes(5, "big")
        if self._known and not difference:
            self._before[kind] = before
            self._after[kind] = after
        return burst[:14] + after + burst[19:]

    def _learn(self, kind: int, fragment: int) -> None:
        """
        Who has not heard a header finds out the feature set and options from a superframe.
        """
        if kind == _FIRST_FRAGMENT:
            self._received.clear()
        elif len(self._received) != kind - 1:
            return  # one is missing
        self._received.append(fragment)
        if kind == _LAST_FRAGMENT:
            try:
                lc = embedded.decode(self._received)
            except ProtocolError:
                self.unread += 1
                return
            # Only without errors: what was decoded wrongly would be expected for ever.
            if lc.flco in _CALLS and embedded.encode(lc) == tuple(self._received):
                self._known = True
                self._expect(lc)

    def _rewriteData(self, dataType: int, burst: bytes) -> bytes:
        """
        A data burst with the other addresses.
        """
        if dataType in _MASKS:
            return self._rewriteLinkControl(_MASKS[dataType], burst)
        try:
            if dataType in {CSBK_TYPE, MBC_HEADER}:
                mask = crc.CSBK_MASK if dataType == CSBK_TYPE else crc.MBC_HEADER_MASK
                before = bptc.decode(information(burst))
                after = self._signalling(before, mask)
            elif dataType == DATA_HEADER:
                before = bptc.decode(information(burst))
                after = self._dataHeader(before)
            elif dataType == PI_HEADER:
                before = bptc.decode(information(burst))
                after = self._privacyHeader(before)
            else:
                return burst
        except ProtocolError:
            self.unread += 1
            return burst
        return _flip(burst, before, after)

    def _rewriteLinkControl(self, mask: bytes, burst: bytes) -> bytes:
        """
        A header or terminator with the other addresses; one that cannot be read becomes what it
        should have been.
        """
        try:
            before = bptc.decode(information(burst))
            data = reedsolomon.decode(before, mask)
        except ProtocolError:
            self.unread += 1
            word = reedsolomon.encode(self._target.toBytes(), mask)
            return _carrying(burst, bptc.encode(word))
        lc = FullLinkControl.fromBytes(data)
        if data[0] & _OPCODE == _DATA_TERMINATOR:
            last = data[8] & ~_GROUP | (_GROUP if self._group else 0)
            data = data[:2] + self._addresses + bytes((last,))
        elif lc.flco in _CALLS:
            if not self._known:
                self._known = True
                self._expect(lc)
            # The reserved bit, which the value does not hold, stays.
            first = data[0] & ~_OPCODE | self._target.flco
            data = bytes((first,)) + data[1:3] + self._addresses
        return _flip(burst, before, reedsolomon.encode(data, mask))

    def _signalling(self, block: bytes, mask: int) -> bytes:
        """
        Control signalling with the other addresses, when it is of a kind that has them, or has
        those of the call where such kinds have them.
        """
        csbk = CSBK.decode(block, mask)
        original = self._original
        if not csbk.addressed and (
            csbk.destination != original.destination or csbk.source != original.source
        ):
            return block
        return csbk.readdressed(self._destination, self._source, self._group).encode(mask)

    def _dataHeader(self, block: bytes) -> bytes:
        """
        The header of a message with the other addresses; the second, proprietary one has none.
        """
        data = crc.unseal(block, crc.DATA_HEADER_MASK)
        form = data[0] & 0x0F
        if form == Format.PROPRIETARY:
            return block
        first = data[0]
        if form != Format.RESPONSE:  # which is always from radio to radio
            first = first & ~_GROUP | (_GROUP if self._group else 0)
        data = bytes((first, data[1])) + self._addresses + data[8:]
        return crc.seal(data, crc.DATA_HEADER_MASK)

    def _privacyHeader(self, block: bytes) -> bytes:
        """
        The header of an encrypted call with the other destination, when it names the call's.
        """
        data = crc.unseal(block, crc.PI_HEADER_MASK)
        if int.from_bytes(data[7:], "big") != self._original.destination:
            return block
        data = data[:7] + self._destination.to_bytes(3, "big")
        return crc.seal(data, crc.PI_HEADER_MASK)


def _flip(burst: bytes, before: bytes, after: bytes) -> bytes:
    """
    A burst that carries something else.

    @param before: what it carries, 12 bytes.
    @param after: what it is to carry, 12 bytes.
    """
    if before == after:
        return burst
    change = int.from_bytes(before, "big") ^ int.from_bytes(after, "big")
    bits = bptc.encode(change.to_bytes(bptc.DATA_SIZE, "big"))
    return (int.from_bytes(burst, "big") ^ _spread(bits)).to_bytes(SIZE, "big")


def _carrying(burst: bytes, bits: int) -> bytes:
    """
    A burst that carries these 196 bits in place of what it does.
    """
    kept = int.from_bytes(burst, "big") & ~_spread((1 << 196) - 1)
    return (kept | _spread(bits)).to_bytes(SIZE, "big")


def _spread(bits: int) -> int:
    """
    196 bits at their places in a burst.
    """
    return bits >> 98 << 166 | bits & _LOW_HALF
