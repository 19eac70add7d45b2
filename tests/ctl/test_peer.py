"""
Tests of C{bmffctl peer} and C{bmffctl subscription}, on a registry in a file.
"""

from __future__ import annotations

import json
from typing import Any

from bmff.ctl.visit import visit
from bmff.ibmff import IRegistry, PeerRow, SubscriptionRow
from tests.ctl.test_override import RowTestCase


class HotspotRowTestCase(RowTestCase):
    """
    A registry with rows about hotspots.
    """

    def contents(self) -> Any:
        """
        What is in the registry about hotspots.
        """

        async def read(registry: IRegistry) -> Any:
            return dict(registry.peers), sorted(registry.subscriptions)

        registry = self.configuration.registry
        if not registry.file.exists():
            return {}, []
        return visit(registry, self.configuration.secrets, read)

    def write(self, *rows: PeerRow | SubscriptionRow) -> None:
        """
        Write rows, as another process would.
        """

        async def put(registry: IRegistry) -> None:
            for row in rows:
                await registry.put(row)

        visit(self.configuration.registry, self.configuration.secrets, put)


class PeerTests(HotspotRowTestCase):
    """
    What is different for single hotspots.
    """

    group = "peer"

    @property
    def peers(self) -> dict[int, PeerRow]:
        """
        The rows.
        """
        peers: dict[int, PeerRow] = self.contents()[0]
        return peers

    def test_set(self) -> None:
        """
        What is given is written and told; what is not given stays; what is to be as the
        configuration says is so again.
        """
        said = self.done(
            *("set", "2345678", "--secret", "own", "--single", "no", "--timeout", "0"),
            *("--options", "yes", "--banned", "no"),
        )
        self.assertEqual(
            said,
            "2345678 is let in whatever the lists say, has the password under own, keeps what it "
            "keyed for what it keys next, never leaves what it keyed by itself, may set its own "
            "talkgroups",
        )
        self.assertEqual(self.peers, {2345678: PeerRow(2345678, "own", False, False, 0, True)})
        self.done("set", "2345678", "--timeout", "60", "--banned", "default")
        self.assertEqual(self.peers, {2345678: PeerRow(2345678, "own", None, False, 60, True)})
        said = self.done(
            *("set", "2345678", "--timeout", "default", "--secret", "default"),
            *("--single", "default", "--options", "default"),
        )
        self.assertEqual(said, "2345678 is as the configuration says")
        self.assertEqual(self.peers, {2345678: PeerRow(2345678)})

    def test_setTalkgroups(self) -> None:
        """
        The same goes for what has to do with talkgroups; a list that allows any and one that
        denies none are not the same as what the configuration says.
        """
        rule = "{there = 8, here = 2628, slot = 2}"
        said = self.done(
            *("set", "1", "--dial", "no", "--auto-static", "yes", "--hold-off", "60"),
            *("--allow", "91, 2600-2699", "--deny", "2666", "--translate", rule),
        )
        self.assertEqual(
            said,
            "1 does not link a talkgroup that it calls, keeps, when it is simplex, what it keyed "
            "last, hears no other static talkgroup for 60 s after its own talk, may key and hear "
            f"91, 2600-2699, is denied 2666, has other numbers: {rule}",
        )
        row = PeerRow(
            1,
            dial=False,
            autoStatic=True,
            holdOff=60,
            allowTalkgroups="91, 2600-2699",
            denyTalkgroups="2666",
            translate=rule,
        )
        self.assertEqual(self.peers, {1: row})
        said = self.done(
            *("set", "1", "--dial", "yes", "--auto-static", "no", "--hold-off", "0"),
            *("--allow", "any", "--deny", "none", "--translate", "none"),
        )
        self.assertEqual(
            said,
            "1 links a talkgroup that it calls, does not keep, when it is simplex, what it keyed "
            "last, hears other static talkgroups right after its own talk, may key and hear any "
            "talkgroup, is denied no talkgroup, has no other numbers of its own",
        )
        empty = PeerRow(1, None, None, None, None, None, True, False, 0, "", "", "")
        self.assertEqual(self.peers, {1: empty})
        names = ("dial", "auto-static", "hold-off", "allow", "deny", "translate")
        said = self.done("set", "1", *(word for name in names for word in (f"--{name}", "default")))
        self.assertEqual(said, "1 is as the configuration says")
        self.assertEqual(self.peers, {1: PeerRow(1)})

    def test_unreadable(self) -> None:
        """
        A list or a rule that cannot be read is refused with what is wrong in it.
        """
        for words, said in (
            (("--allow", "91, x"), "allow_talkgroups: 'x' is no talkgroup, range"),
            (("--deny", "0"), "deny_talkgroups: '0' is no talkgroup"),
            (("--hold-off", "3601"), "hold_off: 3601 is no time, 0 to 3600 seconds"),
            (("--translate", "8=9"), 'translate: must be rules such as "{there = 8, here = '),
            (
                ("--translate", "{there = 8, here = 9}; {there = 7, heer = 2}"),
                "translate: rule 2: heer: unknown; did you mean here?",
            ),
        ):
            self.assertIn(said, self.refused("set", "1", *words))

    def test_unusable(self) -> None:
        """
        What the registry would not use is refused by it.
        """
        said = self.refused("set", "2345678", "--timeout", "86401", "--secret", " ")
        self.assertEqual(
            [line.partition(":")[0] for line in said.splitlines()], ["secret", "timeout"]
        )

    def test_ban(self) -> None:
        """
        A ban is written beside what is said else, and hotspots of the same radio are named that it
        does not reach.
        """
        self.write(PeerRow(2345678, secret="own"), PeerRow(234567801), PeerRow(234567902))
        said = self.done("ban", "2345678").splitlines()
        self.assertEqual(
            said,
            ["2345678 is banned", "not banned, as each has a row of its own: 234567801"],
        )
        self.assertEqual(self.peers[2345678], PeerRow(2345678, secret="own", banned=True))
        self.assertEqual(self.done("ban", "234567801"), "234567801 is banned")
        self.assertEqual(self.done("ban", "2345678"), "2345678 is banned")

    def test_unban(self) -> None:
        """
        A ban is taken back, and with it a row that says nothing else.
        """
        self.write(PeerRow(1, secret="own", banned=True), PeerRow(2, banned=True))
        self.done("unban", "1")
        self.assertEqual(self.done("unban", "2"), "2 is not banned any more")
        self.assertEqual(self.peers, {1: PeerRow(1, secret="own")})

    def test_notBanned(self) -> None:
        """
        Where there is no ban to be taken back that is told, and where the radio is banned, too.
        """
        self.assertEqual(self.refused("unban", "1"), "peer 1: is not banned there")
        self.assertFalse(self.configuration.registry.file.exists())
        self.write(PeerRow(2345678, banned=True), PeerRow(234567802))
        self.assertEqual(
            self.refused("unban", "234567801"), "peer 234567801: the row of 2345678 bans it"
        )
        self.assertEqual(self.refused("unban", "234567802"), "peer 234567802: is not banned there")

    def test_remove(self) -> None:
        """
        A row is taken away, also one that cannot be used; one that is not there is told.
        """
        said = "peer 1: has no row in the registry"
        self.assertEqual(self.refused("remove", "1"), said)
        self.write(PeerRow(1, banned=True), PeerRow(2))
        self.assertEqual(self.done("remove", "1"), "1 is as the configuration says")
        self.execute("INSERT INTO Peers (peer, banned) VALUES (3, 7)")
        self.done("remove", "3")
        self.assertNotIn("(3,", self.done("list"))
        self.assertEqual(self.peers, {2: PeerRow(2)})
        self.assertEqual(self.refused("remove", "1"), said)

    def test_badRow(self) -> None:
        """
        A row that cannot be used is not written over with less than is in it, which may be a ban;
        but it can be banned.
        """
        self.write(PeerRow(2))
        self.execute("INSERT INTO Peers (peer, banned, timeout) VALUES (1, TRUE, 'soon')")
        said = self.refused("set", "1", "--single", "yes")
        self.assertIn("peer 1: its row cannot be used (timeout: 'soon' is no time", said)
        self.done("ban", "1")
        self.assertEqual(self.peers, {1: PeerRow(1, banned=True), 2: PeerRow(2)})

    def test_list(self) -> None:
        """
        There is a line for each row by ID, and one for each that cannot be used.
        """
        self.assertEqual(
            self.done("list").split(),
            [
                *("PEER", "SECRET", "BANNED", "SINGLE", "TIMEOUT", "OPTIONS", "DIAL"),
                *("AUTO-STATIC", "HOLD-OFF", "ALLOW", "DENY", "TRANSLATE"),
            ],
        )
        self.write(PeerRow(234567801, "own", True, False, 7.5, None), PeerRow(2, single=True))
        self.execute("INSERT INTO Peers (peer, banned) VALUES (3, 7)")
        _, *rows, bad = self.done("list").splitlines()
        self.assertEqual(
            [row.split() for row in rows],
            [["2", "yes"], ["234567801", "own", "yes", "no", "7.5"]],
        )
        self.assertEqual(
            bad,
            f"not used, of Peers: (3, None, 7{', None' * 9}): banned: 7 is neither true nor false",
        )

    def test_listAll(self) -> None:
        """
        Of each row all is listed that it says, also that there is nothing.
        """
        self.write(
            PeerRow(1, dial=False, autoStatic=True, holdOff=7.5, allowTalkgroups="91, 262*"),
            PeerRow(2, allowTalkgroups="", denyTalkgroups=" ", translate=""),
        )
        _, *rows = self.done("list").splitlines()
        self.assertEqual(
            [row.split() for row in rows],
            [["1", "no", "yes", "7.5", "91,", "262*"], ["2", "any", "none", "none"]],
        )

    def test_json(self) -> None:
        """
        On request they are printed as JSON.
        """
        self.write(PeerRow(1, banned=True), SubscriptionRow(1, 2, 91))
        self.execute("INSERT INTO Peers (peer, banned) VALUES (3, 7)")
        content = json.loads(self.done("list", "--json"))
        self.assertEqual(
            content["peers"],
            [
                {"peer": 1, "secret": None, "banned": True, "single": None, "timeout": None,
                 "options": None, "dial": None, "auto_static": None, "hold_off": None,
                 "allow_talkgroups": None, "deny_talkgroups": None, "translate": None},
            ],
        )  # fmt: skip
        self.assertEqual(len(content["bad"]), 1)

    def test_words(self) -> None:
        """
        Words that make no command are told, with exit code 2.
        """
        for words in (
            ("set", "1"),
            ("set", "--single", "yes"),
            ("set", "1", "--single", "maybe"),
            ("set", "1", "--timeout", "-5"),
            ("set", "1", "--timeout", "soon"),
            ("set", "1", "--dial", "maybe"),
            ("set", "1", "--auto-static", "none"),
            ("set", "1", "--hold-off", "any"),
            ("set", "0", "--single", "yes"),
            ("ban",),
            ("ban", "4294967296"),
            ("ban", "1", "2"),
            ("unban", "x"),
            ("remove", "-1"),
            ("list", "1"),
            ("change",),
        ):
            self.misspelt(*words)
        self.assertEqual(self.command("peer"), 2)
        self.assertEqual(
            self.err, "bmffctl: there is list, set, ban, unban, remove; --help says more\n"
        )


class SubscriptionTests(HotspotRowTestCase):
    """
    Talkgroups of single hotspots.
    """

    group = "subscription"

    @property
    def subscriptions(self) -> list[tuple[int, int, int]]:
        """
        The rows' keys.
        """
        subscriptions: list[tuple[int, int, int]] = self.contents()[1]
        return subscriptions

    def test_add(self) -> None:
        """
        Talkgroups are added to those that a slot has, and told.
        """
        self.write(SubscriptionRow(1, 2, 91))
        said = self.done("add", "1", "2", "92", "93", "92", "91")
        self.assertEqual(said, "1 slot 2: 92, 93, 91 from now on")
        self.done("add", "1", "1", "92")
        self.assertEqual(self.subscriptions, [(1, 1, 92), (1, 2, 91), (1, 2, 92), (1, 2, 93)])

    def test_unusable(self) -> None:
        """
        A talkgroup that the registry would not use is refused by it.
        """
        self.assertEqual(
            self.refused("add", "1", "2", "9990"),
            "talkgroup: 9990 is reserved for services and cannot be a static talkgroup",
        )

    def test_remove(self) -> None:
        """
        Talkgroups are taken away, also such as cannot be used; those that are not there are told.
        """
        self.assertEqual(
            self.refused("remove", "1", "2", "91"), "1 slot 2: the registry has no such talkgroup"
        )
        self.assertFalse(self.configuration.registry.file.exists())
        self.write(*(SubscriptionRow(1, 2, number) for number in (91, 92, 93)))
        self.execute("INSERT INTO Subscriptions VALUES (1, 2, 4000)")
        self.assertEqual(
            self.done("remove", "1", "2", "91", "94", "4000").splitlines(),
            ["1 slot 2: 91, 4000 no more", "1 slot 2: 94 not there before"],
        )
        self.assertEqual(self.subscriptions, [(1, 2, 92), (1, 2, 93)])
        self.assertEqual(len(self.done("list").splitlines()), 2)
        self.refused("remove", "1", "1", "92")

    def test_list(self) -> None:
        """
        There is a line for each slot, of all hotspots or of one, and one for each row that cannot
        be used.
        """
        self.assertEqual(self.done("list"), "PEER  SLOT  TALKGROUPS")
        self.write(*(SubscriptionRow(*key) for key in ((2, 2, 91), (1, 2, 262), (1, 2, 91))))
        self.execute("INSERT INTO Subscriptions VALUES (1, 3, 91)")
        _, *rows, bad = self.done("list").splitlines()
        self.assertEqual([row.split() for row in rows], [["1", "2", "91", "262"], ["2", "2", "91"]])
        self.assertEqual(bad, "not used, of Subscriptions: (1, 3, 91): slot: 3 is not in 1 to 2")
        self.assertNotIn("262", self.done("list", "2"))
        content = json.loads(self.done("list", "2", "--json"))
        self.assertEqual(content["subscriptions"], [{"peer": 2, "slot": 2, "talkgroup": 91}])

    def test_words(self) -> None:
        """
        Words that make no command are told, with exit code 2.
        """
        for words in (
            ("add",),
            ("add", "1", "2"),
            ("add", "1", "3", "91"),
            ("add", "1", "2", "91x"),
            ("add", "0", "2", "91"),
            ("remove", "1"),
            ("list", "x"),
            ("list", "1", "2"),
            ("change",),
        ):
            self.misspelt(*words)
