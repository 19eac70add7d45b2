"""
A change of the key of links while calls go on: how many frames it costs.

Two nodes run as twistd runs them, a hotspot at each, and each hotspot hears the other's call. In
the middle of both calls the key is changed with bmffctl, as the operator's guide says, once for two
nodes of one host (rotate, remove) and once for two with files of their own (add, use, remove). That
the link has changed its key is told by its life: it goes on, the same one, longer after the old key
was taken out of every file than a session may outlive its key.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from shutil import copyfile
from subprocess import DEVNULL, Popen
from tempfile import TemporaryDirectory
from typing import Any, Final

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react
from twisted.internet.utils import getProcessOutputAndValue

from benchmarks._node import HOST, freePorts
from benchmarks._report import Report, arguments
from bmff.ctl.ask import NodeError, ask
from bmff.ctl.hotspot import Report as Heard
from bmff.dmr.frame import Frame
from bmff.keys import Secrets
from bmff.protocols.fastforward import KEY_GRACE
from tests.talker import Talker

ROOT: Final = Path(__file__).parent.parent
TWISTD: Final = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
NODES: Final = (25011, 25012)
FIRST_KEY: Final = "group"
PATIENCE: Final = 30.0  # seconds to wait for what shall come about
BEFORE: Final = 2.0  # seconds of the calls before the first change
BETWEEN: Final = 5.0  # seconds from each change to the next; nodes look every two
AFTER: Final = KEY_GRACE + 4.0  # seconds that the calls go on after the last


class Caller(Talker):
    """
    One that also tells how late frames came.

    @ivar report: what it has heard.
    """

    def __init__(self, master: int, radio: int, password: bytes, talk: int, hear: int) -> None:
        self.report = Heard()
        super().__init__(master, radio, password, talk, hear)

    def _frameReceived(self, frame: Frame, now: float) -> None:
        super()._frameReceived(frame, now)
        self.report.frameHeard(frame, time.time_ns())


class Node:
    """
    A node's process.

    @ivar number: its node ID.
    @ivar master: the port that hotspots log in at.
    @ivar configuration: its file.
    @ivar secrets: the path of its secrets file.
    """

    def __init__(self, state: Path, number: int, master: int, links: str) -> None:
        """
        @param state: its folder.
        @param links: lines of C{[fastforward]}.
        """
        self.number = number
        self.master = master
        self.secrets = state / "secrets.toml"
        self.configuration = state / f"{number}.toml"
        self._socket = state / f"{number}.sock"
        self._output = state / f"{number}.log"
        self.configuration.write_text(
            f'network = {number}\nstate = "{state}"\n'
            f'[homebrew]\nlisten = ["{HOST}:{master}"]\n'
            f'[fastforward]\nlisten = ["{HOST}"]\nfolder = "{state}"\n{links}\n'
            f'[web]\nsocket = "{self._socket}"\n'
        )
        command = (*TWISTD, "-n", "--pidfile=", "bmnode", "--config", str(self.configuration))
        with self._output.open("ab") as output:
            self._process = Popen(command, cwd=ROOT, stdout=output, stderr=output, stdin=DEVNULL)

    @property
    def log(self) -> str:
        """
        What it has written.
        """
        return self._output.read_text()

    def link(self) -> dict[str, Any]:
        """
        What it says of its link; empty when that is not there.
        """
        try:
            links = ask(self._socket, "links")["links"]
        except NodeError:
            return {}
        return links[0] if links and links[0]["ready"] else {}

    def stop(self) -> None:
        """
        End it.
        """
        self._process.terminate()
        self._process.wait(10)


async def control(reactor: Any, *words: str) -> str:
    """
    Run bmffctl.

    @return: what it prints.
    """
    command = ("-m", "bmff.ctl.main", *words)
    output, errors, code = await getProcessOutputAndValue(
        sys.executable, command, os.environ, str(ROOT), reactor
    )
    if code:
        raise SystemExit(f"rotation: bmffctl {' '.join(words)}: {errors.decode()}")
    return str(output.decode())


async def until(reactor: Any, condition: Callable[[], object], what: str) -> None:
    """
    Wait until something is so.
    """
    end = reactor.seconds() + PATIENCE
    while not condition():
        if reactor.seconds() > end:
            raise SystemExit(f"rotation: {what} does not come about")
        await deferLater(reactor, 0.05)


def oneHost(folder: Path, masters: int) -> list[Node]:
    """
    Two nodes with one state folder: one secrets file, one registry.
    """
    Secrets.create(folder / "secrets.toml")
    return [Node(folder, node, masters + place, "") for place, node in enumerate(NODES)]


def twoHosts(folder: Path, masters: int) -> list[Node]:
    """
    Two nodes that share nothing but the first key, which was copied.
    """
    states = [folder / str(node) for node in NODES]
    for state in states:
        state.mkdir()
    Secrets.create(states[0] / "secrets.toml")
    copyfile(states[0] / "secrets.toml", states[1] / "secrets.toml")
    (states[1] / "secrets.toml").chmod(0o600)
    ports = [masters + 2, masters + 3]
    links = (f'port = {ports[0]}\ntargets = ["{NODES[1]}@{HOST}:{ports[1]}"]', f"port = {ports[1]}")
    return [
        Node(state, node, masters + place, links[place])
        for place, (state, node) in enumerate(zip(states, NODES, strict=True))
    ]


async def rotateOnce(reactor: Any, nodes: list[Node]) -> None:
    """
    As the guide says for one host.
    """
    key = ("key", "--config", str(nodes[0].configuration))
    await control(reactor, *key, "rotate")
    await deferLater(reactor, BETWEEN)
    await control(reactor, *key, "remove", FIRST_KEY)


async def rotateOnEach(reactor: Any, nodes: list[Node]) -> None:
    """
    As the guide says for several hosts.
    """
    secret = (await control(reactor, "keygen")).strip()
    for words in (("add", "next", secret), ("use", "next"), ("remove", FIRST_KEY)):
        for node in nodes:
            await control(reactor, "key", "--config", str(node.configuration), *words)
        if words[0] != "remove":
            await deferLater(reactor, BETWEEN)


async def measure(
    reactor: Any,
    start: Callable[[Path, int], list[Node]],
    rotate: Callable[[Any, list[Node]], Awaitable[None]],
) -> dict[str, Any]:
    """
    Change the key once.

    @return: the figures.
    """
    with TemporaryDirectory(prefix="bmff-") as folder:
        nodes = start(Path(folder), freePorts(4))
        callers: list[Caller] = []
        try:
            await until(reactor, lambda: all(node.link() for node in nodes), "the link")
            password = Secrets.load(nodes[0].secrets).homebrewPassword("hotspots") or b""
            for place, (talk, hear) in enumerate(((91, 92), (92, 91))):
                master, radio = nodes[place].master, 2_340_001 + place
                callers.append(Caller(master, radio, password, talk, hear))
            await until(reactor, lambda: all(one.running for one in callers), "the login")
            await deferLater(reactor, 1.0)  # what is heard is told to the other node
            return await during(reactor, nodes, callers, rotate)
        finally:
            for caller in callers:
                await caller.stop()
            for node in nodes:
                node.stop()


async def during(
    reactor: Any,
    nodes: list[Node],
    callers: list[Caller],
    rotate: Callable[[Any, list[Node]], Awaitable[None]],
) -> dict[str, Any]:
    """
    The calls and the change in their middle.
    """
    before = [node.link() for node in nodes]
    for caller in callers:
        caller.call()
    await deferLater(reactor, BEFORE)
    await rotate(reactor, nodes)
    await deferLater(reactor, AFTER)
    after = [node.link() for node in nodes]
    for caller in callers:
        await caller.hangUp()
    await deferLater(reactor, 0.5)  # the last ones are on their way
    secrets = [Secrets.load(node.secrets) for node in nodes]
    key = secrets[0].currentKey()
    proofs = {
        "the old key is in no file": not any(one.fastForwardKey(FIRST_KEY) for one in secrets),
        "the link is the same": [(each.get("since"), each.get("boot")) for each in after]
        == [(each["since"], each["boot"]) for each in before],
        "both nodes say so": all(f"made under key {key} from" in node.log for node in nodes),
        "no error in a log": not any("Traceback" in node.log for node in nodes),
    }
    latencies = sorted(late for one in callers for late in one.report.latencies)
    return {
        "sent": sum(len(one.sent) for one in callers),
        "heard": sum(one.report.heard for one in callers),
        "calls heard": sum(one.report.calls for one in callers),
        "key": key,
        "links say": [each.get("key") for each in after],
        "proofs": proofs,
        "median, ms": round(latencies[len(latencies) // 2], 2),
        "p99, ms": round(latencies[int(len(latencies) * 0.99)], 2),
        "latest, ms": round(latencies[-1], 2),
    }


async def benchmark(reactor: Any) -> None:
    """
    Measure both ways and print.
    """
    asked = arguments(__doc__.strip().splitlines()[0], rounds=1)
    reactor.seconds = time.monotonic
    cases: dict[str, list[dict[str, Any]]] = {"one host": [], "two hosts": []}
    for _ in range(asked.rounds):
        cases["one host"].append(await measure(reactor, oneHost, rotateOnce))
        cases["two hosts"].append(await measure(reactor, twoHosts, rotateOnEach))
    Report(
        "rotation",
        {
            case: sum(each["heard"] for each in found) / sum(each["sent"] for each in found)
            for case, found in cases.items()
        },
        {
            "frames lost (bar: 0)": sum(
                each["sent"] - each["heard"] for found in cases.values() for each in found
            ),
            "key changed": all(
                all(each["proofs"].values()) for found in cases.values() for each in found
            ),
        }
        | cases,
        "the frames that were sent",
    ).show(asked.json)


def main(reactor: Any) -> Deferred[None]:
    """
    For L{react}.
    """
    return Deferred.fromCoroutine(benchmark(reactor))


if __name__ == "__main__":
    react(main, (), anyReactor)
