"""
A changed configuration file in a running node: what can be changed alive is, what cannot is named,
and a file with mistakes changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import attrs
from twisted.logger import Logger

from bmff.config import Configuration, loadConfiguration
from bmff.errors import ConfigurationError
from bmff.sections.homebrew import Homebrew
from bmff.toml import written

# What a node that runs cannot change: its sockets, and what its timers were made from.
_FIXED_OF_HOMEBREW: Final = frozenset(("listen", "peerTimeout", "beaconInterval"))
_ALIVE: Final = frozenset(
    f"homebrew.{written(field.name)}"
    for field in attrs.fields(Homebrew)
    if field.name not in _FIXED_OF_HOMEBREW
) | {"routing.rules"}


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
    The places at which two configurations differ; a section that only one has is one place.
    """
    for field in attrs.fields(Configuration):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new:
            continue
        if type(old) is not type(new) or not attrs.has(type(old)):
            yield written(field.name)
            continue
        for inner in attrs.fields(type(old)):
            if getattr(old, inner.name) != getattr(new, inner.name):
                yield f"{written(field.name)}.{written(inner.name)}"


class Reload:
    """
    Reads a node's file again when it is asked to.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path,
        current: Configuration,
        apply: Callable[[Configuration], None],
    ) -> None:
        """
        @param path: the file.
        @param current: what the node was started with.
        @param apply: takes on what can be changed alive; it raises L{ConfigurationError} and
            changes nothing when that cannot be.
        """
        self._path = path
        self._current = current
        self._apply = apply

    def reload(self) -> Reloaded:
        """
        Read the file, and use what it says.

        @raise ConfigurationError: with every mistake in it; nothing has changed.
        """
        wanted = loadConfiguration(self._path)
        places = tuple(changes(self._current, wanted))
        applied = tuple(place for place in places if place in _ALIVE)
        waiting = tuple(place for place in places if place not in _ALIVE)
        if applied:
            self._apply(wanted)
            # What waits stays a difference, so that it is named again until a restart.
            self._current = _taken(self._current, wanted, applied)
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


def _taken(
    current: Configuration, wanted: Configuration, applied: tuple[str, ...]
) -> Configuration:
    """
    A configuration with those places of another that were applied.
    """
    for section in ("homebrew", "routing"):
        new = getattr(wanted, section)
        values = {
            field.name: getattr(new, field.name)
            for field in attrs.fields(type(new) if attrs.has(type(new)) else Configuration)
            if f"{section}.{written(field.name)}" in applied
        }
        if values:
            changed = attrs.evolve(getattr(current, section), **values)
            current = attrs.evolve(current, **{section: changed})
    return current


def _said(applied: tuple[str, ...]) -> str:
    return f"{', '.join(applied)} count from now on" if applied else "nothing to do"
