"""
C{bmffctl token}: the tokens of the HTTP API.
"""

from __future__ import annotations

import json

from twisted.python import usage

from bmff.ctl.anyorder import AnyOrderOptions
from bmff.ctl.keys import findSecrets
from bmff.ctl.tables import table
from bmff.keyfile import addToken, removeToken
from bmff.keys import Secrets

ACTIONS = ("add", "list", "remove")


class TokenOptions(AnyOrderOptions):
    """
    The options of C{bmffctl token}.
    """

    synopsis = "[options] add NAME | list | remove NAME"
    longdesc = (
        "Changes the tokens of the HTTP API in the secrets file; running nodes notice within "
        "seconds. add: prints a new token, which cannot be shown again, as the file does not hold "
        "it; it may read, or with --control change things, too. remove: it is good for nothing "
        "any more, and neither are the cookies that stand for it."
    )
    optParameters = [
        ["secrets", "s", None, "the secrets file"],
        ["config", "c", None, "a node's configuration file, which names the secrets file"],
    ]
    optFlags = [
        ["control", None, "the token may change things"],
        ["json", "j", "print what there is as JSON"],
    ]

    def parseArgs(self, action: str, name: str = "") -> None:  # type: ignore[override]
        """
        @param action: one of L{ACTIONS}.
        @param name: the token's name.
        @raise usage.UsageError: they do not fit together.
        """
        if action not in ACTIONS:
            raise usage.UsageError(f"unknown action {action}; there is {', '.join(ACTIONS)}")
        if bool(name) == (action == "list"):
            word = "no name" if action == "list" else "the token's name"
            raise usage.UsageError(f"token {action} takes {word}")
        self["action"], self["name"] = action, name

    def run(self) -> int:
        """
        Change the file, or list what is there.

        @raise ConfigurationError: it cannot be used so.
        """
        path, name = findSecrets(self["secrets"], self["config"]), self["name"]
        right = "control" if self["control"] else "read"
        match self["action"]:
            case "add":
                token = addToken(path, name, right)
                made = {"name": name, "right": right, "token": token}
                print(json.dumps(made, indent=2) if self["json"] else token)
            case "remove":
                removeToken(path, name)
                print(f"{path}: token {name} is gone; nodes notice within seconds")
            case _:
                rows = [(each, row.right) for each, row in Secrets.load(path).tokens().items()]
                content = {"tokens": [{"name": each, "right": its} for each, its in rows]}
                shown = table(("NAME", "RIGHT"), rows)
                print(json.dumps(content, indent=2) if self["json"] else shown)
        return 0
