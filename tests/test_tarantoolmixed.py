"""
Tests of C{etc/tarantool/registry.lua} on replicas of which one runs an older script.
"""

from __future__ import annotations

import re

from tests.tarantoolcluster import SCRIPT, ConsoleError, ServerCase, waitUntil

FORMAT = "    function()\n        box.space.Peers:format(formatOf(spaces.Peers))\n    end,\n"


def olderScript() -> str:
    """
    The script as it was when it knew no columns after the stamps.
    """
    text, count = re.subn(
        r"\n    \}, later = \{.*?\n    \}\},", "\n    }},", SCRIPT.read_text(), flags=re.S
    )
    assert (count, text.count(FORMAT)) == (1, 1)
    return text.replace(FORMAT, "")


class MixedTests(ServerCase):
    """
    Two replicas, of which the one that looks after the spaces is updated first.
    """

    def test_mixed(self) -> None:
        """
        Rows pass both ways, with their stamps: those of the older script say nothing of what was
        added, and those of the newer one keep it, also where the older one has them. What the
        older one has no place for it refuses, and it deletes what it is told to.
        """
        older = self.folder / "older.lua"
        older.write_text(olderScript())
        servers = [self.makeServer(name) for name in ("one", "two")]
        for server in servers:
            server.script = older
            server.environment = {"REPLICAS": ",".join(each.address for each in servers)}
            server.begin()
        for server in servers:
            waitUntil(server.readyAgain, f"replica in {server.folder}")
        first, other = sorted(servers, key=lambda one: int(one.ask("registry.status().id")))
        other.do("box.space.Peers:replace({1, 'before'})")
        self.agree(servers)
        first.stop()
        first.script = SCRIPT
        first.start()
        self.assertEqual(first.ask("registry.status().schema"), 3)
        waitUntil(lambda: other.ask("#box.space.Peers:format()") == 15, "the spaces are there")
        first.do("box.space.Peers:replace(box.space.Peers:frommap{peer = 2, dial = false})")
        other.do("box.space.Peers:replace({3, 'older'}) box.space.Peers:replace({1, 'later'})")
        first.do("box.space.Peers:replace(box.space.Peers:frommap{peer = 4, hold_off = 5})")
        self.agree(servers)
        for server in servers:
            rows = {row[0]: row for row in server.rows("Peers")}
            self.assertEqual([rows[peer][1] for peer in (1, 3)], ["later", "older"])
            self.assertEqual(rows[2][8:], [False, False, None, None, None, None, None])
            self.assertEqual(rows[4][11], 5)
        more = "{5, nil, nil, nil, nil, nil, nil, nil, nil, true}"
        self.assertRaises(ConsoleError, other.do, f"box.space.Peers:replace({more})")
        other.do("box.space.Peers:delete(2)")
        self.agree(servers)
        self.assertEqual([row[0] for row in first.rows("Peers")], [1, 3, 4])
        other.stop()
        other.script = SCRIPT
        other.start()
        other.do("box.space.Peers:update(4, {{'=', 'deny_talkgroups', '91'}})")
        self.agree(servers)
        self.assertEqual(first.ask("box.space.Peers:get(4).deny_talkgroups"), "91")
