"""
Tests for L{bmff.access}.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bmff.access import Access
from bmff.config import parseConfiguration
from bmff.dmr.numbers import radioID
from bmff.ibmff import PeerRow, SubscriptionRow
from bmff.router.translation import Form
from bmff.sections.homebrew import Homebrew
from bmff.sections.values import LARGEST_ID


class SomePasswords(dict[str, bytes]):
    """
    Passwords by id.
    """

    def homebrewPassword(self, secretID: str) -> bytes | None:
        """
        See L{bmff.access.Passwords}.
        """
        return self.get(secretID)


def homebrew(text: str) -> Homebrew:
    """
    The section with some lines.
    """
    made = parseConfiguration(f"network = 25011\n[homebrew]\n{text}", "x", Path("/")).homebrew
    assert made is not None
    return made


def access(text: str = "") -> Access:
    """
    The rules in some lines, with passwords for everybody and for C{own}.
    """
    return Access(homebrew(text), SomePasswords(hotspots=b"all", own=b"mine"))


class PassphraseTests(SynchronousTestCase):
    """
    Passwords.
    """

    def test_common(self) -> None:
        """
        Without a rule everybody may log in, with the common password.
        """
        rules = access()
        for peerID in (1, 310012, 2345678, 234567801, LARGEST_ID):
            self.assertEqual(rules.passphrase(peerID), b"all")
            self.assertIsNone(rules.refusal(peerID))

    def test_own(self) -> None:
        """
        A hotspot with a password of its own has that, and so have all hotspots of the radio ID.
        """
        rules = access("[homebrew.peer.2345678]\npassword = 'own'")
        self.assertEqual(rules.passphrase(2345678), b"mine")
        self.assertEqual(rules.passphrase(234567801), b"mine")
        self.assertEqual(rules.passphrase(2345679), b"all")
        self.assertEqual(rules.passphrase(23456780), b"all")

    def test_exact(self) -> None:
        """
        The entry for a hotspot counts alone, before that for its radio ID.
        """
        rules = access(
            "[homebrew.peer.2345678]\npassword = 'own'\nsingle = true\n[homebrew.peer.234567802]"
        )
        self.assertEqual(rules.passphrase(234567802), b"all")
        self.assertFalse(rules.settings(234567802).single)
        self.assertEqual(rules.passphrase(234567801), b"mine")
        self.assertTrue(rules.settings(234567801).single)

    def test_unknownID(self) -> None:
        """
        Who has a password's id that is not among the secrets may not log in, and is told why.
        """
        rules = access("[homebrew.peer.1]\npassword = 'gone'")
        self.assertIsNone(rules.passphrase(1))
        self.assertEqual(rules.refusal(1), "its password id is not in the secrets file")
        self.assertIsNone(rules.refusal(2))

    def test_changed(self) -> None:
        """
        A password that has changed counts from the next login.
        """
        passwords = SomePasswords()
        rules = Access(homebrew(""), passwords)
        self.assertIsNone(rules.passphrase(1))
        passwords["hotspots"] = b"new"
        self.assertEqual(rules.passphrase(1), b"new")


class RefusalTests(SynchronousTestCase):
    """
    Who may not log in.
    """

    def check(self, text: str, refused: dict[int, str | None]) -> None:
        """
        The rules refuse so; and who is refused has no passphrase.
        """
        rules = access(text)
        for peerID, reason in refused.items():
            self.assertEqual(rules.refusal(peerID), reason, peerID)
            self.assertIs(rules.passphrase(peerID) is None, reason is not None, peerID)

    def test_allow(self) -> None:
        """
        With a list of those allowed all others are refused; a radio ID stands for its hotspots.
        """
        out = "not in the allow list"
        self.check(
            "allow = [2345678, '2620000-2629999', 310012, 235000105]",
            {
                2345678: None, 234567800: None, 234567899: None, 2345679: out, 234567900: out,
                23456780: out, 2620000: None, 2629999: None, 2619999: out, 2630000: out,
                262999999: None, 310012: None, 31001201: out, 235000105: None, 235000106: out,
                2350001: out,
            },
        )  # fmt: skip

    def test_deny(self) -> None:
        """
        Who is denied is refused, also when allowed; one hotspot of a radio ID may be denied.
        """
        out = "in the deny list"
        self.check(
            "allow = ['234*']\ndeny = [2345678, 234000005]",
            {2345678: out, 234567801: out, 2345679: None, 234000005: out, 234000006: None},
        )

    def test_banned(self) -> None:
        """
        Who is banned is refused, also when allowed.
        """
        self.check(
            "allow = [2345678]\n[homebrew.peer.2345678]\nbanned = true",
            {2345678: "banned", 234567801: "banned"},
        )

    def test_notBanned(self) -> None:
        """
        Of whom the operator says that it is not banned, it is let in past the lists.
        """
        self.check(
            "allow = [1]\ndeny = ['234*']\n[homebrew.peer.2345678]\nbanned = false\n"
            "[homebrew.peer.2345679]\nsingle = true\n[homebrew.peer.5]",
            {
                2345678: None,
                234567801: None,
                2345679: "in the deny list",
                5: "not in the allow list",
                1: None,
            },
        )

    def test_exactBan(self) -> None:
        """
        One hotspot of a radio ID that is banned may be let in, and the other way round.
        """
        self.check(
            "[homebrew.peer.2345678]\nbanned = true\n[homebrew.peer.234567801]\nbanned = false\n"
            "[homebrew.peer.234567902]\nbanned = true",
            {2345678: "banned", 234567801: None, 234567802: "banned", 2345679: None,
             234567901: None, 234567902: "banned"},
        )  # fmt: skip

    @settings(deadline=None)  # a busy machine
    @given(
        ranges=st.lists(st.tuples(st.integers(1, 99), st.integers(0, 9)), max_size=6),
        peerID=st.integers(1, 110),
    )
    def test_ranges(self, ranges: list[tuple[int, int]], peerID: int) -> None:
        """
        An ID is in a list if, and only if, it is in one of its ranges, however they lie.
        """
        written = ", ".join(f"'{first}-{first + more}'" for first, more in ranges)
        inside = any(first <= peerID <= first + more for first, more in ranges)
        denied = access(f"deny = [{written}]").refusal(peerID)
        self.assertEqual(denied, "in the deny list" if inside else None)
        allowed = access(f"allow = [{written}]").refusal(peerID)
        self.assertEqual(allowed, None if inside or not ranges else "not in the allow list")


class SettingsTests(SynchronousTestCase):
    """
    What is set for a peer.
    """

    def test_common(self) -> None:
        """
        Without an entry a peer has what all have.
        """
        settings = access("static = {2 = [91, 235, 91]}\nsingle = true").settings(2345678)
        self.assertEqual(settings.static, {1: (), 2: (91, 235)})
        self.assertTrue(settings.single)
        self.assertEqual(settings.dynamicTimeout, 900)
        self.assertTrue(settings.options)

    def test_own(self) -> None:
        """
        What an entry says replaces what all have, slot by slot, were it nothing, false or 0.
        """
        rules = access(
            "static = {1 = [1], 2 = [91]}\nsingle = true\ndynamic_timeout = 60\n"
            "[homebrew.peer.2345678]\nstatic = {2 = [235]}\nsingle = false\ndynamic_timeout = 0\n"
            "options = false\n[homebrew.peer.2345679]\nstatic = {2 = []}"
        )
        settings = rules.settings(234567801)
        self.assertEqual(settings.static, {1: (1,), 2: (235,)})
        self.assertEqual(
            (settings.single, settings.dynamicTimeout, settings.options), (False, 0, False)
        )
        settings = rules.settings(2345679)
        self.assertEqual(settings.static, {1: (1,), 2: ()})
        self.assertEqual(
            (settings.single, settings.dynamicTimeout, settings.options), (True, 60, True)
        )

    def test_frozen(self) -> None:
        """
        Settings do not change, and are the same object for all that have no entry.
        """
        rules = access()
        self.assertIs(rules.settings(1), rules.settings(2))
        self.assertRaises(FrozenInstanceError, setattr, rules.settings(1), "single", True)

    def test_talkgroups(self) -> None:
        """
        What a peer may key and hear is a list of those, without another list; its own lists
        replace everybody's.
        """
        rules = access(
            'allow_talkgroups = ["262*"]\ndeny_talkgroups = [2625]\n'
            "[homebrew.peer.2345678]\nallow_talkgroups = []"
        )
        refused = rules.settings(1).refused
        self.assertTrue(91 in refused and 2625 in refused)
        self.assertFalse(262 in refused or 2629 in refused)
        refused = rules.settings(2345678).refused
        self.assertTrue(2625 in refused)
        self.assertFalse(91 in refused)

    def test_services(self) -> None:
        """
        Dialling, hold-off, talkgroups that stay, and other numbers are settings of a peer, too.
        """
        rules = access(
            "dial = false\nhold_off = 60\nauto_static = true\n[homebrew.peer.2345678]\n"
            "dial = true\nhold_off = 0\nauto_static = false\n"
            "translate = [{there = 8, here = 2628, slot = 2}]"
        )
        common, own = rules.settings(1), rules.settings(2345678)
        self.assertEqual((common.dial, common.holdOff, common.autoStatic), (False, 60, True))
        self.assertEqual((own.dial, own.holdOff, own.autoStatic), (True, 0, False))
        self.assertFalse(common.translation)
        self.assertEqual(own.translation.inward(2, Form(8)), Form(2628))
        self.assertIsNone(own.translation.inward(1, Form(8)))

    def test_commonTranslation(self) -> None:
        """
        Numbers that are others at every hotspot count for one with its own, too, after those.
        """
        rules = access(
            "translate = [{there = 8, here = 2628}, {there = 7, here = 2627}]\n"
            "[homebrew.peer.2345678]\ntranslate = [{there = 8, here = 2350}]"
        )
        common, own = rules.settings(1).translation, rules.settings(2345678).translation
        self.assertEqual(common.inward(2, Form(8)), Form(2628))
        self.assertEqual(own.inward(2, Form(8)), Form(2350))
        self.assertEqual(own.inward(2, Form(7)), Form(2627))


class SomeRows:
    """
    What a registry says.

    @ivar peers: see L{bmff.access.Rows}.
    @ivar subscriptions: the same.
    """

    def __init__(self, *rows: PeerRow | SubscriptionRow) -> None:
        self.peers = {row.peer: row for row in rows if isinstance(row, PeerRow)}
        self.subscriptions = {
            (row.peer, row.slot, row.talkgroup): row
            for row in rows
            if isinstance(row, SubscriptionRow)
        }


class RowTests(SynchronousTestCase):
    """
    What the registry says over the configuration.
    """

    def rules(self, text: str, *rows: PeerRow | SubscriptionRow) -> Access:
        """
        The rules in some lines, and such rows.
        """
        return Access(homebrew(text), SomePasswords(hotspots=b"all", own=b"mine"), SomeRows(*rows))

    def test_nothing(self) -> None:
        """
        A row that says nothing changes nothing, and neither does one of somebody else.
        """
        text = (
            "deny = [7]\nstatic = {2 = [91]}\n[homebrew.peer.2345678]\npassword = 'own'\n"
            "single = true\nbanned = false"
        )
        plain = access(text)
        rules = self.rules(
            text, PeerRow(2345678), PeerRow(7), PeerRow(3, banned=True), SubscriptionRow(3, 1, 1)
        )
        for peerID in (7, 2345678, 234567801, 2345679):
            said, before = rules.settings(peerID), plain.settings(peerID)
            self.assertEqual(replace(said, translation=before.translation), before)
            self.assertEqual(rules.passphrase(peerID), plain.passphrase(peerID))
            self.assertEqual(rules.refusal(peerID), plain.refusal(peerID))
        self.assertIs(rules.settings(2345679), rules.settings(1))

    def test_stronger(self) -> None:
        """
        What a row says replaces what the configuration says of that hotspot, field by field, were
        it false or 0.
        """
        rules = self.rules(
            "single = true\n[homebrew.peer.2345678]\ndynamic_timeout = 60\npassword = 'own'\n"
            "options = false\nhold_off = 5",
            PeerRow(2345678, secret="hotspots", timeout=0, options=True),
            PeerRow(2, single=False),
        )
        settings = rules.settings(2345678)
        self.assertEqual(
            (settings.single, settings.dynamicTimeout, settings.options, settings.holdOff),
            (True, 0, True, 5),
        )
        self.assertEqual(rules.passphrase(2345678), b"all")
        self.assertFalse(rules.settings(2).single)
        self.assertEqual(rules.settings(2).dynamicTimeout, 900)

    def test_talkgroups(self) -> None:
        """
        A row's lists replace those of the entry, and so do its rules of other numbers; what it
        says nothing of is as the entry has it, and where that does not either, as everybody's.
        """
        rules = self.rules(
            'allow_talkgroups = ["262*"]\ndeny_talkgroups = [2625]\n'
            "translate = [{there = 7, here = 2627}]\n[homebrew.peer.2345678]\n"
            "deny_talkgroups = [91]\ntranslate = [{there = 8, here = 2628}]\ndial = false",
            PeerRow(2345678, allowTalkgroups="91, 2600-2699", translate="{there=9,here=2629}"),
            PeerRow(1, allowTalkgroups=""),
            PeerRow(2, denyTalkgroups="", translate=""),
            PeerRow(3, denyTalkgroups="2629"),
        )
        for peerID, permitted, refused in (
            (234567801, (2600, 2625), (91, 262)),
            (1, (91, 262), (2625,)),
            (2, (262, 2625), (91,)),
            (3, (262, 2625), (91, 2629)),
            (4, (262,), (91, 2625)),
        ):
            found = rules.settings(peerID).refused
            self.assertEqual([each in found for each in permitted], [False] * len(permitted))
            self.assertEqual([each in found for each in refused], [True] * len(refused))
        translation = rules.settings(234567801).translation
        self.assertEqual(translation.inward(2, Form(9)), Form(2629))
        self.assertEqual(translation.inward(2, Form(7)), Form(2627))
        self.assertIsNone(translation.inward(2, Form(8)))
        self.assertEqual(rules.settings(2).translation.inward(1, Form(7)), Form(2627))
        self.assertFalse(rules.settings(2345678).dial)

    def test_services(self) -> None:
        """
        Dialling, talkgroups that stay and hold-off are laid over the configuration too, were they
        false or 0.
        """
        rules = self.rules(
            "auto_static = true\nhold_off = 60",
            PeerRow(1, dial=False, autoStatic=False, holdOff=0),
            PeerRow(2, holdOff=5),
        )
        one, two = rules.settings(1), rules.settings(2)
        self.assertEqual((one.dial, one.autoStatic, one.holdOff), (False, False, 0))
        self.assertEqual((two.dial, two.autoStatic, two.holdOff), (True, True, 5))

    def test_readOnce(self) -> None:
        """
        What a row comes to is made once, and anew when the row or the configuration changes; a
        row of a radio counts over the entry that each of its hotspots has.
        """
        text = "[homebrew.peer.234567802]\nhold_off = 5"
        row = PeerRow(2345678, denyTalkgroups="91")
        rules = self.rules(text, row)
        first, second = rules.settings(234567801), rules.settings(234567802)
        self.assertEqual((first.holdOff, second.holdOff), (0, 5))
        self.assertEqual([91 in each.refused for each in (first, second)], [True, True])
        rules.rows = SomeRows(row, PeerRow(1))
        rules.rowsChanged()
        self.assertIs(rules.settings(234567801), first)
        self.assertIs(rules.settings(234567802), second)
        rules.reconfigure(homebrew("[homebrew.peer.234567802]\nhold_off = 6"))
        self.assertEqual(rules.settings(234567802).holdOff, 6)
        for deny, refused in (("92", False), ("91", True)):
            rules.rows = SomeRows(PeerRow(2345678, denyTalkgroups=deny))
            self.assertEqual(91 in rules.settings(234567801).refused, refused)
            rules.rowsChanged()
            self.assertEqual(91 in rules.settings(234567801).refused, refused)
        rules.rows = SomeRows()
        self.assertFalse(91 in rules.settings(234567801).refused)

    def test_radioID(self) -> None:
        """
        What is said of a radio ID is said of its hotspots, but of one with a row of its own only
        that counts; a row of the radio ID is stronger than the configuration's entry for a single
        hotspot.
        """
        rules = self.rules(
            "[homebrew.peer.234567803]\nbanned = false\nsingle = true",
            PeerRow(2345678, banned=True, secret="own"),
            PeerRow(234567802),
            SubscriptionRow(2345678, 2, 91),
            SubscriptionRow(234567801, 2, 92),
        )
        for peerID, reason in (
            (2345678, "banned"),
            (234567801, "banned"),
            (234567802, None),
            (234567803, "banned"),
            (23456780, None),
        ):
            self.assertEqual(rules.refusal(peerID), reason, peerID)
        self.assertEqual(rules.passphrase(234567802), b"all")
        self.assertTrue(rules.settings(234567803).single)
        for peerID, talkgroups in (
            (2345678, (91,)),
            (234567801, (92,)),
            (234567802, (91,)),
            (23456780, ()),
        ):
            self.assertEqual(rules.settings(peerID).static, {1: (), 2: talkgroups}, peerID)

    def test_lists(self) -> None:
        """
        A row that says whether a hotspot is banned decides, whatever the lists say; one that does
        not leaves it to them.
        """
        rules = self.rules(
            "allow = ['234*']\ndeny = [2345670]\n[homebrew.peer.2345671]\nbanned = true",
            PeerRow(1, banned=False),
            PeerRow(2, secret="own"),
            PeerRow(2345670, banned=False),
            PeerRow(2345671, banned=False),
            PeerRow(2345672, banned=True),
        )
        for peerID, reason in (
            (1, None),
            (2, "not in the allow list"),
            (2345670, None),
            (2345671, None),
            (2345672, "banned"),
            (2345673, None),
        ):
            self.assertEqual(rules.refusal(peerID), reason, peerID)
            self.assertIs(rules.passphrase(peerID) is None, reason is not None, peerID)

    def test_noSecret(self) -> None:
        """
        A row that names a password which this host does not have keeps its hotspot out.
        """
        rules = self.rules("", PeerRow(1, secret="elsewhere"))
        self.assertEqual(rules.refusal(1), "its password id is not in the secrets file")
        self.assertIsNone(rules.passphrase(1))

    def test_added(self) -> None:
        """
        Subscriptions are added to the configuration's talkgroups, each once, slot by slot.
        """
        rules = self.rules(
            "static = {1 = [1], 2 = [91]}\n[homebrew.peer.2345678]\nstatic = {2 = [235, 92]}",
            SubscriptionRow(2345678, 2, 92),
            SubscriptionRow(2345678, 2, 93),
            SubscriptionRow(2345678, 1, 94),
            SubscriptionRow(1, 2, 95),
        )
        self.assertEqual(rules.settings(2345678).static, {1: (1, 94), 2: (235, 92, 93)})
        self.assertEqual(rules.settings(1).static, {1: (1,), 2: (91, 95)})
        self.assertEqual(rules.settings(2).static, {1: (1,), 2: (91,)})

    def test_changed(self) -> None:
        """
        What changes in the registry counts from the next question.
        """
        rules = self.rules("")
        self.assertEqual(rules.settings(1).slot2, ())
        rules.rows = SomeRows(PeerRow(1, banned=True), SubscriptionRow(1, 2, 91))
        self.assertEqual((rules.refusal(1), rules.settings(1).slot2), ("banned", (91,)))
        rules.rows = SomeRows()
        self.assertEqual((rules.refusal(1), rules.settings(1).slot2), (None, ()))


class ReviewTests(SynchronousTestCase):
    """
    Whom a change in the registry concerns.
    """

    def setUp(self) -> None:
        self.rules = Access(homebrew(""), SomePasswords(hotspots=b"all"))

    def concerned(self, *rows: PeerRow | SubscriptionRow) -> list[int]:
        """
        Of some hotspots those that are to be reviewed when the registry says this.
        """
        self.rules.rows = SomeRows(*rows)
        concerned = self.rules.rowsChanged()
        return [each for each in (1, 2, 2345678, 234567801, 23456780) if concerned(each)]

    def test_concerned(self) -> None:
        """
        Those are of whom something else is said than at the last review, of them or their radio.
        """
        added, banned = SubscriptionRow(1, 2, 91), PeerRow(2345678, banned=True)
        self.assertEqual(self.concerned(), [])
        self.assertEqual(self.concerned(added, PeerRow(2)), [1, 2])
        self.assertEqual(self.concerned(added, PeerRow(2)), [])
        self.assertEqual(
            self.concerned(added, PeerRow(2, single=True), banned), [2, 2345678, 234567801]
        )
        self.assertEqual(self.concerned(PeerRow(2, single=True), banned), [1])
        self.assertEqual(self.concerned(SubscriptionRow(234567801, 1, 1)), [2, 2345678, 234567801])

    def test_asked(self) -> None:
        """
        What somebody has asked for before the review is not forgotten.
        """
        self.rules.rows = SomeRows(SubscriptionRow(1, 2, 91))
        self.assertEqual(self.rules.settings(1).slot2, (91,))
        self.rules.rows = SomeRows(SubscriptionRow(1, 2, 91), SubscriptionRow(2, 2, 91))
        concerned = self.rules.rowsChanged()
        self.assertEqual((concerned(1), concerned(2), concerned(3)), (True, True, False))

    @settings(deadline=None)  # a busy machine
    @given(
        st.lists(
            st.sets(st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 4))),
            max_size=6,
        )
    )
    def test_index(self, states: list[set[tuple[int, int, int]]]) -> None:
        """
        Whatever was said before, what is said now is set.
        """
        self.setUp()
        for state in states:
            self.rules.rows = SomeRows(*(SubscriptionRow(*key) for key in state))
            for peerID in (1, 2, 3):
                found = self.rules.settings(peerID).static
                for slot in (1, 2):
                    wanted = {key[2] for key in state if key[:2] == (peerID, slot)}
                    self.assertEqual(set(found[slot]), wanted)


class RadioIDTests(SynchronousTestCase):
    """
    Radio IDs of hotspots.
    """

    def test_radioID(self) -> None:
        """
        Nine digits are a radio ID and two more; other IDs are their own.
        """
        for peerID, radio in (
            (234567801, 2345678),
            (100000000, 1000000),
            (999999999, 9999999),
            (99999999, 99999999),
            (1000000000, 1000000000),
            (2345678, 2345678),
            (310012, 310012),
        ):
            self.assertEqual(radioID(peerID), radio)
