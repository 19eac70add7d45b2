"""
Nodes as real processes that share a real Tarantool: overrides that move their link, and a registry
that dies, in the middle of calls.

C{BMFF_SOAK} in the environment makes the link change 150 times instead of 30.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bmff.ctl.ask import ask
from bmff.keys import Secrets
from bmff.protocols.tarantool import TarantoolClient
from bmff.testing.requirements import requires
from tests.nodes import PATIENCE, Home, Program, freePort, startNode
from tests.talker import Talker
from tests.tarantoolcluster import PASSWORDS, Server

reactor: Any = anyReactor  # mypy does not know which reactor there is

HOST: Final = "127.0.0.1"
FIRST, SECOND = 25011, 25012
CHANGES: Final = 150 if os.environ.get("BMFF_SOAK") else 30
CALLS: Final = tuple(range(2001, 2021))  # talkgroups: 20 calls, a frame each 3 ms
QUIET: Final = 92  # what callers hear
LOOK: Final = 0.002  # seconds between two looks
LONGEST: Final = 1.0  # seconds from a change until frames take the new path
USUAL: Final = 0.06  # seconds, half of the changes
BACK: Final = 2.0  # seconds from the registry's return until its rows are known


@requires("tarantool")
class RegistrySwitchTests(TestCase):
    """
    Two nodes, one registry.
    """

    timeout = 180

    def setUp(self) -> None:
        self.home = Home()
        self.addCleanup(self.home.remove)
        path = self.home.state / "secrets.toml"
        secrets = Secrets.create(path)
        self.password = secrets.homebrewPassword("hotspots") or b""
        text = path.read_text()
        path.write_text(text.replace("[registry]", f'[registry]\nnode = "{PASSWORDS["bmnode"]}"'))
        self.server = Server(self.home.folder / "registry")
        self.addCleanup(self.server.kill)
        self.server.start()
        self.admin = TarantoolClient(
            reactor,
            [self.server.address.replace("unix/:", "unix:")],
            user="bmadmin",
            password=PASSWORDS["bmadmin"],
        )
        self.admin.startService()
        self.addCleanup(self.admin.stopService)
        self.programs: dict[int, Program] = {}
        self.masters: dict[int, int] = {}

    async def begin(self) -> None:
        """
        Start both nodes, and wait until they are linked.
        """
        for node in (FIRST, SECOND):
            self.masters[node] = port = freePort()
            configuration = self.home.write(
                f'network = {node}\nstate = "{self.home.state}"\n'
                f'[homebrew]\nlisten = ["{HOST}:{port}"]\nhang_time = 0.2\n'
                f'[fastforward]\nlisten = ["{HOST}"]\nfolder = "{self.home.state}"\n'
                '[registry]\ntype = "tarantool"\npassword = "node"\n'
                f'addresses = ["{self.server.address}"]\n',
                f"{node}.toml",
            )
            self.programs[node] = program = startNode(self.home, configuration)
            self.addCleanup(program.remove)
        for node, other in ((FIRST, SECOND), (SECOND, FIRST)):
            await self.says(node, f"link to node {other} is up")

    async def talkers(self, talkgroups: tuple[int, ...]) -> list[tuple[Talker, Talker]]:
        """
        Pairs of hotspots: one at the first node that calls a talkgroup, one at the second that
        hears it.
        """
        pairs = []
        for place, talkgroup in enumerate(talkgroups):
            caller = Talker(self.masters[FIRST], 2_340_001 + place, self.password, talkgroup, QUIET)
            hearer = Talker(
                self.masters[SECOND], 2_350_001 + place, self.password, QUIET, talkgroup
            )
            for one in (caller, hearer):
                self.addCleanup(self.leave, one)
            pairs.append((caller, hearer))
        await self.comes(lambda: all(one.running for pair in pairs for one in pair), "the login")
        await deferLater(reactor, 0.5)  # what is heard is told to the other node
        return pairs

    def leave(self, talker: Talker) -> Deferred[None]:
        """
        Have a hotspot be gone.
        """
        return Deferred.fromCoroutine(talker.stop())

    async def comes(
        self, condition: Callable[[], object], what: str, patience: float = PATIENCE
    ) -> float:
        """
        Wait until something is so.

        @return: seconds.
        """
        begun = time.monotonic()
        while not condition():
            if time.monotonic() > begun + patience:
                logs = "\n".join(each.output for each in self.programs.values())
                self.fail(f"{what} does not come about in {patience} s:\n{logs}")
            await deferLater(reactor, LOOK)
        return time.monotonic() - begun

    async def says(self, node: int, text: str, patience: float = PATIENCE) -> None:
        """
        Wait until a node has written something.
        """
        program = self.programs[node]
        await self.comes(lambda: text in program.output, text, patience)

    def state(self, node: int, other: int) -> dict[str, Any]:
        """
        What a node says of its link with another.
        """
        links = ask(self.home.state / f"bmnode.{node}.sock", "links")["links"]
        found: dict[str, Any] = next((link for link in links if link["node"] == other), {})
        return found

    def received(self, transport: str) -> int:
        """
        How many frames the second node has had over a transport from the first, on the path that
        there is now.
        """
        paths = self.state(SECOND, FIRST).get("paths", ())
        return sum(path["frames_received"] for path in paths if path["transport"] == transport)

    def moved(self, transport: str, before: int) -> bool:
        """
        Whether frames have come over a transport: on the path that had brought so many before, or
        on one that is newer.
        """
        return self.received(transport) not in (0, before)

    def waited(self) -> float:
        """
        For how many seconds this process, the nodes and the server were ready to run and the host
        had no processor for them, all together; 0 where its kernel does not say so.
        """
        server = self.server._process
        assert server is not None
        processes = [os.getpid(), server.pid]
        processes += [program.process.pid for program in self.programs.values()]
        files = [Path(f"/proc/{process}/schedstat") for process in processes]
        return sum(int(file.read_text().split()[1]) for file in files if file.exists()) / 1e9

    async def override(self, transport: str) -> None:
        """
        Write, at the server and as its administrator, how both nodes are reached.
        """
        rows = {row[0]: row for row in await self.admin.select("Nodes")}
        address = "" if transport == "unix" else HOST
        for node in (FIRST, SECOND):
            row = [node, 0, transport, address, rows[node][2]]
            await self.admin.replace("OverriddenNodes", row)

    async def heardWhole(self, pairs: list[tuple[Talker, Talker]]) -> None:
        """
        The calls end; each frame of each was heard once, in its order, and no link has ended.
        """
        for caller, _ in pairs:
            caller.over = True
        for caller, _ in pairs:
            await caller.hangUp()
        await deferLater(reactor, 0.5)  # the last ones are on their way
        for caller, hearer in pairs:
            self.assertGreater(len(caller.sent), 20)
            self.assertEqual(hearer.heard, caller.sent)
        for program in self.programs.values():
            self.assertNotIn("Traceback", program.output)
            self.assertNotIn("is down", program.output)

    async def test_switches(self) -> None:
        """
        While 20 calls go on, rows that are written at the server move the link from UDP to TCP, to
        a UNIX socket and round again: the first frame takes the new path within a second, in half
        of the changes within 60 ms, and every frame is heard once, in its order.
        """
        await self.begin()
        await self.override("udp")
        await self.comes(lambda: self.state(SECOND, FIRST)["transport"] == "udp", "UDP")
        pairs = await self.talkers(CALLS)
        for caller, _ in pairs:
            caller.call()
            await deferLater(reactor, 0.003)
        took: list[float] = []
        net: list[float] = []  # without the time that the host had for others
        for change in range(CHANGES):
            await deferLater(reactor, 0.3 + 0.007 * (change % 9))
            transport = ("tcp", "unix", "udp")[change % 3]
            before, waited = self.received(transport), self.waited()
            begun = time.monotonic()
            await self.override(transport)
            await self.comes(partial(self.moved, transport, before), transport)
            seconds = time.monotonic() - begun
            took.append(seconds)
            net.append(seconds - min(seconds, self.waited() - waited))
        await self.heardWhole(pairs)
        figures = f"longest {max(took):.3f} s, median {median(took):.3f} s"
        print(f"changes: {len(took)}, {figures}, frames {len(pairs[0][0].sent)} of each call")
        self.assertLess(max(net), LONGEST, took)
        self.assertLess(median(net), USUAL, took)

    async def test_killed(self) -> None:
        """
        A registry that is killed in the middle of a call takes no frame and no link along, the
        nodes say that it is away, and 2 s after its return they follow its rows again.
        """
        await self.begin()
        await self.override("tcp")
        await self.comes(lambda: self.state(SECOND, FIRST)["transport"] == "tcp", "TCP")
        pairs = await self.talkers(CALLS[:2])
        for caller, _ in pairs:
            caller.call()
        await deferLater(reactor, 0.5)
        self.server.kill()
        for node in self.programs:
            await self.says(node, "the registry is not to be had", LONGEST)
        await deferLater(reactor, 1.5)
        self.assertEqual(self.state(SECOND, FIRST)["transport"], "tcp")
        said = ask(self.home.state / f"bmnode.{FIRST}.sock", "registry")["registry"]
        self.assertFalse(said["available"])
        self.assertIn(str(self.server.folder), said["reason"])
        self.assertGreater(said["age"], 1.0)
        self.server.start()
        self.server.do(
            "for _, row in box.space.OverriddenNodes:pairs() do"
            " box.space.OverriddenNodes:update(row[1], {{'=', 3, 'unix'}}) end"
        )
        back = await self.comes(lambda: self.received("unix"), "the row", BACK)
        await self.heardWhole(pairs)
        print(f"registry back: first frame on the new path after {back:.3f} s")
        for program in self.programs.values():
            self.assertEqual(program.output.count("the registry is not to be had"), 1)
            self.assertEqual(program.output.count("the registry is back"), 1)
        said = ask(self.home.state / f"bmnode.{FIRST}.sock", "registry")["registry"]
        self.assertEqual((said["available"], said["reason"]), (True, ""))

    async def test_badRow(self) -> None:
        """
        A row that becomes one that cannot be used leaves the link and its calls where they are.
        """
        await self.begin()
        await self.override("tcp")
        await self.comes(lambda: self.state(SECOND, FIRST)["transport"] == "tcp", "TCP")
        pairs = await self.talkers(CALLS[:2])
        for caller, _ in pairs:
            caller.call()
        for node in (FIRST, SECOND):
            await self.admin.replace("OverriddenNodes", [node, 0, "tcp", "192.0.2.300", 1])
        for node in self.programs:
            await self.says(node, "is neither a host name nor an address", LONGEST)
        await deferLater(reactor, 1.5)
        (bad, _) = ask(self.home.state / f"bmnode.{SECOND}.sock", "registry")["registry"][
            "bad_rows"
        ]
        self.assertEqual((bad["table"], bad["node"]), ("overrides", FIRST))
        link = self.state(SECOND, FIRST)
        self.assertEqual((link["transport"], link["override"]), ("tcp", "tcp"))
        await self.heardWhole(pairs)

    async def test_stops(self) -> None:
        """
        Nodes whose registry stands still end quickly when they are asked to.
        """
        await self.begin()
        process = self.server._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        self.addCleanup(process.send_signal, signal.SIGCONT)
        begun = time.monotonic()
        for program in self.programs.values():
            program.terminate()
        processes = [program.process for program in self.programs.values()]
        await self.comes(lambda: all(one.poll() is not None for one in processes), "the end", 5.0)
        self.assertLess(time.monotonic() - begun, 3.5)
