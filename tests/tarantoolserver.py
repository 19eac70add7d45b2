"""
A real Tarantool in a process and a folder of its own, for the tests that need one.
"""

from __future__ import annotations

import os

from tests.nodes import PATIENCE, until
from tests.serverprocess import ServerProcess

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


class TarantoolServer(ServerProcess):
    """
    One server. It may be ended and started anew, at the same address.

    @ivar address: as Twisted describes an endpoint.
    """

    def __init__(self, script: str = "", *, tcp: bool = False, wal: str = "none") -> None:
        """
        @param script: Lua that it runs once its log-in is there.
        @param tcp: whether it listens on a port of 127.0.0.1, in place of a UNIX socket.
        @param wal: its C{wal_mode}, C{"write"} to keep rows when it is started anew.
        """
        super().__init__()
        self._script = script
        self._wal = wal
        self._listen = "127.0.0.1:0" if tcp else f"unix/:{self.folder}/socket"
        self.address = "" if tcp else f"unix:{self.folder}/socket"

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
        self._run("tarantool", program, environment=os.environ | {"LC_ALL": "C.UTF-8"})
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
