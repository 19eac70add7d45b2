"""
A real mosquitto in a process and a folder of its own, for the tests that need one.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from pwd import getpwuid
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired

from tests.nodes import PATIENCE, until

_ATTEMPTS = 5  # to get a port that nobody else takes meanwhile


class Mosquitto:
    """
    One broker. It may be ended and started anew, at the same address.

    @ivar folder: where everything of it is, its UNIX socket too.
    @ivar port: of 127.0.0.1; 0 where it has but its UNIX socket.
    @ivar path: its UNIX socket.
    @ivar process: the process that runs or ran last.
    """

    process: Popen[bytes]

    def __init__(
        self, settings: str = "allow_anonymous true", *, tcp: bool = False, onPort: str = ""
    ) -> None:
        """
        @param settings: lines of its configuration, with C{{folder}} where its folder is meant.
        @param tcp: whether it listens on a port, too.
        @param onPort: lines that are for the port alone, such as those of TLS.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="bmff"))  # short, for the socket's path
        self.path = self.folder / "socket"
        self.port = 0
        self._settings = settings
        self._onPort = onPort
        self._tcp = tcp

    @property
    def output(self) -> str:
        """
        What it has written since its start.
        """
        return (self.folder / "output").read_text(errors="replace")

    def start(self) -> None:
        """
        Start it and wait until it serves.

        @raise AssertionError: it does not.
        """
        for _ in range(_ATTEMPTS):
            fixed = self.port
            self.port = fixed or (_freePort() if self._tcp else 0)
            self._run()
            if self.process.poll() is None and self._ours():
                return
            self.remove(folder=False)
            self.port = fixed
        raise AssertionError(f"mosquitto does not serve:\n{self.output}")

    def _run(self) -> None:
        lines = [
            f"user {getpwuid(os.geteuid()).pw_name}",
            "per_listener_settings false",
            "persistence false",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type information",
            self._settings.format(folder=self.folder),
            f"listener 0 {self.path}",
        ]
        if self.port:
            lines += [f"listener {self.port} 127.0.0.1", self._onPort.format(folder=self.folder)]
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text("\n".join(lines) + "\n")
        with suppress(FileNotFoundError):
            self.path.unlink()  # it takes no socket that is there
        with (self.folder / "output").open("wb") as output:
            self.process = Popen(
                ["mosquitto", "-c", configuration],
                cwd=self.folder,
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
            )
        until(lambda: self._serves() or self.process.poll() is not None, "mosquitto starts")

    def _serves(self) -> bool:
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(str(self.path)) == 0 and "running" in self.output

    def _ours(self) -> bool:
        """
        Whether the port is this process's own, and not another's who was quicker.
        """
        if not self.port:
            return True
        sockets = set()
        for descriptor in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                sockets.add(os.readlink(descriptor))
        wanted = f"0100007F:{self.port:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1] == wanted and fields[3] == "0A":  # it listens
                return f"socket:[{fields[9]}]" in sockets
        return False

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

    def remove(self, *, folder: bool = True) -> None:
        """
        End it, whatever it does, and remove its folder.
        """
        if hasattr(self, "process") and self.process.poll() is None:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if folder:
            shutil.rmtree(self.folder)


def _freePort() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
