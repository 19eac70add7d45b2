"""
What a flood of forged and replayed first messages does to the calls of a node that it comes to.

Two nodes hold a link over UDP with calls both ways. In every second round a third process sends
first messages at one of them: forged ones, as of somebody without the key, and replayed ones. How
late a frame is, is told against the moment at which it was due at its talker. In the middle of each
round the link makes its next session, as it does every two minutes. Both nodes are on one processor
and the attacker is on the other: what the attack costs the node is taken from the calls, and what
it costs to send (the kernel's way through loopback, too) is not.

Half of a processor is more than a node gets beside other busy programs. So the ratios are made from
those rounds alone, with and without, in which others left the nodes' processor to them; where there
are none, from all, and it says so.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final

from benchmarks._attack import Sent, attack
from benchmarks._late import SHARES, Heard, busy, leftAlone, middle, milliseconds
from benchmarks._links import CPU, HOST, KEY, End, Orders, pinned
from benchmarks._node import freePorts
from benchmarks._report import Report, arguments
from bmff.dmr.frame import DATA_SYNC, FRAME_PERIOD, SLOT_2, TERMINATOR, VOICE_SYNC, Frame
from bmff.router.call import Peer
from bmff.wire.fastforward.prologue import Prologue

NEAR, VICTIM, STRANGER = 1001, 1002, 1003  # the last is the attacker's own
KEY_ID: Final = "benchmark"
LEAD: Final = 1.0  # seconds from an order to its first frame
AROUND: Final = 0.5  # seconds that the attack begins before the calls and goes on after them
LATEST: Final = 5.0  # seconds after a round until what was not heard is lost
PITCH: Final = 0.1  # seconds between two looks
LONGEST: Final = 0.010  # seconds that p99.9 may grow by: the bar


class Ear:
    """
    An outlet and its only sink: notes how late each frame is.
    """

    def __init__(self, lateness: array[float]) -> None:
        self._lateness = lateness

    def openSink(self, slot: int) -> Ear:
        return self

    def add(self, peer: Peer) -> None: ...

    def remove(self, peer: Peer) -> None: ...

    def close(self) -> None: ...

    def sendFrame(self, frame: Frame) -> None:
        self._lateness.append((time.monotonic_ns() - int.from_bytes(frame.burst[:8])) / 1e9)


class Talkers:
    """
    The peers of one end: each talks on slot 2 and hears one of the other end's on slot 1.

    @ivar lateness: of the frames heard in this round, seconds.
    @ivar sent: frames sent in this round.
    """

    def __init__(self, reactor: Any, end: End, talk: int, hear: int, count: int) -> None:
        """
        @param talk: the first talkgroup that is talked on.
        @param hear: the first that is heard.
        """
        self.lateness = array("d")
        self.sent = 0
        self._reactor = reactor
        self._end = end
        self._talk = talk
        self._stream = talk << 8
        self._peers = [Peer(talk + each, Ear(self.lateness)) for each in range(count)]
        now = time.monotonic()
        for each, peer in enumerate(self._peers):
            end.router.addPeer(peer, now)
            end.router.setStatic(peer, {1: [hear + each]}, now)
        end.turn.ended()

    def begin(self, start: float, frames: int) -> None:
        """
        Talk.

        @param start: monotonic seconds of the first frame.
        @param frames: how many a call.
        """
        del self.lateness[:]
        self.sent = 0
        self._stream += len(self._peers)
        apart = FRAME_PERIOD / len(self._peers)
        dues = (
            (start + number * FRAME_PERIOD + each * apart, each, number, number == frames - 1)
            for number in range(frames)
            for each in range(len(self._peers))
        )
        self._sendDue(dues, next(dues))

    def _sendDue(self, dues: Iterator[Any], following: Any) -> None:
        """
        Send what is due and come back for what follows.
        """
        now = time.monotonic()
        while following is not None and following[0] <= now:
            self._send(*following)
            following = next(dues, None)
        self._end.turn.ended()
        if following is not None:
            wait = max(0.0, following[0] - time.monotonic())
            self._reactor.callLater(wait, self._sendDue, dues, following)

    def _send(self, due: float, each: int, number: int, last: bool) -> None:
        frame = Frame.make(
            sequence=number & 0xFF,
            source=self._talk + each,
            destination=self._talk + each,
            flags=SLOT_2 | (DATA_SYNC | TERMINATOR if last else VOICE_SYNC),
            stream=self._stream + each,
            burst=int(due * 1e9).to_bytes(8) + bytes(25),
        )
        self.sent += 1
        self._end.router.route(self._peers[each], frame, time.monotonic())


def counters(end: End) -> Counter[str]:
    """
    What one end has counted until now.
    """
    fastForward, (host,) = end.fastForward, end.transport.hosts
    found: Counter[str] = Counter()
    found["received"] = host.port.received
    found["kernel drops"] = host.port.kernelDrops
    found["accepted"] = fastForward.handshakes._responder.accepted
    found["cookies demanded"] = fastForward.handshakes._responder.cookiesDemanded
    found["links"] = len(fastForward.links)
    found["connections"] = len(fastForward.connections)
    found["failed"] = host.port.failed + host.failed
    paths = [link.path for link in fastForward.links.values() if link.path is not None]
    found["frames dropped"] = sum(path.framesDropped for path in paths)
    found["router dropped"] = sum(end.router.dropped.values())
    for reason, count in (fastForward.handshakes.refused + fastForward.dropped).items():
        found[f"refused: {reason}"] = count
    return found


class Renewal:
    """
    Has a link make its next session, and notes how long that takes.

    @ivar made: how many were made.
    @ivar took: seconds that the last one took; -1 while it is not there.
    """

    def __init__(self, fastForward: Any) -> None:
        self.made = 0
        self.took = -1.0
        self._fastForward = fastForward
        self._plain = fastForward.establish
        fastForward.establish = self._establish

    def begin(self) -> None:
        """
        Begin it on the first connection.
        """
        self.took = -1.0
        self._begun = time.monotonic()
        self._fastForward.connections[0].rekey(KEY_ID, KEY, self._begun)

    def _establish(self, *more: Any) -> None:
        self._plain(*more)
        self.made += 1
        self.took = time.monotonic() - self._begun

    _begun = 0.0


def _end(control: Pipe, mine: int, ports: dict[int, int], calls: int) -> None:
    """
    One node's process.
    """
    reactor = pinned(control)
    recorded: list[bytes] = []

    def up() -> None:
        control.send(recorded[0] if recorded else b"")

    end = End(reactor, mine, NEAR + VICTIM - mine, "udp", ports, up)
    talk, hear = (2000, 3000) if mine == NEAR else (3000, 2000)
    talkers = Talkers(reactor, end, talk, hear, calls)
    fastForward: Any = end.fastForward
    renewal = Renewal(fastForward)
    plain = fastForward.strayReceived

    def record(data: bytes, *more: Any) -> None:
        recorded.append(data)
        fastForward.strayReceived = plain
        plain(data, *more)

    fastForward.strayReceived = record

    def obey(order: Any) -> None:
        if order[0] == "begin":
            _, start, frames = order
            talkers.begin(start, frames)
            if mine == NEAR:
                middle = start + frames * FRAME_PERIOD / 2 - time.monotonic()
                reactor.callLater(middle, renewal.begin)
        else:
            counted = counters(end)
            counted["sessions"] = renewal.made
            lateness, sent = talkers.lateness.tobytes(), talkers.sent
            control.send(Look(lateness, sent, counted, time.process_time(), renewal.took))

    reactor.addReader(Orders(reactor, control, obey))
    control.send("ready")
    reactor.run()


@dataclass(frozen=True, slots=True)
class Look:
    """
    What one node's process says when it is looked at.

    @ivar lateness: of the frames heard in this round, doubles, seconds.
    @ivar sent: frames sent in this round.
    @ivar counted: since the start.
    @ivar processor: seconds of its processor used since the start.
    @ivar renewed: seconds that the link's next session took; -1 when it is not there.
    """

    lateness: bytes
    sent: int
    counted: Counter[str]
    processor: float
    renewed: float


@dataclass(frozen=True, slots=True)
class Round(Heard):
    """
    What was seen in one round, of the frames that were sent and heard at either end.

    @ivar counted: what the attacked node counted in it.
    @ivar nearDrops: datagrams that the kernel dropped at the other one.
    @ivar accepted: first messages that it accepted, less those by which the other made a session.
    @ivar renewed: seconds that the link's next session took; -1 when it did not come.
    @ivar processor: the share of a processor that the attacked node used.
    @ivar others: the share of the nodes' processor that neither of them used: of what else runs on
        the machine, so that a bad round can be told from a bad node.
    @ivar forged: messages that the attacker sent a second.
    @ivar replayed: the same.
    @ivar pause: the longest time that the attacker was held up, seconds.
    """

    counted: Counter[str]
    nearDrops: int
    accepted: int
    renewed: float
    processor: float
    others: float
    forged: float = 0.0
    replayed: float = 0.0
    pause: float = 0.0


class Bench:
    """
    The three processes.

    @ivar spoofs: whether the attacker can write the near node's address on what it sends.
    """

    def __init__(self, near: Pipe, victim: Pipe, attacker: Pipe, calls: int) -> None:
        self._ends = (near, victim)
        self._attacker = attacker
        self._calls = calls
        self.spoofs = bool(attacker.recv())

    def round(self, seconds: float, rates: tuple[int, int] | None) -> Round:
        """
        Let all calls go on for some time.

        @param rates: forged and replayed messages a second; L{None} for no attack.
        """
        worked = busy(CPU)
        begun = time.monotonic()
        before = [self._look(end) for end in self._ends]
        frames = max(2, round(seconds / FRAME_PERIOD))
        start = time.monotonic() + LEAD
        for number, end in enumerate(self._ends):
            # Half a gap apart, so that the two ends do not always want the processor at once.
            end.send(("begin", start + number * FRAME_PERIOD / self._calls / 2, frames))
        stop = start + frames * FRAME_PERIOD + AROUND
        sent, length = Sent((0, 0), 0.0), stop - start + AROUND
        if rates is not None:
            self._attacker.send((start - AROUND, stop, *rates))
            sent = self._attacker.recv()
        time.sleep(max(0.0, stop - time.monotonic()) + AROUND)
        near, victim = self._settled()
        took = time.monotonic() - begun
        worked = busy(CPU) - worked
        lateness = array("d")
        for look in (near, victim):
            lateness.frombytes(look.lateness)
        counted, nearCounted = victim.counted.copy(), near.counted.copy()
        nearCounted.subtract(before[0].counted)
        counted.subtract(before[1].counted)
        own = victim.processor - before[1].processor
        return Round(
            sorted(lateness),
            near.sent + victim.sent,
            counted,
            nearCounted["kernel drops"],
            counted["accepted"] - nearCounted["sessions"],
            near.renewed,
            own / took,
            (worked - own - near.processor + before[0].processor) / took,
            sent.counts[0] / length,
            sent.counts[1] / length,
            sent.pause,
        )

    def _settled(self) -> tuple[Look, Look]:
        """
        Look at both when all is there, or when what is not must be lost: late is not lost.
        """
        end = time.monotonic() + LATEST
        while True:
            near, victim = (self._look(each) for each in self._ends)
            heard = len(near.lateness) + len(victim.lateness)
            whole = heard == (near.sent + victim.sent) * array("d").itemsize
            if (whole and near.renewed >= 0) or time.monotonic() > end:
                return near, victim
            time.sleep(PITCH)

    def _look(self, end: Pipe) -> Look:
        end.send(("look",))
        if not end.poll(30):
            raise SystemExit("flood: a node does not answer any more")
        found: Look = end.recv()
        return found


@contextmanager
def bench(calls: int) -> Iterator[Bench]:
    """
    Start the processes, and end them.
    """
    context = get_context("spawn")
    base = freePorts(2)
    ports = {NEAR: base, VICTIM: base + 1}
    processes = []

    def start(target: Any, *arguments: Any) -> Pipe:
        ours, theirs = context.Pipe()
        process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        process.start()
        processes.append(process)
        return ours

    def expect(pipe: Pipe) -> Any:
        if not pipe.poll(30):
            raise SystemExit("flood: the link does not come up")
        return pipe.recv()

    try:
        victim = start(_end, VICTIM, ports, calls)
        expect(victim)
        near = start(_end, NEAR, ports, calls)
        expect(near)
        expect(near)
        recorded = expect(victim)
        attacker = start(
            attack,
            (HOST, ports[NEAR]),
            (HOST, ports[VICTIM]),
            recorded,
            (Prologue("", STRANGER, VICTIM, KEY_ID, "udp"), KEY),
            Prologue("", NEAR, VICTIM, KEY_ID, "udp"),
        )
        yield Bench(near, victim, attacker, calls)
    finally:
        for process in processes:
            process.kill()
            process.join()


def main() -> None:
    """
    Measure and print.
    """
    asked = arguments(
        __doc__.strip().splitlines()[0],
        rounds=3,
        seconds=10,
        calls=20,
        forged=20_000,
        replayed=1_000,
    )
    control: list[Round] = []
    attacked: list[Round] = []
    with bench(asked.calls) as running:
        running.round(2.0, None)  # warm
        for _ in range(asked.rounds):
            control.append(running.round(asked.seconds, None))
            attacked.append(running.round(asked.seconds, (asked.forged, asked.replayed)))
        spoofs = running.spoofs
    clean = leftAlone(*([each.others for each in kind] for kind in (control, attacked)))
    counting = clean or list(range(asked.rounds))
    quiet = {name: milliseconds(control, share) for name, share in SHARES.items()}
    loud = {name: milliseconds(attacked, share) for name, share in SHARES.items()}
    total: Counter[str] = Counter()
    for each in attacked:
        total.update(each.counted)
    middles = {
        name: (middle(control, share, counting), middle(attacked, share, counting))
        for name, share in SHARES.items()
    }
    extra = middles["p99.9"][1] - middles["p99.9"][0]
    Report(
        "flood",
        {name: after / before for name, (before, after) in middles.items()},
        {
            f"extra p99.9, ms (bar: {LONGEST * 1000:.0f})": round(extra, 2),
            "rounds that others left alone": f"{len(clean)} of {asked.rounds}",
            **{f"{name} without, ms": figures for name, figures in quiet.items()},
            **{f"{name} attacked, ms": figures for name, figures in loud.items()},
            "latest frame without, ms": milliseconds(control, 1.0),
            "latest frame attacked, ms": milliseconds(attacked, 1.0),
            "frames a round": [each.sent for each in attacked],
            "frames lost without": [each.lost for each in control],
            "frames lost attacked (bar: 0)": [each.lost for each in attacked],
            "datagrams dropped by the kernel": sum(each.nearDrops for each in attacked)
            + total["kernel drops"],
            "frames dropped by the link": total["frames dropped"],
            "attacker's messages accepted (bar: 0)": sum(each.accepted for each in attacked),
            "most connections or links more": max(
                max(each.counted["connections"], each.counted["links"]) for each in attacked
            ),
            "next session without, ms": [round(1000 * each.renewed, 1) for each in control],
            "next session attacked, ms": [round(1000 * each.renewed, 1) for each in attacked],
            "forged a second": [round(each.forged) for each in attacked],
            "replayed a second": [round(each.replayed) for each in attacked],
            "attacker held up, ms": [round(1000 * each.pause, 1) for each in attacked],
            "with the near node's address": spoofs,
            "refused, all rounds": {
                name.removeprefix("refused: "): count
                for name, count in sorted(total.items())
                if name.startswith("refused: ") and count
            },
            "cookies demanded": total["cookies demanded"],
            "processor of the node without, %": [
                round(100 * each.processor, 1) for each in control
            ],
            "processor of the node attacked, %": [
                round(100 * each.processor, 1) for each in attacked
            ],
            "processor of others without, %": [round(100 * each.others, 1) for each in control],
            "processor of others attacked, %": [round(100 * each.others, 1) for each in attacked],
        },
        "the same calls without an attack, in turn",
    ).show(asked.json)


if __name__ == "__main__":
    main()
