"""
Tests of bridges, numbers that are others elsewhere, and rules, in L{bmff.router}.
"""

from __future__ import annotations

from bmff.dmr import embedded
from bmff.dmr.burst import decodeVoiceHeader, terminator, voiceHeader
from bmff.dmr.frame import DATA_SYNC, SLOT_2, TERMINATOR, VOICE_HEADER, VOICE_SYNC, Frame
from bmff.dmr.lc import FullLinkControl
from bmff.dmr.ranges import Ranges
from bmff.events import CallRefused, CallStarted
from bmff.router.call import Call
from bmff.router.inward import Inward
from bmff.router.translation import Form, Rule, Translation
from bmff.router.trunk import Trunk
from bmff.routing import CallRequest, Decision, Destination
from tests.router.case import RouterTestCase

EVERYTHING = Ranges([(10, 16_777_214)])


class RecordingTrunk(Trunk):
    """
    Remembers what goes out, and what of its own was refused.
    """

    def __init__(
        self,
        peerID: int,
        network: str,
        wanted: Ranges = EVERYTHING,
        translation: Translation | None = None,
    ) -> None:
        super().__init__(peerID, network, wanted, translation)
        self.sent: list[Frame] = []
        self.refusals: list[tuple[int, str]] = []
        self.open = 0

    def openSink(self, call: Call) -> RecordingTrunk:
        self.open += 1
        return self

    def sendFrame(self, frame: Frame) -> None:
        self.sent.append(frame)

    def close(self) -> None:
        self.open -= 1

    def refused(self, frame: Frame, reason: str, now: float) -> None:
        self.refusals.append((frame.stream, reason))

    @property
    def streams(self) -> list[int]:
        """
        The streams that went out, each once.
        """
        return list(dict.fromkeys(frame.stream for frame in self.sent))


class TrunkTestCase(RouterTestCase):
    """
    Bridges beside peers.
    """

    def trunk(
        self,
        peerID: int = 3102,
        network: str = "brandmeister",
        wanted: Ranges = EVERYTHING,
        translation: Translation | None = None,
    ) -> RecordingTrunk:
        trunk = RecordingTrunk(peerID, network, wanted, translation)
        self.router.reach.addTrunk(trunk)
        return trunk

    def bring(
        self,
        trunk: Trunk,
        sequence: int,
        *,
        flags: int = VOICE_SYNC,
        source: int = 3120101,
        destination: int = 91,
        stream: int = 900,
        burst: bytes = bytes(33),
    ) -> None:
        frame = Frame.make(
            sequence=sequence,
            source=source,
            destination=destination,
            flags=flags,
            stream=stream,
            burst=burst,
        )
        self.router.route(trunk, frame, self.now)


class BridgeTests(TrunkTestCase):
    """
    A bridge carries any number of calls at once, both ways.
    """

    def test_out(self) -> None:
        """
        A call that a bridge wants goes out over it, whole; one that it does not want stays.
        """
        peer = self.peer(1)
        trunk = self.trunk(wanted=Ranges([(90, 99)]))
        self.call(peer, destination=91, stream=5)
        self.call(peer, destination=262, stream=6)
        self.assertEqual(trunk.streams, [5])
        self.assertEqual(len(trunk.sent), 3)
        self.assertEqual(trunk.open, 0)

    def test_in(self) -> None:
        """
        Many calls come in over one bridge at the same time, each to its own listeners.
        """
        self.peer(1, {2: (91,)})
        self.peer(2, {2: (92,)})
        trunk = self.trunk()
        for stream, talkgroup in ((900, 91), (901, 92)):
            self.bring(trunk, 0, destination=talkgroup, stream=stream, source=stream)
        self.assertEqual(self.streamsHeardBy(1), [900])
        self.assertEqual(self.streamsHeardBy(2), [901])
        self.assertEqual(trunk.sent, [])

    def test_bridgeToBridge(self) -> None:
        """
        A call crosses from one network to another, and never back to the one that it came from,
        by whatever bridge.
        """
        one = self.trunk(3102, "brandmeister")
        twin = self.trunk(3103, "brandmeister")
        other = self.trunk(7, "freedmr")
        self.bring(one, 0)
        self.assertEqual((one.sent, twin.sent), ([], []))
        self.assertEqual(other.streams, [900])

    def test_loop(self) -> None:
        """
        A call that comes back by another bridge is dropped, and that bridge is told.
        """
        one, other = self.trunk(3102, "brandmeister"), self.trunk(7, "freedmr")
        self.bring(one, 0)
        self.bring(other, 0)
        self.assertEqual(other.refusals, [(900, "stream of another ingress")])
        self.assertEqual(one.sent, [])
        self.assertEqual(self.router.dropped["stream of another ingress"], 1)

    def test_localTalkgroups(self) -> None:
        """
        Talkgroups that mean something else on each node cross no bridge, neither way.
        """
        peer = self.peer(1, {2: (9,)})
        trunk = self.trunk(wanted=Ranges([(1, 16_777_215)]))
        self.call(peer, destination=9)
        self.bring(trunk, 0, destination=9)
        self.assertEqual((trunk.sent, self.heardBy(1)), ([], []))

    def test_private(self) -> None:
        """
        A private call goes to the bridge that its radio was last heard over, and to no other.
        """
        peer = self.peer(1)
        one, other = self.trunk(3102, "brandmeister"), self.trunk(7, "freedmr")
        self.bring(one, 0, source=3120101)
        one.sent.clear()
        other.sent.clear()
        self.call(peer, destination=3120101, private=True, stream=8)
        self.assertEqual((one.streams, other.streams), ([8], []))

    def test_lateBridge(self) -> None:
        """
        A bridge that comes up in a call has it from then on; one that goes ends its own calls.
        """
        peer = self.peer(1, {2: (91, 92)})
        self.call(peer, destination=91, stream=5, end=False)
        trunk = self.trunk()
        self.send(peer, 3, stream=5)
        self.assertEqual(trunk.streams, [5])
        self.bring(trunk, 0, destination=92, stream=901)
        self.router.removeTrunk(trunk, self.now)
        self.assertEqual([event.reason for event in self.ended()], ["bridge lost"])
        self.send(peer, 4, stream=5)
        self.assertEqual((len(trunk.sent), trunk.open), (1, 0))

    def test_changedWish(self) -> None:
        """
        A bridge that wants other talkgroups has and leaves calls that are on.
        """
        peer = self.peer(1)
        trunk = self.trunk(wanted=Ranges([(262, 262)]))
        self.call(peer, destination=91, stream=5, end=False)
        trunk.wanted = Ranges([(91, 91)])
        self.router.reach.trunkChanged(trunk)
        self.send(peer, 3, stream=5)
        trunk.wanted = Ranges()
        self.router.reach.trunkChanged(trunk)
        self.send(peer, 4, stream=5)
        self.assertEqual([frame.sequence for frame in trunk.sent], [3])

    def test_interest(self) -> None:
        """
        Other nodes are told what bridges want, but not that of one which stands by.
        """
        self.trunk(1, "a", Ranges([(90, 95)]))
        self.trunk(2, "b", Ranges([(94, 99)]))
        self.assertEqual(self.router.reach.wantedRanges(), Ranges([(90, 99)]))
        self.router.reach.networks.standBy = frozenset({"b"})
        self.assertEqual(self.router.reach.wantedRanges(), Ranges([(90, 95)]))


class TranslationTests(TrunkTestCase):
    """
    A number may be another one at a peer or a bridge.
    """

    BRIDGE = Translation([Rule(Form(3100), Form(91)), Rule(Form(77), Form(2621234, True))])

    def test_out(self) -> None:
        """
        A call goes out under their number, in the network's fields and in the Link Control of
        header, superframes and terminator; options stay.
        """
        peer = self.peer(1)
        trunk = self.trunk(translation=self.BRIDGE)
        lc = FullLinkControl(0, 0x10, 0xA0, 91, 2340001)
        parts = embedded.encode(lc)
        voice = [(part << 8 + 4 + 104).to_bytes(33, "big") for part in parts]
        self.send(peer, 0, flags=DATA_SYNC | VOICE_HEADER, burst=voiceHeader(lc))
        for place, burst in enumerate(voice, 1):
            self.send(peer, place, flags=place, burst=burst)
        self.send(peer, 5, flags=DATA_SYNC | TERMINATOR, burst=terminator(lc))
        self.assertEqual({frame.destination for frame in trunk.sent}, {3100})
        expected = FullLinkControl(0, 0x10, 0xA0, 3100, 2340001)
        self.assertEqual(decodeVoiceHeader(trunk.sent[0].burst), expected)
        there = [embedded.fragment(frame.burst) for frame in trunk.sent[1:5]]
        self.assertEqual(embedded.decode(there), expected)

    def test_sharedRewriting(self) -> None:
        """
        Listeners with their own number and those without hear the same call, each its own.
        """
        self.peer(1, {2: (91,)})
        other = self.peer(2, {2: (91,)})
        other.translation = Translation([Rule(Form(8), Form(91), 2)])
        talker = self.peer(3)
        self.call(talker, destination=91)
        self.assertEqual({frame.destination for _, frame in self.heardBy(1)}, {91})
        self.assertEqual({frame.destination for _, frame in self.heardBy(2)}, {8})
        self.assertEqual(len(self.heardBy(2)), 3)

    def test_in(self) -> None:
        """
        What a bridge brings under their number is heard under ours; of kind, too.
        """
        self.peer(1, {2: (91,)})
        trunk = self.trunk(translation=self.BRIDGE)
        inward = Inward(self.router, trunk)
        for sequence, flags in ((0, DATA_SYNC | VOICE_HEADER), (1, VOICE_SYNC)):
            frame = Frame.make(
                sequence=sequence,
                source=3120101,
                destination=3100,
                flags=flags,
                stream=900,
                burst=voiceHeader(FullLinkControl.group(3100, 3120101)),
            )
            inward.frameReceived(frame, self.now)
        heard = [frame for _, frame in self.heardBy(1)]
        self.assertEqual([frame.destination for frame in heard], [91, 91])
        self.assertEqual(decodeVoiceHeader(heard[0].burst).destination, 91)
        self.assertEqual(trunk.inward(0, Form(77)), Form(2621234, True))

    def test_groupToPrivate(self) -> None:
        """
        A talkgroup of theirs may be one of our radios: it hears a private call.
        """
        target = self.peer(2621234)
        peer = self.peer(1)
        peer.translation = Translation([Rule(Form(77), Form(2621234, True))])
        inward = Inward(self.router, peer)
        header = voiceHeader(FullLinkControl.group(77, 2340001))
        frame = Frame.make(
            sequence=0,
            source=2340001,
            destination=77,
            flags=SLOT_2 | DATA_SYNC | VOICE_HEADER,
            stream=9,
            burst=header,
        )
        inward.frameReceived(frame, self.now)
        ((slot, heard),) = self.heardBy(target.peerID)
        self.assertEqual((slot, heard.private, heard.destination), (2, True, 2621234))
        self.assertEqual(decodeVoiceHeader(heard.burst).flco, 3)

    def test_leaving(self) -> None:
        """
        A listener that leaves in a call is told that it is over, under its own number.
        """
        listener = self.peer(2, {2: (91,)})
        listener.translation = Translation([Rule(Form(8), Form(91), 2)])
        talker = self.peer(3)
        self.call(talker, destination=91, end=False)
        self.router.setStatic(listener, {}, self.now)
        last = self.heardBy(2)[-1][1]
        self.assertEqual(last.flags & 0x3F, DATA_SYNC | TERMINATOR)
        self.assertEqual((last.destination, decodeVoiceHeader(last.burst).destination), (8, 8))

    def test_streamsBounded(self) -> None:
        """
        Streams that never end leave no more than a bounded number behind.
        """
        trunk = self.trunk(translation=self.BRIDGE)
        inward = Inward(self.router, trunk)
        for stream in range(1, 3000):
            frame = Frame.make(
                sequence=0, source=1, destination=3100, flags=0, stream=stream, burst=bytes(33)
            )
            inward.frameReceived(frame, self.now)
        self.assertLessEqual(len(inward._streams), 1024)


class RuleTests(TrunkTestCase):
    """
    An operator's own rules are asked once, when a call begins.
    """

    def rule(self, decision: Decision | None) -> list[CallRequest]:
        asked: list[CallRequest] = []

        def decide(request: CallRequest) -> Decision | None:
            asked.append(request)
            return decision

        self.router.rules.add("test", decide)
        return asked

    def test_asked(self) -> None:
        """
        A rule hears who talks to whom and from where, once a call.
        """
        asked = self.rule(None)
        self.peer(2, {2: (91,)})
        self.call(self.peer(1), frames=5, stream=5)
        self.assertEqual(asked, [CallRequest(5, 2340001, Destination(91), False, peer=1, slot=2)])
        self.assertEqual(len(self.heardBy(2)), 5)

    def test_refused(self) -> None:
        """
        A call that a rule refuses goes nowhere, and that is told once.
        """
        self.rule(Decision(refused="at night no DX"))
        self.peer(2, {2: (91,)})
        self.call(self.peer(1), stream=5)
        self.assertEqual(self.heardBy(2), [])
        refused = [event for event in self.events if isinstance(event, CallRefused)]
        self.assertEqual(refused, [CallRefused(5, 2340001, 91, False, 1, "at night no DX")])
        self.assertEqual([event for event in self.events if isinstance(event, CallStarted)], [])

    def test_also(self) -> None:
        """
        A call goes to another talkgroup as well, as a call of its own that ends with it.
        """
        self.rule(Decision(also=(Destination(262),)))
        self.peer(2, {2: (91,)})
        self.peer(3, {2: (262,)})
        self.call(self.peer(1), stream=5)
        self.assertEqual(self.streamsHeardBy(2), [5])
        (other,) = self.streamsHeardBy(3)
        self.assertNotEqual(other, 5)
        self.assertEqual({frame.destination for _, frame in self.heardBy(3)}, {262})
        self.assertEqual(len(self.heardBy(3)), 3)
        self.assertEqual([event.reason for event in self.ended()], ["terminator"] * 2)
        self.assertEqual(self.router.calls, {})

    def test_instead(self) -> None:
        """
        A call that does not stay is heard on the other talkgroup only.
        """
        self.rule(Decision(stay=False, also=(Destination(262),)))
        self.peer(2, {2: (91,)})
        self.peer(3, {2: (262,)})
        trunk = self.trunk()
        self.call(self.peer(1), stream=5)
        self.assertEqual(self.heardBy(2), [])
        self.assertEqual(len(self.heardBy(3)), 3)
        self.assertEqual({frame.destination for frame in trunk.sent}, {262})

    def test_noCircle(self) -> None:
        """
        A call that a rule has made is not asked about, so two rules cannot chase each other.
        """
        asked = self.rule(Decision(also=(Destination(262), Destination(91))))
        self.call(self.peer(1), stream=5)
        self.assertEqual(len(asked), 1)

    def test_backToItsNetwork(self) -> None:
        """
        Under its other number, too, a call never returns to the network that it came from.
        """
        self.rule(Decision(also=(Destination(262),)))
        trunk = self.trunk()
        self.peer(3, {2: (262,)})
        self.bring(trunk, 0)
        self.assertEqual(trunk.sent, [])
        self.assertEqual(len(self.heardBy(3)), 1)

    def test_talkLimit(self) -> None:
        """
        A rule may give a call less time than the node does.
        """
        self.rule(Decision(talkLimit=10.0))
        peer = self.peer(1)
        for sequence in range(200):
            self.send(peer, sequence & 0xFF, stream=5)
            self.advance(0.06)
        (ended,) = self.ended()
        self.assertEqual(ended.reason, "talk limit")
        self.assertTrue(9.9 <= ended.duration <= 10.1, ended.duration)

    def test_raises(self) -> None:
        """
        A rule that raises is counted and told of, and the call goes on as if it were not there.
        """

        def broken(request: CallRequest) -> Decision | None:
            raise LookupError("no such table")

        told: list[tuple[str, Exception]] = []
        self.router.rules.failed = lambda name, error: told.append((name, error))
        self.router.rules.add("broken", broken)
        self.peer(2, {2: (91,)})
        self.call(self.peer(1))
        self.assertEqual(len(self.heardBy(2)), 3)
        self.assertEqual(self.router.rules.failures["broken"], 1)
        self.assertEqual([name for name, _ in told], ["broken"])


class PeerLimitTests(RouterTestCase):
    """
    What an operator sets for a peer.
    """

    def test_refusedTalkgroups(self) -> None:
        """
        A peer neither keys nor hears a talkgroup that it is refused.
        """
        peer = self.peer(1, {2: (91,)})
        peer.refused = Ranges([(91, 95)])
        other = self.peer(2, {2: (91,)})
        self.call(peer, stream=5)
        self.assertEqual(self.heardBy(2), [])
        self.assertEqual(self.router.dropped["talkgroup not permitted"], 1)
        self.call(other, stream=6)
        self.assertEqual(self.heardBy(1), [])

    def test_holdOff(self) -> None:
        """
        After its own talk a peer's other static talkgroups are held back for a while; the one that
        was keyed is not.
        """
        peer = self.peer(1, {2: (91, 262)})
        peer.holdOff = 300.0
        other = self.peer(2)
        self.call(peer, destination=91, stream=5)
        self.advance(20.0)
        self.call(other, destination=262, stream=6)
        self.assertEqual(self.streamsHeardBy(1), [])
        self.call(other, destination=91, stream=7)
        self.assertEqual(self.streamsHeardBy(1), [7])
        self.advance(300.0)
        self.call(other, destination=262, stream=8)
        self.assertEqual(self.streamsHeardBy(1), [7, 8])

    def test_heldCallComesLater(self) -> None:
        """
        A call that was held back is heard from the moment on that the time is over.
        """
        peer = self.peer(1, {2: (91, 262)})
        peer.holdOff = 10.0
        other = self.peer(2)
        self.call(peer, destination=91, stream=5)
        self.advance(9.0)
        self.call(other, destination=262, stream=6, frames=40, end=False)
        heard = self.streamsHeardBy(1)
        self.assertEqual(heard, [6])
        self.assertLess(len(self.heardBy(1)), 40)
