"""
Whatever happens to a mesh of nodes: calls stay whole as far as they come, and links come back.

C{BMFF_SOAK} in the environment makes it many more and longer lives of a mesh.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from bmff.testing.impairment import Impairment
from bmff.testing.mutation import SOAK
from tests.protocols.modelmesh import GOOD, LISTENERS, TALKERS, TALKGROUPS, Mesh, host, radio

LIVES = 300 if SOAK else 12
STEPS = 60 if SOAK else 20
LONG_TIMES = 3 if SOAK else 1  # that may pass in one life

IMPAIRMENTS = (
    GOOD,
    Impairment(loss=0.05, delay=0.01),
    Impairment(loss=0.3, delay=0.02),
    Impairment(loss=0.1, burst=3, exact=True, delay=0.01),
    Impairment(loss=0.2, burst=5, delay=0.01),
    Impairment(jitter=0.04, delay=0.005),
    Impairment(jitter=0.15, delay=0.2),
    Impairment(reordering=0.2, delay=0.01),
    Impairment(duplication=0.3, delay=0.01),
    Impairment(loss=0.05, jitter=0.02, reordering=0.1, duplication=0.1, delay=0.01),
    Impairment(delay=0.3),
)
SEATS = st.integers(0, 4)  # one of the nodes, counted round
BRIEFLY = st.sampled_from((0.02, 0.1, 0.3, 0.7))  # seconds
OVERRIDES = st.sampled_from(
    (("", False), ("udp", False), ("udp", True), ("memory", False), ("memory", True))
)

SETTINGS = settings(
    max_examples=LIVES,
    stateful_step_count=STEPS,
    derandomize=not SOAK,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink) if not SOAK else (Phase.generate,),
    suppress_health_check=tuple(HealthCheck),
)


class Life(RuleBasedStateMachine):
    """
    The life of a mesh, in which anything may happen at any time.
    """

    mesh: Mesh

    @initialize(count=st.integers(2, 5), seed=st.integers(0, 2**16), linked=st.booleans())
    def begin(self, count: int, seed: int, linked: bool) -> None:
        note(f"the network's seed is {seed}")
        self.mesh = Mesh(count, seed)
        self.mesh.begin()
        self.long = 0
        if linked:
            self.mesh.advance(3.0)

    def seat(self, number: int) -> int:
        """
        One of the nodes.
        """
        return sorted(self.mesh.standing)[number % len(self.mesh.standing)]

    def two(self, number: int, other: int) -> tuple[int, int]:
        """
        Two of the nodes, each order as likely as the other.
        """
        nodes = sorted(self.mesh.standing)
        here = nodes.pop(number % len(nodes))
        return here, nodes[other % len(nodes)]

    @rule(
        number=SEATS,
        talker=st.sampled_from(TALKERS),
        talkgroup=st.sampled_from(TALKGROUPS),
        superframes=st.integers(1, 12),
        seconds=BRIEFLY,
    )
    def talk(
        self, number: int, talker: int, talkgroup: int, superframes: int, seconds: float
    ) -> None:
        self.mesh.talk(self.seat(number), talker, talkgroup, superframes, private=False)
        self.mesh.advance(seconds)

    @rule(
        number=SEATS,
        other=SEATS,
        talker=st.sampled_from(TALKERS),
        superframes=st.integers(1, 6),
        seconds=BRIEFLY,
    )
    def talkPrivately(
        self, number: int, other: int, talker: int, superframes: int, seconds: float
    ) -> None:
        here, there = self.two(number, other)
        self.mesh.talk(here, talker, radio(there, TALKERS[0]), superframes, private=True)
        self.mesh.advance(seconds)

    @precondition(lambda self: self.mesh.talks)
    @rule(number=st.integers(0, 9))
    def breakOff(self, number: int) -> None:
        """
        A call ends without its end.
        """
        self.mesh.talks.pop(number % len(self.mesh.talks))

    @rule(
        number=SEATS,
        listener=st.sampled_from(LISTENERS),
        talkgroups=st.frozensets(st.sampled_from(TALKGROUPS)),
        seconds=BRIEFLY,
    )
    def subscribe(
        self, number: int, listener: int, talkgroups: frozenset[int], seconds: float
    ) -> None:
        self.mesh.subscribe(self.seat(number), listener, talkgroups)
        self.mesh.advance(seconds)

    @rule(number=SEATS, goodbye=st.booleans(), pause=st.sampled_from((0.0, 0.3, 4.0)))
    def restart(self, number: int, goodbye: bool, pause: float) -> None:
        self.mesh.restart(self.seat(number), goodbye=goodbye, pause=pause)

    @rule(number=SEATS, other=SEATS, seconds=st.sampled_from((0.3, 1.0, 1.3, 5.0)))
    def cut(self, number: int, other: int, seconds: float) -> None:
        here, there = self.two(number, other)
        self.mesh.network.cut(host(here), host(there))
        self.mesh.advance(seconds)

    @rule(number=SEATS, other=SEATS, seconds=BRIEFLY)
    def cutOneWay(self, number: int, other: int, seconds: float) -> None:
        here, there = self.two(number, other)
        self.mesh.network.impair(Impairment(cut=True), sender=host(here), receiver=host(there))
        self.mesh.advance(seconds)

    @rule(seconds=BRIEFLY)
    def heal(self, seconds: float) -> None:
        self.mesh.network.heal()
        self.mesh.advance(seconds)

    @rule(impairment=st.sampled_from(IMPAIRMENTS), seconds=BRIEFLY)
    def impair(self, impairment: Impairment, seconds: float) -> None:
        self.mesh.network.impair(impairment)
        self.mesh.advance(seconds)

    @rule(number=SEATS, other=SEATS, impairment=st.sampled_from(IMPAIRMENTS), seconds=BRIEFLY)
    def impairOneWay(self, number: int, other: int, impairment: Impairment, seconds: float) -> None:
        here, there = self.two(number, other)
        self.mesh.network.impair(impairment, sender=host(here), receiver=host(there))
        self.mesh.advance(seconds)

    @rule(number=SEATS, other=SEATS, row=OVERRIDES, seconds=BRIEFLY)
    def override(self, number: int, other: int, row: tuple[str, bool], seconds: float) -> None:
        here, there = self.two(number, other)
        self.mesh.override(here, there, row[0], nowhere=row[1])
        self.mesh.advance(seconds)

    @rule(number=SEATS, other=SEATS, seconds=BRIEFLY)
    def closeStream(self, number: int, other: int, seconds: float) -> None:
        here, there = self.two(number, other)
        self.mesh.closeStream(here, there)
        self.mesh.advance(seconds)

    @rule(seconds=st.sampled_from((-4000.0, -1.0, 1.0, 4000.0)))
    def stepWallClock(self, seconds: float) -> None:
        self.mesh.stepWallClock(seconds)

    @rule(seconds=st.sampled_from((1.0, 3.0, 12.0)))
    def wait(self, seconds: float) -> None:
        self.mesh.advance(seconds)

    @precondition(lambda self: self.long < LONG_TIMES)
    @rule()
    def waitLong(self) -> None:
        """
        So long that all sessions are followed by others.
        """
        self.long += 1
        self.mesh.advance(125.0)

    def teardown(self) -> None:
        mesh = getattr(self, "mesh", None)
        if mesh is None:
            return
        try:
            if not mesh.broken:
                mesh.quiet()
                note(f"all links were back after {mesh.returned:.0f} s")
        finally:
            mesh.over()


class ModelTests(SynchronousTestCase):
    """
    Lives of meshes.
    """

    def test_lives(self) -> None:
        """
        No frame is heard twice, out of order, changed or by who should not hear it; nothing grows
        without bound; and when the network is good again every pair has one link on which both
        ends agree, and a call is heard whole by everybody who is to hear it.
        """
        try:
            run_state_machine_as_test(Life, settings=SETTINGS)
        except Exception as error:
            # What happened in the life, which trial does not show.
            notes: list[str] = getattr(error, "__notes__", [])
            raise self.failureException("\n".join([repr(error), *notes])) from error
