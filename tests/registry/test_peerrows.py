"""
Tests of what L{bmff.registry.embedded} makes of rows about hotspots that an operator writes.
"""

from __future__ import annotations

from bmff.ibmff import PeerRow
from bmff.testing.registry import PROMPT
from tests.registry.test_embedded import FileCase


class PeerTests(FileCase):
    """
    Tests of the tables Peers and Subscriptions.
    """

    async def test_peer(self) -> None:
        """
        What an operator inserts of hotspots is there within a second; what was not said is as the
        configuration says.
        """
        with self.connect() as connection:
            connection.execute("INSERT INTO Peers (peer, banned, options) VALUES (1, TRUE, FALSE)")
            connection.execute("INSERT INTO Subscriptions VALUES (1, 2, '91')")
            expected = PeerRow(1, banned=True, options=False)
            await self.until(lambda: self.registry.peers == {1: expected}, PROMPT)
            await self.until(lambda: list(self.registry.subscriptions) == [(1, 2, 91)], PROMPT)
            self.assertIs(self.registry.peers[1].banned, True)
            connection.execute("DELETE FROM Peers")
            await self.until(lambda: not self.registry.peers, PROMPT)

    async def test_badPeers(self) -> None:
        """
        Rows of hotspots that cannot be used are left out alone, named once with what is wrong, and
        without what may be a password; they can be removed.
        """
        with self.connect() as connection:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO Peers (peer) VALUES (5)")
            connection.execute("INSERT INTO Peers (peer, secret, banned) VALUES (6, 'passw0rd', 7)")
            connection.execute("INSERT INTO Peers (peer, secret) VALUES (7, x'00')")
            connection.execute("INSERT INTO Subscriptions VALUES (5, 2, 91), (5, 3, 91)")
            connection.execute("INSERT INTO Subscriptions VALUES (5, 2, NULL), (5, 2, 4000)")
            connection.execute("COMMIT")
            await self.until(lambda: self.registry.badRows, PROMPT)
        self.assertEqual(self.registry.peers, {5: PeerRow(5)})
        self.assertEqual(list(self.registry.subscriptions), [(5, 2, 91)])
        self.assertEqual(
            [(row.table, row.peer, row.text, row.reason) for row in self.registry.badRows],
            [
                (
                    *("peers", 6, f"(6, '...', 7{', None' * 9})"),
                    "banned: 7 is neither true nor false",
                ),
                (
                    *("peers", 7, f"(7, '...'{', None' * 10})"),
                    "secret: is no id of a password in the secrets file",
                ),
                ("subscriptions", 5, "(5, 2, None)", "talkgroup: None is no whole number"),
                (
                    *("subscriptions", 5, "(5, 2, 4000)"),
                    "talkgroup: 4000 is reserved for services and cannot be a static talkgroup",
                ),
                ("subscriptions", 5, "(5, 3, 91)", "slot: 3 is not in 1 to 2"),
            ],
        )
        await self.registry.remove("peers", 6)
        await self.registry.remove("subscriptions", (5, 3, 91))
        self.assertEqual(len(self.registry.badRows), 3)

    async def test_texts(self) -> None:
        """
        An operator writes lists and rules as in the configuration; where one cannot be read, the
        row is left out with what is wrong in it, and the one that was there before stays.
        """
        rule = "{there = 8, here = 2628, slot = 2}"
        with self.connect() as connection:
            connection.execute(
                "INSERT INTO Peers (peer, auto_static, hold_off, allow_talkgroups, translate)"
                " VALUES (1, TRUE, 7.5, '91, 2600-2699', ?), (2, FALSE, 0, 91, '')",
                (rule,),
            )
            one = PeerRow(
                1, autoStatic=True, holdOff=7.5, allowTalkgroups="91, 2600-2699", translate=rule
            )
            two = PeerRow(2, autoStatic=False, holdOff=0, allowTalkgroups="91", translate="")
            await self.until(lambda: self.registry.peers == {1: one, 2: two}, PROMPT)
            self.assertIs(self.registry.peers[2].autoStatic, False)
            connection.execute("UPDATE Peers SET deny_talkgroups = 'all', hold_off = 'long'")
            await self.until(lambda: self.registry.badRows, PROMPT)
        self.assertEqual(self.registry.peers, {1: one, 2: two})
        reason = (
            "hold_off: 'long' is no time, 0 to 3600 seconds; deny_talkgroups: 'all' is no "
            'talkgroup, range "2620-2629", beginning "262*" or "*"'
        )
        self.assertEqual(
            [(row.peer, row.reason) for row in self.registry.badRows], [(1, reason), (2, reason)]
        )

    async def test_keptBan(self) -> None:
        """
        A row of a hotspot that becomes one that cannot be used leaves the one that was there
        before, so that a slip lifts no ban, until it is mended or taken away.
        """
        row = PeerRow(1, banned=True)
        await self.registry.put(row)
        changes = self.changesOf(self.registry)
        with self.connect() as connection:
            connection.execute("UPDATE Peers SET banned = FALSE, timeout = 'soon'")
            await self.until(lambda: self.registry.badRows, PROMPT)
            self.assertEqual(self.registry.peers, {1: row})
            self.assertEqual(changes, [])
            connection.execute("UPDATE Peers SET timeout = 5")
            mended = PeerRow(1, banned=False, timeout=5)
            await self.until(lambda: self.registry.peers == {1: mended}, PROMPT)
        self.assertEqual(self.registry.badRows, ())
