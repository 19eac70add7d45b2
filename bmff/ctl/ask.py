"""
C{bmffctl peers} and C{calls}: ask a running node over its control socket.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from stat import S_IMODE
from typing import Any, ClassVar

from twisted.python import usage

from bmff.config import controlSocket, defaultState
from bmff.ctl.tables import table

TIMEOUT = 10.0  # seconds


class NodeError(Exception):
    """
    The node cannot be asked, or does not answer as it should; the text is for people.
    """


class UnixConnection(HTTPConnection):
    """
    HTTP on a UNIX socket.
    """

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """
        Connect to the path.
        """
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, name: str, key: str | None = None, statuses: tuple[int, ...] = (200,)) -> Any:
    """
    What the node at a control socket says of something.

    @param name: what is asked for.
    @param key: what an answer has in it; the same when absent, anything when empty.
    @param statuses: those of answers; any other is a refusal.
    @raise NodeError: it does not.
    """
    connection = UnixConnection(path)
    try:
        connection.request("GET", f"/{name}")
        response = connection.getresponse()
        content = json.load(response)
    except FileNotFoundError:
        raise NodeError(f"no node runs here: {path} is not there") from None
    except ConnectionRefusedError:
        raise NodeError(f"no node listens on {path}; did it crash?") from None
    except PermissionError:
        raise NodeError(
            f"you may not use {path}{_folderMode(path)}; see control_group in the guide"
        ) from None
    except (OSError, HTTPException, ValueError) as error:
        # Whatever is there may have sent it, so a terminal shall not obey it.
        reason = "".join(character for character in str(error) if character.isprintable())
        raise NodeError(f"{path}: {reason}") from None
    finally:
        connection.close()
    known = content if isinstance(content, dict) else {}
    if response.status not in statuses:
        raise NodeError(f"{path}: {known.get('error', response.reason)}")
    wanted = name if key is None else key
    if wanted and wanted not in known:
        raise NodeError(f"{path}: this is no answer of a node")
    return content


def order(path: Path, name: str, body: Mapping[str, object], key: str) -> dict[str, Any]:
    """
    Have the node at a control socket do something.

    @param name: what.
    @param body: with what.
    @param key: what its answer has in it.
    @return: its answer.
    @raise NodeError: there is none, or it refuses.
    """
    ask(path, "nodes")  # says in plain words when no node is there, or it may not be asked
    connection = UnixConnection(path)
    try:
        connection.request(
            "POST", f"/{name}", json.dumps(body), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        content = json.load(response)
    except (OSError, HTTPException, ValueError) as error:
        raise NodeError(f"{path}: no answer: {type(error).__name__}") from None
    finally:
        connection.close()
    known = content if isinstance(content, dict) else {}
    if response.status != 200:
        raise NodeError(str(known.get("error", response.reason)))
    if not isinstance(known.get(key), dict):
        raise NodeError(f"{path}: this is no answer of a node")
    return known


def _folderMode(path: Path) -> str:
    """
    What is to be said of the folder of a socket that cannot be used, as it may be the reason.
    """
    try:
        return f" (its folder has mode {S_IMODE(path.parent.stat().st_mode):04o})"
    except OSError:
        return ""


def findSocket(given: str | None, configuration: str | None) -> Path:
    """
    The control socket that is meant: the one named, else the configuration's, else the only one
    in the default state folder.

    @raise NodeError: it is not clear.
    @raise ConfigurationError: the configuration cannot be read.
    """
    if given is not None:
        return Path(given)
    if configuration is not None:
        return controlSocket(configuration)
    state = defaultState()
    found = sorted(state.glob("bmnode.*.sock"))
    if not found:
        raise NodeError(f"no node runs here: no control socket in {state}; name it with --socket")
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise NodeError(f"more than one node runs here; name one with --socket: {names}")
    return found[0]


class AskOptions(usage.Options):
    """
    What all commands that ask a node have in common.

    @cvar resource: what is asked for.
    @cvar key: what an answer has in it; the same when L{None}, anything when empty.
    @cvar statuses: those of answers.
    """

    resource: ClassVar[str]
    key: ClassVar[str | None] = None
    statuses: ClassVar[tuple[int, ...]] = (200,)
    optParameters = [
        ["socket", "s", None, "the node's control socket"],
        ["config", "c", None, "the node's configuration file, which names the socket"],
    ]
    optFlags = [["json", "j", "print what the node answers"]]

    def run(self) -> int:
        """
        Ask and print.
        """
        try:
            path = findSocket(self["socket"], self["config"])
            content = ask(path, self.resource, self.key, self.statuses)
        except NodeError as error:
            print(f"bmffctl: {error}", file=sys.stderr)
            return 1
        print(json.dumps(content, indent=2) if self["json"] else self.show(content))
        return self.code(content)

    def code(self, content: Any) -> int:
        """
        The exit code for an answer.
        """
        return 0

    def show(self, content: Any) -> str:
        """
        The answer for people.
        """
        raise NotImplementedError


class PeersOptions(AskOptions):
    """
    The options of C{bmffctl peers}.
    """

    synopsis = "[options]"
    longdesc = "Lists the hotspots and repeaters of a running node; * marks what was keyed."
    resource = "peers"

    def show(self, content: Any) -> str:
        """
        A line for each peer.
        """
        rows = [
            (
                peer["id"],
                peer["callsign"],
                peer["address"],
                peer["since"][:19].replace("T", " "),
                _talkgroups(peer["slots"].get("1")),
                _talkgroups(peer["slots"].get("2")),
                f"{peer['package']} {peer['software']}".strip(),
            )
            for peer in content["peers"]
        ]
        heading = ("ID", "CALL", "ADDRESS", "SINCE (UTC)", "SLOT 1", "SLOT 2", "SOFTWARE")
        return table(heading, rows)


class CallsOptions(AskOptions):
    """
    The options of C{bmffctl calls}.
    """

    synopsis = "[options]"
    longdesc = "Lists the calls of a running node, those that are on first."
    resource = "calls"

    def show(self, content: Any) -> str:
        """
        A line for each call, those that are on first.
        """
        rows = [
            (
                call["stream"],
                call["source"],
                f"{'radio' if call['private'] else 'TG'} {call['destination']}",
                "data" if call["data"] else "voice",
                call["peer"],
                call["slot"],
                f"{call['duration']:.1f} s",
                call["frames"],
                call["lost"],
                call.get("reason", f"on, {call.get('listeners')} listen"),
            )
            for call in content["calls"] + content["ended"]
        ]
        heading = (
            *("STREAM", "FROM", "TO", "KIND", "PEER", "SLOT"),
            *("LENGTH", "FRAMES", "LOST", "STATE"),
        )
        return table(heading, rows)


def _talkgroups(slot: dict[str, Any] | None) -> str:
    if slot is None:
        return "-"
    keyed = [f"{talkgroup}*" for talkgroup in slot["dynamic"]]
    return " ".join([*map(str, slot["static"]), *keyed]) or "-"
