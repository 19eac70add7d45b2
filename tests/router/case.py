"""
What the tests of routing stand on: a router with its own time and sinks that remember.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bmff.dmr.frame import (
    DATA_SYNC,
    PRIVATE,
    SLOT_2,
    TERMINATOR,
    VOICE_HEADER,
    VOICE_SYNC,
    Frame,
)
from bmff.events import CallEnded, Event
from bmff.router.call import Peer
from bmff.router.router import Router

BURST = bytes(33)


class RecordingSink:
    """
    Remembers, for each peer, the frames that it was sent.
    """

    def __init__(self, outlet: RecordingOutlet, slot: int) -> None:
        self.outlet = outlet
        self.slot = slot
        self.peers: list[Peer] = []
        self.open = True

    def add(self, peer: Peer) -> None:
        assert self.open
        assert peer not in self.peers
        self.peers.append(peer)

    def remove(self, peer: Peer) -> None:
        self.peers.remove(peer)

    def sendFrame(self, frame: Frame) -> None:
        assert self.open
        for peer in self.peers:
            self.outlet.heard.append((peer.peerID, self.slot, frame))

    def close(self) -> None:
        self.open = False
        self.peers.clear()


class RecordingOutlet:
    """
    Remembers what its sinks sent.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[int, int, Frame]] = []
        self.sinks: list[RecordingSink] = []

    def openSink(self, slot: int) -> RecordingSink:
        sink = RecordingSink(self, slot)
        self.sinks.append(sink)
        return sink


class RouterTestCase(SynchronousTestCase):
    """
    A router with its own time and an outlet that remembers.
    """

    def setUp(self) -> None:
        self.now = 1000.0
        self.events: list[Event] = []
        self.outlet = RecordingOutlet()
        self.router = Router(self.events.append, hangTime=5.0, talkLimit=180.0)

    def peer(
        self,
        peerID: int,
        static: dict[int, tuple[int, ...]] | None = None,
        slots: int = 3,
        single: bool = False,
        dynamicTimeout: float = 900.0,
    ) -> Peer:
        peer = Peer(peerID, self.outlet, slots=slots, single=single, dynamicTimeout=dynamicTimeout)
        self.router.addPeer(peer, self.now)
        self.router.setStatic(peer, static or {}, self.now)
        return peer

    def advance(self, seconds: float) -> None:
        """
        Let time pass, waking the router whenever it wants to be.
        """
        end = self.now + seconds
        while self.router.deadline() <= end:
            self.now = max(self.now, self.router.deadline())
            self.router.timeout(self.now)
        self.now = end

    def send(
        self,
        peer: Peer,
        sequence: int,
        *,
        flags: int = VOICE_SYNC,
        source: int = 2340001,
        destination: int = 91,
        stream: int = 77,
        slot: int = 2,
        private: bool = False,
        burst: bytes = BURST,
    ) -> None:
        self.router.route(
            peer,
            Frame.make(
                sequence=sequence,
                source=source,
                destination=destination,
                flags=flags | (SLOT_2 if slot == 2 else 0) | (PRIVATE if private else 0),
                stream=stream,
                burst=burst,
            ),
            self.now,
        )

    def call(
        self,
        peer: Peer,
        frames: int = 3,
        *,
        source: int = 2340001,
        destination: int = 91,
        stream: int = 77,
        slot: int = 2,
        private: bool = False,
        end: bool = True,
    ) -> None:
        """
        A whole call, 60 ms a frame: header, voice, terminator.
        """
        for sequence in range(frames):
            flags = VOICE_SYNC
            if sequence == 0:
                flags = DATA_SYNC | VOICE_HEADER
            elif sequence == frames - 1 and end:
                flags = DATA_SYNC | TERMINATOR
            self.send(
                peer,
                sequence,
                flags=flags,
                source=source,
                destination=destination,
                stream=stream,
                slot=slot,
                private=private,
            )
            self.advance(0.06)

    def heardBy(self, peerID: int) -> list[tuple[int, Frame]]:
        """
        The slots and frames that a peer was sent.
        """
        return [(slot, frame) for one, slot, frame in self.outlet.heard if one == peerID]

    def streamsHeardBy(self, peerID: int) -> list[int]:
        """
        The streams that a peer heard, each once, in order.
        """
        return list(dict.fromkeys(frame.stream for _, frame in self.heardBy(peerID)))

    def ended(self) -> list[CallEnded]:
        return [event for event in self.events if isinstance(event, CallEnded)]
