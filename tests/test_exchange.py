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

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from bmff.dmr.frame import Frame
from bmff.dmr.ranges import Ranges
from bmff.errors import CommandRefused, ConfigurationError
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
        router = Exchange(Clock(), events.append).router
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
            Exchange(Clock(), lambda event: None, rules=["nobody's"])
        self.assertIn("routing.rules[0]: there is no rule nobody's", str(caught.exception))

    def test_brokenRule(self) -> None:
        """
        A rule that raises is logged with its name, and the call goes on.
        """
        router = Exchange(Clock(), lambda event: None).router

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
            router = Exchange(None, events.append, rules=["night-rest"]).router
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


class CommandTests(TestCase):
    """
    What an operator may ask a running node for.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        self.exchange = Exchange(self.clock, self.events.append)
        self.router = self.exchange.router
        self.outlet = RecordingOutlet()
        self.peer = Peer(1, self.outlet)
        self.router.addPeer(self.peer, 0.0)

    def frame(self, sequence: int = 0, stream: int = 7) -> Frame:
        return Frame.make(
            sequence=sequence,
            source=5,
            destination=91,
            flags=0x90,
            stream=stream,
            burst=bytes(33),
        )

    def test_sendMessage(self) -> None:
        """
        A text goes to who hears the talkgroup; one that is too long is refused.
        """
        self.exchange.linkTalkgroup(1, 2, 91)
        self.exchange.sendMessage(9, 91, False, "Hello")
        for _ in range(100):
            self.clock.advance(0.06)
            self.router.timeout(self.clock.seconds())
        self.assertEqual({frame.destination for _, _, frame in self.outlet.heard}, {91})
        with self.assertRaises(CommandRefused):
            self.exchange.sendMessage(9, 91, False, "x" * 5000)

    def test_dropCall(self) -> None:
        """
        A call is ended, its listeners are told, and what still comes of it is passed over.
        """
        listener = Peer(2, self.outlet)
        self.router.addPeer(listener, 0.0)
        self.router.setStatic(listener, {2: (91,)}, 0.0)
        self.router.route(self.peer, self.frame(), 0.0)
        with self.assertRaises(CommandRefused):
            self.exchange.dropCall(5, 8)
        self.exchange.dropCall(5, 0)
        self.router.route(self.peer, self.frame(1), 0.06)
        self.assertEqual([frame.flags & 0x3F for _, _, frame in self.outlet.heard], [0x10, 0x22])
        self.assertEqual(self.router.calls, {})
        with self.assertRaises(CommandRefused):
            self.exchange.dropCall(5, 0)

    def test_linkAndUnlink(self) -> None:
        """
        A slot links and leaves a talkgroup; what cannot be is refused.
        """
        self.exchange.linkTalkgroup(1, 2, 91)
        self.exchange.linkTalkgroup(1, 2, 92)
        slot = self.peer.slot(2)
        self.assertEqual(list(slot.dynamic), [91, 92])
        self.exchange.unlinkTalkgroup(1, 2, 91)
        self.assertEqual(list(slot.dynamic), [92])
        self.exchange.unlinkTalkgroup(1, 2, 0)
        self.assertEqual(list(slot.dynamic), [])
        self.peer.refused = Ranges([(95, 95)])
        for refused in (
            (self.exchange.linkTalkgroup, 2, 2, 91),
            (self.exchange.linkTalkgroup, 1, 3, 91),
            (self.exchange.linkTalkgroup, 1, 2, 4000),
            (self.exchange.linkTalkgroup, 1, 2, 95),
            (self.exchange.unlinkTalkgroup, 1, 2, 91),
        ):
            with self.assertRaises(CommandRefused):
                refused[0](*refused[1:])
