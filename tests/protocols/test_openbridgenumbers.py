"""
Tests of L{bmff.protocols.openbridge}: radios that are other numbers at the other end of a bridge.
"""

from __future__ import annotations

from bmff.dmr import bptc, dataheader
from bmff.dmr.burst import decodeVoiceHeader, information
from bmff.dmr.datacall import textCall
from bmff.dmr.dataheader import UnconfirmedHeader
from bmff.dmr.frame import DATA_HEADER, Frame
from bmff.router.translation import Form, Rule, Translation
from tests.protocols.test_openbridge import TALKGROUP, BridgedTestCase, SomeNode

ALIAS = 999_001  # what their radio is called here
THEIRS = 9_990_001
CALLER = 2_340_001
RULES = Translation([Rule(Form(THEIRS, True), Form(ALIAS, True))])


class PrivateNumberTests(BridgedTestCase):
    """
    C{{ there = "radio 9990001", here = "radio 999001" }} on one end of a bridge.
    """

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.node(1001), self.node(1002)
        self.mine = self.here.hotspot(11, TALKGROUP)
        self.theirs = self.there.hotspot(THEIRS, TALKGROUP)

    def bridge(self, *, private: bool = True, translation: Translation = RULES) -> None:
        """
        A bridge whose end here has the rules.
        """
        here, there = self.here, self.there
        for one, two, rules in ((here, there, translation), (there, here, Translation())):
            enough = private or one is there
            one.bridgeTo(two.ports[0].address, two.number, translation=rules, private=enough)
        self.advance(0.1)

    def say(self, node: SomeNode, frames: list[Frame]) -> None:
        """
        The hotspot of a node sends these; then all is silent for longer than a slot is kept.
        """
        node.talk(self.mine if node is self.here else self.theirs, frames)
        self.advance(len(frames) * 0.06 + 8.0)

    def private(self, destination: int, source: int, stream: int = 9) -> list[Frame]:
        """
        The frames of a private call.
        """
        return self.call(destination, source=source, private=True, stream=stream)

    def test_voiceOut(self) -> None:
        """
        A private call to a number that a rule names goes out though nobody was ever heard under
        it, as a call to their radio in every burst; the answer comes back under their number, and
        goes there again.
        """
        self.bridge()
        frames = self.private(ALIAS, CALLER)
        self.say(self.here, frames)
        heard = self.there.heard(THEIRS)
        self.assertEqual(len(heard), len(frames))
        self.assertEqual({(one.source, one.destination) for one in heard}, {(CALLER, THEIRS)})
        lc = decodeVoiceHeader(heard[0].burst)
        self.assertEqual((lc.source, lc.destination, lc.flco), (CALLER, THEIRS, 3))
        answer = self.private(CALLER, THEIRS, 10)
        self.say(self.there, answer)
        self.assertHeard(self.here.heard(11), answer)
        self.say(self.here, self.private(THEIRS, CALLER, 11))
        self.assertEqual(len(self.there.heard(THEIRS)), 2 * len(frames))

    def test_dataOut(self) -> None:
        """
        So does data.
        """
        self.bridge()
        frames = list(textCall("Hello", source=CALLER, destination=ALIAS, stream=9))
        self.say(self.here, frames)
        heard = self.there.heard(THEIRS)
        self.assertEqual(len(heard), len(frames))
        (header,) = [one for one in heard if one.dataType == DATA_HEADER]
        read = dataheader.decode(bptc.decode(information(header.burst)))
        assert isinstance(read, UnconfirmedHeader)
        self.assertEqual((read.source, read.destination), (CALLER, THEIRS))

    def test_in(self) -> None:
        """
        A call to their number for one of our radios comes in to it.
        """
        ours = self.here.hotspot(2_621_370)
        self.bridge(translation=Translation([Rule(Form(77, True), Form(ours.peerID, True))]))
        # Their radio is heard here, so that there is a way to it, and ours is heard there.
        self.say(self.here, self.call(source=77))
        self.say(self.there, self.private(77, THEIRS, 10))
        self.assertEqual({one.destination for one in self.here.heard(ours.peerID)}, {ours.peerID})

    def test_oursStay(self) -> None:
        """
        A radio of ours that they know under another number is called here, when it was heard here
        or has its own hotspot.
        """
        ours = self.here.hotspot(2_621_370)
        rules = [Rule(Form(77, True), Form(2_621_370, True)), Rule(Form(78, True), Form(555, True))]
        self.bridge(translation=Translation(rules))
        self.here.talk(ours, self.call(source=555))
        self.advance(8.0)
        for stream, radio in enumerate((2_621_370, 555), 20):
            before = len(self.here.heard(ours.peerID))
            self.say(self.here, self.private(radio, CALLER, stream))
            self.assertGreater(len(self.here.heard(ours.peerID)), before)
        trunk = self.here.openBridge.trunks["1002"]
        self.assertEqual(trunk.framesSent, len(self.call()))  # what 555 said on the talkgroup

    def test_alone(self) -> None:
        """
        With C{private = false} the radios that rules name are the only ones whose calls cross.
        """
        self.bridge(private=False)
        self.say(self.there, self.call(source=THEIRS))
        self.say(self.here, self.private(ALIAS, CALLER))
        count = len(self.private(ALIAS, CALLER))
        self.assertEqual(len(self.there.heard(THEIRS)), count)
        self.say(self.here, self.private(THEIRS, CALLER, 10))
        self.assertEqual(len(self.there.heard(THEIRS)), count)

    def test_aloneIn(self) -> None:
        """
        In the same way they come in.
        """
        ours = self.here.hotspot(2_621_370)
        rule = Rule(Form(77, True), Form(ours.peerID, True))
        self.bridge(private=False, translation=Translation([rule]))
        self.say(self.here, self.call(source=77))
        self.say(self.here, self.call(source=CALLER, stream=0x4321))
        self.say(self.there, self.private(CALLER, THEIRS, 10))
        self.assertEqual([one for one in self.here.heard(11) if one.private], [])
        self.say(self.there, self.private(77, THEIRS, 11))
        self.assertEqual(len(self.here.heard(ours.peerID)), len(self.private(77, 1)))

    def test_unknown(self) -> None:
        """
        A private call that no rule names and nobody was heard under goes nowhere.
        """
        self.bridge()
        self.say(self.here, self.private(ALIAS + 1, CALLER))
        self.assertEqual(self.there.heard(THEIRS), [])
        self.assertEqual(self.here.openBridge.trunks["1002"].framesSent, 0)

    def test_notBack(self) -> None:
        """
        A call that came over a bridge does not go back there, whatever the rules say.
        """
        self.bridge()
        self.say(self.here, self.call(source=ALIAS + 5))
        theirs = self.there.openBridge.trunks["1001"]
        before = theirs.framesSent
        locations = self.there.router.reach.locations
        found = locations.get(ALIAS + 5)
        assert found is not None
        locations.heard(ALIAS, found)
        self.say(self.there, self.private(ALIAS, THEIRS, 12))
        self.assertGreater(theirs.framesSent, before)
        self.assertEqual(self.there.heard(THEIRS)[-1].destination, TALKGROUP)
