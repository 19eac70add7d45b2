"""
Nodes as real processes whose links change their path, and nodes that die or stand still, in the
middle of calls.

C{BMFF_SOAK} in the environment makes the paths change 100 times instead of 10.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.task import deferLater

from bmff.ctl.ask import ask
from tests.linkednodes import FIRST, SECOND, THIRD, LinkedNodes
from tests.nodes import FASTEST, startCtl
from tests.talker import Talker

reactor: Any = anyReactor  # mypy does not know which reactor there is

CHANGES = 100 if os.environ.get("BMFF_SOAK") else 10
DEATH = 0.05 + 0.2  # seconds until the death of a process is known, and for a busy machine
STILL = 1.2 + 0.3  # seconds until one that stands still is given up, the same
BACK = 1.0 + 0.3  # seconds until it is linked again once it goes on, the same


class PathProcessesTests(LinkedNodes):
    """
    Nodes that share a folder: one registry, one file of secrets.
    """

    def said(self, node: int, text: str) -> int:
        """
        How often a node has written something.
        """
        return self.programs[node].output.count(text)

    def ended(self, node: int) -> list[dict[str, Any]]:
        """
        The calls that have ended at a node.
        """
        calls: list[dict[str, Any]] = ask(self.home.state / f"bmnode.{node}.sock", "calls")["ended"]
        return calls

    def assertUnharmed(self, *nodes: int) -> None:
        """
        The links of these nodes with one another never ended, and none has met with an error.
        """
        for node in nodes:
            self.assertNotIn("Traceback", self.programs[node].output)
            for other in nodes:
                self.assertEqual(self.said(node, f"link to node {other} is down"), 0)

    async def test_changes(self) -> None:
        """
        While two calls go on, the link changes from UDP to a UNIX socket and back, by rows of the
        registry, again and again: every frame is heard once, in its order.
        """
        await self.begin(FIRST, SECOND)
        await self.override("unix", FIRST, SECOND)
        talkers = await self.talkersAt(FIRST, SECOND)
        for one in talkers:
            one.call()
        took = []
        for change in range(CHANGES):
            await deferLater(reactor, 0.4)
            transport = "unix" if change % 2 else "udp"
            text = f"now runs over {transport} to"
            before = [self.said(node, text) for node in (FIRST, SECOND)]
            begun = time.monotonic()
            await self.override(transport, FIRST, SECOND)
            for node, count in zip((FIRST, SECOND), before, strict=True):
                await self.until(text, node, times=count + 1)
            took.append(time.monotonic() - begun)
        await deferLater(reactor, 0.4)
        await self.heardWhole(talkers)
        print(f"changes: {len(took)}, longest {max(took):.3f} s, frames {len(talkers[0].sent)}")

    async def test_byHand(self) -> None:
        """
        While two calls go on an operator moves the link with bmffctl, there and back: every frame
        is heard once, and bmffctl says what the link runs over.
        """
        await self.begin(FIRST, SECOND)
        await self.until(f"now runs over {FASTEST} to", FIRST, SECOND)
        talkers = await self.talkersAt(FIRST, SECOND)
        for one in talkers:
            one.call()
        await deferLater(reactor, 0.3)
        for words, transport in (((str(SECOND), "tcp"), "tcp"), ((str(SECOND), "auto"), FASTEST)):
            output = await self.command(0, "path", *words)
            self.assertEqual(output, f"link to node {SECOND} now runs over {transport}\n")
            listed = await self.command(0, "links")
            _, carrying, *_ = listed.splitlines()
            self.assertEqual(carrying.split()[:2], [str(SECOND), f"{transport}*"])
            self.assertEqual(f"{SECOND}: tcp by hand" in listed, transport == "tcp")
            self.assertLessEqual(max(map(len, listed.splitlines())), 120, listed)
            if transport == "tcp":
                await deferLater(reactor, 1.2)  # what stands by does not come and go
                for node in (FIRST, SECOND):
                    self.assertEqual(self.said(node, "has lost its path over udp"), 0)
        output = await self.command(1, "path", "25019", "tcp")
        self.assertEqual(output, "bmffctl: no node 25019 is known here\n")
        output = await self.command(1, "path", str(SECOND), "pigeon")
        self.assertEqual(output, "bmffctl: no pigeon here: there is no such transport\n")
        await self.heardWhole(talkers)

    async def command(self, code: int, *words: str) -> str:
        """
        Run bmffctl for the first node.

        @param code: its exit code.
        @return: what it has written.
        """
        socket = str(self.home.state / f"bmnode.{FIRST}.sock")
        program = startCtl(self.home, "-".join(words), words[0], "--socket", socket, *words[1:])
        self.addCleanup(program.remove)
        await self.comes(lambda: program.process.poll() is not None, "the end of bmffctl")
        self.assertEqual(program.process.returncode, code, program.output)
        return program.output

    async def heardWhole(self, talkers: list[Talker]) -> None:
        """
        The calls end; each frame of each was heard once, in its order.
        """
        for one in talkers:
            await one.hangUp()
        await deferLater(reactor, 0.5)  # the last ones are on their way
        for talker, other in (talkers, talkers[::-1]):
            self.assertGreater(len(talker.sent), 20)
            self.assertEqual(other.heard, talker.sent)
        self.assertUnharmed(FIRST, SECOND)

    async def killed(self, transport: str) -> None:
        """
        Kill a node whose link runs over a transport, in the middle of its call.
        """
        await self.begin(FIRST, SECOND, THIRD)
        await self.override(transport, FIRST, SECOND)
        await self.comes(
            lambda: self.over(FIRST, SECOND) == self.over(SECOND, FIRST) == transport, transport
        )
        talkers = await self.talkersAt(SECOND, FIRST)
        talkers[0].call()
        await deferLater(reactor, 1.0)
        victim = self.programs[SECOND].process
        begun = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        await self.until(f"link to node {SECOND} is down", FIRST)
        seconds = time.monotonic() - begun
        await self.until(f"link to node {SECOND} is down", THIRD)
        elsewhere = time.monotonic() - begun
        await self.comes(lambda: self.ended(FIRST), "the end of the call")
        over = time.monotonic() - begun
        victim.wait()
        await talkers[0].hangUp()
        figures = f"{seconds:.3f} s, its call {over:.3f} s, third node {elsewhere:.3f} s"
        print(f"killed over {transport}: {figures}")
        self.assertLess(seconds, DEATH)
        self.assertLess(over, DEATH + 0.1)
        (ended,) = self.ended(FIRST)
        self.assertGreater(ended["frames"], 10)
        self.assertNotEqual(ended["reason"], "terminator")
        self.assertUnharmed(FIRST, THIRD)

    def over(self, node: int, other: int) -> str:
        """
        What a node says that its link with another runs over.
        """
        links = ask(self.home.state / f"bmnode.{node}.sock", "links")["links"]
        return next((str(link["transport"]) for link in links if link["node"] == other), "")

    async def test_killedTCP(self) -> None:
        """
        A node that is killed is known to be dead at once where its link ran over TCP: its calls
        end, the other links go on.
        """
        await self.killed("tcp")

    async def test_killedUNIX(self) -> None:
        """
        The same over a UNIX socket.
        """
        await self.killed("unix")

    async def test_stopped(self) -> None:
        """
        A node that stands still in its call is given up, although its kernel answers; once it goes
        on it is linked again. Nobody else is taken for dead.
        """
        await self.begin(FIRST, SECOND, THIRD)
        talkers = await self.talkersAt(SECOND, FIRST)
        talkers[0].call()
        await deferLater(reactor, 1.0)
        victim = self.programs[SECOND].process
        begun = time.monotonic()
        os.kill(victim.pid, signal.SIGSTOP)
        self.addCleanup(self.wake, victim.pid)
        await self.until(f"link to node {SECOND} is down", FIRST)
        seconds = time.monotonic() - begun
        await deferLater(reactor, max(0.0, begun + 4.0 - time.monotonic()))
        up = f"link to node {SECOND} is up"
        counts = [self.said(node, up) for node in (FIRST, THIRD)]
        begun = time.monotonic()
        os.kill(victim.pid, signal.SIGCONT)
        await self.until(up, FIRST, times=counts[0] + 1)
        back = time.monotonic() - begun
        await talkers[0].hangUp()
        print(f"stopped: given up after {seconds:.3f} s, back after {back:.3f} s")
        self.assertLess(seconds, STILL)
        self.assertLess(back, BACK)
        self.assertUnharmed(FIRST, THIRD)

    def wake(self, process: int) -> None:
        """
        Let a process go on, if it is there.
        """
        if self.programs[SECOND].process.poll() is None:
            os.kill(process, signal.SIGCONT)
