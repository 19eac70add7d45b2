"""
A node as an operator runs it: C{twistd bmnode} on a processor of its own, with all that its
configuration names.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks._node import HOST, NODE_CPU, freePorts
from bmff.ctl.ask import NodeError, ask
from bmff.keys import Secrets

ROOT: Final = Path(__file__).parent.parent
NETWORK: Final = 25011
PATIENCE: Final = 30.0  # seconds until it must have begun
ENDING: Final = 10.0  # seconds that its end may take
# The processor is chosen before anything is imported: the threads of a process inherit it.
_TWISTD: Final = (
    "import os; os.sched_setaffinity(0, [{cpu}]); from twisted.scripts.twistd import run; run()"
)


class Twistd:
    """
    The process.

    @ivar pid: its ID.
    """

    def __init__(self, configuration: Path, output: Path, cpu: int, *flags: str) -> None:
        """
        @param output: the file for what it writes.
        @param flags: more words for twistd.
        """
        self._output = output
        command = (sys.executable, "-c", _TWISTD.format(cpu=cpu), "-n", "--pidfile=", *flags)
        command += ("bmnode", "--config", str(configuration))
        with output.open("wb") as file:
            self._process = Popen(command, cwd=ROOT, stdout=file, stderr=file, stdin=DEVNULL)
        self.pid = self._process.pid

    def check(self) -> None:
        """
        @raise SystemExit: it has ended.
        """
        if self._process.poll() is not None:
            raise SystemExit(f"a node has ended:\n{self._output.read_text()}")

    def stop(self) -> None:
        """
        End it.

        @raise SystemExit: it does not end in order.
        """
        self._process.terminate()
        try:
            self._process.wait(ENDING)
        except TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise SystemExit(f"a node does not end:\n{self._output.read_text()}") from None


class LoneNode:
    """
    A node without others.

    @ivar master: where hotspots log in.
    @ivar password: of all of them.
    @ivar web: where its API is.
    @ivar pid: the process.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        """
        @param settings: more sections of its configuration.
        """
        self.master = (HOST, freePorts(1))
        self.web = (HOST, _freePort())
        self._control = folder / "control"
        secrets = Secrets.create(folder / "secrets.toml")
        self.password = secrets.homebrewPassword("hotspots") or b""
        configuration = folder / "node.toml"
        configuration.write_text(
            f'network = {NETWORK}\nstate = "{folder}"\n'
            f'[homebrew]\nlisten = ["{HOST}:{self.master[1]}"]\n'
            "talk_limit = 0\npeer_timeout = 600\n"
            f'[web]\nsocket = "{self._control}"\nlisten = ["{HOST}:{self.web[1]}"]\n{settings}\n'
        )
        # An operator's log goes into a file or a pipe, too.
        self._twistd = Twistd(configuration, folder / "output", NODE_CPU, "--logger=bmff.log.json")
        self.pid = self._twistd.pid

    def ask(self, name: str, key: str | None = None) -> Any:
        """
        What it says of something at its control socket.
        """
        return ask(self._control, name, key)

    def begun(self) -> bool:
        """
        Whether it answers.
        """
        self._twistd.check()
        try:
            self.ask("peers")
        except NodeError:
            return False
        return True

    def stop(self) -> None:
        """
        End it.
        """
        self._twistd.stop()


@contextmanager
def loneNode(settings: str = "") -> Iterator[LoneNode]:
    """
    A node that has begun.

    @param settings: lines for its section C{[web]}, and more sections.
    """
    with TemporaryDirectory(prefix="bmff-") as folder:
        node = LoneNode(Path(folder), settings)
        try:
            end = time.monotonic() + PATIENCE
            while not node.begun():
                if time.monotonic() > end:
                    raise SystemExit("the node does not begin")
                time.sleep(0.05)
            yield node
        finally:
            node.stop()


def _freePort() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
