"""
Tests of the start of C{etc/tarantool/registry.lua}: its settings, where it listens, older files.
"""

from __future__ import annotations

from typing import Final

from tests.tarantoolcluster import SCRIPT, Server, ServerCase

# A registry of version 1, which knew no Locations.
OLDER: Final = """
box.cfg{memtx_dir = '%(folder)s', wal_dir = '%(folder)s', vinyl_dir = '%(folder)s',
    feedback_enabled = false}
local function make(name, count, types, is_local, key)
    local format, parts = {}, {}
    for place, one in ipairs(types) do
        format[place] = {name = one[1], type = one[2], is_nullable = one[3]}
    end
    for place = 1, key do parts[place] = {field = place, type = types[place][2]} end
    local space = box.schema.space.create(name, {format = format, is_local = is_local})
    space:create_index('primary', {parts = parts})
    if not is_local then
        table.insert(parts, 1, {field = count, type = 'boolean', is_nullable = true})
        space:create_index('live', {parts = parts})
    end
end
local u, s = 'unsigned', 'string'
make('Nodes', 10, {{'node', u}, {'address', s}, {'port', u}, {'boot', u}, {'pid', u},
    {'seen', 'number'}, {'fingerprint', s, true}, {'version', u, true}, {'writer', u, true},
    {'deleted', 'boolean', true}}, false, 1)
make('OverriddenNodes', 5, {{'node', u}, {'key', 'scalar'}, {'transport', s}, {'address', s},
    {'port', u}}, true, 1)
make('Peers', 9, {{'peer', u}, {'secret', s, true}, {'banned', 'boolean', true},
    {'single', 'boolean', true}, {'timeout', 'number', true}, {'options', 'boolean', true},
    {'version', u, true}, {'writer', u, true}, {'deleted', 'boolean', true}}, false, 1)
make('Subscriptions', 6, {{'peer', u}, {'slot', u}, {'talkgroup', u}, {'version', u, true},
    {'writer', u, true}, {'deleted', 'boolean', true}}, false, 3)
box.space._schema:replace{'bmff_registry', 1}
box.space.Nodes:replace{2501, '192.0.2.1', 54000, 7, 100, 1.5e9, box.NULL, 1000, 1, false}
local null, now = box.NULL, 1000000ULL * os.time()
box.space.Peers:replace{262, 'club', null, null, null, null, now, 1, true}
box.space.Peers:replace{263, 'club', true, null, 5, null, now, 1, false}
box.space.OverriddenNodes:replace{25012, 'group', 'udp', '192.0.2.2', 54000}
os.exit(0)
"""


class StartTests(ServerCase):
    """
    Settings, listening, and older files.
    """

    def test_tcp(self) -> None:
        """
        It listens on loopback as on a UNIX socket, says which port it took, and does not call
        home.
        """
        server = self.makeServer()
        server.address = "127.0.0.1:0"
        server.start()
        address = server.ask("box.info.listen")
        self.assertFalse(server.ask("box.cfg.feedback_enabled"))
        host, _, port = address.rpartition(":")
        self.assertEqual(host, "127.0.0.1")
        self.assertGreater(int(port), 0)
        server.address = address
        client = server.connect()
        self.addCleanup(client.close)
        self.assertEqual(client.call("registry_status")[0]["id"], 1)

    def test_beyond(self) -> None:
        """
        It does not listen beyond this host, nor fetch from there, unless it is told that there is
        a tunnel.
        """
        server = self.makeServer(REPLICAS="127.0.0.2:3301,[2001:db8::1]:3301", MEMORY="1")
        for address in ("192.0.2.1:3301", "0.0.0.0:3301", "3301", "[::]:3301", "db.example:3301"):
            server.address = address
            said = server.refusal()
            self.assertIn(f'listen: "{address}" is not on this host', said)
            self.assertIn('replicas: "[2001:db8::1]:3301" is not on this host', said)
            self.assertNotIn("127.0.0.2", said)
        server.environment["TUNNELLED"] = "yes"
        self.assertEqual(
            server.refusal(), 'registry: memory: "1" is not in 32 to 1048576 megabytes\n'
        )

    def test_mistakes(self) -> None:
        """
        Every mistake in the settings is named at once, a password is not, and nothing is made.
        """
        server = self.makeServer(
            LISTENN="x", tunnelled="yes", MEMORY="much", TRANSPORTS="ok,Not", TUNNELLED="maybe",
            REPLICAS="bmreplica:secret@127.0.0.1:3301,unix/:/" + "a" * 107,
        )  # fmt: skip
        server.writePasswords("bmnode = short\nroot = long-enough-indeed\nnonsense\n")
        said = server.refusal()
        for one in (
            "BMFF_REGISTRY_LISTENN is no setting",
            "BMFF_REGISTRY_tunnelled is no setting",
            'memory: "much" is not in 32',
            'transports: "Not" is no name',
            'tunnelled: "maybe" is neither',
            "replicas: names a user",
            "is too long for a socket",
            "passwords: that of bmnode: 12 characters at least",
            "passwords: root is no user",
            'passwords: a line is not "user = password"',
            "passwords: bmadmin has none",
            "passwords: bmreplica has none",
        ):
            self.assertIn(one, said)
        for secret in ("short", "long-enough", "secret@", "nonsense"):
            self.assertNotIn(secret, said)
        self.assertEqual([path.name for path in server.folder.iterdir()], ["passwords"])

    def test_passwordFile(self) -> None:
        """
        A file of passwords that others can read, or none, is refused.
        """
        server = self.makeServer()
        server.writePasswords("", mode=0o640)
        self.assertIn("can be read by others; chmod 600 it", server.refusal())
        (server.folder / "passwords").unlink()
        self.assertIn("passwords: No such file", server.refusal())

    def test_private(self) -> None:
        """
        What the server writes is for its own user alone.
        """
        server = self.startServer()
        for path in server.folder.iterdir():
            if path.name not in ("iproto.sock", "log"):
                self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_twice(self) -> None:
        """
        A second server on the same folder is refused, and the first goes on.
        """
        server = self.startServer()
        other = Server.__new__(Server)
        other.__dict__.update(server.__dict__)
        other.address = f"unix/:{server.folder}/other.sock"
        self.assertIn("already", other.refusal().lower())
        self.assertEqual(server.rows("Nodes"), [])

    def test_older(self) -> None:
        """
        The spaces of version 1 become those of version 3 with every row as it was, and again a
        start changes nothing. A row of hotspots takes what was added when it is written again.
        """
        server = self.makeServer()
        server.script = self.folder / "older.lua"
        server.script.write_text(OLDER % {"folder": server.folder})
        server.begin()
        server.wait()
        server.script = SCRIPT
        for _ in range(2):
            server.start()
            self.assertEqual(server.ask("registry.status().schema"), 3)
            self.assertEqual(server.rows("Nodes")[0][3:], [7, 100, 1.5e9, None, 1000, 1, False])
            (row,) = server.rows("Peers")
            self.assertEqual((row[:6], row[7:]), ([263, "club", True, None, 5, None], [1, False]))
            self.assertEqual(server.ask("box.space.Peers:get(262)")[-2:], [1, True])
            self.assertEqual(
                server.rows("OverriddenNodes"), [[25012, "group", "udp", "192.0.2.2", 54000]]
            )
            server.do("box.space.Locations:replace({2621, 2501, 262, 1, 1.5})")
            self.assertEqual(len(server.rows("Locations")), 1)
            server.stop()
        server.start()
        server.do(
            "local peers = box.space.Peers peers:replace(peers:frommap{peer = 263, dial = false,"
            " translate = '{there = 8, here = 9}'}) peers:update(263, {{'=', 'hold_off', 5}})"
        )
        (row,) = server.rows("Peers")
        self.assertEqual(row[:6], [263, None, None, None, None, None])
        self.assertEqual(row[9:], [False, None, 5, None, None, "{there = 8, here = 9}"])

    def test_newer(self) -> None:
        """
        The spaces of a newer version are refused and left as they are.
        """
        server = self.startServer()
        server.do("box.space._schema:replace({'bmff_registry', 99})")
        server.stop()
        self.assertIn("made by a newer version of bmff (99, 3 is known here)", server.refusal())
