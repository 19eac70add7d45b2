"""
Tests of C{bmffctl override}, C{node} and C{instance} on a registry in Tarantool, a real one.
"""

from __future__ import annotations

from bmff.ctl.instances.places import Places
from tests.ctl.case import CtlTestCase
from tests.tarantoolcluster import PASSWORDS, Server, ServerCase

ADMIN = ("--user", "bmadmin", "--password-id", "admin")


class TarantoolRowTests(ServerCase, CtlTestCase):
    """
    A node whose configuration names a server.

    @ivar server: that server.
    """

    server: Server

    def setUp(self) -> None:
        ServerCase.setUp(self)
        CtlTestCase.setUp(self)
        self.server = self.startServer()
        self.home.state.mkdir()
        secrets = self.home.state / "secrets.toml"
        secrets.touch(0o600)
        secrets.write_text(
            f'[registry]\nbmnode = "{PASSWORDS["bmnode"]}"\nadmin = "{PASSWORDS["bmadmin"]}"\n'
        )
        self.config = self.home.write(self.text(25011))

    def text(self, network: int) -> str:
        """
        The configuration of a node.
        """
        return (
            f'network = {network}\nstate = "{self.home.state}"\n[fastforward]\nport = 54011\n'
            f'[registry]\ntype = "tarantool"\naddresses = ["{self.server.address}"]\n'
        )

    def done(self, *words: str) -> str:
        """
        Run a command that succeeds.

        @return: what it prints.
        """
        self.assertEqual(self.command(*words, "--config", str(self.config)), 0, self.err)
        return self.out

    def refused(self, *words: str) -> str:
        """
        Run a command that is refused.

        @return: what it says, one line.
        """
        self.assertEqual(self.command(*words, "--config", str(self.config)), 1, self.out)
        (line,) = self.err.splitlines()
        return line

    def test_override(self) -> None:
        """
        Who may write overrides writes, lists and removes them; others may list.
        """
        set_ = ("override", "set", "25012", "tcp", "192.0.2.7", "--port", "54012")
        self.assertIn("bmadmin", self.refused(*set_))
        self.done(*set_, *ADMIN)
        self.assertEqual(
            self.server.rows("OverriddenNodes"), [[25012, 0, "tcp", "192.0.2.7", 54012]]
        )
        self.assertEqual(
            self.done("override", "list").splitlines()[1].split(),
            ["25012", "tcp", "192.0.2.7", "54012"],
        )
        self.assertIn("bmadmin", self.refused("override", "remove", "25012"))
        self.done("override", "remove", "25012", *ADMIN)
        self.assertEqual(self.server.rows("OverriddenNodes"), [])
        self.assertIn("no override", self.refused("override", "remove", "25012", *ADMIN))

    def test_node(self) -> None:
        """
        The node's own user writes, lists and removes rows of nodes.
        """
        self.done("node", "add", "25012", "192.0.2.7", "54012")
        ((node, address, port, boot, *_),) = self.server.rows("Nodes")
        self.assertEqual((node, address, port, boot), (25012, "192.0.2.7", 54012, 0))
        self.assertIn("by hand", self.done("node", "list"))
        self.done("node", "remove", "25012")
        self.assertEqual(self.server.rows("Nodes"), [])

    def test_noServer(self) -> None:
        """
        A wrong password and a server that is away are told in one line.
        """
        secrets = self.home.state / "secrets.toml"
        secrets.write_text('[registry]\nbmnode = "somebody-else"\n')
        self.assertTrue(self.refused("node", "list").startswith("registry"), self.err)
        self.server.kill()
        self.assertTrue(self.refused("node", "list").startswith("registry"), self.err)

    def test_instance(self) -> None:
        """
        An instance is registered there, listed as such, and taken out again.
        """
        places = Places(self.home.folder / "root")
        words = ("--prefix", str(places.prefix))
        own = self.home.write(self.text(25013), "own.toml")
        add = ("instance", "add", *words, "25013", "--file", str(own), "--no-systemd")
        self.assertEqual(self.command(*add), 0, self.err)
        self.assertIn(f"in tarantool at unix:{self.server.folder}", self.out)
        self.assertEqual([row[0] for row in self.server.rows("Nodes")], [25013])
        self.assertEqual(self.command("instance", "list", *words), 0, self.err)
        self.assertEqual(self.out.splitlines()[1].split()[-1], "yes")
        self.assertEqual(
            self.command("instance", "remove", *words, "25013", "--no-systemd"), 0, self.err
        )
        self.assertEqual(self.server.rows("Nodes"), [])
