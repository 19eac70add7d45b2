"""
A real mosquitto in a process and a folder of its own, for the tests that need one.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from pwd import getpwuid

from tests.nodes import until
from tests.serverprocess import ServerProcess

_ATTEMPTS = 5  # to get a port that nobody else takes meanwhile


class Mosquitto(ServerProcess):
    """
    One broker. It may be ended and started anew, at the same address.

    @ivar port: of 127.0.0.1; 0 where it has but its UNIX socket.
    @ivar path: its UNIX socket.
    """

    def __init__(
        self, settings: str = "allow_anonymous true", *, tcp: bool = False, onPort: str = ""
    ) -> None:
        """
        @param settings: lines of its configuration, with C{{folder}} where its folder is meant.
        @param tcp: whether it listens on a port, too.
        @param onPort: lines that are for the port alone, such as those of TLS.
        """
        super().__init__()
        self.path = self.folder / "socket"
        self.port = 0
        self._settings = settings
        self._onPort = onPort
        self._tcp = tcp

    def start(self) -> None:
        """
        Start it and wait until it serves.

        @raise AssertionError: it does not.
        """
        for _ in range(_ATTEMPTS):
            fixed = self.port
            self.port = fixed or (_freePort() if self._tcp else 0)
            self._serve()
            if self.process.poll() is None and self._ours():
                return
            self.end()
            self.port = fixed
        raise AssertionError(f"mosquitto does not serve:\n{self.output}")

    def _serve(self) -> None:
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
        self._run("mosquitto", "-c", configuration)
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


def _freePort() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
