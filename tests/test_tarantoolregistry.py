"""
Tests of C{etc/tarantool/registry.lua}: one server with its spaces, its users and its feed.
"""

from __future__ import annotations

from statistics import median
from threading import Thread
from time import monotonic, sleep
from typing import Any, Final

from tests.tarantoolcluster import (
    PASSWORDS,
    PATIENCE,
    SCRIPT,
    ConsoleError,
    Server,
    ServerCase,
    connector,
    waitUntil,
)

GID: Final = "0xfe8000000000000050800200008e4d39"
NODE: Final = [2501, "192.0.2.1", 54000, 2**64 - 1, 100, 1.5e9]
PROMPT: Final = 0.05  # seconds for half of all changes; a quiet machine needs 0.3 ms
RING: Final = 1024


class OverrideTests(ServerCase):
    """
    OverriddenNodes, at the console.
    """

    def test_seeds(self) -> None:
        """
        The line that BrandMeister describes works as it is typed, with each of its constants.
        """
        server = self.startServer()
        shown = server.type(
            "box.space.OverriddenNodes:replace({25012, 0, FORWARD_TRANSPORT_RDMA,"
            f" '{GID}', 54000}})"
        )
        self.assertEqual(shown, f"---\n- [25012, 0, 'rdma', '{GID}', 54000]\n...\n")
        names = {"IP": "udp", "UDP": "udp", "RDMA": "rdma", "SOCKET": "unix", "VSOCKET": "vsock"}
        names |= {"VSOCK": "vsock", "TCP": "tcp", "TLS": "tls", "SHM": "shm", "AUTO": "auto"}
        for node, (name, transport) in enumerate(names.items(), 1):
            server.type(
                f"box.space.OverriddenNodes:replace({{{node}, 'group', FORWARD_TRANSPORT_{name},"
                " '', 54001})"
            )
            row = server.ask(f"box.space.OverriddenNodes:get({node})")
            self.assertEqual(row, [node, "group", transport, "", 54001])

    def test_bad(self) -> None:
        """
        A row that cannot be used is refused with each of its mistakes by the field, whichever way
        it is written; what is there stays, and the others are written.
        """
        server = self.startServer()
        put = "box.space.OverriddenNodes:replace"
        good = "{25012, 0, FORWARD_TRANSPORT_UDP, 'a.example', 54000}"
        server.do(f"{put}({good})")
        cases = {
            "{25013, 0, 'carrier', 'a', 1}": ['transport: "carrier" is no transport; there is au'],
            "{25013, 0, FORWARD_TRANSPORT_PIGEON, 'a', 1}": ["transport: null is no transport"],
            "{25013, 0, 3, 'a', 1}": ["transport: 3 is no transport"],
            "{25013, 0, 'udp', 'a', 65536}": ["port: 65536 is not in 0 to 65535"],
            "{25013, 0, 'udp', 'a', -1}": ["port: -1 is not in 0 to 65535"],
            "{25013, 0, 'udp', 'a', '1'}": ['port: "1" is no whole number'],
            "{25013, 0, 'udp', 'a', 1.5}": ["port: 1.5 is no whole number"],
            "{25013, 0, 'udp', 42, 1}": ["address: 42 is no text"],
            "{25013, 0, 'udp', 'a\\n', 1}": ["address: ", "holds what cannot be printed"],
            "{25013, 0, 'udp', '\\xff', 1}": ["address: ", "holds what cannot be printed"],
            "{25013, 0, 'udp', ('a'):rep(256), 1}": ["address: is longer than 255"],
            "{25013, 7, 'udp', 'a', 1}": ["key: 7 is no id of a key"],
            "{0, 0, 'udp', 'a', 1}": ["node: 0 is not in 1 to 9999999"],
            "{25013, 0}": ["transport: null", "address: null", "port: null"],
            "{25013, 0, 'udp', 'a', 1, 2}": ["has 6 fields, 5 at most"],
        }
        for row, said in cases.items():
            with self.assertRaises(ConsoleError) as raised:
                server.do(f"{put}({row})")
            shown = " ".join(str(raised.exception).split())
            self.assertIn("OverriddenNodes: ", shown)
            for one in said:
                self.assertIn(one, shown.replace("\\\\", "\\").replace('\\"', '"'), row)
        change = "box.space.OverriddenNodes:update(25012, {{'=', 'transport', 'pigeon'}})"
        self.assertRaises(ConsoleError, server.do, change)
        server.do(f"{put}({{25013, '', FORWARD_TRANSPORT_SOCKET, '', 54001}})")
        self.assertEqual(
            server.rows("OverriddenNodes"),
            [[25012, 0, "udp", "a.example", 54000], [25013, "", "unix", "", 54001]],
        )

    def test_others(self) -> None:
        """
        Transports of third parties are known when the operator names them.
        """
        server = self.startServer(TRANSPORTS="acme, acme-2")
        server.do("box.space.OverriddenNodes:replace({25012, 0, 'acme-2', '', 1})")
        self.assertEqual(server.rows("OverriddenNodes"), [[25012, 0, "acme-2", "", 1]])


class RowTests(ServerCase):
    """
    The spaces that are replicated, and their stamps.
    """

    def setUp(self) -> None:
        super().setUp()
        self.server = self.startServer()

    def put(self, values: str = "2501, 'a', 1, 2, 3, 4.5", how: str = "replace") -> list[Any]:
        """
        Write a row of a node.
        """
        row: list[Any] = self.server.ask(f"box.space.Nodes:{how}({{{values}}})")
        return row

    def test_stamped(self) -> None:
        """
        A row is stamped with the time and this replica, whatever stamp is given with it; each
        version is later than the one before, although the clock is set back.
        """
        before = self.server.ask("require('clock').realtime()")
        *columns, version, writer, deleted = self.put()
        self.assertEqual(columns, [2501, "a", 1, 2, 3, 4.5, None])
        self.assertEqual((writer, deleted), (1, False))
        self.assertLess(abs(version / 1e6 - before), PATIENCE)
        self.server.do("require('clock').time64 = function() return 1000ULL end")
        self.assertEqual(self.put("2501, 'b', 1, 2, 3, 4, 'f', 5, 6, true")[1:2], ["b"])
        row = self.server.ask("box.space.Nodes:update(2501, {{'=', 'port', 9}})")
        self.assertEqual(row, [2501, "b", 9, 2, 3, 4, "f", version + 2, 1, False])

    def test_deleted(self) -> None:
        """
        A row that was deleted is seen by no reader, and is not deleted or updated again; a row
        may take its place.
        """
        self.put()
        self.server.do("box.space.Nodes:delete(2501)")
        self.assertEqual(self.server.rows("Nodes"), [])
        tombstone = self.server.ask("box.space.Nodes:get(2501)")
        self.assertTrue(tombstone[-1])
        self.server.do("box.space.Nodes:delete(2501)")
        self.server.do("box.space.Nodes:update(2501, {{'=', 'port', 9}})")
        self.assertEqual(self.server.ask("box.space.Nodes:get(2501)"), tombstone)
        client = self.server.connect()
        self.addCleanup(client.close)
        self.assertEqual(client.call("read_rows", (["Nodes"],))[2], {"Nodes": []})
        row = self.put(how="insert")
        self.assertGreater(row[-3], tombstone[-3])
        self.assertEqual(self.server.rows("Nodes"), [row])

    def test_never(self) -> None:
        """
        An insert takes no row's place, and an upsert is refused.
        """
        self.put()
        with self.assertRaises(ConsoleError) as raised:
            self.put("2501, 'other', 1, 2, 3, 4", how="insert")
        self.assertIn("there is a row with this key", str(raised.exception))
        with self.assertRaises(ConsoleError) as raised:
            self.server.do("box.space.Nodes:upsert({2501, 'a', 1, 2, 3, 4}, {{'=', 3, 9}})")
        self.assertIn("upsert is not to be had", str(raised.exception))
        self.assertEqual([row[1:3] for row in self.server.rows("Nodes")], [["a", 1]])

    def test_extremes(self) -> None:
        """
        Rows come back as they went in, also at the ends of what their columns hold.
        """
        rows: dict[str, list[list[Any]]] = {
            "Nodes": [
                [1, "", 1, 0, 1, 0.0, None],
                [2501, "кавказ.example", 2, 2**63, 2, 1.7e9 + 0.125, None],
                [9_999_999, "'; DROP --", 65535, 2**64 - 1, 2**22, 2, "fingerprint"],
            ],
            "Peers": [
                [1, None, None, None, None, None],
                [2**32 - 1, "club", True, False, 0.5, True],
                # The server sets the stamps, whatever is given.
                [2, *[None] * 8, True, False, 0.5, "91, 2600-2699", "", "{there = 8, here = 9}"],
            ],
            "Subscriptions": [[262, 1, 91], [262, 2, 91], [262, 2, 2**24 - 1]],
            "Locations": [[1, 1, 1, 1, 0], [2**24 - 1, 9_999_999, 2**32 - 1, 2, 1.7e9 + 0.125]],
            "OverriddenNodes": [[1, 0, "auto", "", 0], [2, "", "vsock", "3", 65535]],
        }
        client = self.server.connect("bmadmin")
        self.addCleanup(client.close)
        for space, values in rows.items():
            number = self.server.ask(f"box.space.{space}.id")
            for row in values:
                client.replace(number, row)
        _, _, found = client.call("read_rows")
        for space, values in rows.items():
            columns = len(values[0])
            self.assertEqual(
                sorted(row[:columns] for row in found[space]),
                sorted(row[:columns] for row in values),
            )
        peer = next(row for row in found["Peers"] if row[0] == 2)
        self.assertEqual(peer[9:], rows["Peers"][2][9:])
        self.assertEqual(len(peer), 15)

    def test_bad(self) -> None:
        """
        A row that cannot be used is refused with its mistakes by column, in every space.
        """
        cases = {
            "Nodes:replace({0, 5, 0, -1, 0, 0/0})": [
                *("node: 0", "address: 5", "port: 0", "boot: -1", "pid: 0", "seen: "),
            ],
            "Nodes:replace({1, 'a', 1, 1, 4194305, 1/0})": ["pid: 4194305", "seen: "],
            "Nodes:replace({10000000, 'a', 1, 1, 1, 1, 5})": ["node: 100", "fingerprint: 5"],
            "Peers:replace({4294967296, 5, 'no', 1, -1, 0})": [
                *("peer: 4294967296", "secret: 5", "banned: ", "single: 1", "timeout: -1"),
                "options: 0",
            ],
            "Peers:replace(box.space.Peers:frommap{peer = 1, dial = true, hold_off = -1})": [
                "hold_off: -1 is no number of seconds",
            ],
            "Peers:replace(box.space.Peers:frommap{peer = 1, translate = ('a'):rep(4097)})": [
                "translate: is longer than 4096 characters",
            ],
            "Peers:replace({1, nil, nil, nil, nil, nil, 1, 1, false, 1, 2, '3', 4, 5, 6, 7})": [
                *("has 16 fields, 15 at most", "dial: 1", "auto_static: 2", 'hold_off: "3"'),
                *("allow_talkgroups: 4", "deny_talkgroups: 5", "translate: 6"),
            ],
            "Subscriptions:replace({1, 3, 16777216})": ["slot: 3", "talkgroup: 16777216"],
            "Locations:replace({1, 0, 1})": ["node: 0", "slot: null", "heard: null"],
            "Subscriptions:replace({1, 1, 1, 1, 1, false, 7})": ["has 7 fields, 6 at most"],
        }
        for line, said in cases.items():
            with self.assertRaises(ConsoleError) as raised:
                self.server.do(f"box.space.{line}")
            shown = " ".join(str(raised.exception).split())
            for one in said:
                self.assertIn(one, shown, line)
        self.assertEqual(set(map(str, self.server.everything().values())), {"[]"})
        with self.assertRaises(ConsoleError):
            self.server.ask("registry.rows('Nodez')")

    def test_expired(self) -> None:
        """
        A tombstone goes after 30 days, not before; live rows never do.
        """
        self.put()
        self.put("2502, 'b', 1, 2, 3, 4")
        self.server.do("box.space.Nodes:delete(2501)")
        day = "(require('clock').time64() / 1000 + {} * 86400 * 1000000ULL)"
        self.assertEqual(self.server.ask(f"registry.expire({day.format(29)})"), 0)
        self.assertEqual(self.server.ask("box.space.Nodes:count()"), 2)
        self.assertEqual(self.server.ask(f"registry.expire({day.format(31)})"), 1)
        self.assertEqual([row[0] for row in self.server.everything()["Nodes"]], [2502])

    def test_killed(self) -> None:
        """
        A server that was killed and started again has the rows that it had, to the stamp, and
        another epoch, by which every reader learns to read all again.
        """
        self.put()
        self.put("2502, 'b', 1, 2, 3, 4")
        self.server.do("box.space.Nodes:delete(2501)")
        self.server.do("box.space.OverriddenNodes:replace({2503, 0, 'udp', '', 1})")
        rows, status = self.server.everything(), self.server.ask("registry.status()")
        self.server.kill()
        self.server.start()
        self.assertEqual(self.server.everything(), rows)
        self.assertEqual(self.server.rows("OverriddenNodes"), [[2503, 0, "udp", "", 1]])
        client = self.server.connect()
        self.addCleanup(client.close)
        answer = client.call("wait_changes", status["sequence"], status["epoch"], 5)
        self.assertNotEqual(answer[0], status["epoch"])
        self.assertEqual(list(answer)[1:], [0, None])
        self.assertGreater(self.put("2502, 'c', 1, 2, 3, 4")[-3], rows["Nodes"][1][-3])


class UserTests(ServerCase):
    """
    What each user may do.
    """

    def setUp(self) -> None:
        super().setUp()
        self.server = self.startServer()
        self.spaces = {
            name: self.server.ask(f"box.space.{name}.id")
            for name in ("Nodes", "OverriddenNodes", "Peers", "Subscriptions", "Locations")
        }

    def connect(self, user: str | None) -> Any:
        """
        A connection that ends with the test.
        """
        client = self.server.connect(user)
        self.addCleanup(client.close)
        return client

    def test_spaces(self) -> None:
        """
        A node reads everything and writes what it learns; an administrator writes also who may
        log in and how nodes are reached; a replica, which has to copy everything, writes nothing.
        """
        rows: dict[str, list[Any]] = {
            "Nodes": NODE,
            "OverriddenNodes": [25012, 0, "udp", "", 1],
            "Peers": [262],
            "Subscriptions": [262, 1, 91],
            "Locations": [2621, 2501, 262, 1, 1.5],
        }
        learnt = {"Nodes", "Subscriptions", "Locations"}
        may: dict[str, set[str]] = {"bmnode": learnt, "bmadmin": set(rows), "bmreplica": set()}
        for user, written in may.items():
            client = self.connect(user)
            for space, row in rows.items():
                number = self.spaces[space]
                client.select(number)
                if space in written:
                    client.replace(number, row)
                    client.delete(number, tuple(row[: 3 if space == "Subscriptions" else 1]))
                else:
                    self.refused(client.replace, number, row)
                    self.refused(client.delete, number, 1)

    def test_guest(self) -> None:
        """
        Who does not log in reads and writes nothing, not even what spaces there are.
        """
        tarantool = connector()
        client = self.connect(None)
        ask = client._send_request
        for number in (*self.spaces.values(), 272, 281, 289):
            # Even before it is asked which rights there are on the space.
            self.usage(ask, tarantool.request.RequestSelect(client, number, 0, [], 0, 1, 0))
        for number in self.spaces.values():
            self.usage(ask, tarantool.request.RequestReplace(client, number, [1]))
            self.usage(ask, tarantool.request.RequestDelete(client, number, 0, [1]))

    def usage(self, call: Any, *arguments: Any) -> None:
        """
        See that this is refused for want of the right to use anything.
        """
        self.assertIn("Usage access to universe", self.refused(call, *arguments))

    def refused(self, call: Any, *arguments: Any) -> str:
        """
        See that this is refused for want of a right.

        @return: what the server says.
        """
        error = self.assertRaises(connector().error.DatabaseError, call, *arguments)
        self.assertIn("access", str(error).lower())
        self.assertIn("denied", str(error).lower())
        return str(error)

    def test_calls(self) -> None:
        """
        Nodes and administrators call what the registry offers and nothing else; guests and
        replicas call nothing; nobody runs a program or changes the spaces.
        """
        calls: dict[str, tuple[Any, ...]] = {
            "wait_changes": (0, "", 0),
            "read_rows": (),
            "registry_status": (),
            "registry_conflicts": (),
        }
        for user in ("bmnode", "bmadmin", "bmreplica", None):
            client = self.connect(user)
            for name, arguments in calls.items():
                if user in ("bmnode", "bmadmin"):
                    client.call(name, *arguments)
                else:
                    self.refused(client.call, name, *arguments)
            for name in ("registry.migrate", "registry.expire", "box.snapshot"):
                self.refused(client.call, name)
            self.refused(client.eval, "return 1")
            if user is not None:
                self.refused(client.insert, 280, [700, 1, "mine", "memtx", 0, {}, []])

    def test_passwords(self) -> None:
        """
        A wrong password opens nothing, not the old one either after the file has another.
        """
        database = connector().error.DatabaseError
        self.assertRaises(database, self.server.connect, "bmnode", "wrong-of-a-test")
        self.server.stop()
        self.server.writePasswords(
            "# users\nbmnode = another-of-a-test\nbmadmin = third-of-a-test\n"
        )
        self.server.start()
        self.assertRaises(database, self.server.connect, "bmnode", PASSWORDS["bmnode"])
        client = self.server.connect("bmnode", "another-of-a-test")
        self.addCleanup(client.close)
        self.assertEqual(client.call("registry_status")[0]["schema"], 3)


class FeedTests(ServerCase):
    """
    The feed of changes.
    """

    def setUp(self) -> None:
        super().setUp()
        self.server = self.startServer()
        self.client = self.connect()
        self.epoch, self.sequence, _ = self.client.call("read_rows")

    def connect(self) -> Any:
        """
        Another connection of a node.
        """
        client = self.server.connect()
        self.addCleanup(client.close)
        return client

    def wait(self, since: Any, timeout: Any = 0, epoch: Any = None) -> list[Any]:
        """
        What the feed answers.
        """
        known = self.epoch if epoch is None else epoch
        return list(self.client.call("wait_changes", since, known, timeout))

    def write(self, first: int, count: int = 1) -> None:
        """
        Write overrides.
        """
        self.server.do(
            f"for node = {first}, {first + count - 1} do"
            " box.space.OverriddenNodes:replace({node, 0, 'udp', '', 1}) end"
        )

    def test_changes(self) -> None:
        """
        Changes come in their order with the row as it is then, or null where it was deleted;
        a deletion of nothing is none, nor is the end of a tombstone.
        """
        self.server.do(
            "box.space.Peers:replace({262, 'club'}) box.space.Peers:delete(262)"
            " box.space.Peers:delete(262) box.space.OverriddenNodes:delete(1)"
            " registry.expire(box.space.Peers:get(262).version + 31 * 86400 * 1000000ULL)"
            " box.space.Subscriptions:replace({262, 2, 91})"
        )
        self.write(25012)
        epoch, sequence, changes = self.wait(0)
        self.assertEqual((epoch, sequence), (self.epoch, 4))
        self.assertEqual(
            [
                (space, key, row and row[: 3 if space != "OverriddenNodes" else 5])
                for space, key, row in changes
            ],
            [
                ("Peers", [262], [262, "club", None]),
                ("Peers", [262], None),
                ("Subscriptions", [262, 2, 91], [262, 2, 91]),
                ("OverriddenNodes", [25012], [25012, 0, "udp", "", 1]),
            ],
        )
        self.assertEqual(self.wait(3)[2], changes[3:])
        self.assertEqual(self.wait(4), [self.epoch, 4, []])

    def test_silent(self) -> None:
        """
        Locations, which change all the time and which nodes tell each other, are not told.
        """
        self.server.do("box.space.Locations:replace({2621, 2501, 262, 1, 1.5})")
        self.assertEqual(self.wait(0), [self.epoch, 0, []])
        self.assertEqual(len(self.server.rows("Locations")), 1)

    def test_rolledBack(self) -> None:
        """
        What was not committed is not told; what was committed together is told together.
        """
        self.server.do(
            "box.begin() box.space.Peers:replace({262}) box.rollback()"
            " box.begin() box.space.Peers:replace({263})"
            " box.space.Peers:replace({264}) box.commit()"
        )
        self.assertEqual([key for _, key, _ in self.wait(0)[2]], [[263], [264]])

    def test_readAgain(self) -> None:
        """
        A reader of another epoch, one that is too far behind and one that is ahead are told at
        once to read everything again.
        """
        self.write(1000, RING)
        self.assertEqual(len(self.wait(0)[2]), RING)
        self.write(1)
        sequence = RING + 1
        for since, epoch in ((0, None), (sequence, "another"), (sequence + 1, None)):
            self.assertEqual(self.wait(since, 5, epoch), [self.epoch, sequence, None])
        self.assertEqual(len(self.wait(1)[2]), RING)

    def test_wrong(self) -> None:
        """
        A call with what is no sequence or no time is an error.
        """
        for since, timeout in ((-1, 1), (1.5, 1), ("0", 1), (None, 1), (0, None), (0, "1")):
            self.assertRaises(connector().error.DatabaseError, self.wait, since, timeout)

    def test_timeOver(self) -> None:
        """
        When nothing changes in the time given, the answer is an empty list then.
        """
        before = monotonic()
        self.assertEqual(self.wait(0, 0.2), [self.epoch, 0, []])
        self.assertGreater(monotonic() - before, 0.19)

    def test_many(self) -> None:
        """
        All that wait are told of one change, and none is kept afterwards.
        """
        answers: list[list[Any]] = []

        def poll(client: Any) -> None:
            answers.append(list(client.call("wait_changes", 0, self.epoch, 10)))

        threads = [Thread(target=poll, args=(self.connect(),)) for _ in range(8)]
        for one in threads:
            one.start()
        waitUntil(lambda: self.server.ask("registry.status().waiting") == 8, "8 are waiting")
        self.write(25012)
        for one in threads:
            one.join(PATIENCE)
        change = ["OverriddenNodes", [25012], [25012, 0, "udp", "", 1]]
        self.assertEqual(answers, [[self.epoch, 1, [change]]] * 8)
        self.assertEqual(self.server.ask("registry.status().waiting"), 0)

    def test_prompt(self) -> None:
        """
        A change is told at once, and none of many is left out.
        """
        times = notifications(self.server, 100)
        self.assertEqual(len(times), 100)
        self.assertLess(median(times), PROMPT)


class BroadcastTests(ServerCase):
    """
    Versions of Tarantool that tell watchers themselves (IPROTO_WATCH).
    """

    def test_told(self) -> None:
        """
        Where the server can broadcast, it does so with epoch and sequence: at its start, and after
        each change.
        """
        server = self.makeServer()
        server.script = self.folder / "later.lua"
        # What a later version has, for those who look at it from within.
        server.script.write_text(
            "rawset(box, 'broadcast', function(key, value) heard = {key, value} end)\n"
            f"dofile('{SCRIPT}')\n"
        )
        server.start()
        epoch = server.ask("registry.status().epoch")
        for sequence in range(3):
            expected = ["bmff.registry", [epoch, sequence]]

            def heard(expected: list[Any] = expected) -> bool:
                return bool(server.ask("heard") == expected)

            waitUntil(heard, str(expected))
            server.do("box.space.OverriddenNodes:replace({25012, 0, 'udp', '', 1})")


def notifications(server: Server, count: int) -> list[float]:
    """
    How long it takes from before a write until a reader has its change.

    @param count: how many writes.
    @return: seconds.
    """
    reader, writer = server.connect(), server.connect("bmadmin")
    space = server.ask("box.space.OverriddenNodes.id")
    began: dict[int, float] = {}
    times: dict[int, float] = {}

    epoch, start, _ = reader.call("read_rows", ([],))

    def read() -> None:
        sequence = start
        while len(times) < count:
            _, sequence, changes = reader.call("wait_changes", sequence, epoch, 5)
            now = monotonic()
            if not changes:
                return
            times.update({key[0]: now - began[key[0]] for _, key, _ in changes})

    thread = Thread(target=read)
    thread.start()
    for node in range(1, count + 1):
        began[node] = monotonic()
        writer.replace(space, [node, 0, "udp", "", 1])
        sleep(0.002)
    thread.join(PATIENCE)
    reader.close()
    writer.close()
    return list(times.values())
