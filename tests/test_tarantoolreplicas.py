"""
Tests of C{etc/tarantool/registry.lua} on three servers that are replicas of one another.
"""

from __future__ import annotations

from typing import Any, Final

from tests.tarantoolcluster import PATIENCE, Server, ServerCase, waitUntil

KEYS: Final = 40  # rows of each kind in a split

# What two sides do to rows while they do not see each other: the first half of the rows the left
# side does last, the other half the right side.
BOTH: Final = {
    "written": ("replace({%d, 'left'})", "replace({%d, 'right'})"),
    "deletedLeft": ("delete(%d)", "replace({%d, 'right'})"),
    "deletedRight": ("replace({%d, 'left'})", "delete(%d)"),
    "deletedBoth": ("delete(%d)", "delete(%d)"),
}


class ReplicaTests(ServerCase):
    """
    Three replicas, all written to.
    """

    def setUp(self) -> None:
        super().setUp()
        self.replicas = self.makeReplicas()

    def everywhere(self, space: str, node: int) -> list[Any]:
        """
        The first columns of a row at each replica, or None.
        """
        return [one.ask(f"(box.space.{space}:get({node}) or {{}})[2]") for one in self.replicas]

    def conflictKeys(self) -> set[int]:
        """
        The rows that some replica has counted a conflict of.
        """
        keys = set()
        for one in self.replicas:
            count, last = one.ask("{registry.conflicts()}")
            self.assertEqual(len(last), min(count, 1024))
            keys |= {conflict[1][0] for conflict in last}
        return keys

    def test_split(self) -> None:
        """
        After a split in which all wrote and deleted the same rows, and one was killed, all have
        the same rows: for each the last word that was said anywhere. No deleted row is back, each
        conflict is counted, and rows that one side alone touched are none.
        """
        left, right, third = self.replicas
        first = {kind: number * 1000 + 1 for number, kind in enumerate(BOTH)}
        all = range(first["written"], first["deletedBoth"] + KEYS)
        left.do(f"for peer = 1, {all[-1]} do box.space.Peers:replace({{peer, 'before'}}) end")
        self.agree(self.replicas)
        self.split(self.replicas)

        def change(server: Server, what: str, start: int) -> None:
            line = what.replace("%d", "peer")
            server.do(f"for peer = {start}, {start + KEYS // 2 - 1} do box.space.Peers:{line} end")

        expected: dict[int, str | None] = {}
        for kind, (lefts, rights) in BOTH.items():
            start = first[kind]
            change(right, rights, start)
            change(left, lefts, start)
            change(left, lefts, start + KEYS // 2)
            change(right, rights, start + KEYS // 2)
            for peer in range(start, start + KEYS):
                said = lefts if peer < start + KEYS // 2 else rights
                expected[peer] = None if "delete" in said else said.split("'")[1]
        third.do("box.space.Peers:delete(500) box.space.Peers:replace({501, 'third'})")
        contested = set(expected)
        expected |= {500: None, 501: "third", 502: "before"}

        # What comes at a start, at the first moment, is judged as well.
        left.kill()
        left.start()
        self.heal(self.replicas)
        rows = self.agree(self.replicas)["Peers"]
        deleted = 8  # its place in a row, see the script
        found = {row[0]: None if row[deleted] else row[1] for row in rows}
        self.assertEqual({peer: found[peer] for peer in expected}, expected)
        for one in self.replicas:
            live = {row[0] for row in one.rows("Peers")}
            self.assertEqual(live & set(expected), {p for p, v in expected.items() if v})
        self.assertEqual(self.conflictKeys(), contested)
        counts = [one.ask("registry.status().conflicts") for one in self.replicas]
        self.assertGreaterEqual(sum(counts), len(contested))

    def test_goesOn(self) -> None:
        """
        A replica that was killed starts again without the others, is written to, and has
        everything when they meet; one that is written to wherever it is has no conflict.
        """
        first, second, third = self.replicas
        third.kill()
        second.do("box.space.Peers:replace({1, 'b'}) box.space.Peers:replace({2, 'b'})")
        first.kill()
        second.kill()
        third.start()
        third.do("box.space.Peers:replace({3, 'c'})")
        self.assertEqual([row[:2] for row in third.rows("Peers")], [[3, "c"]])
        second.start()
        second.do("box.space.Peers:delete(2)")
        first.start()
        self.agree(self.replicas)
        for place, one in enumerate(self.replicas):
            one.do(f"box.space.Peers:replace({{4, 'at {place}'}})")
            self.agree(self.replicas)
        rows = {row[0]: row[1] for row in first.rows("Peers")}
        self.assertEqual(rows, {1: "b", 3: "c", 4: "at 2"})
        self.assertEqual(self.conflictKeys(), set())

    def test_local(self) -> None:
        """
        An override is known at the server that it was written at, and nowhere else.
        """
        first = self.replicas[0]
        first.do("box.space.OverriddenNodes:replace({25012, 0, FORWARD_TRANSPORT_SHM, '', 54000})")
        first.do("box.space.Peers:replace({1, 'later'})")
        self.agree(self.replicas)
        self.assertEqual(self.everywhere("OverriddenNodes", 25012), [0, None, None])

    def test_told(self) -> None:
        """
        The feed of a replica tells what was written at another.
        """
        first, second, _ = self.replicas
        client = second.connect()
        self.addCleanup(client.close)
        epoch, sequence, _ = client.call("read_rows")
        first.do("box.space.Peers:replace({1, 'a'})")
        _, sequence, changes = client.call("wait_changes", sequence, epoch, 10)
        self.assertEqual([(one[0], one[2][:2]) for one in changes], [("Peers", [1, "a"])])
        first.do("box.space.Peers:delete(1)")
        _, _, changes = client.call("wait_changes", sequence, epoch, 10)
        self.assertEqual(list(changes), [["Peers", [1], None]])

    def test_expired(self) -> None:
        """
        A tombstone that has expired at one replica stays at another until it has expired there.
        """
        first, second, third = self.replicas
        first.do("box.space.Peers:replace({1}) box.space.Peers:delete(1)")
        self.agree(self.replicas)
        later = "require('clock').time64() / 1000 + 31 * 86400 * 1000000ULL"
        self.assertEqual(first.ask(f"registry.expire({later})"), 1)
        waitUntil(lambda: second.clock() == first.clock() == third.clock(), "all have heard")
        counts = [one.ask("box.space.Peers:count()") for one in self.replicas]
        self.assertEqual(counts, [0, 1, 1])
        self.assertEqual([one.rows("Peers") for one in self.replicas], [[]] * 3)

    def test_status(self) -> None:
        """
        Each replica says who the others are and whether it hears them.
        """
        for place, one in enumerate(self.replicas):

            def heard(server: Server = one) -> bool:
                others = [r for r in server.ask("registry.status().replicas") if not r["here"]]
                return [r.get("status") for r in others] == ["follow", "follow"]

            waitUntil(heard, f"replica {place} follows the others", PATIENCE)
            # However many it hears, it never waits for the others before it takes a write.
            self.assertEqual(one.ask("box.cfg.replication_connect_quorum"), 0)
        ids = {one.ask("registry.status().id") for one in self.replicas}
        self.assertEqual(ids, {1, 2, 3})


class JoinTests(ServerCase):
    """
    Replicas that come later.
    """

    def associate(self, servers: list[Server]) -> None:
        """
        Make these servers replicas of one another from their next start on.
        """
        for one in servers:
            one.environment = {"REPLICAS": ",".join(each.address for each in servers)}

    def test_grown(self) -> None:
        """
        A server that was alone becomes one of three, and keeps its rows.
        """
        alone = self.startServer()
        alone.do("box.space.Peers:replace({1, 'a'}) box.space.Peers:replace({2, 'b'})")
        alone.do("box.space.Peers:delete(2)")
        rows = alone.everything()
        alone.stop()
        servers = [alone, self.makeServer("second"), self.makeServer("third")]
        self.associate(servers)
        for one in servers:
            one.begin()
        for one in servers:
            waitUntil(one.readyAgain, f"replica in {one.folder}")
        self.assertEqual(self.agree(servers), rows)
        servers[2].do("box.space.Peers:replace({2, 'c'})")
        self.agree(servers)
        self.assertEqual([row[:2] for row in alone.rows("Peers")], [[1, "a"], [2, "c"]])

    def test_lost(self) -> None:
        """
        A replica that has lost its files, the first one even, copies everything from the others;
        then another may be told to look after the spaces.
        """
        servers = [self.makeServer(name) for name in ("one", "two")]
        self.associate(servers)
        for one in servers:
            one.begin()
        for one in servers:
            waitUntil(one.ready, f"replica in {one.folder}")
        first, other = sorted(servers, key=lambda one: int(one.ask("registry.status().id")))
        first.do("box.space.Peers:replace({1, 'a'}) box.space.Peers:replace({2, 'b'})")
        first.do("box.space.Peers:delete(1)")
        rows = self.agree(servers)
        first.kill()
        for path in first.folder.iterdir():
            if path.name != "passwords":
                path.unlink()
        first.start()
        self.assertEqual(self.agree(servers), rows)
        self.assertEqual(first.ask("registry.status().id"), 3)
        other.do("registry.migrate()")
        first.do("box.space.Peers:replace({3, 'c'})")
        self.assertEqual([row[1] for row in self.agree(servers)["Peers"]], ["a", "b", "c"])
