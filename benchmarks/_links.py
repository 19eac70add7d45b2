"""
One end of a link in a process of its own: router, FastForward and one transport on a real reactor.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from random import Random
from typing import Any

from twisted.internet.abstract import FileDescriptor

from bmff.cluster.cluster import Cluster, Identity
from bmff.events import Event, LinkStarted
from bmff.ibmff import OverrideRow, TransportSettings
from bmff.protocols.fastforward import FastForward
from bmff.protocols.turn import Turn
from bmff.router.router import Router
from bmff.wire.fastforward.capabilities import Capabilities
from bmff.wire.fastforward.handshake import PreSharedKey

CPU = 0
HOST = "127.0.0.1"
KEY = PreSharedKey(bytes(range(32)))


class OneKey:
    """
    A key ring with one key.
    """

    def fastForwardKey(self, keyID: str) -> PreSharedKey | None:
        return KEY


class TwoRows:
    """
    A registry that knows how the other end is reached.
    """

    def __init__(self, overrides: dict[int, OverrideRow]) -> None:
        self.nodes: dict[int, Any] = {}
        self.overrides = overrides
        self.age = 0.0


class End:
    """
    One end of the link.

    @ivar router: its router.
    @ivar turn: ends its turns.
    """

    def __init__(
        self,
        reactor: Any,
        node: int,
        other: int,
        transport: str,
        ports: dict[int, int],
        up: Callable[[], None],
        folder: str = "",
    ) -> None:
        """
        @param ports: the FastForward numbers of both.
        @param up: called when the link is there.
        @param folder: where both have their sockets, if the transport has any.
        """
        from importlib import import_module

        self.router = Router(self._happened, talkLimit=0.0)
        self.turn = Turn(reactor, self.router)
        address = "" if transport == "unix" else HOST
        rows = {}
        if node < other:
            rows[other] = OverrideRow(other, 0, transport, address, ports[other])
        self.cluster = Cluster(
            reactor,
            Identity(node, "benchmark"),
            self.router,
            self._happened,
            TwoRows(rows),
            random=Random(1),
            wallClock=time.time,
            processTime=time.process_time,
        )
        self.fastForward = FastForward(
            reactor, node, "", OneKey(), self.cluster, self.cluster, self.turn.ended, time.time
        )
        module = import_module(f"bmff.transports.{transport}")
        settings = TransportSettings(ports[node], (HOST,), folder)
        self.transport = module.make(reactor, settings)
        self.transport.listen(self.fastForward)
        self.fastForward.transports = {transport: self.transport}
        self.cluster.ways.own = Capabilities(frozenset((transport,)), "", ports[node])
        self._up = up
        self.cluster.start(self.fastForward)

    def _happened(self, event: Event) -> None:
        if isinstance(event, LinkStarted):
            self._up()


def pinned(control: Pipe) -> Any:
    """
    The reactor of this process, which is pinned.
    """
    os.sched_setaffinity(0, {CPU})
    from twisted.internet import reactor as anyReactor

    reactor: Any = anyReactor
    reactor.seconds = time.monotonic
    return reactor


class Orders(FileDescriptor):
    """
    Reads on the reactor what the benchmark's first process wants.
    """

    def __init__(self, reactor: Any, control: Pipe, obey: Callable[[Any], None]) -> None:
        super().__init__(reactor)
        self._stop = reactor.stop
        self._control = control
        self._obey = obey
        self.startReading()

    def fileno(self) -> int:
        return self._control.fileno()

    def doRead(self) -> None:
        try:
            order = self._control.recv()
        except EOFError:
            self._stop()  # nobody is left to report to
            return
        self._obey(order)
