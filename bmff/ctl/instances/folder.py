"""
The folder of instances: a configuration file for each node of a host, no two with the same numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

from bmff.config import Configuration, loadConfiguration
from bmff.errors import ConfigurationError, Mistake
from bmff.sections.values import Address

HOTSPOTS_PORT: Final = 62031
LINKS_PORT: Final = 54000
SUFFIX: Final = ".toml"
REMOVED_SUFFIX: Final = ".toml.removed"
_EVERYWHERE: Final = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Instance:
    """
    One node of the host.

    @ivar path: its configuration file, whose name without the suffix is the unit's after the
        C{@}.
    @ivar configuration: what is in it.
    """

    path: Path
    configuration: Configuration

    @property
    def number(self) -> int:
        """
        Its node ID.
        """
        return self.configuration.network

    @property
    def name(self) -> str:
        """
        What systemd calls it.
        """
        return self.path.name.removesuffix(SUFFIX)

    @property
    def linksPort(self) -> int | None:
        """
        Its number of FastForward, as far as the file says one.
        """
        links = self.configuration.fastforward
        return None if links is None else links.port

    def endpoints(self) -> Iterator[tuple[str, Address]]:
        """
        The UDP addresses that it listens at, each with the place in the file.
        """
        homebrew, links = self.configuration.homebrew, self.configuration.fastforward
        if homebrew is not None:
            yield from (("homebrew.listen", address) for address in homebrew.listen)
        if links is not None and links.port is not None:
            yield from (("fastforward.port", Address(host, links.port)) for host in links.listen)


class Folder:
    """
    All instances of a host.

    @ivar path: the folder.
    @ivar instances: those that can be read, by name.
    @ivar mistakes: what is wrong with the others, by their files.
    """

    def __init__(self, path: Path) -> None:
        """
        Read the folder; one that is not there is empty.
        """
        self.path = path
        self.instances: list[Instance] = []
        self.mistakes: dict[Path, ConfigurationError] = {}
        for file in sorted(path.glob(f"*{SUFFIX}")):
            try:
                self.instances.append(Instance(file, loadConfiguration(file)))
            except ConfigurationError as error:
                self.mistakes[file] = error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Be the only one who changes the folder.

        @raise OSError: it is not there.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flock(descriptor, LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def file(self, number: int) -> Path:
        """
        Where a new instance's file is to be.
        """
        return self.path / f"{number}{SUFFIX}"

    def find(self, number: int) -> Instance | None:
        """
        The instance with a node ID.
        """
        return next((each for each in self.instances if each.number == number), None)

    def checkReadable(self) -> None:
        """
        See that all files can be read, as one that cannot may have any number.

        @raise ConfigurationError: with the mistakes of all files.
        """
        mistakes = [
            Mistake(f"{file}: {each.place}", each.message)
            for file, error in self.mistakes.items()
            for each in error.mistakes
        ]
        if mistakes:
            raise ConfigurationError(mistakes)

    def clashes(self, new: Instance) -> list[Mistake]:
        """
        What a new instance has in common with those that are here, and may not.
        """
        found = []
        same = self.find(new.number)
        if same is not None:
            found.append(Mistake("network", f"{new.number} is taken by {same.path}"))
        elif new.path.exists():
            found.append(Mistake(str(new.path), "is there already"))
        ours = list(new.endpoints())
        for index, (place, address) in enumerate(ours):
            for otherPlace, other in ours[:index]:
                if place != otherPlace and _overlap(address, other):
                    found.append(Mistake(place, f"port {address.port} is that of {otherPlace}"))
        for each in self.instances:
            for place, address in ours:
                if any(_overlap(address, other) for _, other in each.endpoints()):
                    message = f"port {address.port} is taken by node {each.number} ({each.path})"
                    found.append(Mistake(place, message))
        return list(dict.fromkeys(found))

    def freePort(self, first: int, taken: Iterable[int] = ()) -> int:
        """
        The first UDP port from L{first} on that no instance has.

        @param taken: others that are not free.
        @raise ConfigurationError: there is none.
        """
        used = {address.port for each in self.instances for _, address in each.endpoints()}
        used.update(taken)
        for port in range(first, 0x10000):
            if port not in used:
                return port
        raise ConfigurationError([Mistake("port", f"none from {first} on is free")])


def _overlap(one: Address, other: Address) -> bool:
    """
    Whether two sockets cannot have these addresses at once.
    """
    return (
        one.port == other.port != 0
        and (":" in one.host) == (":" in other.host)
        and (one.host == other.host or one.host in _EVERYWHERE or other.host in _EVERYWHERE)
    )
