"""
C{bmffctl instance}: adds a node to this host, takes one away, lists them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any, cast

from twisted.python import usage

from bmff.config import parseConfiguration
from bmff.ctl.anyorder import AnyOrderOptions
from bmff.ctl.instances.folder import (
    HOTSPOTS_PORT,
    LINKS_PORT,
    REMOVED_SUFFIX,
    Folder,
    Instance,
)
from bmff.ctl.instances.places import Places
from bmff.ctl.instances.registration import Registration, clashes, rowOf
from bmff.ctl.instances.steps import Step, carryOut
from bmff.ctl.instances.units import Units, isEnabled, socketText
from bmff.ctl.tables import table
from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import NodeRow
from bmff.toml import readText

PREFIX = ["prefix", "p", "/", "the folder that everything is below"]
DRY = ["dry-run", "n", "say what would be done, and do nothing"]
NO_SYSTEMD = ["no-systemd", None, "leave units alone"]


class _InstanceCommand(AnyOrderOptions):
    """
    What the commands on instances have in common.
    """

    @property
    def places(self) -> Places:
        """
        Where everything is.
        """
        return Places(Path(self["prefix"]).absolute())

    def parseNumber(self, word: str) -> None:
        """
        Take the node ID.

        @raise usage.UsageError: it is none.
        """
        if not (word.isascii() and word.isdigit() and len(word) <= 7):
            raise usage.UsageError(f"{word!a} is no node ID (MCC and number, 4 to 7 digits)")
        self["number"] = int(word)


def _port(word: str) -> int:
    if not (word.isascii() and word.isdigit() and 1 <= int(word) <= 0xFFFF):
        raise ValueError(f"{word!a} is no port, which is 1 to 65535")
    return int(word)


class AddOptions(_InstanceCommand):
    """
    The options of C{bmffctl instance add}.
    """

    synopsis = "[options] NUMBER"
    longdesc = (
        "Makes a node of this host: a file in /opt/BrandMeister/Instances, an enabled unit, a row "
        "in the registry. Its number and ports must be nobody else's; ports that are not given "
        "are the first free ones."
    )
    optParameters = [
        PREFIX,
        ["file", "f", None, "a configuration to take, instead of making one"],
        ["port", None, None, "UDP port of the hotspots, from 62031 on", _port],
        ["links-port", None, None, "port of links to other nodes, from 54000 on", _port],
    ]
    optFlags = [
        DRY,
        NO_SYSTEMD,
        ["links-only", "l", "no hotspots: the node is for links and bridges"],
        ["activate", "a", "have systemd open the hotspots' port, also before the node runs"],
        ["now", None, "start it as well"],
        ["take-over", None, "take the number although the registry has it, of a node that is gone"],
    ]

    def parseArgs(self, number: str) -> None:  # type: ignore[override]
        """
        @param number: the node ID.
        @raise usage.UsageError: it is none, or options do not fit together.
        """
        self.parseNumber(number)
        if self["file"] is not None and (self["port"] or self["links-port"] or self["links-only"]):
            raise usage.UsageError("--file already says what --port and --links-only would")
        if self["links-only"] and (self["port"] or self["activate"]):
            raise usage.UsageError("--links-only: there is no port of hotspots")

    def run(self) -> int:
        """
        Add it.

        @raise ConfigurationError: it cannot be added; then nothing has changed.
        """
        places: Places = self.places
        places.owner()
        with ExitStack() as stack:
            if not self["dry-run"]:
                _make(places.instances)
                stack.enter_context(Folder(places.instances).locked())
            self._add(places, Folder(places.instances))
        return 0

    def _add(self, places: Places, folder: Folder) -> None:
        folder.checkReadable()
        path = folder.file(self["number"])
        text = self._text(places, folder)
        new = Instance(path, parseConfiguration(text, str(path), path.parent))
        if new.number != self["number"]:
            message = f"{new.number} in {self['file']} is not {self['number']}"
            raise ConfigurationError([Mistake("network", message)])
        registration = Registration(places, new.configuration)
        rows = registration.rows()
        found = folder.clashes(new)
        if not found:
            if self["take-over"]:
                rows.pop(new.number, None)
            found = clashes(new.configuration, rows)
        if found:
            raise ConfigurationError(found)
        carryOut([*self._steps(places, new, text, registration)], self["dry-run"])
        if not self["dry-run"]:
            print(f"node {new.number} is set up; {_next(places, new, self)}")

    def _steps(
        self, places: Places, new: Instance, text: str, registration: Registration
    ) -> Iterator[Step]:
        if not places.state.is_dir():
            yield Step(f"make {places.state}", places.makeState)
        shown = "".join(f"\n    {line}" if line else "\n" for line in text.splitlines())
        write = partial(_writeNew, new.path, text)
        yield Step(f"write {new.path}{shown if self['dry-run'] else ''}", write, new.path.unlink)
        row = rowOf(new.configuration)
        if row is not None:
            yield Step(
                f"register node {row.node}, {row.address} port {row.port}, in {registration.name}",
                partial(registration.put, row),
                partial(registration.remove, row.node),
            )
        if not self["no-systemd"]:
            socket = socketText(new.name, new.configuration) if self["activate"] else None
            yield from Units(places).adding(new.name, socket, self["now"])

    def _text(self, places: Places, folder: Folder) -> str:
        if self["file"] is not None:
            return readText(self["file"])
        registry = places.state / "registry.sqlite"
        usual = parseConfiguration(
            f"network = {self['number']}\nregistry.file = {_quoted(registry)}\n"
            f"state = {_quoted(places.state)}\n",
            "registry",
            places.instances,
        )
        rows = Registration(places, usual).rows().values()
        hotspots = None if self["links-only"] else self["port"] or folder.freePort(HOTSPOTS_PORT)
        taken = {row.port for row in rows} | {hotspots or 0}
        links = self["links-port"] or folder.freePort(LINKS_PORT, taken)
        return instanceText(self["number"], places.state, hotspots, links)


def instanceText(number: int, state: Path, hotspots: int | None, links: int) -> str:
    """
    A configuration file.

    @param number: the node ID.
    @param state: the state folder.
    @param hotspots: the port of the hotspots, if there are to be any.
    @param links: the port of links to other nodes.
    """
    lines = [
        f"# Node {number}, made by bmffctl instance add. etc/bmnode.toml explains all that a file",
        "# may say. A change counts after bmffctl reload or a restart.",
        f"network = {number}",
        f"state = {_quoted(state)}",
        "",
    ]
    if hotspots is not None:
        lines += ["[homebrew]", f'listen = ["0.0.0.0:{hotspots}", "[::]:{hotspots}"]', ""]
    lines += ["[fastforward]", f"port = {links}", ""]
    return "\n".join(lines)


class RemoveOptions(_InstanceCommand):
    """
    The options of C{bmffctl instance remove}.
    """

    synopsis = "[options] NUMBER"
    longdesc = (
        "Takes a node of this host away: stops it, disables its unit, takes its row out of the "
        "registry. Its file is renamed to NUMBER.toml.removed; what it keeps stays."
    )
    optParameters = [PREFIX]
    optFlags = [DRY, NO_SYSTEMD]

    def parseArgs(self, number: str) -> None:  # type: ignore[override]
        """
        @param number: the node ID.
        @raise usage.UsageError: it is none.
        """
        self.parseNumber(number)

    def run(self) -> int:
        """
        Remove it.

        @raise ConfigurationError: there is none, or it cannot be removed.
        """
        places: Places = self.places
        folder = Folder(places.instances)
        with folder.locked() if places.instances.is_dir() else nullcontext():
            folder = Folder(places.instances)
            instance = folder.find(self["number"])
            if instance is None:
                folder.checkReadable()
                message = f"there is no such node in {places.instances}"
                raise ConfigurationError([Mistake(str(self["number"]), message)])
            carryOut([*self._steps(places, instance)], self["dry-run"])
        return 0

    def _steps(self, places: Places, instance: Instance) -> Iterator[Step]:
        if not self["no-systemd"]:
            yield from Units(places).removing(instance.name)
        registration = Registration(places, instance.configuration)
        if instance.number in registration.rows():
            yield Step(
                f"take node {instance.number} out of {registration.name}",
                partial(registration.remove, instance.number),
            )
        removed = instance.path.with_name(instance.name + REMOVED_SUFFIX)
        yield Step(
            f"rename {instance.path} to {removed.name}", partial(instance.path.replace, removed)
        )


class ListOptions(_InstanceCommand):
    """
    The options of C{bmffctl instance list}.
    """

    longdesc = (
        "Lists the nodes of this host: where hotspots log in, the port of links, whether the node "
        "is started with the host, whether the registry has it."
    )
    optParameters = [PREFIX]

    def run(self) -> int:
        """
        Print them, and what is wrong with files that cannot be read.
        """
        places: Places = self.places
        folder = Folder(places.instances)
        known: dict[str, dict[int, NodeRow]] = {}
        rows = []
        for each in folder.instances:
            settings = each.configuration.registry
            if repr(settings) not in known:
                known[repr(settings)] = Registration(places, each.configuration).rows()
            rows.append(
                (
                    each.number,
                    each.path.name,
                    ", ".join(
                        str(address)
                        for place, address in each.endpoints()
                        if place == "homebrew.listen"
                    ),
                    each.linksPort or "",
                    "yes" if isEnabled(places, each.name) else "no",
                    "yes" if each.number in known[repr(settings)] else "no",
                )
            )
        print(table(("NODE", "FILE", "HOTSPOTS", "LINKS", "ENABLED", "REGISTERED"), rows))
        folder.checkReadable()
        return 0


class InstanceOptions(usage.Options):
    """
    The options of C{bmffctl instance}.
    """

    longdesc = "The nodes of this host, a process each; bmffctl instance COMMAND --help says more."
    subCommands = [
        ("add", None, AddOptions, "Make a node of this host: file, unit, row in the registry."),
        ("remove", None, RemoveOptions, "Take one away."),
        ("list", None, ListOptions, "List them."),
    ]

    def postOptions(self) -> None:
        """
        @raise usage.UsageError: there is no command.
        """
        if self.subCommand is None:
            raise usage.UsageError("instance add, remove or list; --help says more")

    def run(self) -> int:
        """
        Do what was asked for.

        @raise ConfigurationError: it cannot be done.
        """
        return cast(Any, self.subOptions).run()  # type: ignore[no-any-return]


def _quoted(path: Path) -> str:
    """
    A path as TOML writes a string, which JSON writes in the same way.
    """
    return dumps(str(path), ensure_ascii=False)


def _make(path: Path) -> None:
    """
    @raise ConfigurationError: the folder cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot be made: {error.strerror}"
        raise ConfigurationError([Mistake(str(path), message)]) from None


def _writeNew(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)


def _next(places: Places, new: Instance, options: AddOptions) -> str:
    """
    What is to be done after a node was added.
    """
    if options["no-systemd"] or not places.live:
        twistd = places.twistd
        return f"start it: {twistd} --nodaemon --pidfile= bmnode --config {new.path}"
    if options["now"]:
        return f"it runs: journalctl -u bmnode@{new.name}"
    return f"start it: systemctl start bmnode@{new.name}"
