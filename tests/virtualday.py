"""
A virtual day: nodes with real masters and links, hotspots that do all that hotspots do, and what
has to hold of it at every moment and when all is silent.

What ought to be heard is reckoned apart from the router, wherever it is certain: a slot that has
been quiet for longer than any hang time, of a hotspot that has been logged in for a while, hears
the next call to a talkgroup that it has. All else is checked the other way round: nobody hears what
he ought not to, twice, out of order, changed, or without an end.
"""

from __future__ import annotations

import gc
import sys
from bisect import insort
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from math import cos, inf, pi
from operator import attrgetter
from random import Random
from typing import Final

from twisted.internet.base import DelayedCall
from twisted.internet.task import Clock

from bmff.dmr.frame import TERMINATOR, Frame
from bmff.dmr.lc import GROUP_CALL, PRIVATE_CALL, FullLinkControl
from bmff.dmr.numbers import PARROT, REFLECTOR, UNLINK, isLocal, isService
from bmff.dmr.ranges import Ranges
from bmff.router.dialling import mayBeDialled
from bmff.sockets.addresses import packAddress
from bmff.testing.everybody import SomeSettings
from bmff.testing.impairment import Impairment
from bmff.testing.memory import MemoryNetwork
from tests.dayhotspot import DayHotspot, Ear, someWish
from tests.daynode import LIMITED, DayNode
from tests.daytalk import Talk, dataFrames, makeBursts, voiceFrames
from tests.protocols.fastforwardcase import FastForwardTestCase, RecordingNetwork, SomeRows
from tests.router.test_trunks import RecordingTrunk

PITCH: Final = 0.06  # seconds between two frames of a call, and of the steps of this world
TALKGROUPS: Final = (91, 92, LIMITED, *range(261, 273), *range(3100, 3125))
DIALLED: Final = (91, 262, 3100, 3101)  # those that are linked under 9
DENIED: Final = Ranges([(3124, 3124)])  # what some hotspots are refused
BRIDGED: Final = Ranges([(260, 3110)])
BRIDGE: Final = 3102  # the bridge's ID
GOOD: Final = Impairment(delay=0.001)
BAD: Final = Impairment(delay=0.01, jitter=0.05, loss=0.03, duplication=0.02)
LINK_SETTLED: Final = 10.0  # seconds after which links agree on everything
ARRIVES: Final = 0.5  # seconds in which the first frame of a call is at another node
SECOND: Final = 16  # steps
EMERGENCY: Final = 0x80  # of the service options
TIDE: Final = 400.0  # seconds from one rush hour to the next
NODE: Final = 2501  # the first one's ID
HOTSPOT: Final = 2340001  # the first one's ID
_WAKE: Final = attrgetter("time")


class QuickClock(Clock):
    """
    A clock that finds the place of a delayed call by bisection and does not sort all of them anew.
    """

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> DelayedCall:
        made = DelayedCall(
            self.rightNow + delay, callable, args, kw, self.calls.remove, self._moved, self.seconds
        )
        insort(self.calls, made, key=_WAKE)
        return made

    def _moved(self, call: DelayedCall) -> None:
        self.calls.remove(call)
        insort(self.calls, call, key=_WAKE)

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        calls = self.calls
        while calls and calls[0].time <= self.rightNow:
            call = calls.pop(0)
            if call.delayed_time:
                call.activate_delay()
                insort(calls, call, key=_WAKE)
            else:
                call.called = 1
                call.func(*call.args, **call.kw)


class VirtualDay(FastForwardTestCase):
    """
    The world of one test.

    @ivar air: who is at which address.
    @ivar hotspots: all, by ID.
    @ivar said: the talks of the last minutes by stream ID, each with its bursts.
    @ivar places: by radio, the hotspots where it was heard.
    @ivar pending: hotspots that have something to say.
    @ivar checked: how often something was certain, and was so.
    @ivar made: calls that were made.
    @ivar stale: whether who hears what has changed since that was noted.
    @ivar happened: how often something went wrong on purpose, by kind.
    """

    def setUp(self) -> None:
        self.clock: QuickClock = QuickClock()
        self.clock.advance(1000.0)
        self.network = RecordingNetwork(self.clock)
        self.streams = MemoryNetwork(self.clock)
        self.wallStep = 0.0
        self.rows = SomeRows(self)
        self.air: dict[bytes, DayHotspot] = {}
        self.hotspots: dict[int, DayHotspot] = {}
        self.said: dict[int, tuple[Talk, dict[int, bytes]]] = {}
        self.places: dict[int, dict[DayHotspot, None]] = {}
        self.pending: dict[DayHotspot, None] = {}
        self.checked: Counter[str] = Counter()
        self.happened: Counter[str] = Counter()
        self.strayed = self.heard = self.made = 0
        self._lastPlaces: dict[int, tuple[DayHotspot, int, int, float]] = {}
        self._saidAt: dict[int, float] = {}
        self._talks: list[Talk] = []
        self._over: deque[tuple[float, Talk]] = deque()
        self._old: deque[tuple[float, Talk]] = deque()
        self._busy: set[tuple[DayHotspot | None, int]] = set()
        self._queue: list[tuple[DayHotspot, int, bytes, bytes]] = []
        self._late: list[tuple[float, int, tuple[DayHotspot, int, bytes, bytes]]] = []
        self._serial = count()
        self._streamIDs = count(0x0100_0000, 8)
        self._addresses = count()
        self._goodAt = 0.0
        self._mend: tuple[float, Callable[[], None]] | None = None
        self._steps = 0
        self._wrong: list[str] = []
        self._hearers: dict[tuple[int, int], list[tuple[DayHotspot, Ear]]] = {}
        self.stale = True

    def begin(self, nodes: int, hotspots: int, seed: int) -> None:
        """
        Make the world, and switch everything on.
        """
        self.seed = seed
        self.random = Random(seed)
        self.network.impair(GOOD)
        self.nodes: list[DayNode] = []
        self.nodes += [
            DayNode(self, number, self.node(nodeID))
            for number, nodeID in enumerate(range(NODE, NODE + nodes))
        ]
        self.trunk = RecordingTrunk(BRIDGE, "other", BRIDGED)
        self.nodes[0].router.reach.addTrunk(self.trunk)
        self.nodes[0].node.turn.ended()
        for number in range(hotspots):
            self._makeHotspot(HOTSPOT + number)
        self.everybody = list(self.hotspots.values())
        self.radios = [radio for one in self.everybody for radio in one.radios]
        self.quiet(15.0)

    def _makeHotspot(self, peerID: int) -> None:
        random = self.random
        settings = SomeSettings(
            static={2: (random.choice(TALKGROUPS),)} if random.random() < 0.5 else {},
            single=random.random() < 0.3,
            dynamicTimeout=random.choice((30.0, 60.0, 120.0)),
            dial=random.random() < 0.4,
            autoStatic=random.random() < 0.2,
            holdOff=20.0 if random.random() < 0.1 else 0.0,
            refused=DENIED if random.random() < 0.2 else Ranges(),
        )
        slots = random.choice((3, 3, 4, 4, 4, 2))
        hotspot = DayHotspot(self, peerID, random.randrange(len(self.nodes)), settings, slots)
        hotspot.clean = random.random() < 0.7
        hotspot.wishes.append(someWish(random, TALKGROUPS, DIALLED if settings.dial else ()))
        self.hotspots[peerID] = hotspot
        for node in self.nodes:
            node.access.peers[peerID] = settings
        hotspot.begin(self._address(), self.clock.rightNow)

    def _address(self) -> bytes:
        """
        An address that nobody has; they come round again.
        """
        while True:
            port = 1024 + next(self._addresses) % (2 * len(self.hotspots) + 8)
            address = packAddress("198.51.100.1", port)
            if address not in self.air:
                return address

    # How time passes.

    def live(self, calls: int) -> None:
        """
        Let time pass until so many calls were made, with everything that can go wrong.
        """
        target = self.made + calls
        while self.made < target:
            self._talkers()
            if self._steps % SECOND == 0:
                self._mishaps()
            self._step()

    def quiet(self, seconds: float, step: float = PITCH) -> None:
        """
        Let time pass in which nobody begins to talk.
        """
        for _ in range(round(seconds / step)):
            self._step(step)

    def _step(self, step: float = PITCH) -> None:
        self.clock.advance(step)
        now = self.clock.rightNow
        self._steps += 1
        while self._late and self._late[0][0] <= now:
            self._queue.append(heappop(self._late)[2])
        for talk in tuple(self._talks):
            self._speak(talk, now)
        if self._steps % SECOND == 0 or step > PITCH:
            self._second(now)
        self._deliver(now)
        while self._over and self._over[0][0] <= now:
            talk = self._over.popleft()[1]
            self._finished(talk)
            self._old.append((now + 120.0, talk))
        while self._old and self._old[0][0] <= now:
            for frame in self._old.popleft()[1].frames:
                self.said.pop(frame.stream, None)
        if self._wrong:
            self.fail("\n".join(self._wrong[:5]))

    def _second(self, now: float) -> None:
        if self._mend is not None and now >= self._mend[0]:
            self._mend[1]()
            self._mend = None
            self._goodAt = now + LINK_SETTLED
        for hotspot in self.everybody:
            if hotspot.backAt and now >= hotspot.backAt:
                hotspot.begin(self._address(), now)
            hotspot.tick(now)
        if self.stale:
            self._index()
        for frame in self.trunk.sent:
            talk = self.said[frame.stream][0]
            self.check(talk.hotspot is not None, "back over its bridge", frame)
            self.check(talk.ours in BRIDGED, "over a bridge that does not want it", frame)
        for each in (self.trunk.sent, self.trunk.refusals, self.network.carried):
            each.clear()
        for node in self.nodes:
            node.node.told.clear()
            node.node.paths.clear()
            node.sweep(now)

    def _index(self) -> None:
        """
        Note who has which talkgroup; who has not changed since then is there for certain.
        """
        self.stale = False
        self._hearers.clear()
        for hotspot in self.everybody:
            for ear in set(hotspot.ears.values()):
                for talkgroup in ear.static:
                    key = (hotspot.node, talkgroup)
                    self._hearers.setdefault(key, []).append((hotspot, ear))

    # What hotspots send.

    def up(self, hotspot: DayHotspot, data: bytes) -> None:
        """
        A hotspot sends a datagram, which may be lost, doubled or late.
        """
        parcel = (hotspot, hotspot.node, hotspot.address, data)
        if not hotspot.clean:
            chance = self.random.random()
            if chance < 0.03:
                if chance < 0.01:
                    self.happened["lost"] += 1
                    return
                delay = self.random.uniform(0.0, 0.3)
                heappush(self._late, (self.clock.rightNow + delay, next(self._serial), parcel))
                if chance < 0.02:
                    self.happened["late"] += 1
                    return
                self.happened["doubled"] += 1
        self._queue.append(parcel)

    def _deliver(self, now: float) -> None:
        while self._queue or self.pending:
            queue, self._queue = self._queue, []
            for hotspot, number, address, data in queue:
                self._arrive(hotspot, self.nodes[number], address, data, now)
            for node in self.nodes:
                node.port.flush()
            pending, self.pending = self.pending, {}
            for hotspot in pending:
                hotspot.flush()

    def _arrive(
        self, hotspot: DayHotspot, node: DayNode, address: bytes, data: bytes, now: float
    ) -> None:
        """
        A datagram has come to a master.
        """
        before = node.came
        node.port.datagramReceived(data, address, now)
        if data[:4] == b"DMRD":
            if node.came == before:
                self.check(not hotspot.settled(now), "a frame that went nowhere", hotspot)
                self.happened["before the login"] += 1
        elif data[:4] == b"RPTO" and node.holds(hotspot):
            session = node.homebrew.master.session(hotspot.peerID)
            if session is not None and session.running and session.address == address:
                text = data[8:].decode()
                hotspot.apply(next(each for each in hotspot.wishes if each.text == text), now)

    # What is said.

    def _talkers(self) -> None:
        """
        Some begin to talk, more in a rush hour.
        """
        rate = 1.5 + 32.0 * (0.5 - 0.5 * cos(2 * pi * self.clock.rightNow / TIDE)) ** 3
        while self.random.random() < rate * PITCH / (1 + rate * PITCH):
            self._talk()

    def _talk(self) -> None:
        random = self.random
        kind = random.random()
        stream = next(self._streamIDs)
        if kind < 0.04:
            source, talkgroup = random.randint(3120001, 3120040), random.choice(TALKGROUPS)
            frames = voiceFrames(stream, source, talkgroup, 1, False, random.randint(0, 5))
            self._begin(Talk(None, source, talkgroup, frames), 0)
            return
        hotspot = random.choice(self.everybody)
        slot = 2 if hotspot.slots != 3 else random.randint(1, 2)
        if hotspot.backAt or ((hotspot, slot) in self._busy and random.random() < 0.95):
            return
        for other in self._talks:
            if other.hotspot is hotspot:  # both at once: one of them will not be whole
                other.certain = False
        away = random.random() < 0.03
        source = random.choice(self.radios if away else hotspot.radios)
        destination, private, data = self._whom(hotspot, slot)
        if data:
            frames = dataFrames(random, stream, source, destination, slot, private)
        else:
            length = 30 if destination == LIMITED else random.choice((0, 0, 1, 1, 2, 4))
            if random.random() < 0.001:
                length = 150
            lc = None
            if random.random() < 0.05:
                flco = PRIVATE_CALL if private else GROUP_CALL
                lc = FullLinkControl(flco, 0, EMERGENCY, destination, source)
            frames = voiceFrames(stream, source, destination, slot, private, length, lc)
        whole = len(frames)
        if random.random() < 0.12:
            at = random.choice((0, len(frames) - 1, random.randrange(len(frames))))
            del frames[at : at + random.randint(1, 2)]
            self.happened["incomplete"] += 1
        if frames:
            talk = Talk(hotspot, source, destination, frames)
            talk.certain = len(frames) == whole and not data
            self._begin(talk, slot)

    def _whom(self, hotspot: DayHotspot, slot: int) -> tuple[int, bool, bool]:
        """
        Whom a call is for: number, whether it is private, whether it is data.
        """
        random = self.random
        kind = random.random()
        if kind < 0.03:
            return PARROT, random.random() < 0.5, False
        if kind < 0.05:
            return UNLINK, random.random() < 0.5, False
        if kind < 0.08 and hotspot.settings.dial:
            return random.choice(DIALLED), True, False
        if kind < 0.12 and slot == 2:
            return REFLECTOR, False, False
        if kind < 0.30:
            heard = list(self._lastPlaces)
            number = random.choice(heard if heard and random.random() < 0.8 else self.radios)
            return number, True, random.random() < 0.4
        static = hotspot.ears[slot].static
        some = tuple(sorted(static)) if static and random.random() < 0.6 else TALKGROUPS
        return random.choice(some), False, random.random() < 0.1

    def _begin(self, talk: Talk, slot: int) -> None:
        self.made += 1
        self._talks.append(talk)
        self._busy.add((talk.hotspot, slot))
        for frame in talk.frames:
            bursts = self.said.setdefault(frame.stream, (talk, {}))[1]
            bursts[frame.sequence] = frame.burst

    def _speak(self, talk: Talk, now: float) -> None:
        """
        The next frame of a talk.
        """
        hotspot = talk.hotspot
        frame = talk.next()
        if hotspot is None:
            self.nodes[0].router.route(self.trunk, frame, now)
        elif not hotspot.backAt:
            hotspot.client.sendFrame(frame)
            hotspot.flush()
        if talk.over:
            self._talks.remove(talk)
            self._busy.discard((hotspot, frame.slot if hotspot is not None else 0))
            self._over.append((now + 1.0, talk))

    # What goes wrong.

    def _mishaps(self) -> None:
        random, now = self.random, self.clock.rightNow
        for hotspot in self.everybody:
            if hotspot.backAt or random.random() > 0.004:
                continue
            kind = random.randrange(6)
            wish = someWish(random, TALKGROUPS, DIALLED if hotspot.settings.dial else ())
            if kind == 0:
                hotspot.move(self._address(), now)
            elif kind == 1:  # the power is gone for a moment
                hotspot.wishes.append(wish)
                hotspot.vanish(now, now + random.uniform(1.0, 20.0))
            elif kind == 2:
                hotspot.vanish(now, now + random.uniform(20.0, 150.0))
            elif kind == 3:
                hotspot.leave(now, now + random.uniform(1.0, 20.0))
            elif kind == 4 and now - hotspot.roamedAt > 200.0 and now > self._goodAt:
                hotspot.vanish(now, now + random.uniform(2.0, 10.0))
                hotspot.lost(now)
                hotspot.node = (hotspot.node + random.randint(1, len(self.nodes) - 1)) % len(
                    self.nodes
                )
                hotspot.roamedAt = now
            else:
                hotspot.ask(wish, now)
            self.happened[f"mishap {kind}"] += 1
        if self._mend is None and random.random() < 0.006:
            one, other = random.sample(self.nodes, 2)
            self._goodAt = inf
            if random.random() < 0.5:
                self.network.impair(BAD)
                self._mend = (now + random.uniform(3.0, 10.0), lambda: self.network.impair(GOOD))
                self.happened["bad network"] += 1
            else:
                self.network.cut(one.node.host, other.node.host)
                self._mend = (now + random.uniform(1.0, 8.0), self.network.heal)
                self.happened["cut"] += 1

    # What ought to be heard.

    def linkedSince(self, then: float) -> bool:
        """
        Whether all nodes have been linked for certain since a time.
        """
        return self._goodAt < then and all(
            len(node.node.fastForward.links) == len(self.nodes) - 1
            and node.changedAt < then - LINK_SETTLED
            for node in self.nodes
        )

    def listeners(
        self, node: DayNode, frame: Frame, own: DayHotspot | None, now: float
    ) -> Iterator[tuple[DayHotspot, int]]:
        """
        Who of a node hears a call that begins, for certain.
        """
        if frame.private:
            place = self._lastPlaces.get(frame.destination)
            if place is not None:
                hotspot, number, slot, at = place
                ear = hotspot.ears[slot]
                if (
                    (number == node.number and node.holds(hotspot) and at < now - 1.0)
                    and hotspot is not own
                    and frame.source != frame.destination
                    and not (own is not None and self._isDialled(own, frame))
                    and hotspot.settled(now)
                    and hotspot.free(ear, now)
                ):
                    yield hotspot, slot
            return
        talkgroup = frame.destination
        if isService(talkgroup) or (own is not None and talkgroup in own.settings.refused):
            return
        for hotspot, ear in self._hearers.get((node.number, talkgroup), ()):
            if (
                hotspot is not own
                and hotspot.settled(now)
                and hotspot.free(ear, now)
                and hotspot.serves(ear)
                and talkgroup not in hotspot.settings.refused
            ):
                yield hotspot, ear.number

    def _isDialled(self, own: DayHotspot, frame: Frame) -> bool:
        return own.settings.dial and not frame.isData and mayBeDialled(frame.destination)

    def begun(
        self, node: DayNode, talk: Talk, frame: Frame, own: DayHotspot | None, now: float
    ) -> None:
        """
        A talk has begun at the node that it comes to.
        """
        number = talk.ours
        talk.origin = node.number
        place = self._lastPlaces.get(number) if talk.private else None
        if own is None:
            self._lastPlaces.pop(talk.source, None)
        else:
            self.places.setdefault(talk.source, {})[own] = None
            # Data that goes on where there was data a moment ago tells no new place.
            known = not talk.data or now - self._saidAt.get(talk.source, -inf) > 4.0
            self._lastPlaces[talk.source] = (own, node.number, frame.slot, now if known else inf)
            talk.certain = (
                talk.certain
                and own.clean
                and own.settled(now)
                and now - own.ears[frame.slot].spoke > 3.0
                and number != LIMITED
                and number not in own.settings.refused
            )
            if talk.private and self._isDialled(own, frame):
                own.dial(number, now)
                return
            if not talk.private and not talk.data and not isService(number):
                own.key(frame.slot, number, now)
        self._saidAt[talk.source] = now
        if not self.linkedSince(now):
            return
        for other in self.nodes:
            witness = self._witness(talk, other, place, now) if other is not node else None
            if witness is not None:
                other.awaited[talk] = now + ARRIVES
                talk.crossing.append((other.number, witness))

    def _witness(
        self,
        talk: Talk,
        other: DayNode,
        place: tuple[DayHotspot, int, int, float] | None,
        now: float,
    ) -> DayHotspot | None:
        """
        A hotspot of another node for whose sake a call is to come there, for certain.
        """
        if place is not None:
            hotspot, number, _, at = place
            known = number == other.number and other.holds(hotspot) and at < now - 1.0
            known = known and talk.source != talk.ours
            return hotspot if known and hotspot is not talk.hotspot else None
        if talk.private or isLocal(talk.ours):
            return None
        hearers = self._hearers.get((other.number, talk.ours), ())
        return next((one for one, _ in hearers if one.settled(now)), None)

    def refused(self, talk: Talk, own: DayHotspot, frame: Frame, now: float) -> None:
        """
        A frame of a talk of which none was routed has not been routed.
        """
        if frame.destination == UNLINK and not talk.refused:
            talk.refused = True
            if frame.dataType != TERMINATOR:
                own.unlink(now)

    def _finished(self, talk: Talk) -> None:
        """
        A talk was over a second ago: it was heard to its end.
        """
        own = talk.hotspot
        if talk.data or not talk.routed:
            return
        linked = self.linkedSince(talk.began)
        stream = talk.frames[0].stream
        came = talk.routed[talk.origin]
        if own is not None and talk.certain and own.settledAt < talk.began:
            self.check(came == len(talk.frames), "a call that lost frames", own, talk.frames[0])
            self.checked["whole"] += 1
        if talk.ours == LIMITED:
            return
        for number, hotspot in talk.crossing if linked else ():
            if hotspot.settledAt < talk.began:
                more = talk.routed.get(number, 0) - came
                self.check(more in {0, 1}, "frames that did not cross", number, talk.frames[0])
                self.checked["crossed"] += 1
        for number, hotspot, slot in talk.whole:
            ear = hotspot.ears[slot]
            if (
                ear.stream == stream
                and hotspot.settledAt < talk.began
                and ear.spoke < talk.began
                and (linked or number == talk.origin)
            ):
                # One more where the terminator was lost.
                more = ear.count - talk.routed[number]
                self.check(more in {0, 1}, "a call not heard to its end", hotspot, talk.frames[0])
                self.checked["to the end"] += 1

    def check(self, condition: bool, what: str, *about: object) -> None:
        """
        Something has to hold.
        """
        if not condition:
            self.wrong(what, *about)

    def wrong(self, what: str, *about: object) -> None:
        """
        Something does not hold; the test fails at the end of the step, outside of all callbacks.
        """
        self._wrong.append(f"{what}: {about} at {self.clock.rightNow:.2f}, seed {self.seed}")

    # When all is silent.

    def silence(self) -> Census:
        """
        Everybody comes back, ends, and lets go of what was keyed; then nothing of it is left.
        """
        if self._mend is not None:
            self._mend[1]()
            self._mend = None
            self._goodAt = self.clock.rightNow
        for hotspot in self.everybody:
            hotspot.backAt = min(hotspot.backAt, self.clock.rightNow + 1.0)
        for _ in range(20):
            self.quiet(15.0)
            now = self.clock.rightNow
            forever = [
                one for one in self.everybody if any(ear.forever for ear in one.ears.values())
            ]
            for hotspot in forever:
                frames = voiceFrames(next(self._streamIDs), hotspot.radios[0], UNLINK, 2, False, 2)
                self._begin(Talk(hotspot, hotspot.radios[0], UNLINK, frames), 2)
            if not forever and self.linkedSince(now) and all(map(self._isBack, self.everybody)):
                break
        self.quiet(300.0, 1.0)
        self.assertTrue(all(map(self._isBack, self.everybody)))
        for node in self.nodes:
            for name, (one, other) in node.account().items():
                self.assertEqual(one, other, f"{name} of node {node.number}, seed {self.seed}")
        self.assertEqual((self._talks, self.said, self.trunk.open), ([], {}, 0))
        makeBursts.cache_clear()
        gc.collect()
        kinds = Counter(
            f"{kind.__module__}.{kind.__qualname__}"
            for kind in map(type, gc.get_objects())
            if str(kind.__module__).startswith("bmff.")
        )
        return Census([node.tables() for node in self.nodes], kinds, sys.getallocatedblocks())

    def _isBack(self, hotspot: DayHotspot) -> bool:
        return hotspot.settled(self.clock.rightNow)


@dataclass(frozen=True, slots=True)
class Census:
    """
    What there is when all is silent.

    @ivar tables: the sizes of each node's tables.
    @ivar kinds: how many objects there are of each class of ours.
    @ivar blocks: how many blocks of memory the interpreter has in use.
    """

    tables: list[dict[str, int]]
    kinds: Counter[str]
    blocks: int
