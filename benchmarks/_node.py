"""
A node in a process of its own, with hotspots that only exist as sessions.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from bmff.wire import homebrew
from bmff.wire.homebrew import Acknowledge, Key, Login, OptionsText, Station

NODE_CPU, CLIENT_CPU = 0, 1
TALKGROUP = 91
HOST = "127.0.0.1"


def compileReference(name: str, folder: Path) -> Path:
    """
    Compile one of the C programs beside this.
    """
    source = Path(__file__).parent / "reference" / f"{name}.c"
    program = folder / name
    run(["cc", "-O2", "-o", program, source], check=True)
    return program


def freePorts(count: int) -> int:
    """
    The first of L{count} UDP ports in a row that are free.
    """
    first = 20_000 + os.getpid() % 200 * 50  # two runs at once look in different places
    for base in range(first, 60_000 - count, count + 100):
        try:
            for port in range(base, base + count):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind((HOST, port))
        except OSError:
            continue
        return base
    raise SystemExit("no free ports")


def logIn(
    master: tuple[str, int], password: bytes, peerID: int, port: int = 0, options: str = ""
) -> socket.socket:
    """
    A hotspot's login from a port.

    @return: its socket.
    """
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind((HOST, port))
    client.connect(master)
    client.settimeout(5)

    def ask(message: homebrew.Message) -> bytes:
        client.send(message.encode())
        answer = homebrew.decode(client.recv(512))
        assert isinstance(answer, Acknowledge), answer
        return answer.value

    nonce = ask(Login(peerID))
    ask(Key(peerID, homebrew.keyDigest(nonce, password)))
    ask(Station(peerID, "BENCH", 435_000_000, 430_000_000, slots=3))
    if options:
        ask(OptionsText(peerID, options))
    return client


@dataclass
class RunningNode:
    """
    A node in another process.

    @ivar master: where hotspots log in.
    @ivar password: of all of them.
    @ivar pid: the process.
    @ivar web: where its API is; L{None} when it has none.
    """

    master: tuple[str, int]
    password: bytes
    pid: int
    web: tuple[str, int] | None
    _control: Connection

    def drain(self, send: Callable[[], int]) -> float:
        """
        Let frames pile up in the node's socket, then time how long it takes to deal with them.

        @param send: sends them, and says how many.
        @return: seconds.
        """
        self._control.send(("pause", 0))
        self._control.recv()
        count = send()
        self._control.send(("drain", count))
        return float(self._control.recv())

    def cpuSeconds(self) -> float:
        """
        What the node has used of its processor.
        """
        self._control.send(("cpu", 0))
        return float(self._control.recv())


@contextmanager
def runningNode(settings: str = "", *, journal: bool = False) -> Iterator[RunningNode]:
    """
    A node, pinned to its processor.

    @param settings: lines for C{[homebrew]}, and more sections.
    @param journal: whether what it logs is written to a file.
    """
    with TemporaryDirectory() as folder:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_node, args=(folder, settings, journal, theirs), daemon=True
        )
        process.start()
        theirs.close()
        try:
            master, password, pid, web = ours.recv()
            yield RunningNode(master, password, pid, web, ours)
            ours.send(("stop", 0))
            process.join(10)
        finally:
            if process.is_alive():
                process.kill()


@implementer(IReadDescriptor)
class _Commands:
    """
    Reads what the benchmark wants, on the node's reactor.
    """

    def __init__(self, control: Connection, commandReceived: Callable[[], None]) -> None:
        self._control = control
        self.doRead = commandReceived

    def fileno(self) -> int:
        return self._control.fileno()

    def logPrefix(self) -> str:
        return "benchmark"

    def connectionLost(self, reason: object) -> None:
        self._control.close()


def _beginLogging(path: Path) -> None:
    """
    Have what is logged written to a file.
    """
    from twisted.logger import globalLogBeginner

    from bmff.log import JSONObserver

    observer = JSONObserver(path.open("w"))
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def _node(folder: str, settings: str, journal: bool, control: Connection) -> None:
    """
    The other process.
    """
    os.sched_setaffinity(0, {NODE_CPU})
    from twisted.internet import reactor as anyReactor

    from bmff.config import parseConfiguration
    from bmff.hotspots import HomeBrewService
    from bmff.keys import Secrets
    from bmff.node import Node

    reactor: Any = anyReactor
    reactor.seconds = time.monotonic
    if journal:
        _beginLogging(Path(folder) / "journal")
    text = f'network = 25011\nstate = "{folder}"\n[homebrew]\nlisten = ["{HOST}:0"]\n{settings}\n'
    configuration = parseConfiguration(text, "benchmark", Path(folder))
    secrets = Secrets.create(configuration.secrets)
    node = Node(reactor, configuration, secrets)
    node.privilegedStartService()
    node.startService()
    (service,) = (one for one in node if isinstance(one, HomeBrewService))
    (port,) = service.ports

    def command() -> None:
        try:
            name, count = control.recv()
        except EOFError:
            name, count = "stop", 0  # nobody is left to report to
        if name == "pause":
            reactor.removeReader(port)
            control.send("paused")
        elif name == "drain":
            wanted = node.router.framesRouted + count
            begin = time.perf_counter()
            reactor.addReader(port)

            def look() -> None:
                if node.router.framesRouted < wanted:
                    if time.perf_counter() - begin > 60:
                        control.send(-1.0)
                        return
                    reactor.callLater(0, look)
                    return
                control.send(time.perf_counter() - begin)

            look()
        elif name == "cpu":
            control.send(time.process_time())
        else:
            stopped = node.stopService()
            stopped.addBoth(lambda _: reactor.stop())

    reactor.addReader(_Commands(control, command))
    password = secrets.homebrewPassword("hotspots")
    listening = node.web.ports if node.web is not None else []
    web = (HOST, listening[0].getHost().port) if listening else None
    control.send(((port.host, port.port), password, os.getpid(), web))
    reactor.run()
    sys.exit(0)
