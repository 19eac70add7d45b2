"""
The client's side of HomeBrew on UDP: a simulated hotspot, or a node that logs in to another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from bmff.dmr.frame import Frame
from bmff.protocols.alarm import Alarm
from bmff.wire.homebrewclient import Client, Event

TICK: Final = 0.1  # seconds


class DatagramSender(Protocol):
    """
    What a socket has to be able to do, see L{bmff.sockets.datagrams.DatagramPort}.
    """

    def sendTo(self, data: bytes, address: bytes) -> bool: ...


class Hotspot:
    """
    Keeps one login to a master alive and carries its frames.

    @ivar transport: the socket; to be set before the start.
    @ivar client: the login.
    """

    transport: DatagramSender

    def __init__(
        self,
        clock: IReactorTime,
        master: bytes,
        client: Client,
        happened: Callable[[Event], None],
    ) -> None:
        """
        @param clock: monotonic.
        @param master: the master's address.
        @param happened: is told what becomes of the login.
        """
        self.client = client
        self._clock = clock
        self._master = master
        self._happened = happened
        self._alarm = Alarm(clock, client.deadline, self._due, TICK)

    def start(self) -> None:
        """
        Log in, again and again if need be.
        """
        self.client.start(self._clock.seconds())
        self.flush()

    def stop(self) -> None:
        """
        Log out.
        """
        self.client.close()
        self.flush()
        self._alarm.stop()

    def sendFrame(self, frame: Frame) -> None:
        """
        Send a frame at once; dropped when not logged in.
        """
        self.client.sendFrame(frame)
        self.flush()

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        """
        See L{bmff.sockets.datagrams.DatagramReceiver}. Only the master is listened to.
        """
        if address == self._master:
            for event in self.client.receive(data, now):
                self._happened(event)

    def flush(self) -> None:
        """
        See L{bmff.sockets.datagrams.DatagramReceiver}.
        """
        for data in self.client.outgoing():
            self.transport.sendTo(data, self._master)
        self._alarm.rearm()

    def _due(self, now: float) -> None:
        for event in self.client.timeout(now):
            self._happened(event)
        self.flush()
