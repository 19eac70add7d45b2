"""
A node's TLS in a process of its own, for the tests: connects, sends C{hello} and waits for its end.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor as anyReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from bmff.ibmff import TLSSettings, TransportSettings
from bmff.testing.transports import Inbox
from bmff.transports import tls


async def peer(
    reactor: Any, port: str, certificate: str, key: str, node: str, fingerprint: str
) -> None:
    """
    Connect to a node.

    @param port: its number.
    @param node: its ID.
    """
    known = {int(node): fingerprint}
    settings = TransportSettings(
        1, ("127.0.0.1",), tls=TLSSettings(certificate, key, lambda: known)
    )
    path = await tls.make(reactor, settings).connect("127.0.0.1", int(port), Inbox())
    path.sendPacket(b"hello")
    await Deferred()


def main(reactor: Any, *arguments: str) -> Deferred[None]:
    """
    For L{react}.
    """
    return Deferred.fromCoroutine(peer(reactor, *arguments))


if __name__ == "__main__":
    react(main, sys.argv[1:], anyReactor)
