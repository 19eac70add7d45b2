"""
A second process on an embedded registry, for the tests: writes what it is told to on its standard
input, and prints when it sees a change.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.stdio import StandardIO
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver

from bmff.registry.embedded import EmbeddedRegistry
from bmff.testing.registry import overrideRow


class Neighbour(LineReceiver):
    """
    Takes lines C{put FIRST LAST}, which it answers with C{done}, and prints C{seen NODE} for each
    override that is new.

    @ivar gone: fires when its input has ended.
    """

    delimiter = b"\n"

    def __init__(self, registry: EmbeddedRegistry) -> None:
        self.gone: Deferred[None] = Deferred()
        self._registry = registry
        self._seen: frozenset[int] = frozenset(registry.overrides)

    def connectionMade(self) -> None:
        """
        Say that the registry is open.
        """
        self._registry.watch(self._changed)
        self.sendLine(b"open")

    def lineReceived(self, line: bytes) -> None:
        """
        Write rows, all at once.
        """
        _, first, last = line.split()
        rows = map(overrideRow, range(int(first), int(last) + 1))
        written = gatherResults(self._registry.put(row) for row in rows)
        written.addCallback(lambda _: self.sendLine(b"done"))

    def connectionLost(self, reason: object = None) -> None:
        """
        The test wants nothing more.
        """
        self.gone.callback(None)

    def _changed(self, table: str) -> None:
        overrides = frozenset(self._registry.overrides)
        for node in sorted(overrides - self._seen):
            self.sendLine(b"seen %d" % node)
        self._seen = overrides


async def main(reactor: Any, path: str) -> None:
    """
    Run until the input ends.
    """
    registry = EmbeddedRegistry(reactor, Path(path))
    await registry.start()
    neighbour = Neighbour(registry)
    StandardIO(neighbour)
    await neighbour.gone
    await registry.stop()


if __name__ == "__main__":
    react(main, sys.argv[1:])
