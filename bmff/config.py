"""
The node's configuration: a TOML file in, one frozen value out, or every mistake by its place.
"""

from __future__ import annotations

import grp
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import attrs

from bmff.dmr.numbers import ALL_CALL, SERVICES
from bmff.errors import ConfigurationError, Mistake
from bmff.toml import Between, Schema, kind, parseTable, readText

LARGEST_ID: Final = 0xFFFFFFFF  # hotspot IDs have 32 bits
LARGEST_TALKGROUP: Final = ALL_CALL - 1
LONGEST_SOCKET_PATH: Final = 107  # bytes, unix(7)
# Sections that a later version knows. Who adds the stack takes its name from here and gives
# L{Configuration} an attribute of that name, whose type is the section's class.
LATER: Final = ("openbridge", "mqtt")


_TARGET: Final = re.compile(
    r"(?P<node>[1-9][0-9]{3,6})@(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))"
    r":(?P<port>[0-9]{1,5})"
)
_SERVER: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})"
)
_UNIX: Final = re.compile(r"unix/?:(?P<path>.+)", re.DOTALL)  # as Twisted or Tarantool writes it
_REGISTRY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31}")


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
    Where a server of the registry is.

    @ivar host: host name, or an address in numbers without brackets; empty for a UNIX socket.
    @ivar port: 1 to 65535; 0 for a UNIX socket.
    @ivar path: the UNIX socket; L{None} for a host.
    """

    host: str
    port: int
    path: Path | None = None

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


def _address(value: object) -> Address:
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


def _target(value: object) -> Target:
    found = _TARGET.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 1 <= int(found["port"]) <= 0xFFFF:
        raise ValueError('must be a string, such as "25012@node.example.org:54000"')
    return Target(int(found["node"]), found["v6"] or found["host"], int(found["port"]))


def _server(value: object, folder: Path, tunnelled: bool) -> Server:
    """
    @param folder: what a relative path is relative to.
    @param tunnelled: whether what goes to other hosts is encrypted outside of this program.
    """
    if isinstance(value, str) and (found := _UNIX.fullmatch(value)):
        path = _path(found["path"], folder)
        _socketPath(path)
        return Server("", 0, path)
    found = _SERVER.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 1 <= int(found["port"]) <= 0xFFFF:
        raise ValueError('must be a string, such as "127.0.0.1:3301" or "unix:/run/registry.sock"')
    host = found["v6"] or found["host"]
    try:
        here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        if found["v6"] or host.replace(".", "").isdigit():
            raise ValueError(f"{value!a} names no address") from None
        here = False
    if not (here or tunnelled):
        raise ValueError(
            f"{value!a} is not on this host, and the registry's protocol does not encrypt; lay a "
            "tunnel (WireGuard, stunnel), then set tunnelled = true"
        )
    return Server(host, int(found["port"]))


def _host(value: str) -> None:
    try:
        ip_address(value)
    except ValueError:
        raise ValueError(f"{value!a} must be an IPv4 or IPv6 address in numbers") from None


def _environment(value: str) -> None:
    if len(value.encode()) > 32:
        raise ValueError("must have 32 bytes at most")


def _ids(value: object) -> IDs:
    if type(value) is int and value.bit_length() <= LARGEST_ID.bit_length():
        return IDs((_idRange(value, value),))
    if not isinstance(value, str):
        raise ValueError('must be an ID, a range "2340000-2349999" or a beginning "234*"')
    first, dash, last = (part.strip() for part in value.partition("-"))
    if value.endswith("*") and _isNumber(value[:-1]):
        return IDs(tuple(_beginningWith(int(value[:-1]))))
    if not (_isNumber(first) and (_isNumber(last) if dash else True)):
        raise ValueError(f'{value!a} is no ID, range "2340000-2349999" or beginning "234*"')
    return IDs((_idRange(int(first), int(last if dash else first)),))


def _isNumber(word: str) -> bool:
    return word.isascii() and word.isdigit() and word[0] != "0" and len(word) <= 10


def _idRange(first: int, last: int) -> tuple[int, int]:
    for number in (first, last):
        if not 1 <= number <= LARGEST_ID:
            raise ValueError(f"{number} is no hotspot ID, which is 1 to {LARGEST_ID}")
    if first > last:
        raise ValueError(f"the range {first}-{last} ends before it begins")
    return first, last


def _beginningWith(prefix: int) -> list[tuple[int, int]]:
    ranges = []
    first, last = prefix, prefix
    while first <= LARGEST_ID:
        ranges.append((first, min(last, LARGEST_ID)))
        first, last = first * 10, last * 10 + 9
    if not ranges:
        raise ValueError(f"no hotspot ID begins with {prefix}")
    return ranges


def _talkgroup(value: int) -> None:
    if not 1 <= value <= LARGEST_TALKGROUP:
        raise ValueError(f"{value} is no talkgroup, which is 1 to {LARGEST_TALKGROUP}")
    if value in SERVICES:
        raise ValueError(f"{value} is reserved for services and cannot be a static talkgroup")


def _slot(value: int) -> None:
    if value not in (1, 2):
        raise ValueError("must be 1 or 2: DMR has two time slots")


def _fingerprint(value: str) -> None:
    if not _FINGERPRINT.fullmatch(value):
        raise ValueError("must be a fingerprint as bmffctl certificate shows it, 64 digits of hex")


def _secretID(value: str) -> None:
    # The message does not quote it: someone may have put a password here.
    if not value.strip():
        raise ValueError("must be the id of a password in the secrets file, but is empty")


def _registryType(value: str) -> None:
    if not _REGISTRY.fullmatch(value):
        raise ValueError('must be the name of a registry, such as "embedded" or "tarantool"')


def _user(value: str) -> None:
    if not value or not value.isprintable():
        raise ValueError("must be the name of a user")


def _servers(value: tuple[Server, ...]) -> None:
    if not value:
        raise ValueError('must name an address at least, such as "127.0.0.1:3301"')


def _listen(value: tuple[Address, ...]) -> None:
    if not value:
        raise ValueError('must name an address at least, such as "0.0.0.0:62031"')
    for place, address in enumerate(value):
        if address.port and address in value[:place]:
            raise ValueError(f"{address.host} port {address.port} is there twice")


def _group(name: str) -> None:
    try:
        grp.getgrnam(name)
    except (KeyError, ValueError):
        raise ValueError(f"this host has no group {name!a}") from None


def _socketPath(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET_PATH:
        raise ValueError(
            f"{path} is too long for a socket: {length} bytes, {LONGEST_SOCKET_PATH} at most"
        )


def _sealed(table: Mapping[Any, Any]) -> Mapping[Any, Any]:
    return MappingProxyType(dict(table))


SecretID: TypeAlias = Annotated[str, _secretID]
HotspotID: TypeAlias = Annotated[int, Between(1, LARGEST_ID, "as a hotspot's ID")]
Statics: TypeAlias = Mapping[
    Annotated[int, _slot],
    tuple[Annotated[int, _talkgroup], ...],
]
NodeID: TypeAlias = Annotated[int, Between(1000, 9_999_999, "(MCC and number, 4 to 7 digits)")]
DynamicTimeout: TypeAlias = Annotated[float, Between(0, 86_400, "seconds")]


@attrs.frozen
class PeerEntry:
    """
    What is said of one hotspot; what is L{None} is as for every other.

    @ivar password: the id of its secret.
    @ivar static: talkgroups by slot; a slot that is not there is as for every other.
    @ivar single: whether keying a talkgroup leaves the one keyed before.
    @ivar dynamicTimeout: seconds until a talkgroup that was keyed is left, 0 for never.
    @ivar options: whether it may set its own talkgroups.
    @ivar banned: whether it is kept out; when false it is let in whatever the lists say.
    """

    password: SecretID | None = None
    static: Statics = attrs.field(factory=dict, converter=_sealed)
    single: bool | None = None
    dynamicTimeout: DynamicTimeout | None = None
    options: bool | None = None
    banned: bool | None = None


@attrs.frozen
class Homebrew:
    """
    The section of the HomeBrew stack, which hotspots and repeaters log in to.

    @ivar listen: where to listen.
    @ivar password: the id of the secret that opens every hotspot with none of its own.
    @ivar allow: the hotspots that may log in; everyone when empty.
    @ivar deny: the hotspots that may not.
    @ivar static: every hotspot's talkgroups by slot.
    @ivar hangTime: seconds that a slot is kept for a conversation after a call.
    @ivar dynamicTimeout: seconds until a talkgroup that was keyed is left, 0 for never.
    @ivar single: whether keying a talkgroup leaves the one keyed before.
    @ivar talkLimit: seconds that a call may last, 0 for any.
    @ivar peerTimeout: seconds of silence after which a hotspot is gone.
    @ivar options: whether hotspots may set their own talkgroups (RPTO).
    @ivar beaconInterval: seconds between two requests for a beacon, 0 for none.
    @ivar peer: what is said of single hotspots, by ID.
    """

    listen: Annotated[tuple[Address, ...], _listen] = (
        Address("0.0.0.0", 62031),
        Address("::", 62031),
    )
    password: SecretID = "hotspots"
    allow: tuple[IDs, ...] = ()
    deny: tuple[IDs, ...] = ()
    static: Statics = attrs.field(factory=dict, converter=_sealed)
    hangTime: Annotated[float, Between(0, 60, "seconds")] = 5.0
    dynamicTimeout: DynamicTimeout = 900.0
    single: bool = False
    talkLimit: Annotated[float, Between(0, 3600, "seconds")] = 180.0
    peerTimeout: Annotated[float, Between(15, 600, "seconds")] = 60.0
    options: bool = True
    beaconInterval: Annotated[float, Between(0, 86_400, "seconds")] = 0.0
    peer: Mapping[HotspotID, PeerEntry] = attrs.field(factory=dict, converter=_sealed)


@attrs.frozen
class FastForward:
    """
    The section of FastForward, the links to other nodes.

    @ivar port: this node's number, the same for all transports, unique on its host; the first free
        one from 54000 when absent.
    @ivar listen: addresses to listen on.
    @ivar key: the id of the key for links whose override names none.
    @ivar environment: the name of the network; nodes of another one are not heard.
    @ivar targets: nodes to be reached beside those of the registry.
    @ivar public: the address that other nodes reach this one at, for its row in the registry.
    @ivar folder: where UNIX sockets are.
    @ivar trust: user IDs of this host that are trusted beside our own and root.
    @ivar keylog: the file that the keys of all sessions are written to, if any.
    @ivar tls: whether links may run over TLS.
    @ivar certificate: the file of this node's certificate for TLS; made when it is not there.
    @ivar privateKey: the file of the certificate's private key.
    @ivar fingerprints: those of other nodes' certificates, before what the registry says.
    """

    certificate: Path
    privateKey: Path
    port: Annotated[int, Between(1, 0xFFFF, "as a port")] | None = None
    listen: tuple[Annotated[str, _host], ...] = ("0.0.0.0", "::")
    key: SecretID = "group"
    environment: Annotated[str, _environment] = ""
    targets: tuple[Target, ...] = ()
    public: str | None = None
    folder: Path = Path("/tmp")
    trust: tuple[Annotated[int, Between(0, LARGEST_ID, "as a user ID")], ...] = ()
    keylog: Path | None = None
    tls: bool = False
    fingerprints: Mapping[NodeID, Annotated[str, _fingerprint]] = attrs.field(
        factory=dict, converter=_sealed
    )


@attrs.frozen
class Web:
    """
    The section of the HTTP API on the control socket.

    @ivar socket: the control socket.
    @ivar enabled: whether there is one.
    @ivar controlGroup: the UNIX group that may use it beside the node's own user, if any.
    """

    socket: Annotated[Path, _socketPath]
    enabled: bool = True
    controlGroup: Annotated[str, _group] | None = None


@attrs.frozen
class Registry:
    """
    The section of the registry.

    @ivar file: the embedded registry's database.
    @ivar type: the name of the plugin that makes it.
    @ivar addresses: where its servers are, tried in turn.
    @ivar user: who logs in there.
    @ivar password: the id of that user's password in the secrets file.
    @ivar tunnelled: whether a server on another host is reached through a tunnel that encrypts.
    """

    file: Path
    type: Annotated[str, _registryType] = "embedded"
    addresses: Annotated[tuple[Server, ...], _servers] = (Server("127.0.0.1", 3301),)
    user: Annotated[str, _user] = "bmnode"
    password: SecretID = "bmnode"
    tunnelled: bool = False


@attrs.frozen
class Configuration:
    """
    All that the operator says to a node.

    @ivar network: the node ID, MCC and number.
    @ivar state: the folder of what the node keeps.
    @ivar secrets: the secrets file.
    @ivar web: the control socket's section.
    @ivar registry: the registry's section.
    @ivar homebrew: the HomeBrew stack's section; L{None} when the stack is off.
    @ivar fastforward: the section of links to other nodes; L{None} when there are none.
    """

    network: NodeID
    state: Path
    secrets: Path
    web: Web
    registry: Registry
    homebrew: Homebrew | None = None
    fastforward: FastForward | None = None


def loadConfiguration(path: str | os.PathLike[str]) -> Configuration:
    """
    The configuration in the file at L{path}.

    @raise ConfigurationError: it cannot be read or used.
    """
    return parseConfiguration(readText(path), os.fspath(path), Path(path).absolute().parent)


def parseConfiguration(text: str, name: str, folder: Path) -> Configuration:
    """
    The configuration in L{text}.

    @param name: the file's name, for messages.
    @param folder: what relative paths in the text are relative to.
    @raise ConfigurationError: with every mistake, in the order of the text.
    """
    table = parseTable(text, name)

    def path(value: object) -> Path:
        return _path(value, folder)

    registry = table.get("registry")
    tunnelled = isinstance(registry, dict) and registry.get("tunnelled") is True

    def server(value: object) -> Server:
        return _server(value, folder, tunnelled)

    types: dict[type, Callable[[Any], object]] = {
        Address: _address,
        IDs: _ids,
        Target: _target,
        Server: server,
        Path: path,
    }
    later = dict.fromkeys(LATER, "this version has no such stack")
    schema = Schema(Configuration, types, later)
    return schema.read(_completed(table, folder))


def _path(value: object, folder: Path) -> Path:
    if not isinstance(value, str):
        raise ValueError(f"must be a path, but is {kind(value)}")
    if not value or "\0" in value:
        raise ValueError("must be a path, but is empty or holds a zero byte")
    return folder / os.path.expanduser(value)


def _completed(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """
    L{table} with the paths filled in that follow from its C{state} and C{network}.
    """
    completed = {**table}
    with suppress(ConfigurationError):  # the schema reports that it is missing
        completed.setdefault("state", str(defaultState()))
    try:
        state = _path(completed.get("state"), folder)
    except ValueError:
        state = Path("/")  # the schema reports what is wrong with it
    network = table.get("network")
    number = network if type(network) is int and 0 < network <= LARGEST_ID else 0
    completed.setdefault("secrets", str(state / "secrets.toml"))
    for section, key, name in (
        ("web", "socket", f"bmnode.{number}.sock"),
        ("registry", "file", "registry.sqlite"),
        ("fastforward", "certificate", certificateName(number)),
        ("fastforward", "private_key", privateKeyName(number)),
    ):
        if section == "fastforward" and section not in table:
            continue  # it would switch the stack on
        given = completed.get(section, {})
        if isinstance(given, dict):
            completed[section] = given if key in given else {**given, key: str(state / name)}
    return completed


def certificateName(network: int) -> str:
    """
    The name of the file of a node's certificate in its state folder.
    """
    return f"fastforward.{network}.crt"


def privateKeyName(network: int) -> str:
    """
    The name of the file of that certificate's private key.
    """
    return f"fastforward.{network}.key"


def defaultState() -> Path:
    """
    The state folder of a node that names none: systemd's, the host's or the user's, in this order
    (systemd.exec(5), XDG Base Directory Specification 0.8).

    @raise ConfigurationError: this user has no home.
    """
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if os.path.isabs(given):
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/bmff")
    home = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.expanduser("~/.local/state")
    if not os.path.isabs(home):
        raise ConfigurationError([Mistake("state", "is missing, and this user has no home")])
    return Path(home, "bmff")
