"""
Tests of L{bmff.node}: its options, and its life from start to end.
"""

from __future__ import annotations

import gc
import os
import socket
import stat
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bmff.ctl.ask import ask
from bmff.errors import ConfigurationError
from bmff.events import Event, PeerLost, PeerRegistered
from bmff.hotspots import HomeBrewService
from bmff.keys import Secrets
from bmff.node import Node, Options, TwistdNode, welcome
from bmff.protocols.hotspot import Hotspot
from bmff.sections.values import Address
from bmff.sockets.datagrams import DatagramPort
from bmff.wire.homebrew import Station
from bmff.wire.homebrewclient import Client, LoggedIn, LoggedOut
from bmff.wire.homebrewclient import Event as LoginEvent
from tests.nodes import Home, HomeTestCase, startNode
from tests.sockets.ports import Sink

reactor: Any = _reactor  # mypy does not know which reactor there is


class Terminal(StringIO):
    """
    Standard error that a person reads.
    """

    def isatty(self) -> bool:
        return True


class OptionsTests(HomeTestCase):
    """
    What C{twistd bmnode} is told.
    """

    def parse(self, path: Path, stream: StringIO | None = None) -> tuple[Options, str]:
        """
        Parse C{--config}.

        @param stream: the standard error.
        @return: the options and what was written to the standard error.
        """
        stream = stream or StringIO()
        self.patch(sys, "stderr", stream)
        options = Options()
        options.parseOptions(["--config", str(path)])
        return options, stream.getvalue()

    def mistakes(self, path: Path) -> list[str]:
        """
        The lines that are written before the process ends with exit code 1.
        """
        stream = StringIO()
        with self.assertRaises(SystemExit) as caught:
            self.parse(path, stream)
        self.assertEqual(caught.exception.code, 1)
        return stream.getvalue().splitlines()

    def test_good(self) -> None:
        """
        The options have what both files say.
        """
        options, _ = self.parse(self.home.node(port=4000))
        self.assertEqual(options.configuration.network, 25011)
        assert options.configuration.homebrew is not None
        self.assertEqual(options.configuration.homebrew.listen, (Address("127.0.0.1", 4000),))
        self.assertTrue(options.secrets.homebrewPassword("hotspots"))

    def test_bad(self) -> None:
        """
        Every mistake is told at once, each with its place, and no secrets are made.
        """
        path = self.home.write(
            "network = 1\ncolour = 2\n[homebrew]\nhang_time = 900\ntalk_limit = -1\n"
        )
        self.assertEqual(
            [line.partition(":")[0] for line in self.mistakes(path)],
            ["network", "colour", "homebrew.hang_time", "homebrew.talk_limit"],
        )
        self.assertEqual(os.listdir(self.home.folder), ["node.toml"])

    def test_noFile(self) -> None:
        """
        A configuration that is not there is a mistake too.
        """
        (line,) = self.mistakes(self.home.folder / "none.toml")
        self.assertIn("cannot be read", line)

    def test_badSecrets(self) -> None:
        """
        Secrets that others can read are a mistake.
        """
        path = self.home.node()
        secrets = Secrets.create(self.home.state / "secrets.toml").path
        os.chmod(secrets, 0o644)
        (line,) = self.mistakes(path)
        self.assertIn("chmod 600", line)

    def test_firstStart(self) -> None:
        """
        The first start makes the secrets, for their owner alone, and tells how a hotspot logs in;
        a log is not told the password.
        """
        options, said = self.parse(self.home.node(port=4000))
        path = self.home.state / "secrets.toml"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(
            said.splitlines(),
            [
                f"Made {path} with new random secrets.",
                "A hotspot (Pi-Star, WPSD, MMDVMHost, DMRGateway) logs in with",
                "  address   this machine's",
                "  port      4000 (UDP)",
                f"  password  see [homebrew] in {path}",
            ],
        )
        password = options.secrets.homebrewPassword("hotspots") or b""
        self.assertNotIn(password.decode(), said)

    def test_firstStartSeen(self) -> None:
        """
        A person at a terminal is told the password.
        """
        options, said = self.parse(self.home.node(), Terminal())
        password = options.secrets.homebrewPassword("hotspots") or b""
        self.assertGreaterEqual(len(password), 20)
        self.assertIn(f"  password  {password.decode()}\n", said)

    def test_secondStart(self) -> None:
        """
        The second start says nothing and has the same secrets.
        """
        path = self.home.node()
        first, _ = self.parse(path)
        second, said = self.parse(path, Terminal())
        self.assertEqual(said, "")
        self.assertEqual(
            first.secrets.homebrewPassword("hotspots"), second.secrets.homebrewPassword("hotspots")
        )

    def test_welcome(self) -> None:
        """
        Each port is named once; a node without hotspots says nothing of them; a password that is
        not in the file is looked for there.
        """
        both = '["127.0.0.1:1", "[::1]:1", "127.0.0.1:2"]'
        path = self.home.write(
            f'network = 25011\nstate = "state"\n[homebrew]\nlisten = {both}\npassword = "other"\n'
        )
        options, _ = self.parse(path)
        said = welcome(options.configuration, options.secrets, True)
        self.assertIn("  port      1, 2 (UDP)\n", said)
        self.assertIn("  password  see [homebrew] in ", said)
        options, _ = self.parse(self.home.write('network = 25011\nstate = "state"\n'))
        said = welcome(options.configuration, options.secrets, True)
        self.assertEqual(len(said.splitlines()), 1)


class Visitor:
    """
    A hotspot on a socket of this host.

    @ivar happened: what its login reported.
    """

    def __init__(self, master: bytes, password: bytes) -> None:
        client = Client(Station(7, "G4TST"), password, "", lambda frame, now: None)
        self.happened: list[LoginEvent] = []
        self.hotspot = Hotspot(reactor, master, client, self.happened.append)
        self.port = DatagramPort(reactor, "127.0.0.1", 0, self.hotspot)
        self.hotspot.transport = self.port
        self.port.startListening()
        self.hotspot.start()

    def close(self) -> None:
        self.hotspot.stop()
        self.port.stopListening()


class EmbeddedTests(TestCase):
    """
    A node as a part of another application, on the real reactor.
    """

    timeout = 20

    def setUp(self) -> None:
        self.home = Home()
        self.addCleanup(self.home.remove)
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)
        self.configuration = self.home.configuration()
        self.secrets = Secrets.create(self.configuration.secrets)

    def node(self) -> Node:
        """
        A node in an application that runs.
        """
        self.application = MultiService()
        self.addCleanup(self.stop, self.application)
        node = Node(reactor, self.configuration, self.secrets)
        node.setServiceParent(self.application)
        self.application.privilegedStartService()
        self.application.startService()
        return node

    def stop(self, application: MultiService) -> Deferred[None] | None:
        """
        Stop an application that runs; what it returns is waited for.
        """
        return application.stopService() if application.running else None

    def port(self, node: Node) -> DatagramPort:
        """
        Its one port for hotspots.
        """
        (service,) = (one for one in node if isinstance(one, HomeBrewService))
        (port,) = service.ports
        return port

    async def until(self, condition: Any) -> None:
        """
        Let the reactor run until a condition is true; the test's timeout ends it otherwise.
        """
        while not condition():
            await deferLater(reactor, 0.005)

    async def test_life(self) -> None:
        """
        It starts and stops with its application: hotspots log in, those who watch are told, the
        control socket answers; then it says good-bye and leaves nothing behind.
        """
        node = self.node()
        events: list[Event] = []
        node.events.watch(events.append)
        password = self.secrets.homebrewPassword("hotspots") or b""
        visitor = Visitor(self.port(node).address, password)
        await self.until(lambda: visitor.happened)
        self.assertEqual(visitor.happened, [LoggedIn()])
        address = f"127.0.0.1:{visitor.port.port}"
        self.assertEqual(events, [PeerRegistered(7, "G4TST", address)])
        path = self.configuration.web.socket
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o660)
        content = await deferToThread(ask, path, "peers")
        self.assertEqual([peer["address"] for peer in content["peers"]], [address])
        self.assertEqual(await deferToThread(ask, path, "calls"), {"calls": [], "ended": []})
        await self.application.stopService()
        await self.until(lambda: len(visitor.happened) > 1)
        visitor.close()
        self.assertEqual(visitor.happened[1], LoggedOut("closed by the master"))
        self.assertEqual(events[1:], [PeerLost(7, "G4TST", "the node stops")])
        self.assertEqual(set(os.listdir(self.home.state)), {"secrets.toml", "registry.sqlite"})

    async def test_again(self) -> None:
        """
        One that was stopped can be started again.
        """
        self.node()
        path = self.configuration.web.socket
        for _ in range(2):
            self.assertEqual(await deferToThread(ask, path, "peers"), {"peers": []})
            await self.application.stopService()
            self.assertFalse(path.exists())
            self.application.startService()
        await self.application.stopService()

    async def test_noStacks(self) -> None:
        """
        A node without hotspots has a control socket all the same; one without that has none.
        """
        text = f'network = 25011\nstate = "{self.home.state}"\n'
        for more, there in (("", True), ("[web]\nenabled = false\n", False)):
            self.home.write(text + more)
            options = Options()
            options.parseOptions(["--config", str(self.home.folder / "node.toml")])
            self.configuration = options.configuration
            node = self.node()
            self.assertIsNone(node.homebrew)
            path = self.configuration.web.socket
            self.assertEqual(path.exists(), there)
            if there:
                self.assertEqual(await deferToThread(ask, path, "peers"), {"peers": []})
            await self.application.stopService()

    async def test_two(self) -> None:
        """
        A second node cannot have the control socket of the first one, which goes on.
        """
        self.node()
        first = self.application
        with self.assertRaises(ConfigurationError) as caught:
            self.node()
        (mistake,) = caught.exception.mistakes
        path = self.configuration.web.socket
        self.assertEqual(
            str(mistake),
            f"web.socket: cannot listen on {path} (does another node run?): Address already in use",
        )
        await self.application.stopService()
        self.assertEqual(await deferToThread(ask, path, "peers"), {"peers": []})
        await first.stopService()

    async def test_crashed(self) -> None:
        """
        A control socket that a crash has left behind is no obstacle.
        """
        path = self.configuration.web.socket
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
        self.node()
        self.assertEqual(await deferToThread(ask, path, "peers"), {"peers": []})
        await self.application.stopService()

    async def test_counters(self) -> None:
        """
        The counters are those of the sockets that are open.
        """
        node = self.node()
        content = await deferToThread(ask, self.configuration.web.socket, "counters")
        (sock,) = content["counters"]["homebrew"]["sockets"]
        self.assertEqual(sock["address"], f"127.0.0.1:{self.port(node).port}")
        await self.application.stopService()

    async def test_twistd(self) -> None:
        """
        Only a node that is all of its process ends the process when it cannot start.
        """
        self.node()
        first = self.application
        node = TwistdNode(reactor, self.configuration, self.secrets)
        with self.assertRaises(SystemExit) as caught:
            node.startService()
        code = caught.exception.code  # a text is printed, and 1 is the process's exit code
        assert isinstance(code, str)
        self.assertTrue(code.startswith("bmnode: web.socket: cannot listen on"), code)
        self.assertEqual(len(code.splitlines()), 1)
        await node.stopService()
        await first.stopService()


class ProcessTests(HomeTestCase):
    """
    A start under twistd that does not succeed.
    """

    def failed(self, configuration: Path) -> str:
        """
        Start a node that cannot run: its exit code is 1, and nobody gets a traceback.

        @return: its output.
        """
        program = startNode(self.home, configuration)
        self.addCleanup(program.remove)
        self.assertEqual(program.ends(), 1)
        self.assertNotIn("Traceback", program.output)
        return program.output

    def test_badConfiguration(self) -> None:
        """
        Every mistake of a configuration is told, each on its own line.
        """
        path = self.home.write("network = 1\ncolour = 2\n[homebrew]\nhang_time = 900\n")
        lines = self.failed(path).splitlines()
        self.assertEqual(
            [line.partition(":")[0] for line in lines], ["network", "colour", "homebrew.hang_time"]
        )

    def test_inUse(self) -> None:
        """
        A port that somebody else has is told in one plain line.
        """
        sink = Sink("127.0.0.1")
        self.addCleanup(sink.close)
        port = sink.name[1]
        *_, last = self.failed(self.home.node(port=port)).splitlines()
        self.assertIn(
            f"bmnode: homebrew.listen: cannot listen on 127.0.0.1:{port}: [Errno 98] Address "
            "already in use",
            last,
        )

    def test_keyLog(self) -> None:
        """
        A key log that others can read is told in one plain line.
        """
        log = self.home.write("", "links.keys")
        log.chmod(0o644)
        path = self.home.node()
        path.write_text(
            f'{path.read_text()}[fastforward]\nlisten = ["127.0.0.1"]\n'
            f'folder = "{self.home.folder}"\nkeylog = "links.keys"\n'
        )
        *_, last = self.failed(path).splitlines()
        self.assertIn(f"bmnode: {log}: has mode 0644", last)
        self.assertEqual(log.read_text(), "")

    def test_killed(self) -> None:
        """
        A node that was killed leaves its socket behind, and nothing that keeps it from starting
        again.
        """
        configuration = self.home.node()
        for _ in range(2):
            program = startNode(self.home, configuration)
            self.addCleanup(program.remove)
            program.says("bmffctl reaches this node at")
            program.process.kill()
            program.ends()
            left = {"bmnode.25011.sock", "secrets.toml"}
            self.assertLessEqual(left, set(os.listdir(self.home.state)))
