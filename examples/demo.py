"""
Two nodes on this host, two simulated hotspots at each, calls both ways over every transport.

C{make demo} runs it: for each transport the nodes start anew with one override in their registry,
find each other, and carry a group call and a private call in each direction. Every frame is
counted, and what this host lacks is named with the reason; the exit code is 0 only when no frame is
missing and each transport that was asked for by name was there.
"""

from __future__ import annotations

import os
import re
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
from twisted.plugin import getPlugins
from twisted.python import usage

from bmff.ctl.ask import NodeError, ask
from bmff.ctl.hotspot import Report, stamped
from bmff.ctl.tables import table
from bmff.dmr.frame import DATA_SYNC, FRAME_PERIOD, KIND, Frame
from bmff.dmr.voice import voiceCall
from bmff.ibmff import ITransportMaker, OverrideRow
from bmff.keys import Secrets
from bmff.protocols.hotspot import Hotspot
from bmff.registry.embedded import EmbeddedRegistry
from bmff.sockets.addresses import packAddress
from bmff.sockets.datagrams import DatagramPort
from bmff.wire.homebrew import Station
from bmff.wire.homebrewclient import Client

# Where the other node is, on this host; a transport that is not here has an address of its own.
ADDRESSES = {"host": "127.0.0.1", "none": ""}
PLACES = {"vsock": "1"}  # VMADDR_CID_LOCAL of vsock(7)
ORDER = ("udp", "tcp", "tls", "unix", "shm", "vsock", "rdma")
CERTAIN = ("udp", "tcp", "tls", "unix", "shm")  # what is here reaches this host as well
NODES = (25011, 25012)
LOOPBACK = "127.0.0.1"
TALKGROUP = 91
SUPERFRAMES = 14  # 86 frames a call
PATIENCE = 20.0  # seconds to wait for nodes and links

_LACKING = re.compile(r"\] no (\S+) here: (.*)")  # as a node writes it into its log


class DemoOptions(usage.Options):
    """
    What to show.
    """

    synopsis = "[options] [transport ...]"
    optParameters = [
        ["superframes", "s", SUPERFRAMES, "the length of a call, in steps of 0.36 s", int]
    ]

    def parseArgs(self, *transports: str) -> None:
        """
        @param transports: those to show; all that there are when empty.
        """
        self["transports"] = transports


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
        self.output = folder / f"{number}.{link}.log"
        self.log = self.output.open("ab")
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

    def missing(self, transport: str) -> str:
        """
        Why its link does not run over a transport.
        """
        try:
            links = ask(self.socket, "links")["links"]
        except NodeError as error:
            return str(error)
        reasons: dict[str, str] = links[0]["missing"] if links else {}
        return reasons.get(transport, f"no link in {PATIENCE:.0f} s")

    def lacking(self) -> dict[str, str]:
        """
        Why it does not have the other transports, by name.
        """
        return dict(_LACKING.findall(self.output.read_text()))

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


async def comes(reactor: Any, condition: Any) -> bool:
    """
    Wait until something is so.

    @return: whether it has become so.
    """
    end = reactor.seconds() + PATIENCE
    while not condition():
        if reactor.seconds() > end:
            return False
        await deferLater(reactor, 0.05)
    return True


async def until(reactor: Any, condition: Any, what: str) -> None:
    """
    Wait until something is so.

    @raise SystemExit: it does not become so.
    """
    if not await comes(reactor, condition):
        raise SystemExit(f"demo: {what} in {PATIENCE:.0f} s")


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


def transports() -> dict[str, str | None]:
    """
    The names of all transports that Twisted finds, in the order of the demonstration, each with
    the address by which a node of this host is reached; L{None} where that is not known here.
    """
    found = {
        maker.name: PLACES.get(maker.name, ADDRESSES.get(getattr(maker, "addresses", "any")))
        for maker in getPlugins(ITransportMaker)
    }
    names = sorted(found, key=lambda name: (name not in ORDER, [*ORDER, name].index(name), name))
    return {name: found[name] for name in names}


async def overrides(
    reactor: Any, folder: Path, transport: str, address: str, links: list[int]
) -> None:
    """
    Say in the nodes' registry how each is reached.

    @param links: their FastForward numbers.
    """
    registry = EmbeddedRegistry(reactor, folder / "registry.sqlite")
    await registry.start()
    for node, link in zip(NODES, links, strict=True):
        await registry.put(OverrideRow(node, 0, transport, address, link))
    await registry.stop()


class Demonstration:
    """
    One after the other, all transports of this host.

    @ivar rows: those of the table.
    @ivar lacking: why the others are not here, by name.
    """

    def __init__(self, reactor: Any, folder: Path, superframes: int) -> None:
        """
        @param superframes: the length of each call.
        """
        self.rows: list[list[object]] = []
        self.lacking: dict[str, str] = {}
        self._reactor = reactor
        self._folder = folder
        self._superframes = superframes
        self._password = Secrets.create(folder / "secrets.toml").homebrewPassword("hotspots") or b""

    async def show(self, transport: str, address: str) -> None:
        """
        One transport, unless it is not here.

        @param address: where the nodes are, as an override has it.
        @raise SystemExit: it is here, and does not carry the link.
        """
        reactor = self._reactor
        print(f"\r{transport}: starting ...".ljust(60), end="", flush=True)
        ports = freePorts(2 * len(NODES))
        links = ports[len(NODES) :]
        await overrides(reactor, self._folder, transport, address, links)
        nodes: list[Node] = []
        listeners: list[Listener] = []
        try:
            for number, port, link in zip(NODES, ports, links, strict=False):
                nodes.append(Node(self._folder, number, port, link))
                first = nodes[-1]
                await until(reactor, first.socket.exists, f"node {number} does not start")
            await until(
                reactor,
                lambda: (
                    self._lacks(transport, nodes)
                    or all(node.linkedOver() == transport for node in nodes)
                ),
                f"the nodes are not linked over {transport}",
            )
            if self._lacks(transport, nodes):
                return
            for place, node in enumerate(nodes):
                for each in (1, 2):
                    radio = 2_340_000 + 10 * place + each
                    listeners.append(Listener(reactor, node.port, radio, self._password))
            await until(reactor, lambda: all(one.running for one in listeners), "no login")
            await deferLater(reactor, 0.3)
            self.rows += await calls(reactor, transport, listeners, self._superframes)
        finally:
            for listener in listeners:
                listener.stop()
            for node in nodes:
                node.stop()

    def _lacks(self, transport: str, nodes: list[Node]) -> bool:
        for node in nodes:
            self.lacking.update(node.lacking())
        return transport in self.lacking


async def calls(
    reactor: Any, transport: str, listeners: list[Listener], superframes: int
) -> list[list[object]]:
    """
    A group call and a private call in each direction.

    @return: the rows of the table.
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
                superframes=superframes,
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


async def demonstrate(reactor: Any, options: DemoOptions) -> None:
    """
    All transports, and the table.

    @raise SystemExit: frames are missing, or a transport that was asked for is not here.
    """
    reactor.seconds = time.monotonic
    folder = Path(mkdtemp(prefix="bmff-"))
    there = transports()
    asked = options["transports"]
    shown = Demonstration(reactor, folder, options["superframes"])
    try:
        for transport in asked or there:
            if transport not in there:
                shown.lacking[transport] = "there is no such transport"
            elif transport not in shown.lacking:
                address = there[transport]
                if address is None:
                    shown.lacking[transport] = "the demonstration does not know its addresses"
                else:
                    await shown.show(transport, address)
    finally:
        for log in folder.glob("*.log"):
            if "Traceback" in log.read_text():
                print(log.read_text(), file=sys.stderr)
        rmtree(folder)
    heading = ("OVER", "CALL", "FROM > TO", "SENT", "HEARD", "LOST", "MEDIAN ms", "P99 ms")
    print("\r" + " " * 60 + "\r" + table(heading, shown.rows))
    for transport, reason in shown.lacking.items():
        print(f"no {transport} here: {reason}")
    missing = sum(int(str(row[5])) for row in shown.rows)
    if missing:
        raise SystemExit(f"demo: {missing} frames are missing")
    if lacking := [name for name in asked if name in shown.lacking]:
        raise SystemExit(f"demo: no {', '.join(lacking)}")


def main(reactor: Any, *words: str) -> Deferred[None]:
    """
    For L{react}.
    """
    options = DemoOptions()
    try:
        options.parseOptions(words)
    except usage.UsageError as error:
        raise SystemExit(f"demo: {error}") from None
    return Deferred.fromCoroutine(demonstrate(reactor, options))


if __name__ == "__main__":
    react(main, sys.argv[1:], anyReactor)
