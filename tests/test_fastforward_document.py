"""
Tests that C{docs/fastforward.md} says what the code does: its examples, its tables, its numbers.
"""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from mmap import mmap
from types import ModuleType
from typing import Final

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bmff import linkservice
from bmff.cluster import choice, cluster, logins, networks, search, ways
from bmff.dmr.numbers import isLocal
from bmff.events import PeerRegistered
from bmff.protocols import connection, fastforward
from bmff.router import locations, remains, router
from bmff.sockets import descriptor, ring
from bmff.transports import connected, shm, shmconnection, shmhello, strangers, udp, unix
from bmff.wire.fastforward import (
    arrivals,
    capabilities,
    control,
    cookie,
    gaps,
    handshake,
    interest,
    keylog,
    link,
    messages,
    noise,
    order,
    path,
    prologue,
    pulse,
    quality,
    session,
    sessions,
    waiting,
)
from bmff.wire.fastforward.capabilities import Capabilities
from bmff.wire.fastforward.interest import Change, Interest
from bmff.wire.fastforward.link import RadioLocation
from bmff.wire.fastforward.messages import (
    Acknowledgement,
    Answer,
    Challenge,
    Copies,
    Goodbye,
    Measurement,
    Missing,
    Segment,
)
from bmff.wire.fastforward.prologue import Prologue
from tests.conversation import CHALLENGE, MISSING, Conversation

DOCUMENT: Final = pathlib.Path(__file__).parent.parent / "docs" / "fastforward.md"
LONGEST_LINE: Final = 120

# Whose constants an implementer has to know, every one of them.
SPOKEN: Final = (
    *(arrivals, capabilities, control, cookie, gaps, handshake, interest, keylog, link),
    *(messages, noise, order, path, prologue, pulse, quality, session, sessions, waiting),
    *(connection, fastforward, choice, cluster, logins, networks, search, ways),
    *(ring, shm, shmconnection, shmhello),
)

# The rows of the document's tables of timers and limits, and what they stand for.
CONSTANTS: Final[dict[str, tuple[ModuleType, str]]] = {
    "initiation sent anew": (connection, "REPEAT"),
    "handshake given up": (connection, "GIVE_UP"),
    "connection without a session": (connection, "UNKNOWN_TIME"),
    "between challenges": (connection, "CHALLENGE_INTERVAL"),
    "session age at which its initiator rekeys": (session, "REKEY_INITIATOR"),
    "session age at which its responder rekeys": (session, "REKEY_RESPONDER"),
    "packets after which the initiator rekeys": (session, "REKEY_PACKETS"),
    "session age at which sending stops": (session, "LIFETIME"),
    "replaced session still read": (session, "READ_AFTER"),
    "replaced sessions still read": (sessions, "MOST_OLD"),
    "replay window": (session, "WINDOW"),
    "cookie secret changes": (cookie, "COOKIE_PERIOD"),
    "initiations without a cookie": (cookie, "LARGEST_RATE"),
    "time stamps remembered": (handshake, "LARGEST_TIMESTAMPS"),
    "key gone until its sessions end": (fastforward, "KEY_GRACE"),
    "boot ID must not come back": (fastforward, "DUPLICATE"),
    "connections": (fastforward, "MOST_CONNECTIONS"),
    "coarseness of timers": (fastforward, "TICK"),
    "measurement while busy": (path, "BUSY"),
    "measurement while idle": (path, "IDLE"),
    "busy after a frame": (pulse, "STILL_BUSY"),
    "silence until an idle path is probed": (pulse, "SILENCE"),
    "silence until a busy path is probed": (pulse, "BUSY_SILENCE"),
    "between probes of an idle path": (pulse, "PROBE_INTERVAL"),
    "between probes of a busy path": (pulse, "BUSY_PROBE_INTERVAL"),
    "between probes of a path in doubt": (pulse, "DOUBT_INTERVAL"),
    "probes until a path is dead": (pulse, "PROBES"),
    "probes until a path in doubt is dead": (pulse, "DOUBTS"),
    "first packet of an expected session": (pulse, "EXPECTED"),
    "second copy alone, and measurement after frames": (path, "SECOND_COPY"),
    "between looks at a path that is awake": (path, "AWAKE"),
    "packets kept": (path, "KEPT"),
    "packet is kept": (path, "KEPT_TIME"),
    "paths left of which packets are kept": (link, "MOST_FORMER"),
    "packets sent again for one question": (link, "MOST_COPIES"),
    "rows that are over and not begun again": (control, "MOST_ROWS"),
    "counters in a question": (messages, "MISSING_SPAN"),
    "missing packet is asked for": (gaps, "LIFE"),
    "asked again after a round trip and": (gaps, "ASK_AGAIN"),
    "round trip of a question, at least": (gaps, "SHORTEST_ROUND_TRIP"),
    "window of the fastest packet": (arrivals, "WINDOW"),
    "step of the lateness": (arrivals, "STEP"),
    "packets that are not later": (arrivals, "QUANTILE"),
    "longest lateness and patience": (arrivals, "LATEST"),
    "longest wait before a question": (arrivals, "LONGEST_WAIT"),
    "gaps that close by themselves": (arrivals, "OFTEN"),
    "frame is held": (order, "LONGEST"),
    "between looks at calls that are silent": (order, "SWEEP"),
    "calls known on a link": (order, "MOST_CALLS"),
    "loss above which frames are sent twice": (quality, "REDUNDANT_ABOVE"),
    "loss below which that ends": (quality, "REDUNDANT_BELOW"),
    "loss has to be below for": (quality, "REDUNDANT_TIME"),
    "between looks at sessions to be renewed": (fastforward, "RENEWAL"),
    "path left that is still read": (fastforward, "LEFT"),
    "own standstill after which the wait begins anew": (fastforward, "STALL"),
    "packet on datagrams": (path, "LARGEST_PACKET"),
    "packet on connections": (path, "LARGEST_STREAM_PACKET"),
    "frame waits for a full transport": (waiting, "LONGEST_WAIT"),
    "terminator waits for a full transport": (waiting, "LONGEST_END"),
    "frames that wait": (waiting, "MOST_WAITING"),
    "terminators that wait in addition": (waiting, "MOST_ENDS"),
    "data of a segment": (control, "SEGMENT_SIZE"),
    "segments under way": (control, "IN_FLIGHT"),
    "control message": (control, "LARGEST_MESSAGE"),
    "control messages that wait": (control, "LARGEST_QUEUE"),
    "first repetition of a segment": (control, "FIRST_REPEAT"),
    "slowest repetition of a segment": (control, "SLOWEST_REPEAT"),
    "talkgroups in an interest": (interest, "LARGEST"),
    "ranges in an interest": (interest, "LARGEST_RANGES"),
    "interests may differ, and between requests for the whole": (link, "PATIENCE"),
    "locations in a message": (link, "MOST_LOCATIONS"),
    "name of a handler": (link, "LONGEST_NAME"),
    "environment": (prologue, "LARGEST_ENVIRONMENT"),
    "key id": (prologue, "LARGEST_KEY_ID"),
    "transport name": (prologue, "LARGEST_TRANSPORT"),
    "key": (noise, "KEY_SIZE"),
    "tag in a handshake": (noise, "TAG_SIZE"),
    "Noise message beyond its payload": (noise, "OVERHEAD"),
    "mac1, mac2": (cookie, "MAC_SIZE"),
    "cookie": (cookie, "COOKIE_SIZE"),
    "data packet header": (session, "HEADER_SIZE"),
    "tag of a data packet": (session, "TAG_SIZE"),
    "send time": (messages, "TIME_SIZE"),
    "frame message": (messages, "FRAME_SIZE"),
    "head of any other message": (messages, "HEAD_SIZE"),
    "copies before their frames": (messages, "COPIES_SIZE"),
    "higher node ID waits": (ways, "HIGHER_WAITS"),
    "UDP without success until TCP is tried": (ways, "UDP_FAILS"),
    "first pause after a failure": (search, "FIRST_PAUSE"),
    "longest pause": (search, "LONGEST_PAUSE"),
    "longest pause, configured target": (search, "TARGET_PAUSE"),
    "path has lived long": (search, "LONG_LIFE"),
    "node's row in the registry counts": (ways, "ROW_LIFE"),
    "login is told to a new link": (logins, "YOUNG"),
    "name of a network": (networks, "LONGEST"),
    "networks of a node": (networks, "LARGEST"),
    "capabilities": (capabilities, "LARGEST"),
    "context ID of the host": (choice, "HOST"),
    "context ID in capabilities": (capabilities, "LARGEST_CID"),
    "locations told to a new link": (cluster, "LOCATIONS_TOLD"),
    "same location told again": (cluster, "LOCATION_INTERVAL"),
    "between looks at who is missing": (cluster, "TICK"),
    "first port number": (linkservice, "FIRST_PORT"),
    "one attempt to connect": (connected, "CONNECT_TIME"),
    "accepted connection without a handshake": (strangers, "STRANGER_TIME"),
    "such connections": (strangers, "MOST_STRANGERS"),
    "datagram that is read": (udp, "LARGEST"),
    "paths on UDP": (udp, "MOST_PATHS"),
    "packet that a stream's length can name": (descriptor, "LARGEST"),
    "between looks for packets that nobody rang for": (shmconnection, "LOOK_INTERVAL"),
    "slot of a ring": (ring, "SLOT"),
    "slots of a ring": (ring, "SLOTS"),
    "slots of the largest packet": (ring, "MOST"),
    "ring": (ring, "SIZE"),
    "memory of a path": (shmhello, "MEMORY"),
    "connections for shared memory that wait": (shm, "MOST_STRANGERS"),
    "record of an agreement on shared memory": (shmhello, "ROOM"),
    "user that is never trusted": (unix, "NOBODY"),
    "call without frames is over": (router, "SILENCE"),
    "stream is ignored after its end": (remains, "OWNED"),
    "radios whose location is known": (locations, "LARGEST"),
}

# The rows of the tables of packets, flags, messages and control messages.
KINDS: Final[dict[str, dict[str, tuple[ModuleType, str]]]] = {
    "type": {
        "initiation": (handshake, "INITIATION"),
        "response": (handshake, "RESPONSE"),
        "cookie reply": (cookie, "COOKIE"),
        "data": (session, "DATA"),
    },
    "file type": {"opened data": (keylog, "CLEAR")},
    "flag": {"trusts": (handshake, "TRUSTS")},
    "kind": {
        "frame": (messages, "FRAME"),
        "segment": (messages, "SEGMENT"),
        "acknowledgement": (messages, "ACKNOWLEDGEMENT"),
        "measurement": (messages, "MEASUREMENT"),
        "goodbye": (messages, "GOODBYE"),
        "challenge": (messages, "CHALLENGE"),
        "answer": (messages, "ANSWER"),
        "missing": (messages, "MISSING"),
        "copies": (messages, "COPIES"),
    },
    "control kind": {
        "interest": (link, "INTEREST"),
        "locations": (link, "LOCATIONS"),
        "application": (link, "APPLICATION"),
        "whole wanted": (link, "WHOLE_WANTED"),
    },
}

_EXAMPLE: Final = re.compile(r"^Example: (.+)\n```hex\n([0-9a-f\n]*)```$", re.MULTILINE)


def readExamples(text: str) -> dict[str, bytes]:
    """
    The blocks of hex of a document, by the name in the line above each.
    """
    found = [(name, bytes.fromhex(block)) for name, block in _EXAMPLE.findall(text)]
    assert len(found) == text.count("```hex") == len(dict(found)), "a block without its own name"
    return dict(found)


def readTables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """
    The tables of a document: the cells of the head, and those of each row.
    """
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        head, _, *rows = [
            [cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()
        ]
        yield head, rows


def number(cell: str) -> float:
    """
    A number as people write it.
    """
    return float(cell.replace(",", ""))


def constantsOf(module: ModuleType) -> set[str]:
    """
    The public numbers that a module itself defines.
    """
    tree = ast.parse(pathlib.Path(str(module.__file__)).read_text())
    names = (
        node.target.id
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    )
    return {
        name
        for name in names
        if not name.startswith("_") and isinstance(getattr(module, name), int | float)
    }


class DocumentCase(SynchronousTestCase):
    """
    The document, read.
    """

    def setUp(self) -> None:
        self.text = DOCUMENT.read_text()
        self.tables = list(readTables(self.text))
        self.examples = readExamples(self.text)

    def rows(self, head: str) -> list[list[str]]:
        """
        The rows of all tables whose first column is L{head}.
        """
        return [row for cells, rows in self.tables if cells[0] == head for row in rows]

    def converse(self) -> Conversation:
        """
        The examples, from the inputs that the document gives.
        """
        return Conversation({row[0]: row[1].strip("`") for row in self.rows("input")})

    def frameMessage(self) -> bytes:
        """
        The frame of the examples, without the send time before it.
        """
        return self.examples["the messages of packet 3"][messages.TIME_SIZE :]


class ExampleTests(DocumentCase):
    """
    The examples.
    """

    def test_made(self) -> None:
        """
        The code makes each example, to the byte, from the inputs in the document, and the document
        leaves none out.
        """
        made = self.converse().made
        self.assertEqual(sorted(self.examples), sorted(made))
        for name, example in self.examples.items():
            self.assertEqual(example.hex(), made[name].hex(), name)

    def test_handshake(self) -> None:
        """
        The responder lets the initiation in, the initiator takes the response and the cookie, and
        the responder takes the cookie back, from that address alone.
        """
        ends, examples = self.converse(), self.examples
        self.assertEqual(Prologue.decode(examples["a prologue"]), ends.prologue)
        again = examples["the initiation again, with the cookie"]
        for initiation in (examples["an initiation"], again):
            accepted = ends.accept(initiation)
            self.assertEqual(accepted.prologue, ends.prologue)
            self.assertEqual(accepted.answer, examples["a response"])
            self.assertEqual(
                accepted.established.keys.receive, examples["the key from initiator to responder"]
            )
            self.assertEqual(accepted.established.bootID, ends.boots[0])
        cookie = ends.handshake.cookieReceived(examples["a cookie reply"])
        self.assertEqual(cookie, examples["the cookie in it"])
        self.assertTrue(ends.cookies.verify(again, ends.address, ends.now))
        self.assertFalse(ends.cookies.verify(again, b"elsewhere", ends.now))

    def test_packets(self) -> None:
        """
        The responder understands the packets: a measurement, the interest, a location, a frame.
        """
        ends = self.converse()
        hearer = ends.responder
        for name in sorted(name for name in self.examples if name.startswith("packet ")):
            hearer.path.packetReceived(self.examples[name], ends.now)
        self.assertEqual(hearer.path.dropped.total() + hearer.link.dropped.total(), 0)
        self.assertEqual(hearer.path.packetsReceived, 4)
        self.assertEqual(hearer.link.capabilities, "t=tcp,udp,unix")
        self.assertEqual(hearer.path.quality.remoteLag, 0.00035)
        place = RadioLocation(2621001, 262100101, 2, 1.5)
        self.assertEqual(hearer.recorder.heard, [([91, 26200], []), [place]])
        (frame,) = hearer.frames
        expected = ends.frame()
        self.assertEqual((frame.addressing, frame.body), (expected.addressing, expected.body))

    def test_measurement(self) -> None:
        """
        The digest in the measurement is that of the interest that follows it.
        """
        example = self.examples["the messages of packet 0"]
        body = messages.bodyAt(example, messages.TIME_SIZE)
        measurement = messages.decodeMessage(messages.MEASUREMENT, body)
        assert isinstance(measurement, Measurement)
        told = Interest()
        told.take(self.examples["the whole interest"][1:])
        self.assertEqual(
            (measurement.interestVersion, measurement.interestDigest), (told.version, told.digest)
        )
        self.assertEqual(told.take(self.examples["a change of it"][1:]), Change([2621], [91]))
        self.assertEqual(
            told.take(self.examples["a change of its ranges"][1:]), Change([], [], True)
        )

    def test_trusted(self) -> None:
        """
        The packet of a trusted path is the header and the messages of the sealed one.
        """
        unsealed = self.examples["a frame on a trusted path"]
        self.assertEqual(unsealed[session.HEADER_SIZE :], self.examples["the messages of packet 3"])

    def test_capabilities(self) -> None:
        """
        The capabilities in the text say what the text says of them.
        """
        (text,) = re.findall(r"^t=\S+$", self.text, re.MULTILINE)
        told = Capabilities(frozenset(("tcp", "udp", "unix")), "0123456789abcdef", 54000, "tcp")
        self.assertEqual(Capabilities.decode(text), told)
        self.assertEqual(told.encode(), text)

    def test_applications(self) -> None:
        """
        The application messages of this version are those that a node sends and takes.
        """
        name, payload = self.application("a login")
        self.assertEqual(name, logins.PEER)
        ended: list[tuple[int, str]] = []
        clock = Clock()
        here = logins.Logins(clock, 2501, lambda: 1_750_000_000.0, lambda name, payload: None)
        here.endPeer = lambda peer, reason: ended.append((peer, reason))
        here.watch(PeerRegistered(2340001, "N0CALL", "192.0.2.1:62031"))
        here.received(25012, payload)
        self.assertEqual(ended, [(2340001, "logged in at node 25012")])
        name, payload = self.application("the networks of a node")
        self.assertEqual(name, networks.NETWORKS)
        self.assertEqual(payload, networks.encodeNetworks(("south", "north")))
        self.assertEqual(networks.decodeNetworks(payload), {"north", "south"})

    def application(self, example: str) -> tuple[str, bytes]:
        """
        The name and the payload of an example.
        """
        kind, size, *_ = message = self.examples[example]
        self.assertEqual(kind, link.APPLICATION)
        return message[2 : 2 + size].decode(), message[2 + size :]

    def test_messages(self) -> None:
        """
        The messages that no packet shows are decoded to what the document says.
        """
        for name, expected in (
            ("a goodbye", Goodbye("the node stops")),
            ("a challenge", Challenge(CHALLENGE)),
            ("a probe", pulse.PROBE),
            ("an answer", Answer(CHALLENGE)),
            ("a question for packets", Missing(0x0A0B0C0D, MISSING)),
            ("a question for the rest of a session", Missing(0x0A0B0C0D, MISSING[:2], 13)),
            ("copies of a packet", Copies(0x0A0B0C0D, 3, self.frameMessage())),
            ("copies of a packet without frames", Copies(0x0A0B0C0D, 4, b"")),
        ):
            data = self.examples[name]
            decoded = messages.decodeMessage(data[0], messages.bodyAt(data, 0))
            self.assertEqual(decoded, expected)


class NumberTests(DocumentCase):
    """
    The numbers in the tables.
    """

    def test_constants(self) -> None:
        """
        Each row of the tables of timers and limits has the value in the code, and none is missing.
        """
        rows = self.rows("name")
        self.assertEqual(sorted(row[0] for row in rows), sorted(CONSTANTS))
        for name, value, *_ in rows:
            module, constant = CONSTANTS[name]
            self.assertEqual(number(value), getattr(module, constant), name)

    def test_kinds(self) -> None:
        """
        Packets, flags, messages and control messages have the numbers in the code.
        """
        for head, kinds in KINDS.items():
            rows = {row[1]: int(row[0]) for row in self.rows(head)}
            expected = {name: getattr(*constant) for name, constant in kinds.items()}
            self.assertEqual(rows, expected)

    def test_sizes(self) -> None:
        """
        Packets and messages can be as short and as long as their tables say, and no other.
        """
        text = "x" * 255
        empty = Measurement(*(0,) * 10)
        frame = self.frameMessage()
        around = session.HEADER_SIZE + messages.TIME_SIZE + session.TAG_SIZE
        most = (path.LARGEST_STREAM_PACKET - around) // messages.FRAME_SIZE
        made: dict[str, tuple[messages.Message, messages.Message]] = {
            "segment": (
                Segment(1, 2, 1, True, b""),
                Segment(1, 2, 1, True, bytes(control.SEGMENT_SIZE)),
            ),
            "acknowledgement": (Acknowledgement(1, 0),) * 2,
            "measurement": (empty, replace(empty, seenAt=text, capabilities=text)),
            "goodbye": (Goodbye(""), Goodbye(text)),
            "challenge": (Challenge(0),) * 2,
            "answer": (Answer(0),) * 2,
            "missing": (
                Missing(1, (), 2),
                Missing(1, tuple(range(messages.MISSING_SPAN)), 2),
            ),
            "copies": (Copies(1, 2, b""), Copies(1, 2, frame * most)),
        }
        sizes = {
            name: (len(shortest.encode()), len(longest.encode()))
            for name, (shortest, longest) in made.items()
        }
        sizes["frame"] = (len(frame),) * 2
        around = len(self.examples["an initiation"]) - len(self.examples["a prologue"])
        shortest, longest = (
            len(Prologue("e" * environment, 0, 0, "k" * key, "t" * transport).encode())
            for environment, key, transport in ((0, 1, 1), (32, 32, 16))
        )
        sizes["initiation"] = (around + shortest, around + longest)
        sizes["response"] = (len(self.examples["a response"]),) * 2
        sizes["cookie reply"] = (len(self.examples["a cookie reply"]),) * 2
        sizes["data"] = (session.HEADER_SIZE + messages.TIME_SIZE, path.LARGEST_STREAM_PACKET)
        stated = {}
        for row in (*self.rows("kind"), *self.rows("type")):
            first, _, last = row[2].partition(" to ")
            stated[row[1]] = (int(number(first)), int(number(last or first)))
        self.assertEqual(stated, sizes)

    def test_complete(self) -> None:
        """
        Every number that the protocol's modules define is in a table of the document.
        """
        known = {
            *CONSTANTS.values(),
            *(each for kinds in KINDS.values() for each in kinds.values()),
        }
        for module in SPOKEN:
            for name in constantsOf(module):
                self.assertIn((module, name), known, f"{module.__name__}.{name}")

    def test_localNumbers(self) -> None:
        """
        The talkgroups that never leave a node are those in the table.
        """
        local: set[int] = set()
        for row in self.rows("never leave a node"):
            first, _, last = row[0].partition(" to ")
            local |= set(range(int(first), int(last or first) + 1))
        for talkgroup in (*range(20_000), *range(0xFFFF00, 0x1000000)):
            self.assertEqual(talkgroup in local, isLocal(talkgroup), talkgroup)


class SharedMemoryTests(DocumentCase):
    """
    The layout of shared memory.
    """

    def setUp(self) -> None:
        super().setUp()
        (rows,) = (rows for head, rows in self.tables if head[2:] == ["of a ring"])
        self.places = {row[2].partition(":")[0]: int(number(row[0])) for row in rows}
        self.size = sum(int(number(row[1])) for row in rows)
        self.slots = int(number(rows[4][0]))
        memory = self.memory = mmap(-1, shmhello.MEMORY)
        words = memoryview(memory).cast("Q")
        self.writer = ring.RingWriter(memory, words, 0)
        self.reader = ring.RingReader(memory, words, 0)

    def word(self, name: str) -> int:
        """
        One of the words in front of the first ring.
        """
        return self.at(self.places[name])

    def at(self, place: int) -> int:
        """
        A number in the first ring.
        """
        return int.from_bytes(self.memory[place : place + 8], "little")

    def test_packet(self) -> None:
        """
        A packet stands where the document says, and the words in front change as it says.
        """
        self.assertEqual(self.size, ring.SIZE)
        self.assertTrue(self.reader.rest() is False and self.word("asleep"))
        self.assertIs(self.writer.put(b"first"), True)
        self.assertIs(self.writer.put(bytes(57)), False)
        self.assertEqual((self.word("head"), self.word("tail"), self.word("asleep")), (3, 0, 0))
        self.assertEqual(self.at(self.slots), 5)
        self.assertEqual(self.memory[self.slots + 8 : self.slots + 13], b"first")
        self.assertEqual(self.at(self.slots + ring.SLOT), 1 << 16 | 57)
        self.assertEqual(self.reader.take(), b"first")
        self.reader.release()
        self.assertEqual(self.word("tail"), 1)

    def test_room(self) -> None:
        """
        A ring is full when the document says so, and the writer says that it waits.
        """
        while self.writer.put(bytes(descriptor.LARGEST)) is not None:
            pass
        self.assertEqual(self.word("head"), ring.SLOTS // ring.MOST * ring.MOST)
        self.assertFalse(self.writer.hasRoom())
        self.assertEqual(self.word("starved"), 1)

    def test_agreement(self) -> None:
        """
        Offers and answers begin as the document says.
        """
        rows = [rows for head, rows in self.tables if head[2:] in (["offer"], ["answer"])]
        self.assertEqual(len(rows), 2)
        for (magic, kind, *_), kinds in zip(rows, (2, 3), strict=True):
            self.assertIn(f"`{shmhello.MAGIC.decode()}`", magic[2])
            self.assertEqual(int(magic[1]), len(shmhello.MAGIC))
            for one, record in enumerate(
                (shmhello.PLAIN, shmhello.BELLS, shmhello.REFUSED)[:kinds]
            ):
                self.assertIn(f"{one}: ", kind[2])
                self.assertEqual(record, shmhello.MAGIC + bytes([one]))


class LayoutTests(DocumentCase):
    """
    The byte tables, and the text.
    """

    def test_offsets(self) -> None:
        """
        In every byte table a field begins where the one before it ends.
        """
        tables = [rows for head, rows in self.tables if head[:2] == ["at", "bytes"]]
        self.assertGreater(len(tables), 12)
        for rows in tables:
            self.assertEqual(rows[0][0], "0")
            for before, after in pairwise(rows):
                if before[1].isdigit() and before[0].isdigit():
                    self.assertEqual(int(after[0]), int(before[0]) + int(before[1]), after)

    def test_lines(self) -> None:
        """
        No line of text is too long for a terminal.
        """
        for line in self.text.splitlines():
            self.assertLessEqual(len(line), LONGEST_LINE, line)
