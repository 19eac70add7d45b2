"""
Tests of C{examples/}: they do what their texts say, as somebody else would run them.
"""

from __future__ import annotations

import ast
import os
import re
import socket
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import copytree
from signal import SIGTERM
from subprocess import PIPE, STDOUT, run
from textwrap import indent
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor as anyReactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bmff.ctl.ask import NodeError, ask
from bmff.ibmff import OverrideRow
from bmff.keys import Secrets
from bmff.registry.embedded import EmbeddedRegistry
from bmff.testing.requirements import required
from tests.nodes import PATIENCE, ROOT, Home, HomeTestCase, Program, freePort, startCtl, startNode

reactor: Any = anyReactor  # mypy does not know which reactor there is

ACME = ROOT / "examples" / "acme-transport"
GUIDE = "docs/writing-a-transport.md"
TRANSPORT = "acme-endpoint"
LINES = 150  # fewer than that it has, without its tests
# What bmff has for transports of others, beside its tests of them.
FOR_OTHERS = {
    "bmff.errors",
    "bmff.ibmff",
    "bmff.transports.lifetime",
    "bmff.transports.packetprotocol",
    "bmff.transports.strangers",
}
SETUPTOOLS = 77  # the oldest that builds it
FIRST, SECOND = 25011, 25012
HOST = "127.0.0.1"
FRAMES = 26  # of a call of 1.44 s: a header, 24 of voice, a terminator


def searched(*paths: Path | None) -> str:
    """
    Where a program finds modules: at these paths, in the checkout, and where this one does.
    """
    before = os.environ.get("PYTHONPATH")
    return os.pathsep.join(str(each) for each in (*paths, ROOT, before) if each)


def runs(*command: str, path: Path | None = None, code: int = 0) -> str:
    """
    Run a program to its end.

    @param path: where else it finds modules.
    @param code: its exit code.
    @return: what it has written.
    """
    environment = {**os.environ, "PYTHONPATH": searched(path)}
    done = run(command, env=environment, stdout=PIPE, stderr=STDOUT, text=True, check=False)
    assert done.returncode == code, done.stdout
    return done.stdout


def installed(folder: Path) -> Path:
    """
    Install the example of a transport, with nothing from the network.

    @param folder: for what is made on the way.
    @return: where it is now.
    @raise SkipTest: what builds it is not there.
    """
    try:
        builds = int(version("setuptools").partition(".")[0]) >= SETUPTOOLS
    except PackageNotFoundError:
        builds = False
    if not builds:
        reason = f"no setuptools of {SETUPTOOLS} or later, which builds the example"
        assert not required(), reason  # a machine that was set up has it
        raise SkipTest(reason)
    source, target = folder / "source", folder / "installed"
    copytree(ACME, source)  # what is built leaves things behind
    offline = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    pip = (sys.executable, "-m", "pip", "install", *offline)
    runs(*pip, "--target", str(target), str(source))
    return target


class TransportTests(SynchronousTestCase):
    """
    The transport of a third party.
    """

    def test_small(self) -> None:
        """
        All of it but its tests, the plugin file too, is as small as the guide says, and imports of
        bmff what is meant for others.
        """
        texts = [
            path.read_text()
            for path in ACME.rglob("*.py")
            if not {"test", "build"} & set(path.relative_to(ACME).parts)
        ]
        self.assertGreater(len(texts), 2)
        self.assertLess(sum(len(text.splitlines()) for text in texts), LINES)
        imported = re.findall(r"^ *(?:from|import) (bmff[\w.]*)", "\n".join(texts), re.MULTILINE)
        self.assertLessEqual(set(imported), FOR_OTHERS)
        self.assertIn(f"under {LINES} lines", (ROOT / GUIDE).read_text())

    def test_installed(self) -> None:
        """
        Installed by pip beside bmff it is found by Twisted among bmff's own transports, and passes
        its tests, bmff's contract among them.
        """
        target = installed(Path(self.mktemp()).absolute())
        script = (
            "from twisted.plugin import getPlugins; from bmff.ibmff import ITransportMaker\n"
            "import acmeff; print(acmeff.__file__)\n"
            "print(*sorted(maker.name for maker in getPlugins(ITransportMaker)))"
        )
        place, names = runs(sys.executable, "-c", script, path=target).splitlines()
        self.assertTrue(place.startswith(f"{target}/"), place)
        self.assertLessEqual({TRANSPORT, "udp", "tcp", "unix"}, set(names.split()))
        trial = (sys.executable, "-m", "twisted.trial", "--reporter", "text")
        said = runs(*trial, "--temp-directory", self.mktemp(), "acmeff", path=target)
        found = re.search(r"^PASSED \(successes=(\d+)\)$", said, re.MULTILINE)
        self.assertTrue(found and int(found[1]) > 50, said)


class GuideTests(SynchronousTestCase):
    """
    What the guides quote.
    """

    def blocks(self, document: str) -> list[str]:
        """
        The blocks of Python in a document.
        """
        text = (ROOT / document).read_text()
        found: list[str] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        return found

    def test_quotes(self) -> None:
        """
        What the guide shows of the example stands there, word for word; methods by themselves.
        """
        sources = "\0".join(path.read_text() for path in sorted(ACME.rglob("*.py")))
        quotes = self.blocks(GUIDE)
        self.assertGreater(len(quotes), 6)
        for quote in quotes:
            for part in quote.strip("\n").split("\n\n\n"):
                self.assertTrue(part in sources or indent(part, "    ") in sources, part)

    def test_readme(self) -> None:
        """
        What the README shows is Python, and what it names of bmff is there.
        """
        for block in self.blocks("README.md"):
            imports = [node for node in ast.parse(block).body if isinstance(node, ast.ImportFrom)]
            self.assertTrue(imports)
            for node in imports:
                if node.module and node.module.startswith("bmff"):
                    module = import_module(node.module)
                    for alias in node.names:
                        self.assertTrue(hasattr(module, alias.name), alias.name)


class CallCase(TestCase):
    """
    Nodes as processes that share a folder, and hotspots that call.
    """

    timeout = 120

    def setUp(self) -> None:
        self.home = Home()
        self.addCleanup(self.home.remove)
        Secrets.create(self.home.state / "secrets.toml")
        self.masters: dict[int, int] = {}
        self.programs: list[Program] = []

    def configured(self, node: int) -> Path:
        """
        The configuration of a node, at ports that nobody has.
        """
        self.masters[node] = port = freePort()
        return self.home.write(
            f'network = {node}\nstate = "{self.home.state}"\n'
            f'[homebrew]\nlisten = ["{HOST}:{port}"]\nhang_time = 0.2\n'
            f'[fastforward]\nlisten = ["{HOST}"]\nfolder = "{self.home.state}"\n',
            f"{node}.toml",
        )

    def begun(self, program: Program) -> Program:
        """
        A program that is gone at the end of the test.
        """
        self.programs.append(program)
        self.addCleanup(program.remove)
        return program

    def hotspot(self, node: int, radio: int, *words: str) -> Program:
        """
        A hotspot at a node.
        """
        configuration = self.home.folder / f"{node}.toml"
        arguments = ("--config", str(configuration), "--id", str(radio), *words)
        master = f"{HOST}:{self.masters[node]}"
        return self.begun(startCtl(self.home, str(radio), "hotspot", *arguments, master))

    async def comes(self, condition: Callable[[], object], what: str) -> None:
        """
        Wait until something is so.
        """
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                logs = "\n".join(each.output for each in self.programs)
                self.fail(f"{what} does not come about in {PATIENCE} s:\n{logs}")
            await deferLater(reactor, 0.02)

    def over(self, node: int) -> str:
        """
        What the link of a node runs over; empty while it has none that is ready.
        """
        try:
            links = ask(self.home.state / f"bmnode.{node}.sock", "links")["links"]
        except NodeError:
            return ""
        return str(links[0]["transport"]) if links and links[0]["ready"] else ""

    async def calls(self) -> None:
        """
        A hotspot at the first node calls, and one at the second hears every frame.
        """
        hears = self.hotspot(SECOND, 2_340_002, "--options", "TS2=91", "--listen", "60")
        await self.comes(lambda: "\nlogged in\n" in hears.output, "the login")
        links = self.home.state / f"bmnode.{FIRST}.sock"
        await self.comes(lambda: ask(links, "links")["links"][0]["talkgroups"], "the interest")
        talks = self.hotspot(FIRST, 2_340_001, "--call", "91", "--seconds", "1.44", "--listen", "0")
        await self.comes(lambda: talks.process.poll() is not None, "the end of the call")
        self.assertIn(f"sent {FRAMES} frames", talks.output)
        hears.terminate()
        await self.comes(lambda: hears.process.poll() is not None, "the end of listening")
        self.assertIn(f"heard {FRAMES} in 1 call", hears.output)
        for program in self.programs:
            self.assertNotIn("Traceback", program.output)


class CallOverItTests(CallCase):
    """
    Nodes with the transport of a third party.
    """

    async def test_call(self) -> None:
        """
        Two nodes whose overrides name it are linked over it, sealed, and carry a call whole.
        """
        target = installed(self.home.folder / "acme")
        endpoint = f"unix:{self.home.state}/acme-{{port}}.sock"
        path = {"PYTHONPATH": searched(target)}
        self.patch(os, "environ", {**os.environ, **path, "ACME_FF_LISTEN": endpoint})
        registry = EmbeddedRegistry(reactor, self.home.state / "registry.sqlite")
        await registry.start()
        self.addCleanup(registry.stop)
        for node in (FIRST, SECOND):
            self.begun(startNode(self.home, self.configured(node)))
        await self.comes(lambda: registry.nodes.keys() >= {FIRST, SECOND}, "a row of each node")
        for node in (FIRST, SECOND):
            port = registry.nodes[node].port
            await registry.put(OverrideRow(node, 0, TRANSPORT, endpoint, port))
        await self.comes(
            lambda: self.over(FIRST) == self.over(SECOND) == TRANSPORT, f"a link over {TRANSPORT}"
        )
        await self.calls()
        (link,) = ask(self.home.state / f"bmnode.{FIRST}.sock", "links")["links"]
        carrying = link["paths"][0]
        self.assertEqual((carrying["transport"], carrying["sealed"]), (TRANSPORT, True))
        self.assertGreaterEqual(carrying["frames_sent"], FRAMES)


class EmbeddedTests(CallCase):
    """
    A node in somebody's own application.
    """

    def page(self) -> str:
        """
        What the application's page says.
        """
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(self.home.folder / "page.sock"))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with sock.makefile("rb") as answer:
                head, _, body = answer.read().partition(b"\r\n\r\n")
        self.assertIn(b" 200 ", head.partition(b"\r\n")[0])
        return body.decode()

    async def embeds(self, code: int, *command: str) -> None:
        """
        Start the application by a command: hotspots log in to the node in it, a call crosses its
        link, and the application's own page knows of it.

        @param code: its exit code when it is asked to end.
        """
        page = f"unix:{self.home.folder}/page.sock"
        configuration = self.configured(FIRST)
        self.patch(os, "environ", {**os.environ, "CONFIG": str(configuration), "PAGE": page})
        program = self.begun(Program(self.home.folder / "embed.out", *command))
        await self.comes(lambda: "hotspots log in at" in program.output, "the node")
        self.begun(startNode(self.home, self.configured(SECOND)))
        await self.comes(lambda: self.over(FIRST) and self.over(SECOND), "a link")
        self.assertEqual(self.page(), f"linked: {SECOND}\n")
        await self.calls()
        self.assertEqual(
            self.page(), f"linked: {SECOND}\n2340001 to TG 91, {0.06 * (FRAMES - 1):.1f} s\n"
        )
        program.terminate()
        await self.comes(lambda: program.process.poll() is not None, "the end")
        self.assertEqual(program.process.returncode, code, program.output)

    async def test_twistd(self) -> None:
        """
        The example runs under twistd, which ends as by the signal that it was sent.
        """
        twistd = "from twisted.scripts.twistd import run; run()"
        flags = ("-no", "--pidfile=", "-y", "examples/embed.py")
        await self.embeds(-SIGTERM, sys.executable, "-c", twistd, *flags)

    async def test_plain(self) -> None:
        """
        It runs without twistd as well.
        """
        await self.embeds(0, sys.executable, "examples/embed.py")


class DemoTests(HomeTestCase):
    """
    The demonstration, its calls as short as can be.
    """

    def demo(self, *words: str, code: int = 0) -> str:
        """
        What it says.

        @param code: its exit code.
        """
        return runs(sys.executable, "-m", "examples.demo", "--superframes", "1", *words, code=code)

    def test_shows(self) -> None:
        """
        It counts every frame of four calls over a transport, and fails for one that is not there.
        """
        said = self.demo("unix", "pigeon", code=1)
        rows = re.findall(r"^unix +(group|private) .* +8 +8 +0 ", said, re.MULTILINE)
        self.assertEqual(rows, ["group", "group", "private", "private"], said)
        self.assertIn("\nno pigeon here: there is no such transport\n", said)
        self.assertTrue(said.endswith("demo: no pigeon\n"), said)
