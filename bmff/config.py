"""
The node's configuration: a TOML file in, one frozen value out, or every mistake by its place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from bmff.errors import ConfigurationError, Mistake
from bmff.sections.fastforward import FastForward
from bmff.sections.homebrew import Homebrew
from bmff.sections.mqtt import MQTT, BrokerPlace, makeBrokerPlace
from bmff.sections.openbridge import OpenBridge
from bmff.sections.registry import Registry
from bmff.sections.routing import Routing
from bmff.sections.uplink import Master, UplinkEntry, makeMaster
from bmff.sections.values import (
    LARGEST_ID,
    Address,
    IDs,
    NodeID,
    Number,
    Server,
    Talkgroups,
    Target,
    makeAddress,
    makeIDs,
    makeNumber,
    makePath,
    makeServer,
    makeTalkgroups,
    makeTarget,
)
from bmff.sections.web import Web
from bmff.toml import Schema, parseTable, readText


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
    @ivar mqtt: the section of the MQTT broker; L{None} when there is none.
    @ivar openbridge: the section of bridges to other networks; L{None} when there are none.
    @ivar uplink: the masters of other networks that the node logs in to.
    @ivar routing: the section of the operator's own rules.
    """

    network: NodeID
    state: Path
    secrets: Path
    web: Web
    registry: Registry
    homebrew: Homebrew | None = None
    fastforward: FastForward | None = None
    mqtt: MQTT | None = None
    openbridge: OpenBridge | None = None
    uplink: tuple[UplinkEntry, ...] = ()
    routing: Routing = attrs.field(factory=Routing)


def loadConfiguration(path: str | os.PathLike[str]) -> Configuration:
    """
    The configuration in the file at L{path}.

    @raise ConfigurationError: it cannot be read or used.
    """
    return parseConfiguration(readText(path), os.fspath(path), Path(path).absolute().parent)


def controlSocket(path: str | os.PathLike[str]) -> Path:
    """
    Where the node is asked that the file at L{path} is for, also when the file has mistakes in what
    has nothing to do with that: a node that runs can be asked all the same.

    @raise ConfigurationError: the file cannot be read, or does not say it.
    """
    table = parseTable(readText(path), os.fspath(path))
    said: dict[str, Any] = {
        name: table[name] for name in ("network", "state", "web") if name in table
    }
    return _read(said, Path(path).absolute().parent).web.socket


def parseConfiguration(text: str, name: str, folder: Path) -> Configuration:
    """
    The configuration in L{text}.

    @param name: the file's name, for messages.
    @param folder: what relative paths in the text are relative to.
    @raise ConfigurationError: with every mistake, in the order of the text.
    """
    return _read(parseTable(text, name), folder)


def _read(table: Mapping[str, Any], folder: Path) -> Configuration:
    """
    The configuration in a table.

    @raise ConfigurationError: with every mistake.
    """

    def path(value: object) -> Path:
        return makePath(value, folder)

    registry = table.get("registry")
    tunnelled = isinstance(registry, dict) and registry.get("tunnelled") is True

    def server(value: object) -> Server:
        return makeServer(value, folder, tunnelled)

    def brokerPlace(value: object) -> BrokerPlace:
        return makeBrokerPlace(value, folder)

    types: dict[type, Callable[[Any], object]] = {
        BrokerPlace: brokerPlace,
        Address: makeAddress,
        IDs: makeIDs,
        Target: makeTarget,
        Server: server,
        Talkgroups: makeTalkgroups,
        Number: makeNumber,
        Master: makeMaster,
        Path: path,
    }
    schema = Schema(Configuration, types)
    return schema.read(_completed(table, folder))


def _completed(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """
    L{table} with the paths filled in that follow from its C{state} and C{network}.
    """
    completed = {**table}
    with suppress(ConfigurationError):  # the schema reports that it is missing
        completed.setdefault("state", str(defaultState()))
    try:
        state = makePath(completed.get("state"), folder)
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
