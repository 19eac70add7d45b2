"""
Nodes as real processes whose links change their path, and nodes that die or stand still, in the
middle of calls.

C{BMFF_SOAK} in the environment makes the paths change 100 times instead of 10.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bmff.ctl.ask import ask
from bmff.ctl.hotspot import stamped
from bmff.dmr.frame import DATA_SYNC, FRAME_PERIOD, KIND, Frame
from bmff.dmr.voice import voiceCall
from bmff.ibmff import OverrideRow
from bmff.keys import Secrets
from bmff.protocols.hotspot import Hotspot
from bmff.registry.embedded import EmbeddedRegistry
from bmff.sockets.addresses import packAddress
from bmff.sockets.datagrams import DatagramPort
from bmff.wire.homebrew import Station
from bmff.wire.homebrewclient import Client
from tests.nodes import FASTEST, PATIENCE, Home, Program, freePort, startCtl, startNode

reactor: Any = anyReactor  # mypy does not know which reactor there is

HOST = "127.0.0.1"
FIRST, SECOND, THIRD = 25011, 25012, 25013
SLOTS = {91: 2, 92: 1}  # the slot of each call, by talkgroup
CHANGES = 100 if os.environ.get("BMFF_SOAK") else 10
LOOK = 0.002  # seconds between two looks at what a process has written
DEATH = 0.05 + 0.2  # seconds until the death of a process is known, and for a busy machine
STILL = 1.2 + 0.3  # seconds until one that stands still is given up, the same
BACK = 1.0 + 0.3  # seconds until it is linked again once it goes on, the same


class Talker:
    """
    A duplex hotspot that talks on one slot and hears on the other.

    @ivar sent: the stream and burst of each frame that it sent.
    @ivar heard: the same of those that it was sent.
    """

    def __init__(self, master: int, radio: int, password: bytes, talk: int, hear: int) -> None:
        """
        @param master: the UDP port of its node.
        @param talk: the talkgroup that it calls.
        @param hear: the one that it hears.
        """
        self.sent: list[tuple[int, bytes]] = []
        self.heard: list[tuple[int, bytes]] = []
        self.over = False
        self._call: Deferred[None] | None = None
        self._radio = radio
        self._talkgroup = talk
        station = Station(radio, "TEST", 435_000_000, 430_000_000, slots=3)
        client = Client(station, password, f"TS{SLOTS[hear]}={hear}", self._frameReceived)
        self._hotspot = Hotspot(reactor, packAddress(HOST, master), client, lambda _: None)
        self._port = DatagramPort(reactor, HOST, 0, self._hotspot)
        self._hotspot.transport = self._port
        self._port.startListening()
        self._hotspot.start()

    @property
    def running(self) -> bool:
        """
        Whether it is logged in.
        """
        return self._hotspot.client.state.name == "RUNNING"

    def call(self) -> None:
        """
        Begin a call, which goes on until L{hangUp}.
        """
        self.over = False
        self._call = Deferred.fromCoroutine(self._talk())

    async def hangUp(self) -> None:
        """
        End the call, if there is one.
        """
        self.over = True
        if self._call is not None:
            call, self._call = self._call, None
            await call

    async def _talk(self) -> None:
        """
        One call, its frames at their pitch.
        """
        due = reactor.seconds()
        for frame in self._frames():
            self._hotspot.sendFrame(frame)
            self.sent.append((frame.stream, bytes(frame.burst)))
            due += FRAME_PERIOD
            await deferLater(reactor, max(0.0, due - reactor.seconds()))

    def _frames(self) -> Iterator[Frame]:
        """
        A header, and voice frames that are all different until it is over.
        """
        for frame in voiceCall(
            source=self._radio,
            destination=self._talkgroup,
            stream=int.from_bytes(os.urandom(4), "big") | 1,
            superframes=480,
            slot=SLOTS[self._talkgroup],
        ):
            if frame.flags & KIND == DATA_SYNC:
                yield frame
            elif self.over:
                return
            else:
                yield stamped(frame, time.time_ns())

    def _frameReceived(self, frame: Frame, now: float) -> None:
        self.heard.append((frame.stream, bytes(frame.burst)))

    async def stop(self) -> None:
        """
        Leave.
        """
        await self.hangUp()
        self._hotspot.stop()
        self._port.stopListening()


class PathProcessesTests(TestCase):
    """
    Nodes that share a folder: one registry, one file of secrets.
    """

    timeout = 300

    def setUp(self) -> None:
        self.home = Home()
        self.addCleanup(self.home.remove)
        secrets = Secrets.create(self.home.state / "secrets.toml")
        self.password = secrets.homebrewPassword("hotspots") or b""
        self.programs: dict[int, Program] = {}
        self.masters: dict[int, int] = {}
        self.registry = EmbeddedRegistry(reactor, self.home.state / "registry.sqlite")

    async def begin(self, *nodes: int) -> None:
        """
        Start nodes, and wait until each is linked with all others.
        """
        await self.registry.start()
        self.addCleanup(self.registry.stop)
        for node in nodes:
            self.startNode(node)
        for node in nodes:
            for other in nodes:
                if other != node:
                    await self.until(f"link to node {other} is up", node)

    def startNode(self, node: int) -> None:
        """
        Start a process.
        """
        self.masters[node] = port = freePort()
        configuration = self.home.write(
            f'network = {node}\nstate = "{self.home.state}"\n'
            f'[homebrew]\nlisten = ["{HOST}:{port}"]\nhang_time = 0.2\n'
            f'[fastforward]\nlisten = ["{HOST}"]\nfolder = "{self.home.state}"\n',
            f"{node}.toml",
        )
        self.programs[node] = program = startNode(self.home, configuration)
        self.addCleanup(program.remove)

    async def talkers(self, *nodes: int) -> list[Talker]:
        """
        A hotspot at each of two nodes, each of which hears the other.
        """
        found = []
        for place, (talk, hear) in enumerate(((91, 92), (92, 91))):
            master, radio = self.masters[nodes[place]], 2_340_001 + place
            talker = Talker(master, radio, self.password, talk, hear)
            self.addCleanup(self.leave, talker)
            found.append(talker)
        await self.comes(lambda: all(one.running for one in found), "the login")
        await deferLater(reactor, 0.5)  # what is heard is told to the other node
        return found

    def leave(self, talker: Talker) -> Deferred[None]:
        """
        Have a hotspot be gone.
        """
        return Deferred.fromCoroutine(talker.stop())

    async def comes(self, condition: Callable[[], object], what: str) -> float:
        """
        Wait until something is so.

        @return: seconds.
        """
        begun = time.monotonic()
        while not condition():
            if time.monotonic() > begun + PATIENCE:
                logs = "\n".join(each.output for each in self.programs.values())
                self.fail(f"{what} does not come about in {PATIENCE} s:\n{logs}")
            await deferLater(reactor, LOOK)
        return time.monotonic() - begun

    async def until(self, text: str, *nodes: int, times: int = 1) -> float:
        """
        Wait until nodes have written something this often.

        @return: seconds.
        """
        programs = [self.programs[node] for node in nodes]
        return await self.comes(
            lambda: all(each.output.count(text) >= times for each in programs), text
        )

    async def override(self, transport: str, *nodes: int) -> None:
        """
        Write rows that say how nodes are reached.
        """
        await self.comes(lambda: self.registry.nodes.keys() >= set(nodes), "a row of each node")
        for node in nodes:
            port = self.registry.nodes[node].port
            address = "" if transport == "unix" else HOST
            await self.registry.put(OverrideRow(node, 0, transport, address, port))

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
        talkers = await self.talkers(FIRST, SECOND)
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
        talkers = await self.talkers(FIRST, SECOND)
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
        talkers = await self.talkers(SECOND, FIRST)
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
        talkers = await self.talkers(SECOND, FIRST)
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
