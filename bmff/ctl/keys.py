"""
C{bmffctl keygen} and C{key}: the keys of links between nodes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from twisted.python import usage

from bmff.config import defaultState, loadConfiguration
from bmff.ctl.anyorder import AnyOrderOptions
from bmff.keyfile import addKey, newKey, removeKey, useKey


class KeygenOptions(usage.Options):
    """
    The options of C{bmffctl keygen}.
    """

    longdesc = "Prints a new random key for links, as a row of a secrets file holds it."

    def run(self) -> int:
        """
        Print it.
        """
        print(newKey())
        return 0


class KeyOptions(AnyOrderOptions):
    """
    The options of C{bmffctl key}.
    """

    synopsis = "[options] add ID [KEY] | use ID | remove ID | rotate"
    longdesc = (
        "Changes the keys of links in the secrets file; running nodes notice within seconds and "
        "lose no call. add: from now on others may speak under a key (a new one when KEY is not "
        "given; copy its row to the other hosts). use: this host makes its links under it. "
        "remove: nobody may speak under it any more. rotate: add a new one and use it."
    )
    optParameters = [
        ["secrets", "s", None, "the secrets file"],
        ["config", "c", None, "a node's configuration file, which names the secrets file"],
        ["nodes", "n", "", "the node IDs that an added key proves, with commas; all when absent"],
    ]

    def parseArgs(self, action: str, keyID: str = "", key: str = "") -> None:  # type: ignore[override]
        """
        @param action: C{add}, C{use}, C{remove} or C{rotate}.
        @param keyID: the key's id.
        @param key: the key itself, 64 characters of hex.
        @raise usage.UsageError: they do not fit together.
        """
        if action not in {"add", "use", "remove", "rotate"}:
            raise usage.UsageError(f"unknown action {action}; there is add, use, remove, rotate")
        if not keyID and action != "rotate":
            raise usage.UsageError(f"key {action} takes the key's id")
        if not all(part.strip().isdigit() for part in self["nodes"].split(",") if part):
            raise usage.UsageError("--nodes takes node IDs with commas")
        self["action"], self["id"], self["key"] = action, keyID, key

    def run(self) -> int:
        """
        Change the file.

        @raise ConfigurationError: it cannot be changed so.
        """
        path, keyID = findSecrets(self["secrets"], self["config"]), self["id"]
        match self["action"]:
            case "add":
                nodes = tuple(int(part) for part in self["nodes"].split(",") if part)
                addKey(path, keyID, self["key"] or newKey(), nodes)
                print(f"{path}: key {keyID} is accepted; it is used after: bmffctl key use {keyID}")
            case "use":
                useKey(path, keyID)
                print(f"{path}: links are made under {keyID} from now on")
            case "remove":
                removeKey(path, keyID)
                print(f"{path}: key {keyID} is gone; its sessions end within 15 s")
            case _:
                keyID = keyID or datetime.now(UTC).strftime("key-%Y%m%d-%H%M%S")
                addKey(path, keyID, newKey())
                useKey(path, keyID)
                print(f"{path}: links are made under the new key {keyID} from now on;")
                print("the old one is accepted until: bmffctl key remove ID")
        return 0


def findSecrets(given: str | None, configuration: str | None) -> Path:
    """
    The secrets file that is meant: the one named, else the configuration's, else that of the
    default state folder.

    @raise ConfigurationError: the configuration cannot be read.
    """
    if given is not None:
        return Path(given)
    if configuration is not None:
        return loadConfiguration(configuration).secrets
    return defaultState() / "secrets.toml"
