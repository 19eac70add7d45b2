"""
A visit to the registry: opened for one command, on a reactor that is there for nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from typing import Final, TypeVar

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.epollreactor import EPollReactor
from twisted.python.failure import Failure

from bmff.errors import ConfigurationError, Mistake
from bmff.ibmff import IRegistry, RegistryUnavailable
from bmff.keys import Secrets
from bmff.registries import makeRegistry
from bmff.sections.registry import Registry

EMBEDDED: Final = "embedded"
PATIENCE: Final = 10.0  # seconds that a registry gets to be there
INTERRUPTED: Final = 130  # a shell's exit code for what SIGINT has ended

T = TypeVar("T")


class LateSecrets(Secrets):
    """
    The secrets of a file that is read when a password is asked for: a registry in a file needs
    none, and may be there before any secret is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def registryPassword(self, secretID: str) -> str | None:
        """
        The password under an id.

        @raise ConfigurationError: the file cannot be used.
        """
        return Secrets.load(self.path).registryPassword(secretID)


def isThere(settings: Registry) -> bool:
    """
    Whether there is a registry to be read; one in a file is made for the first row.
    """
    return settings.type != EMBEDDED or settings.file.exists()


def visit(settings: Registry, secrets: Path, use: Callable[[IRegistry], Awaitable[T]]) -> T:
    """
    Do something with the registry that a configuration names.

    @param secrets: the secrets file.
    @param use: is given the registry, open, its rows in memory.
    @return: what L{use} gives.
    @raise ConfigurationError: the registry cannot be used, or refuses a row.
    @raise SystemExit: somebody has typed Ctrl-C.
    """
    reactor = EPollReactor()
    reactor.seconds = time.monotonic
    results: list[T | Failure] = []

    async def session() -> T:
        registry = makeRegistry(reactor, settings, LateSecrets(secrets))
        reactor.addSystemEventTrigger("before", "shutdown", registry.stop)
        try:
            await registry.start().addTimeout(PATIENCE, reactor)
        except TimeoutError:
            raise RegistryUnavailable(registry.reason or f"no answer in {PATIENCE:.0f} s") from None
        if not registry.available:
            raise RegistryUnavailable(registry.reason)
        return await use(registry)

    def ended(result: T | Failure) -> None:
        results.append(result)
        reactor.stop()

    def begin() -> None:
        Deferred.fromCoroutine(session()).addBoth(ended)

    with _asOwner(settings):
        reactor.callWhenRunning(begin)
        reactor.run(installSignalHandlers=current_thread() is main_thread())
    if not results:
        raise SystemExit(INTERRUPTED)
    (result,) = results
    if isinstance(result, Failure):
        result.trap(ConfigurationError, RegistryUnavailable)
        if result.check(ConfigurationError):
            result.raiseException()
        message = f"cannot be used: {result.getErrorMessage()}"
        raise ConfigurationError([Mistake("registry", message)])
    return result


@contextmanager
def _asOwner(settings: Registry) -> Iterator[None]:
    """
    Where root looks after a registry in a file, be the user whom the file belongs to, or the folder
    that it is to be in: what is made meanwhile is the nodes'.
    """
    user, group = os.geteuid(), os.getegid()
    if user != 0 or settings.type != EMBEDDED:
        yield
        return
    path = settings.file.absolute()
    status = next(each for each in (path, *path.parents) if each.exists()).stat()
    os.setegid(status.st_gid)
    os.seteuid(status.st_uid)
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)
