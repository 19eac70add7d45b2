"""
A server of somebody else's in a process and a folder of its own, for the tests that need a real
one: how it is ended, hung and removed.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired

from tests.nodes import PATIENCE


class ServerProcess:
    """
    One server. It may be ended and started anew.

    @ivar folder: where everything of it is, the socket too.
    @ivar process: the process that runs or ran last.
    """

    process: Popen[bytes]

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bmff"))  # short, for the socket's path

    @property
    def output(self) -> str:
        """
        What it has written since its start.
        """
        return (self.folder / "output").read_text(errors="replace")

    def kill(self) -> None:
        """
        End it as a crash would.
        """
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def pause(self) -> None:
        """
        Have it hang: it keeps its connections and answers nothing.
        """
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """
        Have it go on.
        """
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """
        End it in order, whatever it does; its folder stays.
        """
        if not hasattr(self, "process") or self.process.poll() is not None:
            return
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def remove(self) -> None:
        """
        End it, whatever it does, and remove its folder.
        """
        self.end()
        shutil.rmtree(self.folder)

    def _run(self, *command: str | Path, environment: Mapping[str, str] | None = None) -> None:
        """
        Start it, with what it writes in L{output}.

        @param environment: what it has in its environment; what this process has when absent.
        """
        with (self.folder / "output").open("wb") as output:
            self.process = Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
            )
