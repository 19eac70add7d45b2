"""
Two nodes that speak FastForward to one another with fixed keys and times, for the examples of
C{docs/fastforward.md}.
"""

from __future__ import annotations

from twisted.internet.task import Clock

from bmff.cluster.logins import Logins
from bmff.cluster.networks import encodeNetworks
from bmff.dmr.frame import Frame
from bmff.dmr.ranges import Ranges
from bmff.events import PeerRegistered
from bmff.wire.fastforward.cookie import Cookies
from bmff.wire.fastforward.handshake import (
    Accepted,
    HandshakeResponder,
    InitiatorHandshake,
    PreSharedKey,
)
from bmff.wire.fastforward.interest import Change, Interest
from bmff.wire.fastforward.link import APPLICATION, INTEREST, WHOLE_WANTED, Link, RadioLocation
from bmff.wire.fastforward.messages import (
    Answer,
    Challenge,
    Copies,
    Goodbye,
    Missing,
    encodeFrame,
)
from bmff.wire.fastforward.noise import Keys
from bmff.wire.fastforward.path import Path, Traits
from bmff.wire.fastforward.prologue import Prologue
from bmff.wire.fastforward.pulse import PROBE
from bmff.wire.fastforward.session import Session

CHALLENGE = 0x0123456789ABCDEF
MISSING = (3, 4, 12)  # counters


class Recorder:
    """
    A node that says the same of itself always, and keeps what it is told; see
    L{bmff.wire.fastforward.link.NodeState} and L{bmff.wire.fastforward.link.LinkWatcher}.
    """

    lag = 350
    load = 125

    def __init__(self) -> None:
        self.interest = Interest()
        self.heard: list[object] = []

    def interestChanged(self, link: Link, change: Change) -> None:
        self.heard.append((change.added, change.removed))

    def locationsReceived(self, link: Link, locations: list[RadioLocation], now: float) -> None:
        self.heard.append(locations)

    def applicationReceived(self, link: Link, name: str, payload: bytes) -> None:
        self.heard.append((name, payload))

    def goodbyeReceived(self, link: Link, path: Path, reason: str) -> None:
        self.heard.append(reason)

    def capabilitiesFor(self, node: int) -> str:
        return "t=tcp,udp,unix"

    def capabilitiesChanged(self, link: Link) -> None:
        pass

    def challengeAnswered(self, link: Link, path: Path, value: int) -> None:
        self.heard.append(value)


class End:
    """
    One end of a link, without the other: what it sends is kept.

    @ivar packets: what it has sent.
    """

    def __init__(
        self,
        node: int,
        keys: Keys,
        indexes: tuple[int, int],
        row: int,
        *,
        initiator: bool,
        now: float,
    ) -> None:
        """
        @param node: the other node's ID.
        @param indexes: its own session index, and the other end's.
        @param row: the name of the row that its segments are numbered in.
        """
        self.now = now
        self.packets: list[bytes] = []
        self.frames: list[Frame] = []
        self.recorder = Recorder()
        self.recorder.interest.change((91, 26200), ())
        self.link = Link(node, 1, self.recorder, self.recorder, now, row)
        self.link.takeFrame = self._takeFrame
        self._indexes, self._keys, self._initiator = indexes, keys, initiator
        self.path = self.makePath(trusted=False)

    def makePath(self, *, trusted: bool) -> Path:
        """
        A path of the link in whose only session nothing was sent.
        """
        session = Session(
            self._keys.send,
            self._keys.receive,
            *self._indexes,
            initiator=self._initiator,
            now=self.now,
            sealed=not trusted,
        )
        made = Path(
            self.link, Traits("udp", False, trusted), "192.0.2.1:54000", self._send, self.now
        )
        if self._initiator:
            made.useSession(session, self.now)
        else:
            made.expectSession(session)
        self.link.usePath(made)
        return made

    def _send(self, packet: bytes) -> bool:
        self.packets.append(packet)
        return True

    def _takeFrame(self, frame: Frame, now: float) -> None:
        self.frames.append(frame)

    def sent(self) -> bytes:
        """
        What it sends now, one packet.
        """
        before = len(self.packets)
        self.link.flush(self.now)
        (packet,) = self.packets[before:]
        return packet


class Conversation:
    """
    What the two nodes of the document's examples say to one another, made by the code.

    @ivar initiator: the end that speaks.
    @ivar responder: the end that hears it.
    @ivar made: the examples, by name.
    """

    def __init__(self, inputs: dict[str, str]) -> None:
        """
        @param inputs: the values of the document's table of inputs, by name.
        """
        self.inputs = inputs
        self.now = float(inputs["monotonic time, seconds"])
        nodes = int(inputs["initiator's node ID"]), int(inputs["responder's node ID"])
        self.nodes = nodes
        self.key = PreSharedKey(bytes.fromhex(inputs["PSK"]), frozenset(nodes))
        self.prologue = Prologue(
            inputs["environment"], *nodes, inputs["key id"], inputs["transport"]
        )
        self.indexes = self.hex("initiator's session index"), self.hex("responder's session index")
        self.boots = self.hex("initiator's boot ID"), self.hex("responder's boot ID")
        self.address = inputs["initiator's address"].encode()
        self.burst = bytes.fromhex(inputs["burst"])
        self.handshake = InitiatorHandshake(
            self.prologue,
            self.key,
            index=self.indexes[0],
            bootID=self.boots[0],
            wall=int(inputs["time stamp"]),
            ephemeral=bytes.fromhex(inputs["initiator's ephemeral"]),
        )
        self.cookies = Cookies(bytes.fromhex(inputs["cookie secret"]))
        self.made: dict[str, bytes] = {}
        self._greet()
        self._speak()
        self._encode()

    def hex(self, name: str) -> int:
        """
        A number among the inputs that is written in hex.
        """
        return int(self.inputs[name], 16)

    def accept(self, initiation: bytes) -> Accepted:
        """
        What the responder makes of an initiation.
        """
        responder = HandshakeResponder(
            nodeID=self.nodes[1],
            environment=self.prologue.environment,
            keys={self.prologue.key: self.key}.get,
            bootID=self.boots[1],
            secret=bytes(32),
        )
        answer = responder.initiationReceived(
            initiation,
            self.address,
            self.now,
            self.indexes[1],
            bytes.fromhex(self.inputs["responder's ephemeral"]),
            self.prologue.transport,
        )
        assert isinstance(answer, Accepted)
        return answer

    def _greet(self) -> None:
        initiation = self.handshake.initiation()
        accepted = self.accept(initiation)
        reply = self.cookies.reply(
            index=self.indexes[0],
            mac1=initiation[-32:-16],
            psk=self.key.psk,
            responder=self.nodes[1],
            address=self.address,
            now=self.now,
        )
        cookie = self.handshake.cookieReceived(reply)
        self.keys = self.handshake.responseReceived(accepted.answer).keys
        self.made |= {
            "a prologue": self.prologue.encode(),
            "an initiation": initiation,
            "a response": accepted.answer,
            "the handshake hash": self.keys.handshakeHash,
            "the key from initiator to responder": self.keys.send,
            "the key from responder to initiator": self.keys.receive,
            "a cookie reply": reply,
            "the cookie in it": cookie,
            "the initiation again, with the cookie": self.handshake.initiation(cookie),
        }
        self.initiator = End(
            self.nodes[1],
            self.keys,
            self.indexes,
            self.hex("initiator's row"),
            initiator=True,
            now=self.now,
        )
        self.responder = End(
            self.nodes[0],
            accepted.established.keys,
            (self.indexes[1], self.indexes[0]),
            self.hex("responder's row"),
            initiator=False,
            now=self.now,
        )

    def frame(self) -> Frame:
        """
        The header of the examples' call.
        """
        return Frame.make(
            sequence=0,
            source=2621001,
            destination=26200,
            flags=0xA1,
            stream=0xCAFE0001,
            burst=self.burst,
            rssi=47,
        )

    def _speak(self) -> None:
        end = self.initiator
        (self.made["packet 0, a measurement"],) = end.packets
        self.made["packet 1, the whole interest"] = end.sent()
        end.link.sendLocations([RadioLocation(2621001, 262100101, 2, 1.5)])
        self.made["packet 2, a location"] = end.sent()
        end.link.sendFrame(0, self.frame())
        self.made["packet 3, a frame"] = end.sent()
        for name in tuple(self.made):
            if name.startswith("packet "):
                self.made[f"the messages of {name[:8]}"] = self._opened(self.made[name])
        trusted = end.makePath(trusted=True)
        trusted.sendFrame(0, self.frame())
        trusted.flush(self.now)
        self.made["a frame on a trusted path"] = end.packets[-1]

    def _opened(self, packet: bytes) -> bytes:
        """
        The messages in a packet of the initiator's, opened by nothing that is kept.
        """
        return Session(
            self.keys.receive,
            self.keys.send,
            self.indexes[1],
            self.indexes[0],
            initiator=False,
            now=self.now,
        ).open(packet)

    def _login(self) -> bytes:
        """
        The body of the message that a node sends when a peer has logged in.
        """
        told: list[bytes] = []
        here = Logins(
            Clock(),
            self.nodes[0],
            lambda: 1_750_000_001.5,
            lambda name, payload: told.append(payload),
        )
        here.watch(PeerRegistered(2340001, "N0CALL", self.inputs["initiator's address"]))
        (payload,) = told
        return b"\x04peer" + payload

    def _encode(self) -> None:
        own = Interest()
        own.change((91, 26200), ())
        whole = own.whole()
        change = own.change((2621,), (91,))
        ranges = own.change((), (), Ranges([(3100, 3199), (31_000, 31_999)]))
        assert change is not None
        assert ranges is not None
        controls = {
            "the whole interest": (INTEREST, whole),
            "a change of it": (INTEREST, change),
            "a change of its ranges": (INTEREST, ranges),
            "an application message": (APPLICATION, b"\x07weatherrain"),
            "a login": (APPLICATION, self._login()),
            "the networks of a node": (
                APPLICATION,
                b"\x08networks" + encodeNetworks(("north", "south")),
            ),
            "the whole wanted": (WHOLE_WANTED, b""),
        }
        self.made |= {name: bytes((kind,)) + body for name, (kind, body) in controls.items()}
        self.made |= {
            "a goodbye": Goodbye("the node stops").encode(),
            "a challenge": Challenge(CHALLENGE).encode(),
            "a probe": PROBE.encode(),
            "an answer": Answer(CHALLENGE).encode(),
        }
        asked = self.indexes[1]  # the responder asks: the initiator's packets name its session so
        self.made |= {
            "a question for packets": Missing(asked, MISSING).encode(),
            "a question for the rest of a session": Missing(asked, MISSING[:2], 13).encode(),
            "copies of a packet": Copies(asked, 3, encodeFrame(0, self.frame())).encode(),
            "copies of a packet without frames": Copies(asked, 4, b"").encode(),
        }
