"""
Servers of C{etc/tarantool/registry.lua} for tests: real ones, each in a folder of its own.
"""

from __future__ import annotations

import json
import os
import socket
from base64 import b64decode
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from subprocess import DEVNULL, PIPE, STDOUT, Popen, TimeoutExpired, run
from tempfile import mkdtemp
from time import monotonic, sleep
from typing import Any, Final

from twisted.trial.unittest import SynchronousTestCase

from bmff.testing.requirements import requires

SCRIPT: Final = Path(__file__).parent.parent / "etc" / "tarantool" / "registry.lua"
PASSWORDS: Final = {user: f"{user}-of-a-test" for user in ("bmnode", "bmadmin", "bmreplica")}
PATIENCE: Final = 30.0  # seconds in which a server has to come up, or replicas to agree
MOST_RESTARTS: Final = 5  # while replicas meet
_LOOK_INTERVAL: Final = 0.01  # seconds
_END: Final = b"\n...\n"  # of an answer at the console
_SPACES: Final = ("Nodes", "Peers", "Subscriptions", "Locations")


class ConsoleError(Exception):
    """
    What a console answers to a line that fails.
    """


def waitUntil(condition: Callable[[], object], what: str, within: float = PATIENCE) -> None:
    """
    Wait for another process.

    @param what: what it should come to, for the message.
    @raise AssertionError: it has not in that time.
    """
    deadline = monotonic() + within
    while not condition():
        if monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        sleep(_LOOK_INTERVAL)


def connector() -> Any:
    """
    The official connector. It has no annotations, and only these tests need it.
    """
    return import_module("tarantool")


class Server:
    """
    One server.

    @ivar folder: its own folder.
    @ivar address: where it listens.
    @ivar environment: its settings beside those that are always given.
    @ivar script: what it runs.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.script = SCRIPT
        self.address = f"unix/:{folder}/iproto.sock"
        self.environment = settings
        self._process: Popen[bytes] | None = None
        self._restarts = 0
        folder.mkdir()
        self.writePasswords("".join(f"{user} = {one}\n" for user, one in PASSWORDS.items()))

    def writePasswords(self, text: str, mode: int = 0o600) -> None:
        """
        Write the file of passwords.
        """
        path = self.folder / "passwords"
        path.write_text(text)
        path.chmod(mode)

    @property
    def settings(self) -> dict[str, str]:
        """
        The environment that the server is started in.
        """
        settings = {"LISTEN": self.address, "FOLDER": str(self.folder), **self.environment}
        return {
            **{name: value for name, value in os.environ.items() if "BMFF_" not in name},
            **{f"BMFF_REGISTRY_{name}": value for name, value in settings.items()},
        }

    def begin(self) -> None:
        """
        Start the process, and do not wait for it.
        """
        with open(self.folder / "log", "ab") as log:
            self._process = Popen(
                ["tarantool", str(self.script)],
                env=self.settings,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
            )

    def ready(self) -> bool:
        """
        Whether clients may call.

        @raise AssertionError: the process has ended.
        """
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text()[-2000:])
        try:
            return self.ask("wait_changes ~= nil") is True
        except (OSError, EOFError):  # it does not listen yet
            return False

    def readyAgain(self) -> bool:
        """
        Whether clients may call; one that has ended is started again, as its unit does. Tarantool
        may take another newcomer, which may not write yet, for the one to copy from, and ends.
        """
        assert self._process is not None
        if self._process.poll() is not None and self._restarts < MOST_RESTARTS:
            self._restarts += 1
            self.begin()
        return self.ready()

    def start(self) -> None:
        """
        Start it, and wait until clients may call.
        """
        self.begin()
        waitUntil(self.ready, f"server in {self.folder}")

    def kill(self) -> None:
        """
        End it at once, as a crash would.
        """
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """
        End it in order.
        """
        assert self._process is not None
        self._process.terminate()
        self.wait()

    def wait(self) -> None:
        """
        Wait until it has ended by itself.
        """
        assert self._process is not None
        try:
            self._process.wait(PATIENCE)
        except TimeoutExpired:
            self.kill()
            raise
        self._process = None

    def refusal(self) -> str:
        """
        Start it with settings that are wrong.

        @return: what it writes.
        @raise AssertionError: its exit code is not 1.
        """
        done = run(
            ["tarantool", str(self.script)],
            env=self.settings,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 1, (done.returncode, done.stdout)
        return done.stdout

    def type(self, line: str) -> str:
        """
        Type a line at the console.

        @return: what the console shows.
        """
        with socket.socket(socket.AF_UNIX) as console:
            console.settimeout(PATIENCE)
            console.connect(str(self.folder / "console.sock"))
            console.sendall(" ".join(line.split()).encode() + b"\n")
            shown = b""
            while not shown.endswith(_END):
                data = console.recv(65536)
                if not data:
                    raise EOFError
                shown += data
        # A greeting of two lines goes before.
        return shown.decode().split("\n", 2)[2]

    def ask(self, expression: str) -> Any:
        """
        The value of an expression.

        @raise ConsoleError: there was an error.
        """
        return self._answer(f"require('json').encode(({expression}))")

    def do(self, statements: str) -> None:
        """
        Have statements done.

        @raise ConsoleError: there was an error.
        """
        self._answer(f"(function() {statements} return '1' end)()")

    def _answer(self, value: str) -> Any:
        # In base 64, as the console folds long texts.
        shown = self.type(f"return require('digest').base64_encode({value}, {{nowrap = true}})")
        _, mark, rest = shown.partition("- ")
        if not mark or rest.startswith("error:"):
            raise ConsoleError(shown)
        # A value may stand in quotes or in a block below.
        text = "".join(rest.removesuffix(_END.decode()).split()).strip("'\"|>-")
        return json.loads(b64decode(text))

    def connect(self, user: str | None = "bmnode", password: str | None = None) -> Any:
        """
        A connection of the official connector.

        @param user: L{None} for a guest.
        @param password: the right one when absent.
        """
        host, path = None, self.address.removeprefix("unix/:")
        port: Any = path
        if path == self.address:
            host, _, port = self.address.rpartition(":")
            port = int(port)
        return connector().Connection(
            host,
            port,
            user=user,
            password=password if password is not None or user is None else PASSWORDS[user],
            connect_now=True,
            reconnect_max_attempts=0,
            connection_timeout=PATIENCE,
            socket_timeout=PATIENCE,
            fetch_schema=user is not None,  # which a guest may not
        )

    def rows(self, space: str) -> list[list[Any]]:
        """
        The live rows of a space.
        """
        rows: list[list[Any]] = self.ask(f"registry.rows('{space}')")
        return rows

    def everything(self) -> dict[str, Any]:
        """
        All rows of the spaces that are replicated, with stamps and tombstones.
        """
        rows: dict[str, Any] = self.ask(
            "{" + ", ".join(f"{name} = box.space.{name}:select()" for name in _SPACES) + "}"
        )
        return rows

    def clock(self) -> dict[str, int]:
        """
        How many changes it has of each replica.
        """
        pairs: dict[str, int] = self.ask(
            "(function() local all = {} for id, number in pairs(box.info.vclock) do"
            " if id > 0 then all[tostring(id)] = number end end return all end)()"
        )
        return pairs


@requires("tarantool")
class ServerCase(SynchronousTestCase):
    """
    Tests with servers.
    """

    def setUp(self) -> None:
        # Not under trial's own folder: the path of a socket may be 107 bytes long, unix(7).
        self.folder = Path(mkdtemp(prefix="bmff-"))
        self.addCleanup(rmtree, self.folder, ignore_errors=True)

    def makeServer(self, name: str = "server", **settings: str) -> Server:
        """
        Make a server, not started, that ends with the test.
        """
        server = Server(self.folder / name, **settings)
        self.addCleanup(server.kill)
        return server

    def startServer(self, **settings: str) -> Server:
        """
        A server that clients may call.
        """
        server = self.makeServer(**settings)
        server.start()
        return server

    def makeReplicas(self, count: int = 3) -> list[Server]:
        """
        As many servers that are replicas of one another, started for the first time.
        """
        replicas = [self.makeServer(f"replica{number}") for number in range(count)]
        addresses = ",".join(one.address for one in replicas)
        for one in replicas:
            one.environment = {"REPLICAS": addresses}
            one.begin()
        for one in replicas:
            waitUntil(one.ready, f"replica in {one.folder}")
        return replicas

    def split(self, replicas: Iterable[Server]) -> None:
        """
        Have these hear nobody any more.
        """
        for one in replicas:
            one.do("box.cfg{replication = {}}")

    def heal(self, replicas: Iterable[Server]) -> None:
        """
        Have these hear one another again.
        """
        sources = [f"bmreplica:{PASSWORDS['bmreplica']}@{one.address}" for one in replicas]
        listed = ", ".join(f"'{source}'" for source in sources)
        for one in replicas:
            one.do(f"box.cfg{{replication = {{{listed}}}}}")

    def agree(self, replicas: Iterable[Server]) -> dict[str, Any]:
        """
        Wait until all have heard all, and see that they have the same rows.

        @return: the rows.
        """
        servers = list(replicas)
        first = servers[0]

        def heard() -> bool:
            clock = first.clock()
            return all(one.clock() == clock for one in servers)

        waitUntil(heard, "all replicas have heard all changes")
        rows = first.everything()
        for one in servers[1:]:
            self.assertEqual(one.everything(), rows)
        return rows
