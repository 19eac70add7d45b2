"""
What stands in a configuration file and is more than a number or a text: addresses, ranges, paths.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

from bmff.dmr.numbers import ALL_CALL, SERVICES
from bmff.toml import Between, kind

LARGEST_ID: Final = 0xFFFFFFFF  # hotspot IDs have 32 bits
LARGEST_TALKGROUP: Final = ALL_CALL - 1
LONGEST_SOCKET_PATH: Final = 107  # bytes, unix(7)

_TARGET: Final = re.compile(
    r"(?P<node>[1-9][0-9]{3,6})@(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))"
    r":(?P<port>[0-9]{1,5})"
)
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_SERVER: Final = re.compile(
    rf"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>{_LABEL}(?:\.{_LABEL})*\.?)):(?P<port>[0-9]{{1,5}})"
)
_UNIX: Final = re.compile(r"unix/?:(?P<path>.+)", re.DOTALL)  # as Twisted or Tarantool writes it


class Address(NamedTuple):
    """
    Where a socket is bound.

    @ivar host: an IPv4 or IPv6 address in numbers, without brackets.
    @ivar port: 0 to 65535, 0 for any that is free.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Target(NamedTuple):
    """
    Another node that is to be reached.

    @ivar node: its ID.
    @ivar host: host name, or an address in numbers without brackets.
    @ivar port: its FastForward number.
    """

    node: int
    host: str
    port: int


class Server(NamedTuple):
    """
    Where a server is that the node connects to.

    @ivar host: host name, or an address in numbers without brackets; empty for a UNIX socket.
    @ivar port: 1 to 65535; 0 for a UNIX socket.
    @ivar path: the UNIX socket; L{None} for a host.
    """

    host: str
    port: int
    path: Path | None = None

    @property
    def here(self) -> bool:
        """
        Whether what goes there stays on this host.
        """
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class IDs(NamedTuple):
    """
    One item of a list of hotspot IDs.

    @ivar ranges: the IDs that it stands for, first and last of each range.
    """

    ranges: tuple[tuple[int, int], ...]


class Talkgroups(NamedTuple):
    """
    One item of a list of talkgroups.

    @ivar ranges: the talkgroups that it stands for, first and last of each range.
    """

    ranges: tuple[tuple[int, int], ...]


class Number(NamedTuple):
    """
    Whom a call is for, as a translation names it.

    @ivar number: a talkgroup, or a radio ID when C{private}.
    @ivar private: whether it is a radio.
    """

    number: int
    private: bool = False


def makeAddress(value: object) -> Address:
    if not isinstance(value, str):
        raise ValueError('must be a string, such as "0.0.0.0:62031" or "[::]:62031"')
    host, _, port = value.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 0xFFFF):
        raise ValueError(f"{value!a} must end with a colon and a port, 0 to 65535")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        numeric = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise ValueError(
            f"{value!a} must name an address in numbers, 0.0.0.0 or [::] for all of the host's"
        ) from None
    if bracketed != (numeric.version == 6):
        raise ValueError(f"{value!a}: an IPv6 address stands in brackets, an IPv4 address does not")
    return Address(str(numeric), int(port))


def makeTarget(value: object) -> Target:
    found = _TARGET.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 1 <= int(found["port"]) <= 0xFFFF:
        raise ValueError('must be a string, such as "25012@node.example.org:54000"')
    return Target(int(found["node"]), found["v6"] or found["host"], int(found["port"]))


def makeServer(value: object, folder: Path, tunnelled: bool) -> Server:
    """
    A server of the registry.

    @param folder: what a relative path is relative to.
    @param tunnelled: whether what goes to other hosts is encrypted outside of this program.
    """
    server = readServer(value, folder, '"127.0.0.1:3301" or "unix:/run/registry.sock"')
    if not (server.here or tunnelled):
        raise ValueError(
            f"{value!a} is not on this host, and the registry's protocol does not encrypt; lay a "
            "tunnel (WireGuard, stunnel), then set tunnelled = true"
        )
    return server


def readServer(value: object, folder: Path, examples: str) -> Server:
    """
    @param folder: what a relative path is relative to.
    @param examples: what may be said in place of something that cannot be meant so.
    """
    if isinstance(value, str) and (found := _UNIX.fullmatch(value)):
        path = makePath(found["path"], folder)
        checkSocketPath(path)
        return Server("", 0, path)
    found = _SERVER.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 1 <= int(found["port"]) <= 0xFFFF:
        raise ValueError(f"must be a string, such as {examples}")
    host = found["v6"] or found["host"]
    if found["v6"] or host.replace(".", "").isdigit():
        try:
            ip_address(host)
        except ValueError:
            raise ValueError(f"{value!a} names no address") from None
    return Server(host, int(found["port"]))


def checkHost(value: str) -> None:
    try:
        ip_address(value)
    except ValueError:
        raise ValueError(f"{value!a} must be an IPv4 or IPv6 address in numbers") from None


def makeIDs(value: object) -> IDs:
    if type(value) is int and value.bit_length() <= LARGEST_ID.bit_length():
        return IDs((_idRange(value, value),))
    if not isinstance(value, str):
        raise ValueError('must be an ID, a range "2340000-2349999" or a beginning "234*"')
    first, dash, last = (part.strip() for part in value.partition("-"))
    if value.endswith("*") and _isNumber(value[:-1]):
        return IDs(tuple(_beginningWith(int(value[:-1]), LARGEST_ID, "hotspot ID")))
    if not (_isNumber(first) and (_isNumber(last) if dash else True)):
        raise ValueError(f'{value!a} is no ID, range "2340000-2349999" or beginning "234*"')
    return IDs((_idRange(int(first), int(last if dash else first)),))


def makeTalkgroups(value: object) -> Talkgroups:
    if type(value) is int:
        return Talkgroups((_talkgroupRange(value, value),))
    if not isinstance(value, str):
        raise ValueError('must be a talkgroup, a range "2620-2629", a beginning "262*" or "*"')
    if value == "*":
        return Talkgroups(((1, LARGEST_TALKGROUP),))
    first, dash, last = (part.strip() for part in value.partition("-"))
    if value.endswith("*") and _isNumber(value[:-1]):
        return Talkgroups(tuple(_beginningWith(int(value[:-1]), LARGEST_TALKGROUP, "talkgroup")))
    if not (_isNumber(first) and (_isNumber(last) if dash else True)):
        raise ValueError(f'{value!a} is no talkgroup, range "2620-2629", beginning "262*" or "*"')
    return Talkgroups((_talkgroupRange(int(first), int(last if dash else first)),))


def makeNumber(value: object) -> Number:
    if type(value) is int and 1 <= value <= LARGEST_TALKGROUP:
        return Number(value)
    word, _, number = value.partition(" ") if isinstance(value, str) else ("", "", "")
    if word == "radio" and _isNumber(number) and int(number) <= LARGEST_TALKGROUP:
        return Number(int(number), True)
    raise ValueError('must be a talkgroup, or a radio written as "radio 2621370"')


def _talkgroupRange(first: int, last: int) -> tuple[int, int]:
    for number in (first, last):
        if not 1 <= number <= LARGEST_TALKGROUP:
            raise ValueError(f"{number} is no talkgroup, which is 1 to {LARGEST_TALKGROUP}")
    if first > last:
        raise ValueError(f"the range {first}-{last} ends before it begins")
    return first, last


def _isNumber(word: str) -> bool:
    return word.isascii() and word.isdigit() and word[0] != "0" and len(word) <= 10


def _idRange(first: int, last: int) -> tuple[int, int]:
    for number in (first, last):
        if not 1 <= number <= LARGEST_ID:
            raise ValueError(f"{number} is no hotspot ID, which is 1 to {LARGEST_ID}")
    if first > last:
        raise ValueError(f"the range {first}-{last} ends before it begins")
    return first, last


def _beginningWith(prefix: int, largest: int, what: str) -> list[tuple[int, int]]:
    ranges = []
    first, last = prefix, prefix
    while first <= largest:
        ranges.append((first, min(last, largest)))
        first, last = first * 10, last * 10 + 9
    if not ranges:
        raise ValueError(f"no {what} begins with {prefix}")
    return ranges


def checkTalkgroup(value: int) -> None:
    if not 1 <= value <= LARGEST_TALKGROUP:
        raise ValueError(f"{value} is no talkgroup, which is 1 to {LARGEST_TALKGROUP}")
    if value in SERVICES:
        raise ValueError(f"{value} is reserved for services and cannot be a static talkgroup")


def checkSlot(value: int) -> None:
    if value not in (1, 2):
        raise ValueError("must be 1 or 2: DMR has two time slots")


def checkSecretID(value: str) -> None:
    # The message does not quote it: someone may have put a password here.
    if not value.strip():
        raise ValueError("must be the id of a password in the secrets file, but is empty")


def checkListen(value: tuple[Address, ...]) -> None:
    if not value:
        raise ValueError('must name an address at least, such as "0.0.0.0:62031"')
    for place, address in enumerate(value):
        if address.port and address in value[:place]:
            raise ValueError(f"{address.host} port {address.port} is there twice")


def checkSocketPath(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET_PATH:
        raise ValueError(
            f"{path} is too long for a socket: {length} bytes, {LONGEST_SOCKET_PATH} at most"
        )


def sealed(table: Mapping[Any, Any]) -> Mapping[Any, Any]:
    return MappingProxyType(dict(table))


SecretID: TypeAlias = Annotated[str, checkSecretID]
NodeID: TypeAlias = Annotated[int, Between(1000, 9_999_999, "(MCC and number, 4 to 7 digits)")]


def makePath(value: object, folder: Path) -> Path:
    if not isinstance(value, str):
        raise ValueError(f"must be a path, but is {kind(value)}")
    if not value or "\0" in value:
        raise ValueError("must be a path, but is empty or holds a zero byte")
    return folder / os.path.expanduser(value)
