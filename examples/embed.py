"""
A node inside a Twisted application of one's own: C{twistd -n --pidfile= -y examples/embed.py}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.application.service import Application
from twisted.internet import reactor

from bmff.config import loadConfiguration
from bmff.events import CallEnded, Event
from bmff.keys import Secrets
from bmff.node import Node


def printed(event: Event) -> None:
    """
    Tell of each call that has ended.
    """
    if isinstance(event, CallEnded):
        print(f"{event.source} talked to {event.destination} for {event.duration:.1f} s")


configuration = loadConfiguration(Path(__file__).parent.parent / "etc" / "bmnode.toml")
node = Node(reactor, configuration, Secrets.create(configuration.secrets))
node.events.watch(printed)

application = Application("a service with a node in it")
node.setServiceParent(application)
