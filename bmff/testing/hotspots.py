"""
A hotspot on the virtual network: logs in to a master, talks and remembers what it hears.
"""

from __future__ import annotations

from collections.abc import Iterable

from bmff.dmr.frame import Frame
from bmff.testing.network import VirtualNetwork
from bmff.wire.homebrew import Station
from bmff.wire.homebrewclient import Client, Event, State


class VirtualHotspot:
    """
    A simulated hotspot.

    @ivar heard: the frames that it was sent, in order.
    @ivar heardAt: when, for each of them, seconds of the virtual clock.
    @ivar happened: what its login reported, in order.
    @ivar received: every datagram that came, whatever it was.
    """

    def __init__(
        self,
        network: VirtualNetwork,
        master: bytes,
        station: Station,
        passphrase: bytes = b"passw0rd",
        options: str = "",
        host: str = "198.51.100.1",
    ) -> None:
        """
        @param master: the master's address.
        """
        self.heard: list[Frame] = []
        self.heardAt: list[float] = []
        self.happened: list[Event] = []
        self.received: list[bytes] = []
        self._master = master
        self._network = network
        self.client = Client(station, passphrase, options, self._frameReceived)
        self.port = network.bind(self, host)

    @property
    def running(self) -> bool:
        """
        Whether it is logged in.
        """
        return self.client.state is State.RUNNING

    def start(self) -> None:
        """
        Log in, and stay so.
        """
        self.client.start(self._network.clock.seconds())
        self.flush()
        self._network.clock.callLater(1.0, self._tick)

    def move(self, host: str = "203.0.113.1") -> None:
        """
        Have another address from now on, as after a new binding of a NAT.
        """
        self._network.unbind(self.port)
        self.port = self._network.bind(self, host)

    def vanish(self) -> None:
        """
        Be gone without a word.
        """
        self._network.unbind(self.port)
        self.client.close()
        self.client.outgoing()

    def send(self, frame: Frame) -> None:
        """
        Send one frame.
        """
        self.client.sendFrame(frame)
        self.flush()

    def talk(self, frames: Iterable[Frame], pitch: float = 0.06) -> None:
        """
        Send frames one by one.

        @param pitch: seconds between them.
        """
        for number, frame in enumerate(frames):
            self._network.clock.callLater(number * pitch, self.send, frame)

    def datagramReceived(self, data: bytes, address: bytes, now: float) -> None:
        """
        See L{bmff.sockets.datagrams.DatagramReceiver}.
        """
        self.received.append(data)
        self.happened += self.client.receive(data, now)

    def flush(self) -> None:
        """
        See L{bmff.sockets.datagrams.DatagramReceiver}.
        """
        for data in self.client.outgoing():
            self.port.sendTo(data, self._master)

    def _frameReceived(self, frame: Frame, now: float) -> None:
        self.heard.append(frame)
        self.heardAt.append(now)

    def _tick(self) -> None:
        if self.client.state is not State.CLOSED:
            self.happened += self.client.timeout(self._network.clock.seconds())
            self.flush()
            self._network.clock.callLater(1.0, self._tick)
