"""
Tests of L{bmff.wire.fastforward.interest}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.numbers import isLocal
from bmff.errors import ProtocolError
from bmff.testing.mutation import mutations
from bmff.wire.fastforward import interest
from bmff.wire.fastforward.interest import Interest, encode

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
            self.assertEqual(before | set(change[0]), own.talkgroups | set(change[1]))
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
        self.assertEqual(theirs.take(own.whole()), ([91, 92], []))
        self.assertEqual((theirs.version, theirs.digest), (own.version, own.digest))

    def test_wholeFirst(self) -> None:
        """
        A change before the first whole interest is not taken.
        """
        self.assertIsNone(Interest().take(encode(1, False, [91], [])))

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
                Interest().take(encode(1, True, [91, talkgroup], []))

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
            theirs.take(encode(theirs.version + 1, False, [91], []))
        self.assertEqual((theirs.version, theirs.digest), (own.version, own.digest))

    def test_everyCut(self) -> None:
        """
        A message that is cut anywhere, or too long, is refused.
        """
        message = encode(1, True, [91, 92], [])
        for data in (*(message[:end] for end in range(len(message))), message + b"x"):
            with self.assertRaises(ProtocolError):
                Interest().take(data)

    def test_mutations(self) -> None:
        """
        Mutated messages are taken or refused, and no local talkgroup ever enters.
        """
        messages = [encode(1, True, [91, 2350], []), encode(2, False, [93], [91])]
        theirs = Interest()
        for data in mutations(6, messages):
            try:
                theirs.take(data)
            except ProtocolError:
                continue
        self.assertFalse(theirs.talkgroups & set(LOCAL))
