"""
Tests that Wireshark shows FastForward's packets with C{etc/wireshark/fastforward.lua} as the code
means them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import pairwise
from random import Random
from typing import Any, Final

from bmff.ctl.main import Options
from bmff.testing.mutation import mutations
from bmff.wire.fastforward import link
from bmff.wire.fastforward.control import ControlSender
from bmff.wire.fastforward.interest import Told, encode
from bmff.wire.fastforward.keylog import CLEAR, LoggedSession
from bmff.wire.fastforward.messages import (
    TIME_SIZE,
    Acknowledgement,
    Copies,
    Missing,
)
from bmff.wire.fastforward.prologue import Prologue
from bmff.wire.fastforward.pulse import PROBE
from bmff.wire.fastforward.session import HEADER_SIZE, TAG_SIZE, Session
from tests.pcaps import PORT, ethernet, ipv4, ipv6, pcap, tcp
from tests.wire.fastforward.handshakes import (
    INDEX,
    NODE,
    PEER,
    PEER_INDEX,
    begin,
)
from tests.wireshark import (
    BURST,
    COLUMN,
    MEASUREMENT,
    MESSAGES,
    ROW,
    TIME,
    WiresharkCase,
    clear,
    frame,
    messagesIn,
    segment,
)


class HandshakeTests(WiresharkCase):
    """
    Packets that make a session.
    """

    def test_handshake(self) -> None:
        """
        A handshake is shown with who speaks to whom, under which key, and with its parts.
        """
        handshake = begin()
        initiation = handshake.initiation()
        response = self.accept(initiation).answer
        self.assertEqual(
            self.words([ipv4(initiation), ipv4(response)]),
            [f"initiation {PEER} > {NODE} key group", f"response {NODE} > {PEER}"],
        )
        first, second = self.details()
        self.shows(
            first,
            type="1",
            sender_index=f"0x{PEER_INDEX:08x}",
            version="bmff-ff-1",
            environment="network",
            initiator=str(PEER),
            responder=str(NODE),
            key="group",
            transport="udp",
            mac1=initiation[-32:-16].hex(":"),
            mac2=bytes(16).hex(":"),
        )
        at = 5 + len(handshake.prologue.encode())
        self.shows(
            first,
            ephemeral=initiation[at : at + 32].hex(":"),
            greeting=initiation[at + 32 : -32].hex(":"),
        )
        self.shows(
            second,
            type="2",
            sender_index=f"0x{INDEX:08x}",
            index=f"0x{PEER_INDEX:08x}",
            initiator=str(PEER),
            responder=str(NODE),
            ephemeral=response[9:41].hex(":"),
            greeting=response[41:-16].hex(":"),
            mac1=response[-16:].hex(":"),
        )

    def test_cookie(self) -> None:
        """
        A cookie reply is shown, and that the next initiation has the cookie.
        """
        handshake = begin()
        self.crowd()
        reply = self.demand(handshake.initiation())
        again = handshake.initiation(handshake.cookieReceived(reply))
        self.assertEqual(
            self.words([ipv4(handshake.initiation()), ipv4(reply), ipv4(again)]),
            [
                f"initiation {PEER} > {NODE} key group",
                f"cookie reply {NODE} > {PEER}",
                f"initiation {PEER} > {NODE} key group, with a cookie",
            ],
        )
        _, found, _ = self.details()
        self.shows(
            found,
            type="3",
            index=f"0x{PEER_INDEX:08x}",
            nonce=reply[5:21].hex(":"),
            cookie=reply[21:37].hex(":"),
            tag=reply[37:].hex(":"),
        )

    def test_texts(self) -> None:
        """
        Texts of any length and in any script are shown, an empty environment too.
        """
        prologue = Prologue("", 0xFFFFFFFF, 1, "Schlüssel", "t" * 16)
        initiation = begin(prologue, self.responder._keys("group")).initiation()
        (found,) = self.fields(initiation)
        self.shows(found, environment="", initiator=str(0xFFFFFFFF), key="Schlüssel")
        self.shows(found, transport="t" * 16, mac2=bytes(16).hex(":"))

    def test_withoutBeginning(self) -> None:
        """
        Where the initiation was not captured a session is shown by its indexes.
        """
        response = self.accept(begin().initiation()).answer
        self.assertEqual(
            self.words([ipv4(response), ipv4(clear(b"", index=0xAB, counter=1))]),
            [f"response {INDEX:08x} > {PEER_INDEX:08x}", "no message"],
        )


class MessageTests(WiresharkCase):
    """
    Messages in the clear.
    """

    def message(self, message: bytes) -> dict[str, Any]:
        """
        The fields of one.
        """
        (found,) = self.fields(clear(message))
        self.shows(found, type=str(CLEAR), index=f"0x{INDEX:08x}", counter="0")
        self.shows(found, send_time="1000000")
        return dict(found["fastforward.message"])

    def test_frames(self) -> None:
        """
        A frame is told in words: who to whom, private or not, on which slot, and what.
        """
        frames = {
            "frame 2621001 > 91 slot 2 voice B": (0x81, 91),
            "frame 2621001 > 91 slot 1 voice A": (0x10, 91),
            "frame 2621001 > 91 slot 1 voice F": (0x05, 91),
            "frame 2621001 > 91 slot 2 voice header": (0xA1, 91),
            "frame 2621001 > 91 slot 2 terminator": (0xA2, 91),
            "frame 2621001 > 2621002 private slot 2 data header": (0xE6, 2621002),
            "frame 2621001 > 91 slot 1 data type 15": (0x2F, 91),
        }
        packets = [
            ipv4(clear(frame(flags, destination=destination)))
            for flags, destination in frames.values()
        ]
        self.assertEqual(self.words(packets), list(frames))

    def test_frame(self) -> None:
        """
        A frame is shown with all its fields.
        """
        found = self.message(frame(0xE6, destination=2621002))
        self.shows(
            found,
            message__kind="1",
            frame__index="5",
            frame__source="2621001",
            frame__destination="2621002",
            frame__flags="0xe6",
            frame__slot="2",
            frame__private="1",
            frame__type="2",
            frame__data_type="6",
            frame__voice=None,
            frame__stream="0xcafe0001",
            frame__burst=BURST.hex(":"),
            frame__ber="3",
            frame__rssi="-47",
        )
        found = self.message(frame(0x13, rssi=0))
        self.shows(found, frame__slot="1", frame__private="0", frame__type="1", frame__voice="3")
        self.shows(found, frame__data_type=None, frame__rssi="0")

    def test_measurement(self) -> None:
        """
        A measurement is shown with all its fields, and with bytes that a later version may add.
        """
        found = self.message(MEASUREMENT.encode())
        self.shows(
            found,
            message__kind="4",
            measurement__time="4000000000",
            measurement__echo="2",
            measurement__hold="3",
            measurement__highest=str(1 << 40),
            measurement__received="5",
            measurement__sent="6",
            measurement__lag="7",
            measurement__load="8",
            measurement__interest_version="9",
            measurement__interest_digest="0xfedcba9876543210",
            measurement__seen_at="192.0.2.1:54000",
            measurement__transports="udp,tcp,é",
            message__rest=None,
        )
        body = MEASUREMENT.encode()[3:] + b"later"
        found = self.message(b"\4" + len(body).to_bytes(2, "big") + body)
        self.shows(found, measurement__transports="udp,tcp,é", message__rest=b"later".hex(":"))
        self.assertNotIn("_ws.expert", json.dumps(found))

    def test_others(self) -> None:
        """
        The other messages are shown, also many in one packet, and one that is not known by its
        kind and size.
        """
        packet = clear(*MESSAGES.values(), frame(0xA1))
        words = [*MESSAGES, "frame 2621001 > 91 slot 2 voice header"]
        self.assertEqual(self.words([ipv4(packet)]), [", ".join(words)])
        (found,) = self.details()
        part, _, *rest, unknown, _ = found["fastforward.message"]
        acknowledgement, _, goodbye, challenge, probe, answer, missing, copies = rest
        self.shows(part, segment__number="7", segment__last="1")
        self.shows(part, segment__row=f"0x{ROW:08x}", segment__other="0x0000abcd")
        self.shows(acknowledgement, acknowledgement__number="8")
        self.shows(acknowledgement, acknowledgement__row=f"0x{ROW:08x}")
        self.shows(goodbye, goodbye__reason="the node stops")
        self.shows(challenge, challenge__bits="0x0123456789abcdef")
        self.shows(probe, challenge__bits="0x0000000000000000")
        self.shows(answer, answer__bits="0x0123456789abcdef")
        self.shows(missing, missing__session=f"0x{INDEX:08x}", missing__after="25")
        self.shows(missing, missing__counter=["5", "7", "20"])
        self.shows(copies, copies__session=f"0x{INDEX:08x}", copies__counter="5")
        self.shows(unknown, message__kind="200", message__size="3", message__body="61:62:63")

    def test_repair(self) -> None:
        """
        What is asked for again is shown by its counters, and what is sent again as the frames that
        it is.
        """
        high = 1 << 60
        texts: dict[str, Missing | Copies] = {
            "missing 1152921504606846976 1152921504606847231": Missing(1, (high, high + 255)),
            "missing and all from 0": Missing(1, (), 0),
            "missing": Missing(1, ()),
            "copies of packet 1152921504606846976: frame 2621001 > 91 slot 2 voice header, "
            "frame 2621001 > 91 slot 2 voice A": Copies(1, high, frame(0xA1) + frame(0x90)),
        }
        packets = [ipv4(clear(message.encode())) for message in texts.values()]
        self.assertEqual(self.words(packets), list(texts))
        *_, found = (each["fastforward.message"] for each in self.details())
        header, voice = found["fastforward.message"]
        self.shows(header, frame__flags="0xa1")
        self.shows(voice, frame__flags="0x90", frame__burst=BURST.hex(":"))

    def test_control(self) -> None:
        """
        A control message that is whole in one segment is shown with what it says.
        """
        places = [
            link.RadioLocation(2621001, 262100101, 2, 1.5),
            link.RadioLocation(2621002, 262100102, 1, 0.0),
        ]
        rows = b"".join(
            link._location.pack(each.radio, each.peer, each.slot, int(each.age * 10))
            for each in places
        )
        controls = {
            "interest: 1 added, 1 removed": bytes((1,)) + encode(Told(2, False, [2621], [91])),
            "locations of 2": bytes((2,)) + rows,
            "application weather, 4 bytes": b"\3\7weatherrain",
            "whole wanted": b"\4",
            "unknown control message (kind 77)": b"\x4dabc",
        }
        packets = [clear(segment(number, data)) for number, data in enumerate(controls.values(), 1)]
        self.assertEqual(
            self.words(list(map(ipv4, packets))),
            [f"segment {number}: {text}" for number, text in enumerate(controls, 1)],
        )
        interest, locations, application, wanted, _ = (
            each["fastforward.message"]["fastforward.control"] for each in self.details()
        )
        self.shows(interest, control__kind="1", interest__version="2", interest__flags="0x00")
        self.shows(interest, interest__added="2621", interest__removed="91")
        first, second = locations["fastforward.location"]
        self.shows(first, location__radio="2621001", location__peer="262100101")
        self.shows(first, location__slot="2", location__age="15")
        self.shows(second, location__radio="2621002", location__slot="1", location__age="0")
        self.shows(application, application__name="weather", application__payload="72:61:69:6e")
        self.shows(wanted, control__kind="4")

    def test_parts(self) -> None:
        """
        Parts of a long control message are not taken for whole ones, whatever they begin with.
        """
        sender = ControlSender(ROW)
        sender.send(bytes((link.APPLICATION, 1)) + b"\4" * 2500)
        sender.send(bytes((link.WHOLE_WANTED,)))
        packets = [clear(each.encode()) for each in sender.outgoing(0.0, 0.0)]
        # The other direction has numbers of its own.
        other = ipv4(clear(segment(3, b"\4")), source=2, to=1)
        self.assertEqual(
            self.words([*map(ipv4, packets), other]),
            [
                "segment 1, part of a control message",
                "segment 2, part of a control message",
                "segment 3, the last part of a control message",
                "segment 4: whole wanted",
                "segment 3: whole wanted",
            ],
        )


class DecryptTests(WiresharkCase):
    """
    Sealed packets, as they are and after C{bmffctl decrypt}.
    """

    def test_decrypt(self) -> None:
        """
        What two nodes say in a session is sealed in a capture, and with the key log of one of them
        it is shown, in packets whose sizes and checksums are right.
        """
        handshake = begin()
        accepted = self.accept(handshake.initiation())
        established = handshake.responseReceived(accepted.answer)
        keys, indexes = established.keys, (established.localIndex, established.remoteIndex)
        here = Session(keys.send, keys.receive, *indexes, initiator=True, now=0.0)
        there = Session(keys.receive, keys.send, *indexes[::-1], initiator=False, now=0.0)
        packets = [
            ipv4(handshake.initiation()),
            ipv4(accepted.answer),
            ipv4(here.seal(TIME + MEASUREMENT.encode() + frame(0x81))),
            ipv6(here.seal(TIME + b"".join(MESSAGES.values()))),
            ipv4(there.seal(TIME + Acknowledgement(ROW, 5).encode()), source=2, to=1),
        ]
        self.capture.write_bytes(pcap(map(ethernet, packets), 1))
        sealed = self.tshark("-o", COLUMN).splitlines()
        self.assertEqual(
            sealed[2:],
            [
                f"data > {NODE} packet 0, {len(packets[2]) - 41} bytes sealed",
                f"data > {NODE} packet 1, {len(packets[3]) - 61} bytes sealed",
                f"data > {PEER} packet 0, {len(packets[4]) - 41} bytes sealed",
            ],
        )
        log, output = self.folder / "keys.log", self.folder / "out.pcap"
        log.touch(0o600)
        log.write_text(LoggedSession.of(established).encode() + "\n")
        options = Options()
        options.parseOptions(["decrypt", str(self.capture), str(log), str(output)])
        self.patch(sys, "stdout", StringIO())
        self.assertEqual(options.subOptions.run(), 0)
        self.capture = output
        checks = ("-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
        self.assertEqual(
            self.tshark("-o", COLUMN, *checks).splitlines(),
            [
                *sealed[:2],
                "measurement, frame 2621001 > 91 slot 2 voice B",
                ", ".join(MESSAGES),
                "acknowledgement 5",
            ],
        )
        columns = ("ip.checksum.status", "udp.checksum.status", "_ws.expert.message")
        shown = ("-T", "fields", *(word for column in columns for word in ("-e", column)))
        found = self.tshark(*checks, *shown, "-E", "separator=/s").splitlines()
        unknown = found.pop(3)
        self.assertEqual(found, ["1 1 "] * 4)  # good, good, nothing to say
        self.assertTrue(unknown.startswith(" 1 unknown message (kind 200), 3 bytes"), unknown)
        *_, data, _, _ = self.details()
        self.shows(data, to=str(NODE), counter="0", send_time="1000000", tag=None)


class HostileTests(WiresharkCase):
    """
    Packets that are not what they should be.
    """

    def packets(self) -> Iterator[bytes]:
        """
        Good packets of every type.
        """
        handshake = begin()
        yield handshake.initiation()
        yield self.accept(handshake.initiation()).answer
        yield bytes((3,)) + bytes(range(52))
        yield bytes((4,)) + clear(frame(1))[1:] + bytes(16)
        yield clear(frame(0xA1), *MESSAGES.values(), frame(0x81))
        yield clear(segment(1, b"\2" + bytes(26)))
        yield clear(segment(2, b"\3\7weatherrain"))

    def malformed(self, packets: Sequence[bytes]) -> list[bool]:
        """
        Which of them tshark says to be malformed.
        """
        self.capture.write_bytes(pcap(map(ipv4, packets)))
        said = self.said()
        self.assertEqual(len(said), len(packets))
        return ["(Error/Malformed)" in each for each in said]

    def said(self) -> list[str]:
        """
        All that tshark can say of each packet of the capture.
        """
        _, *said = f"\n{self.tshark('-V')}".split("\nFrame ")
        return said

    def test_good(self) -> None:
        """
        Nothing is said of good packets.
        """
        self.assertNotIn(True, self.malformed(list(self.packets())))

    def test_cuts(self) -> None:
        """
        A packet that ends too early is said to be malformed, except where a message ends, and but
        for a sealed part that may have any size.
        """
        cuts, expected = [], []
        prologue = len(begin().prologue.encode())
        for packet in self.packets():
            # What of a packet of this type has to be there; what is sealed may have any size.
            smallest = {
                1: 5 + prologue + 32 + 3 * TAG_SIZE,
                2: 9 + 32 + 2 * TAG_SIZE,
                4: HEADER_SIZE + TIME_SIZE + TAG_SIZE,
            }
            good: Sequence[int] = range(smallest.get(packet[0], len(packet)), len(packet))
            if packet[0] == CLEAR:
                good = messagesIn(packet)
            for size in range(1, len(packet)):
                cuts.append(packet[:size])
                expected.append(size not in good)
        found = self.malformed(cuts)
        wrong = [
            cut.hex() for cut, one, two in zip(cuts, found, expected, strict=True) if one != two
        ]
        self.assertEqual(wrong, [])

    def test_types(self) -> None:
        """
        Types that no packet has, sizes that are too large and flags that no frame has are said to
        be malformed.
        """
        reply = bytes((3,)) + bytes(53)
        control = segment(1, b"\4more")
        packets = [
            *(bytes((kind,)) + bytes(100) for kind in (0, 5, 0x83, 0x85, 255)),
            reply,
            clear(frame(0x30)),
            clear(frame(0x06)),
            clear(b"\3\0\x0aabcdefghij"),
            clear(b"\x08\0\x35" + bytes(53)),
            clear(Copies(1, 2, PROBE.encode()).encode()),
            clear(control),
            b"\1" + bytes(4) + b"wireguard" + bytes(120),
        ]
        self.assertNotIn(False, self.malformed(packets))
        interest = encode(Told(1, True, [91], []))
        many = interest[:5] + b"\xff" * 8 + interest[13:]
        self.assertEqual(self.malformed([clear(segment(1, b"\1" + many))]), [True])

    def test_mutations(self) -> None:
        """
        Whatever a packet is, the script shows it without an error.
        """
        good = list(self.packets())
        random = Random(1)
        garbage = [
            bytes((1, 2, 3, 4, CLEAR)[n % 5 :][:1]) + random.randbytes(n) for n in range(400)
        ]
        self.assertGreater(sum(self.malformed([*mutations(1, good, 2000), *garbage])), 500)

    def test_notWhole(self) -> None:
        """
        Of packets that were not captured whole what there is is shown, and that the rest is not
        their fault.
        """
        packets = list(map(ipv4, self.packets()))
        for limit in (29, 45, 96):
            self.capture.write_bytes(pcap(packets, limit=limit))
            cut = [len(packet) > limit for packet in packets]
            said = self.said()
            self.assertEqual(["(Note/Protocol)" in each for each in said], cut)
            self.assertNotIn("(Error/Malformed)", "".join(said))


class PlaceTests(WiresharkCase):
    """
    Which packets are FastForward's.
    """

    PLACE: Final = (40001, 40002)

    def test_ports(self) -> None:
        """
        The ports are those of the preference.
        """
        packets = [
            ipv4(clear(PROBE.encode(), index=0), ports=ports)
            for ports in ((PORT, 1), (PORT + 1, 1), (PORT + 2, 1))
        ]
        here, there, beside = self.words(packets)
        self.assertEqual([here, there[:7], beside[:7]], ["probe", "54001 →", "54002 →"])
        preference = ("-o", f"fastforward.ports:{PORT + 1}-{PORT + 2}")
        here, there, beside = self.words(packets, *preference)
        self.assertEqual([here[:7], there, beside], ["54000 →", "probe", "probe"])

    def test_decodeAs(self) -> None:
        """
        A port that the user names is FastForward's.
        """
        packet = ipv4(clear(PROBE.encode(), index=0), ports=self.PLACE)
        self.assertNotEqual(self.words([packet]), ["probe"])
        self.assertEqual(self.words([packet], "-d", "udp.port==40001,fastforward"), ["probe"])

    def test_heuristic(self) -> None:
        """
        On other ports packets are known by their look, and then all between the same two.
        """
        handshake = begin()
        initiation = handshake.initiation()
        response = self.accept(initiation).answer
        sealed = Session(bytes(32), bytes(32), 1, INDEX, initiator=True, now=0.0).seal(TIME)
        packets = [
            ipv4(initiation, ports=self.PLACE),
            ipv4(response, ports=self.PLACE[::-1], source=2, to=1),
            ipv4(bytes(9), ports=self.PLACE),
            ipv4(sealed, ports=(40003, 40004)),
            ipv4(clear(PROBE.encode()), ports=(40005, 40006)),
        ]
        self.assertEqual(
            self.words(packets),
            [
                f"initiation {PEER} > {NODE} key group",
                f"response {NODE} > {PEER}",
                "unknown type 0, malformed",
                f"data > {NODE} packet 0, 20 bytes sealed",
                "probe",
            ],
        )

    def test_foreign(self) -> None:
        """
        Other protocols on other ports are left to those who know them, WireGuard among them.
        """
        wireguard = b"\4\0\0\0" + bytes(range(1, 5)) + bytes(8) + bytes(48)
        packets = [
            b"\4\1\2\3\4" + bytes(range(1, 60)),
            b"\1\0\0\0" + bytes(144),
            bytes((2,)) + bytes(80),
            bytes((3,)) + bytes(52),
            b"\4",
            b"\x84\1\2",
            wireguard,
        ]
        found = self.words([ipv4(packet, ports=self.PLACE) for packet in packets])
        self.assertEqual(len(found), len(packets))
        self.assertEqual(self.tshark("-Y", "fastforward"), "")
        self.assertIn("wireguard", "".join(found).lower() + self.tshark("-Y", "wg").lower())

    def test_tcp(self) -> None:
        """
        On TCP packets are found by their sizes, wherever the segments of TCP end.
        """
        initiation = begin().initiation()
        stream = b"".join(
            len(packet).to_bytes(2, "big") + packet
            for packet in (initiation, clear(frame(0xA1)), clear(PROBE.encode()))
        )
        cuts = (0, 100, 200, len(stream))
        first, second, last = self.words(
            [tcp(stream[at:end], 1 + at) for at, end in pairwise(cuts)]
        )
        self.assertIn(f"initiation {PEER} > {NODE} key group", first + second)
        self.assertTrue(last.endswith("frame 2621001 > 91 slot 2 voice header; probe"), last)
