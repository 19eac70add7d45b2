"""
A real Tarantool in a process and a folder of its own, for the tests that need one.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired

from tests.nodes import PATIENCE, until

USER, PASSWORD = "bmff", "correct horse"

# Debian's 2.6 and 3.x run the same. The log-in is for everything, as the tests change the schema.
SETTINGS = """
box.cfg{{
    listen = '{listen}', work_dir = '{folder}', wal_mode = '{wal}', memtx_memory = 64 * 2 ^ 20,
    feedback_enabled = false,
}}
box.schema.user.create('{user}', {{password = '{password}', if_not_exists = true}})
box.schema.user.grant('{user}', 'super', nil, nil, {{if_not_exists = true}})
"""
READY = """
print('listens on ' .. tostring(box.info.listen or box.cfg.listen))
io.flush()
"""


class TarantoolServer:
    """
    One server. It may be ended and started anew, at the same address.

    @ivar folder: where everything of it is, the socket too.
    @ivar address: as Twisted describes an endpoint.
    @ivar process: the process that runs or ran last.
    """

    process: Popen[bytes]

    def __init__(self, script: str = "", *, tcp: bool = False, wal: str = "none") -> None:
        """
        @param script: Lua that it runs once its log-in is there.
        @param tcp: whether it listens on a port of 127.0.0.1, in place of a UNIX socket.
        @param wal: its C{wal_mode}, C{"write"} to keep rows when it is started anew.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="bmff"))  # short, for the socket's path
        self._script = script
        self._wal = wal
        self._listen = "127.0.0.1:0" if tcp else f"unix/:{self.folder}/socket"
        self.address = "" if tcp else f"unix:{self.folder}/socket"

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
        program = self.folder / "server.lua"
        settings = SETTINGS.format(
            listen=self._listen,
            folder=self.folder,
            wal=self._wal,
            user=USER,
            password=PASSWORD,
        )
        program.write_text(f"{settings}{self._script}\n{READY}")
        with (self.folder / "output").open("wb") as output:
            self.process = Popen(
                ["tarantool", program],
                cwd=self.folder,
                env=os.environ | {"LC_ALL": "C.UTF-8"},
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
            )
        until(
            lambda: "listens on " in self.output or self.process.poll() is not None,
            "Tarantool starts",
            2 * PATIENCE,
        )
        if self.process.poll() is not None:
            raise AssertionError(f"Tarantool has ended:\n{self.output}")
        if not self.address:
            self._listen = self.output.split("listens on ")[1].split()[0]
            self.address = f"tcp:{self._listen}"

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

    def remove(self) -> None:
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
        shutil.rmtree(self.folder)
