"""
What the commands on rows of the registry have in common: which registry, and who asks it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

import attrs
from twisted.python import usage

from bmff.config import Configuration, loadConfiguration, parseConfiguration
from bmff.ctl.anyorder import AnyOrderOptions
from bmff.ctl.instances.folder import Folder
from bmff.ctl.instances.places import ROOT, Places
from bmff.ctl.tables import table
from bmff.ctl.visit import isThere, visit
from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import BadRow, IRegistry, NodeRow, OverrideRow, PeerRow, SubscriptionRow
from bmff.sections.registry import Registry
from bmff.tables import SPACES

NODE: Final = Path("/etc/bmff/bmnode.toml")  # as for twistd bmnode

T = TypeVar("T")
R = TypeVar("R", bound=NodeRow | OverrideRow | PeerRow | SubscriptionRow)


class RowCommand(AnyOrderOptions):
    """
    The options of one command.
    """

    optParameters: list[list[Any]] = [
        ["config", "c", None, "a node's configuration file, which names the registry"],
        ["user", "u", None, "who logs in to the registry, in place of the node's own user"],
        ["password-id", None, None, "the id of that user's password in the secrets file"],
    ]

    def visit(self, use: Callable[[IRegistry], Awaitable[T]]) -> T:
        """
        Do something with the registry.

        @raise ConfigurationError: it cannot be used, or it is not clear which is meant.
        """
        settings, secrets = self._place()
        return visit(settings, secrets, use)

    @property
    def isThere(self) -> bool:
        """
        Whether there is a registry to be read.
        """
        return isThere(self._place()[0])

    def read(self, use: Callable[[IRegistry], T], otherwise: T) -> T:
        """
        Look at the rows.

        @param otherwise: what comes of a registry that is not there yet.
        @raise ConfigurationError: as for L{visit}.
        """

        async def look(registry: IRegistry) -> T:
            return use(registry)

        settings, secrets = self._place()
        return visit(settings, secrets, look) if isThere(settings) else otherwise

    def _place(self) -> tuple[Registry, Path]:
        """
        The registry, and the file of its passwords.
        """
        configuration = findConfiguration(self["config"])
        said = {"user": self["user"], "password": self["password-id"]}
        changes = {name: value for name, value in said.items() if value is not None}
        return attrs.evolve(configuration.registry, **changes), configuration.secrets


async def removed(registry: IRegistry, table: str, key: int | tuple[int, int, int]) -> bool:
    """
    Take a row away, also one that cannot be used.

    @return: whether it was there.
    """
    before = getattr(registry, table).get(key), len(registry.badRows)
    await registry.remove(table, key)
    return before != (None, len(registry.badRows))


class RowListing(RowCommand, Generic[R]):
    """
    The options of a command that lists the rows of one table, and those that cannot be used.

    @ivar name: the table's.
    @ivar heading: the columns that are printed.
    """

    name: str
    heading: tuple[str, ...]
    synopsis = "[options]"
    optFlags = [["json", "j", "print them as JSON"]]

    def run(self) -> int:
        """
        Print them.

        @raise ConfigurationError: the registry cannot be used.
        """

        def look(registry: IRegistry) -> tuple[list[R], tuple[BadRow, ...]]:
            rows = getattr(registry, self.name)
            return [row for _, row in sorted(rows.items()) if self.wanted(row)], registry.badRows

        nothing: tuple[list[R], tuple[BadRow, ...]] = ([], ())
        rows, bad = self.read(look, nothing)
        if self["json"]:
            content = {self.name: [self.content(row) for row in rows]}
            print(json.dumps({**content, "bad": badRows(bad, self.name)}, indent=2))
        else:
            print("\n".join([table(self.heading, [*self.lines(rows)]), *badLines(bad, self.name)]))
        return 0

    def wanted(self, row: R) -> bool:
        """
        Whether a row is to be listed.
        """
        return True

    def content(self, row: R) -> dict[str, Any]:
        """
        A row as JSON.
        """
        return asdict(row)

    def lines(self, rows: list[R]) -> Iterable[tuple[object, ...]]:
        """
        The rows for people, each as the columns of a line.
        """
        raise NotImplementedError


class RowCommands(usage.Options):
    """
    A group of such commands.
    """

    subCommands: Any

    def postOptions(self) -> None:
        """
        @raise usage.UsageError: there is no command.
        """
        if self.subCommand is None:
            names = ", ".join(name for name, *_ in self.subCommands)
            raise usage.UsageError(f"there is {names}; --help says more")

    def run(self) -> int:
        """
        Do what was asked for.

        @raise ConfigurationError: it cannot be done.
        """
        return cast(Any, self.subOptions).run()  # type: ignore[no-any-return]


def findConfiguration(given: str | None) -> Configuration:
    """
    The configuration that is meant: the one named, else that of the host's nodes, if all name one
    registry, else that of a node which names none.

    @raise ConfigurationError: it cannot be read, or it is not clear which.
    """
    if given is not None:
        return loadConfiguration(given)
    folder = Folder(Places(ROOT).instances)
    folder.checkReadable()
    found = [(each.path, each.configuration) for each in folder.instances]
    if NODE.exists():
        found.insert(0, (NODE, loadConfiguration(NODE)))
    if not found:
        return parseConfiguration("network = 1000\n", "", Path.cwd())
    (_, first), *rest = found
    if any((one.registry, one.secrets) != (first.registry, first.secrets) for _, one in rest):
        names = ", ".join(str(path) for path, _ in found)
        message = f"the nodes of this host do not share one; name a file with --config: {names}"
        raise ConfigurationError([Mistake("registry", message)])
    return first


def nodeID(word: str) -> int:
    """
    The node ID in a word of the command line.

    @raise usage.UsageError: it is none.
    """
    if not (word.isascii() and word.isdigit() and 1 <= int(word) <= 9_999_999):
        raise usage.UsageError(f"{word!a} is no node ID")
    return int(word)


def portNumber(word: str) -> int:
    """
    The number of FastForward in a word of the command line.

    @raise ValueError: it is none, which a coercing option tells.
    """
    if not (word.isascii() and word.isdigit() and 1 <= int(word) <= 0xFFFF):
        raise ValueError(f"{word!a} is no port, which is 1 to 65535")
    return int(word)


def badLines(rows: tuple[BadRow, ...], name: str) -> list[str]:
    """
    A line for each row of a table that cannot be used.
    """
    return [
        f"not used, of {SPACES[name]}: {row.text}: {row.reason}"
        for row in rows
        if row.table == name
    ]


def badRows(rows: tuple[BadRow, ...], name: str) -> list[dict[str, str]]:
    """
    The same as JSON.
    """
    return [{"row": row.text, "reason": row.reason} for row in rows if row.table == name]
