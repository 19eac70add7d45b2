"""
Commands that a node is given over MQTT, our own: JSON objects with an ID and a time, so that none
is done twice or late.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bmff.errors import ProtocolError
from bmff.wire.brandmeister.payloads import LONGEST_TEXT
from bmff.wire.brandmeister.topics import LARGEST_ID

LARGEST: Final = 8192  # bytes of a command
LONGEST_ID: Final = 64  # characters
AGE: Final = 10.0  # seconds after which a command is too old, or before which it is too early
MOST_REMEMBERED: Final = 4096
_LARGEST_RADIO: Final = 0xFFFFFF


@dataclass(frozen=True, slots=True)
class SendMessage:
    """
    Send a text.

    @ivar source: the radio ID that it is from.
    @ivar destination: a radio ID, or a talkgroup when not C{private}.
    @ivar text: 1 to 1000 characters.
    """

    source: int
    destination: int
    private: bool
    text: str


@dataclass(frozen=True, slots=True)
class DropCall:
    """
    End a call.

    @ivar source: the radio that talks.
    @ivar stream: the stream ID, 0 for whatever that radio sends.
    """

    source: int
    stream: int


@dataclass(frozen=True, slots=True)
class LinkTalkgroup:
    """
    Have a slot hear a talkgroup.
    """

    peer: int
    slot: int
    talkgroup: int


@dataclass(frozen=True, slots=True)
class UnlinkTalkgroup:
    """
    Have a slot hear a talkgroup no more.

    @ivar talkgroup: 0 for all that were keyed.
    """

    peer: int
    slot: int
    talkgroup: int


Order: TypeAlias = SendMessage | DropCall | LinkTalkgroup | UnlinkTalkgroup
KINDS: Final = ("message", "drop", "link", "unlink")


@dataclass(frozen=True, slots=True)
class Command:
    """
    A command.

    @ivar identifier: what it is known by, 1 to 64 characters; no other one has it.
    @ivar time: when it was given, seconds since 1970.
    @ivar kind: one of L{KINDS}.
    @ivar order: what is to be done.
    """

    identifier: str
    time: float
    kind: str
    order: Order


def decodeCommand(payload: bytes) -> Command:
    """
    The command in a payload: C{{"id": "...", "time": 1700000000.0, "command": "link", ...}}.

    @raise ProtocolError: there is none.
    """
    if len(payload) > LARGEST:
        raise ProtocolError("command too long")
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        raise ProtocolError("command is no JSON") from None
    if not isinstance(said, dict):
        raise ProtocolError("command is no object")
    identifier, time = said.get("id"), said.get("time")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= LONGEST_ID:
        raise ProtocolError("command without an id")
    if not identifier.isprintable():
        raise ProtocolError("command without an id")
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < 1e11:
        raise ProtocolError("command without a time")
    kind = said.get("command")
    match kind:
        case "message":
            order: Order = SendMessage(
                _field(said, "source", 1, _LARGEST_RADIO),
                _field(said, "destination", 1, _LARGEST_RADIO),
                said.get("private", True) is not False,
                _text(said),
            )
        case "drop":
            order = DropCall(
                _field(said, "source", 1, _LARGEST_RADIO), _field(said, "stream", 0, LARGEST_ID, 0)
            )
        case "link":
            order = LinkTalkgroup(*_subscriber(said), _field(said, "talkgroup", 1, _LARGEST_RADIO))
        case "unlink":
            order = UnlinkTalkgroup(
                *_subscriber(said), _field(said, "talkgroup", 0, _LARGEST_RADIO, 0)
            )
        case _:
            raise ProtocolError("command of no kind")
    return Command(identifier, float(time), kind, order)


def _field(
    said: dict[str, Any], name: str, least: int, most: int, missing: int | None = None
) -> int:
    value = said.get(name, missing)
    if type(value) is not int or not least <= value <= most:
        raise ProtocolError(f"command with no good {name}")
    return value


def _subscriber(said: dict[str, Any]) -> tuple[int, int]:
    return _field(said, "peer", 1, LARGEST_ID), _field(said, "slot", 1, 2)


def _text(said: dict[str, Any]) -> str:
    text = said.get("text")
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST_TEXT:
        raise ProtocolError("command with no good text")
    return text


class Freshness:
    """
    Lets each command pass once, and only while it is young.
    """

    def __init__(self, since: float, most: int = MOST_REMEMBERED) -> None:
        """
        @param since: when the node was started, seconds since 1970: it does not know what an
            earlier process has done.
        @param most: how many commands are remembered.
        """
        self._since = since
        self._most = most
        self._seen: set[str] = set()
        self._order: deque[tuple[float, str]] = deque()

    def check(self, command: Command, now: float) -> None:
        """
        Let a command pass.

        @param now: seconds since 1970.
        @raise ProtocolError: it may not.
        """
        order = self._order
        # One from a clock that is early stays young as much longer.
        while order and not -2 * AGE <= now - order[0][0] <= 2 * AGE:
            self._seen.discard(order.popleft()[1])
        if command.time < now - AGE or command.time < self._since:
            raise ProtocolError("command too old")
        if command.time > now + AGE:
            raise ProtocolError("command from the future")
        if command.identifier in self._seen:
            raise ProtocolError("command seen before")
        if len(order) >= self._most:
            raise ProtocolError("too many commands")
        self._seen.add(command.identifier)
        order.append((now, command.identifier))
