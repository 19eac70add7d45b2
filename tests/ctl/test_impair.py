"""
Tests of L{bmff.ctl.impair}.
"""

from __future__ import annotations

import re
import select
import sys
from io import StringIO
from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from bmff.ctl import impair
from bmff.ctl.impair import ImpairOptions, Proxy
from bmff.sockets.addresses import formatAddress
from bmff.testing.impairment import Impairment
from tests.ctl.case import CtlTestCase
from tests.nodes import Program, startCtl
from tests.sockets.ports import ReadingClock, Sink, hasIPv6

PLACES = ("--listen", "127.0.0.1:0", "--to", "127.0.0.1:9")


class OptionsTests(CtlTestCase):
    """
    Words of C{bmffctl impair}.
    """

    def test_off(self) -> None:
        """
        Words that do not fit are told, with exit code 2.
        """
        place = "is HOST:PORT, with an IPv6 address in brackets"
        together = "--loss, --burst and --exact do not fit together"
        for words, reason in (
            ("--loss 101", "--loss is a number of percent, 0 to 100"),
            ("--loss nan", "--loss is a number of percent, 0 to 100"),
            ("--loss much", "--loss is a number of percent, 0 to 100"),
            ("--burst 0", "--burst is a number of datagrams, 1 to 10000"),
            ("--delay -1", "--delay is a number of milliseconds, 0 to 60000"),
            ("--jitter inf", "--jitter is a number of milliseconds, 0 to 60000"),
            ("--reorder 200", "--reorder is a number of percent, 0 to 100"),
            ("--displacement 1.5", "--displacement is a whole number of datagrams, 1 to 1000"),
            ("--duplicate -1", "--duplicate is a number of percent, 0 to 100"),
            ("--seed x", "--seed is a whole number, 0 to 4294967295"),
            ("--seconds 0", "--seconds is a number of seconds, 0.001 to 1000000000"),
            ("--cut-for 3", "--cut-for needs --cut-after"),
            ("--only up", "--only is there or back"),
            ("--listen 127.0.0.1", f"--listen {place}"),
            ("--listen ::1", f"--listen {place}"),
            ("--listen ::1:5", f"--listen {place}"),
            ("--to 127.0.0.1:port", f"--to {place}"),
            ("--to :5", f"--to {place}"),
            ("--to 127.0.0.1:0", "--to has a port of 1 to 65535"),
            ("--listen 127.0.0.1:65536", "--listen has a port of 0 to 65535"),
            (
                "--loss 80 --burst 3",
                f"{together}: of bursts of 3 a share of 0.75 can be lost at most, or all",
            ),
            ("here", "Wrong number of arguments."),
        ):
            self.assertEqual(self.command("impair", *PLACES, *words.split()), 2, words)
            self.assertEqual((self.out, self.err), ("", f"bmffctl: {reason}\n"))

    def test_allTold(self) -> None:
        """
        All mistakes are told at once.
        """
        self.assertEqual(self.command("impair", "--loss", "-1", "--only", "up"), 2)
        place = "is HOST:PORT, with an IPv6 address in brackets"
        self.assertEqual(
            self.err,
            f"bmffctl: --listen {place}; --to {place}; "
            "--loss is a number of percent, 0 to 100; --only is there or back\n",
        )

    def test_units(self) -> None:
        """
        Percent and milliseconds become shares and seconds.
        """
        words = "--loss 5 --burst 3 --exact --delay 20 --jitter 10 --reorder 10 --duplicate 1"
        options = ImpairOptions()
        options.parseOptions([*PLACES, *words.split(), "--displacement", "4", "--seed", "7"])
        self.assertEqual(
            options.impairment,
            Impairment(0.05, 3.0, True, 0.02, 0.01, 0.1, 4, duplication=0.01),
        )
        self.assertEqual(options["seed"], 7)

    def test_noSeed(self) -> None:
        """
        Where no seed is given each run has one of its own.
        """
        seeds = []
        for _ in range(2):
            options = ImpairOptions()
            options.parseOptions(PLACES)
            seeds.append(options["seed"])
        self.assertNotEqual(*seeds)

    def test_places(self) -> None:
        """
        A place is a host and a port, in brackets where the host is IPv6; a host may be a name.
        """
        for text, place in (
            ("127.0.0.1:5", ("127.0.0.1", 5)),
            ("[::1]:54000", ("::1", 54000)),
            ("localhost:5", ("localhost", 5)),
        ):
            self.assertEqual(impair._place(text, 1), place)
        self.assertIn(formatAddress(impair._resolve("localhost", 5)), ("127.0.0.1:5", "[::1]:5"))

    def test_notToBeHad(self) -> None:
        """
        An address that is in use, that leads to itself, or that is none is told in one line.
        """
        other = Sink("127.0.0.1")
        self.addCleanup(other.close)
        taken = formatAddress(other.address)
        for listen, to, reason in (
            (taken, "127.0.0.1:9", r"bmffctl: Couldn't listen on .*in use"),
            (taken, taken, r"bmffctl: 127\.0\.0\.1:\d+: the path would lead to itself"),
            ("127.0.0.1:0", "no host:9", r"bmffctl: no host: "),
        ):
            self.assertEqual(self.command("impair", "--listen", listen, "--to", to), 1)
            self.assertRegex(self.err, reason)
            self.assertEqual((self.out, len(self.err.splitlines())), ("", 1))


class HostReactor(ReadingClock):
    """
    A clock that sockets may be read on and that can be stopped, as the reactor of a program.

    @ivar stopped: whether it was.
    """

    stopped = False

    def stop(self) -> None:
        self.stopped = True


class ProxyTests(SynchronousTestCase):
    """
    A path on this host, between sockets and on a virtual clock.
    """

    def setUp(self) -> None:
        self.out = StringIO()
        self.patch(sys, "stdout", self.out)
        self.reactor = HostReactor()
        self.behind = self.sink()
        self.client = self.sink()

    def sink(self, host: str = "127.0.0.1") -> Sink:
        """
        Another program's socket.
        """
        sink = Sink(host)
        self.addCleanup(sink.close)
        return sink

    def proxy(
        self, *arguments: str, listen: str = "127.0.0.1", behind: Sink | None = None
    ) -> Proxy:
        """
        A path that carries.
        """
        behind = behind or self.behind
        options = ImpairOptions()
        host = f"[{listen}]" if ":" in listen else listen
        options.parseOptions(
            ["--listen", f"{host}:0", "--to", formatAddress(behind.address), *arguments]
        )
        listening = impair._resolve(*options["listen"])
        proxy = Proxy(self.reactor, options, listening, behind.address)
        self.addCleanup(proxy.stop)
        proxy.start()
        return proxy

    def turn(self) -> None:
        """
        Have everything read that is there.
        """
        while ready := select.select(self.reactor.readers, [], [], 0)[0]:
            for reader in ready:
                reader.doRead()

    def advance(self, seconds: float) -> None:
        """
        Let time pass, 5 ms at a time.
        """
        for _ in range(round(seconds / 0.005)):
            self.turn()
            self.reactor.advance(0.005)
        self.turn()

    def take(self, sink: Sink) -> list[bytes]:
        """
        What has arrived.
        """
        taken = []
        while not sink.empty():
            taken.append(sink.socket.recv(4096))
        return taken

    def numbered(self, proxy: Proxy, count: int, pitch: float = 0.0) -> list[int]:
        """
        Send numbered datagrams there, and wait.

        @param pitch: seconds between two of them.
        @return: those that have arrived.
        """
        arrived: list[bytes] = []
        for number in range(count):
            self.client.send(number.to_bytes(2, "big"), proxy.port)
            self.advance(pitch) if pitch else self.turn()
            arrived += self.take(self.behind)
        self.advance(0.5)
        arrived += self.take(self.behind)
        return [int.from_bytes(data, "big") for data in arrived]

    def answer(self, data: bytes) -> tuple[str, int]:
        """
        Send to whoever has sent the next datagram to the address behind.

        @return: where it came from.
        """
        _, name = self.behind.socket.recvfrom(4096)
        self.behind.socket.sendto(data, name)
        return name[0], name[1]

    def said(self) -> list[str]:
        """
        What was printed.
        """
        return self.out.getvalue().splitlines()

    def test_bothWays(self) -> None:
        """
        A good path carries datagrams there and the answers back, whole, at once and in order.
        """
        proxy = self.proxy("--seed", "7")
        big = bytes(range(256)) * 5
        for data in (b"1", big, b""):
            self.client.send(data, proxy.port)
        self.turn()
        self.answer(b"one")
        self.answer(big)
        self.answer(b"three")
        self.turn()
        self.assertEqual(self.take(self.client), [b"one", big, b"three"])
        here, target = formatAddress(proxy.port.address), formatAddress(self.behind.address)
        self.assertEqual(self.said(), [f"seed 7: {here} leads to {target}"])

    def test_families(self) -> None:
        """
        A client on IPv4 may reach an address on IPv6, and the other way.
        """
        if not hasIPv6():
            self.skipTest("no IPv6 loopback")
        for here, there in (("127.0.0.1", "::1"), ("::1", "127.0.0.1")):
            self.behind = self.sink(there)
            proxy = self.proxy(listen=here)
            client = self.sink(here)
            client.send(b"hello", proxy.port)
            self.turn()
            self.answer(b"you too")
            self.turn()
            self.assertEqual(self.take(client), [b"you too"])

    def test_clients(self) -> None:
        """
        Each client is somebody else for the address behind, and gets its own answers.
        """
        proxy = self.proxy()
        clients = [self.sink() for _ in range(5)]
        names = set()
        for number in range(2):
            for client in clients:
                client.send(b"%d" % number, proxy.port)
                self.turn()
                names.add(self.answer(b"to %d" % client.name[1]))
        self.turn()
        self.assertEqual((len(names), len(proxy.clients)), (5, 5))
        for client in clients:
            self.assertEqual(self.take(client), [b"to %d" % client.name[1]] * 2)

    def test_tooMany(self) -> None:
        """
        Clients beyond the most are turned away and told of, until another has been idle.
        """
        self.patch(impair, "MOST_CLIENTS", 2)
        proxy = self.proxy()
        clients = [self.sink() for _ in range(3)]
        for client in clients:
            client.send(b"hello", proxy.port)
            self.turn()
        self.assertEqual(len(self.take(self.behind)), 2)
        self.assertEqual(proxy.turnedAway, 1)
        self.advance(10)
        self.assertIn("turned away: 1 datagrams of more than 2 clients", self.said())
        self.reactor.advance(48)
        clients[0].send(b"still here", proxy.port)
        self.turn()
        self.reactor.advance(3)
        clients[2].send(b"hello", proxy.port)
        self.turn()
        self.assertEqual(self.take(self.behind), [b"still here", b"hello"])
        self.assertEqual(set(proxy.clients), {clients[0].address, clients[2].address})
        self.assertEqual(len(self.reactor.readers), 3)

    def test_idle(self) -> None:
        """
        A client that says and hears nothing for a minute is forgotten within ten seconds more; one
        that only hears is not.
        """
        proxy = self.proxy()
        quiet = self.sink()
        for client in (self.client, quiet):
            client.send(b"hello", proxy.port)
        self.turn()
        _, _ = self.take(self.behind)
        listening = proxy.clients[self.client.address].port.port
        for _ in range(7):
            self.advance(1)
            self.reactor.advance(9)
            self.behind.socket.sendto(b"news", ("127.0.0.1", listening))
            self.turn()
        self.assertEqual(set(proxy.clients), {self.client.address})
        self.assertEqual(len(self.reactor.readers), 2)
        self.assertEqual(len(self.take(self.client)), 7)

    def test_strangers(self) -> None:
        """
        What comes to a client's socket from elsewhere is no answer.
        """
        proxy = self.proxy()
        self.client.send(b"hello", proxy.port)
        self.turn()
        stranger = self.sink()
        stranger.send(b"boo", proxy.clients[self.client.address].port)
        self.turn()
        self.assertEqual((self.take(self.client), proxy.strangers), ([], 1))
        proxy.stop()
        self.assertIn("strangers: 1 datagrams from elsewhere than the address behind", self.said())

    def test_loss(self) -> None:
        """
        The share that was asked for is lost, in both directions by themselves, and counted.
        """
        proxy = self.proxy("--loss", "20", "--seed", "1")
        there = self.numbered(proxy, 1000)
        port = proxy.clients[self.client.address].port
        back: list[int] = []
        for number in range(1000):
            self.behind.send(number.to_bytes(2, "big"), port)
            self.turn()
            back += [int.from_bytes(data, "big") for data in self.take(self.client)]
        for heard, direction in ((there, proxy.there), (back, proxy.back)):
            self.assertTrue(740 <= len(heard) <= 860, len(heard))
            self.assertEqual(
                (direction.carried, direction.impairer.lost), (len(heard), 1000 - len(heard))
            )
        self.assertNotEqual(there, back)

    def test_bursts(self) -> None:
        """
        Losses come in bursts where it was asked for.
        """
        proxy = self.proxy("--loss", "20", "--burst", "4", "--exact", "--seed", "1")
        heard = self.numbered(proxy, 500)
        self.assertEqual({after - before for before, after in pairwise(heard)}, {1, 5})

    def test_seed(self) -> None:
        """
        The same seed does the same to the same traffic, another does not.
        """
        heard = [
            self.numbered(self.proxy("--loss", "30", "--reorder", "20", "--seed", seed), 100)
            for seed in ("5", "5", "6")
        ]
        self.assertEqual(heard[0], heard[1])
        self.assertNotEqual(heard[0], heard[2])

    def test_delay(self) -> None:
        """
        A datagram arrives after its delay and no earlier.
        """
        proxy = self.proxy("--delay", "100", "--jitter", "50")
        self.client.send(b"hello", proxy.port)
        self.turn()
        self.reactor.advance(0.0999)
        self.assertEqual(self.take(self.behind), [])
        self.reactor.advance(0.0502)
        self.assertEqual(self.take(self.behind), [b"hello"])

    def test_reordering(self) -> None:
        """
        Datagrams are held back until others have passed, and none is lost; the last waits for
        nobody.
        """
        proxy = self.proxy("--reorder", "30", "--displacement", "2", "--seed", "1")
        heard = self.numbered(proxy, 300)
        self.assertEqual(sorted(heard), list(range(300)))
        passed = [
            sum(other > number for other in heard[:place]) for place, number in enumerate(heard)
        ]
        self.assertEqual(set(passed), {0, 1, 2})
        self.assertEqual(sum(one > 0 for one in passed), proxy.there.impairer.reordered)
        proxy = self.proxy("--reorder", "100")
        self.assertEqual(self.numbered(proxy, 1), [0])

    def test_doubles(self) -> None:
        """
        Datagrams that are doubled arrive twice.
        """
        proxy = self.proxy("--duplicate", "100", "--delay", "5")
        self.assertEqual(self.numbered(proxy, 3), [0, 0, 1, 1, 2, 2])
        self.assertEqual((proxy.there.carried, proxy.there.impairer.doubled), (6, 3))

    def test_only(self) -> None:
        """
        One direction is impaired alone, the other is good.
        """
        for only, arrived in (("there", (0, 1)), ("back", (1, 0))):
            proxy = self.proxy("--loss", "100", "--only", only)
            self.client.send(b"there", proxy.port)
            self.turn()
            self.behind.send(b"back", proxy.clients[self.client.address].port)
            self.turn()
            heard = len(self.take(self.behind)), len(self.take(self.client))
            self.assertEqual(heard, arrived)

    def test_cut(self) -> None:
        """
        Nothing gets through while the path is cut, which it is when it was said.
        """
        proxy = self.proxy("--cut-after", "0.95", "--cut-for", "2", "--seed", "1")
        heard = self.numbered(proxy, 50, pitch=0.1)
        self.assertEqual(heard, [*range(10), *range(30, 50)])
        self.assertEqual(proxy.there.impairer.lost, 20)
        self.assertEqual(self.said()[1:], ["cut", "whole again"])

    def test_cutForEver(self) -> None:
        """
        A path that is cut without an end stays so, in the direction that was said alone.
        """
        proxy = self.proxy("--cut-after", "1", "--only", "back")
        self.advance(2)
        self.assertEqual(self.numbered(proxy, 3), [0, 1, 2])
        self.behind.send(b"back", proxy.clients[self.client.address].port)
        self.turn()
        self.assertEqual(self.take(self.client), [])

    def test_reports(self) -> None:
        """
        Every ten seconds and at the end there is a line for each direction.
        """
        proxy = self.proxy("--loss", "25", "--seed", "3", "--duplicate", "10", "--reorder", "10")
        heard = self.numbered(proxy, 100)
        there = proxy.there.impairer
        lost = f"{there.lost} lost ({there.lost:.1f} %)"
        others = f"{there.doubled} doubled, {there.reordered} reordered"
        lines = [
            f"there: {len(heard)} carried, {lost}, {others}",
            "back: 0 carried, 0 lost (0.0 %), 0 doubled, 0 reordered",
        ]
        self.assertEqual(self.said()[1:], [])
        self.reactor.advance(10)
        self.assertEqual(self.said()[1:], lines)
        self.reactor.advance(10)
        self.assertEqual(self.said()[1:], lines * 2)
        proxy.stop()
        proxy.stop()
        self.assertEqual(self.said()[1:], lines * 3)

    def test_crowded(self) -> None:
        """
        Only so many datagrams are under way at once; what is more is dropped and told of.
        """
        self.patch(impair, "MOST_UNDERWAY", 5)
        proxy = self.proxy("--delay", "100")
        self.assertEqual(self.numbered(proxy, 8), [0, 1, 2, 3, 4])
        self.assertEqual(self.numbered(proxy, 2), [0, 1])
        self.assertIn("3 too many at once", str(proxy.there))

    def test_notTaken(self) -> None:
        """
        What the kernel does not take is told of.
        """
        proxy = self.proxy("--delay", "100")
        self.client.send(b"hello", proxy.port)
        self.turn()
        proxy.clients[self.client.address].port.stopListening()
        self.reactor.advance(1)
        self.assertEqual((proxy.there.carried, proxy.there.unsent), (0, 1))
        self.assertIn("1 not taken by the kernel", str(proxy.there))

    def test_end(self) -> None:
        """
        A path ends after its time, and leaves no socket and nothing on the clock.
        """
        proxy = self.proxy("--seconds", "2", "--delay", "900", "--reorder", "50", "--seed", "1")
        for _ in range(20):
            self.client.send(b"hello", proxy.port)
        self.turn()
        self.reactor.advance(1.9)
        self.assertFalse(self.reactor.stopped)
        self.reactor.advance(0.2)
        self.assertTrue(self.reactor.stopped)
        self.client.send(b"hello", proxy.port)
        self.turn()
        proxy.stop()
        self.assertEqual(self.reactor.readers, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class ProgramTests(CtlTestCase):
    """
    C{bmffctl impair} as a program.
    """

    def test_run(self) -> None:
        """
        It says where it listens, carries in real time, and says at its end what it did.
        """
        behind, client = Sink("127.0.0.1"), Sink("127.0.0.1")
        for sink in (behind, client):
            self.addCleanup(sink.close)
        program: Program = startCtl(
            self.home,
            "impair",
            *("impair", "--listen", "127.0.0.1:0", "--to", formatAddress(behind.address)),
            *("--delay", "5", "--seed", "7"),
        )
        self.addCleanup(program.remove)
        program.says("\n")
        match = re.match(r"seed 7: 127\.0\.0\.1:(\d+) leads to", program.output)
        assert match is not None, program.output
        client.socket.sendto(b"hello", ("127.0.0.1", int(match[1])))
        data, name = behind.socket.recvfrom(100)
        self.assertEqual(data, b"hello")
        behind.socket.sendto(b"you too", name)
        self.assertEqual(client.receive(1), [b"you too"])
        program.terminate()
        program.ends()
        counted = "1 carried, 0 lost (0.0 %), 0 doubled, 0 reordered"
        self.assertEqual(program.output.splitlines()[1:], [f"there: {counted}", f"back: {counted}"])
