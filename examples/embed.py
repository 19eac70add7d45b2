"""
Somebody's own Twisted application with a node in it: hotspots log in, other nodes are linked, and
a page of the application's own says who was heard last.

Run it with C{twistd -noy examples/embed.py} or C{python examples/embed.py}. C{CONFIG} in the
environment names the node's configuration, C{PAGE} the endpoint of the page, as in
C{PAGE=tcp:8080:interface=127.0.0.1}.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from twisted.application import strports
from twisted.application.app import startApplication
from twisted.application.service import Application, IServiceCollection
from twisted.internet import reactor as anyReactor
from twisted.python import log
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from bmff.config import loadConfiguration
from bmff.events import CallEnded, Event, LinkEnded, LinkStarted
from bmff.keys import openSecrets
from bmff.node import Node
from bmff.web.controlservice import makeStateFolder

CONFIG = Path(__file__).parent.parent / "etc" / "bmnode.toml"
PAGE = "tcp:8080:interface=127.0.0.1"
MOST = 20  # calls that the page shows


class LastHeard(Resource):
    """
    A page that says who was heard last and which nodes are linked.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self._calls: deque[str] = deque(maxlen=MOST)
        self._nodes: set[int] = set()

    def watch(self, event: Event) -> None:
        """
        Take what has happened in the node. This runs in the middle of a turn, so it is quick; what
        it raises is logged and hurts nobody.
        """
        match event:
            case CallEnded():
                to = f"{'radio' if event.private else 'TG'} {event.destination}"
                self._calls.appendleft(f"{event.source} to {to}, {event.duration:.1f} s")
            case LinkStarted():
                self._nodes.add(event.node)
            case LinkEnded():
                self._nodes.discard(event.node)

    def render_GET(self, request: Request) -> bytes:
        """
        The page, as plain text.
        """
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        linked = ", ".join(map(str, sorted(self._nodes))) or "none"
        return "\n".join([f"linked: {linked}", *self._calls, ""]).encode()


class QuietSite(Site):
    """
    A site without a line in the log for each request, whose date would come from the reactor.
    """

    def log(self, request: Request) -> None:
        """
        Nothing.
        """


def makeNode(reactor: Any, path: Path) -> Node:
    """
    A node as its file says.

    @raise bmff.errors.ConfigurationError: the file has mistakes, each of which it tells.
    """
    # Twisted's own clock is the wall clock: a step of NTP would end every call. From here on no
    # part of the application may take the reactor's seconds for the time of day.
    reactor.seconds = time.monotonic
    configuration = loadConfiguration(path)
    makeStateFolder(configuration)
    secrets, _ = openSecrets(configuration.secrets)
    return Node(reactor, configuration, secrets)


page = LastHeard()
node = makeNode(anyReactor, Path(os.environ.get("CONFIG", CONFIG)))
node.events.watch(page.watch)

application = Application("a service with a node in it")
services = IServiceCollection(application)
node.setServiceParent(services)
strports.service(os.environ.get("PAGE", PAGE), QuietSite(page)).setServiceParent(services)

if __name__ == "__main__":
    reactor: Any = anyReactor  # mypy does not know which reactor there is
    log.startLogging(sys.stdout)
    startApplication(application, False)
    reactor.run()
