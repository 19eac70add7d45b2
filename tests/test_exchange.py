"""
Tests of L{bmff.exchange}, and of the rule in the guide, which is a plugin of a distribution of its
own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import TestCase

from bmff.dmr.frame import Frame
from bmff.errors import ConfigurationError
from bmff.events import Event
from bmff.exchange import Exchange
from bmff.router.call import Peer
from bmff.routing import CallRequest
from tests.router.case import RecordingOutlet

RULE = """
from twisted.plugin import IPlugin
from zope.interface import implementer

from bmff.ibmff import IRouting
from bmff.routing import Decision, Destination


@implementer(IPlugin, IRouting)
class NightRest:
    name = "night-rest"

    def decide(self, request):
        if request.destination == Destination(91):
            return Decision(refused="no DX at night")
        return None


nightRest = NightRest()
"""


class ExchangeTests(TestCase):
    """
    A router is made with everything that takes calls.
    """

    def test_services(self) -> None:
        """
        The parrot, the status and dialling take their numbers.
        """
        events: list[Event] = []
        router = Exchange(events.append).router
        peer = Peer(1, RecordingOutlet())
        peer.dials = True
        router.addPeer(peer, 0.0)
        for number, private in ((9990, False), (9990, True), (5000, True), (262, True)):
            frame = Frame.make(
                sequence=0,
                source=5,
                destination=number,
                flags=0xD0 if private else 0x90,
                stream=number + private,
                burst=bytes(33),
            )
            self.assertEqual(sum(each.takes(peer, frame) for each in router.services), 1)

    def test_noSuchRule(self) -> None:
        """
        A rule that no plugin has is a mistake with its place.
        """
        with self.assertRaises(ConfigurationError) as caught:
            Exchange(lambda event: None, rules=["nobody's"])
        self.assertIn("routing.rules[0]: there is no rule nobody's", str(caught.exception))

    def test_brokenRule(self) -> None:
        """
        A rule that raises is logged with its name, and the call goes on.
        """
        router = Exchange(lambda event: None).router

        def broken(request: CallRequest) -> None:
            raise LookupError("no such table")

        router.rules.add("broken", broken)
        peer = Peer(1, RecordingOutlet())
        router.addPeer(peer, 0.0)
        frame = Frame.make(
            sequence=0, source=5, destination=91, flags=0x90, stream=7, burst=bytes(33)
        )
        router.route(peer, frame, 0.0)
        self.assertEqual(len(router.calls), 1)
        (logged,) = self.flushLoggedErrors(LookupError)
        self.assertIn("no such table", str(logged))

    def test_plugin(self) -> None:
        """
        A rule of somebody else's is found by its name and asked.
        """
        folder = Path(self.mktemp())
        plugins = folder / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "acme_rules.py").write_text(RULE)
        program = dedent("""
            from bmff.dmr.frame import Frame
            from bmff.exchange import Exchange
            from bmff.router.call import Peer
            events = []
            router = Exchange(events.append, rules=["night-rest"]).router
            peer = Peer(1, None)
            router.addPeer(peer, 0.0)
            for talkgroup in (91, 262):
                router.route(peer, Frame.make(sequence=0, source=5, destination=talkgroup,
                             flags=0x90, stream=talkgroup, burst=bytes(33)), 0.0)
            print([type(each).__name__ for each in events])
        """)
        path = os.pathsep.join([str(folder), os.getcwd(), *sys.path])
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.assertEqual(
            done.stdout, "['CallRefused', 'SubscriptionChanged', 'CallStarted']\n", done.stderr
        )
