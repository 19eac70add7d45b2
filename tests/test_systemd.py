"""
Tests of L{bmff.systemd}: alone on a virtual clock, and in node processes that are started as
systemd starts them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import time
from array import array
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bmff.systemd import (
    KEPT_NAME,
    PATIENCE,
    RETRY_INTERVAL,
    SupervisionService,
    Supervisor,
    adopt,
    startEnvironment,
)
from tests.nodes import PATIENCE as PROCESS_PATIENCE
from tests.nodes import ROOT, HomeTestCase, freePort, until

# What systemd does between fork and exec: descriptors from 3 on, and the variables that name them.
START = """\
import json, os, sys
descriptors, environment = json.loads(sys.argv[1])
for place, descriptor in enumerate(descriptors, 3):
    os.dup2(descriptor, place)
if descriptors:
    environment["LISTEN_PID"] = str(os.getpid())
    environment["LISTEN_FDS"] = str(len(descriptors))
    environment["LISTEN_FDNAMES"] = ":".join(["homebrew"] * len(descriptors))
run = "from twisted.scripts.twistd import run; run()"
os.execve(sys.executable, [sys.executable, "-c", run, *sys.argv[2:]], {**os.environ, **environment})
"""
FREE_DESCRIPTORS = 100  # out of the way of those from 3 on


class Ear:
    """
    The socket that systemd hears at, and its store of descriptors.

    @ivar said: all that was heard, in order, each with the time at which it was read.
    @ivar store: the descriptors that are kept.
    """

    def __init__(self, path: Path) -> None:
        self.said: list[tuple[str, float]] = []
        self.store: list[int] = []
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)

    def listen(self) -> list[str]:
        """
        Read what is there.

        @return: all that was said until now, a line each.
        """
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(64 * 4))
            except BlockingIOError:
                break
            descriptors = array("i")
            for _, _, rights in ancillary:
                descriptors.frombytes(rights)
            self._obey(data.decode().split("\n"), list(descriptors))
        return [line for line, _ in self.said]

    def _obey(self, lines: list[str], descriptors: list[int]) -> None:
        self.said += [(line, time.monotonic()) for line in lines]
        if "FDSTOREREMOVE=1" in lines:
            self._forget()
        for descriptor in descriptors:
            self.store.append(fcntl(descriptor, F_DUPFD_CLOEXEC, FREE_DESCRIPTORS))
            os.close(descriptor)

    def times(self, line: str) -> list[float]:
        """
        When something was read.
        """
        self.listen()
        return [when for said, when in self.said if said == line]

    def _forget(self) -> None:
        for descriptor in self.store:
            os.close(descriptor)
        self.store.clear()

    def close(self) -> None:
        """
        Hear nothing more and keep nothing.
        """
        self._socket.close()
        self._forget()


def udpSocket(port: int = 0, host: str = "127.0.0.1") -> socket.socket:
    """
    A UDP socket as systemd opens one.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, port))
    return sock


class EarTestCase(HomeTestCase):
    """
    A test with somebody who listens as systemd does.
    """

    def setUp(self) -> None:
        super().setUp()
        self.ear = Ear(self.home.folder / "notify")
        self.addCleanup(self.ear.close)


class EnvironmentTests(EarTestCase):
    """
    Tests of what L{Supervisor.fromEnvironment} makes of variables.
    """

    def test_nobody(self) -> None:
        """
        Without variables there is nobody: nothing is told, nothing is lost.
        """
        supervisor = Supervisor.fromEnvironment({}, 1)
        self.assertFalse(supervisor.present)
        self.assertEqual(supervisor.interval, 0.0)
        self.assertTrue(supervisor.tell("READY=1"))
        self.assertTrue(supervisor.keep([0]))
        self.assertEqual(supervisor.lost, 0)
        self.assertIsNone(supervisor.take("127.0.0.1", 62031))

    def test_watchdog(self) -> None:
        """
        The watchdog counts when it is this process's or nobody's by name, and is a number.
        """
        for variables, interval in (
            ({"WATCHDOG_USEC": "3000000"}, 3.0),
            ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 3.0),
            ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, 0.0),
            ({"WATCHDOG_USEC": "-1"}, 0.0),
            ({"WATCHDOG_USEC": "soon"}, 0.0),
        ):
            environ = {"NOTIFY_SOCKET": self.ear.path, **variables}
            self.assertEqual(Supervisor.fromEnvironment(environ, 7).interval, interval, variables)
        self.assertEqual(Supervisor.fromEnvironment({"WATCHDOG_USEC": "3000000"}, 7).interval, 0.0)

    def test_address(self) -> None:
        """
        A path and an abstract name are heard at; other kinds of address, which a virtual machine
        may be given, are nobody.
        """
        supervisor = Supervisor.fromEnvironment({"NOTIFY_SOCKET": self.ear.path}, 7)
        self.addCleanup(supervisor.close)
        self.assertTrue(supervisor.tell("READY=1", "STATUS=well"))
        self.assertEqual(self.ear.listen(), ["READY=1", "STATUS=well"])
        name = f"bmff-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract:
            abstract.bind(f"\0{name}")
            other = Supervisor.fromEnvironment({"NOTIFY_SOCKET": f"@{name}"}, 7)
            self.addCleanup(other.close)
            self.assertTrue(other.tell("READY=1"))
            self.assertEqual(abstract.recv(100), b"READY=1")
        self.assertFalse(Supervisor.fromEnvironment({"NOTIFY_SOCKET": "vsock:2:1"}, 7).present)

    def test_lost(self) -> None:
        """
        What is not taken is counted and raises nothing.
        """
        supervisor = Supervisor(str(self.home.folder / "nobody"))
        self.addCleanup(supervisor.close)
        self.assertFalse(supervisor.tell("READY=1"))
        self.assertEqual(supervisor.lost, 1)

    def test_otherProcess(self) -> None:
        """
        Descriptors that are meant for another process are left alone.
        """
        environ = {"LISTEN_PID": "8", "LISTEN_FDS": "60"}
        self.assertEqual(Supervisor.fromEnvironment(environ, 7).closeRest(), [])

    def test_startEnvironment(self) -> None:
        """
        The environment of the start is there, also what is no longer in C{os.environ}.
        """
        self.assertEqual(startEnvironment()["PATH"], os.environ["PATH"])


class SocketsTests(SynchronousTestCase):
    """
    Tests of the sockets that are handed over.
    """

    def opened(self, host: str = "127.0.0.1") -> socket.socket:
        """
        A socket, closed when the test is over.
        """
        sock = udpSocket(host=host)
        self.addCleanup(sock.close)
        return sock

    def test_take(self) -> None:
        """
        A socket is found by its address, once; what nobody takes is closed and named.
        """
        first, second = self.opened(), self.opened()
        supervisor = Supervisor(sockets=[first, second])
        host, port = first.getsockname()
        name = str(second.getsockname())
        self.assertIs(supervisor.take(host, port), first)
        self.assertIsNone(supervisor.take(host, port))
        self.assertIsNone(supervisor.take("127.0.0.2", second.getsockname()[1]))
        self.assertEqual(supervisor.closeRest(), [name])
        self.assertEqual((first.fileno() >= 0, second.fileno()), (True, -1))

    def test_otherKinds(self) -> None:
        """
        Descriptors that are no sockets are passed over, and no child inherits what is adopted.
        """
        folder = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, folder)
        file = os.open(folder, os.O_RDONLY)
        self.addCleanup(os.close, file)
        copy = os.dup(self.opened().fileno())
        os.set_inheritable(copy, True)
        (sock,) = adopt([file, copy, 10_000])
        self.addCleanup(sock.close)
        self.assertEqual((sock.fileno(), sock.get_inheritable()), (copy, False))

    def test_stream(self) -> None:
        """
        A socket of TCP at the same address is not taken for the hotspots'.
        """
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.assertIsNone(Supervisor(sockets=[sock]).take(*sock.getsockname()))

    def test_bothFamilies(self) -> None:
        """
        A socket that takes both families is refused, with what its unit has to say.
        """
        if not socket.has_dualstack_ipv6():
            self.skipTest("no IPv6 on this host")
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(("::", 0))
            supervisor = Supervisor(sockets=[sock])
            error = self.assertRaises(ValueError, supervisor.take, "::", sock.getsockname()[1])
            self.assertIn("BindIPv6Only=ipv6-only", str(error))


class ServiceTests(EarTestCase):
    """
    Tests of L{SupervisionService} on a virtual clock.
    """

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.supervisor = Supervisor(self.ear.path, 10.0)
        self.addCleanup(self.supervisor.close)
        self.sock = udpSocket()
        self.addCleanup(self.sock.close)

    def service(self, ready: Deferred[None] | None = None) -> SupervisionService:
        """
        A service, started.
        """
        service = SupervisionService(
            self.clock,
            self.supervisor,
            succeed(None) if ready is None else ready,
            lambda: "well",
            lambda: [self.sock.fileno()],
        )
        service.startService()
        return service

    def test_ready(self) -> None:
        """
        Nothing is said before the reactor turns; then that the node is ready, how it is, and which
        sockets are to be kept, in place of those that were kept before.
        """
        self.service()
        self.assertEqual(self.ear.listen(), [])
        self.clock.advance(0)
        said = self.ear.listen()
        self.assertLess(said.index("FDSTOREREMOVE=1"), said.index("FDSTORE=1"))
        self.assertLess(said.index("FDSTORE=1"), said.index("READY=1"))
        self.assertIn(f"FDNAME={KEPT_NAME}", said)
        self.assertIn("FDPOLL=0", said)
        self.assertIn("STATUS=well", said)
        (kept,) = self.ear.store
        self.assertTrue(os.path.sameopenfile(kept, self.sock.fileno()))

    def test_waits(self) -> None:
        """
        What is not ready is waited for, though not for ever; when it comes later, the status is
        told anew, and it is ready only once.
        """
        ready: Deferred[None] = Deferred()
        self.service(ready)
        self.clock.advance(PATIENCE - 0.1)
        self.assertNotIn("READY=1", self.ear.listen())
        self.clock.advance(0.2)
        self.assertEqual(self.ear.listen().count("READY=1"), 1)
        ready.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.ear.listen().count("READY=1"), 1)
        self.assertEqual(self.ear.listen().count("STATUS=well"), 2)

    def test_soon(self) -> None:
        """
        What becomes ready in time is told at once, and once.
        """
        ready: Deferred[None] = Deferred()
        self.service(ready)
        self.clock.advance(1)
        ready.callback(None)
        self.clock.advance(0)
        self.assertIn("READY=1", self.ear.listen())
        self.clock.advance(2 * PATIENCE)
        self.assertEqual(self.ear.listen().count("READY=1"), 1)

    def test_life(self) -> None:
        """
        Signs of life come twice in each interval.
        """
        self.service()
        for _ in range(200):
            self.clock.advance(0.5)
            self.ear.listen()  # its queue is short
        self.assertEqual(self.ear.listen().count("WATCHDOG=1"), 20)

    def test_noWatchdog(self) -> None:
        """
        Who wants no signs of life gets none.
        """
        self.supervisor.interval = 0.0
        self.service()
        self.clock.advance(1000)
        said = self.ear.listen()
        self.assertIn("READY=1", said)
        self.assertNotIn("WATCHDOG=1", said)

    def test_again(self) -> None:
        """
        That the node is ready is said again until it is taken.
        """
        os.rename(self.ear.path, f"{self.ear.path}.away")
        self.service()
        self.clock.advance(0)
        self.assertEqual(self.ear.listen(), [])
        os.rename(f"{self.ear.path}.away", self.ear.path)
        self.clock.advance(RETRY_INTERVAL)
        self.assertEqual(self.ear.listen().count("READY=1"), 1)
        self.assertEqual(len(self.ear.store), 1)

    def test_stop(self) -> None:
        """
        The end is told, and nothing after it; no timer is left.
        """
        service = self.service()
        self.clock.advance(0)
        service.stopService()
        self.assertEqual(self.ear.listen()[-2:], ["STOPPING=1", "STATUS=stopping"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopEarly(self) -> None:
        """
        A node that ends before it is ready does not say that it is.
        """
        ready: Deferred[None] = Deferred()
        service = self.service(ready)
        service.stopService()
        ready.callback(None)
        self.clock.advance(2 * PATIENCE)
        self.assertEqual(self.ear.listen(), ["STOPPING=1", "STATUS=stopping"])

    def test_nobody(self) -> None:
        """
        Where nobody listens there is no timer at all.
        """
        self.supervisor = Supervisor()
        service = self.service()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        service.stopService()


class NodeTests(EarTestCase):
    """
    Tests of node processes that are started as systemd starts them.
    """

    def start(self, configuration: Path, sockets: list[int], **environment: str) -> Popen[bytes]:
        """
        Start a node with these descriptors from 3 on.
        """
        copies = [fcntl(each, F_DUPFD_CLOEXEC, FREE_DESCRIPTORS) for each in sockets]
        variables = {"NOTIFY_SOCKET": self.ear.path, **environment}
        self.output = self.home.folder / "output"
        twistd = ("-n", "--pidfile=", "bmnode", "--config", str(configuration))
        try:
            with self.output.open("ab") as output:
                process = Popen(
                    [sys.executable, "-c", START, json.dumps([copies, variables]), *twistd],
                    cwd=ROOT,
                    stdin=DEVNULL,
                    stdout=output,
                    stderr=STDOUT,
                    pass_fds=copies,
                )
        finally:
            for copy in copies:
                os.close(copy)
        self.addCleanup(self.remove, process)
        return process

    def remove(self, process: Popen[bytes]) -> None:
        """
        Have a process be gone.
        """
        if process.poll() is None:
            process.kill()
        process.wait()

    def waitFor(self, line: str, count: int = 1) -> None:
        """
        Wait until something has been said.
        """
        until(lambda: self.ear.listen().count(line) >= count, f"{line}: {self.ear.said}")

    def end(self, process: Popen[bytes]) -> None:
        """
        End a node as systemd does.
        """
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PROCESS_PATIENCE), -signal.SIGTERM, self.output.read_text())

    def test_life(self) -> None:
        """
        A node says that it is ready when its port answers and its links have a number, where it is
        reached, that it lives at half the interval, and that it ends; one that is stopped, or
        whose reactor does not turn, gives no sign of life.
        """
        port, number = freePort(), freePort()
        path = self.home.node(
            port=port, more=f'[web]\n[fastforward]\nport = {number}\nlisten = ["127.0.0.1"]'
        )
        process = self.start(path, [], WATCHDOG_USEC="400000")
        with udpSocket() as hotspot:
            hotspot.settimeout(PROCESS_PATIENCE)
            self.waitFor("READY=1")
            hotspot.sendto(b"RPTL" + (2340001).to_bytes(4, "big"), ("127.0.0.1", port))
            self.assertEqual(hotspot.recv(100)[:6], b"RPTACK")
        self.assertIn(
            f"STATUS=node 25011: hotspots log in at 127.0.0.1:{port}; "
            f"other nodes reach it at port {number}",
            self.ear.listen(),
        )
        self.waitFor("WATCHDOG=1", self.ear.listen().count("WATCHDOG=1") + 5)
        times = self.ear.times("WATCHDOG=1")[-5:]
        self.assertLess((times[-1] - times[0]) / 4, 0.4)

        process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)  # what was sent before
        before = len(self.ear.times("WATCHDOG=1"))
        time.sleep(0.6)  # one and a half intervals
        self.assertEqual(len(self.ear.times("WATCHDOG=1")), before)
        process.send_signal(signal.SIGCONT)

        self.end(process)
        said = self.ear.listen()
        self.assertIn("STOPPING=1", said)
        self.assertGreater(said.index("STOPPING=1"), said.index("READY=1"))

    def test_socket(self) -> None:
        """
        A node takes the socket that it is given and says so to nobody else: what was sent before
        there was a process is answered.
        """
        with udpSocket() as given, udpSocket() as hotspot:
            hotspot.settimeout(PROCESS_PATIENCE)
            hotspot.sendto(b"RPTL" + (2340001).to_bytes(4, "big"), given.getsockname())
            process = self.start(self.home.node(port=given.getsockname()[1]), [given.fileno()])
            data, sender = hotspot.recvfrom(100)
            self.assertEqual((data[:6], sender), (b"RPTACK", given.getsockname()))
            self.end(process)

    def test_restart(self) -> None:
        """
        The sockets that one process has left with systemd are the next one's: every datagram that
        is sent while there is no process is answered by the new one.
        """
        port = freePort()
        path = self.home.node(port=port)
        first = self.start(path, [])
        self.waitFor("READY=1")
        self.end(first)
        self.assertEqual(len(self.ear.store), 1)
        hotspots = [udpSocket() for _ in range(50)]
        for sock in hotspots:
            self.addCleanup(sock.close)
            sock.settimeout(PROCESS_PATIENCE)
        for number, sock in enumerate(hotspots):
            sock.sendto(b"RPTL" + (2340001 + number).to_bytes(4, "big"), ("127.0.0.1", port))
        second = self.start(path, self.ear.store)
        for sock in hotspots:
            self.assertEqual(sock.recv(100)[:6], b"RPTACK")
        self.waitFor("READY=1", 2)
        self.assertEqual(len(self.ear.store), 1)
        self.end(second)

    def test_killed(self) -> None:
        """
        The same when the first process did not end by itself.
        """
        port = freePort()
        path = self.home.node(port=port)
        first = self.start(path, [])
        self.waitFor("READY=1")
        first.kill()
        first.wait()
        with udpSocket() as hotspot:
            hotspot.settimeout(PROCESS_PATIENCE)
            hotspot.sendto(b"RPTL" + (2340001).to_bytes(4, "big"), ("127.0.0.1", port))
            self.end(self.answering(path, hotspot))

    def answering(self, path: Path, hotspot: socket.socket) -> Popen[bytes]:
        """
        Start the next process, and see that it answers.
        """
        process = self.start(path, self.ear.store)
        self.assertEqual(hotspot.recv(100)[:6], b"RPTACK")
        return process

    def test_noLinks(self) -> None:
        """
        A node whose links cannot be made is ready without delay, as hotspots need no other nodes,
        and says why there are none.
        """
        path = self.home.node(more='[fastforward]\nlisten = ["127.0.0.1"]')
        self.home.state.mkdir()
        (self.home.state / "registry.sqlite").write_text("no database, but long enough " * 100)
        begin = time.monotonic()
        process = self.start(path, [])
        self.waitFor("READY=1")
        self.assertLess(self.ear.times("READY=1")[0] - begin, PATIENCE)
        (status,) = [each for each in self.ear.listen() if each.startswith("STATUS=")]
        self.assertIn("no links to other nodes: ", status)
        self.assertIn("registry.sqlite", status)
        self.end(process)

    def test_otherSocket(self) -> None:
        """
        A socket at an address that the configuration does not name is closed, with a word; the
        node listens where it shall, and keeps that one.
        """
        port = freePort()
        with udpSocket() as given:
            process = self.start(self.home.node(port=port), [given.fileno()])
            self.waitFor("READY=1")
            self.assertIn("which this node does not use", self.output.read_text())
            (kept,) = self.ear.store
            with socket.socket(fileno=os.dup(kept)) as sock:
                self.assertEqual(sock.getsockname(), ("127.0.0.1", port))
            self.end(process)

    def test_notReady(self) -> None:
        """
        A node that cannot listen never says that it is ready.
        """
        with udpSocket() as taken:
            process = self.start(self.home.node(port=taken.getsockname()[1]), [])
            self.assertEqual(process.wait(PROCESS_PATIENCE), 1)
        self.assertNotIn("READY=1", self.ear.listen())
