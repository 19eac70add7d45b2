"""
Two nodes on this host, two simulated hotspots at each, calls both ways over every transport.

C{make demo} runs it: for each transport the nodes start anew with one override in their registry,
find each other, and carry a group call and a private call in each direction. Every frame is
counted; the exit code is 0 only when none is missing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from socket import AF_INET, SOCK_DGRAM, socket
from subprocess import DEVNULL, Popen
from tempfile import mkdtemp
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from bmff.ctl.ask import NodeError, ask
from bmff.ctl.hotspot import Report, stamped
from bmff.ctl.tables import table
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

TRANSPORTS = ("udp", "tcp", "tls", "unix", "shm")
NODES = (25011, 25012)
LOOPBACK = "127.0.0.1"
TALKGROUP = 91
SUPERFRAMES = 14  # 86 frames a call
PATIENCE = 20.0  # seconds to wait for nodes and links


class Listener:
    """
    A hotspot of the demonstration.
    """

    def __init__(self, reactor: Any, master: int, radio: int, password: bytes) -> None:
        """
        @param master: the UDP port of its node.
        @param radio: its ID, and that of the radio at it.
        """
        self.radio = radio
        self.report = Report()
        station = Station(radio, "DEMO", 435_000_000, 435_000_000, slots=4)
        client = Client(station, password, f"TS2={TALKGROUP}", self._heard)
        self.hotspot = Hotspot(reactor, packAddress(LOOPBACK, master), client, lambda _: None)
        self.port = DatagramPort(reactor, LOOPBACK, 0, self.hotspot)
        self.hotspot.transport = self.port
        self.port.startListening()
        self.hotspot.start()

    @property
    def running(self) -> bool:
        """
        Whether it is logged in.
        """
        return self.hotspot.client.state.name == "RUNNING"

    def stop(self) -> None:
        """
        Leave.
        """
        self.hotspot.stop()
        self.port.stopListening()

    def _heard(self, frame: Frame, now: float) -> None:
        self.report.frameHeard(frame, time.time_ns())


class Node:
    """
    A node process of the demonstration.
    """

    def __init__(self, folder: Path, number: int, port: int, link: int) -> None:
        """
        @param port: where hotspots log in.
        @param link: where other nodes do.
        """
        self.number = number
        self.port = port
        self.socket = folder / f"{number}.sock"
        configuration = folder / f"{number}.toml"
        configuration.write_text(
            f'network = {number}\nstate = "{folder}"\n'
            f'[homebrew]\nlisten = ["{LOOPBACK}:{port}"]\nhang_time = 0.2\n'
            f'[fastforward]\nport = {link}\nlisten = ["{LOOPBACK}"]\nfolder = "{folder}"\n'
            "tls = true\n"
            f'[web]\nsocket = "{self.socket}"\n'
        )
        self.log = (folder / f"{number}.log").open("ab")
        twistd = [sys.executable, "-m", "twisted", "-n", "--pidfile=", "bmnode"]
        twistd = [str(Path(sys.executable).parent / "twistd"), *twistd[3:]]
        command = [*twistd, "--config", str(configuration)]
        self.process = Popen(command, stdout=self.log, stderr=self.log, stdin=DEVNULL)

    def linkedOver(self) -> str:
        """
        What its link runs over; empty when it has none.
        """
        try:
            links = ask(self.socket, "links")["links"]
        except NodeError:
            return ""
        return str(links[0]["transport"]) if links and links[0]["ready"] else ""

    def stop(self) -> None:
        """
        End the process.
        """
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


def freePorts(count: int) -> list[int]:
    """
    UDP ports that nobody has.
    """
    sockets = [socket(AF_INET, SOCK_DGRAM) for _ in range(count)]
    for one in sockets:
        one.bind((LOOPBACK, 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


async def until(reactor: Any, condition: Any, what: str) -> None:
    """
    Wait until something is so.

    @raise SystemExit: it does not become so.
    """
    end = reactor.seconds() + PATIENCE
    while not condition():
        if reactor.seconds() > end:
            raise SystemExit(f"demo: {what} in {PATIENCE:.0f} s")
        await deferLater(reactor, 0.05)


async def talk(reactor: Any, talker: Listener, frames: Iterator[Frame]) -> None:
    """
    Send the frames of a call at their pitch.
    """
    due = reactor.seconds()
    for each in frames:
        frame = stamped(each, time.time_ns()) if each.flags & KIND != DATA_SYNC else each
        talker.hotspot.sendFrame(frame)
        talker.report.sent += 1
        due += FRAME_PERIOD
        await deferLater(reactor, max(0.0, due - reactor.seconds()))


async def overrides(reactor: Any, folder: Path, transport: str, links: list[int]) -> None:
    """
    Say in the nodes' registry how each is reached.

    @param links: their FastForward numbers.
    """
    registry = EmbeddedRegistry(reactor, folder / "registry.sqlite")
    await registry.start()
    for node, link in zip(NODES, links, strict=True):
        address = "" if transport in ("unix", "shm") else LOOPBACK
        await registry.put(OverrideRow(node, 0, transport, address, link))
    await registry.stop()


async def run(reactor: Any, folder: Path, transport: str, secrets: Secrets) -> list[list[object]]:
    """
    One transport.

    @return: the rows of the table.
    """
    print(f"\r{transport}: starting ...".ljust(60), end="", flush=True)
    ports = freePorts(2 * len(NODES))
    links = ports[len(NODES) :]
    await overrides(reactor, folder, transport, links)
    password = secrets.homebrewPassword("hotspots") or b""
    nodes = []
    listeners: list[Listener] = []
    try:
        for number, port, link in zip(NODES, ports, links, strict=False):
            nodes.append(Node(folder, number, port, link))
            first = nodes[-1]
            await until(reactor, first.socket.exists, f"node {number} does not start")
        await until(
            reactor,
            lambda: all(node.linkedOver() == transport for node in nodes),
            f"the nodes are not linked over {transport}",
        )
        for place, node in enumerate(nodes):
            for each in (1, 2):
                radio = 2_340_000 + 10 * place + each
                listeners.append(Listener(reactor, node.port, radio, password))
        await until(reactor, lambda: all(one.running for one in listeners), "no login")
        await deferLater(reactor, 0.3)
        return await calls(reactor, transport, listeners)
    finally:
        for listener in listeners:
            listener.stop()
        for node in nodes:
            node.stop()


async def calls(reactor: Any, transport: str, listeners: list[Listener]) -> list[list[object]]:
    """
    A group call and a private call in each direction.
    """
    a1, a2, b1, b2 = listeners
    rows: list[list[object]] = []
    stream = int.from_bytes(os.urandom(3), "big") << 8
    for talker, other, private in (
        (a1, b1, False),
        (b1, a1, False),
        (a2, b2, True),
        (b2, a2, True),
    ):
        kind = "private" if private else "group"
        arrow = f"{talker.radio} > {other.radio if private else f'TG {TALKGROUP}'}"
        print(f"\r{transport}: {kind} call {arrow} ...".ljust(60), end="", flush=True)
        if private:  # so that the network knows where the called radio is
            await talk(reactor, other, short(other.radio, stream + 100))
            await deferLater(reactor, 0.5)
        for one in listeners:
            one.report = Report()
        stream += 1
        await talk(
            reactor,
            talker,
            voiceCall(
                source=talker.radio,
                destination=other.radio if private else TALKGROUP,
                stream=stream,
                superframes=SUPERFRAMES,
                private=private,
            ),
        )
        await deferLater(reactor, 0.6)
        sent, report = talker.report.sent, other.report
        figures = report.figures()
        rows.append(
            [
                *(transport, kind, arrow, sent, report.heard, sent - report.heard),
                figures.get("latency_median_ms", "-"),
                figures.get("latency_p99_ms", "-"),
            ]
        )
    return rows


def short(radio: int, stream: int) -> Iterator[Frame]:
    """
    A short call to nobody, by which a node learns where a radio is.
    """
    return voiceCall(source=radio, destination=7, stream=stream, superframes=1)


async def demonstrate(reactor: Any) -> None:
    """
    All transports, and the table.
    """
    reactor.seconds = time.monotonic
    folder = Path(mkdtemp(prefix="bmff-"))
    rows: list[list[object]] = []
    try:
        secrets = Secrets.create(folder / "secrets.toml")
        for transport in TRANSPORTS:
            rows += await run(reactor, folder, transport, secrets)
    finally:
        for log in folder.glob("*.log"):
            if "Traceback" in log.read_text():
                print(log.read_text(), file=sys.stderr)
        rmtree(folder)
    heading = ("OVER", "CALL", "FROM > TO", "SENT", "HEARD", "LOST", "MEDIAN ms", "P99 ms")
    print("\r" + " " * 60 + "\r" + table(heading, rows))
    missing = sum(int(str(row[5])) for row in rows)
    if missing:
        raise SystemExit(f"demo: {missing} frames are missing")


def main(reactor: Any) -> Deferred[None]:
    """
    For L{react}.
    """
    return Deferred.fromCoroutine(demonstrate(reactor))


if __name__ == "__main__":
    react(main, (), anyReactor)
