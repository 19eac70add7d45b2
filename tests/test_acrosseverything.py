"""
Data from end to end: hotspot, node, link, node, bridge, node, hotspot, all of it on the virtual
network. What one radio sends is what the other one gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Final

from bmff.dmr import bptc, embedded, reedsolomon
from bmff.dmr.applications import applicationDatagram, decodeApplication
from bmff.dmr.burst import (
    SlotType,
    dataBurst,
    decodeVoiceHeader,
    information,
    terminator,
    voiceHeader,
)
from bmff.dmr.csbk import CSBK as ControlBlock
from bmff.dmr.csbk import Preamble
from bmff.dmr.datacall import dataCall, textCall
from bmff.dmr.datagram import Datagram
from bmff.dmr.dataheader import ConfirmedHeader, ResponseHeader, UnconfirmedHeader
from bmff.dmr.dataheader import decode as decodeHeader
from bmff.dmr.datamessage import Assembly, unconfirmedHeader
from bmff.dmr.embedded import fragment
from bmff.dmr.frame import (
    BODY_SIZE,
    CSBK,
    DATA_HEADER,
    DATA_SYNC,
    PRIVATE,
    RATE_34,
    SLOT_2,
    TERMINATOR,
    VOICE,
    VOICE_HEADER,
    VOICE_SYNC,
    Frame,
)
from bmff.dmr.lc import FullLinkControl
from bmff.dmr.position import Position, encodePosition
from bmff.dmr.talkeralias import AliasEncoding, decodeTalkerAlias, encodeTalkerAlias
from bmff.dmr.tms import TextAnswer, TextMessage
from bmff.dmr.voice import superframe
from bmff.events import Event
from bmff.protocols.homebrew import HomeBrew
from bmff.protocols.openbridge import BridgeSettings, OpenBridge
from bmff.protocols.turn import Turn
from bmff.router.router import Router
from bmff.router.translation import Form, Rule, Translation
from bmff.testing.everybody import Everybody
from bmff.testing.hotspots import VirtualHotspot
from bmff.testing.network import VirtualNetwork
from bmff.wire.homebrew import Station
from bmff.wire.openbridge.bridge import Terms
from tests.protocols.fastforwardcase import FastForwardTestCase

TALKGROUP: Final = 26200
THERE: Final = 9262  # its number at the far end, where there is a translation
NEAR_RADIO: Final = 2621370
FAR_RADIO: Final = 2341234
NEAR: Final = 2621001  # hotspots
FAR: Final = 2341001
NODES: Final = (2501, 2502, 2503)
CALLED: Final = 77  # a talkgroup at the far end that is the near radio then
ALIAS: Final = "DL1ABC Jörg in Höchst 27"  # four blocks
POSITION: Final = encodePosition(Position(50.1, 8.6, 2))
ALIAS_OPCODES: Final = (4, 5, 6, 7)
POSITION_OPCODE: Final = 8


class Site:
    """
    What a node has beside its links: a master that hotspots log in to, and bridges.
    """

    def __init__(
        self, case: FastForwardTestCase, router: Router, turn: Turn, number: int, host: str
    ) -> None:
        network: VirtualNetwork = case.network
        self.number = number
        self.events: list[Event] = []
        self.homebrew = HomeBrew(
            case.clock, turn, self.events.append, Everybody(), bytes(32), peerTimeout=600.0
        )
        port = self.homebrew.port()
        self.master = port.transport = network.bind(port, host, 62031)
        self.openBridge = OpenBridge(case.clock, turn, case.wallClock, lambda trunk, state: None)
        receiver = self.openBridge.port(len(self.master.address))
        self.bridge = receiver.transport = network.bind(receiver, host, 62035)


class AcrossTestCase(FastForwardTestCase):
    """
    The way.

    @cvar enhanced: whether the bridge speaks the enhanced protocol.
    @ivar near: the hotspot at one end.
    @ivar far: the one at the other.
    @ivar sites: what the nodes have beside their links.
    """

    enhanced = False

    def build(self, translation: Translation | None = None) -> None:
        """
        Make all of it.

        @param translation: of the bridge, at the middle node.
        """
        one, two = self.node(NODES[0]), self.node(NODES[1])
        router = Router(lambda event: None)
        turn = Turn(self.clock, router)
        first = Site(self, one.router, one.turn, NODES[0], one.host)
        middle = Site(self, two.router, two.turn, NODES[1], two.host)
        last = Site(self, router, turn, NODES[2], "192.0.2.99")
        self.sites = (first, middle, last)
        for here, there, numbers in ((middle, last, translation), (last, middle, None)):
            trunk = here.openBridge.addBridge(
                BridgeSettings(
                    str(there.number),
                    str(there.number),
                    Terms(here.number, there.number),
                    self.enhanced,
                    translation=numbers or Translation(),
                ),
                b"passw0rd",
            )
            here.openBridge.useAddresses(trunk, (there.bridge.address,))
        heard = THERE if translation else TALKGROUP
        self.near = self.hotspot(first, NEAR, f"TS2={TALKGROUP}", "198.51.100.1")
        self.far = self.hotspot(last, FAR, f"TS2={heard}", "198.51.100.2")
        self.advance(12.0)
        self.assertLinked(one, two)
        self.assertTrue(self.near.running and self.far.running)
        # Both radios are heard once, as they would be: then it is known where they are.
        for hotspot, radio, talkgroup in (
            (self.near, NEAR_RADIO, TALKGROUP),
            (self.far, FAR_RADIO, heard),
        ):
            block = Preamble(talkgroup, radio, 0, group=True, data=False).encode()
            self.say(hotspot, self.control(block, radio, talkgroup, stream=radio))
        for hotspot in (self.near, self.far):
            self.assertEqual(len(hotspot.heard), 1)
            hotspot.heard.clear()

    def tearDown(self) -> None:
        for site in self.sites:
            site.openBridge.stop()
            site.homebrew.stop()

    def hotspot(self, station: Site, peerID: int, options: str, host: str) -> VirtualHotspot:
        """
        A hotspot that logs in.
        """
        found = VirtualHotspot(
            self.network,
            station.master.address,
            Station(peerID, "TEST", slots=3),
            options=options,
            host=host,
        )
        found.start()
        return found

    def say(self, hotspot: VirtualHotspot, frames: Iterable[Frame]) -> list[Frame]:
        """
        A hotspot sends these, one each 60 ms, and some time passes.
        """
        said = list(frames)
        hotspot.talk(said)
        self.advance(len(said) * 0.06 + 3.0)
        return said

    def control(
        self, block: bytes, source: int, destination: int, stream: int, private: bool = False
    ) -> list[Frame]:
        """
        Control signalling of one block.
        """
        flags = SLOT_2 | DATA_SYNC | CSBK | (PRIVATE if private else 0)
        burst = dataBurst(bptc.encode(block), SlotType(1, CSBK))
        return [
            Frame.make(
                sequence=0,
                source=source,
                destination=destination,
                flags=flags,
                stream=stream,
                burst=burst,
            )
        ]

    def assertSame(self, heard: list[Frame], said: list[Frame]) -> None:
        """
        All frames, bit for bit, in their order, on the slot that they were said on; with what the
        first hotspot measured, where the protocol of the bridge carries it.
        """
        size = BODY_SIZE if self.enhanced else BODY_SIZE - 2
        self.assertEqual(
            [(one.addressing[1:], one.body[:size]) for one in heard],
            [(one.addressing[1:], one.body[:size]) for one in said],
        )
        self.assertNumbered(heard)

    def assertNumbered(self, heard: list[Frame]) -> None:
        """
        The frames of each stream are numbered one by one. Over a link the streams of one message go
        on counting, as it is one call.
        """
        for before, after in pairwise(heard):
            if after.stream == before.stream:
                self.assertEqual(after.sequence, before.sequence + 1 & 0xFF)

    def assertAddressed(self, heard: list[Frame], said: list[Frame], form: Form) -> None:
        """
        The same frames, each to somebody else.
        """
        self.assertEqual(
            [(one.stream, one.source, one.flags | PRIVATE) for one in heard],
            [(one.stream, one.source, one.flags | PRIVATE) for one in said],
        )
        self.assertNumbered(heard)
        self.assertNotEqual([one.burst for one in heard], [one.burst for one in said])
        whom = {(one.destination, one.private) for one in heard}
        self.assertEqual(whom, {(form.destination, form.private)})


def asHostsSend(frames: Iterable[Frame], first: int) -> Iterator[Frame]:
    """
    A message as MMDVMHost sends it: each control block and each header begins a stream.
    """
    stream, sequence = first - 1, 0
    for frame in frames:
        if frame.dataType in {CSBK, DATA_HEADER}:
            stream, sequence = stream + 1, 0
        body = frame.body
        yield Frame(
            bytes((sequence & 0xFF,)) + frame.addressing[1:],
            body[:1] + stream.to_bytes(4, "big") + body[5:],
        )
        sequence += 1


def confirmed(source: int, destination: int, group: bool = False) -> Iterator[Frame]:
    """
    A confirmed message of six blocks of rate 3/4.
    """
    header = ConfirmedHeader(
        destination=destination,
        source=source,
        group=group,
        responseRequested=True,
        blocks=6,
        padOctets=2,
        sequence=5,
    )
    payload = bytes(range(6 * 16 - 4 - 2))
    return asHostsSend(dataCall(header, payload, stream=1, dataType=RATE_34), 0x1000)


def callWithEverything(destination: int = TALKGROUP) -> Iterator[Frame]:
    """
    A call in which each second superframe carries a block of the talker's alias or the position.
    """
    lc = FullLinkControl(0, 0x10, 0x28, destination, NEAR_RADIO)  # with priority and broadcast
    blocks = [
        bytes((opcode, 0)) + data
        for opcode, data in zip(
            ALIAS_OPCODES, encodeTalkerAlias(ALIAS, AliasEncoding.ISO_8_BIT), strict=True
        )
    ]
    carried = [lc]
    for data in (*blocks, bytes((POSITION_OPCODE, 0)) + POSITION):
        carried += [FullLinkControl.fromBytes(data), lc]
    bursts = [(DATA_SYNC | VOICE_HEADER, voiceHeader(lc))]
    for each in carried:
        letters = enumerate(superframe(each))
        bursts += [(VOICE | n if n else VOICE_SYNC, burst) for n, burst in letters]
    bursts.append((DATA_SYNC | TERMINATOR, terminator(lc)))
    for sequence, (kind, burst) in enumerate(bursts):
        yield Frame.make(
            sequence=sequence,
            source=NEAR_RADIO,
            destination=destination,
            flags=SLOT_2 | kind,
            stream=0x2000,
            burst=burst,
            ber=3,
            rssi=71,
        )


def embeddedControls(frames: Iterable[Frame]) -> list[FullLinkControl]:
    """
    The Link Control of each superframe.
    """
    bursts = [one.burst for one in frames if one.dataType is None and 1 <= one.flags & 0x0F <= 4]
    return [
        embedded.decode([fragment(burst) for burst in bursts[place : place + 4]])
        for place in range(0, len(bursts), 4)
    ]


def received(frames: Iterable[Frame]) -> tuple[UnconfirmedHeader | ConfirmedHeader, bytes]:
    """
    The header and what the message carries, its checks passed.
    """
    rest = [one for one in frames if one.dataType != CSBK]
    header = decodeHeader(bptc.decode(information(rest[0].burst)))
    assert isinstance(header, UnconfirmedHeader | ConfirmedHeader)
    assembly = Assembly(header)
    for frame in rest[1:]:
        assert frame.dataType is not None
        assembly.add(frame.dataType, information(frame.burst))
    return header, assembly.payload()


def text(frames: Iterable[Frame]) -> TextMessage | TextAnswer:
    """
    What a text says, or answers.
    """
    said = decodeApplication(Datagram.decode(received(frames)[1]))
    assert isinstance(said, TextMessage | TextAnswer)
    return said


def answer(source: int, destination: int) -> Iterator[Frame]:
    """
    A radio's answer to a text.
    """
    datagram = applicationDatagram(TextAnswer(9), source=source, destination=destination)
    payload = datagram.encode()
    header = unconfirmedHeader(payload, destination=destination, source=source)
    return asHostsSend(dataCall(header, payload, stream=1), 0x5000)


class PlainTests(AcrossTestCase):
    """
    Over a bridge that speaks the plain protocol, with the same numbers everywhere.
    """

    def test_groupControl(self) -> None:
        """
        Control signalling to a talkgroup arrives bit for bit, of any kind.
        """
        self.build()
        wake = Preamble(TALKGROUP, NEAR_RADIO, 3, group=True).encode()
        addresses = TALKGROUP.to_bytes(3, "big") + NEAR_RADIO.to_bytes(3, "big")
        alert = ControlBlock(0x1F, b"\0\x10" + addresses, fid=0x10).encode()
        other = ControlBlock(0x2A, bytes(range(8)), fid=0x68).encode()
        for stream, block in enumerate((wake, alert, other), 0x900):
            frames = self.control(block, NEAR_RADIO, TALKGROUP, stream)
            said = self.say(self.near, frames)
            self.assertSame(self.far.heard, said)
            self.assertEqual(bptc.decode(information(self.far.heard[0].burst)), block)
            self.far.heard.clear()

    def test_groupText(self) -> None:
        """
        A text to a talkgroup arrives, all its streams, and says what it said.
        """
        self.build()
        frames = textCall(
            "Grüße an alle", source=NEAR_RADIO, destination=TALKGROUP, stream=1, group=True
        )
        said = self.say(self.near, asHostsSend(frames, 0x3000))
        self.assertGreater(len({one.stream for one in said}), 4)
        self.assertSame(self.far.heard, said)
        self.assertEqual(text(self.far.heard), TextMessage("Grüße an alle"))

    def test_privateText(self) -> None:
        """
        A private text finds the radio behind the bridge, and its answer finds the way back.
        """
        self.build()
        frames = textCall("QSY?", source=NEAR_RADIO, destination=FAR_RADIO, stream=1, sequence=9)
        said = self.say(self.near, asHostsSend(frames, 0x4000))
        self.assertSame(self.far.heard, said)
        self.assertEqual(text(self.far.heard), TextMessage("QSY?", 9))
        back = self.say(self.far, answer(FAR_RADIO, NEAR_RADIO))
        self.assertSame(self.near.heard, back)
        self.assertEqual(text(self.near.heard), TextAnswer(9))
        self.assertEqual(len(self.far.heard), len(said))

    def test_confirmed(self) -> None:
        """
        A confirmed message of rate 3/4 arrives with the serial number and check of each block, and
        the receiver's response comes back.
        """
        self.build()
        said = self.say(self.near, confirmed(NEAR_RADIO, FAR_RADIO))
        self.assertSame(self.far.heard, said)
        header, payload = received(self.far.heard)
        self.assertEqual((header, payload), received(said))
        self.assertEqual(payload, bytes(range(90)))
        response = ResponseHeader(destination=NEAR_RADIO, source=FAR_RADIO, status=5)
        back = self.say(self.far, asHostsSend(dataCall(response, b"", stream=1), 0x5000))
        self.assertSame(self.near.heard, back)
        last = decodeHeader(bptc.decode(information(self.near.heard[-1].burst)))
        self.assertEqual(last, response)

    def test_voice(self) -> None:
        """
        What a radio sends along with its voice arrives bit for bit: options and feature set, all
        blocks of the talker's alias, the position.
        """
        self.build()
        said = self.say(self.near, callWithEverything())
        self.assertSame(self.far.heard, said)
        self.assertCarried(self.far.heard, TALKGROUP)

    def assertCarried(self, heard: list[Frame], destination: int) -> None:
        """
        A call carries everything, and is to a talkgroup in all its parts.
        """
        lc = FullLinkControl(0, 0x10, 0x28, destination, NEAR_RADIO)
        self.assertEqual(decodeVoiceHeader(heard[0].burst), lc)
        data = reedsolomon.decode(
            bptc.decode(information(heard[-1].burst)), reedsolomon.TERMINATOR_MASK
        )
        self.assertEqual(FullLinkControl.fromBytes(data), lc)
        controls = embeddedControls(heard)
        self.assertEqual(controls[::2], [lc] * 6)
        blocks = {one.flco - 4: one.toBytes()[2:] for one in controls[1:8:2]}
        self.assertEqual(decodeTalkerAlias(blocks), ALIAS)
        self.assertEqual(controls[9].flco, POSITION_OPCODE)
        self.assertEqual(controls[9].toBytes()[2:], POSITION)


class EnhancedTests(PlainTests):
    """
    The same over a bridge that speaks the enhanced protocol, which carries error rate and field
    strength too.
    """

    enhanced = True


class TranslatedTests(PlainTests):
    """
    With other numbers beyond the bridge.
    """

    def build(self, translation: Translation | None = None) -> None:
        """
        The far talkgroup is another one, and another one there is the near radio.
        """
        super().build(
            Translation(
                [
                    Rule(Form(THERE), Form(TALKGROUP)),
                    Rule(Form(CALLED), Form(NEAR_RADIO, True)),
                ]
            )
        )

    def test_groupControl(self) -> None:
        """
        Control signalling names the other talkgroup where it names one, and is otherwise the same.
        """
        self.build()
        addresses = TALKGROUP.to_bytes(3, "big") + NEAR_RADIO.to_bytes(3, "big")
        blocks = (
            ControlBlock(0x3D, b"\xc0\3" + addresses),
            ControlBlock(0x1F, b"\0\x10" + addresses, fid=0x10),
        )
        for stream, block in enumerate(blocks, 0x900):
            frames = self.control(block.encode(), NEAR_RADIO, TALKGROUP, stream)
            said = self.say(self.near, frames)
            self.assertAddressed(self.far.heard, said, Form(THERE))
            self.assertEqual(
                ControlBlock.decode(bptc.decode(information(self.far.heard[0].burst))),
                block.readdressed(THERE, NEAR_RADIO, True),
            )
            self.far.heard.clear()
        other = ControlBlock(0x2A, bytes(range(8)), fid=0x68)
        (frame,) = self.control(other.encode(), NEAR_RADIO, TALKGROUP, 0x905)
        self.say(self.near, [frame])
        self.assertEqual([one.burst for one in self.far.heard], [frame.burst])

    def test_groupText(self) -> None:
        """
        A text to a talkgroup is to the other one there, in its preamble and its header; the
        message is the same.
        """
        self.build()
        frames = textCall(
            "Grüße an alle", source=NEAR_RADIO, destination=TALKGROUP, stream=1, group=True
        )
        said = self.say(self.near, asHostsSend(frames, 0x3000))
        self.assertAddressed(self.far.heard, said, Form(THERE))
        header, payload = received(said)
        self.assertEqual(received(self.far.heard), (replace(header, destination=THERE), payload))
        for frame in self.far.heard:
            if frame.dataType == CSBK:
                preamble = Preamble.decode(bptc.decode(information(frame.burst)))
                self.assertEqual((preamble.destination, preamble.group), (THERE, True))

    def test_privateText(self) -> None:
        """
        A text to a talkgroup there that is a radio here arrives as a private one, in its preamble
        and its header; the answer, which is not to that number, passes bit for bit.
        """
        self.build()
        frames = textCall("QSY?", source=FAR_RADIO, destination=CALLED, stream=1, group=True)
        said = self.say(self.far, asHostsSend(frames, 0x4000))
        self.assertAddressed(self.near.heard, said, Form(NEAR_RADIO, True))
        header, payload = received(said)
        self.assertEqual(
            received(self.near.heard),
            (replace(header, destination=NEAR_RADIO, group=False), payload),
        )
        preamble = Preamble.decode(bptc.decode(information(self.near.heard[0].burst)))
        self.assertEqual((preamble.destination, preamble.group), (NEAR_RADIO, False))
        back = self.say(self.near, answer(NEAR_RADIO, FAR_RADIO))
        self.assertSame(self.far.heard, back)

    def test_confirmed(self) -> None:
        """
        Of a confirmed message the addresses in preamble and header are others, its blocks with
        their serial numbers and checks are the same bit for bit.
        """
        self.build()
        said = self.say(self.far, confirmed(FAR_RADIO, CALLED, group=True))
        heard = self.near.heard
        self.assertAddressed(heard, said, Form(NEAR_RADIO, True))
        header, payload = received(said)
        expected = replace(header, destination=NEAR_RADIO, group=False)
        self.assertEqual(received(heard), (expected, payload))
        blocks = [[one.burst for one in each if one.dataType == RATE_34] for each in (said, heard)]
        self.assertEqual(len(blocks[0]), 6)
        self.assertEqual(*blocks)

    def test_voice(self) -> None:
        """
        A call is to the other talkgroup in header, terminator and each superframe that tells it;
        alias, position, options and feature set stay, and so do the vocoder's bits.
        """
        self.build()
        said = self.say(self.near, callWithEverything())
        self.assertAddressed(self.far.heard, said, Form(THERE))
        self.assertCarried(self.far.heard, THERE)
        for before, after in zip(said, self.far.heard, strict=True):
            if before.dataType is None:
                self.assertEqual(before.burst[:13], after.burst[:13])
                self.assertEqual(before.burst[20:], after.burst[20:])
        carried = [embeddedControls(each)[1::2] for each in (said, self.far.heard)]
        self.assertEqual(*carried)
