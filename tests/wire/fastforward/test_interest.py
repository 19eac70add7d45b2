"""
Tests of L{bmff.wire.fastforward.interest}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.numbers import isLocal
from bmff.dmr.ranges import Ranges
from bmff.errors import ProtocolError
from bmff.testing.mutation import mutations
from bmff.wire.fastforward import interest
from bmff.wire.fastforward.interest import Change, Interest, Told, encode

LOCAL = (*range(10), 4000, 5000, *range(9990, 10_000))
_some = st.lists(st.integers(0, 30) | st.sampled_from((4000, 5000, 9990, 2**24 - 1)), max_size=12)


class InterestTests(SynchronousTestCase):
    """
    Two ends keep one interest the same.
    """

    @given(st.lists(st.tuples(_some, _some), max_size=20))
    def test_deltas(self, changes: list[tuple[list[int], list[int]]]) -> None:
        """
        After any changes both ends hold the same talkgroups under the same version and digest.
        """
        own, theirs = Interest(), Interest()
        theirs.take(own.whole())
        for added, removed in changes:
            before = set(theirs.talkgroups)
            message = own.change(added, removed)
            if message is None:
                self.assertEqual(own.talkgroups, before)
                continue
            change = theirs.take(message)
            assert change is not None
            self.assertEqual(before | set(change.added), own.talkgroups | set(change.removed))
            self.assertEqual(theirs.talkgroups, own.talkgroups)
            self.assertEqual((theirs.version, theirs.digest), (own.version, own.digest))

    @given(_some, _some)
    def test_digest(self, one: list[int], other: list[int]) -> None:
        """
        The digest tells sets apart, and does not tell how they came to be.
        """
        first, second = Interest(), Interest()
        first.change(one, [])
        first.change(other, one)
        second.change(other, [])
        second.change([], set(one) - set(other))
        self.assertEqual(first.digest == second.digest, first.talkgroups == second.talkgroups)

    def test_missed(self) -> None:
        """
        Who has missed a change takes no further one until it was told the whole.
        """
        own, theirs = Interest(), Interest()
        theirs.take(own.whole())
        own.change([91], [])
        later = own.change([92], [])
        assert later is not None
        self.assertIsNone(theirs.take(later))
        self.assertEqual(theirs.talkgroups, set())
        self.assertEqual(theirs.take(own.whole()), Change([91, 92], []))
        self.assertEqual((theirs.version, theirs.digest), (own.version, own.digest))

    def test_wholeFirst(self) -> None:
        """
        A change before the first whole interest is not taken.
        """
        self.assertIsNone(Interest().take(encode(Told(1, False, [91], []))))

    def test_local(self) -> None:
        """
        Talkgroups that mean something else on each node never enter, from neither end.
        """
        own = Interest()
        self.assertIsNone(own.change(LOCAL, []))
        self.assertEqual(own.talkgroups, set())
        for talkgroup in LOCAL:
            self.assertTrue(isLocal(talkgroup))
            with self.assertRaises(ProtocolError):
                Interest().take(encode(Told(1, True, [91, talkgroup], [])))

    def test_limit(self) -> None:
        """
        One's own interest holds at most 20,000 talkgroups; more from another node are refused and
        leave its interest as it was.
        """
        own, theirs = Interest(), Interest()
        theirs.take(own.whole())
        message = own.change(range(10_000, 40_000), [])
        assert message is not None
        self.assertEqual(len(own.talkgroups), interest.LARGEST)
        theirs.take(message)
        self.assertEqual(theirs.digest, own.digest)
        self.assertIsNone(own.change([91], []))
        with self.assertRaises(ProtocolError):
            theirs.take(encode(Told(theirs.version + 1, False, [91], [])))
        self.assertEqual((theirs.version, theirs.digest), (own.version, own.digest))

    def test_ranges(self) -> None:
        """
        Ranges, which bridges want, are told with a change and with the whole, go into the digest,
        and hold no talkgroup that means something else on each node.
        """
        own, theirs, late = Interest(), Interest(), Interest()
        theirs.take(own.whole())
        message = own.change([91], [], Ranges([(1, 999), (3100, 16_777_214)]))
        assert message is not None
        self.assertEqual(theirs.take(message), Change([91], [], True))
        late.take(own.whole())
        for each in (own, theirs, late):
            self.assertEqual(each.digest, own.digest)
            self.assertTrue(91 in each and 500 in each and 5001 in each and 3100 in each)
            self.assertFalse(1000 in each or 9 in each or 4000 in each or 9990 in each)
        self.assertIsNone(own.change([], [], own.ranges))
        message = own.change([], [], Ranges())
        assert message is not None
        self.assertEqual(theirs.take(message), Change([], [], True))
        self.assertFalse(500 in theirs)
        self.assertEqual(theirs.digest, own.digest)
        self.assertNotEqual(theirs.digest, late.digest)

    def test_tooManyRanges(self) -> None:
        """
        One's own ranges are cut to as many as the other end takes; more of another's are refused.
        """
        own = Interest()
        many = Ranges((10 * each, 10 * each + 1) for each in range(20_000, 22_000))
        message = own.change([], [], many)
        assert message is not None
        self.assertEqual(len(own.ranges), interest.LARGEST_RANGES)
        with self.assertRaises(ProtocolError):
            Interest().take(encode(Told(1, True, [], [], many)))

    def test_everyCut(self) -> None:
        """
        A message that is cut anywhere, or too long, is refused.
        """
        for ranges in (None, Ranges([(100, 200)])):
            message = encode(Told(1, True, [91, 92], [], ranges))
            for data in (*(message[:end] for end in range(len(message))), message + b"x"):
                with self.assertRaises(ProtocolError):
                    Interest().take(data)

    def test_mutations(self) -> None:
        """
        Mutated messages are taken or refused, and no local talkgroup ever enters.
        """
        messages = [
            encode(Told(1, True, [91, 2350], [], Ranges([(100, 200), (2000, 2999)]))),
            encode(Told(2, False, [93], [91])),
        ]
        theirs = Interest()
        for data in mutations(6, messages):
            try:
                theirs.take(data)
            except ProtocolError:
                continue
        self.assertFalse(theirs.talkgroups & set(LOCAL))
