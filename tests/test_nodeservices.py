"""
Tests of what a node runs: its sockets for hotspots (L{bmff.hotspots}), and its look at the
secrets (L{bmff.keys}).
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from bmff.access import Access
from bmff.errors import ConfigurationError
from bmff.events import Event, PeerLost
from bmff.hotspots import HomeBrewService
from bmff.keys import Secrets, SecretsWatch
from bmff.protocols.homebrew import HomeBrew
from bmff.protocols.turn import Turn
from bmff.router.router import Router
from bmff.sections.homebrew import Homebrew, PeerEntry
from bmff.sections.values import Address
from bmff.testing.hotspots import VirtualHotspot
from bmff.testing.network import VirtualNetwork
from bmff.wire.homebrew import Station
from bmff.wire.homebrewclient import LoggedOut
from tests.nodes import HomeTestCase
from tests.sockets.ports import ReadingClock, Sink, hasIPv6


class ListenTests(HomeTestCase):
    """
    The sockets of a master.
    """

    def service(self, *listen: Address) -> HomeBrewService:
        """
        A service that listens there.
        """
        settings = Homebrew(listen=listen)
        self.clock = ReadingClock()
        router = Router(lambda event: None)
        access = Access(settings, Secrets.create(self.home.state / "secrets.toml"))
        master = HomeBrew(
            self.clock, Turn(self.clock, router), lambda event: None, access, bytes(32)
        )
        service = HomeBrewService(self.clock, master, router, settings)
        self.addCleanup(service.stopService)
        return service

    def noIPv6(self) -> None:
        """
        This host has no IPv6 from now on.
        """
        real = socket.socket

        class Older(real):  # type: ignore[misc, valid-type]
            def __init__(self, family: int = -1, *args: Any, **kwargs: Any) -> None:
                if family == socket.AF_INET6:
                    raise OSError(97, "Address family not supported by protocol")
                super().__init__(family, *args, **kwargs)

        self.patch(socket, "socket", Older)
        self.patch(socket, "has_ipv6", False)

    def refused(self, service: HomeBrewService) -> str:
        """
        The reason for which it does not start.
        """
        with self.assertRaises(ConfigurationError) as caught:
            service.privilegedStartService()
        self.assertEqual(service.ports, [])
        (mistake,) = caught.exception.mistakes
        return str(mistake)

    def test_listens(self) -> None:
        """
        It binds with its first rights, reads from its start on, and closes at its end.
        """
        service = self.service(Address("127.0.0.1", 0), Address("127.0.0.1", 0))
        service.privilegedStartService()
        self.assertEqual((len(service.ports), self.clock.readers), (2, []))
        ports = list(service.ports)
        service.startService()
        self.assertEqual(self.clock.readers, ports)
        service.stopService()
        self.assertEqual((service.ports, self.clock.readers), ([], []))
        self.assertEqual([port.descriptor for port in ports], [-1, -1])

    def test_startAgain(self) -> None:
        """
        One that was stopped can be started again.
        """
        service = self.service(Address("127.0.0.1", 0))
        for _ in range(2):
            service.startService()
            self.assertEqual(len(self.clock.readers), 1)
            service.stopService()

    def test_inUse(self) -> None:
        """
        A port that somebody else has ends the start in one line, and those bound until then are
        let go.
        """
        sink = Sink("127.0.0.1")
        self.addCleanup(sink.close)
        port = sink.name[1]
        reason = self.refused(self.service(Address("127.0.0.1", 0), Address("127.0.0.1", port)))
        self.assertEqual(
            reason,
            f"homebrew.listen: cannot listen on 127.0.0.1:{port}: [Errno 98] Address "
            "already in use",
        )

    def test_foreignAddress(self) -> None:
        """
        An address that this host does not have ends the start.
        """
        reason = self.refused(self.service(Address("127.0.0.1", 0), Address("192.0.2.1", 0)))
        self.assertIn("cannot listen on 192.0.2.1:0", reason)

    def test_noInterface(self) -> None:
        """
        An interface that this host does not have ends the start.
        """
        reason = self.refused(self.service(Address("fe80::1%none", 0)))
        self.assertIn("cannot listen on [fe80::1%none]:0", reason)

    def test_noIPv6(self) -> None:
        """
        Where there is no IPv6 the other addresses do, whichever comes first, and it is said.
        """
        self.noIPv6()
        four, six = Address("127.0.0.1", 0), Address("::", 62031)
        for listen in ((four, six), (six, four)):
            service = self.service(*listen)
            with capturedLogs() as captured:
                service.privilegedStartService()
            self.assertEqual([port.host for port in service.ports], ["127.0.0.1"])
            self.assertEqual(
                [formatEvent(event) for event in captured],
                ["no IPv6 on this host: not on [::]:62031"],
            )

    def test_onlyIPv6(self) -> None:
        """
        Where there is no IPv6 a node that has no other address does not start.
        """
        self.noIPv6()
        reason = self.refused(self.service(Address("::", 62031)))
        self.assertIn("cannot listen on [::]:62031", reason)

    def test_IPv6InUse(self) -> None:
        """
        Where there is IPv6 a port of it that somebody else has ends the start like any other.
        """
        if not hasIPv6():
            self.skipTest("no IPv6 on this host")
        sink = Sink("::1")
        self.addCleanup(sink.close)
        listen = Address("127.0.0.1", 0), Address("::1", sink.name[1])
        self.assertIn("in use", self.refused(self.service(*listen)))


class SecretsTests(HomeTestCase):
    """
    Secrets that change while a node runs, and its hotspots.
    """

    def setUp(self) -> None:
        super().setUp()
        self.path = self.home.state / "secrets.toml"
        secrets = Secrets.create(self.path)
        self.write('hotspots = "first"\nown = "own"')
        secrets.refresh()
        self.clock = Clock()
        self.network = VirtualNetwork(self.clock)
        self.events: list[Event] = []
        access = Access(Homebrew(peer={4: PeerEntry(password="own")}), secrets)
        router = Router(self.events.append)
        self.homebrew = HomeBrew(
            self.clock, Turn(self.clock, router), self.events.append, access, bytes(32)
        )
        receiver = self.homebrew.port()
        self.port = self.network.bind(receiver, "192.0.2.1", 62031)
        receiver.transport = self.port
        self.watch = SecretsWatch(secrets, self.homebrew.reviewAccess)

    def write(self, line: str) -> None:
        """
        Change the secrets as an editor does, which puts a new file in place of the old one.
        """
        new = self.path.with_suffix(".new")
        new.write_text(f"[homebrew]\n{line}\n")
        new.chmod(0o600)
        new.replace(self.path)

    def look(self) -> list[str]:
        """
        Look whether the file has changed.

        @return: what is logged.
        """
        with capturedLogs() as captured:
            self.watch.look()
        self.clock.pump([0.01] * 10)
        return [formatEvent(event) for event in captured]

    def hotspot(self, peerID: int, password: bytes) -> VirtualHotspot:
        """
        A hotspot that has tried to log in.
        """
        hotspot = VirtualHotspot(self.network, self.port.address, Station(peerID), password)
        hotspot.start()
        self.clock.pump([0.01] * 10)
        return hotspot

    def test_unchanged(self) -> None:
        """
        Secrets that have not changed are not talked about.
        """
        hotspot = self.hotspot(1, b"first")
        self.assertEqual(self.look(), [])
        self.assertTrue(hotspot.running)

    def test_changed(self) -> None:
        """
        Another password counts at once: who logged in with the one before has to log in again,
        and whose password is the same stays.
        """
        here = self.hotspot(1, b"first")
        own = self.hotspot(4, b"own")
        self.assertTrue(own.running)
        self.write('hotspots = "second"\nown = "own"')
        self.assertEqual(self.look(), ["secrets read again"])
        self.assertFalse(here.running)
        self.assertIn(LoggedOut("closed by the master"), here.happened)
        self.assertIn(PeerLost(1, "", "its password has changed"), self.events)
        self.assertTrue(own.running)
        self.assertFalse(self.hotspot(2, b"first").running)
        self.assertTrue(self.hotspot(3, b"second").running)
        self.assertEqual(self.look(), [])

    def test_removed(self) -> None:
        """
        A password that is taken away ends the logins that it opened.
        """
        hotspot = self.hotspot(1, b"first")
        self.write('others = "first"')
        self.assertEqual(self.look(), ["secrets read again"])
        self.assertFalse(hotspot.running)
        self.assertIn(LoggedOut("closed by the master"), hotspot.happened)
        reason = "its password id is not in the secrets file"
        self.assertIn(PeerLost(1, "", reason), self.events)
        self.assertFalse(self.hotspot(2, b"first").running)

    def test_mistake(self) -> None:
        """
        A file that cannot be used leaves all as it was and is told once, until it can.
        """
        hotspot = self.hotspot(1, b"first")
        self.write("hotspots = ")
        (line,) = self.look()
        self.assertTrue(line.startswith(f"secrets stay as they were: {self.path}"), line)
        self.assertEqual(self.look(), [])
        self.assertTrue(hotspot.running)
        self.assertTrue(self.hotspot(2, b"first").running)
        self.write('hotspots = "third"')
        self.assertEqual(self.look(), ["secrets read again"])
        self.assertTrue(self.hotspot(3, b"third").running)

    def test_gone(self) -> None:
        """
        A file that is taken away is a mistake, not the end of all logins.
        """
        hotspot = self.hotspot(1, b"first")
        self.path.unlink()
        (line,) = self.look()
        self.assertIn("cannot be read", line)
        self.assertEqual(self.look(), [])
        self.assertTrue(hotspot.running)

    def test_neverRaises(self) -> None:
        """
        Whatever goes wrong is logged: a timer whose call raises would stop for good.
        """

        def broken() -> bool:
            raise RuntimeError("broken")

        self.patch(Secrets, "refresh", lambda secrets: broken())
        self.assertEqual(self.look(), ["secrets could not be looked at"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
