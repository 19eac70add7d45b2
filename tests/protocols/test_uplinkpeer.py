"""
Tests of L{bmff.protocols.uplinkpeer}: what crosses to another network, and under which numbers.
"""

from __future__ import annotations

from typing import Any

from bmff.dmr import bptc, dataheader
from bmff.dmr.burst import decodeVoiceHeader, information
from bmff.dmr.datacall import textCall
from bmff.dmr.dataheader import UnconfirmedHeader
from bmff.dmr.frame import DATA_HEADER, Frame
from bmff.dmr.ranges import Ranges
from bmff.dmr.voice import voiceCall
from bmff.events import CallStarted
from bmff.protocols.uplink import Uplink
from bmff.protocols.uplinkpeer import LARGEST
from bmff.router.translation import Form, Rule, Translation
from bmff.testing.hotspots import VirtualHotspot
from bmff.wire.homebrew import Station
from tests.protocols.uplinkcase import ID, PEER, UplinkTestCase

RULES = Translation([Rule(Form(9), Form(26209), 2), Rule(Form(9990, True), Form(999_001, True))])


class TalkgroupTests(UplinkTestCase):
    """
    Calls to talkgroups.
    """

    def test_out(self) -> None:
        """
        A call here is heard there, whole and burst for burst; who made it hears nothing.
        """
        self.uplink()
        there, talker = self.hotspot(1, "TS2=91"), self.listener(2, "TS2=91")
        frames = self.say(talker)
        self.assertHeard(there, frames)
        self.assertHeard(talker, [])

    def test_in(self) -> None:
        """
        A call there is heard here; events name the uplink's number as where it came from.
        """
        self.uplink()
        there, listener = self.hotspot(1), self.listener(2, "TS2=91")
        self.assertHeard(listener, self.say(there))
        (began,) = (each for each in self.own if isinstance(each, CallStarted))
        self.assertEqual((began.peer, began.destination), (PEER, 91))

    def test_noReturn(self) -> None:
        """
        A call that comes in does not go out again.
        """
        uplink = self.uplink()
        other = self.hotspot(2, "TS2=91")
        there, listener = self.hotspot(1), self.listener(3, "TS2=91")
        frames = self.say(there)
        self.assertHeard(listener, frames)
        self.assertHeard(other, frames)
        self.assertEqual(uplink.peer.framesSent, 0)

    def test_onlyThose(self) -> None:
        """
        Other talkgroups cross neither way: keyed there they are not keyed here, and what comes on
        another slot than was said is another.
        """
        uplink = self.uplink(static={1: (92,), 2: (91,)}, station=Station(ID, "G4TST", slots=3))
        there = self.hotspot(1, "TS1=91,93;TS2=91,92,93")
        here = self.listener(2, "TS1=93;TS2=91,92,93")
        self.assertHeard(there, self.say(here, 92))
        for number in (93, 9):
            self.say(here, number)
            self.assertHeard(there, [])
        session = self.homebrew.peer(ID)
        assert session is not None
        self.router.setStatic(session, {1: (92, 93), 2: (91, 92, 93, 9)}, self.clock.seconds())
        for number in (93, 9, 4000, 5000, 9990):
            self.say(there, number)
            self.assertHeard(here, [])
        self.assertEqual(
            dict(uplink.peer.dropped), {"talkgroup not permitted": 2, "local number": 1}
        )
        self.assertHeard(here, self.say(there, 91))

    def test_slot(self) -> None:
        """
        A talkgroup that was said for slot 1 does not come in on slot 2.
        """
        uplink = self.uplink(static={1: (91,)}, station=Station(ID, "G4TST", slots=3))
        there, here = self.hotspot(1), self.listener(2, "TS2=91")
        self.say(there)
        self.assertHeard(here, [])
        self.assertEqual(dict(uplink.peer.dropped), {"talkgroup not permitted": 1})

    def test_accepted(self) -> None:
        """
        A talkgroup that is only accepted comes in, and calls of ours on it do not go out, not even
        an answer at once.
        """
        uplink = self.uplink(accepted=Ranges([(262, 262)]), options="TS2=91,262")
        there, here = self.hotspot(1, "TS2=262"), self.listener(2, "TS2=262")
        there.talk(frames := list(voiceCall(source=5, destination=262, stream=9, superframes=2)))
        self.advance(len(frames) * 0.06 + 0.2)
        self.assertHeard(here, frames)
        self.say(here, 262)
        self.assertHeard(there, [])
        self.assertEqual(uplink.peer.framesSent, 0)
        self.advance(5.0)
        self.assertEqual(uplink.peer.slot(2).dynamic, {})

    def test_local(self) -> None:
        """
        Talkgroups of one node's own do not leave it, though it was said so.
        """
        self.uplink(static={2: (91, 9, 4000)})
        there, here = self.hotspot(1, "TS2=9,91"), self.listener(2)
        self.say(here, 9)
        self.assertHeard(there, [])

    def test_radioRefused(self) -> None:
        """
        Radios that are not permitted are heard on neither side, others are.
        """
        uplink = self.uplink(refused=Ranges([(666, 666)]))
        there, here = self.hotspot(1, "TS2=91"), self.listener(2, "TS2=91")
        for talker, other in ((there, here), (here, there)):
            self.say(talker, source=666)
            self.assertHeard(other, [])
            self.assertHeard(other, self.say(talker))
        self.assertEqual(dict(uplink.peer.dropped), {"radio not permitted": 2})

    def twoCalls(self, slots: int) -> set[int]:
        """
        The talkgroups that are heard there of two calls at once, the first one on 92.
        """
        self.uplink(
            static={1: (92,), 2: (91,)},
            options="TS1=92;TS2=91",
            station=Station(ID, "G4TST", slots=slots),
        )
        there = self.hotspot(1, "TS1=92;TS2=91")
        one, two = self.listener(2), self.listener(3)
        two.talk(voiceCall(source=5, destination=92, stream=71, superframes=2, slot=1))
        one.talk(voiceCall(source=6, destination=91, stream=72, superframes=2))
        self.advance(8.0)
        return {frame.destination for frame in there.heard}

    def test_oneCall(self) -> None:
        """
        A hotspot's uplink carries one call at a time, the first one.
        """
        self.assertEqual(self.twoCalls(4), {92})

    def test_twoCalls(self) -> None:
        """
        A repeater's uplink carries one call on each slot.
        """
        self.assertEqual(self.twoCalls(3), {91, 92})

    def test_standBy(self) -> None:
        """
        While another node of ours sends out to the network, this one does not, but hears it.
        """
        uplink = self.uplink()
        there, here = self.hotspot(1, "TS2=91"), self.listener(2, "TS2=91")
        self.here.reach.networks.standBy = frozenset({"north"})
        self.say(here)
        self.assertHeard(there, [])
        self.assertHeard(here, self.say(there))
        self.assertEqual(uplink.peer.framesSent, 0)

    def test_sameID(self) -> None:
        """
        A hotspot here that has the ID of the uplink there is another one.
        """
        self.uplink()
        there, here = self.hotspot(1, "TS2=91"), self.listener(ID, "TS2=91")
        self.assertHeard(there, self.say(here))
        self.assertHeard(here, self.say(there))

    def test_manyStreams(self) -> None:
        """
        Streams without an end do not fill the memory.
        """
        uplink = self.uplink()
        for stream in range(1, 5 * LARGEST):
            (frame, *_) = voiceCall(source=5, destination=91, stream=stream)
            uplink.peer.frameReceived(frame, self.clock.seconds())
        self.assertEqual(len(uplink.peer._streams), LARGEST)

    def test_changedWithin(self) -> None:
        """
        A stream that was let in is not let in under another number.
        """
        uplink = self.uplink()
        now = self.clock.seconds()
        (frame, *_) = voiceCall(source=5, destination=91, stream=9)
        uplink.peer.frameReceived(frame, now)
        self.assertEqual(len(self.here.calls), 1)
        self.advance(15.0)
        (frame, *_) = voiceCall(source=5, destination=92, stream=9)
        uplink.peer.frameReceived(frame, self.clock.seconds())
        self.assertEqual(self.here.calls, {})
        self.assertEqual(dict(uplink.peer.dropped), {"talkgroup not permitted": 1})


class NumberTests(UplinkTestCase):
    """
    Numbers that are others there.
    """

    def assertDestination(self, hotspot: VirtualHotspot, number: int, frames: list[Frame]) -> None:
        """
        A hotspot has heard a call as long as this one under a number, which its header agrees with.
        """
        heard, hotspot.heard = hotspot.heard, []
        self.assertEqual(len(heard), len(frames))
        self.assertEqual({frame.destination for frame in heard}, {number})
        self.assertEqual(decodeVoiceHeader(heard[0].burst).destination, number)

    def translated(self, **more: Any) -> Uplink:
        """
        An uplink to a network whose 9 is our 26209.
        """
        settings = {"static": {2: (26209,)}, "translation": RULES, "options": "TS2=9"}
        return self.uplink(**settings | more)

    def test_both(self) -> None:
        """
        Our 26209 is heard there as 9, and their 9 here as 26209.
        """
        self.translated()
        there, here = self.hotspot(1, "TS2=9"), self.listener(2, "TS2=26209,9")
        self.assertDestination(there, 9, self.say(here, 26209))
        self.assertDestination(here, 26209, self.say(there, 9))

    def test_ownNine(self) -> None:
        """
        Our own 9 stays here, and their 26209 there.
        """
        self.translated(options="TS2=9,26209")
        there, here = self.hotspot(1, "TS2=9,26209"), self.listener(2, "TS2=9")
        self.say(here, 9)
        self.assertHeard(there, [])

    def test_radio(self) -> None:
        """
        A radio of ours that is a number there is found there from the login on, though private
        calls do not cross.
        """
        self.translated(radios=((999_001, 2),))
        here = self.listener(2)
        self.say(here, 999_001, private=True)
        heard = [frame for frame in self.seen() if frame.private]
        self.assertEqual({frame.destination for frame in heard}, {9990})
        self.assertEqual(len(heard), 14)

    def test_radioData(self) -> None:
        """
        So does data for it, under their number in its headers, too.
        """
        self.translated(radios=((999_001, 2),))
        here = self.listener(2)
        frames = list(textCall("Hello", source=5, destination=999_001, stream=9))
        here.talk(frames)
        self.advance(len(frames) * 0.06 + 1.0)
        heard = [frame for frame in self.seen() if frame.private]
        self.assertEqual({frame.destination for frame in heard}, {9990})
        self.assertEqual(len(heard), len(frames))
        (header,) = [frame for frame in heard if frame.dataType == DATA_HEADER]
        read = dataheader.decode(bptc.decode(information(header.burst)))
        assert isinstance(read, UnconfirmedHeader)
        self.assertEqual(read.destination, 9990)

    def test_radioOfOurs(self) -> None:
        """
        One that was heard at a hotspot of this node is ours and stays here, also after a new login.
        """
        here, other = self.listener(2, "TS2=91"), self.listener(3, "TS2=91")
        self.say(here, 91, source=999_001)
        self.assertEqual(len(other.heard), 14)
        uplink = self.translated(radios=((999_001, 2),))
        uplink.stop()
        uplink.start()
        self.advance(5.0)
        here.heard.clear()
        frames = self.say(other, 999_001, private=True)
        self.assertHeard(here, frames)
        self.assertEqual([frame for frame in self.seen() if frame.private], [])

    def seen(self) -> list[Frame]:
        """
        The frames that their router was given.
        """
        return self._seen

    def setUp(self) -> None:
        super().setUp()
        self._seen: list[Frame] = []
        route = self.router.route

        def watched(ingress: Any, frame: Frame, now: float) -> None:
            self._seen.append(frame)
            route(ingress, frame, now)

        self.router.route = watched  # type: ignore[method-assign]


class PrivateTests(UplinkTestCase):
    """
    Calls to radios.
    """

    def test_there(self) -> None:
        """
        When private calls may cross, one to a radio that was heard over the uplink goes there, and
        its answer comes back.
        """
        self.uplink(private=True)
        there, here = self.hotspot(1), self.listener(2, "TS2=91")
        self.assertHeard(here, self.say(there, source=2340005))
        frames = self.say(here, 2340005, private=True, source=2340006)
        self.assertHeard(there, frames)
        frames = self.say(there, 2340006, private=True, source=2340005)
        self.assertHeard(here, frames)

    def test_notThere(self) -> None:
        """
        When they may not, none crosses either way.
        """
        uplink = self.uplink()
        there, here = self.hotspot(1), self.listener(2, "TS2=91")
        self.assertHeard(here, self.say(there, source=2340005))
        self.assertHeard(there, self.say(here, 91, source=2340006))
        self.say(here, 2340005, private=True, source=2340006)
        self.assertHeard(there, [])
        self.say(there, 2340006, private=True, source=2340005)
        self.assertHeard(here, [])
        self.assertEqual(dict(uplink.peer.dropped), {"private call": 2})
