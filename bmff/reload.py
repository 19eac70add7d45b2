"""
A changed configuration file in a running node: what its parts can take on alive counts at once,
what they cannot is named, and a file of which anything cannot be used changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs
from twisted.logger import Logger

from bmff.config import Configuration, loadConfiguration
from bmff.errors import ConfigurationError, Mistake
from bmff.toml import written

Section_contra = TypeVar("Section_contra", contravariant=True)


class Reloadable(Protocol[Section_contra]):
    """
    A part of a node that can take on some settings of its section while it runs.
    """

    @property
    def alive(self) -> frozenset[str]:
        """
        Where those stand in a file: C{"homebrew.static"}.
        """

    def prepare(self, section: Section_contra) -> Callable[[], None]:
        """
        Get ready for what the section says; nothing changes yet. What is not in C{alive} is as it
        was.

        @return: takes it on, and does not fail.
        @raise ConfigurationError: with all that cannot be taken on.
        """


class Reconfigurable(Protocol):
    """
    A node, see L{bmff.node.Node}.
    """

    @property
    def configuration(self) -> Configuration:
        """
        What counts now.
        """

    @property
    def alive(self) -> Collection[str]:
        """
        The places in a file that it can take on while it runs.
        """

    def reconfigure(self, configuration: Configuration) -> None:
        """
        Take on what stands at those places.

        @raise ConfigurationError: that cannot be; nothing has changed.
        """


@dataclass(frozen=True, slots=True)
class Reloaded:
    """
    What has become of a changed file.

    @ivar applied: the places in it that count from now on, C{"homebrew.static"}.
    @ivar waiting: those that count after a restart.
    """

    applied: tuple[str, ...]
    waiting: tuple[str, ...]


def changes(before: Configuration, after: Configuration) -> Iterator[str]:
    """
    The places at which two configurations differ; a section that only one has is one place, and so
    is one that is no table of settings.
    """
    for section, old, new in _differing(before, after):
        if _sameTable(old, new):
            yield from (f"{section}.{setting}" for setting, _, _ in _differing(old, new))
        else:
            yield section


def taken(current: Configuration, wanted: Configuration, places: Collection[str]) -> Configuration:
    """
    A configuration with what another one says at some places.
    """
    sections = {}
    for section, old, new in _differing(current, wanted):
        if section in places:
            sections[section] = new
        elif _sameTable(old, new):
            settings = {
                setting: value
                for setting, _, value in _differing(old, new)
                if f"{section}.{setting}" in places
            }
            sections[section] = _with(old, settings)
    counts: Configuration = _with(current, sections)
    return counts


def prepareAll(
    parts: Mapping[str, Reloadable[Any]], configuration: Configuration
) -> Callable[[], None]:
    """
    Have several parts get ready, each for its section.

    @param parts: by the name of the section's attribute.
    @return: has all of them take it on.
    @raise ConfigurationError: with the mistakes of all; nothing has changed.
    """
    ready: list[Callable[[], None]] = []
    mistakes: list[Mistake] = []
    for section, part in parts.items():
        try:
            ready.append(part.prepare(getattr(configuration, section)))
        except ConfigurationError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigurationError(mistakes)

    def take() -> None:
        for each in ready:
            each()

    return take


class Reload:
    """
    Reads a node's file again when it is asked to.
    """

    _log = Logger()

    def __init__(self, path: Path, node: Reconfigurable) -> None:
        """
        @param path: the file that the node was started with.
        """
        self._path = path
        self._node = node

    def reload(self) -> Reloaded:
        """
        Read the file, and use what it says.

        @raise ConfigurationError: with every mistake in it; nothing has changed.
        """
        wanted = loadConfiguration(self._path)
        alive = self._node.alive
        # What waits stays a difference, so that it is named again until a restart.
        places = tuple(changes(self._node.configuration, wanted))
        applied = tuple(place for place in places if place in alive)
        waiting = tuple(place for place in places if place not in alive)
        if applied:
            self._node.reconfigure(wanted)
        self._log.info("{path} read again: {changed}", path=self._path, changed=_said(applied))
        if waiting:
            self._log.warn("after a restart count: {waiting}", waiting=", ".join(waiting))
        return Reloaded(applied, waiting)

    def signalled(self) -> None:
        """
        Do so because of SIGHUP: what is wrong goes to the log.
        """
        try:
            self.reload()
        except ConfigurationError as error:
            self._log.error(
                "{path} stays without effect: {mistakes}", path=self._path, mistakes=str(error)
            )
        except Exception:
            self._log.failure("{path} could not be used", path=self._path)


def _differing(before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """
    The settings that two tables of one kind have differently, as they are written in a file, each
    with both values.
    """
    for field in attrs.fields(type(before)):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old != new:
            yield written(field.name), old, new


def _sameTable(old: object, new: object) -> bool:
    return type(old) is type(new) and attrs.has(type(old))


def _with(table: Any, values: Mapping[str, Any]) -> Any:
    """
    A table with other values, by their names in a file.
    """
    names = {written(field.name): field.name for field in attrs.fields(type(table))}
    return attrs.evolve(table, **{names[each]: value for each, value in values.items()})


def _said(applied: tuple[str, ...]) -> str:
    return f"{', '.join(applied)} count from now on" if applied else "nothing to do"
