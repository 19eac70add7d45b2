"""
C{bmffctl drain}, C{disconnect}, C{ban} ...: have a running node do something.
"""

from __future__ import annotations

import json
import sys
from typing import Any, ClassVar

from twisted.python import usage

from bmff.ctl.anyorder import AnyOrderOptions
from bmff.ctl.ask import NodeError, findSocket, order

LARGEST_PEER = 0xFFFFFFFF


class OrderOptions(AnyOrderOptions):
    """
    What all commands that have a node do something have in common.

    @cvar resource: what is to be done.
    @cvar key: what an answer has in it.
    @cvar said: that for people, the places in braces filled from it.
    """

    resource: ClassVar[str]
    key: ClassVar[str]
    said: ClassVar[str]
    synopsis = "[options]"
    optParameters = [
        ["socket", "s", None, "the running node's control socket"],
        ["config", "c", None, "its configuration file, which names the socket"],
    ]
    optFlags = [["json", "j", "print what the node answers"]]

    def body(self) -> dict[str, Any]:
        """
        What the node is told.
        """
        return {}

    def run(self) -> int:
        """
        Tell the node, and print what has become of it.
        """
        try:
            path = findSocket(self["socket"], self["config"])
            content = order(path, self.resource, self.body(), self.key)
        except NodeError as error:
            print(f"bmffctl: {error}", file=sys.stderr)
            return 1
        print(json.dumps(content, indent=2) if self["json"] else self.show(content[self.key]))
        return 0

    def show(self, content: dict[str, Any]) -> str:
        """
        The answer for people.
        """
        return self.said.format_map(content)


class DrainOptions(OrderOptions):
    """
    The options of C{bmffctl drain}.
    """

    longdesc = (
        "Empties a running node: nobody new may log in, and each hotspot is told good-bye when its "
        "call has ended. To take that back: bmffctl undrain."
    )
    resource = key = "drain"
    said = "nobody new may log in; {peers} are in calls still"


class UndrainOptions(OrderOptions):
    """
    The options of C{bmffctl undrain}.
    """

    longdesc = "Lets hotspots log in again to a running node that was emptied."
    resource, key = "undrain", "drain"
    said = "hotspots may log in again"


class ReloadOptions(OrderOptions):
    """
    The options of C{bmffctl reload}.
    """

    longdesc = (
        "Has a running node read its configuration file again: settings of hotspots and rules "
        "count at once, what needs a restart is named. A file with mistakes changes nothing."
    )
    resource = key = "reload"

    def show(self, content: dict[str, Any]) -> str:
        """
        What counts, and what waits.
        """
        lines = [f"counts from now on: {', '.join(content['applied']) or 'nothing new'}"]
        if content["waiting"]:
            lines.append(f"counts after a restart: {', '.join(content['waiting'])}")
        return "\n".join(lines)


class PeerOptions(OrderOptions):
    """
    What commands about one peer have in common.
    """

    synopsis = "[options] PEER"
    key = "peer"

    def parseArgs(self, peer: str) -> None:  # type: ignore[override]
        """
        @param peer: its ID.
        @raise usage.UsageError: it is none.
        """
        self["peer"] = _number(peer, LARGEST_PEER, "ID of a peer")

    def body(self) -> dict[str, Any]:
        """
        The peer, and why.
        """
        reason = {"reason": self["reason"]} if self.opts.get("reason") else {}
        return {"peer": self["peer"], **reason}


class DisconnectOptions(PeerOptions):
    """
    The options of C{bmffctl disconnect}.
    """

    longdesc = "Tells a hotspot or repeater good-bye; it comes back in 10 s as a rule."
    optParameters = [["reason", "r", None, "why, for the log"]]
    resource = "disconnect"
    said = "peer {id} is sent away"


class BanOptions(PeerOptions):
    """
    The options of C{bmffctl ban}.
    """

    longdesc = (
        "Tells a hotspot or repeater good-bye and does not let it in again, until the running node "
        "ends or is told: bmffctl unban PEER. For good it stands in the configuration."
    )
    optParameters = [["reason", "r", None, "why, for the log"]]
    resource = "ban"
    said = "peer {id} may not log in until this node ends, or: bmffctl unban"


class UnbanOptions(PeerOptions):
    """
    The options of C{bmffctl unban}.
    """

    longdesc = "Lets a hotspot or repeater in again that was banned by hand."
    resource = "unban"
    said = "peer {id} may log in again"


class StaticOptions(PeerOptions):
    """
    The options of C{bmffctl static}.
    """

    longdesc = (
        "Sets what a hotspot or repeater hears always, until the running node ends: talkgroups "
        "with commas, an empty word for none, the word configured for what the configuration says."
    )
    optParameters = [
        ["slot1", "1", None, "the talkgroups of slot 1"],
        ["slot2", "2", None, "the talkgroups of slot 2"],
    ]
    resource = "static"

    def postOptions(self) -> None:
        """
        @raise usage.UsageError: there is nothing to be set, or it is no talkgroup.
        """
        if self["slot1"] is None and self["slot2"] is None:
            raise usage.UsageError("--slot1 or --slot2 says what is to be heard")
        for slot in ("slot1", "slot2"):
            self[slot] = None if self[slot] is None else (_talkgroups(self[slot]),)

    def body(self) -> dict[str, Any]:
        """
        The peer and its slots.
        """
        slots = {slot: self[slot][0] for slot in ("slot1", "slot2") if self[slot] is not None}
        return {"peer": self["peer"], **slots}

    def show(self, content: dict[str, Any]) -> str:
        """
        What it hears now.
        """
        slots = "; ".join(
            f"slot {slot}: {' '.join(map(str, content[f'slot{slot}'])) or 'nothing'}"
            for slot in (1, 2)
        )
        return f"peer {content['id']} hears always: {slots}"


class DropOptions(OrderOptions):
    """
    The options of C{bmffctl drop}.
    """

    synopsis = "[options] STREAM"
    longdesc = "Ends a call; bmffctl calls lists the stream IDs."
    resource, key = "drop", "dropped"
    said = "call {stream} is ended"

    def parseArgs(self, stream: str) -> None:  # type: ignore[override]
        """
        @param stream: its stream ID, hex.
        @raise usage.UsageError: it is none.
        """
        try:
            number = int(stream, 16)
        except ValueError:
            number = -1
        if not 0 <= number <= 0xFFFFFFFF:
            raise usage.UsageError(f"{stream} is no stream ID")
        self["stream"] = f"{number:08x}"

    def body(self) -> dict[str, Any]:
        """
        The stream.
        """
        return {"stream": self["stream"]}


class MessageOptions(OrderOptions):
    """
    The options of C{bmffctl message}.
    """

    synopsis = "[options] SOURCE DESTINATION TEXT"
    longdesc = "Sends a text message to a radio, or with --group to a talkgroup."
    optFlags = [["group", "g", "to a talkgroup"]]
    resource = key = "message"

    def parseArgs(self, source: str, destination: str, text: str) -> None:  # type: ignore[override]
        """
        @param source: the radio ID that it is from.
        @param destination: whom it is for.
        @param text: what it says.
        @raise usage.UsageError: that are no IDs.
        """
        self["source"] = _number(source, 0xFFFFFF, "radio ID")
        self["destination"] = _number(destination, 0xFFFFFF, "radio ID or talkgroup")
        self["text"] = text

    def body(self) -> dict[str, Any]:
        """
        The message.
        """
        return {
            "source": self["source"],
            "destination": self["destination"],
            "private": not self["group"],
            "text": self["text"],
        }

    def show(self, content: dict[str, Any]) -> str:
        """
        That it is done.
        """
        whom = "radio" if content["private"] else "talkgroup"
        return f"on its way to {whom} {content['destination']}"


def _number(text: str, largest: int, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= largest):
        raise usage.UsageError(f"{text} is no {what}")
    return int(text)


def _talkgroups(text: str) -> list[int] | None:
    if text == "configured":
        return None
    words = [word.strip() for word in text.split(",") if word.strip()]
    return [_number(word, 0xFFFFFE, "talkgroup") for word in words]
