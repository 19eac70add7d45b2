"""
How many frames several nodes of one host carry, against one: does a node for each processor pay?

A unit is a node as twistd runs it with a process of its own that makes calls and hears them, both
on one processor. The nodes share a registry and find each other by it. Each call has one listener,
at the same node or, for a share of the calls, at the next one. The units send as fast as they hear:
each keeps a window of frames on the way, which is made smaller until no more than one in a thousand
is lost, so that what is counted is the most that is carried.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks._hotspots import CROSSING, MOST_CALLS, Listeners, Place, Talkers
from benchmarks._late import busy, processorSeconds
from benchmarks._node import HOST, freePorts
from benchmarks._report import Report, arguments
from benchmarks._twistd import Twistd
from bmff.ctl.ask import NodeError, ask
from bmff.dmr.frame import DATA_SYNC, TERMINATOR, VOICE_SYNC
from bmff.keys import Secrets

SIZES: Final = (1, 2, 4)  # units
FIRST_NODE: Final = 25011
PATIENCE: Final = 30.0  # seconds to wait for what shall come about
SETTLING: Final = 1.0  # seconds after the logins; what is heard is told to the other nodes
WARM: Final = 1.0  # seconds before the time that is counted
SPIN: Final = 0.5  # seconds of a bare loop
PAUSE: Final = 10e-6  # seconds for each frame of the window, in which frames gather
SILENCE: Final = 0.5  # seconds without a frame after which none is on the way
STALL: Final = 1.0  # the same while there is sending
WINDOW: Final = 256  # frames of a unit that are on the way, at first
SMALLEST_WINDOW: Final = 16
OTHERS: Final = 0.1  # of a processor, what other programs may take of it in a round that counts
BEARABLE: Final = 0.001  # of the frames sent, how many may be lost


@dataclass(frozen=True, slots=True)
class Order:
    """
    What a unit is to send.

    @ivar stream: the stream ID of its first call; no two orders have the same.
    @ivar crossing: whether a share of its calls is heard at the next node.
    @ivar window: how many frames to keep on the way.
    @ivar begin: when counting begins, monotonic seconds; sending begins at once.
    @ivar end: when both end.
    """

    stream: int
    crossing: bool
    window: int
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Count:
    """
    What a unit did.

    @ivar sent: frames, before the counted time too.
    @ivar heard: frames, as many units as there are.
    @ivar crossed: those of them that came from the other node.
    @ivar rate: frames heard a second in the counted time.
    @ivar node: the share of the processor that the node took then.
    @ivar caller: the share of the process that sends and hears.
    @ivar others: what other programs took, and the host of a virtual machine.
    """

    sent: int
    heard: int
    crossed: int
    rate: float
    node: float
    caller: float
    others: float


@dataclass(frozen=True, slots=True)
class Trial:
    """
    What all units of a group did at once.

    @ivar units: each one's count.
    @ivar window: frames that each kept on the way.
    """

    units: tuple[Count, ...]
    window: int

    @property
    def rate(self) -> float:
        """
        Frames heard a second, together.
        """
        return sum(each.rate for each in self.units)

    @property
    def loss(self) -> float:
        """
        The share of the frames that nobody heard.
        """
        sent = sum(each.sent for each in self.units)
        return (sent - sum(each.heard for each in self.units)) / sent

    @property
    def others(self) -> float:
        """
        What other programs took of the processor of which they took most.
        """
        return max(each.others for each in self.units)

    @property
    def crossed(self) -> float:
        """
        The share of the frames that were heard at another node.
        """
        return sum(each.crossed for each in self.units) / sum(each.heard for each in self.units)

    @property
    def perProcessorSecond(self) -> float:
        """
        Frames for each second that units had a processor, whatever other programs took.
        """
        return self.rate / sum(each.node + each.caller for each in self.units)


class Crowd:
    """
    The hotspots of one unit.
    """

    def __init__(self, place: Place, node: int, master: tuple[str, int], password: bytes) -> None:
        """
        @param node: the process ID of its node.
        """
        self._place = place
        self._node = node
        self._talkers = Talkers(place, master, password)
        self._own = Listeners(place, False, master, password)
        self._foreign = Listeners(place, True, master, password)
        self._listeners = {one.socket.fileno(): one for one in (self._own, self._foreign)}
        self._poll = select.epoll()
        for descriptor in self._listeners:
            self._poll.register(descriptor, select.EPOLLIN)
        self._next = 0

    def run(self, order: Order) -> Count:
        """
        Send, hear and count. The last frames that other units sent are waited for.
        """
        for one in self._listeners.values():
            one.heard = 0
        self._talkers.begin(order.stream, order.crossing, VOICE_SYNC)
        marks: list[tuple[float, ...]] = []
        due = order.begin
        calls = self._place.calls
        sent = back = 0
        while True:
            now = time.monotonic()
            if now >= due:
                marks.append((now, self._own.heard + self._foreign.heard, *self._seconds()))
                if len(marks) == 2:
                    break
                due = order.end
            # To begin a call costs a node as much as fifty frames.
            window = order.window if sent >= calls else SMALLEST_WINDOW
            while sent - back < window:
                sequence, first = divmod(sent, calls)
                count = min(window - (sent - back), calls - first)
                self._talkers.send(sequence, first, count)
                sent += count
            # Woken for every few frames it would interrupt the node each time, which would then
            # be measured with small turns and cold caches.
            time.sleep(window * PAUSE)
            count = self._listen(STALL)
            # What is not back by now is lost, and shall not narrow the window.
            back = back + count if count else sent
        while self._listen():
            pass
        self._next = -(-sent // calls)
        before, after = marks
        took, heard, *used = (late - early for early, late in zip(before, after, strict=True))
        return Count(
            sent,
            self._own.heard + self._foreign.heard,
            self._foreign.heard,
            heard / took,
            *(seconds / took for seconds in used),
        )

    def hangUp(self, order: Order) -> None:
        """
        End the calls, and stay logged in.
        """
        self._talkers.begin(order.stream, order.crossing, DATA_SYNC | TERMINATOR)
        self._talkers.send(self._next, 0, self._place.calls)
        while self._listen():
            pass
        for each in (self._talkers, self._own, self._foreign):
            each.ping()
        while self._listen():
            pass

    def _listen(self, patience: float = SILENCE) -> int:
        """
        Wait for frames.

        @param patience: seconds.
        @return: how many came; 0 when none did.
        """
        ready = self._poll.poll(patience)
        return sum(self._listeners[descriptor].listen() for descriptor, _ in ready)

    def _seconds(self) -> tuple[float, float, float]:
        """
        What the node, this process and other programs have had of the processor.
        """
        node = processorSeconds(self._node)
        own = time.process_time()
        return node, own, busy(self._place.cpu) - node - own


def spin(begin: float, end: float) -> float:
    """
    A bare loop: what this machine gives one more processor, whatever runs on it.

    @param begin: when counting begins, monotonic seconds.
    @return: turns a second.
    """
    turns = 0
    first = 0
    while (now := time.monotonic()) < end:
        if now < begin:
            first = turns
        for _ in range(1000):
            turns += 1
    return (turns - first) / (end - begin)


def _unit(
    control: Connection, place: Place, node: int, master: tuple[str, int], password: bytes
) -> None:
    """
    The process of a unit that sends and hears.
    """
    os.sched_setaffinity(0, {place.cpu})
    # It is woken by frames, and is not to interrupt the node for each.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    crowd = Crowd(place, node, master, password)
    work: dict[str, Callable[..., Any]] = {"run": crowd.run, "hangUp": crowd.hangUp, "spin": spin}
    control.send("ready")
    while True:
        try:
            name, *words = control.recv()
        except EOFError:
            return  # nobody is left to report to
        control.send(work[name](*words))


class Node(Twistd):
    """
    A node as twistd runs it.

    @ivar master: where hotspots log in.
    """

    def __init__(self, folder: Path, number: int, port: int, cpu: int) -> None:
        """
        @param folder: that all nodes of the group have.
        """
        self.master = (HOST, port)
        self._socket = folder / f"{number}.sock"
        configuration = folder / f"{number}.toml"
        configuration.write_text(
            f'network = {number}\nstate = "{folder}"\n'
            f'[homebrew]\nlisten = ["{HOST}:{port}"]\n'
            "hang_time = 0\ntalk_limit = 0\ndynamic_timeout = 0\npeer_timeout = 600\n"
            f'[fastforward]\nlisten = ["{HOST}"]\nfolder = "{folder}"\n'
            f'[web]\nsocket = "{self._socket}"\n'
        )
        super().__init__(configuration, folder / f"{number}.log", cpu)

    def links(self) -> list[str] | None:
        """
        What carries its links, of those that have settled; L{None} before it has begun.
        """
        self.check()
        try:
            links = ask(self._socket, "links")["links"]
        except NodeError:
            return None
        # Links begin over UDP, and nodes of one host soon find something faster.
        return [
            str(link["transport"])
            for link in links
            if link["ready"] and link["transport"] == link["chosen"] != "udp"
        ]


class Group:
    """
    Units that share a registry.

    @ivar transports: what carries the links.
    """

    def __init__(self, nodes: Sequence[Node], controls: Sequence[Connection], calls: int) -> None:
        """
        @param calls: how many each unit makes.
        """
        self.transports = sorted({each for node in nodes for each in node.links() or ()})
        self._controls = controls
        self._calls = calls
        self._stream = 1

    def most(self, seconds: float, crossing: bool) -> Trial:
        """
        The most that is carried.

        @param seconds: to count.
        """
        window = WINDOW
        while True:
            trial = self.trial(seconds, crossing, window)
            if trial.loss <= BEARABLE:
                return trial
            window //= 2
            if window < SMALLEST_WINDOW:
                raise SystemExit(f"scale: frames are lost whatever the load: {trial}")

    def trial(self, seconds: float, crossing: bool, window: int) -> Trial:
        """
        Have all units send, one window on the way for each.
        """
        begin = time.monotonic() + WARM
        order = Order(self._stream, crossing, window, begin, begin + seconds)
        self._stream += self._calls
        counts = self._all("run", order)
        self._all("hangUp", order)
        return Trial(tuple(counts), window)

    def spin(self, seconds: float) -> float:
        """
        What a bare loop does on all processors of the group at once.

        @return: turns a second, together.
        """
        begin = time.monotonic() + 0.1
        return float(sum(self._all("spin", begin, begin + seconds)))

    def _all(self, name: str, *words: Any) -> list[Any]:
        """
        Have every unit do something at the same time.

        @return: what each says.
        """
        for control in self._controls:
            control.send((name, *words))
        return [control.recv() for control in self._controls]


def linked(nodes: Sequence[Node]) -> None:
    """
    Wait until each node has begun, and has a link to every other.
    """
    end = time.monotonic() + PATIENCE
    while True:
        found = [node.links() for node in nodes]
        if all(each is not None and len(each) == len(nodes) - 1 for each in found):
            return
        if time.monotonic() > end:
            raise SystemExit(f"scale: the links do not come about: {found}")
        time.sleep(0.05)


@contextmanager
def runningGroup(cpus: Sequence[int], calls: int) -> Iterator[Group]:
    """
    A unit on each of these processors.

    @param calls: how many each makes, an even number.
    """
    context = get_context("spawn")
    with ExitStack() as ending:
        folder = Path(ending.enter_context(TemporaryDirectory(prefix="bmff-")))
        secrets = Secrets.create(folder / "secrets.toml")
        password = secrets.homebrewPassword("hotspots") or b""
        port = freePorts(len(cpus))
        nodes: list[Node] = []
        for number, cpu in enumerate(cpus):
            nodes.append(Node(folder, FIRST_NODE + number, port + number, cpu))
            ending.callback(nodes[-1].stop)
        linked(nodes)
        controls: list[Connection] = []
        for number, (cpu, node) in enumerate(zip(cpus, nodes, strict=True)):
            ours, theirs = context.Pipe()
            place = Place(number, len(cpus), cpu, calls)
            work = (theirs, place, node.pid, node.master, password)
            process = context.Process(target=_unit, args=work, daemon=True)
            process.start()
            ending.callback(process.join, 10)
            ending.callback(ours.close)
            theirs.close()
            controls.append(ours)
        for control in controls:
            control.recv()
        time.sleep(SETTLING)
        yield Group(nodes, controls, calls)


def processors() -> list[int]:
    """
    Those that this process may use; the second ones of a core come last.
    """
    cores: set[str] = set()
    firsts: list[int] = []
    seconds: list[int] = []
    for cpu in sorted(os.sched_getaffinity(0)):
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = topology.read_text().strip() if topology.exists() else str(cpu)
        (seconds if core in cores else firsts).append(cpu)
        cores.add(core)
    return firsts + seconds


def show(
    found: Mapping[str, Sequence[Trial]],
    loops: Mapping[int, Sequence[float]],
    cpus: int,
    transports: Sequence[str],
    asJSON: bool,
) -> None:
    """
    Print what has been found.

    @param found: one trial a round of each case, which is the number of units, with C{/0} when no
        call crosses.
    @param loops: what a bare loop did on so many processors.
    """
    rounds = range(len(found["1"]))
    clean = [
        each for each in rounds if max(trials[each].others for trials in found.values()) < OTHERS
    ]
    # What the machine gives changes from minute to minute, and less within a round.
    ratios = {
        case: median(trials[each].rate / found["1"][each].rate for each in clean or rounds)
        for case, trials in found.items()
        if case != "1"
    }
    rate = {case: median(each.rate for each in trials) for case, trials in found.items()}
    worth = {
        case: median(each.perProcessorSecond for each in trials) for case, trials in found.items()
    }
    loop = {size: median(turns) for size, turns in loops.items()}

    def middle(part: Callable[[Trial], float]) -> dict[str, float]:
        return {case: round(median(map(part, trials)), 4) for case, trials in found.items()}

    Report(
        "scale",
        ratios,
        {
            "frames a second": {case: round(each) for case, each in rate.items()},
            "frames a second of each round": {
                case: [round(each.rate) for each in trials] for case, trials in found.items()
            },
            "frames a second of processor time": {
                case: round(each) for case, each in worth.items()
            },
            "ratio by processor time": {
                case: round(int(case.partition("/")[0]) * worth[case] / worth["1"], 2)
                for case in ratios
            },
            "share that crossed": middle(lambda trial: trial.crossed),
            "share that was lost, at most": {
                case: round(max(each.loss for each in trials), 5) for case, trials in found.items()
            },
            "frames on the way of each unit": {
                case: [each.window for each in trials] for case, trials in found.items()
            },
            "share of its processor that a node took": middle(
                lambda trial: median(unit.node for unit in trial.units)
            ),
            "share that its calls took": middle(
                lambda trial: median(unit.caller for unit in trial.units)
            ),
            "share that others took, in the worst unit of each round": {
                case: [round(each.others, 2) for each in trials] for case, trials in found.items()
            },
            "rounds that others left alone": f"{len(clean)} of {len(rounds)}",
            "links run over": list(transports),
            "a bare loop on so many processors, against one": {
                str(size): round(turns / loop[1], 2) for size, turns in loop.items() if size > 1
            },
            "left out": {
                str(size): f"needs {size} processors, here are {cpus}"
                for size in SIZES
                if size not in loops
            },
        },
        "one unit on one processor; of more units, one call in five crosses, or none (/0)",
    ).show(asJSON)


def main() -> None:
    """
    Measure and print.
    """
    asked = arguments(__doc__.strip().splitlines()[0], rounds=9, seconds=2, calls=200)
    if asked.calls % (2 * CROSSING) or not 0 < asked.calls <= MOST_CALLS:
        raise SystemExit(f"scale: --calls takes multiples of {2 * CROSSING} up to {MOST_CALLS}")
    cpus = processors()
    sizes = [size for size in SIZES if size <= len(cpus)]
    found: dict[str, list[Trial]] = {}
    loops: dict[int, list[float]] = {size: [] for size in sizes}
    with ExitStack() as ending:
        groups = {
            size: ending.enter_context(runningGroup(cpus[:size], asked.calls)) for size in sizes
        }
        for _ in range(asked.rounds):
            for size, group in groups.items():
                loops[size].append(group.spin(SPIN))
                for crossing in (True, False) if size > 1 else (False,):
                    case = str(size) if crossing or size == 1 else f"{size}/0"
                    found.setdefault(case, []).append(group.most(asked.seconds, crossing))
        transports = groups[sizes[-1]].transports
    show(found, loops, len(cpus), transports, asked.json)


if __name__ == "__main__":
    main()
