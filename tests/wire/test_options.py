"""
Tests of L{bmff.wire.options}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.testing.mutation import mutations
from bmff.wire.options import LARGEST_LIST, Options, parseOptions

EXAMPLES = (
    "StartRef=4013;RelinkTime=15;UserLink=1;TS1_1=262;TS1_2=1;TS2_1=91",
    "TS1=235,2350;TS2=91,92;DIAL=0;TIMER=10;SINGLE=0;VOICE=1;LANG=en_GB;IDENTTG=9",
    "Type=HBlink;TS1=1,2;TS2=*",
    "TS2=91;DISC=1;STICKY=0;IPSC=IPSC-3",
)


class ParseTests(SynchronousTestCase):
    """
    The dialects of RPTO.
    """

    def test_dmrPlus(self) -> None:
        """
        DMR+ numbers its talkgroups, and RelinkTime is in minutes.
        """
        self.assertEqual(
            parseOptions(EXAMPLES[0]),
            Options(static={1: (262, 1), 2: (91,)}, timer=900.0, reflector=4013),
        )

    def test_freeDMR(self) -> None:
        """
        FreeDMR lists its talkgroups; DIAL=0 means none.
        """
        self.assertEqual(
            parseOptions(EXAMPLES[1]),
            Options(static={1: (235, 2350), 2: (91, 92)}, timer=600.0, single=False),
        )

    def test_wildcard(self) -> None:
        """
        HBlink4's star is not granted, and named.
        """
        options = parseOptions(EXAMPLES[2])
        self.assertEqual(options.static, {1: (1, 2), 2: ()})
        self.assertEqual(options.unknown, ("TS2=*",))

    def test_disconnect(self) -> None:
        """
        DISC=1 asks for all keyed talkgroups to be left.
        """
        self.assertTrue(parseOptions(EXAMPLES[3]).disconnect)

    def test_quotes(self) -> None:
        """
        Quotes around the whole, which some programs send as they stand in their files, are none
        of it; one pair alone, and no other.
        """
        for text in ('"TS2=91;SINGLE=1"', "'TS2=91;SINGLE=1'", ' "TS2=91;SINGLE=1" '):
            self.assertEqual(parseOptions(text), Options(static={2: (91,)}, single=True), text)
        for text, unknown in (
            ('"TS2=91', ('"TS2=91',)),
            ('""TS2=91""', ('"TS2=91"',)),
            ("\"TS2=91'", ("\"TS2=91'",)),
            ('"', ('"',)),
            ('""', ()),
        ):
            self.assertEqual(parseOptions(text).unknown, unknown, text)

    def test_tolerance(self) -> None:
        """
        Case, blanks, empty parts, empty values, zeros and doubles do no harm.
        """
        options = parseOptions(" ts2 = 91 , 92,,91 ; ;TS1= ;TS1_1=0;Timer=; single=1 ;")
        self.assertEqual(options, Options(static={1: (), 2: (91, 92)}, single=True))

    def test_unknown(self) -> None:
        """
        What is not understood is named and changes nothing.
        """
        options = parseOptions("foo=1;TS3=4;TS2=x,16777215,99999999999;TIMER=soon;bar;SINGLE=2")
        self.assertEqual(options.static, {2: ()})
        self.assertEqual(
            options.unknown,
            (
                *("foo=1", "TS3=4", "TS2=x", "TS2=16777215", "TS2=99999999999"),
                *("TIMER=soon", "bar", "SINGLE=2"),
            ),
        )

    def test_bounded(self) -> None:
        """
        A slot takes a bounded number of talkgroups.
        """
        options = parseOptions("TS2=" + ",".join(map(str, range(1, 200))))
        self.assertEqual(len(options.static[2]), LARGEST_LIST)

    @given(st.text(max_size=300))
    def test_anyText(self, text: str) -> None:
        """
        Any text gives options.
        """
        self.assertIsInstance(parseOptions(text), Options)

    def test_mutations(self) -> None:
        """
        Whatever is done to options, they are read, and every talkgroup is one.
        """
        for data in mutations(2, [text.encode() for text in EXAMPLES], 20_000):
            options = parseOptions(data.decode("latin-1"))
            for talkgroups in options.static.values():
                self.assertTrue(all(0 < talkgroup < 0xFFFFFF for talkgroup in talkgroups))
