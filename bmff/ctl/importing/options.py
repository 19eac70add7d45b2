"""
C{bmffctl import}: turns the configuration of hblink3 or FreeDMR into ours, and says what it could
not turn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from twisted.python import usage

from bmff.ctl.anyorder import AnyOrderOptions
from bmff.ctl.importing.bridging import readBridging
from bmff.ctl.importing.imported import importedFiles, writeFiles
from bmff.ctl.importing.plan import Plan
from bmff.ctl.importing.remarks import Remarks
from bmff.ctl.importing.server import readServer
from bmff.toml import readText

_LOWEST: Final = 1000
_HIGHEST: Final = 9_999_999
_PLACEHOLDER: Final = 25011


class ImportOptions(AnyOrderOptions):
    """
    The options of C{bmffctl import}.
    """

    synopsis = "[options] hblink.cfg [rules.py]"
    longdesc = (
        "Makes the configuration of nodes, NODE.toml, and secrets.toml of that of hblink3 or "
        "FreeDMR, and says of each thing what became of it. Files that are there are left alone; "
        "rules.py is read, not run. docs/coming-from-hblink.md tells the rest."
    )
    optParameters = [
        ["out", "o", "imported", "the folder for the files; it is made when it is not there"],
        ["node", "n", None, "the ID of the first node; FreeDMR's SERVER_ID when absent"],
    ]

    def parseArgs(self, file: str, rules: str = "") -> None:  # type: ignore[override]
        """
        @param file: C{hblink.cfg} or C{freedmr.cfg}.
        @param rules: C{rules.py}; empty when there is none.
        @raise usage.UsageError: the node ID is none.
        """
        node = self["node"]
        if node is not None and not (node.isascii() and node.isdigit() and _isNode(int(node[:8]))):
            raise usage.UsageError("--node takes a node ID, 4 to 7 digits")
        self["file"], self["rules"] = file, rules

    def run(self) -> int:
        """
        Read, write and report.

        @raise ConfigurationError: a file cannot be read, used or written.
        """
        remarks = Remarks()
        file, rules = Path(self["file"]), self["rules"]
        server = readServer(readText(file), file.name, remarks)
        bridging = readBridging(readText(rules), Path(rules).name, remarks) if rules else None
        network = self._network(server.serverID, remarks)
        plan = Plan(server, bridging, network, remarks)
        origin = f"{file.name} and {Path(rules).name}" if rules else file.name
        files = importedFiles(plan, origin)
        for path in writeFiles(Path(self["out"]), files):
            print(f"wrote {path}")
        for line in remarks:
            print(line)
        return 0

    def _network(self, serverID: int | None, remarks: Remarks) -> int:
        if self["node"] is not None:
            return int(self["node"])
        if serverID is not None and _isNode(serverID):
            return serverID
        remarks.left(
            "network", f"is {_PLACEHOLDER}; no two nodes of a network share one, so choose your own"
        )
        return _PLACEHOLDER


def _isNode(number: int) -> bool:
    return _LOWEST <= number <= _HIGHEST
