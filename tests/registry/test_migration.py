"""
Tests of how L{bmff.registry.database} brings the files of older schemas to this one.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.python.monkey import MonkeyPatcher

from bmff.ibmff import PeerRow, SubscriptionRow
from bmff.registry import database
from bmff.testing.registry import PROMPT, nodeRow
from tests.registry.test_embedded import FileCase


class MigrationTests(FileCase):
    """
    Files of older schemas.
    """

    async def test_first(self) -> None:
        """
        A file of the first schema, whose nodes have no fingerprints, is brought to this one with
        the rows in it.
        """
        self.assertEqual(len(database.STEPS), 4)
        await self.makeOld(1)
        with self.connect() as connection:
            boot = f"{1:016x}"
            values = f"2501, '192.0.2.1', 54000, '{boot}', 100, 1.5e9"
            connection.execute(f"INSERT INTO Nodes VALUES ({values})")
        registry = await self.startRegistry()
        self.assertEqual(registry.nodes, {2501: nodeRow(2501)})
        await registry.put(nodeRow(2501, fingerprint="ab" * 32))
        self.assertEqual(registry.nodes[2501].fingerprint, "ab" * 32)

    async def test_second(self) -> None:
        """
        A file of the second schema, which knows nothing of hotspots, is brought to this one with
        the rows in it.
        """
        await self.makeOld(2)
        with self.connect() as connection:
            connection.execute("INSERT INTO OverriddenNodes (node, transport) VALUES (2501, 'shm')")
        registry = await self.startRegistry()
        self.assertEqual(list(registry.overrides), [2501])
        row = PeerRow(1, "own", False, True, 60, None)
        await registry.put(row)
        await registry.put(SubscriptionRow(1, 2, 91))
        await registry.stop()
        registry = await self.startRegistry()
        self.assertEqual(registry.peers, {1: row})
        self.assertEqual(list(registry.subscriptions), [(1, 2, 91)])

    async def test_third(self) -> None:
        """
        A file of the third schema, whose rows of hotspots say nothing of talkgroups, is brought to
        this one with the rows in it, which are told of when they change.
        """
        await self.makeOld(3)
        with self.connect() as connection:
            connection.execute("INSERT INTO Peers VALUES (1, 'own', 0, NULL, 60, 1)")
            connection.execute("INSERT INTO Subscriptions VALUES (1, 2, 91)")
        registry = await self.startRegistry()
        row = PeerRow(1, "own", False, None, 60, True)
        self.assertEqual(registry.peers, {1: row})
        self.assertEqual(list(registry.subscriptions), [(1, 2, 91)])
        with self.connect() as connection:
            connection.execute("UPDATE Peers SET dial = FALSE, deny_talkgroups = 92")
        changed = replace(row, dial=False, denyTalkgroups="92")
        await self.until(lambda: registry.peers == {1: changed}, PROMPT)
        self.assertIs(registry.peers[1].dial, False)
        self.assertEqual(registry.badRows, ())

    async def makeOld(self, version: int) -> None:
        """
        Have a file of an older schema, with no rows, in the place of the registry's.
        """
        await self.registry.stop()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        steps = database.STEPS[:version]
        with MonkeyPatcher((database, "STEPS", steps), (database, "VERSION", version)):
            database.Database(self.path).close()
