"""
A hotspot or repeater in a virtual day: what it says and hears, and what it ought to hear, which is
reckoned here by simpler rules than the router's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import TYPE_CHECKING, Final

from bmff.dmr.frame import DATA_SYNC, DATA_TYPE, KIND, TERMINATOR
from bmff.dmr.numbers import PARROT, REFLECTOR
from bmff.testing.everybody import SomeSettings
from bmff.wire.homebrew import Station
from bmff.wire.homebrewclient import Client, LoggedIn, State
from tests.daytalk import Talk

if TYPE_CHECKING:  # it holds hotspots itself
    from tests.virtualday import VirtualDay

PASSWORD: Final = b"passw0rd"
HANG: Final = 2.0  # seconds that a slot is kept for a conversation
# Seconds after which a slot is free for certain: its own call may have to fall silent, and then
# another one that waited for it and has fallen silent meanwhile.
QUIET: Final = HANG + 4.6
SETTLED: Final = 1.5  # seconds after a login, a change of options ... that are not looked at
LATE: Final = 15.0  # seconds by which a keyed talkgroup may outlive its time, in calls
_END: Final = DATA_SYNC | TERMINATOR


@dataclass
class Wish:
    """
    What the owner asks for in options.

    @ivar static: talkgroups by slot.
    @ivar timer: minutes; L{None} when not said.
    @ivar reflector: the talkgroup that is linked from the start; 0 for none.
    """

    static: dict[int, tuple[int, ...]] = field(default_factory=dict)
    timer: int | None = None
    single: bool | None = None
    reflector: int = 0

    @property
    def text(self) -> str:
        """
        The same in a dialect of the field.
        """
        parts = [f"TS{slot}={','.join(map(str, numbers))}" for slot, numbers in self.static.items()]
        if self.timer is not None:
            parts.append(f"TIMER={self.timer}")
        if self.single is not None:
            parts.append(f"SINGLE={int(self.single)}")
        if self.reflector:
            parts.append(f"DIAL={self.reflector}")
        return ";".join(parts)


@dataclass
class Span:
    """
    How long a talkgroup that was keyed is heard.

    @ivar certain: until when for certain, seconds.
    @ivar possible: until when at most, but for a call that is on then.
    """

    certain: float
    possible: float


class Ear:
    """
    One slot.

    @ivar static: what it is set to.
    @ivar keyed: what its users have keyed.
    @ivar active: when it last heard or said anything, seconds.
    @ivar spoke: when it last said anything.
    @ivar stream: what it hears, or heard last.
    @ivar sequence: the last frame's.
    @ivar count: how many frames of it.
    @ivar open: whether it has not ended.
    @ivar follows: whether the next frame of it follows the last one: nothing was in between that
        may have kept some away, or have brought it over another node, which numbers them otherwise.
    @ivar ended: streams that have ended here.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.static: frozenset[int] = frozenset()
        self.keyed: dict[int, Span] = {}
        self.active = self.spoke = -inf
        self.stream = -1
        self.sequence = 0
        self.count = 0
        self.open = False
        self.follows = False
        self.ended: deque[int] = deque(maxlen=8)

    @property
    def forever(self) -> bool:
        """
        Whether something that was keyed has no time.
        """
        return any(span.possible == inf for span in self.keyed.values())

    def doubt(self, now: float) -> None:
        """
        What was keyed is perhaps heard no longer.
        """
        for span in self.keyed.values():
            span.certain = min(span.certain, now)


class DayHotspot:
    """
    One of them.

    @ivar day: where it lives.
    @ivar node: where it is logged in, or wants to be, by number.
    @ivar address: where it is.
    @ivar clean: whether its network is a good one.
    @ivar settings: what the operator has set for it.
    @ivar radios: those of its users.
    @ivar ears: its slots by number; a simplex one has a single slot.
    @ivar wishes: the options that it has asked for lately; the last are those that it wants.
    @ivar wish: the options that the master has; L{None} when it has none.
    @ivar here: whether its master has it.
    @ivar reached: whether the master knows where it is now.
    @ivar dialled: the talkgroup that a user has linked to 9; 0 for none.
    @ivar settledAt: when anything last changed about it, seconds.
    @ivar roamedAt: when it went to another node last, seconds.
    @ivar backAt: when it returns after it has vanished, seconds; 0 while it is there.
    """

    def __init__(
        self, day: VirtualDay, peerID: int, node: int, settings: SomeSettings, slots: int
    ) -> None:
        self.day = day
        self.peerID = peerID
        self.wireID = peerID.to_bytes(4, "big")
        self.node = node
        self.settings = settings
        self.slots = slots
        self.clean = True
        self.address = b""
        first = 1_000_000 + peerID % 100_000 * 10
        self.radios = (first + 1, first + 2)
        second = Ear(2)
        self.ears = {1: second if slots == 4 else Ear(1), 2: second}
        self.wishes: deque[Wish] = deque([Wish()], maxlen=4)
        self.wish: Wish | None = None
        self.roamedAt = -inf
        self.here = self.reached = False
        self.dialled = 0
        self.settledAt = -inf
        self.backAt = 0.0
        self.client = Client(Station(peerID), PASSWORD, "", self._nothing)

    # What it does.

    def begin(self, address: bytes, now: float) -> None:
        """
        Be switched on.
        """
        self.address = address
        self.backAt = 0.0
        self.reached = False
        self.day.air[address] = self
        station = Station(self.peerID, f"N{self.peerID % 10000}", slots=self.slots)
        self.client = Client(station, PASSWORD, self.wishes[-1].text, self._nothing)
        self.client.start(now)
        self.disturb(now)
        self.flush()

    def vanish(self, now: float, back: float) -> None:
        """
        Be gone without a word until a time.
        """
        self.day.air.pop(self.address, None)
        self.client.close()
        self.client.outgoing()
        self.backAt = back
        self.disturb(now)

    def leave(self, now: float, back: float) -> None:
        """
        Say good-bye, as a program that is restarted does.
        """
        self.client.close()
        self.flush()
        self.day.air.pop(self.address, None)
        self.backAt = back
        self.disturb(now)

    def move(self, address: bytes, now: float) -> None:
        """
        Have another address from now on, without knowing.
        """
        del self.day.air[self.address]
        self.reached = False
        self.address = address
        self.day.air[address] = self
        self.disturb(now)

    def ask(self, wish: Wish, now: float) -> None:
        """
        Want other options.
        """
        self.wishes.append(wish)
        self.client.sendOptions(wish.text)
        self.disturb(now)
        self.flush()

    def tick(self, now: float) -> None:
        """
        Ping, or try again; to be called every second.
        """
        if not self.backAt:
            self.client.timeout(now)
            self.flush()

    def flush(self) -> None:
        """
        Send what the login has to say.
        """
        for data in self.client.outgoing():
            self.day.up(self, data)

    def disturb(self, now: float) -> None:
        """
        What it hears is uncertain for a while.
        """
        self.settledAt = now
        self.day.stale = True
        for ear in self.ears.values():
            ear.follows = False

    @property
    def running(self) -> bool:
        """
        Whether it believes to be logged in.
        """
        return self.client.state is State.RUNNING

    def settled(self, now: float) -> bool:
        """
        Whether it is logged in for certain, and has been for a while.
        """
        return self.reached and self.running and now - self.settledAt > SETTLED

    # What its master knows of it.

    def arrived(self, now: float) -> None:
        """
        The master has let it in, or lets it go on.
        """
        if not self.here:
            self.here = True
            self.apply(self.wish, now)
        self.reached = True
        for ear in self.ears.values():  # frames may have gone to where it was before
            ear.active, ear.open = now, False
        self.disturb(now)

    def lost(self, now: float) -> None:
        """
        The master has forgotten it.
        """
        self.here = self.reached = False
        self.wish = None
        self.dialled = 0
        for ear in self.ears.values():
            ear.static = frozenset()
            ear.keyed.clear()
            ear.open = False
        self.disturb(now)

    def apply(self, wish: Wish | None, now: float) -> None:
        """
        The master has taken options.
        """
        self.wish = wish
        self.disturb(now)
        static = {number: set(self.settings.static.get(number, ())) for number in (1, 2)}
        if wish is not None:
            for number, talkgroups in wish.static.items():
                static[number].update(talkgroups)
            if wish.reflector:
                static[2].add(wish.reflector)
        if self.slots == 4:
            static[2] |= static[1]
        for ear in self.ears.values():
            ear.static = frozenset(static[ear.number])

    @property
    def single(self) -> bool:
        """
        Whether keying a talkgroup leaves the others.
        """
        if self.wish is not None and self.wish.single is not None:
            return self.wish.single
        return self.settings.single or self.autoStatic

    @property
    def timeout(self) -> float:
        """
        Seconds until a keyed talkgroup is left; 0 for never.
        """
        if self.wish is not None and self.wish.timer is not None:
            return self.wish.timer * 60.0
        return 0.0 if self.autoStatic else self.settings.dynamicTimeout

    @property
    def autoStatic(self) -> bool:
        """
        Whether it keeps what was keyed last.
        """
        return self.slots == 4 and self.settings.autoStatic

    @property
    def linked(self) -> int:
        """
        What is heard under 9 on slot 2.
        """
        return self.dialled or (self.wish.reflector if self.wish is not None else 0)

    def key(self, slot: int, talkgroup: int, now: float) -> None:
        """
        A user talks on a talkgroup.
        """
        ear = self.ears[slot]
        if talkgroup in ear.static:
            return
        known = ear.keyed.pop(talkgroup, None)
        if self.single and known is None:
            ear.keyed.clear()
        elif self.single and known is not None and known.certain <= now:
            ear.doubt(now)  # they are left only if this one was no longer there
        until = now + self.timeout if self.timeout else inf
        ear.keyed[talkgroup] = Span(until, until)

    def dial(self, talkgroup: int, now: float) -> None:
        """
        A user links a talkgroup; the one that was linked before is left, if it still was.
        """
        before = self.ears[2].keyed.get(self.dialled)
        if before is not None and self.dialled != talkgroup:
            before.certain = min(before.certain, now)
        self.key(2, talkgroup, now)
        self.dialled = talkgroup
        self.ears[2].active = now  # from when others are held off there, whichever slot this was on

    def unlink(self, now: float) -> None:
        """
        A user leaves all that was keyed.
        """
        self.dialled = 0
        for ear in self.ears.values():
            ear.keyed.clear()
        self.disturb(now)

    def serves(self, ear: Ear) -> bool:
        """
        Whether it transmits what it is sent on a slot.
        """
        return self.slots != 2 or ear.number == 2

    def free(self, ear: Ear, now: float) -> bool:
        """
        Whether a slot is free for any call, for certain. It may have joined one of which no frame
        came any more.
        """
        active = max(ear.active, self.settledAt)
        return now - active > max(QUIET, self.settings.holdOff + 2.0)

    # What it hears.

    def receive(self, data: bytes, now: float) -> None:
        """
        A datagram has come.
        """
        if data[:4] == b"DMRD":
            if self.running:  # a program that logs in anew transmits nothing
                self._hear(data, now)
            return
        was = self.running
        events = self.client.receive(data, now)
        if was != self.running or any(isinstance(event, LoggedIn) for event in events):
            self.disturb(now)
        self.day.pending[self] = None

    def _hear(self, data: bytes, now: float) -> None:
        day = self.day
        if data[11:15] != self.wireID:  # for who had this address before; programs drop it
            day.strayed += 1
            return
        day.heard += 1
        check = day.check
        check(len(data) == 55, "the length of a frame", self)
        flags, sequence = data[15], data[4]
        number = 2 if flags & 0x80 else 1
        check(number == 2 or self.slots != 4, "slot 1 of a simplex hotspot", self)
        stream = int.from_bytes(data[16:20], "big")
        echo = stream >> 31 == 1
        said = day.said.get(stream ^ 0xFFFFFFFF if echo else stream)
        if said is None:
            day.wrong("a stream that nobody made", self, stream)
            return
        talk, bursts = said
        ear = self.ears[number]
        if stream != ear.stream:
            self._begins(ear, talk, stream, echo, now)
        elif ear.follows:
            step = (sequence - ear.sequence) & 0xFF
            check(0 < step < 128, "a frame twice, or out of order", self, stream)
        ear.follows = True
        ear.sequence = sequence
        ear.active = now
        ear.count += 1
        destination = int.from_bytes(data[8:11], "big")
        if flags & (KIND | DATA_TYPE) == _END:
            ear.open = False
            ear.ended.append(stream)
        elif destination == talk.destination == talk.ours and not echo:
            # Links number the frames of a call anew: after a loss they are others.
            burst = data[20:53]
            there = burst == bursts.get(sequence) or burst in bursts.values()
            check(there, "a changed burst", self, stream)
        if not echo and not talk.private and destination != talk.ours:
            check(destination == REFLECTOR and number == 2, "another talkgroup", self, stream)

    def _begins(self, ear: Ear, talk: Talk, stream: int, echo: bool, now: float) -> None:
        """
        A slot hears another stream than before.
        """
        day = self.day
        before = day.said.get(ear.stream)
        if ear.open and before is not None and not before[0].data:
            day.check(now - self.settledAt < SETTLED, "a call without an end", self, ear.stream)
        day.check(stream not in ear.ended, "a call after its end", self, stream)
        ear.stream, ear.count, ear.open = stream, 0, True
        if echo:
            day.check(talk.hotspot is self, "somebody else's echo", self, stream)
            day.check(talk.ours == PARROT, "an echo of what was not said to it", self, stream)
            return
        day.check(talk.hotspot is not self, "one's own call", self, stream)
        if talk.private:
            places = day.places.get(talk.ours, {})
            day.check(self in places or talk.ours == self.peerID, "a private call", self, stream)
            return
        day.check(talk.ours not in self.settings.refused, "a refused talkgroup", self, stream)
        span = ear.keyed.get(talk.ours)
        known = talk.ours in ear.static or (span is not None and span.possible > now - LATE)
        day.check(
            known or now - self.settledAt < SETTLED,
            "a talkgroup that is not heard here",
            self,
            stream,
        )

    def __repr__(self) -> str:
        return f"<{self.peerID} slots {self.slots} node {self.node} settled {self.settledAt:.2f}>"

    def spoke(self, slot: int, now: float) -> None:
        """
        A frame of its own has been routed: what it heard is interrupted.
        """
        ear = self.ears[slot]
        ear.active = ear.spoke = now
        ear.open = ear.follows = False
        ear.ended.clear()

    def _nothing(self, frame: object, now: float) -> None:
        """
        Frames are heard before the login looks at them.
        """


def someWish(random: Random, talkgroups: tuple[int, ...], linked: tuple[int, ...]) -> Wish:
    """
    Options as an owner may have them.

    @param linked: what may be linked from the start; nothing where there is no dialling.
    """
    static = {
        slot: tuple(sorted(random.sample(talkgroups, random.randint(1, 3))))
        for slot in (1, 2)
        if random.random() < 0.8
    }
    return Wish(
        static,
        timer=random.choice((None, 1, 2)),
        single=random.choice((None, False, True)),
        reflector=random.choice(linked) if linked and random.random() < 0.5 else 0,
    )
