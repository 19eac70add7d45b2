"""
A hotspot that talks and listens, for tests of nodes as processes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, Final

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from bmff.ctl.hotspot import stamped
from bmff.dmr.frame import DATA_SYNC, FRAME_PERIOD, KIND, Frame
from bmff.dmr.voice import voiceCall
from bmff.protocols.hotspot import Hotspot
from bmff.sockets.addresses import packAddress
from bmff.sockets.datagrams import DatagramPort
from bmff.wire.homebrew import Station
from bmff.wire.homebrewclient import Client

reactor: Any = anyReactor  # mypy does not know which reactor there is

HOST: Final = "127.0.0.1"
FIRST_SLOT: Final = 92  # the talkgroup that is on slot 1; all others are on slot 2


class Talker:
    """
    A duplex hotspot that talks on one slot and hears on the other.

    @ivar sent: the stream and burst of each frame that it sent.
    @ivar heard: the same of those that it was sent.
    """

    def __init__(self, master: int, radio: int, password: bytes, talk: int, hear: int) -> None:
        """
        @param master: the UDP port of its node.
        @param talk: the talkgroup that it calls.
        @param hear: the one that it hears.
        """
        self.sent: list[tuple[int, bytes]] = []
        self.heard: list[tuple[int, bytes]] = []
        self.over = False
        self._call: Deferred[None] | None = None
        self._radio = radio
        self._talkgroup = talk
        station = Station(radio, "TEST", 435_000_000, 430_000_000, slots=3)
        client = Client(station, password, f"TS{_slotOf(hear)}={hear}", self._frameReceived)
        self._hotspot = Hotspot(reactor, packAddress(HOST, master), client, lambda _: None)
        self._port = DatagramPort(reactor, HOST, 0, self._hotspot)
        self._hotspot.transport = self._port
        self._port.startListening()
        self._hotspot.start()

    @property
    def running(self) -> bool:
        """
        Whether it is logged in.
        """
        return self._hotspot.client.state.name == "RUNNING"

    def call(self) -> None:
        """
        Begin a call, which goes on until L{hangUp}.
        """
        self.over = False
        self._call = Deferred.fromCoroutine(self._talk())

    async def hangUp(self) -> None:
        """
        End the call, if there is one.
        """
        self.over = True
        if self._call is not None:
            call, self._call = self._call, None
            await call

    async def _talk(self) -> None:
        """
        One call, its frames at their pitch.
        """
        due = reactor.seconds()
        for frame in self._frames():
            self._hotspot.sendFrame(frame)
            self.sent.append((frame.stream, bytes(frame.burst)))
            due += FRAME_PERIOD
            await deferLater(reactor, max(0.0, due - reactor.seconds()))

    def _frames(self) -> Iterator[Frame]:
        """
        A header, and voice frames that are all different until it is over.
        """
        for frame in voiceCall(
            source=self._radio,
            destination=self._talkgroup,
            stream=int.from_bytes(os.urandom(4), "big") | 1,
            superframes=480,
            slot=_slotOf(self._talkgroup),
        ):
            if frame.flags & KIND == DATA_SYNC:
                yield frame
            elif self.over:
                return
            else:
                yield stamped(frame, time.time_ns())

    def _frameReceived(self, frame: Frame, now: float) -> None:
        self.heard.append((frame.stream, bytes(frame.burst)))

    async def stop(self) -> None:
        """
        Leave.
        """
        await self.hangUp()
        self._hotspot.stop()
        self._port.stopListening()


def _slotOf(talkgroup: int) -> int:
    return 1 if talkgroup == FIRST_SLOT else 2
