"""
Tests of L{bmff.reload}, alone and in a node.
"""

from __future__ import annotations

import signal
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bmff.config import Configuration, loadConfiguration
from bmff.errors import ConfigurationError, Mistake
from bmff.reload import Reload, Reloaded
from tests.ctl.case import CtlTestCase
from tests.nodes import freePort, startCtl, startNode

FIRST = """
network = 25011
state = "/var/lib/bmff"
[homebrew]
listen = ["127.0.0.1:62031"]
static = { 2 = [91] }
"""


class ReloadTests(SynchronousTestCase):
    """
    What has changed in a file is used where it can be, and named where it cannot.
    """

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "bmnode.toml"
        self.path.write_text(FIRST)
        self.used: list[Configuration] = []
        self.reload = Reload(self.path, loadConfiguration(self.path), self.used.append)

    def change(self, before: str, after: str) -> Reloaded:
        text = self.path.read_text()
        assert before in text
        self.path.write_text(text.replace(before, after))
        return self.reload.reload()

    def test_nothing(self) -> None:
        """
        A file that says the same changes nothing.
        """
        self.assertEqual(self.reload.reload(), Reloaded((), ()))
        self.assertEqual(self.used, [])

    def test_alive(self) -> None:
        """
        Settings of hotspots and rules count at once, and once.
        """
        done = self.change("2 = [91]", "2 = [91, 92]")
        self.assertEqual(done, Reloaded(("homebrew.static",), ()))
        (used,) = self.used
        assert used.homebrew is not None
        self.assertEqual(used.homebrew.static, {2: (91, 92)})
        self.assertEqual(self.reload.reload(), Reloaded((), ()))
        self.assertEqual(len(self.used), 1)

    def test_waiting(self) -> None:
        """
        What needs a restart is named each time until there is one, with what counts.
        """
        done = self.change("62031", "62032")
        self.assertEqual(done, Reloaded((), ("homebrew.listen",)))
        done = self.change("2 = [91]", "2 = [92]")
        self.assertEqual(done, Reloaded(("homebrew.static",), ("homebrew.listen",)))
        done = self.change("network = 25011", "network = 25012")
        self.assertIn("network", done.waiting)
        self.assertEqual(len(self.used), 1)

    def test_sections(self) -> None:
        """
        A stack that is switched on or off waits.
        """
        text = self.path.read_text()
        self.path.write_text(text + "[fastforward]\n")
        self.assertEqual(self.reload.reload(), Reloaded((), ("fastforward",)))
        self.path.write_text(text[: text.index("[homebrew]")])
        self.assertEqual(self.reload.reload(), Reloaded((), ("homebrew",)))

    def test_mistakes(self) -> None:
        """
        A file with mistakes says all of them and changes nothing, whoever asks.
        """
        with self.assertRaises(ConfigurationError) as caught:
            self.change("2 = [91]", "3 = [91], 2 = [0]")
        self.assertEqual(len(caught.exception.mistakes), 2)
        self.reload.signalled()
        self.assertEqual(self.used, [])

    def test_cannotBeUsed(self) -> None:
        """
        What the node cannot use stays a difference, so that the next try names it again.
        """

        def refuse(configuration: Configuration) -> None:
            raise ConfigurationError([Mistake("routing.rules[0]", "there is no rule x")])

        reload = Reload(self.path, loadConfiguration(self.path), refuse)
        self.path.write_text(FIRST + '[routing]\nrules = ["x"]\n')
        for _ in range(2):
            self.assertRaises(ConfigurationError, reload.reload)


class NodeReloadTests(CtlTestCase):
    """
    A node as a real process reads its file again.
    """

    def setUp(self) -> None:
        super().setUp()
        address = f"127.0.0.1:{freePort()}"
        self.configuration = self.home.node(port=int(address.rpartition(":")[2]))
        self.node = startNode(self.home, self.configuration)
        self.addCleanup(self.node.remove)
        self.node.says("hotspots log in at")
        hotspot = startCtl(
            self.home,
            "hotspot",
            *("hotspot", "--config", str(self.configuration), "--id", "2340001"),
            *("--listen", "600", address),
        )
        self.addCleanup(hotspot.remove)
        hotspot.says("\nlogged in\n")

    def say(self, lines: str) -> None:
        """
        Write lines into the section of hotspots.
        """
        text = self.configuration.read_text()
        self.configuration.write_text(text.replace("[homebrew]\n", f"[homebrew]\n{lines}\n"))

    def test_signal(self) -> None:
        """
        After SIGHUP a hotspot that is logged in hears the talkgroup that the file says now; after
        one with mistakes it still does, and the log says them.
        """
        self.say("static = { 2 = [26299] }")
        self.node.process.send_signal(signal.SIGHUP)
        self.node.says("peer 2340001 slot 2 hears 26299")
        self.say("hang_time = 5000")
        self.node.process.send_signal(signal.SIGHUP)
        self.node.says("homebrew.hang_time: must be 0 to 60 seconds")

    def test_command(self) -> None:
        """
        C{bmffctl reload} does the same and says what counts, or what is wrong.
        """
        self.say("static = { 2 = [26299] }\ntalk_limit = 60\nbeacon_interval = 60")
        self.assertEqual(self.command("reload", "--config", str(self.configuration)), 0, self.err)
        self.assertIn("counts from now on: homebrew.static, homebrew.talk_limit", self.out)
        self.assertIn("counts after a restart: homebrew.beacon_interval", self.out)
        self.node.says("peer 2340001 slot 2 hears 26299")
        self.say("hang_time = 5000")
        socket = str(self.home.state / "bmnode.25011.sock")
        self.assertEqual(self.command("reload", "--socket", socket), 1)
        self.assertIn("homebrew.hang_time: must be 0 to 60 seconds", self.err)
