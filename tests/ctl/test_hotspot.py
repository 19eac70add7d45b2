"""
Tests of L{bmff.ctl.hotspot}.
"""

from __future__ import annotations

import json
import os
import select
import sys
from io import StringIO
from math import inf

from twisted.trial.unittest import SynchronousTestCase

from bmff.ctl import hotspot
from bmff.ctl.hotspot import PATIENCE, HotspotOptions, Report, Visit, stamped
from bmff.dmr.frame import DATA_SYNC, KIND, Frame
from bmff.dmr.voice import voiceCall
from bmff.events import CallStarted, Event
from bmff.keys import Secrets
from bmff.protocols.homebrew import HomeBrew
from bmff.protocols.turn import Turn
from bmff.router.router import Router
from bmff.sockets.addresses import packAddress
from bmff.sockets.datagrams import DatagramPort
from bmff.testing.everybody import Everybody
from tests.ctl.case import CtlTestCase
from tests.sockets.ports import ReadingClock, Sink

STEP = 0.02  # seconds
PASSWORD = b"passw0rd"


def call(stream: int = 5) -> list[Frame]:
    """
    A short call: a header, 12 frames of voice, a terminator.
    """
    return list(voiceCall(source=1, destination=91, stream=stream, superframes=2))


class ReportTests(SynchronousTestCase):
    """
    What a report counts.
    """

    def report(self, *frames: Frame, late: float = 0.0) -> Report:
        """
        The report of some frames.

        @param late: milliseconds after their stamp.
        """
        report = Report()
        for frame in frames:
            report.frameHeard(frame, 10_000_000_000 + round(late * 1e6))
        return report

    def test_whole(self) -> None:
        """
        Whole calls have lost nothing.
        """
        report = self.report(*call(1), *call(2))
        self.assertEqual((report.heard, report.calls, report.lost), (28, 2, 0))

    def test_lost(self) -> None:
        """
        Gaps in a call are counted, also where its sequence numbers begin anew.
        """
        frames = list(voiceCall(source=1, destination=91, stream=5, superframes=50))
        report = self.report(*frames[:10], *frames[13:250], *frames[260:])
        self.assertEqual(report.lost, 13)
        self.assertEqual(report.heard + report.lost, len(frames))

    def test_twice(self) -> None:
        """
        A frame that comes twice is no loss.
        """
        frames = call()
        self.assertEqual(self.report(*frames[:5], frames[4], *frames[5:]).lost, 0)

    def test_latency(self) -> None:
        """
        The latency is told of the frames that have a stamp, and only when there are any.
        """
        frames = [
            stamped(frame, 10_000_000_000) if frame.flags & KIND != DATA_SYNC else frame
            for frame in call()
        ]
        report = self.report(*frames, late=2.5)
        self.assertEqual(report.latencies, [2.5] * 12)
        figures = report.figures()
        self.assertEqual((figures["latency_median_ms"], figures["latency_p99_ms"]), (2.5, 2.5))
        self.assertIn("latency 2.50 ms median, 2.50 ms p99", str(report))
        self.assertNotIn("latency_median_ms", self.report(*call()).figures())

    def test_figures(self) -> None:
        """
        The figures are JSON.
        """
        self.assertEqual(
            json.loads(json.dumps(self.report(*call()).figures())),
            {"sent": 0, "heard": 14, "lost": 0, "calls": 1},
        )

    def test_text(self) -> None:
        """
        For people the losses are a share of all.
        """
        frames = call()
        self.assertEqual(str(Report(sent=3)), "sent 3 frames, heard 0 in 0 calls")
        self.assertEqual(
            str(self.report(*frames[:3], *frames[7:])),
            "sent 0 frames, heard 10 in 1 calls, lost 4 (28.6 %)",
        )

    def test_stamp(self) -> None:
        """
        A stamp is in the vocoder's bits before the sync, and changes nothing else.
        """
        for frame in call()[1:-1]:
            marked = stamped(frame, 77)
            self.assertEqual(marked.addressing, frame.addressing)
            self.assertEqual(marked.body[:5], frame.body[:5])
            self.assertEqual(marked.body[17:], frame.body[17:])
            self.assertEqual(len(marked.body), len(frame.body))
            self.assertEqual(marked.burst[13:], frame.burst[13:])


class OptionsTests(CtlTestCase):
    """
    Words of C{bmffctl hotspot}.
    """

    def test_off(self) -> None:
        """
        Words that do not fit are told, with exit code 2.
        """
        for words, reason in (
            ("--call 91 --private 5", "--call or --private, not both"),
            ("--slot 3", "--slot is 1 or 2"),
            ("--slots 5", "--slots is 1 to 4"),
            ("--id 0", "--id is 1 to 4294967295"),
            ("--id 4294967296", "--id is 1 to 4294967295"),
            ("--call 16777216", "--call is 1 to 16777215"),
            ("--private 0", "--private is 1 to 16777215"),
            ("--from 0", "--from is 1 to 16777215"),
            ("--seconds 0", "--seconds, --calls and --listen cannot be negative or none"),
            ("--seconds nan", "--seconds, --calls and --listen cannot be negative or none"),
            ("--listen inf", "--seconds, --calls and --listen cannot be negative or none"),
            ("--calls 0", "--seconds, --calls and --listen cannot be negative or none"),
            ("--id seven", "Parameter type enforcement failed"),
            ("here there", "Wrong number of arguments."),
        ):
            self.assertEqual(self.command("hotspot", *words.split()), 2, words)
            self.assertEqual(self.out, "")
            self.assertTrue(self.err.startswith(f"bmffctl: {reason}"), self.err)

    def passphrase(self, *arguments: str) -> bytes:
        """
        The password that is found.
        """
        options = HotspotOptions()
        options.parseOptions(arguments)
        return options._passphrase()

    def test_passphrase(self) -> None:
        """
        The password is the environment's, else a file's first line, else that of the secrets.
        """
        environment = {name: value for name, value in os.environ.items() if name[:4] != "BMFF"}
        self.patch(os, "environ", {**environment, "STATE_DIRECTORY": str(self.home.state)})
        made = Secrets.create(self.home.state / "secrets.toml").homebrewPassword("hotspots")
        self.assertEqual(self.passphrase(), made)
        path = self.home.node(more='password = "ours"')
        (self.home.state / "secrets.toml").write_text('[homebrew]\nours = "from secrets"\n')
        self.assertEqual(self.passphrase("--config", str(path)), b"from secrets")
        file = self.home.write("from a file\r\nand more\n", "password")
        self.assertEqual(
            self.passphrase("--config", str(path), "--password-file", str(file)), b"from a file"
        )
        self.patch(os, "environ", {**environment, "BMFF_PASSWORD": "from outside"})
        self.assertEqual(self.passphrase("--password-file", str(file)), b"from outside")

    def test_noPassphrase(self) -> None:
        """
        Without a password, or without its file, it is told and nothing is tried.
        """
        environment = {name: value for name, value in os.environ.items() if name[:4] != "BMFF"}
        self.patch(os, "environ", {**environment, "STATE_DIRECTORY": str(self.home.state)})
        self.assertEqual(self.command("hotspot"), 1)
        self.assertIn("secrets.toml: cannot be read", self.err)
        Secrets.create(self.home.state / "secrets.toml")
        path = self.home.node(more='password = "others"')
        self.assertEqual(self.command("hotspot", "--config", str(path)), 1)
        self.assertIn("no password 'others' in", self.err)
        self.assertEqual(self.command("hotspot", "--password-file", f"{self.home.folder}/none"), 1)
        self.assertIn("No such file", self.err)

    def test_noAddress(self) -> None:
        """
        A node whose address makes no sense is told and nothing is tried.
        """
        self.patch(os, "environ", {**os.environ, "BMFF_PASSWORD": "x"})
        self.assertEqual(self.command("hotspot", "127.0.0.1:port"), 1)
        self.assertTrue(self.err.startswith("bmffctl: 127.0.0.1:port: "), self.err)
        self.assertEqual(len(self.err.splitlines()), 1)

    def test_resolve(self) -> None:
        """
        A node is a host, with a port where it is not 62031, in brackets where it is IPv6.
        """
        for text, host, port in (
            ("127.0.0.1", "127.0.0.1", 62031),
            ("127.0.0.1:4000", "127.0.0.1", 4000),
            ("::1", "::1", 62031),
            ("[::1]", "::1", 62031),
            ("[::1]:4000", "::1", 4000),
        ):
            self.assertEqual(hotspot._resolve(text), packAddress(host, port))


class HostReactor(ReadingClock):
    """
    A clock that sockets may be read on and that can be stopped, as the reactor of a program.

    @ivar stopped: whether it was.
    """

    stopped = False

    def stop(self) -> None:
        assert not self.stopped
        self.stopped = True


class VisitTests(SynchronousTestCase):
    """
    Visits at a master on this host, each on a clock of its own.
    """

    def setUp(self) -> None:
        self.out = StringIO()
        self.patch(sys, "stdout", self.out)
        self.clock = ReadingClock()
        self.events: list[Event] = []
        router = Router(self.events.append)
        self.homebrew = HomeBrew(
            self.clock, Turn(self.clock, router), self.events.append, Everybody(PASSWORD), bytes(32)
        )
        receiver = self.homebrew.port()
        self.port = DatagramPort(self.clock, "127.0.0.1", 0, receiver)
        receiver.transport = self.port
        self.port.startListening()
        self.addCleanup(self.port.stopListening)
        self.reactors: list[HostReactor] = []

    def visit(
        self, *arguments: str, address: bytes | None = None, password: bytes = PASSWORD
    ) -> tuple[Visit, HostReactor]:
        """
        A visit that has begun.
        """
        options = HotspotOptions()
        options.parseOptions(arguments)
        reactor = HostReactor()
        visit = Visit(reactor, options, address or self.port.address, password)
        self.addCleanup(visit.end)
        self.reactors.append(reactor)
        visit.begin()
        return visit, reactor

    def advance(self, seconds: float) -> None:
        """
        Let time pass for all that were not stopped.
        """
        for _ in range(round(seconds / STEP)):
            clocks = [self.clock, *(one for one in self.reactors if not one.stopped)]
            for clock in clocks:
                clock.advance(STEP)
            while ready := [
                reader
                for clock in clocks
                for reader in clock.readers
                if select.select([reader], [], [], 0)[0]
            ]:
                for reader in ready:
                    reader.doRead()

    def said(self) -> list[str]:
        """
        What was printed.
        """
        return self.out.getvalue().splitlines()

    def test_call(self) -> None:
        """
        A visit logs in, calls, and ends one second after its last frame; who listens hears all.
        """
        listener, _ = self.visit("--id", "7", "--options", "TS2=91", "--listen", "60", "--quiet")
        self.advance(0.2)
        talker, reactor = self.visit("--id", "8", "--call", "91", "--seconds", "1.08", "--stamp")
        self.advance(1.3)
        self.assertEqual(talker.report.sent, 20)
        self.assertFalse(reactor.stopped)
        self.advance(1.2)
        self.assertTrue(reactor.stopped)
        self.assertTrue(talker.loggedIn)
        self.assertEqual(
            (listener.report.heard, listener.report.calls, listener.report.lost), (20, 1, 0)
        )
        self.assertEqual(len(listener.report.latencies), 18)
        self.assertEqual(talker.report.heard, 0)
        self.assertEqual(self.said(), ["logging in to 127.0.0.1 as 8", "logged in", "calling 91"])

    def test_calls(self) -> None:
        """
        Many calls are made one after the other, private ones too, by the radio that is named.
        """
        arguments = "--id 8 --private 5 --from 6 --slot 1 --slots 3 --calls 2 --seconds 0.36"
        talker, reactor = self.visit(*arguments.split())
        self.advance(4)
        started = [event for event in self.events if isinstance(event, CallStarted)]
        self.assertEqual(
            [(one.source, one.destination, one.private, one.slot) for one in started],
            [(6, 5, True, 1)] * 2,
        )
        self.assertEqual(talker.report.sent, 16)
        self.assertTrue(reactor.stopped)

    def test_owner(self) -> None:
        """
        Where nobody is named the hotspot's owner calls.
        """
        self.visit("--id", "234000177", "--call", "91", "--seconds", "0.36")
        self.advance(0.5)
        (started,) = [event for event in self.events if isinstance(event, CallStarted)]
        self.assertEqual((started.peer, started.source), (234000177, 2340001))

    def test_hears(self) -> None:
        """
        Who listens is told of each call that begins.
        """
        self.visit("--id", "7", "--options", "TS2=91", "--listen", "60")
        self.advance(0.2)
        self.visit("--id", "8", "--call", "91", "--seconds", "0.36", "--quiet")
        self.advance(1)
        self.assertEqual(self.said()[-1], "hearing 8 to TG 91 slot 2")

    def test_silent(self) -> None:
        """
        With C{--json} nothing is said but the report.
        """
        self.visit("--id", "8", "--call", "91", "--seconds", "0.36", "--json")
        self.advance(1)
        self.assertEqual(self.said(), [])

    def test_wrongPassword(self) -> None:
        """
        A visit that is refused ends at once.
        """
        visit, reactor = self.visit(password=b"guess")
        self.advance(0.2)
        self.assertTrue(reactor.stopped)
        self.assertFalse(visit.loggedIn)
        self.assertEqual(self.said()[-1], "not logged in: refused")

    def test_nobody(self) -> None:
        """
        Where nobody answers a visit is given up.
        """
        nobody = Sink("127.0.0.1")
        self.addCleanup(nobody.close)
        visit, reactor = self.visit(address=nobody.address)
        self.advance(PATIENCE - 1)
        self.assertFalse(reactor.stopped)
        self.advance(2)
        self.assertTrue(reactor.stopped)
        self.assertFalse(visit.loggedIn)
        self.assertEqual(self.said()[-1], "no answer in 30 s")

    def test_nodeStops(self) -> None:
        """
        When the node says good-bye a visit says so, and comes back.
        """
        visit, reactor = self.visit("--listen", "60")
        self.advance(0.2)
        self.homebrew.stop()
        self.advance(0.2)
        self.assertEqual(self.said()[-1], "not logged in: closed by the master")
        self.advance(12)
        self.assertEqual(self.said()[-1], "logged in again")
        self.assertFalse(reactor.stopped)
        self.assertTrue(visit.loggedIn)

    def test_end(self) -> None:
        """
        A visit that ends logs out, once.
        """
        visit, reactor = self.visit("--listen", "60")
        self.advance(0.2)
        self.assertEqual(len(self.homebrew.master), 1)
        visit.end()
        visit.end()
        self.advance(0.2)
        self.assertEqual(len(self.homebrew.master), 0)
        self.assertEqual(reactor.readers, [])
        self.assertEqual(visit._hotspot.client.deadline(), inf)
