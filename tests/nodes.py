"""
Programs of bmff in processes of their own, for the tests that need real ones: a node as twistd runs
it, and bmffctl.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired

from twisted.trial.unittest import SynchronousTestCase

from bmff.config import Configuration, loadConfiguration

ROOT = Path(__file__).parent.parent
PATIENCE = 15.0  # seconds that a program on this host gets to do what it shall
POLL = 0.02  # seconds between two looks
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
# What two nodes of one host choose: shared memory needs the order of stores of this processor.
FASTEST = "shm" if platform.machine() == "x86_64" else "unix"
CTL = (sys.executable, "-m", "bmff.ctl.main")


class Late(AssertionError):
    """
    Something did not come about in time.
    """


def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """
    Wait until a condition is true.

    @param patience: seconds.
    @raise Late: it was not in time.
    """
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise Late(what)
        time.sleep(POLL)


def freePort() -> int:
    """
    A UDP port of 127.0.0.1 that nobody has.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Home:
    """
    The folder of one host's nodes: their configuration, and what they keep. Its path is short, as
    there are sockets in it.

    @ivar folder: its path.
    @ivar state: the state folder in it.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bmff"))
        self.state = self.folder / "state"

    def write(self, text: str, name: str = "node.toml") -> Path:
        """
        Make a configuration file.

        @return: its path.
        """
        path = self.folder / name
        path.write_text(text)
        return path

    def node(self, *, port: int = 0, network: int = 25011, more: str = "") -> Path:
        """
        Make the configuration file of a node on 127.0.0.1.

        @param more: lines of its section C{[homebrew]}.
        """
        return self.write(
            f"network = {network}\n"
            f'state = "{self.state}"\n'
            "[homebrew]\n"
            f'listen = ["127.0.0.1:{port}"]\n'
            f"{more}\n",
            f"{network}.toml",
        )

    def configuration(self, *, port: int = 0, more: str = "") -> Configuration:
        """
        The configuration of such a node.
        """
        return loadConfiguration(self.node(port=port, more=more))

    def remove(self) -> None:
        """
        Remove the folder and all that is in it.
        """
        shutil.rmtree(self.folder)


class HomeTestCase(SynchronousTestCase):
    """
    A test with a home for nodes.
    """

    def setUp(self) -> None:
        self.home = Home()
        self.addCleanup(self.home.remove)


class Program:
    """
    A program that runs, its output in a file.

    @ivar process: the process.
    """

    def __init__(self, output: Path, *command: str) -> None:
        """
        @param output: the file for standard output and errors.
        """
        self._output = output
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("BMFF_")
        }
        with output.open("wb") as file:
            self.process = Popen(
                command,
                cwd=ROOT,
                env=environment | {"PYTHONUNBUFFERED": "1"},
                stdin=DEVNULL,
                stdout=file,
                stderr=STDOUT,
            )

    @property
    def output(self) -> str:
        """
        What it has written until now.
        """
        return self._output.read_text()

    def says(self, text: str) -> None:
        """
        Wait until it has written something.

        @raise Late: it has ended without, or takes too long.
        """
        until(lambda: text in self.output or self.process.poll() is not None, text)
        if text not in self.output:
            raise Late(f"{text!r} is not in:\n{self.output}")

    def ends(self) -> int:
        """
        Wait for its end.

        @return: the exit code.
        @raise Late: it goes on.
        """
        try:
            return self.process.wait(PATIENCE)
        except TimeoutExpired:
            raise Late(self.output) from None

    def terminate(self) -> None:
        """
        Ask it to end.
        """
        self.process.send_signal(signal.SIGTERM)

    def remove(self) -> None:
        """
        Have it be gone, whatever it does.
        """
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def startNode(home: Home, configuration: Path) -> Program:
    """
    Start a node as C{twistd -n} does.
    """
    output = home.folder / f"{configuration.stem}.out"
    flags = ("-n", "--pidfile=", "bmnode", "--config", str(configuration))
    return Program(output, *TWISTD, *flags)


def startCtl(home: Home, name: str, *arguments: str) -> Program:
    """
    Start bmffctl.

    @param name: of its output, in the home.
    """
    return Program(home.folder / f"{name}.out", *CTL, *arguments)
